//! The audience's statistics, kept: samples of the tracker's swarms every so often, added up by
//! [`swarm::tracker::statistics`], written to the seeder's state folder every few minutes and at the end. A kill loses
//! what came since.
//!
//! Front ends tell of each peer that has arrived ([`Statistics::arrived`]), for its country alone: the address is looked
//! up and forgotten.

use super::table::Tables;
use crate::config::ServeConfig;
use crate::library::Library;
use crate::library::guard;
use crate::metrics::Metrics;
use crate::serve::{Shared, blocking};
use metainfo::SwarmHash;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use swarm::tracker::statistics::{Bounds, Country, Sample, Statistics as Kept};
use swarm::tracker::{Area, Tracker};
use tokio::time::MissedTickBehavior;

/// Between two samples.
const EVERY: Duration = Duration::from_secs(10);
/// Between two looks at the files of the tables.
const LOOK: Duration = Duration::from_secs(60);
/// Between two times that it is written down.
const SAVE: Duration = Duration::from_secs(180);
/// Swarms and countries of the arrivals between two samples.
const ARRIVALS: usize = 1 << 16;
/// The largest file that is read: many times what the bounds allow to be written.
const BYTES: u64 = 256 << 20;

/// The statistics of this process.
#[derive(Debug)]
pub struct Statistics {
    tables: Tables,
    kept: Mutex<Kept>,
    /// Arrivals since the last sample. Apart from the rest: front ends hold it for a moment each.
    arrivals: Mutex<HashMap<(SwarmHash, Country), u64>>,
    /// Browsers in all swarms at the last sample.
    viewers: AtomicU32,
    metrics: Arc<Metrics>,
}

impl Statistics {
    /// Nothing yet.
    pub fn new(config: &ServeConfig, metrics: Arc<Metrics>) -> Self {
        Self {
            tables: Tables::new(&config.tables, metrics.clone()),
            kept: Mutex::new(Kept::new(now())),
            arrivals: Mutex::default(),
            viewers: AtomicU32::new(0),
            metrics,
        }
    }

    /// Where an address is, as far as the tables tell.
    pub fn area(&self, ip: IpAddr) -> Area {
        self.tables.area(ip)
    }

    /// A peer that wasn't known has entered a swarm. Of its address nothing is kept but the country.
    pub fn arrived(&self, swarm: &SwarmHash, from: IpAddr) {
        if !self.tables.has_countries() {
            return;
        }
        let country = Country::new(self.tables.area(from).country);
        let mut arrivals = lock(&self.arrivals);
        let full = arrivals.len() >= ARRIVALS;
        match arrivals.entry((*swarm, country)) {
            Entry::Occupied(mut peers) => *peers.get_mut() += 1,
            Entry::Vacant(_) if full => self.metrics.statistics_arrivals_dropped.add(1),
            Entry::Vacant(new) => {
                new.insert(1);
            }
        }
    }

    /// Browsers in all swarms, a few seconds ago.
    pub fn viewers(&self) -> u32 {
        self.viewers.load(Ordering::Relaxed)
    }

    /// What is kept, for as long as the guard lives.
    pub fn kept(&self) -> MutexGuard<'_, Kept> {
        lock(&self.kept)
    }

    /// Takes a sample of everything that is listed.
    fn sample(&self, now: u64, library: &Library, tracker: &Tracker) {
        let counts = counts(library, tracker);
        let listed = library.torrents().iter().filter_map(|listed| {
            let id: SwarmHash = listed.id.parse().ok()?;
            let mut sample = counts.get(&id).copied().unwrap_or_default();
            if let Some(figures) = listed.figures() {
                let reading = figures.read();
                (sample.sent, sample.sent_http) = (reading.sent, reading.sent_http);
            }
            Some((id, &*listed.slug, sample))
        });
        let arrivals = std::mem::take(&mut *lock(&self.arrivals));
        let mut kept = self.kept();
        kept.sample(now, &Bounds::default(), listed);
        for ((swarm, country), peers) in arrivals {
            // Whoever announces both hashes of a hybrid arrives in the second swarm as well.
            if library.by_id(&swarm.to_string()).is_some() {
                kept.arrived(&swarm, country, peers);
            }
        }
        self.viewers.store(kept.now().viewers(), Ordering::Relaxed);
        let dropped = kept.dropped();
        self.metrics
            .statistics_releases_dropped
            .set(dropped.releases);
        self.metrics.statistics_points_dropped.set(dropped.points);
    }

    /// Gives the tracker what it is to add to its own completions: those of earlier runs, and of a time before a release
    /// was taken off and put back on.
    fn restore(&self, tracker: &Tracker) {
        for (id, release) in self.kept().releases() {
            let now = release.now().completions;
            let earlier = release.record.completions.saturating_sub(now);
            tracker.restore_completions(id, u32::try_from(earlier).unwrap_or(u32::MAX));
        }
    }

    /// Reads what an earlier run has written, and the tables. Blocking.
    pub fn read(&self, path: Option<&Path>) {
        if let Some(kept) = path.and_then(read) {
            *self.kept() = kept;
        }
        self.tables.look(true);
    }

    /// Writes it down. Blocking.
    fn write(&self, path: &Path) {
        // A copy, so that whoever takes samples or shows the status doesn't wait for the text.
        let kept = self.kept().clone();
        let bytes = serde_json::to_vec(&kept);
        let written = bytes.map_err(|error| error.to_string()).and_then(|bytes| {
            store::atomic::write_atomic_private(path, &bytes).map_err(|error| error.to_string())
        });
        if let Err(error) = written {
            self.metrics.statistics_unsaved.add(1);
            tracing::warn!("the audience's statistics are not kept: {error}");
        }
    }
}

/// What each torrent counts now, by its id: both swarms of a hybrid taken together, nothing of what was sent.
pub fn counts(library: &Library, tracker: &Tracker) -> HashMap<SwarmHash, Sample> {
    let mut counts: HashMap<SwarmHash, Sample> = HashMap::new();
    tracker.for_each_swarm(&mut |figures| {
        let sample = Sample {
            by_client: figures.by_client,
            arrivals: figures.arrivals,
            completions: figures.completions,
            ..Sample::default()
        };
        if sample == Sample::default() {
            return;
        }
        let listed = library.by_swarm(&figures.swarm);
        if let Some(id) = listed.and_then(|listed| listed.id.parse().ok()) {
            counts.entry(id).or_default().merge(&sample);
        }
    });
    counts
}

/// The file in which this seeder keeps its statistics, if anywhere.
pub fn path(shared: &Shared) -> Option<PathBuf> {
    let memory = guard::memory_path(shared)?;
    let name = memory.file_name()?.to_str()?;
    Some(memory.with_file_name(name.replacen("seeder-", "audience-", 1)))
}

/// Goes on where an earlier run has ended, before the first announce comes.
pub async fn begin(shared: &Arc<Shared>) {
    let (reading, path) = (shared.clone(), path(shared));
    blocking(move || reading.statistics.read(path.as_deref())).await;
    shared.statistics.restore(&shared.tracker);
}

/// Takes samples and writes them down until the seeder stops.
pub async fn run(shared: Arc<Shared>) {
    let path = path(&shared);
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut looked, mut saved) = (Instant::now(), None);
    loop {
        let stopped = tokio::select! {
            () = shared.stop.cancelled() => true,
            _ = tick.tick() => false,
        };
        let statistics = &shared.statistics;
        statistics.sample(now(), &shared.library(), &shared.tracker);
        statistics.restore(&shared.tracker);
        shared.metrics.take_tracker(&shared.tracker.counters());
        if !stopped && looked.elapsed() >= LOOK {
            looked = Instant::now();
            let looking = shared.clone();
            blocking(move || looking.statistics.tables.look(false)).await;
        }
        // The first who ever came are written down at once.
        let due = saved.is_none_or(|saved: Instant| saved.elapsed() >= SAVE);
        let any = !statistics.kept().is_empty();
        if let Some(path) = path.clone().filter(|_| any && (due || stopped)) {
            saved = Some(Instant::now());
            let saving = shared.clone();
            blocking(move || saving.statistics.write(&path)).await;
        }
        if stopped {
            return;
        }
    }
}

/// What an earlier run has written. A file that can't be gone on with is set aside, since nobody can count it again.
fn read(path: &Path) -> Option<Kept> {
    let why = match read_bytes(path) {
        Ok(bytes) => match serde_json::from_slice::<Kept>(&bytes) {
            Ok(kept) => match kept.check() {
                Ok(()) => return Some(kept),
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => error.to_string(),
    };
    let aside = path.with_extension("json.damaged");
    let (from, to) = (path.display(), aside.display());
    match std::fs::rename(path, &aside) {
        Ok(()) => tracing::warn!("{from}: {why}; it now is {to}, and counting begins anew"),
        Err(error) => tracing::warn!("{from}: {why}; it can't be set aside: {error}"),
    }
    None
}

fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    if std::fs::metadata(path)?.len() > BYTES {
        return Err(io::Error::other("it is too large to be ours"));
    }
    std::fs::read(path)
}

/// Seconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use swarm::tracker::statistics::Client;

    fn kept(browsers: u32) -> Kept {
        let mut sample = Sample {
            arrivals: 5,
            ..Sample::default()
        };
        sample.by_client[Client::Browser as usize] = browsers;
        let mut kept = Kept::new(1000);
        kept.sample(
            2000,
            &Bounds::default(),
            [(SwarmHash([7; 20]), "clip", sample)],
        );
        kept
    }

    #[test]
    fn what_was_written_is_read_and_a_damaged_file_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/audience-7.json");
        let config = ServeConfig::loopback(crate::config::Source::Out(folder.path().to_owned()));
        let statistics = Statistics::new(&config, Arc::default());
        statistics.read(Some(&path));
        assert_eq!(statistics.metrics.statistics_unsaved.get(), 0);
        *statistics.kept() = kept(3);
        statistics.write(&path);

        let again = Statistics::new(&config, Arc::default());
        again.read(Some(&path));
        let kept = again.kept().clone();
        assert_eq!((kept.total().arrivals, kept.since()), (5, 1000));

        let whole = std::fs::read(&path).unwrap();
        for damaged in [&whole[..whole.len() / 2], b"{}", b""] {
            std::fs::write(&path, damaged).unwrap();
            let anew = Statistics::new(&config, Arc::default());
            anew.read(Some(&path));
            assert_eq!(anew.kept().total().arrivals, 0);
            let aside = folder.path().join("state/audience-7.json.damaged");
            assert_eq!(std::fs::read(aside).unwrap(), damaged);
            assert!(!path.exists());
        }
        // A place that can't be written to is counted, and nothing else happens.
        std::fs::write(folder.path().join("file"), "").unwrap();
        statistics.write(&folder.path().join("file/below.json"));
        assert_eq!(statistics.metrics.statistics_unsaved.get(), 1);
    }

    #[test]
    fn arrivals_are_countries_and_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("countries.csv");
        std::fs::write(&table, "127.0.0.0,127.0.0.255,DE\n").unwrap();
        let source = crate::config::Source::Out(folder.path().to_owned());
        let mut config = ServeConfig::loopback(source);
        config.tables.countries = Some(table);
        let statistics = Statistics::new(&config, Arc::default());
        statistics.read(None);
        for n in 0..(ARRIVALS as u32 + 10) {
            let mut swarm = SwarmHash([0; 20]);
            swarm.0[..4].copy_from_slice(&n.to_be_bytes());
            statistics.arrived(&swarm, "127.0.0.1".parse().unwrap());
            statistics.arrived(&swarm, "127.0.0.2".parse().unwrap());
        }
        let arrivals = lock(&statistics.arrivals);
        assert_eq!(arrivals.len(), ARRIVALS);
        assert_eq!(arrivals[&(SwarmHash([0; 20]), Country::new(*b"DE"))], 2);
        assert_eq!(statistics.metrics.statistics_arrivals_dropped.get(), 20);
    }
}
