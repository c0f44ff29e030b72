//! Native peers of one shard of a swarm: dense lists side by side, those that still need something first. A peer costs
//! its packed address and five bytes, beside some four to seven in the index and as many in its address's count.
//!
//! Among those that need something, and among those that don't, the order is random at any time: a newcomer takes a
//! random place. So a run of neighbours, which costs next to nothing to hand out, is a random sample, and nobody
//! can enter many peers that stand together.

use super::index::{self, Index};
use super::keyed::Keyed;
use super::quota::{Quota, UNBOUNDED};
use super::statistics::Client;
use crate::random::Random;

/// Bounds of one shard, in the form they are used in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Peers the swarm may still take in, beside those in this shard.
    pub(super) peers: usize,
    pub(super) per_address: usize,
}

/// What an announce makes of a peer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<const N: usize> {
    pub(super) addr: [u8; N],
    /// The keyed hash of `addr`.
    pub(super) hash: u64,
    /// The keyed hash of whose address it is.
    pub(super) subscriber: u64,
    /// A tag of its peer id.
    pub(super) tag: u16,
    pub(super) client: Client,
    /// In coarse ticks.
    pub(super) now: u16,
    /// A peer that wasn't refreshed for longer may be replaced by another at its address.
    pub(super) stale: u16,
    pub(super) complete: bool,
    /// It has just got everything.
    pub(super) completed: bool,
    /// It goes.
    pub(super) stopped: bool,
    /// It may be handed out, so that it may be entered.
    pub(super) reachable: bool,
}

/// What became of an announce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entered {
    /// A new peer is in.
    Arrived,
    /// A known one was refreshed; whether it has just got everything.
    Known { completion: bool },
    /// A known one left.
    Left,
    /// Nothing: it wasn't there and goes, or can't be handed out.
    Nothing,
    /// Nothing: another peer holds its address.
    OtherPeerId,
    /// Nothing: the swarm is full.
    SwarmFull,
    /// Nothing: its address has its share.
    AddressFull,
}

/// The peers of a shard. `N` is 6 or 18.
#[derive(Debug)]
pub(super) struct Peers<const N: usize> {
    addrs: Vec<[u8; N]>,
    seen: Vec<u16>,
    tags: Vec<u16>,
    clients: Vec<Client>,
    n_incomplete: usize,
    index: Index,
    quota: Quota,
}

impl<const N: usize> Default for Peers<N> {
    fn default() -> Self {
        Self {
            addrs: Vec::new(),
            seen: Vec::new(),
            tags: Vec::new(),
            clients: Vec::new(),
            n_incomplete: 0,
            index: Index::default(),
            quota: Quota::default(),
        }
    }
}

impl<const N: usize> Peers<N> {
    pub(super) fn len(&self) -> usize {
        self.addrs.len()
    }

    pub(super) fn n_incomplete(&self) -> usize {
        self.n_incomplete
    }

    /// The addresses, those that need something first.
    pub(super) fn addrs(&self) -> &[[u8; N]] {
        &self.addrs
    }

    pub(super) fn tag(&self, place: usize) -> Option<u16> {
        self.tags.get(place).copied()
    }

    /// Carries out an announce.
    pub(super) fn enter(
        &mut self,
        entry: &Entry<N>,
        room: Room,
        keyed: Keyed,
        random: &mut Random,
    ) -> Entered {
        let known = self
            .index
            .find(entry.hash, |place| self.addrs[place] == entry.addr);
        let Some(place) = known else {
            if entry.stopped || !entry.reachable {
                return Entered::Nothing;
            }
            if self.len() >= room.peers.min(index::MOST) {
                return Entered::SwarmFull;
            }
            if room.per_address < UNBOUNDED {
                if self.quota.count(entry.subscriber) >= room.per_address {
                    return Entered::AddressFull;
                }
                self.quota.add(entry.subscriber);
            }
            self.push(entry, keyed, random);
            return Entered::Arrived;
        };
        if self.tags[place] != entry.tag {
            if entry.stopped || entry.now.wrapping_sub(self.seen[place]) <= entry.stale {
                return Entered::OtherPeerId;
            }
            self.tags[place] = entry.tag;
            self.clients[place] = entry.client;
        }
        if entry.stopped {
            self.remove(place, entry.subscriber, room, keyed);
            return Entered::Left;
        }
        self.seen[place] = entry.now;
        let needed = place < self.n_incomplete;
        let completion = entry.completed && needed;
        if entry.complete == needed {
            self.cross(place, keyed, random);
        }
        Entered::Known { completion }
    }

    /// Forgets who is overdue among the last `most` peers below `below`; gives where it stopped. `whose` gives the subscriber of an address.
    pub(super) fn expire(
        &mut self,
        overdue: impl Fn(u16) -> bool,
        whose: impl Fn(&[u8; N]) -> u64,
        (below, most): (usize, usize),
        room: Room,
        keyed: Keyed,
    ) -> usize {
        let before = self.len();
        let below = below.min(self.len());
        let end = below.saturating_sub(most);
        // Backwards: what fills a gap comes from behind and was looked at.
        for place in (end..below).rev() {
            if overdue(self.seen[place]) {
                let subscriber = whose(&self.addrs[place]);
                self.remove(place, subscriber, room, keyed);
            }
        }
        if self.len() < before && self.addrs.capacity() > self.len() * 2 + 8 {
            self.shrink(keyed);
        }
        end
    }

    /// Counts peers by kind of client.
    pub(super) fn count_clients(&self, counts: &mut [u32; Client::COUNT]) {
        for client in &self.clients {
            counts[*client as usize] += 1;
        }
    }

    /// Moves every peer into the shard that `shard_of` gives for its subscriber. `counted` says whether counts by
    /// address are kept.
    pub(super) fn deal(
        &mut self,
        counted: bool,
        keyed: Keyed,
        random: &mut Random,
        whose: impl Fn(&[u8; N]) -> u64,
        shards: &mut [Self],
        shard_of: impl Fn(u64) -> usize,
    ) {
        let old = std::mem::take(self);
        for (place, addr) in old.addrs.iter().enumerate() {
            let subscriber = whose(addr);
            let shard = &mut shards[shard_of(subscriber)];
            let entry = Entry {
                addr: *addr,
                hash: keyed.packed(addr),
                subscriber,
                tag: old.tags[place],
                client: old.clients[place],
                now: old.seen[place],
                stale: 0,
                complete: place >= old.n_incomplete,
                completed: false,
                stopped: false,
                reachable: true,
            };
            if counted {
                shard.quota.add(subscriber);
            }
            shard.push(&entry, keyed, random);
        }
    }

    /// Bytes that its peers occupy on the heap.
    pub(super) fn heap(&self) -> usize {
        self.addrs.capacity() * N
            + (self.seen.capacity() + self.tags.capacity()) * size_of::<u16>()
            + self.clients.capacity() * size_of::<Client>()
            + self.index.heap()
            + self.quota.heap()
    }

    fn push(&mut self, entry: &Entry<N>, keyed: Keyed, random: &mut Random) {
        let last = self.len();
        if last == self.addrs.capacity() {
            // An eighth at a time: doubling would leave half of the memory empty.
            let more = last / 8 + 4;
            self.addrs.reserve_exact(more);
            self.seen.reserve_exact(more);
            self.tags.reserve_exact(more);
            self.clients.reserve_exact(more);
        }
        self.addrs.push(entry.addr);
        self.seen.push(entry.now);
        self.tags.push(entry.tag);
        self.clients.push(entry.client);
        let addrs = &self.addrs;
        self.index
            .insert(entry.hash, last, |place| keyed.packed(&addrs[place]));
        if entry.complete {
            let among = self.n_incomplete + random.below(last + 1 - self.n_incomplete);
            self.swap(last, among, keyed);
        } else {
            self.swap(last, self.n_incomplete, keyed);
            self.swap(
                self.n_incomplete,
                random.below(self.n_incomplete + 1),
                keyed,
            );
            self.n_incomplete += 1;
        }
    }

    /// Takes a peer over the line between those that need something and those that don't.
    fn cross(&mut self, place: usize, keyed: Keyed, random: &mut Random) {
        if place < self.n_incomplete {
            self.n_incomplete -= 1;
            self.swap(place, self.n_incomplete, keyed);
            let among = self.n_incomplete + random.below(self.len() - self.n_incomplete);
            self.swap(self.n_incomplete, among, keyed);
        } else {
            self.swap(place, self.n_incomplete, keyed);
            let among = random.below(self.n_incomplete + 1);
            self.swap(self.n_incomplete, among, keyed);
            self.n_incomplete += 1;
        }
    }

    fn remove(&mut self, place: usize, subscriber: u64, room: Room, keyed: Keyed) {
        let mut place = place;
        if place < self.n_incomplete {
            self.n_incomplete -= 1;
            self.swap(place, self.n_incomplete, keyed);
            place = self.n_incomplete;
        }
        let last = self.len() - 1;
        self.swap(place, last, keyed);
        let addrs = &self.addrs;
        self.index
            .remove(keyed.packed(&addrs[last]), last, |place| {
                keyed.packed(&addrs[place])
            });
        self.addrs.pop();
        self.seen.pop();
        self.tags.pop();
        self.clients.pop();
        if room.per_address < UNBOUNDED {
            self.quota.take(subscriber);
        }
    }

    fn swap(&mut self, one: usize, other: usize, keyed: Keyed) {
        if one == other {
            return;
        }
        let hash = |place: usize| (keyed.packed(&self.addrs[place]), place);
        self.index.exchange(hash(one), hash(other));
        self.addrs.swap(one, other);
        self.seen.swap(one, other);
        self.tags.swap(one, other);
        self.clients.swap(one, other);
    }

    fn shrink(&mut self, keyed: Keyed) {
        self.addrs.shrink_to_fit();
        self.seen.shrink_to_fit();
        self.tags.shrink_to_fit();
        self.clients.shrink_to_fit();
        let addrs = &self.addrs;
        self.index.shrink(|place| keyed.packed(&addrs[place]));
        self.quota.shrink();
    }
}
