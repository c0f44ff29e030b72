//! Checks one piece at a time, for whoever does it behind other work: a scrub, or a file that was touched.
//! [`crate::verify()`] checks everything in one parallel pass.

use crate::pass::PassError;
use crate::stat::read_exact_at;
use metainfo::geometry::BLOCK_LENGTH;
use metainfo::{Info, MerkleHash, PieceIndex, Torrent, merkle};
use sha1::{Digest, Sha1};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// How much is read at once: a whole number of leaves.
const STEP: usize = 8 * BLOCK_LENGTH as usize;

/// A torrent and its files, to be checked piece by piece. It reads by path, apart from what serves them, and keeps
/// one file open.
#[derive(Debug)]
pub struct PieceCheck {
    torrent: Torrent,
    paths: Vec<PathBuf>,
    open: Option<(usize, File)>,
    buffer: Vec<u8>,
}

impl PieceCheck {
    /// The payload of this torrent below `root`, the folder that holds the file or folder of its name.
    pub fn new(torrent: Torrent, root: &Path) -> Self {
        let info = &torrent.info;
        let files = info.files().iter();
        let paths = files
            .map(|file| root.join(info.stored_path(file)))
            .collect();
        Self {
            torrent,
            paths,
            open: None,
            buffer: vec![0; STEP],
        }
    }

    /// What is checked.
    pub fn info(&self) -> &Info {
        &self.torrent.info
    }

    /// Whether every byte of a piece is the torrent's: by the v2 hashes where there are any, which name the file as
    /// well, otherwise by SHA-1. Blocking. A file that ends early is [`PassError::Changed`].
    pub fn is_right(&mut self, piece: PieceIndex) -> Result<bool, PassError> {
        let range = self.info().geometry().piece_range(piece);
        if self.info().format().has_v2() {
            return self.has_right_leaves(range);
        }
        let expected = self.info().piece_hashes().unwrap_or_default();
        let expected = expected.get(piece.as_usize()).copied();
        let mut hasher = Sha1::new();
        let spans: Vec<_> = self.info().file_map().spans(range).collect();
        for span in spans {
            let end = span.offset + span.length;
            self.each_step(span.file, span.offset..end, |bytes| hasher.update(bytes))?;
        }
        Ok(expected.is_some_and(|expected| expected.0[..] == hasher.finalize()[..]))
    }

    /// The paths of the real files that a piece touches.
    pub fn paths_of(&self, piece: PieceIndex) -> Vec<&Path> {
        let range = self.info().geometry().piece_range(piece);
        let spans = self.info().file_map().spans(range);
        spans
            .filter(|span| !self.info().files()[span.file].pad)
            .map(|span| self.paths[span.file].as_path())
            .collect()
    }

    /// In a v2 torrent a piece never crosses into another real file; what follows it is a pad.
    fn has_right_leaves(&mut self, range: Range<u64>) -> Result<bool, PassError> {
        let info = self.info();
        let piece_length = info.geometry().piece_length();
        let spans = info.file_map().spans(range);
        let real: Vec<_> = spans
            .filter(|span| !info.files()[span.file].pad && span.length > 0)
            .collect();
        for span in real {
            let file = &self.info().files()[span.file];
            let (length, root) = (file.length, file.merkle_root);
            let mut leaves: Vec<MerkleHash> = Vec::new();
            let end = span.offset + span.length;
            self.each_step(span.file, span.offset..end, |bytes| {
                leaves.extend(bytes.chunks(BLOCK_LENGTH as usize).map(merkle::leaf));
            })?;
            let Some(root) = root else {
                return Ok(false);
            };
            let (expected, found) = if length <= u64::from(piece_length.get()) {
                (Some(root), merkle::root(&leaves))
            } else {
                let index = (span.offset / u64::from(piece_length.get())) as usize;
                let layer = self.torrent.piece_layers.get(&root);
                let node = merkle::piece_layer(&leaves, piece_length);
                let expected = layer.and_then(|layer| layer.get(index)).copied();
                (expected, node.first().copied().unwrap_or(merkle::ZERO_LEAF))
            };
            if expected != Some(found) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads a part of a file, or the zeros of a pad, step by step.
    fn each_step(
        &mut self,
        file: usize,
        range: Range<u64>,
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), PassError> {
        let failed = |path: &PathBuf, source: io::Error| PassError::read(path, source);
        let pad = self.torrent.info.files()[file].pad;
        if pad {
            self.buffer.fill(0);
        } else if self.open.as_ref().is_none_or(|(open, _)| *open != file) {
            let path = &self.paths[file];
            self.open = Some((
                file,
                File::open(path).map_err(|source| failed(path, source))?,
            ));
        }
        let mut at = range.start;
        while at < range.end {
            let n = (range.end - at).min(STEP as u64) as usize;
            let step = &mut self.buffer[..n];
            if let (false, Some((_, open))) = (pad, &self.open) {
                read_exact_at(open, step, at)
                    .map_err(|source| failed(&self.paths[file], source))?;
            }
            take(step);
            at += n as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pass::{Progress, Want, hash};
    use metainfo::{Format, Layout, PieceLength};

    #[test]
    fn a_wrong_byte_is_found_in_its_piece_alone() {
        for format in [Format::V1, Format::V2, Format::Hybrid] {
            let folder = tempfile::tempdir().unwrap();
            let root = folder.path().join("x");
            std::fs::create_dir(&root).unwrap();
            let bytes: Vec<u8> = (0..100_000u32).map(|i| (i % 251) as u8).collect();
            for (name, n) in [("a", 70_000), ("b", 40_000), ("c", 10)] {
                std::fs::write(root.join(name), &bytes[..n]).unwrap();
            }
            let files = [("a", 70_000), ("b", 40_000), ("c", 10)]
                .map(|(name, n)| (vec![name.to_owned()], n));
            let piece_length = Some(PieceLength::new(32768).unwrap());
            let layout = Layout::folder("x", files, format, piece_length).unwrap();
            let want = Want {
                pieces: format.has_v1(),
                roots: format.has_v2(),
            };
            let hashed = hash(&layout, folder.path(), want, 1, &Progress::default()).unwrap();
            let info = Info::make(&layout, &hashed.hashes, false, None);
            let mut torrent = Torrent::new(info);
            torrent.piece_layers = hashed.hashes.piece_layers;
            let mut check = PieceCheck::new(torrent.clone(), folder.path());
            let pieces: Vec<_> = torrent.info.geometry().pieces().collect();
            let wrong = |check: &mut PieceCheck| -> Vec<PieceIndex> {
                let pieces = torrent.info.geometry().pieces();
                pieces
                    .filter(|piece| !check.is_right(*piece).unwrap())
                    .collect()
            };
            assert_eq!(wrong(&mut check), [], "{format:?}");

            let mut changed = bytes[..70_000].to_vec();
            changed[69_999] ^= 1;
            std::fs::write(root.join("a"), changed).unwrap();
            let third = pieces[2];
            assert_eq!(wrong(&mut check), [third], "{format:?}");
            assert_eq!(check.paths_of(third)[0], root.join("a"));

            std::fs::write(root.join("c"), "").unwrap();
            let last = pieces[pieces.len() - 1];
            let mut check = PieceCheck::new(torrent.clone(), folder.path());
            assert!(matches!(
                check.is_right(last),
                Err(PassError::Changed(path)) if path == root.join("c")
            ));
        }
    }
}
