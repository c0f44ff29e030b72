//! What goes into the tracker's store and comes out of it.

use metainfo::ids::{PeerId, SwarmHash};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use wire::tracker::Event;

/// A swarm that is tracked. A hybrid torrent is two of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tracked {
    /// The hash that is announced.
    pub swarm: SwarmHash,
    /// The same for all hashes of one torrent.
    pub id: u32,
    /// Whether browsers are introduced to each other.
    pub p2p: P2p,
    /// Whether our own seeder serves it.
    pub seeded: bool,
}

/// Whether browsers are introduced to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum P2p {
    /// While the seeder is loaded. Before, no viewer's address is shown to another.
    #[default]
    UnderLoad,
    /// Always.
    Always,
    /// Never.
    Off,
}

/// What the seeder can still carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Load {
    /// It has bandwidth to spare.
    #[default]
    Spare,
    /// It needs the viewers' help.
    Loaded,
}

/// Native peers as they stand in compact replies; cleared and filled anew for each, so that no reply allocates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PackedPeers {
    /// Four bytes of address and two of port each (BEP 15, BEP 23).
    pub v4: Vec<u8>,
    /// Sixteen bytes of address and two of port each (BEP 7, BEP 15).
    pub v6: Vec<u8>,
}

impl PackedPeers {
    /// Takes all out.
    pub fn clear(&mut self) {
        self.v4.clear();
        self.v6.clear();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.v4.len() / 6 + self.v6.len() / 18
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// The peers as socket addresses.
    pub fn iter(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        let v4 = self.v4.chunks_exact(6).map(unpack);
        v4.chain(self.v6.chunks_exact(18).map(unpack))
    }
}

/// An address of 6 or 18 bytes.
fn unpack(packed: &[u8]) -> SocketAddr {
    let (ip, port) = packed.split_at(packed.len() - 2);
    let port = u16::from_be_bytes([port[0], port[1]]);
    let ip = match <[u8; 4]>::try_from(ip) {
        Ok(v4) => IpAddr::from(v4),
        Err(_) => IpAddr::from(<[u8; 16]>::try_from(ip).unwrap_or_default()),
    };
    SocketAddr::new(ip, port)
}

/// What a native peer is told, beside its peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// When to announce again.
    pub interval: Duration,
    /// Not earlier than this.
    pub min_interval: Duration,
    /// Peers that have everything, our seeder and browsers included.
    pub complete: u32,
    /// Peers that don't.
    pub incomplete: u32,
    /// How often a peer has got everything.
    pub downloaded: u32,
    /// The asker's address, as it came here (BEP 24); IPv4 is IPv4.
    pub external_ip: IpAddr,
    /// Whether this announce entered a peer that wasn't there.
    pub arrived: bool,
}

/// Why an announce isn't answered. Its text goes to the asker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The swarm is none of ours.
    #[error("this torrent is not tracked here")]
    NotTracked,
    /// The swarm was ours and will not be again (BEP 31: "retry in" is "never").
    #[error("this torrent has been withdrawn")]
    Retired,
    /// Too many announces from this address.
    #[error("too many announces from your address")]
    TooOften {
        /// When one will be answered again, at the earliest.
        retry_in: Duration,
    },
    /// The peer id is in this swarm over another connection.
    #[error("this peer id is in use by another connection")]
    PeerIdTaken,
}

/// A browser's connection. Given by the WebSocket front end, unique for the life of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(pub u64);

/// A browser peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Its connection.
    pub socket: SocketId,
    /// What it calls itself there.
    pub peer_id: PeerId,
}

/// Where in the net and in the world an address is; zeros where that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Area {
    /// The number of its autonomous system.
    pub asn: u32,
    /// Two letters (ISO 3166-1).
    pub country: [u8; 2],
}

/// A browser telling the tracker of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrowserAnnounce {
    /// The swarm.
    pub swarm: SwarmHash,
    /// Who the peer says it is.
    pub peer_id: PeerId,
    /// Its connection.
    pub socket: SocketId,
    /// Where that comes from.
    pub from: IpAddr,
    /// Where that is.
    pub area: Area,
    /// Bytes it still needs; `None` where it doesn't say.
    pub left: Option<u64>,
    /// Why it announces.
    pub event: Event,
    /// How many offers it brought for other viewers: all but one that is marked for the seeder.
    pub offers: usize,
    /// Where it plays, in milliseconds.
    pub position_ms: Option<u64>,
    /// Whether it brought an offer that is marked for the seeder.
    pub wants_seeder: bool,
}

/// To whom an offer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Another viewer.
    Viewer(Member),
    /// Our own seeder. Comes once at the most, and last.
    Seeder,
}

/// Whether a browser is introduced to others now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Introduction {
    /// It is: offers reach viewers.
    Go,
    /// It isn't, yet: it is told when that changes.
    Wait,
}

/// What a browser is told, beside what becomes of its offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrowserReply {
    /// When to announce again.
    pub interval: Duration,
    /// Peers that have everything, our seeder and native ones included.
    pub complete: u32,
    /// Peers that don't.
    pub incomplete: u32,
    /// How often a peer has got everything.
    pub downloaded: u32,
    /// Whether its offers reach viewers.
    pub p2p: Introduction,
    /// How many offers for viewers to bring next time.
    pub offers_wanted: u32,
    /// Whether this announce entered a peer that wasn't there.
    pub arrived: bool,
}
