//! How a file or folder becomes the byte space of a torrent: which files in which order, with which
//! pads. Made before hashing; [`crate::info::Info`] is made from it and the hashes.

use crate::geometry::{FileMap, Geometry, PieceLength, TooManyPieces};
use crate::ids::MerkleHash;
use crate::info::Info;
use crate::name::{self, BadName};

/// Which info-hashes a torrent has.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// BEP 3: every client takes it.
    #[default]
    V1,
    /// BEP 52 alone.
    V2,
    /// Both hashes over the same bytes (BEP 52 upgrade path).
    Hybrid,
}

impl Format {
    /// Has a v1 info-hash.
    pub fn has_v1(self) -> bool {
        self != Self::V2
    }

    /// Has a v2 info-hash.
    pub fn has_v2(self) -> bool {
        self != Self::V1
    }
}

/// One file of a torrent, in payload order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Path components below the torrent's name; empty where the torrent is a single file.
    pub path: Vec<String>,
    /// Bytes.
    pub length: u64,
    /// A BEP 47 pad: zeros that are never stored.
    pub pad: bool,
    /// Root of the file's BEP 52 tree, where the torrent carries it. Empty files have none.
    pub merkle_root: Option<MerkleHash>,
}

/// Why a file or folder can't become a torrent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// There are no bytes to share.
    #[error("there is nothing in it: 0 bytes")]
    Empty,
    /// A name that not every system can store.
    #[error("`{path}`: {source}; rename it")]
    Name {
        /// The path below the release.
        path: String,
        /// What is wrong.
        source: BadName,
    },
    /// Two names that are one on systems that fold case or normalise.
    #[error("`{0}` and `{1}` are the same name on some systems; rename one")]
    Clash(String, String),
    /// BEP 52 needs a power of two.
    #[error(transparent)]
    PieceLength(#[from] crate::geometry::BadPieceLength),
    /// More pieces than an index counts.
    #[error(transparent)]
    TooMany(#[from] TooManyPieces),
    /// More bytes than 64 bits count.
    #[error("the files are too large together")]
    TooLarge,
}

/// A torrent's files, their order, pads and pieces, before hashing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    pub(crate) name: String,
    pub(crate) format: Format,
    pub(crate) single_file: bool,
    pub(crate) files: Vec<FileEntry>,
    pub(crate) map: FileMap,
    pub(crate) geometry: Geometry,
}

impl Layout {
    /// A single file of this name.
    pub fn file(
        name: &str,
        length: u64,
        format: Format,
        piece_length: Option<PieceLength>,
    ) -> Result<Self, LayoutError> {
        let entry = FileEntry {
            path: Vec::new(),
            length,
            pad: false,
            merkle_root: None,
        };
        Self::make(name, true, vec![entry], format, piece_length)
    }

    /// A folder of this name with files below it, given as path components and length. Their order is
    /// the publisher's for none: v1 sorts by whole path, as mktorrent does; v2 and hybrid by component,
    /// as BEP 52's file tree does.
    pub fn folder(
        name: &str,
        files: impl IntoIterator<Item = (Vec<String>, u64)>,
        format: Format,
        piece_length: Option<PieceLength>,
    ) -> Result<Self, LayoutError> {
        let mut files: Vec<_> = files
            .into_iter()
            .map(|(path, length)| FileEntry {
                path,
                length,
                pad: false,
                merkle_root: None,
            })
            .collect();
        if format == Format::V1 {
            files.sort_by_cached_key(|file| file.path.join("/"));
        } else {
            files.sort_by(|a, b| a.path.cmp(&b.path));
        }
        Self::make(name, false, files, format, piece_length)
    }

    fn make(
        name: &str,
        single_file: bool,
        files: Vec<FileEntry>,
        format: Format,
        piece_length: Option<PieceLength>,
    ) -> Result<Self, LayoutError> {
        check_names(name, &files)?;
        let payload = files
            .iter()
            .try_fold(0u64, |sum, file| sum.checked_add(file.length));
        let payload = payload.ok_or(LayoutError::TooLarge)?;
        if payload == 0 {
            return Err(LayoutError::Empty);
        }
        let piece_length = piece_length.unwrap_or_else(|| PieceLength::for_payload(payload));
        if format.has_v2() && !piece_length.is_power_of_two() {
            return Err(crate::geometry::BadPieceLength::NotPowerOfTwo(piece_length.get()).into());
        }
        let files = match format {
            Format::V1 => files,
            // libtorrent pads nothing where there is nothing to align, and equal bytes are worth more
            // than a rule: one info-hash, whoever makes the torrent.
            Format::Hybrid if files.len() == 1 => files,
            Format::Hybrid | Format::V2 => with_pads(files, piece_length),
        };
        let map =
            FileMap::new(files.iter().map(|file| file.length)).ok_or(LayoutError::TooLarge)?;
        let geometry = Geometry::new(piece_length, map.total_length())?;
        Ok(Self {
            name: name.into(),
            format,
            single_file,
            files,
            map,
            geometry,
        })
    }

    /// The layout of a torrent that exists, for hashing its payload again.
    pub fn of(info: &Info) -> Self {
        Self {
            name: info.name().to_owned(),
            format: info.format(),
            single_file: info.is_single_file(),
            files: info.files().to_vec(),
            map: info.file_map().clone(),
            geometry: info.geometry(),
        }
    }

    /// Whether both lay out the same files in the same way, hashes aside.
    pub fn is_for(&self, other: &Self) -> bool {
        let same_file = |(a, b): (&FileEntry, &FileEntry)| {
            a.path == b.path && a.length == b.length && a.pad == b.pad
        };
        self.name == other.name
            && (self.format, self.single_file, self.geometry)
                == (other.format, other.single_file, other.geometry)
            && self.files.len() == other.files.len()
            && self.files.iter().zip(&other.files).all(same_file)
    }

    /// The torrent's name: of the file, or of the folder.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which hashes are to be made.
    pub fn format(&self) -> Format {
        self.format
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
    pub fn map(&self) -> &FileMap {
        &self.map
    }

    /// Its pieces.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// Path of a file below the folder that holds the payload, `/`-separated: the torrent's name first.
    pub fn stored_path(&self, file: &FileEntry) -> String {
        stored_path(&self.name, file)
    }

    /// Bytes of real files, without pads.
    pub fn payload_bytes(&self) -> u64 {
        payload_bytes(&self.files)
    }
}

/// Puts a pad behind every file that ends inside a piece (BEP 52, BEP 47): each file then starts a
/// piece. Empty files take no place and need no pad. The last file is padded like the others: in hybrid
/// torrents libtorrent 2.1 does so, and in a v2 torrent, where pads are only implied, libtorrent 2.0 asks
/// peers for the bytes of that last one.
pub(crate) fn with_pads(files: Vec<FileEntry>, piece_length: PieceLength) -> Vec<FileEntry> {
    let mut padded = Vec::with_capacity(files.len() * 2);
    for file in files {
        let over = file.length % u64::from(piece_length.get());
        padded.push(file);
        if over > 0 {
            let length = u64::from(piece_length.get()) - over;
            let path = vec![".pad".to_owned(), length.to_string()];
            padded.push(FileEntry {
                path,
                length,
                pad: true,
                merkle_root: None,
            });
        }
    }
    padded
}

pub(crate) fn payload_bytes(files: &[FileEntry]) -> u64 {
    files
        .iter()
        .filter(|file| !file.pad)
        .map(|file| file.length)
        .sum()
}

pub(crate) fn stored_path(name: &str, file: &FileEntry) -> String {
    std::iter::once(name)
        .chain(file.path.iter().map(String::as_str))
        .collect::<Vec<_>>()
        .join("/")
}

fn check_names(name: &str, files: &[FileEntry]) -> Result<(), LayoutError> {
    let bad = |path: &str| {
        let path = path.to_owned();
        move |source| LayoutError::Name { path, source }
    };
    name::check_published(name).map_err(bad(name))?;
    let mut seen = std::collections::BTreeMap::new();
    for file in files {
        let shown = file.path.join("/");
        for part in &file.path {
            name::check_published(part).map_err(bad(&shown))?;
        }
        if let Some(other) = seen.insert(name::fold(&shown), shown.clone()) {
            return Err(LayoutError::Clash(other, shown));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(format: Format, files: &[(&str, u64)]) -> Result<Layout, LayoutError> {
        let files = files
            .iter()
            .map(|(path, length)| (path.split('/').map(Into::into).collect(), *length));
        Layout::folder(
            "folder",
            files,
            format,
            Some(PieceLength::power_of_two(16384).unwrap()),
        )
    }

    fn shown(layout: &Layout) -> Vec<String> {
        layout
            .files()
            .iter()
            .map(|file| format!("{} {}", file.path.join("/"), file.length))
            .collect()
    }

    #[test]
    fn v1_sorts_by_whole_path_and_v2_by_component() {
        let files = [("b", 1), ("a/z", 1), ("a.txt", 1)];
        assert_eq!(
            shown(&folder(Format::V1, &files).unwrap()),
            ["a.txt 1", "a/z 1", "b 1"]
        );
        let hybrid = folder(Format::Hybrid, &files).unwrap();
        let pad = ".pad/16383 16383";
        assert_eq!(shown(&hybrid), ["a/z 1", pad, "a.txt 1", pad, "b 1", pad]);
        let v2 = folder(Format::V2, &files).unwrap();
        assert_eq!(shown(&v2), shown(&hybrid));
        let length = PieceLength::power_of_two(16384).unwrap();
        let lone = |format| shown(&Layout::file("x", 1, format, Some(length)).unwrap());
        assert_eq!(lone(Format::Hybrid), [" 1"]);
        assert_eq!(lone(Format::V2), [" 1", pad]);
        assert_eq!(hybrid.payload_bytes(), 3);
        assert_eq!(hybrid.geometry().n_pieces(), 3);
    }

    #[test]
    fn whole_pieces_and_empty_files_need_no_pad() {
        let layout = folder(Format::V2, &[("a", 16384), ("b", 0), ("c", 5), ("d", 0)]).unwrap();
        assert_eq!(
            shown(&layout),
            ["a 16384", "b 0", "c 5", ".pad/16379 16379", "d 0"]
        );
        let layout = folder(Format::Hybrid, &[("a", 16384), ("c", 5), ("d", 0)]).unwrap();
        assert_eq!(
            shown(&layout),
            ["a 16384", "c 5", ".pad/16379 16379", "d 0"]
        );
    }

    #[test]
    fn what_can_not_be_published_is_named() {
        let error = |files: &[(&str, u64)]| folder(Format::V1, files).unwrap_err().to_string();
        assert!(error(&[]).contains("nothing in it"));
        assert!(error(&[("a", 0)]).contains("nothing in it"));
        assert!(error(&[("ok", 1), ("x/../y", 1)]).contains("`x/../y`"));
        assert!(error(&[("Café", 1), ("CAFE\u{301}", 1)]).contains("same name"));
    }
}
