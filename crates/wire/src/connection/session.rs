//! What there is of a connection once a torrent is agreed on: what the peer has said of itself, and what
//! waits to be answered.

use super::metadata::MetadataServer;
use super::requests::Requests;
use super::{ProtocolError, Served, Tally};
use crate::bitfield::Bitfield;
use crate::decoder::Decoder;
use crate::extended::{ExtendedHandshake, UT_METADATA};
use crate::handshake::{Handshake, Reserved};
use crate::message::{FrameLimits, HashRange, Message};
use metainfo::ids::{PeerId, PieceIndex};
use std::collections::VecDeque;

/// What there is once a torrent is agreed on.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) served: Served,
    pub(super) decoder: Decoder,
    pub(super) peer: Peer,
    pub(super) choked: bool,
    pub(super) requests: Requests,
    pub(super) metadata: MetadataServer,
    pub(super) hash_requests: VecDeque<HashRange>,
    /// Our extension handshake, until it is sent.
    pub(super) introduction: Option<ExtendedHandshake>,
    /// The interest the shell was last told of.
    pub(super) told_interest: bool,
}

/// What we know of the other side.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: PeerId,
    pub(super) reserved: Reserved,
    pub(super) interested: bool,
    pub(super) has: Has,
    pub(super) extended: Option<ExtendedHandshake>,
}

/// The pieces of a peer: most have none or all, and cost no bits.
#[derive(Debug)]
pub(super) enum Has {
    None,
    Some(Bitfield),
    All,
}

impl Session {
    /// The session that follows this handshake of the peer's.
    pub(super) fn new(served: Served, theirs: &Handshake) -> Self {
        let bitfield = Bitfield::byte_len(served.geometry.n_pieces()) as u32;
        Self {
            decoder: Decoder::new(FrameLimits {
                bitfield,
                ..FrameLimits::default()
            }),
            peer: Peer {
                id: theirs.peer_id,
                reserved: theirs.reserved,
                interested: false,
                has: Has::None,
                extended: None,
            },
            served,
            choked: true,
            requests: Requests::default(),
            metadata: MetadataServer::default(),
            hash_requests: VecDeque::new(),
            introduction: None,
            told_interest: false,
        }
    }

    /// Whether the peer has everything and wants nothing, and has been told what it wanted to know.
    pub(super) fn is_done(&self) -> bool {
        let n_pieces = self.served.geometry.n_pieces();
        let complete = n_pieces > 0 && self.peer.n_pieces(n_pieces) == n_pieces;
        complete && !self.peer.interested && self.metadata.is_idle() && self.requests.is_empty()
    }

    /// The name of a message whose extension wasn't agreed on.
    pub(super) fn not_agreed(&self, message: &Message) -> Option<&'static str> {
        let reserved = self.peer.reserved;
        match message {
            Message::HaveAll if !reserved.fast() => Some("have all"),
            Message::HaveNone if !reserved.fast() => Some("have none"),
            Message::Suggest { .. } if !reserved.fast() => Some("suggest"),
            Message::Reject(_) if !reserved.fast() => Some("reject"),
            Message::AllowedFast { .. } if !reserved.fast() => Some("allowed fast"),
            Message::Extended { .. } if !reserved.extended() => Some("extended"),
            Message::HashRequest(_) | Message::Hashes { .. } | Message::HashReject(_)
                if self.served.v2.is_none() =>
            {
                Some("hashes")
            }
            _ => None,
        }
    }

    pub(super) fn handle_have(&mut self, piece: u32) -> Result<(), ProtocolError> {
        let geometry = &self.served.geometry;
        let piece = geometry
            .piece(piece)
            .ok_or(ProtocolError::NoSuchPiece(piece))?;
        self.peer.add(piece, geometry.n_pieces());
        Ok(())
    }

    pub(super) fn handle_bitfield(&mut self, bits: &[u8]) -> Result<(), ProtocolError> {
        let field = Bitfield::from_bytes(bits, self.served.geometry.n_pieces())?;
        self.peer.has = match field.count() {
            0 => Has::None,
            _ if field.is_complete() => Has::All,
            _ => Has::Some(field),
        };
        Ok(())
    }

    pub(super) fn next_metadata(&mut self, tally: &mut Tally) -> Option<Message> {
        let id = self.peer.extended.as_ref()?.id_of(UT_METADATA)?;
        let payload = self.metadata.pop(&self.served.metadata)?.encode().into();
        tally.metadata_pieces += 1;
        Some(Message::Extended { id, payload })
    }
}

impl Peer {
    pub(super) fn add(&mut self, piece: PieceIndex, n_pieces: u32) {
        if let Has::None = self.has {
            self.has = Has::Some(Bitfield::none(n_pieces));
        }
        if let Has::Some(field) = &mut self.has {
            field.set(piece);
            if field.is_complete() {
                self.has = Has::All;
            }
        }
    }

    pub(super) fn n_pieces(&self, of: u32) -> u32 {
        match &self.has {
            Has::None => 0,
            Has::Some(field) => field.count(),
            Has::All => of,
        }
    }
}
