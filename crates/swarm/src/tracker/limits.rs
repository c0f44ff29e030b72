//! What strangers may take of the tracker, and how often they are to come back.

use std::time::Duration;

/// Bounds of the tracker. Whatever bites has a counter in [`Counters`](super::Counters).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most native peers of one swarm and address family, and the most browsers of one swarm.
    pub peers_per_swarm: usize,
    /// The most peers of one swarm from one IPv4 address or one IPv6 /64, native ones and browsers apart. From 4,095
    /// on there is no such bound.
    pub peers_per_address: usize,
    /// The most browser peers of one swarm over one socket.
    pub peers_per_socket: usize,
    /// A native peer that listens on a lower port is answered but not handed out, so that no swarm can be aimed at
    /// somebody's web or mail server.
    pub lowest_port: u16,
    /// Announces a second that one IPv4 address or one IPv6 /64 may make in the long run. Each offer that is passed
    /// on for a browser counts as one more.
    pub address_rate: u32,
    /// Announces that it may make at once after a quiet time.
    pub address_burst: u32,
    /// How many peers an asker gets that doesn't say how many it wants.
    pub default_peers: u32,
    /// The most peers an asker gets.
    pub max_peers: u32,
    /// When a native peer is to announce again, about; spread by a tenth so that a crowd doesn't come back as one.
    pub interval: Duration,
    /// Not earlier than this.
    pub min_interval: Duration,
    /// When a browser is to announce again, about.
    pub browser_interval: Duration,
    /// Announces a second, over the whole tracker, from which on intervals grow, native ones and browsers apart.
    pub announce_rate: u32,
    /// The most by which intervals grow: 3 makes ten minutes half an hour at the most.
    pub interval_growth: u32,
    /// How many offers a browser is asked to bring while there are few.
    pub offers_wanted: u32,
    /// The most offers of one announce that are passed on, and the most that reach a viewer (12 at the most) between two
    /// announces of its own that are as far apart as `offer_window`.
    pub offers_per_announce: usize,
    /// So long offers to a viewer are counted, however often it announces, and two that were introduced aren't introduced
    /// the other way round. Zero counts anew at each of its announces, and introduces in both directions.
    pub offer_window: Duration,
    /// Offers a second that are passed on over the whole tracker.
    pub offer_rate: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            peers_per_swarm: 200_000,
            peers_per_address: 64,
            peers_per_socket: 8,
            lowest_port: 1024,
            address_rate: 50,
            address_burst: 1000,
            default_peers: 50,
            max_peers: 100,
            interval: Duration::from_secs(600),
            min_interval: Duration::from_secs(60),
            browser_interval: Duration::from_secs(120),
            announce_rate: 2000,
            interval_growth: 3,
            offers_wanted: 5,
            offers_per_announce: 10,
            offer_window: Duration::from_secs(60),
            offer_rate: 5000,
        }
    }
}
