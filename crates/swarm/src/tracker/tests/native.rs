//! Native peers: who comes, stays, goes, and is handed out.

use super::*;

/// The peers of a reply as text, the seeder's address first as it came.
fn addrs((_, peers): (Reply, Vec<SocketAddr>)) -> Vec<String> {
    let mut addrs: Vec<String> = peers.iter().map(SocketAddr::to_string).collect();
    if addrs.len() > 1 {
        addrs[1..].sort();
    }
    addrs
}

#[test]
fn the_seeder_comes_first_and_the_asker_never() {
    let mut story = Story::new(Limits::default());
    let started = |story: &mut Story, addr| addrs(story.announce(addr, 5, Event::Started));
    assert_eq!(started(&mut story, "1.1.1.1:1111"), ["10.0.0.1:6881"]);
    assert_eq!(
        started(&mut story, "2.2.2.2:2222"),
        ["10.0.0.1:6881", "1.1.1.1:1111"]
    );
    assert_eq!(
        started(&mut story, "1.1.1.1:1111"),
        ["10.0.0.1:6881", "2.2.2.2:2222"]
    );
    // A client that came back under another port isn't handed its old self.
    let back = story.announce_as("1.1.1.1:9999", "1.1.1.1:1111", 5, Event::Started);
    assert_eq!(addrs(back), ["10.0.0.1:6881", "2.2.2.2:2222"]);
}

#[test]
fn the_seeder_is_left_out_and_not_counted_where_it_does_not_serve() {
    let mut story = Story::new(Limits::default());
    story.tracker.set_seeded(&SWARM, false);
    let (reply, peers) = story.announce("1.1.1.1:1111", 5, Event::Started);
    assert_eq!((reply.complete, reply.incomplete, peers.len()), (0, 1, 0));
    story.tracker.set_seeded(&SWARM, true);
    let (reply, peers) = story.announce("1.1.1.1:1111", 5, Event::Started);
    assert_eq!((reply.complete, reply.incomplete, peers.len()), (1, 1, 1));
}

#[test]
fn the_seeder_that_announces_itself_is_handed_out_once() {
    let mut story = Story::new(Limits::default());
    story.announce("10.0.0.1:6881", 0, Event::Started);
    assert_eq!(
        addrs(story.announce("1.1.1.1:1111", 5, Event::Started)),
        ["10.0.0.1:6881"]
    );
    assert_eq!(
        addrs(story.announce("10.0.0.1:6881", 0, Event::Started)),
        ["1.1.1.1:1111"]
    );
}

#[test]
fn families_stay_apart_and_mapped_addresses_are_ipv4() {
    let mut story = Story::new(Limits::default());
    story.announce("1.1.1.1:1111", 5, Event::Started);
    assert_eq!(
        addrs(story.announce("[2001::1]:2222", 5, Event::Started)),
        ["[fd00::1]:6881"]
    );
    assert_eq!(
        addrs(story.announce("[::ffff:3.3.3.3]:3333", 5, Event::Started)),
        ["10.0.0.1:6881", "1.1.1.1:1111"]
    );
    let (reply, peers) = story.announce("[2001:0:0:1::9]:2222", 5, Event::Started);
    assert_eq!((reply.complete, reply.incomplete, peers.len()), (1, 4, 2));
    assert_eq!(
        reply.external_ip,
        "2001:0:0:1::9".parse::<IpAddr>().unwrap()
    );
}

#[test]
fn counts_follow_events_and_a_completion_counts_once() {
    let mut story = Story::new(Limits::default());
    assert!(story.announce("1.1.1.1:1111", 5, Event::Started).0.arrived);
    story.announce("2.2.2.2:2222", 5, Event::Started);
    let (reply, _) = story.announce("1.1.1.1:1111", 0, Event::Completed);
    assert!(!reply.arrived);
    assert_eq!(story.scrape(), (2, 1, 1));
    // Said twice, by somebody who lost something and got it again, or by somebody never seen to need anything, it
    // counts no more.
    story.announce("1.1.1.1:1111", 0, Event::Completed);
    story.announce("1.1.1.1:1111", 7, Event::Regular);
    story.announce("1.1.1.1:1111", 0, Event::Completed);
    story.announce("3.3.3.3:3333", 0, Event::Completed);
    assert_eq!(story.scrape(), (3, 1, 1));
    let (_, peers) = story.announce("3.3.3.3:3333", 0, Event::Stopped);
    assert!(peers.is_empty());
    // Nor does leaving and coming back help, until much later.
    story.announce("1.1.1.1:1111", 5, Event::Stopped);
    story.announce("1.1.1.1:1111", 5, Event::Started);
    story.announce("1.1.1.1:1111", 0, Event::Completed);
    story.tracker.restore_completions(&SWARM, 40);
    assert_eq!(story.scrape(), (2, 1, 41));
}

#[test]
fn who_has_everything_gets_only_those_who_have_not() {
    let mut story = Story::new(Limits::default());
    story.announce("1.1.1.1:1111", 0, Event::Started);
    story.announce("2.2.2.2:2222", 5, Event::Started);
    assert_eq!(
        addrs(story.announce("3.3.3.3:3333", 0, Event::Started)),
        ["10.0.0.1:6881", "2.2.2.2:2222"]
    );
    // Not knowing how much is left isn't having everything.
    let addr: SocketAddr = "4.4.4.4:4444".parse().unwrap();
    let announce = Announce {
        left: None,
        ..announce_of(SWARM, addr, id("4"))
    };
    let (reply, peers) = story.try_announce(addr.ip(), &announce).unwrap();
    assert_eq!((reply.complete, reply.incomplete, peers.len()), (3, 2, 4));
}

#[test]
fn of_its_own_address_an_asker_gets_one_unless_there_are_no_others() {
    let mut story = Story::new(Limits::default());
    for port in 2001..=2005 {
        story.announce(&format!("1.1.1.1:{port}"), 5, Event::Started);
    }
    let (_, peers) = story.announce("1.1.1.1:2001", 5, Event::Regular);
    assert_eq!(peers.len(), 1 + 4);
    story.announce("2.2.2.2:2222", 5, Event::Started);
    let (_, peers) = story.announce("1.1.1.1:2001", 5, Event::Regular);
    assert_eq!(peers.len(), 1 + 2);
    let (_, peers) = story.announce("2.2.2.2:2222", 5, Event::Regular);
    assert_eq!(peers.len(), 1 + 5);
}

#[test]
fn an_asker_gets_as_many_as_it_wants_within_bounds() {
    let mut story = Story::new(Limits::default());
    for host in 0..200 {
        story.announce(&format!("1.1.{host}.1:1111"), 5, Event::Started);
    }
    let addr: SocketAddr = "9.9.9.9:9999".parse().unwrap();
    let mut n = |num_want| {
        let announce = Announce {
            num_want,
            ..announce_of(SWARM, addr, id("9"))
        };
        story.try_announce(addr.ip(), &announce).unwrap().1.len()
    };
    assert_eq!(n(None), 50);
    assert_eq!(n(Some(0)), 0);
    assert_eq!(n(Some(1)), 1);
    assert_eq!(n(Some(21)), 21);
    assert_eq!(n(Some(u32::MAX)), 100);
}

#[test]
fn who_does_not_come_back_is_forgotten() {
    let mut story = Story::new(Limits::default());
    let expiry = 1500;
    story.announce("1.1.1.1:1111", 5, Event::Started);
    story.announce("[2001::1]:1111", 0, Event::Started);
    story.pass(expiry / 2);
    story.announce("2.2.2.2:2222", 5, Event::Started);
    story.pass(expiry / 2);
    story.tracker.expire(story.now);
    assert_eq!(story.tracker.n_peers(), 3, "nobody is forgotten early");
    story.pass(8);
    story.tracker.expire(story.now);
    assert_eq!(story.tracker.n_peers(), 1);
    assert_eq!(story.tracker.counters().expired, 2);
    assert_eq!(story.scrape(), (1, 1, 0));
    story.announce("2.2.2.2:2222", 5, Event::Regular);
    story.pass(expiry);
    story.tracker.expire(story.now);
    assert_eq!(story.tracker.n_peers(), 1);
}

#[test]
fn only_tracked_swarms_exist_and_those_that_stay_lose_no_peer() {
    let mut story = Story::new(Limits::default());
    let addr: SocketAddr = "1.1.1.1:1111".parse().unwrap();
    let mut announce = |swarm| {
        story
            .try_announce(addr.ip(), &announce_of(swarm, addr, id("1")))
            .err()
    };
    assert_eq!(announce(SWARM), None);
    assert_eq!(announce(OTHER_SWARM), Some(Refusal::NotTracked));
    assert_eq!(story.tracker.scrape(&OTHER_SWARM), None);
    assert_eq!(story.tracker.counters().not_tracked, 2);
    story.tracker.set_tracked([SWARM, OTHER_SWARM].map(tracked));
    assert_eq!(story.tracker.n_peers(), 1);
    let (_, peers) = story
        .try_announce(addr.ip(), &announce_of(OTHER_SWARM, addr, id("1")))
        .unwrap();
    assert_eq!(
        peers,
        ["10.0.0.1:6881".parse().unwrap()],
        "swarms stay apart"
    );
    assert_eq!(story.tracker.n_peers(), 2);
}

#[test]
fn who_asks_for_what_was_withdrawn_is_told_so_for_good() {
    let mut story = Story::new(Limits::default());
    let addr: SocketAddr = "1.1.1.1:1111".parse().unwrap();
    let of_swarm = announce_of(SWARM, addr, id("1"));
    story.tracker.set_tracked([tracked(OTHER_SWARM)]);
    let refusal = |story: &mut Story| story.try_announce(addr.ip(), &of_swarm).err();
    assert_eq!(refusal(&mut story), Some(Refusal::Retired));
    story.tracker.set_tracked([]);
    assert_eq!(refusal(&mut story), Some(Refusal::Retired));
    assert_eq!(story.tracker.counters().retired, 2);
    assert_eq!(story.tracker.n_peers(), 0);
    // Unless it comes back.
    story.tracker.set_tracked([tracked(SWARM)]);
    assert_eq!(refusal(&mut story), None);
    // What was withdrawn before this process began is named.
    story.tracker.retire([SWARM, OTHER_SWARM]);
    assert_eq!(refusal(&mut story), None, "it is tracked");
    let of_other = announce_of(OTHER_SWARM, addr, id("1"));
    let refusal = story.try_announce(addr.ip(), &of_other).err();
    assert_eq!(refusal, Some(Refusal::Retired));
}

#[test]
fn intervals_are_spread_and_grow_with_the_crowd() {
    let limits = Limits {
        announce_rate: 1,
        address_rate: 0,
        ..Limits::default()
    };
    let mut story = Story::new(limits);
    let mut seen = std::collections::BTreeSet::new();
    for host in 0..1200_u32 {
        let addr = format!("1.{}.{}.1:1111", host / 256, host % 256);
        let (reply, _) = story.announce(&addr, 5, Event::Started);
        let seconds = reply.interval.as_secs();
        assert!((540..=660).contains(&seconds), "{seconds}");
        assert_eq!(reply.min_interval, Duration::from_secs(60));
        seen.insert(seconds);
    }
    assert!(seen.len() > 50, "{} different intervals", seen.len());
    // 1,200 peers at an announce a second.
    story.tracker.expire(story.now);
    let (reply, _) = story.announce("1.1.1.1:1111", 5, Event::Regular);
    let seconds = reply.interval.as_secs();
    assert!((1080..=1320).contains(&seconds), "{seconds}");
}

#[test]
fn figures_tell_who_is_there() {
    let mut story = Story::new(Limits::default());
    story.announce_as("1.1.1.1:1111", "-qB4630-", 5, Event::Started);
    story.announce_as("2.2.2.2:2222", "-TR3000-", 0, Event::Started);
    story.announce_as("[2001::1]:2222", "-TR4000-", 5, Event::Started);
    story.announce_as("[2001::1]:2222", "-TR4000-", 0, Event::Completed);
    story.browse(&browser(1));
    story.tracker.restore_completions(&SWARM, 9);
    let mut all = Vec::new();
    story
        .tracker
        .for_each_swarm(&mut |figures| all.push(*figures));
    let [figures] = all[..] else {
        panic!("{all:?}");
    };
    assert_eq!((figures.swarm, figures.id), (SWARM, 1));
    assert_eq!((figures.complete, figures.incomplete), (2, 2));
    assert_eq!((figures.arrivals, figures.completions), (4, 1));
    let of = |client: Client| figures.by_client[client as usize];
    assert_eq!(of(Client::QBittorrent), 1);
    assert_eq!(of(Client::Transmission), 2);
    assert_eq!(of(Client::Browser), 1);
    assert_eq!(figures.by_client.iter().sum::<u32>(), 4);
}
