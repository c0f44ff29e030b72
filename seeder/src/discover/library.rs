//! Makes known what the library holds: in the DHT by announcing each torrent about every half hour, in the local
//! network by [`super::lsd`], to further trackers by [`super::trackers`]. Evenly over time, so that ten thousand
//! torrents cost next to nothing; what is new comes first.

use super::dht::Node;
use super::trackers::OwnPlaces;
use super::trackers::rounds::{self as tracker_rounds, Named};
use crate::library::{Library, Listed};
use crate::serve::Shared;
use metainfo::SwarmHash;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How often a torrent is announced in the DHT. Nodes forget a peer after half an hour or a little more.
const EVERY: Duration = Duration::from_secs(25 * 60);
/// The least time between two announces: with more than some thousand torrents each has its turn less often, and the
/// load stays.
const APART: Duration = Duration::from_millis(500);
/// Announces under way at once. One takes seconds, spent in waiting.
const AT_ONCE: usize = 8;
/// When one is tried again that didn't go through.
const RETRY: Duration = Duration::from_secs(120);
/// How often the library is looked at for new torrents.
const LOOK: Duration = Duration::from_secs(1);
/// So many torrents are looked into at once, further ones at this distance.
const OPENED_AT_ONCE: usize = 32;
const OPENED_APART: Duration = Duration::from_millis(100);

/// Makes the library known until the seeder stops. `own_ports` are those of our own tracker, which is told nothing.
pub async fn announce(shared: Arc<Shared>, own_ports: Vec<u16>) {
    let stop = shared.stop.clone();
    let discovery = &shared.discovery;
    let (known, public) = mpsc::unbounded_channel();
    let (name, named) = mpsc::unbounded_channel();
    if discovery.further_trackers {
        let addresses = shared.config.external_addresses.clone();
        let own = OwnPlaces {
            ports: own_ports,
            addresses,
        };
        let rounds = tracker_rounds::run(shared.clone(), own, named);
        shared.tasks.spawn(rounds);
    }
    let learn = learn(&shared, known, name);
    let rounds = async {
        match &discovery.dht {
            Some(dht) => rounds(dht.clone(), discovery.port.clone(), public).await,
            None => std::future::pending().await,
        }
    };
    if discovery.dht.is_some() || discovery.lsd.is_some() || discovery.further_trackers {
        let both = async { tokio::join!(learn, rounds) };
        stop.run_until_cancelled(both).await;
    }
}

/// Finds out which torrents are public, and passes these on, and what trackers each names. Both stand in its file alone.
async fn learn(
    shared: &Arc<Shared>,
    public: mpsc::UnboundedSender<Arc<Listed>>,
    name: mpsc::UnboundedSender<Named>,
) {
    let mut library: Arc<Library> = Arc::default();
    let mut seen: HashMap<String, Weak<Listed>> = HashMap::new();
    loop {
        let current = shared.library();
        if Arc::ptr_eq(&current, &library) {
            tokio::time::sleep(LOOK).await;
            continue;
        }
        library = current;
        seen.retain(|_, listed| listed.strong_count() > 0);
        let mut opened = 0;
        for listed in library.torrents() {
            let is_new = |seen: &Weak<Listed>| !std::ptr::eq(seen.as_ptr(), Arc::as_ptr(listed));
            if !seen.get(&listed.id).is_none_or(is_new) || listed.gone.is_cancelled() {
                continue;
            }
            let Some(served) = shared.open(listed).await else {
                // It may be sound later; the library is replaced then, or looked at again.
                continue;
            };
            seen.insert(listed.id.clone(), Arc::downgrade(listed));
            // Where no further trackers are asked, nobody listens.
            let _ = name.send(Named {
                listed: listed.clone(),
                trackers: served.announce.clone(),
                private: served.info.private(),
            });
            if !served.info.private() {
                if let Some(lsd) = &shared.discovery.lsd {
                    lsd.make_known(listed.swarms(), &listed.gone, shared.discovery.port.clone());
                }
                // With the DHT off nobody listens.
                let _ = public.send(listed.clone());
            }
            opened += 1;
            if opened > OPENED_AT_ONCE {
                tokio::time::sleep(OPENED_APART).await;
            }
        }
    }
}

/// Announces in the DHT what is passed on, again and again.
async fn rounds(
    dht: Arc<Node>,
    port: Arc<AtomicU16>,
    mut public: mpsc::UnboundedReceiver<Arc<Listed>>,
) {
    dht.entered().await;
    // Two at the same instant are told apart by their number.
    let mut due: BTreeMap<(Instant, u64), Arc<Listed>> = BTreeMap::new();
    let mut number = 0;
    let mut under_way = JoinSet::new();
    let mut free_from = Instant::now();
    loop {
        let next = due.keys().next().map(|(at, _)| (*at).max(free_from));
        let next = next.filter(|_| under_way.len() < AT_ONCE);
        let turn = async {
            match next {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            listed = public.recv() => match listed {
                Some(listed) => {
                    number += 1;
                    due.insert((Instant::now(), number), listed);
                }
                None => return,
            },
            () = turn => {
                if let Some((_, listed)) = due.pop_first().filter(|(_, listed)| !listed.gone.is_cancelled()) {
                    free_from = Instant::now() + APART;
                    under_way.spawn(announce_one(dht.clone(), port.load(Ordering::Relaxed), listed));
                }
            }
            Some(Ok((listed, again))) = under_way.join_next(), if !under_way.is_empty() => {
                number += 1;
                due.insert((Instant::now() + again, number), listed);
            }
        }
    }
}

/// Announces one torrent under each of its hashes. Gives when to do so again.
async fn announce_one(dht: Arc<Node>, port: u16, listed: Arc<Listed>) -> (Arc<Listed>, Duration) {
    let mut again = EVERY;
    if !listed.is_sound() {
        return (listed, RETRY);
    }
    let swarms: Vec<SwarmHash> = listed.swarms().to_vec();
    for swarm in swarms {
        if let Err(error) = dht.look_up(swarm, Some(port), |_| {}).await {
            tracing::debug!("{} isn't announced: {error}", listed.title);
            again = RETRY;
        }
    }
    (listed, again)
}
