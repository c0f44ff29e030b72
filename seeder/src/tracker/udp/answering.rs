//! One thread of the UDP tracker: datagrams in, answers out, and what was counted.

use crate::datagrams::{Answer, Datagram, Lost};
use crate::discover::trackers::OWN;
use crate::serve::Shared;
use metainfo::SwarmHash;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;
use swarm::tracker::{PackedPeers, Refusal};
use wire::tracker::Announce;
use wire::tracker::udp::answering::{
    Ask, Connected, MAX_PEERS_V4, MAX_PEERS_V6, Packed, Request, parse, write_announce,
    write_connect, write_error, write_scrape,
};
use wire::tracker::udp::connection_id::{ConnectionIds, SLOT};

/// How many of our own addresses are remembered with what is told of us there.
const OWN_PLACES: usize = 32;

/// What one thread holds.
pub(super) struct UdpTracker {
    ids: ConnectionIds,
    /// When slot 0 began.
    start: Instant,
    /// When the batch began.
    now: Instant,
    seeds: SmallRng,
    own: Vec<Own>,
    peers: PackedPeers,
    counted: Counted,
    shared: Arc<Shared>,
}

/// What is told of us to whoever reached us there.
struct Own {
    reached: IpAddr,
    /// What is on this machine alone is told to this machine alone.
    local_asker: bool,
    addrs: Vec<SocketAddr>,
}

/// Since the batch began.
#[derive(Default)]
struct Counted {
    connects: u64,
    announces: u64,
    scrapes: u64,
    refused: u64,
    malformed: u64,
    wrong_id: u64,
}

impl Answer for UdpTracker {
    fn begin(&mut self) {
        self.now = Instant::now();
        let passed = self.now.saturating_duration_since(self.start);
        self.ids.turn_to(passed.as_secs() / SLOT.as_secs());
    }

    fn answer(&mut self, datagram: &Datagram<'_>, out: &mut Vec<u8>) {
        let ip = datagram.from.ip().to_canonical();
        match parse(datagram.bytes) {
            Some(Request::Connect { transaction }) => {
                self.counted.connects += 1;
                write_connect(out, transaction, self.ids.issue(ip));
            }
            Some(Request::Connected(request)) if self.ids.accepts(ip, request.connection) => {
                self.answer_known(&request, datagram, ip, out);
            }
            Some(Request::Connected(_)) => self.counted.wrong_id += 1,
            None => self.counted.malformed += 1,
        }
    }

    fn end(&mut self, lost: Lost) {
        let counted = std::mem::take(&mut self.counted);
        let metrics = &self.shared.metrics;
        metrics.announces.add(counted.announces);
        metrics.scrapes.add(counted.scrapes);
        metrics.announces_refused.add(counted.refused);
        metrics.udp_tracker_connects.add(counted.connects);
        metrics.udp_tracker_announces.add(counted.announces);
        metrics.udp_tracker_scrapes.add(counted.scrapes);
        metrics.udp_tracker_malformed.add(counted.malformed);
        metrics.udp_tracker_wrong_id.add(counted.wrong_id);
        metrics.udp_tracker_full.add(lost.received);
        metrics.udp_tracker_unsent.add(lost.sent);
    }
}

impl UdpTracker {
    /// Knows the connection ids of every other thread with the same root and start.
    pub(super) fn new(shared: Arc<Shared>, root: [u8; 16], start: Instant) -> Self {
        Self {
            ids: ConnectionIds::new(root, 0),
            start,
            now: start,
            seeds: SmallRng::from_rng(&mut rand::rng()),
            own: Vec::with_capacity(OWN_PLACES),
            peers: PackedPeers::default(),
            counted: Counted::default(),
            shared,
        }
    }

    /// Answers whoever is where it says.
    fn answer_known(
        &mut self,
        request: &Connected<'_>,
        datagram: &Datagram<'_>,
        ip: IpAddr,
        out: &mut Vec<u8>,
    ) {
        let (transaction, length) = (request.transaction, datagram.bytes.len());
        match request.read() {
            // A torrent may name us by an address that we don't know as ours.
            Ok(Ask::Announce(announce)) if announce.peer_id == self.shared.settings.peer_id => {
                self.counted.refused += 1;
                write_error(out, transaction, OWN, length);
            }
            Ok(Ask::Announce(announce)) => {
                let start = out.len();
                if let Err(refusal) = self.announce(announce, transaction, datagram.to, ip, out) {
                    self.counted.refused += 1;
                    out.truncate(start);
                    // Whoever asks too often isn't helped by an answer.
                    if !matches!(refusal, Refusal::TooOften { .. }) {
                        write_error(out, transaction, refusal, length);
                    }
                }
            }
            Ok(Ask::Scrape(swarms)) => {
                self.counted.scrapes += 1;
                let tracker = &self.shared.tracker;
                // A swarm that isn't ours has its place in the answer: nobody is in it.
                let counts = swarms
                    .iter()
                    .map(|swarm| tracker.scrape(&SwarmHash(*swarm)));
                write_scrape(out, transaction, counts.map(Option::unwrap_or_default));
            }
            Err(malformed) => {
                self.counted.malformed += 1;
                write_error(out, transaction, malformed, length);
            }
        }
    }

    fn announce(
        &mut self,
        mut announce: Announce,
        transaction: u32,
        reached: IpAddr,
        ip: IpAddr,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let room = match ip {
            IpAddr::V4(_) => MAX_PEERS_V4,
            IpAddr::V6(_) => MAX_PEERS_V6,
        };
        announce.num_want = announce.num_want.map(|wanted| wanted.min(room));
        let own = own_addrs(&mut self.own, &self.shared, reached, ip);
        let seed = self.seeds.next_u64();
        let peers = &mut self.peers;
        let tracker = &self.shared.tracker;
        let reply = tracker.announce(self.now, &announce, ip, own, seed, peers)?;
        if reply.arrived {
            self.shared.statistics.arrived(&announce.swarm, ip);
        }
        self.counted.announces += 1;
        let packed = match ip {
            IpAddr::V4(_) => Packed::V4(&peers.v4),
            IpAddr::V6(_) => Packed::V6(&peers.v6),
        };
        write_announce(
            out,
            transaction,
            reply.interval,
            reply.complete,
            reply.incomplete,
            packed,
        );
        Ok(())
    }
}

/// Where an asker reaches our peer port. Always the same for an address of ours, of which there are few.
fn own_addrs<'a>(
    known: &'a mut Vec<Own>,
    shared: &Shared,
    reached: IpAddr,
    asker: IpAddr,
) -> &'a [SocketAddr] {
    let local_asker = asker.is_loopback();
    let is_it = |own: &Own| own.reached == reached && own.local_asker == local_asker;
    let at = match known.iter().position(is_it) {
        Some(at) => at,
        None => {
            if known.len() == OWN_PLACES {
                known.clear();
            }
            let mut addrs = Vec::new();
            crate::tracker::own_addrs(shared, reached, asker, &mut addrs);
            // Where the system doesn't say at which address we were reached, there is none to tell.
            addrs.retain(|addr| !addr.ip().is_unspecified());
            known.push(Own {
                reached,
                local_asker,
                addrs,
            });
            known.len() - 1
        }
    };
    &known[at].addrs
}
