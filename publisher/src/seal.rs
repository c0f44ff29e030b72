//! HashedRendition → SealedRelease: the info dictionary is made, the payload gets its final place, and
//! the torrent its trackers and web seeds. A release that is as it was is sealed from what the last run
//! left, without reading it again.

use crate::channel::Channel;
use crate::error::ReleaseError;
use crate::hash::HashedRendition;
use crate::prepare::{Payload, PreparedRendition};
use crate::probe::{MediaFile, ProbedRelease};
use media::Media;
use metainfo::state::{StatRecord, StateFile, StateTorrent};
use metainfo::{Format, Info, Layout, Magnet, Torrent};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
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
    /// The UDP port of the seeder's tracker, at the host of `torrent`, where torrents are to name it.
    pub udp_tracker_port: Option<u16>,
    /// The seeder's URL for pages; without one they point beside themselves.
    pub page: Option<String>,
}

/// A seeder that runs in this process: it stands in torrents where the channel names none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningSeeder {
    /// Where it is reached over HTTP, with a trailing slash.
    pub url: String,
    /// The port of its UDP tracker, where it has one.
    pub udp_tracker_port: Option<u16>,
}

/// A release that can be published: the last stage.
#[derive(Debug, Clone)]
pub struct SealedRelease {
    /// What is known of it.
    pub probed: ProbedRelease,
    /// Its torrents: the publisher's own file first, then the others, the tallest first.
    pub renditions: Vec<SealedRendition>,
    /// Whether every one is sealed from the last run.
    pub unchanged: bool,
}

/// One torrent of a release.
#[derive(Debug, Clone)]
pub struct SealedRendition {
    /// `source`, `720p` …
    pub name: String,
    /// What its file is, where it is one media file.
    pub media: Option<Media>,
    /// The torrent, trackers and web seeds included.
    pub torrent: Torrent,
    /// The bytes of its torrent file.
    pub torrent_bytes: Vec<u8>,
    /// Hexadecimal name of folders and URLs.
    pub id: String,
    /// Its payload files, pads left out.
    pub files: Vec<StateFile>,
    /// What its payload was made from, in the order of the payload's files.
    pub made_from: Vec<StatRecord>,
    /// Whether it is sealed from the last run.
    pub unchanged: bool,
}

/// Makes the torrent and gives the payload its place in the library.
pub fn seal(
    hashed: HashedRendition,
    media: Option<Media>,
    channel: &Channel,
    addresses: &Addresses,
    library: &Path,
) -> Result<SealedRendition, ReleaseError> {
    let HashedRendition { prepared, hashed } = hashed;
    let PreparedRendition {
        payload,
        layout,
        media: rewritten,
        staged,
    } = prepared;
    payload.check_unchanged()?;
    let info = Info::make(&layout, &hashed.hashes, false, None);
    let target = library.join(info.id());
    staged
        .keep_as(&target)
        .map_err(|source| ReleaseError::Library {
            path: payload.name.clone().into(),
            library: target.clone(),
            source,
        })?;
    let files = layout
        .files()
        .iter()
        .zip(&hashed.hashes.roots)
        .filter(|(file, _)| !file.pad)
        .map(|(file, root)| {
            let path = layout.stored_path(file);
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
    let mut torrent = Torrent::new(info);
    if torrent.info.format().has_v2() {
        torrent.piece_layers = hashed.hashes.piece_layers;
    }
    let sealed = SealedRendition {
        name: payload.rendition.clone(),
        media: rewritten.or(media),
        id: torrent.info.id(),
        torrent,
        torrent_bytes: Vec::new(),
        files,
        made_from: payload.files.iter().map(|file| file.stat).collect(),
        unchanged: false,
    };
    Ok(sealed.addressed(channel, addresses))
}

/// Seals a payload from the last run, when its torrent there (`recorded`) is whole and the channel would make
/// the same one again. The caller knows that the payload's files are as they were. The torrent's name may be
/// another: a renamed release keeps its torrent.
pub fn reseal(
    payload: &Payload,
    media: Option<Media>,
    recorded: &StateTorrent,
    channel: &Channel,
    addresses: &Addresses,
    out: &Path,
) -> Option<SealedRendition> {
    if !is_whole(recorded, out) {
        return None;
    }
    let bytes = std::fs::read(out.join(&recorded.torrent)).ok()?;
    let torrent = Torrent::parse(&bytes).ok()?;
    let mut media = media;
    let lengths: Vec<u64> = match (payload.rewrite, recorded.files.as_slice()) {
        (None, _) => payload.files.iter().map(|file| file.stat.bytes).collect(),
        (Some(_), [only]) => {
            // What was packed anew is judged by what it became.
            let path = out.join(&recorded.data).join(&only.path);
            let found = media::probe(&MediaFile::open(&path).ok()?).ok()?;
            if !matches!(media::plays(&found), media::Plays::AsIs { .. }) {
                return None;
            }
            media = Some(found);
            vec![only.bytes]
        }
        (Some(_), _) => return None,
    };
    let wanted = payload
        .layout(torrent.info.name(), &lengths, channel)
        .ok()?;
    if torrent.info.id() != recorded.id || !Layout::of(&torrent.info).is_for(&wanted) {
        return None;
    }
    let sealed = SealedRendition {
        name: payload.rendition.clone(),
        media,
        id: recorded.id.clone(),
        torrent,
        torrent_bytes: Vec::new(),
        files: recorded.files.clone(),
        made_from: payload.files.iter().map(|file| file.stat).collect(),
        unchanged: true,
    };
    Some(sealed.addressed(channel, addresses))
}

/// Whether every payload file of a torrent is what was hashed.
pub fn is_whole(recorded: &StateTorrent, out: &Path) -> bool {
    let data = out.join(&recorded.data);
    recorded.files.iter().all(|file| {
        let now = store::stat_record(&data.join(&file.path));
        matches!((now, &file.stat), (Ok(now), Some(stat)) if stat.same_content(&now))
    })
}

impl SealedRendition {
    /// Puts trackers and web seeds into the torrent.
    fn addressed(mut self, channel: &Channel, addresses: &Addresses) -> Self {
        let torrent = &mut self.torrent;
        torrent.announce = own_trackers(addresses);
        torrent.announce.extend(channel.trackers.iter().cloned());
        torrent.web_seeds = web_seeds(&torrent.info, channel, addresses);
        torrent.created_by = Some(concat!("Groundswell/", env!("CARGO_PKG_VERSION")).into());
        self.torrent_bytes = torrent.to_bytes();
        self
    }

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

/// The seeder's tracker as each kind of client reaches it. UDP and HTTP lead to the same peers, so they are one tier
/// (BEP 12) and one answer is enough; browsers' WebSocket is another, which ordinary clients pass over.
fn own_trackers(addresses: &Addresses) -> Vec<Vec<String>> {
    let Some(seeder) = &addresses.torrent else {
        return Vec::new();
    };
    let (_, rest) = seeder.split_once("://").unwrap_or_default();
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => host,
        _ => authority,
    };
    let udp = addresses
        .udp_tracker_port
        .map(|port| format!("udp://{host}:{port}/announce"));
    let http = format!("{seeder}announce");
    let web_socket = format!("ws{}", http.trim_start_matches("http"));
    vec![udp.into_iter().chain([http]).collect(), vec![web_socket]]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_client_finds_the_tracker() {
        let check = |seeder: &str, port: Option<u16>, expected: &[&[&str]]| {
            let addresses = Addresses {
                torrent: Some(seeder.into()),
                udp_tracker_port: port,
                page: None,
            };
            assert_eq!(own_trackers(&addresses), expected, "{seeder}");
        };
        let web_socket: &[&str] = &["wss://seed.example/x/announce"];
        check(
            "https://seed.example/x/",
            None,
            &[&["https://seed.example/x/announce"], web_socket],
        );
        check(
            "https://seed.example/x/",
            Some(6969),
            &[
                &[
                    "udp://seed.example:6969/announce",
                    "https://seed.example/x/announce",
                ],
                web_socket,
            ],
        );
        check(
            "http://[2001:db8::1]:8080/",
            Some(1),
            &[
                &[
                    "udp://[2001:db8::1]:1/announce",
                    "http://[2001:db8::1]:8080/announce",
                ],
                &["ws://[2001:db8::1]:8080/announce"],
            ],
        );
        check(
            "http://[2001:db8::1]/",
            Some(1),
            &[
                &[
                    "udp://[2001:db8::1]:1/announce",
                    "http://[2001:db8::1]/announce",
                ],
                &["ws://[2001:db8::1]/announce"],
            ],
        );
        assert_eq!(
            own_trackers(&Addresses::default()),
            Vec::<Vec<String>>::new()
        );
    }
}
