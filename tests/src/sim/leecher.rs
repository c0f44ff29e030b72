//! One leecher of a crowd: what it has, what is coming, and which piece it takes next: the rarest among its neighbours,
//! a random one of the equally rare.

use super::bits::Bits;

/// How a leecher behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Behaviour {
    /// Uplink, in pieces a second; 0 for one that gives nothing.
    pub up: f64,
    /// Downlink, in pieces a second.
    pub down: f64,
    /// When it comes, in seconds.
    pub joins: f64,
    /// It leaves as soon as it has everything.
    pub leaves: bool,
    /// It says from the start that it has everything, and gives nothing.
    pub lies: bool,
    /// It can reach those of its own world only.
    pub browser: bool,
}

/// One leecher.
#[derive(Debug)]
pub struct Leecher {
    pub(super) behaviour: Behaviour,
    pub(super) have: Bits,
    pub(super) coming: Bits,
    /// How many neighbours say that they have each piece.
    pub(super) counts: Vec<u16>,
    pub(super) neighbours: Vec<u32>,
    /// The neighbour to look at first when the uplink is free.
    pub(super) turn: usize,
    pub(super) is_sending: bool,
    /// Pieces a second that are coming in.
    pub(super) inflow: f64,
    pub(super) online: bool,
    pub(super) done_at: Option<f64>,
}

impl Leecher {
    pub(super) fn new(behaviour: Behaviour, n_pieces: u32) -> Self {
        Self {
            behaviour,
            have: Bits::none(n_pieces),
            coming: Bits::none(n_pieces),
            counts: vec![0; n_pieces as usize],
            neighbours: Vec::new(),
            turn: 0,
            is_sending: false,
            inflow: 0.0,
            online: false,
            done_at: None,
        }
    }

    /// Whether so much more may come in.
    pub(super) fn has_room(&self, flow: f64) -> bool {
        self.online && self.inflow + flow <= self.behaviour.down * 1.001
    }

    /// Which of these pieces it would take.
    pub(super) fn pick(&self, offered: &Bits, random: &mut Random) -> Option<u32> {
        let mut best = None;
        let mut least = u16::MAX;
        let mut equals = 0;
        for piece in offered.without(&self.have, &self.coming) {
            let count = self.counts[piece as usize];
            if count < least {
                (best, least, equals) = (Some(piece), count, 1);
            } else if count == least {
                equals += 1;
                if random.below(equals) == 0 {
                    best = Some(piece);
                }
            }
        }
        best
    }
}

/// Random numbers from a seed (splitmix64).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The sequence of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next_number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next_number()) * end as u128) >> 64) as usize
    }
}
