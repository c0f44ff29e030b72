//! How peers find us and we find peers, beyond our own tracker: the DHT ([`dht`]), the local network ([`lsd`]),
//! further trackers ([`trackers`]), and ports that are open to the world ([`mapping`]).
//!
//! Two sides: [`announce`] makes known what the library holds, a little at a time, so that ten thousand torrents cost
//! next to nothing; and whoever fetches a torrent asks by [`Discovery::seek`] and is told of addresses. A private
//! torrent (BEP 27) is told to nobody but its own trackers; what is not yet known to be public isn't told either.
//!
//! Not here: connecting to the peers that were found, and peer exchange, which goes by the peers themselves.

pub mod dht;
pub mod lsd;
pub mod mapping;
pub mod trackers;

mod library;
mod seek;

pub use library::announce;
pub use seek::{Found, Progress, Seek, Seeking};

use crate::config::ServeConfig;
use crate::error::ServeError;
use crate::metrics::Metrics;
use metainfo::PeerId;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Default UDP port of the DHT.
pub const DHT_PORT: u16 = 6883;

/// What of it is used. What isn't said is used where peers of other machines are taken: on a loopback address nothing
/// leaves this machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DiscoverConfig {
    /// Whether torrents are made known in the DHT and peers looked for there.
    pub dht: Option<bool>,
    /// Its UDP port; 0 picks a free one. `None`: [`DHT_PORT`], or another where that is taken.
    pub dht_port: Option<u16>,
    /// Where a DHT of one's own is entered, as `host:port`; empty for the public one.
    pub dht_bootstrap: Vec<String>,
    /// Whether peers are looked for in the local network (BEP 14).
    pub lsd: Option<bool>,
    /// Whether the router is asked to let peers in.
    pub port_mapping: Option<bool>,
    /// Whether the library is announced to the further trackers that its torrents name.
    pub further_trackers: Option<bool>,
}

/// All ways of finding peers that are switched on.
pub struct Discovery {
    dht: Option<Arc<dht::Node>>,
    lsd: Option<Arc<lsd::Local>>,
    metrics: Arc<Metrics>,
    peer_id: PeerId,
    /// Where peers reach us: the port as the world sees it.
    port: Arc<AtomicU16>,
    /// Our ports as they are here, for the router.
    mapped: Vec<mapping::Port>,
    /// Proves to trackers that it is us again.
    key: u32,
    http: trackers::Http,
    further_trackers: bool,
}

impl std::fmt::Debug for Discovery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Discovery")
    }
}

impl Discovery {
    /// Takes the ports; nothing is sent yet. `peer_port` is where peers are taken.
    pub fn bind(
        config: &ServeConfig,
        peer_port: u16,
        peer_id: PeerId,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, ServeError> {
        let discover = &config.discover;
        let public = !config.bind.is_some_and(|ip| ip.is_loopback());
        let own = !discover.dht_bootstrap.is_empty();
        let dht = match discover.dht.unwrap_or(public || own) {
            true => dht::Node::bind(config, metrics.clone())?.map(Arc::new),
            false => None,
        };
        // The same machine may run another client; without the port there is no harm.
        let lsd = discover.lsd.unwrap_or(public);
        let lsd = lsd.then(|| lsd::Local::bind(config.bind, metrics.clone()));
        let mut mapped = Vec::new();
        if discover.port_mapping.unwrap_or(public) {
            mapped.push(mapping::Port::tcp(peer_port));
            if config.utp {
                mapped.push(mapping::Port::udp(peer_port));
            }
            mapped.extend(
                dht.as_ref()
                    .map(|dht| mapping::Port::udp(dht.address().port())),
            );
        }
        Ok(Self {
            dht,
            lsd: lsd.flatten().map(Arc::new),
            metrics: metrics.clone(),
            peer_id,
            port: Arc::new(AtomicU16::new(peer_port)),
            mapped,
            key: rand::random(),
            http: trackers::Http::new(),
            further_trackers: discover.further_trackers.unwrap_or(public),
        })
    }

    /// Where our node of the DHT listens.
    pub fn dht_address(&self) -> Option<SocketAddr> {
        self.dht.as_ref().map(|dht| dht.address())
    }

    /// The port at which peers reach us.
    pub fn port(&self) -> u16 {
        self.port.load(Ordering::Relaxed)
    }

    /// Starts what runs by itself, until `stop`.
    pub fn start(&self, bind: Option<IpAddr>, tasks: &TaskTracker, stop: &CancellationToken) {
        if let Some(dht) = &self.dht {
            tasks.spawn(dht.clone().run(stop.clone()));
        }
        if let Some(lsd) = &self.lsd {
            tasks.spawn(lsd.clone().run(stop.clone()));
        }
        if !self.mapped.is_empty() {
            let run = mapping::run(
                self.mapped.clone(),
                bind,
                self.port.clone(),
                self.metrics.clone(),
                stop.clone(),
            );
            tasks.spawn(run);
        }
    }
}

/// Where the DHT's nodes are remembered.
fn nodes_file(config: &ServeConfig) -> Option<PathBuf> {
    let folder = config.state_dir.as_ref()?;
    Some(folder.join("dht-nodes.json"))
}
