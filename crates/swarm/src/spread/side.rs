//! One world of a torrent: how many copies each of its pieces has there, what is under way, and whether that is
//! spreading or plain seeding.

use super::peer::{Given, Peer};
use super::{Mode, TICK};
use crate::pace::Pace;
use crate::random::Random;
use crate::rarity::Rarity;
use metainfo::geometry::Geometry;
use metainfo::ids::PieceIndex;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// With so many copies of every piece there are plenty.
const PLENTY: u32 = 3;
/// With fewer of any it is scarce again.
const SCARCE: u32 = 2;
/// How many claims weigh as much as one piece that was seen to go over.
const CLAIMS_A_COPY: u32 = 3;
/// How many pieces are under way at first, and at least: a TCP flow that has rested takes several round trips to
/// come to speed again, so a few have to overlap. Measured at 16 Mbit/s: with three the link is nine tenths full.
const FIRST_PIECES: usize = 8;
const LEAST_PIECES: usize = 8;
const MOST_PIECES: usize = 65_536;
/// How long a piece is taken to need before one has come over.
const FIRST_LATENCY: Duration = Duration::from_millis(250);
/// How long nothing may happen to a piece that was given, beside eight times what pieces need, before it is lost.
const LOST: Duration = Duration::from_secs(10);
/// After so many pieces and so long without a word, peers aren't believed to tell what they have.
const SILENT_PIECES: u32 = 16;
const SILENT_TIME: Duration = Duration::from_secs(3);

/// While pieces that nobody has are under way, others wait until no more than this are: the link is still busy.
const LAST_PIECES: usize = 4;
/// With fewer pieces there is nothing to spread. (And libtorrent 2.0 leaves whoever comes to have everything by the
/// first `have`.)
const FEW_PIECES: u32 = 4;
/// How many new peers are shown something in so short a time. Those that want something answer and count from then on.
const BAITS: u32 = 8;
const BAIT_PAUSE: Duration = Duration::from_millis(5);
/// How long one waits for the other while as many as there are places only say that they want something.
pub(super) const SLOW_BAIT_PAUSE: Duration = Duration::from_millis(2);
/// In what time all are shown something who wait with empty hands, however many there are, and the pause between two of them: at least, at most.
const RELIEF: Duration = Duration::from_secs(20);
const RELIEF_PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
/// How long a peer may take to want what it is shown.
const ANSWER: Duration = Duration::from_secs(1);
/// How long what was shown to a peer that has never taken anything counts as taken.
const TRIED: Duration = Duration::from_secs(2);
/// After so long without a byte the uplink idles.
const IDLE: Duration = Duration::from_millis(250);
/// How long nobody is looked for after nobody was found, unless something happens.
const REST: Duration = Duration::from_millis(100);
/// With so many there is no choosing.
const FEW_PEERS: usize = 2;

const NOBODY: u64 = u64::MAX;

#[derive(Debug)]
pub(super) struct Side {
    n_pieces: u32,
    pub(super) n_peers: usize,
    /// Pieces by copies and by what is under way; empty until the first peer comes, as the lists below.
    rarity: Rarity,
    /// How many peers show each piece and have it from us or from one who shows it.
    shown: Vec<u32>,
    /// How many merely say so.
    claimed: Vec<u32>,
    /// The only one that was given each piece.
    giver: Vec<u64>,
    /// How many pieces have fewer than 1, 2 and 3 copies.
    below: [u32; PLENTY as usize],
    is_plain: bool,
    /// From which peer on some may not have been shown everything yet.
    pub(super) turned_plain: Option<u64>,
    /// Somebody has shown a piece that it didn't bring along.
    pub(super) is_heard: bool,
    /// Pieces that were sent without a word of it.
    silent: u32,
    /// When the first piece was given.
    began: Option<Instant>,
    pub(super) sent: u64,
    pub(super) passed_on: u64,
    /// Pieces under way to those that have taken something before, and to those that never have.
    load: usize,
    tried: usize,
    /// The pieces of the latter, with how many have been shown each.
    tried_pieces: BTreeMap<u32, u32>,
    /// When a byte was last sent, to whichever world.
    pub(super) moved: Instant,
    /// Somebody waits for the uplink, here or elsewhere: it doesn't idle.
    pub(super) is_uplink_busy: bool,
    /// There was room for more under way, and nobody to take it, since the last look.
    is_starved: bool,
    /// When nobody was found; nothing has happened since.
    resting: Option<Instant>,
    /// How many new peers have been shown something since then.
    baits: (u32, Instant),
    /// When the last one was.
    baited: Instant,
    /// When a piece was last shown though there was no room.
    relieved: Instant,
    /// When the last peer came.
    joined: Instant,
    pace: Pace,
    /// How long it takes from showing a piece to seeing it, on the average.
    latency: Option<Duration>,
    looked: Instant,
}

impl Side {
    pub(super) fn new(now: Instant, n_pieces: u32) -> Self {
        Self {
            n_pieces,
            n_peers: 0,
            rarity: Rarity::new(0, Vec::new()),
            shown: Vec::new(),
            claimed: Vec::new(),
            giver: Vec::new(),
            below: [n_pieces; PLENTY as usize],
            is_plain: n_pieces < FEW_PIECES,
            turned_plain: None,
            is_heard: false,
            silent: 0,
            began: None,
            sent: 0,
            passed_on: 0,
            load: 0,
            tried: 0,
            tried_pieces: BTreeMap::new(),
            moved: now,
            is_uplink_busy: false,
            is_starved: false,
            resting: None,
            baits: (0, now),
            baited: now,
            relieved: now,
            joined: now,
            pace: first_pace(now),
            latency: None,
            looked: now,
        }
    }

    pub(super) fn handle_join(&mut self, now: Instant) {
        self.n_peers += 1;
        self.joined = now;
        if self.shown.is_empty() {
            let n = self.n_pieces as usize;
            self.rarity = Rarity::new(self.n_pieces, (0..self.n_pieces).collect());
            self.shown = vec![0; n];
            self.claimed = vec![0; n];
            self.giver = vec![NOBODY; n];
        }
    }

    pub(super) fn handle_leave(&mut self, now: Instant) {
        self.n_peers -= 1;
        if self.n_peers == 0 {
            // What was found out was true of those peers.
            self.pace = first_pace(now);
            self.latency = None;
            self.is_heard = false;
            self.silent = 0;
            self.began = None;
            self.is_plain = self.n_pieces < FEW_PIECES;
        }
    }

    pub(super) fn mode(&self) -> Mode {
        if self.is_plain {
            Mode::Plain
        } else {
            Mode::Spreading
        }
    }

    // Copies.

    pub(super) fn n_copies(&self, piece: PieceIndex) -> u32 {
        let at = piece.as_usize();
        match (self.shown.get(at), self.claimed.get(at)) {
            (Some(shown), Some(claimed)) => shown + claimed / CLAIMS_A_COPY,
            _ => 0,
        }
    }

    /// Whether somebody shows this piece who can have it.
    pub(super) fn is_shown(&self, piece: PieceIndex) -> bool {
        self.shown[piece.as_usize()] > 0
    }

    pub(super) fn has_copy(&self) -> bool {
        self.n_peers > 0 && self.below[0] == 0
    }

    pub(super) fn copies(&self) -> f64 {
        let counts = self.shown.iter().zip(&self.claimed);
        let copies = counts.map(|(shown, claimed)| shown + claimed / CLAIMS_A_COPY);
        let Some(least) = copies.clone().min() else {
            return 0.0;
        };
        let more = copies.filter(|copies| *copies > least).count();
        f64::from(least) + more as f64 / f64::from(self.n_pieces)
    }

    pub(super) fn gain_copy(&mut self, piece: PieceIndex, is_claim: bool) {
        let before = self.n_copies(piece);
        let counts = if is_claim {
            &mut self.claimed
        } else {
            &mut self.shown
        };
        counts[piece.as_usize()] += 1;
        if self.n_copies(piece) > before {
            self.rarity.increment(piece.get());
            if let Some(below) = self.below.get_mut(before as usize) {
                *below -= 1;
            }
        }
        self.decide();
    }

    pub(super) fn lose_copy(&mut self, piece: PieceIndex, is_claim: bool) {
        let before = self.n_copies(piece);
        let counts = if is_claim {
            &mut self.claimed
        } else {
            &mut self.shown
        };
        counts[piece.as_usize()] -= 1;
        let after = self.n_copies(piece);
        if after < before {
            self.rarity.decrement(piece.get());
            if let Some(below) = self.below.get_mut(after as usize) {
                *below += 1;
            }
        }
        self.decide();
    }

    fn decide(&mut self) {
        let below = |copies: u32| self.below[copies as usize - 1];
        let is_mute = !self.is_heard && self.silent >= SILENT_PIECES;
        if self.is_plain {
            self.is_plain = below(SCARCE) == 0 || is_mute || self.n_pieces < FEW_PIECES;
        } else if below(PLENTY) == 0 || is_mute {
            self.is_plain = true;
            self.turned_plain = Some(0);
        }
    }

    // What is under way.

    /// Whether one more may be under way. One or two peers have nobody to wait for: their windows are enough.
    ///
    /// Who has never taken anything is believed to want it up to half of the places: more can't be held by those who
    /// only say so.
    pub(super) fn has_room(&self) -> bool {
        let limit = self.pace.limit();
        self.load + self.tried.min(limit / 2) < limit || self.n_peers <= FEW_PEERS
    }

    /// Whether one more may be under way to who has never taken anything.
    pub(super) fn has_room_to_try(&self) -> bool {
        self.load + self.tried < self.pace.limit() || self.n_peers <= FEW_PEERS
    }

    /// Whether a piece that others have, or are getting, may go now: once a copy is out, or where the link would
    /// idle.
    pub(super) fn may_repeat(&self) -> bool {
        self.has_copy() || self.load + self.tried.min(LAST_PIECES / 2) < LAST_PIECES
    }

    /// Whether one more of the new peers may be shown something now; it is counted then. They come slower where others
    /// only say that they want something.
    pub(super) fn may_bait(&mut self, now: Instant, is_new: bool) -> bool {
        let since = |at: Instant| now.saturating_duration_since(at);
        let (n, at) = self.baits;
        let may = if !self.has_room_to_try() {
            since(self.baited) >= SLOW_BAIT_PAUSE
        } else {
            // Whoever comes this moment doesn't wait behind those who came before and want nothing.
            n < BAITS * if is_new { 2 } else { 1 } || since(at) >= BAIT_PAUSE
        };
        if may {
            if since(at) >= BAIT_PAUSE {
                self.baits = (0, now);
            }
            self.baits.0 += 1;
            self.baited = now;
        }
        may
    }

    /// Whether somebody may be shown a piece now though there is no room.
    pub(super) fn may_relieve(&mut self, now: Instant) -> bool {
        let pause = (RELIEF / self.n_peers.max(1) as u32).clamp(RELIEF_PAUSE.0, RELIEF_PAUSE.1);
        let since = now.saturating_duration_since(self.relieved);
        if since >= pause {
            // Made up for, where the clock came late; but not for when nobody waited.
            self.relieved = (self.relieved + pause).max(now - since.min(RELIEF_PAUSE.1));
        }
        since >= pause
    }

    /// One of them has answered: it is none of those that may want nothing.
    pub(super) fn handle_answer(&mut self) {
        self.baits.0 = self.baits.0.saturating_sub(1);
    }

    /// Nobody was found to give a piece to.
    pub(super) fn starve(&mut self, now: Instant) {
        self.is_starved = true;
        self.resting = Some(now);
    }

    /// Something has happened: it is worth looking for somebody again.
    pub(super) fn wake(&mut self) {
        self.resting = None;
    }

    /// Whether it is too soon to look again.
    pub(super) fn rests(&self, now: Instant) -> bool {
        self.resting
            .is_some_and(|since| now.saturating_duration_since(since) < REST)
    }

    /// The rarest piece of those that `fits` gives back, a random one of the equally rare.
    pub(super) fn rarest(
        &self,
        random: &mut Random,
        fits: impl Fn(u32) -> Option<PieceIndex>,
    ) -> Option<PieceIndex> {
        self.rarity.buckets().find_map(|bucket| {
            let (late, early) = bucket.split_at(random.below(bucket.len()));
            early.iter().chain(late).find_map(|piece| fits(*piece))
        })
    }

    /// Whether somebody has a piece or is getting it, who has never taken anything left aside.
    pub(super) fn is_taken(&self, piece: PieceIndex) -> bool {
        let tried = self.tried_pieces.get(&piece.get()).copied();
        self.rarity.count(piece.get()) > tried.unwrap_or(0)
    }

    /// How many have a piece or are getting it.
    pub(super) fn n_given(&self, piece: PieceIndex) -> u32 {
        self.rarity.count(piece.get())
    }

    /// Whether there is a piece that nobody has or is getting.
    pub(super) fn has_fresh(&self) -> bool {
        self.rarity
            .buckets()
            .next()
            .is_some_and(|fresh| !fresh.is_empty())
    }

    /// A piece that nobody has or is getting but those who have never taken anything.
    pub(super) fn tried_piece(
        &self,
        fits: impl Fn(u32) -> Option<PieceIndex>,
    ) -> Option<PieceIndex> {
        let pieces = self.tried_pieces.keys();
        let mut fitting = pieces.filter_map(|piece| fits(*piece));
        fitting.find(|piece| !self.is_taken(*piece))
    }

    /// A piece that was given is under way.
    pub(super) fn start(&mut self, given: &Given) {
        *self.places(given) += 1;
    }

    /// A piece that was under way no longer counts as that.
    fn stop(&mut self, given: &Given) {
        *self.places(given) -= 1;
    }

    fn places(&mut self, given: &Given) -> &mut usize {
        if given.is_tried {
            &mut self.tried
        } else {
            &mut self.load
        }
    }

    /// A peer has taken so many bytes more.
    pub(super) fn handle_sent(&mut self, peer: &mut Peer, more: u64) {
        self.sent += more;
        peer.sent += more;
        self.look_whether_proven(peer);
    }

    /// What was given to a peer that has come to be known as one that takes something counts from now on.
    pub(super) fn look_whether_proven(&mut self, peer: &mut Peer) {
        if !peer.is_proven() {
            return;
        }
        for given in peer.given.iter_mut().filter(|given| given.is_tried) {
            if given.counts() {
                self.stop(given);
                self.load += 1;
            }
            given.is_tried = false;
            self.untry(given.piece);
        }
    }

    fn untry(&mut self, piece: PieceIndex) {
        if let Some(count) = self.tried_pieces.get_mut(&piece.get()) {
            *count -= 1;
            if *count == 0 {
                self.tried_pieces.remove(&piece.get());
            }
        }
    }

    /// A piece is shown to a peer that has never taken anything, or has. Says whether nobody else has it or is getting
    /// it.
    pub(super) fn give(&mut self, now: Instant, piece: PieceIndex, key: u64, tried: bool) -> bool {
        self.began.get_or_insert(now);
        let is_first = !self.is_taken(piece);
        if is_first {
            self.giver[piece.as_usize()] = key;
        }
        if tried {
            *self.tried_pieces.entry(piece.get()).or_default() += 1;
        }
        self.rarity.increment(piece.get());
        is_first
    }

    /// A piece is no longer under way: it has come, or won't.
    pub(super) fn settle(&mut self, given: &Given) {
        self.rarity.decrement(given.piece.get());
        if given.is_tried {
            self.untry(given.piece);
        }
        if given.counts() {
            self.stop(given);
        }
    }

    /// A piece that was under way has come.
    pub(super) fn handle_delivered(&mut self, now: Instant, given: &Given) {
        let took = now.saturating_duration_since(given.at);
        self.latency = Some(self.latency.map_or(took, |mean| (mean * 7 + took) / 8));
        self.pace.handle_done(1);
    }

    /// Another shows a piece: gives who had been the only one to get it, the first time.
    pub(super) fn pass_on(&mut self, piece: PieceIndex) -> Option<u64> {
        let giver = std::mem::replace(&mut self.giver[piece.as_usize()], NOBODY);
        (giver != NOBODY).then_some(giver)
    }

    // Time.

    pub(super) fn is_due(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.looked) >= TICK / 2
    }

    pub(super) fn wants_ticks(&self, now: Instant) -> bool {
        self.load + self.tried > 0 || now.saturating_duration_since(self.joined) < 2 * REST
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.looked = now;
        let latency = self.latency();
        let is_full = !std::mem::take(&mut self.is_starved) && self.resting.is_none();
        // Pieces come in bursts: a measurement takes in several.
        self.pace
            .handle_timeout(now, is_full, latency.max(2 * TICK));
        let silent_for = self.began.map(|at| now.saturating_duration_since(at));
        if silent_for.is_some_and(|time| time >= SILENT_TIME) {
            self.decide();
        }
    }

    fn latency(&self) -> Duration {
        self.latency.unwrap_or(FIRST_LATENCY)
    }

    /// Looks what has become of what a peer was given.
    ///
    /// Who wants nothing though it is shown something is idle: that goes to others, and the peer costs nothing until
    /// it says that it wants something after all.
    pub(super) fn look_after(&mut self, now: Instant, peer: &mut Peer, geometry: &Geometry) {
        let latency = self.latency();
        let before = self.load + self.tried;
        let since = |at: Instant| now.saturating_duration_since(at);
        let unanswered = |given: &Given| !given.is_sent && since(given.at) > ANSWER;
        if !peer.interested && peer.given.iter().any(unanswered) {
            peer.is_eager = false;
            for given in peer.given.drain(..) {
                self.settle(&given);
            }
            self.wake();
            return;
        }
        let patience = if peer.is_proven() {
            latency * 8 + LOST
        } else {
            TRIED
        };
        // One or two that take little at a time aren't taken for such that take nothing: nobody waits for them.
        let is_alone = peer.is_proven() && self.n_peers <= FEW_PEERS;
        let left_after = if is_alone { 4 * IDLE } else { IDLE };
        let is_idle = since(self.moved) > IDLE && !self.is_uplink_busy;
        let (mut lost, mut passed) = (false, false);
        for at in 0..peer.given.len() {
            let sent = peer.sent;
            let length = u64::from(geometry.piece_len(peer.given[at].piece));
            let can_pay = peer.can_pay(length);
            let given = &mut peer.given[at];
            if sent > given.sent_then {
                given.sent_then = sent;
                given.moved = now;
            }
            lost |= since(given.moved) > patience;
            let is_slow = since(given.at) > latency * 4 + Duration::from_secs(1);
            if !given.is_sent && can_pay && since(given.at) > latency * 2 + FIRST_LATENCY {
                // All of it has gone, and the peer doesn't tell: not everybody does.
                let (counted, took) = (given.counts(), since(given.at));
                if counted {
                    self.stop(given);
                    self.pace.handle_done(1);
                }
                given.is_sent = true;
                if counted {
                    peer.handle_delivered(took);
                }
                peer.paid += length;
                self.silent = self.silent.saturating_add(1);
            } else if given.counts() && is_slow {
                self.stop(given);
                given.is_overdue = true;
                peer.window = (peer.window / 2).max(1);
            }
            let given = &mut peer.given[at];
            // What has gone whole may still lie in buffers, and the link be busy with it.
            let left_after = left_after.max(if can_pay { latency } else { IDLE });
            let is_left = peer.interested && !peer.choked && since(given.moved) > left_after;
            if is_idle && is_left && !given.is_passed {
                // It may be getting that from elsewhere: an idle uplink has more to offer.
                if given.counts() {
                    self.stop(given);
                }
                given.is_passed = true;
                passed = true;
            }
        }
        if lost || passed || self.load + self.tried < before {
            self.wake();
        }
        if lost {
            let is_lost = |given: &Given| since(given.moved) > patience;
            for given in peer.given.extract_if(.., |given| is_lost(given)) {
                self.settle(&given);
            }
        }
    }
}

fn first_pace(now: Instant) -> Pace {
    Pace::new(now, FIRST_PIECES, LEAST_PIECES, MOST_PIECES)
}
