//! Reading a torrent's payload for peers: any range of its byte space, files opened on demand, under
//! a stat guard. A file that is not what was hashed is not read: a wrong byte never leaves.
//!
//! There are three ways to the bytes. [`Payload::read`] waits for the disk. [`Payload::read_resident`] doesn't: it
//! gives what is in memory already. On Linux a [`Window`] lends a stretch of a file to a socket without any copy.

mod file;
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod window;

use crate::stat::{read_exact_at, stat_record};
use file::OpenFile;
use metainfo::state::StatRecord;
use metainfo::{FileMap, Info};
use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
pub use window::{Part, Window};

/// How many files of one torrent stay open at once.
const OPEN_FILES: usize = 8;
/// How many files of all torrents stay open at once.
const OPEN_IN_ALL: usize = 512;

/// Whose files are open, the longest open first: one entry for each.
static RECENT: Mutex<VecDeque<Weak<Mutex<Open>>>> = Mutex::new(VecDeque::new());

/// Why a range can't be read.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// A file can't be opened or read.
    #[error("read {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not what it was when it was hashed.
    #[error("{} is not the file that was published (size, time or inode differ); publish it again", .0.display())]
    Changed(PathBuf),
    /// The range leaves the payload.
    #[error("bytes {}..{} of {length}", .range.start, .range.end)]
    OutOfRange {
        /// The range asked for.
        range: Range<u64>,
        /// The length of the payload.
        length: u64,
    },
}

struct PayloadFile {
    /// Below the root.
    path: String,
    pad: bool,
    recorded: Option<StatRecord>,
}

/// One torrent's files on disk.
pub struct Payload {
    files: Vec<PayloadFile>,
    map: FileMap,
    open: Arc<Mutex<Open>>,
}

/// What is open, the longest unused first.
struct Open {
    root: PathBuf,
    files: Vec<Arc<OpenFile>>,
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    windows: Vec<Arc<Window>>,
}

impl Payload {
    /// The payload of this torrent below `root`, the folder that holds the file or folder of its name.
    /// `recorded` tells what each real file (pads not counted) was when it was hashed; where it has no
    /// entry, only the length is guarded.
    pub fn new(root: &Path, info: &Info, recorded: &[Option<StatRecord>]) -> Self {
        let mut recorded = recorded.iter();
        let files = info
            .files()
            .iter()
            .map(|file| PayloadFile {
                path: info.stored_path(file),
                pad: file.pad,
                recorded: if file.pad {
                    None
                } else {
                    recorded.next().copied().flatten()
                },
            })
            .collect();
        Self {
            files,
            map: info.file_map().clone(),
            open: Arc::new(Mutex::new(Open {
                root: root.to_owned(),
                files: Vec::new(),
                #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
                windows: Vec::new(),
            })),
        }
    }

    /// Appends a range of the payload to `out`; pads give zeros. Blocking. On an error `out` is as
    /// it was.
    pub fn read(&self, range: Range<u64>, out: &mut Vec<u8>) -> Result<(), PayloadError> {
        self.gather(range, out, |index, offset, buffer| {
            let open = self.open(index)?;
            open.guard()?;
            read_exact_at(&open.file, buffer, offset).map_err(|error| open.failed(error))?;
            Ok(true)
        })
        .map(|_| ())
    }

    /// The same as far as it needs no waiting for a disk: `false`, and nothing appended, where anything of it is not
    /// in memory, where its file isn't open, or where the system can't tell.
    pub fn read_resident(
        &self,
        range: Range<u64>,
        out: &mut Vec<u8>,
    ) -> Result<bool, PayloadError> {
        self.gather(range, out, |index, offset, buffer| {
            let Some(open) = self.opened().file(index) else {
                return Ok(false);
            };
            open.guard()?;
            Ok(open.read_resident(buffer, offset))
        })
    }

    fn gather(
        &self,
        range: Range<u64>,
        out: &mut Vec<u8>,
        read: impl Fn(usize, u64, &mut [u8]) -> Result<bool, PayloadError>,
    ) -> Result<bool, PayloadError> {
        let length = self.map.total_length();
        if range.start > range.end || range.end > length {
            return Err(PayloadError::OutOfRange { range, length });
        }
        let before = out.len();
        out.resize(before + (range.end - range.start) as usize, 0);
        let mut at = before;
        for span in self.map.spans(range) {
            let end = at + span.length as usize;
            // A pad's zeros are there already.
            let outcome = if self.files[span.file].pad {
                Ok(true)
            } else {
                read(span.file, span.offset, &mut out[at..end])
            };
            if !matches!(outcome, Ok(true)) {
                out.truncate(before);
                return outcome;
            }
            at = end;
        }
        Ok(true)
    }

    /// Asks the system to bring ranges of the payload into memory, without waiting for it. Blocking for as long as
    /// opening files takes.
    pub fn read_ahead(&self, ranges: impl IntoIterator<Item = Range<u64>>) {
        for range in ranges {
            for span in self.map.spans(range) {
                if !self.files[span.file].pad
                    && let Ok(open) = self.open(span.file)
                {
                    open.read_ahead(span.offset, span.length);
                }
            }
        }
    }

    /// The window that a range lies in, where there is one already.
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    pub fn window(&self, range: &Range<u64>) -> Option<Arc<Window>> {
        let mut open = self.opened();
        let at = open.windows.iter().position(|w| w.covers(range))?;
        open.windows[at..].rotate_left(1);
        open.windows.last().cloned()
    }

    /// Opens the window that a range lies in. Blocking. Nothing where the range lies in no single window, or where
    /// the system doesn't tell us what of the file is in memory.
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    pub fn open_window(&self, range: &Range<u64>) -> Option<Arc<Window>> {
        if let Some(window) = self.window(range) {
            return Some(window);
        }
        let span = self.map.spans(range.clone()).next()?;
        if self.files[span.file].pad {
            return None;
        }
        let file = self.open(span.file).ok()?;
        if !file.tells_residency {
            return None;
        }
        let window = Window::open(&file, range.start).ok().map(Arc::new)?;
        let mut open = self.opened();
        if open.windows.len() >= OPEN_FILES {
            open.windows.remove(0);
        }
        open.windows.push(window.clone());
        window.covers(range).then_some(window)
    }

    /// Checks every file against its record, by path: a file replaced by a rename counts as changed.
    pub fn check(&self) -> Result<(), PayloadError> {
        let root = self.opened().root.clone();
        for (index, file) in self.files.iter().enumerate() {
            if file.pad {
                continue;
            }
            let path = root.join(&file.path);
            let now = stat_record(&path).map_err(|source| PayloadError::Read {
                path: path.clone(),
                source,
            })?;
            let place = self.map.file_range(index);
            if !file::is_same(&file.recorded, place.end - place.start, &now) {
                return Err(PayloadError::Changed(path));
            }
        }
        Ok(())
    }

    /// The files lie below another root from now on, moved there and not copied: what is open stays open.
    pub fn relocate(&self, root: &Path) {
        self.opened().root = root.to_owned();
    }

    fn open(&self, index: usize) -> Result<Arc<OpenFile>, PayloadError> {
        let path = {
            let mut open = self.opened();
            if let Some(file) = open.file(index) {
                return Ok(file);
            }
            open.root.join(&self.files[index].path)
        };
        // Others go on while this one waits for its disk. Should two open the same file, both are good.
        let file = OpenFile::open(
            index,
            path,
            self.map.file_range(index),
            self.files[index].recorded,
        )?;
        let file = Arc::new(file);
        {
            let mut open = self.opened();
            if open.files.len() >= OPEN_FILES {
                open.close_oldest();
            }
            open.files.push(file.clone());
        }
        let longest_open = {
            let mut recent = RECENT.lock().unwrap_or_else(PoisonError::into_inner);
            recent.push_back(Arc::downgrade(&self.open));
            let full = recent.len() > OPEN_IN_ALL;
            full.then(|| recent.pop_front()).flatten()
        };
        if let Some(open) = longest_open.and_then(|open| open.upgrade()) {
            open.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .close_oldest();
        }
        Ok(file)
    }

    fn opened(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes what is open: an idle torrent holds no descriptor.
    pub fn close(&self) {
        let mut open = self.opened();
        open.files.clear();
        #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
        open.windows.clear();
    }
}

impl Open {
    /// Closes the longest unused file, once nobody reads from it any more.
    fn close_oldest(&mut self) {
        if self.files.is_empty() {
            return;
        }
        let closed = self.files.remove(0);
        #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
        self.windows.retain(|window| !window.is_of(&closed));
        drop(closed);
    }

    /// A file that is open, which is thereby the last used.
    fn file(&mut self, index: usize) -> Option<Arc<OpenFile>> {
        let at = self.files.iter().position(|file| file.index == index)?;
        self.files[at..].rotate_left(1);
        self.files.last().cloned()
    }
}

#[cfg(test)]
mod tests;
