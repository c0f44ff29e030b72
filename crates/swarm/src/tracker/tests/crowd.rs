//! Large swarms: fair samples whatever the shards, nobody lost between threads, and what a peer costs.

use super::*;
use std::collections::BTreeSet;

fn host(number: u32) -> SocketAddr {
    SocketAddr::new(
        IpAddr::from((0x0b00_0000 + number).to_be_bytes()),
        1024 + (number % 60_000) as u16,
    )
}

fn host_v6(number: u32) -> SocketAddr {
    let ip = 0x2001_0db8_u128 << 96 | u128::from(number) << 64 | 1;
    SocketAddr::new(IpAddr::from(ip.to_be_bytes()), 2048)
}

fn unbounded() -> Limits {
    Limits {
        address_rate: 0,
        ..Limits::default()
    }
}

/// A swarm of so many peers, a third of them complete.
fn crowd(n: u32, addr: impl Fn(u32) -> SocketAddr) -> Story {
    crowd_with(n, addr, |number| number % 3)
}

/// A swarm of so many peers that need so much.
fn crowd_with(n: u32, addr: impl Fn(u32) -> SocketAddr, left: impl Fn(u32) -> u32) -> Story {
    let mut story = Story::new(unbounded());
    for number in 0..n {
        let addr = addr(number).to_string();
        story.announce(&addr, left(number).into(), Event::Started);
    }
    assert_eq!(story.tracker.n_peers(), n as usize);
    story
}

/// How often each of `n` peers is handed out, and how often two come together that arrived together.
fn handed_out(story: &mut Story, n: u32, left: u64, rounds: u32) -> (Vec<u32>, u32) {
    let mut counts = vec![0; n as usize];
    let mut together = 0;
    let asker: SocketAddr = "99.9.9.9:9999".parse().unwrap();
    let announce = Announce {
        left: Some(left),
        num_want: Some(51),
        ..announce_of(SWARM, asker, id("asker"))
    };
    for _ in 0..rounds {
        let (_, peers) = story.try_announce(asker.ip(), &announce).unwrap();
        assert_eq!(peers.len(), 51);
        assert_eq!(peers[0].to_string(), OWN[0]);
        let numbers: Vec<u32> = peers[1..]
            .iter()
            .map(|peer| match peer.ip() {
                IpAddr::V4(ip) => u32::from(ip) - 0x0b00_0000,
                IpAddr::V6(_) => panic!("of another family"),
            })
            .collect();
        let different: BTreeSet<u32> = numbers.iter().copied().collect();
        assert_eq!(different.len(), 50, "nobody comes twice");
        for number in numbers {
            counts[number as usize] += 1;
            together += u32::from(different.contains(&(number + 1)));
        }
    }
    (counts, together)
}

/// Pearson's sum of squares over what is expected, by peer: about 1 for a fair sample. Neighbours are drawn
/// together, which makes it scatter as if there were fewer peers; with some hundred of them 1.6 is beyond chance.
fn unfairness(counts: &[u32], rounds: u32) -> f64 {
    let expected = f64::from(rounds) * 50.0 / counts.len() as f64;
    let squares = counts.iter().map(|n| (f64::from(*n) - expected).powi(2));
    squares.sum::<f64>() / expected / counts.len() as f64
}

#[test]
fn samples_are_fair_in_swarms_of_any_size() {
    let all = |left| move |_| left;
    for (n, mut story) in [
        (200, crowd(200, host)),
        (6000, crowd(6000, host)),
        (2000, crowd_with(2000, host, all(0))),
        (2000, crowd_with(2000, host, all(1))),
    ] {
        let rounds = n * 2;
        let (counts, together) = handed_out(&mut story, n, 5, rounds);
        let unfair = unfairness(&counts, rounds);
        assert!(unfair < 1.6, "{unfair} with {n} peers");
        // 100 times each: six standard deviations.
        assert!(counts.iter().all(|n| (40..=160).contains(n)), "{counts:?}");
        // By chance 50 of n hold 2,500 / n such pairs.
        let expected = f64::from(rounds) * 2500.0 / f64::from(n);
        let together = f64::from(together);
        assert!(
            together < expected * 1.5,
            "{together} pairs where {expected} are by chance"
        );
    }
}

#[test]
fn samples_for_those_who_have_everything_are_fair_too() {
    let n = 6000;
    let mut story = crowd(n, host);
    let (counts, _) = handed_out(&mut story, n, 0, 8000);
    let complete = counts.iter().step_by(3);
    assert_eq!(complete.sum::<u32>(), 0);
    let incomplete: Vec<u32> = (0..n as usize)
        .filter(|number| number % 3 != 0)
        .map(|number| counts[number])
        .collect();
    assert!(unfairness(&incomplete, 8000) < 1.6);
}

#[test]
fn samples_stay_fair_after_much_coming_and_going() {
    let n = 3000;
    let mut story = crowd(n * 2, host);
    // Every other one leaves, many change sides twice.
    for number in 0..n * 2 {
        let addr = host(number).to_string();
        if number % 2 == 1 {
            story.announce(&addr, 1, Event::Stopped);
        } else if number % 5 == 0 {
            story.announce(&addr, 0, Event::Regular);
            story.announce(&addr, 9, Event::Regular);
        }
    }
    assert_eq!(story.tracker.n_peers(), n as usize);
    let (counts, _) = handed_out(&mut story, n * 2, 5, 6000);
    assert_eq!(counts.iter().skip(1).step_by(2).sum::<u32>(), 0);
    let there: Vec<u32> = counts.into_iter().step_by(2).collect();
    assert!(unfairness(&there, 6000) < 1.6);
}

#[test]
fn a_large_crowd_is_forgotten_step_by_step() {
    let mut story = crowd(5000, host);
    story.pass(1000);
    for number in 0..1000 {
        story.announce(&host(number * 5).to_string(), 1, Event::Regular);
    }
    story.pass(600);
    for _ in 0..3 {
        story.tracker.expire(story.now);
    }
    assert_eq!(story.tracker.n_peers(), 1000);
    assert_eq!(story.tracker.counters().expired, 4000);
    let per_peer = story.tracker.heap() / 1000;
    assert!(per_peer < 64, "{per_peer} B kept for each of a fifth");
    // They are all found where they stand.
    for number in 0..1000 {
        let addr = host(number * 5).to_string();
        assert!(!story.announce(&addr, 1, Event::Regular).0.arrived);
    }
}

/// What a peer costs all in: the memory its lists and tables have reserved, used or not. Allocations are few and large,
/// so the allocator adds next to nothing.
#[test]
fn a_hundred_thousand_peers_cost_little() {
    let n = 100_000;
    let v4 = crowd(n, host).tracker.heap() as f64 / f64::from(n);
    assert!(v4 <= 32.0, "{v4} B for an IPv4 peer");
    let v6 = crowd(n, host_v6).tracker.heap() as f64 / f64::from(n);
    assert!(v6 <= 40.0, "{v6} B for an IPv6 peer");
    let mut story = Story::introducing(unbounded());
    for number in 0..18_000 {
        let quiet = BrowserAnnounce {
            offers: 0,
            ..browser(number)
        };
        story.browse(&quiet);
    }
    let browser = story.tracker.heap() as f64 / 18_000.0;
    assert!(browser <= 200.0, "{browser} B for a browser");
}

#[test]
fn many_threads_lose_nothing() {
    const THREADS: u32 = 8;
    const EACH: u32 = 800;
    let tracker = Tracker::new(
        Limits {
            offer_rate: 0,
            ..unbounded()
        },
        7,
    );
    let p2p = P2p::Always;
    tracker.set_tracked([Tracked {
        p2p,
        ..tracked(SWARM)
    }]);
    let now = epoch();
    let work = |thread: u32| {
        let mut peers = PackedPeers::default();
        let mut targets = Vec::new();
        for step in 0..EACH {
            let number = thread * EACH + step;
            let addr = host(number);
            let announce = |left, event| Announce {
                left: Some(left),
                event,
                ..announce_of(SWARM, addr, id(&addr.to_string()))
            };
            let mut go = |announce: Announce| {
                let seed = u64::from(number);
                let reply = tracker.announce(now, &announce, addr.ip(), &[], seed, &mut peers);
                assert!(peers.iter().all(|peer| peer != addr));
                let different: BTreeSet<SocketAddr> = peers.iter().collect();
                // While a peer moves behind a run that was drawn it may be drawn again: once in a great while.
                assert!(different.len() + 2 >= peers.len());
                reply.unwrap()
            };
            assert!(go(announce(5, Event::Started)).arrived);
            assert!(!go(announce(0, Event::Completed)).arrived);
            if step % 4 == 0 {
                go(announce(0, Event::Stopped));
            }
            let viewer = browser(u64::from(number));
            let seed = u64::from(number);
            tracker
                .announce_browser(now, &viewer, seed, &mut targets)
                .unwrap();
            for target in &targets {
                let Target::Viewer(member) = target else {
                    panic!("no room was told");
                };
                tracker.answer(&SWARM, *member, viewer.peer_id);
            }
            if step % 4 == 0 {
                tracker.close_socket(now, viewer.socket, &[SWARM]);
            }
            if step % 64 == 0 {
                tracker.expire(now);
                let p2p = P2p::Always;
                tracker.set_tracked([Tracked {
                    p2p,
                    ..tracked(SWARM)
                }]);
                tracker.for_each_swarm(&mut |_| ());
            }
        }
    };
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || work(thread));
        }
    });
    let stay = (THREADS * EACH / 4 * 3) as usize;
    assert_eq!(tracker.n_peers(), stay * 2);
    let counts = tracker.scrape(&SWARM).unwrap();
    assert_eq!(counts.complete as usize, stay + 1);
    assert_eq!(counts.incomplete as usize, stay);
    assert_eq!(counts.downloaded, THREADS * EACH);
    let counters = tracker.counters();
    assert_eq!(u64::from(THREADS * EACH), counters.browser_announces);
    assert_eq!(u64::from(THREADS * EACH / 4 * 9), counters.announces);
    // Nobody left before it could answer who had just made it an offer, but for those who closed in between.
    assert!(counters.answers > counters.answers_refused);
    // Each is found where it was left.
    for number in 0..THREADS * EACH {
        let addr = host(number);
        let mut peers = PackedPeers::default();
        let announce = announce_of(SWARM, addr, id(&addr.to_string()));
        let reply = tracker
            .announce(now, &announce, addr.ip(), &[], 1, &mut peers)
            .unwrap();
        assert_eq!(reply.arrived, (number % EACH).is_multiple_of(4));
    }
}
