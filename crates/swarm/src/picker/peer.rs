//! One peer as the picker sees it: what it has, what is asked of it, and how deep its queue should be.

use metainfo::geometry::{BLOCK_LENGTH, Block};
use metainfo::ids::PieceIndex;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};
use wire::bitfield::Bitfield;

/// How many requests go out before anything is known of a peer.
const FIRST_DEPTH: u32 = 8;
/// How few are under way at least.
const LEAST_DEPTH: u32 = 3;
/// How many at most, whatever the peer says it takes.
const MOST_DEPTH: u32 = 512;
/// What a peer takes that says nothing of it (BEP 10's `reqq`; libtorrent's default).
const SILENT_QUEUE: u32 = 250;
/// How much is asked ahead beyond the round trip: enough for a peer that serves others in between.
const AHEAD: Duration = Duration::from_millis(700);
/// How long one measurement of the rate lasts, and how much of the rate it makes.
const MEASURE: Duration = Duration::from_millis(500);
const WEIGHT: f64 = 0.3;
/// How long nothing may come of what was asked, at least and at most.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(8), Duration::from_secs(60));
/// How long a piece of which a peer has refused a block isn't asked of it, and how many such pieces are kept.
const FORGIVE: Duration = Duration::from_secs(5);
const MOST_REFUSED: usize = 1024;
/// The most pieces of one peer that may be asked for while it chokes us, as BEP 6 has it ten.
const MOST_ALLOWED: usize = 64;

/// Which pieces a peer has.
#[derive(Debug)]
pub(super) enum Has {
    Some(Bitfield),
    All,
}

/// One peer.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) has: Has,
    /// How many of its pieces we lack.
    pub(super) wanted: u32,
    pub(super) choked: bool,
    /// Pieces that it gives even while it chokes us (BEP 6).
    pub(super) allowed: HashSet<u32>,
    /// What is asked of it, since when.
    pub(super) asked: HashMap<Block, Instant>,
    /// Nothing came for too long: it is asked for one block at a time.
    pub(super) snubbed: bool,
    /// Pieces of which it has refused a block, and since when.
    pub(super) refused: HashMap<u32, Instant>,
    /// The picker's generation at which nothing was found for it.
    pub(super) dry_at: Option<u64>,
    /// How many requests it takes.
    queue: Option<u32>,
    pace: Pace,
    /// Since when something is due.
    waiting_since: Option<Instant>,
}

/// How fast blocks come.
#[derive(Debug)]
struct Pace {
    /// When the present measurement began, and what has come since.
    since: Option<Instant>,
    bytes: u64,
    /// Bytes a second.
    rate: Option<f64>,
    /// The shortest time between request and block.
    round_trip: Option<Duration>,
    /// How deep the queue is until the rate is known: it grows with every block that comes.
    opening: u32,
}

impl Peer {
    pub(super) fn new(n_pieces: u32) -> Self {
        Self {
            has: Has::Some(Bitfield::none(n_pieces)),
            wanted: 0,
            choked: true,
            allowed: HashSet::new(),
            asked: HashMap::new(),
            snubbed: false,
            refused: HashMap::new(),
            dry_at: None,
            queue: None,
            pace: Pace {
                since: None,
                bytes: 0,
                rate: None,
                round_trip: None,
                opening: FIRST_DEPTH,
            },
            waiting_since: None,
        }
    }

    pub(super) fn has(&self, piece: PieceIndex) -> bool {
        match &self.has {
            Has::Some(field) => field.has(piece),
            Has::All => true,
        }
    }

    pub(super) fn set_queue(&mut self, queue: u32) {
        self.queue = Some(queue);
    }

    /// Whether a piece may be asked of it now.
    pub(super) fn gives(&self, piece: PieceIndex) -> bool {
        self.has(piece)
            && (!self.choked || self.allowed.contains(&piece.get()))
            && !self.refused.contains_key(&piece.get())
    }

    /// It gives this piece even while it chokes us.
    pub(super) fn allow(&mut self, piece: PieceIndex) {
        if self.allowed.len() < MOST_ALLOWED {
            self.allowed.insert(piece.get());
            self.dry_at = None;
        }
    }

    /// It has refused a block of this piece: it isn't asked for more of it for a while.
    pub(super) fn refuse(&mut self, now: Instant, piece: PieceIndex) {
        if self.choked {
            self.allowed.remove(&piece.get());
        } else if self.refused.len() < MOST_REFUSED {
            self.refused.insert(piece.get(), now);
        }
    }

    /// What it refused a while ago may be asked again.
    pub(super) fn forgive(&mut self, now: Instant) {
        let before = self.refused.len();
        self.refused
            .retain(|_, at| now.saturating_duration_since(*at) < FORGIVE);
        if self.refused.len() < before {
            self.dry_at = None;
        }
    }

    /// How many more requests it should have.
    pub(super) fn room(&self) -> usize {
        (self.depth() as usize).saturating_sub(self.asked.len())
    }

    fn depth(&self) -> u32 {
        if self.snubbed {
            return 1;
        }
        let most = self.queue.unwrap_or(SILENT_QUEUE).clamp(1, MOST_DEPTH);
        let depth = match self.pace.rate {
            None => self.pace.opening,
            Some(rate) => {
                let ahead = AHEAD + self.pace.round_trip.unwrap_or_default();
                (rate * ahead.as_secs_f64() / f64::from(BLOCK_LENGTH)).ceil() as u32 + LEAST_DEPTH
            }
        };
        depth.clamp(LEAST_DEPTH, MOST_DEPTH).min(most)
    }

    /// Bytes a second, where anything has come.
    pub(super) fn rate(&self) -> Option<f64> {
        self.pace.rate.filter(|_| !self.snubbed)
    }

    /// How long a block that is asked now will probably take; `None` where nothing is known.
    pub(super) fn expected(&self) -> Option<Duration> {
        let rate = self.rate().filter(|rate| *rate > 0.0)?;
        let queued = (self.asked.len() + 1) as f64 * f64::from(BLOCK_LENGTH);
        Some(
            self.pace.round_trip.unwrap_or_default()
                + Duration::from_secs_f64((queued / rate).min(3600.0)),
        )
    }

    /// A block was asked of it.
    pub(super) fn ask(&mut self, now: Instant, block: Block) {
        self.asked.insert(block, now);
        self.waiting_since.get_or_insert(now);
        self.pace.since.get_or_insert(now);
    }

    /// A block is no longer asked of it; says whether it was.
    pub(super) fn unask(&mut self, block: &Block) -> Option<Instant> {
        let at = self.asked.remove(block);
        self.settle();
        at
    }

    /// Nothing is asked of it any more.
    pub(super) fn unask_all(&mut self) -> Vec<Block> {
        let blocks = self.asked.drain().map(|(block, _)| block).collect();
        self.settle();
        blocks
    }

    fn settle(&mut self) {
        if self.asked.is_empty() {
            self.waiting_since = None;
            // An idle time says nothing of the rate.
            self.pace.since = None;
            self.pace.bytes = 0;
        }
    }

    /// A block came, asked for at that time.
    pub(super) fn receive(&mut self, now: Instant, length: u32, asked: Instant) {
        self.snubbed = false;
        self.waiting_since = (!self.asked.is_empty()).then_some(now);
        let took = now.saturating_duration_since(asked);
        let pace = &mut self.pace;
        pace.round_trip = Some(pace.round_trip.map_or(took, |known| known.min(took)));
        pace.opening = (pace.opening + 1).min(MOST_DEPTH);
        pace.bytes += u64::from(length);
        let Some(since) = pace.since else {
            return;
        };
        let spent = now.saturating_duration_since(since);
        if spent >= MEASURE {
            let measured = pace.bytes as f64 / spent.as_secs_f64();
            pace.rate = Some(match pace.rate {
                None => measured,
                // A peer that speeds up should soon be asked for more.
                Some(rate) if measured > rate => measured,
                Some(rate) => rate + (measured - rate) * WEIGHT,
            });
            pace.since = Some(now);
            pace.bytes = 0;
        }
    }

    /// When it counts as snubbing us.
    pub(super) fn snubs_at(&self) -> Option<Instant> {
        let since = self.waiting_since?;
        let queue = self.asked.len() as f64 * f64::from(BLOCK_LENGTH);
        let expected = match self.pace.rate {
            Some(rate) if rate > 1.0 => {
                Duration::from_secs_f64((4.0 * queue / rate).min(PATIENCE.1.as_secs_f64()))
            }
            _ => PATIENCE.1 / 2,
        };
        Some(since + expected.clamp(PATIENCE.0, PATIENCE.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metainfo::geometry::{Geometry, PieceLength};

    #[allow(clippy::disallowed_methods)]
    fn epoch() -> Instant {
        Instant::now()
    }

    #[test]
    fn the_queue_follows_rate_and_round_trip() {
        let geometry = Geometry::new(PieceLength::new(1 << 15).unwrap(), 1 << 15).unwrap();
        let block = geometry.blocks(geometry.piece(0).unwrap()).next().unwrap();
        let depth_at = |block_every: Duration, round_trip: Duration| {
            let (mut peer, mut now) = (Peer::new(1), epoch() + Duration::from_secs(60));
            peer.set_queue(2000);
            // One stays asked all the time, while others come.
            peer.ask(now, block);
            for _ in 0..2000 {
                now += block_every;
                peer.receive(now, BLOCK_LENGTH, now - round_trip);
            }
            peer.depth()
        };
        // 16 KiB every 100 ms: 0.7 s ahead is 7 blocks, a round trip of 0.1 s two more.
        let slow = depth_at(Duration::from_millis(100), Duration::from_millis(100));
        assert!((8..=14).contains(&slow), "{slow}");
        let fast = depth_at(Duration::from_micros(500), Duration::from_millis(10));
        assert_eq!(fast, MOST_DEPTH);
    }

    #[test]
    fn who_gives_nothing_is_given_up_on_and_comes_back_with_a_block() {
        let geometry = Geometry::new(PieceLength::new(1 << 15).unwrap(), 1 << 15).unwrap();
        let block = geometry.blocks(geometry.piece(0).unwrap()).next().unwrap();
        let (mut peer, now) = (Peer::new(1), epoch());
        assert_eq!(peer.snubs_at(), None);
        peer.ask(now, block);
        assert_eq!(peer.snubs_at(), Some(now + PATIENCE.1 / 2));
        peer.snubbed = true;
        assert_eq!(peer.room(), 0);
        let asked = peer.unask(&block).unwrap();
        assert_eq!((peer.room(), peer.snubs_at()), (1, None));
        peer.receive(now, BLOCK_LENGTH, asked);
        assert!(peer.room() > 1);
    }
}
