//! Local discovery against messages as they come, hostile ones among them.

use super::*;
use crate::discover::seek::found_for_tests;

const SWARM: SwarmHash = SwarmHash([7; 20]);

/// Without sockets: what is said is taken out, what is heard is put in.
fn local() -> Arc<Local> {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    Arc::new(Local {
        sockets: vec![(socket, SocketAddr::new(GROUP_V4.into(), PORT))],
        cookie: "ours".to_owned(),
        told: Mutex::default(),
        metrics: Arc::default(),
    })
}

fn port(port: u16) -> Arc<AtomicU16> {
    Arc::new(AtomicU16::new(port))
}

fn heard(swarm: SwarmHash, cookie: &str) -> Vec<u8> {
    let search = Search {
        port: 7000,
        swarms: vec![swarm],
        cookie: Some(cookie.to_owned()),
    };
    search
        .encode(SocketAddr::new(GROUP_V4.into(), PORT))
        .into_bytes()
}

#[tokio::test(start_paused = true)]
async fn each_torrent_is_told_in_turn_until_it_is_gone() {
    let local = local();
    let gone = CancellationToken::new();
    let swarms: Vec<_> = (0..200).map(|n| SwarmHash([n; 20])).collect();
    local.make_known(&swarms, &gone, port(6881));
    let mut told = Vec::new();
    for _ in 0..4 {
        for (port, swarms) in local.due(true) {
            assert_eq!(port, 6881);
            assert!(swarms.len() <= MAX_SWARMS);
            told.extend(swarms);
        }
    }
    told.sort();
    assert_eq!(told, swarms, "each once, a few datagrams at a time");
    tokio::time::advance(EVERY - Duration::from_secs(1)).await;
    assert!(local.due(true).is_empty());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(local.due(true).len(), AT_ONCE);
    gone.cancel();
    tokio::time::advance(EVERY).await;
    assert!(local.due(true).is_empty() && local.told().ours.is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_asks_is_answered_once_a_minute() {
    let local = local();
    local.make_known(&[SWARM], &CancellationToken::new(), port(6881));
    assert_eq!(local.due(true).len(), 1);
    let from = IpAddr::from([10, 0, 0, 9]);
    for _ in 0..50 {
        local.hear(&heard(SWARM, "theirs"), from);
    }
    assert!(local.due(true).is_empty(), "it was just told");
    tokio::time::advance(AGAIN).await;
    local.hear(&heard(SwarmHash([8; 20]), "theirs"), from);
    local.hear(&heard(SWARM, "ours"), from);
    assert!(local.due(true).is_empty(), "not ours, or our own voice");
    local.hear(&heard(SWARM, "theirs"), from);
    local.hear(&heard(SWARM, "theirs"), from);
    assert_eq!(local.due(true).len(), 1);
    assert!(local.due(true).is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_is_heard_is_passed_on_to_who_seeks() {
    let local = local();
    let (found, mut addresses) = found_for_tests();
    let searching = local.seek(vec![SWARM], port(6881), found);
    let from = IpAddr::from([10, 0, 0, 9]);
    local.hear(&heard(SWARM, "theirs"), from);
    local.hear(&heard(SWARM, "ours"), from);
    local.hear(b"nonsense", from);
    assert_eq!(
        addresses.try_recv().unwrap(),
        "10.0.0.9:7000".parse().unwrap()
    );
    assert!(addresses.try_recv().is_err());
    assert_eq!(local.metrics.lsd_passed_over.get(), 1);
    drop(searching);
    local.hear(&heard(SWARM, "theirs"), from);
    assert!(addresses.try_recv().is_err());
    assert!(local.due(true).is_empty(), "and it is told no longer");
}
