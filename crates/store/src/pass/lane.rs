//! One stretch of the payload, read slice by slice, and the leaves in it.
//!
//! A leaf of BEP 52 starts where its file does, or 16 KiB after the one before; in a v1 folder that is anywhere
//! in a piece. It belongs to the stretch in which it starts. What a slice holds of a leaf that goes on in the
//! next one is kept in front of that, so that every leaf lies in one place when it is hashed; the few bytes
//! beyond the end of a stretch are read for its last leaf.

use super::{LEAF, Pass, PassError, unit::leaf_beyond};
use crate::stat::read_exact_at;
use metainfo::MerkleHash;
use std::fs::File;
use std::ops::Range;

const KEPT: usize = LEAF as usize;

/// A reader of one stretch. It is used for one after the other and keeps its buffer and its open file.
pub(super) struct Lane {
    /// What was kept of an open leaf ends at `KEPT`; the slice starts there.
    buffer: Vec<u8>,
    file: Option<(usize, File)>,
    /// What of the stretch is not read yet.
    rest: Range<u64>,
    /// Where in the buffer the open leaf lies; empty where there is none.
    open: Range<usize>,
    /// The bytes up to the next leaf belong to a leaf of the stretch before.
    foreign: bool,
    /// The leaves so far.
    pub leaves: Vec<MerkleHash>,
}

impl Lane {
    /// A lane that reads at most this much at once.
    pub(super) fn new(slice: usize) -> Self {
        Self {
            buffer: vec![0; KEPT + slice],
            file: None,
            rest: 0..0,
            open: 0..0,
            foreign: false,
            leaves: Vec::new(),
        }
    }

    /// Begins a stretch.
    pub(super) fn begin(&mut self, stretch: Range<u64>) {
        self.rest = stretch;
        self.open = 0..0;
        self.foreign = true;
        self.leaves = Vec::new();
    }

    /// Whether there is nothing more to read.
    pub(super) fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    /// Reads the next `length` bytes, or what is left of the stretch. Gives how many.
    pub(super) fn read(&mut self, pass: &Pass<'_>, length: usize) -> Result<usize, PassError> {
        let left = self.rest.end - self.rest.start;
        let length = left.min(length.min(self.buffer.len() - KEPT) as u64) as usize;
        self.keep();
        self.fill(pass, self.rest.start, length)?;
        self.rest.start += length as u64;
        Ok(length)
    }

    /// The slice that was read last, of this length.
    pub(super) fn slice(&self, length: usize) -> &[u8] {
        &self.buffer[KEPT..KEPT + length]
    }

    /// Any part of the buffer, as [`Self::cut`] and [`Self::last_leaf`] name it.
    pub(super) fn part(&self, range: Range<usize>) -> &[u8] {
        &self.buffer[range]
    }

    /// Finds the leaves that end in the slice that was read last, of this length.
    pub(super) fn cut(
        &mut self,
        pass: &Pass<'_>,
        length: usize,
        mut whole: impl FnMut(Range<usize>),
    ) {
        let at = self.rest.start - length as u64;
        let mut start = KEPT - self.open.len();
        let mut here = KEPT;
        for span in pass.layout.map().spans(at..self.rest.start) {
            let file = &pass.layout.files()[span.file];
            if file.pad {
                here += span.length as usize;
                start = here;
                continue;
            }
            let mut offset = span.offset;
            let end = span.offset + span.length;
            while offset < end {
                if offset.is_multiple_of(LEAF) {
                    start = here;
                    self.foreign = false;
                }
                let leaf_end = (offset / LEAF * LEAF + LEAF).min(file.length);
                let now = leaf_end.min(end) - offset;
                offset += now;
                here += now as usize;
                if offset == leaf_end {
                    if !self.foreign {
                        whole(start..here);
                    }
                    self.foreign = false;
                    start = here;
                }
            }
        }
        self.open = if self.foreign {
            here..here
        } else {
            start..here
        };
    }

    /// The leaf that goes on beyond the end of the stretch, read to its end.
    pub(super) fn last_leaf(&mut self, pass: &Pass<'_>) -> Result<Option<Range<usize>>, PassError> {
        if self.open.is_empty() {
            return Ok(None);
        }
        self.keep();
        let kept = self.open.len();
        let beyond = leaf_beyond(pass.layout, self.rest.end);
        self.fill(pass, self.rest.end, beyond)?;
        self.open = 0..0;
        Ok(Some(KEPT - kept..KEPT + beyond))
    }

    /// Moves the open leaf in front of the next slice.
    fn keep(&mut self) {
        let start = KEPT - self.open.len();
        self.buffer.copy_within(self.open.clone(), start);
        self.open = start..KEPT;
    }

    /// Reads bytes of the payload, across files; pads are zeros.
    fn fill(&mut self, pass: &Pass<'_>, at: u64, length: usize) -> Result<(), PassError> {
        let mut rest = &mut self.buffer[KEPT..KEPT + length];
        for span in pass.layout.map().spans(at..at + length as u64) {
            let (own, others) = rest.split_at_mut(span.length as usize);
            rest = others;
            if pass.layout.files()[span.file].pad {
                own.fill(0);
                continue;
            }
            let path = &pass.paths[span.file];
            let file = match &mut self.file {
                Some((open, file)) if *open == span.file => file,
                other => {
                    let file = File::open(path).map_err(|error| PassError::read(path, error))?;
                    &mut other.insert((span.file, file)).1
                }
            };
            read_exact_at(file, own, span.offset).map_err(|error| PassError::read(path, error))?;
        }
        Ok(())
    }
}
