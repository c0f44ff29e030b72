//! Names, sums and files of BitTorrent: bencode, identifiers, piece arithmetic, merkle trees, torrents
//! and magnet links, and the two documents that the publisher writes and others read: the catalog and
//! the state. Pure: no socket, file, clock or async; everything comes in as an argument.
//!
//! Not here: reading files (`store`), talking to peers (`wire`), deciding (`swarm`).

pub mod bencode;
pub mod catalog;
pub mod geometry;
pub mod ids;
pub mod info;
pub mod layout;
pub mod magnet;
pub mod merkle;
pub mod name;
pub mod state;
pub mod torrent;

pub use geometry::{Block, FileMap, Geometry, PieceLength, RawRequest};
pub use ids::{InfoHashV1, InfoHashV2, MerkleHash, PeerId, PieceHash, PieceIndex, SwarmHash};
pub use info::{Hashes, Info, TorrentError};
pub use layout::{FileEntry, Format, Layout, LayoutError};
pub use magnet::{Magnet, MagnetError};
pub use torrent::Torrent;
