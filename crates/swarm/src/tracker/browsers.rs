//! Browsers of one swarm: one list for both address families, since two that know of each other by the tracker find
//! their way by ICE. A peer is a peer id on a socket; whoever else claims that peer id is refused.
//!
//! Who stands near whom is known by rings: viewers of one /24 or /48 are linked in a circle, of which the index has
//! one, and which turns as offers are handed out, so that each of them has its turn.

mod ring;

use super::exchange::{BrowserAnnounce, SocketId};
use super::index::{self, Index};
use super::interval::ticks;
use super::keyed::Keyed;
use super::limits::Limits;
use super::quota::{Quota, UNBOUNDED};
use metainfo::ids::PeerId;
use std::net::IpAddr;
use wire::tracker::Event;

/// So many of the last offers that reached a viewer are remembered.
pub(super) const REMEMBERED: usize = 12;

/// A browser's place in a swarm.
#[derive(Debug)]
pub(super) struct Viewer {
    pub(super) socket: SocketId,
    pub(super) peer_id: PeerId,
    /// Its /24 or /48.
    pub(super) near: u64,
    /// Its autonomous system, 0 where that is not known.
    pub(super) asn: u32,
    /// Where it played when it announced last, in milliseconds; `u32::MAX` where it didn't say.
    pub(super) position: u32,
    subscriber: u32,
    /// Its neighbours in the ring of its /24 or /48.
    next: u32,
    previous: u32,
    /// When it announced last, in coarse ticks.
    pub(super) seen: u16,
    /// When an offer reached it last.
    offered_at: u16,
    /// Tags of those whose offers reached it last, 0 where there is none.
    offered_by: [u16; REMEMBERED],
    oldest_offer: u8,
    /// Offers that reached it since `counted_from`, the first of its announces that was long enough after the last.
    pub(super) received: u8,
    counted_from: u16,
    pub(super) complete: bool,
    /// It was told to wait.
    pub(super) waits: bool,
}

/// What an announce brought, in the form it is used in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival<'a> {
    pub(super) announce: &'a BrowserAnnounce,
    pub(super) subscriber: u64,
    /// In coarse ticks.
    pub(super) now: u16,
    /// Whether it is told to wait.
    pub(super) waits: bool,
}

/// What became of a browser's announce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entered {
    /// A new viewer is in, at this place.
    Arrived(usize),
    /// A known one was refreshed; whether it has just got everything.
    Known {
        place: usize,
        completion: bool,
    },
    /// Nothing is in: it leaves, or was not there.
    Gone,
    /// Another socket has this peer id.
    PeerIdTaken,
    SwarmFull,
    SocketFull,
    AddressFull,
}

/// The browsers of a swarm.
#[derive(Debug, Default)]
pub(super) struct Browsers {
    pub(super) viewers: Vec<Viewer>,
    n_complete: usize,
    by_peer: Index,
    by_socket: Index,
    /// One of each ring.
    by_near: Index,
    quota: Quota,
}

impl Viewer {
    /// Whether an offer of this tag reached it within the last ticks.
    pub(super) fn has_lately(&self, tag: u16, now: u16, window: u16) -> bool {
        now.wrapping_sub(self.offered_at) < window && self.offered_by.contains(&tag)
    }

    pub(super) fn receive(&mut self, tag: u16, now: u16) {
        self.received = self.received.saturating_add(1);
        self.offered_at = now;
        self.offered_by[usize::from(self.oldest_offer)] = tag;
        self.oldest_offer = (self.oldest_offer + 1) % REMEMBERED as u8;
    }
}

impl Browsers {
    pub(super) fn n_complete(&self) -> usize {
        self.n_complete
    }

    /// Enters, refreshes or removes a viewer.
    pub(super) fn enter(
        &mut self,
        arrival: &Arrival<'_>,
        limits: &Limits,
        keyed: Keyed,
    ) -> Entered {
        let announce = arrival.announce;
        let stopped = announce.event == Event::Stopped;
        let complete = announce.left == Some(0);
        let position = announce
            .position_ms
            .map_or(u32::MAX, |ms| ms.min(u64::from(u32::MAX - 1)) as u32);
        let Some(place) = self.place_of(&announce.peer_id, keyed) else {
            if stopped {
                return Entered::Gone;
            }
            if self.viewers.len() >= limits.peers_per_swarm.min(index::MOST) {
                return Entered::SwarmFull;
            }
            if self.of_socket(announce.socket, keyed).count() >= limits.peers_per_socket {
                return Entered::SocketFull;
            }
            if limits.peers_per_address < UNBOUNDED {
                if self.quota.count(arrival.subscriber) >= limits.peers_per_address {
                    return Entered::AddressFull;
                }
                self.quota.add(arrival.subscriber);
            }
            self.n_complete += usize::from(complete);
            return Entered::Arrived(self.push(arrival, position, keyed));
        };
        let viewer = &mut self.viewers[place];
        if viewer.socket != announce.socket {
            return Entered::PeerIdTaken;
        }
        if stopped {
            self.remove(place, limits, keyed);
            return Entered::Gone;
        }
        viewer.seen = arrival.now;
        // Announcing often attracts no more offers.
        let window = ticks(limits.offer_window);
        if arrival.now.wrapping_sub(viewer.counted_from) >= window {
            viewer.received = 0;
            viewer.counted_from = arrival.now;
        }
        viewer.position = position;
        viewer.waits = arrival.waits;
        let completion = announce.event == Event::Completed && !viewer.complete;
        self.n_complete += usize::from(complete);
        self.n_complete -= usize::from(viewer.complete);
        viewer.complete = complete;
        Entered::Known { place, completion }
    }

    /// Where an answer goes: to who made the offer, if that reached this socket.
    pub(super) fn answer(&self, from: SocketId, to: &PeerId, keyed: Keyed) -> Option<SocketId> {
        let to = &self.viewers[self.place_of(to, keyed)?];
        let tag = tag(&to.peer_id, keyed);
        self.of_socket(from, keyed)
            .any(|place| self.viewers[place].offered_by.contains(&tag))
            .then_some(to.socket)
    }

    /// Takes out all that came over a socket.
    pub(super) fn close(&mut self, socket: SocketId, limits: &Limits, keyed: Keyed) {
        loop {
            let place = self.of_socket(socket, keyed).next();
            let Some(place) = place else {
                return;
            };
            self.remove(place, limits, keyed);
        }
    }

    /// Forgets who is overdue among the last `most` below `below`; gives where it stopped.
    pub(super) fn expire(
        &mut self,
        overdue: impl Fn(u16) -> bool,
        (below, most): (usize, usize),
        limits: &Limits,
        keyed: Keyed,
    ) -> usize {
        let before = self.viewers.len();
        let below = below.min(before);
        let end = below.saturating_sub(most);
        // Backwards: what fills a gap comes from behind and was looked at.
        for place in (end..below).rev() {
            if overdue(self.viewers[place].seen) {
                self.remove(place, limits, keyed);
            }
        }
        if self.viewers.len() < before && self.viewers.capacity() > self.viewers.len() * 2 + 8 {
            self.shrink(keyed);
        }
        end
    }

    /// Adds those who wait to `into`, up to `most` in all, looking at no more than `look` below `below`; they wait no
    /// longer. Gives where it stopped.
    pub(super) fn wake(
        &mut self,
        (below, look): (usize, usize),
        most: usize,
        mut into: impl FnMut(SocketId) -> usize,
    ) -> usize {
        let below = below.min(self.viewers.len());
        for place in (below.saturating_sub(look)..below).rev() {
            let viewer = &mut self.viewers[place];
            if viewer.waits {
                viewer.waits = false;
                if into(viewer.socket) >= most {
                    return place;
                }
            }
        }
        below.saturating_sub(look)
    }

    /// Bytes that its viewers occupy on the heap.
    pub(super) fn heap(&self) -> usize {
        self.viewers.capacity() * size_of::<Viewer>()
            + self.by_peer.heap()
            + self.by_socket.heap()
            + self.by_near.heap()
            + self.quota.heap()
    }

    fn place_of(&self, id: &PeerId, keyed: Keyed) -> Option<usize> {
        let hash = keyed.peer_id(id);
        self.by_peer
            .find(hash, |place| self.viewers[place].peer_id == *id)
    }

    fn of_socket(&self, socket: SocketId, keyed: Keyed) -> impl Iterator<Item = usize> + '_ {
        self.by_socket
            .matching(keyed.number(socket.0))
            .filter(move |place| self.viewers[*place].socket == socket)
    }

    fn push(&mut self, arrival: &Arrival<'_>, position: u32, keyed: Keyed) -> usize {
        let announce = arrival.announce;
        let place = self.viewers.len();
        if place == self.viewers.capacity() {
            self.viewers.reserve_exact(place / 8 + 4);
        }
        self.viewers.push(Viewer {
            socket: announce.socket,
            peer_id: announce.peer_id,
            near: near(announce.from),
            asn: announce.area.asn,
            position,
            subscriber: arrival.subscriber as u32,
            next: place as u32,
            previous: place as u32,
            seen: arrival.now,
            offered_at: arrival.now,
            offered_by: [0; REMEMBERED],
            oldest_offer: 0,
            received: 0,
            counted_from: arrival.now,
            complete: announce.left == Some(0),
            waits: arrival.waits,
        });
        let viewers = &self.viewers;
        let peer_hash = |place: usize| keyed.peer_id(&viewers[place].peer_id);
        let socket_hash = |place: usize| keyed.number(viewers[place].socket.0);
        self.by_peer.insert(peer_hash(place), place, peer_hash);
        self.by_socket
            .insert(socket_hash(place), place, socket_hash);
        self.link(place, keyed);
        place
    }

    fn remove(&mut self, place: usize, limits: &Limits, keyed: Keyed) {
        self.unlink(place, keyed);
        let last = self.viewers.len() - 1;
        let viewers = &self.viewers;
        let peer_hash = |place: usize| keyed.peer_id(&viewers[place].peer_id);
        let socket_hash = |place: usize| keyed.number(viewers[place].socket.0);
        self.by_peer.remove(peer_hash(place), place, peer_hash);
        self.by_socket
            .remove(socket_hash(place), place, socket_hash);
        if place != last {
            self.by_peer.relocate(peer_hash(last), last, place);
            self.by_socket.relocate(socket_hash(last), last, place);
            self.move_in_ring(last, place, keyed);
        }
        let gone = self.viewers.swap_remove(place);
        self.n_complete -= usize::from(gone.complete);
        if limits.peers_per_address < UNBOUNDED {
            self.quota.take(u64::from(gone.subscriber));
        }
    }

    fn shrink(&mut self, keyed: Keyed) {
        self.viewers.shrink_to_fit();
        let viewers = &self.viewers;
        self.by_peer
            .shrink(|place| keyed.peer_id(&viewers[place].peer_id));
        self.by_socket
            .shrink(|place| keyed.number(viewers[place].socket.0));
        self.by_near
            .shrink(|place| keyed.number(viewers[place].near));
        self.quota.shrink();
    }
}

/// A tag of a peer id, never 0.
pub(super) fn tag(id: &PeerId, keyed: Keyed) -> u16 {
    ((keyed.peer_id(id) >> 16) as u16).max(1)
}

/// The /24 or /48 of an address.
fn near(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(v4) => 0xffff << 48 | u64::from(u32::from(v4) >> 8),
        IpAddr::V6(v6) => (u128::from(v6) >> 80) as u64,
    }
}

#[cfg(test)]
mod tests;
