//! The info dictionary of a torrent, v1 (BEP 3), v2 and hybrid (BEP 52). Its raw bytes are kept: the
//! info-hash is taken over them and never over an encoding made anew. Made from a [`Layout`] and its
//! hashes, or parsed from bytes of a stranger.

use crate::bencode::{self, BencodeError, Limits, Node, Value};
use crate::geometry::{BadPieceLength, FileMap, Geometry, PieceLength, TooManyPieces};
use crate::ids::{InfoHashV1, InfoHashV2, MerkleHash, PieceHash, SwarmHash};
use crate::layout::{FileEntry, Format, Layout, with_pads};
use crate::merkle;
use crate::name::{self, BadName};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashSet};

/// How many folders deep a file of a torrent may lie: as deep as [`Limits::TORRENT`] lets a v2 file tree
/// nest.
const MAX_DEPTH: usize = 128;

/// Why bytes are no torrent that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TorrentError {
    /// Not bencode.
    #[error(transparent)]
    Bencode(#[from] BencodeError),
    /// A key is missing or holds another kind of value.
    #[error("`{key}` is missing or is not {expected}")]
    Field {
        /// The key.
        key: &'static str,
        /// What it should hold.
        expected: &'static str,
    },
    /// A file or folder name that is not allowed.
    #[error("a file in it: {0}")]
    Name(#[from] BadName),
    /// Two files have the same path.
    #[error("two files in it are both `{0}`")]
    DuplicatePath(String),
    /// No bytes, or more than can be counted.
    #[error("its length of {0} bytes can't be shared")]
    Length(i64),
    /// See [`BadPieceLength`].
    #[error(transparent)]
    PieceLength(#[from] BadPieceLength),
    /// See [`TooManyPieces`].
    #[error(transparent)]
    TooManyPieces(#[from] TooManyPieces),
    /// The number of hashes and of pieces differ.
    #[error("{found} piece hashes for {expected} pieces")]
    PieceCount {
        /// Hashes in the torrent.
        found: usize,
        /// Pieces of the payload.
        expected: usize,
    },
    /// A `meta version` other than 2.
    #[error("meta version {0} is not known")]
    MetaVersion(i64),
    /// The v1 half and the v2 half of a hybrid describe different files.
    #[error("its v1 and v2 halves describe different files")]
    HybridMismatch,
    /// A piece layer does not lead to the root it stands for.
    #[error("a piece layer does not match its root {0}")]
    PieceLayer(MerkleHash),
}

/// What hashing a [`Layout`] gives: which of the two is filled depends on what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hashes {
    /// SHA-1 of every piece in order; needed for v1 and hybrid.
    pub pieces: Vec<PieceHash>,
    /// Root of every file in payload order; `None` for pads and empty files.
    pub roots: Vec<Option<MerkleHash>>,
    /// Piece layers of the files longer than a piece, by root.
    pub piece_layers: BTreeMap<MerkleHash, Vec<MerkleHash>>,
}

/// An info dictionary that has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    raw: Vec<u8>,
    name: String,
    private: bool,
    single_file: bool,
    files: Vec<FileEntry>,
    map: FileMap,
    geometry: Geometry,
    pieces: Option<Vec<PieceHash>>,
    v2: bool,
}

impl Info {
    /// Makes the dictionary of a hashed layout. `source` is a tag that gives the same payload another
    /// info-hash on another tracker.
    pub fn make(layout: &Layout, hashes: &Hashes, private: bool, source: Option<&str>) -> Self {
        let mut files = layout.files.clone();
        for (file, root) in files.iter_mut().zip(&hashes.roots) {
            file.merkle_root = *root;
        }
        let mut entries: Vec<(&str, Node)> = vec![
            ("name", layout.name.as_str().into()),
            (
                "piece length",
                i64::from(layout.geometry.piece_length().get()).into(),
            ),
        ];
        if private {
            entries.push(("private", 1.into()));
        }
        if let Some(source) = source {
            entries.push(("source", source.into()));
        }
        if layout.format.has_v1() {
            if layout.single_file {
                entries.push(("length", (layout.map.total_length() as i64).into()));
            } else {
                entries.push(("files", Node::List(files.iter().map(v1_entry).collect())));
            }
            let joined: Vec<u8> = hashes.pieces.iter().flat_map(|hash| hash.0).collect();
            entries.push(("pieces", Node::Bytes(joined)));
        }
        if layout.format.has_v2() {
            entries.push(("meta version", 2.into()));
            entries.push(("file tree", file_tree(&layout.name, &files)));
        } else {
            files.iter_mut().for_each(|file| file.merkle_root = None);
        }
        Self {
            raw: Node::dict(entries).to_bytes(),
            name: layout.name.clone(),
            private,
            single_file: layout.single_file,
            files,
            map: layout.map.clone(),
            geometry: layout.geometry,
            pieces: layout.format.has_v1().then(|| hashes.pieces.clone()),
            v2: layout.format.has_v2(),
        }
    }

    /// Parses and checks the raw bytes of an info dictionary, as they stand in a torrent or come from
    /// peers (BEP 9).
    pub fn parse(raw: &[u8]) -> Result<Self, TorrentError> {
        let info = bencode::decode(raw, &Limits::TORRENT)?;
        let name = text(&info, "name")?;
        name::check(name)?;
        let piece_length = PieceLength::new(int(&info, "piece length")?)?;
        let v2 = match info.get("meta version").and_then(Value::as_int) {
            None | Some(1) => false,
            Some(2) => true,
            Some(other) => return Err(TorrentError::MetaVersion(other)),
        };
        let v1 = info.get("pieces").is_some() || !v2;
        let mut single_file = false;
        let mut files = Vec::new();
        if v1 {
            (files, single_file) = v1_files(&info)?;
        }
        if v2 {
            PieceLength::power_of_two(i64::from(piece_length.get()))?;
            let tree = v2_files(&info, name)?;
            let tree_is_file = tree.len() == 1 && tree[0].path.is_empty();
            if v1 {
                join_hybrid(&mut files, &tree, piece_length)?;
                if single_file != tree_is_file {
                    return Err(TorrentError::HybridMismatch);
                }
            } else {
                single_file = tree_is_file;
                files = with_pads(tree, piece_length);
            }
        }
        check_paths(&files)?;
        let map = FileMap::new(files.iter().map(|file| file.length))
            .ok_or(TorrentError::Length(i64::MAX))?;
        if map.total_length() == 0 || map.total_length() > i64::MAX as u64 {
            return Err(TorrentError::Length(0));
        }
        let geometry = Geometry::new(piece_length, map.total_length())?;
        let pieces = if v1 {
            Some(v1_pieces(&info, geometry)?)
        } else {
            None
        };
        let private = info.get("private").and_then(Value::as_int) == Some(1);
        Ok(Self {
            raw: raw.to_vec(),
            name: name.into(),
            private,
            single_file,
            files,
            map,
            geometry,
            pieces,
            v2,
        })
    }

    /// The bytes that are hashed, served by BEP 9 and written into torrents.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The name of the file or folder.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether peers may be found through its trackers only (BEP 27).
    pub fn private(&self) -> bool {
        self.private
    }

    /// Whether it is one file without a folder.
    pub fn is_single_file(&self) -> bool {
        self.single_file
    }

    /// Every file in payload order, pads included.
    pub fn files(&self) -> &[FileEntry] {
        &self.files
    }

    /// Where each file starts.
    pub fn file_map(&self) -> &FileMap {
        &self.map
    }

    /// Its pieces.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// SHA-1 of every piece, where it has a v1 half.
    pub fn piece_hashes(&self) -> Option<&[PieceHash]> {
        self.pieces.as_deref()
    }

    /// Which hashes it has.
    pub fn format(&self) -> Format {
        match (self.pieces.is_some(), self.v2) {
            (true, true) => Format::Hybrid,
            (false, true) => Format::V2,
            _ => Format::V1,
        }
    }

    /// The v1 info-hash, where it has one.
    pub fn info_hash_v1(&self) -> Option<InfoHashV1> {
        self.pieces
            .as_ref()
            .map(|_| InfoHashV1(Sha1::digest(&self.raw).into()))
    }

    /// The v2 info-hash, where it has one.
    pub fn info_hash_v2(&self) -> Option<InfoHashV2> {
        self.v2
            .then(|| InfoHashV2(Sha256::digest(&self.raw).into()))
    }

    /// What trackers and handshakes know it by: the v1 hash first.
    pub fn swarm_hashes(&self) -> Vec<SwarmHash> {
        let v1 = self.info_hash_v1().map(SwarmHash::from);
        let v2 = self.info_hash_v2().map(|hash| hash.truncated());
        v1.into_iter().chain(v2).collect()
    }

    /// What folders and URLs call it: the first of its swarm hashes in hexadecimal.
    pub fn id(&self) -> String {
        self.swarm_hashes()
            .first()
            .map(SwarmHash::to_string)
            .unwrap_or_default()
    }

    /// Bytes of real files, without pads.
    pub fn payload_bytes(&self) -> u64 {
        crate::layout::payload_bytes(&self.files)
    }

    /// Path of a file below the folder that holds the payload, `/`-separated: the torrent's name first.
    pub fn stored_path(&self, file: &FileEntry) -> String {
        crate::layout::stored_path(&self.name, file)
    }

    /// Checks piece layers against the roots (BEP 52): every file longer than a piece needs one.
    pub fn check_piece_layers(
        &self,
        layers: &BTreeMap<MerkleHash, Vec<MerkleHash>>,
    ) -> Result<(), TorrentError> {
        let piece_length = self.geometry.piece_length();
        for file in self
            .files
            .iter()
            .filter(|file| file.length > u64::from(piece_length.get()))
        {
            let Some(root) = file.merkle_root else {
                continue;
            };
            let pieces = file.length.div_ceil(u64::from(piece_length.get()));
            let right = layers.get(&root).is_some_and(|layer| {
                layer.len() as u64 == pieces
                    && merkle::root_of_piece_layer(layer, piece_length) == root
            });
            if !right {
                return Err(TorrentError::PieceLayer(root));
            }
        }
        Ok(())
    }
}

fn int(value: &Value<'_>, key: &'static str) -> Result<i64, TorrentError> {
    value
        .get(key)
        .and_then(Value::as_int)
        .ok_or(TorrentError::Field {
            key,
            expected: "an integer",
        })
}

/// Reads a text; old torrents in other encodings carry a second key with UTF-8.
fn text<'a>(value: &Value<'a>, key: &'static str) -> Result<&'a str, TorrentError> {
    let utf8 = value.get(&format!("{key}.utf-8")).and_then(Value::as_bytes);
    let bytes = utf8.or_else(|| value.get(key).and_then(Value::as_bytes));
    let bytes = bytes.ok_or(TorrentError::Field {
        key,
        expected: "a text",
    })?;
    std::str::from_utf8(bytes).map_err(|_| BadName::NotUtf8.into())
}

fn length_of(value: &Value<'_>) -> Result<u64, TorrentError> {
    let length = int(value, "length")?;
    u64::try_from(length).map_err(|_| TorrentError::Length(length))
}

fn v1_files(info: &Value<'_>) -> Result<(Vec<FileEntry>, bool), TorrentError> {
    let Some(list) = info.get("files") else {
        let entry = FileEntry {
            path: Vec::new(),
            length: length_of(info)?,
            pad: false,
            merkle_root: None,
        };
        return Ok((vec![entry], true));
    };
    let list = list.as_list().ok_or(TorrentError::Field {
        key: "files",
        expected: "a list",
    })?;
    let files = list.iter().map(|file| {
        let parts = file
            .get("path.utf-8")
            .or_else(|| file.get("path"))
            .and_then(Value::as_list);
        let parts = parts.filter(|parts| (1..=MAX_DEPTH).contains(&parts.len()));
        let parts = parts.ok_or(TorrentError::Field {
            key: "path",
            expected: "a list of 1 to 128 names",
        })?;
        let path = parts
            .iter()
            .map(|part| {
                let part = part.as_str().ok_or(BadName::NotUtf8)?;
                name::check(part)?;
                Ok(part.to_owned())
            })
            .collect::<Result<Vec<_>, TorrentError>>()?;
        let pad = file
            .get("attr")
            .and_then(Value::as_bytes)
            .is_some_and(|attr| attr.contains(&b'p'));
        Ok(FileEntry {
            path,
            length: length_of(file)?,
            pad,
            merkle_root: None,
        })
    });
    Ok((files.collect::<Result<_, TorrentError>>()?, false))
}

fn v1_pieces(info: &Value<'_>, geometry: Geometry) -> Result<Vec<PieceHash>, TorrentError> {
    let joined = info.get("pieces").and_then(Value::as_bytes);
    let joined = joined.ok_or(TorrentError::Field {
        key: "pieces",
        expected: "a byte string",
    })?;
    let expected = geometry.n_pieces() as usize;
    if joined.len() % 20 != 0 || joined.len() / 20 != expected {
        return Err(TorrentError::PieceCount {
            found: joined.len() / 20,
            expected,
        });
    }
    Ok(joined
        .chunks_exact(20)
        .filter_map(PieceHash::from_slice)
        .collect())
}

fn v2_files(info: &Value<'_>, name: &str) -> Result<Vec<FileEntry>, TorrentError> {
    const FIELD: TorrentError = TorrentError::Field {
        key: "file tree",
        expected: "a tree of files",
    };
    fn walk(
        tree: &BTreeMap<&[u8], Value<'_>>,
        path: &mut Vec<String>,
        files: &mut Vec<FileEntry>,
    ) -> Result<(), TorrentError> {
        for (part, below) in tree {
            let part = std::str::from_utf8(part).map_err(|_| BadName::NotUtf8)?;
            name::check(part)?;
            path.push(part.to_owned());
            if let Some(leaf) = below.get("") {
                let length = length_of(leaf)?;
                let root = leaf
                    .get("pieces root")
                    .and_then(Value::as_bytes)
                    .and_then(MerkleHash::from_slice);
                if root.is_none() && length > 0 {
                    return Err(TorrentError::Field {
                        key: "pieces root",
                        expected: "32 bytes",
                    });
                }
                let merkle_root = root.filter(|_| length > 0);
                files.push(FileEntry {
                    path: path.clone(),
                    length,
                    pad: false,
                    merkle_root,
                });
            } else {
                walk(
                    below
                        .as_dict()
                        .filter(|tree| !tree.is_empty())
                        .ok_or(FIELD)?,
                    path,
                    files,
                )?;
            }
            path.pop();
        }
        Ok(())
    }
    let tree = info
        .get("file tree")
        .and_then(Value::as_dict)
        .ok_or(FIELD)?;
    let mut files = Vec::new();
    walk(tree, &mut Vec::new(), &mut files)?;
    // BEP 52: a lone file at the top that bears the torrent's name is a single-file torrent.
    if let [file] = files.as_mut_slice()
        && file.path.len() == 1
        && file.path[0] == name
    {
        file.path.clear();
    }
    Ok(files)
}

/// Takes the roots of the v2 half into the files of the v1 half, which must be the same files in the
/// same places.
fn join_hybrid(
    files: &mut [FileEntry],
    tree: &[FileEntry],
    piece_length: PieceLength,
) -> Result<(), TorrentError> {
    let mut tree = tree.iter();
    let mut start = 0u64;
    for file in files.iter_mut() {
        if !file.pad {
            let twin = tree
                .next()
                .filter(|twin| twin.path == file.path && twin.length == file.length);
            let twin = twin.ok_or(TorrentError::HybridMismatch)?;
            let aligned = start.is_multiple_of(u64::from(piece_length.get()));
            if file.length > 0 && !aligned {
                return Err(TorrentError::HybridMismatch);
            }
            file.merkle_root = twin.merkle_root;
        }
        start = start
            .checked_add(file.length)
            .ok_or(TorrentError::Length(i64::MAX))?;
    }
    if tree.next().is_some() {
        Err(TorrentError::HybridMismatch)
    } else {
        Ok(())
    }
}

fn check_paths(files: &[FileEntry]) -> Result<(), TorrentError> {
    let mut seen: HashSet<&[String]> = HashSet::new();
    for file in files.iter().filter(|file| !file.pad) {
        if !seen.insert(&file.path) {
            return Err(TorrentError::DuplicatePath(file.path.join("/")));
        }
    }
    // A path that is both a file and a folder can't be stored.
    for file in files.iter().filter(|file| !file.pad) {
        if (1..file.path.len()).any(|end| seen.contains(&file.path[..end])) {
            return Err(TorrentError::DuplicatePath(file.path.join("/")));
        }
    }
    Ok(())
}

fn v1_entry(file: &FileEntry) -> Node {
    let mut entries: Vec<(&str, Node)> = vec![
        ("length", (file.length as i64).into()),
        ("path", Node::texts(&file.path)),
    ];
    if file.pad {
        entries.push(("attr", "p".into()));
    }
    Node::dict(entries)
}

fn file_tree(name: &str, files: &[FileEntry]) -> Node {
    let mut tree = BTreeMap::new();
    for file in files.iter().filter(|file| !file.pad) {
        let mut leaf: Vec<(&str, Node)> = vec![("length", (file.length as i64).into())];
        if let Some(root) = file.merkle_root {
            leaf.push(("pieces root", root.0.as_slice().into()));
        }
        let single = [name.to_owned()];
        let path = if file.path.is_empty() {
            &single[..]
        } else {
            &file.path[..]
        };
        insert(&mut tree, path, Node::dict([("", Node::dict(leaf))]));
    }
    Node::Dict(tree)
}

fn insert(tree: &mut BTreeMap<Vec<u8>, Node>, path: &[String], leaf: Node) {
    let Some((part, below)) = path.split_first() else {
        return;
    };
    let key = part.as_bytes().to_vec();
    if below.is_empty() {
        tree.insert(key, leaf);
    } else if let Node::Dict(inner) = tree
        .entry(key)
        .or_insert_with(|| Node::Dict(BTreeMap::new()))
    {
        insert(inner, below, leaf);
    }
}
