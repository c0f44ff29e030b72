//! Pieces in the order of how many have them, kept up in constant time as that changes.
//!
//! All pieces stand in one list, sorted by count, equal counts side by side; one more or one fewer is a swap with
//! the edge of the neighbours' bucket. One index a world: what one world has is of no use to the other. What counts
//! as having a piece is the caller's. A piece can be taken out, where it isn't to be chosen for now.

/// Pieces by rarity.
#[derive(Debug, Clone)]
pub struct Rarity {
    /// Pieces by count.
    order: Vec<u32>,
    /// Where each piece stands in the order; [`NOWHERE`] for those that are taken out.
    place: Vec<u32>,
    counts: Vec<u32>,
    /// Where the bucket of each count starts in the order; one more for the end.
    starts: Vec<u32>,
}

const NOWHERE: u32 = u32::MAX;

impl Rarity {
    /// These pieces of so many, had by nobody, in the order given. Each may stand there once.
    pub fn new(n_pieces: u32, order: Vec<u32>) -> Self {
        let mut place = vec![NOWHERE; n_pieces as usize];
        for (at, piece) in (0..).zip(&order) {
            place[*piece as usize] = at;
        }
        Self {
            starts: vec![0, order.len() as u32],
            counts: vec![0; n_pieces as usize],
            order,
            place,
        }
    }

    /// How many have this piece.
    pub fn count(&self, piece: u32) -> u32 {
        self.counts[piece as usize]
    }

    /// Whether no piece is left to choose.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The pieces of equal count, rarest first; buckets may be empty.
    pub fn buckets(&self) -> impl Iterator<Item = &[u32]> {
        self.starts
            .windows(2)
            .map(|edge| &self.order[edge[0] as usize..edge[1] as usize])
    }

    /// One more has it.
    pub fn increment(&mut self, piece: u32) {
        let count = self.counts[piece as usize] as usize;
        self.counts[piece as usize] += 1;
        if self.place[piece as usize] == NOWHERE {
            return;
        }
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
        if self.place[piece as usize] == NOWHERE {
            return;
        }
        let first = self.starts[count];
        self.swap(self.place[piece as usize], first);
        self.starts[count] = first + 1;
    }

    /// It is no longer among those to choose from.
    pub fn take_out(&mut self, piece: u32) {
        let mut hole = self.place[piece as usize];
        if hole == NOWHERE {
            return;
        }
        // Each group above gives its last piece to the gap below it and moves down by one.
        for group in self.counts[piece as usize] as usize + 1..self.starts.len() {
            let last = self.starts[group] - 1;
            self.swap(hole, last);
            self.starts[group] = last;
            hole = last;
        }
        self.order.pop();
        self.place[piece as usize] = NOWHERE;
    }

    /// It is among them again.
    pub fn put_back(&mut self, piece: u32) {
        if self.place[piece as usize] != NOWHERE {
            return;
        }
        let count = self.counts[piece as usize] as usize;
        let end = self.order.len() as u32;
        while self.starts.len() < count + 2 {
            self.starts.push(end);
        }
        self.place[piece as usize] = end;
        self.order.push(piece);
        let mut at = end;
        for group in (count + 1..self.starts.len()).rev() {
            self.starts[group] += 1;
            if group > count + 1 {
                // The first of the group above moves behind its end, and leaves its place to the newcomer.
                let first = self.starts[group - 1];
                self.swap(at, first);
                at = first;
            }
        }
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

    impl Rarity {
        fn check(&self, counts: &[u32], inside: &[bool]) -> Result<(), TestCaseError> {
            let mut seen = vec![false; counts.len()];
            for (count, group) in self.buckets().enumerate() {
                for piece in group {
                    prop_assert_eq!(counts[*piece as usize] as usize, count);
                    prop_assert!(!std::mem::replace(&mut seen[*piece as usize], true));
                }
            }
            prop_assert_eq!(&seen[..], inside);
            prop_assert_eq!(self.is_empty(), !inside.contains(&true));
            Ok(())
        }
    }

    proptest! {
        #[test]
        fn the_order_is_that_of_the_counts(
            steps in proptest::collection::vec((0u8..4, 0u32..12), 0..400)
        ) {
            let mut rarity = Rarity::new(12, (0..12).rev().collect());
            let (mut counts, mut inside) = ([0u32; 12], [true; 12]);
            for (what, piece) in steps {
                let at = piece as usize;
                match what {
                    0 => { rarity.increment(piece); counts[at] += 1; }
                    1 => { rarity.decrement(piece); counts[at] = counts[at].saturating_sub(1); }
                    2 => { rarity.take_out(piece); inside[at] = false; }
                    _ => { rarity.put_back(piece); inside[at] = true; }
                }
                prop_assert_eq!(rarity.count(piece), counts[at]);
                rarity.check(&counts, &inside)?;
            }
        }
    }
}
