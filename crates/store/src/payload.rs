//! Reading a torrent's payload for peers: any range of its byte space, files opened on demand, under
//! a stat guard. A file that is not what was hashed is not read: a wrong byte never leaves.

use crate::stat::{read_exact_at, record, stat_record};
use metainfo::state::StatRecord;
use metainfo::{FileMap, Info};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// How many files of one torrent stay open at once.
const OPEN_FILES: usize = 8;

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
    path: PathBuf,
    length: u64,
    pad: bool,
    recorded: Option<StatRecord>,
}

/// One torrent's files on disk.
pub struct Payload {
    files: Vec<PayloadFile>,
    map: FileMap,
    open: Mutex<Vec<(usize, Arc<File>)>>,
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
                path: root.join(info.stored_path(file)),
                length: file.length,
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
            open: Mutex::new(Vec::new()),
        }
    }

    /// Appends a range of the payload to `out`; pads give zeros. Blocking. On an error `out` is as
    /// it was.
    pub fn read(&self, range: Range<u64>, out: &mut Vec<u8>) -> Result<(), PayloadError> {
        let length = self.map.total_length();
        if range.start > range.end || range.end > length {
            return Err(PayloadError::OutOfRange { range, length });
        }
        let before = out.len();
        out.resize(before + (range.end - range.start) as usize, 0);
        let mut at = before;
        for span in self.map.spans(range) {
            let end = at + span.length as usize;
            if let Err(error) = self.read_span(span.file, span.offset, &mut out[at..end]) {
                out.truncate(before);
                return Err(error);
            }
            at = end;
        }
        Ok(())
    }

    /// Checks every file against its record, by path: a file replaced by a rename counts as changed.
    pub fn check(&self) -> Result<(), PayloadError> {
        for file in self.files.iter().filter(|file| !file.pad) {
            let now = stat_record(&file.path).map_err(|source| PayloadError::Read {
                path: file.path.clone(),
                source,
            })?;
            file.guard(&now)?;
        }
        Ok(())
    }

    fn read_span(&self, index: usize, offset: u64, buffer: &mut [u8]) -> Result<(), PayloadError> {
        let file = &self.files[index];
        if file.pad {
            buffer.fill(0);
            return Ok(());
        }
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::UnexpectedEof => PayloadError::Changed(file.path.clone()),
            _ => PayloadError::Read {
                path: file.path.clone(),
                source,
            },
        };
        let open = self.open(index).map_err(failed)?;
        file.guard(&record(&open.metadata().map_err(failed)?))?;
        read_exact_at(&open, buffer, offset).map_err(failed)
    }

    fn open(&self, index: usize) -> io::Result<Arc<File>> {
        let mut open = self
            .open
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(at) = open.iter().position(|(file, _)| *file == index) {
            let entry = open.remove(at);
            let file = entry.1.clone();
            open.push(entry);
            return Ok(file);
        }
        let file = Arc::new(File::open(&self.files[index].path)?);
        if open.len() >= OPEN_FILES {
            open.remove(0);
        }
        open.push((index, file.clone()));
        Ok(file)
    }

    /// Closes what is open: an idle torrent holds no descriptor.
    pub fn close(&self) {
        self.open
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .clear();
    }
}

impl PayloadFile {
    fn guard(&self, now: &StatRecord) -> Result<(), PayloadError> {
        let same = match &self.recorded {
            Some(recorded) => recorded.same_content(now),
            None => now.bytes == self.length,
        };
        if same {
            Ok(())
        } else {
            Err(PayloadError::Changed(self.path.clone()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pass::{Progress, Want, hash};
    use metainfo::{Format, Layout, PieceLength};

    fn payload(folder: &Path, format: Format) -> (Payload, Info) {
        let root = folder.join("x");
        std::fs::create_dir_all(&root).unwrap();
        std::fs::write(root.join("a"), [b'a'; 20_000]).unwrap();
        std::fs::write(root.join("b"), [b'b'; 10]).unwrap();
        let files = [(vec!["a".to_owned()], 20_000), (vec!["b".to_owned()], 10)];
        let layout =
            Layout::folder("x", files, format, Some(PieceLength::new(16384).unwrap())).unwrap();
        let want = Want {
            pieces: true,
            roots: true,
        };
        let hashed = hash(&layout, folder, want, 1, &Progress::default()).unwrap();
        let recorded: Vec<_> = hashed
            .stats
            .iter()
            .copied()
            .filter(Option::is_some)
            .collect();
        let info = Info::make(&layout, &hashed.hashes, false, None);
        (Payload::new(folder, &info, &recorded), info)
    }

    #[test]
    fn ranges_cross_files_and_pads_are_zeros() {
        let folder = tempfile::tempdir().unwrap();
        let (v1, _) = payload(folder.path(), Format::V1);
        let mut out = b"kept".to_vec();
        v1.read(19_999..20_003, &mut out).unwrap();
        assert_eq!(out, b"keptabbb");
        let (hybrid, _) = payload(folder.path(), Format::Hybrid);
        out.clear();
        hybrid.read(19_999..20_002, &mut out).unwrap();
        assert_eq!(out, b"a\0\0");
        out.clear();
        hybrid.read(32_767..32_769, &mut out).unwrap();
        assert_eq!(out, b"\0b");
        assert!(matches!(
            v1.read(20_009..20_011, &mut out),
            Err(PayloadError::OutOfRange { .. })
        ));
        assert_eq!(out, b"\0b");
    }

    #[test]
    fn a_changed_file_is_not_read_and_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (payload, _) = payload(folder.path(), Format::V1);
        payload.check().unwrap();
        let mut out = Vec::new();
        payload.read(0..10, &mut out).unwrap();
        let path = folder.path().join("x/a");
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
        for result in [payload.check(), payload.read(0..10, &mut out)] {
            assert!(matches!(result, Err(PayloadError::Changed(at)) if at == path));
        }
        assert_eq!(out.len(), 10);
        file.set_len(3).unwrap();
        assert!(payload.read(0..10, &mut out).is_err());
        std::fs::remove_file(&path).unwrap();
        payload.close();
        assert!(matches!(
            payload.read(0..10, &mut out),
            Err(PayloadError::Read { .. })
        ));
    }

    #[cfg(unix)]
    #[test]
    fn another_link_to_the_file_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (payload, _) = payload(folder.path(), Format::V1);
        std::fs::hard_link(folder.path().join("x/a"), folder.path().join("linked")).unwrap();
        payload.check().unwrap();
    }
}
