//! `.torrent` files and magnet links as the tests see them: hashes over the raw info dictionary, and the
//! few edits that close all ways to the bytes but one, so that a test knows which way they came.

use crate::bencode::{Bencode, decode, raw_value};
use data_encoding::HEXLOWER;
use sha1::Digest;
use std::path::Path;

/// A `.torrent` file's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TorrentFile(pub Vec<u8>);

impl TorrentFile {
    /// Reads the file.
    #[track_caller]
    pub fn read(path: &Path) -> Self {
        TorrentFile(std::fs::read(path).unwrap_or_else(|e| panic!("read {}: {e}", path.display())))
    }

    /// The raw info dictionary.
    #[track_caller]
    pub fn raw_info(&self) -> &[u8] {
        raw_value(&self.0, "info").expect("a torrent has an info dictionary")
    }

    /// The parsed info dictionary.
    #[track_caller]
    pub fn info(&self) -> Bencode {
        decode(self.raw_info())
    }

    /// SHA-1 of the info dictionary, in hex.
    pub fn v1(&self) -> String {
        HEXLOWER.encode(&sha1::Sha1::digest(self.raw_info()))
    }

    /// SHA-256 of the info dictionary, in hex.
    pub fn v2(&self) -> String {
        HEXLOWER.encode(&sha2::Sha256::digest(self.raw_info()))
    }

    /// The tracker, if it names one.
    pub fn announce(&self) -> Option<String> {
        let whole = decode(&self.0);
        let bytes = whole.get("announce")?.bytes()?.to_vec();
        Some(String::from_utf8(bytes).expect("an announce URL is text"))
    }

    /// The web seeds it names.
    pub fn web_seeds(&self) -> Vec<String> {
        let whole = decode(&self.0);
        let text =
            |b: &Bencode| String::from_utf8_lossy(b.bytes().unwrap_or_default()).into_owned();
        match whole.get("url-list") {
            Some(Bencode::List(items)) => items.iter().map(text).collect(),
            Some(one) => vec![text(one)],
            None => Vec::new(),
        }
    }

    /// The same torrent without web seeds: the bytes can come from peers alone.
    pub fn peers_only(&self) -> Self {
        self.without(&["url-list", "httpseeds"])
    }

    /// The same torrent without tracker and nodes: the bytes can come from the web seed alone.
    #[track_caller]
    pub fn web_seed_only(&self) -> Self {
        assert!(!self.web_seeds().is_empty(), "the torrent names a web seed");
        self.without(&["announce", "announce-list", "nodes"])
    }

    fn without(&self, keys: &[&str]) -> Self {
        let Bencode::Dict(entries) = decode(&self.0) else {
            panic!("a torrent is a dictionary")
        };
        let raw_info = Bencode::Raw(self.raw_info().to_vec());
        let kept = entries
            .into_iter()
            .filter(|(key, _)| !keys.iter().any(|k| k.as_bytes() == key))
            .map(|(key, value)| {
                let value = if key == b"info" {
                    raw_info.clone()
                } else {
                    value
                };
                (key, value)
            })
            .collect();
        TorrentFile(Bencode::Dict(kept).encode())
    }
}

/// The magnet link without web seeds, direct peers and sources of the `.torrent`: hash, name and trackers stay, so
/// that metadata and bytes can come from peers alone, and peers from the tracker alone.
#[track_caller]
pub fn magnet_peers_only(magnet: &str) -> String {
    let query = magnet.strip_prefix("magnet:?").expect("a magnet link");
    let kept: Vec<_> = query
        .split('&')
        .filter(|pair| {
            ["xt=", "dn=", "tr="]
                .iter()
                .any(|key| pair.starts_with(key))
        })
        .collect();
    assert!(
        kept.iter().any(|pair| pair.starts_with("tr=")),
        "the magnet link names a tracker: {magnet}"
    );
    format!("magnet:?{}", kept.join("&"))
}
