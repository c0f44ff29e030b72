//! The tracker's store: who is in which swarm. One `announce` in, one reply out, whatever form it came in.
//!
//! Only swarms that were allowed exist; an announce never creates one. A peer is its address and port, and
//! the address is where the announce came from, so nobody can enter, stop or replace a peer elsewhere. IPv4
//! and IPv6 peers are kept apart, and an asker gets peers of its own family: a fair random sample, never
//! itself, the publisher's own seeder first. What strangers can fill is bounded by [`Limits`] and counted.
//!
//! Time and seeds of randomness come in as arguments; sockets and query strings are the caller's.

mod peers;

use metainfo::ids::SwarmHash;
use peers::{Entry, Peers};
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use wire::tracker::{Announce, AnnounceReply, Event, SwarmCounts, TrackerPeer};

/// What strangers may take of the tracker, and how often they are to come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most peers of one swarm and address family.
    pub peers_per_swarm: usize,
    /// The most peers of one swarm from one IPv4 address or one IPv6 /64.
    pub peers_per_address: usize,
    /// How many peers an asker gets that doesn't say how many it wants.
    pub default_peers: u32,
    /// The most peers an asker gets.
    pub max_peers: u32,
    /// When to announce again, about; spread by a tenth so that a crowd doesn't come back as one.
    pub interval: Duration,
    /// Not earlier than this.
    pub min_interval: Duration,
    /// When a peer that hasn't announced again is forgotten.
    pub expiry: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            peers_per_swarm: 100_000,
            peers_per_address: 64,
            default_peers: 50,
            max_peers: 100,
            interval: Duration::from_secs(600),
            min_interval: Duration::from_secs(60),
            expiry: Duration::from_secs(1500),
        }
    }
}

/// What the store has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Announces answered.
    pub announces: u64,
    /// Announces and scrapes for swarms that aren't allowed.
    pub not_allowed: u64,
    /// Peers not entered because their address had too many already.
    pub address_full: u64,
    /// Peers not entered because the swarm had too many already.
    pub swarm_full: u64,
    /// Peers forgotten because they didn't come back.
    pub expired: u64,
}

/// Why an announce isn't answered. Its text goes to the asker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The swarm is none of ours.
    #[error("this torrent is not tracked here")]
    NotAllowed,
}

/// All swarms of one tracker.
#[derive(Debug, Default)]
pub struct Announces {
    limits: Limits,
    swarms: HashMap<SwarmHash, Swarm>,
    counters: Counters,
}

#[derive(Debug, Default)]
struct Swarm {
    v4: Peers,
    v6: Peers,
    downloaded: u32,
}

impl Announces {
    /// A store without swarms.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            swarms: HashMap::new(),
            counters: Counters::default(),
        }
    }

    /// Sets the swarms that are tracked. Those that stay lose no peer; those that go are forgotten.
    pub fn set_allowed(&mut self, swarms: impl IntoIterator<Item = SwarmHash>) {
        let allowed: HashSet<SwarmHash> = swarms.into_iter().collect();
        self.swarms.retain(|swarm, _| allowed.contains(swarm));
        for swarm in allowed {
            self.swarms.entry(swarm).or_default();
        }
    }

    /// Enters, refreshes or removes the asker and gives it some of the others.
    ///
    /// `from` is the address the announce came from. `own` is where the asker can reach the publisher's
    /// seeder, which serves every swarm there is. `seed` decides the sample: a fresh random number each time.
    pub fn announce(
        &mut self,
        now: Instant,
        announce: &Announce,
        from: IpAddr,
        own: &[SocketAddr],
        seed: u64,
    ) -> Result<AnnounceReply, Refusal> {
        let from = from.to_canonical();
        let Some(swarm) = self.swarms.get_mut(&announce.swarm) else {
            self.counters.not_allowed += 1;
            return Err(Refusal::NotAllowed);
        };
        self.counters.announces += 1;
        let mut random = SplitMix(seed);
        let asker = SocketAddr::new(from, announce.port.get());
        let complete = announce.left == Some(0);
        let peers = if from.is_ipv4() {
            &mut swarm.v4
        } else {
            &mut swarm.v6
        };
        if announce.event == Event::Stopped {
            peers.remove(asker, announce.peer_id);
        } else {
            let known = peers.is_complete(asker);
            if announce.event == Event::Completed && known == Some(false) {
                swarm.downloaded = swarm.downloaded.saturating_add(1);
            }
            let entry = Entry {
                addr: asker,
                peer_id: announce.peer_id,
                expires: now + self.limits.expiry,
            };
            if known.is_some() {
                peers.enter(entry, complete);
            } else if peers.len() >= self.limits.peers_per_swarm {
                self.counters.swarm_full += 1;
            } else if peers.of_address(from) >= self.limits.peers_per_address {
                self.counters.address_full += 1;
            } else {
                peers.enter(entry, complete);
            }
        }
        let mut given = Vec::new();
        if announce.event != Event::Stopped {
            let wanted = announce
                .num_want
                .unwrap_or(self.limits.default_peers)
                .min(self.limits.max_peers) as usize;
            let own = own
                .iter()
                .map(|addr| SocketAddr::new(addr.ip().to_canonical(), addr.port()));
            let reachable = own.filter(|addr| addr.is_ipv4() == from.is_ipv4() && *addr != asker);
            given.extend(reachable.take(wanted).map(|addr| TrackerPeer {
                addr,
                peer_id: None,
            }));
            let ours: Vec<SocketAddr> = given.iter().map(|peer| peer.addr).collect();
            let others = |entry: &Entry| {
                entry.addr != asker
                    && entry.peer_id != announce.peer_id
                    && !ours.contains(&entry.addr)
            };
            // Who has everything has no use for another who has.
            peers.sample(
                wanted - given.len(),
                complete,
                others,
                &mut |below| random.below(below),
                &mut given,
            );
        }
        let SwarmCounts {
            complete,
            incomplete,
            downloaded,
        } = swarm.counts(!own.is_empty());
        Ok(AnnounceReply {
            interval: random.about(self.limits.interval),
            min_interval: self.limits.min_interval,
            complete,
            incomplete,
            downloaded,
            peers: given,
            external_ip: Some(from),
        })
    }

    /// The numbers of a swarm, or `None` where it isn't tracked. `seeded` says whether our own seeder serves it.
    pub fn scrape(&mut self, swarm: &SwarmHash, seeded: bool) -> Option<SwarmCounts> {
        let counts = self.swarms.get(swarm).map(|swarm| swarm.counts(seeded));
        self.counters.not_allowed += u64::from(counts.is_none());
        counts
    }

    /// Forgets whoever hasn't come back: to be called every minute or so.
    pub fn expire(&mut self, now: Instant) {
        for swarm in self.swarms.values_mut() {
            self.counters.expired += (swarm.v4.expire(now) + swarm.v6.expire(now)) as u64;
        }
    }

    /// What was counted so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// How many peers are known in all swarms.
    pub fn n_peers(&self) -> usize {
        self.swarms
            .values()
            .map(|swarm| swarm.v4.len() + swarm.v6.len())
            .sum()
    }
}

impl Swarm {
    fn counts(&self, seeded: bool) -> SwarmCounts {
        SwarmCounts {
            complete: (self.v4.n_complete() + self.v6.n_complete()) as u32 + u32::from(seeded),
            incomplete: (self.v4.n_incomplete() + self.v6.n_incomplete()) as u32,
            downloaded: self.downloaded,
        }
    }
}

/// A small generator of well-mixed numbers from one seed (Steele, Lea, Flood: SplitMix64). The seed is
/// random; nothing secret hangs on what follows.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `below`, which is at least 1. The bias of the multiplication is beyond counting.
    fn below(&mut self, below: usize) -> usize {
        ((u128::from(self.next()) * below as u128) >> 64) as usize
    }

    /// This long, give or take a tenth.
    fn about(&mut self, duration: Duration) -> Duration {
        duration * (900 + self.below(201) as u32) / 1000
    }
}

#[cfg(test)]
mod tests;
