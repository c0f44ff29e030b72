//! Our node of the mainline DHT (BEP 5), by the crate `mainline`: announces torrents, looks for peers, and remembers
//! nodes for the next start. IPv4 alone, as that crate is.
//!
//! The crate runs a thread of its own, which does all its work. Here is how it is entered, how much may be asked of it
//! at once, and how much strangers may ask of us.

mod filter;
mod remember;

use super::nodes_file;
use crate::config::ServeConfig;
use crate::error::ServeError;
use crate::metrics::Metrics;
use filter::Ration;
use futures_util::StreamExt;
use mainline::async_dht::AsyncDht;
use mainline::{DEFAULT_BOOTSTRAP_NODES, Dht, Id, ServerSettings};
use metainfo::SwarmHash;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How many lookups are under way at once.
const LOOKUPS: usize = 8;
/// How long one lookup may take. The crate gives up single requests after two seconds.
const LOOKUP: Duration = Duration::from_secs(30);
/// How long the names of the entry nodes may take to resolve.
const RESOLVE: Duration = Duration::from_secs(10);
/// How often nodes are written down.
const REMEMBER: Duration = Duration::from_secs(600);
/// How long we wait before we look again whether anybody has answered.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How soon we try again to start a node, at first; then ever more slowly.
const RETRY: Duration = Duration::from_secs(15);
/// The longest pause between two tries.
const MAX_RETRY: Duration = Duration::from_secs(600);
/// How many nodes the crate is entered by: with more than it finds near a target, it asks all of them each time.
const ENTRIES: usize = 16;

/// Our node.
#[derive(Debug)]
pub struct Node {
    address: SocketAddrV4,
    bootstrap: Vec<String>,
    /// Whether only these nodes are to be known: a DHT of one's own.
    private: bool,
    public_ip: Option<Ipv4Addr>,
    file: Option<PathBuf>,
    metrics: Arc<Metrics>,
    lookups: Semaphore,
    /// The crate's node, once it is entered.
    entered: watch::Sender<Option<AsyncDht>>,
    /// Further nodes to enter by, of torrents that name some.
    offered: watch::Sender<Vec<(String, u16)>>,
}

/// Why something wasn't announced.
#[derive(Debug, thiserror::Error)]
pub enum DhtError {
    /// No node of the DHT is known yet.
    #[error("no node of the DHT is reached")]
    NotEntered,
    /// It took too long.
    #[error("the DHT took too long")]
    Timeout,
    /// No node took the announce.
    #[error("{0}")]
    Refused(#[from] mainline::errors::PutQueryError),
}

impl Node {
    /// Takes the port. `None` where this seeder takes peers over IPv6 alone.
    pub fn bind(config: &ServeConfig, metrics: Arc<Metrics>) -> Result<Option<Self>, ServeError> {
        let ip = match config.bind.unwrap_or(Ipv4Addr::UNSPECIFIED.into()) {
            IpAddr::V4(ip) => ip,
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv4Addr::UNSPECIFIED,
            IpAddr::V6(_) => return Ok(None),
        };
        let discover = &config.discover;
        let address = free_port(ip, discover.dht_port).map_err(|source| ServeError::Listen {
            addr: SocketAddr::new(ip.into(), discover.dht_port.unwrap_or(super::DHT_PORT)),
            flag: "--dht-port",
            source,
        })?;
        let private = !discover.dht_bootstrap.is_empty();
        let public: Vec<String> = DEFAULT_BOOTSTRAP_NODES.map(str::to_owned).into();
        let external = config.external_addresses.iter().find_map(|ip| match ip {
            IpAddr::V4(ip) => Some(*ip),
            IpAddr::V6(_) => None,
        });
        Ok(Some(Self {
            address,
            bootstrap: match private {
                true => discover.dht_bootstrap.clone(),
                false => public,
            },
            private,
            public_ip: external,
            // What was learnt in the one DHT is of no use in another.
            file: nodes_file(config).filter(|_| !private),
            metrics,
            lookups: Semaphore::new(LOOKUPS),
            entered: watch::Sender::new(None),
            offered: watch::Sender::new(Vec::new()),
        }))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address.into()
    }

    /// Offers nodes that a torrent names (BEP 5). They are used while no other node is reached.
    pub fn offer(&self, nodes: &[(String, u16)]) {
        if self.private || nodes.is_empty() {
            return;
        }
        self.offered.send_if_modified(|offered| {
            let before = offered.len();
            for node in nodes {
                if offered.len() < ENTRIES && !offered.contains(node) {
                    offered.push(node.clone());
                }
            }
            offered.len() > before
        });
    }

    /// Enters the DHT and stays in it until told to stop.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        tokio::select! {
            () = self.stay() => {}
            () = stop.cancelled() => {}
        }
        let node = self.entered.send_replace(None);
        if let Some(node) = node {
            self.remember(&node).await;
        }
    }

    async fn stay(&self) {
        let mut offered = self.offered.subscribe();
        let mut saved = match self.file.clone() {
            Some(file) => crate::serve::blocking(move || remember::read(&file)).await,
            None => Vec::new(),
        };
        saved.truncate(ENTRIES - DEFAULT_BOOTSTRAP_NODES.len());
        let mut retry = RETRY;
        loop {
            let torrents = offered.borrow_and_update().clone();
            let node = self.start(&saved, &torrents).await;
            if let Err(error) = &node {
                tracing::debug!("DHT: {error}; next try in {retry:?}");
            }
            tokio::select! {
                () = self.use_node(node.as_ref().ok()) => {}
                () = tokio::time::sleep(retry), if node.is_err() => {}
                // While nobody answers, other nodes may.
                changed = offered.changed(), if self.entered.borrow().is_none() => if changed.is_err() {
                    return;
                },
            }
            retry = (retry * 2).min(MAX_RETRY);
        }
    }

    /// Starts a node, which goes on trying to reach others by itself.
    async fn start(
        &self,
        saved: &[SocketAddrV4],
        torrents: &[(String, u16)],
    ) -> Result<AsyncDht, io::Error> {
        let named = torrents.iter().map(|(host, port)| format!("{host}:{port}"));
        let named: Vec<_> = named.collect();
        let mut entries = resolve(&named).await;
        entries.extend(resolve(&self.bootstrap).await);
        entries.extend(saved);
        entries.truncate(ENTRIES);
        if entries.is_empty() {
            return Err(io::Error::other("no entry node has an address"));
        }
        let config = mainline::Config {
            bootstrap: Some(entries),
            port: Some(self.address.port()),
            bind_address: Some(*self.address.ip()),
            public_ip: self.public_ip,
            // Otherwise it answers others once it has seen that they can reach it.
            server_mode: self.private || self.public_ip.is_some(),
            server_settings: ServerSettings {
                filter: Box::new(Ration::new(self.metrics.clone())),
                ..ServerSettings::default()
            },
            ..mainline::Config::default()
        };
        let node = crate::serve::blocking(move || Dht::new(config)).await?;
        Ok(node.as_async())
    }

    /// Waits until the node knows others, then lets it be used. Doesn't come back.
    async fn use_node(&self, node: Option<&AsyncDht>) {
        let Some(node) = node else {
            return std::future::pending().await;
        };
        while !node.bootstrapped().await {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        tracing::debug!("in the DHT at {}", self.address);
        self.entered.send_replace(Some(node.clone()));
        loop {
            tokio::time::sleep(REMEMBER).await;
            self.remember(node).await;
        }
    }

    async fn remember(&self, node: &AsyncDht) {
        let Some(file) = self.file.clone() else {
            return;
        };
        let nodes = node.to_bootstrap().await;
        if !nodes.is_empty() {
            crate::serve::blocking(move || remember::write(&file, &nodes)).await;
        }
    }

    /// Waits until the DHT is entered.
    pub async fn entered(&self) {
        let mut entered = self.entered.subscribe();
        // The sender is ours: it never goes.
        let _ = entered.wait_for(Option::is_some).await;
    }

    /// Looks for the peers of a swarm. With `announce`, tells the nodes nearest to it that a peer is at this port of
    /// our address. Gives how many peers were found; each list that comes is handed to `found`.
    pub async fn look_up(
        &self,
        swarm: SwarmHash,
        announce: Option<u16>,
        found: impl Fn(SocketAddr),
    ) -> Result<usize, DhtError> {
        let Ok(_place) = self.lookups.acquire().await else {
            return Err(DhtError::NotEntered);
        };
        let node = self.entered.borrow().clone();
        let node = node.ok_or(DhtError::NotEntered)?;
        let id = Id::from(swarm.0);
        let mut n_found = 0;
        let lists = async {
            let mut lists = node.get_peers(id);
            while let Some(list) = lists.next().await {
                n_found += list.len();
                list.into_iter().for_each(|peer| found(peer.into()));
            }
        };
        timeout(LOOKUP, lists)
            .await
            .map_err(|_| DhtError::Timeout)?;
        self.metrics.dht_peers_found.add(n_found as u64);
        if let Some(port) = announce {
            // The nodes nearest have just given their tokens: this is one more message to each.
            let announced = timeout(LOOKUP, node.announce_peer(id, Some(port))).await;
            match announced.map_err(|_| DhtError::Timeout)? {
                Ok(_) => self.metrics.dht_announces.add(1),
                Err(error) => {
                    self.metrics.dht_announces_failed.add(1);
                    return Err(error.into());
                }
            }
        }
        Ok(n_found)
    }
}

/// The port that was asked for; where none was and the usual one is taken, any.
fn free_port(ip: Ipv4Addr, port: Option<u16>) -> io::Result<SocketAddrV4> {
    let free = |port: u16| match UdpSocket::bind((ip, port))?.local_addr()? {
        SocketAddr::V4(address) => Ok(address),
        SocketAddr::V6(_) => Err(io::Error::other("an IPv4 socket with an IPv6 address")),
    };
    match port {
        Some(port) => free(port),
        None => free(super::DHT_PORT).or_else(|_| free(0)),
    }
}

/// The IPv4 addresses of these hosts; what doesn't resolve is left out.
async fn resolve(hosts: &[String]) -> Vec<SocketAddrV4> {
    let lookups = hosts.iter().map(|host| async move {
        match timeout(RESOLVE, tokio::net::lookup_host(host.as_str())).await {
            Ok(Ok(addresses)) => addresses.collect(),
            _ => Vec::new(),
        }
    });
    let resolved = futures_util::future::join_all(lookups).await;
    let all = resolved.into_iter().flatten();
    all.filter_map(|address| match address {
        SocketAddr::V4(address) => Some(address),
        SocketAddr::V6(_) => None,
    })
    .collect()
}
