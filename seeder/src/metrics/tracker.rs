//! The tracker's own counters under their names here. Whoever adds one there is made to add it here by the compiler.

use super::Metrics;
use swarm::tracker::Counters;

impl Metrics {
    /// Takes over what the tracker has counted.
    pub fn take_tracker(&self, counters: &Counters) {
        let Counters {
            announces,
            browser_announces,
            not_tracked,
            retired,
            too_often,
            low_port,
            address_full,
            swarm_full,
            socket_full,
            other_peer_id,
            peer_id_taken,
            expired,
            offers,
            seeder_offers,
            offers_refused,
            answers,
            answers_refused,
        } = *counters;
        for (metric, count) in [
            (&self.tracker_client_announces, announces),
            (&self.tracker_browser_announces, browser_announces),
            (&self.tracker_not_tracked, not_tracked),
            (&self.tracker_retired, retired),
            (&self.tracker_too_often, too_often),
            (&self.tracker_low_port, low_port),
            (&self.tracker_address_full, address_full),
            (&self.tracker_swarm_full, swarm_full),
            (&self.tracker_socket_full, socket_full),
            (&self.tracker_other_peer_id, other_peer_id),
            (&self.tracker_peer_id_taken, peer_id_taken),
            (&self.tracker_expired, expired),
            (&self.tracker_offers, offers),
            (&self.tracker_seeder_offers, seeder_offers),
            (&self.tracker_offers_refused, offers_refused),
            (&self.tracker_answers, answers),
            (&self.tracker_answers_refused, answers_refused),
        ] {
            metric.set(count);
        }
    }
}
