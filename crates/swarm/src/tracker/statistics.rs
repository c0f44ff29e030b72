//! What a publisher wants to know of its audience, kept without personal data: how many were there and when, by release
//! and kind of client; how many came, from which countries; how many got everything; what they were sent. No address and
//! no peer id comes in here.
//!
//! The audience of a release is whoever is in its swarms, the publisher's own seeder left out: viewers (browsers) and
//! other clients alike. A torrent with two info-hashes is two swarms and one release: of each kind of client the larger
//! count of the two is taken. That is right without looking at a single peer, since a kind of client behaves in one way:
//! those that understand hybrid torrents announce both hashes, the others and browsers the first alone.
//!
//! Whoever owns the tracker takes a sample every so often ([`Statistics::sample`]) and keeps the whole across restarts:
//! it is a serde document with a version. What may be held is bounded by [`Bounds`].

pub mod client;
pub mod country;
pub mod history;

pub use client::Client;
pub use country::Country;
pub use history::{History, Point, Span};

use history::Samples;
use metainfo::SwarmHash;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The version of the document. Raised when a field changes its meaning or goes; fields may be added.
pub const VERSION: u32 = 1;

/// The longest name of a release that is kept, in bytes.
const SLUG: usize = 200;

/// What may be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Releases with something to remember.
    pub releases: usize,
    /// Slots of all histories together, at 16 bytes.
    pub points: usize,
    /// Seconds for which a release that is gone is remembered.
    pub gone: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            releases: 20_000,
            points: 400_000,
            gone: 400 * 86_400,
        }
    }
}

/// What one swarm, or one release, counts now. The totals are since the process began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sample {
    /// Who is there, by kind of client.
    pub by_client: [u32; Client::COUNT],
    /// Peers that have come.
    pub arrivals: u64,
    /// Peers that have got everything while they were known.
    pub completions: u64,
    /// Payload bytes sent to peers.
    pub sent: u64,
    /// Payload bytes sent over HTTP.
    pub sent_http: u64,
}

impl Sample {
    /// Everybody who is there.
    pub fn audience(&self) -> u32 {
        let counts = self.by_client.iter();
        counts.fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The browsers among them.
    pub fn viewers(&self) -> u32 {
        self.by_client[Client::Browser as usize]
    }

    /// Takes in the other swarm of the same torrent. Whoever announces both is in both.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.by_client.iter_mut().zip(&other.by_client) {
            *mine = (*mine).max(*theirs);
        }
        self.arrivals = self.arrivals.max(other.arrivals);
        self.completions = self.completions.max(other.completions);
        self.sent = self.sent.max(other.sent);
        self.sent_http = self.sent_http.max(other.sent_http);
    }

    /// Adds another release's.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.by_client.iter_mut().zip(&other.by_client) {
            *mine = mine.saturating_add(*theirs);
        }
        self.arrivals += other.arrivals;
        self.completions += other.completions;
        self.sent += other.sent;
        self.sent_http += other.sent_http;
    }

    /// What its totals have risen by since another. Totals that are lower began anew.
    pub fn since(&self, before: &Self) -> Self {
        let risen = |now: u64, before: u64| now.checked_sub(before).unwrap_or(now);
        Self {
            by_client: self.by_client,
            arrivals: risen(self.arrivals, before.arrivals),
            completions: risen(self.completions, before.completions),
            sent: risen(self.sent, before.sent),
            sent_http: risen(self.sent_http, before.sent_http),
        }
    }

    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// What is remembered of one release, or of all together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Peers that have come.
    pub arrivals: u64,
    /// Peers that have got everything.
    pub completions: u64,
    /// Payload bytes sent to peers.
    pub sent: u64,
    /// Payload bytes sent over HTTP.
    pub sent_http: u64,
    /// Peers that have come, by country, where a table tells countries.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub countries: BTreeMap<Country, u64>,
    /// How large the audience was.
    #[serde(default, skip_serializing_if = "History::is_empty")]
    pub history: History,
}

impl Record {
    fn take(&mut self, samples: &Samples, sample: &Sample) {
        self.arrivals = self.arrivals.saturating_add(sample.arrivals);
        self.completions = self.completions.saturating_add(sample.completions);
        self.sent = self.sent.saturating_add(sample.sent);
        self.sent_http = self.sent_http.saturating_add(sample.sent_http);
        self.history
            .sample(samples, sample.audience(), sample.viewers());
    }

    fn arrived(&mut self, country: Country, peers: u64) {
        let count = self.countries.entry(country).or_default();
        *count = count.saturating_add(peers);
    }

    /// The countries from which most have come, with the first of them first.
    pub fn top_countries(&self) -> Vec<(Country, u64)> {
        let mut all: Vec<_> = self.countries.iter().map(|(c, n)| (*c, *n)).collect();
        all.sort_by_key(|(country, n)| (std::cmp::Reverse(*n), *country));
        all
    }
}

/// One release. Its torrent's id is its key; a changed clip is a new torrent and a new record of the same slug.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The release's place in URLs; empty for a torrent made elsewhere.
    pub slug: String,
    /// When it was listed last, in seconds since 1970.
    pub listed: u64,
    /// What is remembered.
    #[serde(flatten)]
    pub record: Record,
    /// What it counted at the last sample.
    #[serde(skip)]
    now: Sample,
}

impl Release {
    /// Who was there at the last sample.
    pub fn now(&self) -> &Sample {
        &self.now
    }
}

/// Everything that is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statistics {
    version: u32,
    /// When counting began, in seconds since 1970.
    since: u64,
    samples: Samples,
    /// All releases together, those that were forgotten too. Who is in two releases counts twice.
    total: Record,
    /// The audience of each kind of client, by its name.
    #[serde(default)]
    clients: BTreeMap<String, History>,
    releases: BTreeMap<SwarmHash, Release>,
    #[serde(skip)]
    now: Sample,
    #[serde(skip)]
    dropped: Dropped,
}

/// How often a bound has bitten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Releases forgotten, or passed over at a sample, because there were too many.
    pub releases: u64,
    /// Slots of histories forgotten because there were too many.
    pub points: u64,
}

/// Why a document can't be gone on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsound {
    /// Another version's.
    #[error("version {0}; this program writes {VERSION}")]
    Version(u32),
    /// Slots out of order, or more of them than there are.
    #[error("slots of time out of order")]
    History,
}

impl Statistics {
    /// Nothing yet, counted from now on, in seconds since 1970.
    pub fn new(now: u64) -> Self {
        Self {
            version: VERSION,
            since: now,
            samples: Samples::default(),
            total: Record::default(),
            clients: BTreeMap::new(),
            releases: BTreeMap::new(),
            now: Sample::default(),
            dropped: Dropped::default(),
        }
    }

    /// Whether a document that was read can be gone on with.
    pub fn check(&self) -> Result<(), Unsound> {
        if self.version != VERSION {
            return Err(Unsound::Version(self.version));
        }
        let releases = self.releases.values();
        let histories = releases.map(|release| &release.record.history);
        let mut histories = histories
            .chain(self.clients.values())
            .chain([&self.total.history]);
        match histories.all(History::is_sound) {
            true => Ok(()),
            false => Err(Unsound::History),
        }
    }

    /// Takes a sample of everything that is listed: torrent ids, slugs, counts. `now` in seconds since 1970.
    pub fn sample<'a>(
        &mut self,
        now: u64,
        bounds: &Bounds,
        listed: impl IntoIterator<Item = (SwarmHash, &'a str, Sample)>,
    ) {
        self.samples.take(now);
        let mut all = Sample::default();
        let mut seen = BTreeSet::new();
        for (id, slug, sample) in listed {
            let known = self.releases.contains_key(&id);
            if !known && sample.is_nothing() {
                continue;
            }
            if !known && self.releases.len() >= bounds.releases {
                self.dropped.releases += 1;
                continue;
            }
            seen.insert(id);
            let release = self.releases.entry(id).or_default();
            let risen = sample.since(&release.now);
            release.now = sample;
            release.listed = now;
            if release.slug != slug {
                release.slug = beginning(slug, SLUG).to_owned();
            }
            release.record.take(&self.samples, &risen);
            all.add(&risen);
        }
        self.total.take(&self.samples, &all);
        for (client, audience) in Client::ALL.into_iter().zip(all.by_client) {
            if let Some(history) = self.clients.get_mut(client.name()) {
                history.sample(&self.samples, audience, 0);
            } else if audience > 0 {
                let history = self.clients.entry(client.name().to_owned()).or_default();
                history.sample(&self.samples, audience, 0);
            }
        }
        self.now = all;
        for (id, release) in &mut self.releases {
            if !seen.contains(id) {
                // Its counters begin at nothing should it come back.
                release.now = Sample::default();
                release.record.history.sample(&self.samples, 0, 0);
            }
        }
        self.releases
            .retain(|_, release| now.saturating_sub(release.listed) <= bounds.gone);
        self.forget_gone(&seen, bounds.releases);
        self.trim(bounds.points);
    }

    /// So many peers of this country have come to a release.
    pub fn arrived(&mut self, id: &SwarmHash, country: Country, peers: u64) {
        self.total.arrived(country, peers);
        if let Some(release) = self.releases.get_mut(id) {
            release.record.arrived(country, peers);
        }
    }

    /// Whether nothing was ever counted.
    pub fn is_empty(&self) -> bool {
        self.total == Record::default() && self.releases.is_empty()
    }

    /// When counting began, in seconds since 1970.
    pub fn since(&self) -> u64 {
        self.since
    }

    /// All releases together.
    pub fn total(&self) -> &Record {
        &self.total
    }

    /// Who was there at the last sample.
    pub fn now(&self) -> &Sample {
        &self.now
    }

    /// The audience of each kind of client that ever was there.
    pub fn clients(&self) -> impl Iterator<Item = (&str, &History)> {
        self.clients.iter().map(|(name, all)| (&**name, all))
    }

    /// Of one release, by its torrent's id.
    pub fn release(&self, id: &SwarmHash) -> Option<&Release> {
        self.releases.get(id)
    }

    /// Every release that is remembered.
    pub fn releases(&self) -> impl Iterator<Item = (&SwarmHash, &Release)> {
        self.releases.iter()
    }

    /// How often a bound has bitten since this process began.
    pub fn dropped(&self) -> Dropped {
        self.dropped
    }

    /// Forgets releases that are gone, the one that went first, until there is room again for new ones.
    fn forget_gone(&mut self, seen: &BTreeSet<SwarmHash>, most: usize) {
        let room = most - most / 10;
        while self.releases.len() > room {
            let gone = self.releases.iter().filter(|(id, _)| !seen.contains(id));
            let Some(id) = gone
                .min_by_key(|(_, release)| release.listed)
                .map(|(id, _)| *id)
            else {
                return;
            };
            self.releases.remove(&id);
            self.dropped.releases += 1;
        }
    }

    /// Forgets slots where there are too many: the finest first, and of the releases with the fewest arrivals first.
    fn trim(&mut self, most: usize) {
        let releases = self.releases.values();
        let mut points: usize = releases
            .map(|release| release.record.history.n_points())
            .sum();
        if points <= most {
            return;
        }
        let mut order: Vec<_> = self.releases.values_mut().collect();
        order.sort_by_key(|release| (release.listed, release.record.arrivals));
        for span in Span::ALL {
            for release in &mut order {
                let forgotten = release.record.history.forget(span);
                self.dropped.points += forgotten as u64;
                points -= forgotten;
                // Some room, so that the next sample doesn't come here again.
                if points <= most - most / 10 {
                    return;
                }
            }
        }
    }
}

/// As much of a text as fits.
fn beginning(text: &str, bytes: usize) -> &str {
    let fits = (0..=bytes.min(text.len())).rev();
    let end = fits.into_iter().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests;
