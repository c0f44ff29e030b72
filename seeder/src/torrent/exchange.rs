//! Peer exchange (BEP 11), our side: who came and who went since a peer was last told, once a minute, so many at
//! once. One log for the whole swarm; of each peer only how far it has been told is kept.

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use wire::extended::pex::{MAX_PEERS, PexFlags, PexMessage, PexPeer};

/// How often a peer is told: BEP 11's minute, and a little, so that strict clocks agree.
const EVERY: Duration = Duration::from_secs(65);
/// How many of the last comings and goings make the first list.
const FIRST: usize = 2 * MAX_PEERS;
/// How many comings and goings are remembered.
const LOG: usize = 1024;

/// How far a peer has been told, and when the next time is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    up_to: Option<u64>,
    next: Instant,
}

impl Told {
    /// Nothing yet; soon. The first list is worth most to who has just come.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            up_to: None,
            next: now + Duration::from_secs(1),
        }
    }
}

/// Who came and who went.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    log: VecDeque<Change>,
    /// The number of the log's first entry.
    first: u64,
    /// When each of those that take lists is to be told next.
    due: BTreeSet<(Instant, u64)>,
}

#[derive(Debug, Clone, Copy)]
enum Change {
    Came(PexPeer),
    Went(SocketAddr),
}

impl Exchange {
    /// A peer can be reached here.
    pub(super) fn came(&mut self, address: SocketAddr, flags: PexFlags) {
        self.push(Change::Came(PexPeer { address, flags }));
    }

    /// A peer that could be reached here has gone.
    pub(super) fn went(&mut self, address: SocketAddr) {
        self.push(Change::Went(address));
    }

    /// A peer takes lists, and is to be told at its time.
    pub(super) fn enter(&mut self, told: &Told, key: u64) {
        self.due.insert((told.next, key));
    }

    /// A peer is to be told no more.
    pub(super) fn leave(&mut self, told: &Told, key: u64) {
        self.due.remove(&(told.next, key));
    }

    /// Somebody whose time has come. It is to be told, and entered again.
    pub(super) fn poll_due(&mut self, now: Instant) -> Option<u64> {
        let (at, key) = self.due.pop_first()?;
        if at > now {
            self.due.insert((at, key));
            return None;
        }
        Some(key)
    }

    /// When the next one is to be told.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    fn push(&mut self, change: Change) {
        if self.log.len() >= LOG {
            self.log.pop_front();
            self.first += 1;
        }
        self.log.push_back(change);
    }

    /// What to tell a peer at this address now, if anything.
    pub(super) fn tell(&self, now: Instant, told: &mut Told, to: SocketAddr) -> Option<PexMessage> {
        if now < told.next {
            return None;
        }
        told.next = now + EVERY;
        // Who has just come is told of those who came last.
        let skip = told
            .up_to
            .map_or(self.log.len().saturating_sub(FIRST) as u64, |up_to| {
                up_to.saturating_sub(self.first)
            });
        let mut message = PexMessage::default();
        let mut up_to = self.first + skip;
        for change in self.log.iter().skip(skip as usize) {
            if message.added.len() >= MAX_PEERS || message.dropped.len() >= MAX_PEERS {
                break;
            }
            up_to += 1;
            match change {
                Change::Came(peer) => {
                    if peer.address != to && may_know(to.ip(), peer.address.ip()) {
                        message.dropped.retain(|address| *address != peer.address);
                        message.added.retain(|known| known.address != peer.address);
                        message.added.push(*peer);
                    }
                }
                Change::Went(address) => {
                    let before = message.added.len();
                    message.added.retain(|known| known.address != *address);
                    if message.added.len() == before && told.up_to.is_some() {
                        message.dropped.push(*address);
                    }
                }
            }
        }
        told.up_to = Some(up_to);
        Some(message).filter(|message| !message.is_empty())
    }
}

/// Whether somebody at this address may be told of that one: what is behind our router is told to nobody outside.
fn may_know(who: IpAddr, of: IpAddr) -> bool {
    !is_local(of) || is_local(who)
}

fn is_local(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u32) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(0x0800_0000u32.wrapping_add(n).into()), 6881)
    }

    #[test]
    fn a_peer_is_told_once_a_minute_what_is_new() {
        let start = Instant::now();
        let mut exchange = Exchange::default();
        let mut told = Told::new(start);
        exchange.came(address(1), PexFlags::SEED);
        exchange.came(address(2), PexFlags::default());
        exchange.came(address(3), PexFlags::default());
        exchange.went(address(3));
        assert_eq!(exchange.tell(start, &mut told, address(1)), None);
        let mut now = start + Duration::from_secs(1);
        let first = exchange.tell(now, &mut told, address(1)).unwrap();
        let added: Vec<_> = first.added.iter().map(|peer| peer.address).collect();
        assert_eq!((added, first.dropped), (vec![address(2)], vec![]));
        exchange.went(address(2));
        exchange.came(address(4), PexFlags::default());
        assert_eq!(exchange.tell(now + EVERY / 2, &mut told, address(1)), None);
        now += EVERY;
        let second = exchange.tell(now, &mut told, address(1)).unwrap();
        assert_eq!(second.added[0].address, address(4));
        assert_eq!(second.dropped, [address(2)]);
        assert_eq!(exchange.tell(now + EVERY, &mut told, address(1)), None);
    }

    #[test]
    fn a_crowd_is_told_in_parts_and_the_log_is_bounded() {
        let start = Instant::now();
        let (mut exchange, mut told) = (Exchange::default(), Told::new(start));
        let far = |n| exchange_of(n).log.len();
        assert_eq!((far(10), far(3000)), (10, LOG));
        exchange.came(address(0), PexFlags::default());
        exchange.tell(start + EVERY, &mut told, address(9999));
        for n in 1..LOG as u32 {
            exchange.came(address(n), PexFlags::default());
        }
        let (mut now, mut seen) = (start + EVERY, 1);
        for _ in 0..40 {
            now += EVERY;
            if let Some(message) = exchange.tell(now, &mut told, address(9999)) {
                assert!(message.added.len() <= MAX_PEERS);
                seen += message.added.len();
            }
        }
        assert_eq!(seen, LOG);
        let first = exchange
            .tell(now, &mut Told::new(start), address(9999))
            .unwrap();
        assert_eq!(first.added.len(), MAX_PEERS);
    }

    fn exchange_of(n: u32) -> Exchange {
        let mut exchange = Exchange::default();
        for n in 0..n {
            exchange.came(address(n), PexFlags::default());
        }
        exchange
    }

    #[test]
    fn what_is_behind_the_router_is_told_there_alone() {
        let start = Instant::now();
        let mut exchange = Exchange::default();
        let local = "192.168.1.9:6881".parse().unwrap();
        exchange.came(local, PexFlags::default());
        let now = start + EVERY;
        assert_eq!(exchange.tell(now, &mut Told::new(start), address(1)), None);
        let near = "10.0.0.3:1".parse().unwrap();
        assert!(exchange.tell(now, &mut Told::new(start), near).is_some());
    }
}
