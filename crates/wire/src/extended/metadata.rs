//! Metadata exchange (BEP 9): the info dictionary in pieces of 16 KiB, for peers that came by a magnet
//! link. The messages here; who may have how many is in [`crate::connection`].

use bytes::Bytes;
use metainfo::bencode::{self, BencodeError, Limits, Node, Value};
use std::ops::Range;

/// The unit in which metadata is asked for and sent.
pub const METADATA_PIECE: usize = 16 * 1024;

const LIMITS: Limits = Limits {
    bytes: 64 << 10,
    depth: 4,
    values: 50,
};

/// One message of the `ut_metadata` extension.
#[derive(Clone, PartialEq, Eq)]
pub enum MetadataMessage {
    /// A piece of metadata is asked for.
    Request {
        /// Its index, as the peer wrote it.
        piece: u32,
    },
    /// A piece of metadata.
    Data {
        /// Its index.
        piece: u32,
        /// The length of all metadata.
        total_size: u32,
        /// The bytes.
        data: Bytes,
    },
    /// A request that won't be served.
    Reject {
        /// The index asked for.
        piece: u32,
    },
}

/// Bytes that are no message of this extension.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadMetadataMessage {
    /// Not bencode.
    #[error("metadata message: {0}")]
    Bencode(#[from] BencodeError),
    /// A key is missing or of the wrong kind, or the type is unknown; BEP 9 asks to pass over the latter.
    #[error("metadata message without a usable `{0}`")]
    Field(&'static str),
}

impl MetadataMessage {
    /// The payload of an [`crate::message::Message::Extended`].
    pub fn encode(&self) -> Vec<u8> {
        let head = |kind: i64, piece: u32, size: Option<u32>| {
            let mut entries = vec![
                ("msg_type", Node::from(kind)),
                ("piece", Node::from(i64::from(piece))),
            ];
            entries.extend(size.map(|size| ("total_size", Node::from(i64::from(size)))));
            Node::dict(entries).to_bytes()
        };
        match self {
            Self::Request { piece } => head(0, *piece, None),
            Self::Data {
                piece,
                total_size,
                data,
            } => {
                let mut payload = head(1, *piece, Some(*total_size));
                payload.extend_from_slice(data);
                payload
            }
            Self::Reject { piece } => head(2, *piece, None),
        }
    }

    /// Reads a payload.
    pub fn decode(payload: &Bytes) -> Result<Self, BadMetadataMessage> {
        let (value, used) = bencode::decode_prefix(payload, &LIMITS)?;
        let number = |key: &'static str| {
            let number = value
                .get(key)
                .and_then(Value::as_int)
                .and_then(|n| u32::try_from(n).ok());
            number.ok_or(BadMetadataMessage::Field(key))
        };
        let piece = number("piece")?;
        match number("msg_type")? {
            0 => Ok(Self::Request { piece }),
            1 => Ok(Self::Data {
                piece,
                total_size: number("total_size")?,
                data: payload.slice(used..),
            }),
            2 => Ok(Self::Reject { piece }),
            _ => Err(BadMetadataMessage::Field("msg_type")),
        }
    }
}

impl std::fmt::Debug for MetadataMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Request { piece } => write!(f, "Request({piece})"),
            Self::Data {
                piece,
                total_size,
                data,
            } => {
                write!(f, "Data({piece}, {} of {total_size} bytes)", data.len())
            }
            Self::Reject { piece } => write!(f, "Reject({piece})"),
        }
    }
}

/// Where a piece of metadata lies, or `None` where there is no such piece.
pub fn piece_range(piece: u32, metadata_len: usize) -> Option<Range<usize>> {
    let start = (piece as usize)
        .checked_mul(METADATA_PIECE)
        .filter(|start| *start < metadata_len)?;
    Some(start..metadata_len.min(start + METADATA_PIECE))
}

/// How many pieces there are.
pub fn n_pieces(metadata_len: usize) -> usize {
    metadata_len.div_ceil(METADATA_PIECE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pieces_tile_the_metadata() {
        assert_eq!(piece_range(0, 5), Some(0..5));
        assert_eq!(piece_range(1, 16 * 1024), None);
        assert_eq!(piece_range(1, 16 * 1024 + 1), Some(16384..16385));
        assert_eq!(piece_range(u32::MAX, 5), None);
        assert_eq!(n_pieces(16 * 1024 + 1), 2);
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(
            piece: u32, total_size: u32, data in proptest::collection::vec(any::<u8>(), 0..100)
        ) {
            for message in [
                MetadataMessage::Request { piece },
                MetadataMessage::Reject { piece },
                MetadataMessage::Data { piece, total_size, data: data.into() },
            ] {
                prop_assert_eq!(MetadataMessage::decode(&message.encode().into()), Ok(message));
            }
        }
    }
}
