//! Writing what is being fetched: blocks into sparse files under a hidden folder, pieces verified before they
//! count, and the files in their place, by one rename, once all of them are right.
//!
//! What a killed fetch left is taken up again: every piece that has bytes on disk is hashed anew, so nothing that
//! was written is believed unread, and no journal can disagree with the files. Holes aren't read.
//!
//! Blocking throughout; whoever is async gives this to a thread of its own.

use crate::atomic::{remedy, sync_folder};
use crate::stat::{read_exact_at, stat_record};
use metainfo::geometry::{BLOCK_LENGTH, Block};
use metainfo::state::StatRecord;
use metainfo::{Info, MerkleHash, PieceIndex, Torrent, merkle};
use sha1::{Digest, Sha1};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How many files stay open at once.
const OPEN_FILES: usize = 64;
/// A buffer that has grown beyond this is given back.
const KEPT_BUFFER: usize = 16 << 20;
/// What the hidden folder's name begins with; the torrent's id follows.
const FOLDER_PREFIX: &str = ".fetching-";

/// Why a fetch can't be written.
#[derive(Debug, thiserror::Error)]
pub enum IncomingError {
    /// A file or folder can't be made, written or read.
    #[error("write {}: {}", .path.display(), remedy(.source))]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process fetches the same into the same folder.
    #[error("{} is being written by another process", .0.display())]
    Locked(PathBuf),
    /// There is something else where the result belongs.
    #[error("{} is in the way: it is not what the torrent describes; move it or choose another folder", .0.display())]
    InTheWay(PathBuf),
}

/// One torrent's files while they are fetched.
#[derive(Debug)]
pub struct Incoming {
    torrent: Torrent,
    /// Where the result belongs.
    out: PathBuf,
    /// The hidden folder.
    folder: PathBuf,
    /// Files below [`Self::root`], pads without a path.
    paths: Vec<Option<PathBuf>>,
    open: Mutex<Vec<(usize, Arc<File>)>>,
    /// Held as long as this lives, so that no other process writes to the same files.
    _lock: File,
}

impl Incoming {
    /// Begins, or takes up, the fetch of this torrent into the folder `out`.
    pub fn open(torrent: Torrent, out: &Path) -> Result<Self, IncomingError> {
        let folder = out.join(format!("{FOLDER_PREFIX}{}", torrent.info.id()));
        let root = folder.join("data");
        std::fs::create_dir_all(&root).map_err(|source| failed(&root, source))?;
        let lock_path = folder.join("lock");
        let lock = File::create(&lock_path).map_err(|source| failed(&lock_path, source))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(IncomingError::Locked(folder)),
            // A file system without locks: the user has to see to it.
            Err(std::fs::TryLockError::Error(_)) => {}
        }
        let info = &torrent.info;
        let mut paths = Vec::with_capacity(info.files().len());
        for file in info.files() {
            if file.pad {
                paths.push(None);
                continue;
            }
            let path = root.join(info.stored_path(file));
            let make = || {
                if let Some(parent) = path.parent() {
                    std::fs::create_dir_all(parent)?;
                }
                let made = File::options()
                    .write(true)
                    .create(true)
                    .truncate(false)
                    .open(&path)?;
                // The stat guard of whoever serves these files from the beginning sees their final length.
                made.set_len(file.length)
            };
            make().map_err(|source| failed(&path, source))?;
            paths.push(Some(path));
        }
        Ok(Self {
            torrent,
            out: out.to_owned(),
            folder,
            paths,
            open: Mutex::default(),
            _lock: lock,
        })
    }

    /// The torrent.
    pub fn torrent(&self) -> &Torrent {
        &self.torrent
    }

    /// The folder that holds the file or folder of the torrent's name until everything is there.
    pub fn root(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Where the result will be.
    pub fn target(&self) -> PathBuf {
        self.out.join(self.torrent.info.name())
    }

    /// Looks which pieces are on disk already. `progress` is told how many have been looked at.
    pub fn find(&self, progress: &AtomicUsize) -> Result<Vec<PieceIndex>, IncomingError> {
        let pieces: Vec<PieceIndex> = self.torrent.info.geometry().pieces().collect();
        let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let look = || -> Result<(), IncomingError> {
            let mut buffer = Vec::new();
            while let Some(piece) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
                if self.has_bytes(*piece) && self.verify(*piece, &mut buffer)? {
                    found
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(*piece);
                }
                progress.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        };
        let threads = std::thread::available_parallelism()
            .map_or(1, usize::from)
            .min(8);
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(look)).collect();
            let ended = workers.into_iter().map(|worker| match worker.join() {
                Ok(outcome) => outcome,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            ended.collect::<Result<Vec<()>, _>>()
        })?;
        let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        found.sort_unstable();
        Ok(found)
    }

    /// Writes a block where it belongs. Pads are not kept.
    pub fn write(&self, block: Block, bytes: &[u8]) -> Result<(), IncomingError> {
        let range = self.torrent.info.geometry().block_range(block);
        let mut rest = bytes;
        for span in self.torrent.info.file_map().spans(range) {
            let (part, behind) = rest.split_at(rest.len().min(span.length as usize));
            rest = behind;
            if let Some(path) = &self.paths[span.file] {
                let write = || write_all_at(&*self.file(span.file, path)?, part, span.offset);
                write().map_err(|source| failed(path, source))?;
            }
        }
        Ok(())
    }

    /// Whether every byte of a piece on disk is the torrent's: by SHA-1 where there is a v1 half, and by the merkle
    /// tree where there is a v2 half whose layers are known.
    pub fn verify(&self, piece: PieceIndex, buffer: &mut Vec<u8>) -> Result<bool, IncomingError> {
        self.read(piece, buffer)?;
        let info = &self.torrent.info;
        if let Some(hashes) = info.piece_hashes() {
            let expected = hashes.get(piece.as_usize());
            if expected.is_none_or(|expected| expected.0[..] != Sha1::digest(&buffer[..])[..]) {
                return Ok(false);
            }
        }
        let right = self.has_right_leaves(piece, buffer);
        if buffer.capacity() > KEPT_BUFFER {
            *buffer = Vec::new();
        }
        Ok(right)
    }

    /// The SHA-1 of each block that is asked for of a piece, as it is on disk.
    pub fn block_digests(&self, piece: PieceIndex) -> Result<Vec<[u8; 20]>, IncomingError> {
        let mut bytes = Vec::new();
        self.read(piece, &mut bytes)?;
        bytes.truncate(asked_length(&self.torrent.info, piece) as usize);
        let blocks = bytes.chunks(BLOCK_LENGTH as usize);
        Ok(blocks.map(|block| Sha1::digest(block).into()).collect())
    }

    /// Puts the result in its place: everything on disk, one rename, right after which `placed` is called. Gives what
    /// each real file is now.
    pub fn finish(&self, placed: impl FnOnce()) -> Result<Vec<Option<StatRecord>>, IncomingError> {
        self.open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        let mut folders: Vec<&Path> = Vec::new();
        for path in self.paths.iter().flatten() {
            let sync = || File::options().write(true).open(path)?.sync_all();
            sync().map_err(|source| failed(path, source))?;
            folders.extend(path.parent());
        }
        folders.dedup();
        for folder in folders {
            sync_folder(folder).map_err(|source| failed(folder, source))?;
        }
        let target = self.target();
        if target.symlink_metadata().is_ok() {
            return Err(IncomingError::InTheWay(target));
        }
        let from = self.root().join(self.torrent.info.name());
        std::fs::rename(&from, &target).map_err(|source| failed(&target, source))?;
        placed();
        sync_folder(&self.out).map_err(|source| failed(&self.out, source))?;
        // The result is whole; an empty folder that can't be removed does no harm.
        let _ = std::fs::remove_dir_all(&self.folder);
        let real = self.torrent.info.files().iter().filter(|file| !file.pad);
        let stats = real.map(|file| {
            let path = self.out.join(self.torrent.info.stored_path(file));
            stat_record(&path)
                .map(Some)
                .map_err(|source| failed(&path, source))
        });
        stats.collect()
    }

    /// Whether any file under a piece has bytes there, rather than a hole.
    fn has_bytes(&self, piece: PieceIndex) -> bool {
        let range = self.torrent.info.geometry().piece_range(piece);
        let mut spans = self.torrent.info.file_map().spans(range);
        spans.any(|span| {
            let Some(path) = &self.paths[span.file] else {
                return false;
            };
            self.file(span.file, path)
                .is_ok_and(|file| data_from(&file, span.offset) < span.offset + span.length)
        })
    }

    /// Reads a piece as it is on disk, pads as zeros.
    fn read(&self, piece: PieceIndex, buffer: &mut Vec<u8>) -> Result<(), IncomingError> {
        let geometry = self.torrent.info.geometry();
        buffer.clear();
        buffer.resize(geometry.piece_len(piece) as usize, 0);
        let mut at = 0;
        for span in self
            .torrent
            .info
            .file_map()
            .spans(geometry.piece_range(piece))
        {
            let end = at + span.length as usize;
            if let Some(path) = &self.paths[span.file] {
                let read = |part: &mut [u8]| {
                    read_exact_at(&*self.file(span.file, path)?, part, span.offset)
                };
                read(&mut buffer[at..end]).map_err(|source| failed(path, source))?;
            }
            at = end;
        }
        Ok(())
    }

    /// In a v2 torrent a piece never crosses into another real file; what follows it is a pad.
    fn has_right_leaves(&self, piece: PieceIndex, bytes: &[u8]) -> bool {
        let info = &self.torrent.info;
        if !info.format().has_v2() {
            return true;
        }
        let geometry = info.geometry();
        let piece_length = u64::from(geometry.piece_length().get());
        let mut at = 0;
        for span in info.file_map().spans(geometry.piece_range(piece)) {
            let part = &bytes[at..at + span.length as usize];
            at += part.len();
            let file = &info.files()[span.file];
            let Some(root) = file.merkle_root.filter(|_| !file.pad) else {
                continue;
            };
            let leaves: Vec<MerkleHash> = part
                .chunks(BLOCK_LENGTH as usize)
                .map(merkle::leaf)
                .collect();
            if file.length <= piece_length {
                if merkle::root(&leaves) != root {
                    return false;
                }
                continue;
            }
            let layer = self.torrent.piece_layers.get(&root);
            let expected = layer.and_then(|layer| layer.get((span.offset / piece_length) as usize));
            match expected {
                Some(expected) => {
                    let node = merkle::piece_layer(&leaves, geometry.piece_length());
                    if node.first() != Some(expected) {
                        return false;
                    }
                }
                // A hybrid that came by a magnet link: its SHA-1 speaks for it.
                None if info.piece_hashes().is_some() => {}
                None => return false,
            }
        }
        true
    }

    fn file(&self, index: usize, path: &Path) -> io::Result<Arc<File>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = open.iter().position(|(file, _)| *file == index) {
            let entry = open.remove(at);
            let file = entry.1.clone();
            open.push(entry);
            return Ok(file);
        }
        let file = Arc::new(File::options().read(true).write(true).open(path)?);
        if open.len() >= OPEN_FILES {
            open.remove(0);
        }
        open.push((index, file.clone()));
        Ok(file)
    }
}

/// How many bytes of a piece are asked for: what ends in a pad isn't, since its zeros are known.
pub fn asked_length(info: &Info, piece: PieceIndex) -> u32 {
    let geometry = info.geometry();
    let whole = geometry.piece_len(piece);
    let mut real = 0;
    let mut at = 0;
    for span in info.file_map().spans(geometry.piece_range(piece)) {
        at += span.length as u32;
        if !info.files()[span.file].pad {
            real = at;
        }
    }
    // A piece of nothing but pads is strange enough to be asked for as it is.
    if real == 0 { whole } else { real }
}

/// The pieces of which less than the whole is asked for ([`asked_length`]).
pub fn short_pieces(info: &Info) -> BTreeMap<u32, u32> {
    if !info.files().iter().any(|file| file.pad) {
        return BTreeMap::new();
    }
    let geometry = info.geometry();
    let lengths = geometry
        .pieces()
        .map(|piece| (piece, asked_length(info, piece)));
    lengths
        .filter(|(piece, length)| *length < geometry.piece_len(*piece))
        .map(|(piece, length)| (piece.get(), length))
        .collect()
}

fn failed(path: &Path, source: io::Error) -> IncomingError {
    IncomingError::Write {
        path: path.to_owned(),
        source,
    }
}

/// Where the first bytes at or behind an offset are; the offset itself where that can't be told.
fn data_from(file: &File, offset: u64) -> u64 {
    #[cfg(target_os = "linux")]
    {
        match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(offset)) {
            Ok(at) => at,
            Err(rustix::io::Errno::NXIO) => u64::MAX,
            Err(_) => offset,
        }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = file;
        offset
    }
}

fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    #[cfg(unix)]
    {
        std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
    }
    #[cfg(windows)]
    {
        let mut at = 0;
        while at < bytes.len() {
            at +=
                std::os::windows::fs::FileExt::seek_write(file, &bytes[at..], offset + at as u64)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
