//! Every message that follows the handshake (BEP 3, 5, 6, 10, 52): one enum of plain data, one place
//! that encodes and one that decodes. Numbers stand as the peer wrote them; whether a piece or block
//! exists is for [`metainfo::geometry::Geometry`] to say. Called by [`crate::decoder`] and [`crate::connection`].

use bytes::{BufMut, Bytes};
use metainfo::geometry::{Block, RawRequest};
use metainfo::ids::MerkleHash;
use std::fmt;

/// One message between two peers.
#[derive(Clone, PartialEq, Eq)]
pub enum Message {
    /// Nothing, said to be heard (BEP 3).
    KeepAlive,
    /// Requests are not served for now.
    Choke,
    /// Requests are served.
    Unchoke,
    /// The sender wants pieces of the receiver.
    Interested,
    /// It doesn't.
    NotInterested,
    /// The sender has one more piece.
    Have {
        /// Which.
        piece: u32,
    },
    /// The pieces the sender has, a bit each (see [`crate::bitfield`]).
    Bitfield(Bytes),
    /// A block is asked for.
    Request(RawRequest),
    /// A block.
    Piece {
        /// The piece it lies in.
        piece: u32,
        /// Offset within the piece.
        begin: u32,
        /// The bytes.
        data: Bytes,
    },
    /// A block is asked for no longer.
    Cancel(RawRequest),
    /// The sender's DHT port (BEP 5).
    Port(u16),
    /// A piece the sender would like to give (BEP 6).
    Suggest {
        /// Which.
        piece: u32,
    },
    /// In place of a full bitfield (BEP 6).
    HaveAll,
    /// In place of an empty bitfield (BEP 6).
    HaveNone,
    /// A request that won't be served (BEP 6).
    Reject(RawRequest),
    /// A piece that may be asked for while choked (BEP 6).
    AllowedFast {
        /// Which.
        piece: u32,
    },
    /// A message of the extension protocol (BEP 10, see [`crate::extended`]).
    Extended {
        /// 0 for the handshake, else as the receiver numbered it.
        id: u8,
        /// What that extension says.
        payload: Bytes,
    },
    /// Hashes of a file's merkle tree are asked for (BEP 52).
    HashRequest(HashRange),
    /// Hashes of a file's merkle tree, then the proof's uncles.
    Hashes {
        /// What was asked for.
        range: HashRange,
        /// The hashes, 32 bytes each.
        hashes: Bytes,
    },
    /// A hash request that won't be served.
    HashReject(HashRange),
}

/// A row of a file's merkle tree, as a peer asks for it (BEP 52).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashRange {
    /// The file, by its root.
    pub root: MerkleHash,
    /// The layer asked for, counted from the leaves.
    pub base_layer: u32,
    /// The first hash of that layer.
    pub index: u32,
    /// How many.
    pub length: u32,
    /// How many layers of proof to add.
    pub proof_layers: u32,
}

/// Bytes that are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No BEP we know gives this number a meaning.
    #[error("unknown message {id}")]
    UnknownMessage {
        /// The message's number.
        id: u8,
    },
    /// The message exists but can't be that long or short.
    #[error("message {id} of {length} bytes")]
    BadLength {
        /// The message's number.
        id: u8,
        /// The length its prefix claims.
        length: u32,
    },
}

mod id {
    pub(super) const CHOKE: u8 = 0;
    pub(super) const UNCHOKE: u8 = 1;
    pub(super) const INTERESTED: u8 = 2;
    pub(super) const NOT_INTERESTED: u8 = 3;
    pub(super) const HAVE: u8 = 4;
    pub(super) const BITFIELD: u8 = 5;
    pub(super) const REQUEST: u8 = 6;
    pub(super) const PIECE: u8 = 7;
    pub(super) const CANCEL: u8 = 8;
    pub(super) const PORT: u8 = 9;
    pub(super) const SUGGEST: u8 = 13;
    pub(super) const HAVE_ALL: u8 = 14;
    pub(super) const HAVE_NONE: u8 = 15;
    pub(super) const REJECT: u8 = 16;
    pub(super) const ALLOWED_FAST: u8 = 17;
    pub(super) const EXTENDED: u8 = 20;
    pub(super) const HASH_REQUEST: u8 = 21;
    pub(super) const HASHES: u8 = 22;
    pub(super) const HASH_REJECT: u8 = 23;
}

/// How long messages of changing length may be. What lies beyond ends the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameLimits {
    /// The longest bitfield, in bytes.
    pub bitfield: u32,
    /// The longest payload of an extension message, in bytes.
    pub extended: u32,
}

impl Default for FrameLimits {
    /// Enough for the largest torrents and extension messages in use.
    fn default() -> Self {
        Self {
            bitfield: 1024 * 1024,
            extended: 64 * 1024,
        }
    }
}

/// The longest list of hashes: 512 of a layer, and the uncles of the deepest tree (BEP 52).
const MAX_HASHES: u32 = (512 + 64) * 32;
const HASH_RANGE: u32 = 48;

impl FrameLimits {
    /// Whether a message of this number may have this length prefix (which counts the number itself).
    pub fn check(&self, id: u8, length: u32) -> Result<(), DecodeError> {
        let allowed = match id {
            id::CHOKE
            | id::UNCHOKE
            | id::INTERESTED
            | id::NOT_INTERESTED
            | id::HAVE_ALL
            | id::HAVE_NONE => 1..=1,
            id::PORT => 3..=3,
            id::HAVE | id::SUGGEST | id::ALLOWED_FAST => 5..=5,
            id::REQUEST | id::CANCEL | id::REJECT => 13..=13,
            id::BITFIELD => 1..=self.bitfield.saturating_add(1),
            id::PIECE => 9..=9 + Block::MAX_LENGTH,
            id::EXTENDED => 2..=self.extended.saturating_add(2),
            id::HASH_REQUEST | id::HASH_REJECT => 1 + HASH_RANGE..=1 + HASH_RANGE,
            id::HASHES => 1 + HASH_RANGE..=1 + HASH_RANGE + MAX_HASHES,
            _ => return Err(DecodeError::UnknownMessage { id }),
        };
        if allowed.contains(&length) {
            Ok(())
        } else {
            Err(DecodeError::BadLength { id, length })
        }
    }

    /// The longest frame of all, its length prefix included: what a decoder may have to hold.
    pub fn longest(&self) -> usize {
        let longest = (self.bitfield + 1)
            .max(9 + Block::MAX_LENGTH)
            .max(self.extended + 2)
            .max(1 + HASH_RANGE + MAX_HASHES);
        4 + longest as usize
    }
}

impl Message {
    /// Appends the message as it stands on the wire, with its length prefix.
    pub fn encode(&self, out: &mut impl BufMut) {
        match self {
            Self::KeepAlive => out.put_u32(0),
            Self::Choke => put_head(out, id::CHOKE, 0),
            Self::Unchoke => put_head(out, id::UNCHOKE, 0),
            Self::Interested => put_head(out, id::INTERESTED, 0),
            Self::NotInterested => put_head(out, id::NOT_INTERESTED, 0),
            Self::Have { piece } => put_index(out, id::HAVE, *piece),
            Self::Bitfield(bits) => {
                put_head(out, id::BITFIELD, bits.len());
                out.put_slice(bits);
            }
            Self::Request(raw) => put_request(out, id::REQUEST, *raw),
            Self::Piece { piece, begin, data } => {
                put_head(out, id::PIECE, 8 + data.len());
                out.put_u32(*piece);
                out.put_u32(*begin);
                out.put_slice(data);
            }
            Self::Cancel(raw) => put_request(out, id::CANCEL, *raw),
            Self::Port(port) => {
                put_head(out, id::PORT, 2);
                out.put_u16(*port);
            }
            Self::Suggest { piece } => put_index(out, id::SUGGEST, *piece),
            Self::HaveAll => put_head(out, id::HAVE_ALL, 0),
            Self::HaveNone => put_head(out, id::HAVE_NONE, 0),
            Self::Reject(raw) => put_request(out, id::REJECT, *raw),
            Self::AllowedFast { piece } => put_index(out, id::ALLOWED_FAST, *piece),
            Self::Extended { id, payload } => {
                put_head(out, id::EXTENDED, 1 + payload.len());
                out.put_u8(*id);
                out.put_slice(payload);
            }
            Self::HashRequest(range) => put_range(out, id::HASH_REQUEST, range, &[]),
            Self::Hashes { range, hashes } => put_range(out, id::HASHES, range, hashes),
            Self::HashReject(range) => put_range(out, id::HASH_REJECT, range, &[]),
        }
    }

    /// Reads one message from a whole frame: what follows the length prefix. An empty frame is a keep-alive.
    /// Only the lengths of BEP fields are checked here; [`FrameLimits`] guards the rest before a frame is collected.
    pub fn decode(frame: &[u8]) -> Result<Self, DecodeError> {
        let Some((&id, body)) = frame.split_first() else {
            return Ok(Self::KeepAlive);
        };
        let bad_length = DecodeError::BadLength {
            id,
            length: frame.len() as u32,
        };
        let mut fields = Fields(body);
        let message = match id {
            id::CHOKE => Some(Self::Choke),
            id::UNCHOKE => Some(Self::Unchoke),
            id::INTERESTED => Some(Self::Interested),
            id::NOT_INTERESTED => Some(Self::NotInterested),
            id::HAVE => fields.u32().map(|piece| Self::Have { piece }),
            id::BITFIELD => Some(Self::Bitfield(fields.rest())),
            id::REQUEST => fields.request().map(Self::Request),
            id::PIECE => fields
                .u32()
                .zip(fields.u32())
                .map(|(piece, begin)| Self::Piece {
                    piece,
                    begin,
                    data: fields.rest(),
                }),
            id::CANCEL => fields.request().map(Self::Cancel),
            id::PORT => fields.take().map(u16::from_be_bytes).map(Self::Port),
            id::SUGGEST => fields.u32().map(|piece| Self::Suggest { piece }),
            id::HAVE_ALL => Some(Self::HaveAll),
            id::HAVE_NONE => Some(Self::HaveNone),
            id::REJECT => fields.request().map(Self::Reject),
            id::ALLOWED_FAST => fields.u32().map(|piece| Self::AllowedFast { piece }),
            id::EXTENDED => fields.take::<1>().map(|[id]| Self::Extended {
                id,
                payload: fields.rest(),
            }),
            id::HASH_REQUEST => fields.range().map(Self::HashRequest),
            id::HASHES => fields.range().map(|range| Self::Hashes {
                range,
                hashes: fields.rest(),
            }),
            id::HASH_REJECT => fields.range().map(Self::HashReject),
            _ => return Err(DecodeError::UnknownMessage { id }),
        };
        match message {
            Some(message) if fields.0.is_empty() => Ok(message),
            _ => Err(bad_length),
        }
    }
}

/// The length of what stands before a block's bytes in a `piece` message.
pub const PIECE_HEADER: usize = 13;

/// What stands before a block's bytes in a `piece` message. Whoever reads the payload writes this in
/// front of it, so that the bytes are never copied into a [`Message`].
pub fn piece_header(block: Block) -> [u8; PIECE_HEADER] {
    let mut header = [0; PIECE_HEADER];
    let mut out = &mut header[..];
    put_head(&mut out, id::PIECE, 8 + block.length() as usize);
    out.put_u32(block.piece().get());
    out.put_u32(block.begin());
    header
}

fn put_head(out: &mut impl BufMut, id: u8, body: usize) {
    out.put_u32(1 + body as u32);
    out.put_u8(id);
}

fn put_index(out: &mut impl BufMut, id: u8, piece: u32) {
    put_head(out, id, 4);
    out.put_u32(piece);
}

fn put_request(out: &mut impl BufMut, id: u8, raw: RawRequest) {
    put_head(out, id, 12);
    out.put_u32(raw.piece);
    out.put_u32(raw.begin);
    out.put_u32(raw.length);
}

fn put_range(out: &mut impl BufMut, id: u8, range: &HashRange, hashes: &[u8]) {
    put_head(out, id, HASH_RANGE as usize + hashes.len());
    out.put_slice(range.root.as_bytes());
    out.put_u32(range.base_layer);
    out.put_u32(range.index);
    out.put_u32(range.length);
    out.put_u32(range.proof_layers);
    out.put_slice(hashes);
}

/// What is left of a message's body.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    fn request(&mut self) -> Option<RawRequest> {
        Some(RawRequest {
            piece: self.u32()?,
            begin: self.u32()?,
            length: self.u32()?,
        })
    }

    fn range(&mut self) -> Option<HashRange> {
        Some(HashRange {
            root: MerkleHash(self.take()?),
            base_layer: self.u32()?,
            index: self.u32()?,
            length: self.u32()?,
            proof_layers: self.u32()?,
        })
    }

    fn rest(&mut self) -> Bytes {
        Bytes::copy_from_slice(std::mem::take(&mut self.0))
    }
}

/// Bytes are shown by their number alone: a log line stays a line.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeepAlive => write!(f, "KeepAlive"),
            Self::Choke => write!(f, "Choke"),
            Self::Unchoke => write!(f, "Unchoke"),
            Self::Interested => write!(f, "Interested"),
            Self::NotInterested => write!(f, "NotInterested"),
            Self::Have { piece } => write!(f, "Have({piece})"),
            Self::Bitfield(bits) => write!(f, "Bitfield({} bytes)", bits.len()),
            Self::Request(raw) => write!(f, "Request({}, {}+{})", raw.piece, raw.begin, raw.length),
            Self::Piece { piece, begin, data } => {
                write!(f, "Piece({piece}, {begin}+{})", data.len())
            }
            Self::Cancel(raw) => write!(f, "Cancel({}, {}+{})", raw.piece, raw.begin, raw.length),
            Self::Port(port) => write!(f, "Port({port})"),
            Self::Suggest { piece } => write!(f, "Suggest({piece})"),
            Self::HaveAll => write!(f, "HaveAll"),
            Self::HaveNone => write!(f, "HaveNone"),
            Self::Reject(raw) => write!(f, "Reject({}, {}+{})", raw.piece, raw.begin, raw.length),
            Self::AllowedFast { piece } => write!(f, "AllowedFast({piece})"),
            Self::Extended { id, payload } => write!(f, "Extended({id}, {} bytes)", payload.len()),
            Self::HashRequest(range) => write!(f, "HashRequest({range:?})"),
            Self::Hashes { range, hashes } => {
                write!(f, "Hashes({range:?}, {} bytes)", hashes.len())
            }
            Self::HashReject(range) => write!(f, "HashReject({range:?})"),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use metainfo::geometry::{Geometry, PieceLength};
    use proptest::prelude::*;

    fn bytes(max: usize) -> impl Strategy<Value = Bytes> {
        proptest::collection::vec(any::<u8>(), 0..max).prop_map(Bytes::from)
    }

    fn raw() -> impl Strategy<Value = RawRequest> {
        any::<(u32, u32, u32)>().prop_map(|(piece, begin, length)| RawRequest {
            piece,
            begin,
            length,
        })
    }

    fn range() -> impl Strategy<Value = HashRange> {
        any::<([u8; 32], u32, u32, u32, u32)>().prop_map(
            |(root, base_layer, index, length, proof_layers)| HashRange {
                root: MerkleHash(root),
                base_layer,
                index,
                length,
                proof_layers,
            },
        )
    }

    /// Any message at all.
    pub(crate) fn message() -> impl Strategy<Value = Message> {
        let index = any::<u32>;
        prop_oneof![
            Just(Message::KeepAlive),
            Just(Message::Choke),
            Just(Message::Unchoke),
            Just(Message::Interested),
            Just(Message::NotInterested),
            Just(Message::HaveAll),
            Just(Message::HaveNone),
            index().prop_map(|piece| Message::Have { piece }),
            index().prop_map(|piece| Message::Suggest { piece }),
            index().prop_map(|piece| Message::AllowedFast { piece }),
            any::<u16>().prop_map(Message::Port),
            raw().prop_map(Message::Request),
            raw().prop_map(Message::Cancel),
            raw().prop_map(Message::Reject),
            bytes(300).prop_map(Message::Bitfield),
            (index(), index(), bytes(300)).prop_map(|(piece, begin, data)| Message::Piece {
                piece,
                begin,
                data
            }),
            (any::<u8>(), bytes(300)).prop_map(|(id, payload)| Message::Extended { id, payload }),
            range().prop_map(Message::HashRequest),
            range().prop_map(Message::HashReject),
            (range(), bytes(300)).prop_map(|(range, hashes)| Message::Hashes { range, hashes }),
        ]
    }

    #[test]
    fn a_piece_header_is_the_beginning_of_a_piece_message() {
        let geometry = Geometry::new(PieceLength::new(32768).unwrap(), 100_000).unwrap();
        let block = geometry
            .block(RawRequest {
                piece: 2,
                begin: 16384,
                length: 5,
            })
            .unwrap();
        let mut whole = Vec::new();
        Message::Piece {
            piece: 2,
            begin: 16384,
            data: Bytes::from_static(b"hello"),
        }
        .encode(&mut whole);
        assert_eq!(piece_header(block), whole[..PIECE_HEADER]);
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(message in message()) {
            let mut encoded = Vec::new();
            message.encode(&mut encoded);
            let (length, frame) = encoded.split_first_chunk().unwrap();
            prop_assert_eq!(u32::from_be_bytes(*length) as usize, frame.len());
            prop_assert_eq!(Message::decode(frame), Ok(message));
        }

        #[test]
        fn decoding_never_panics(frame in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Message::decode(&frame);
        }
    }
}
