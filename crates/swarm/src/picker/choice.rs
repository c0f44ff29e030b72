//! What to ask of whom: pieces that are begun, then the rarest, and at the end what is slow to come.

use super::Picker;
use super::partial::{Partial, State};
use metainfo::geometry::{Block, Geometry};
use std::time::{Duration, Instant};

/// How many peers are asked for the same block at the end.
const COPIES: usize = 2;
/// How many blocks one run of a web seed has at most.
const MOST_RUN: usize = 64;
/// A block that has been asked of a peer for so long may be asked of another at the end, whatever their rates.
pub(super) const OVERDUE: Duration = Duration::from_secs(3);

impl Picker {
    /// What to ask of a peer now; it counts as asked.
    pub fn choose(&mut self, now: Instant, key: u64) -> Vec<Block> {
        let mut chosen = Vec::new();
        let Some(peer) = self.peers.get(&key) else {
            return chosen;
        };
        let mut room = peer.room();
        if room == 0 || peer.wanted == 0 || (peer.choked && peer.allowed.is_empty()) {
            return chosen;
        }
        while room > 0 {
            let Some(piece) = self.piece_with_free(key).or_else(|| self.begin(key)) else {
                break;
            };
            while room > 0
                && let Some(block) = self.open.get_mut(&piece).and_then(Partial::next_free)
            {
                self.ask(now, key, &block);
                chosen.push(block);
                room -= 1;
            }
        }
        while room > 0 && self.is_end_game() {
            let Some(block) = self.overdue(now, key) else {
                break;
            };
            self.ask(now, key, &block);
            chosen.push(block);
            room -= 1;
        }
        chosen
    }

    /// What to ask of a web seed now: blocks that follow one another without a gap. They count as asked.
    ///
    /// A run is no longer than what it gives in a moment, so that one that is slow, or doesn't answer, holds little
    /// that others could give; another follows once no more than that is still to come. Pieces that no peer shows
    /// come first, and a run of them ends where one begins that a peer shows: that is left to the peer.
    pub fn choose_run(&mut self, now: Instant, key: u64) -> Vec<Block> {
        let mut run: Vec<Block> = Vec::new();
        let Some(peer) = self.peers.get(&key) else {
            return run;
        };
        let most = peer.room().min(MOST_RUN);
        if most < peer.asked.len() {
            return run;
        }
        let mut piece = match self.begin(key).or_else(|| self.piece_with_free(key)) {
            Some(piece) => piece,
            None => {
                let late = self.is_end_game().then(|| self.overdue(now, key));
                if let Some(block) = late.flatten() {
                    self.ask(now, key, &block);
                    run.push(block);
                }
                return run;
            }
        };
        let is_shown = |picker: &Self, piece| picker.rarity.count(piece) > 0;
        let begins_shown = is_shown(self, piece);
        loop {
            let Some(partial) = self.open.get_mut(&piece) else {
                return run;
            };
            while run.len() < most
                && let Some(block) = partial.next_free().filter(|block| {
                    run.last()
                        .is_none_or(|last| follows(&self.geometry, *last, *block))
                })
            {
                partial.ask(&block, key);
                if let Some(peer) = self.peers.get_mut(&key) {
                    peer.ask(now, block);
                }
                run.push(block);
            }
            let ended = run.last().is_some_and(|last| {
                last.piece().get() == piece
                    && last.begin() + last.length() == self.geometry.piece_len(last.piece())
            });
            piece += 1;
            let goes_on = ended && run.len() < most && piece < self.geometry.n_pieces();
            let is_left = |picker: &Self| !begins_shown && is_shown(picker, piece);
            if !goes_on || is_left(self) || !self.begin_piece(piece, key) {
                return run;
            }
        }
    }

    // Inside.

    fn ask(&mut self, now: Instant, key: u64, block: &Block) {
        if let Some(partial) = self.open.get_mut(&block.piece().get()) {
            partial.ask(block, key);
        }
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.ask(now, *block);
        }
    }

    /// A begun piece that this peer can go on with: the one that lacks least.
    fn piece_with_free(&self, key: u64) -> Option<u32> {
        let peer = self.peers.get(&key)?;
        let fits = self.open.iter().filter(|(piece, partial)| {
            partial.n_free() > 0
                && partial.only.is_none_or(|only| only == key)
                && self.geometry.piece(**piece).is_some_and(|p| peer.gives(p))
        });
        fits.min_by_key(|(_, partial)| partial.n_lacking())
            .map(|(piece, _)| *piece)
    }

    /// Begins the rarest piece that this peer has.
    fn begin(&mut self, key: u64) -> Option<u32> {
        let peer = self.peers.get(&key)?;
        if peer.dry_at == Some(self.generation) {
            return None;
        }
        let turn = self.random.next();
        let fits = |piece: &&u32| {
            let gives = self.geometry.piece(**piece).is_some_and(|p| peer.gives(p));
            gives && self.may_begin(**piece, key)
        };
        let found = if self.have.count() == 0 && self.open.is_empty() {
            // The first piece should come soon rather than be rare: it is what we have to offer.
            let all: Vec<&u32> = self.rarity.buckets().flatten().collect();
            let (late, early) = all.split_at(turn as usize % all.len().max(1));
            early.iter().chain(late).copied().find(fits)
        } else {
            self.rarity.buckets().find_map(|group| {
                let (late, early) = group.split_at(turn as usize % group.len().max(1));
                early.iter().chain(late).find(fits)
            })
        };
        match found.copied() {
            Some(piece) => self.begin_piece(piece, key).then_some(piece),
            None => {
                let generation = self.generation;
                if let Some(peer) = self.peers.get_mut(&key) {
                    peer.dry_at = Some(generation);
                }
                None
            }
        }
    }

    /// Whether this peer is one to begin a piece with. One that has failed is fetched from somebody who had no part
    /// in that, where there is such a one.
    fn may_begin(&self, piece: u32, key: u64) -> bool {
        let (Some(attempt), Some(index)) = (self.suspects.get(&piece), self.geometry.piece(piece))
        else {
            return true;
        };
        let took_part = |key: &u64| attempt.givers.contains(key);
        let mut others = self.peers.iter().filter(|(_, peer)| peer.gives(index));
        !took_part(&key) || others.all(|(other, _)| took_part(other))
    }

    fn begin_piece(&mut self, piece: u32, key: u64) -> bool {
        let (Some(index), Some(peer)) = (self.geometry.piece(piece), self.peers.get(&key)) else {
            return false;
        };
        let here = self.have.has(index) || self.open.contains_key(&piece);
        if here || !peer.gives(index) || !self.may_begin(piece, key) {
            return false;
        }
        let asked = self.short.get(&piece).copied();
        let mut partial = Partial::new(&self.geometry, index, asked);
        partial.only = self.suspects.contains_key(&piece).then_some(key);
        self.rarity.take_out(piece);
        self.open.insert(piece, partial);
        true
    }

    /// A block that is slow to come and that this peer would probably give sooner.
    fn overdue(&self, now: Instant, key: u64) -> Option<Block> {
        let peer = self.peers.get(&key)?;
        let own = peer.expected();
        let slow = |block: &Block, other: &u64| {
            let Some(other) = self.peers.get(other) else {
                return true;
            };
            let asked = other.asked.get(block);
            let age = asked.map_or(OVERDUE, |at| now.saturating_duration_since(*at));
            match (own, other.expected()) {
                (Some(own), Some(theirs)) => theirs.saturating_sub(age) > own * 2 || age >= OVERDUE,
                (Some(_), None) => true,
                (None, _) => age >= OVERDUE,
            }
        };
        let open = self.open.iter().filter(|(piece, partial)| {
            partial.only.is_none() && self.geometry.piece(**piece).is_some_and(|p| peer.gives(p))
        });
        let blocks = open.flat_map(|(_, partial)| partial.states());
        let mut late = blocks.filter_map(|(block, state)| match state {
            State::Asked(keys) => {
                let fits = keys.len() < COPIES && !keys.contains(&key);
                (fits && keys.iter().all(|other| slow(block, other))).then_some(*block)
            }
            State::Free | State::Here(_) => None,
        });
        late.next()
    }
}

/// Whether a block begins where another ends.
pub(super) fn follows(geometry: &Geometry, before: Block, after: Block) -> bool {
    geometry.block_range(before).end == geometry.block_range(after).start
}
