//! Magnet links (BEP 9, BEP 52): `urn:btih` and `urn:btmh`, name, trackers, web seeds, peers and the
//! URL of the torrent itself.

use crate::ids::{InfoHashV1, InfoHashV2};
use crate::torrent::Torrent;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use std::fmt;
use std::str::FromStr;

/// What stays as it is inside a value: letters, digits and what RFC 3986 calls unreserved.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The longest link that is read, in bytes, and the most values of one kind.
const MAX_BYTES: usize = 64 * 1024;
const MAX_VALUES: usize = 200;

/// A parsed magnet link. At least one of the two hashes is there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Magnet {
    /// `xt=urn:btih:`.
    pub info_hash_v1: Option<InfoHashV1>,
    /// `xt=urn:btmh:1220`.
    pub info_hash_v2: Option<InfoHashV2>,
    /// `dn`: name for people until the metadata is there.
    pub name: Option<String>,
    /// `xl`: length in bytes.
    pub length: Option<u64>,
    /// `tr`: trackers.
    pub trackers: Vec<String>,
    /// `ws`: web seeds.
    pub web_seeds: Vec<String>,
    /// `xs`: where the torrent file lies.
    pub sources: Vec<String>,
    /// `x.pe`: peers as `host:port`.
    pub peers: Vec<String>,
}

/// Why a text is no magnet link that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MagnetError {
    /// Does not start with `magnet:?`.
    #[error("a magnet link starts with `magnet:?`")]
    Scheme,
    /// Longer than any link that works somewhere.
    #[error("the magnet link is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// No `xt` with a hash of BitTorrent.
    #[error("the magnet link has no `xt=urn:btih:` or `xt=urn:btmh:` hash")]
    NoHash,
    /// An `xt` whose hash is malformed.
    #[error("the magnet link's hash `{0}` is malformed")]
    BadHash(String),
    /// More values of a kind than any link needs.
    #[error("the magnet link has more than {MAX_VALUES} values of one kind")]
    TooMany,
}

impl Magnet {
    /// The link of a torrent; `source` is where the torrent file lies.
    pub fn of(torrent: &Torrent, source: Option<&str>) -> Self {
        Self {
            info_hash_v1: torrent.info.info_hash_v1(),
            info_hash_v2: torrent.info.info_hash_v2(),
            name: Some(torrent.info.name().to_owned()),
            length: None,
            trackers: torrent.announce.iter().flatten().cloned().collect(),
            web_seeds: torrent.web_seeds.clone(),
            sources: source.map(str::to_owned).into_iter().collect(),
            peers: Vec::new(),
        }
    }
}

impl fmt::Display for Magnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "magnet:?";
        let mut put = |f: &mut fmt::Formatter<'_>, key: &str, value: &dyn fmt::Display| {
            let written = write!(f, "{separator}{key}={value}");
            separator = "&";
            written
        };
        if let Some(hash) = self.info_hash_v1 {
            put(f, "xt", &format_args!("urn:btih:{hash}"))?;
        }
        if let Some(hash) = self.info_hash_v2 {
            put(f, "xt", &format_args!("urn:btmh:1220{hash}"))?;
        }
        if let Some(name) = &self.name {
            put(f, "dn", &utf8_percent_encode(name, VALUE))?;
        }
        if let Some(length) = self.length {
            put(f, "xl", &length)?;
        }
        let lists = [
            ("tr", &self.trackers),
            ("ws", &self.web_seeds),
            ("xs", &self.sources),
            ("x.pe", &self.peers),
        ];
        for (key, values) in lists {
            for value in values {
                put(f, key, &utf8_percent_encode(value, VALUE))?;
            }
        }
        Ok(())
    }
}

impl FromStr for Magnet {
    type Err = MagnetError;

    fn from_str(text: &str) -> Result<Self, MagnetError> {
        if text.len() > MAX_BYTES {
            return Err(MagnetError::TooLong);
        }
        let start = text
            .get(..8)
            .filter(|start| start.eq_ignore_ascii_case("magnet:?"));
        start.ok_or(MagnetError::Scheme)?;
        let mut magnet = Self::default();
        for pair in text[8..].split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode_str(&value.replace('+', " "))
                .decode_utf8_lossy()
                .into_owned();
            // `tr.1`, `xt.2` number what may also stand several times.
            let plain = key
                .split_once('.')
                .filter(|(_, n)| n.bytes().all(|b| b.is_ascii_digit()))
                .map_or(key, |k| k.0);
            match plain {
                "xt" => magnet.take_hash(&value)?,
                "dn" => magnet.name = Some(value).filter(|name| !name.is_empty()),
                "xl" => magnet.length = value.parse().ok(),
                "tr" => push(&mut magnet.trackers, value)?,
                "ws" | "as" => push(&mut magnet.web_seeds, value)?,
                "xs" => push(&mut magnet.sources, value)?,
                "x.pe" => push(&mut magnet.peers, value)?,
                _ => {}
            }
        }
        if magnet.info_hash_v1.is_none() && magnet.info_hash_v2.is_none() {
            return Err(MagnetError::NoHash);
        }
        Ok(magnet)
    }
}

impl Magnet {
    fn take_hash(&mut self, urn: &str) -> Result<(), MagnetError> {
        let bad = || MagnetError::BadHash(urn.chars().take(100).collect());
        if let Some(hash) = strip(urn, "urn:btih:") {
            let base32 = || {
                let bytes = data_encoding::BASE32
                    .decode(hash.to_ascii_uppercase().as_bytes())
                    .ok()?;
                InfoHashV1::from_slice(&bytes)
            };
            self.info_hash_v1 = Some(hash.parse().ok().or_else(base32).ok_or_else(bad)?);
        } else if let Some(hash) = strip(urn, "urn:btmh:") {
            // A multihash: 0x12 is SHA-256, 0x20 its length.
            let hash = strip(hash, "1220").and_then(|hash| hash.parse().ok());
            self.info_hash_v2 = Some(hash.ok_or_else(bad)?);
        }
        Ok(())
    }
}

fn strip<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix)
        .then(|| &text[prefix.len()..])
}

fn push(list: &mut Vec<String>, value: String) -> Result<(), MagnetError> {
    if list.len() >= MAX_VALUES {
        return Err(MagnetError::TooMany);
    }
    list.push(value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const V1: &str = "00112233445566778899aabbccddeeff01234567";

    #[test]
    fn links_of_other_programs_are_read() {
        let link = format!(
            "magnet:?xt=urn:btih:{}&dn=A+clip%20%26%20more&tr.1=http%3A%2F%2Fa%2Fannounce&x.pe=10.0.0.1:6881&ws=http://w/&xl=5&zz=1",
            V1.to_uppercase()
        );
        let magnet: Magnet = link.parse().unwrap();
        assert_eq!(magnet.info_hash_v1, Some(V1.parse().unwrap()));
        assert_eq!(magnet.name.as_deref(), Some("A clip & more"));
        assert_eq!(magnet.trackers, ["http://a/announce"]);
        assert_eq!(magnet.peers, ["10.0.0.1:6881"]);
        assert_eq!((magnet.web_seeds.len(), magnet.length), (1, Some(5)));
        let base32 = data_encoding::BASE32
            .encode(&magnet.info_hash_v1.unwrap().0)
            .to_lowercase();
        let other: Magnet = format!("MAGNET:?xt=urn:btih:{base32}").parse().unwrap();
        assert_eq!(other.info_hash_v1, magnet.info_hash_v1);
    }

    #[test]
    fn links_that_can_not_work_say_why() {
        let error = |text: &str| text.parse::<Magnet>().unwrap_err().to_string();
        assert!(error("").contains("starts with"));
        assert!(error("http://x").contains("starts with"));
        assert!(error("magnet:?").contains("no `xt="));
        assert!(error("magnet:?xt=urn:sha1:ABC").contains("no `xt="));
        assert!(error("magnet:?xt=urn:btih:12").contains("malformed"));
        assert!(error("magnet:?xt=urn:btmh:1220zz").contains("malformed"));
        assert!(error("magnet:?xt=urn:btmh:é").contains("malformed"));
        assert!(
            error(&format!("magnet:?xt=urn:btih:{V1}{}", "&tr=a".repeat(201)))
                .contains("more than 200")
        );
        assert!(error(&"m".repeat(70_000)).contains("longer than"));
    }

    proptest! {
        #[test]
        fn a_link_reads_back(name in "\\PC{1,20}", tracker in "\\PC{0,20}", peers in proptest::collection::vec("[a-z.:0-9]{1,9}", 0..3)) {
            let magnet = Magnet {
                info_hash_v1: Some(V1.parse().unwrap()),
                info_hash_v2: Some(InfoHashV2([7; 32])),
                name: Some(name), trackers: vec![tracker], peers, ..Magnet::default()
            };
            prop_assert_eq!(magnet.to_string().parse::<Magnet>(), Ok(magnet));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _ = format!("magnet:?{text}").parse::<Magnet>();
            let _ = format!("magnet:?xt={text}").parse::<Magnet>();
        }
    }
}
