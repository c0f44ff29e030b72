//! The seed of a crowd: our own machines, spread mode and choker, in front of what they decide about.

use super::bits::Bits;
use metainfo::geometry::{Geometry, PieceLength};
use std::collections::BTreeMap;
use std::time::Instant;
use swarm::choker::{Choker, Kind, Policy};
use swarm::spread::{Mode, Reveal, Spread, World};
use wire::bitfield::Bitfield;

/// Every piece is one block: sizes don't matter where events are of whole pieces.
pub(super) const PIECE: u64 = 16 * 1024;

/// The seed.
#[derive(Debug)]
pub struct FirstSeed {
    geometry: Geometry,
    /// `None`: plain seeding.
    pub(super) spread: Option<Spread>,
    choker: Choker,
    peers: BTreeMap<u32, Fed>,
    order: Vec<u32>,
    pub(super) turn: usize,
    pub(super) is_sending: bool,
    /// Pieces sent in all.
    pub(super) sent: u64,
}

#[derive(Debug)]
struct Fed {
    shown: Bits,
    choked: bool,
    sent: u64,
}

impl FirstSeed {
    pub(super) fn new(
        now: Instant,
        n_pieces: u32,
        spreads: bool,
        slot_rate: u64,
        seed: u64,
    ) -> Self {
        let length = PieceLength::power_of_two(PIECE as i64).expect("16 KiB is one");
        let geometry = Geometry::new(length, u64::from(n_pieces) * PIECE).expect("few pieces");
        let policy = Policy {
            slot_rate,
            ..Policy::DEFAULT
        };
        Self {
            geometry,
            spread: spreads.then(|| Spread::new(now, geometry, seed)),
            choker: Choker::new(now, Kind::Seed, policy, seed),
            peers: BTreeMap::new(),
            order: Vec::new(),
            turn: 0,
            is_sending: false,
            sent: 0,
        }
    }

    pub(super) fn join(&mut self, now: Instant, peer: u32, browser: bool, has: &Bits) {
        let n_pieces = self.geometry.n_pieces();
        let world = if browser {
            World::Browser
        } else {
            World::Native
        };
        let key = u64::from(peer);
        let mode = match &mut self.spread {
            Some(spread) => spread.handle_join(now, key, world),
            None => Mode::Plain,
        };
        let shown = match mode {
            Mode::Plain => Bits::all(n_pieces),
            Mode::Spreading => Bits::none(n_pieces),
        };
        let fed = Fed {
            shown,
            choked: true,
            sent: 0,
        };
        self.peers.insert(peer, fed);
        self.order.push(peer);
        self.choker.handle_join(now, key, None);
        self.choker.handle_interest(now, key, true);
        if let Some(spread) = &mut self.spread {
            let mut field = Bitfield::none(n_pieces);
            for piece in self.geometry.pieces().filter(|piece| has.has(piece.get())) {
                field.set(piece);
            }
            spread.handle_bitfield(now, key, &field);
            self.choker.handle_metered(key, spread.metered(key));
        }
    }

    pub(super) fn leave(&mut self, now: Instant, peer: u32) {
        self.peers.remove(&peer);
        self.order.retain(|other| *other != peer);
        self.choker.handle_leave(now, u64::from(peer));
        if let Some(spread) = &mut self.spread {
            spread.handle_leave(now, u64::from(peer));
        }
    }

    /// A neighbour shows a piece, which we sent it or somebody else.
    pub(super) fn handle_have(&mut self, now: Instant, peer: u32, piece: u32, from_us: bool) {
        let Some(fed) = self.peers.get_mut(&peer) else {
            return;
        };
        if from_us {
            fed.sent += PIECE;
            self.choker.handle_sent(now, u64::from(peer), fed.sent);
        }
        let (Some(spread), Some(piece)) = (&mut self.spread, self.geometry.piece(piece)) else {
            return;
        };
        spread.handle_sent(now, u64::from(peer), fed.sent);
        spread.handle_have(now, u64::from(peer), piece);
    }

    /// Carries out what the machines decide.
    pub(super) fn drain(&mut self, now: Instant) {
        if let Some(spread) = &mut self.spread {
            while let Some((key, reveal)) = spread.poll_reveal(now) {
                let Some(fed) = self.peers.get_mut(&(key as u32)) else {
                    continue;
                };
                match reveal {
                    Reveal::Piece(piece) => {
                        fed.shown.set(piece.get());
                        spread.handle_interest(now, key, true);
                    }
                    Reveal::All => fed.shown = Bits::all(self.geometry.n_pieces()),
                }
            }
            for peer in self.peers.keys() {
                let key = u64::from(*peer);
                self.choker.handle_metered(key, spread.metered(key));
            }
        }
        while let Some(change) = self.choker.poll_change(now) {
            if let Some(fed) = self.peers.get_mut(&(change.key as u32)) {
                fed.choked = change.choke;
                if let Some(spread) = &mut self.spread {
                    spread.handle_choked(now, change.key, change.choke);
                }
            }
        }
    }

    /// The peers that may be sent something, from whose turn it is, each with its place and what it is shown.
    pub(super) fn in_turn(&self) -> impl Iterator<Item = (usize, u32, &Bits)> {
        let n = self.order.len();
        (0..n).filter_map(move |step| {
            let at = (self.turn + step) % n;
            let peer = self.order[at];
            let fed = &self.peers[&peer];
            (!fed.choked).then_some((at, peer, &fed.shown))
        })
    }
}
