//! The WebTorrent tracker's messages, JSON over WebSocket. There is no BEP for them: what the clients
//! `bittorrent-tracker` (npm) and libtorrent send is the norm, and [`parse`] takes what they send. Frames,
//! sockets and who is told what are the seeder's and the store's.
//!
//! An info-hash, a peer id and an offer's id are strings of twenty characters, one a byte (Latin-1). A session
//! description is never looked into: it is checked for size and form where it comes in, and goes out to one other
//! browser as the JSON text it came as.

mod latin;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use read::parse;
pub use write::{write_answer, write_failure, write_offer, write_reply, write_scrape};

use super::{Event, SwarmCounts};
use metainfo::ids::{PeerId, SwarmHash};
use std::time::Duration;

/// The longest message that is read, in bytes.
pub const MAX_MESSAGE: usize = 64 * 1024;
/// The most offers of one announce that are read; further ones are counted and passed over.
pub const MAX_OFFERS: usize = 10;
/// The longest session description, in bytes of JSON text.
pub const MAX_DESCRIPTION: usize = 16 * 1024;
/// The most swarms one scrape may ask for.
pub const MAX_SCRAPE: usize = 64;

/// What a browser says to the tracker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request<'a> {
    /// It is there, still there, or leaves.
    Announce(Announce<'a>),
    /// It accepts an offer that the tracker has passed on.
    Answer(Answer<'a>),
    /// It wants to know how many are in these swarms.
    Scrape(Vec<SwarmHash>),
}

/// One browser telling the tracker of itself. The field `numwant` isn't read: the offers are what it wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announce<'a> {
    /// The swarm.
    pub swarm: SwarmHash,
    /// Who the browser says it is.
    pub peer_id: PeerId,
    /// Bytes it still needs; `None` where it doesn't know or doesn't say.
    pub left: Option<u64>,
    /// Why it announces; "paused" (libtorrent) and whatever else isn't known is [`Event::Regular`].
    pub event: Event,
    /// Invitations to others. None where it leaves.
    pub offers: Vec<Offer<'a>>,
    /// Offers that were passed over, being more than [`MAX_OFFERS`].
    pub surplus: usize,
    /// Where it plays, in milliseconds from the start (an extension of ours).
    pub position_ms: Option<u64>,
}

/// Names an offer, so that its answer finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OfferId(pub [u8; 20]);

/// An invitation to one other peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer<'a> {
    /// Its name.
    pub id: OfferId,
    /// How to connect.
    pub sdp: Description<'a>,
    /// It is meant for the seeder alone (an extension of ours: `"to": "seeder"`).
    pub to_seeder: bool,
}

/// The acceptance of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer<'a> {
    /// The swarm.
    pub swarm: SwarmHash,
    /// Who accepts. libtorrent takes a fresh id for each answer.
    pub peer_id: PeerId,
    /// Who has made the offer.
    pub to: PeerId,
    /// Which offer it was.
    pub offer_id: OfferId,
    /// How to connect.
    pub sdp: Description<'a>,
}

/// A session description (SDP) as JSON text: a string with its quotes and escapes, at most
/// [`MAX_DESCRIPTION`] bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description<'a>(&'a str);

impl<'a> Description<'a> {
    /// The JSON text.
    pub fn json(&self) -> &'a str {
        self.0
    }
}

/// The tracker's answer to an announce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// When to announce again; `None` in what the tracker tells unasked: what was said before holds.
    pub interval: Option<Duration>,
    /// How many are there.
    pub counts: SwarmCounts,
    /// Whether viewers are introduced to each other now (an extension of ours).
    pub p2p: P2p,
    /// How many offers are welcome in the next announce (an extension of ours).
    pub offers_wanted: u32,
}

/// Whether viewers are introduced to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum P2p {
    /// Not now: the seeder has bandwidth to spare.
    Wait,
    /// Yes.
    Go,
}

/// Which kind of message a refusal answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// An announce, or an answer to an offer.
    Announce,
    /// A scrape.
    Scrape,
}

/// A message that can't be used. Its text goes to the sender as `failure reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadMessage {
    /// Longer than [`MAX_MESSAGE`].
    #[error("the message is longer than {MAX_MESSAGE} bytes")]
    TooLong,
    /// Not one JSON object in UTF-8, or a key twice, or a key with a value of the wrong kind.
    #[error("the message is no JSON object of the form that is known here")]
    NotJson,
    /// Something that must be there isn't.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A value that means nothing.
    #[error("`{0}` makes no sense")]
    Malformed(&'static str),
    /// A session description longer than [`MAX_DESCRIPTION`].
    #[error("a session description is longer than {MAX_DESCRIPTION} bytes")]
    DescriptionTooLong,
    /// A scrape of more than [`MAX_SCRAPE`] swarms.
    #[error("at most {MAX_SCRAPE} swarms a scrape")]
    TooMany,
}
