//! The tracker over HTTP.

use crate::out::{Out, Running};
use metainfo::bencode::{self, Limits, Value};
use metainfo::{Info, SwarmHash};
use seeder::{ServeConfig, Source};

fn query(swarm: SwarmHash, port: u16, more: &str) -> String {
    let hash: String = swarm.0.iter().map(|byte| format!("%{byte:02X}")).collect();
    format!("/announce?info_hash={hash}&peer_id=-XX0000-{port:012}&port={port}&left=5{more}")
}

async fn peers(running: &Running, info: &Info, port: u16, headers: &[(&str, &str)]) -> Vec<u8> {
    let path = query(info.swarm_hashes()[0], port, "&event=started");
    let reply = running.ask("GET", &path, headers).await;
    assert_eq!(
        (reply.status, reply.header("cache-control")),
        (200, "no-store")
    );
    let value = bencode::decode(&reply.body, &Limits::MESSAGE).unwrap();
    assert!(value.get("failure reason").is_none(), "{value:?}");
    value
        .get("peers")
        .and_then(Value::as_bytes)
        .unwrap()
        .to_vec()
}

#[tokio::test]
async fn an_asker_gets_the_seeder_and_the_others() {
    let mut out = Out::new();
    let info = out.add(&[("clip.mp4", b"x")]);
    out.save();
    let running = out.serve().await;
    let packed = |port: u16| [&[127, 0, 0, 1][..], &port.to_be_bytes()].concat();
    let seeder = packed(running.peers.port());
    assert_eq!(peers(&running, &info, 5001, &[]).await, seeder);
    assert_eq!(
        peers(&running, &info, 5002, &[]).await,
        [seeder.clone(), packed(5001)].concat()
    );
    assert_eq!(
        peers(&running, &info, 5001, &[]).await,
        [seeder, packed(5002)].concat()
    );

    let hash: String = info.swarm_hashes()[0]
        .0
        .iter()
        .map(|byte| format!("%{byte:02x}"))
        .collect();
    let scrape = running.get(&format!("/scrape?info_hash={hash}")).await.body;
    let expected = [
        b"d5:filesd20:",
        &info.swarm_hashes()[0].0[..],
        b"d8:completei1e10:downloadedi0e10:incompletei2eeee",
    ];
    assert_eq!(scrape, expected.concat());
    let stranger = running.get(&query(SwarmHash([1; 20]), 1, "")).await;
    assert_eq!(
        (stranger.status, &stranger.body[..25]),
        (200, &b"d14:failure reason32:this"[..])
    );
    assert_eq!(running.metrics.snapshot()["announces_refused"], 1);
}

#[tokio::test]
async fn behind_a_proxy_the_address_it_passes_on_counts() {
    let mut out = Out::new();
    let info = out.add(&[("clip.mp4", b"x")]);
    out.save();
    let mut config = ServeConfig::loopback(Source::Out(out.path().to_owned()));
    config.http.set_port(0);
    config.peer_port = 0;
    config.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    let running = Running::start_with(config.clone()).await.unwrap();
    let from = |ip: &'static str| [("x-forwarded-for", ip)];
    // Our loopback address is nothing to somebody elsewhere.
    assert_eq!(
        peers(&running, &info, 5001, &from("198.51.100.7")).await,
        b""
    );
    let other = [198, 51, 100, 7, 0x13, 0x89];
    assert_eq!(
        peers(&running, &info, 5002, &from("203.0.113.9")).await,
        other
    );

    config.external_addresses = vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
    let running = Running::start_with(config).await.unwrap();
    let ours = [&[192, 0, 2, 1][..], &running.peers.port().to_be_bytes()].concat();
    assert_eq!(
        peers(&running, &info, 5001, &from("198.51.100.7")).await,
        ours
    );
}
