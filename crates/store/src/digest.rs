//! SHA-256 of one whole file: what feeds carry as its integrity. One stream, so it runs at the speed of
//! one; it is made behind publication.

use crate::pass::{PassError, Progress};
use crate::stat::{advise_sequential, read_exact_at, record, stat_record};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io;
use std::path::Path;

/// How much is read at once: it stays in a core's second-level cache.
const SLICE_BYTES: u64 = 256 << 10;

/// SHA-256 of the file's bytes. A file that changes meanwhile is an error.
pub fn sha256_file(path: &Path, progress: &Progress) -> Result<[u8; 32], PassError> {
    let failed = |source: io::Error| PassError::read(path, source);
    let file = File::open(path).map_err(failed)?;
    advise_sequential(&file);
    let before = record(&file.metadata().map_err(failed)?);
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; SLICE_BYTES.min(before.bytes) as usize];
    let mut at = 0;
    while at < before.bytes {
        progress.go_on()?;
        let slice = &mut buffer[..SLICE_BYTES.min(before.bytes - at) as usize];
        read_exact_at(&file, slice, at).map_err(failed)?;
        hasher.update(&*slice);
        at += slice.len() as u64;
        progress.advance(slice.len() as u64);
    }
    if stat_record(path).map_err(failed)? == before {
        Ok(hasher.finalize().into())
    } else {
        Err(PassError::Changed(path.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_any_length_give_their_hash() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip");
        for length in [0, 1, SLICE_BYTES as usize, SLICE_BYTES as usize * 2 + 5] {
            let bytes: Vec<u8> = (0..length).map(|at| (at * 31 + at / 253) as u8).collect();
            std::fs::write(&path, &bytes).unwrap();
            let progress = Progress::default();
            let expected: [u8; 32] = Sha256::digest(&bytes).into();
            assert_eq!(sha256_file(&path, &progress).unwrap(), expected);
            assert_eq!(progress.bytes(), length as u64);
        }
    }

    #[test]
    fn it_ends_when_it_is_told_to_and_names_what_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip");
        let error = sha256_file(&path, &Progress::default()).unwrap_err();
        assert!(error.to_string().contains("clip"), "{error}");
        std::fs::write(&path, b"x").unwrap();
        let progress = Progress::default();
        progress.cancel();
        assert!(matches!(
            sha256_file(&path, &progress),
            Err(PassError::Cancelled)
        ));
    }
}
