//! One read pass over the files of a torrent: SHA-1 of every piece and SHA-256 leaves of every file,
//! from the same bytes, in parallel over ranges of the payload.
//!
//! The payload is cut into ranges of whole pieces; threads take them in order, so that a disk still
//! reads forward. A leaf of BEP 52 starts where its file does and may cross the end of a range: it
//! belongs to the range in which it starts, which reads the few bytes beyond its end.
//!
//! Where the processor hashes four messages faster than one ([`crate::lanes`]), a thread hashes four pieces
//! in step, and four leaves. That needs leaves that end with pieces: a single file, files with pads, or no
//! leaves at all. Folders of a v1 torrent that the catalog wants leaves of go one after the other.

use crate::lanes::{self, LANES, Sha1Lanes};
use crate::stat::{advise_sequential, read_exact_at, record, stat_record};
use metainfo::geometry::BLOCK_LENGTH;
use metainfo::state::StatRecord;
use metainfo::{Hashes, Layout, MerkleHash, PieceHash, merkle};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How much a thread takes at once: long enough to keep a disk streaming, short enough to share out.
const RANGE_BYTES: u64 = 4 << 20;

/// How much of one message is read and hashed at once: four of them stay in a core's second-level cache.
const SLICE_BYTES: usize = 64 << 10;

const LEAF: u64 = BLOCK_LENGTH as u64;

/// Which hashes to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Want {
    /// SHA-1 of the pieces: v1 and hybrid torrents.
    pub pieces: bool,
    /// Merkle roots of the files: v2 and hybrid torrents, and the catalog.
    pub roots: bool,
}

/// What a pass found.
#[derive(Debug, Clone)]
pub struct Hashed {
    /// The hashes that were wanted.
    pub hashes: Hashes,
    /// What each file was, in the layout's order; `None` for pads. Equal before and after the pass.
    pub stats: Vec<Option<StatRecord>>,
}

/// Why the files could not be hashed.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// A file can't be opened or read.
    #[error("read {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not what it was when the pass began.
    #[error("{} changed while it was read; it is tried again when it rests", .0.display())]
    Changed(PathBuf),
    /// The caller asked to stop.
    #[error("stopped")]
    Cancelled,
}

/// A pass that is under way, seen from outside: how far it is, and a way to end it.
#[derive(Debug, Default)]
pub struct Progress {
    bytes: AtomicU64,
    cancelled: AtomicBool,
}

impl Progress {
    /// Bytes hashed so far, pads included.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Ends the pass soon, with [`PassError::Cancelled`].
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

/// Hashes the files of a layout. `root` is the folder that holds the file or folder of its name.
/// `threads` of 0 means one a core.
pub fn hash(
    layout: &Layout,
    root: &Path,
    want: Want,
    threads: usize,
    progress: &Progress,
) -> Result<Hashed, PassError> {
    let paths: Vec<PathBuf> = layout
        .files()
        .iter()
        .map(|file| root.join(layout.stored_path(file)))
        .collect();
    let stats = stats(layout, &paths)?;
    let pass = Pass::new(layout, &paths, want, progress);
    let ranges = pass.ranges();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if threads == 0 { cores } else { threads }.clamp(1, ranges.len().max(1));
    let next = Mutex::new(ranges.into_iter());
    let take = || next.lock().ok().and_then(|mut ranges| ranges.next());
    let work = || -> Result<Vec<Found>, PassError> {
        let mut reader = Reader {
            open: None,
            buffer: vec![0; SLICE_BYTES * LANES],
        };
        let mut found = Vec::new();
        while let Some(range) = take() {
            if progress.cancelled.load(Ordering::Relaxed) {
                return Err(PassError::Cancelled);
            }
            found.push(pass.range(range, &mut reader)?);
        }
        Ok(found)
    };
    let mut found = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut all = vec![work()];
        all.extend(
            others
                .into_iter()
                .map(|thread| thread.join().expect("a hashing thread never panics")),
        );
        all.into_iter().collect::<Result<Vec<_>, _>>()
    })?
    .concat();
    found.sort_by_key(|found| found.start);
    for (path, (file, before)) in paths.iter().zip(layout.files().iter().zip(&stats)) {
        let now = || {
            stat_record(path).map_err(|source| PassError::Read {
                path: path.clone(),
                source,
            })
        };
        if !file.pad && Some(now()?) != *before {
            return Err(PassError::Changed(path.clone()));
        }
    }
    let pieces = found
        .iter()
        .flat_map(|found| found.pieces.iter().copied())
        .collect();
    let leaves = found.into_iter().flat_map(|found| found.leaves).collect();
    Ok(Hashed {
        hashes: pass.join(pieces, leaves),
        stats,
    })
}

fn stats(layout: &Layout, paths: &[PathBuf]) -> Result<Vec<Option<StatRecord>>, PassError> {
    let stat = |(file, path): (&metainfo::FileEntry, &PathBuf)| {
        if file.pad {
            return Ok(None);
        }
        let stat = stat_record(path).map_err(|source| PassError::Read {
            path: path.clone(),
            source,
        })?;
        if stat.bytes != file.length {
            return Err(PassError::Changed(path.clone()));
        }
        Ok(Some(stat))
    };
    layout.files().iter().zip(paths).map(stat).collect()
}

/// What one range gave.
#[derive(Clone)]
struct Found {
    start: u64,
    pieces: Vec<PieceHash>,
    leaves: Vec<MerkleHash>,
}

/// One thread's buffer and the file it read last.
struct Reader {
    open: Option<(usize, File)>,
    buffer: Vec<u8>,
}

struct Pass<'a> {
    layout: &'a Layout,
    paths: &'a [PathBuf],
    want: Want,
    /// Four messages at once: see the module.
    in_lanes: bool,
    progress: &'a Progress,
}

impl<'a> Pass<'a> {
    fn new(layout: &'a Layout, paths: &'a [PathBuf], want: Want, progress: &'a Progress) -> Self {
        let piece_length = u64::from(layout.geometry().piece_length().get());
        let starts_leaf = |(index, file): (usize, &metainfo::FileEntry)| {
            file.length == 0 || layout.map().file_range(index).start.is_multiple_of(LEAF)
        };
        let leaves_end_with_pieces = layout.files().iter().enumerate().all(starts_leaf);
        let in_lanes = lanes::available()
            && piece_length.is_multiple_of(LEAF)
            && (!want.roots || leaves_end_with_pieces);
        Self {
            layout,
            paths,
            want,
            in_lanes,
            progress,
        }
    }

    /// Ranges of whole pieces that tile the payload.
    fn ranges(&self) -> Vec<Range<u64>> {
        let piece_length = u64::from(self.layout.geometry().piece_length().get());
        let pieces = (RANGE_BYTES / piece_length).max(1);
        let step = piece_length * pieces.next_multiple_of(LANES as u64);
        let total = self.layout.map().total_length();
        (0..total.div_ceil(step))
            .map(|i| i * step..total.min((i + 1) * step))
            .collect()
    }

    fn range(&self, range: Range<u64>, reader: &mut Reader) -> Result<Found, PassError> {
        let mut found = Found {
            start: range.start,
            pieces: Vec::new(),
            leaves: Vec::new(),
        };
        let mut at = range.start;
        if self.in_lanes {
            at = self.hash_in_lanes(range.clone(), reader, &mut found)?;
        }
        if at < range.end {
            self.hash_in_turn(at..range.end, reader, &mut found)?;
        }
        Ok(found)
    }

    /// Hashes as much of the range as goes in lanes; gives where it ended.
    fn hash_in_lanes(
        &self,
        range: Range<u64>,
        reader: &mut Reader,
        found: &mut Found,
    ) -> Result<u64, PassError> {
        let piece_length = u64::from(self.layout.geometry().piece_length().get());
        let mut at = range.start;
        if !self.want.pieces {
            while at < range.end {
                let length = (range.end - at).min(reader.buffer.len() as u64) as usize;
                self.fill(&mut reader.open, at, &mut reader.buffer[..length])?;
                self.leaves_of(&reader.buffer[..length], at, &mut found.leaves);
                self.advance(length);
                at += length as u64;
            }
            return Ok(at);
        }
        while range.end - at >= piece_length * LANES as u64 {
            self.four_pieces(at, piece_length, reader, found)?;
            at += piece_length * LANES as u64;
        }
        Ok(at)
    }

    /// Hashes four whole pieces from `start` on, in step.
    fn four_pieces(
        &self,
        start: u64,
        piece_length: u64,
        reader: &mut Reader,
        found: &mut Found,
    ) -> Result<(), PassError> {
        let mut pieces = Sha1Lanes::new();
        let mut leaves: [Vec<MerkleHash>; LANES] = Default::default();
        let mut done = 0;
        while done < piece_length {
            let length = (piece_length - done).min(SLICE_BYTES as u64) as usize;
            let starts: [u64; LANES] =
                std::array::from_fn(|lane| start + lane as u64 * piece_length + done);
            for (slice, at) in reader.buffer.chunks_exact_mut(SLICE_BYTES).zip(starts) {
                self.fill(&mut reader.open, at, &mut slice[..length])?;
            }
            let slice = |lane: usize| &reader.buffer[lane * SLICE_BYTES..][..length];
            pieces.update(std::array::from_fn(slice));
            if self.want.roots {
                for (lane, leaves) in leaves.iter_mut().enumerate() {
                    self.leaves_of(slice(lane), starts[lane], leaves);
                }
            }
            self.advance(length * LANES);
            done += length as u64;
        }
        found.pieces.extend(pieces.finish().map(PieceHash));
        found.leaves.extend(leaves.into_iter().flatten());
        Ok(())
    }

    /// The leaves of bytes of the payload that start and end with leaves; pads have none.
    fn leaves_of(&self, bytes: &[u8], at: u64, leaves: &mut Vec<MerkleHash>) {
        let mut rest = bytes;
        for span in self.layout.map().spans(at..at + bytes.len() as u64) {
            let (own, others) = rest.split_at(span.length as usize);
            rest = others;
            if self.layout.files()[span.file].pad {
                continue;
            }
            let mut fours = own.chunks_exact(LEAF as usize * LANES);
            for four in &mut fours {
                let leaf = |lane: usize| &four[lane * LEAF as usize..][..LEAF as usize];
                leaves.extend(lanes::sha256(std::array::from_fn(leaf)).map(MerkleHash));
            }
            leaves.extend(fours.remainder().chunks(LEAF as usize).map(merkle::leaf));
        }
    }

    /// Reads bytes of the payload, across files; pads are zeros.
    fn fill(
        &self,
        open: &mut Option<(usize, File)>,
        at: u64,
        out: &mut [u8],
    ) -> Result<(), PassError> {
        let mut rest = out;
        for span in self.layout.map().spans(at..at + rest.len() as u64) {
            let (own, others) = rest.split_at_mut(span.length as usize);
            self.read(open, span.file, span.offset, own)?;
            rest = others;
        }
        Ok(())
    }

    fn advance(&self, bytes: usize) {
        self.progress
            .bytes
            .fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Hashes a range of any layout, one piece and one leaf at a time.
    fn hash_in_turn(
        &self,
        range: Range<u64>,
        reader: &mut Reader,
        found: &mut Found,
    ) -> Result<(), PassError> {
        let piece_length = u64::from(self.layout.geometry().piece_length().get());
        let mut piece = Sha1::new();
        let mut leaf = OpenLeaf::None;
        let mut at = range.start;
        let end = range.end + self.leaf_beyond(range.end);
        for span in self.layout.map().spans(range.start..end) {
            let file = &self.layout.files()[span.file];
            let mut offset = span.offset;
            while offset < span.offset + span.length {
                let length = (span.offset + span.length - offset).min(SLICE_BYTES as u64) as usize;
                self.read(
                    &mut reader.open,
                    span.file,
                    offset,
                    &mut reader.buffer[..length],
                )?;
                let slice = &reader.buffer[..length];
                if self.want.pieces && at < range.end {
                    let mut mine = &slice[..length.min((range.end - at) as usize)];
                    let mut position = at;
                    while !mine.is_empty() {
                        let left = piece_length - position % piece_length;
                        let (now, later) = mine.split_at(mine.len().min(left as usize));
                        piece.update(now);
                        position += now.len() as u64;
                        mine = later;
                        if position.is_multiple_of(piece_length) {
                            found.pieces.push(PieceHash(piece.finalize_reset().into()));
                        }
                    }
                }
                if self.want.roots && !file.pad {
                    let owned = (range.end.saturating_sub(at)).min(length as u64) as usize;
                    leaf.feed(slice, offset, file.length, owned, &mut found.leaves);
                }
                at += length as u64;
                offset += length as u64;
                self.advance(length);
            }
        }
        if self.want.pieces && !range.end.is_multiple_of(piece_length) {
            found.pieces.push(PieceHash(piece.finalize().into()));
        }
        Ok(())
    }

    /// How many bytes of a leaf that is open at this position lie beyond it.
    fn leaf_beyond(&self, position: u64) -> u64 {
        if !self.want.roots {
            return 0;
        }
        let Some(span) = self.layout.map().spans(position..position + 1).next() else {
            return 0;
        };
        let file = &self.layout.files()[span.file];
        if file.pad || span.offset % LEAF == 0 {
            return 0;
        }
        (span.offset.next_multiple_of(LEAF)).min(file.length) - span.offset
    }

    fn read(
        &self,
        open: &mut Option<(usize, File)>,
        file: usize,
        offset: u64,
        out: &mut [u8],
    ) -> Result<(), PassError> {
        if self.layout.files()[file].pad {
            out.fill(0);
            return Ok(());
        }
        let path = &self.paths[file];
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::UnexpectedEof => PassError::Changed(path.clone()),
            _ => PassError::Read {
                path: path.clone(),
                source,
            },
        };
        if open.as_ref().is_none_or(|(open, _)| *open != file) {
            let opened = File::open(path).map_err(failed)?;
            advise_sequential(&opened);
            *open = Some((file, opened));
        }
        let Some((_, open)) = open else {
            return Ok(());
        };
        read_exact_at(open, out, offset).map_err(failed)
    }

    /// Joins pieces and leaves, both in payload order, to what a torrent holds.
    fn join(&self, pieces: Vec<PieceHash>, leaves: Vec<MerkleHash>) -> Hashes {
        let mut hashes = Hashes {
            pieces,
            ..Hashes::default()
        };
        if !self.want.roots {
            hashes.roots = vec![None; self.layout.files().len()];
            return hashes;
        }
        let piece_length = self.layout.geometry().piece_length();
        let mut rest = leaves.as_slice();
        for file in self.layout.files() {
            if file.pad || file.length == 0 {
                hashes.roots.push(None);
                continue;
            }
            let (own, others) = rest.split_at(file.length.div_ceil(LEAF) as usize);
            rest = others;
            let root = merkle::root(own);
            if self.layout.format().has_v2() && file.length > u64::from(piece_length.get()) {
                hashes
                    .piece_layers
                    .insert(root, merkle::piece_layer(own, piece_length));
            }
            hashes.roots.push(Some(root));
        }
        hashes
    }
}

/// A leaf that is not complete yet.
enum OpenLeaf {
    None,
    Open(Box<Sha256>),
}

impl OpenLeaf {
    /// Takes bytes of a file from `offset` on. Leaves that start within the first `owned` bytes are
    /// this range's; a start beyond that, or a leaf that was open before the range, is another's.
    fn feed(
        &mut self,
        mut bytes: &[u8],
        mut offset: u64,
        length: u64,
        owned: usize,
        out: &mut Vec<MerkleHash>,
    ) {
        let owned_end = offset + owned as u64;
        while !bytes.is_empty() {
            let to_end = (LEAF - offset % LEAF).min(length - offset) as usize;
            let (now, later) = bytes.split_at(bytes.len().min(to_end));
            let whole = now.len() == to_end;
            let starts = offset.is_multiple_of(LEAF);
            match self {
                Self::None if starts && offset < owned_end && whole => out.push(merkle::leaf(now)),
                Self::None if starts && offset < owned_end => {
                    *self = Self::Open(Box::new(Sha256::new_with_prefix(now)));
                }
                Self::None => {}
                Self::Open(hasher) => {
                    hasher.update(now);
                    if whole {
                        out.push(MerkleHash(hasher.finalize_reset().into()));
                        *self = Self::None;
                    }
                }
            }
            offset += now.len() as u64;
            bytes = later;
        }
    }
}

/// The record of an open file, for callers that compare.
pub fn open_record(file: &File) -> io::Result<StatRecord> {
    file.metadata().map(|metadata| record(&metadata))
}

#[cfg(test)]
mod tests;
