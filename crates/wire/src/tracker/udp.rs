//! A UDP tracker (BEP 15): a connection id first, so that addresses can't be forged, then the announce. Here the asking
//! side, with BEP 41's URL data where the tracker's URL has a path; the answering side is in [`answering`] and
//! [`connection_id`]. Datagrams only: sending them, and sending them again, is the shell's.

pub mod answering;
pub mod connection_id;

use super::http::asking::{BadReply, MAX_PEERS, compact4, compact6};
use super::{Announce, AnnounceReply, Event};
use std::time::Duration;

const PROTOCOL: u64 = 0x417_2710_1980;
const CONNECT: u32 = 0;
const ANNOUNCE: u32 = 1;
const SCRAPE: u32 = 2;
const ERROR: u32 = 3;
/// The longest datagram that is worth reading.
pub const MAX_DATAGRAM: usize = 20 + MAX_PEERS * 18;

/// The request for a connection id.
pub fn connect(transaction: u32) -> Vec<u8> {
    let mut datagram = PROTOCOL.to_be_bytes().to_vec();
    datagram.extend(CONNECT.to_be_bytes());
    datagram.extend(transaction.to_be_bytes());
    datagram
}

/// The connection id. `None` where this is no answer to that request.
pub fn parse_connect(datagram: &[u8], transaction: u32) -> Option<Result<u64, BadReply>> {
    let body = match answer(datagram, CONNECT, transaction)? {
        Ok(body) => body,
        Err(error) => return Some(Err(error)),
    };
    body.first_chunk().map(|id| Ok(u64::from_be_bytes(*id)))
}

/// An announce. `url` is the path and query of the tracker's URL, which goes along where it isn't empty (BEP 41).
pub fn announce(
    connection: u64,
    transaction: u32,
    announce: &Announce,
    key: u32,
    url: &str,
) -> Vec<u8> {
    let mut datagram = connection.to_be_bytes().to_vec();
    datagram.extend(ANNOUNCE.to_be_bytes());
    datagram.extend(transaction.to_be_bytes());
    datagram.extend(announce.swarm.as_bytes());
    datagram.extend(announce.peer_id.as_bytes());
    datagram.extend(announce.downloaded.to_be_bytes());
    datagram.extend(announce.left.unwrap_or(i64::MAX as u64).to_be_bytes());
    datagram.extend(announce.uploaded.to_be_bytes());
    let event: u32 = match announce.event {
        Event::Regular => 0,
        Event::Completed => 1,
        Event::Started => 2,
        Event::Stopped => 3,
    };
    datagram.extend(event.to_be_bytes());
    // Our address is what the tracker sees.
    datagram.extend([0; 4]);
    datagram.extend(key.to_be_bytes());
    let num_want = announce.num_want.and_then(|n| i32::try_from(n).ok());
    datagram.extend(num_want.unwrap_or(-1).to_be_bytes());
    datagram.extend(announce.port.get().to_be_bytes());
    for part in url.as_bytes().chunks(255) {
        datagram.extend([2, part.len() as u8]);
        datagram.extend(part);
    }
    datagram
}

/// The answer to an announce; its peers are IPv6 where the tracker was reached over it. `None` where this is no
/// answer to that request.
pub fn parse_announce(
    datagram: &[u8],
    transaction: u32,
    ipv6: bool,
) -> Option<Result<AnnounceReply, BadReply>> {
    let body = match answer(datagram, ANNOUNCE, transaction)? {
        Ok(body) => body,
        Err(error) => return Some(Err(error)),
    };
    let (head, packed) = body.split_first_chunk::<12>()?;
    let number =
        |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let mut peers = if ipv6 {
        compact6(packed)
    } else {
        compact4(packed)
    };
    peers.retain(|peer| crate::extended::pex::is_reachable(&peer.addr));
    Some(Ok(AnnounceReply {
        interval: Duration::from_secs(u64::from(number(0))),
        min_interval: Duration::ZERO,
        complete: number(8),
        incomplete: number(4),
        downloaded: 0,
        peers,
        external_ip: None,
    }))
}

/// What follows action and transaction, where both are as expected.
fn answer(datagram: &[u8], action: u32, transaction: u32) -> Option<Result<&[u8], BadReply>> {
    let (its_action, rest) = datagram.split_first_chunk()?;
    let (its_transaction, body) = rest.split_first_chunk()?;
    if u32::from_be_bytes(*its_transaction) != transaction {
        return None;
    }
    match u32::from_be_bytes(*its_action) {
        ERROR => {
            let text = String::from_utf8_lossy(body);
            let line = text.chars().filter(|c| !c.is_control()).take(200);
            Some(Err(BadReply::Failure(line.collect())))
        }
        its if its == action => Some(Ok(body)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metainfo::ids::{PeerId, SwarmHash};
    use proptest::prelude::*;
    use std::num::NonZeroU16;

    #[test]
    fn as_bep_15_lays_it_out() {
        let asked = connect(7);
        assert_eq!(asked, b"\x00\x00\x04\x17\x27\x10\x19\x80\0\0\0\0\0\0\0\x07");
        let id = b"\0\0\0\0\0\0\0\x07\x01\x02\x03\x04\x05\x06\x07\x08";
        assert_eq!(parse_connect(id, 7), Some(Ok(0x0102_0304_0506_0708)));
        assert_eq!(parse_connect(id, 8), None, "of somebody else");
        assert_eq!(parse_connect(&id[..15], 7), None, "cut short");
        let error = b"\0\0\0\x03\0\0\0\x07not\nhere";
        assert_eq!(
            parse_connect(error, 7),
            Some(Err(BadReply::Failure("nothere".into())))
        );
        let message = Announce {
            swarm: SwarmHash([1; 20]),
            peer_id: PeerId([2; 20]),
            port: NonZeroU16::new(6881).unwrap(),
            uploaded: 3,
            downloaded: 4,
            left: Some(5),
            event: Event::Started,
            num_want: None,
        };
        let datagram = announce(9, 8, &message, 6, "");
        assert_eq!(datagram.len(), 98);
        assert_eq!(datagram[..16], *b"\0\0\0\0\0\0\0\x09\0\0\0\x01\0\0\0\x08");
        assert_eq!(
            datagram[56..84],
            *b"\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x03\0\0\0\x02"
        );
        assert_eq!(
            datagram[84..],
            *b"\0\0\0\0\0\0\0\x06\xff\xff\xff\xff\x1a\xe1"
        );
        let with_url = announce(9, 8, &message, 6, &"/a".repeat(200));
        assert_eq!(with_url.len(), 98 + 2 + 255 + 2 + 145);
        assert_eq!(with_url[98..102], *b"\x02\xff/a");

        let reply = b"\0\0\0\x01\0\0\0\x08\0\0\x07\x08\0\0\0\x02\0\0\0\x03\x0a\0\0\x01\x1a\xe1\0\0\0\0\0\x01\x05";
        let reply = parse_announce(reply, 8, false).unwrap().unwrap();
        assert_eq!(
            (reply.complete, reply.incomplete, reply.interval.as_secs()),
            (3, 2, 1800)
        );
        let peers: Vec<_> = reply
            .peers
            .iter()
            .map(|peer| peer.addr.to_string())
            .collect();
        assert_eq!(
            peers,
            ["10.0.0.1:6881"],
            "0.0.0.0 leads nowhere, a rest of a byte neither"
        );
    }

    proptest! {
        #[test]
        fn no_datagram_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80), action in 0u8..5) {
            let mut datagram = vec![0, 0, 0, action, 0, 0, 0, 7];
            datagram.extend(bytes);
            let _ = parse_connect(&datagram, 7);
            let _ = parse_announce(&datagram, 7, true);
            let _ = parse_announce(&datagram, 7, false);
        }
    }
}
