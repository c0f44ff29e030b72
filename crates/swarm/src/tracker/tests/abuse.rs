//! One test for each way in which a stranger may try to misuse the tracker, as far as the store is what withstands it.

use super::*;

#[test]
fn nobody_stops_a_peer_at_another_address() {
    let mut story = Story::new(Limits::default());
    story.announce("1.1.1.1:1111", 5, Event::Started);
    story.announce_as("2.2.2.2:1111", "1.1.1.1:1111", 5, Event::Stopped);
    assert_eq!(story.tracker.n_peers(), 1);
    story.announce("1.1.1.1:1111", 5, Event::Stopped);
    assert_eq!(story.tracker.n_peers(), 0);
}

#[test]
fn nobody_stops_or_changes_a_peer_at_its_own_address_under_another_id() {
    let mut story = Story::new(Limits::default());
    story.announce("1.1.1.1:1111", 5, Event::Started);
    story.announce_as("1.1.1.1:1111", "a neighbour", 5, Event::Stopped);
    story.announce_as("1.1.1.1:1111", "a neighbour", 0, Event::Completed);
    assert_eq!(story.scrape(), (1, 1, 0));
    assert_eq!(story.tracker.counters().other_peer_id, 2);
    // A client that was restarted without a farewell has its place back before it would be forgotten.
    story.pass(760);
    story.announce_as("1.1.1.1:1111", "restarted", 0, Event::Regular);
    assert_eq!(story.scrape(), (2, 0, 0));
    story.announce("1.1.1.1:1111", 5, Event::Stopped);
    assert_eq!(story.scrape(), (2, 0, 0));
}

#[test]
fn no_swarm_is_aimed_at_a_low_port() {
    let mut story = Story::new(Limits::default());
    story.announce("1.1.1.1:1111", 5, Event::Started);
    for port in [1, 22, 80, 443, 1023] {
        let (reply, peers) = story.announce(&format!("6.6.6.6:{port}"), 5, Event::Started);
        assert_eq!((peers.len(), reply.arrived), (2, false), "it is answered");
    }
    assert_eq!(story.tracker.n_peers(), 1);
    assert_eq!(story.tracker.counters().low_port, 5);
    story.announce("6.6.6.6:1024", 5, Event::Started);
    assert_eq!(story.tracker.n_peers(), 2);
}

#[test]
fn no_ipv4_address_and_no_ipv6_64_fills_a_swarm() {
    let limits = Limits {
        peers_per_address: 3,
        ..Limits::default()
    };
    let mut story = Story::new(limits);
    for port in 2001..=2005 {
        story.announce(&format!("1.1.1.1:{port}"), 5, Event::Started);
        // The host part of an IPv6 address is free to choose.
        story.announce(&format!("[2001:db8::{port}]:7777"), 5, Event::Started);
    }
    assert_eq!(story.tracker.n_peers(), 6);
    assert_eq!(story.tracker.counters().address_full, 4);
    // Its neighbours have their own share.
    story.announce("1.1.1.2:2001", 5, Event::Started);
    story.announce("[2001:db8:0:1::1]:7777", 5, Event::Started);
    assert_eq!(story.tracker.n_peers(), 8);
    // Those inside are refreshed, and a place left is a place free.
    story.announce("1.1.1.1:2001", 0, Event::Regular);
    story.announce("1.1.1.1:2001", 0, Event::Stopped);
    story.announce("1.1.1.1:2004", 5, Event::Started);
    assert_eq!(story.tracker.n_peers(), 8);
    assert_eq!(story.tracker.counters().address_full, 4);
}

#[test]
fn no_swarm_grows_without_bound() {
    let limits = Limits {
        peers_per_swarm: 5,
        ..Limits::default()
    };
    let mut story = Story::new(limits);
    for host in 1..=9 {
        story.announce(&format!("1.1.1.{host}:1111"), 5, Event::Started);
        story.announce(&format!("[2001:{host}::1]:1111"), 5, Event::Started);
        story.browse(&browser(host));
    }
    assert_eq!(story.tracker.n_peers(), 15);
    assert_eq!(story.tracker.counters().swarm_full, 12);
    // Whoever found no room is answered all the same, and finds the seeder.
    let (_, peers) = story.announce("1.1.1.9:1111", 5, Event::Started);
    assert_eq!(peers.len(), 6);
}

#[test]
fn a_large_swarm_is_bounded_too() {
    let limits = Limits {
        peers_per_swarm: 3000,
        address_rate: 0,
        ..Limits::default()
    };
    let mut story = Story::new(limits);
    for host in 0..3500_u32 {
        let addr = format!("1.{}.{}.1:1111", host / 256, host % 256);
        story.announce(&addr, 5, Event::Started);
    }
    assert_eq!(story.tracker.n_peers(), 3000);
    assert_eq!(story.tracker.counters().swarm_full, 500);
}

#[test]
fn a_flood_from_one_address_is_refused_and_nobody_else_feels_it() {
    let limits = Limits {
        address_rate: 10,
        address_burst: 20,
        ..Limits::default()
    };
    let mut story = Story::new(limits);
    let flood = |story: &mut Story, from: &str| {
        let from: IpAddr = from.parse().unwrap();
        let addr = SocketAddr::new(from, 1111);
        story.try_announce(from, &announce_of(SWARM, addr, id("1")))
    };
    let mut answered = 0;
    for _ in 0..1000 {
        answered += u32::from(flood(&mut story, "1.1.1.1").is_ok());
    }
    assert_eq!(answered, 20);
    assert_eq!(story.tracker.counters().too_often, 980);
    let Err(Refusal::TooOften { retry_in }) = flood(&mut story, "1.1.1.1") else {
        panic!("answered");
    };
    assert!(retry_in <= Duration::from_millis(100), "{retry_in:?}");
    assert!(flood(&mut story, "1.1.1.2").is_ok());
    story.now += retry_in;
    assert!(flood(&mut story, "1.1.1.1").is_ok());
    assert!(flood(&mut story, "1.1.1.1").is_err());
    // An IPv6 /64 is one address, whatever its hosts call themselves; unknown swarms and sockets count like others.
    let mut answered = 0;
    for host in 0..100 {
        let from: IpAddr = format!("2001:db8::{host:x}").parse().unwrap();
        let swarm = if host % 2 == 0 { SWARM } else { OTHER_SWARM };
        let announce = announce_of(swarm, SocketAddr::new(from, 1111), id("1"));
        let refusal = story.try_announce(from, &announce).err();
        answered += u32::from(!matches!(refusal, Some(Refusal::TooOften { .. })));
    }
    assert_eq!(answered, 20);
    let of_flood = BrowserAnnounce {
        from: "2001:db8::b".parse().unwrap(),
        ..browser(1)
    };
    assert!(story.try_browse(&of_flood).is_err());
}

#[test]
fn a_flood_from_many_addresses_costs_no_memory_and_holds_up_few_others() {
    let limits = Limits {
        address_rate: 1,
        address_burst: 2,
        ..Limits::default()
    };
    let mut story = Story::new(limits);
    let mut ask = |from: u32| {
        let from = IpAddr::from(from.to_be_bytes());
        let announce = announce_of(OTHER_SWARM, SocketAddr::new(from, 1111), id("1"));
        story.try_announce(from, &announce).err()
    };
    for flooder in 0..2000 {
        for _ in 0..5 {
            ask(0x0600_0000 + flooder);
        }
    }
    let innocent = 0x0800_0000..0x0800_0000 + 2000;
    let refused = innocent.filter(|from| ask(*from) != Some(Refusal::NotTracked));
    // Each shares both its places with a flooder in one of 270 cases.
    let refused = refused.count();
    assert!(refused < 25, "{refused} of 2,000");
    assert_eq!(story.tracker.heap(), 0);
}

#[test]
fn a_peer_id_on_a_live_socket_is_refused_to_another() {
    let mut story = Story::introducing(Limits::default());
    story.browse(&browser(1));
    let thief = BrowserAnnounce {
        peer_id: browser(1).peer_id,
        ..browser(2)
    };
    assert_eq!(story.try_browse(&thief), Err(Refusal::PeerIdTaken));
    let stop = BrowserAnnounce {
        event: Event::Stopped,
        ..thief
    };
    assert_eq!(story.try_browse(&stop), Err(Refusal::PeerIdTaken));
    story.tracker.close_socket(story.now, SocketId(2), &[SWARM]);
    assert_eq!(story.tracker.n_peers(), 1);
    assert_eq!(story.tracker.counters().peer_id_taken, 2);
    // Offers still reach the first.
    let (_, targets) = story.browse(&browser(3));
    assert_eq!(sockets(&targets), [1]);
    // In another swarm it is another peer, and once the socket is gone the id is free.
    let elsewhere = BrowserAnnounce {
        swarm: OTHER_SWARM,
        ..thief
    };
    assert!(story.try_browse(&elsewhere).is_ok());
    story.tracker.close_socket(story.now, SocketId(1), &[SWARM]);
    assert!(story.try_browse(&thief).is_ok());
}

#[test]
fn no_socket_and_no_address_fills_a_swarm_with_browsers() {
    let limits = Limits {
        peers_per_socket: 2,
        peers_per_address: 3,
        ..Limits::default()
    };
    let mut story = Story::introducing(limits);
    for peer in 0..5 {
        let announce = BrowserAnnounce {
            peer_id: id(&format!("peer {peer}")),
            ..browser(1)
        };
        let (reply, targets) = story.browse(&announce);
        assert_eq!((reply.arrived, targets.len()), (peer < 2, 0));
    }
    assert_eq!(story.tracker.counters().socket_full, 3);
    for socket in 2..6 {
        let announce = BrowserAnnounce {
            from: browser(1).from,
            ..browser(socket)
        };
        let (reply, _) = story.browse(&announce);
        assert_eq!(reply.arrived, socket == 2);
    }
    assert_eq!(story.tracker.counters().address_full, 3);
    assert_eq!(story.tracker.n_peers(), 3);
}

#[test]
fn answers_reach_only_who_made_the_offer() {
    let mut story = Story::introducing(Limits::default());
    story.browse(&browser(1));
    story.browse(&browser(3));
    let in_other_swarm = BrowserAnnounce {
        swarm: OTHER_SWARM,
        ..browser(4)
    };
    story.browse(&in_other_swarm);
    let offers_one = BrowserAnnounce {
        offers: 1,
        ..browser(2)
    };
    let (_, targets) = story.browse(&offers_one);
    let offered = sockets(&targets);
    assert_eq!(offered.len(), 1);
    let answer = |swarm: SwarmHash, from: u64, to: u64| {
        let from = Member {
            socket: SocketId(from),
            // libtorrent takes another peer id for each answer.
            peer_id: id("fresh"),
        };
        story.tracker.answer(&swarm, from, browser(to).peer_id)
    };
    assert_eq!(answer(SWARM, offered[0], 2), Some(SocketId(2)));
    let passed_over = if offered[0] == 1 { 3 } else { 1 };
    assert_eq!(answer(SWARM, passed_over, 2), None, "got no offer");
    assert_eq!(answer(SWARM, offered[0], passed_over), None, "made none");
    assert_eq!(answer(SWARM, 4, 2), None, "is in another swarm");
    assert_eq!(answer(OTHER_SWARM, offered[0], 2), None);
    assert_eq!(answer(OTHER_SWARM, 4, 2), None);
    assert_eq!(answer(SWARM, 99, 2), None, "never announced");
    assert_eq!(answer(SwarmHash([9; 20]), offered[0], 2), None);
    let counters = story.tracker.counters();
    assert_eq!((counters.answers, counters.answers_refused), (1, 7));
}

#[test]
fn offers_are_bounded_over_the_tracker_by_address_and_by_viewer() {
    let limits = Limits {
        offer_rate: 50,
        address_burst: 30,
        address_rate: 1,
        ..Limits::default()
    };
    let mut story = Story::introducing(limits);
    for number in 0..100 {
        let quiet = BrowserAnnounce {
            offers: 0,
            ..browser(number)
        };
        story.browse(&quiet);
    }
    // By address: 30 units are five announces with five offers each.
    let sent: usize = (0..8)
        .map(|_| {
            story
                .try_browse(&browser(200))
                .map_or(0, |(_, targets)| targets.len())
        })
        .sum();
    assert_eq!(sent, 25);
    // Over the tracker: of 50 in this second 25 are left, and those are all there are.
    let sent: usize = (201..220)
        .map(|number| story.browse(&browser(number)).1.len())
        .sum();
    assert_eq!(sent, 25);
    assert!(story.tracker.counters().offers_refused > 0);
    story.pass(1);
    assert_eq!(story.browse(&browser(230)).1.len(), 5);
    // One announce: no more than ten are looked at.
    let many = BrowserAnnounce {
        offers: 1_000_000,
        ..browser(231)
    };
    assert_eq!(story.browse(&many).1.len(), 10);
}

#[test]
fn nobody_is_overrun_by_offers() {
    let limits = Limits {
        offer_rate: 0,
        address_rate: 0,
        ..Limits::default()
    };
    let mut story = Story::introducing(limits);
    for number in 1..50 {
        story.browse(&browser(number));
    }
    // Everybody who comes plays what it plays, and goes again.
    let plays = |number| BrowserAnnounce {
        position_ms: Some(100_000),
        ..browser(number)
    };
    story.browse(&plays(0));
    let mut received = 0;
    for number in 100..150 {
        let met = sockets(&story.browse(&plays(number)).1);
        received += met.iter().filter(|socket| **socket == 0).count();
        story
            .tracker
            .close_socket(story.now, SocketId(number), &[SWARM]);
    }
    // Ten between two announces of its own, however many come.
    assert_eq!(received, 10);
}

#[test]
fn announcing_often_attracts_no_more_offers() {
    let limits = Limits {
        offer_rate: 0,
        address_rate: 0,
        ..Limits::default()
    };
    let mut story = Story::introducing(limits);
    let greedy = BrowserAnnounce {
        offers: 0,
        ..browser(0)
    };
    let mut received = 0;
    for number in 1..60 {
        story.browse(&greedy);
        story.pass(1);
        let met = sockets(&story.browse(&browser(number)).1);
        received += met.iter().filter(|socket| **socket == 0).count();
    }
    assert!((1..=10).contains(&received), "{received} of 59");
}
