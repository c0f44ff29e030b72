//! What a peer may well say, and some of what it may not.

use super::*;
use wire::extended::metadata::MetadataMessage;
use wire::extended::pex::{PexMessage, PexPeer};
use wire::extended::{ExtendedHandshake, LT_DONTHAVE, UT_METADATA, UT_PEX};

/// The number under which the peer takes peer exchange, where it does.
pub(super) const THEIR_PEX: u8 = 77;

/// A message of the peer; answers to what we asked for among them.
pub(super) fn peer_message(
    draw: &mut Draw<'_>,
    geometry: &Geometry,
    asked: &BTreeSet<Block>,
) -> Message {
    let request = |draw: &mut Draw<'_>| RawRequest {
        piece: u32::from(draw.u8() % 42),
        begin: u32::from(draw.u8() % 4) * 8 * 1024,
        length: 4 * 1024 * u32::from(draw.u8() % 5),
    };
    let answer = |draw: &mut Draw<'_>| {
        let n = usize::from(draw.u8()) % asked.len().max(1);
        asked.iter().nth(n).map(|block| block.raw())
    };
    let extended = |id, payload: Vec<u8>| Message::Extended {
        id,
        payload: payload.into(),
    };
    match draw.u8() % 34 {
        0 => Message::KeepAlive,
        1 => Message::NotInterested,
        2 | 3 => Message::Interested,
        4 => Message::Have {
            piece: u32::from(draw.u8() % 42),
        },
        5 => {
            let n = usize::from(draw.u8() % 7);
            Message::Bitfield(Bytes::copy_from_slice(draw.bytes(n)))
        }
        6..=10 => Message::Request(request(draw)),
        11 | 12 => Message::Cancel(request(draw)),
        13 => Message::HaveAll,
        14 => Message::HaveNone,
        15 | 20 => {
            let handshake = ExtendedHandshake {
                extensions: [
                    (UT_METADATA.to_owned(), draw.u8() % 4),
                    (UT_PEX.to_owned(), THEIR_PEX),
                    (LT_DONTHAVE.to_owned(), 78),
                ]
                .into(),
                request_queue: Some(u32::from(draw.u8() % 8)),
                metadata_size: Some(draw.u32()),
                ..ExtendedHandshake::default()
            };
            extended(0, handshake.encode())
        }
        16 | 17 => {
            let piece = u32::from(draw.u8() % 6);
            extended(1, MetadataMessage::Request { piece }.encode())
        }
        18 => Message::HashRequest(range(draw)),
        21 | 22 => Message::Unchoke,
        23 => Message::Choke,
        24..=26 => match answer(draw) {
            Some(raw) => Message::Piece {
                piece: raw.piece,
                begin: raw.begin,
                data: vec![0; raw.length as usize].into(),
            },
            None => Message::Unchoke,
        },
        27 => Message::Reject(answer(draw).unwrap_or(request(draw))),
        28 => Message::Suggest {
            piece: u32::from(draw.u8() % 42),
        },
        29 => {
            let total_size = u32::from(draw.u16()) * u32::from(draw.u8() % 3);
            let data = vec![0; usize::from(draw.u16() % 16_400)].into();
            let piece = u32::from(draw.u8() % 6);
            let message = MetadataMessage::Data {
                piece,
                total_size,
                data,
            };
            extended(1, message.encode())
        }
        30 => {
            let piece = u32::from(draw.u8() % 6);
            extended(1, MetadataMessage::Reject { piece }.encode())
        }
        31 => {
            let address = ([10, 0, draw.u8(), draw.u8()], draw.u16()).into();
            let flags = wire::extended::pex::PexFlags(draw.u8());
            let added = vec![PexPeer { address, flags }; usize::from(draw.u8())];
            extended(
                2,
                PexMessage {
                    added,
                    dropped: Vec::new(),
                }
                .encode(),
            )
        }
        32 => extended(
            3,
            (u32::from(draw.u8()) % (geometry.n_pieces() + 1))
                .to_be_bytes()
                .to_vec(),
        ),
        33 => match draw.u8() % 2 {
            0 => Message::Hashes {
                range: range(draw),
                hashes: Bytes::from(vec![0; 32 * usize::from(draw.u8() % 5)]),
            },
            _ => Message::HashReject(range(draw)),
        },
        _ => Message::AllowedFast {
            piece: u32::from(draw.u8()),
        },
    }
}

/// A range of hashes, often the same.
pub(super) fn range(draw: &mut Draw<'_>) -> HashRange {
    HashRange {
        root: metainfo::MerkleHash([5; 32]),
        base_layer: u32::from(draw.u8() % 2),
        index: u32::from(draw.u8() % 2),
        length: u32::from(draw.u8() % 2),
        proof_layers: u32::from(draw.u8() % 2),
    }
}
