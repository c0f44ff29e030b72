//! The vectors in `tests/vectors`, which the player's tests read too: the one guard against two
//! implementations of the same bytes drifting apart.

use crate::bitfield::Bitfield;
use crate::decoder::Decoder;
use crate::extended::ExtendedHandshake;
use crate::extended::metadata::MetadataMessage;
use crate::handshake::{Handshake, Reserved};
use crate::message::{DecodeError, HashRange, Message};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use metainfo::geometry::{Geometry, PieceLength, RawRequest};
use metainfo::ids::{PeerId, SwarmHash};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::IpAddr;

macro_rules! vectors {
    ($name:literal) => {
        serde_json::from_str(include_str!(concat!("../../../tests/vectors/", $name))).expect($name)
    };
}

fn bytes(hex: &str) -> Vec<u8> {
    HEXLOWER.decode(hex.replace(' ', "").as_bytes()).expect(hex)
}

fn encode<T: Default>(write: impl FnOnce(&mut T)) -> T {
    let mut out = T::default();
    write(&mut out);
    out
}

#[test]
fn handshakes() {
    #[derive(Deserialize)]
    struct File {
        valid: Vec<Valid>,
        malformed: Vec<Malformed>,
    }
    #[derive(Deserialize)]
    struct Valid {
        name: String,
        hex: String,
        reserved: Bits,
        swarm: SwarmHash,
        peer_id: PeerId,
    }
    #[derive(Deserialize)]
    struct Bits {
        extended: bool,
        fast: bool,
        dht: bool,
        v2: bool,
    }
    #[derive(Deserialize)]
    struct Malformed {
        name: String,
        hex: String,
    }
    let file: File = vectors!("handshake.json");
    for case in file.valid {
        let set = |reserved: Reserved, on: bool, with: fn(Reserved) -> Reserved| {
            if on { with(reserved) } else { reserved }
        };
        let mut reserved = Reserved::default();
        reserved = set(reserved, case.reserved.extended, Reserved::with_extended);
        reserved = set(reserved, case.reserved.fast, Reserved::with_fast);
        reserved = set(reserved, case.reserved.dht, Reserved::with_dht);
        reserved = set(reserved, case.reserved.v2, Reserved::with_v2);
        let meaning = Handshake {
            reserved,
            swarm: case.swarm,
            peer_id: case.peer_id,
        };
        let wire: [u8; 68] = bytes(&case.hex).try_into().expect(&case.name);
        assert_eq!(Handshake::decode(&wire), Ok(meaning), "{}", case.name);
        assert_eq!(meaning.encode(), wire, "{}", case.name);
    }
    for case in file.malformed {
        let wire: [u8; 68] = bytes(&case.hex).try_into().expect(&case.name);
        assert!(Handshake::decode(&wire).is_err(), "{}", case.name);
    }
}

/// A message as the vectors word it; what a type doesn't need is absent.
#[derive(Deserialize)]
struct Meaning {
    r#type: String,
    #[serde(default)]
    piece: u32,
    #[serde(default)]
    begin: u32,
    #[serde(default)]
    length: u32,
    #[serde(default)]
    port: u16,
    #[serde(default)]
    id: u8,
    #[serde(default)]
    data: String,
    root: Option<metainfo::ids::MerkleHash>,
    #[serde(default)]
    base_layer: u32,
    #[serde(default)]
    index: u32,
    #[serde(default)]
    proof_layers: u32,
    #[serde(default)]
    total_size: u32,
}

impl Meaning {
    fn message(&self) -> Message {
        let piece = self.piece;
        let data = Bytes::from(bytes(&self.data));
        let raw = RawRequest {
            piece,
            begin: self.begin,
            length: self.length,
        };
        let range = || HashRange {
            root: self.root.expect("a root"),
            base_layer: self.base_layer,
            index: self.index,
            length: self.length,
            proof_layers: self.proof_layers,
        };
        match self.r#type.as_str() {
            "keep_alive" => Message::KeepAlive,
            "choke" => Message::Choke,
            "unchoke" => Message::Unchoke,
            "interested" => Message::Interested,
            "not_interested" => Message::NotInterested,
            "have" => Message::Have { piece },
            "bitfield" => Message::Bitfield(data),
            "request" => Message::Request(raw),
            "piece" => Message::Piece {
                piece,
                begin: self.begin,
                data,
            },
            "cancel" => Message::Cancel(raw),
            "port" => Message::Port(self.port),
            "suggest" => Message::Suggest { piece },
            "have_all" => Message::HaveAll,
            "have_none" => Message::HaveNone,
            "reject" => Message::Reject(raw),
            "allowed_fast" => Message::AllowedFast { piece },
            "extended" => Message::Extended {
                id: self.id,
                payload: data,
            },
            "hash_request" => Message::HashRequest(range()),
            "hashes" => Message::Hashes {
                range: range(),
                hashes: data,
            },
            "hash_reject" => Message::HashReject(range()),
            other => panic!("a message of type {other}"),
        }
    }
}

#[test]
fn messages() {
    #[derive(Deserialize)]
    struct File {
        valid: Vec<Valid>,
        malformed: Vec<Malformed>,
    }
    #[derive(Deserialize)]
    struct Valid {
        name: String,
        hex: String,
        message: Meaning,
    }
    #[derive(Deserialize)]
    struct Malformed {
        name: String,
        hex: String,
        error: String,
    }
    let file: File = vectors!("messages.json");
    for case in file.valid {
        let wire = bytes(&case.hex);
        let meaning = case.message.message();
        let mut input = &wire[..];
        assert_eq!(
            Decoder::default().feed(&mut input),
            Ok(Some(meaning.clone())),
            "{}",
            case.name
        );
        assert!(input.is_empty(), "{}", case.name);
        assert_eq!(
            encode::<Vec<u8>>(|out| meaning.encode(out)),
            wire,
            "{}",
            case.name
        );
    }
    for case in file.malformed {
        let error = match Decoder::default().feed(&mut &bytes(&case.hex)[..]) {
            Err(DecodeError::UnknownMessage { .. }) => "unknown_message",
            Err(DecodeError::BadLength { .. }) => "bad_length",
            Ok(message) => panic!("{}: {message:?}", case.name),
        };
        assert_eq!(error, case.error, "{}", case.name);
    }
}

#[test]
fn extended() {
    #[derive(Deserialize)]
    struct File {
        handshake: Part<Handshaken>,
        ut_metadata: Part<Metadata>,
    }
    #[derive(Deserialize)]
    struct Part<T> {
        valid: Vec<T>,
        malformed: Vec<Malformed>,
    }
    #[derive(Deserialize)]
    struct Handshaken {
        name: String,
        text: String,
        encodes: Option<bool>,
        extensions: BTreeMap<String, u8>,
        client: Option<String>,
        port: Option<u16>,
        request_queue: Option<u32>,
        metadata_size: Option<u32>,
        your_ip: Option<IpAddr>,
        upload_only: bool,
    }
    #[derive(Deserialize)]
    struct Metadata {
        name: String,
        text: String,
        message: Meaning,
    }
    #[derive(Deserialize)]
    struct Malformed {
        name: String,
        text: String,
    }
    let file: File = vectors!("extended.json");
    for case in file.handshake.valid {
        let meaning = ExtendedHandshake {
            extensions: case.extensions,
            client: case.client,
            port: case.port,
            request_queue: case.request_queue,
            metadata_size: case.metadata_size,
            your_ip: case.your_ip,
            upload_only: case.upload_only,
        };
        assert_eq!(
            ExtendedHandshake::decode(case.text.as_bytes()),
            Ok(meaning.clone()),
            "{}",
            case.name
        );
        if case.encodes != Some(false) {
            assert_eq!(
                String::from_utf8_lossy(&meaning.encode()),
                case.text,
                "{}",
                case.name
            );
        }
    }
    for case in file.handshake.malformed {
        assert!(
            ExtendedHandshake::decode(case.text.as_bytes()).is_err(),
            "{}",
            case.name
        );
    }
    for case in file.ut_metadata.valid {
        let Meaning {
            piece,
            total_size,
            ref data,
            ..
        } = case.message;
        let meaning = match case.message.r#type.as_str() {
            "request" => MetadataMessage::Request { piece },
            "data" => MetadataMessage::Data {
                piece,
                total_size,
                data: bytes(data).into(),
            },
            "reject" => MetadataMessage::Reject { piece },
            other => panic!("a metadata message of type {other}"),
        };
        let wire = Bytes::from(case.text.into_bytes());
        assert_eq!(
            MetadataMessage::decode(&wire),
            Ok(meaning.clone()),
            "{}",
            case.name
        );
        assert_eq!(meaning.encode(), wire, "{}", case.name);
    }
    for case in file.ut_metadata.malformed {
        assert!(
            MetadataMessage::decode(&case.text.into_bytes().into()).is_err(),
            "{}",
            case.name
        );
    }
}

#[test]
fn geometry() {
    #[derive(Deserialize)]
    struct File {
        torrents: Vec<Torrent>,
    }
    #[derive(Deserialize)]
    struct Torrent {
        name: String,
        piece_length: i64,
        total_length: u64,
        n_pieces: u32,
        last_piece_length: u32,
        blocks_in_last_piece: usize,
        last_block_length: u32,
        served: Vec<Request>,
        refused: Vec<Request>,
    }
    #[derive(Deserialize)]
    struct Request {
        piece: u32,
        begin: u32,
        length: u32,
        #[serde(default)]
        at: u64,
    }
    let file: File = vectors!("geometry.json");
    for case in file.torrents {
        let name = &case.name;
        let geometry = Geometry::new(
            PieceLength::new(case.piece_length).unwrap(),
            case.total_length,
        )
        .unwrap();
        assert_eq!(geometry.n_pieces(), case.n_pieces, "{name}");
        if let Some(last) = geometry.pieces().last() {
            assert_eq!(geometry.piece_len(last), case.last_piece_length, "{name}");
            assert_eq!(
                geometry.blocks(last).count(),
                case.blocks_in_last_piece,
                "{name}"
            );
            assert_eq!(
                geometry.blocks(last).last().map(|b| b.length()),
                Some(case.last_block_length),
                "{name}"
            );
        }
        let raw = |r: &Request| RawRequest {
            piece: r.piece,
            begin: r.begin,
            length: r.length,
        };
        for request in &case.served {
            let block = geometry.block(raw(request)).expect(name);
            let range = geometry.block_range(block);
            assert_eq!(
                range,
                request.at..request.at + u64::from(request.length),
                "{name}"
            );
        }
        for request in &case.refused {
            assert!(
                geometry.block(raw(request)).is_err(),
                "{name}: {:?}",
                raw(request)
            );
        }
    }
}

#[test]
fn bitfields() {
    #[derive(Deserialize)]
    struct File {
        valid: Vec<Valid>,
        malformed: Vec<Malformed>,
    }
    #[derive(Deserialize)]
    struct Valid {
        name: String,
        n_pieces: u32,
        hex: String,
        has: Vec<u32>,
    }
    #[derive(Deserialize)]
    struct Malformed {
        name: String,
        n_pieces: u32,
        hex: String,
    }
    let file: File = vectors!("bitfield.json");
    for case in file.valid {
        let wire = bytes(&case.hex);
        let field = Bitfield::from_bytes(&wire, case.n_pieces).expect(&case.name);
        // A byte a piece: the cheapest torrent of so many pieces.
        let geometry =
            Geometry::new(PieceLength::new(1).unwrap(), u64::from(case.n_pieces)).unwrap();
        let has: Vec<u32> = geometry
            .pieces()
            .filter(|piece| field.has(*piece))
            .map(|piece| piece.get())
            .collect();
        assert_eq!(has, case.has, "{}", case.name);
        let mut made = Bitfield::none(case.n_pieces);
        for piece in case.has {
            assert!(made.set(geometry.piece(piece).expect(&case.name)));
        }
        assert_eq!(made.as_bytes(), wire, "{}", case.name);
    }
    for case in file.malformed {
        assert!(
            Bitfield::from_bytes(&bytes(&case.hex), case.n_pieces).is_err(),
            "{}",
            case.name
        );
    }
}
