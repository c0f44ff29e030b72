//! The `.torrent` file: an info dictionary and where to find peers and web seeds for it.

use crate::bencode::{self, Limits, Node, Value};
use crate::ids::MerkleHash;
use crate::info::{Info, TorrentError};
use std::collections::BTreeMap;

/// A torrent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torrent {
    /// What is shared.
    pub info: Info,
    /// Trackers in tiers (BEP 12).
    pub announce: Vec<Vec<String>>,
    /// Web seeds (BEP 19 `url-list`).
    pub web_seeds: Vec<String>,
    /// DHT nodes (BEP 5).
    pub nodes: Vec<(String, u16)>,
    /// Remark for people.
    pub comment: Option<String>,
    /// Program that made it.
    pub created_by: Option<String>,
    /// When it was made, Unix seconds. We leave it out: the same clip gives the same bytes.
    pub creation_date: Option<i64>,
    /// BEP 52 piece layers by root.
    pub piece_layers: BTreeMap<MerkleHash, Vec<MerkleHash>>,
}

impl Torrent {
    /// A torrent of this info, found nowhere yet.
    pub fn new(info: Info) -> Self {
        Self {
            info,
            announce: Vec::new(),
            web_seeds: Vec::new(),
            nodes: Vec::new(),
            comment: None,
            created_by: None,
            creation_date: None,
            piece_layers: BTreeMap::new(),
        }
    }

    /// Parses and checks a `.torrent` file. The piece layers of a v2 torrent are checked against its roots.
    pub fn parse(bytes: &[u8]) -> Result<Self, TorrentError> {
        let top = bencode::decode(bytes, &Limits::TORRENT)?;
        let raw = bencode::raw_entry(bytes, "info", &Limits::TORRENT)?;
        let info = Info::parse(raw.ok_or(TorrentError::Field {
            key: "info",
            expected: "a dictionary",
        })?)?;
        let piece_layers = if info.format().has_v2() {
            piece_layers(&top)?
        } else {
            BTreeMap::new()
        };
        info.check_piece_layers(&piece_layers)?;
        Ok(Self {
            info,
            announce: announce(&top),
            web_seeds: web_seeds(&top),
            nodes: nodes(&top),
            comment: text(&top, "comment"),
            created_by: text(&top, "created by"),
            creation_date: top.get("creation date").and_then(Value::as_int),
            piece_layers,
        })
    }

    /// The bytes of the `.torrent` file; the info dictionary stands in them as it is.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut entries: Vec<(&str, Node)> = vec![("info", Node::Raw(self.info.raw().to_vec()))];
        let trackers = self.announce.iter().map(Vec::len).sum::<usize>();
        if let Some(first) = self.announce.iter().flatten().next() {
            entries.push(("announce", first.as_str().into()));
        }
        if trackers > 1 {
            let tiers = self
                .announce
                .iter()
                .filter(|tier| !tier.is_empty())
                .map(Node::texts);
            entries.push(("announce-list", Node::List(tiers.collect())));
        }
        if !self.web_seeds.is_empty() {
            entries.push(("url-list", Node::texts(&self.web_seeds)));
        }
        if !self.nodes.is_empty() {
            let nodes = self.nodes.iter().map(|(host, port)| {
                Node::List(vec![host.as_str().into(), i64::from(*port).into()])
            });
            entries.push(("nodes", Node::List(nodes.collect())));
        }
        if let Some(comment) = &self.comment {
            entries.push(("comment", comment.as_str().into()));
        }
        if let Some(program) = &self.created_by {
            entries.push(("created by", program.as_str().into()));
        }
        if let Some(date) = self.creation_date {
            entries.push(("creation date", date.into()));
        }
        if self.info.format().has_v2() {
            let layers = self.piece_layers.iter().map(|(root, layer)| {
                (
                    root.0.to_vec(),
                    Node::Bytes(layer.iter().flat_map(|node| node.0).collect()),
                )
            });
            entries.push(("piece layers", Node::dict(layers)));
        }
        Node::dict(entries).to_bytes()
    }
}

fn text(top: &Value<'_>, key: &str) -> Option<String> {
    top.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn announce(top: &Value<'_>) -> Vec<Vec<String>> {
    let texts = |tier: &Value<'_>| -> Vec<String> {
        tier.as_list()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .filter(|url| !url.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let tiers: Vec<_> = top
        .get("announce-list")
        .and_then(Value::as_list)
        .into_iter()
        .flatten()
        .map(texts)
        .filter(|tier| !tier.is_empty())
        .collect();
    if !tiers.is_empty() {
        return tiers;
    }
    text(top, "announce")
        .filter(|url| !url.is_empty())
        .map(|url| vec![vec![url]])
        .unwrap_or_default()
}

/// BEP 19 allows one text in place of the list.
fn web_seeds(top: &Value<'_>) -> Vec<String> {
    match top.get("url-list") {
        Some(Value::List(urls)) => urls
            .iter()
            .filter_map(Value::as_str)
            .filter(|url| !url.is_empty())
            .map(str::to_owned)
            .collect(),
        Some(one) => one
            .as_str()
            .filter(|url| !url.is_empty())
            .map(str::to_owned)
            .into_iter()
            .collect(),
        None => Vec::new(),
    }
}

fn nodes(top: &Value<'_>) -> Vec<(String, u16)> {
    let pair = |node: &Value<'_>| {
        let [host, port] = node.as_list()? else {
            return None;
        };
        Some((
            host.as_str()?.to_owned(),
            u16::try_from(port.as_int()?).ok()?,
        ))
    };
    top.get("nodes")
        .and_then(Value::as_list)
        .into_iter()
        .flatten()
        .filter_map(pair)
        .collect()
}

fn piece_layers(top: &Value<'_>) -> Result<BTreeMap<MerkleHash, Vec<MerkleHash>>, TorrentError> {
    const FIELD: TorrentError = TorrentError::Field {
        key: "piece layers",
        expected: "hashes by root",
    };
    let Some(layers) = top.get("piece layers") else {
        return Ok(BTreeMap::new());
    };
    layers
        .as_dict()
        .ok_or(FIELD)?
        .iter()
        .map(|(root, layer)| {
            let root = MerkleHash::from_slice(root).ok_or(FIELD)?;
            let layer = layer
                .as_bytes()
                .filter(|layer| layer.len() % 32 == 0)
                .ok_or(FIELD)?;
            Ok((
                root,
                layer
                    .chunks_exact(32)
                    .filter_map(MerkleHash::from_slice)
                    .collect(),
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bencode::BencodeError;
    use crate::geometry::PieceLength;
    use crate::ids::PieceHash;
    use crate::info::Hashes;
    use crate::layout::{Format, Layout};
    use crate::merkle;

    /// Hashes a layout whose files hold the byte 7 only, the slow way.
    pub(crate) fn hash(layout: &Layout) -> Hashes {
        use sha1::Digest;
        let mut space = Vec::new();
        let mut hashes = Hashes::default();
        let piece_length = layout.geometry().piece_length();
        for file in layout.files() {
            let bytes = vec![if file.pad { 0 } else { 7 }; file.length as usize];
            let leaves: Vec<_> = bytes.chunks(16384).map(merkle::leaf).collect();
            let root = (!file.pad && file.length > 0).then(|| merkle::root(&leaves));
            if let Some(root) = root.filter(|_| file.length > u64::from(piece_length.get())) {
                hashes
                    .piece_layers
                    .insert(root, merkle::piece_layer(&leaves, piece_length));
            }
            hashes.roots.push(root);
            space.extend(bytes);
        }
        hashes.pieces = space
            .chunks(piece_length.get() as usize)
            .map(|piece| PieceHash(sha1::Sha1::digest(piece).into()))
            .collect();
        hashes
    }

    fn torrent(format: Format) -> Torrent {
        let files = [("a/z", 40_000), ("a.txt", 16_384), ("b", 0), ("c", 5)];
        let files =
            files.map(|(path, length)| (path.split('/').map(str::to_owned).collect(), length));
        let piece_length = PieceLength::power_of_two(32768).unwrap();
        let layout = Layout::folder("folder", files, format, Some(piece_length)).unwrap();
        let hashes = hash(&layout);
        let mut torrent = Torrent::new(Info::make(&layout, &hashes, false, None));
        if format.has_v2() {
            torrent.piece_layers = hashes.piece_layers;
        }
        torrent
    }

    #[test]
    fn what_is_made_parses_to_the_same() {
        for format in [Format::V1, Format::V2, Format::Hybrid] {
            let mut made = torrent(format);
            made.announce = vec![
                vec!["http://a/announce".into()],
                vec!["http://b/announce".into()],
            ];
            made.web_seeds = vec!["http://a/library/".into()];
            made.nodes = vec![("router.example".into(), 6881)];
            made.comment = Some("hello".into());
            let parsed = Torrent::parse(&made.to_bytes()).unwrap();
            assert_eq!(parsed, made, "{format:?}");
            assert_eq!(parsed.to_bytes(), made.to_bytes(), "{format:?}");
            assert_eq!(parsed.info.format(), format);
            assert_eq!(
                parsed.info.swarm_hashes().len(),
                if format == Format::Hybrid { 2 } else { 1 }
            );
        }
    }

    #[test]
    fn a_wrong_piece_layer_is_refused() {
        let mut made = torrent(Format::Hybrid);
        made.piece_layers
            .values_mut()
            .for_each(|layer| layer[0].0[0] ^= 1);
        assert!(matches!(
            Torrent::parse(&made.to_bytes()),
            Err(TorrentError::PieceLayer(_))
        ));
        made.piece_layers.clear();
        assert!(matches!(
            Torrent::parse(&made.to_bytes()),
            Err(TorrentError::PieceLayer(_))
        ));
    }

    type Entries = BTreeMap<Vec<u8>, Node>;

    #[test]
    fn torrents_that_harm_are_refused_by_name() {
        let info = |edit: &dyn Fn(&mut Entries)| {
            let mut entries = BTreeMap::from([
                (b"length".to_vec(), Node::Integer(5)),
                (b"name".to_vec(), "x".into()),
                (b"piece length".to_vec(), Node::Integer(16384)),
                (b"pieces".to_vec(), Node::Bytes(vec![0; 20])),
            ]);
            edit(&mut entries);
            let bytes = Node::dict([("info", Node::Dict(entries))]).to_bytes();
            Torrent::parse(&bytes)
                .map(|_| String::new())
                .unwrap_or_else(|error| error.to_string())
        };
        let set = |key: &'static str, node: Node| {
            info(&move |entries| {
                entries.insert(key.as_bytes().to_vec(), node.clone());
            })
        };
        let files = |path: &[&str], length: i64| {
            let file = Node::dict([("length", length.into()), ("path", Node::texts(path))]);
            info(&move |entries| {
                entries.remove(&b"length"[..]);
                entries.insert(b"files".to_vec(), Node::List(vec![file.clone()]));
            })
        };
        assert_eq!(info(&|_| {}), "");
        assert_eq!(files(&["a", "b"], 5), "");
        for (found, reason) in [
            (set("name", "..".into()), "leads out of its folder"),
            (set("name", "a/b".into()), "path separator"),
            (set("name", "a\0b".into()), "control character"),
            (set("name", Node::Bytes(vec![0xff])), "not UTF-8"),
            (set("name", 1.into()), "`name` is missing"),
            (set("length", (-1).into()), "length of -1 bytes"),
            (set("length", 0.into()), "length of 0 bytes"),
            (set("length", i64::MAX.into()), "too many"),
            (set("length", 16385.into()), "1 piece hashes for 2 pieces"),
            (set("piece length", 0.into()), "piece length 0"),
            (set("piece length", i64::MAX.into()), "is not between"),
            (set("pieces", Node::Bytes(vec![0; 19])), "0 piece hashes"),
            (set("pieces", 1.into()), "`pieces` is missing"),
            (set("meta version", 3.into()), "meta version 3"),
            (files(&["..", "b"], 5), "leads out of its folder"),
            (files(&["a", ""], 5), "empty name"),
            (files(&[], 5), "`path` is missing"),
            (files(&["a"], -5), "length of -5"),
        ] {
            assert!(
                found.contains(reason),
                "expected {reason:?}, found {found:?}"
            );
        }
        assert!(matches!(
            Torrent::parse(b"i1e"),
            Err(TorrentError::Field { key: "info", .. })
        ));
        assert!(matches!(
            Torrent::parse(b""),
            Err(TorrentError::Bencode(BencodeError::Malformed(_)))
        ));
    }
}
