//! A set of pieces as words of bits, quick to intersect.

/// Pieces 0 to n.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bits {
    words: Vec<u64>,
    count: u32,
}

impl Bits {
    /// None of `n`.
    pub fn none(n: u32) -> Self {
        Self {
            words: vec![0; n.div_ceil(64) as usize],
            count: 0,
        }
    }

    /// All of `n`.
    pub fn all(n: u32) -> Self {
        let mut bits = Self::none(n);
        for piece in 0..n {
            bits.set(piece);
        }
        bits
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Whether this one is there.
    pub fn has(&self, piece: u32) -> bool {
        self.words[piece as usize / 64] >> (piece % 64) & 1 == 1
    }

    /// Puts one in; says whether it is new.
    pub fn set(&mut self, piece: u32) -> bool {
        let new = !self.has(piece);
        self.words[piece as usize / 64] |= 1 << (piece % 64);
        self.count += u32::from(new);
        new
    }

    /// Takes one out.
    pub fn unset(&mut self, piece: u32) {
        self.count -= u32::from(self.has(piece));
        self.words[piece as usize / 64] &= !(1 << (piece % 64));
    }

    /// The pieces that are here and in neither of the others.
    pub fn without<'a>(&'a self, one: &'a Self, other: &'a Self) -> impl Iterator<Item = u32> + 'a {
        let words = self.words.iter().zip(&one.words).zip(&other.words);
        (0..).zip(words).flat_map(|(at, ((own, one), other))| {
            let mut left = own & !one & !other;
            std::iter::from_fn(move || {
                (left != 0).then(|| {
                    let bit = left.trailing_zeros();
                    left &= left - 1;
                    at * 64 + bit
                })
            })
        })
    }
}
