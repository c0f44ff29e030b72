//! Looking for the peers of one torrent, for whoever fetches it.

use super::Discovery;
use super::trackers::{self, Asker};
use crate::metrics::Metrics;
use metainfo::SwarmHash;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// How soon the DHT is asked again at first; then ever later.
const DHT_SOON: Duration = Duration::from_secs(5);
/// How late while peers are few, and once there are enough.
const DHT_FEW: Duration = Duration::from_secs(2 * 60);
const DHT_ENOUGH: Duration = Duration::from_secs(15 * 60);
/// Peers of one lookup from which on it need not be repeated soon.
const ENOUGH: usize = 20;

/// What is looked for.
#[derive(Debug)]
pub struct Seek {
    /// The torrent's hashes: v1, truncated v2, or both.
    pub swarms: Vec<SwarmHash>,
    /// Whether the torrent is known to be private (BEP 27): then only its trackers are asked. What came by a magnet
    /// link isn't known to be; should its metadata say so, drop the [`Seeking`] and seek anew.
    pub private: bool,
    /// Its trackers, in tiers (BEP 12).
    pub trackers: Vec<Vec<String>>,
    /// Nodes of the DHT that it names (BEP 5).
    pub nodes: Vec<(String, u16)>,
    /// What trackers are told.
    pub progress: Arc<Progress>,
    /// Where addresses are put. What finds no room is dropped: they come again.
    pub found: mpsc::Sender<SocketAddr>,
}

/// How far the fetching is; kept up to date by who fetches.
#[derive(Debug)]
pub struct Progress {
    /// Bytes still needed; `u64::MAX` while that isn't known.
    pub left: AtomicU64,
    /// Bytes of payload received.
    pub downloaded: AtomicU64,
    /// Bytes of payload sent.
    pub uploaded: AtomicU64,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            left: AtomicU64::new(u64::MAX),
            downloaded: AtomicU64::new(0),
            uploaded: AtomicU64::new(0),
        }
    }
}

/// A search that goes on until this is dropped; trackers are told then that we leave.
#[derive(Debug)]
pub struct Seeking {
    _stop: DropGuard,
}

/// Where found addresses go.
#[derive(Debug, Clone)]
pub struct Found {
    to: mpsc::Sender<SocketAddr>,
    metrics: Arc<Metrics>,
}

impl Found {
    /// Passes an address on.
    pub fn tell(&self, address: SocketAddr) {
        if address.port() != 0 && !address.ip().is_unspecified() && !address.ip().is_multicast() {
            let dropped = self.to.try_send(address).is_err();
            self.metrics.found_peers_dropped.add(u64::from(dropped));
        }
    }
}

impl Discovery {
    /// Looks for the peers of a torrent in all ways that are switched on and allowed for it, and makes known in the
    /// same ways that we are one of them.
    pub fn seek(&self, seek: Seek, tasks: &TaskTracker) -> Seeking {
        let stop = CancellationToken::new();
        let found = Found {
            to: seek.found,
            metrics: self.metrics.clone(),
        };
        if let Some(dht) = self.dht.clone().filter(|_| !seek.private) {
            dht.offer(&seek.nodes);
            for swarm in seek.swarms.iter().copied() {
                let (dht, found, stop) = (dht.clone(), found.clone(), stop.clone());
                let port = self.port.clone();
                tasks.spawn(stop.run_until_cancelled_owned(async move {
                    dht.entered().await;
                    let mut pause = DHT_SOON;
                    loop {
                        let port = Some(port.load(Ordering::Relaxed));
                        let peers = dht.look_up(swarm, port, |peer| found.tell(peer)).await;
                        let enough = peers.is_ok_and(|n| n >= ENOUGH);
                        tokio::time::sleep(if enough { DHT_ENOUGH } else { pause }).await;
                        pause = (pause * 2).min(DHT_FEW);
                    }
                }));
            }
        }
        if let Some(lsd) = self.lsd.clone().filter(|_| !seek.private) {
            let (swarms, found, stop) = (seek.swarms.clone(), found.clone(), stop.clone());
            let port = self.port.clone();
            tasks.spawn(async move {
                let _sought = lsd.seek(swarms, port, found);
                stop.cancelled().await;
            });
        }
        let asker = Arc::new(Asker {
            swarms: seek.swarms,
            peer_id: self.peer_id,
            port: self.port.clone(),
            key: self.key,
            progress: seek.progress,
            found,
            http: self.http.clone(),
            metrics: self.metrics.clone(),
        });
        for tiers in trackers::plan(&seek.trackers, seek.private) {
            tasks.spawn(trackers::run(asker.clone(), tiers, stop.clone()));
        }
        Seeking {
            _stop: stop.drop_guard(),
        }
    }
}

/// A place for addresses, and its other end.
#[cfg(test)]
pub(super) fn found_for_tests() -> (Found, mpsc::Receiver<SocketAddr>) {
    let (to, addresses) = mpsc::channel(8);
    let metrics = Arc::default();
    (Found { to, metrics }, addresses)
}
