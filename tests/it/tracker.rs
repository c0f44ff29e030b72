//! The HTTP tracker as strangers see it: it knows the published torrents only, tells peers of each other, never the asker of
//! itself, and refuses what it can't use.

use std::net::{Ipv4Addr, SocketAddrV4};
use tests::bencode::{Bencode, decode};
use tests::http::{self, Response};
use tests::published::Example;

const HASH_OF_NOBODY: &str = "%00%01%02%03%04%05%06%07%08%09%0a%0b%0c%0d%0e%0f%10%11%12%13";

fn escape(hex: &str) -> String {
    let pairs: Vec<_> = hex.as_bytes().chunks(2).collect();
    pairs
        .iter()
        .map(|pair| format!("%{}", String::from_utf8_lossy(pair)))
        .collect()
}

fn announce(example: &Example, query: &str) -> Response {
    http::get(&example.server.url(&format!("announce?{query}")))
}

fn query(example: &Example, peer: &str, port: u16, more: &str) -> String {
    let hash = escape(&example.server.torrents()[0].id);
    format!(
        "info_hash={hash}&peer_id={peer:->20}&port={port}&uploaded=0&downloaded=0&left=100&compact=1{more}"
    )
}

/// The peers of a compact answer.
fn peers(answer: &Response) -> Vec<SocketAddrV4> {
    let value = decode(&answer.body);
    let compact = value
        .get("peers")
        .and_then(Bencode::bytes)
        .unwrap_or_default();
    assert_eq!(compact.len() % 6, 0, "six bytes a peer");
    compact
        .chunks(6)
        .map(|c| {
            let ip = Ipv4Addr::new(c[0], c[1], c[2], c[3]);
            SocketAddrV4::new(ip, u16::from_be_bytes([c[4], c[5]]))
        })
        .collect()
}

fn failure(answer: &Response) -> Option<String> {
    let value = decode(&answer.body);
    let reason = value.get("failure reason")?.bytes()?;
    Some(String::from_utf8_lossy(reason).into_owned())
}

#[test]
fn tells_of_the_seeder_and_of_other_peers() {
    let example = Example::up("test-drive");
    let seeder: u16 = match &example.server.ready["peer"] {
        serde_json::Value::Number(port) => port.as_u64().unwrap().try_into().unwrap(),
        other => panic!("the ready line tells the peer port: {other}"),
    };
    let first = announce(&example, &query(&example, "one", 7001, "&event=started")).expect(200);
    assert_eq!(failure(&first), None);
    let value = decode(&first.body);
    assert!(value.get("interval").and_then(Bencode::int).unwrap() >= 30);
    let seen = peers(&first);
    assert!(
        seen.contains(&SocketAddrV4::new(Ipv4Addr::LOCALHOST, seeder)),
        "the seeder is among {seen:?}"
    );
    assert!(
        seen.iter().all(|p| p.port() != 7001),
        "the asker is left out: {seen:?}"
    );

    let second = announce(&example, &query(&example, "two", 7002, "&event=started"));
    let seen = peers(&second);
    assert!(
        seen.iter().any(|p| p.port() == 7001),
        "the first is told of: {seen:?}"
    );
    assert!(
        seen.iter().all(|p| p.port() != 7002),
        "the asker is left out: {seen:?}"
    );

    announce(&example, &query(&example, "one", 7001, "&event=stopped"));
    let seen = peers(&announce(&example, &query(&example, "two", 7002, "")));
    assert!(
        seen.iter().all(|p| p.port() != 7001),
        "who left is not told of: {seen:?}"
    );
}

#[test]
fn takes_nobodys_word_for_an_address() {
    let example = Example::up("test-drive");
    announce(
        &example,
        &query(
            &example,
            "liar",
            7001,
            "&ip=203.0.113.9&ipv6=2001:db8::1&event=started",
        ),
    );
    let seen = peers(&announce(&example, &query(&example, "other", 7002, "")));
    assert!(
        seen.iter().all(|p| p.ip().octets()[0] == 127),
        "an address that was only claimed is told of: {seen:?}"
    );
}

#[test]
fn refuses_unknown_hashes() {
    let example = Example::up("test-drive");
    let answer = announce(
        &example,
        &format!(
            "info_hash={HASH_OF_NOBODY}&peer_id=--------------------&port=7000&left=0&compact=1"
        ),
    );
    assert!(failure(&answer).is_some(), "{}", answer.text());
    let scrape = http::get(
        &example
            .server
            .url(&format!("scrape?info_hash={HASH_OF_NOBODY}")),
    );
    if scrape.status == 200 {
        let value = decode(&scrape.body);
        let files = value.get("files");
        assert!(
            matches!(files, None | Some(Bencode::Dict(_)))
                && !format!("{files:?}").contains("complete"),
            "{value:?}"
        );
    }
}

#[test]
fn refuses_bad_announces() {
    let example = Example::up("test-drive");
    let good = query(&example, "good", 7001, "");
    let hash = escape(&example.server.torrents()[0].id);
    let bad = [
        String::new(),
        "info_hash=short&peer_id=--------------------&port=7000".to_owned(),
        "peer_id=--------------------&port=7000&left=0".to_owned(),
        format!("info_hash={hash}&port=7000&left=0"),
        format!("info_hash={hash}&peer_id=--------------------&left=0"),
        format!("info_hash={hash}&peer_id=--------------------&port=0&left=0"),
        format!("info_hash={hash}&peer_id=--------------------&port=70000&left=0"),
        format!("info_hash={hash}&peer_id=--------------------&port=-1&left=0"),
        format!("info_hash={hash}&peer_id=tooshort&port=7000&left=0"),
        format!("info_hash={hash}{hash}&peer_id=--------------------&port=7000&left=0"),
        good.replace("left=100", "left=-5"),
        format!("{good}&%%%=&&&=&x"),
        format!("{good}&junk={}", "a".repeat(5000)),
    ];
    for query in bad {
        let answer = announce(&example, &query);
        assert!(
            (400..500).contains(&answer.status) || answer.body.starts_with(b"d"),
            "{query}: {answer:?}"
        );
        assert!(answer.status < 500, "{query}: {answer:?}");
    }
    let missing = announce(
        &example,
        &format!("info_hash={hash}&peer_id=--------------------&left=0"),
    );
    let refused = missing.status >= 400 || failure(&missing).is_some();
    assert!(refused, "no port, no peer: {missing:?}");
    // Numbers that make no sense are no reason to give less than everything, nor more than the bound.
    for numwant in ["-1", "0", "999999999", "abc"] {
        let answer = announce(&example, &format!("{good}&numwant={numwant}"));
        assert!(
            answer.status < 500 && peers(&answer).len() <= 200,
            "{numwant}: {answer:?}"
        );
    }
}

#[test]
fn counts() {
    let example = Example::up("test-drive");
    announce(&example, &query(&example, "one", 7001, "&event=started"));
    announce(
        &example,
        &query(&example, "two", 7002, "&event=started").replace("left=100", "left=0"),
    );
    let hash = &example.server.torrents()[0].id;
    let url = example
        .server
        .url(&format!("scrape?info_hash={}", escape(hash)));
    let value = decode(&http::get(&url).expect(200).body);
    let Some(Bencode::Dict(files)) = value.get("files") else {
        panic!("{value:?}")
    };
    assert_eq!(files.len(), 1, "{value:?}");
    let count = |key| files[0].1.get(key).and_then(Bencode::int);
    assert_eq!(count("incomplete"), Some(1), "{value:?}");
    // The second one and our seeder.
    assert_eq!(count("complete"), Some(2), "{value:?}");
}
