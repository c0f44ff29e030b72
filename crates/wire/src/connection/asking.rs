//! What we have asked of one peer: blocks, pieces of metadata, hashes. Every answer must fit a question, so a peer
//! can't push anything upon us.

use super::ProtocolError;
use crate::message::HashRange;
use metainfo::geometry::Block;
use metainfo::ids::PieceIndex;
use std::collections::VecDeque;

/// How many requests a peer takes that doesn't say (`reqq`, BEP 10).
const DEFAULT_QUEUE: u32 = 250;
/// The most requests under way, whatever a peer says.
const MAX_QUEUE: u32 = 2048;
/// How many requests that were taken back are remembered; the oldest are forgotten first.
const MAX_CANCELLED: usize = 2048;
/// How many pieces a peer may allow fast. BEP 6 has ten as usual.
const MAX_ALLOWED: usize = 128;
/// How many answers without a question one peer may give before that is no accident.
const MAX_UNASKED: u32 = 64;
/// How many questions about metadata and hashes may be open at once.
const MAX_OPEN: usize = 256;

/// What becomes of a block that came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// It was asked for.
    Wanted,
    /// It was asked for and taken back.
    Late,
    /// It never was.
    Unasked,
}

#[derive(Debug)]
pub(super) struct Asking {
    /// Whether the peer chokes us.
    pub(super) choked: bool,
    /// Pieces that may be asked for all the same.
    allowed: Vec<PieceIndex>,
    /// Sent and not answered.
    under_way: VecDeque<Block>,
    /// To be sent once there is room.
    waiting: VecDeque<Block>,
    /// Taken back and perhaps under way already.
    cancelled: VecDeque<Block>,
    unasked: u32,
    pub(super) metadata: Vec<u32>,
    pub(super) hashes: Vec<HashRange>,
}

impl Default for Asking {
    fn default() -> Self {
        Self {
            choked: true,
            allowed: Vec::new(),
            under_way: VecDeque::new(),
            waiting: VecDeque::new(),
            cancelled: VecDeque::new(),
            unasked: 0,
            metadata: Vec::new(),
            hashes: Vec::new(),
        }
    }
}

impl Asking {
    /// Takes up a request; `false` where it can't be asked for.
    pub(super) fn push(&mut self, block: Block) -> bool {
        if self.choked && !self.allowed.contains(&block.piece()) {
            return false;
        }
        if !self.under_way.contains(&block) && !self.waiting.contains(&block) {
            self.waiting.push_back(block);
        }
        true
    }

    /// The next request to send, where the peer has room for one.
    pub(super) fn next(&mut self, request_queue: Option<u32>) -> Option<Block> {
        let room = request_queue.unwrap_or(DEFAULT_QUEUE).clamp(1, MAX_QUEUE) as usize;
        if self.under_way.len() >= room {
            return None;
        }
        let block = self.waiting.pop_front()?;
        self.under_way.push_back(block);
        Some(block)
    }

    /// Takes a request back; says whether the peer must be told.
    pub(super) fn cancel(&mut self, block: Block) -> bool {
        if remove(&mut self.waiting, &block) || !remove(&mut self.under_way, &block) {
            return false;
        }
        self.expect_late(block);
        true
    }

    /// A block came.
    pub(super) fn handle_block(&mut self, block: &Block) -> Came {
        let came = if remove(&mut self.under_way, block) {
            Came::Wanted
        } else if remove(&mut self.cancelled, block) {
            Came::Late
        } else {
            Came::Unasked
        };
        self.shrink();
        came
    }

    /// The peer won't serve a request. Says whether that is news.
    pub(super) fn handle_reject(&mut self, block: &Block) -> Result<bool, ProtocolError> {
        if remove(&mut self.under_way, block) {
            self.shrink();
            return Ok(true);
        }
        if !remove(&mut self.cancelled, block) {
            self.count_unasked()?;
        }
        Ok(false)
    }

    /// An answer came to a question that was never asked.
    pub(super) fn count_unasked(&mut self) -> Result<(), ProtocolError> {
        self.unasked += 1;
        if self.unasked > MAX_UNASKED {
            Err(ProtocolError::UnaskedAnswers(self.unasked))
        } else {
            Ok(())
        }
    }

    /// The peer chokes us. Gives the requests that were never sent and never will be. Without BEP 6 those under
    /// way are gone as well, though some of their blocks may still come.
    pub(super) fn choke(&mut self, fast: bool) -> Vec<Block> {
        self.choked = true;
        if !fast {
            self.waiting = VecDeque::new();
            for block in std::mem::take(&mut self.under_way) {
                self.expect_late(block);
            }
            return Vec::new();
        }
        let allowed = &self.allowed;
        let (stay, gone) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|block: &Block| allowed.contains(&block.piece()));
        self.waiting = stay;
        Vec::from(gone)
    }

    /// The peer allows a piece fast. Says whether that is news.
    pub(super) fn allow(&mut self, piece: PieceIndex) -> bool {
        let news = self.allowed.len() < MAX_ALLOWED && !self.allowed.contains(&piece);
        if news {
            self.allowed.push(piece);
        }
        news
    }

    /// Notes a question; `false` where too many are open or it is asked already.
    pub(super) fn open<T: PartialEq>(questions: &mut Vec<T>, question: T) -> bool {
        let fits = questions.len() < MAX_OPEN && !questions.contains(&question);
        if fits {
            questions.push(question);
        }
        fits
    }

    /// Strikes out a question; says whether it was asked.
    pub(super) fn answer<T: PartialEq>(questions: &mut Vec<T>, question: &T) -> bool {
        let at = questions.iter().position(|asked| asked == question);
        at.map(|at| questions.swap_remove(at)).is_some()
    }

    fn expect_late(&mut self, block: Block) {
        if self.cancelled.len() >= MAX_CANCELLED {
            self.cancelled.pop_front();
        }
        self.cancelled.push_back(block);
    }

    /// What was full once is not paid for by an idle peer.
    fn shrink(&mut self) {
        if self.under_way.is_empty() && self.waiting.is_empty() {
            self.under_way.shrink_to(8);
            self.waiting.shrink_to(8);
        }
    }
}

fn remove(blocks: &mut VecDeque<Block>, block: &Block) -> bool {
    let at = blocks.iter().position(|held| held == block);
    at.and_then(|at| blocks.remove(at)).is_some()
}
