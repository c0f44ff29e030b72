//! Peers that lie, shout, cut short or never listen, over real sockets: their connection is closed with a counted
//! reason, and a peer beside them is served as if they weren't there.

use crate::out::{Out, Running};
use crate::peers::RawPeer;
use bytes::Bytes;
use metainfo::{Info, MerkleHash, PeerId, RawRequest};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use wire::handshake::{Handshake, Reserved};
use wire::message::{HashRange, Message};

/// How long the seeder is given to react. Nothing here waits for one of its own time-outs.
const PATIENCE: Duration = Duration::from_secs(30);

fn payload() -> Vec<u8> {
    (0..39_u32 * 32 * 1024 - 77)
        .map(|i| (i.wrapping_mul(0x9e37_79b9) >> 24) as u8)
        .collect()
}

fn handshake(info: &Info, reserved: Reserved) -> Vec<u8> {
    let handshake = Handshake {
        reserved,
        swarm: info.swarm_hashes()[0],
        peer_id: PeerId(*b"-XX0000-hostilepeer!"),
    };
    handshake.encode().to_vec()
}

fn encode(messages: &[Message]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for message in messages {
        message.encode(&mut bytes);
    }
    bytes
}

fn request(piece: u32, begin: u32, length: u32) -> RawRequest {
    RawRequest {
        piece,
        begin,
        length,
    }
}

fn closed(running: &Running, reason: &str) -> u64 {
    running.metrics.snapshot()["peers_closed"][reason]
        .as_u64()
        .unwrap_or(0)
}

/// Waits for a figure that rises a moment after the socket has told.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect(what);
}

/// Says all this and reads until the seeder closes.
async fn say_until_closed(running: &Running, what: &str, bytes: &[u8]) {
    let mut stream = TcpStream::connect(running.peers).await.unwrap();
    let talk = async {
        // The seeder may close before it has read everything; either is the end.
        let _ = stream.write_all(bytes).await;
        let mut sink = vec![0; 64 * 1024];
        while stream.read(&mut sink).await.is_ok_and(|n| n > 0) {}
    };
    timeout(PATIENCE, talk).await.expect(what);
}

/// After the handshake: what is said, and under which name the connection's end is counted.
fn lies(info: &Info) -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let n_pieces = info.geometry().n_pieces();
    let bitfield = |length: usize, last: u8| {
        let mut bits = vec![0; length];
        bits[length - 1] = last;
        encode(&[Message::Bitfield(bits.into())])
    };
    let right_length = n_pieces.div_ceil(8) as usize;
    let block = Message::Piece {
        piece: 0,
        begin: 0,
        data: Bytes::from_static(&[7; 1000]),
    };
    let hashes = Message::Hashes {
        range: HashRange {
            root: MerkleHash([1; 32]),
            base_layer: 0,
            index: 0,
            length: 2,
            proof_layers: 0,
        },
        hashes: Bytes::from_static(&[7; 64]),
    };
    let have = |piece| Message::Have { piece };
    vec![
        (
            "a message of 4 GiB",
            vec![0xff, 0xff, 0xff, 0xff, 7, 0, 0, 0, 0],
            "bad_length",
        ),
        (
            "a request with a word too much",
            [&[0, 0, 0, 17, 6][..], &[0; 17]].concat(),
            "bad_length",
        ),
        (
            "a bitfield larger than any torrent's",
            vec![0x7f, 0xff, 0xff, 0xff, 5],
            "bad_length",
        ),
        (
            "a message that no BEP knows",
            vec![0, 0, 0, 1, 99],
            "unknown_message",
        ),
        (
            "a request behind the last piece",
            encode(&[Message::Request(request(n_pieces, 0, 16384))]),
            "bad_request",
        ),
        (
            "a request across the end of a piece",
            encode(&[Message::Request(request(0, 32 * 1024 - 1, 2))]),
            "bad_request",
        ),
        (
            "a request that wraps around",
            encode(&[Message::Request(request(0, u32::MAX, 16384))]),
            "bad_request",
        ),
        (
            "a request of a whole gigabyte",
            encode(&[Message::Request(request(0, 0, 1 << 30))]),
            "bad_request",
        ),
        (
            "a request of nothing",
            encode(&[Message::Request(request(0, 0, 0))]),
            "bad_request",
        ),
        (
            "a piece that isn't there",
            encode(&[have(n_pieces)]),
            "no_such_piece",
        ),
        (
            "pieces of another torrent",
            encode(&[have(0), have(u32::MAX)]),
            "no_such_piece",
        ),
        (
            "a bitfield that is too short",
            bitfield(right_length - 1, 0),
            "bad_bitfield",
        ),
        (
            "a bitfield that is too long",
            bitfield(right_length + 1, 0),
            "bad_length",
        ),
        (
            "a piece beyond the last in a bitfield",
            bitfield(right_length, 1),
            "bad_bitfield",
        ),
        (
            "a block that nobody asked for",
            encode(&[block]),
            "unasked_block",
        ),
        (
            "hashes of a torrent that has none",
            encode(&[hashes]),
            "not_agreed",
        ),
        (
            "rejects that nobody asked for",
            encode(&vec![Message::Reject(request(0, 0, 16384)); 10_000]),
            "unasked_answers",
        ),
        (
            "everything, again and again",
            encode(&vec![Message::HaveNone; 10_000]),
            "restated_pieces",
        ),
        (
            "requests while choked, for ever",
            encode(&vec![Message::Request(request(1, 0, 16384)); 20_000]),
            "request_flood",
        ),
        (
            "all there is, though it has nothing",
            encode(&[Message::HaveAll, Message::NotInterested]),
            "both_seeds",
        ),
    ]
}

#[tokio::test]
async fn each_lie_ends_its_connection_under_its_name_and_nobody_else_notices() {
    let (mut out, clip) = (Out::new(), payload());
    let info = out.add(&[("clip.mp4", &clip)]);
    out.save();
    let running = out.serve().await;
    let mut bystander = RawPeer::connect(&running, &info).await;
    for (what, lie, reason) in lies(&info) {
        let before = closed(&running, reason);
        let reserved = Reserved::default().with_fast();
        let bytes = [handshake(&info, reserved), lie].concat();
        say_until_closed(&running, what, &bytes).await;
        let counted = || closed(&running, reason) == before + 1;
        until(&format!("{what}: {reason} is counted"), counted).await;
    }
    assert!(bystander.fetch(info.geometry()).await == clip);
    until("everybody else is gone", || {
        running.metrics.snapshot()["peers_now"] == 1
    })
    .await;
}

#[tokio::test]
async fn extensions_are_agreed_on_first() {
    let (mut out, clip) = (Out::new(), payload());
    let info = out.add(&[("clip.mp4", &clip)]);
    out.save();
    let running = out.serve().await;
    for (n, message) in [
        Message::HaveAll,
        Message::HaveNone,
        Message::AllowedFast { piece: 0 },
        Message::Reject(request(0, 0, 16384)),
    ]
    .into_iter()
    .enumerate()
    {
        let bytes = [handshake(&info, Reserved::default()), encode(&[message])].concat();
        say_until_closed(&running, "not agreed on", &bytes).await;
        until("it is counted", || {
            closed(&running, "not_agreed") == n as u64 + 1
        })
        .await;
    }
}

#[tokio::test]
async fn what_is_cut_short_ends_with_its_sender() {
    let (mut out, clip) = (Out::new(), payload());
    let info = out.add(&[("clip.mp4", &clip)]);
    out.save();
    let running = out.serve().await;
    let whole = [
        handshake(&info, Reserved::default().with_fast()),
        encode(&[Message::Interested, Message::Request(request(0, 0, 16384))]),
        encode(&[Message::Bitfield(vec![0; 5].into())]),
    ]
    .concat();
    let mut bystander = RawPeer::connect(&running, &info).await;
    for length in 0..whole.len() {
        let mut stream = TcpStream::connect(running.peers).await.unwrap();
        stream.write_all(&whole[..length]).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut sink = Vec::new();
        let read = timeout(PATIENCE, stream.read_to_end(&mut sink));
        // Whether it is closed or reset says nothing of us.
        let _ = read.await.expect("what ends is closed");
    }
    assert!(bystander.fetch(info.geometry()).await == clip);
    until("everybody else is gone", || {
        running.metrics.snapshot()["peers_now"] == 1
    })
    .await;
}

#[tokio::test]
async fn whoever_speaks_no_bittorrent_is_let_go() {
    let (mut out, clip) = (Out::new(), payload());
    out.add(&[("clip.mp4", &clip)]);
    out.save();
    let running = out.serve().await;
    let before = running.metrics.snapshot()["peers_not_agreed"].as_u64();
    let noise: Vec<u8> = clip[..4000].to_vec();
    for words in [noise, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100)] {
        say_until_closed(&running, "nonsense", &words).await;
    }
    until("both are counted", || {
        running.metrics.snapshot()["peers_not_agreed"].as_u64() == before.map(|n| n + 2)
    })
    .await;
}

#[tokio::test]
async fn whoever_asks_and_never_listens_holds_up_nobody() {
    let (mut out, clip) = (Out::new(), payload());
    let info = out.add(&[("clip.mp4", &clip)]);
    out.save();
    let running = out.serve().await;
    let mut deaf = Vec::new();
    for _ in 0..40 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket.connect(running.peers).await.unwrap();
        let requests: Vec<Message> = (0..400)
            .map(|n| Message::Request(request(n % 38, 0, 16384)))
            .collect();
        let bytes = [
            handshake(&info, Reserved::default()),
            encode(&[Message::Interested]),
            encode(&requests),
        ]
        .concat();
        stream.write_all(&bytes).await.unwrap();
        deaf.push(stream);
    }
    until("all are met", || {
        running.metrics.snapshot()["peers_now"] == 40
    })
    .await;
    let mut listening = RawPeer::connect(&running, &info).await;
    let fetched = timeout(PATIENCE, listening.fetch(info.geometry())).await;
    assert!(fetched.expect("a peer that listens is served") == clip);
}

#[tokio::test]
async fn floods_of_questions_are_bounded_and_counted() {
    let (mut out, clip) = (Out::new(), payload());
    let info = out.add(&[("clip.mp4", &clip)]);
    out.save();
    let running = out.serve().await;
    // ut_metadata is 1 in what we say; what the seeder calls it is in its own introduction.
    let mut curious = TcpStream::connect(running.peers).await.unwrap();
    let reserved = Reserved::default().with_fast().with_extended();
    let introduction = Message::Extended {
        id: 0,
        payload: Bytes::from_static(b"d1:md11:ut_metadatai1eee"),
    };
    let bytes = [handshake(&info, reserved), encode(&[introduction])].concat();
    curious.write_all(&bytes).await.unwrap();
    let id = metadata_id(&mut curious).await;
    let question = Message::Extended {
        id,
        payload: Bytes::from_static(b"d8:msg_typei0e5:piecei0ee"),
    };
    let flood = encode(&vec![question; 1000]);
    // Its answers are read as well, so that nothing but the bounds stops it.
    let (mut reader, mut writer) = curious.split();
    let mut sink = vec![0; 64 * 1024];
    let talk = async {
        let _ = writer.write_all(&flood).await;
        std::future::pending::<()>().await;
    };
    let listen = async { while reader.read(&mut sink).await.is_ok_and(|n| n > 0) {} };
    let counted = until("the flood is counted", || {
        running.metrics.snapshot()["metadata_refused"].as_u64() > Some(900)
    });
    tokio::select! {
        () = talk => {}
        () = counted => {}
        () = async { listen.await; std::future::pending::<()>().await } => {}
    }
    let sent = running.metrics.snapshot()["metadata_sent"].as_u64();
    assert!(
        sent.is_some_and(|n| n <= 64),
        "{sent:?} pieces of metadata for one peer"
    );
    let mut bystander = RawPeer::connect(&running, &info).await;
    assert!(bystander.fetch(info.geometry()).await == clip);
}

/// The number that the seeder gives ut_metadata.
async fn metadata_id(stream: &mut TcpStream) -> u8 {
    let mut heard = Vec::new();
    let mut part = [0; 4096];
    let wanted = b"11:ut_metadatai";
    loop {
        let n = timeout(PATIENCE, stream.read(&mut part))
            .await
            .unwrap()
            .unwrap();
        assert!(n > 0, "the seeder introduces itself");
        heard.extend(&part[..n]);
        let at = heard
            .windows(wanted.len())
            .position(|window| window == wanted);
        if let Some(digits) = at.and_then(|at| heard.get(at + wanted.len()..))
            && let Some(end) = digits.iter().position(|byte| *byte == b'e')
        {
            return std::str::from_utf8(&digits[..end])
                .unwrap()
                .parse()
                .unwrap();
        }
    }
}
