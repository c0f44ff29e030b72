//! The report in Prometheus' form, for `/metrics`. What takes a label is bounded: releases to the busiest, kinds of
//! clients and countries by their nature.

use super::report::{Release, Report};
use crate::metrics::prometheus::{Kind, Text};
use crate::serve::Shared;

/// The most releases that have series of their own.
const SERIES: usize = 500;

impl Report {
    /// Everything as text.
    pub fn prometheus(&self, shared: &Shared) -> String {
        let mut text = Text::default();
        for entry in shared.metrics.entries() {
            let (name, kind) = match entry.name.strip_suffix("_now") {
                Some(_) => (entry.name, Kind::Gauge),
                None => (entry.name, Kind::Counter),
            };
            text.family(name, entry.help, kind).sample(&[], entry.value);
        }
        let help = "Peer connections closed, by reason.";
        let mut closed = text.family("peers_closed", help, Kind::Counter);
        for (reason, n) in &self.peers_closed {
            closed.sample(&[("reason", reason)], n);
        }
        let help = "Seconds since the seeder's start.";
        text.family("uptime_seconds", help, Kind::Gauge)
            .sample(&[], self.at_ms as f64 / 1000.0);
        let help = "Peers that the tracker knows, in all swarms.";
        text.family("tracker_peers_now", help, Kind::Gauge)
            .sample(&[], self.total.tracker_peers);
        self.audience_in(&mut text);
        self.releases_in(&mut text);
        text.finish()
    }

    fn audience_in(&self, text: &mut Text) {
        let audience = &self.total.audience;
        let help = "Peers in the tracker's swarms now, by kind of client.";
        let mut family = text.family("audience_now", help, Kind::Gauge);
        for (client, n) in &audience.clients {
            family.sample(&[("client", client)], n);
        }
        let help = "Peers that have come into the tracker's swarms, over restarts.";
        text.family("audience_arrivals", help, Kind::Counter)
            .sample(&[], audience.arrivals);
        let help = "Peers that have got everything, over restarts.";
        text.family("audience_completions", help, Kind::Counter)
            .sample(&[], audience.completions);
        let help = "Peers that have come, by country, over restarts.";
        let mut family = text.family("audience_countries", help, Kind::Counter);
        for (country, n) in &audience.countries {
            family.sample(&[("country", country)], n);
        }
    }

    fn releases_in(&self, text: &mut Text) {
        let shown = &self.releases[..self.releases.len().min(SERIES)];
        let help = "Releases without series of their own: the least busy ones beyond a bound.";
        let left_out = self.releases.len() - shown.len() + self.releases_left_out;
        text.family("releases_left_out_now", help, Kind::Gauge)
            .sample(&[], left_out);
        let help = "Peers of a release, by transport.";
        let mut family = text.family("release_peers_now", help, Kind::Gauge);
        for release in shown {
            let traffic = &release.traffic;
            for (transport, n) in [
                ("tcp", traffic.peers_tcp),
                ("utp", traffic.peers_utp),
                ("browser", traffic.peers_browser),
            ] {
                let labels = [
                    ("id", &*release.id),
                    ("slug", &*release.slug),
                    ("transport", transport),
                ];
                family.sample(&labels, n);
            }
        }
        type Number = fn(&Release) -> Option<f64>;
        let families: [(&str, &str, Kind, Number); 13] = [
            (
                "release_audience_now",
                "Peers in its swarms, as far as the tracker knows.",
                Kind::Gauge,
                |r| Some(r.audience.now as f64),
            ),
            (
                "release_viewers_now",
                "Browsers among them.",
                Kind::Gauge,
                |r| Some(r.audience.viewers as f64),
            ),
            (
                "release_arrivals",
                "Peers that have come into its swarms, over restarts.",
                Kind::Counter,
                |r| Some(r.audience.arrivals as f64),
            ),
            (
                "release_sent_bytes",
                "Payload bytes sent to peers.",
                Kind::Counter,
                |r| Some(r.traffic.sent as f64),
            ),
            (
                "release_http_bytes",
                "Payload bytes sent over HTTP.",
                Kind::Counter,
                |r| Some(r.traffic.sent_http as f64),
            ),
            (
                "release_received_bytes",
                "Payload bytes taken from peers and web seeds.",
                Kind::Counter,
                |r| Some(r.traffic.received as f64),
            ),
            (
                "release_useful_bytes",
                "Payload bytes of use to somebody, as far as is known.",
                Kind::Counter,
                |r| Some(r.traffic.useful as f64),
            ),
            (
                "release_seeds_now",
                "Peers that have everything.",
                Kind::Gauge,
                |r| Some(r.seeds as f64),
            ),
            (
                "release_unchoked_now",
                "Peers that are served.",
                Kind::Gauge,
                |r| Some(r.unchoked as f64),
            ),
            (
                "release_copies_now",
                "Distributed copies among TCP and uTP peers, without ours.",
                Kind::Gauge,
                |r| r.copies,
            ),
            (
                "release_spreading_now",
                "1 while pieces are revealed one by one, since copies are scarce.",
                Kind::Gauge,
                |r| Some(f64::from(u8::from(r.spreading))),
            ),
            (
                "release_first_copy_ratio",
                "Payload copies sent to peers when the first full copy was out.",
                Kind::Gauge,
                |r| r.first_copy_ratio,
            ),
            (
                "release_first_copy_seconds",
                "Seconds from the first peer to the first full copy.",
                Kind::Gauge,
                |r| r.first_copy_seconds,
            ),
        ];
        for (name, help, kind, number) in families {
            let mut family = text.family(name, help, kind);
            for release in shown {
                if let Some(number) = number(release) {
                    family.sample(&[("id", &release.id), ("slug", &release.slug)], number);
                }
            }
        }
    }
}
