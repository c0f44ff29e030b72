//! How a payload is cut for the pass: units of whole pieces that threads take in payload order, and how many
//! hashes each gives.

use super::{LEAF, Want};
use crate::lanes::LANES;
use metainfo::Layout;
use std::ops::Range;

/// How much a thread takes at once: long enough to keep a disk streaming, short enough to share out.
/// Tests have many of them in few bytes.
pub(super) const UNIT_BYTES: u64 = if cfg!(test) { 256 << 10 } else { 4 << 20 };

/// A range of the payload that one thread hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    /// Its place among all units.
    pub index: usize,
    /// Where it lies; it starts with a piece.
    pub range: Range<u64>,
}

/// Units that tile the payload. The same for every machine: a journal names them.
pub(super) fn units(layout: &Layout) -> Vec<Unit> {
    let piece_length = u64::from(layout.geometry().piece_length().get());
    let pieces = (UNIT_BYTES / piece_length).max(1);
    let step = piece_length * pieces.next_multiple_of(LANES as u64);
    let total = layout.map().total_length();
    (0..total.div_ceil(step))
        .map(|i| Unit {
            index: i as usize,
            range: i * step..total.min((i + 1) * step),
        })
        .collect()
}

/// How many pieces a unit gives.
pub(super) fn pieces_in(layout: &Layout, want: Want, range: &Range<u64>) -> usize {
    if !want.pieces {
        return 0;
    }
    let pieces = layout.geometry().pieces_of(range.clone());
    (pieces.end - pieces.start) as usize
}

/// How many leaves start in a range of the payload: those that the range gives.
pub(super) fn leaves_in(layout: &Layout, want: Want, range: &Range<u64>) -> usize {
    if !want.roots {
        return 0;
    }
    let spans = layout.map().spans(range.clone());
    let real = spans.filter(|span| !layout.files()[span.file].pad);
    real.map(|span| {
        let starts = (span.offset + span.length).div_ceil(LEAF) - span.offset.div_ceil(LEAF);
        starts as usize
    })
    .sum()
}

/// How many bytes of a leaf that is open at this position lie beyond it.
pub(super) fn leaf_beyond(layout: &Layout, position: u64) -> usize {
    let Some(span) = layout.map().spans(position..position + 1).next() else {
        return 0;
    };
    let file = &layout.files()[span.file];
    if file.pad || span.offset % LEAF == 0 {
        return 0;
    }
    ((span.offset.next_multiple_of(LEAF)).min(file.length) - span.offset) as usize
}
