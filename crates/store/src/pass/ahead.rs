//! Reading ahead: what the hashing threads need next is asked of the disk in payload order, by whoever takes
//! a unit, while the others hash.
//!
//! Threads that each read their own pieces are fine for memory and flash and ruin a disk that turns: it would
//! go to and fro. Asked for in one order and some megabytes ahead, everything reaches it as one stream, the
//! reads themselves find their bytes in the page cache, and reading and hashing overlap. Whether a disk turns
//! need not be known; virtual machines say so of any.

use super::unit::Unit;
use metainfo::Layout;
use std::fs::File;
use std::path::PathBuf;

/// How far beyond the units that are being hashed the disk is asked.
const WINDOW: u64 = 16 << 20;

/// What every kernel takes as one request, however small its own read-ahead is set.
const REQUEST: u64 = 128 << 10;

/// How often it is checked whether the bytes are in memory already, and the most that is asked for at a time.
const PROBE: u64 = 2 << 20;

/// Units in payload order, and how far the disk has been asked for them.
pub(super) struct Queue<'a> {
    layout: &'a Layout,
    paths: &'a [PathBuf],
    units: Vec<Unit>,
    next: usize,
    asked: usize,
    open: Option<(usize, File)>,
}

impl<'a> Queue<'a> {
    pub(super) fn new(layout: &'a Layout, paths: &'a [PathBuf], units: Vec<Unit>) -> Self {
        Self {
            layout,
            paths,
            units,
            next: 0,
            asked: 0,
            open: None,
        }
    }

    /// The next unit. Asks the disk for it and what follows.
    pub(super) fn take(&mut self) -> Option<Unit> {
        let unit = self.units.get(self.next)?.clone();
        self.next += 1;
        while let Some(ahead) = self.units.get(self.asked)
            && (self.asked < self.next || ahead.range.start < unit.range.end + WINDOW)
        {
            self.ask(ahead.clone());
            self.asked += 1;
        }
        Some(unit)
    }

    /// Advice only: what can't be opened or asked for is told by who reads it.
    fn ask(&mut self, unit: Unit) {
        for span in self.layout.map().spans(unit.range) {
            // The first read of a small file brings it whole.
            if self.layout.files()[span.file].pad || span.length < REQUEST {
                continue;
            }
            if self
                .open
                .as_ref()
                .is_none_or(|(open, _)| *open != span.file)
            {
                let Ok(file) = File::open(&self.paths[span.file]) else {
                    continue;
                };
                self.open = Some((span.file, file));
            }
            if let Some((_, file)) = &self.open {
                let end = span.offset + span.length;
                let mut at = span.offset;
                while at < end {
                    let part = at..end.min(at + PROBE);
                    at = part.end;
                    if !in_memory(file, part.start) {
                        ask_for(file, part);
                    }
                }
            }
        }
    }
}

/// Whether a read here would not wait.
fn in_memory(file: &File, at: u64) -> bool {
    #[cfg(target_os = "linux")]
    {
        use rustix::io::{ReadWriteFlags, preadv2};
        let mut byte = [0];
        let mut buffers = [std::io::IoSliceMut::new(&mut byte)];
        preadv2(file, &mut buffers, at, ReadWriteFlags::NOWAIT).is_ok()
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (file, at);
        true
    }
}

fn ask_for(file: &File, part: std::ops::Range<u64>) {
    #[cfg(target_os = "linux")]
    for at in part.clone().step_by(REQUEST as usize) {
        // All that is left each time: a kernel that takes more as one request gets larger ones.
        let length = std::num::NonZeroU64::new(part.end - at);
        let _ = rustix::fs::fadvise(file, at, length, rustix::fs::Advice::WillNeed);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (file, part);
}

#[cfg(test)]
mod tests {
    use super::super::unit::{UNIT_BYTES, units};
    use super::*;
    use metainfo::Format;

    #[test]
    fn units_come_in_order_and_the_disk_is_asked_some_way_ahead() {
        let folder = tempfile::tempdir().unwrap();
        let length = WINDOW * 2;
        let path = folder.path().join("clip");
        File::create(&path).unwrap().set_len(length).unwrap();
        let layout = Layout::file("clip", length, Format::V1, None).unwrap();
        let paths = [path];
        let all = units(&layout);
        let step = all[0].range.end;
        assert!(step >= UNIT_BYTES);
        let mut queue = Queue::new(&layout, &paths, all.clone());
        let mut taken = Vec::new();
        while let Some(unit) = queue.take() {
            let expected = (unit.range.end + WINDOW)
                .div_ceil(step)
                .min(all.len() as u64);
            assert_eq!(queue.asked as u64, expected);
            taken.push(unit);
        }
        assert_eq!(taken, all);
    }

    #[test]
    fn files_that_are_gone_are_left_to_who_reads_them() {
        let layout = Layout::file("gone", WINDOW, Format::V1, None).unwrap();
        let paths = [PathBuf::from("gone")];
        let all = units(&layout);
        let mut queue = Queue::new(&layout, &paths, all.clone());
        assert_eq!(queue.take().as_ref(), all.first());
        assert!(queue.open.is_none());
    }
}
