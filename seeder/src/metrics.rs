//! Every counter of the seeder, once. They are counted where things happen, logged when the seeder stops,
//! and given as one JSON object to whoever asks ([`Metrics::snapshot`]).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use wire::connection::{CloseReason, Tally};

macro_rules! metrics {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What was counted since the start. Gauges (`…_now`) go down as well.
        #[derive(Debug, Default)]
        pub struct Metrics {
            $($(#[$doc])* pub $name: Counter,)*
            /// Peer connections closed, by reason.
            closed: Mutex<BTreeMap<&'static str, u64>>,
        }

        impl Metrics {
            /// All counters by name.
            pub fn snapshot(&self) -> serde_json::Value {
                let mut all = serde_json::Map::new();
                $(all.insert(stringify!($name).to_owned(), self.$name.get().into());)*
                let closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
                all.insert("peers_closed".to_owned(), closed.iter().map(|(k, n)| (k.to_string(), *n)).collect());
                all.into()
            }
        }
    };
}

metrics! {
    /// Torrents served.
    torrents_now,
    /// Torrents that can't be served at present: a file is missing or was changed.
    torrents_faulty_now,
    /// Peer connections accepted.
    peers_accepted,
    /// Peer connections open.
    peers_now,
    /// Peer connections refused because their address has too many.
    peers_refused_address,
    /// Times that all peer connections were taken.
    peers_full,
    /// Peer connections that ended with a network error.
    peers_broken,
    /// Peer connections that ended before a handshake: nonsense, or encryption that isn't taken here.
    peers_not_agreed,
    /// Peer connections accepted over uTP.
    peers_accepted_utp,
    /// Blocks sent to peers.
    blocks_sent,
    /// Their bytes.
    block_bytes_sent,
    /// Requests of peers refused.
    requests_refused,
    /// Requests taken back by peers.
    requests_cancelled,
    /// Pieces of metadata sent.
    metadata_sent,
    /// Requests for metadata refused.
    metadata_refused,
    /// Requests for BEP 52 hashes refused.
    hashes_refused,
    /// Extension messages that made no sense.
    extended_malformed,
    /// Reads of payload that failed.
    reads_failed,
    /// HTTP connections accepted.
    http_accepted,
    /// HTTP connections open.
    http_now,
    /// HTTP connections refused because their address has too many.
    http_refused_address,
    /// Times that all HTTP connections were taken.
    http_full,
    /// HTTP requests answered.
    http_requests,
    /// Bytes of payload sent over HTTP.
    http_library_bytes,
    /// Bytes of the site sent.
    http_site_bytes,
    /// Times that the memory for compressed pages was full and was emptied.
    http_compressed_full,
    /// HTTP connections closed because nothing was taken for too long.
    http_stalled,
    /// Announces answered.
    announces,
    /// Announces and scrapes that made no sense or named a swarm that isn't ours.
    announces_refused,
    /// Scrapes answered.
    scrapes,
    /// Peers the tracker didn't enter because of a limit.
    tracker_full,
    /// Times that accepting a connection failed.
    accepts_failed,
}

impl Metrics {
    /// A peer connection has ended.
    pub fn closed(&self, reason: &CloseReason) {
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        *closed.entry(reason.kind()).or_default() += 1;
    }

    /// Adds what a connection has counted since the last time.
    pub fn add_tally(&self, before: &Tally, now: &Tally) {
        self.blocks_sent.add(now.blocks - before.blocks);
        self.block_bytes_sent
            .add(now.block_bytes - before.block_bytes);
        self.requests_refused
            .add(now.refused_requests - before.refused_requests);
        self.requests_cancelled
            .add(now.cancelled_requests - before.cancelled_requests);
        self.metadata_sent
            .add(now.metadata_pieces - before.metadata_pieces);
        self.metadata_refused
            .add(now.refused_metadata - before.refused_metadata);
        self.hashes_refused
            .add(now.refused_hashes - before.refused_hashes);
        self.extended_malformed
            .add(now.malformed_extended - before.malformed_extended);
    }
}

/// One number that many tasks add to.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds.
    pub fn add(&self, n: u64) {
        if n > 0 {
            self.0.fetch_add(n, Ordering::Relaxed);
        }
    }

    /// Sets a gauge.
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// Raises a gauge until the guard goes.
    pub fn hold(&self) -> Held<'_> {
        self.add(1);
        Held(self)
    }

    /// The number.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Keeps a gauge up by one.
#[derive(Debug)]
pub struct Held<'a>(&'a Counter);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_has_every_counter_under_its_name() {
        let metrics = Metrics::default();
        metrics.blocks_sent.add(3);
        metrics.closed(&CloseReason::Silent);
        let held = metrics.peers_now.hold();
        assert_eq!(metrics.snapshot()["peers_now"], 1);
        drop(held);
        let snapshot = metrics.snapshot();
        assert_eq!(snapshot["blocks_sent"], 3);
        assert_eq!(snapshot["peers_now"], 0);
        assert_eq!(snapshot["peers_closed"]["silent"], 1);
    }
}
