//! The asking side of an HTTP tracker: the query of an announce, and what its answer says. Answers are a stranger's:
//! they are bounded, and addresses that lead nowhere are left out.

use crate::tracker::{Announce, AnnounceReply, Event, TrackerPeer};
use metainfo::bencode::{self, BencodeError, Limits, Value};
use metainfo::ids::PeerId;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// The longest answer that is read.
pub const MAX_REPLY: usize = 256 * 1024;
/// The most peers that are taken from one answer.
pub const MAX_PEERS: usize = 200;

/// When to ask again, where an answer doesn't say.
const INTERVAL: Duration = Duration::from_secs(1800);
/// The longest explanation that is kept, in characters.
const MAX_REASON: usize = 200;

const LIMITS: Limits = Limits {
    bytes: MAX_REPLY,
    depth: 6,
    values: 10_000,
};

/// An answer that tells of no peers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadReply {
    /// The tracker says no, and why: one line of text that may be shown.
    #[error("the tracker says: {0}")]
    Failure(String),
    /// Not bencode.
    #[error("the tracker's answer: {0}")]
    Bencode(#[from] BencodeError),
    /// No dictionary.
    #[error("the tracker's answer is no dictionary")]
    Shape,
}

/// The query of an announce, without the `?`. `key` proves to the tracker that later announces come from the same
/// client though its address has changed; others never see it.
pub fn announce_query(announce: &Announce, key: u32) -> String {
    let mut query = String::with_capacity(256);
    let mut escaped = |name: &str, bytes: &[u8; 20]| {
        query.push_str(name);
        for byte in bytes {
            if byte.is_ascii_alphanumeric() || b"-_.~".contains(byte) {
                query.push(char::from(*byte));
            } else {
                let _ = write!(query, "%{byte:02X}");
            }
        }
    };
    escaped("info_hash=", announce.swarm.as_bytes());
    escaped("&peer_id=", announce.peer_id.as_bytes());
    let _ = write!(
        query,
        "&port={}&uploaded={}&downloaded={}",
        announce.port, announce.uploaded, announce.downloaded
    );
    // Trackers insist on a number, and take who needs nothing for a seed.
    let _ = write!(query, "&left={}", announce.left.unwrap_or(i64::MAX as u64));
    match announce.event {
        Event::Regular => {}
        Event::Started => query.push_str("&event=started"),
        Event::Completed => query.push_str("&event=completed"),
        Event::Stopped => query.push_str("&event=stopped"),
    }
    if let Some(n) = announce.num_want {
        let _ = write!(query, "&numwant={n}");
    }
    let _ = write!(query, "&compact=1&no_peer_id=1&key={key:08X}");
    query
}

/// Reads the body of an answer to an announce.
pub fn parse_reply(body: &[u8]) -> Result<AnnounceReply, BadReply> {
    let (value, _) = bencode::decode_prefix(body, &LIMITS)?;
    if value.as_dict().is_none() {
        return Err(BadReply::Shape);
    }
    if let Some(reason) = value.get("failure reason").and_then(Value::as_bytes) {
        let text = String::from_utf8_lossy(reason);
        let line = text.chars().map(|c| if c.is_control() { ' ' } else { c });
        return Err(BadReply::Failure(line.take(MAX_REASON).collect()));
    }
    let number = |key| value.get(key).and_then(Value::as_int);
    let count = |key| number(key).and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
    let seconds = |key| {
        let seconds = number(key).and_then(|n| u64::try_from(n).ok());
        seconds.filter(|n| *n > 0).map(Duration::from_secs)
    };
    let min_interval = seconds("min interval");
    let mut peers = match value.get("peers") {
        Some(Value::List(list)) => list.iter().filter_map(peer).collect(),
        Some(packed) => compact4(packed.as_bytes().unwrap_or_default()),
        None => Vec::new(),
    };
    let packed = value.get("peers6").and_then(Value::as_bytes);
    peers.extend(compact6(packed.unwrap_or_default()));
    peers.retain(|peer| crate::extended::pex::is_reachable(&peer.addr));
    peers.truncate(MAX_PEERS);
    let external_ip = value.get("external ip").and_then(Value::as_bytes);
    Ok(AnnounceReply {
        interval: seconds("interval").or(min_interval).unwrap_or(INTERVAL),
        min_interval: min_interval.unwrap_or_default(),
        complete: count("complete"),
        incomplete: count("incomplete"),
        downloaded: count("downloaded"),
        peers,
        external_ip: external_ip.and_then(|bytes| {
            let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from).ok();
            v4.or_else(|| <[u8; 16]>::try_from(bytes).map(IpAddr::from).ok())
        }),
    })
}

/// A peer in the form of BEP 3. Names of hosts are not looked up.
fn peer(value: &Value<'_>) -> Option<TrackerPeer> {
    let ip: IpAddr = value.get("ip")?.as_str()?.parse().ok()?;
    let port = u16::try_from(value.get("port")?.as_int()?).ok()?;
    let id = value.get("peer id").and_then(Value::as_bytes);
    Some(TrackerPeer {
        addr: SocketAddr::new(ip, port),
        peer_id: id.and_then(PeerId::from_slice),
    })
}

fn at(ip: IpAddr, port: [u8; 2]) -> TrackerPeer {
    TrackerPeer {
        addr: SocketAddr::new(ip, u16::from_be_bytes(port)),
        peer_id: None,
    }
}

/// Peers in the form of BEP 23.
pub(crate) fn compact4(packed: &[u8]) -> Vec<TrackerPeer> {
    let peers = packed.chunks_exact(6).take(MAX_PEERS).map(|bytes| {
        let ip = Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]);
        at(ip.into(), [bytes[4], bytes[5]])
    });
    peers.collect()
}

/// Peers in the form of BEP 7.
pub(crate) fn compact6(packed: &[u8]) -> Vec<TrackerPeer> {
    let peers = packed.chunks_exact(18).take(MAX_PEERS).map(|bytes| {
        let mut ip = [0; 16];
        ip.copy_from_slice(&bytes[..16]);
        at(Ipv6Addr::from(ip).into(), [bytes[16], bytes[17]])
    });
    peers.collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Reply, parse_announce, write_failure};
    use super::*;
    use crate::tracker::SwarmCounts;
    use metainfo::ids::SwarmHash;
    use proptest::prelude::*;
    use std::num::NonZeroU16;

    #[test]
    fn an_answer_that_says_no_is_one_line() {
        let mut body = Vec::new();
        let reason = format!("no\nsuch\x1b[31m {}", "x".repeat(500));
        write_failure(&reason, None, &mut body);
        let Err(BadReply::Failure(text)) = parse_reply(&body) else {
            panic!("a failure");
        };
        assert!(text.starts_with("no such [31m x") && text.len() == MAX_REASON);
        assert_eq!(parse_reply(b"i5e"), Err(BadReply::Shape));
        assert!(parse_reply(b"<html>").is_err());
        let reply = parse_reply(b"d8:intervali-5e5:peers7:1234567e").unwrap();
        assert_eq!((reply.interval, reply.peers.len()), (INTERVAL, 1));
        let many = [
            vec![b'd'],
            b"5:peers6000:".to_vec(),
            vec![7; 6000],
            vec![b'e'],
        ]
        .concat();
        assert_eq!(parse_reply(&many).unwrap().peers.len(), MAX_PEERS);
    }

    fn address() -> impl Strategy<Value = SocketAddr> {
        let any = (any::<IpAddr>(), 1u16..).prop_map(SocketAddr::from);
        any.prop_filter("reachable", crate::extended::pex::is_reachable)
    }

    proptest! {
        #[test]
        fn our_tracker_understands_what_we_ask(
            swarm: [u8; 20], peer_id: [u8; 20], port: NonZeroU16, uploaded: u64, downloaded: u64,
            left in proptest::option::of(0..i64::MAX as u64), event in 0usize..4, num_want: Option<u32>, key: u32,
        ) {
            let event = [Event::Regular, Event::Started, Event::Completed, Event::Stopped][event];
            let mut announce = Announce {
                swarm: SwarmHash(swarm), peer_id: PeerId(peer_id), port, uploaded, downloaded, left, event, num_want,
            };
            let query = announce_query(&announce, key);
            announce.left = announce.left.or(Some(i64::MAX as u64));
            prop_assert_eq!(parse_announce(query.as_bytes()), Ok(announce));
        }

        #[test]
        fn we_understand_what_our_tracker_answers(
            peers in proptest::collection::vec(address(), 0..20), counts: (u32, u32, u32),
            interval in 1u64..100_000, external_ip: Option<IpAddr>,
        ) {
            let mut peers: Vec<_> = peers.into_iter().map(|addr| TrackerPeer { addr, peer_id: None }).collect();
            peers.sort_by_key(|peer| peer.addr.is_ipv6());
            let reply = AnnounceReply {
                interval: Duration::from_secs(interval), min_interval: Duration::from_secs(interval / 2 + 1),
                complete: counts.0, incomplete: counts.1, downloaded: counts.2, peers, external_ip,
            };
            let (mut packed, mut packed6) = (Vec::new(), Vec::new());
            for peer in &reply.peers {
                let into = match peer.addr.ip() {
                    IpAddr::V4(ip) => { packed.extend(ip.octets()); &mut packed }
                    IpAddr::V6(ip) => { packed6.extend(ip.octets()); &mut packed6 }
                };
                into.extend(peer.addr.port().to_be_bytes());
            }
            let mut body = Vec::new();
            Reply {
                interval: reply.interval, min_interval: reply.min_interval,
                counts: SwarmCounts { complete: counts.0, incomplete: counts.1, downloaded: counts.2 },
                external_ip, peers: &packed, peers6: &packed6,
            }.write(&mut body);
            prop_assert_eq!(parse_reply(&body), Ok(reply));
        }

        #[test]
        fn no_answer_panics(bytes in proptest::collection::vec(
            proptest::sample::select(b"dle0123456789:i-peers6 \xff".to_vec()), 0..80)) {
            let _ = parse_reply(&bytes);
        }
    }
}
