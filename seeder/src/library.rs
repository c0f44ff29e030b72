//! What is served: torrents with their payload, found by swarm or by id. Read from the publisher's
//! `state.json` or from `.torrent` files; read again when the state changes, keeping whatever has stayed
//! the same, peers included. A torrent that can't be served is named with its cause and passed over.
//!
//! What the state says of a torrent is enough to know its swarms and whether its files are what was hashed
//! ([`listed`]); it is parsed when the first peer or request asks for it ([`served`]). [`guard`] looks after the files
//! behind everything else, [`figures`] counts.

pub mod figures;
pub mod guard;
pub mod inspection;
pub mod listed;
pub mod memory;
pub mod served;

pub use figures::{TorrentFigures, Transport};
pub use listed::{Alarm, Condition, Listed};
pub use served::Served;

use crate::error::ServeError;
use listed::{ListedFile, Look, Place};
use memory::Memory;
use metainfo::state::{State, Status};
use metainfo::{SwarmHash, Torrent, TorrentError};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use store::pass::{PassError, Progress};
use swarm::tracker::Tracked;
use wire::encryption;

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
    /// What the state calls it is no info-hash.
    #[error("`{0}` is no id: 40 hexadecimal digits; build it again")]
    Id(String),
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

/// Everything that is served at one moment. Replaced as a whole when it changes.
#[derive(Debug, Default)]
pub struct Library {
    /// In the order of their ids.
    all: Vec<Arc<Listed>>,
    by_swarm: HashMap<SwarmHash, Arc<Listed>>,
    /// Swarms by what an encrypted connection shows of them, made when the first one asks.
    by_request: OnceLock<HashMap<[u8; 20], SwarmHash>>,
    /// Swarms that the state says are to be refused.
    withdrawn: Vec<SwarmHash>,
    /// What isn't on disk as a torrent and so can't be parsed again.
    pinned: Vec<Arc<Served>>,
    /// A line for each torrent of the source that has no place here: what and why.
    pub skipped: Vec<String>,
}

/// A library, and when it is to be loaded again.
pub struct Load {
    /// What is served.
    pub library: Library,
    /// When the first of them is no longer to be served.
    pub next_end: Option<SystemTime>,
}

impl Library {
    /// The torrent of a swarm: its v1 hash or its truncated v2 one.
    pub fn by_swarm(&self, swarm: &SwarmHash) -> Option<&Arc<Listed>> {
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
    pub fn by_id(&self, id: &str) -> Option<&Arc<Listed>> {
        let listed = self.by_swarm.get(&id.parse().ok()?)?;
        Some(listed).filter(|listed| listed.id == id)
    }

    /// The torrents of this id and of higher ones, in their order.
    pub fn from_id(&self, id: &str) -> impl Iterator<Item = &Arc<Listed>> {
        let first = self.all.partition_point(|listed| *listed.id < *id);
        self.all[first..].iter()
    }

    /// How many torrents are served: their files are what was published, as far as is known.
    pub fn n_sound(&self) -> usize {
        self.all.iter().filter(|listed| listed.is_sound()).count()
    }

    /// Every torrent, in the order of their ids.
    pub fn torrents(&self) -> &[Arc<Listed>] {
        &self.all
    }

    /// Every swarm, as the tracker knows it.
    pub fn tracked(&self) -> impl Iterator<Item = Tracked> + '_ {
        let numbered = (0..).zip(&self.all);
        numbered.flat_map(|(id, listed)| {
            let (p2p, seeded) = (listed.p2p(), listed.is_sound());
            let tracked = move |swarm: &SwarmHash| Tracked {
                swarm: *swarm,
                id,
                p2p,
                seeded,
            };
            listed.swarms().iter().map(tracked)
        })
    }

    /// The swarms of what was withdrawn: refused for good.
    pub fn withdrawn(&self) -> &[SwarmHash] {
        &self.withdrawn
    }

    /// A library of these torrents.
    fn of(mut all: Vec<Arc<Listed>>, skipped: Vec<String>) -> Self {
        all.sort_by(|a, b| a.id.cmp(&b.id));
        let swarms = all
            .iter()
            .flat_map(|listed| listed.swarms().iter().map(|swarm| (*swarm, listed.clone())));
        Self {
            by_swarm: swarms.collect(),
            all,
            skipped,
            ..Self::default()
        }
    }

    /// The same with one more torrent, which stays open as long as it is here.
    pub(crate) fn with(&self, served: Arc<Served>) -> Self {
        let mut all = self.all.clone();
        all.retain(|listed| listed.id != served.id);
        all.push(served.listed.clone());
        let mut library = Self::of(all, self.skipped.clone());
        library.withdrawn.clone_from(&self.withdrawn);
        library.pinned.clone_from(&self.pinned);
        library.pinned.retain(|pinned| pinned.id != served.id);
        library.pinned.push(served);
        library
    }

    /// Tells what was served before and is no longer to let its peers go.
    pub fn retire(&self, before: &Self) {
        for listed in &before.all {
            if !self
                .by_id(&listed.id)
                .is_some_and(|now| Arc::ptr_eq(now, listed))
            {
                listed.gone.cancel();
            }
        }
    }

    /// Loads what `state.json` lists; what is in `before` and hasn't changed is kept as it is. A folder without
    /// a state is an empty one. No torrent is parsed, no file opened. Blocking.
    pub fn from_out(
        out: &Path,
        before: &Self,
        now: SystemTime,
        memory: &Memory,
        alarm: &Alarm,
    ) -> Result<Load, ServeError> {
        let path = out.join("state.json");
        let entries = match std::fs::read(&path) {
            Ok(bytes) => State::parse_torrents(&bytes)
                .map_err(|source| ServeError::State { path, source })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(ServeError::Read { path, source }),
        };
        let now = now
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs() as i64);
        let out: Arc<Path> = out.into();
        let (mut all, mut skipped) = (Vec::new(), Vec::new());
        let mut next_end: Option<SystemTime> = None;
        let mut withdrawn = Vec::new();
        for entry in entries {
            if entry.status == Status::Withdrawn {
                let v2 = entry.info_hash_v2.map(|hash| hash.truncated());
                let v1 = entry.info_hash_v1.map(SwarmHash::from);
                withdrawn.extend(v1.into_iter().chain(v2));
            }
            let over = entry.until.is_some_and(|until| until <= now);
            if !entry.status.is_seeded() || over {
                continue;
            }
            let end = entry.until.and_then(|until| u64::try_from(until).ok());
            let end = end.map(|until| UNIX_EPOCH + Duration::from_secs(until));
            next_end = next_end.into_iter().chain(end).min();
            let kept = before.by_id(&entry.id);
            if let Some(kept) = kept.filter(|listed| listed.is_the_same(&entry)) {
                kept.set_p2p(entry.p2p.as_deref());
                all.push(kept.clone());
                continue;
            }
            let p2p = entry.p2p.clone();
            let accepted = memory.accepted.get(&entry.id).cloned();
            match Listed::from_entry(&out, entry, accepted, alarm) {
                Ok(listed) => {
                    let listed = Arc::new(listed);
                    listed.set_p2p(p2p.as_deref());
                    first_look(&listed, alarm);
                    all.push(listed);
                }
                Err(error) => skip(&mut skipped, &error),
            }
        }
        let mut library = Self::of(all, skipped);
        library.withdrawn = withdrawn;
        Ok(Load { library, next_end })
    }

    /// Loads these torrents and checks every byte of their data: somebody else hashed them, some time. Blocking.
    pub fn from_torrents(files: &[PathBuf], data: &Path, alarm: &Alarm) -> Load {
        let (mut all, mut skipped) = (Vec::new(), Vec::new());
        for path in files {
            match from_file(path, data, alarm) {
                Ok(listed) => all.push(Arc::new(listed)),
                Err(error) => skip(&mut skipped, &error),
            }
        }
        Load {
            library: Self::of(all, skipped),
            next_end: None,
        }
    }
}

/// The publisher's hashes are trusted as long as its record of the files holds.
fn first_look(listed: &Arc<Listed>, alarm: &Alarm) {
    let seen = listed.signature();
    match listed.compare(&seen) {
        Look::Same => {}
        Look::Touched => {
            let _ = alarm.send(listed.clone());
        }
        Look::Changed(why) => listed.suspect(why),
        Look::Missing(why) => {
            listed.condemn(why, seen, false);
        }
    }
}

fn skip(skipped: &mut Vec<String>, error: &LoadError) {
    tracing::warn!("not served: {error}");
    skipped.push(error.to_string());
}

/// Reads a `.torrent`. Blocking.
pub(crate) fn read_torrent(path: &Path) -> Result<Torrent, LoadError> {
    let bytes = std::fs::read(path).map_err(|source| LoadError::Read {
        path: path.to_owned(),
        source,
    })?;
    Torrent::parse(&bytes).map_err(|source| LoadError::Torrent {
        path: path.to_owned(),
        source,
    })
}

fn from_file(path: &Path, data: &Path, alarm: &Alarm) -> Result<Listed, LoadError> {
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
    let info = &torrent.info;
    let real = info.files().iter().filter(|file| !file.pad);
    let files = real.zip(verdict.stats).map(|(file, stat)| ListedFile {
        path: info.stored_path(file).into(),
        bytes: file.length,
        stat,
    });
    let place = Place {
        base: data.into(),
        torrent: absolute(path).into(),
        data: "".into(),
        files: files.collect(),
    };
    Ok(Listed::of_info(info, place, alarm))
}

/// The path of a torrent file from wherever its data lies.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
