//! One peer as spread mode sees it: what it shows, what it has been shown, and what of that is under way.

use super::World;
use metainfo::geometry::BLOCK_LENGTH;
use metainfo::ids::PieceIndex;
use std::time::{Duration, Instant};
use wire::bitfield::Bitfield;

/// How many pieces are under way to a new peer at once.
const FIRST_WINDOW: u32 = 2;
/// How much longer than twice the shortest time a piece may take while the window grows.
const SLACK: Duration = Duration::from_millis(250);
/// For so long a peer is new.
const NEW: Duration = Duration::from_millis(20);
/// After so long somebody with empty hands is shown a piece, whether there is room or not.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many at most, those that it doesn't tell of among them.
const MOST_GIVEN: usize = 4096;

/// A piece that a peer was shown and doesn't show yet.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub(super) piece: PieceIndex,
    pub(super) at: Instant,
    /// When the peer last made progress with it.
    pub(super) moved: Instant,
    /// What had been sent to the peer when it last did.
    pub(super) sent_then: u64,
    /// It takes much longer than others: it no longer counts as under way.
    pub(super) is_overdue: bool,
    /// All of it has gone, and the peer hasn't shown it.
    pub(super) is_sent: bool,
    /// The peer has not said yet that it wants anything.
    pub(super) is_bait: bool,
    /// The peer has never taken anything yet.
    pub(super) is_tried: bool,
    /// The peer doesn't ask for it though nothing else goes: it may be shown another beside it.
    pub(super) is_passed: bool,
}

impl Given {
    /// Whether it counts as under way.
    pub(super) fn counts(&self) -> bool {
        !self.is_overdue && !self.is_sent && !self.is_bait && !self.is_passed
    }
}

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) world: World,
    /// When it came.
    came: Instant,
    /// It has wanted something, and has answered since to whatever it was shown.
    pub(super) is_eager: bool,
    pub(super) interested: bool,
    pub(super) choked: bool,
    /// What it shows.
    pub(super) has: Bitfield,
    /// What of that it brought along, or could not have.
    pub(super) claimed: Bitfield,
    /// What it has been shown.
    pub(super) shown: Bitfield,
    /// There is nothing that it could still be shown, as of the last look.
    pub(super) has_seen_all: bool,
    /// Bytes of payload sent to it.
    pub(super) sent: u64,
    /// Bytes of the pieces that it has shown and can only have from us.
    pub(super) paid: u64,
    pub(super) given: Vec<Given>,
    /// How many may be under way.
    pub(super) window: u32,
    /// The shortest time that a piece was under way.
    quickest: Duration,
    /// Pieces that only it was given and nobody else shows yet.
    pub(super) unpassed: u32,
    pub(super) passed_on: u64,
}

impl Peer {
    pub(super) fn new(now: Instant, world: World, n_pieces: u32) -> Self {
        Self {
            world,
            came: now,
            is_eager: false,
            interested: false,
            choked: false,
            has: Bitfield::none(n_pieces),
            claimed: Bitfield::none(n_pieces),
            shown: Bitfield::none(n_pieces),
            has_seen_all: false,
            sent: 0,
            paid: 0,
            given: Vec::new(),
            window: FIRST_WINDOW,
            quickest: Duration::MAX / 4,
            unpassed: 0,
            passed_on: 0,
        }
    }

    pub(super) fn show_all(&mut self) {
        self.shown = Bitfield::all(self.shown.n_pieces());
        self.has_seen_all = true;
    }

    pub(super) fn is_shown_all(&self) -> bool {
        self.shown.is_complete()
    }

    /// Whether it is among those that pieces go to.
    pub(super) fn takes(&self) -> bool {
        self.is_eager && !self.choked && !self.has_seen_all && !self.has.is_complete()
    }

    /// Whether a piece may be given to it now.
    pub(super) fn may_take(&self) -> bool {
        self.takes() && self.n_under_way() < self.window && !self.is_full()
    }

    /// Whether it has come this moment.
    pub(super) fn is_new(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.came) < NEW
    }

    /// Whether it has waited for long, and has nothing at all from anybody.
    pub(super) fn is_forlorn(&self, now: Instant) -> bool {
        let waited = now.saturating_duration_since(self.came);
        waited >= PATIENCE
            && !self.choked
            && self.sent == 0
            && self.given.is_empty()
            && self.has.count() == 0
    }

    /// Whether as much is under way to it as is kept count of.
    pub(super) fn is_full(&self) -> bool {
        self.given.len() >= MOST_GIVEN
    }

    /// Whether it has taken anything: a block, or a piece that is shorter.
    pub(super) fn is_proven(&self) -> bool {
        self.sent >= u64::from(BLOCK_LENGTH) || self.paid > 0
    }

    pub(super) fn n_under_way(&self) -> u32 {
        let counts = |given: &&Given| !given.is_sent && !given.is_passed;
        self.given.iter().filter(counts).count() as u32
    }

    pub(super) fn give(&mut self, now: Instant, piece: PieceIndex) {
        self.shown.set(piece);
        self.given.push(Given {
            piece,
            at: now,
            moved: now,
            sent_then: self.sent,
            is_overdue: false,
            is_sent: false,
            is_bait: !self.is_eager,
            is_tried: !self.is_proven(),
            is_passed: false,
        });
    }

    /// A piece has come that was under way for so long. The window grows while that stays short.
    pub(super) fn handle_delivered(&mut self, took: Duration) {
        self.quickest = self.quickest.min(took);
        if took <= self.quickest * 2 + SLACK {
            self.window = self.window.saturating_add(1);
        }
    }

    pub(super) fn take_given(&mut self, piece: PieceIndex) -> Option<Given> {
        let at = self.given.iter().position(|given| given.piece == piece)?;
        Some(self.given.swap_remove(at))
    }

    /// Whether so many bytes more were sent to it than the pieces that it has shown account for.
    pub(super) fn can_pay(&self, length: u64) -> bool {
        self.sent.saturating_sub(self.paid) >= length
    }

    /// Whether it has taken about what it was shown, and not the same again and again.
    pub(super) fn is_metered(&self, piece_length: u32) -> bool {
        let shown = u64::from(self.shown.count()) * u64::from(piece_length);
        let slack = 4 * u64::from(piece_length);
        !self.is_shown_all() && self.sent <= shown + shown / 2 + slack
    }
}
