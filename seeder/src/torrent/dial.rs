//! Whom to connect to while a torrent is fetched: candidates from trackers, other peers and the user, so many at once,
//! in the order of BEP 40, and later again where it failed.

use super::priority::priority;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// How many candidates are kept.
const MOST_KNOWN: usize = 1000;
/// How many connections are being made at once.
const MOST_DIALLING: usize = 16;
/// How many connections are made in all.
const MOST_CONNECTED: usize = 80;
/// How long to wait after the first failure; doubled after each further one.
const PAUSE: Duration = Duration::from_secs(4);
/// After so many failures in a row a candidate is given up.
const MOST_TRIES: u32 = 6;

/// Connects to an address, in a task of its own, and tells when that is over.
pub(super) type Dial = Box<dyn Fn(SocketAddr) + Send + Sync>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Dialling,
    Connected,
}

#[derive(Debug)]
struct Known {
    state: State,
    tries: u32,
    next: Instant,
}

/// The candidates of one fetch.
pub(super) struct Dialer {
    dial: Dial,
    known: HashMap<SocketAddr, Known>,
    own: SocketAddr,
}

impl Dialer {
    /// `port` is where we listen.
    pub(super) fn new(dial: Dial, port: u16) -> Self {
        Self {
            dial,
            known: HashMap::new(),
            own: SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port),
        }
    }

    /// Our address, as a peer sees it.
    pub(super) fn handle_own(&mut self, ip: IpAddr) {
        self.own.set_ip(ip.to_canonical());
    }

    /// Peers that may be worth a connection. What is known already stays as it is.
    pub(super) fn add(&mut self, now: Instant, addresses: impl IntoIterator<Item = SocketAddr>) {
        for address in addresses {
            let useless =
                address.port() == 0 || address.ip().is_unspecified() || address.ip().is_multicast();
            if useless || self.known.len() >= MOST_KNOWN {
                continue;
            }
            self.known.entry(address).or_insert(Known {
                state: State::Idle,
                tries: 0,
                next: now,
            });
        }
    }

    /// A connection that we have made is open.
    pub(super) fn handle_connected(&mut self, address: SocketAddr) {
        if let Some(known) = self.known.get_mut(&address) {
            known.state = State::Connected;
            known.tries = 0;
        }
    }

    /// A connection that we wanted is over, or never came about.
    pub(super) fn handle_ended(&mut self, now: Instant, address: SocketAddr) {
        let Some(known) = self.known.get_mut(&address) else {
            return;
        };
        known.state = State::Idle;
        known.tries += 1;
        known.next = now + PAUSE * (1 << known.tries.min(8));
        if known.tries > MOST_TRIES {
            self.known.remove(&address);
        }
    }

    /// A peer isn't to be connected to again.
    pub(super) fn forget(&mut self, address: &SocketAddr) {
        self.known.remove(address);
    }

    /// Makes the connections that there is room for; `others` are open beside ours, and `is_member` tells who is here
    /// already.
    pub(super) fn dial(
        &mut self,
        now: Instant,
        others: usize,
        is_member: impl Fn(&SocketAddr) -> bool,
    ) {
        let count = |state| {
            self.known
                .values()
                .filter(|known| known.state == state)
                .count()
        };
        let dialling = count(State::Dialling);
        let taken = count(State::Connected) + dialling + others;
        let room = MOST_DIALLING
            .saturating_sub(dialling)
            .min(MOST_CONNECTED.saturating_sub(taken));
        if room == 0 {
            return;
        }
        let own = self.own;
        let ready = self.known.iter().filter(|(address, known)| {
            known.state == State::Idle && known.next <= now && !is_member(address)
        });
        let mut ready: Vec<_> = ready
            .map(|(address, known)| (known.tries, *address))
            .collect();
        ready.sort_by_key(|(tries, address)| {
            (*tries, std::cmp::Reverse(priority(own, *address)), *address)
        });
        for (_, address) in ready.into_iter().take(room) {
            if let Some(known) = self.known.get_mut(&address) {
                known.state = State::Dialling;
            }
            (self.dial)(address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    fn address(n: u16) -> SocketAddr {
        SocketAddr::new([10, 0, (n >> 8) as u8, n as u8].into(), 6881)
    }

    #[test]
    fn so_many_at_once_and_failures_wait_longer_and_longer() {
        let dialled = Arc::new(Mutex::new(Vec::new()));
        let log = dialled.clone();
        let mut dialer = Dialer::new(Box::new(move |at| log.lock().unwrap().push(at)), 1);
        let mut now = Instant::now();
        let taken = || std::mem::take(&mut *dialled.lock().unwrap());
        dialer.add(now, (0..40).map(address));
        dialer.dial(now, 0, |_| false);
        let first = taken();
        assert_eq!(first.len(), MOST_DIALLING);
        dialer.dial(now, 0, |_| false);
        assert!(taken().is_empty());
        for at in &first[1..] {
            dialer.handle_ended(now, *at);
        }
        dialer.handle_connected(first[0]);
        dialer.dial(now, 0, |at| *at == address(39));
        let second = taken();
        assert!(
            second
                .iter()
                .all(|at| !first.contains(at) && *at != address(39))
        );
        for at in &second {
            dialer.handle_connected(*at);
        }
        let only = first[1];
        dialer.known.retain(|at, _| *at == only);
        let mut waits = Vec::new();
        for _ in 1..=MOST_TRIES {
            let since = now;
            while taken().is_empty() {
                now += Duration::from_secs(1);
                dialer.dial(now, 0, |_| false);
                if dialer.known.is_empty() {
                    break;
                }
            }
            waits.push(now - since);
            dialer.handle_ended(now, only);
        }
        assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]), "{waits:?}");
        assert!(dialer.known.is_empty(), "given up");
    }

    #[test]
    fn candidates_are_bounded_and_nonsense_is_none() {
        let now = Instant::now();
        let mut dialer = Dialer::new(Box::new(|_| {}), 1);
        dialer.add(
            now,
            ["0.0.0.0:1", "1.2.3.4:0", "224.0.0.1:5"].map(|at| at.parse().unwrap()),
        );
        assert!(dialer.known.is_empty());
        dialer.add(now, (0..5000).map(address));
        assert_eq!(dialer.known.len(), MOST_KNOWN);
    }
}
