//! Whom to unchoke, one machine a torrent.
//!
//! As a seed ([`Kind::Seed`]) everybody has a turn (`turns`); as a fetcher ([`Kind::Fetch`]) those who give most
//! come first, and somebody else by chance (`exchange`). How many are served at once follows the uplink
//! (`slots`). Who was served lately and comes back under the same address is nobody new (`memory`). In spread
//! mode peers are metered by what they are shown, need no slot, and are unchoked before they ask.
//!
//! What is not here: what anybody is shown or sent.

mod exchange;
mod memory;
mod slots;
mod turns;

#[cfg(test)]
mod tests;

use crate::random::Random;
use memory::Memory;
use slots::Slots;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};
use turns::PeerView;

/// What to tell a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The peer.
    pub key: u64,
    /// Whether it is to be choked or unchoked.
    pub choke: bool,
}

/// What we are to the torrent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It is here whole: everybody is served in turn.
    Seed,
    /// It is being fetched: who gives is given.
    Fetch,
}

/// How the uplink is shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How many peers are served at once before anything is known of the uplink.
    pub slots: usize,
    /// How few at least.
    pub least_slots: usize,
    /// What one slot should have, in bytes a second: as many as can have that get one.
    pub slot_rate: u64,
    /// How many bytes make a turn.
    pub quota: u64,
    /// How long a turn lasts at least, and half as long as it lasts at most.
    pub turn: Duration,
    /// How many bytes make a turn while somebody waits who never had any.
    pub first_quota: u64,
    /// How long such a turn lasts at least.
    pub first_turn: Duration,
    /// How long a slot is kept for a peer that has stopped wanting.
    pub linger: Duration,
    /// How long an address that was served is remembered.
    pub remember: Duration,
    /// How many addresses are remembered.
    pub most_remembered: usize,
    /// How many metered peers that want something are unchoked without a slot.
    pub most_metered: usize,
    /// How long, in fetching, who gives most keeps its slot; somebody by chance keeps one three times as long.
    pub round: Duration,
}

impl Policy {
    /// What [`Default`] gives.
    pub const DEFAULT: Self = Self {
        slots: 64,
        least_slots: 4,
        slot_rate: 20 * 1024,
        quota: 4 * 1024 * 1024,
        turn: Duration::from_secs(30),
        first_quota: 128 * 1024,
        first_turn: Duration::from_secs(2),
        linger: Duration::from_secs(10),
        remember: Duration::from_secs(600),
        most_remembered: 4096,
        most_metered: 4096,
        round: Duration::from_secs(10),
    };
}

impl Default for Policy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// How often turns are looked at.
const TICK: Duration = Duration::from_millis(500);
/// What a socket may take before it shows how fast the link is: it doesn't count as gone.
const SOAKED: u64 = 64 * 1024;

/// One peer.
#[derive(Debug)]
struct Peer {
    address: Option<IpAddr>,
    /// Since when it wants something, or nothing.
    interest: (bool, Instant),
    choked: (bool, Instant),
    /// Bytes of payload sent to it, and when its turn began.
    sent: u64,
    sent_before_turn: u64,
    /// How much of it its address is known to have had.
    noted: u64,
    /// What its address had before it came.
    had: u64,
    /// Bytes of payload that came from it, and until the last round.
    received: u64,
    received_before: u64,
    /// What came in the last whole round.
    gave: u64,
    joined: Instant,
    metered: bool,
}

impl Peer {
    fn note(&mut self, now: Instant, memory: &mut Memory) {
        let more = self.sent - self.noted;
        if let Some(address) = self.address.filter(|_| more > 0) {
            memory.note(now, address, more);
            self.noted = self.sent;
        }
    }
}

/// Decides who is choked. Everybody is, to begin with.
///
/// Hand in what happens (`handle_*`), then drain [`Self::poll_change`], and come again at [`Self::next_timeout`] with
/// the counters of what was sent and received.
#[derive(Debug)]
pub struct Choker {
    kind: Kind,
    policy: Policy,
    random: Random,
    peers: BTreeMap<u64, Peer>,
    /// Those about whom there may be something to decide: the others cost nothing.
    live: BTreeSet<u64>,
    memory: Memory,
    slots: Slots,
    exchange: exchange::Chances,
    /// Those that have come to be metered since the last look.
    newly_metered: Vec<u64>,
    /// How many metered peers more may be let in until the next look.
    room: usize,
    /// Something has happened since the last decision.
    is_stale: bool,
    looked: Instant,
    changes: VecDeque<Change>,
    /// How many metered peers had to wait at the last look, and in all.
    kept_out: usize,
    n_kept_out: u64,
}

impl Choker {
    /// A torrent without peers. `seed` makes the random choices.
    pub fn new(now: Instant, kind: Kind, policy: Policy, seed: u64) -> Self {
        Self {
            kind,
            policy,
            random: Random::new(seed),
            peers: BTreeMap::new(),
            live: BTreeSet::new(),
            memory: Memory::new(policy.most_remembered, policy.remember),
            slots: Slots::new(now, &policy),
            exchange: exchange::Chances::new(now),
            newly_metered: Vec::new(),
            room: policy.most_metered,
            is_stale: false,
            looked: now,
            changes: VecDeque::new(),
            kept_out: 0,
            n_kept_out: 0,
        }
    }

    // What happened.

    /// A peer has come; its address, where it has one that is worth remembering.
    pub fn handle_join(&mut self, now: Instant, key: u64, address: Option<IpAddr>) {
        let had = address.map_or(0, |address| self.memory.given(now, address));
        let peer = Peer {
            address,
            interest: (false, now),
            choked: (true, now),
            sent: 0,
            sent_before_turn: 0,
            noted: 0,
            had,
            received: 0,
            received_before: 0,
            gave: 0,
            joined: now,
            metered: false,
        };
        self.peers.insert(key, peer);
        self.live.remove(&key);
        self.changes.retain(|change| change.key != key);
    }

    /// A peer has gone.
    pub fn handle_leave(&mut self, now: Instant, key: u64) {
        if let Some(mut peer) = self.peers.remove(&key) {
            peer.note(now, &mut self.memory);
            self.changes.retain(|change| change.key != key);
            // Who was nobody to decide about leaves nothing to decide behind.
            self.is_stale |= self.live.remove(&key);
        }
    }

    /// A peer wants something, or no longer.
    pub fn handle_interest(&mut self, now: Instant, key: u64, interested: bool) {
        if let Some(peer) = self.peers.get_mut(&key)
            && peer.interest.0 != interested
        {
            peer.interest = (interested, now);
            // Who is metered holds no slot.
            self.is_stale |= !peer.metered;
            self.look_at(key);
        }
    }

    /// What a peer takes is held within bounds by what it is shown ([`crate::spread::Spread::metered`]).
    pub fn handle_metered(&mut self, key: u64, metered: bool) {
        if let Some(peer) = self.peers.get_mut(&key)
            && peer.metered != metered
        {
            peer.metered = metered;
            if metered {
                self.newly_metered.push(key);
            } else {
                self.is_stale = true;
            }
            self.look_at(key);
        }
    }

    /// A torrent that was fetched is whole now, or the other way round.
    pub fn handle_kind(&mut self, kind: Kind) {
        self.is_stale |= self.kind != kind;
        self.kind = kind;
    }

    /// So many bytes of payload have been sent to a peer in all.
    pub fn handle_sent(&mut self, _now: Instant, key: u64, total: u64) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        let more = total.saturating_sub(peer.sent);
        if more == 0 {
            return;
        }
        let soaked = SOAKED.saturating_sub(peer.sent).min(more);
        peer.sent += more;
        self.slots.handle_sent(more - soaked);
    }

    /// So many bytes of payload have come from a peer in all.
    pub fn handle_received(&mut self, _now: Instant, key: u64, total: u64) {
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.received = peer.received.max(total);
        }
    }

    /// The limit of the uplink, in bytes a second, where there is one.
    pub fn handle_limit(&mut self, limit: Option<u64>) {
        self.slots.set_limit(limit);
    }

    // What to do.

    /// The next peer to choke or unchoke, or `None` until something happens or [`Self::next_timeout`] has come.
    pub fn poll_change(&mut self, now: Instant) -> Option<Change> {
        let is_due = now.saturating_duration_since(self.looked) >= TICK / 2;
        if self.changes.is_empty() && (self.is_stale || is_due) {
            self.is_stale = false;
            self.decide(now, is_due);
        } else if self.changes.is_empty() && !self.newly_metered.is_empty() {
            self.let_in(now);
        }
        self.changes.pop_front()
    }

    /// When to come again: as long as there are peers.
    pub fn next_timeout(&self, now: Instant) -> Option<Instant> {
        (!self.peers.is_empty()).then(|| now + TICK)
    }

    /// How many peers are served at once now, beside those that are metered.
    pub fn slots(&self) -> usize {
        self.slots.count(&self.policy)
    }

    /// Whether a peer is choked, as far as it has been told.
    pub fn is_choked(&self, key: u64) -> bool {
        self.peers.get(&key).is_none_or(|peer| peer.choked.0)
    }

    /// How many times a peer whose takings are metered had to wait because [`Policy::most_metered`] others want
    /// something.
    pub fn n_kept_out(&self) -> u64 {
        self.n_kept_out
    }

    /// How many addresses were forgotten early because [`Policy::most_remembered`] others were served since.
    pub fn n_forgotten(&self) -> u64 {
        self.memory.n_forgotten()
    }

    // Inside.

    fn live(&self) -> impl Iterator<Item = (&u64, &Peer)> + Clone {
        self.live
            .iter()
            .filter_map(|key| Some((key, self.peers.get(key)?)))
    }

    /// Whether there may be something to decide about a peer: it wants something, or is let in though it needs a slot,
    /// or isn't though it needs none.
    fn look_at(&mut self, key: u64) {
        let is_live = |peer: &Peer| peer.interest.0 || peer.choked.0 == peer.metered;
        if self.peers.get(&key).is_some_and(is_live) {
            self.live.insert(key);
        } else {
            self.live.remove(&key);
        }
    }

    fn decide(&mut self, now: Instant, is_due: bool) {
        if is_due {
            self.looked = now;
            let waits = self
                .live()
                .any(|(_, peer)| peer.interest.0 && peer.choked.0 && !peer.metered);
            self.slots.handle_timeout(now, waits);
        }
        self.newly_metered.clear();
        let mut changes = self.metered();
        let slots = self.slots();
        changes.extend(match self.kind {
            Kind::Seed => turns::choose(now, &self.views(), slots, &self.policy),
            Kind::Fetch => {
                let peers = &mut self.peers;
                self.exchange
                    .choose(now, peers, slots, &self.policy, &mut self.random)
            }
        });
        self.apply(now, changes);
    }

    /// Unchokes who has come to be metered, without a look at all others.
    fn let_in(&mut self, now: Instant) {
        let mut changes = Vec::new();
        for key in std::mem::take(&mut self.newly_metered) {
            let is_shut = |peer: &&Peer| peer.metered && peer.choked.0;
            if self.peers.get(&key).filter(is_shut).is_none() {
                continue;
            }
            if self.room > 0 {
                self.room -= 1;
                changes.push(Change { key, choke: false });
            } else {
                self.kept_out += 1;
                self.n_kept_out += 1;
            }
        }
        self.apply(now, changes);
    }

    fn apply(&mut self, now: Instant, changes: Vec<Change>) {
        for change in &changes {
            if let Some(peer) = self.peers.get_mut(&change.key) {
                if !change.choke
                    && let Some(address) = peer.address
                {
                    // Who is let in is nobody new under any other port either.
                    self.memory.note(now, address, 1);
                }
                peer.note(now, &mut self.memory);
                peer.choked = (change.choke, now);
                peer.sent_before_turn = peer.sent;
            }
            self.look_at(change.key);
        }
        self.changes.extend(changes);
    }

    /// Metered peers are let in before they ask, within bounds.
    fn metered(&mut self) -> Vec<Change> {
        let metered = self.live().filter(|(_, peer)| peer.metered);
        // Who is let in and wants nothing costs nothing.
        let takes = |peer: &Peer| !peer.choked.0 && peer.interest.0;
        let served = metered.clone().filter(|(_, peer)| takes(peer)).count();
        let room = self.policy.most_metered.saturating_sub(served);
        let choked = metered.filter(|(_, peer)| peer.choked.0);
        let mut unchoke: Vec<Change> = choked
            .map(|(key, _)| Change {
                key: *key,
                choke: false,
            })
            .collect();
        let kept_out = unchoke.len().saturating_sub(room);
        self.n_kept_out += kept_out.saturating_sub(self.kept_out) as u64;
        self.kept_out = kept_out;
        unchoke.truncate(room);
        self.room = room - unchoke.len();
        unchoke
    }

    fn views(&self) -> Vec<PeerView> {
        let own = self.live().filter(|(_, peer)| !peer.metered);
        let view = own.map(|(key, peer)| PeerView {
            key: *key,
            interest: peer.interest,
            choked: peer.choked,
            sent_this_turn: peer.sent - peer.sent_before_turn,
            sent: peer.sent + peer.had,
        });
        view.collect()
    }
}
