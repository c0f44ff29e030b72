//! Local service discovery (BEP 14): peers in the same network, by multicast. What we have is told every few minutes
//! and when somebody near asks for it; who is heard is passed on to who seeks.
//!
//! Every datagram is a stranger's, and anybody near can send as many as they like: they are read up to a rate, and
//! they make us send no more than one answer a minute a torrent.

mod message;

use super::Found;
use crate::metrics::Metrics;
use message::{MAX_SWARMS, Search};
use metainfo::SwarmHash;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const PORT: u16 = 6771;
const GROUP_V4: Ipv4Addr = Ipv4Addr::new(239, 192, 152, 143);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0xefc0, 0x988f);
/// How often each torrent is told (BEP 14).
const EVERY: Duration = Duration::from_secs(5 * 60);
/// How soon it may be told again because somebody asks (BEP 14 has a minute).
const AGAIN: Duration = Duration::from_secs(60);
/// How often it is looked what is due.
const TICK: Duration = Duration::from_millis(500);
/// Datagrams sent at one tick.
const AT_ONCE: usize = 4;
/// Datagrams read in one tick; the rest is passed over.
const HEARD_AT_ONCE: u32 = 100;
/// The longest datagram that is read.
const MAX_DATAGRAM: usize = 1500;

/// Our ear and mouth in the local network.
#[derive(Debug)]
pub struct Local {
    sockets: Vec<(std::net::UdpSocket, SocketAddr)>,
    /// By it we know our own words again.
    cookie: String,
    told: Mutex<Told>,
    metrics: Arc<Metrics>,
}

/// What is told, and who asks.
#[derive(Debug, Default)]
struct Told {
    ours: HashMap<SwarmHash, Ours>,
    sought: HashMap<u64, Sought>,
}

#[derive(Debug)]
struct Ours {
    port: Arc<AtomicU16>,
    due: Instant,
    told: Option<Instant>,
    /// Cancelled when it is no longer ours.
    gone: CancellationToken,
}

#[derive(Debug)]
struct Sought {
    swarms: Vec<SwarmHash>,
    found: Found,
}

/// A search that ends when this is dropped.
#[derive(Debug)]
pub struct Searching {
    local: Arc<Local>,
    key: u64,
    gone: CancellationToken,
}

impl Drop for Searching {
    fn drop(&mut self) {
        self.gone.cancel();
        self.local.told().sought.remove(&self.key);
    }
}

impl Local {
    /// Joins the groups, on the interface of `bind` or the system's choice. `None` where neither can be joined: the
    /// machine has no network, or not the rights.
    pub fn bind(bind: Option<IpAddr>, metrics: Arc<Metrics>) -> Option<Self> {
        let bind = bind.filter(|ip| !ip.is_unspecified());
        let mut sockets = Vec::new();
        for group in [IpAddr::from(GROUP_V4), GROUP_V6.into()] {
            if bind.is_some_and(|ip| ip.is_ipv4() != group.is_ipv4()) {
                continue;
            }
            match join(group, bind) {
                Ok(socket) => sockets.push((socket, SocketAddr::new(group, PORT))),
                Err(error) => tracing::debug!("local service discovery in {group}: {error}"),
            }
        }
        (!sockets.is_empty()).then(|| Self {
            sockets,
            cookie: format!("{:08x}", rand::random::<u32>()),
            told: Mutex::default(),
            metrics,
        })
    }

    /// Tells of a torrent from now on, until `gone` is cancelled. Not to be called for private ones.
    pub fn make_known(&self, swarms: &[SwarmHash], gone: &CancellationToken, port: Arc<AtomicU16>) {
        let due = Instant::now();
        let mut told = self.told();
        for swarm in swarms {
            let ours = Ours {
                port: port.clone(),
                due,
                told: None,
                gone: gone.clone(),
            };
            told.ours.insert(*swarm, ours);
        }
    }

    /// Looks for the peers of a torrent, and tells that we are one. Not to be called for private ones.
    pub fn seek(
        self: &Arc<Self>,
        swarms: Vec<SwarmHash>,
        port: Arc<AtomicU16>,
        found: Found,
    ) -> Searching {
        static KEYS: AtomicU64 = AtomicU64::new(0);
        let key = KEYS.fetch_add(1, Ordering::Relaxed);
        let gone = CancellationToken::new();
        self.make_known(&swarms, &gone, port);
        self.told().sought.insert(key, Sought { swarms, found });
        Searching {
            local: self.clone(),
            key,
            gone,
        }
    }

    /// Speaks and listens until told to stop.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let sockets = self.sockets.iter().filter_map(|(socket, group)| {
            let socket = socket.try_clone().and_then(UdpSocket::from_std);
            socket.map(|socket| (socket, *group)).ok()
        });
        let sockets: Vec<_> = sockets.collect();
        let mut both = sockets.iter();
        let (first, second) = (both.next(), both.next());
        let work = async { tokio::join!(self.use_socket(first), self.use_socket(second)) };
        stop.run_until_cancelled(work).await;
    }

    async fn use_socket(&self, socket: Option<&(UdpSocket, SocketAddr)>) {
        let Some((socket, group)) = socket else {
            return std::future::pending().await;
        };
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut heard = 0;
        let mut datagram = [0; MAX_DATAGRAM];
        loop {
            tokio::select! {
                _ = tick.tick() => {
                    heard = 0;
                    self.speak(socket, *group).await;
                }
                received = socket.recv_from(&mut datagram) => match received {
                    Ok((length, from)) => {
                        heard += 1;
                        if heard > HEARD_AT_ONCE {
                            self.metrics.lsd_passed_over.add(1);
                        } else {
                            self.hear(&datagram[..length], from.ip());
                        }
                    }
                    // The interface has gone, and may come back.
                    Err(_) => tokio::time::sleep(TICK).await,
                },
            }
        }
    }

    /// Tells what is due, a few datagrams at most.
    async fn speak(&self, socket: &UdpSocket, group: SocketAddr) {
        for (port, swarms) in self.due(group.is_ipv4()) {
            let search = Search {
                port,
                swarms,
                cookie: Some(self.cookie.clone()),
            };
            let datagram = search.encode(group);
            match socket.send_to(datagram.as_bytes(), group).await {
                Ok(_) => self.metrics.lsd_announces.add(search.swarms.len() as u64),
                // Nobody is near, or no interface is up.
                Err(error) => tracing::trace!("local service discovery: {error}"),
            }
        }
    }

    /// The swarms whose turn it is, by port, a datagram each. The first socket sets the pace; where there are two,
    /// the second tells the same with the next turn at the latest.
    fn due(&self, is_v4: bool) -> Vec<(u16, Vec<SwarmHash>)> {
        let leads = self
            .sockets
            .first()
            .is_some_and(|(_, group)| group.is_ipv4() == is_v4);
        let now = Instant::now();
        let mut told = self.told();
        told.ours.retain(|_, ours| !ours.gone.is_cancelled());
        let mut datagrams: Vec<(u16, Vec<SwarmHash>)> = Vec::new();
        for (swarm, ours) in &mut told.ours {
            // The follower takes what was just told.
            let turn = match leads {
                true => ours.due <= now,
                false => ours
                    .told
                    .is_some_and(|told| now.duration_since(told) < TICK),
            };
            if !turn {
                continue;
            }
            let port = ours.port.load(Ordering::Relaxed);
            let fits = |(p, swarms): &(u16, Vec<_>)| *p == port && swarms.len() < MAX_SWARMS;
            match datagrams.iter().position(fits) {
                Some(at) => datagrams[at].1.push(*swarm),
                None if datagrams.len() < AT_ONCE => datagrams.push((port, vec![*swarm])),
                None => continue,
            }
            if leads {
                ours.due = now + EVERY;
                ours.told = Some(now);
            }
        }
        datagrams
    }

    /// Somebody near has said something.
    fn hear(&self, datagram: &[u8], from: IpAddr) {
        let Some(search) = Search::parse(datagram) else {
            self.metrics.lsd_passed_over.add(1);
            return;
        };
        if search.cookie.as_ref() == Some(&self.cookie) {
            return;
        }
        let now = Instant::now();
        let mut told = self.told();
        for swarm in &search.swarms {
            for sought in told
                .sought
                .values()
                .filter(|sought| sought.swarms.contains(swarm))
            {
                sought.found.tell(SocketAddr::new(from, search.port));
                self.metrics.lsd_peers_found.add(1);
            }
            // They have just come, and would have to wait for our next turn.
            if let Some(ours) = told.ours.get_mut(swarm)
                && ours
                    .told
                    .is_none_or(|told| now.duration_since(told) >= AGAIN)
            {
                ours.due = ours.due.min(now);
            }
        }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A socket in a group. Other clients on this machine have the same port.
fn join(group: IpAddr, bind: Option<IpAddr>) -> io::Result<std::net::UdpSocket> {
    let domain = if group.is_ipv4() {
        Domain::IPV4
    } else {
        Domain::IPV6
    };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(true)?;
    match group {
        IpAddr::V4(group) => {
            let interface = match bind {
                Some(IpAddr::V4(ip)) => ip,
                _ => Ipv4Addr::UNSPECIFIED,
            };
            socket.bind(&SockAddr::from(SocketAddr::from((
                Ipv4Addr::UNSPECIFIED,
                PORT,
            ))))?;
            socket.join_multicast_v4(&group, &interface)?;
            if !interface.is_unspecified() {
                socket.set_multicast_if_v4(&interface)?;
            }
            // Not beyond this network.
            socket.set_multicast_ttl_v4(1)?;
            socket.set_multicast_loop_v4(true)?;
        }
        IpAddr::V6(group) => {
            socket.set_only_v6(true)?;
            socket.bind(&SockAddr::from(SocketAddr::from((
                Ipv6Addr::UNSPECIFIED,
                PORT,
            ))))?;
            socket.join_multicast_v6(&group, 0)?;
            socket.set_multicast_hops_v6(1)?;
            socket.set_multicast_loop_v6(true)?;
        }
    }
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests;
