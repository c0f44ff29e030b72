//! One read pass over the files of a torrent: SHA-1 of every piece and SHA-256 leaves of every file,
//! from the same bytes, in parallel over units of the payload.
//!
//! The payload is cut into units of whole pieces (`unit`); threads take them in order (`ahead`). Of a unit, a
//! thread hashes four pieces in step ([`crate::lanes`]), each read by a lane of its own (`lane`), and the leaves
//! that end in what it just read, four at once, while the bytes are in the core's cache. What is left over goes
//! as one lane. A large payload's pass keeps a `journal` and goes on after a kill.

use crate::lanes::{self, LANES, Sha1Lanes};
use crate::stat::stat_record;
use ahead::Queue;
use journal::Journal;
use lane::Lane;
use metainfo::geometry::BLOCK_LENGTH;
use metainfo::state::StatRecord;
use metainfo::{Hashes, Layout, MerkleHash, PieceHash, merkle};
use sha1::{Digest, Sha1};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

mod ahead;
mod journal;
mod lane;
mod unit;

use unit::Unit;

/// How much of one piece is read and hashed at once where four go in step: four of them stay in a core's
/// second-level cache.
const SLICE_OF_FOUR: usize = 64 << 10;

/// The same where one goes alone.
const SLICE_ALONE: usize = SLICE_OF_FOUR * LANES;

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

impl PassError {
    /// A file that ends early is one that changed.
    pub(crate) fn read(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::UnexpectedEof => Self::Changed(path),
            _ => Self::Read { path, source },
        }
    }
}

/// A pass that is under way, seen from outside: how far it is, and a way to end it.
#[derive(Debug, Default)]
pub struct Progress {
    bytes: AtomicU64,
    resumed: AtomicU64,
    cancelled: AtomicBool,
    /// After how many bytes a test calls the pass off; 0 is never.
    #[cfg(test)]
    cancel_at: AtomicU64,
}

impl Progress {
    /// Bytes whose hashes are known so far, pads included.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How many of them were not read now: a journal had their hashes.
    pub fn resumed(&self) -> u64 {
        self.resumed.load(Ordering::Relaxed)
    }

    /// Ends the pass soon, with [`PassError::Cancelled`].
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    pub(crate) fn advance(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        #[cfg(test)]
        if (1..=self.bytes()).contains(&self.cancel_at.load(Ordering::Relaxed)) {
            self.cancel();
        }
    }

    pub(crate) fn go_on(&self) -> Result<(), PassError> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(PassError::Cancelled);
        }
        Ok(())
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
    run(layout, root, want, threads, progress, None)
}

/// The same with a journal at this path: a pass that is called off or killed leaves it, and the next one with
/// the same journal reads only what was not finished, as long as the files are the same (device, inode, size
/// and time of change). It is removed when the pass ends, or when a file changed.
pub fn hash_resuming(
    layout: &Layout,
    root: &Path,
    want: Want,
    threads: usize,
    progress: &Progress,
    journal: &Path,
) -> Result<Hashed, PassError> {
    run(layout, root, want, threads, progress, Some(journal))
}

fn run(
    layout: &Layout,
    root: &Path,
    want: Want,
    threads: usize,
    progress: &Progress,
    journal: Option<&Path>,
) -> Result<Hashed, PassError> {
    let paths: Vec<PathBuf> = layout
        .files()
        .iter()
        .map(|file| root.join(layout.stored_path(file)))
        .collect();
    let stats = stats(layout, &paths)?;
    let mut units = unit::units(layout);
    let (journal, mut found) = match journal {
        Some(path) => {
            let (journal, found) = Journal::open(path, layout, want, &stats, &units);
            (Some(journal), found)
        }
        None => (None, Vec::new()),
    };
    for known in &found {
        let range = std::mem::take(&mut units[known.unit].range);
        progress
            .resumed
            .fetch_add(range.end - range.start, Ordering::Relaxed);
        progress.advance(range.end - range.start);
    }
    units.retain(|unit| !unit.range.is_empty());
    let journal = Mutex::new(journal);
    let pass = Pass {
        layout,
        paths: &paths,
        want,
        progress,
        journal: &journal,
    };
    let hashed = pass.hash(units, threads).and_then(|new| {
        found.extend(new);
        unchanged(layout, &paths, &stats)
    });
    let journal = journal
        .into_inner()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(journal) = journal
        && matches!(hashed, Ok(()) | Err(PassError::Changed(_)))
    {
        journal.remove();
    }
    hashed?;
    found.sort_by_key(|found| found.unit);
    let pieces = found
        .iter()
        .flat_map(|found| found.pieces.iter().copied())
        .collect();
    let leaves = found
        .iter()
        .flat_map(|found| found.leaves.iter().copied())
        .collect();
    Ok(Hashed {
        hashes: join(layout, want, pieces, leaves),
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

/// Fails when a file is not what it was when the pass began.
fn unchanged(
    layout: &Layout,
    paths: &[PathBuf],
    stats: &[Option<StatRecord>],
) -> Result<(), PassError> {
    for (path, (file, before)) in paths.iter().zip(layout.files().iter().zip(stats)) {
        if file.pad {
            continue;
        }
        let now = stat_record(path).map_err(|source| PassError::read(path, source))?;
        if Some(now) != *before {
            return Err(PassError::Changed(path.clone()));
        }
    }
    Ok(())
}

/// What one unit gave.
#[derive(Debug, Clone)]
struct Found {
    unit: usize,
    pieces: Vec<PieceHash>,
    leaves: Vec<MerkleHash>,
}

struct Pass<'a> {
    layout: &'a Layout,
    paths: &'a [PathBuf],
    want: Want,
    progress: &'a Progress,
    journal: &'a Mutex<Option<Journal>>,
}

impl Pass<'_> {
    /// Hashes these units in parallel; what they gave comes in any order.
    fn hash(&self, units: Vec<Unit>, threads: usize) -> Result<Vec<Found>, PassError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = if threads == 0 { cores } else { threads }.clamp(1, units.len().max(1));
        let queue = Mutex::new(Queue::new(self.layout, self.paths, units));
        let take = || queue.lock().ok().and_then(|mut queue| queue.take());
        let work = || -> Result<Vec<Found>, PassError> {
            let mut lanes = [
                Lane::new(SLICE_ALONE),
                Lane::new(SLICE_OF_FOUR),
                Lane::new(SLICE_OF_FOUR),
                Lane::new(SLICE_OF_FOUR),
            ];
            let mut all = Vec::new();
            while let Some(unit) = take() {
                let found = self.unit(&unit, &mut lanes)?;
                if let Ok(mut journal) = self.journal.lock()
                    && let Some(journal) = &mut *journal
                {
                    journal.add(&found);
                }
                all.push(found);
            }
            Ok(all)
        };
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let mut all = vec![work()];
            all.extend(
                others
                    .into_iter()
                    .map(|thread| thread.join().expect("a hashing thread never panics")),
            );
            all.into_iter().collect::<Result<Vec<_>, _>>()
        })
        .map(|found| found.into_iter().flatten().collect())
    }

    fn unit(&self, unit: &Unit, lanes: &mut [Lane; LANES]) -> Result<Found, PassError> {
        let mut found = Found {
            unit: unit.index,
            pieces: Vec::new(),
            leaves: Vec::new(),
        };
        let piece_length = u64::from(self.layout.geometry().piece_length().get());
        let mut rest = unit.range.clone();
        // Messages that go in step have one length, of whole blocks of the hash functions; small pieces of
        // foreign torrents are better read many at a time.
        let in_step = piece_length >= LEAF && piece_length.is_multiple_of(64);
        if self.want.pieces && lanes::available() && in_step {
            while (rest.end - rest.start) / piece_length >= 2 {
                let pieces = ((rest.end - rest.start) / piece_length).min(LANES as u64);
                self.in_step(rest.start, pieces as usize, lanes, &mut found)?;
                rest.start += pieces * piece_length;
            }
        }
        if !rest.is_empty() {
            self.alone(rest, &mut lanes[0], &mut found)?;
        }
        Ok(found)
    }

    /// Hashes up to four whole pieces from `start` on, in step.
    fn in_step(
        &self,
        start: u64,
        pieces: usize,
        lanes: &mut [Lane; LANES],
        found: &mut Found,
    ) -> Result<(), PassError> {
        let piece_length = u64::from(self.layout.geometry().piece_length().get());
        let lanes = &mut lanes[..pieces];
        for (i, lane) in lanes.iter_mut().enumerate() {
            let start = start + i as u64 * piece_length;
            lane.begin(start..start + piece_length);
        }
        let mut sha1 = Sha1Lanes::new();
        while !lanes[0].is_done() {
            self.progress.go_on()?;
            let mut length = 0;
            for lane in lanes.iter_mut() {
                length = lane.read(self, SLICE_OF_FOUR)?;
            }
            // Where there are fewer, the first stands in for those that are missing.
            let of = |i: usize| lanes.get(i).unwrap_or(&lanes[0]).slice(length);
            sha1.update(std::array::from_fn(of));
            self.leaves(lanes, length);
            self.progress.advance((length * pieces) as u64);
        }
        found
            .pieces
            .extend(sha1.finish()[..pieces].iter().copied().map(PieceHash));
        self.last_leaves(lanes)?;
        for lane in lanes {
            found.leaves.append(&mut lane.leaves);
        }
        Ok(())
    }

    /// Hashes a stretch of any length that starts with a piece, one piece after the other.
    fn alone(
        &self,
        stretch: Range<u64>,
        lane: &mut Lane,
        found: &mut Found,
    ) -> Result<(), PassError> {
        let piece_length = u64::from(self.layout.geometry().piece_length().get());
        let mut position = stretch.start;
        let mut piece = Sha1::new();
        lane.begin(stretch.clone());
        while !lane.is_done() {
            self.progress.go_on()?;
            let length = lane.read(self, SLICE_ALONE)?;
            let mut rest = lane.slice(length);
            while self.want.pieces && !rest.is_empty() {
                let left = piece_length - position % piece_length;
                let (now, later) = rest.split_at(rest.len().min(left as usize));
                piece.update(now);
                position += now.len() as u64;
                rest = later;
                if position.is_multiple_of(piece_length) || position == stretch.end {
                    found.pieces.push(PieceHash(piece.finalize_reset().into()));
                }
            }
            self.leaves(std::slice::from_mut(lane), length);
            self.progress.advance(length as u64);
        }
        self.last_leaves(std::slice::from_mut(lane))?;
        found.leaves.append(&mut lane.leaves);
        Ok(())
    }

    /// Hashes the leaves that end in what each lane read last.
    fn leaves(&self, lanes: &mut [Lane], length: usize) {
        if !self.want.roots {
            return;
        }
        let mut whole = Vec::with_capacity(lanes.len() * (length / LEAF as usize + 2));
        for (i, lane) in lanes.iter_mut().enumerate() {
            lane.cut(self, length, |leaf| whole.push((i, leaf)));
        }
        hash_leaves(lanes, &whole);
    }

    /// Hashes the leaves that go on beyond the end of each lane's stretch.
    fn last_leaves(&self, lanes: &mut [Lane]) -> Result<(), PassError> {
        let mut whole = Vec::new();
        for (i, lane) in lanes.iter_mut().enumerate() {
            whole.extend(lane.last_leaf(self)?.map(|leaf| (i, leaf)));
        }
        hash_leaves(lanes, &whole);
        Ok(())
    }
}

/// Hashes leaves, given as lane and place in its buffer, and adds them to their lanes in this order.
fn hash_leaves(lanes: &mut [Lane], whole: &[(usize, Range<usize>)]) {
    let message = |at: usize| lanes[whole[at].0].part(whole[at].1.clone());
    let is_full = |at: &usize| lanes::available() && message(*at).len() == LEAF as usize;
    let mut hashes = vec![MerkleHash([0; 32]); whole.len()];
    let (full, others): (Vec<usize>, Vec<usize>) = (0..whole.len()).partition(is_full);
    for four in full.chunks(LANES) {
        if let [one] = *four {
            hashes[one] = merkle::leaf(message(one));
            continue;
        }
        // Two and three cost as much as four, and less than one after the other.
        let of = |i: usize| message(*four.get(i).unwrap_or(&four[0]));
        for (at, hash) in four.iter().zip(lanes::sha256(std::array::from_fn(of))) {
            hashes[*at] = MerkleHash(hash);
        }
    }
    for at in others {
        hashes[at] = merkle::leaf(message(at));
    }
    for ((lane, _), hash) in whole.iter().zip(hashes) {
        lanes[*lane].leaves.push(hash);
    }
}

/// Joins pieces and leaves, both in payload order, to what a torrent holds.
fn join(layout: &Layout, want: Want, pieces: Vec<PieceHash>, leaves: Vec<MerkleHash>) -> Hashes {
    let mut hashes = Hashes {
        pieces,
        ..Hashes::default()
    };
    if !want.roots {
        hashes.roots = vec![None; layout.files().len()];
        return hashes;
    }
    let piece_length = layout.geometry().piece_length();
    let mut rest = leaves.as_slice();
    for file in layout.files() {
        if file.pad || file.length == 0 {
            hashes.roots.push(None);
            continue;
        }
        let (own, others) = rest.split_at(file.length.div_ceil(LEAF) as usize);
        rest = others;
        let root = merkle::root(own);
        if layout.format().has_v2() && file.length > u64::from(piece_length.get()) {
            let layer = merkle::piece_layer(own, piece_length);
            hashes.piece_layers.insert(root, layer);
        }
        hashes.roots.push(Some(root));
    }
    hashes
}

#[cfg(test)]
mod resume_tests;
#[cfg(test)]
mod tests;
