//! What was handed out and not yet taken by the socket. Blocks and all else are told apart: the shell sends blocks
//! from where they lie, but other messages are held in memory until they are taken.

use std::collections::VecDeque;

/// What a piece of the outgoing stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Blocks,
    Control,
}

#[derive(Debug, Default)]
pub(super) struct Unsent {
    /// In the order of the stream; neighbours are of different kinds.
    runs: VecDeque<(Kind, usize)>,
    total: usize,
    control: usize,
}

impl Unsent {
    pub(super) fn add(&mut self, kind: Kind, bytes: usize) {
        self.total += bytes;
        if kind == Kind::Control {
            self.control += bytes;
        }
        match self.runs.back_mut() {
            Some((last, run)) if *last == kind => *run += bytes,
            _ => self.runs.push_back((kind, bytes)),
        }
    }

    /// The socket took so many bytes from the front.
    pub(super) fn take(&mut self, bytes: usize) {
        let mut left = bytes;
        while let Some((kind, run)) = self.runs.front_mut().filter(|_| left > 0) {
            let taken = left.min(*run);
            *run -= taken;
            left -= taken;
            self.total -= taken;
            if *kind == Kind::Control {
                self.control -= taken;
            }
            if *run == 0 {
                self.runs.pop_front();
            }
        }
        if self.runs.is_empty() {
            self.runs.shrink_to(4);
        }
    }

    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// What of it are messages other than blocks.
    pub(super) fn control(&self) -> usize {
        self.control
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_apart_in_order() {
        let mut unsent = Unsent::default();
        unsent.add(Kind::Control, 10);
        unsent.add(Kind::Blocks, 100);
        unsent.add(Kind::Blocks, 100);
        unsent.add(Kind::Control, 5);
        assert_eq!(
            (unsent.total(), unsent.control(), unsent.runs.len()),
            (215, 15, 3)
        );
        unsent.take(110);
        assert_eq!((unsent.total(), unsent.control()), (105, 5));
        unsent.take(1000);
        assert_eq!(
            (unsent.total(), unsent.control(), unsent.runs.len()),
            (0, 0, 0)
        );
    }
}
