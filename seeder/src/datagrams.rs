//! UDP sockets whose datagrams are answered one by one, on threads of their own: the UDP tracker's and STUN's. On Linux each
//! thread has a socket of its own by address family, the system spreads askers over them, and datagrams are taken and
//! answered in batches; elsewhere one thread a socket takes one at a time.
//!
//! What an answer says is the caller's ([`Answer`]). It leaves from the address that was asked, which matters where
//! a machine has several. What the system drops, before us or behind us, is counted ([`Lost`]).

#[cfg(target_os = "linux")]
mod linux;
#[cfg(any(not(target_os = "linux"), test))]
mod portable;

#[cfg(target_os = "linux")]
use linux as system;
#[cfg(not(target_os = "linux"))]
use portable as system;

use crate::error::ServeError;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::thread::{self, JoinHandle};
use tokio_util::sync::CancellationToken;

/// The longest datagram that is taken whole; what is longer is cut.
pub const MAX_DATAGRAM: usize = 1536;
/// How much may wait to be taken, in bytes of the system's reckoning; it gives less where it is set up so.
const RECEIVE_BUFFER: usize = 4 << 20;
/// How often a free port is looked for that both address families have.
const PORT_TRIES: usize = 20;

/// One datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// What it says.
    pub bytes: &'a [u8],
    /// Where it comes from, or pretends to.
    pub from: SocketAddr,
    /// The address of ours that it was sent to; unspecified where the system doesn't say.
    pub to: IpAddr,
}

/// What the system has dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lost {
    /// Datagrams that came while the receive buffer was full. They are seen once the buffer is being emptied.
    pub received: u64,
    /// Answers that the system did not take.
    pub sent: u64,
}

/// Answers datagrams; one for each thread.
pub trait Answer: Send + 'static {
    /// A batch begins.
    fn begin(&mut self);

    /// Writes the answer to a datagram behind what stands in `out`; nothing for silence.
    fn answer(&mut self, datagram: &Datagram<'_>, out: &mut Vec<u8>);

    /// A batch has ended, and this was lost.
    fn end(&mut self, lost: Lost);
}

/// Bound sockets, not read yet.
#[derive(Debug)]
pub struct Sockets {
    /// The sockets of each thread.
    threads: Vec<Vec<UdpSocket>>,
    addrs: Vec<SocketAddr>,
}

/// A port that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// This one, or a free one where it is 0.
    Exactly(u16),
    /// This one, or a free one where another program has it.
    Rather(u16),
}

impl Sockets {
    /// Binds sockets for so many threads, which are fewer where the system can't spread datagrams. On `[::]`, which stands
    /// for everything, both address families have the same port, where the machine has both. `flag` names the remedy.
    pub fn bind(
        ip: IpAddr,
        port: Port,
        threads: usize,
        flag: &'static str,
    ) -> Result<Self, ServeError> {
        let (wanted, or_free) = match port {
            Port::Exactly(port) => (port, false),
            Port::Rather(port) => (port, true),
        };
        match Self::bind_port(ip, wanted, threads) {
            Err((_, error)) if or_free && error.kind() == io::ErrorKind::AddrInUse => {
                let bound = Self::bind_port(ip, 0, threads);
                if let Some(addr) = bound.as_ref().ok().and_then(|bound| bound.addrs.first()) {
                    let port = addr.port();
                    tracing::info!("UDP port {wanted} is in use; taking {port} ({flag})");
                }
                bound
            }
            bound => bound,
        }
        .map_err(|(addr, source)| match source.kind() {
            io::ErrorKind::AddrInUse => ServeError::AddressInUse { addr, flag },
            _ => ServeError::Listen { addr, flag, source },
        })
    }

    fn bind_port(ip: IpAddr, port: u16, threads: usize) -> Result<Self, (SocketAddr, io::Error)> {
        let addr = SocketAddr::new(ip, port);
        let threads = if system::SPREADS { threads.max(1) } else { 1 };
        let mut first = Vec::new();
        if ip != IpAddr::from(Ipv6Addr::UNSPECIFIED) {
            first.push(bind_alone(addr).map_err(|error| (addr, error))?);
        } else {
            first = bind_both(addr)?;
        }
        let addrs: io::Result<Vec<_>> = first.iter().map(UdpSocket::local_addr).collect();
        let addrs = addrs.map_err(|error| (addr, error))?;
        let mut all = vec![first];
        if threads > 1 {
            for socket in &all[0] {
                share(socket).map_err(|error| (addr, error))?;
            }
            for _ in 1..threads {
                let further = addrs
                    .iter()
                    .map(|addr| bind_beside(*addr).map_err(|error| (*addr, error)));
                all.push(further.collect::<Result<_, _>>()?);
            }
        }
        Ok(Self {
            threads: all,
            addrs,
        })
    }

    /// Where they listen: one address, or IPv4's and IPv6's.
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// Starts the threads, each with an `Answer` of its own.
    pub fn start<A: Answer>(self, name: &str, mut each: impl FnMut() -> A) -> io::Result<Running> {
        let mut running = Running {
            stop: system::Stop::new()?,
            threads: Vec::new(),
        };
        for sockets in system::divide(self.threads) {
            let (stop, answer) = (running.stop.clone(), each());
            let name = format!("{name}-{}", running.threads.len());
            let thread = thread::Builder::new().name(name);
            let thread = thread.spawn(move || system::run(&sockets, &stop, answer))?;
            running.threads.push(thread);
        }
        Ok(running)
    }
}

/// Threads that answer, until this goes.
#[derive(Debug)]
pub struct Running {
    stop: system::Stop,
    threads: Vec<JoinHandle<()>>,
}

impl Running {
    /// Waits until `stop`, then for the threads' end.
    pub async fn until(self, stop: CancellationToken) {
        stop.cancelled().await;
        crate::serve::blocking(move || drop(self)).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.tell();
        for thread in self.threads.drain(..) {
            // A panic was told where it happened.
            let _ = thread.join();
        }
    }
}

/// Both families on one port; IPv4 alone where the machine has no IPv6.
fn bind_both(addr: SocketAddr) -> Result<Vec<UdpSocket>, (SocketAddr, io::Error)> {
    let everything = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), addr.port());
    let mut tries = 0;
    loop {
        let v4 = bind_alone(everything).map_err(|error| (everything, error))?;
        let port = v4.local_addr().map_err(|error| (everything, error))?.port();
        let addr = SocketAddr::new(addr.ip(), port);
        tries += 1;
        match bind_alone(addr) {
            Ok(v6) => return Ok(vec![v4, v6]),
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => return Ok(vec![v4]),
            // A port that only happens to be free on IPv4: another may be free on both.
            Err(_) if everything.port() == 0 && tries < PORT_TRIES => {}
            Err(error) => return Err((addr, error)),
        }
    }
}

/// Binds a socket where nobody else listens: another seeder of the same user mustn't get half of our datagrams.
fn bind_alone(addr: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket(addr)?;
    socket.bind(&addr.into())?;
    Ok(socket.into())
}

/// Binds a further socket where ours listen already.
fn bind_beside(addr: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket(addr)?;
    share(&socket)?;
    socket.bind(&addr.into())?;
    Ok(socket.into())
}

/// Lets further sockets of ours join. Said only after the first one was bound alone.
#[cfg(unix)]
fn share<'a, S>(socket: &'a S) -> io::Result<()>
where
    socket2::SockRef<'a>: From<&'a S>,
{
    socket2::SockRef::from(socket).set_reuse_port(true)
}

#[cfg(not(unix))]
fn share<S>(_: &S) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

fn socket(addr: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    system::prepare(&socket, addr)?;
    // A system that gives less drops more, which is counted.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    Ok(socket)
}

#[cfg(test)]
mod tests;
