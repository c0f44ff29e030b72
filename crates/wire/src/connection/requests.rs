//! The blocks one peer has asked for and not been handed yet: a bounded queue, first come first served.

use metainfo::geometry::{Block, RawRequest};
use std::collections::VecDeque;

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It waits for its turn.
    Queued,
    /// It isn't served; told to the peer where it speaks BEP 6.
    Refused,
    /// So many were refused in a row that the peer can't be listening.
    Flood,
}

/// How many requests may be refused in a row. A peer that lost its slot may have all of its window
/// under way; twice that, and then some, is no accident.
const MAX_REFUSED: u32 = 4096;

#[derive(Debug, Default)]
pub(super) struct Requests {
    queue: VecDeque<Block>,
    refused_in_a_row: u32,
}

impl Requests {
    pub(super) fn push(&mut self, block: Block, open: bool, limit: usize) -> Taken {
        if open && self.queue.len() < limit {
            self.queue.push_back(block);
            self.refused_in_a_row = 0;
            return Taken::Queued;
        }
        self.refuse()
    }

    /// Counts a request that isn't served.
    pub(super) fn refuse(&mut self) -> Taken {
        self.refused_in_a_row += 1;
        if self.refused_in_a_row > MAX_REFUSED {
            Taken::Flood
        } else {
            Taken::Refused
        }
    }

    /// Takes a request back; `false` where it was handed out already or never came.
    pub(super) fn cancel(&mut self, raw: RawRequest) -> bool {
        let found = self.queue.iter().position(|block| block.raw() == raw);
        found.and_then(|at| self.queue.remove(at)).is_some()
    }

    /// Takes out what is no longer served, for rejecting it.
    pub(super) fn drop_all_but(&mut self, keep: impl Fn(&Block) -> bool) -> Vec<Block> {
        let (stay, gone) = std::mem::take(&mut self.queue)
            .into_iter()
            .partition::<VecDeque<_>, _>(keep);
        self.queue = stay;
        Vec::from(gone)
    }

    /// What goes next.
    pub(super) fn first(&self) -> Option<Block> {
        self.queue.front().copied()
    }

    pub(super) fn pop(&mut self) -> Option<Block> {
        let block = self.queue.pop_front();
        if self.queue.is_empty() {
            // A queue that was full once is not paid for by an idle peer.
            self.queue.shrink_to(8);
        }
        block
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}
