//! The UDP tracker without sockets: abuse of every kind, by datagrams handed to it.

use super::answering::UdpTracker;
use crate::config::{ServeConfig, Source};
use crate::datagrams::{Answer, Datagram, Lost};
use crate::discover::trackers::OWN;
use crate::serve::{Bound, Shared};
use metainfo::{PeerId, SwarmHash};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::{Duration, Instant};
use swarm::tracker::{P2p, Tracked};
use wire::tracker::http::asking::BadReply;
use wire::tracker::udp::answering::MAX_REPLY;
use wire::tracker::udp::connection_id::ConnectionIds;
use wire::tracker::udp::{announce, connect, parse_announce, parse_connect};
use wire::tracker::{Announce, AnnounceReply, Event};

const ROOT: [u8; 16] = *b"sixteen secret b";
const OURS: SwarmHash = SwarmHash([7; 20]);
/// Four whole slots of two minutes ago, and a bit.
const AGE: Duration = Duration::from_secs(500);
const SLOT: u64 = 4;

/// A tracker with one swarm that our own seeder serves, without sockets.
struct Table {
    tracker: UdpTracker,
    shared: Arc<Shared>,
    _bound: Bound,
}

impl Table {
    async fn set() -> Self {
        let mut config = ServeConfig::loopback(Source::Torrents {
            files: Vec::new(),
            data: "data".into(),
        });
        config.http.set_port(0);
        config.bind = None;
        config.peer_port = 0;
        config.utp = false;
        config.udp_tracker.on = false;
        config.stun.on = false;
        config.discover.dht = Some(false);
        config.discover.lsd = Some(false);
        let bound = Bound::bind(config).await.unwrap();
        let shared = bound.shared();
        shared.tracker.set_tracked([Tracked {
            swarm: OURS,
            id: 1,
            p2p: P2p::default(),
            seeded: true,
        }]);
        let began = Instant::now().checked_sub(AGE).unwrap();
        Self {
            tracker: UdpTracker::new(shared.clone(), ROOT, began),
            shared,
            _bound: bound,
        }
    }

    /// The answer to a datagram, which is empty for silence.
    fn say(&mut self, from: &str, bytes: &[u8]) -> Vec<u8> {
        let mut out = b"before".to_vec();
        self.tracker.begin();
        let datagram = Datagram {
            bytes,
            from: from.parse().unwrap(),
            to: "203.0.113.1".parse().unwrap(),
        };
        self.tracker.answer(&datagram, &mut out);
        self.tracker.end(Lost::default());
        out.split_off(6)
    }

    fn connection(&mut self, from: &str) -> u64 {
        let reply = self.say(from, &connect(1));
        parse_connect(&reply, 1).unwrap().unwrap()
    }

    fn announce(&mut self, from: &str, by: &Announce) -> Result<AnnounceReply, BadReply> {
        let id = self.connection(from);
        let reply = self.say(from, &announce(id, 2, by, 3, "/announce"));
        let v6 = from.parse::<SocketAddr>().unwrap().is_ipv6();
        parse_announce(&reply, 2, v6).expect("an answer to it")
    }
}

fn peer(n: u8, swarm: SwarmHash) -> Announce {
    Announce {
        swarm,
        peer_id: PeerId([n; 20]),
        port: NonZeroU16::new(7000 + u16::from(n)).unwrap(),
        uploaded: 0,
        downloaded: 0,
        left: Some(1),
        event: Event::Started,
        num_want: None,
    }
}

fn scrape(id: u64, swarms: &[SwarmHash]) -> Vec<u8> {
    let mut datagram = id.to_be_bytes().to_vec();
    datagram.extend([0, 0, 0, 2, 0, 0, 0, 9]);
    for swarm in swarms {
        datagram.extend(swarm.0);
    }
    datagram
}

fn addrs(reply: &AnnounceReply) -> Vec<SocketAddr> {
    reply.peers.iter().map(|peer| peer.addr).collect()
}

#[tokio::test]
async fn peers_meet_and_are_told_of_the_seeder_where_they_reached_it() {
    let mut table = Table::set().await;
    let own = SocketAddr::new(
        "203.0.113.1".parse().unwrap(),
        table.shared.peer_addrs[0].port(),
    );
    let first = table.announce("192.0.2.1:999", &peer(1, OURS)).unwrap();
    assert_eq!(addrs(&first), [own]);
    assert!(first.interval > Duration::from_secs(60));
    let second = table.announce("192.0.2.2:999", &peer(2, OURS)).unwrap();
    assert_eq!(addrs(&second), [own, "192.0.2.1:7001".parse().unwrap()]);
    assert_eq!((second.complete, second.incomplete), (1, 2));
    let id = table.connection("192.0.2.3:1");
    let nobodys = SwarmHash([9; 20]);
    let counts = table.say("192.0.2.3:1", &scrape(id, &[nobodys, OURS]));
    assert_eq!(counts[..8], [0, 0, 0, 2, 0, 0, 0, 9]);
    assert_eq!(
        counts[8..20],
        [0; 12],
        "nobody is in a swarm that isn't ours"
    );
    assert_eq!(counts[20..], [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2]);
    let refused = table.announce("192.0.2.3:1", &peer(3, nobodys));
    assert!(matches!(refused, Err(BadReply::Failure(_))), "{refused:?}");
    let ourselves = Announce {
        peer_id: table.shared.settings.peer_id,
        ..peer(4, OURS)
    };
    let refused = table.announce("192.0.2.4:1", &ourselves);
    assert_eq!(refused, Err(BadReply::Failure(OWN.to_owned())));
    let gone = Announce {
        event: Event::Stopped,
        ..peer(1, OURS)
    };
    table.announce("192.0.2.1:5", &gone).unwrap();
    let again = table.announce("192.0.2.2:999", &peer(2, OURS)).unwrap();
    assert_eq!(addrs(&again), [own]);
    let count = table.shared.metrics.snapshot();
    assert_eq!(count["udp_tracker_announces"], 4);
    assert_eq!(count["announces_refused"], 2);
    assert_eq!(count["udp_tracker_connects"], 7);
}

#[tokio::test]
async fn a_mapped_address_is_the_address() {
    let mut table = Table::set().await;
    let id = table.connection("192.0.2.1:7");
    let reply = table.say(
        "[::ffff:192.0.2.1]:7",
        &announce(id, 2, &peer(1, OURS), 3, ""),
    );
    let reply = parse_announce(&reply, 2, false).unwrap().unwrap();
    assert!(addrs(&reply).iter().all(SocketAddr::is_ipv4));
    let reply = table.announce("192.0.2.2:7", &peer(2, OURS)).unwrap();
    assert!(addrs(&reply).contains(&"192.0.2.1:7001".parse().unwrap()));
}

#[tokio::test]
async fn a_connection_id_is_bound_to_its_address_and_its_time() {
    let mut table = Table::set().await;
    let (mine, others) = ("192.0.2.1:7", "192.0.2.2:7");
    let ip: IpAddr = "192.0.2.1".parse().unwrap();
    let id = table.connection(mine);
    let ask = |id| announce(id, 2, &peer(1, OURS), 3, "");
    assert!(!table.say("192.0.2.1:8", &ask(id)).is_empty(), "any port");
    assert!(table.say(others, &ask(id)).is_empty(), "of another address");
    assert!(table.say(mine, &ask(id ^ 1)).is_empty(), "forged");
    assert!(table.say(mine, &scrape(id ^ 1 << 63, &[OURS])).is_empty());
    assert!(
        table.say(mine, &ask(0x417_2710_1980)).is_empty(),
        "everybody's"
    );
    for (slot, answered) in [
        (SLOT, true),
        (SLOT - 1, true),
        (SLOT - 2, false),
        (SLOT + 1, false),
    ] {
        let id = ConnectionIds::new(ROOT, slot).issue(ip);
        assert_eq!(!table.say(mine, &ask(id)).is_empty(), answered, "{slot}");
    }
    let count = table.shared.metrics.snapshot();
    assert_eq!(count["udp_tracker_wrong_id"], 6);
}

/// Bytes out for bytes in, for every kind of datagram of an address that may be forged.
#[tokio::test]
async fn an_unverified_address_gets_no_more_than_it_sent() {
    let mut table = Table::set().await;
    for n in 0..200 {
        let from = format!("198.51.100.{n}:9");
        table.announce(&from, &peer(n, OURS)).unwrap();
    }
    let forged = 0x1234_5678_9abc_def0;
    let many = vec![OURS; 74];
    let mut error = connect(1);
    error[11] = 3;
    let kinds: [(&str, Vec<u8>); 10] = [
        ("connect", connect(1)),
        ("connect, padded", [connect(1), vec![0; 200]].concat()),
        ("connect, cut", connect(1)[..15].to_vec()),
        ("announce", announce(forged, 2, &peer(1, OURS), 3, "")),
        (
            "announce of nothing",
            announce(forged, 2, &peer(1, SwarmHash([9; 20])), 3, ""),
        ),
        (
            "announce, cut",
            announce(forged, 2, &peer(1, OURS), 3, "")[..97].to_vec(),
        ),
        (
            "announce with options",
            announce(forged, 2, &peer(1, OURS), 3, "/announce?x=y"),
        ),
        ("scrape", scrape(forged, &many)),
        ("an error", error),
        ("nothing", Vec::new()),
    ];
    for (kind, datagram) in kinds {
        let reply = table.say("192.0.2.1:7", &datagram);
        assert!(
            reply.len() <= datagram.len(),
            "{kind}: {} bytes for {}",
            reply.len(),
            datagram.len()
        );
        let expected = if kind.starts_with("connect") && datagram.len() >= 16 {
            16
        } else {
            0
        };
        assert_eq!(reply.len(), expected, "{kind}");
    }
    // Whoever is where it says: refusals are no longer than requests, peers are bounded.
    let id = table.connection("192.0.2.1:7");
    let unknown = announce(id, 2, &peer(1, SwarmHash([9; 20])), 3, "");
    let mut port_0 = announce(id, 2, &peer(1, OURS), 3, "");
    port_0[96..98].fill(0);
    let short = scrape(id, &[]);
    for datagram in [unknown, port_0, short, scrape(id, &many)] {
        let reply = table.say("192.0.2.1:7", &datagram);
        assert!((9..=datagram.len()).contains(&reply.len()), "{reply:?}");
    }
    let mut greedy = peer(1, OURS);
    greedy.num_want = Some(i32::MAX as u32);
    let reply = table.say("192.0.2.1:7", &announce(id, 2, &greedy, 3, ""));
    assert!((600..=MAX_REPLY).contains(&reply.len()), "{}", reply.len());
}

#[tokio::test]
async fn an_address_that_asks_too_often_gets_silence() {
    let mut table = Table::set().await;
    let limits = *table.shared.tracker.limits();
    let id = table.connection("192.0.2.1:7");
    let ask = announce(id, 2, &peer(1, OURS), 3, "");
    let asked = limits.address_burst + 500;
    let answered = (0..asked).filter(|_| !table.say("192.0.2.1:7", &ask).is_empty());
    let answered = answered.count();
    assert!(answered >= limits.address_burst as usize, "{answered}");
    assert!(answered < asked as usize, "{answered} of {asked}");
    let refused = table.shared.metrics.announces_refused.get();
    assert_eq!(refused as usize, asked as usize - answered);
    assert!(table.announce("192.0.2.2:7", &peer(2, OURS)).is_ok());
}

#[tokio::test]
async fn a_million_random_datagrams_change_nothing() {
    let mut table = Table::set().await;
    table.announce("192.0.2.1:7", &peer(1, OURS)).unwrap();
    let mut random = SmallRng::seed_from_u64(1);
    let (mut bytes, mut out) = ([0; 256], Vec::with_capacity(4096));
    let mut connects = 0;
    for round in 0..1_000_000u32 {
        if round % 32 == 0 {
            table.tracker.end(Lost::default());
            table.tracker.begin();
            out.clear();
        }
        random.fill_bytes(&mut bytes);
        let length = bytes[255] as usize;
        // Most are told from requests at a glance; these look like some, but for the connection id.
        match bytes[254] % 4 {
            0 => bytes[8..12].copy_from_slice(&[0, 0, 0, 1]),
            1 => bytes[8..12].copy_from_slice(&[0, 0, 0, 2]),
            2 => bytes[..12].copy_from_slice(&connect(0)[..12]),
            _ => {}
        }
        if bytes[253] % 2 == 0 {
            bytes[16..36].copy_from_slice(&OURS.0);
        }
        let from = SocketAddr::new(IpAddr::from([10, bytes[250], bytes[251], bytes[252]]), 9);
        let datagram = Datagram {
            bytes: &bytes[..length],
            from,
            to: IpAddr::from([203, 0, 113, 1]),
        };
        let before = out.len();
        table.tracker.answer(&datagram, &mut out);
        let answered = out.len() - before;
        assert!(
            answered == 0 || (answered == 16 && length >= 16),
            "{datagram:?}"
        );
        connects += u64::from(answered == 16);
    }
    table.tracker.end(Lost::default());
    let metrics = &table.shared.metrics;
    let passed_over = metrics.udp_tracker_malformed.get() + metrics.udp_tracker_wrong_id.get();
    assert!(passed_over > 500_000 && connects > 200_000);
    assert_eq!(passed_over + connects, 1_000_000);
    assert_eq!(metrics.udp_tracker_announces.get(), 1);
    assert_eq!(table.shared.tracker.n_peers(), 1);
    let counts = table.shared.tracker.scrape(&OURS).unwrap();
    assert_eq!((counts.complete, counts.incomplete), (1, 1));
}
