//! What is said between a peer and a tracker, as meaning: an announce, its reply, a scrape. How it stands
//! on the wire is in [`http`], [`udp`] and, for browsers, [`websocket`]. The store that answers is in the
//! crate `swarm`.

pub mod http;
pub mod udp;
pub mod websocket;

use metainfo::ids::{PeerId, SwarmHash};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::time::Duration;

/// What happened since the last announce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Event {
    /// Nothing: it is merely time.
    #[default]
    Regular,
    /// The peer joins.
    Started,
    /// The peer has just got everything.
    Completed,
    /// The peer leaves.
    Stopped,
}

/// One peer telling the tracker of itself. Its address is where the announce came from; what a client
/// claims its address to be is never read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announce {
    /// The swarm.
    pub swarm: SwarmHash,
    /// Who the peer says it is.
    pub peer_id: PeerId,
    /// Where it listens.
    pub port: NonZeroU16,
    /// Bytes it has given to others.
    pub uploaded: u64,
    /// Bytes it has got.
    pub downloaded: u64,
    /// Bytes it still needs; `None` where it doesn't know, having no metadata yet.
    pub left: Option<u64>,
    /// Why it announces.
    pub event: Event,
    /// How many peers it would like.
    pub num_want: Option<u32>,
}

/// A peer as a tracker hands it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackerPeer {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Who it is, where the tracker knows and the form has room for it.
    pub peer_id: Option<PeerId>,
}

/// The tracker's answer to an announce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnnounceReply {
    /// When to announce again.
    pub interval: Duration,
    /// Not earlier than this.
    pub min_interval: Duration,
    /// Peers that have everything.
    pub complete: u32,
    /// Peers that don't.
    pub incomplete: u32,
    /// How often a peer has got everything.
    pub downloaded: u32,
    /// Some of the others.
    pub peers: Vec<TrackerPeer>,
    /// The asker's address, as it came here (BEP 24).
    pub external_ip: Option<IpAddr>,
}

/// The state of one swarm (BEP 48).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SwarmCounts {
    /// Peers that have everything.
    pub complete: u32,
    /// Peers that don't.
    pub incomplete: u32,
    /// How often a peer has got everything.
    pub downloaded: u32,
}
