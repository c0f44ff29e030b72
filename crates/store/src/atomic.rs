//! Small files written so that readers, and a kill at any moment, see the old content or the new and
//! nothing between: temporary file beside the target, fsync, rename, fsync of the folder.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

mod batch;

pub use batch::Batch;

/// A file that could not be written. Nothing is left of the attempt.
#[derive(Debug, thiserror::Error)]
#[error("write {}: {}", .path.display(), remedy(.source))]
pub struct WriteError {
    /// The target.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl WriteError {
    fn at(path: &Path, source: io::Error) -> Self {
        Self {
            path: path.to_owned(),
            source,
        }
    }
}

/// What the system said, and what helps.
pub fn remedy(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            format!("{error}; free some space and run again")
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            format!("{error}; choose a folder that can be written")
        }
        _ => error.to_string(),
    }
}

/// Writes a file whole. Its folder is made where it is missing.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    write_with_mode(path, bytes, 0o644)
}

/// The same for a file that nobody else may read.
pub fn write_atomic_private(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    write_with_mode(path, bytes, 0o600)
}

/// Writes a file whose content differs from these bytes and leaves any other untouched, its times
/// included. Says whether it wrote.
pub fn write_if_changed(path: &Path, bytes: &[u8]) -> Result<bool, WriteError> {
    let differs = !is_there(path, bytes, 0o644);
    if differs {
        write_atomic(path, bytes)?;
    }
    Ok(differs)
}

fn write_with_mode(path: &Path, bytes: &[u8], mode: u32) -> Result<(), WriteError> {
    let write = || -> io::Result<()> {
        let folder = folder_of(path);
        std::fs::create_dir_all(folder)?;
        let temporary = temporary(folder, bytes, mode)?;
        temporary.as_file().sync_all()?;
        temporary.persist(path).map_err(|error| error.error)?;
        sync_folder(folder)
    };
    write().map_err(|source| WriteError::at(path, source))
}

/// Whether a file has this content already, and no wider a mode where it is a private one.
fn is_there(path: &Path, bytes: &[u8], mode: u32) -> bool {
    let like_it = |metadata: std::fs::Metadata| {
        #[cfg(unix)]
        let private = std::os::unix::fs::MetadataExt::mode(&metadata) & 0o077 == 0;
        #[cfg(not(unix))]
        let private = true;
        metadata.len() == bytes.len() as u64 && (private || mode & 0o077 != 0)
    };
    std::fs::metadata(path).is_ok_and(like_it) && std::fs::read(path).is_ok_and(|old| old == bytes)
}

/// The folder in which a file lies.
fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// A file with this content under a name that nobody looks at, in the folder of its target.
fn temporary(folder: &Path, bytes: &[u8], mode: u32) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".").suffix(".tmp");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
    #[cfg(not(unix))]
    let _ = mode;
    let mut temporary = builder.tempfile_in(folder)?;
    temporary.write_all(bytes)?;
    Ok(temporary)
}

/// Makes a rename, link or removal in this folder last.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder)?.sync_all()
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b.txt");
        write_atomic(&path, b"one").unwrap();
        assert!(!write_if_changed(&path, b"one").unwrap());
        assert!(write_if_changed(&path, b"two").unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(
            std::fs::read_dir(folder.path().join("a")).unwrap().count(),
            1
        );
    }

    #[test]
    fn a_failed_write_names_the_file_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("taken");
        std::fs::create_dir(&target).unwrap();
        std::fs::write(target.join("x"), b"x").unwrap();
        let error = write_atomic(&target, b"bytes").unwrap_err();
        assert!(error.to_string().contains("taken"), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_private_file_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        write_atomic_private(&path, b"{}").unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
}
