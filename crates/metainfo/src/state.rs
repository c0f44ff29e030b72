//! `out/state.json`: what the publisher has made and the seeder is to seed. Never public. The seeder
//! and its tracker know the torrents in it and no others.

use crate::ids::{InfoHashV1, InfoHashV2};
use serde::{Deserialize, Serialize};

/// The version of the document that is written and read.
pub const VERSION: u32 = 1;

/// Why a catalog or state document can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Not the JSON that was expected.
    #[error("malformed document: {0}")]
    Json(#[from] serde_json::Error),
    /// Written by a newer program.
    #[error("the document has version {found}, this program knows {VERSION}; update it")]
    Version {
        /// The version found.
        found: u32,
    },
    /// A path in it leads out of its folder.
    #[error("the path `{0}` leads out of its folder")]
    Path(String),
}

/// Everything to seed, in the order of its ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// [`VERSION`].
    pub version: u32,
    /// Every torrent to seed, or to refuse.
    pub torrents: Vec<StateTorrent>,
    /// Every release that has or had a page, by slug: what keeps slugs and dates stable.
    #[serde(default)]
    pub releases: Vec<StateRelease>,
}

/// One torrent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateTorrent {
    /// Names folder and URLs: v1 info-hash in hexadecimal, or the truncated v2 one.
    pub id: String,
    /// The release it belongs to.
    pub slug: String,
    /// Title for logs and status.
    pub title: String,
    /// Which form of the release it holds: `source`, `720p` …
    #[serde(default = "source")]
    pub rendition: String,
    /// When its viewers exchange data among themselves: `under-load`, `always` or `off`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p2p: Option<String>,
    /// Whether and how it is seeded.
    pub status: Status,
    /// When grace ends, Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
    /// The torrent file, below `out/`.
    pub torrent: String,
    /// The folder of its payload, below `out/`.
    pub data: String,
    /// v1 info-hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info_hash_v1: Option<InfoHashV1>,
    /// v2 info-hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info_hash_v2: Option<InfoHashV2>,
    /// Its payload files; pads are not listed.
    pub files: Vec<StateFile>,
}

/// The rendition of documents that name none.
fn source() -> String {
    "source".into()
}

/// Whether and how a torrent is seeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// On the pages, in feeds and catalog.
    Public,
    /// Seeded and with a page, but listed nowhere.
    Unlisted,
    /// Replaced or removed: without a page, seeded until [`StateTorrent::until`].
    Grace,
    /// Refused on every layer.
    Withdrawn,
}

impl Status {
    /// Whether the seeder gives it to anybody.
    pub fn is_seeded(self) -> bool {
        self != Self::Withdrawn
    }
}

/// One payload file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateFile {
    /// Path below [`StateTorrent::data`], `/`-separated.
    pub path: String,
    /// Bytes.
    pub bytes: u64,
    /// What `stat` said when it was hashed: while that holds, its hashes hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stat: Option<StatRecord>,
    /// Root of its BEP 52 tree in hexadecimal; empty files have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merkle_root: Option<crate::ids::MerkleHash>,
}

/// What identifies the content of a file without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatRecord {
    /// Device number.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Bytes.
    pub bytes: u64,
    /// Time of the last change of content, nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Time of the last change of content, name or links, nanoseconds since 1970.
    pub ctime_ns: i64,
}

impl StatRecord {
    /// Whether the content must be the same: the change time alone moves with links and renames.
    pub fn same_content(&self, now: &Self) -> bool {
        (self.device, self.inode, self.bytes, self.mtime_ns)
            == (now.device, now.inode, now.bytes, now.mtime_ns)
    }
}

/// What is remembered of a release beyond its torrents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateRelease {
    /// Its place in URLs.
    pub slug: String,
    /// Path of its source below the clips folder.
    pub source: String,
    /// When it was first published, RFC 3339; stands where the publisher set no date.
    pub first_published: String,
    /// Ids of the torrents it has now; empty once it is gone.
    pub torrents: Vec<String>,
    /// What its source files were when they were hashed, by path below the clips folder: an unchanged
    /// source is not read again.
    pub sources: Vec<SourceRecord>,
    /// What feeds know it by, whatever becomes of its name: a UUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guid: Option<String>,
    /// Its earlier places in URLs, from which pages lead to the one it has now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<String>,
    /// Withdrawn for good: a file of that name is not published again by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withdrawn: bool,
}

/// One source file of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRecord {
    /// Path below the clips folder.
    pub path: String,
    /// What `stat` said when it was hashed.
    pub stat: StatRecord,
}

impl Default for State {
    fn default() -> Self {
        Self {
            version: VERSION,
            torrents: Vec::new(),
            releases: Vec::new(),
        }
    }
}

impl State {
    /// Reads the document and checks that every path in it stays below `out/`.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        check_version(bytes)?;
        let state: Self = serde_json::from_slice(bytes)?;
        check_paths(&state.torrents)?;
        Ok(state)
    }

    /// The same of the torrents alone: what a seeder needs, at half the time and memory.
    pub fn parse_torrents(bytes: &[u8]) -> Result<Vec<StateTorrent>, DocumentError> {
        #[derive(Deserialize)]
        struct Torrents {
            torrents: Vec<StateTorrent>,
        }
        check_version(bytes)?;
        let Torrents { torrents } = serde_json::from_slice(bytes)?;
        check_paths(&torrents)?;
        Ok(torrents)
    }

    /// The document's bytes, ending in a newline.
    pub fn to_bytes(&self) -> Vec<u8> {
        to_json(self)
    }
}

/// Refuses paths that lead out of `out/`.
fn check_paths(torrents: &[StateTorrent]) -> Result<(), DocumentError> {
    for torrent in torrents {
        let files = torrent.files.iter().map(|file| &file.path);
        for path in [&torrent.torrent, &torrent.data].into_iter().chain(files) {
            if path
                .split('/')
                .any(|part| crate::name::check(part).is_err())
            {
                return Err(DocumentError::Path(path.clone()));
            }
        }
    }
    Ok(())
}

pub(crate) fn to_json(document: &impl Serialize) -> Vec<u8> {
    let mut bytes =
        serde_json::to_vec_pretty(document).expect("maps with text keys always serialise");
    bytes.push(b'\n');
    bytes
}

/// Refuses documents of newer programs before their shape can confuse.
pub(crate) fn check_version(bytes: &[u8]) -> Result<(), DocumentError> {
    #[derive(Deserialize)]
    struct Head {
        version: u32,
    }
    let head: Head = serde_json::from_slice(bytes)?;
    if head.version == VERSION {
        Ok(())
    } else {
        Err(DocumentError::Version {
            found: head.version,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let stat = StatRecord {
            device: 1,
            inode: 2,
            bytes: 5,
            mtime_ns: 3,
            ctime_ns: 4,
        };
        State {
            version: VERSION,
            torrents: vec![StateTorrent {
                id: "00112233445566778899aabbccddeeff01234567".into(),
                slug: "test-drive".into(),
                title: "The test drive".into(),
                rendition: "720p".into(),
                p2p: Some("off".into()),
                status: Status::Public,
                until: None,
                torrent: "site/t/00112233445566778899aabbccddeeff01234567.torrent".into(),
                data: "library/00112233445566778899aabbccddeeff01234567".into(),
                info_hash_v1: Some("00112233445566778899aabbccddeeff01234567".parse().unwrap()),
                info_hash_v2: None,
                files: vec![StateFile {
                    path: "test-drive.mp4".into(),
                    bytes: 5,
                    stat: Some(stat),
                    merkle_root: Some(crate::ids::MerkleHash([7; 32])),
                }],
            }],
            releases: vec![StateRelease {
                slug: "test-drive".into(),
                source: "test-drive.mp4".into(),
                first_published: "2026-11-22T08:00:00Z".into(),
                torrents: vec!["00112233445566778899aabbccddeeff01234567".into()],
                sources: vec![SourceRecord {
                    path: "test-drive.mp4".into(),
                    stat,
                }],
                guid: Some("c9d5b8b6-6ba2-5b0b-8a0e-3a1b0c0d0e0f".into()),
                former: vec!["first-drive".into()],
                withdrawn: false,
            }],
        }
    }

    #[test]
    fn the_document_is_what_the_seeder_was_told() {
        let text = String::from_utf8(state().to_bytes()).unwrap();
        insta::assert_snapshot!(text);
        assert_eq!(State::parse(text.as_bytes()).unwrap(), state());
        let torrents = State::parse_torrents(text.as_bytes()).unwrap();
        assert_eq!(torrents, state().torrents);
    }

    #[test]
    fn documents_of_earlier_programs_are_read() {
        let old = br#"{"version": 1, "torrents": [{"id": "0", "slug": "a", "title": "A", "status": "public",
            "torrent": "site/t/0.torrent", "data": "library/0", "files": []}],
            "releases": [{"slug": "a", "source": "a.mp4", "first_published": "2026-11-22T08:00:00Z",
            "torrents": ["0"], "sources": []}]}"#;
        let state = State::parse(old).unwrap();
        assert_eq!(state.torrents[0].rendition, "source");
        assert!(state.releases[0].former.is_empty() && state.releases[0].guid.is_none());
    }

    #[test]
    fn newer_documents_and_paths_that_lead_out_are_refused() {
        assert!(
            State::parse(br#"{"version":9}"#)
                .unwrap_err()
                .to_string()
                .contains("version 9")
        );
        assert!(State::parse(b"{").is_err());
        for path in ["../x", "/etc/passwd", "a//b", ""] {
            let mut state = state();
            state.torrents[0].data = path.into();
            assert!(
                matches!(State::parse(&state.to_bytes()), Err(DocumentError::Path(_))),
                "{path}"
            );
            assert!(State::parse_torrents(&state.to_bytes()).is_err(), "{path}");
            let mut state = self::state();
            state.torrents[0].files[0].path = path.into();
            assert!(
                matches!(State::parse(&state.to_bytes()), Err(DocumentError::Path(_))),
                "{path}"
            );
        }
    }

    #[test]
    fn links_and_renames_leave_the_content_alone() {
        let record = StatRecord {
            device: 1,
            inode: 2,
            bytes: 3,
            mtime_ns: 4,
            ctime_ns: 5,
        };
        assert!(record.same_content(&StatRecord {
            ctime_ns: 6,
            ..record
        }));
        assert!(!record.same_content(&StatRecord {
            mtime_ns: 6,
            ..record
        }));
        assert!(!record.same_content(&StatRecord { bytes: 6, ..record }));
        assert!(!record.same_content(&StatRecord { inode: 6, ..record }));
    }
}
