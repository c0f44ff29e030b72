//! Checks files on disk against a torrent: all at once here, piece by piece in [`piece`].

pub mod piece;

use crate::pass::{PassError, Progress, Want, hash};
use crate::stat::stat_record;
use metainfo::state::StatRecord;
use metainfo::{Info, Layout, PieceIndex};
use std::path::{Path, PathBuf};

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Files that are not there or have another length; the hashes are not looked at then.
    pub missing: Vec<PathBuf>,
    /// Pieces whose SHA-1 differs (v1 and hybrid).
    pub bad_pieces: Vec<PieceIndex>,
    /// Files that hold a wrong byte.
    pub bad_files: Vec<PathBuf>,
    /// What each real file was, when everything is right.
    pub stats: Vec<Option<StatRecord>>,
}

impl Verdict {
    /// Whether every byte is the torrent's.
    pub fn is_whole(&self) -> bool {
        self.missing.is_empty() && self.bad_pieces.is_empty() && self.bad_files.is_empty()
    }
}

/// Checks the payload of this torrent below `root`. Blocking; `threads` of 0 means one a core.
pub fn verify(
    info: &Info,
    root: &Path,
    threads: usize,
    progress: &Progress,
) -> Result<Verdict, PassError> {
    let layout = Layout::of(info);
    let paths: Vec<PathBuf> = info
        .files()
        .iter()
        .map(|file| root.join(info.stored_path(file)))
        .collect();
    let mut verdict = Verdict::default();
    for (file, path) in info
        .files()
        .iter()
        .zip(&paths)
        .filter(|(file, _)| !file.pad)
    {
        if !stat_record(path).is_ok_and(|stat| stat.bytes == file.length) {
            verdict.missing.push(path.clone());
        }
    }
    if !verdict.missing.is_empty() {
        return Ok(verdict);
    }
    let want = Want {
        pieces: info.piece_hashes().is_some(),
        roots: info.format().has_v2(),
    };
    let hashed = hash(&layout, root, want, threads, progress)?;
    let mut bad = vec![false; paths.len()];
    for (piece, expected) in info
        .geometry()
        .pieces()
        .zip(info.piece_hashes().unwrap_or_default())
    {
        if hashed.hashes.pieces.get(piece.as_usize()) != Some(expected) {
            verdict.bad_pieces.push(piece);
            for span in info.file_map().spans(info.geometry().piece_range(piece)) {
                bad[span.file] = true;
            }
        }
    }
    if info.format().has_v2() {
        for (index, (file, root)) in info.files().iter().zip(&hashed.hashes.roots).enumerate() {
            bad[index] |= !file.pad && file.merkle_root != *root;
        }
    }
    let bad = bad.iter().zip(&paths).zip(info.files());
    verdict.bad_files = bad
        .filter(|((bad, _), file)| **bad && !file.pad)
        .map(|((_, path), _)| path.clone())
        .collect();
    if verdict.is_whole() {
        verdict.stats = hashed.stats.into_iter().filter(Option::is_some).collect();
    }
    Ok(verdict)
}

#[cfg(test)]
mod tests {
    use super::*;
    use metainfo::{Format, PieceLength};

    #[test]
    fn a_wrong_byte_is_found_in_its_piece_and_file() {
        for format in [Format::V1, Format::V2, Format::Hybrid] {
            let folder = tempfile::tempdir().unwrap();
            let root = folder.path().join("x");
            std::fs::create_dir(&root).unwrap();
            for name in ["a", "b"] {
                std::fs::write(root.join(name), [b'a'; 40_000]).unwrap();
            }
            let files = ["a", "b"].map(|name| (vec![name.to_owned()], 40_000));
            let layout =
                Layout::folder("x", files, format, Some(PieceLength::new(16384).unwrap())).unwrap();
            let want = Want {
                pieces: format.has_v1(),
                roots: format.has_v2(),
            };
            let progress = Progress::default();
            let hashed = hash(&layout, folder.path(), want, 1, &progress).unwrap();
            let info = Info::make(&layout, &hashed.hashes, false, None);
            let verdict = verify(&info, folder.path(), 1, &progress).unwrap();
            assert!(verdict.is_whole() && verdict.stats.len() == 2, "{format:?}");
            let mut bytes = std::fs::read(root.join("b")).unwrap();
            bytes[39_999] ^= 1;
            std::fs::write(root.join("b"), bytes).unwrap();
            let verdict = verify(&info, folder.path(), 1, &progress).unwrap();
            assert_eq!(verdict.bad_files, [root.join("b")], "{format:?}");
            assert_eq!(
                verdict.bad_pieces.len(),
                usize::from(format.has_v1()),
                "{format:?}"
            );
            std::fs::remove_file(root.join("a")).unwrap();
            assert_eq!(
                verify(&info, folder.path(), 1, &progress).unwrap().missing,
                [root.join("a")]
            );
        }
    }
}
