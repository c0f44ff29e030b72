//! Drawing the peers that an asker is handed.
//!
//! All peers of a swarm are thought of as a ring, shard after shard. Two runs of neighbours are drawn from it, at
//! random places and never overlapping: each peer is as likely as any other whatever the shards' sizes, and since
//! within a shard the order is random, so is who comes together. Memory is read in a row.

use super::family::Asker;
use super::peers::Peers;
use crate::random::Random;
use std::ops::Range;

/// Peers drawn beyond what is wanted, for those that turn out to be the asker or its neighbours.
const SPARE: usize = 4;

/// A sample that is being drawn.
pub(super) struct Draw<'a, const N: usize> {
    asker: &'a Asker<N>,
    out: &'a mut Vec<u8>,
    /// Where `out` ended before.
    began: usize,
    wanted: usize,
    /// How many of the asker's own address were taken.
    of_own_address: usize,
    /// The others of it, in case there is nobody else.
    left_out: Vec<[u8; N]>,
}

impl<'a, const N: usize> Draw<'a, N> {
    pub(super) fn new(asker: &'a Asker<N>, out: &'a mut Vec<u8>) -> Self {
        Self {
            asker,
            began: out.len(),
            out,
            wanted: asker.wanted,
            of_own_address: 0,
            left_out: Vec::new(),
        }
    }

    pub(super) fn is_enough(&self) -> bool {
        self.taken() >= self.wanted
    }

    /// Draws from a ring of `n`: calls `take` with stretches of it, until there are enough or all were drawn.
    pub(super) fn runs(
        &mut self,
        n: usize,
        random: &mut Random,
        mut take: impl FnMut(&mut Self, usize, usize),
    ) {
        if n == 0 || self.wanted == 0 {
            return;
        }
        let start = random.below(n);
        let drawn = self.wanted + SPARE;
        if drawn >= n {
            self.run(n, start, n, &mut take);
            return;
        }
        let first = drawn / 2;
        self.run(n, start, first, &mut take);
        // Behind the first run there is a gap, then the second run, then a gap again.
        let gap = random.below(n - drawn + 1);
        let rest = n - first - gap;
        // Where many were passed over the second run goes on, within reason.
        self.run(n, start + first + gap, rest.min(2 * drawn), &mut take);
    }

    fn run(
        &mut self,
        n: usize,
        start: usize,
        len: usize,
        take: &mut impl FnMut(&mut Self, usize, usize),
    ) {
        let start = start % n;
        let end = start + len;
        take(self, start, end.min(n));
        if end > n && !self.is_enough() {
            take(self, 0, end - n);
        }
    }

    /// Takes what may be handed out of a stretch of a shard.
    pub(super) fn take(&mut self, peers: &Peers<N>, range: Range<usize>) {
        let from = range.start;
        let stretch = peers.addrs().get(range).unwrap_or_default();
        // Nearly always there is nothing to pass over.
        let plain = &stretch[..stretch.len().min(self.wanted - self.taken())];
        if !plain
            .iter()
            .any(|addr| self.is_near(addr) || self.is_in(addr))
        {
            self.out.extend_from_slice(plain.as_flattened());
            return;
        }
        for (at, addr) in stretch.iter().enumerate() {
            if self.is_enough() {
                return;
            }
            if self.is_in(addr) {
                continue;
            }
            if self.is_near(addr) {
                // What comes from there under the same peer id is the asker under an earlier port.
                if *addr == self.asker.addr || peers.tag(from + at) == Some(self.asker.tag) {
                    continue;
                }
                if self.of_own_address > 0 {
                    self.left_out.push(*addr);
                    continue;
                }
                self.of_own_address += 1;
            }
            self.out.extend_from_slice(addr);
        }
    }

    /// Ends the sample.
    pub(super) fn finish(self) {
        let others = self.taken() - self.of_own_address;
        if others == 0 {
            let missing = self.wanted - self.taken();
            for addr in self.left_out.iter().take(missing) {
                self.out.extend_from_slice(addr);
            }
        }
    }

    /// Whether it is at the asker's own address.
    fn is_near(&self, addr: &[u8; N]) -> bool {
        addr[..N - 2] == self.asker.addr[..N - 2]
    }

    /// Whether it was there before: our own seeder's addresses, which are few.
    fn is_in(&self, addr: &[u8; N]) -> bool {
        self.out[..self.began]
            .chunks_exact(N)
            .any(|there| there == addr)
    }

    fn taken(&self) -> usize {
        (self.out.len() - self.began) / N
    }
}
