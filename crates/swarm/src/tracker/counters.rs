//! What the tracker counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// What was counted since the tracker began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Announces of native peers that were answered.
    pub announces: u64,
    /// Announces of browsers that were answered.
    pub browser_announces: u64,
    /// Announces and scrapes for swarms that aren't tracked.
    pub not_tracked: u64,
    /// Announces for swarms that were tracked once.
    pub retired: u64,
    /// Announces refused because their address made too many.
    pub too_often: u64,
    /// Peers not entered because they listen on a port below the lowest.
    pub low_port: u64,
    /// Peers not entered because their address had too many already.
    pub address_full: u64,
    /// Peers not entered because the swarm had too many already.
    pub swarm_full: u64,
    /// Browser peers not entered because their socket had too many already.
    pub socket_full: u64,
    /// Announces at the address of a peer that is there under another peer id, which changed nothing.
    pub other_peer_id: u64,
    /// Announces of browsers under a peer id that is in the swarm over another socket.
    pub peer_id_taken: u64,
    /// Native peers and browsers forgotten because they didn't come back.
    pub expired: u64,
    /// Offers handed to viewers.
    pub offers: u64,
    /// Offers handed to the seeder.
    pub seeder_offers: u64,
    /// Offers not handed to anybody because too many were on their way.
    pub offers_refused: u64,
    /// Answers passed on to who made the offer.
    pub answers: u64,
    /// Answers that belong to no offer.
    pub answers_refused: u64,
}

/// Something that is counted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Count {
    Announces,
    BrowserAnnounces,
    NotTracked,
    Retired,
    TooOften,
    LowPort,
    AddressFull,
    SwarmFull,
    SocketFull,
    OtherPeerId,
    PeerIdTaken,
    Expired,
    Offers,
    SeederOffers,
    OffersRefused,
    Answers,
    AnswersRefused,
}

const COUNTS: usize = Count::AnswersRefused as usize + 1;
const LANES: usize = 16;

/// The counters, in lanes: threads that answer different askers rarely write to the same line of memory.
#[derive(Debug, Default)]
pub(super) struct Lanes([Lane; LANES]);

#[derive(Debug, Default)]
#[repr(align(128))]
struct Lane([AtomicU64; COUNTS]);

impl Lanes {
    /// Adds to a counter; `whose` is a hash that chooses the lane.
    pub(super) fn add(&self, whose: u64, count: Count, n: u64) {
        self.0[(whose >> 56) as usize % LANES].0[count as usize].fetch_add(n, Ordering::Relaxed);
    }

    /// All of them.
    pub(super) fn read(&self) -> Counters {
        let of = |count: Count| {
            let lanes = self.0.iter();
            lanes
                .map(|lane| lane.0[count as usize].load(Ordering::Relaxed))
                .sum()
        };
        Counters {
            announces: of(Count::Announces),
            browser_announces: of(Count::BrowserAnnounces),
            not_tracked: of(Count::NotTracked),
            retired: of(Count::Retired),
            too_often: of(Count::TooOften),
            low_port: of(Count::LowPort),
            address_full: of(Count::AddressFull),
            swarm_full: of(Count::SwarmFull),
            socket_full: of(Count::SocketFull),
            other_peer_id: of(Count::OtherPeerId),
            peer_id_taken: of(Count::PeerIdTaken),
            expired: of(Count::Expired),
            offers: of(Count::Offers),
            seeder_offers: of(Count::SeederOffers),
            offers_refused: of(Count::OffersRefused),
            answers: of(Count::Answers),
            answers_refused: of(Count::AnswersRefused),
        }
    }
}
