//! Every counter of the seeder, once. They are counted where things happen, logged when the seeder stops,
//! and given to whoever asks as one JSON object ([`Metrics::snapshot`]) or in Prometheus' form
//! ([`prometheus`]). A line here is all that a new counter takes; its comment is what operators read.

pub mod prometheus;
mod tracker;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use wire::connection::{CloseReason, Tally};

/// One counter with its name and what it counts.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The name; gauges end in `_now`.
    pub name: &'static str,
    /// What it counts, in a sentence.
    pub help: &'static str,
    /// Whether it rises when a limit bites.
    pub limit: bool,
    /// The number.
    pub value: u64,
}

macro_rules! metrics {
    (
        counters { $($(#[doc = $doc:literal])+ $name:ident,)* }
        limits { $($(#[doc = $limit_doc:literal])+ $limit:ident,)* }
    ) => {
        /// What was counted since the start. Gauges (`…_now`) go down as well.
        #[derive(Debug, Default)]
        pub struct Metrics {
            $($(#[doc = $doc])+ pub $name: Counter,)*
            $($(#[doc = $limit_doc])+ pub $limit: Counter,)*
            /// Peer connections closed, by reason.
            closed: Mutex<BTreeMap<&'static str, u64>>,
        }

        impl Metrics {
            /// All counters but [`Self::closed_by_reason`], in the order in which they are declared.
            pub fn entries(&self) -> Vec<Entry> {
                vec![
                    $(Entry {
                        name: stringify!($name),
                        help: concat!($($doc),+),
                        limit: false,
                        value: self.$name.get(),
                    },)*
                    $(Entry {
                        name: stringify!($limit),
                        help: concat!($($limit_doc),+),
                        limit: true,
                        value: self.$limit.get(),
                    },)*
                ]
            }
        }
    };
}

metrics! {
    counters {
        /// Torrents served.
        torrents_now,
        /// Torrents that can't be served at present: a file is missing or was changed.
        torrents_faulty_now,
        /// Peer connections accepted.
        peers_accepted,
        /// Peer connections open.
        peers_now,
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
        /// Requests taken back by peers.
        requests_cancelled,
        /// Pieces of metadata sent.
        metadata_sent,
        /// Extension messages that made no sense.
        extended_malformed,
        /// Reads of payload for peers that had to wait for the disk.
        reads_cold,
        /// Reads of payload that failed.
        reads_failed,
        /// HTTP connections accepted.
        http_accepted,
        /// HTTP connections open.
        http_now,
        /// HTTP requests answered.
        http_requests,
        /// TLS handshakes that went well.
        tls_handshakes,
        /// Those that took up an earlier session.
        tls_resumed,
        /// TLS handshakes that went wrong.
        tls_handshakes_failed,
        /// Certificates taken into use after the start: read again, fetched, renewed.
        tls_certificates_loaded,
        /// Times that a certificate could not be read again or fetched.
        tls_certificates_refused,
        /// Bytes of payload sent over HTTP.
        http_library_bytes,
        /// Bytes of the site sent.
        http_site_bytes,
        /// Announces answered.
        announces,
        /// Announces and scrapes that made no sense or named a swarm that isn't ours.
        announces_refused,
        /// Scrapes answered.
        scrapes,
        /// Announces of BitTorrent clients that the tracker has answered.
        tracker_client_announces,
        /// Announces of browsers that the tracker has answered.
        tracker_browser_announces,
        /// Announces and scrapes for swarms that aren't tracked here.
        tracker_not_tracked,
        /// Announces for swarms that were tracked here once.
        tracker_retired,
        /// Peers forgotten because they didn't announce again.
        tracker_expired,
        /// Offers of browsers passed on to viewers.
        tracker_offers,
        /// Offers of browsers passed on to the seeder.
        tracker_seeder_offers,
        /// Answers passed on to the browser that made the offer.
        tracker_answers,
        /// 1 while viewers are introduced to each other because the seeder is loaded.
        tracker_loaded_now,
        /// How loaded the seeder is, in percent of where viewers are introduced to each other.
        tracker_load_percent_now,
        /// Times that the seeder became loaded.
        tracker_loaded,
        /// Tables of addresses read.
        tracker_tables_read,
        /// Times that a table of addresses could not be used.
        tracker_tables_unusable,
        /// Lines in tables of addresses that made no sense.
        tracker_table_lines_broken,
        /// Address ranges whose country is known.
        tracker_country_ranges_now,
        /// Address ranges whose network is known.
        tracker_network_ranges_now,
        /// Times that the statistics of the audience could not be written down.
        statistics_unsaved,
        /// Bytes granted under an upload limit.
        uplink_bytes,
        /// Connections that wait for their turn of the limited uplink.
        uplink_waiting_now,
        /// Milliseconds in which somebody waited for the limited uplink.
        uplink_busy_milliseconds,
        /// Bytes sent in that time: over it, the rate that the limit lets through.
        uplink_busy_bytes,
        /// Bytes sent this month, where a monthly volume is set.
        uplink_month_bytes_now,
        /// Times that what was sent this month could not be written down.
        uplink_month_unsaved,
        /// Torrents withdrawn because their files were not what was hashed, or couldn't be read.
        torrents_withdrawn,
        /// Torrents served again after that.
        torrents_restored,
        /// Torrents parsed because somebody asked for them.
        torrents_opened,
        /// Torrents that couldn't be parsed when somebody asked for them.
        torrents_unreadable,
        /// Torrents hashed again because their files were changed or touched.
        torrents_rehashed,
        /// Bytes hashed again, by the scrub as well.
        rehashed_bytes,
        /// Torrents that the scrub has gone through.
        scrub_torrents,
        /// Torrents in which the scrub has found a wrong byte.
        scrub_damaged,
        /// Rounds of the scrub through the whole library.
        scrub_rounds,
        /// Torrents announced in the DHT.
        dht_announces,
        /// Announces in the DHT that no node took.
        dht_announces_failed,
        /// Addresses of peers that the DHT has given.
        dht_peers_found,
        /// Torrents told of in the local network.
        lsd_announces,
        /// Addresses of peers heard in the local network.
        lsd_peers_found,
        /// Answers of further trackers.
        tracker_asked,
        /// Announces to further trackers without an answer.
        tracker_asked_in_vain,
        /// Torrents, by tier of further trackers, that are announced there.
        further_announced_now,
        /// Announces to further trackers put off because all of their tier are silent or busy.
        further_postponed,
        /// Ports that a router lets in for us.
        ports_mapped_now,
        /// Connection ids given to askers of the UDP tracker.
        udp_tracker_connects,
        /// Announces answered over UDP.
        udp_tracker_announces,
        /// Scrapes answered over UDP.
        udp_tracker_scrapes,
        /// Datagrams to the UDP tracker that were no requests.
        udp_tracker_malformed,
        /// STUN requests answered.
        stun_answered,
        /// Datagrams to the WebRTC port that were no STUN requests.
        stun_passed_over,
        /// WebSockets of browsers accepted.
        ws_accepted,
        /// WebSockets of browsers open.
        ws_now,
        /// Messages of browsers read.
        ws_messages,
        /// Offers of browsers queued for another browser.
        ws_offers_relayed,
        /// Offers of browsers for which there was nobody.
        ws_offers_unplaced,
        /// Answers of browsers queued for the browser that made the offer.
        ws_answers_relayed,
        /// Answers of browsers to no offer that was passed on to them, or to a browser that has left.
        ws_answers_unplaced,
        /// WebSockets closed because of what makes no sense.
        ws_closed_malformed,
    }
    // What rises when one of the bounds in `config::Limits` bites.
    limits {
        /// TLS handshakes broken off because they took too long.
        tls_handshakes_slow,
        /// HTTP requests to the tracker refused because their head was too long.
        http_heads_long,
        /// HTTP connections closed because a request to the tracker came too slowly.
        http_heads_slow,
        /// Peer connections refused because their address has too many.
        peers_refused_address,
        /// Times that all peer connections were taken.
        peers_full,
        /// Requests of peers refused.
        requests_refused,
        /// Peers that had to wait for a slot while pieces are spread, because too many want something without one.
        peers_kept_out,
        /// Addresses of peers forgotten by their torrent though they were served lately, because there were too many.
        peers_forgotten,
        /// Times that a peer was shown no more pieces because too many that it was shown didn't come.
        pieces_withheld,
        /// Requests for metadata refused.
        metadata_refused,
        /// Requests for BEP 52 hashes refused.
        hashes_refused,
        /// HTTP connections refused because their address has too many.
        http_refused_address,
        /// Times that all HTTP connections were taken.
        http_full,
        /// Times that the memory for compressed pages was full and was emptied.
        http_compressed_full,
        /// HTTP connections closed because nothing was taken for too long.
        http_stalled,
        /// Announces refused because their address made too many.
        tracker_too_often,
        /// Peers the tracker doesn't hand out because they listen on a low port.
        tracker_low_port,
        /// Peers the tracker didn't enter because their address had too many in the swarm.
        tracker_address_full,
        /// Peers the tracker didn't enter because the swarm had too many.
        tracker_swarm_full,
        /// Browsers the tracker didn't enter because their connection had too many in the swarm.
        tracker_socket_full,
        /// Announces at the address of a peer that is there under another id: they changed nothing.
        tracker_other_peer_id,
        /// Announces of browsers under an id that is taken by another connection.
        tracker_peer_id_taken,
        /// Offers of browsers that reached nobody because there were too many.
        tracker_offers_refused,
        /// Answers of browsers dropped because nobody had made them an offer.
        tracker_answers_refused,
        /// Releases that the statistics forgot, or passed over, because there were too many.
        statistics_releases_dropped,
        /// Slots of time that the statistics forgot because there were too many.
        statistics_points_dropped,
        /// Arrivals whose country wasn't counted because too many came at once.
        statistics_arrivals_dropped,
        /// Times that accepting a connection failed.
        accepts_failed,
        /// Turns of the uplink that had to wait for the upload limit.
        uplink_waits,
        /// HTTP requests answered with 503, since the uplink was busy: whoever comes back is taken up.
        http_busy,
        /// Times that an address wasn't remembered that was to come again, since too many are: it is taken up at once.
        http_unremembered,
        /// Times that all connections to status and metrics were taken.
        control_full,
        /// Requests for status and metrics refused because a web page could have sent them.
        control_refused,
        /// Requests of DHT nodes that were not answered, since too many came.
        dht_requests_refused,
        /// Datagrams in the local network that were passed over: too many, or no sense in them.
        lsd_passed_over,
        /// Addresses of peers dropped because whoever looked for them had enough.
        found_peers_dropped,
        /// Requests to the UDP tracker passed over because their connection id is not ours to that address, or too old.
        udp_tracker_wrong_id,
        /// Datagrams to the UDP tracker that the system dropped because too many waited.
        udp_tracker_full,
        /// Answers of the UDP tracker that the system did not take.
        udp_tracker_unsent,
        /// STUN requests passed over because their address made too many, or all together did.
        stun_refused,
        /// Datagrams to the WebRTC port that the system dropped because too many waited.
        stun_full,
        /// STUN answers that the system did not take.
        stun_unsent,
        /// Messages of browsers passed over because a socket sent too many.
        ws_messages_dropped,
        /// Offers of browsers passed over because one announce had too many.
        ws_offers_surplus,
        /// Offers of browsers dropped because the other browser didn't read, or all sockets together held too much.
        ws_offers_dropped_slow,
        /// Offers and answers of browsers dropped because a socket sent too many bytes of them.
        ws_descriptions_dropped,
        /// Announces of browsers refused because their socket announced too many torrents.
        ws_swarms_refused,
        /// WebSockets closed because of a message that was too long.
        ws_closed_too_long,
        /// WebSockets closed because they sent far too many messages.
        ws_closed_flood,
        /// WebSockets closed because they didn't read, or left a message unfinished.
        ws_closed_slow,
        /// WebSockets closed because nothing was heard of them.
        ws_closed_silent,
        /// WebSockets closed because all of them together held too much.
        ws_closed_memory,
    }
}

impl Metrics {
    /// All counters by name.
    pub fn snapshot(&self) -> serde_json::Value {
        let entries = self.entries().into_iter();
        let mut all: serde_json::Map<_, _> = entries
            .map(|entry| (entry.name.to_owned(), entry.value.into()))
            .collect();
        let closed = self.closed_by_reason().into_iter();
        let closed = closed.map(|(reason, n)| (reason.to_owned(), n)).collect();
        all.insert("peers_closed".to_owned(), closed);
        all.into()
    }

    /// Peer connections closed, by reason: a fixed set of words.
    pub fn closed_by_reason(&self) -> BTreeMap<&'static str, u64> {
        let closed = self.closed.lock();
        closed.unwrap_or_else(PoisonError::into_inner).clone()
    }

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

    /// Takes one from a gauge that was added to.
    pub fn lower(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
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
