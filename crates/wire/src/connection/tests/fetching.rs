//! The fetching side against a peer that says what it likes.

use super::story::{Story, geometry};
use super::*;
use crate::bitfield::Bitfield;

fn fetching() -> Served {
    Served {
        metadata: None,
        own: Own::Some(Bitfield::none(10)),
        upload_only: false,
        ..served(10, 0)
    }
}

/// A fetcher that was unchoked by a peer with these extensions.
fn unchoked(reserved: Reserved) -> Story {
    let mut story = Story::open_as(reserved, fetching());
    story.say(Message::Unchoke);
    story.events.clear();
    story.said.clear();
    story
}

fn fast() -> Reserved {
    Reserved::default().with_fast().with_extended()
}

fn block(piece: u32) -> Block {
    let geometry = geometry(10);
    geometry
        .blocks(geometry.piece(piece).unwrap())
        .next()
        .unwrap()
}

fn answer(block: Block) -> Message {
    Message::Piece {
        piece: block.piece().get(),
        begin: block.begin(),
        data: vec![0; block.length() as usize].into(),
    }
}

fn kind(story: &Story) -> Option<&'static str> {
    story.closed.map(|reason| reason.kind())
}

#[test]
fn the_peers_queue_is_respected() {
    let requests = |story: &Story| {
        let is_request = |message: &&Message| matches!(message, Message::Request(_));
        story.said.iter().filter(is_request).count()
    };
    let mut story = unchoked(fast());
    let handshake = ExtendedHandshake {
        request_queue: Some(3),
        ..Default::default()
    };
    story.say(Message::Extended {
        id: 0,
        payload: handshake.encode().into(),
    });
    story.said.clear();
    story.command(Command::Request((0..10).map(block).collect()));
    story.command(Command::Request(vec![block(0)]));
    story.drain();
    assert_eq!(requests(&story), 3);
    story.say(answer(block(1)));
    story.say(Message::Reject(block(0).raw()));
    assert_eq!(requests(&story), 5);
    story.command(Command::Cancel(block(2)));
    story.command(Command::Cancel(block(9)));
    story.drain();
    assert_eq!(requests(&story), 6);
    let cancels: Vec<_> = story
        .said
        .iter()
        .filter(|m| matches!(m, Message::Cancel(_)))
        .collect();
    assert_eq!(
        cancels,
        [&Message::Cancel(block(2).raw())],
        "the other was never sent"
    );
}

#[test]
fn only_what_was_asked_for_is_taken() {
    let mut story = unchoked(fast());
    story.command(Command::Request(vec![block(0), block(1)]));
    story.say(answer(block(0)));
    assert!(matches!(&story.events[..], [Event::Block { .. }]));
    story.command(Command::Cancel(block(1)));
    story.say(answer(block(1)));
    assert_eq!(
        (story.events.len(), story.connection.tally().late_blocks),
        (1, 1)
    );
    story.say(answer(block(1)));
    assert_eq!(kind(&story), Some("unasked_block"), "once only");

    // Half of a block is another block.
    let mut story = unchoked(fast());
    story.command(Command::Request(vec![block(0)]));
    story.say(Message::Piece {
        piece: 0,
        begin: 0,
        data: vec![0; 100].into(),
    });
    assert_eq!(kind(&story), Some("unasked_block"));

    let mut story = unchoked(fast());
    for _ in 0..100 {
        story.say(Message::Reject(block(5).raw()));
    }
    assert_eq!(kind(&story), Some("unasked_answers"));
}

#[test]
fn without_bep_6_a_choke_takes_everything_back() {
    let mut story = unchoked(Reserved::default());
    story.command(Command::Request(vec![block(0), block(1)]));
    story.say(Message::Choke);
    assert_eq!(story.events, [Event::Choked(true)]);
    // It was under way already.
    story.say(answer(block(0)));
    assert_eq!(story.connection.tally().late_blocks, 1);
    story.say(Message::Unchoke);
    story.command(Command::Request(vec![block(1)]));
    story.say(answer(block(1)));
    assert!(matches!(story.events.last(), Some(Event::Block { .. })));
}

#[test]
fn choked_nothing_is_asked_for() {
    let mut story = Story::open_as(fast(), fetching());
    story.command(Command::Request(vec![block(0)]));
    story.drain();
    assert_eq!(story.events, [Event::Rejected(block(0))]);
    assert!(story.said.is_empty());
}

#[test]
fn new_pieces_may_be_told_by_a_bitfield_each() {
    let mut story = unchoked(fast());
    story.say(Message::HaveNone);
    let mut field = Bitfield::none(10);
    let mut expected = vec![Event::HasNone];
    for index in 0..9 {
        let piece = block(index).piece();
        field.set(piece);
        expected.push(Event::Have(piece));
        story.say(Message::Bitfield(Bytes::copy_from_slice(field.as_bytes())));
    }
    assert_eq!(story.events, expected);
    assert_eq!(story.connection.peer_pieces(), 9);
}

#[test]
fn what_a_peer_has_may_be_said_anew_a_few_times() {
    let mut story = unchoked(fast());
    story.say(Message::HaveAll);
    story.say(Message::Bitfield(Bytes::from_static(&[0x80, 0])));
    let dont_have = |piece: u32| Message::Extended {
        id: OUR_LT_DONTHAVE,
        payload: Bytes::copy_from_slice(&piece.to_be_bytes()),
    };
    story.say(dont_have(0));
    story.say(dont_have(0));
    let piece = block(0).piece();
    let mut field = Bitfield::none(10);
    field.set(piece);
    let expected = [
        Event::HasAll,
        Event::Bitfield(field),
        Event::DontHave(piece),
    ];
    assert_eq!(story.events, expected);
    assert_eq!(story.connection.peer_pieces(), 0);
    for _ in 0..10 {
        story.say(Message::HaveNone);
    }
    assert_eq!(kind(&story), Some("restated_pieces"));
    let mut story = unchoked(fast());
    story.say(dont_have(10));
    assert_eq!(kind(&story), Some("no_such_piece"));
}

#[test]
fn hostile_metadata_is_turned_away() {
    let introduce = |size: u32| {
        let handshake = ExtendedHandshake {
            extensions: [(UT_METADATA.to_owned(), 9)].into(),
            metadata_size: Some(size),
            ..Default::default()
        };
        let mut story = Story::open_as(
            fast(),
            Served {
                geometry: None,
                ..fetching()
            },
        );
        story.say(Message::Extended {
            id: 0,
            payload: handshake.encode().into(),
        });
        story
    };
    let story = introduce(u32::MAX);
    assert_eq!(story.connection.introduced().unwrap().metadata_size, None);
    let check = |piece: u32, total_size: u32, length: usize, expected: Option<Event>| {
        let mut story = introduce(20_000);
        story.command(Command::RequestMetadata(1));
        story.events.clear();
        let message = MetadataMessage::Data {
            piece,
            total_size,
            data: vec![0; length].into(),
        };
        story.say(Message::Extended {
            id: 1,
            payload: message.encode().into(),
        });
        assert_eq!(story.events, Vec::from_iter(expected));
        assert_eq!(story.closed, None);
    };
    let rejected = || Some(Event::MetadataRejected(1));
    check(0, 20_000, METADATA_PIECE, None);
    check(1, 20_000, METADATA_PIECE, rejected());
    check(1, 16_384, 0, rejected());
    check(1, u32::MAX, METADATA_PIECE, rejected());
    check(1, 17_000_000, METADATA_PIECE, rejected());
    let good = Event::Metadata {
        piece: 1,
        total: 20_000,
        bytes: vec![0; 20_000 - METADATA_PIECE].into(),
    };
    check(1, 20_000, 20_000 - METADATA_PIECE, Some(good));
    // Nobody to ask.
    let mut story = Story::open_as(fast(), fetching());
    story.command(Command::RequestMetadata(0));
    story.drain();
    assert_eq!(story.events, [Event::MetadataRejected(0)]);
}

#[test]
fn nothing_is_known_of_pieces_without_a_geometry() {
    let without = Served {
        geometry: None,
        ..fetching()
    };
    let mut story = Story::open_as(fast(), without);
    story.say(Message::HaveAll);
    story.say(Message::Have { piece: 77 });
    story.say(Message::Bitfield(Bytes::from_static(&[0xff; 5])));
    story.say(Message::AllowedFast { piece: 3 });
    story.say(Message::Suggest { piece: 3 });
    story.say(Message::Unchoke);
    story.say(Message::Request(request(0, 0)));
    assert_eq!(story.said, [Message::Reject(request(0, 0))]);
    assert_eq!(
        (&story.events[..], story.closed),
        (&[Event::Choked(false)][..], None)
    );
    story.say(answer(block(0)));
    assert_eq!(kind(&story), Some("unasked_block"));
}

#[test]
fn lists_of_peers_are_rationed() {
    let mut story = unchoked(fast());
    let list = |n: u8| {
        let peer = |n| PexPeer {
            address: ([10, 0, 0, n], 6881).into(),
            flags: PexFlags::default(),
        };
        let message = PexMessage {
            added: (0..n).map(peer).collect(),
            dropped: Vec::new(),
        };
        Message::Extended {
            id: OUR_UT_PEX,
            payload: message.encode().into(),
        }
    };
    story.say(list(1));
    story.say(list(2));
    assert_eq!(
        (story.events.len(), story.connection.tally().refused_pex),
        (1, 1)
    );
    story.after(60);
    story.say(list(3));
    assert_eq!(story.events.len(), 2);
    story.say(Message::Extended {
        id: OUR_UT_PEX,
        payload: Bytes::from_static(b"nonsense"),
    });
    assert_eq!(story.closed, None);
}

#[test]
fn who_answers_for_another_swarm_is_left() {
    let check = |swarm: SwarmHash, v2: Option<SwarmHash>, expected: Option<&str>| {
        let mut story = Story::begin();
        story.connection = Connection::connect(story.now, story::settings(), SWARM, v2);
        story.drain();
        assert_eq!(story.greeting.len(), Handshake::LENGTH, "ours goes first");
        let theirs = Handshake {
            reserved: fast(),
            swarm,
            peer_id: THEM,
        };
        story.hear(&theirs.encode());
        assert_eq!(kind(&story), expected);
    };
    check(SWARM, None, None);
    check(V2_SWARM, None, Some("wrong_swarm"));
    check(SwarmHash([9; 20]), Some(V2_SWARM), Some("wrong_swarm"));
}

#[test]
fn a_flood_of_events_waits_for_the_shell() {
    let mut story = unchoked(fast());
    let mut bytes = Vec::new();
    for _ in 0..1000 {
        Message::Interested.encode(&mut bytes);
        Message::NotInterested.encode(&mut bytes);
    }
    let taken = story.connection.handle_bytes(story.now, &bytes);
    assert_eq!(taken, MAX_EVENTS * 5);
    assert!(!story.connection.wants_input());
    story.drain();
    assert!(story.connection.wants_input());
}
