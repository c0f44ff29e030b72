//! Announcing what the library holds to the further trackers that its torrents name, as long as the seeder runs. One
//! queue for all: each entry is a torrent and a list of tiers of which one tracker is told (BEP 12), and waits for its
//! turn. Few announces are under way at once, with pauses between them, so ten thousand torrents take some sockets and
//! some kilobytes a second. Whoever was told is told as well when a torrent goes, or the seeder.

use super::standing::{Admission, Ended, OwnPlaces, Standings};
use super::{AskError, LATEST, OWN, SOONEST, ask, place, plan, udp};
use crate::library::Listed;
use crate::serve::Shared;
use metainfo::SwarmHash;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use wire::tracker::http::asking::BadReply;
use wire::tracker::{Announce, Event};

/// Announces under way at once, to all trackers together.
const AT_ONCE: usize = 8;
/// The least time between two of them.
const APART: Duration = Duration::from_millis(20);
/// When a torrent is tried again that isn't sound now.
const UNSOUND: Duration = Duration::from_secs(120);
/// When one is tried again that its tracker doesn't want: at first, and at most.
const REFUSED: Duration = Duration::from_secs(5 * 60);
const MAX_REFUSED: Duration = Duration::from_secs(12 * 60 * 60);
/// How often it is looked whether torrents have gone.
const LOOK: Duration = Duration::from_secs(5);
/// How long all farewells together may take when the seeder stops.
const FAREWELL: Duration = Duration::from_millis(500);

/// A torrent of the library, and the trackers that it names.
#[derive(Debug)]
pub(in crate::discover) struct Named {
    pub(in crate::discover) listed: Arc<Listed>,
    pub(in crate::discover) trackers: Vec<Vec<String>>,
    pub(in crate::discover) private: bool,
}

#[derive(Debug)]
struct Entry {
    listed: Arc<Listed>,
    tiers: Arc<Vec<Vec<String>>>,
    /// Who has been told of it.
    told: Option<String>,
    refusals: u32,
}

/// An announce that has ended.
struct Announced {
    entry: Entry,
    url: String,
    event: Event,
    outcome: Outcome,
    ended: Ended,
}

/// What became of it.
enum Outcome {
    Told(Duration),
    Refused,
    Failed,
}

/// Runs until the seeder stops, then says farewell.
pub(in crate::discover) async fn run(
    shared: Arc<Shared>,
    own: OwnPlaces,
    named: mpsc::UnboundedReceiver<Named>,
) {
    let mut rounds = Rounds {
        own: Arc::new(own),
        due: BTreeMap::new(),
        number: 0,
        tiers: HashSet::new(),
        standings: Standings::default(),
        under_way: JoinSet::new(),
        free_from: Instant::now(),
        shared: shared.clone(),
    };
    shared.stop.run_until_cancelled(rounds.go_on(named)).await;
    let _ = timeout(FAREWELL, rounds.say_farewell()).await;
}

struct Rounds {
    shared: Arc<Shared>,
    own: Arc<OwnPlaces>,
    /// By time; two at the same instant are told apart by their number.
    due: BTreeMap<(Instant, u64), Entry>,
    number: u64,
    /// Most torrents name the same trackers: each list once.
    tiers: HashSet<Arc<Vec<Vec<String>>>>,
    standings: Standings,
    under_way: JoinSet<Announced>,
    free_from: Instant,
}

impl Rounds {
    async fn go_on(&mut self, mut named: mpsc::UnboundedReceiver<Named>) {
        let mut look = tokio::time::interval(LOOK);
        loop {
            let next = self
                .due
                .keys()
                .next()
                .map(|(at, _)| (*at).max(self.free_from));
            let next = next.filter(|_| self.under_way.len() < AT_ONCE);
            let turn = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(named) = named.recv() => self.take(named),
                () = turn => self.turn(),
                _ = look.tick() => self.recall(),
                Some(Ok(ended)) = self.under_way.join_next(), if !self.under_way.is_empty() => self.ended(ended),
            }
            let metrics = &self.shared.metrics;
            metrics
                .further_announced_now
                .set((self.due.len() + self.under_way.len()) as u64);
        }
    }

    fn take(&mut self, named: Named) {
        for tiers in plan(&named.trackers, named.private) {
            let tiers = match self.tiers.get(&tiers) {
                Some(known) => known.clone(),
                None => {
                    let tiers = Arc::new(tiers);
                    self.tiers.insert(tiers.clone());
                    tiers
                }
            };
            let entry = Entry {
                listed: named.listed.clone(),
                tiers,
                told: None,
                refusals: 0,
            };
            self.put(Instant::now(), entry);
        }
    }

    /// Makes due what has gone: its trackers should not tell of it until its next turn.
    fn recall(&mut self) {
        let gone = self
            .due
            .iter()
            .filter(|(_, entry)| entry.listed.gone.is_cancelled());
        for key in gone.map(|(key, _)| *key).collect::<Vec<_>>() {
            if let Some(entry) = self.due.remove(&key) {
                self.put(Instant::now(), entry);
            }
        }
    }

    fn put(&mut self, at: Instant, entry: Entry) {
        self.number += 1;
        self.due.insert((at, self.number), entry);
    }

    /// Begins what is due.
    fn turn(&mut self) {
        let Some((_, mut entry)) = self.due.pop_first() else {
            return;
        };
        let now = Instant::now();
        if entry.listed.gone.is_cancelled() {
            // Whoever doesn't know of it need not be told that it has gone, nor who is told of the same torrent as it is now.
            let library = self.shared.library();
            let stays = |swarm: &SwarmHash| library.by_swarm(swarm).is_some();
            let url = entry.told.take();
            if let Some(url) = url.filter(|_| !entry.listed.swarms().iter().any(stays)) {
                self.begin(entry, url, Event::Stopped);
            }
            return;
        }
        if !entry.listed.is_sound() {
            return self.put(now + UNSOUND, entry);
        }
        let mut later: Option<Instant> = None;
        // BEP 12 has them in any order within a tier: that of the torrent's id spreads the load and stays. Who was told
        // before comes first.
        let start = entry.listed.id.bytes().fold(0_usize, |sum, byte| {
            sum.wrapping_mul(31) + usize::from(byte)
        });
        let tiers = entry.tiers.clone();
        let in_order = tiers.iter().flat_map(|tier| {
            let from = start % tier.len().max(1);
            tier[from..].iter().chain(&tier[..from])
        });
        let before = entry.told.clone();
        for url in before.iter().chain(in_order) {
            match self.standings.admit(url, now) {
                Admission::Go => {
                    self.free_from = now + APART;
                    let known = entry.told.as_ref() == Some(url);
                    let event = if known {
                        Event::Regular
                    } else {
                        Event::Started
                    };
                    return self.begin(entry, url.clone(), event);
                }
                Admission::Later(at) => later = Some(later.map_or(at, |later| later.min(at))),
                Admission::Never => {}
            }
        }
        if let Some(at) = later {
            self.shared.metrics.further_postponed.add(1);
            // Not all at the same moment.
            let pause = at
                .saturating_duration_since(now)
                .mul_f64(1.0 + rand::random::<f64>() / 4.0);
            self.put(now + pause, entry);
        }
    }

    fn begin(&mut self, entry: Entry, url: String, event: Event) {
        let (shared, own) = (self.shared.clone(), self.own.clone());
        self.under_way.spawn(async move {
            let (outcome, ended) = announce(&shared, &own, &entry, &url, event).await;
            Announced {
                entry,
                url,
                event,
                outcome,
                ended,
            }
        });
    }

    fn ended(&mut self, announced: Announced) {
        let Announced {
            mut entry,
            url,
            event,
            outcome,
            ended,
        } = announced;
        let now = Instant::now();
        self.standings.ended(&url, ended, now, rand::random());
        if event == Event::Stopped {
            return;
        }
        let again = match outcome {
            Outcome::Told(interval) => {
                (entry.told, entry.refusals) = (Some(url), 0);
                interval.mul_f64(1.0 + rand::random::<f64>() / 10.0)
            }
            Outcome::Refused => {
                let pause = REFUSED * 2_u32.saturating_pow(entry.refusals.min(10));
                entry.refusals += 1;
                pause
                    .min(MAX_REFUSED)
                    .mul_f64(1.0 + rand::random::<f64>() / 4.0)
            }
            // The next of its tiers at once.
            Outcome::Failed => Duration::ZERO,
        };
        let gone = entry.listed.gone.is_cancelled();
        if !gone {
            self.put(now + again, entry);
        } else if entry.told.is_some() {
            self.put(now, entry);
        }
    }

    /// Tells everybody that we leave; who can't be told in time forgets us by itself.
    async fn say_farewell(&mut self) {
        self.under_way.abort_all();
        let mut told: HashMap<String, Vec<Announce>> = HashMap::new();
        for entry in self.due.values() {
            let Some(url) = &entry.told else {
                continue;
            };
            let announces = told.entry(url.clone()).or_default();
            let swarms = entry.listed.swarms();
            announces.extend(
                swarms
                    .iter()
                    .filter_map(|swarm| of(&self.shared, &entry.listed, *swarm, Event::Stopped)),
            );
        }
        let mut farewells = JoinSet::new();
        for (url, announces) in told {
            let shared = self.shared.clone();
            farewells.spawn(async move {
                let discovery = &shared.discovery;
                if url.starts_with("udp://") {
                    let _ = udp::farewell(&url, &announces, discovery.key).await;
                } else {
                    for announce in announces {
                        let _ = ask(&discovery.http, discovery.key, &url, &announce).await;
                    }
                }
            });
        }
        while farewells.join_next().await.is_some() {}
    }
}

/// One torrent's announce, under each of its hashes.
fn of(shared: &Shared, listed: &Listed, swarm: SwarmHash, event: Event) -> Option<Announce> {
    let uploaded = listed.figures().map_or(0, |figures| {
        let reading = figures.read();
        reading.sent + reading.sent_http
    });
    Some(Announce {
        swarm,
        peer_id: shared.settings.peer_id,
        port: NonZeroU16::new(shared.discovery.port())?,
        uploaded,
        downloaded: 0,
        left: Some(0),
        event,
        // Peers come to us; whom we could call is what those who fetch ask for.
        num_want: Some(0),
    })
}

async fn announce(
    shared: &Shared,
    own: &OwnPlaces,
    entry: &Entry,
    url: &str,
    event: Event,
) -> (Outcome, Ended) {
    match place(url).await {
        Ok(places) if places.iter().any(|place| own.is_here(*place)) => {
            return (Outcome::Failed, Ended::Useless);
        }
        Ok(_) => {}
        Err(AskError::Url(_)) => return (Outcome::Failed, Ended::Useless),
        Err(_) => return (Outcome::Failed, Ended::Silent),
    }
    let (metrics, discovery) = (&shared.metrics, &shared.discovery);
    let mut again: Option<Duration> = None;
    for swarm in entry.listed.swarms() {
        let Some(announce) = of(shared, &entry.listed, *swarm, event) else {
            return (Outcome::Failed, Ended::Useless);
        };
        match ask(&discovery.http, discovery.key, url, &announce).await {
            Ok(reply) => {
                metrics.tracker_asked.add(1);
                let soonest = reply.min_interval.max(SOONEST).min(LATEST);
                let interval = reply.interval.clamp(soonest, LATEST);
                again = Some(again.map_or(interval, |again| again.min(interval)));
            }
            Err(error) => {
                metrics.tracker_asked_in_vain.add(1);
                tracing::debug!("{url}: {}: {error}", entry.listed.title);
                match error {
                    AskError::Reply(BadReply::Failure(why)) if why == OWN => {
                        return (Outcome::Failed, Ended::Useless);
                    }
                    // It may want one of the hashes and not the other.
                    AskError::Reply(_) => {}
                    AskError::Url(_) => return (Outcome::Failed, Ended::Useless),
                    AskError::Socket(_) | AskError::Http(_) | AskError::Timeout => {
                        return (Outcome::Failed, Ended::Silent);
                    }
                }
            }
        }
    }
    let outcome = again.map_or(Outcome::Refused, Outcome::Told);
    (outcome, Ended::Answered)
}
