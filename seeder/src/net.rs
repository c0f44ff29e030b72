//! Listening and accepting: sockets for both address families, and a gate that bounds connections in all
//! and by address. What is done with a connection is the caller's.

use crate::error::ServeError;
use crate::http::proxy::Proxies;
use crate::metrics::{Counter, Metrics};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use swarm::subscriber;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 4096;
/// How often a free port is looked for that both address families have.
const PORT_TRIES: usize = 20;

/// Listens on an address; on `[::]`, which stands for everything, on both address families with the same port.
/// A machine without IPv6 listens on IPv4 alone.
pub fn listen(addr: SocketAddr, flag: &'static str) -> Result<Vec<TcpListener>, ServeError> {
    if addr.ip() != IpAddr::from(Ipv6Addr::UNSPECIFIED) {
        return Ok(vec![
            bind(addr).map_err(|source| refused(addr, flag, source))?,
        ]);
    }
    let everything = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), addr.port());
    for _ in 1..PORT_TRIES {
        let v4 = bind(everything).map_err(|source| refused(everything, flag, source))?;
        let port = v4
            .local_addr()
            .map_err(|source| refused(everything, flag, source))?
            .port();
        let addr = SocketAddr::new(addr.ip(), port);
        match bind(addr) {
            Ok(v6) => return Ok(vec![v4, v6]),
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                tracing::info!("no IPv6 here ({error}); listening on IPv4 alone");
                return Ok(vec![v4]);
            }
            // A port that only happens to be free on IPv4: another may be free on both.
            Err(_) if everything.port() == 0 => {}
            Err(source) => return Err(refused(addr, flag, source)),
        }
    }
    Err(refused(everything, flag, io::ErrorKind::AddrInUse.into()))
}

fn refused(addr: SocketAddr, flag: &'static str, source: io::Error) -> ServeError {
    match source.kind() {
        io::ErrorKind::AddrInUse => ServeError::AddressInUse { addr, flag },
        _ => ServeError::Listen { addr, flag, source },
    }
}

fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A restart needn't wait for the connections of the last run to be forgotten. (On Windows the same
    // option would let two programs share the port.)
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    // Connections inherit it, which saves a call each. (Elsewhere they may not.)
    #[cfg(target_os = "linux")]
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// The addresses listened on.
pub fn local_addrs(listeners: &[TcpListener]) -> Vec<SocketAddr> {
    listeners
        .iter()
        .filter_map(|listener| listener.local_addr().ok())
        .collect()
}

/// Bounds connections in all and by address.
#[derive(Debug)]
pub struct Gate {
    places: Arc<Semaphore>,
    per_address: usize,
    /// Reverse proxies of ours: an audience stands behind each.
    proxies: Vec<Proxies>,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Gate {
    /// So many connections in all, and so many from one IPv4 address or IPv6 /64, unless it is a proxy of ours.
    pub fn new(places: usize, per_address: usize, proxies: &[Proxies]) -> Self {
        let places = Arc::new(Semaphore::new(places));
        Self {
            places,
            per_address,
            proxies: proxies.to_vec(),
            by_address: Arc::default(),
        }
    }

    /// Lets an address in, or not.
    fn enter(&self, place: OwnedSemaphorePermit, ip: IpAddr) -> Option<Pass> {
        let key = subscriber(ip);
        let mut by_address = self
            .by_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let n = by_address.entry(key).or_default();
        if *n >= self.per_address && !self.proxies.iter().any(|proxy| proxy.contains(ip)) {
            return None;
        }
        *n += 1;
        Some(Pass {
            _place: place,
            key,
            by_address: self.by_address.clone(),
        })
    }
}

/// One connection's place; given back when it goes.
#[derive(Debug)]
pub struct Pass {
    _place: OwnedSemaphorePermit,
    key: IpAddr,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut by_address = self
            .by_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(n) = by_address.get_mut(&self.key) {
            *n -= 1;
            if *n == 0 {
                by_address.remove(&self.key);
            }
        }
    }
}

/// The counters of one kind of connection.
pub struct AcceptCounters<'a> {
    /// Let in.
    pub accepted: &'a Counter,
    /// Turned away because of their address.
    pub refused: &'a Counter,
    /// Times that no place was free.
    pub full: &'a Counter,
}

/// Where connections come in.
pub trait Incoming {
    /// What a connection is.
    type Stream;

    /// Waits for the next one.
    fn next(&self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;
}

impl Incoming for TcpListener {
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, remote) = self.accept().await?;
        // What can't be set costs time, nothing else: the peer may be gone already.
        #[cfg(not(target_os = "linux"))]
        let _ = stream.set_nodelay(true);
        Ok((stream, remote))
    }
}

/// Accepts until told to stop. A place is found first, so that a full seeder leaves strangers to the
/// system's bounded backlog; when accepting fails (no descriptors left), it is tried again after a while.
pub async fn accept<I: Incoming>(
    listener: I,
    gate: Arc<Gate>,
    metrics: Arc<Metrics>,
    counters: impl for<'a> Fn(&'a Metrics) -> AcceptCounters<'a>,
    stop: CancellationToken,
    mut serve: impl FnMut(I::Stream, SocketAddr, Pass),
) {
    let mut pause = Duration::from_millis(5);
    loop {
        let count = counters(&metrics);
        if gate.places.available_permits() == 0 {
            count.full.add(1);
        }
        let accepted = async {
            // The semaphore is never closed.
            let place = gate.places.clone().acquire_owned().await.ok()?;
            Some((place, listener.next().await))
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = accepted => accepted,
        };
        match accepted {
            None => return,
            Some((place, Ok((stream, remote)))) => {
                pause = Duration::from_millis(5);
                match gate.enter(place, remote.ip()) {
                    Some(pass) => {
                        count.accepted.add(1);
                        serve(stream, remote, pass);
                    }
                    None => count.refused.add(1),
                }
            }
            Some((_, Err(error))) => {
                metrics.accepts_failed.add(1);
                tracing::debug!("accept: {error}");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(pause) => {}
                }
                pause = (pause * 2).min(Duration::from_secs(1));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_named_with_the_remedy() {
        let first = listen("127.0.0.1:0".parse().unwrap(), "--http").unwrap();
        let addr = local_addrs(&first)[0];
        let error = listen(addr, "--http").unwrap_err().to_string();
        let expected = format!(
            "the address {addr} is in use; stop the other program or choose another with --http"
        );
        assert_eq!(error, expected);
    }

    #[tokio::test]
    async fn everything_is_both_families_on_one_port() {
        let listeners = listen("[::]:0".parse().unwrap(), "--peer-port").unwrap();
        let addrs = local_addrs(&listeners);
        assert!(addrs[0].is_ipv4());
        assert!(addrs.iter().all(|addr| addr.port() == addrs[0].port()));
    }

    #[tokio::test]
    async fn an_address_has_so_many_places_and_a_network_counts_as_one() {
        let gate = Gate::new(10, 2, &["10.0.0.9".parse().unwrap()]);
        let enter = |ip: &str| {
            let place = gate.places.clone().try_acquire_owned().unwrap();
            gate.enter(place, ip.parse().unwrap())
        };
        let first = enter("2001:db8::1").unwrap();
        let _second = enter("2001:db8::2").unwrap();
        assert!(enter("2001:db8::3").is_none());
        let _other = enter("2001:db8:0:1::3").unwrap();
        let _v4 = (
            enter("10.0.0.1").unwrap(),
            enter("::ffff:10.0.0.1").unwrap(),
        );
        assert!(enter("10.0.0.1").is_none());
        drop(first);
        assert!(enter("2001:db8::3").is_some());
        let _proxied = (
            enter("10.0.0.9").unwrap(),
            enter("10.0.0.9").unwrap(),
            enter("10.0.0.9").unwrap(),
        );
        assert_eq!(gate.places.available_permits(), 3);
    }
}
