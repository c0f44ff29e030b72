//! The first copies: what super-seeding (BEP 16) should have been. One machine a torrent that is held whole.
//!
//! While the pieces of a torrent are scarce, each peer is shown only what it is to fetch from us and pass on; what
//! it isn't shown it can't ask for, so the uplink carries no piece twice before every piece has gone out once.
//!
//! - It is on by itself while distributed copies are scarce, off when there are plenty, on again when a piece
//!   turns rare; in each world apart, since TCP and WebRTC peers can't feed each other.
//! - The rarest piece goes first, a random one of the equally rare; one that has been shown to a peer counts as a copy
//!   while it is under way, and is shown to another when the peer leaves or nothing comes of it.
//! - A piece is passed on when *another* peer shows it than the one it was given to. Who passes on gets more.
//! - As few pieces are under way as keep the uplink full (`pace`): so each is there soon, to be passed on.
//!   An uplink that would idle is never held back: more is shown, a second time if need be.
//!   Where nothing is asked for of what was shown, perhaps because it comes from elsewhere, other pieces are shown.
//! - Claims cost nothing. Pieces that a peer brought along, or could not have, count a third.
//! - The last pieces of the first copy don't wait for somebody slow: they are what goes out a second time first.
//! - A new peer is shown one piece at once, to see whether it wants anything. Who doesn't costs nothing further, and
//!   those who say so and take nothing hold no more than half of the places, for a moment.
//! - Where nobody tells what it has, there is nothing to be led by: everything is shown.
//!
//! The shell shows pieces to peers one by one ([`Spread::poll_reveal`]), and rejects requests for others. Whom to
//! choke is the choker's; the order of blocks is the connection's.

mod peer;
mod side;

#[cfg(test)]
mod tests;

use crate::random::Random;
use metainfo::geometry::Geometry;
use metainfo::ids::PieceIndex;
use peer::{Given, Peer};
use side::{SLOW_BAIT_PAUSE, Side};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use wire::bitfield::Bitfield;

/// Peers that can feed each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum World {
    /// Those that come by TCP and uTP.
    Native,
    /// Those that come by WebRTC.
    Browser,
}

/// How a world's peers are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Copies are scarce: pieces are shown one by one.
    Spreading,
    /// Everybody is shown everything.
    Plain,
}

/// What to show a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reveal {
    /// This piece, by a `have`.
    Piece(PieceIndex),
    /// Everything that it hasn't been shown yet. What it has itself may be left out.
    All,
}

/// When every piece was shown by some peer for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstCopy {
    /// How long after the first peer had come.
    pub after: Duration,
    /// Payload bytes sent until then, to everybody.
    pub sent: u64,
}

/// So many peers are enough to wait for, for one of the last pieces.
const MANY: u32 = 2;
/// How often the counters of bytes sent are to be handed in while pieces are under way.
const TICK: Duration = Duration::from_millis(50);
/// How often otherwise, while something was shown and hasn't come four times as often.
const SLOW_TICK: Duration = Duration::from_secs(1);

/// Decides what each peer is shown.
///
/// Hand in what happens (`handle_*`), then drain [`Self::poll_reveal`], and come again at [`Self::next_timeout`] with
/// the counters of what has been sent.
#[derive(Debug)]
pub struct Spread {
    geometry: Geometry,
    random: Random,
    peers: BTreeMap<u64, Peer>,
    /// Those that have come and have been shown nothing yet.
    fresh: BTreeSet<u64>,
    /// Those that pieces go to, and some that they no longer go to.
    takers: BTreeSet<u64>,
    /// Those that have been shown something and don't show it yet.
    busy: BTreeSet<u64>,
    native: Side,
    browser: Side,
    /// When the first peer came.
    began: Option<Instant>,
    sent: u64,
    first_copy: Option<FirstCopy>,
    n_withheld: u64,
}

impl Spread {
    /// A torrent without peers. `seed` makes the random choices.
    pub fn new(now: Instant, geometry: Geometry, seed: u64) -> Self {
        Self {
            geometry,
            random: Random::new(seed),
            peers: BTreeMap::new(),
            fresh: BTreeSet::new(),
            takers: BTreeSet::new(),
            busy: BTreeSet::new(),
            native: Side::new(now, geometry.n_pieces()),
            browser: Side::new(now, geometry.n_pieces()),
            began: None,
            sent: 0,
            first_copy: None,
            n_withheld: 0,
        }
    }

    // What happened.

    /// A peer is about to be admitted. [`Mode::Spreading`]: show it nothing but what [`Self::poll_reveal`] says;
    /// [`Mode::Plain`]: everything.
    pub fn handle_join(&mut self, now: Instant, key: u64, world: World) -> Mode {
        self.handle_leave(now, key);
        self.began.get_or_insert(now);
        let side = side_of(&mut self.native, &mut self.browser, world);
        side.handle_join(now);
        side.wake();
        let mode = side.mode();
        let mut peer = Peer::new(now, world, self.geometry.n_pieces());
        match mode {
            Mode::Plain => peer.show_all(),
            Mode::Spreading => {
                self.fresh.insert(key);
            }
        }
        self.peers.insert(key, peer);
        mode
    }

    /// A peer has gone, and with it what it had.
    pub fn handle_leave(&mut self, now: Instant, key: u64) {
        let Some(mut peer) = self.peers.remove(&key) else {
            return;
        };
        self.fresh.remove(&key);
        self.takers.remove(&key);
        let side = side_of(&mut self.native, &mut self.browser, peer.world);
        for given in peer.given.drain(..) {
            side.settle(&given);
        }
        for piece in self.geometry.pieces().filter(|piece| peer.has.has(*piece)) {
            side.lose_copy(piece, peer.claimed.has(piece));
        }
        side.handle_leave(now);
        side.wake();
    }

    /// So many bytes of payload have been sent to a peer in all. To be told before what the peer shows.
    pub fn handle_sent(&mut self, now: Instant, key: u64, total: u64) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        let more = total.saturating_sub(peer.sent);
        if more > 0 {
            self.sent += more;
            // There is one uplink for both worlds.
            (self.native.moved, self.browser.moved) = (now, now);
            let side = side_of(&mut self.native, &mut self.browser, peer.world);
            side.handle_sent(peer, more);
        }
    }

    /// Whether somebody waits for the uplink, for this torrent or another: then it doesn't idle, however little comes of
    /// what was shown.
    pub fn handle_uplink(&mut self, is_busy: bool) {
        self.native.is_uplink_busy = is_busy;
        self.browser.is_uplink_busy = is_busy;
    }

    /// A peer shows one piece more.
    pub fn handle_have(&mut self, now: Instant, key: u64, piece: PieceIndex) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        if !peer.has.set(piece) {
            return;
        }
        let side = side_of(&mut self.native, &mut self.browser, peer.world);
        side.is_heard = true;
        side.wake();
        let length = u64::from(self.geometry.piece_len(piece));
        let given = peer.take_given(piece);
        let is_paid = given.as_ref().is_some_and(|given| given.is_sent);
        let is_ours = is_paid || (peer.shown.has(piece) && peer.can_pay(length));
        if is_ours && !is_paid {
            peer.paid += length;
            side.look_whether_proven(peer);
        }
        // It has it from us, or from somebody who shows it; anything else is a claim.
        let is_earned = is_ours || side.is_shown(piece);
        if !is_earned {
            peer.claimed.set(piece);
        }
        if let Some(given) = given {
            side.settle(&given);
            if !peer.is_eager {
                self.fresh.insert(key);
            }
            if is_ours && given.counts() {
                side.handle_delivered(now, &given);
                peer.handle_delivered(now.saturating_duration_since(given.at));
            }
        }
        if is_earned
            && !is_ours
            && let Some(giver) = side.pass_on(piece)
            && let Some(giver) = self.peers.get_mut(&giver)
        {
            giver.unpassed = giver.unpassed.saturating_sub(1);
            giver.passed_on += length;
            side.passed_on += length;
        }
        side.gain_copy(piece, !is_earned);
        self.look_for_first_copy(now);
    }

    /// A peer no longer has a piece (`lt_donthave`).
    pub fn handle_dont_have(&mut self, _now: Instant, key: u64, piece: PieceIndex) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        if peer.has.unset(piece) {
            let claimed = peer.claimed.unset(piece);
            peer.has_seen_all = false;
            self.takers.insert(key);
            side_of(&mut self.native, &mut self.browser, peer.world).lose_copy(piece, claimed);
        }
    }

    /// A peer tells at once what it has (`bitfield`, `have all`, `have none`): that and nothing else.
    pub fn handle_bitfield(&mut self, now: Instant, key: u64, field: &Bitfield) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        let side = side_of(&mut self.native, &mut self.browser, peer.world);
        side.wake();
        for piece in self.geometry.pieces() {
            if field.has(piece) && peer.has.set(piece) {
                peer.claimed.set(piece);
                if let Some(given) = peer.take_given(piece) {
                    side.settle(&given);
                    if !peer.is_eager {
                        // It had that: something else is to show whether it wants anything.
                        self.fresh.insert(key);
                    }
                }
                side.gain_copy(piece, true);
            } else if !field.has(piece) && peer.has.unset(piece) {
                peer.has_seen_all = false;
                self.takers.insert(key);
                side.lose_copy(piece, peer.claimed.unset(piece));
            }
        }
        self.look_for_first_copy(now);
    }

    /// A peer wants something, or no longer.
    pub fn handle_interest(&mut self, now: Instant, key: u64, interested: bool) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        peer.interested = interested;
        if interested {
            peer.is_eager = true;
            self.takers.insert(key);
            let side = side_of(&mut self.native, &mut self.browser, peer.world);
            side.wake();
            for given in peer.given.iter_mut().filter(|given| given.is_bait) {
                given.is_bait = false;
                side.handle_answer();
                given.at = now;
                given.moved = now;
                if given.counts() {
                    side.start(given);
                }
            }
        }
    }

    /// The choker has decided: who is choked is shown nothing new.
    pub fn handle_choked(&mut self, _now: Instant, key: u64, choked: bool) {
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.choked = choked;
            if !choked {
                self.takers.insert(key);
            }
            side_of(&mut self.native, &mut self.browser, peer.world).wake();
        }
    }

    // What to do.

    /// What to show next, or `None` until something happens or [`Self::next_timeout`] has come.
    pub fn poll_reveal(&mut self, now: Instant) -> Option<(u64, Reveal)> {
        for world in [World::Native, World::Browser] {
            let side = side_of(&mut self.native, &mut self.browser, world);
            if side.n_peers == 0 {
                continue;
            }
            if side.is_due(now) {
                side.handle_timeout(now);
                self.busy.retain(|key| {
                    let Some(peer) = self.peers.get_mut(key) else {
                        return false;
                    };
                    if peer.world == world {
                        side.look_after(now, peer, &self.geometry);
                    }
                    !peer.given.is_empty()
                });
            }
            let found = match side.mode() {
                Mode::Plain => self.reveal_all(world),
                Mode::Spreading => self
                    .reveal_bait(now, world)
                    .or_else(|| self.reveal_relief(now, world))
                    .or_else(|| self.reveal_piece(now, world)),
            };
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// When to come again.
    pub fn next_timeout(&self, now: Instant) -> Option<Instant> {
        let sides = [&self.native, &self.browser];
        let present = sides.iter().filter(|side| side.n_peers > 0);
        let waits = present.map(|side| match side.mode() {
            Mode::Spreading if !self.fresh.is_empty() && side.has_room() => SLOW_BAIT_PAUSE,
            Mode::Spreading if side.wants_ticks(now) || !self.fresh.is_empty() => TICK,
            // Something may come of what no longer counts as under way, or has to go to others.
            Mode::Spreading if !self.busy.is_empty() => SLOW_TICK / 4,
            Mode::Spreading | Mode::Plain => SLOW_TICK,
        });
        waits.min().map(|wait| now + wait)
    }

    // What is known.

    /// How a world's peers are served now.
    pub fn mode(&self, world: World) -> Mode {
        self.side(world).mode()
    }

    /// Distributed copies in a world: how many copies there are of the rarest piece, and behind the point which part of
    /// the pieces has more.
    pub fn copies(&self, world: World) -> f64 {
        self.side(world).copies()
    }

    /// How many peers there are in a world.
    pub fn n_peers(&self, world: World) -> usize {
        self.side(world).n_peers
    }

    /// How many times a peer had so many pieces to come that it was shown no more.
    pub fn n_withheld(&self) -> u64 {
        self.n_withheld
    }

    /// When the first copy was out, once it is.
    pub fn first_copy(&self) -> Option<FirstCopy> {
        self.first_copy
    }

    /// Whether a piece has fewer than two copies in a world: it is to go before others.
    pub fn is_scarce(&self, world: World, piece: PieceIndex) -> bool {
        self.side(world).n_copies(piece) < 2
    }

    /// Whether what a peer takes is held within bounds by what it is shown, so that it needs no slot.
    pub fn metered(&self, key: u64) -> bool {
        self.peers.get(&key).is_some_and(|peer| {
            let spreading = self.side(peer.world).mode() == Mode::Spreading;
            spreading && peer.is_metered(self.geometry.piece_length().get())
        })
    }

    /// Bytes that a peer was given and others then had.
    pub fn passed_on(&self, key: u64) -> u64 {
        self.peers.get(&key).map_or(0, |peer| peer.passed_on)
    }

    /// How many bytes were passed on for each byte sent.
    pub fn propagation(&self) -> f64 {
        let passed = self.native.passed_on + self.browser.passed_on;
        passed as f64 / self.sent.max(1) as f64
    }

    // Inside.

    fn side(&self, world: World) -> &Side {
        match world {
            World::Native => &self.native,
            World::Browser => &self.browser,
        }
    }

    fn look_for_first_copy(&mut self, now: Instant) {
        let is_out = self.native.has_copy() || self.browser.has_copy();
        if is_out && self.first_copy.is_none() {
            let began = self.began.unwrap_or(now);
            self.first_copy = Some(FirstCopy {
                after: now.saturating_duration_since(began),
                sent: self.sent,
            });
        }
    }

    fn reveal_all(&mut self, world: World) -> Option<(u64, Reveal)> {
        let side = side_of(&mut self.native, &mut self.browser, world);
        let from = side.turned_plain?;
        let mut hidden = self.peers.range_mut(from..);
        let found = hidden.find(|(_, peer)| peer.world == world && !peer.is_shown_all());
        side.turned_plain = found.as_ref().map(|(key, _)| **key);
        let (key, peer) = found?;
        for given in peer.given.drain(..) {
            side.settle(&given);
        }
        self.fresh.remove(key);
        peer.show_all();
        Some((*key, Reveal::All))
    }

    /// Something for who has just come, the last one first.
    fn reveal_bait(&mut self, now: Instant, world: World) -> Option<(u64, Reveal)> {
        let side = side_of(&mut self.native, &mut self.browser, world);
        if self.fresh.is_empty() || !side.has_room() {
            return None;
        }
        let is_here = |key: &&u64| self.peers.get(*key).is_some_and(|peer| peer.world == world);
        let key = *self.fresh.iter().rev().find(is_here)?;
        if !side.may_bait(now, self.peers[&key].is_new(now)) {
            return None;
        }
        let found = self.give_rarest(now, key);
        // What is left may have to wait.
        if found.is_some() || self.peers.get(&key).is_none_or(|peer| peer.has_seen_all) {
            self.fresh.remove(&key);
        }
        found
    }

    /// A piece, though there is no room, for who has waited for long with empty hands, the first that came first: where
    /// those who are served pass nothing on, room comes too late for the others. Few at a time, since the more are under
    /// way, the later each is whole; who gets something from others doesn't need it.
    fn reveal_relief(&mut self, now: Instant, world: World) -> Option<(u64, Reveal)> {
        let side = side_of(&mut self.native, &mut self.browser, world);
        if self.fresh.is_empty() || side.has_room() || !side.may_relieve(now) {
            return None;
        }
        let is_forlorn = |key: &&u64| {
            let peer = self.peers.get(*key);
            peer.is_some_and(|peer| peer.world == world && peer.is_forlorn(now))
        };
        let key = *self.fresh.iter().find(is_forlorn)?;
        let found = self.give_rarest(now, key);
        if found.is_some() {
            self.fresh.remove(&key);
        }
        found
    }

    fn reveal_piece(&mut self, now: Instant, world: World) -> Option<(u64, Reveal)> {
        loop {
            let side = side_of(&mut self.native, &mut self.browser, world);
            if !side.has_room() || side.rests(now) {
                return None;
            }
            // Whom a piece is given to: who has least to pass on still, by chance among equals.
            let mut best: Option<((u32, u64), u64)> = None;
            self.takers.retain(|key| {
                let Some(peer) = self.peers.get(key).filter(|peer| peer.takes()) else {
                    return false;
                };
                let has_room = peer.is_proven() || side.has_room_to_try();
                if peer.world == world && has_room && peer.may_take() {
                    let rank = (peer.unpassed + peer.n_under_way(), self.random.next());
                    if best.is_none_or(|(least, _)| rank < least) {
                        best = Some((rank, *key));
                    }
                }
                true
            });
            let Some((_, key)) = best else {
                side.starve(now);
                return None;
            };
            if let Some(found) = self.give_rarest(now, key) {
                return Some(found);
            }
            // It has seen everything, or what is left has to wait.
            if self.peers.get(&key).is_none_or(Peer::takes) {
                return None;
            }
        }
    }

    /// The pieces that nobody shows yet, once all others are out: what was given first comes first, unless many were
    /// given it since.
    fn late(&self, world: World) -> Vec<PieceIndex> {
        let side = self.side(world);
        if side.has_fresh() || side.has_copy() {
            return Vec::new();
        }
        let busy = self.busy.iter().filter_map(|key| self.peers.get(key));
        let given = busy
            .filter(|peer| peer.world == world)
            .flat_map(|peer| &peer.given);
        let mut late: Vec<&Given> = given
            .filter(|given| side.n_copies(given.piece) == 0)
            .collect();
        let key = |given: &&Given| {
            let is_many = side.n_given(given.piece) > MANY;
            (is_many, given.at, given.piece.get())
        };
        late.sort_by_key(key);
        late.into_iter().map(|given| given.piece).collect()
    }

    /// Shows a peer the rarest piece that it doesn't have and wasn't shown.
    fn give_rarest(&mut self, now: Instant, key: u64) -> Option<(u64, Reveal)> {
        let late = self.late(self.peers.get(&key)?.world);
        let peer = self.peers.get_mut(&key)?;
        let side = side_of(&mut self.native, &mut self.browser, peer.world);
        let fits = |piece: u32| {
            let piece = self.geometry.piece(piece)?;
            (!peer.has.has(piece) && !peer.shown.has(piece)).then_some(piece)
        };
        let Some(mut piece) = side.rarest(&mut self.random, fits) else {
            peer.has_seen_all = true;
            return None;
        };
        if side.is_taken(piece) && peer.is_proven() {
            // What was shown to those who may never take it comes before what is under way, and what is under way before
            // what is there: the last pieces of the first copy aren't to wait for somebody slow.
            let late = late.into_iter().find(|late| fits(late.get()).is_some());
            piece = side.tried_piece(fits).or(late).unwrap_or(piece);
        }
        if side.is_taken(piece) && !side.may_repeat() {
            return None;
        }
        if side.give(now, piece, key, !peer.is_proven()) {
            peer.unpassed += 1;
        }
        peer.give(now, piece);
        self.n_withheld += u64::from(peer.is_full());
        if let Some(given) = peer.given.last().filter(|given| given.counts()) {
            side.start(given);
        }
        self.busy.insert(key);
        Some((key, Reveal::Piece(piece)))
    }
}

fn side_of<'a>(native: &'a mut Side, browser: &'a mut Side, world: World) -> &'a mut Side {
    match world {
        World::Native => native,
        World::Browser => browser,
    }
}
