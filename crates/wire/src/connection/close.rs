//! Why a connection ends: what a peer did wrong, and all other reasons. Each has a short name, under
//! which it is counted.

use crate::bitfield::BadBitfield;
use crate::message::DecodeError;
use metainfo::geometry::BadRequest;

/// What a peer did that no peer may do. The connection ends; nobody else notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// The first bytes open no BitTorrent connection.
    #[error("no BitTorrent handshake")]
    NotBitTorrent,
    /// The peer id is our own.
    #[error("connected to itself")]
    SelfConnection,
    /// Bytes that are no message.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A message of an extension that wasn't agreed on.
    #[error("message {0} without its extension")]
    NotAgreed(&'static str),
    /// A request for bytes that aren't there.
    #[error("request for {0}")]
    BadRequest(#[from] BadRequest),
    /// A `have` of a piece that isn't there.
    #[error("has piece {0}, which does not exist")]
    NoSuchPiece(u32),
    /// A bitfield of another torrent.
    #[error(transparent)]
    BadBitfield(#[from] BadBitfield),
    /// A block that nobody asked for.
    #[error("a block that nobody asked for")]
    UnaskedBlock,
    /// Rejects and the like of what nobody asked for, again and again.
    #[error("{0} answers that nobody asked for")]
    UnaskedAnswers(u32),
    /// It says anew what it has, again and again.
    #[error("said too often what it has")]
    RestatedPieces,
    /// We asked for one swarm, and the answer names another.
    #[error("in another swarm than it was asked for")]
    WrongSwarm,
    /// Requests that are refused, again and again.
    #[error("{0} refused requests in a row")]
    RequestFlood(u32),
}

impl ProtocolError {
    /// The name it is counted under.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotBitTorrent => "not_bittorrent",
            Self::SelfConnection => "self_connection",
            Self::Decode(DecodeError::UnknownMessage { .. }) => "unknown_message",
            Self::Decode(DecodeError::BadLength { .. }) => "bad_length",
            Self::NotAgreed(_) => "not_agreed",
            Self::BadRequest(_) => "bad_request",
            Self::NoSuchPiece(_) => "no_such_piece",
            Self::BadBitfield(_) => "bad_bitfield",
            Self::UnaskedBlock => "unasked_block",
            Self::UnaskedAnswers(_) => "unasked_answers",
            Self::RestatedPieces => "restated_pieces",
            Self::WrongSwarm => "wrong_swarm",
            Self::RequestFlood(_) => "request_flood",
        }
    }
}

/// Why a connection is to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// The peer broke the protocol.
    #[error("protocol error: {0}")]
    Protocol(#[from] ProtocolError),
    /// The handshake didn't come in time.
    #[error("no handshake in time")]
    HandshakeTimeout,
    /// Nothing came for too long.
    #[error("silent for too long")]
    Silent,
    /// The peer takes no bytes.
    #[error("takes no bytes")]
    Stalled,
    /// The torrent isn't served here.
    #[error("torrent not served here")]
    NotServed,
    /// Neither side wants anything of the other.
    #[error("both sides are complete")]
    BothSeeds,
    /// The peer sent data that failed its hash, or otherwise isn't worth its connection.
    #[error("sent what is wrong")]
    BadData,
    /// It is connected a second time, or another peer is worth more.
    #[error("not needed")]
    NotNeeded,
    /// We stop: the torrent was withdrawn, or the program ends.
    #[error("no longer served")]
    Withdrawn,
}

impl CloseReason {
    /// The name it is counted under.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Protocol(error) => error.kind(),
            Self::HandshakeTimeout => "handshake_timeout",
            Self::Silent => "silent",
            Self::Stalled => "stalled",
            Self::NotServed => "not_served",
            Self::BothSeeds => "both_seeds",
            Self::BadData => "bad_data",
            Self::NotNeeded => "not_needed",
            Self::Withdrawn => "withdrawn",
        }
    }
}
