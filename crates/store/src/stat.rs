//! What `stat` says of a file, and reads at a position: the two places where platforms differ.

use metainfo::state::StatRecord;
use std::fs::{File, Metadata};
use std::io;
use std::path::Path;

/// The record of the file at this path. Symbolic links are followed.
pub fn stat_record(path: &Path) -> io::Result<StatRecord> {
    std::fs::metadata(path).map(|metadata| record(&metadata))
}

/// The record of an open file.
pub(crate) fn record(metadata: &Metadata) -> StatRecord {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let nanoseconds =
            |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        StatRecord {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            mtime_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            ctime_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        }
    }
    #[cfg(not(unix))]
    {
        let modified = metadata
            .modified()
            .ok()
            .and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        let mtime_ns = modified.map_or(0, |since| {
            i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
        });
        StatRecord {
            device: 0,
            inode: 0,
            bytes: metadata.len(),
            mtime_ns,
            ctime_ns: 0,
        }
    }
}

/// Fills the buffer from this position; an end before that is an error.
pub(crate) fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    #[cfg(unix)]
    {
        std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
    }
    #[cfg(windows)]
    {
        let mut at = 0;
        while at < buffer.len() {
            let n = std::os::windows::fs::FileExt::seek_read(
                file,
                &mut buffer[at..],
                offset + at as u64,
            )?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            at += n;
        }
        Ok(())
    }
}

/// Tells the kernel that a file is read from start to end, so that it reads ahead.
pub(crate) fn advise_sequential(file: &File) {
    #[cfg(target_os = "linux")]
    {
        // Advice only: a file system that has no use for it reads as well without.
        let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::Sequential);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = file;
}
