//! Asks a torrent's HTTP trackers for peers, again and again while it is fetched.

use super::web::agent;
use metainfo::{PeerId, SwarmHash};
use std::io::Read;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::time::Duration;
use wire::tracker::http::asking::{MAX_REPLY, announce_query, parse_reply};
use wire::tracker::{Announce, AnnounceReply, Event};

/// How many trackers are asked.
const MOST_TRACKERS: usize = 20;
/// How often at most a tracker is asked, and how often while it gives nothing.
const LEAST_INTERVAL: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_secs(60);

/// Who asks, and for what.
#[derive(Debug, Clone, Copy)]
pub struct Asker {
    /// The swarm.
    pub swarm: SwarmHash,
    /// Who we are.
    pub peer_id: PeerId,
    /// Where we listen.
    pub port: u16,
}

/// Asks each tracker in a task of its own, until the caller drops what it gets.
pub fn ask(
    asker: Asker,
    trackers: Vec<String>,
) -> (
    tokio::task::JoinSet<()>,
    tokio::sync::mpsc::Receiver<Vec<SocketAddr>>,
) {
    let (found, peers) = tokio::sync::mpsc::channel(16);
    let mut tasks = tokio::task::JoinSet::new();
    let http = trackers.into_iter().filter(|url| url.starts_with("http"));
    for tracker in http.take(MOST_TRACKERS) {
        let found = found.clone();
        tasks.spawn(async move {
            let mut event = Event::Started;
            loop {
                let url = tracker.clone();
                let asked = tokio::task::spawn_blocking(move || announce(&url, asker, event)).await;
                let pause = match asked {
                    Ok(Ok(reply)) => {
                        event = Event::Regular;
                        let peers: Vec<SocketAddr> =
                            reply.peers.iter().map(|peer| peer.addr).collect();
                        let none = peers.is_empty();
                        if found.send(peers).await.is_err() {
                            return;
                        }
                        let soon = if none { RETRY } else { reply.interval };
                        soon.max(LEAST_INTERVAL).max(reply.min_interval)
                    }
                    Ok(Err(why)) => {
                        tracing::info!("tracker {tracker}: {why}");
                        RETRY
                    }
                    Err(_) => return,
                };
                tokio::time::sleep(pause).await;
            }
        });
    }
    (tasks, peers)
}

fn announce(tracker: &str, asker: Asker, event: Event) -> Result<AnnounceReply, String> {
    let announce = Announce {
        swarm: asker.swarm,
        peer_id: asker.peer_id,
        port: NonZeroU16::new(asker.port).unwrap_or(NonZeroU16::MIN),
        uploaded: 0,
        downloaded: 0,
        left: None,
        event,
        num_want: Some(50),
    };
    let separator = if tracker.contains('?') { '&' } else { '?' };
    let url = format!(
        "{tracker}{separator}{}",
        announce_query(&announce, rand::random())
    );
    let response = agent()
        .get(&url)
        .call()
        .map_err(|error| error.to_string())?;
    let mut body = Vec::new();
    let mut reader = response.into_body().into_reader().take(MAX_REPLY as u64);
    reader
        .read_to_end(&mut body)
        .map_err(|error| error.to_string())?;
    parse_reply(&body).map_err(|error| error.to_string())
}
