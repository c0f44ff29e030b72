//! Many connections in one thread: sockets and an epoll instance. What is said on them is [`Client`]'s.

use crate::client::{Client, Meter};
use crate::latency::Histogram;
use rustix::event::{Timespec, epoll};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// What one read takes at most. It fits the second-level cache, as a good client's buffer would.
const READ: usize = 256 * 1024;
/// How many events one wait returns at most.
const EVENTS: usize = 256;
/// How often clients that wait for a time are looked at.
const TICK: Duration = Duration::from_millis(20);

/// How a connection stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Being opened.
    Dialling,
    /// Open.
    Open,
    /// It never opened.
    Refused(String),
    /// The other side closed it.
    Closed,
    /// What came was no protocol.
    Fault(String),
}

/// A connection and what is said on it.
pub struct Connection {
    stream: TcpStream,
    to: SocketAddrV4,
    client: Box<dyn Client>,
    unsent: Vec<u8>,
    waits_to_write: bool,
    /// When it was dialled.
    pub dialled: Instant,
    /// How it stands.
    pub state: State,
    /// To which histogram its times go.
    pub group: usize,
}

impl Connection {
    /// The client on it.
    pub fn client(&self) -> &dyn Client {
        &*self.client
    }
}

/// All connections.
pub struct Crowd {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    buffer: Vec<u8>,
    looked_at_timeouts: Instant,
    /// In the order in which they were dialled.
    pub connections: Vec<Connection>,
    /// Times of each group while they are taken.
    pub latencies: Option<Vec<Histogram>>,
}

impl Crowd {
    /// Nobody.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(EVENTS),
            buffer: vec![0; READ],
            looked_at_timeouts: Instant::now(),
            connections: Vec::new(),
            latencies: None,
        })
    }

    /// Begins to open a connection from an address of its own; gives its index.
    pub fn dial(
        &mut self,
        from: Option<Ipv4Addr>,
        to: SocketAddrV4,
        client: Box<dyn Client>,
        group: usize,
    ) -> io::Result<usize> {
        let key = self.connections.len();
        let dialled = Instant::now();
        let (stream, state) = self.open(key, from, to)?;
        self.connections.push(Connection {
            stream,
            to,
            client,
            unsent: Vec::new(),
            waits_to_write: true,
            dialled,
            state,
            group,
        });
        Ok(key)
    }

    fn open(
        &self,
        key: usize,
        from: Option<Ipv4Addr>,
        to: SocketAddrV4,
    ) -> io::Result<(TcpStream, State)> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket =
            rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        rustix::net::sockopt::set_tcp_nodelay(&socket, true)?;
        if let Some(from) = from {
            rustix::net::bind(&socket, &SocketAddrV4::new(from, 0))?;
        }
        let state = match rustix::net::connect(&socket, &to) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => State::Dialling,
            Err(error) => State::Refused(error.to_string()),
        };
        if state == State::Dialling {
            let wanted = epoll::EventFlags::IN | epoll::EventFlags::OUT;
            epoll::add(
                &self.epoll,
                &socket,
                epoll::EventData::new_u64(key as u64),
                wanted,
            )?;
        }
        Ok((socket.into(), state))
    }

    /// How many are as `state` says.
    pub fn count(&self, state: impl Fn(&State) -> bool) -> usize {
        self.connections.iter().filter(|c| state(&c.state)).count()
    }

    /// Serves all connections until then, or until `enough` says so; it is asked after every wait.
    pub fn run(&mut self, until: Instant, mut enough: impl FnMut(&Self) -> bool) -> io::Result<()> {
        loop {
            let now = Instant::now();
            if now >= until || enough(self) {
                return Ok(());
            }
            let patience = (until - now).min(TICK);
            let timeout = Timespec {
                tv_sec: 0,
                tv_nsec: patience.as_nanos() as _,
            };
            self.events.clear();
            let events = rustix::buffer::spare_capacity(&mut self.events);
            match epoll::wait(&self.epoll, events, Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for at in 0..self.events.len() {
                let event = self.events[at];
                self.handle_event(event.data.u64() as usize, event.flags);
            }
            self.handle_timeouts();
        }
    }

    fn handle_event(&mut self, key: usize, flags: epoll::EventFlags) {
        let connection = &mut self.connections[key];
        if !matches!(connection.state, State::Dialling | State::Open) {
            return;
        }
        let mut outcome = Ok(());
        if connection.state == State::Dialling {
            outcome = match connection.stream.take_error() {
                Ok(None) => {
                    connection.state = State::Open;
                    connection
                        .client
                        .handle_open(Instant::now(), &mut connection.unsent);
                    Ok(())
                }
                Ok(Some(error)) | Err(error) => Err(State::Refused(error.to_string())),
            };
        }
        let readable = epoll::EventFlags::IN | epoll::EventFlags::HUP | epoll::EventFlags::ERR;
        if outcome.is_ok() && flags.intersects(readable) {
            let latency = self
                .latencies
                .as_mut()
                .map(|all| &mut all[connection.group]);
            outcome = connection.read(&mut self.buffer, latency);
        }
        let outcome = outcome.and_then(|()| connection.write(&self.epoll, key));
        if let Err(end) = outcome {
            let from = match end {
                State::Closed => connection.client.dial_again(),
                _ => None,
            };
            match from {
                Some(from) => self.dial_again(key, from),
                None => self.end(key, end),
            }
        }
    }

    fn handle_timeouts(&mut self) {
        let now = Instant::now();
        if now - self.looked_at_timeouts < TICK {
            return;
        }
        self.looked_at_timeouts = now;
        for key in 0..self.connections.len() {
            let connection = &mut self.connections[key];
            let due = connection.client.next_timeout().is_some_and(|at| at <= now);
            if due && connection.state == State::Open {
                connection
                    .client
                    .handle_timeout(now, &mut connection.unsent);
                if let Err(end) = connection.write(&self.epoll, key) {
                    self.end(key, end);
                }
            }
        }
    }

    /// Closes a connection from our side.
    pub fn hang_up(&mut self, key: usize) {
        self.end(key, State::Closed);
    }

    fn dial_again(&mut self, key: usize, from: Ipv4Addr) {
        let opened = self.open(key, Some(from), self.connections[key].to);
        let connection = &mut self.connections[key];
        connection.unsent.clear();
        connection.waits_to_write = true;
        match opened {
            // The old one is closed, and with that out of the set.
            Ok((stream, state)) => (connection.stream, connection.state) = (stream, state),
            Err(error) => self.end(key, State::Refused(error.to_string())),
        }
    }

    fn end(&mut self, key: usize, end: State) {
        let connection = &mut self.connections[key];
        connection.state = end;
        // It may be gone from the set already; the socket stays until the end, closed both ways.
        let _ = epoll::delete(&self.epoll, &connection.stream);
        let _ = connection.stream.shutdown(std::net::Shutdown::Both);
    }
}

impl Connection {
    fn read(&mut self, buffer: &mut [u8], latency: Option<&mut Histogram>) -> Result<(), State> {
        let count = match self.stream.read(buffer) {
            Ok(0) => return Err(State::Closed),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(_) => return Err(State::Closed),
        };
        let mut meter = Meter {
            now: Instant::now(),
            latency,
        };
        let handled = self
            .client
            .handle_bytes(&buffer[..count], &mut meter, &mut self.unsent);
        handled.map_err(|fault| State::Fault(fault.to_string()))
    }

    /// Sends what waits, and listens for room only while something waits.
    fn write(&mut self, epoll: &OwnedFd, key: usize) -> Result<(), State> {
        if !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Err(State::Closed),
            }
        }
        let waits = !self.unsent.is_empty();
        if waits != self.waits_to_write {
            let wanted = if waits {
                epoll::EventFlags::IN | epoll::EventFlags::OUT
            } else {
                epoll::EventFlags::IN
            };
            epoll::modify(
                epoll,
                &self.stream,
                epoll::EventData::new_u64(key as u64),
                wanted,
            )
            .map_err(|error| State::Fault(error.to_string()))?;
            self.waits_to_write = waits;
        }
        Ok(())
    }
}
