//! The two clients against servers of a few lines, in memory.

use crate::client::{Client, Fault, Meter};
use crate::latency::Histogram;
use crate::peer::{Appetite, Peer};
use crate::ranges::{Ranges, Resource};
use crate::target::Target;
use metainfo::{Format, Hashes, Info, Layout, PieceHash, PieceLength};
use sha1::{Digest, Sha1};
use std::rc::Rc;
use std::time::Instant;

const PIECE: usize = 64 * 1024;

fn payload() -> Vec<u8> {
    (0..3 * PIECE as u32 + 20_000)
        .map(|i| (i.wrapping_mul(0x9e37_79b9) >> 24) as u8)
        .collect()
}

fn info(payload: &[u8]) -> Info {
    let length = PieceLength::new(PIECE as i64).unwrap();
    let layout = Layout::file("x", payload.len() as u64, Format::V1, Some(length)).unwrap();
    let pieces = payload
        .chunks(PIECE)
        .map(|piece| PieceHash(Sha1::digest(piece).into()))
        .collect();
    let hashes = Hashes {
        pieces,
        ..Hashes::default()
    };
    Info::make(&layout, &hashes, false, None)
}

fn peer(info: &Info, depth: usize, prefix: u64) -> Peer {
    let appetite = Appetite {
        depth,
        first_piece: 0,
        prefix,
    };
    // Identity 0 checks its first piece, and every 64th from there.
    Peer::new(Rc::new(Target::of(info).unwrap()), 0, appetite)
}

struct Story<C> {
    client: C,
    times: Histogram,
    sent: Vec<u8>,
}

impl<C: Client> Story<C> {
    fn new(mut client: C) -> Self {
        let mut sent = Vec::new();
        client.handle_open(Instant::now(), &mut sent);
        Self {
            client,
            times: Histogram::default(),
            sent,
        }
    }

    fn hear(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let mut meter = Meter {
            now: Instant::now(),
            latency: Some(&mut self.times),
        };
        self.client.handle_bytes(bytes, &mut meter, &mut self.sent)
    }

    fn take_sent(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.sent)
    }
}

fn handshake(info: &Info) -> Vec<u8> {
    let mut bytes = b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0".to_vec();
    bytes.extend(info.swarm_hashes()[0].as_bytes());
    bytes.extend(b"-XX0000-the seed is.");
    bytes
}

/// Begin and length of each request in what was sent, by piece.
fn requests(sent: &[u8]) -> Vec<(usize, usize, usize)> {
    let number = |at: &[u8]| u32::from_be_bytes(at.try_into().unwrap()) as usize;
    let (messages, rest) = sent.as_chunks::<17>();
    assert!(rest.is_empty(), "nothing but requests");
    messages
        .iter()
        .inspect(|message| assert_eq!(message[..5], [0, 0, 0, 13, 6]))
        .map(|m| (number(&m[5..9]), number(&m[9..13]), number(&m[13..17])))
        .collect()
}

fn block(payload: &[u8], (piece, begin, length): (usize, usize, usize)) -> Vec<u8> {
    let start = piece * PIECE + begin;
    let mut bytes = (length as u32 + 9).to_be_bytes().to_vec();
    bytes.push(7);
    bytes.extend((piece as u32).to_be_bytes());
    bytes.extend((begin as u32).to_be_bytes());
    bytes.extend(&payload[start..start + length]);
    bytes
}

#[test]
fn a_peer_asks_for_what_is_shown_keeps_its_depth_and_checks() {
    let payload = payload();
    let info = info(&payload);
    let mut story = Story::new(peer(&info, 3, 0));
    assert_eq!(story.take_sent().len(), 68);
    story.hear(&handshake(&info)).unwrap();
    assert!(
        story.take_sent().is_empty(),
        "nothing is known to be there yet"
    );
    // Pieces 0 and 3 of four.
    story.hear(&[0, 0, 0, 2, 5, 0b1001_0000]).unwrap();
    assert_eq!(story.take_sent(), [0, 0, 0, 1, 2]);
    story.hear(&[0, 0, 0, 1, 1]).unwrap();
    let mut waiting = requests(&story.take_sent());
    assert_eq!(waiting.len(), 3);
    let mut pieces = Vec::new();
    for _ in 0..12 {
        let next = waiting.remove(0);
        pieces.push(next.0);
        // In shards, as a socket may give it.
        for byte in block(&payload, next) {
            story.hear(&[byte]).unwrap();
        }
        waiting.extend(requests(&story.take_sent()));
        assert_eq!(waiting.len(), 3);
    }
    // Four blocks of piece 0, the two of the short last one, and around.
    assert_eq!(pieces, [0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 3, 3]);
    let tally = story.client.tally();
    assert_eq!((tally.checked, tally.bad, tally.shown_all), (1, 0, false));
    assert_eq!(tally.bytes as usize, 2 * (PIECE + 20_000));
    assert_eq!(story.times.total(), 12);
}

#[test]
fn a_wrong_byte_is_seen() {
    let mut payload = payload();
    let info = info(&payload);
    payload[PIECE - 1] ^= 1;
    let mut story = Story::new(peer(&info, 4, 0));
    story.take_sent();
    story
        .hear(
            &[
                &handshake(&info)[..],
                &[0, 0, 0, 2, 5, 0xf0],
                &[0, 0, 0, 1, 1],
            ]
            .concat(),
        )
        .unwrap();
    for request in requests(&story.take_sent()[5..]) {
        story.hear(&block(&payload, request)).unwrap();
    }
    let tally = story.client.tally();
    assert_eq!((tally.checked, tally.bad, tally.shown_all), (1, 1, true));
}

#[test]
fn a_choke_forgets_and_an_unchoke_begins_anew() {
    let payload = payload();
    let info = info(&payload);
    let mut story = Story::new(peer(&info, 2, 0));
    story.take_sent();
    story
        .hear(
            &[
                &handshake(&info)[..],
                &[0, 0, 0, 2, 5, 0xf0],
                &[0, 0, 0, 1, 1],
            ]
            .concat(),
        )
        .unwrap();
    let first = requests(&story.take_sent()[5..]);
    story.hear(&[0, 0, 0, 1, 0]).unwrap();
    assert!(story.take_sent().is_empty());
    story.hear(&[0, 0, 0, 1, 1]).unwrap();
    assert_eq!(requests(&story.take_sent()), first);
    assert_eq!(story.client.tally().refusals, 1);
}

#[test]
fn the_first_prefix_is_timed_once_it_is_whole() {
    let payload = payload();
    let info = info(&payload);
    let mut story = Story::new(peer(&info, 1, 40_000));
    story.take_sent();
    story
        .hear(
            &[
                &handshake(&info)[..],
                &[0, 0, 0, 2, 5, 0xf0],
                &[0, 0, 0, 1, 1],
            ]
            .concat(),
        )
        .unwrap();
    let mut next = requests(&story.take_sent()[5..]);
    for whole in [false, false, true] {
        story.hear(&block(&payload, next[0])).unwrap();
        assert_eq!(story.client.tally().prefix.is_some(), whole);
        next = requests(&story.take_sent());
    }
}

#[test]
fn nonsense_is_a_fault() {
    let payload = payload();
    let info = info(&payload);
    let other_swarm = [&handshake(&info)[..28], &[1; 40]].concat();
    let unasked = [handshake(&info), block(&payload, (0, 0, 16384))].concat();
    let endless = [&handshake(&info)[..], &[0xff; 5]].concat();
    for nonsense in [b"x".repeat(68), other_swarm, unasked, endless] {
        let mut story = Story::new(peer(&info, 1, 0));
        assert!(story.hear(&nonsense).is_err());
    }
}

fn resource(payload: &[u8], target: Option<Target>) -> Rc<Resource> {
    Rc::new(Resource {
        host: "here".to_owned(),
        path: "/x".to_owned(),
        length: payload.len() as u64,
        range: PIECE as u64,
        target,
    })
}

#[test]
fn ranges_follow_each_other_and_are_checked() {
    let payload = payload();
    let target = Target::of(&info(&payload));
    let mut story = Story::new(Ranges::new(resource(&payload, target), 0, 3, 0));
    // The last, which is short, and then the first.
    for (first, end) in [(3 * PIECE, payload.len()), (0, PIECE)] {
        let asked = String::from_utf8(story.take_sent()).unwrap();
        assert!(
            asked.starts_with("GET /x HTTP/1.1\r\nHost: here\r\n"),
            "{asked}"
        );
        assert!(
            asked.contains(&format!("Range: bytes={first}-{}\r\n\r\n", end - 1)),
            "{asked}"
        );
        let head = format!(
            "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\n\r\n",
            end - first
        );
        story
            .hear(&[head.as_bytes(), &payload[first..end]].concat())
            .unwrap();
    }
    let tally = story.client.tally();
    assert_eq!((tally.checked, tally.bad), (1, 0));
    assert_eq!(tally.bytes as usize, PIECE + 20_000);
}

#[test]
fn who_is_sent_away_waits_as_told() {
    let payload = payload();
    let mut story = Story::new(Ranges::new(resource(&payload, None), 0, 0, 0));
    let asked = story.take_sent();
    let before = Instant::now();
    story
        .hear(b"HTTP/1.1 503 Busy\r\ncontent-length: 4\r\nRetry-After: 7\r\n\r\nbusy")
        .unwrap();
    assert!(story.take_sent().is_empty());
    let resume = story.client.next_timeout().expect("it will ask again");
    let wait = (resume - before).as_secs_f64();
    assert!((7.0..8.0).contains(&wait), "{wait}");
    story.client.handle_timeout(resume, &mut story.sent);
    assert_eq!(story.take_sent(), asked);
    let tally = story.client.tally();
    assert_eq!((tally.refusals, tally.bytes), (1, 0));
    assert!(
        story
            .hear(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            .is_err()
    );
}
