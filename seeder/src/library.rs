//! What is served: torrents with their payload, found by swarm or by id. Loaded from the publisher's
//! `state.json` or from `.torrent` files; loaded again when the state changes, keeping whatever has stayed
//! the same, peers included. A torrent that can't be served is named with its cause and passed over.

use crate::error::ServeError;
use crate::torrent::SwarmHandle;
use bytes::Bytes;
use metainfo::state::{StatRecord, State, StateTorrent};
use metainfo::{Info, MerkleHash, SwarmHash, Torrent, TorrentError};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use store::pass::{PassError, Progress};
use store::{Payload, PayloadError};
use tokio_util::sync::CancellationToken;
use wire::encryption;
use wire::hashes::PieceTree;
use wire::message::HashRange;

/// One torrent that is served.
pub struct Served {
    /// What folders and URLs call it.
    pub id: String,
    /// What it is about.
    pub info: Info,
    /// Its files.
    pub payload: Payload,
    /// Its info dictionary, for peers that came by a magnet link.
    pub metadata: Bytes,
    /// Its BEP 52 piece layers by file root.
    piece_layers: BTreeMap<MerkleHash, Vec<MerkleHash>>,
    /// The trees over them, made when the first peer asks.
    trees: OnceLock<HashMap<MerkleHash, PieceTree>>,
    /// Cancelled when it is served no longer.
    pub gone: CancellationToken,
    /// Its peers.
    pub swarm: SwarmHandle,
    /// When each file (pads counted) was last changed.
    modified: Vec<Option<SystemTime>>,
    /// What the state said of it, to see whether that has changed.
    entry: Option<StateTorrent>,
    /// A file is missing or was changed: nothing is served until it is back.
    faulty: AtomicBool,
    paths: OnceLock<HashMap<String, usize>>,
}

/// Why one torrent isn't served.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The torrent file can't be read.
    #[error("read {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The torrent file makes no sense.
    #[error("{}: {source}", .path.display())]
    Torrent {
        /// The file.
        path: PathBuf,
        /// Why.
        source: TorrentError,
    },
    /// The torrent isn't the one that the state names.
    #[error("{} has the id {found}, not {expected}; build it again", .path.display())]
    OtherId {
        /// The file.
        path: PathBuf,
        /// The id of what it holds.
        found: String,
        /// The id that the state names.
        expected: String,
    },
    /// Its data can't be checked.
    #[error("{}: {source}", .path.display())]
    Check {
        /// The torrent file.
        path: PathBuf,
        /// Why.
        source: PassError,
    },
    /// Its data isn't there or isn't right.
    #[error("{}: {what}", .path.display())]
    Incomplete {
        /// The torrent file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

impl Served {
    fn new(
        torrent: Torrent,
        root: &Path,
        recorded: &[Option<StatRecord>],
        entry: Option<StateTorrent>,
    ) -> Self {
        let Torrent {
            info, piece_layers, ..
        } = torrent;
        let mut stats = recorded.iter();
        let of_file = info.files().iter().map(|file| {
            if file.pad {
                None
            } else {
                stats.next().copied().flatten()
            }
        });
        let modified = of_file
            .map(|stat| stat.as_ref().and_then(modified))
            .collect();
        Self {
            id: info.id(),
            payload: Payload::new(root, &info, recorded),
            metadata: Bytes::copy_from_slice(info.raw()),
            piece_layers,
            trees: OnceLock::new(),
            gone: CancellationToken::new(),
            swarm: SwarmHandle::default(),
            modified,
            entry,
            faulty: AtomicBool::new(false),
            paths: OnceLock::new(),
            info,
        }
    }

    /// The hashes a peer asks for, or nothing.
    pub fn hashes(&self, range: &HashRange) -> Option<Bytes> {
        let trees = self.trees.get_or_init(|| {
            let piece_length = self.info.geometry().piece_length();
            let layers = self.piece_layers.iter();
            layers
                .map(|(root, layer)| (*root, PieceTree::new(layer, piece_length)))
                .collect()
        });
        trees.get(&range.root)?.answer(range)
    }

    /// The file behind a path below `/library/<id>/`, pads among them.
    pub fn file_at(&self, path: &str) -> Option<usize> {
        let paths = self.paths.get_or_init(|| {
            let files = self.info.files().iter().enumerate();
            files
                .map(|(index, file)| (self.info.stored_path(file), index))
                .collect()
        });
        paths.get(path).copied()
    }

    /// When a file was last changed.
    pub fn modified(&self, file: usize) -> Option<SystemTime> {
        self.modified.get(file).copied().flatten()
    }

    /// Whether its files are what was published, as far as is known.
    pub fn is_sound(&self) -> bool {
        !self.faulty.load(Ordering::Relaxed)
    }

    /// A read has failed: the torrent rests until [`Self::recheck`] finds its files right again.
    pub fn report(&self, error: &PayloadError) {
        if !self.faulty.swap(true, Ordering::Relaxed) {
            tracing::warn!("{} is not served for now: {error}", self.info.name());
        }
        self.payload.close();
    }

    /// Looks at its files by name, size and time. Blocking.
    pub fn recheck(&self) -> Result<(), PayloadError> {
        let outcome = self.payload.check();
        match &outcome {
            Ok(()) if self.faulty.swap(false, Ordering::Relaxed) => {
                tracing::info!("{} is served again", self.info.name());
            }
            Ok(()) => {}
            Err(error) => self.report(error),
        }
        outcome
    }
}

impl std::fmt::Debug for Served {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Served({}, {})", self.id, self.info.name())
    }
}

fn modified(stat: &StatRecord) -> Option<SystemTime> {
    u64::try_from(stat.mtime_ns)
        .ok()
        .map(|ns| UNIX_EPOCH + Duration::from_nanos(ns))
}

/// Everything that is served at one moment. Replaced as a whole when it changes.
#[derive(Debug, Default)]
pub struct Library {
    by_id: HashMap<String, Arc<Served>>,
    by_swarm: HashMap<SwarmHash, Arc<Served>>,
    /// Swarms by what an encrypted connection shows of them, made when the first one asks.
    by_request: OnceLock<HashMap<[u8; 20], SwarmHash>>,
}

/// A library and what couldn't enter it.
pub struct Load {
    /// What is served.
    pub library: Library,
    /// A line for each torrent passed over: what and why.
    pub skipped: Vec<String>,
    /// When the first of them is no longer to be served.
    pub next_end: Option<SystemTime>,
}

impl Library {
    /// The torrent of a swarm: its v1 hash or its truncated v2 one.
    pub fn by_swarm(&self, swarm: &SwarmHash) -> Option<&Arc<Served>> {
        self.by_swarm.get(swarm)
    }

    /// The swarm that an encrypted connection asks for, by its digest.
    pub fn by_request(&self, digest: &[u8; 20]) -> Option<SwarmHash> {
        let by_request = self.by_request.get_or_init(|| {
            let swarms = self.by_swarm.keys();
            swarms
                .map(|swarm| (encryption::request_digest(swarm), *swarm))
                .collect()
        });
        by_request.get(digest).copied()
    }

    /// The torrent of this id.
    pub fn by_id(&self, id: &str) -> Option<&Arc<Served>> {
        self.by_id.get(id)
    }

    /// How many torrents are served: their files are what was published, as far as is known.
    pub fn n_sound(&self) -> usize {
        self.torrents().filter(|torrent| torrent.is_sound()).count()
    }

    /// Every torrent.
    pub fn torrents(&self) -> impl ExactSizeIterator<Item = &Arc<Served>> {
        self.by_id.values()
    }

    /// Every swarm.
    pub fn swarms(&self) -> impl Iterator<Item = SwarmHash> + '_ {
        self.by_swarm.keys().copied()
    }

    fn add(&mut self, torrent: Arc<Served>) {
        for swarm in torrent.info.swarm_hashes() {
            self.by_swarm.insert(swarm, torrent.clone());
        }
        self.by_id.insert(torrent.id.clone(), torrent);
    }

    /// Tells what was served before and is no longer to let its peers go.
    pub fn retire(&self, before: &Self) {
        for torrent in before.torrents() {
            if !self
                .by_id(&torrent.id)
                .is_some_and(|now| Arc::ptr_eq(now, torrent))
            {
                torrent.gone.cancel();
            }
        }
    }

    /// Loads what `state.json` lists; what is in `before` and hasn't changed is kept as it is. A folder without
    /// a state is an empty one. Blocking.
    pub fn from_out(out: &Path, before: &Self, now: SystemTime) -> Result<Load, ServeError> {
        let path = out.join("state.json");
        let state = match std::fs::read(&path) {
            Ok(bytes) => {
                State::parse(&bytes).map_err(|source| ServeError::State { path, source })?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => State::default(),
            Err(source) => return Err(ServeError::Read { path, source }),
        };
        let now = now
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs() as i64);
        let mut load = Load {
            library: Self::default(),
            skipped: Vec::new(),
            next_end: None,
        };
        for entry in state.torrents {
            let over = entry.until.is_some_and(|until| until <= now);
            if !entry.status.is_seeded() || over {
                continue;
            }
            let end = entry.until.and_then(|until| u64::try_from(until).ok());
            let end = end.map(|until| UNIX_EPOCH + Duration::from_secs(until));
            load.next_end = load.next_end.into_iter().chain(end).min();
            if let Some(kept) = before
                .by_id(&entry.id)
                .filter(|torrent| torrent.is_the_same(&entry))
            {
                load.library.add(kept.clone());
                continue;
            }
            match from_entry(out, entry) {
                Ok(torrent) => {
                    // The publisher's hashes are trusted as long as its record of the files holds.
                    load.skipped
                        .extend(torrent.recheck().err().map(|error| error.to_string()));
                    load.library.add(Arc::new(torrent));
                }
                Err(error) => load.skip(&error),
            }
        }
        Ok(load)
    }

    /// Loads these torrents and checks every byte of their data: somebody else hashed them, some time. Blocking.
    pub fn from_torrents(files: &[PathBuf], data: &Path) -> Load {
        let mut load = Load {
            library: Self::default(),
            skipped: Vec::new(),
            next_end: None,
        };
        for path in files {
            match from_file(path, data) {
                Ok(torrent) => load.library.add(Arc::new(torrent)),
                Err(error) => load.skip(&error),
            }
        }
        load
    }
}

impl Load {
    fn skip(&mut self, error: &LoadError) {
        tracing::warn!("not served: {error}");
        self.skipped.push(error.to_string());
    }
}

impl Served {
    /// Whether the state still says the same of what is read and sent. A title or a status may change.
    fn is_the_same(&self, entry: &StateTorrent) -> bool {
        self.entry
            .as_ref()
            .is_some_and(|known| (&known.data, &known.files) == (&entry.data, &entry.files))
    }
}

fn read_torrent(path: &Path) -> Result<Torrent, LoadError> {
    let bytes = std::fs::read(path).map_err(|source| LoadError::Read {
        path: path.to_owned(),
        source,
    })?;
    Torrent::parse(&bytes).map_err(|source| LoadError::Torrent {
        path: path.to_owned(),
        source,
    })
}

fn from_entry(out: &Path, entry: StateTorrent) -> Result<Served, LoadError> {
    let path = out.join(&entry.torrent);
    let torrent = read_torrent(&path)?;
    let found = torrent.info.id();
    if found != entry.id {
        return Err(LoadError::OtherId {
            path,
            found,
            expected: entry.id,
        });
    }
    let stats: HashMap<&str, Option<StatRecord>> = entry
        .files
        .iter()
        .map(|file| (file.path.as_str(), file.stat))
        .collect();
    let real = torrent.info.files().iter().filter(|file| !file.pad);
    let recorded: Vec<_> = real
        .map(|file| {
            stats
                .get(torrent.info.stored_path(file).as_str())
                .copied()
                .flatten()
        })
        .collect();
    let root = out.join(&entry.data);
    Ok(Served::new(torrent, &root, &recorded, Some(entry)))
}

fn from_file(path: &Path, data: &Path) -> Result<Served, LoadError> {
    let torrent = read_torrent(path)?;
    let verdict =
        store::verify(&torrent.info, data, 0, &Progress::default()).map_err(|source| {
            LoadError::Check {
                path: path.to_owned(),
                source,
            }
        })?;
    if !verdict.is_whole() {
        let what = if let [first, rest @ ..] = &verdict.missing[..] {
            let more = if rest.is_empty() {
                String::new()
            } else {
                format!(" and {} more", rest.len())
            };
            format!("{}{more} is missing or has another length", first.display())
        } else {
            let names: Vec<_> = verdict
                .bad_files
                .iter()
                .take(3)
                .map(|file| file.display().to_string())
                .collect();
            format!("the data differs in {}", names.join(", "))
        };
        return Err(LoadError::Incomplete {
            path: path.to_owned(),
            what,
        });
    }
    Ok(Served::new(torrent, data, &verdict.stats, None))
}
