//! One open file of a payload, and whether it still is what was hashed.

use super::PayloadError;
use crate::stat::record;
use metainfo::state::StatRecord;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::PathBuf;

/// A file of a payload, open for reading.
#[derive(Debug)]
pub(super) struct OpenFile {
    /// Which of the torrent's files it is.
    pub(super) index: usize,
    pub(super) file: File,
    /// What it covers of the payload.
    pub(super) place: Range<u64>,
    /// Whether the kernel tells us truly which of its pages are in memory.
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    pub(super) tells_residency: bool,
    path: PathBuf,
    recorded: Option<StatRecord>,
}

impl OpenFile {
    /// Opens a file. Blocking.
    pub(super) fn open(
        index: usize,
        path: PathBuf,
        place: Range<u64>,
        recorded: Option<StatRecord>,
    ) -> Result<Self, PayloadError> {
        let file = File::open(&path).map_err(|source| PayloadError::Read {
            path: path.clone(),
            source,
        })?;
        Ok(Self {
            index,
            #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
            tells_residency: tells_residency(&file, &path),
            file,
            place,
            path,
            recorded,
        })
    }

    /// Checks that it is what was hashed. One system call that touches no disk.
    pub(super) fn guard(&self) -> Result<(), PayloadError> {
        let metadata = self.file.metadata().map_err(|error| self.failed(error))?;
        if is_same(
            &self.recorded,
            self.place.end - self.place.start,
            &record(&metadata),
        ) {
            Ok(())
        } else {
            Err(PayloadError::Changed(self.path.clone()))
        }
    }

    /// What a failed read means: an end where there was none is a change.
    pub(super) fn failed(&self, source: io::Error) -> PayloadError {
        match source.kind() {
            io::ErrorKind::UnexpectedEof => PayloadError::Changed(self.path.clone()),
            _ => PayloadError::Read {
                path: self.path.clone(),
                source,
            },
        }
    }

    /// Fills the buffer from this offset where all of that is in memory.
    pub(super) fn read_resident(&self, buffer: &mut [u8], offset: u64) -> bool {
        #[cfg(target_os = "linux")]
        {
            use rustix::io::ReadWriteFlags;
            let length = buffer.len();
            let mut buffers = [io::IoSliceMut::new(buffer)];
            // Less than asked for, or refused: part of it isn't there, or the file system can't tell.
            let read =
                rustix::io::preadv2(&self.file, &mut buffers, offset, ReadWriteFlags::NOWAIT);
            read == Ok(length)
        }
        #[cfg(not(target_os = "linux"))]
        {
            let _ = (buffer, offset);
            false
        }
    }

    /// Has the system read a range ahead.
    pub(super) fn read_ahead(&self, offset: u64, length: u64) {
        #[cfg(target_os = "linux")]
        {
            let length = std::num::NonZeroU64::new(length);
            // Advice only: what can't follow it is read when it is needed.
            let _ = rustix::fs::fadvise(&self.file, offset, length, rustix::fs::Advice::WillNeed);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (offset, length);
    }
}

/// Whether a file that is now like this is what was hashed; where nothing was recorded, its length must do.
pub(super) fn is_same(recorded: &Option<StatRecord>, length: u64, now: &StatRecord) -> bool {
    match recorded {
        Some(recorded) => recorded.same_content(now),
        None => now.bytes == length,
    }
}

/// Since Linux 5.2 `mincore` calls every page resident unless the asker owns the file or could write to it, so that
/// nobody can spy on what others read.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
fn tells_residency(file: &File, path: &std::path::Path) -> bool {
    use rustix::fs::{Access, AtFlags, CWD};
    use std::os::unix::fs::MetadataExt;
    let owner = file.metadata().map(|metadata| metadata.uid());
    owner.is_ok_and(|uid| uid == rustix::process::geteuid().as_raw())
        || rustix::fs::accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS).is_ok()
}
