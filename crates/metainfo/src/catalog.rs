//! `site/catalog.json`: a channel's public releases for machines, its URLs relative to itself. Unlisted
//! releases never stand in it.

use crate::ids::{InfoHashV1, InfoHashV2, MerkleHash};
use crate::state::{DocumentError, check_version, to_json};
use serde::{Deserialize, Serialize};

/// A channel's public releases, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {
    /// [`crate::state::VERSION`].
    pub version: u32,
    /// Rises by one whenever the content changes.
    pub serial: u64,
    /// Whose catalog it is.
    pub channel: CatalogChannel,
    /// Newest first.
    pub releases: Vec<CatalogRelease>,
}

/// Whose catalog it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogChannel {
    /// Name of the channel.
    pub title: String,
    /// A sentence about it; may be empty.
    pub description: String,
    /// BCP 47 tag.
    pub language: String,
}

/// One release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogRelease {
    /// Its place in URLs.
    pub slug: String,
    /// `clip`, `album` or `download`.
    pub kind: String,
    /// Title.
    pub title: String,
    /// RFC 3339.
    pub published: String,
    /// Its page.
    pub page: String,
    /// One torrent each.
    pub renditions: Vec<CatalogRendition>,
}

/// One torrent of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogRendition {
    /// `source`, `1080p` …
    pub name: String,
    /// Payload bytes.
    pub bytes: u64,
    /// MIME type of the media.
    pub mime: String,
    /// v1 info-hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info_hash_v1: Option<InfoHashV1>,
    /// v2 info-hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info_hash_v2: Option<InfoHashV2>,
    /// Its files; pads are not listed.
    pub files: Vec<CatalogFile>,
    /// The torrent file.
    pub torrent: String,
    /// The magnet link.
    pub magnet: String,
    /// Where HTTP gives the payload: what BEP 19 clients are told.
    pub sources: Vec<String>,
}

/// One payload file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogFile {
    /// Path with the torrent's name first, `/`-separated.
    pub path: String,
    /// Bytes.
    pub bytes: u64,
    /// Root of its BEP 52 tree; empty files have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merkle_root: Option<MerkleHash>,
}

impl Catalog {
    /// Reads a catalog of this or the same version.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        check_version(bytes)?;
        Ok(serde_json::from_slice(bytes)?)
    }

    /// The document's bytes, ending in a newline.
    pub fn to_bytes(&self) -> Vec<u8> {
        to_json(self)
    }

    /// This content under the serial that follows `previous`: raised only where the content differs.
    pub fn following(mut self, previous: Option<&Self>) -> Self {
        let last = previous.map_or(0, |previous| previous.serial);
        self.serial = last;
        if previous != Some(&self) {
            self.serial = last.saturating_add(1);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Catalog {
        Catalog {
            version: crate::state::VERSION,
            serial: 1,
            channel: CatalogChannel {
                title: "Aurora".into(),
                description: String::new(),
                language: "en".into(),
            },
            releases: vec![CatalogRelease {
                slug: "test-drive".into(),
                kind: "clip".into(),
                title: "The test drive".into(),
                published: "2026-11-22T08:00:00Z".into(),
                page: "r/test-drive/".into(),
                renditions: vec![CatalogRendition {
                    name: "source".into(),
                    bytes: 5,
                    mime: "video/mp4".into(),
                    info_hash_v1: Some(InfoHashV1([1; 20])),
                    info_hash_v2: None,
                    files: vec![CatalogFile {
                        path: "test-drive.mp4".into(),
                        bytes: 5,
                        merkle_root: Some(MerkleHash([2; 32])),
                    }],
                    torrent: "t/0101010101010101010101010101010101010101.torrent".into(),
                    magnet: "magnet:?xt=urn:btih:0101010101010101010101010101010101010101".into(),
                    sources: vec![
                        "library/0101010101010101010101010101010101010101/test-drive.mp4".into(),
                    ],
                }],
            }],
        }
    }

    #[test]
    fn the_document_is_what_readers_were_told() {
        let text = String::from_utf8(catalog().to_bytes()).unwrap();
        insta::assert_snapshot!(text);
        assert_eq!(Catalog::parse(text.as_bytes()).unwrap(), catalog());
    }

    #[test]
    fn the_serial_rises_with_the_content_only() {
        let first = catalog().following(None);
        assert_eq!(first.serial, 1);
        let same = catalog().following(Some(&first));
        assert_eq!(same.serial, 1);
        let mut other = catalog();
        other.releases.clear();
        assert_eq!(other.following(Some(&first)).serial, 2);
    }
}
