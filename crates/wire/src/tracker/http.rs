//! Announces and scrapes over HTTP: the query as clients write it (BEP 3) and the bencoded answer,
//! compact by default (BEP 23), IPv6 apart (BEP 7), with the asker's address (BEP 24), and scrape (BEP 48).
//! A query string comes in as it stands behind the `?`, percent-encoded.

pub mod asking;

use super::{Announce, AnnounceReply, Event, SwarmCounts, TrackerPeer};
use metainfo::bencode::Node;
use metainfo::ids::{PeerId, SwarmHash};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;

/// The longest query that is read.
pub const MAX_QUERY: usize = 8 * 1024;
/// The most swarms one scrape may ask for.
pub const MAX_SCRAPE: usize = 64;

/// The form in which the peers of a reply are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerForm {
    /// Six or eighteen bytes each (BEP 23, BEP 7).
    Compact,
    /// A dictionary each, as in BEP 3, with or without its peer id.
    Dictionaries {
        /// Whether the id is wanted.
        peer_id: bool,
    },
}

/// A query that can't be answered. Its text goes to the asker as `failure reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadQuery {
    /// Longer than [`MAX_QUERY`].
    #[error("the query is longer than {MAX_QUERY} bytes")]
    TooLong,
    /// A key that must be there isn't.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A value that means nothing.
    #[error("`{0}` makes no sense")]
    Malformed(&'static str),
    /// A scrape of more than [`MAX_SCRAPE`] swarms.
    #[error("at most {MAX_SCRAPE} swarms a scrape")]
    TooMany,
}

/// Reads the query of `/announce`. Unknown keys, `ip` among them, are passed over.
pub fn parse_announce(query: &[u8]) -> Result<(Announce, PeerForm), BadQuery> {
    let (mut swarm, mut peer_id, mut port, mut left) = (None, None, None, None);
    let (mut uploaded, mut downloaded, mut num_want) = (0, 0, None);
    let mut event = Event::Regular;
    let (mut compact, mut no_peer_id) = (true, false);
    for (key, value) in pairs(query)? {
        match &key[..] {
            b"info_hash" => {
                swarm =
                    Some(SwarmHash::from_slice(&value).ok_or(BadQuery::Malformed("info_hash"))?);
            }
            b"peer_id" => {
                peer_id = Some(PeerId::from_slice(&value).ok_or(BadQuery::Malformed("peer_id"))?);
            }
            b"port" => {
                let number = number(&value)
                    .and_then(|n| u16::try_from(n).ok())
                    .and_then(NonZeroU16::new);
                port = Some(number.ok_or(BadQuery::Malformed("port"))?);
            }
            b"uploaded" => uploaded = number(&value).unwrap_or(0),
            b"downloaded" => downloaded = number(&value).unwrap_or(0),
            // Clients that have no metadata yet say 0, -1 or the largest number there is, or nothing.
            b"left" => left = number(&value).filter(|left| *left <= i64::MAX as u64),
            b"numwant" => num_want = number(&value).map(|n| u32::try_from(n).unwrap_or(u32::MAX)),
            b"event" => {
                event = match &value[..] {
                    b"started" => Event::Started,
                    b"completed" => Event::Completed,
                    b"stopped" => Event::Stopped,
                    _ => Event::Regular,
                };
            }
            b"compact" => compact = value != b"0",
            b"no_peer_id" => no_peer_id = value == b"1",
            _ => {}
        }
    }
    let announce = Announce {
        swarm: swarm.ok_or(BadQuery::Missing("info_hash"))?,
        peer_id: peer_id.ok_or(BadQuery::Missing("peer_id"))?,
        port: port.ok_or(BadQuery::Missing("port"))?,
        uploaded,
        downloaded,
        left,
        event,
        num_want,
    };
    let form = if compact {
        PeerForm::Compact
    } else {
        PeerForm::Dictionaries {
            peer_id: !no_peer_id,
        }
    };
    Ok((announce, form))
}

/// Reads the query of `/scrape`. Asking for every swarm at once is not answered.
pub fn parse_scrape(query: &[u8]) -> Result<Vec<SwarmHash>, BadQuery> {
    let mut swarms = Vec::new();
    for (key, value) in pairs(query)? {
        if key == b"info_hash" {
            if swarms.len() >= MAX_SCRAPE {
                return Err(BadQuery::TooMany);
            }
            swarms.push(SwarmHash::from_slice(&value).ok_or(BadQuery::Malformed("info_hash"))?);
        }
    }
    if swarms.is_empty() {
        Err(BadQuery::Missing("info_hash"))
    } else {
        Ok(swarms)
    }
}

/// The body of an answer to an announce.
pub fn encode_reply(reply: &AnnounceReply, form: PeerForm) -> Vec<u8> {
    let count = |n: u32| Node::from(i64::from(n));
    let seconds =
        |d: std::time::Duration| Node::from(i64::try_from(d.as_secs()).unwrap_or(i64::MAX));
    let mut entries = vec![
        ("interval", seconds(reply.interval)),
        ("min interval", seconds(reply.min_interval)),
        ("complete", count(reply.complete)),
        ("incomplete", count(reply.incomplete)),
        ("downloaded", count(reply.downloaded)),
    ];
    if let Some(ip) = reply.external_ip {
        entries.push(("external ip", Node::from(&ip_bytes(ip)[..])));
    }
    match form {
        PeerForm::Compact => {
            let packed = |v6: bool| -> Vec<u8> {
                let of_family = reply.peers.iter().filter(|peer| peer.addr.is_ipv6() == v6);
                of_family.flat_map(|peer| packed_addr(peer.addr)).collect()
            };
            // Old clients take a missing `peers` for a broken tracker, so it is there even when empty.
            entries.push(("peers", Node::Bytes(packed(false))));
            let v6 = packed(true);
            if !v6.is_empty() {
                entries.push(("peers6", Node::Bytes(v6)));
            }
        }
        PeerForm::Dictionaries { peer_id } => {
            let node = |peer: &TrackerPeer| {
                let mut entries = vec![
                    ("ip", Node::from(peer.addr.ip().to_string().as_str())),
                    ("port", Node::from(i64::from(peer.addr.port()))),
                ];
                if let Some(id) = peer.peer_id.filter(|_| peer_id) {
                    entries.push(("peer id", Node::from(&id.0[..])));
                }
                Node::dict(entries)
            };
            entries.push(("peers", Node::List(reply.peers.iter().map(node).collect())));
        }
    }
    Node::dict(entries).to_bytes()
}

/// The body of an answer to a scrape.
pub fn encode_scrape(swarms: &[(SwarmHash, SwarmCounts)]) -> Vec<u8> {
    let files = swarms.iter().map(|(swarm, counts)| {
        let count = |n: u32| Node::from(i64::from(n));
        let counts = Node::dict([
            ("complete", count(counts.complete)),
            ("incomplete", count(counts.incomplete)),
            ("downloaded", count(counts.downloaded)),
        ]);
        (swarm.0.to_vec(), counts)
    });
    Node::dict([("files", Node::dict(files))]).to_bytes()
}

/// The body of an answer that says no.
pub fn encode_failure(reason: &str) -> Vec<u8> {
    Node::dict([("failure reason", Node::from(reason))]).to_bytes()
}

fn packed_addr(addr: SocketAddr) -> Vec<u8> {
    let mut bytes = ip_bytes(addr.ip());
    bytes.extend_from_slice(&addr.port().to_be_bytes());
    bytes
}

fn ip_bytes(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// A decoded key and its value.
type Pair = (Vec<u8>, Vec<u8>);

/// The keys and values of a query, percent-decoded to bytes: an info-hash is no text.
fn pairs(query: &[u8]) -> Result<impl Iterator<Item = Pair> + '_, BadQuery> {
    if query.len() > MAX_QUERY {
        return Err(BadQuery::TooLong);
    }
    Ok(query.split(|byte| *byte == b'&').map(|pair| {
        let split = pair
            .iter()
            .position(|byte| *byte == b'=')
            .unwrap_or(pair.len());
        (
            percent_decode(&pair[..split]),
            percent_decode(pair.get(split + 1..).unwrap_or_default()),
        )
    }))
}

/// `%xx` to bytes. A `+` stays what it is: clients that escape a space write `%20`, and some leave a plus bare.
fn percent_decode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = match after {
            [high, low, ..] if byte == b'%' => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                out.push(high << 4 | low);
                rest = &after[2..];
            }
            None => {
                out.push(byte);
                rest = after;
            }
        }
    }
    out
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const GOOD: &str = "info_hash=%124Vx%9A%BC%DE%F1%23Eg%89%AB%CD%EF%124Vx%9A\
                        &peer_id=-TR3000-abcdefghijkl&port=51413&uploaded=1&downloaded=2&left=3";

    fn check(query: &str) -> Result<(Announce, PeerForm), BadQuery> {
        parse_announce(query.as_bytes())
    }

    #[test]
    fn what_clients_write_is_understood() {
        let (announce, form) = check(&format!(
            "{GOOD}&event=started&numwant=80&compact=1&ip=9.9.9.9&key=x&supportcrypto=1"
        ))
        .unwrap();
        assert_eq!(
            announce.swarm.to_string(),
            "123456789abcdef123456789abcdef123456789a"
        );
        assert_eq!(announce.peer_id.0, *b"-TR3000-abcdefghijkl");
        assert_eq!(
            (announce.port.get(), announce.uploaded, announce.downloaded),
            (51413, 1, 2)
        );
        assert_eq!((announce.left, announce.num_want), (Some(3), Some(80)));
        assert_eq!((announce.event, form), (Event::Started, PeerForm::Compact));

        let form = |query: &str| check(&format!("{GOOD}{query}")).unwrap().1;
        assert_eq!(form(""), PeerForm::Compact);
        assert_eq!(form("&compact=0"), PeerForm::Dictionaries { peer_id: true });
        assert_eq!(
            form("&compact=0&no_peer_id=1"),
            PeerForm::Dictionaries { peer_id: false }
        );
        let left = |query: &str| check(&format!("{GOOD}{query}")).unwrap().0.left;
        assert_eq!(left("&left=18446744073709551615"), None);
        assert_eq!(left("&left=-1"), None);
        assert_eq!(left("&left=0"), Some(0));
    }

    #[test]
    fn what_cannot_be_answered_is_named() {
        assert_eq!(check(""), Err(BadQuery::Missing("info_hash")));
        assert_eq!(
            check("info_hash=abc"),
            Err(BadQuery::Malformed("info_hash"))
        );
        assert_eq!(
            check(&GOOD.replace("&port=51413", "")),
            Err(BadQuery::Missing("port"))
        );
        for port in ["0", "65536", "-1", "x", ""] {
            assert_eq!(
                check(&GOOD.replace("51413", port)),
                Err(BadQuery::Malformed("port")),
                "{port}"
            );
        }
        assert_eq!(
            check(&format!("{GOOD}&x={}", "y".repeat(MAX_QUERY))),
            Err(BadQuery::TooLong)
        );
        assert_eq!(parse_scrape(b""), Err(BadQuery::Missing("info_hash")));
        let many = vec!["info_hash=aaaaaaaaaaaaaaaaaaaa"; MAX_SCRAPE + 1].join("&");
        assert_eq!(parse_scrape(many.as_bytes()), Err(BadQuery::TooMany));
        assert_eq!(
            parse_scrape(&many.as_bytes()[31..]).map(|swarms| swarms.len()),
            Ok(MAX_SCRAPE)
        );
    }

    fn reply() -> AnnounceReply {
        let peer = |addr: &str| TrackerPeer {
            addr: addr.parse().unwrap(),
            peer_id: Some(PeerId(*b"-GS0100-abcdefghijkl")),
        };
        AnnounceReply {
            interval: Duration::from_secs(600),
            min_interval: Duration::from_secs(60),
            complete: 1,
            incomplete: 2,
            downloaded: 3,
            peers: vec![peer("1.2.3.4:258"), peer("[102::3]:772")],
            external_ip: Some(IpAddr::from([5, 6, 7, 8])),
        }
    }

    #[test]
    fn replies_stand_as_the_beps_word_them() {
        let mut expected = b"d8:completei1e10:downloadedi3e11:external ip4:\x05\x06\x07\x08\
            10:incompletei2e8:intervali600e12:min intervali60e5:peers6:\x01\x02\x03\x04\x01\x02\
            6:peers618:\x01\x02"
            .to_vec();
        expected.extend_from_slice(&[0; 13]);
        expected.extend_from_slice(b"\x03\x03\x04e");
        assert_eq!(encode_reply(&reply(), PeerForm::Compact), expected);

        let text = String::from_utf8_lossy(&encode_reply(
            &reply(),
            PeerForm::Dictionaries { peer_id: true },
        ))
        .into_owned();
        assert!(
            text.contains(
                "5:peersld2:ip7:1.2.3.47:peer id20:-GS0100-abcdefghijkl4:porti258eed2:ip6:102::3"
            ),
            "{text}"
        );
        assert_eq!(encode_failure("no"), b"d14:failure reason2:noe");
        let counts = SwarmCounts {
            complete: 5,
            incomplete: 0,
            downloaded: 7,
        };
        assert_eq!(
            encode_scrape(&[(SwarmHash(*b"aaaaaaaaaaaaaaaaaaaa"), counts)]),
            b"d5:filesd20:aaaaaaaaaaaaaaaaaaaad8:completei5e10:downloadedi7e10:incompletei0eeee"
        );
    }

    proptest! {
        #[test]
        fn no_query_panics(query in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse_announce(&query);
            let _ = parse_scrape(&query);
        }

        #[test]
        fn any_bytes_survive_percent_encoding(bytes: [u8; 20]) {
            let escaped: String = bytes.iter().map(|byte| format!("%{byte:02x}")).collect();
            prop_assert_eq!(percent_decode(escaped.as_bytes()), bytes);
        }
    }
}
