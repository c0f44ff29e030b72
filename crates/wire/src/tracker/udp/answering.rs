//! The answering side of a UDP tracker (BEP 15): a datagram read as a request where it lies, and a reply written behind
//! others in the caller's buffer. Whether a connection id is one of ours is [`super::connection_id`]'s to say, who is in a
//! swarm the store's, sending the shell's.
//!
//! Nobody is answered with more bytes than came before it was shown that its address is its own: a connection id
//! goes out in 16 bytes for the 16 that asked for it. Options behind an announce (BEP 41) decide nothing here and are
//! passed over unread, whatever they are.

use super::{ANNOUNCE, CONNECT, ERROR, PROTOCOL, SCRAPE};
use crate::tracker::{Announce, Event, SwarmCounts};
use metainfo::ids::{PeerId, SwarmHash};
use std::fmt::Display;
use std::io::Write;
use std::num::NonZeroU16;
use std::time::Duration;

/// The longest reply, in bytes: with the headers of UDP and IPv6 1280, which every path must carry in one piece (RFC 8200, 5).
pub const MAX_REPLY: usize = 1232;
/// The longest request that is read to its end: a scrape of as many swarms as BEP 15 allows.
pub const MAX_REQUEST: usize = REQUEST_HEAD + 20 * MAX_SCRAPE;
/// The most swarms of one scrape, by BEP 15; more are passed over.
pub const MAX_SCRAPE: usize = 74;
/// The most IPv4 peers that fit a reply.
pub const MAX_PEERS_V4: u32 = ((MAX_REPLY - ANNOUNCE_HEAD) / 6) as u32;
/// The most IPv6 peers that fit a reply.
pub const MAX_PEERS_V6: u32 = ((MAX_REPLY - ANNOUNCE_HEAD) / 18) as u32;

/// Connection id or protocol number, action, transaction.
const REQUEST_HEAD: usize = 16;
/// Action, transaction, interval, two counts.
const ANNOUNCE_HEAD: usize = 20;

/// What a datagram asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request<'a> {
    /// A connection id. The address it comes from may be forged.
    Connect {
        /// Comes back with the reply.
        transaction: u32,
    },
    /// Anything else, with a connection id that is to be checked before more is read.
    Connected(Connected<'a>),
}

/// A request that claims a connection id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connected<'a> {
    /// The id that is claimed.
    pub connection: u64,
    /// Comes back with the reply.
    pub transaction: u32,
    action: u32,
    body: &'a [u8],
}

/// What is asked of a tracker by whom it knows to be where it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask<'a> {
    /// An announce.
    Announce(Announce),
    /// The state of these swarms, at least one and at most [`MAX_SCRAPE`].
    Scrape(&'a [[u8; 20]]),
}

/// Why a request with a right connection id can't be answered. Its text goes to the asker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It ends too early.
    #[error("cut short")]
    Short,
    /// Nobody listens at port 0.
    #[error("port 0")]
    Port,
}

/// Reads a datagram. `None` where it is no request of BEP 15.
pub fn parse(datagram: &[u8]) -> Option<Request<'_>> {
    let (connection, rest) = number64(datagram)?;
    let (action, rest) = number32(rest)?;
    let (transaction, body) = number32(rest)?;
    match action {
        CONNECT if connection == PROTOCOL => Some(Request::Connect { transaction }),
        ANNOUNCE | SCRAPE => Some(Request::Connected(Connected {
            connection,
            transaction,
            action,
            body,
        })),
        _ => None,
    }
}

impl<'a> Connected<'a> {
    /// Reads what is asked. A number of peers below zero, an amount left beyond all sizes and an unknown event each
    /// stand for "not said"; the address that a client claims is passed over.
    pub fn read(&self) -> Result<Ask<'a>, Malformed> {
        if self.action == SCRAPE {
            let (swarms, _) = self.body.as_chunks::<20>();
            return match swarms.len() {
                0 => Err(Malformed::Short),
                n => Ok(Ask::Scrape(&swarms[..n.min(MAX_SCRAPE)])),
            };
        }
        self.announce().ok_or(Malformed::Short)?.map(Ask::Announce)
    }

    fn announce(&self) -> Option<Result<Announce, Malformed>> {
        let (swarm, rest) = self.body.split_first_chunk()?;
        let (peer_id, rest) = rest.split_first_chunk()?;
        let (downloaded, rest) = number64(rest)?;
        let (left, rest) = number64(rest)?;
        let (uploaded, rest) = number64(rest)?;
        let (event, rest) = number32(rest)?;
        // An address that anybody may claim, and a key that proves nothing to us.
        let (_, rest) = rest.split_first_chunk::<8>()?;
        let (num_want, rest) = number32(rest)?;
        let (port, _) = rest.split_first_chunk()?;
        let Some(port) = NonZeroU16::new(u16::from_be_bytes(*port)) else {
            return Some(Err(Malformed::Port));
        };
        Some(Ok(Announce {
            swarm: SwarmHash(*swarm),
            peer_id: PeerId(*peer_id),
            port,
            uploaded,
            downloaded,
            left: Some(left).filter(|left| *left < i64::MAX as u64),
            event: match event {
                1 => Event::Completed,
                2 => Event::Started,
                3 => Event::Stopped,
                _ => Event::Regular,
            },
            num_want: Some(num_want).filter(|n| i32::try_from(*n).is_ok()),
        }))
    }
}

/// Packed addresses of one family, which is the asker's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packed<'a> {
    /// 6 bytes each.
    V4(&'a [u8]),
    /// 18 bytes each.
    V6(&'a [u8]),
}

/// Writes a connection id: 16 bytes.
pub fn write_connect(out: &mut Vec<u8>, transaction: u32, connection: u64) {
    head(out, CONNECT, transaction);
    out.extend(connection.to_be_bytes());
}

/// Writes the answer to an announce: at most [`MAX_REPLY`] bytes, so peers may be cut off at the end.
pub fn write_announce(
    out: &mut Vec<u8>,
    transaction: u32,
    interval: Duration,
    complete: u32,
    incomplete: u32,
    peers: Packed<'_>,
) {
    head(out, ANNOUNCE, transaction);
    let interval = u32::try_from(interval.as_secs()).unwrap_or(u32::MAX);
    for number in [interval, incomplete, complete] {
        out.extend(number.to_be_bytes());
    }
    let (packed, each) = match peers {
        Packed::V4(packed) => (packed, 6),
        Packed::V6(packed) => (packed, 18),
    };
    let room = (MAX_REPLY - ANNOUNCE_HEAD).min(packed.len()) / each * each;
    out.extend_from_slice(&packed[..room]);
}

/// Writes the answer to a scrape: 12 bytes for each swarm that was asked for with 20, in the same order.
pub fn write_scrape(
    out: &mut Vec<u8>,
    transaction: u32,
    swarms: impl IntoIterator<Item = SwarmCounts>,
) {
    head(out, SCRAPE, transaction);
    for counts in swarms {
        for number in [counts.complete, counts.downloaded, counts.incomplete] {
            out.extend(number.to_be_bytes());
        }
    }
}

/// Writes why there is no answer, cut so that it isn't longer than the request was.
pub fn write_error(out: &mut Vec<u8>, transaction: u32, reason: impl Display, request: usize) {
    let start = out.len();
    head(out, ERROR, transaction);
    // Writing to a buffer in memory fails only where the text itself does.
    let _ = write!(out, "{reason}");
    out.truncate(start + request);
}

fn head(out: &mut Vec<u8>, action: u32, transaction: u32) {
    out.extend(action.to_be_bytes());
    out.extend(transaction.to_be_bytes());
}

fn number32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u32::from_be_bytes(*number), rest))
}

fn number64(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u64::from_be_bytes(*number), rest))
}

#[cfg(test)]
mod tests;
