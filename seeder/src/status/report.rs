//! What `seeder status` shows and `/status` gives: everything at one moment, totals only. Whoever wants rates takes
//! two. [`super::series`] is the same in Prometheus' form.

use super::audience::{Audience, Everybody};
use crate::library::figures::Reading;
use crate::library::{Condition, Listed};
use crate::serve::Shared;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the document. It is raised when a field changes its meaning or goes; fields may be added.
pub const VERSION: u32 = 1;

/// The most releases in the document: the busiest.
const RELEASES: usize = 1000;
/// The most withdrawn torrents that are named.
const WITHDRAWN: usize = 200;

/// The document.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// The seeder's version.
    pub program: String,
    /// Milliseconds since the seeder's start, when this was taken: what rates are made with.
    pub at_ms: u64,
    /// Everything together.
    pub total: Total,
    /// What somebody has asked for since the start, the busiest first.
    pub releases: Vec<Release>,
    /// How many more of these there are.
    pub releases_left_out: usize,
    /// What can't be served at present.
    pub withdrawn: Vec<Withdrawn>,
    /// The upload limit over everything.
    #[serde(default)]
    pub uplink: Uplink,
    /// Whether viewers are introduced to each other.
    #[serde(default)]
    pub p2p: P2p,
    /// Checking behind other work.
    pub scrub: Scrub,
    /// Every limit, with how often it has bitten.
    pub limits: BTreeMap<String, u64>,
    /// Every other counter.
    pub counters: BTreeMap<String, u64>,
    /// Peer connections closed, by reason.
    pub peers_closed: BTreeMap<String, u64>,
}

/// Everything together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Total {
    /// Torrents in the library.
    pub torrents: u64,
    /// Of these, torrents that can be served.
    pub torrents_served: u64,
    /// Torrents with a peer now.
    pub torrents_active: u64,
    /// Peers and bytes.
    #[serde(flatten)]
    pub traffic: Traffic,
    /// HTTP connections now.
    pub http_connections: u64,
    /// Peers that the tracker knows, in all swarms.
    pub tracker_peers: u64,
    /// Who is in the swarms of all releases.
    #[serde(default)]
    pub audience: Audience,
}

/// P2P on demand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct P2p {
    /// Whether the seeder is loaded, so that viewers are introduced to each other.
    pub loaded: bool,
    /// How loaded it is, in percent of where that happens.
    pub percent: u64,
    /// How often it happened since the start.
    pub times: u64,
}

/// Peers now, and payload bytes since the start.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// Peers over TCP.
    pub peers_tcp: u64,
    /// Peers over uTP.
    pub peers_utp: u64,
    /// Browsers over WebRTC.
    pub peers_browser: u64,
    /// How many of all are encrypted.
    pub peers_encrypted: u64,
    /// Bytes sent to peers.
    pub sent: u64,
    /// Bytes sent over HTTP.
    pub sent_http: u64,
    /// Bytes taken from peers and web seeds.
    pub received: u64,
    /// Bytes of pieces that peers came to show while they were connected, whoever sent them.
    pub gained: u64,
    /// Bytes of use to somebody: what was gained (or sent, if that is more) and what went out over HTTP.
    pub useful: u64,
    /// 1 − HTTP bytes ÷ useful bytes; null before there are any.
    pub web_offload: Option<f64>,
    /// Which part of the useful bytes peers had from each other; null before there are any.
    pub swarm_share: Option<f64>,
    /// Which part of the useful bytes viewers' browsers had from each other; null: browsers are no peers yet.
    pub viewer_share: Option<f64>,
}

/// One release that somebody has asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Release {
    /// Its torrent's id.
    pub id: String,
    /// Its place in URLs; empty for a torrent made elsewhere.
    pub slug: String,
    /// Its title.
    pub title: String,
    /// Payload bytes.
    pub bytes: u64,
    /// Peers and bytes.
    #[serde(flatten)]
    pub traffic: Traffic,
    /// Peers that have everything.
    pub seeds: u64,
    /// Peers that want something.
    pub interested: u64,
    /// Peers that are served.
    pub unchoked: u64,
    /// Peers that have come since the start.
    pub joined: u64,
    /// Distributed copies among TCP and uTP peers, without ours; null where not known.
    pub copies: Option<f64>,
    /// Distributed copies among browsers.
    pub copies_browser: Option<f64>,
    /// Whether pieces are revealed one by one, since copies are scarce.
    pub spreading: bool,
    /// Payload copies that peers had been sent when the first full copy was out; null before.
    pub first_copy_ratio: Option<f64>,
    /// Seconds from the first peer to the first full copy; null before.
    pub first_copy_seconds: Option<f64>,
    /// What the tracker knows: peers that have everything (the seeder among them).
    pub tracker_seeds: u64,
    /// What the tracker knows: peers that don't.
    pub tracker_leechers: u64,
    /// What the tracker knows: how often a peer has got everything.
    pub tracker_downloaded: u64,
    /// Who is in its swarms.
    #[serde(default)]
    pub audience: Audience,
}

/// A torrent that can't be served at present.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawn {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Why.
    pub why: String,
    /// Whether its files are to be hashed without anybody doing something.
    pub checking: bool,
}

/// The upload limit over everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uplink {
    /// What may be sent now, bytes a second; null without a limit.
    pub limit: Option<u64>,
    /// How many askers wait for it.
    pub waiting: u64,
    /// Bytes that went under the limit: first prefixes, pieces not yet spread, the rest.
    pub granted: [u64; 3],
    /// Bytes sent this month; null where months aren't counted.
    pub month_used: Option<u64>,
    /// Bytes that may be sent in a month.
    pub month_limit: Option<u64>,
}

/// Checking behind other work.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scrub {
    /// The budget; 0 where it is off.
    pub bytes_per_second: u64,
    /// Torrents checked since the start.
    pub torrents: u64,
    /// Of these, torrents with a wrong byte.
    pub damaged: u64,
    /// Rounds through the whole library that have ended since the start.
    pub rounds: u64,
    /// Bytes hashed since the start, by the scrub and where files were touched or changed.
    pub hashed_bytes: u64,
}

impl Report {
    /// Everything now.
    pub fn of(shared: &Shared) -> Self {
        let library = shared.library();
        let loaded = shared.loaded();
        let audience = Everybody::of(shared, &library);
        let mut active: Vec<(&Listed, Reading)> = library
            .torrents()
            .iter()
            .filter_map(|listed| {
                let asked = listed.figures().map(|figures| figures.read());
                // A swarm may live without having asked us for anything.
                let known = || {
                    audience
                        .is_there(listed)
                        .then(|| Reading::of(listed.bytes()))
                };
                Some((listed.as_ref(), asked.or_else(known)?))
            })
            .collect();
        active.sort_by_key(|(listed, reading)| {
            let sent = reading.sent + reading.sent_http;
            std::cmp::Reverse((reading.peers(), sent, audience.now(listed)))
        });
        let mut sum = Reading::default();
        for (_, reading) in &active {
            sum.tcp += reading.tcp;
            sum.utp += reading.utp;
            sum.browser += reading.browser;
            sum.encrypted += reading.encrypted;
            sum.sent += reading.sent;
            sum.sent_http += reading.sent_http;
            sum.received += reading.received;
            // Of each at least what we sent it.
            sum.gained += reading.gained.max(reading.sent);
        }
        let torrents_active = active.iter().filter(|(_, reading)| reading.peers() > 0);
        let torrents_active = torrents_active.count() as u64;
        let left_out = active.len().saturating_sub(RELEASES);
        active.truncate(RELEASES);
        let (releases, tracker_peers) = {
            let tracker = &shared.tracker;
            let releases = active.into_iter().map(|(listed, reading)| {
                let mut release = Release::of(listed, &reading);
                release.audience = audience.of_release(listed);
                for swarm in listed.swarms() {
                    if let Some(counts) = tracker.scrape(swarm) {
                        release.tracker_seeds = release.tracker_seeds.max(counts.complete.into());
                        release.tracker_leechers += u64::from(counts.incomplete);
                        release.tracker_downloaded += u64::from(counts.downloaded);
                    }
                }
                release
            });
            (releases.collect(), tracker.n_peers() as u64)
        };
        let metrics = &shared.metrics;
        metrics.take_tracker(&shared.tracker.counters());
        let (limits, counters): (Vec<_>, Vec<_>) =
            metrics.entries().into_iter().partition(|entry| entry.limit);
        let by_name = |entries: Vec<crate::metrics::Entry>| {
            let entries = entries.into_iter();
            entries
                .map(|entry| (entry.name.to_owned(), entry.value))
                .collect()
        };
        Self {
            version: VERSION,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            at_ms: shared.started.elapsed().as_millis() as u64,
            total: Total {
                torrents: library.torrents().len() as u64,
                torrents_served: loaded.torrents as u64,
                torrents_active,
                traffic: Traffic::of(&sum),
                http_connections: metrics.http_now.get(),
                tracker_peers,
                audience: audience.of_all(),
            },
            releases,
            releases_left_out: left_out,
            withdrawn: withdrawn(library.torrents()),
            uplink: Uplink::of(shared),
            p2p: P2p {
                loaded: metrics.tracker_loaded_now.get() > 0,
                percent: metrics.tracker_load_percent_now.get(),
                times: metrics.tracker_loaded.get(),
            },
            scrub: Scrub {
                bytes_per_second: shared.config.scrub.bytes_per_second,
                torrents: metrics.scrub_torrents.get(),
                damaged: metrics.scrub_damaged.get(),
                rounds: metrics.scrub_rounds.get(),
                hashed_bytes: metrics.rehashed_bytes.get(),
            },
            limits: by_name(limits),
            counters: by_name(counters),
            peers_closed: metrics
                .closed_by_reason()
                .into_iter()
                .map(|(reason, n)| (reason.to_owned(), n))
                .collect(),
        }
    }
}

impl Traffic {
    fn of(reading: &Reading) -> Self {
        Self {
            peers_tcp: reading.tcp,
            peers_utp: reading.utp,
            peers_browser: reading.browser,
            peers_encrypted: reading.encrypted,
            sent: reading.sent,
            sent_http: reading.sent_http,
            received: reading.received,
            gained: reading.gained,
            useful: reading.useful(),
            web_offload: reading.web_offload(),
            swarm_share: reading.swarm_share(),
            viewer_share: None,
        }
    }

    /// Peers now.
    pub fn peers(&self) -> u64 {
        self.peers_tcp + self.peers_utp + self.peers_browser
    }
}

impl Uplink {
    fn of(shared: &Shared) -> Self {
        let figures = shared.uplink.figures();
        Self {
            limit: figures.limit,
            waiting: figures.waiting as u64,
            granted: figures.granted,
            month_used: figures.month.map(|(used, _)| used),
            month_limit: figures.month.map(|(_, limit)| limit),
        }
    }
}

impl Release {
    fn of(listed: &Listed, reading: &Reading) -> Self {
        Self {
            id: listed.id.clone(),
            slug: listed.slug.clone(),
            title: listed.title.clone(),
            bytes: reading.length,
            traffic: Traffic::of(reading),
            seeds: reading.seeds,
            interested: reading.interested,
            unchoked: reading.unchoked,
            joined: reading.joined,
            copies: reading.copies,
            copies_browser: reading.copies_browser,
            spreading: reading.spreading,
            first_copy_ratio: reading.first_copy_ratio(),
            first_copy_seconds: reading.first_copy.map(|first| first.after.as_secs_f64()),
            ..Self::default()
        }
    }
}

fn withdrawn(all: &[std::sync::Arc<Listed>]) -> Vec<Withdrawn> {
    let withdrawn = all.iter().filter_map(|listed| {
        let why = listed.why()?;
        Some(Withdrawn {
            id: listed.id.clone(),
            title: listed.title.clone(),
            why,
            checking: matches!(listed.condition(), Condition::Suspect { .. }),
        })
    });
    withdrawn.take(WITHDRAWN).collect()
}
