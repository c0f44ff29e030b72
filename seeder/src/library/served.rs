//! One torrent as it is served: parsed, its files ready to be read. Made when the first peer or request comes, gone
//! soon after the last.

use super::figures::TorrentFigures;
use super::listed::{Listed, Place};
use crate::torrent::SwarmHandle;
use bytes::Bytes;
use metainfo::state::StatRecord;
use metainfo::{Info, MerkleHash, Torrent};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use store::{Payload, PayloadError};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
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
    /// Its trackers in tiers (BEP 12).
    pub announce: Vec<Vec<String>>,
    /// Its web seeds (BEP 19).
    pub web_seeds: Vec<String>,
    /// Its DHT nodes (BEP 5).
    pub nodes: Vec<(String, u16)>,
    /// Its place in the library.
    pub listed: Arc<Listed>,
    /// Cancelled when it is served no longer, or when its files are not right.
    pub gone: CancellationToken,
    /// Its peers.
    pub swarm: Arc<SwarmHandle>,
    /// What is known of its swarm.
    pub figures: Arc<TorrentFigures>,
    /// Its BEP 52 piece layers by file root.
    piece_layers: BTreeMap<MerkleHash, Vec<MerkleHash>>,
    /// The trees over them, made when the first peer asks.
    trees: OnceLock<HashMap<MerkleHash, PieceTree>>,
    /// When each file (pads counted) was last changed.
    modified: Vec<Option<SystemTime>>,
    paths: OnceLock<HashMap<String, usize>>,
}

impl Served {
    pub(super) fn new(torrent: Torrent, listed: Arc<Listed>, root: &Path) -> Self {
        let info = torrent.info;
        let recorded = recorded(&info, &listed);
        let mut stats = recorded.iter();
        let of_file = info.files().iter().map(|file| match file.pad {
            true => None,
            false => stats.next().copied().flatten(),
        });
        let modified = of_file
            .map(|stat| stat.as_ref().and_then(modified))
            .collect();
        let (swarm, figures) = listed.lasting(&info);
        Self {
            id: info.id(),
            payload: Payload::new(root, &info, &recorded),
            metadata: Bytes::copy_from_slice(info.raw()),
            announce: torrent.announce,
            web_seeds: torrent.web_seeds,
            nodes: torrent.nodes,
            gone: listed.gone.child_token(),
            listed,
            swarm,
            figures,
            piece_layers: torrent.piece_layers,
            trees: OnceLock::new(),
            modified,
            paths: OnceLock::new(),
            info,
        }
    }

    /// A torrent that is being fetched to below `root`: nothing is recorded of its files, and nobody looks after
    /// them.
    pub fn incoming(torrent: Torrent, root: &Path) -> Arc<Self> {
        let place = Place {
            base: root.into(),
            torrent: PathBuf::new().into(),
            data: "".into(),
            files: Box::default(),
        };
        // Nobody hears of what can't be read: whoever fetches sees it first.
        let (alarm, _) = mpsc::unbounded_channel();
        let listed = Arc::new(Listed::of_info(&torrent.info, place, &alarm));
        let served = Arc::new(Self::new(torrent, listed.clone(), root));
        listed.set_opened(&served);
        served
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
        self.listed.is_sound() && !self.gone.is_cancelled()
    }

    /// A read has failed: the torrent is withdrawn until its files have been hashed. Nothing happens where that is
    /// known already.
    pub fn report(&self, error: &PayloadError) {
        if !self.gone.is_cancelled() {
            self.listed.report(error);
        }
    }

    /// Lets its peers go and its files be closed.
    pub(super) fn close(&self) {
        self.gone.cancel();
        self.payload.close();
    }
}

/// What each real file of the torrent was when it was hashed.
fn recorded(info: &Info, listed: &Listed) -> Vec<Option<StatRecord>> {
    let stats = listed.recorded();
    let by_path: HashMap<&str, Option<StatRecord>> = listed
        .place
        .files
        .iter()
        .zip(stats)
        .map(|(file, stat)| (&*file.path, stat))
        .collect();
    let real = info.files().iter().filter(|file| !file.pad);
    real.map(|file| {
        let stat = by_path.get(info.stored_path(file).as_str());
        stat.copied().flatten()
    })
    .collect()
}

fn modified(stat: &StatRecord) -> Option<SystemTime> {
    u64::try_from(stat.mtime_ns)
        .ok()
        .map(|ns| UNIX_EPOCH + Duration::from_nanos(ns))
}

impl std::fmt::Debug for Served {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Served({}, {})", self.id, self.info.name())
    }
}
