//! What was counted already: a table of fixed size in which the newer overwrites the older, so that whoever leaves and
//! comes back isn't counted anew, within reason.

use std::sync::atomic::{AtomicU16, Ordering};

/// Places of the table; it is 128 KiB.
const PLACES: usize = 1 << 16;

/// Marks of what was counted, by keyed hash.
#[derive(Debug)]
pub(super) struct Once(Box<[AtomicU16]>);

impl Default for Once {
    fn default() -> Self {
        Self((0..PLACES).map(|_| AtomicU16::new(0)).collect())
    }
}

impl Once {
    /// Whether this is new; from now on it isn't.
    pub(super) fn is_new(&self, hash: u64) -> bool {
        let mark = ((hash >> 16) as u16).max(1);
        self.0[hash as usize % PLACES].swap(mark, Ordering::Relaxed) != mark
    }
}
