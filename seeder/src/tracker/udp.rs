//! The UDP tracker (BEP 15, BEP 41): a thin shell over `wire::tracker::udp`, which reads and writes datagrams, and
//! `swarm::tracker`, which knows who is where. It runs on threads of its own ([`crate::datagrams`]) beside the runtime.
//!
//! An address that hasn't shown that it is where it says gets a connection id for as many bytes, and silence for everything
//! else. Whoever asks too often gets silence as well; other refusals are told in no more bytes than were asked with.
//! For a datagram nothing is allocated, no clock read, and no lock waited for but the store's own.

mod answering;

use crate::datagrams::{MAX_DATAGRAM, Port, Running, Sockets};
use crate::error::ServeError;
use crate::serve::Shared;
use answering::UdpTracker;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread;
use std::time::Instant;
use wire::tracker::udp::answering::MAX_REQUEST;

/// Default port.
pub const UDP_TRACKER_PORT: u16 = 6969;

/// No request is cut that BEP 15 allows.
const _: () = assert!(MAX_DATAGRAM >= MAX_REQUEST);

/// Whether announces are taken over UDP, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UdpTrackerConfig {
    /// Whether they are.
    pub on: bool,
    /// UDP port; 0 picks a free one. `None`: [`UDP_TRACKER_PORT`], or another where that is taken.
    pub port: Option<u16>,
    /// How many threads answer; `None`: one for each core.
    pub threads: Option<usize>,
}

impl Default for UdpTrackerConfig {
    fn default() -> Self {
        Self {
            on: true,
            port: None,
            threads: None,
        }
    }
}

/// Takes the port, on this address.
pub fn bind(config: &UdpTrackerConfig, ip: IpAddr) -> Result<Option<Sockets>, ServeError> {
    let port = config
        .port
        .map_or(Port::Rather(UDP_TRACKER_PORT), Port::Exactly);
    let cores = || thread::available_parallelism().map_or(1, usize::from);
    let threads = config.threads.unwrap_or_else(cores);
    let sockets = config
        .on
        .then(|| Sockets::bind(ip, port, threads, "--udp-tracker-port"));
    sockets.transpose()
}

/// Starts answering.
pub fn start(sockets: Sockets, shared: &Arc<Shared>) -> io::Result<Running> {
    // What one thread has given, the others accept: the next datagram of an asker may come to any of them.
    let (root, start) = (rand::random(), Instant::now());
    sockets.start("udp-tracker", || {
        UdpTracker::new(shared.clone(), root, start)
    })
}

#[cfg(test)]
mod tests;
