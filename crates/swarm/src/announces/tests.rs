//! The tracker's store in stories; time is an argument, so a day of expiry takes no time.

use super::*;
use metainfo::ids::PeerId;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::num::NonZeroU16;

const SWARM: SwarmHash = SwarmHash([1; 20]);
const OWN: [&str; 2] = ["10.0.0.1:6881", "[fd00::1]:6881"];

#[allow(clippy::disallowed_methods)]
fn epoch() -> Instant {
    Instant::now()
}

struct Story {
    store: Announces,
    now: Instant,
    seed: u64,
}

impl Story {
    fn new(limits: Limits) -> Self {
        let mut store = Announces::new(limits);
        store.set_allowed([SWARM]);
        Self {
            store,
            now: epoch(),
            seed: 0,
        }
    }

    fn announce(&mut self, addr: &str, left: u64, event: Event) -> AnnounceReply {
        self.announce_as(addr, addr, Some(left), event, None)
    }

    fn announce_as(
        &mut self,
        addr: &str,
        id: &str,
        left: Option<u64>,
        event: Event,
        num_want: Option<u32>,
    ) -> AnnounceReply {
        let addr: SocketAddr = addr.parse().unwrap();
        let mut peer_id = PeerId([b' '; 20]);
        let n = id.len().min(20);
        peer_id.0[..n].copy_from_slice(&id.as_bytes()[..n]);
        let port = NonZeroU16::new(addr.port()).unwrap();
        let announce = Announce {
            swarm: SWARM,
            peer_id,
            port,
            uploaded: 0,
            downloaded: 0,
            left,
            event,
            num_want,
        };
        self.seed += 1;
        let own = OWN.map(|addr| addr.parse().unwrap());
        self.store
            .announce(self.now, &announce, addr.ip(), &own, self.seed)
            .unwrap()
    }
}

fn addrs(reply: &AnnounceReply) -> Vec<String> {
    let mut addrs: Vec<String> = reply
        .peers
        .iter()
        .map(|peer| peer.addr.to_string())
        .collect();
    addrs[1..].sort();
    addrs
}

#[test]
fn the_seeder_comes_first_and_the_asker_never() {
    let mut story = Story::new(Limits::default());
    assert_eq!(
        addrs(&story.announce("1.1.1.1:1", 5, Event::Started)),
        ["10.0.0.1:6881"]
    );
    assert_eq!(
        addrs(&story.announce("2.2.2.2:2", 5, Event::Started)),
        ["10.0.0.1:6881", "1.1.1.1:1"]
    );
    assert_eq!(
        addrs(&story.announce("1.1.1.1:1", 5, Event::Regular)),
        ["10.0.0.1:6881", "2.2.2.2:2"]
    );
    // A client that came back under another port isn't handed its old self.
    let reply = story.announce_as("1.1.1.1:9", "1.1.1.1:1", Some(5), Event::Started, None);
    assert_eq!(addrs(&reply), ["10.0.0.1:6881", "2.2.2.2:2"]);
}

#[test]
fn families_stay_apart_and_mapped_addresses_are_ipv4() {
    let mut story = Story::new(Limits::default());
    story.announce("1.1.1.1:1", 5, Event::Started);
    assert_eq!(
        addrs(&story.announce("[2001::1]:2", 5, Event::Started)),
        ["[fd00::1]:6881"]
    );
    assert_eq!(
        addrs(&story.announce("[::ffff:3.3.3.3]:3", 5, Event::Started)),
        ["10.0.0.1:6881", "1.1.1.1:1"]
    );
    let reply = story.announce("[2001::9]:2", 5, Event::Started);
    assert_eq!((reply.complete, reply.incomplete), (1, 4));
    assert_eq!(reply.external_ip, Some("2001::9".parse().unwrap()));
}

#[test]
fn counts_follow_events() {
    let mut story = Story::new(Limits::default());
    story.announce("1.1.1.1:1", 5, Event::Started);
    story.announce("2.2.2.2:2", 5, Event::Started);
    let reply = story.announce("1.1.1.1:1", 0, Event::Completed);
    assert_eq!(
        (reply.complete, reply.incomplete, reply.downloaded),
        (2, 1, 1)
    );
    // Said twice, or by somebody who was never seen to need anything, it counts no more.
    story.announce("1.1.1.1:1", 0, Event::Completed);
    let reply = story.announce("3.3.3.3:3", 0, Event::Completed);
    assert_eq!(
        (reply.complete, reply.incomplete, reply.downloaded),
        (3, 1, 1)
    );
    let reply = story.announce("3.3.3.3:3", 0, Event::Stopped);
    assert_eq!(
        (reply.complete, reply.incomplete, reply.peers.len()),
        (2, 1, 0)
    );
    assert_eq!(
        story.store.scrape(&SWARM, true),
        Some(SwarmCounts {
            complete: 2,
            incomplete: 1,
            downloaded: 1
        })
    );
}

#[test]
fn who_has_everything_gets_only_those_who_have_not() {
    let mut story = Story::new(Limits::default());
    story.announce("1.1.1.1:1", 0, Event::Started);
    story.announce("2.2.2.2:2", 5, Event::Started);
    assert_eq!(
        addrs(&story.announce("3.3.3.3:3", 0, Event::Started)),
        ["10.0.0.1:6881", "2.2.2.2:2"]
    );
    // Not knowing how much is left isn't having everything.
    let reply = story.announce_as("4.4.4.4:4", "4", None, Event::Started, None);
    assert_eq!(reply.peers.len(), 4);
    assert_eq!((reply.complete, reply.incomplete), (3, 2));
}

#[test]
fn only_the_peer_itself_can_stop_it() {
    let mut story = Story::new(Limits::default());
    story.announce("1.1.1.1:1", 5, Event::Started);
    story.announce_as("2.2.2.2:1", "1.1.1.1:1", Some(5), Event::Stopped, None);
    story.announce_as("1.1.1.1:1", "someone else", Some(5), Event::Stopped, None);
    assert_eq!(story.store.n_peers(), 1);
    story.announce("1.1.1.1:1", 5, Event::Stopped);
    assert_eq!(story.store.n_peers(), 0);
}

#[test]
fn only_allowed_swarms_exist() {
    let mut story = Story::new(Limits::default());
    story.announce("1.1.1.1:1", 5, Event::Started);
    let announce = Announce {
        swarm: SwarmHash([2; 20]),
        peer_id: PeerId([0; 20]),
        port: NonZeroU16::MIN,
        uploaded: 0,
        downloaded: 0,
        left: None,
        event: Event::Started,
        num_want: None,
    };
    let from = "1.1.1.1".parse().unwrap();
    assert_eq!(
        story.store.announce(story.now, &announce, from, &[], 0),
        Err(Refusal::NotAllowed)
    );
    assert_eq!(story.store.scrape(&SwarmHash([2; 20]), false), None);
    assert_eq!(story.store.counters().not_allowed, 2);
    // A new list keeps the peers of what stays and forgets the rest.
    story.store.set_allowed([SWARM, SwarmHash([2; 20])]);
    assert_eq!(story.store.n_peers(), 1);
    assert!(
        story
            .store
            .announce(story.now, &announce, from, &[], 0)
            .is_ok()
    );
    story.store.set_allowed([SwarmHash([2; 20])]);
    assert_eq!(story.store.n_peers(), 1);
}

#[test]
fn who_does_not_come_back_is_forgotten() {
    let mut story = Story::new(Limits::default());
    let expiry = Limits::default().expiry;
    story.announce("1.1.1.1:1", 5, Event::Started);
    story.now += expiry / 2;
    story.announce("2.2.2.2:2", 5, Event::Started);
    story.now += expiry / 2;
    story.store.expire(story.now);
    assert_eq!(
        (story.store.n_peers(), story.store.counters().expired),
        (1, 1)
    );
    story.announce("2.2.2.2:2", 5, Event::Regular);
    story.now += expiry - Duration::from_secs(1);
    story.store.expire(story.now);
    assert_eq!(story.store.n_peers(), 1);
}

#[test]
fn no_address_and_no_swarm_grows_without_bound() {
    let limits = Limits {
        peers_per_address: 3,
        peers_per_swarm: 5,
        ..Limits::default()
    };
    let mut story = Story::new(limits);
    for port in 1..=5 {
        story.announce(&format!("1.1.1.1:{port}"), 5, Event::Started);
        story.announce(&format!("[2001::{port}]:7"), 5, Event::Started);
    }
    assert_eq!(
        (story.store.n_peers(), story.store.counters().address_full),
        (6, 4)
    );
    for host in 2..=5 {
        story.announce(&format!("1.1.1.{host}:1"), 5, Event::Started);
    }
    assert_eq!(
        (story.store.n_peers(), story.store.counters().swarm_full),
        (8, 2)
    );
    // Those inside are still refreshed, and a place left is a place free.
    story.announce("1.1.1.1:1", 0, Event::Completed);
    story.announce("1.1.1.1:1", 0, Event::Stopped);
    story.announce("1.1.1.9:1", 5, Event::Started);
    assert_eq!(story.store.n_peers(), 8);
}

#[test]
fn samples_are_fair_and_bounded() {
    let mut story = Story::new(Limits::default());
    for host in 0..200 {
        story.announce(&format!("1.1.{host}.1:1"), host % 2, Event::Started);
    }
    let mut given: BTreeMap<SocketAddr, u32> = BTreeMap::new();
    for _ in 0..2000 {
        let reply = story.announce_as("9.9.9.9:9", "9", Some(5), Event::Regular, Some(21));
        assert_eq!(reply.peers.len(), 21);
        for peer in &reply.peers[1..] {
            *given.entry(peer.addr).or_default() += 1;
        }
        let seconds = reply.interval.as_secs();
        assert!((540..=660).contains(&seconds), "{seconds}");
    }
    // 20 of 200, 2,000 times: about 200 each, and six standard deviations are 81.
    assert_eq!(given.len(), 200);
    assert!(given.values().all(|n| (119..=281).contains(n)), "{given:?}");
    let many = story.announce_as("9.9.9.9:9", "9", Some(5), Event::Regular, Some(u32::MAX));
    assert_eq!(many.peers.len(), 100);
    let none = story.announce_as("9.9.9.9:9", "9", Some(5), Event::Regular, Some(0));
    assert_eq!(none.peers.len(), 0);
}

proptest! {
    /// The store against a plain map.
    #[test]
    fn the_store_agrees_with_a_plain_map(
        steps in proptest::collection::vec((0u8..6, 0u16..4, 0u64..2, 0u8..8, 0u64..400), 0..150)
    ) {
        let mut story = Story::new(Limits::default());
        let mut plain: BTreeMap<String, (bool, Instant)> = BTreeMap::new();
        for (host, port, left, event, wait) in steps {
            story.now += Duration::from_secs(wait);
            let addr = format!("1.1.1.{host}:{}", port + 1);
            if event == 0 {
                story.announce(&addr, left, Event::Stopped);
                plain.remove(&addr);
            } else {
                let reply = story.announce(&addr, left, Event::Regular);
                plain.insert(addr.clone(), (left == 0, story.now));
                let others = plain.iter().filter(|(a, (seed, _))| **a != addr && (left > 0 || !seed)).count();
                prop_assert_eq!(reply.peers.len(), 1 + others);
            }
            story.store.expire(story.now);
            plain.retain(|_, (_, at)| story.now < *at + Limits::default().expiry);
            let counts = story.store.scrape(&SWARM, false).unwrap();
            prop_assert_eq!(counts.complete as usize, plain.values().filter(|(seed, _)| *seed).count());
            prop_assert_eq!(counts.incomplete as usize, plain.values().filter(|(seed, _)| !seed).count());
        }
    }
}
