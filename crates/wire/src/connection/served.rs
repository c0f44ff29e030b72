//! What a connection is about once it is admitted: the torrent, and what we show of ourselves in it.

use crate::bitfield::Bitfield;
use bytes::Bytes;
use metainfo::geometry::Geometry;
use metainfo::ids::{PieceIndex, SwarmHash};

/// The torrent a connection is admitted to, and how we present ourselves there.
#[derive(Debug, Clone)]
pub struct Served {
    /// How its bytes fall into pieces. `None` while only a magnet link is known: pieces are then neither shown
    /// nor asked for, what the peer says of its own is passed over, and metadata can be fetched.
    pub geometry: Option<Geometry>,
    /// The raw info dictionary, for peers that came by a magnet link.
    pub metadata: Option<Bytes>,
    /// Its truncated v2 hash, where it has BEP 52's merkle trees.
    pub v2: Option<SwarmHash>,
    /// What we show of ourselves at the start.
    pub own: Own,
    /// We want nothing (BEP 21). Who has everything and wants nothing is then let go. Peers are told of it only
    /// where every piece is shown.
    pub upload_only: bool,
    /// A private torrent (BEP 27): no peers are exchanged.
    pub private: bool,
    /// Our listening port, where peers may be told of it.
    pub port: Option<u16>,
}

/// The pieces that we show: what may be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Own {
    /// All of them.
    All,
    /// These: what a fetcher has, or what is revealed to this peer while first copies are spread.
    Some(Bitfield),
}

impl Own {
    /// Whether every piece is shown.
    pub(super) fn is_all(&self) -> bool {
        match self {
            Self::All => true,
            Self::Some(pieces) => pieces.is_complete(),
        }
    }

    pub(super) fn has(&self, piece: PieceIndex) -> bool {
        match self {
            Self::All => true,
            Self::Some(pieces) => pieces.has(piece),
        }
    }

    /// Adds a piece; says whether it is new.
    pub(super) fn add(&mut self, piece: PieceIndex) -> bool {
        match self {
            Self::All => false,
            Self::Some(pieces) => pieces.set(piece),
        }
    }

    /// Takes a piece away; says whether it was there.
    pub(super) fn remove(&mut self, piece: PieceIndex, n_pieces: u32) -> bool {
        if let Self::All = self {
            *self = Self::Some(Bitfield::all(n_pieces));
        }
        match self {
            Self::All => false,
            Self::Some(pieces) => pieces.unset(piece),
        }
    }
}
