//! Pieces in the order of how many have them, kept up in constant time as that changes.
//!
//! All pieces stand in one list, sorted by count, equal counts side by side; one more or one fewer is a swap with
//! the edge of the neighbours' bucket. One index a world: what one world has is of no use to the other.
//! What counts as having a piece is the caller's.

/// Pieces by rarity.
#[derive(Debug, Clone)]
pub struct Rarity {
    /// Pieces by count.
    order: Vec<u32>,
    /// Where each piece stands in the order.
    place: Vec<u32>,
    counts: Vec<u32>,
    /// Where the bucket of each count starts in the order; one more for the end.
    starts: Vec<u32>,
}

impl Rarity {
    /// So many pieces that nobody has.
    pub fn new(n_pieces: u32) -> Self {
        Self {
            order: (0..n_pieces).collect(),
            place: (0..n_pieces).collect(),
            counts: vec![0; n_pieces as usize],
            starts: vec![0, n_pieces],
        }
    }

    /// How many have this piece.
    pub fn count(&self, piece: u32) -> u32 {
        self.counts[piece as usize]
    }

    /// The pieces of equal count, rarest first; buckets may be empty.
    pub fn buckets(&self) -> impl Iterator<Item = &[u32]> {
        self.starts
            .windows(2)
            .map(|edge| &self.order[edge[0] as usize..edge[1] as usize])
    }

    /// The least count there is; 0 where there are no pieces.
    pub fn least(&self) -> u32 {
        self.order.first().map_or(0, |piece| self.count(*piece))
    }

    /// One more has it.
    pub fn increment(&mut self, piece: u32) {
        let count = self.counts[piece as usize] as usize;
        self.counts[piece as usize] += 1;
        if self.starts.len() == count + 2 {
            self.starts.push(self.order.len() as u32);
        }
        let last = self.starts[count + 1] - 1;
        self.swap(self.place[piece as usize], last);
        self.starts[count + 1] = last;
    }

    /// One fewer has it. Below zero nothing happens.
    pub fn decrement(&mut self, piece: u32) {
        let count = self.counts[piece as usize] as usize;
        if count == 0 {
            return;
        }
        self.counts[piece as usize] -= 1;
        let first = self.starts[count];
        self.swap(self.place[piece as usize], first);
        self.starts[count] = first + 1;
    }

    fn swap(&mut self, a: u32, b: u32) {
        self.order.swap(a as usize, b as usize);
        self.place[self.order[a as usize] as usize] = a;
        self.place[self.order[b as usize] as usize] = b;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_order_is_that_of_the_counts(
            n in 1u32..40, steps in proptest::collection::vec((any::<u32>(), any::<bool>()), 0..200)
        ) {
            let mut rarity = Rarity::new(n);
            let mut counts = vec![0u32; n as usize];
            for (piece, more) in steps {
                let piece = piece % n;
                let count = &mut counts[piece as usize];
                if more {
                    rarity.increment(piece);
                    *count += 1;
                } else {
                    rarity.decrement(piece);
                    *count = count.saturating_sub(1);
                }
                prop_assert_eq!(rarity.least(), *counts.iter().min().unwrap());
            }
            let mut seen = 0;
            for (count, bucket) in (0..).zip(rarity.buckets()) {
                for piece in bucket {
                    prop_assert_eq!(counts[*piece as usize], count);
                    prop_assert_eq!(rarity.count(*piece), count);
                    seen += 1;
                }
            }
            prop_assert_eq!(seen, n);
        }
    }

    #[test]
    fn no_pieces_at_all() {
        let rarity = Rarity::new(0);
        assert_eq!((rarity.least(), rarity.buckets().flatten().count()), (0, 0));
    }
}
