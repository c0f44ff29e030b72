//! A piece that has been begun: which of its blocks are free, asked for, or here.

use metainfo::geometry::{BLOCK_LENGTH, Block, Geometry};
use metainfo::ids::PieceIndex;

/// What stands with one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// To be asked for.
    Free,
    /// Asked of these peers; more than one at the end only.
    Asked(Vec<u64>),
    /// Here, from this peer.
    Here(u64),
}

fn index(block: &Block) -> usize {
    (block.begin() / BLOCK_LENGTH) as usize
}

/// A piece that has been begun.
#[derive(Debug)]
pub(super) struct Partial {
    blocks: Vec<(Block, State)>,
    n_free: u32,
    n_here: u32,
    /// No block before this one is free.
    free_from: usize,
    /// It has failed before: until it is here again only this peer is asked, so that it is clear who lies.
    pub(super) only: Option<u64>,
}

impl Partial {
    /// Of this piece; where `asked` says so, only its first bytes.
    pub(super) fn new(geometry: &Geometry, piece: PieceIndex, asked: Option<u32>) -> Self {
        let end = asked.unwrap_or(u32::MAX);
        let blocks: Vec<_> = geometry
            .blocks(piece)
            .take_while(|block| block.begin() < end)
            .filter_map(|block| {
                let mut raw = block.raw();
                raw.length = raw.length.min(end - raw.begin);
                geometry.block(raw).ok()
            })
            .map(|block| (block, State::Free))
            .collect();
        Self {
            n_free: blocks.len() as u32,
            n_here: 0,
            free_from: 0,
            only: None,
            blocks,
        }
    }

    pub(super) fn n_free(&self) -> u32 {
        self.n_free
    }

    /// How many blocks are still to come.
    pub(super) fn n_lacking(&self) -> u32 {
        self.blocks.len() as u32 - self.n_here
    }

    /// Whether every block is here.
    pub(super) fn is_whole(&self) -> bool {
        self.n_here as usize == self.blocks.len()
    }

    /// Whether nothing of it is asked for or here.
    pub(super) fn is_untouched(&self) -> bool {
        self.n_free as usize == self.blocks.len()
    }

    /// The next free block.
    pub(super) fn next_free(&mut self) -> Option<Block> {
        if self.n_free == 0 {
            return None;
        }
        let free = |(_, state): &(Block, State)| *state == State::Free;
        self.free_from += self.blocks[self.free_from..].iter().position(free)?;
        Some(self.blocks[self.free_from].0)
    }

    /// What stands with each block.
    pub(super) fn states(&self) -> &[(Block, State)] {
        &self.blocks
    }

    /// Who gave each block.
    pub(super) fn givers(&self) -> Vec<u64> {
        let givers = self.blocks.iter().map(|(_, state)| match state {
            State::Here(key) => *key,
            State::Free | State::Asked(_) => u64::MAX,
        });
        givers.collect()
    }

    fn slot(&mut self, block: &Block) -> Option<&mut State> {
        let slot = self.blocks.get_mut(index(block));
        slot.filter(|(own, _)| own == block).map(|(_, state)| state)
    }

    /// A block was asked of this peer.
    pub(super) fn ask(&mut self, block: &Block, key: u64) {
        let Some(state) = self.slot(block) else {
            return;
        };
        match state {
            State::Free => {
                *state = State::Asked(vec![key]);
                self.n_free -= 1;
            }
            State::Asked(keys) if !keys.contains(&key) => keys.push(key),
            State::Asked(_) | State::Here(_) => {}
        }
    }

    /// A block is no longer asked of this peer; says whether it is free again.
    pub(super) fn unask(&mut self, block: &Block, key: u64) -> bool {
        let Some(state) = self.slot(block) else {
            return false;
        };
        let State::Asked(keys) = state else {
            return false;
        };
        keys.retain(|other| *other != key);
        if !keys.is_empty() {
            return false;
        }
        *state = State::Free;
        self.n_free += 1;
        self.free_from = self.free_from.min(index(block));
        true
    }

    /// What this peer has given is free again.
    pub(super) fn give_back(&mut self, key: u64) {
        for (_, state) in &mut self.blocks {
            if *state == State::Here(key) {
                *state = State::Free;
                self.n_here -= 1;
                self.n_free += 1;
                self.free_from = 0;
            }
        }
    }

    /// A block is here; gives the other peers it was asked of, or `None` where it was here already.
    pub(super) fn receive(&mut self, block: &Block, key: u64) -> Option<Vec<u64>> {
        let state = self.slot(block)?;
        let others = match state {
            State::Here(_) => return None,
            State::Free => {
                *state = State::Here(key);
                self.n_free -= 1;
                self.n_here += 1;
                return Some(Vec::new());
            }
            State::Asked(keys) => std::mem::take(keys),
        };
        *state = State::Here(key);
        self.n_here += 1;
        Some(others.into_iter().filter(|other| *other != key).collect())
    }
}
