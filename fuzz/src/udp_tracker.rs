//! The answering side of the UDP tracker: a datagram, read and answered.

use crate::draw::Draw;
use std::net::IpAddr;
use std::time::Duration;
use wire::tracker::http::asking::BadReply;
use wire::tracker::udp::answering::{
    Ask, MAX_PEERS_V4, MAX_PEERS_V6, MAX_REPLY, MAX_SCRAPE, Packed, Request, parse, write_announce,
    write_connect, write_error, write_scrape,
};
use wire::tracker::udp::connection_id::ConnectionIds;
use wire::tracker::udp::{self, parse_announce, parse_connect};
use wire::tracker::{Announce, SwarmCounts};

/// Reads the input as a datagram. What is understood is written anew and read the same; no answer is longer than it may be,
/// none is a request, and our own asking side reads each.
pub fn udp_tracker(data: &[u8]) {
    let Some(request) = parse(data) else {
        return;
    };
    let mut reply = b"other replies".to_vec();
    let before = reply.len();
    match request {
        Request::Connect { transaction } => {
            let id = connection_id(data);
            write_connect(&mut reply, transaction, id);
            let reply = &reply[before..];
            assert!(reply.len() <= data.len(), "more than came");
            assert_eq!(parse_connect(reply, transaction), Some(Ok(id)));
        }
        Request::Connected(request) => {
            let transaction = request.transaction;
            match request.read() {
                Ok(Ask::Announce(announce)) => {
                    let again = udp::announce(request.connection, transaction, &announce, 0, "/x");
                    let Some(Request::Connected(again)) = parse(&again) else {
                        panic!("{announce:?} reads as something else");
                    };
                    assert_eq!(again.read(), Ok(Ask::Announce(announce)));
                    answer(&announce, transaction, data, &mut reply);
                    assert!(reply.len() - before <= MAX_REPLY);
                }
                Ok(Ask::Scrape(swarms)) => {
                    assert!((1..=MAX_SCRAPE).contains(&swarms.len()));
                    let counts = SwarmCounts::default();
                    write_scrape(&mut reply, transaction, swarms.iter().map(|_| counts));
                    assert!(reply.len() - before <= data.len(), "more than came");
                }
                Err(malformed) => {
                    write_error(&mut reply, transaction, malformed, data.len());
                    let reply = &reply[before..];
                    assert!(reply.len() <= data.len(), "more than came");
                    let failure = parse_connect(reply, transaction);
                    assert!(matches!(failure, Some(Err(BadReply::Failure(_)))));
                }
            }
        }
    }
    let is_connect = matches!(parse(&reply[before..]), Some(Request::Connect { .. }));
    assert!(!is_connect, "two trackers would talk for ever");
}

/// An id is its address's and nobody else's, for two slots.
fn connection_id(data: &[u8]) -> u64 {
    let mut draw = Draw::new(data);
    let (slot, ip, other) = (draw.u64(), draw.array::<16>(), draw.array::<16>());
    let (ip, other) = (IpAddr::from(ip), IpAddr::from(other));
    let mut ids = ConnectionIds::new(draw.array(), slot);
    let id = ids.issue(ip);
    assert_eq!(ids.accepts(other, id), ip == other);
    for (later, accepted) in [(0, true), (1, true), (2, false)] {
        ids.turn_to(slot.wrapping_add(later));
        assert_eq!(ids.accepts(ip, id), accepted);
    }
    id
}

/// Answers with the input's bytes as peers: those that fit are read again, where they lead anywhere.
fn answer(announce: &Announce, transaction: u32, data: &[u8], reply: &mut Vec<u8>) {
    let before = reply.len();
    let ipv6 = announce.port.get().is_multiple_of(2);
    let (each, most) = if ipv6 {
        (18, MAX_PEERS_V6)
    } else {
        (6, MAX_PEERS_V4)
    };
    let peers = &data[..data.len() / each * each];
    let packed = if ipv6 {
        Packed::V6(peers)
    } else {
        Packed::V4(peers)
    };
    let interval = Duration::from_secs(1800);
    write_announce(reply, transaction, interval, 1, 2, packed);
    let read = parse_announce(&reply[before..], transaction, ipv6);
    let Some(Ok(read)) = read else {
        panic!("{read:?}");
    };
    assert_eq!((read.complete, read.incomplete), (1, 2));
    assert!(read.peers.len() <= (peers.len() / each).min(most as usize));
}
