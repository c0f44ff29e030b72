//! Announces and scrapes over HTTP: the query as clients write it (BEP 3) and the bencoded answer: compact (BEP 23), IPv6
//! apart (BEP 7), with the asker's address (BEP 24), when to try again (BEP 31), and scrape (BEP 48).
//!
//! A query string comes in as it stands behind the `?`, percent-encoded. Answers are appended to the caller's buffer, and
//! nothing is allocated on the way of an announce. `compact=0` is answered like `compact=1`: every client reads that, and
//! addresses as text would be three times as long.

pub mod asking;

use super::{Announce, Event, SwarmCounts};
use metainfo::ids::{PeerId, SwarmHash};
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::time::Duration;

/// The longest query that is read.
pub const MAX_QUERY: usize = 8 * 1024;
/// The most swarms one scrape may ask for.
pub const MAX_SCRAPE: usize = 64;

/// The longest key that means anything, and the longest number, as bytes.
const SHORT: usize = 24;

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

/// When an asker that is refused may ask again (BEP 31).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryIn {
    /// After this long; told in whole minutes, rounded up.
    After(Duration),
    /// Not at all: what it asks for is gone for good.
    Never,
}

/// What an announce is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply<'a> {
    /// When to announce again.
    pub interval: Duration,
    /// Not earlier than this.
    pub min_interval: Duration,
    /// How many are in the swarm.
    pub counts: SwarmCounts,
    /// The asker's address, as it came here.
    pub external_ip: Option<IpAddr>,
    /// IPv4 peers, six bytes each.
    pub peers: &'a [u8],
    /// IPv6 peers, eighteen bytes each.
    pub peers6: &'a [u8],
}

/// Reads the query of `/announce`. Unknown keys, `ip` among them, are passed over.
pub fn parse_announce(query: &[u8]) -> Result<Announce, BadQuery> {
    let (mut swarm, mut peer_id, mut port, mut left) = (None, None, None, None);
    let (mut uploaded, mut downloaded, mut num_want) = (0, 0, None);
    let mut event = Event::Regular;
    for (key, value) in pairs(query)? {
        let mut decoded = [0; SHORT];
        match decode(key, &mut decoded).unwrap_or_default() {
            b"info_hash" => {
                let hash = exactly(value).ok_or(BadQuery::Malformed("info_hash"))?;
                swarm = Some(SwarmHash(hash));
            }
            b"peer_id" => {
                let id = exactly(value).ok_or(BadQuery::Malformed("peer_id"))?;
                peer_id = Some(PeerId(id));
            }
            b"port" => {
                let number = number(value)
                    .and_then(|n| u16::try_from(n).ok())
                    .and_then(NonZeroU16::new);
                port = Some(number.ok_or(BadQuery::Malformed("port"))?);
            }
            b"uploaded" => uploaded = number(value).unwrap_or(0),
            b"downloaded" => downloaded = number(value).unwrap_or(0),
            // Clients that have no metadata yet say 0, -1 or the largest number there is, or nothing.
            b"left" => left = number(value).filter(|left| *left <= i64::MAX as u64),
            b"numwant" => num_want = number(value).map(|n| u32::try_from(n).unwrap_or(u32::MAX)),
            b"event" => {
                event = match decode(value, &mut [0; SHORT]).unwrap_or_default() {
                    b"started" => Event::Started,
                    b"completed" => Event::Completed,
                    b"stopped" => Event::Stopped,
                    _ => Event::Regular,
                };
            }
            _ => {}
        }
    }
    Ok(Announce {
        swarm: swarm.ok_or(BadQuery::Missing("info_hash"))?,
        peer_id: peer_id.ok_or(BadQuery::Missing("peer_id"))?,
        port: port.ok_or(BadQuery::Missing("port"))?,
        uploaded,
        downloaded,
        left,
        event,
        num_want,
    })
}

/// Reads the query of `/scrape`: the swarms asked for, each once, in ascending order. Asking for every swarm at once is
/// not answered.
pub fn parse_scrape(query: &[u8]) -> Result<Vec<SwarmHash>, BadQuery> {
    let mut swarms = Vec::new();
    for (key, value) in pairs(query)? {
        if decode(key, &mut [0; SHORT]) == Some(b"info_hash") {
            if swarms.len() >= MAX_SCRAPE {
                return Err(BadQuery::TooMany);
            }
            let hash = exactly(value).ok_or(BadQuery::Malformed("info_hash"))?;
            swarms.push(SwarmHash(hash));
        }
    }
    if swarms.is_empty() {
        return Err(BadQuery::Missing("info_hash"));
    }
    swarms.sort_unstable();
    swarms.dedup();
    Ok(swarms)
}

impl Reply<'_> {
    /// Appends the body of the answer.
    pub fn write(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(b"d8:complete");
        push_integer(into, self.counts.complete.into());
        into.extend_from_slice(b"10:downloaded");
        push_integer(into, self.counts.downloaded.into());
        if let Some(ip) = self.external_ip {
            into.extend_from_slice(b"11:external ip");
            match ip {
                IpAddr::V4(ip) => push_bytes(into, &ip.octets()),
                IpAddr::V6(ip) => push_bytes(into, &ip.octets()),
            }
        }
        into.extend_from_slice(b"10:incomplete");
        push_integer(into, self.counts.incomplete.into());
        into.extend_from_slice(b"8:interval");
        push_integer(into, self.interval.as_secs());
        into.extend_from_slice(b"12:min interval");
        push_integer(into, self.min_interval.as_secs());
        // Old clients take a missing `peers` for a broken tracker, so it is there even when empty.
        into.extend_from_slice(b"5:peers");
        push_bytes(into, self.peers);
        if !self.peers6.is_empty() {
            into.extend_from_slice(b"6:peers6");
            push_bytes(into, self.peers6);
        }
        into.push(b'e');
    }
}

/// Appends the body of an answer to a scrape: of swarms in ascending order, each once, as [`parse_scrape`] gives them.
pub fn write_scrape(
    swarms: impl IntoIterator<Item = (SwarmHash, SwarmCounts)>,
    into: &mut Vec<u8>,
) {
    into.extend_from_slice(b"d5:filesd");
    for (swarm, counts) in swarms {
        push_bytes(into, swarm.as_bytes());
        into.extend_from_slice(b"d8:complete");
        push_integer(into, counts.complete.into());
        into.extend_from_slice(b"10:downloaded");
        push_integer(into, counts.downloaded.into());
        into.extend_from_slice(b"10:incomplete");
        push_integer(into, counts.incomplete.into());
        into.push(b'e');
    }
    into.extend_from_slice(b"ee");
}

/// Appends the body of an answer that says no.
pub fn write_failure(reason: &str, retry: Option<RetryIn>, into: &mut Vec<u8>) {
    into.extend_from_slice(b"d14:failure reason");
    push_bytes(into, reason.as_bytes());
    if let Some(retry) = retry {
        into.extend_from_slice(b"8:retry in");
        match retry {
            RetryIn::After(time) => push_integer(into, time.as_secs().div_ceil(60).max(1)),
            RetryIn::Never => push_bytes(into, b"never"),
        }
    }
    into.push(b'e');
}

fn push_integer(into: &mut Vec<u8>, number: u64) {
    into.push(b'i');
    push_digits(into, number);
    into.push(b'e');
}

fn push_bytes(into: &mut Vec<u8>, bytes: &[u8]) {
    push_digits(into, bytes.len() as u64);
    into.push(b':');
    into.extend_from_slice(bytes);
}

/// Appends a number in decimal.
pub fn push_digits(into: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    into.extend_from_slice(&digits[first..]);
}

/// The keys and values of a query, still percent-encoded.
fn pairs(query: &[u8]) -> Result<impl Iterator<Item = (&[u8], &[u8])>, BadQuery> {
    if query.len() > MAX_QUERY {
        return Err(BadQuery::TooLong);
    }
    Ok(query.split(|byte| *byte == b'&').map(|pair| {
        let split = pair.iter().position(|byte| *byte == b'=');
        let split = split.unwrap_or(pair.len());
        let value = pair.get(split + 1..).unwrap_or_default();
        (&pair[..split], value)
    }))
}

/// `%xx` to bytes, into a buffer; `None` where that is too small. A `+` stays what it is: clients that escape a space
/// write `%20`, and some leave a plus bare.
fn decode<'a>(text: &[u8], into: &'a mut [u8]) -> Option<&'a [u8]> {
    let (mut rest, mut length) = (text, 0);
    while let Some((&byte, after)) = rest.split_first() {
        let place = into.get_mut(length)?;
        length += 1;
        let escaped = match after {
            [high, low, ..] if byte == b'%' => hex(*high).zip(hex(*low)),
            _ => None,
        };
        (*place, rest) = match escaped {
            Some((high, low)) => (high << 4 | low, &after[2..]),
            None => (byte, after),
        };
    }
    Some(&into[..length])
}

/// A value of twenty bytes.
fn exactly(value: &[u8]) -> Option<[u8; 20]> {
    let mut bytes = [0; 20];
    let length = decode(value, &mut bytes)?.len();
    (length == bytes.len()).then_some(bytes)
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn number(value: &[u8]) -> Option<u64> {
    let mut digits = [0; SHORT];
    std::str::from_utf8(decode(value, &mut digits)?)
        .ok()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = "info_hash=%124Vx%9A%BC%DE%F1%23Eg%89%AB%CD%EF%124Vx%9A\
                        &peer_id=-TR3000-abcdefghijkl&port=51413&uploaded=1&downloaded=2&left=3";

    fn check(query: &str) -> Result<Announce, BadQuery> {
        parse_announce(query.as_bytes())
    }

    #[test]
    fn what_clients_write_is_understood() {
        let announce = check(&format!(
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
        assert_eq!(announce.event, Event::Started);
        let escaped = GOOD
            .replace("info_hash", "info%5fhash")
            .replace("51413", "%351413");
        assert_eq!(check(&escaped), check(GOOD));

        let left = |query: &str| check(&format!("{GOOD}{query}")).unwrap().left;
        assert_eq!(left("&left=18446744073709551615"), None);
        assert_eq!(left("&left=-1"), None);
        assert_eq!(left(&format!("&left={}", "0".repeat(100))), None);
        assert_eq!(left("&left=0"), Some(0));
    }

    #[test]
    fn what_cannot_be_answered_is_named() {
        assert_eq!(check(""), Err(BadQuery::Missing("info_hash")));
        for hash in ["abc", &"a".repeat(19), &"a".repeat(21), &"%61".repeat(21)] {
            let query = format!("info_hash={hash}");
            assert_eq!(check(&query), Err(BadQuery::Malformed("info_hash")));
        }
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
    }

    #[test]
    fn a_scrape_names_each_swarm_once_and_not_too_many() {
        let swarm = |n: usize| SwarmHash([b'a' + (n % 26) as u8; 20]);
        let pair = |n: usize| format!("info_hash={}", String::from_utf8_lossy(&swarm(n).0));
        let query = [pair(2), pair(0), "x=y".into(), pair(2)].join("&");
        assert_eq!(parse_scrape(query.as_bytes()), Ok(vec![swarm(0), swarm(2)]));
        let many: Vec<_> = (0..=MAX_SCRAPE).map(pair).collect();
        assert_eq!(
            parse_scrape(many.join("&").as_bytes()),
            Err(BadQuery::TooMany)
        );
        let most = many[1..].join("&");
        assert_eq!(parse_scrape(most.as_bytes()).map(|all| all.len()), Ok(26));
    }

    #[test]
    fn answers_stand_as_the_beps_word_them() {
        let reply = Reply {
            interval: Duration::from_secs(600),
            min_interval: Duration::from_secs(60),
            counts: SwarmCounts {
                complete: 1,
                incomplete: 2,
                downloaded: 3,
            },
            external_ip: Some(IpAddr::from([5, 6, 7, 8])),
            peers: &[1, 2, 3, 4, 1, 2],
            peers6: &[7; 18],
        };
        let mut body = Vec::new();
        reply.write(&mut body);
        let mut expected = b"d8:completei1e10:downloadedi3e11:external ip4:\x05\x06\x07\x08\
            10:incompletei2e8:intervali600e12:min intervali60e5:peers6:\x01\x02\x03\x04\x01\x02\
            6:peers618:"
            .to_vec();
        expected.extend_from_slice(&[7; 18]);
        expected.push(b'e');
        assert_eq!(body, expected);

        let failure = |retry| {
            let mut body = Vec::new();
            write_failure("no", retry, &mut body);
            String::from_utf8(body).unwrap()
        };
        let after = |seconds| failure(Some(RetryIn::After(Duration::from_secs(seconds))));
        assert_eq!(failure(None), "d14:failure reason2:noe");
        assert_eq!(
            failure(Some(RetryIn::Never)),
            "d14:failure reason2:no8:retry in5:nevere"
        );
        assert_eq!(after(0), "d14:failure reason2:no8:retry ini1ee");
        assert_eq!(after(61), "d14:failure reason2:no8:retry ini2ee");

        let counts = SwarmCounts {
            complete: 5,
            incomplete: 0,
            downloaded: 7,
        };
        let mut body = Vec::new();
        write_scrape([(SwarmHash(*b"aaaaaaaaaaaaaaaaaaaa"), counts)], &mut body);
        assert_eq!(
            body,
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
            prop_assert_eq!(exactly(escaped.as_bytes()), Some(bytes));
        }

        #[test]
        fn numbers_are_written_as_everywhere(number: u64) {
            let mut digits = Vec::new();
            push_digits(&mut digits, number);
            prop_assert_eq!(digits, number.to_string().into_bytes());
        }
    }
}
