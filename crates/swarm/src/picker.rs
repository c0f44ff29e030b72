//! Which blocks to ask of whom while a torrent is being fetched.
//!
//! - Pieces that have been begun are finished first, then the rarest is begun, at random among the equally rare;
//!   the very first one is any that somebody has.
//! - Each peer has as much asked of it as it gives in a moment and a round trip (`peer`).
//! - Once everything is asked for, what is slow to come is asked of a second, faster peer, and cancelled
//!   where it is late; before that nothing is asked twice.
//! - Who gives nothing for too long loses what was asked of it, and is tried with single blocks.
//! - A piece that fails its hash came from one peer, which is banned, or from several: then it is fetched anew
//!   from one that had no part in it, and what differs from the right bytes tells who lied.
//!
//! The shell (the torrent's task) tells what happens, asks [`Picker::choose`] after that, and sends what it says. A
//! web seed is a peer that has everything and is asked for runs of blocks ([`Picker::choose_run`]). Whom to unchoke
//! is another question (`choker`), and hashing is the store's.

mod choice;
mod partial;
mod peer;

#[cfg(test)]
mod tests;

use crate::random::Random;
use crate::rarity::Rarity;
use metainfo::geometry::{Block, Geometry};
use metainfo::ids::PieceIndex;
use partial::{Partial, State};
use peer::{Has, Peer};
use std::collections::BTreeMap;
use std::time::Instant;
use wire::bitfield::Bitfield;

/// What tells two versions of a block apart: its SHA-1.
pub type BlockDigest = [u8; 20];

/// What a block that has come means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Received {
    /// It was lacking: it is to be kept.
    pub is_new: bool,
    /// It was the last of its piece, which is to be verified now.
    pub is_last: bool,
    /// It is no longer to be asked of these.
    pub cancel: Vec<u64>,
}

/// A piece that failed: who gave each block, and what each was.
#[derive(Debug)]
struct Attempt {
    givers: Vec<u64>,
    digests: Vec<BlockDigest>,
}

/// Chooses blocks for one torrent. Peers go by keys of the caller's.
#[derive(Debug)]
pub struct Picker {
    geometry: Geometry,
    have: Bitfield,
    peers: BTreeMap<u64, Peer>,
    /// Pieces that have been begun, those that are being verified among them.
    open: BTreeMap<u32, Partial>,
    /// Pieces to begin.
    rarity: Rarity,
    /// Pieces that have failed.
    suspects: BTreeMap<u32, Attempt>,
    /// Rises when a piece is to be begun anew.
    generation: u64,
    random: Random,
    /// Pieces of which less than the whole is asked for.
    short: BTreeMap<u32, u32>,
}

impl Picker {
    /// A torrent of which these pieces are here. Of the pieces in `short` only so many bytes are asked for: the rest
    /// are zeros of a pad. `seed` makes the random choices.
    pub fn new(geometry: Geometry, have: Bitfield, short: BTreeMap<u32, u32>, seed: u64) -> Self {
        let lacking = geometry.pieces().filter(|piece| !have.has(*piece));
        let mut order: Vec<u32> = lacking.map(PieceIndex::get).collect();
        let mut random = Random::new(seed);
        for at in (1..order.len()).rev() {
            order.swap(at, random.below(at + 1));
        }
        Self {
            rarity: Rarity::new(geometry.n_pieces(), order),
            geometry,
            have,
            peers: BTreeMap::new(),
            open: BTreeMap::new(),
            suspects: BTreeMap::new(),
            generation: 0,
            random,
            short,
        }
    }

    /// The pieces that are here and verified.
    pub fn have(&self) -> &Bitfield {
        &self.have
    }

    /// Whether everything is here.
    pub fn is_complete(&self) -> bool {
        self.have.is_complete()
    }

    /// Whether a peer has something that is lacking here.
    pub fn wants(&self, key: u64) -> bool {
        self.peers.get(&key).is_some_and(|peer| peer.wanted > 0)
    }

    /// Whether somebody has a piece, as far as is known.
    pub fn is_available(&self, piece: PieceIndex) -> bool {
        self.rarity.count(piece.get()) > 0
            || self.peers.values().any(|peer| matches!(peer.has, Has::All))
    }

    /// How many blocks are asked of a peer.
    pub fn n_asked(&self, key: u64) -> usize {
        self.peers.get(&key).map_or(0, |peer| peer.asked.len())
    }

    /// Whether all that is lacking has been asked for.
    pub fn is_end_game(&self) -> bool {
        self.rarity.is_empty() && self.open.values().all(|partial| partial.n_free() == 0)
    }

    // What happens.

    /// A peer has come. It has nothing and chokes us until it says otherwise.
    pub fn handle_join(&mut self, key: u64) {
        let peer = Peer::new(self.geometry.n_pieces());
        self.peers.insert(key, peer);
    }

    /// A peer has gone; what was asked of it is free again.
    pub fn handle_leave(&mut self, key: u64) {
        let Some(mut peer) = self.peers.remove(&key) else {
            return;
        };
        for block in peer.unask_all() {
            self.free(&block, key);
        }
        self.uncount(&peer);
        let own = self.open.iter().filter(|(_, p)| p.only == Some(key));
        let begun: Vec<u32> = own
            .filter(|(_, p)| !p.is_whole())
            .map(|(piece, _)| *piece)
            .collect();
        for piece in begun {
            self.begin_anew(piece);
        }
    }

    /// A peer has these pieces, and no others.
    pub fn handle_bitfield(&mut self, key: u64, field: Bitfield) {
        let has = if field.is_complete() {
            Has::All
        } else {
            Has::Some(field)
        };
        self.replace(key, has);
    }

    /// A peer has everything.
    pub fn handle_has_all(&mut self, key: u64) {
        self.replace(key, Has::All);
    }

    /// A peer has nothing.
    pub fn handle_has_none(&mut self, key: u64) {
        let none = Bitfield::none(self.geometry.n_pieces());
        self.replace(key, Has::Some(none));
    }

    /// A peer has one piece more.
    pub fn handle_have(&mut self, key: u64, piece: PieceIndex) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        let Has::Some(field) = &mut peer.has else {
            return;
        };
        if !field.set(piece) {
            return;
        }
        peer.dry_at = None;
        peer.wanted += u32::from(!self.have.has(piece));
        if field.is_complete() {
            self.replace(key, Has::All);
        } else {
            self.rarity.increment(piece.get());
        }
    }

    /// A peer no longer has a piece (`lt_donthave`).
    pub fn handle_dont_have(&mut self, key: u64, piece: PieceIndex) {
        let Some(peer) = self.peers.get(&key).filter(|peer| peer.has(piece)) else {
            return;
        };
        let mut field = Bitfield::none(self.geometry.n_pieces());
        for other in self.geometry.pieces() {
            if other != piece && peer.has(other) {
                field.set(other);
            }
        }
        self.replace(key, Has::Some(field));
    }

    /// A peer chokes us, and what was asked of it won't come; or it no longer does.
    pub fn handle_choked(&mut self, key: u64, choked: bool) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        peer.choked = choked;
        peer.dry_at = None;
        peer.refused.clear();
        if choked {
            for block in peer.unask_all() {
                self.free(&block, key);
            }
        }
    }

    /// A peer gives this piece even while it chokes us (BEP 6).
    pub fn handle_allowed_fast(&mut self, key: u64, piece: PieceIndex) {
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.allow(piece);
        }
    }

    /// A peer takes so many requests (`reqq` of BEP 10).
    pub fn handle_request_queue(&mut self, key: u64, requests: u32) {
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.set_queue(requests);
        }
    }

    /// A block has come from a peer. One that isn't asked of it (any more) is as good where it is lacking.
    pub fn handle_block(&mut self, now: Instant, key: u64, block: Block) -> Received {
        if let Some(peer) = self.peers.get_mut(&key)
            && let Some(asked) = peer.unask(&block)
        {
            peer.receive(now, block.length(), asked);
        }
        let Some(partial) = self.open.get_mut(&block.piece().get()) else {
            return Received::default();
        };
        if partial.only.is_some_and(|only| only != key) {
            return Received::default();
        }
        let Some(others) = partial.receive(&block, key) else {
            return Received::default();
        };
        for other in &others {
            if let Some(peer) = self.peers.get_mut(other) {
                peer.unask(&block);
            }
        }
        Received {
            is_new: true,
            is_last: partial.is_whole(),
            cancel: others,
        }
    }

    /// A peer won't give a block.
    pub fn handle_rejected(&mut self, now: Instant, key: u64, block: Block) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        if peer.unask(&block).is_some() {
            peer.refuse(now, block.piece());
            self.free(&block, key);
        }
    }

    /// Time has passed: to be called about every second. Gives what is no longer to be asked of whom.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<(u64, Block)> {
        let mut cancelled = Vec::new();
        for (key, peer) in &mut self.peers {
            peer.forgive(now);
            if peer.snubs_at().is_some_and(|at| at <= now) {
                peer.snubbed = true;
                cancelled.extend(peer.unask_all().into_iter().map(|block| (*key, block)));
            }
        }
        for (key, block) in &cancelled {
            self.free(block, *key);
        }
        cancelled
    }

    /// Whether a piece has failed before: then [`Self::handle_verified`] wants to know its blocks' digests.
    pub fn is_suspect(&self, piece: PieceIndex) -> bool {
        self.suspects.contains_key(&piece.get())
    }

    /// A piece has been hashed and is right, or wrong. `digests` are its blocks', wanted where it is wrong or
    /// [`Self::is_suspect`]. Gives the peers that are known to have given wrong bytes by that.
    pub fn handle_verified(
        &mut self,
        piece: PieceIndex,
        right: bool,
        digests: &[BlockDigest],
    ) -> Vec<u64> {
        let index = piece.get();
        if self.have.has(piece) {
            return Vec::new();
        }
        let givers = self.open.get(&index).map(Partial::givers);
        if right {
            self.open.remove(&index);
            self.rarity.take_out(index);
            self.have.set(piece);
            for peer in self.peers.values_mut().filter(|peer| peer.has(piece)) {
                peer.wanted = peer.wanted.saturating_sub(1);
            }
            let liars = self.suspects.remove(&index);
            return liars.map_or(Vec::new(), |attempt| attempt.liars(digests));
        }
        let givers = givers.unwrap_or_default();
        self.begin_anew(index);
        let first = givers.first().copied();
        if let Some(only) = first.filter(|first| givers.iter().all(|giver| giver == first)) {
            return vec![only];
        }
        self.suspects.entry(index).or_insert_with(|| Attempt {
            givers,
            digests: digests.to_vec(),
        });
        Vec::new()
    }

    /// A peer is known to lie: it counts as choking from now on, and its blocks of pieces that aren't whole are to be
    /// fetched anew.
    pub fn handle_distrust(&mut self, key: u64) {
        self.handle_choked(key, true);
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.allowed.clear();
        }
        let partials = self.open.values_mut();
        for partial in partials.filter(|partial| !partial.is_whole()) {
            partial.give_back(key);
        }
    }

    /// What has come of a piece is of no use, through nobody's fault (the disk's): it is to be begun anew.
    pub fn handle_lost(&mut self, piece: PieceIndex) {
        self.begin_anew(piece.get());
    }

    // Inside.

    fn free(&mut self, block: &Block, key: u64) {
        let piece = block.piece().get();
        if let Some(partial) = self.open.get_mut(&piece)
            && partial.unask(block, key)
            && partial.is_untouched()
        {
            self.begin_anew(piece);
        }
    }

    fn begin_anew(&mut self, piece: u32) {
        let Some(partial) = self.open.remove(&piece) else {
            return;
        };
        for (block, state) in partial.states() {
            if let State::Asked(keys) = state {
                for key in keys {
                    if let Some(peer) = self.peers.get_mut(key) {
                        peer.unask(block);
                    }
                }
            }
        }
        self.rarity.put_back(piece);
        self.generation += 1;
    }

    fn replace(&mut self, key: u64, has: Has) {
        let Some(mut peer) = self.peers.remove(&key) else {
            return;
        };
        self.uncount(&peer);
        let n_lacking = self.geometry.n_pieces() - self.have.count();
        peer.wanted = match &has {
            Has::All => n_lacking,
            Has::Some(field) => {
                let pieces = self.geometry.pieces().filter(|piece| field.has(*piece));
                let mut wanted = 0;
                for piece in pieces {
                    self.rarity.increment(piece.get());
                    wanted += u32::from(!self.have.has(piece));
                }
                wanted
            }
        };
        peer.has = has;
        peer.dry_at = None;
        self.peers.insert(key, peer);
    }

    fn uncount(&mut self, peer: &Peer) {
        if let Has::Some(field) = &peer.has {
            for piece in self.geometry.pieces().filter(|piece| field.has(*piece)) {
                self.rarity.decrement(piece.get());
            }
        }
    }
}

impl Attempt {
    /// Who gave blocks that differ from the right ones.
    fn liars(&self, right: &[BlockDigest]) -> Vec<u64> {
        let given = self.givers.iter().zip(&self.digests).zip(right);
        let mut liars: Vec<u64> = given
            .filter(|((_, given), right)| given != right)
            .map(|((giver, _), _)| *giver)
            .collect();
        liars.sort_unstable();
        liars.dedup();
        liars
    }
}
