//! Address ranges, packed: where each begins and what holds from there on, in order. A gap is a range of zero. An IPv4
//! range is 8 bytes, an IPv6 one 20.

/// Ranges over one family's addresses as numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges<A> {
    begins: Box<[A]>,
    values: Box<[u32]>,
}

/// An address as a number.
pub trait Address: Copy + Ord {
    /// The one behind it; `None` behind the last.
    fn next(self) -> Option<Self>;
}

impl Address for u32 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl Address for u128 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl<A: Address> Ranges<A> {
    /// Packs ranges: first and last address and a value that isn't zero. Where two overlap, the one that begins later
    /// holds from its beginning on.
    pub fn pack(mut all: Vec<(A, A, u32)>) -> Self {
        if !all.is_sorted() {
            all.sort_unstable();
        }
        let mut packed: Vec<(A, u32)> = Vec::new();
        let mut put = |at: A, value: u32| match packed.last_mut() {
            Some((last, held)) if *last == at => *held = value,
            Some((_, held)) if *held == value => {}
            None if value == 0 => {}
            _ => packed.push((at, value)),
        };
        let mut all = all.into_iter().peekable();
        while let Some((first, last, value)) = all.next() {
            put(first, value);
            let Some(behind) = last.next() else { continue };
            if all.peek().is_none_or(|(next, ..)| *next > behind) {
                put(behind, 0);
            }
        }
        Self {
            begins: packed.iter().map(|(at, _)| *at).collect(),
            values: packed.iter().map(|(_, value)| *value).collect(),
        }
    }

    /// What holds at an address; 0 for nothing.
    pub fn of(&self, address: A) -> u32 {
        let behind = self.begins.partition_point(|begin| *begin <= address);
        behind.checked_sub(1).map_or(0, |at| self.values[at])
    }

    /// How many ranges there are, gaps left out.
    pub fn len(&self) -> usize {
        self.values.iter().filter(|value| **value != 0).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_nothing_and_neighbours_of_one_value_are_one() {
        let ranges = Ranges::pack(vec![(20u32, 29, 2), (10, 14, 1), (15, 17, 1), (30, 30, 3)]);
        let found: Vec<u32> = (8..33).map(|at| ranges.of(at)).collect();
        let expected = [
            0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 0, 0,
        ];
        assert_eq!(found, expected);
        assert_eq!(ranges.len(), 3);
        assert_eq!(Ranges::<u128>::default().of(7), 0);
    }

    #[test]
    fn the_last_address_has_none_behind_it() {
        let ranges = Ranges::pack(vec![(0, 0, 1), (u32::MAX, u32::MAX, 9)]);
        assert_eq!((ranges.of(0), ranges.of(1), ranges.of(u32::MAX)), (1, 0, 9));
        assert_eq!(ranges.of(u32::MAX - 1), 0);
    }

    #[test]
    fn of_two_that_overlap_the_later_one_holds() {
        let ranges = Ranges::pack(vec![(0u32, 100, 1), (40, 60, 2), (40, 50, 3)]);
        assert_eq!((ranges.of(39), ranges.of(45)), (1, 2));
        assert_eq!(ranges.of(55), 2);
    }

    proptest::proptest! {
        #[test]
        fn packed_is_what_was_given(cuts in proptest::collection::btree_map(0u32..5000, 0u32..4, 1..60)) {
            let cuts: Vec<_> = cuts.into_iter().collect();
            let all = cuts.windows(2).filter(|pair| pair[0].1 != 0);
            let ranges = Ranges::pack(all.map(|pair| (pair[0].0, pair[1].0 - 1, pair[0].1)).collect());
            for pair in cuts.windows(2) {
                for at in [pair[0].0, pair[1].0 - 1] {
                    proptest::prop_assert_eq!(ranges.of(at), pair[0].1);
                }
            }
        }
    }
}
