//! HashedRelease → SealedRelease: the info dictionary is made, the payload gets its final place, and
//! the torrent its trackers and web seeds. A release that is as it was is sealed from what the last run
//! left, without reading it again.

use crate::channel::Channel;
use crate::error::ReleaseError;
use crate::hash::HashedRelease;
use crate::probe::ProbedRelease;
use metainfo::state::{State, StateFile, StateTorrent};
use metainfo::{Format, Info, Layout, Magnet, MerkleHash, Torrent};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::collections::BTreeMap;
use std::path::Path;

/// What may stand in a URL's path segment as it is.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Where the outer world finds the seeder and the site.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// The seeder's URL for torrents and magnets, with a trailing slash; without one they name no
    /// tracker and no web seed of ours.
    pub torrent: Option<String>,
    /// The seeder's URL for pages; without one they point beside themselves.
    pub page: Option<String>,
}

/// A release that can be published: the last stage.
#[derive(Debug, Clone)]
pub struct SealedRelease {
    /// What is known of it.
    pub probed: ProbedRelease,
    /// Its torrent, trackers and web seeds included.
    pub torrent: Torrent,
    /// The bytes of its torrent file.
    pub torrent_bytes: Vec<u8>,
    /// Hexadecimal name of folders and URLs.
    pub id: String,
    /// Its payload files, pads left out.
    pub files: Vec<StateFile>,
    /// Whether it is sealed from the last run.
    pub unchanged: bool,
}

/// Makes the torrent and gives the payload its place in the library.
pub fn seal(
    hashed: HashedRelease,
    channel: &Channel,
    addresses: &Addresses,
    library: &Path,
) -> Result<SealedRelease, ReleaseError> {
    let HashedRelease { prepared, hashed } = hashed;
    let info = Info::make(&prepared.layout, &hashed.hashes, false, None);
    let target = library.join(info.id());
    prepared
        .staged
        .keep_as(&target)
        .map_err(|source| ReleaseError::Library {
            path: prepared.probed.found.source.clone().into(),
            library: target.clone(),
            source,
        })?;
    let files = prepared
        .layout
        .files()
        .iter()
        .zip(&hashed.hashes.roots)
        .filter(|(file, _)| !file.pad)
        .map(|(file, root)| {
            let path = prepared.layout.stored_path(file);
            // By path and not from the pass: where the library had these bytes already, its file stays.
            let stat = store::stat_record(&target.join(&path)).ok();
            StateFile {
                path,
                bytes: file.length,
                stat,
                merkle_root: *root,
            }
        })
        .collect();
    let layers = if info.format().has_v2() {
        hashed.hashes.piece_layers
    } else {
        BTreeMap::new()
    };
    Ok(finish(
        prepared.probed,
        info,
        layers,
        files,
        channel,
        addresses,
        false,
    ))
}

/// Seals a release from the last run: its sources, its library files and the channel's format are as
/// they were, and its torrent file is whole.
pub fn reseal(
    probed: &ProbedRelease,
    layout: &Layout,
    state: &State,
    channel: &Channel,
    addresses: &Addresses,
    out: &Path,
) -> Option<SealedRelease> {
    let release = state
        .releases
        .iter()
        .find(|release| release.source == probed.found.source)?;
    let sources = &probed.found.files;
    let same = release.sources.len() == sources.len()
        && release.sources.iter().zip(sources).all(|(record, file)| {
            record.path == file.path.join("/") && record.stat.same_content(&file.stat)
        });
    if !same {
        return None;
    }
    let recorded = release
        .torrents
        .iter()
        .find_map(|id| state.torrents.iter().find(|torrent| torrent.id == *id))?;
    let bytes = std::fs::read(out.join(&recorded.torrent)).ok()?;
    let torrent = Torrent::parse(&bytes).ok()?;
    let fits = Layout::of(&torrent.info).is_for(layout) && torrent.info.id() == recorded.id;
    if !fits || !library_is_whole(recorded, out) {
        return None;
    }
    let files = recorded.files.clone();
    Some(finish(
        probed.clone(),
        torrent.info,
        torrent.piece_layers,
        files,
        channel,
        addresses,
        true,
    ))
}

fn library_is_whole(recorded: &StateTorrent, out: &Path) -> bool {
    recorded.files.iter().all(|file| {
        let now = store::stat_record(&out.join(&recorded.data).join(&file.path));
        matches!((now, &file.stat), (Ok(now), Some(stat)) if stat.same_content(&now))
    })
}

fn finish(
    probed: ProbedRelease,
    info: Info,
    piece_layers: BTreeMap<MerkleHash, Vec<MerkleHash>>,
    files: Vec<StateFile>,
    channel: &Channel,
    addresses: &Addresses,
    unchanged: bool,
) -> SealedRelease {
    let id = info.id();
    let mut torrent = Torrent::new(info);
    torrent.piece_layers = piece_layers;
    torrent.announce = addresses
        .torrent
        .iter()
        .map(|seeder| vec![format!("{seeder}announce")])
        .collect();
    torrent.announce.extend(channel.trackers.iter().cloned());
    torrent.web_seeds = web_seeds(&torrent.info, channel, addresses);
    torrent.created_by = Some(concat!("Groundswell/", env!("CARGO_PKG_VERSION")).into());
    let torrent_bytes = torrent.to_bytes();
    SealedRelease {
        probed,
        torrent,
        torrent_bytes,
        id,
        files,
        unchanged,
    }
}

/// BEP 19: the URL of a single file names it; below a folder's URL, which ends in a slash, clients add
/// name and path. A lone file of a v2 torrent gets the folder form too: libtorrent adds its name always.
fn web_seeds(info: &Info, channel: &Channel, addresses: &Addresses) -> Vec<String> {
    let below = if info.is_single_file() && info.format() != Format::V2 {
        segment(info.name())
    } else {
        String::new()
    };
    let own = addresses
        .torrent
        .iter()
        .map(|seeder| format!("{seeder}library/"));
    own.chain(channel.web_seeds.iter().cloned())
        .map(|prefix| format!("{prefix}{}/{below}", info.id()))
        .collect()
}

/// A path component as it stands in a URL.
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

impl SealedRelease {
    /// Its magnet link; `site` is where the torrent file lies, when that is known.
    pub fn magnet(&self, site: Option<&str>) -> String {
        let source = site.map(|site| format!("{site}t/{}.torrent", self.id));
        Magnet::of(&self.torrent, source.as_deref()).to_string()
    }

    /// Where HTTP gives a file, below the site's root.
    pub fn library_url(&self, file: &StateFile) -> String {
        let path: Vec<String> = file.path.split('/').map(segment).collect();
        format!("library/{}/{}", self.id, path.join("/"))
    }
}
