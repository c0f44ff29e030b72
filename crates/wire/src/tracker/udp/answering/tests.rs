//! The answering side against the asking side, hand-made datagrams and any bytes.

use super::*;
use crate::tracker::http::asking::BadReply;
use crate::tracker::udp;
use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr};

fn some_announce() -> Announce {
    Announce {
        swarm: SwarmHash([1; 20]),
        peer_id: PeerId([2; 20]),
        port: NonZeroU16::new(6881).unwrap(),
        uploaded: 3,
        downloaded: 4,
        left: Some(5),
        event: Event::Started,
        num_want: None,
    }
}

fn connected(datagram: &[u8]) -> Connected<'_> {
    match parse(datagram) {
        Some(Request::Connected(connected)) => connected,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_connection_id_costs_as_much_as_it_brings() {
    let asked = udp::connect(7);
    let Some(Request::Connect { transaction: 7 }) = parse(&asked) else {
        panic!("{:?}", parse(&asked));
    };
    let mut reply = b"before".to_vec();
    write_connect(&mut reply, 7, 0x0102_0304_0506_0708);
    assert_eq!(reply.len() - 6, asked.len());
    assert_eq!(
        udp::parse_connect(&reply[6..], 7),
        Some(Ok(0x0102_0304_0506_0708))
    );
    // Whoever pads gets no more for it.
    assert!(matches!(
        parse(&[&asked[..], &[0; 50]].concat()),
        Some(Request::Connect { .. })
    ));
    for cut in 0..16 {
        assert_eq!(parse(&asked[..cut]), None);
    }
    let mut wrong = asked;
    wrong[3] ^= 1;
    assert_eq!(parse(&wrong), None, "another protocol's number");
}

#[test]
fn an_announce_reads_as_it_was_written() {
    let datagram = udp::announce(9, 8, &some_announce(), 6, "");
    let request = connected(&datagram);
    assert_eq!((request.connection, request.transaction), (9, 8));
    assert_eq!(request.read(), Ok(Ask::Announce(some_announce())));
    for cut in 16..datagram.len() {
        let short = connected(&datagram[..cut]);
        assert_eq!(short.read(), Err(Malformed::Short), "{cut} bytes");
    }
    let mut port_0 = datagram.clone();
    port_0[96..98].fill(0);
    assert_eq!(connected(&port_0).read(), Err(Malformed::Port));
    // An address that is claimed and a key change nothing.
    let mut claimed = datagram;
    claimed[84..92].copy_from_slice(&[203, 0, 113, 9, 1, 2, 3, 4]);
    assert_eq!(
        connected(&claimed).read(),
        Ok(Ask::Announce(some_announce()))
    );
}

#[test]
fn numbers_that_say_nothing_are_not_said() {
    let mut datagram = udp::announce(9, 8, &some_announce(), 6, "");
    datagram[64..72].copy_from_slice(&u64::MAX.to_be_bytes());
    datagram[80..84].copy_from_slice(&77u32.to_be_bytes());
    datagram[92..96].copy_from_slice(&(-5i32).to_be_bytes());
    let expected = Announce {
        left: None,
        event: Event::Regular,
        num_want: None,
        ..some_announce()
    };
    assert_eq!(connected(&datagram).read(), Ok(Ask::Announce(expected)));
}

#[test]
fn a_scrape_is_bounded_and_its_answer_shorter() {
    let mut datagram = 9u64.to_be_bytes().to_vec();
    datagram.extend(SCRAPE.to_be_bytes());
    datagram.extend(8u32.to_be_bytes());
    assert_eq!(connected(&datagram).read(), Err(Malformed::Short));
    for n in 0..100u8 {
        datagram.extend([n; 20]);
        let Ok(Ask::Scrape(swarms)) = connected(&datagram).read() else {
            panic!("a scrape of {n}");
        };
        assert_eq!(swarms.len(), MAX_SCRAPE.min(usize::from(n) + 1));
        assert_eq!(swarms[0], [0; 20]);
        let mut reply = Vec::new();
        let counts = SwarmCounts {
            complete: 1,
            incomplete: 3,
            downloaded: 2,
        };
        write_scrape(&mut reply, 8, swarms.iter().map(|_| counts));
        assert!(reply.len() < datagram.len());
        assert_eq!(
            reply[..20],
            *b"\0\0\0\x02\0\0\0\x08\0\0\0\x01\0\0\0\x02\0\0\0\x03"
        );
    }
}

#[test]
fn an_error_is_never_longer_than_what_it_answers() {
    for request in 16..120 {
        let mut reply = b"before".to_vec();
        write_error(&mut reply, 7, "a reason of some thirty bytes!", request);
        let reply = &reply[6..];
        assert!(reply.len() <= request);
        let Some(Err(BadReply::Failure(text))) = udp::parse_connect(reply, 7) else {
            panic!("an error");
        };
        assert!("a reason of some thirty bytes!".starts_with(&text));
    }
}

/// A forged request from another tracker's port starts no endless conversation.
#[test]
fn no_answer_is_a_request() {
    let mut answers = vec![Vec::new(); 4];
    write_connect(&mut answers[0], 0x417, u64::MAX);
    let peers = [0x27; 1200];
    write_announce(
        &mut answers[1],
        0x2710_1980,
        Duration::MAX,
        1,
        2,
        Packed::V4(&peers),
    );
    write_scrape(&mut answers[2], 0x2710_1980, [SwarmCounts::default(); 9]);
    write_error(&mut answers[3], 0x2710_1980, "x".repeat(99), 107);
    for answer in answers {
        assert!(!matches!(parse(&answer), Some(Request::Connect { .. })));
    }
}

proptest! {
    #[test]
    fn no_datagram_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), action in 0u32..5) {
        let _ = parse(&bytes);
        let mut datagram = bytes;
        if datagram.len() >= 12 {
            datagram[8..12].copy_from_slice(&action.to_be_bytes());
        }
        if let Some(Request::Connected(request)) = parse(&datagram) {
            let _ = request.read();
        }
    }

    /// BEP 41: whatever stands behind an announce, sense or not.
    #[test]
    fn options_change_nothing(options in proptest::collection::vec(any::<u8>(), 0..300), url in "/[a-z?&=]{0,400}") {
        let plain = udp::announce(9, 8, &some_announce(), 6, "");
        let with_url = udp::announce(9, 8, &some_announce(), 6, &url);
        for datagram in [[&plain[..], &options].concat(), with_url] {
            prop_assert_eq!(connected(&datagram).read(), Ok(Ask::Announce(some_announce())));
        }
    }

    #[test]
    fn what_the_asking_side_writes_is_read(
        (swarm, peer_id) in (any::<[u8; 20]>(), any::<[u8; 20]>()),
        (port, uploaded, downloaded) in (1u16.., any::<u64>(), any::<u64>()),
        left in proptest::option::of(0..i64::MAX as u64),
        num_want in proptest::option::of(0..=i32::MAX as u32),
        event in prop_oneof![
            Just(Event::Regular), Just(Event::Completed), Just(Event::Started), Just(Event::Stopped)
        ],
        (connection, transaction) in (any::<u64>(), any::<u32>()),
    ) {
        let announce = Announce {
            swarm: SwarmHash(swarm),
            peer_id: PeerId(peer_id),
            port: NonZeroU16::new(port).unwrap(),
            uploaded,
            downloaded,
            left,
            event,
            num_want,
        };
        let datagram = udp::announce(connection, transaction, &announce, 0, "");
        let request = connected(&datagram);
        prop_assert_eq!((request.connection, request.transaction), (connection, transaction));
        prop_assert_eq!(request.read(), Ok(Ask::Announce(announce)));
    }

    #[test]
    fn what_is_answered_is_read_by_the_asking_side(
        transaction: u32, interval: u32, complete: u32, incomplete: u32,
        v4 in proptest::collection::vec((any::<u32>(), 1u16..), 0..300),
        v6 in proptest::collection::vec((any::<u128>(), 1u16..), 0..100),
    ) {
        let pack4 = |(ip, port): &(u32, u16)| [&Ipv4Addr::from(*ip).octets()[..], &port.to_be_bytes()].concat();
        let pack6 = |(ip, port): &(u128, u16)| [&Ipv6Addr::from(*ip).octets()[..], &port.to_be_bytes()].concat();
        let packed4: Vec<u8> = v4.iter().flat_map(pack4).collect();
        let packed6: Vec<u8> = v6.iter().flat_map(pack6).collect();
        for (packed, each, most) in [
            (Packed::V4(&packed4), 6, MAX_PEERS_V4),
            (Packed::V6(&packed6), 18, MAX_PEERS_V6),
        ] {
            let ipv6 = each == 18;
            let all = if ipv6 { &packed6 } else { &packed4 };
            let mut reply = Vec::new();
            let every = Duration::from_secs(interval.into());
            write_announce(&mut reply, transaction, every, complete, incomplete, packed);
            prop_assert!(reply.len() <= MAX_REPLY);
            prop_assert_eq!(&reply[20..], &all[..all.len().min(most as usize * each)]);
            let read = udp::parse_announce(&reply, transaction, ipv6).unwrap().unwrap();
            prop_assert_eq!((read.interval, read.complete, read.incomplete), (every, complete, incomplete));
        }
    }
}
