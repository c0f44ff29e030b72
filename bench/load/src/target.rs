//! What is fetched: a torrent's payload, of which a sample of pieces is checked.

use metainfo::{Geometry, Info, PieceHash, PieceIndex, SwarmHash, Torrent};
use sha1::{Digest, Sha1};
use std::path::{Path, PathBuf};

/// A payload and the means to check it.
#[derive(Debug)]
pub struct Target {
    /// By which name the swarm is known.
    pub swarm: SwarmHash,
    /// Its pieces.
    pub geometry: Geometry,
    hashes: Vec<PieceHash>,
}

/// A torrent that can't be fetched.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The file can't be read.
    #[error("read {0}")]
    Read(PathBuf, #[source] std::io::Error),
    /// It is no torrent.
    #[error("{0}")]
    Torrent(PathBuf, #[source] metainfo::TorrentError),
    /// It has no SHA-1 hashes to check with.
    #[error("{0}: has no v1 half, which is all that is checked here")]
    NoV1(PathBuf),
}

impl Target {
    /// Reads a `.torrent` with a v1 half.
    pub fn read(path: &Path) -> Result<Self, TargetError> {
        let bytes = std::fs::read(path).map_err(|e| TargetError::Read(path.to_owned(), e))?;
        let torrent =
            Torrent::parse(&bytes).map_err(|e| TargetError::Torrent(path.to_owned(), e))?;
        Self::of(&torrent.info).ok_or_else(|| TargetError::NoV1(path.to_owned()))
    }

    /// What an info dictionary with a v1 half describes.
    pub fn of(info: &Info) -> Option<Self> {
        Some(Self {
            swarm: *info.swarm_hashes().first()?,
            geometry: info.geometry(),
            hashes: info.piece_hashes()?.to_vec(),
        })
    }
}

/// A piece that is kept until it is whole, to be checked.
#[derive(Debug)]
pub struct Sample {
    piece: PieceIndex,
    bytes: Vec<u8>,
    left: usize,
}

impl Sample {
    /// About one piece in 64 is checked: the `nth` of client `id`.
    pub fn is_due(id: u32, nth: u64) -> bool {
        nth.wrapping_add(u64::from(id).wrapping_mul(29)) % 64 == 0
    }

    /// An empty sample of a piece.
    pub fn new(target: &Target, piece: PieceIndex) -> Self {
        let length = target.geometry.piece_len(piece) as usize;
        Self {
            piece,
            bytes: vec![0; length],
            left: length,
        }
    }

    /// Whether it is of this piece.
    pub fn is_of(&self, piece: PieceIndex) -> bool {
        piece == self.piece
    }

    /// Takes bytes that belong at `begin` of the piece; whether it is whole with them.
    pub fn put(&mut self, begin: usize, bytes: &[u8]) -> bool {
        self.bytes[begin..begin + bytes.len()].copy_from_slice(bytes);
        self.left = self.left.saturating_sub(bytes.len());
        self.left == 0
    }

    /// Whether the whole piece is what the torrent says.
    pub fn is_right(&self, target: &Target) -> bool {
        let digest: [u8; 20] = Sha1::digest(&self.bytes).into();
        target.hashes[self.piece.as_usize()].0 == digest
    }
}
