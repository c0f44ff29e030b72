//! Announces of native peers, which come over UDP and HTTP.

use super::Tracker;
use super::counters::Count;
use super::exchange::{PackedPeers, Refusal, Reply};
use super::family::{Asker, Family};
use super::interval::{tick, ticks};
use super::peers::{Entered, Entry, Room};
use super::statistics::Client;
use super::swarm::Swarm;
use crate::random::Random;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use wire::tracker::{Announce, Event};

impl Tracker {
    /// Enters, refreshes or removes a native peer, and gives it some of the others.
    ///
    /// `from` is the address the announce came from. `own` is where the asker can reach our own seeder: those of its
    /// family come first, where the seeder serves this swarm. `seed` decides the sample: a fresh random number each
    /// time. `peers` is cleared and filled.
    pub fn announce(
        &self,
        now: Instant,
        announce: &Announce,
        from: IpAddr,
        own: &[SocketAddr],
        seed: u64,
        peers: &mut PackedPeers,
    ) -> Result<Reply, Refusal> {
        peers.clear();
        let from = from.to_canonical();
        let since = self.since(now);
        let subscriber = self.keyed.subscriber(from);
        self.admit(subscriber, since)?;
        let swarms = self.swarms.load();
        let swarm = self.find(&swarms, &announce.swarm, subscriber)?;
        self.counted.add(subscriber, Count::Announces, 1);
        let own = if swarm.is_seeded() { own } else { &[] };
        let mut random = Random::new(seed);
        let native = Native {
            announce,
            subscriber,
            since,
            own,
        };
        let port = announce.port.get().to_be_bytes();
        let arrived = match from {
            IpAddr::V4(ip) => {
                let packed = pack(ip.octets(), port);
                let PackedPeers { v4, .. } = peers;
                self.announce_in(swarm, &swarm.v4, packed, &native, &mut random, v4)
            }
            IpAddr::V6(ip) => {
                let packed = pack(ip.octets(), port);
                let PackedPeers { v6, .. } = peers;
                self.announce_in(swarm, &swarm.v6, packed, &native, &mut random, v6)
            }
        };
        let counts = swarm.counts();
        Ok(Reply {
            interval: about(self.native_interval.now(), &mut random),
            min_interval: self.limits.min_interval,
            complete: counts.complete,
            incomplete: counts.incomplete,
            downloaded: counts.downloaded,
            external_ip: from,
            arrived,
        })
    }

    /// The part of an announce that knows one family; gives whether a peer arrived.
    fn announce_in<const N: usize>(
        &self,
        swarm: &Swarm,
        family: &Family<N>,
        addr: [u8; N],
        native: &Native<'_>,
        random: &mut Random,
        out: &mut Vec<u8>,
    ) -> bool {
        let announce = native.announce;
        let complete = announce.left == Some(0);
        let tag = (self.keyed.peer_id(&announce.peer_id) >> 16) as u16;
        let entry = Entry {
            addr,
            hash: self.keyed.packed(&addr),
            subscriber: native.subscriber,
            tag,
            client: Client::of(&announce.peer_id),
            now: tick(native.since),
            stale: ticks(self.native_interval.stale()),
            complete,
            completed: announce.event == Event::Completed,
            stopped: announce.event == Event::Stopped,
            reachable: announce.port.get() >= self.limits.lowest_port,
        };
        let (entered, before, after) = family.enter(&entry, self.native_room(), self.keyed, random);
        swarm.note(before, after);
        let bites = match entered {
            Entered::Nothing if !entry.reachable && !entry.stopped => Some(Count::LowPort),
            Entered::OtherPeerId => Some(Count::OtherPeerId),
            Entered::SwarmFull => Some(Count::SwarmFull),
            Entered::AddressFull => Some(Count::AddressFull),
            Entered::Known { completion } => {
                if completion && self.is_first_of(swarm, entry.hash) {
                    swarm.note_completion();
                }
                None
            }
            Entered::Arrived => {
                swarm.note_arrival();
                None
            }
            Entered::Nothing | Entered::Left => None,
        };
        if let Some(count) = bites {
            self.counted.add(native.subscriber, count, 1);
        }
        if !entry.stopped {
            let wanted = announce
                .num_want
                .unwrap_or(self.limits.default_peers)
                .min(self.limits.max_peers) as usize;
            let own = native.own.iter().filter_map(packed_of::<N>);
            for seeder in own.filter(|seeder| *seeder != addr).take(wanted) {
                out.extend_from_slice(&seeder);
            }
            let asker = Asker {
                addr,
                tag,
                complete,
                wanted: wanted - out.len() / N,
            };
            family.sample(&asker, random, out);
        }
        entered == Entered::Arrived
    }

    /// The bounds of native peers.
    pub(super) fn native_room(&self) -> Room {
        Room {
            peers: self.limits.peers_per_swarm,
            per_address: self.limits.peers_per_address,
        }
    }
}

/// What is known of an announce before its family is.
struct Native<'a> {
    announce: &'a Announce,
    subscriber: u64,
    since: Duration,
    own: &'a [SocketAddr],
}

/// This long, give or take a tenth.
pub(super) fn about(duration: Duration, random: &mut Random) -> Duration {
    duration * (900 + random.below(201) as u32) / 1000
}

fn pack<const IP: usize, const N: usize>(ip: [u8; IP], port: [u8; 2]) -> [u8; N] {
    let mut packed = [0; N];
    packed[..IP].copy_from_slice(&ip);
    packed[IP..].copy_from_slice(&port);
    packed
}

/// An address in this family's form, if it is of this family.
fn packed_of<const N: usize>(addr: &SocketAddr) -> Option<[u8; N]> {
    let port = addr.port().to_be_bytes();
    match addr.ip().to_canonical() {
        IpAddr::V4(ip) if N == 6 => Some(pack(ip.octets(), port)),
        IpAddr::V6(ip) if N == 18 => Some(pack(ip.octets(), port)),
        _ => None,
    }
}
