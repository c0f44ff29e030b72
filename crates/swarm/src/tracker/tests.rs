//! The tracker's store in stories; time is an argument, so a day of expiry takes no time.

mod abuse;
mod browsers;
mod crowd;
mod meeting;
mod model;
mod native;

use super::*;
use metainfo::ids::PeerId;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use wire::tracker::{Announce, Event};

const SWARM: SwarmHash = SwarmHash([1; 20]);
const OTHER_SWARM: SwarmHash = SwarmHash([2; 20]);
const OWN: [&str; 2] = ["10.0.0.1:6881", "[fd00::1]:6881"];

#[allow(clippy::disallowed_methods)]
fn epoch() -> Instant {
    Instant::now()
}

fn tracked(swarm: SwarmHash) -> Tracked {
    Tracked {
        swarm,
        id: u32::from(swarm.0[0]),
        p2p: P2p::UnderLoad,
        seeded: true,
    }
}

/// A peer id that begins with this text.
fn id(text: &str) -> PeerId {
    let mut id = PeerId([b' '; 20]);
    let n = text.len().min(20);
    id.0[..n].copy_from_slice(&text.as_bytes()[..n]);
    id
}

fn announce_of(swarm: SwarmHash, addr: SocketAddr, peer_id: PeerId) -> Announce {
    Announce {
        swarm,
        peer_id,
        port: NonZeroU16::new(addr.port()).unwrap(),
        uploaded: 0,
        downloaded: 0,
        left: Some(5),
        event: Event::Regular,
        num_want: None,
    }
}

/// One tracker, a clock, and a new seed for each call.
struct Story {
    tracker: Tracker,
    now: Instant,
    seed: u64,
}

impl Story {
    fn new(limits: Limits) -> Self {
        let tracker = Tracker::new(limits, 7);
        tracker.set_tracked([tracked(SWARM)]);
        Self {
            tracker,
            now: epoch(),
            seed: 0,
        }
    }

    /// A story in which browsers are introduced to each other.
    fn introducing(limits: Limits) -> Self {
        let story = Self::new(limits);
        let p2p = P2p::Always;
        story
            .tracker
            .set_tracked([tracked(SWARM), tracked(OTHER_SWARM)].map(|t| Tracked { p2p, ..t }));
        story
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    fn try_announce(
        &mut self,
        from: IpAddr,
        announce: &Announce,
    ) -> Result<(Reply, Vec<SocketAddr>), Refusal> {
        self.seed += 1;
        let own = OWN.map(|addr| addr.parse().unwrap());
        let mut peers = PackedPeers::default();
        let reply = self
            .tracker
            .announce(self.now, announce, from, &own, self.seed, &mut peers)?;
        Ok((reply, peers.iter().collect()))
    }

    /// An announce of the peer at an address, whose id is told by the address.
    fn announce(&mut self, addr: &str, left: u64, event: Event) -> (Reply, Vec<SocketAddr>) {
        self.announce_as(addr, addr, left, event)
    }

    fn announce_as(
        &mut self,
        addr: &str,
        peer_id: &str,
        left: u64,
        event: Event,
    ) -> (Reply, Vec<SocketAddr>) {
        let addr: SocketAddr = addr.parse().unwrap();
        let announce = Announce {
            left: Some(left),
            event,
            ..announce_of(SWARM, addr, id(peer_id))
        };
        self.try_announce(addr.ip(), &announce).unwrap()
    }

    fn scrape(&self) -> (u32, u32, u32) {
        let counts = self.tracker.scrape(&SWARM).unwrap();
        (counts.complete, counts.incomplete, counts.downloaded)
    }

    fn try_browse(
        &mut self,
        announce: &BrowserAnnounce,
    ) -> Result<(BrowserReply, Vec<Target>), Refusal> {
        self.seed += 1;
        let mut targets = Vec::new();
        let reply = self
            .tracker
            .announce_browser(self.now, announce, self.seed, &mut targets)?;
        Ok((reply, targets))
    }

    fn browse(&mut self, announce: &BrowserAnnounce) -> (BrowserReply, Vec<Target>) {
        self.try_browse(announce).unwrap()
    }
}

/// A browser that brings five offers, on the socket of this number, with an address far from all others.
fn browser(number: u64) -> BrowserAnnounce {
    BrowserAnnounce {
        swarm: SWARM,
        peer_id: id(&format!("browser {number}")),
        socket: SocketId(number),
        from: IpAddr::from([1 + (number >> 8) as u8, number as u8, 1, 1]),
        area: Area::default(),
        left: Some(5),
        event: Event::Regular,
        offers: 5,
        position_ms: None,
        wants_seeder: false,
    }
}

/// The sockets that offers go to.
fn sockets(targets: &[Target]) -> Vec<u64> {
    let viewers = targets.iter().filter_map(|target| match target {
        Target::Viewer(member) => Some(member.socket.0),
        Target::Seeder => None,
    });
    viewers.collect()
}
