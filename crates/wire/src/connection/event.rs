//! What a peer has said, for whoever decides over many connections: the torrent's task, its picker and its choker.

use crate::bitfield::Bitfield;
use crate::extended::pex::PexMessage;
use crate::extended::{ExtendedHandshake, LT_DONTHAVE, UT_METADATA, UT_PEX};
use crate::message::HashRange;
use bytes::Bytes;
use metainfo::geometry::Block;
use metainfo::ids::PieceIndex;
use std::net::IpAddr;

/// What a peer has said. All of it is checked against the torrent's geometry and against what was asked for;
/// whether it is true is another matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It wants pieces of ours, or no longer. Told when it changes; at the start it wants nothing.
    Interested(bool),
    /// It chokes us, or no longer. Told when it changes; at the start it chokes. Choked by a peer without BEP 6,
    /// all that was asked of it is gone; with BEP 6 every request gets its own answer.
    Choked(bool),
    /// It has one more piece.
    Have(PieceIndex),
    /// It has every piece. What it said before is replaced.
    HasAll,
    /// It has no piece. What it said before is replaced.
    HasNone,
    /// It has these pieces: some and not all. What it said before is replaced.
    Bitfield(Bitfield),
    /// It has this piece no longer (BEP 54).
    DontHave(PieceIndex),
    /// A block that was asked for.
    Block {
        /// Which.
        block: Block,
        /// Its bytes: as many as it is long.
        bytes: Bytes,
    },
    /// A request of ours that won't be served: the peer has said so (BEP 6), or it was never sent.
    Rejected(Block),
    /// This piece may be asked for while choked (BEP 6).
    AllowedFast(PieceIndex),
    /// It would like to give this piece (BEP 6).
    Suggested(PieceIndex),
    /// It has introduced itself (BEP 10), or done so again. Holds all that is known by now.
    Introduced(Introduced),
    /// Peers it has met and lost (BEP 11).
    Pex(PexMessage),
    /// A piece of the info dictionary that was asked for (BEP 9).
    Metadata {
        /// Which.
        piece: u32,
        /// The length of the whole dictionary, as this peer says; within
        /// [`super::Settings::max_metadata`].
        total: u32,
        /// The bytes: as many as a piece at this place of such a dictionary has.
        bytes: Bytes,
    },
    /// A piece of the info dictionary that it won't give, or can't be asked for.
    MetadataRejected(u32),
    /// Hashes that were asked for (BEP 52). To be checked by [`crate::hashes::verify`].
    Hashes {
        /// What was asked for.
        range: HashRange,
        /// The hashes, then the uncles.
        hashes: Bytes,
    },
    /// Hashes that it won't give, or can't be asked for.
    HashesRejected(HashRange),
}

/// What a peer has said of itself in its extension handshakes (BEP 10).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Introduced {
    /// Its name and version.
    pub client: Option<String>,
    /// Its listening port.
    pub port: Option<u16>,
    /// How many requests it takes at once.
    pub request_queue: Option<u32>,
    /// The length of the info dictionary, where it has one; within [`super::Settings::max_metadata`].
    pub metadata_size: Option<u32>,
    /// Our address as it sees us.
    pub your_ip: Option<IpAddr>,
    /// It wants nothing (BEP 21).
    pub upload_only: bool,
    /// The numbers under which it takes metadata exchange (BEP 9), peer exchange (BEP 11) and `lt_donthave`
    /// (BEP 54).
    pub(super) metadata: Option<u8>,
    pub(super) pex: Option<u8>,
    pub(super) dont_have: Option<u8>,
}

impl Introduced {
    /// Whether it can be asked for metadata (BEP 9).
    pub fn speaks_metadata(&self) -> bool {
        self.metadata.is_some()
    }

    /// Whether it takes lists of peers (BEP 11).
    pub fn speaks_pex(&self) -> bool {
        self.pex.is_some()
    }

    /// Takes up one more handshake: what it doesn't name stays as it was (BEP 10).
    pub(super) fn update(&mut self, handshake: ExtendedHandshake, max_metadata: u32) {
        for (name, number) in [
            (UT_METADATA, &mut self.metadata),
            (UT_PEX, &mut self.pex),
            (LT_DONTHAVE, &mut self.dont_have),
        ] {
            if handshake.extensions.contains_key(name) {
                *number = handshake.id_of(name);
            }
        }
        self.client = handshake.client.or(self.client.take());
        self.port = handshake.port.or(self.port);
        self.request_queue = handshake.request_queue.or(self.request_queue);
        self.metadata_size = handshake
            .metadata_size
            .filter(|size| *size <= max_metadata)
            .or(self.metadata_size);
        self.your_ip = handshake.your_ip.or(self.your_ip);
        self.upload_only = handshake.upload_only;
    }
}
