//! Stories of one connection: a test speaks as the peer, in raw messages, and reads what comes back.

use super::*;
use crate::extended::metadata::{METADATA_PIECE, MetadataMessage};
use crate::extended::pex::{PexFlags, PexMessage, PexPeer};
use crate::extended::{ExtendedHandshake, UT_METADATA};
use crate::handshake::Reserved;
use crate::message::{HashRange, PIECE_HEADER, piece_header};
use bytes::Bytes;
use metainfo::geometry::{Block, Geometry, RawRequest};
use proptest::prelude::*;
use story::{Story, served};

mod fetching;
mod pair;
mod story;

const SWARM: SwarmHash = SwarmHash([7; 20]);
const US: PeerId = PeerId(*b"-GS0100-000000000000");
const THEM: PeerId = PeerId(*b"-XX0100-111111111111");

fn request(piece: u32, begin: u32) -> RawRequest {
    RawRequest {
        piece,
        begin,
        length: 16 * 1024,
    }
}

#[test]
fn a_fast_peer_hears_have_all_and_an_old_one_a_bitfield() {
    let mut story = Story::begin();
    let reserved = Reserved::default().with_fast().with_extended();
    story.hear(
        &Handshake {
            reserved,
            swarm: SWARM,
            peer_id: THEM,
        }
        .encode(),
    );
    assert_eq!(story.said, [Message::HaveAll]);
    story.after(1);
    let Message::Extended { id: 0, payload } = &story.said[1] else {
        panic!("{:?}", story.said);
    };
    let handshake = ExtendedHandshake::decode(payload).unwrap();
    assert_eq!(
        (handshake.id_of(UT_METADATA), handshake.metadata_size),
        (Some(1), Some(40_000))
    );
    assert!(handshake.upload_only);
    let ours = Handshake::decode(story.greeting[..].try_into().unwrap()).unwrap();
    assert_eq!((ours.swarm, ours.peer_id), (SWARM, US));
    assert!(ours.reserved.fast() && ours.reserved.extended() && !ours.reserved.v2());

    let mut story = Story::begin();
    story.hear(
        &Handshake {
            reserved: Reserved::default(),
            swarm: SWARM,
            peer_id: THEM,
        }
        .encode(),
    );
    assert_eq!(
        story.said,
        [Message::Bitfield(Bytes::from_static(&[0xff, 0xc0]))]
    );
}

#[test]
fn we_introduce_ourselves_behind_the_first_message_or_after_a_moment() {
    let greet = || {
        let mut story = Story::begin();
        let theirs = Handshake {
            reserved: Reserved::default().with_fast().with_extended(),
            swarm: SWARM,
            peer_id: THEM,
        };
        story.hear(&theirs.encode());
        assert_eq!(
            story.said,
            [Message::HaveAll],
            "nothing more in that packet"
        );
        story
    };
    let introductions = |story: &Story| {
        let ours = |message: &&Message| matches!(message, Message::Extended { id: 0, .. });
        story.said.iter().filter(ours).count()
    };
    let mut story = greet();
    story.say(Message::HaveNone);
    assert_eq!(introductions(&story), 1);
    story.say(Message::Interested);
    story.after(1);
    assert_eq!(introductions(&story), 1, "once");
    let mut story = greet();
    story.after(1);
    assert_eq!(introductions(&story), 1);
    story.say(Message::HaveNone);
    assert_eq!(introductions(&story), 1, "once");
}

#[test]
fn messages_right_behind_the_handshake_are_not_lost() {
    let mut story = Story::begin();
    let mut bytes = Handshake {
        reserved: Reserved::default(),
        swarm: SWARM,
        peer_id: THEM,
    }
    .encode()
    .to_vec();
    Message::Interested.encode(&mut bytes);
    story.hear(&bytes);
    assert_eq!(story.events, [Event::Interested(true)]);
}

#[test]
fn strangers_are_turned_away_with_a_reason() {
    let check = |bytes: &[u8], reason: CloseReason| {
        let mut story = Story::begin();
        story.hear(bytes);
        assert_eq!(story.closed, Some(reason));
        assert!(story.greeting.is_empty(), "nothing is said to a stranger");
    };
    check(
        b"GET / HTTP/1.1\r\n\r\n",
        ProtocolError::NotBitTorrent.into(),
    );
    check(b"\x01", ProtocolError::NotBitTorrent.into());
    let own = Handshake {
        reserved: Reserved::default(),
        swarm: SWARM,
        peer_id: US,
    };
    check(&own.encode(), ProtocolError::SelfConnection.into());
    let other = Handshake {
        reserved: Reserved::default(),
        swarm: SwarmHash([8; 20]),
        peer_id: THEM,
    };
    check(&other.encode(), CloseReason::NotServed);
}

#[test]
fn nonsense_closes_with_its_name() {
    let check = |message: Message, kind: &str| {
        let mut story = Story::open(Reserved::default());
        story.say(message.clone());
        assert_eq!(
            story.closed.map(|reason| reason.kind()),
            Some(kind),
            "{message:?}"
        );
    };
    check(Message::HaveAll, "not_agreed");
    check(Message::HaveNone, "not_agreed");
    check(Message::Reject(request(0, 0)), "not_agreed");
    check(
        Message::Extended {
            id: 0,
            payload: Bytes::from_static(b"de"),
        },
        "not_agreed",
    );
    check(Message::Have { piece: 10 }, "no_such_piece");
    check(Message::Bitfield(Bytes::from_static(&[0])), "bad_bitfield");
    check(
        Message::Bitfield(Bytes::from_static(&[0, 1])),
        "bad_bitfield",
    );
    check(Message::Bitfield(Bytes::from_static(&[0; 3])), "bad_length");
    check(Message::Request(request(10, 0)), "bad_request");
    check(
        Message::Request(RawRequest {
            piece: 0,
            begin: 0,
            length: 1 << 20,
        }),
        "bad_request",
    );
    check(
        Message::Request(RawRequest {
            piece: 0,
            begin: u32::MAX,
            length: 2,
        }),
        "bad_request",
    );
    check(
        Message::Piece {
            piece: 0,
            begin: 0,
            data: Bytes::from_static(b"x"),
        },
        "unasked_block",
    );
}

#[test]
fn a_request_is_served_only_when_unchoked_and_answered_either_way() {
    let mut story = Story::open_fast();
    story.say(Message::Interested);
    story.say(Message::Request(request(0, 0)));
    assert_eq!(story.said, [Message::Reject(request(0, 0))]);
    story.command(Command::Choke(false));
    story.say(Message::Request(request(9, 16 * 1024 - 100)));
    assert_eq!(story.said[1..], [Message::Unchoke]);
    assert_eq!(story.read, [request(9, 16 * 1024 - 100)]);
    assert_eq!(story.connection.tally().blocks, 1);

    // Without BEP 6 there is no way to say no.
    let mut story = Story::open(Reserved::default());
    story.say(Message::Request(request(0, 0)));
    assert_eq!(story.said, []);
    assert_eq!(story.connection.tally().refused_requests, 1);
}

#[test]
fn the_window_holds_blocks_back_until_bytes_are_taken() {
    let mut story = Story::open_fast();
    story.take_bytes = false;
    story.connection.handle_sent(story.now, 1 << 20);
    story.command(Command::Choke(false));
    for piece in 0..9 {
        story.say(Message::Request(request(piece, 0)));
        story.say(Message::Request(request(piece, 16 * 1024)));
    }
    let window = story::settings().send_window;
    assert_eq!(story.read.len(), window.div_ceil(PIECE_HEADER + 16 * 1024));
    let before = story.read.len();
    story
        .connection
        .handle_sent(story.now, 2 * (PIECE_HEADER + 16 * 1024));
    story.drain();
    assert!(story.read.len() > before);
}

#[test]
fn choking_rejects_what_waits_and_spares_what_is_under_way() {
    let mut story = Story::open_fast();
    story.take_bytes = false;
    story.command(Command::Choke(false));
    for _ in 0..2 {
        for piece in 0..10 {
            story.say(Message::Request(request(piece, 0)));
        }
    }
    let waiting = 20 - story.read.len();
    story.said.clear();
    story.command(Command::Choke(true));
    story.drain();
    assert_eq!(story.said[0], Message::Choke);
    assert_eq!(story.said.len(), 1 + waiting);
    assert!(
        story.said[1..]
            .iter()
            .all(|message| matches!(message, Message::Reject(_)))
    );
}

#[test]
fn a_cancelled_request_is_answered_by_a_reject() {
    let mut story = Story::open_fast();
    story.take_bytes = false;
    story.command(Command::Choke(false));
    for piece in 0..10 {
        story.say(Message::Request(request(piece, 0)));
        story.say(Message::Request(request(piece, 16 * 1024 - 100)));
    }
    story.said.clear();
    story.say(Message::Cancel(request(0, 0)));
    assert_eq!(story.said, [], "it is under way");
    story.say(Message::Cancel(request(9, 0)));
    assert_eq!(story.said, [Message::Reject(request(9, 0))]);
}

#[test]
fn too_many_requests_are_rejected_and_a_flood_closes() {
    let mut story = Story::open_fast();
    story.take_bytes = false;
    story.command(Command::Choke(false));
    for _ in 0..600 {
        story.say(Message::Request(request(1, 0)));
    }
    let rejected = story
        .said
        .iter()
        .filter(|message| matches!(message, Message::Reject(_)))
        .count();
    assert_eq!(rejected, 600 - 512 - story.read.len());
    let mut story = Story::open_fast();
    for _ in 0..5000 {
        story.say(Message::Request(request(1, 0)));
    }
    assert_eq!(
        story.closed.map(|reason| reason.kind()),
        Some("request_flood")
    );
}

#[test]
fn a_peer_that_reads_nothing_is_read_no_more() {
    let mut story = Story::open_fast();
    story.take_bytes = false;
    let mut bytes = Vec::new();
    for _ in 0..4000 {
        Message::Request(request(1, 0)).encode(&mut bytes);
        Message::HaveNone.encode(&mut bytes);
    }
    let mut offered = 0;
    while story.connection.wants_input() && offered < 100 {
        story.hear(&bytes[..17 * 100]);
        story.command(Command::Choke(offered % 2 == 0));
        offered += 1;
    }
    assert!(offered < 100 || story.closed.is_some());
    if story.closed.is_none() {
        assert_eq!(story.connection.handle_bytes(story.now, &bytes), 0);
        story.after(61);
        assert_eq!(story.closed, Some(CloseReason::Stalled));
    }
}

#[test]
fn metadata_is_given_piece_by_piece_a_few_times() {
    let mut story = Story::open_fast();
    let ask = |piece| Message::Extended {
        id: 1,
        payload: MetadataMessage::Request { piece }.encode().into(),
    };
    story.say(ask(0));
    assert_eq!(story.said, [], "no number to answer under was given");
    let handshake = ExtendedHandshake {
        extensions: [(UT_METADATA.to_owned(), 9)].into(),
        ..Default::default()
    };
    story.say(Message::Extended {
        id: 0,
        payload: handshake.encode().into(),
    });
    let mut answers = |piece| {
        story.said.clear();
        story.say(ask(piece));
        let [Message::Extended { id: 9, payload }] = &story.said[..] else {
            panic!("{:?}", story.said);
        };
        MetadataMessage::decode(payload).unwrap()
    };
    let MetadataMessage::Data {
        piece: 2,
        total_size: 40_000,
        data,
    } = answers(2)
    else {
        panic!("the last piece");
    };
    assert_eq!(data.len(), 40_000 - 2 * METADATA_PIECE);
    assert_eq!(answers(3), MetadataMessage::Reject { piece: 3 });
    assert_eq!(
        answers(u32::MAX),
        MetadataMessage::Reject { piece: u32::MAX }
    );
    for _ in 0..4 {
        assert!(matches!(answers(0), MetadataMessage::Data { .. }));
    }
    assert_eq!(answers(0), MetadataMessage::Reject { piece: 0 });
    assert!(matches!(answers(1), MetadataMessage::Data { .. }));
}

#[test]
fn two_seeds_part_and_a_finished_peer_too() {
    let mut story = Story::open_fast();
    story.say(Message::HaveAll);
    assert_eq!(story.closed, Some(CloseReason::BothSeeds));

    let mut story = Story::open(Reserved::default());
    story.say(Message::Bitfield(Bytes::from_static(&[0xff, 0xc0])));
    assert_eq!(story.closed, Some(CloseReason::BothSeeds));

    let mut story = Story::open_fast();
    story.say(Message::Interested);
    for piece in 0..10 {
        story.say(Message::Have { piece });
    }
    assert_eq!((story.closed, story.connection.peer_pieces()), (None, 10));
    story.say(Message::NotInterested);
    assert_eq!(story.closed, Some(CloseReason::BothSeeds));
}

#[test]
fn silence_is_broken_by_us_and_punished_in_others() {
    let mut story = Story::open_fast();
    story.after(99);
    assert_eq!(story.said, []);
    story.after(1);
    assert_eq!(story.said, [Message::KeepAlive]);
    story.say(Message::KeepAlive);
    story.after(179);
    assert_eq!(story.closed, None);
    story.after(1);
    assert_eq!(story.closed, Some(CloseReason::Silent));

    let mut story = Story::begin();
    story.hear(b"\x13BitTorrent");
    story.after(12);
    assert_eq!(story.closed, Some(CloseReason::HandshakeTimeout));
}

/// The handshake that answers `theirs` on a hybrid torrent, and the story after it.
fn hybrid(reserved: Reserved, swarm: SwarmHash) -> (Handshake, Story) {
    let mut story = Story::begin();
    let theirs = Handshake {
        reserved,
        swarm,
        peer_id: THEM,
    }
    .encode();
    assert_eq!(
        story.connection.handle_bytes(story.now, &theirs),
        theirs.len()
    );
    assert_eq!(
        story.connection.poll_output(story.now),
        Some(Output::Identify(swarm))
    );
    story.connection.admit(
        story.now,
        Served {
            v2: Some(V2_SWARM),
            ..served(10, 100)
        },
        None,
    );
    story.drain();
    (
        Handshake::decode(story.greeting[..].try_into().unwrap()).unwrap(),
        story,
    )
}

const V2_SWARM: SwarmHash = SwarmHash([2; 20]);

#[test]
fn a_hybrid_answers_in_the_version_of_who_asks() {
    let check = |reserved: Reserved, asked: SwarmHash, answered: SwarmHash, v2: bool| {
        let (ours, _) = hybrid(reserved, asked);
        assert_eq!((ours.swarm, ours.reserved.v2()), (answered, v2));
    };
    check(Reserved::default(), SWARM, SWARM, false);
    check(Reserved::default().with_v2(), SWARM, V2_SWARM, true);
    check(Reserved::default().with_v2(), V2_SWARM, V2_SWARM, true);
    check(Reserved::default(), V2_SWARM, V2_SWARM, true);
}

#[test]
fn hashes_are_asked_of_the_shell() {
    let range = HashRange {
        root: metainfo::ids::MerkleHash([1; 32]),
        base_layer: 4,
        index: 0,
        length: 2,
        proof_layers: 1,
    };
    let (_, mut story) = hybrid(Reserved::default().with_v2(), V2_SWARM);
    story.say(Message::HashRequest(range));
    assert_eq!(story.said.last(), Some(&Message::HashReject(range)));
    assert_eq!(story.connection.tally().refused_hashes, 1);
}

#[test]
fn nothing_follows_the_end() {
    let mut story = Story::open_fast();
    story.say(Message::Request(request(0, 0)));
    story.command(Command::Choke(false));
    story.connection.close(CloseReason::Withdrawn);
    story.drain();
    assert_eq!(
        story.said.last(),
        Some(&Message::Unchoke),
        "what was said before goes out"
    );
    assert_eq!(story.closed, Some(CloseReason::Withdrawn));
    assert_eq!(story.connection.next_timeout(), None);
    story.command(Command::Choke(true));
    story.connection.close(CloseReason::Silent);
    story.after(1000);
    assert!(!story.drain());
}

/// What a hostile peer and a busy shell may do, in any order.
#[derive(Debug, Clone)]
enum Operation {
    Say(Message),
    Noise(Vec<u8>),
    Choke(bool),
    Wait(u64),
    Take(usize),
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        4 => crate::message::tests::message().prop_map(Operation::Say),
        4 => (0u32..11, 0u32..3, 0u32..3).prop_map(|(piece, begin, length)| {
            Operation::Say(Message::Request(RawRequest { piece, begin: begin * 16384, length: length * 16384 }))
        }),
        1 => proptest::collection::vec(any::<u8>(), 0..30).prop_map(Operation::Noise),
        2 => any::<bool>().prop_map(Operation::Choke),
        1 => (0u64..70).prop_map(Operation::Wait),
        1 => (0usize..100_000).prop_map(Operation::Take),
    ]
}

proptest! {
    #[test]
    fn no_order_of_events_breaks_the_bounds(operations in proptest::collection::vec(operation(), 0..80)) {
        let mut story = Story::open_fast();
        story.take_bytes = false;
        for operation in operations {
            match operation {
                Operation::Say(message) => story.say(message),
                Operation::Noise(bytes) => story.hear(&bytes),
                Operation::Choke(choked) => story.command(Command::Choke(choked)),
                Operation::Wait(seconds) => story.after(seconds),
                Operation::Take(bytes) => story.connection.handle_sent(story.now, bytes),
            }
            story.drain();
            let unsent = &story.connection.unsent;
            let blocks = unsent.total() - unsent.control();
            prop_assert!(blocks <= story.connection.settings.send_window + Block::MAX_LENGTH as usize);
            prop_assert!(unsent.control() <= CONTROL_SLACK + 512 * 17 + METADATA_PIECE + 100);
            if let Stage::Open(session) = &story.connection.stage {
                prop_assert!(session.requests.len() <= 512);
            }
        }
    }
}
