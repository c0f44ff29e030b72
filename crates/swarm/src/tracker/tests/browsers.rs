//! Browsers: who is there, when they are introduced to each other, and what the seeder takes.

use super::*;

#[test]
fn browsers_come_stay_and_go_with_their_socket() {
    let mut story = Story::introducing(Limits::default());
    let (reply, targets) = story.browse(&browser(1));
    assert!(reply.arrived && targets.is_empty());
    assert_eq!((reply.complete, reply.incomplete), (1, 1));
    let (reply, targets) = story.browse(&browser(2));
    assert_eq!(sockets(&targets), [1]);
    assert_eq!((reply.complete, reply.incomplete), (1, 2));
    // One socket may bring peers of several releases.
    let elsewhere = BrowserAnnounce {
        swarm: OTHER_SWARM,
        ..browser(2)
    };
    story.browse(&elsewhere);
    let done = BrowserAnnounce {
        event: Event::Completed,
        left: Some(0),
        ..browser(2)
    };
    assert!(!story.browse(&done).0.arrived);
    story.browse(&done);
    assert_eq!(story.scrape(), (2, 1, 1));
    story
        .tracker
        .close_socket(story.now, SocketId(2), &[SWARM, OTHER_SWARM]);
    assert_eq!(story.scrape(), (1, 1, 1));
    let stop = BrowserAnnounce {
        event: Event::Stopped,
        offers: 0,
        ..browser(1)
    };
    let (reply, targets) = story.browse(&stop);
    assert_eq!((reply.incomplete, targets.len()), (0, 0));
    assert_eq!(story.tracker.n_peers(), 0);
}

#[test]
fn browsers_and_native_peers_count_together_and_are_not_mixed() {
    let mut story = Story::introducing(Limits::default());
    story.browse(&browser(1));
    let (reply, peers) = story.announce("2.2.2.2:2222", 5, Event::Started);
    assert_eq!((reply.complete, reply.incomplete, peers.len()), (1, 2, 1));
    let (reply, targets) = story.browse(&browser(3));
    assert_eq!((reply.incomplete, targets.len()), (3, 1));
}

#[test]
fn browsers_of_both_families_meet() {
    let mut story = Story::introducing(Limits::default());
    story.browse(&browser(1));
    let v6 = BrowserAnnounce {
        from: "2001:db8::1".parse().unwrap(),
        ..browser(2)
    };
    assert_eq!(sockets(&story.browse(&v6).1), [1]);
}

#[test]
fn silent_browsers_are_forgotten() {
    let mut story = Story::introducing(Limits::default());
    story.browse(&browser(1));
    story.pass(150);
    story.browse(&browser(2));
    story.pass(150);
    story.tracker.expire(story.now);
    assert_eq!(story.tracker.n_peers(), 2, "nobody is forgotten early");
    story.pass(8);
    story.tracker.expire(story.now);
    assert_eq!(story.tracker.n_peers(), 1);
    assert_eq!(story.scrape(), (1, 1, 0));
    assert_eq!(story.tracker.counters().expired, 1);
}

#[test]
fn with_bandwidth_to_spare_nobody_is_shown_to_another() {
    let mut story = Story::new(Limits::default());
    story.browse(&browser(1));
    let (reply, targets) = story.browse(&browser(2));
    assert_eq!(reply.p2p, Introduction::Wait);
    assert_eq!((reply.offers_wanted, targets.len()), (0, 0));
    story.tracker.set_load(Load::Loaded);
    let (reply, targets) = story.browse(&browser(2));
    assert_eq!(reply.p2p, Introduction::Go);
    assert_eq!((reply.offers_wanted, sockets(&targets)), (1, vec![1]));
    story.tracker.set_load(Load::Spare);
    let (reply, targets) = story.browse(&browser(1));
    assert_eq!((reply.p2p, targets.len()), (Introduction::Wait, 0));
}

#[test]
fn off_is_off_and_always_is_always() {
    for (p2p, load, expected) in [
        (P2p::Off, Load::Loaded, Introduction::Wait),
        (P2p::Always, Load::Spare, Introduction::Go),
    ] {
        let mut story = Story::new(Limits::default());
        let tracked = Tracked {
            p2p,
            ..tracked(SWARM)
        };
        story.tracker.set_tracked([tracked]);
        story.tracker.set_load(load);
        story.browse(&browser(1));
        let (reply, targets) = story.browse(&browser(2));
        assert_eq!(reply.p2p, expected);
        assert_eq!(targets.is_empty(), expected == Introduction::Wait);
    }
}

#[test]
fn when_the_load_rises_those_who_wait_are_told_in_batches() {
    let mut story = Story::new(Limits::default());
    for number in 0..100 {
        story.browse(&browser(number));
    }
    let wanted = |story: &Story, most| {
        let mut into = Vec::new();
        story.tracker.newly_wanted(story.now, most, &mut into);
        assert!(into.iter().all(|(_, swarm)| *swarm == SWARM));
        into.into_iter()
            .map(|(socket, _)| socket.0)
            .collect::<Vec<_>>()
    };
    assert_eq!(wanted(&story, 30), [0; 0], "not before");
    story.tracker.set_load(Load::Loaded);
    // One announces by itself, one leaves in between.
    story.browse(&browser(7));
    let mut told = wanted(&story, 30);
    assert_eq!(told.len(), 30);
    let leaves = (0..100)
        .find(|number| *number != 7 && !told.contains(number))
        .unwrap();
    story
        .tracker
        .close_socket(story.now, SocketId(leaves), &[SWARM]);
    loop {
        let batch = wanted(&story, 30);
        assert!(batch.len() <= 30);
        if batch.is_empty() {
            break;
        }
        told.extend(batch);
    }
    told.sort_unstable();
    let expected: Vec<u64> = (0..100)
        .filter(|number| ![7, leaves].contains(number))
        .collect();
    assert_eq!(told, expected, "each once");
    story.tracker.set_load(Load::Spare);
    story.tracker.set_load(Load::Loaded);
    assert_eq!(wanted(&story, 30), [0; 0], "nobody was told to wait again");
}

#[test]
fn a_release_set_to_always_wakes_those_who_wait() {
    let mut story = Story::new(Limits::default());
    story.browse(&browser(1));
    let p2p = P2p::Always;
    story.tracker.set_tracked([Tracked {
        p2p,
        ..tracked(SWARM)
    }]);
    let mut into = Vec::new();
    story.tracker.newly_wanted(story.now, 10, &mut into);
    assert_eq!(into, [(SocketId(1), SWARM)]);
}

#[test]
fn the_seeder_takes_offers_only_while_it_has_room() {
    let mut story = Story::new(Limits::default());
    let asks = |number| BrowserAnnounce {
        wants_seeder: true,
        ..browser(number)
    };
    assert_eq!(story.browse(&asks(1)).1, [], "no room was ever told");
    story.tracker.set_seeder_room(2);
    assert_eq!(story.browse(&asks(1)).1, [Target::Seeder]);
    assert_eq!(story.browse(&asks(2)).1, [Target::Seeder]);
    assert_eq!(story.browse(&asks(3)).1, []);
    story.tracker.set_seeder_room(9);
    let seed = BrowserAnnounce {
        left: Some(0),
        ..asks(4)
    };
    assert_eq!(story.browse(&seed).1, [], "it needs nothing");
    story.tracker.set_seeded(&SWARM, false);
    assert_eq!(story.browse(&asks(5)).1, []);
    assert_eq!(story.tracker.counters().seeder_offers, 2);
}

#[test]
fn the_seeder_comes_last_and_takes_an_ordinary_offer_in_a_thin_swarm() {
    let mut story = Story::introducing(Limits::default());
    story.tracker.set_seeder_room(100);
    // A client that can't ask for the seeder: of its two offers one reaches a viewer and one the seeder.
    let plain = |number| BrowserAnnounce {
        offers: 2,
        ..browser(number)
    };
    assert_eq!(story.browse(&plain(1)).1, [Target::Seeder]);
    story.browse(&plain(2));
    let (_, targets) = story.browse(&plain(3));
    assert_eq!(sockets(&targets).len(), 1);
    assert_eq!(targets.last(), Some(&Target::Seeder));
    assert_eq!(targets.len(), 2);
    // One that asked keeps its own offers for viewers.
    let asks = BrowserAnnounce {
        wants_seeder: true,
        ..plain(4)
    };
    let (_, targets) = story.browse(&asks);
    assert_eq!(sockets(&targets).len(), 2);
    assert_eq!(targets.last(), Some(&Target::Seeder));
    // Among many, only who asks.
    story.browse(&plain(5));
    let (_, targets) = story.browse(&plain(6));
    assert_eq!(sockets(&targets).len(), 2);
    assert_eq!(targets.len(), 2);
}

#[test]
fn offers_wanted_follow_the_swarm_and_the_volume() {
    let limits = Limits {
        offer_rate: 10,
        ..Limits::default()
    };
    let mut story = Story::introducing(limits);
    let wanted = |story: &mut Story, number| story.browse(&browser(number)).0.offers_wanted;
    assert_eq!(wanted(&mut story, 0), 0);
    assert_eq!(wanted(&mut story, 1), 1);
    for number in 2..10 {
        story.browse(&browser(number));
    }
    assert_eq!(wanted(&mut story, 10), 5);
    for number in 11..600 {
        story.browse(&browser(number));
    }
    // 600 browsers every 120 seconds may bring two each.
    story.tracker.expire(story.now);
    assert_eq!(wanted(&mut story, 5), 2);
}
