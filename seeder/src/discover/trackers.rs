//! Announcing to the trackers that a torrent names: over HTTP and HTTPS ([`Http`]) and UDP (BEP 15), in tiers (BEP 12).
//! Here for whoever fetches one torrent; for all that the library holds in `rounds`. How much one torrent can make us
//! send is bounded, whatever it names.

mod http;
pub(super) mod rounds;
mod standing;
mod udp;

pub use http::Http;
pub(crate) use standing::OwnPlaces;

use super::{Found, Progress};
use crate::metrics::Metrics;
use metainfo::{PeerId, SwarmHash};
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use wire::tracker::http::asking::BadReply;
use wire::tracker::{Announce, AnnounceReply, Event};

/// The most tiers that are used, and the most trackers of one.
const MAX_TIERS: usize = 8;
const MAX_TRACKERS: usize = 8;
/// How soon one is asked again, whatever it says, and how late.
const SOONEST: Duration = Duration::from_secs(60);
const LATEST: Duration = Duration::from_secs(2 * 60 * 60);
/// The same where none has answered: at first, and at most.
const RETRY: Duration = Duration::from_secs(30);
const MAX_RETRY: Duration = Duration::from_secs(30 * 60);
/// How long a host's name may take to resolve.
const RESOLVE: Duration = Duration::from_secs(10);
/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_millis(500);
/// How many peers are asked for.
const NUM_WANT: u32 = 100;
/// How often it is looked whether everything has come.
const LOOK: Duration = Duration::from_secs(1);

/// How our own tracker refuses ourselves. Where it lies behind a proxy or a router this is how it is known.
pub const OWN: &str = "you are this tracker";

/// Why a tracker gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Its URL can't be used.
    #[error("not a tracker that can be asked: {0}")]
    Url(&'static str),
    /// The network's side.
    #[error("{0}")]
    Socket(#[from] std::io::Error),
    /// HTTP's side.
    #[error("{0}")]
    Http(Box<ureq::Error>),
    /// It doesn't answer.
    #[error("no answer in time")]
    Timeout,
    /// It says no, or nothing that makes sense.
    #[error(transparent)]
    Reply(#[from] BadReply),
}

/// Who asks, and for what.
#[derive(Debug)]
pub struct Asker {
    pub(super) swarms: Vec<SwarmHash>,
    pub(super) peer_id: PeerId,
    pub(super) port: Arc<AtomicU16>,
    pub(super) key: u32,
    pub(super) progress: Arc<Progress>,
    pub(super) found: Found,
    pub(super) http: Http,
    pub(super) metrics: Arc<Metrics>,
}

/// What is asked at the same time: each list is tiers of which one is used. All tiers of a public torrent are asked
/// side by side, as most clients do; those of a private one in order, and the next only when a tier is silent.
pub(super) fn plan(trackers: &[Vec<String>], private: bool) -> Vec<Vec<Vec<String>>> {
    let usable = |url: &&String| {
        let schemes = ["http://", "https://", "udp://"];
        schemes.iter().any(|scheme| url.starts_with(scheme)) && url.len() <= 2048
    };
    let tiers = trackers.iter().map(|tier| {
        let urls = tier.iter().filter(usable).take(MAX_TRACKERS);
        urls.cloned().collect::<Vec<_>>()
    });
    let tiers: Vec<_> = tiers
        .filter(|tier| !tier.is_empty())
        .take(MAX_TIERS)
        .collect();
    match private {
        _ if tiers.is_empty() => Vec::new(),
        true => vec![tiers],
        false => tiers.into_iter().map(|tier| vec![tier]).collect(),
    }
}

/// Announces until told to stop, then says that we leave.
pub(super) async fn run(asker: Arc<Asker>, mut tiers: Vec<Vec<String>>, stop: CancellationToken) {
    for tier in &mut tiers {
        // BEP 12: in any order within a tier, so that the load is spread.
        for at in (1..tier.len()).rev() {
            tier.swap(at, rand::random_range(0..=at));
        }
    }
    let mut current: Option<String> = None;
    let announce = async {
        let mut retry = RETRY;
        let mut event = Event::Started;
        loop {
            let began_whole = asker.is_whole();
            match ask_any(&asker, &mut tiers, event).await {
                Some((url, interval)) => {
                    current = Some(url);
                    event = Event::Regular;
                    retry = RETRY;
                    let again = Instant::now() + interval;
                    while Instant::now() < again && (began_whole || !asker.is_whole()) {
                        sleep(LOOK.min(again - Instant::now())).await;
                    }
                    if !began_whole && asker.is_whole() {
                        event = Event::Completed;
                    }
                }
                None => {
                    sleep(retry).await;
                    retry = (retry * 2).min(MAX_RETRY);
                }
            }
        }
    };
    stop.run_until_cancelled(announce).await;
    if let Some(url) = current {
        let farewell = async {
            for swarm in &asker.swarms {
                let _ = asker.ask(&url, *swarm, Event::Stopped).await;
            }
        };
        let _ = timeout(FAREWELL, farewell).await;
    }
}

/// Asks one after the other until one answers, which goes to the front of its tier. Gives it, and when to ask again.
async fn ask_any(
    asker: &Asker,
    tiers: &mut [Vec<String>],
    event: Event,
) -> Option<(String, Duration)> {
    for tier in tiers {
        for at in 0..tier.len() {
            let url = tier[at].clone();
            let mut interval = None;
            for swarm in &asker.swarms {
                match asker.ask(&url, *swarm, event).await {
                    Ok(reply) => {
                        asker.metrics.tracker_asked.add(1);
                        for peer in &reply.peers {
                            asker.found.tell(peer.addr);
                        }
                        let soonest = reply.min_interval.max(SOONEST);
                        let again = reply.interval.clamp(soonest.min(LATEST), LATEST);
                        interval = Some(interval.map_or(again, |i: Duration| i.min(again)));
                    }
                    Err(error) => {
                        asker.metrics.tracker_asked_in_vain.add(1);
                        tracing::debug!("{url}: {error}");
                    }
                }
            }
            if let Some(interval) = interval {
                tier.swap(0, at);
                return Some((url, interval));
            }
        }
    }
    None
}

impl Asker {
    /// Whether everything has come.
    fn is_whole(&self) -> bool {
        self.progress.left.load(Ordering::Relaxed) == 0
    }

    async fn ask(
        &self,
        url: &str,
        swarm: SwarmHash,
        event: Event,
    ) -> Result<AnnounceReply, AskError> {
        let port = NonZeroU16::new(self.port.load(Ordering::Relaxed));
        let left = self.progress.left.load(Ordering::Relaxed);
        let announce = Announce {
            swarm,
            peer_id: self.peer_id,
            port: port.ok_or(AskError::Url("we take no peers"))?,
            uploaded: self.progress.uploaded.load(Ordering::Relaxed),
            downloaded: self.progress.downloaded.load(Ordering::Relaxed),
            left: (left != u64::MAX).then_some(left),
            event,
            num_want: Some(if event == Event::Stopped { 0 } else { NUM_WANT }),
        };
        ask(&self.http, self.key, url, &announce).await
    }
}

async fn ask(
    http: &Http,
    key: u32,
    url: &str,
    announce: &Announce,
) -> Result<AnnounceReply, AskError> {
    if url.starts_with("udp://") {
        udp::ask(url, announce, key).await
    } else {
        http.ask(url, announce, key).await
    }
}

/// Where a tracker is: all addresses of its host, with its port.
async fn place(url: &str) -> Result<Vec<SocketAddr>, AskError> {
    let uri: ureq::http::Uri = url.parse().map_err(|_| AskError::Url("malformed"))?;
    let host = uri.host().ok_or(AskError::Url("no host"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = match (uri.port_u16(), uri.scheme_str()) {
        (Some(port), _) => port,
        (None, Some("http")) => 80,
        (None, Some("https")) => 443,
        _ => return Err(AskError::Url("no port")),
    };
    let found = timeout(RESOLVE, tokio::net::lookup_host((host, port))).await;
    Ok(found.map_err(|_| AskError::Timeout)??.collect())
}

#[cfg(test)]
mod tests;
