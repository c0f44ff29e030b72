//! The HTTP tracker: queries as clients write them, and the answers.

use crate::draw::Draw;
use metainfo::bencode::{Limits, Value, decode};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use std::net::IpAddr;
use std::time::Duration;
use wire::tracker::http::asking::{BadReply, MAX_PEERS, parse_reply};
use wire::tracker::http::{
    MAX_QUERY, MAX_SCRAPE, Reply, parse_announce, parse_scrape, write_failure, write_scrape,
};
use wire::tracker::udp;
use wire::tracker::{Announce, Event, SwarmCounts};

/// Reads the input as a query, writes what was understood anew, and answers.
pub fn tracker(data: &[u8]) {
    asking(data);
    match parse_announce(data) {
        Ok(announce) => {
            assert!(data.len() <= MAX_QUERY);
            let query = announce_query(&announce);
            assert_eq!(parse_announce(query.as_bytes()), Ok(announce), "{query}");
            check_reply(Draw::new(data));
        }
        Err(reason) => check_failure(&reason.to_string()),
    }
    match parse_scrape(data) {
        Ok(swarms) => {
            assert!((1..=MAX_SCRAPE).contains(&swarms.len()));
            let pair = |swarm: &[u8]| format!("info_hash={}", escape(swarm));
            let query: Vec<_> = swarms.iter().map(|swarm| pair(&swarm.0)).collect();
            assert_eq!(
                parse_scrape(query.join("&").as_bytes()).as_ref(),
                Ok(&swarms)
            );
            let counts = swarms.iter().map(|swarm| (*swarm, SwarmCounts::default()));
            let mut body = Vec::new();
            write_scrape(counts, &mut body);
            let answer = decode(&body, &Limits::MESSAGE).expect("canonical bencode");
            let files = answer.get("files").and_then(Value::as_dict);
            let files = files.expect("one entry a swarm");
            assert!(swarms.iter().all(|swarm| files.contains_key(&swarm.0[..])));
        }
        Err(reason) => check_failure(&reason.to_string()),
    }
}

/// What a tracker answers, over HTTP and UDP, is bounded and leads somewhere.
fn asking(data: &[u8]) {
    let replies = [
        parse_reply(data).ok(),
        udp::parse_announce(data, 0, false).and_then(Result::ok),
        udp::parse_announce(data, 0, true).and_then(Result::ok),
    ];
    for reply in replies.into_iter().flatten() {
        assert!(reply.peers.len() <= MAX_PEERS);
        assert!(reply.peers.iter().all(|peer| peer.addr.port() != 0));
    }
    if let Some(Err(BadReply::Failure(text))) = udp::parse_connect(data, 0) {
        assert!(!text.chars().any(char::is_control));
    }
}

fn escape(bytes: &[u8]) -> String {
    percent_encode(bytes, NON_ALPHANUMERIC).to_string()
}

/// The announce as a client would write it.
fn announce_query(announce: &Announce) -> String {
    let mut query = format!(
        "info_hash={}&peer_id={}&port={}&uploaded={}&downloaded={}",
        escape(&announce.swarm.0),
        escape(&announce.peer_id.0),
        announce.port,
        announce.uploaded,
        announce.downloaded
    );
    if let Some(left) = announce.left {
        query += &format!("&left={left}");
    }
    if let Some(num_want) = announce.num_want {
        query += &format!("&numwant={num_want}");
    }
    query += match announce.event {
        Event::Regular => "",
        Event::Started => "&event=started",
        Event::Completed => "&event=completed",
        Event::Stopped => "&event=stopped",
    };
    query
}

fn check_failure(reason: &str) {
    let mut body = Vec::new();
    write_failure(reason, None, &mut body);
    let answer = decode(&body, &Limits::MESSAGE).expect("canonical bencode");
    let said = answer.get("failure reason").and_then(Value::as_str);
    assert_eq!(said, Some(reason));
}

/// Any reply is canonical bencode with every peer in it.
fn check_reply(mut draw: Draw<'_>) {
    let peers: Vec<u8> = (0..draw.u8() % 40)
        .flat_map(|_| draw.array::<6>())
        .collect();
    let peers6: Vec<u8> = (0..draw.u8() % 40)
        .flat_map(|_| draw.array::<18>())
        .collect();
    let counts = SwarmCounts {
        complete: draw.u32(),
        incomplete: draw.u32(),
        downloaded: draw.u32(),
    };
    let reply = Reply {
        interval: Duration::from_secs(draw.u32().into()),
        min_interval: Duration::from_secs(draw.u32().into()),
        counts,
        external_ip: Some(match draw.u8() % 2 {
            0 => IpAddr::from(draw.array::<4>()),
            _ => IpAddr::from(draw.array::<16>()),
        }),
        peers: &peers,
        peers6: &peers6,
    };
    let mut body = Vec::new();
    reply.write(&mut body);
    let answer = decode(&body, &Limits::MESSAGE).expect("canonical bencode");
    let complete = answer.get("complete").and_then(Value::as_int);
    assert_eq!(complete, Some(i64::from(counts.complete)));
    let packed = |key| answer.get(key).and_then(Value::as_bytes);
    assert_eq!(packed("peers"), Some(&peers[..]));
    assert_eq!(packed("peers6").unwrap_or_default(), &peers6[..]);
}
