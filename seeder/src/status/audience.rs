//! Who is there, as the report tells it: what the tracker counts now, added to what is kept of the time before.

use crate::library::{Library, Listed};
use crate::serve::Shared;
use crate::tracker::statistics::counts;
use metainfo::SwarmHash;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::MutexGuard;
use swarm::tracker::statistics::{Client, Record, Sample, Statistics};

/// The most countries of one release.
const COUNTRIES: usize = 10;

/// Who is in a release's swarms, as far as the tracker knows, our own seeder left out. Whoever is in two releases counts
/// twice in all together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audience {
    /// Everybody who is there now.
    pub now: u64,
    /// Of these, viewers: browsers.
    pub viewers: u64,
    /// How many there are now of each kind of client.
    pub clients: BTreeMap<String, u64>,
    /// Peers that have come since counting began, over restarts.
    pub arrivals: u64,
    /// Peers that have got everything since then.
    pub completions: u64,
    /// Peers that have come since then, by country; of a release the countries most have come from. Empty without a
    /// table of countries.
    pub countries: BTreeMap<String, u64>,
}

impl Audience {
    fn of(record: Option<&Record>, now: &Sample, risen: &Sample, countries: usize) -> Self {
        let clients = Client::ALL.into_iter().zip(now.by_client);
        let clients = clients.filter(|(_, count)| *count > 0);
        let all = record.map(Record::top_countries).unwrap_or_default();
        Self {
            now: now.audience().into(),
            viewers: now.viewers().into(),
            clients: clients
                .map(|(client, count)| (client.name().to_owned(), count.into()))
                .collect(),
            arrivals: record.map_or(0, |record| record.arrivals) + risen.arrivals,
            completions: record.map_or(0, |record| record.completions) + risen.completions,
            countries: all
                .into_iter()
                .take(countries)
                .map(|(country, n)| (country.to_string(), n))
                .collect(),
        }
    }
}

/// The audience of every release at one moment. What is kept is locked as long as this lives.
pub(super) struct Everybody<'a> {
    kept: MutexGuard<'a, Statistics>,
    counts: HashMap<SwarmHash, Sample>,
}

impl<'a> Everybody<'a> {
    /// Counts.
    pub fn of(shared: &'a Shared, library: &Library) -> Self {
        let counts = counts(library, &shared.tracker);
        Self {
            kept: shared.statistics.kept(),
            counts,
        }
    }

    /// How many are in a release's swarms.
    pub fn now(&self, listed: &Listed) -> u32 {
        self.sample(listed).map_or(0, Sample::audience)
    }

    /// Whether anybody is in a release's swarms, or came since the start.
    pub fn is_there(&self, listed: &Listed) -> bool {
        self.sample(listed).is_some()
    }

    /// One release's.
    pub fn of_release(&self, listed: &Listed) -> Audience {
        let Ok(id) = listed.id.parse() else {
            return Audience::default();
        };
        let now = self.counts.get(&id).copied().unwrap_or_default();
        let release = self.kept.release(&id);
        let before = release.map(|release| *release.now()).unwrap_or_default();
        let record = release.map(|release| &release.record);
        Audience::of(record, &now, &now.since(&before), COUNTRIES)
    }

    /// All releases'.
    pub fn of_all(&self) -> Audience {
        let (mut now, mut risen) = (Sample::default(), Sample::default());
        for (id, sample) in &self.counts {
            let before = self.kept.release(id).map(|release| *release.now());
            now.add(sample);
            risen.add(&sample.since(&before.unwrap_or_default()));
        }
        Audience::of(Some(self.kept.total()), &now, &risen, usize::MAX)
    }

    fn sample(&self, listed: &Listed) -> Option<&Sample> {
        self.counts.get(&listed.id.parse().ok()?)
    }
}
