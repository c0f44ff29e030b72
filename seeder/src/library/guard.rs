//! Looks after the files of everything that is served, one task for all: a slow look by `stat` around the whole
//! library, a quick one at what can't be served, hashing of what is in doubt (at once) and of what was touched (behind),
//! and the scrub. Serving never waits for it: each read checks its own file.

use super::Library;
use super::inspection::{Inspection, Outcome};
use super::listed::{Condition, Listed, Look, Signature};
use super::memory::{self, Memory};
use crate::config::Source;
use crate::serve::{Shared, blocking};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

/// How often something is looked at.
const TICK: Duration = Duration::from_secs(1);
/// Files looked at by `stat` each time; a library of so many seconds' worth is looked through in one go around.
const LOOK_FILES: usize = 64;
/// What was found wrong is looked at again every so many ticks.
const FAULTY_TICKS: u64 = 2;
/// Files that nobody reads are closed every so many ticks.
const IDLE_TICKS: u64 = 30;
/// Bytes hashed at once of what is in doubt; nobody is served of that meanwhile.
const SUSPECT_STEP: u64 = 64 << 20;
/// Bytes hashed a tick of what was only touched.
const TOUCHED_STEP: u64 = 64 << 20;
/// What opening a torrent counts for where bytes are budgeted: thousands of small ones are work as well.
const A_TORRENT: u64 = 16 << 10;
/// How often what changes all the time is written down.
const REMEMBER: Duration = Duration::from_secs(60);

/// The task.
pub struct Guard {
    shared: Arc<Shared>,
    alarms: mpsc::UnboundedReceiver<Arc<Listed>>,
    changed: watch::Sender<u64>,
    suspects: BTreeMap<String, Arc<Listed>>,
    touched: BTreeMap<String, Arc<Listed>>,
    doubtful: Option<Inspection>,
    behind: Option<Inspection>,
    scrub: Option<Inspection>,
    /// Bytes the scrub may read; below zero after a large piece.
    scrub_due: i64,
    memory: Memory,
    memory_path: Option<PathBuf>,
    written: (Memory, Instant),
    ticks: u64,
    look_at: usize,
    faulty_at: usize,
    /// What had been sent of each open torrent, by id, when it was last looked at.
    sent: HashMap<String, u64>,
}

impl Guard {
    /// Looks after what `shared` serves. What is not right comes in by `alarms`; each change of what is served
    /// raises `changed`.
    pub fn new(
        shared: Arc<Shared>,
        alarms: mpsc::UnboundedReceiver<Arc<Listed>>,
        changed: watch::Sender<u64>,
        memory: Memory,
    ) -> Self {
        let memory_path = memory_path(&shared);
        Self {
            shared,
            alarms,
            changed,
            suspects: BTreeMap::new(),
            touched: BTreeMap::new(),
            doubtful: None,
            behind: None,
            scrub: None,
            scrub_due: 0,
            written: (memory.clone(), Instant::now()),
            memory,
            memory_path,
            ticks: 0,
            look_at: 0,
            faulty_at: 0,
            sent: HashMap::new(),
        }
    }

    /// Goes on until the seeder stops.
    pub async fn run(mut self) {
        let stop = self.shared.stop.clone();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let busy = self.doubtful.is_some() || !self.suspects.is_empty();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                listed = self.alarms.recv() => match listed {
                    Some(listed) => self.hear(listed),
                    None => break,
                },
                _ = tick.tick() => self.tick().await,
                () = std::future::ready(()), if busy => self.resolve_doubt().await,
            }
        }
        self.remember(true).await;
    }

    fn hear(&mut self, listed: Arc<Listed>) {
        match listed.condition() {
            Condition::Sound => {
                self.touched.insert(listed.id.clone(), listed);
            }
            Condition::Suspect { .. } => {
                self.shared.metrics.torrents_withdrawn.add(1);
                self.suspects.insert(listed.id.clone(), listed);
                self.tell();
            }
            Condition::Faulty { .. } => {
                self.shared.metrics.torrents_withdrawn.add(1);
                self.tell();
            }
        }
    }

    /// What is served has changed.
    fn tell(&self) {
        self.changed.send_modify(|changes| *changes += 1);
    }

    async fn tick(&mut self) {
        self.ticks += 1;
        self.shared.close_idle();
        self.look_around().await;
        if self.ticks.is_multiple_of(IDLE_TICKS) {
            self.close_unread();
        }
        if self.ticks.is_multiple_of(FAULTY_TICKS) {
            self.look_at_faulty().await;
        }
        self.go_on_behind().await;
        self.go_on_scrubbing().await;
        self.remember(false).await;
    }

    /// Closes the files of torrents that have peers and of which nothing was sent since the last time.
    fn close_unread(&mut self) {
        let mut sent = HashMap::new();
        for listed in self.shared.library().torrents() {
            let Some(served) = listed.opened() else {
                continue;
            };
            let reading = served.figures.read();
            let now = reading.sent + reading.sent_http;
            if self.sent.get(&listed.id) == Some(&now) {
                served.payload.close();
            }
            sent.insert(listed.id.clone(), now);
        }
        self.sent = sent;
    }

    /// A few torrents by `stat`, in turn.
    async fn look_around(&mut self) {
        let library = self.shared.library();
        let from = self.look_at;
        let looked = blocking(move || look_at(&library, from, |listed| listed.is_sound()));
        let (next, found) = looked.await;
        self.look_at = next;
        for (listed, seen, look) in found {
            match look {
                Look::Same => {}
                Look::Touched => {
                    self.touched.insert(listed.id.clone(), listed);
                }
                Look::Changed(why) => listed.suspect(why),
                Look::Missing(why) => {
                    listed.condemn(why, seen, false);
                    self.shared.metrics.torrents_withdrawn.add(1);
                    self.tell();
                }
            }
        }
    }

    /// What was found wrong, where its files are no longer what they were then.
    async fn look_at_faulty(&mut self) {
        let library = self.shared.library();
        if library.n_sound() == library.torrents().len() {
            return;
        }
        let from = self.faulty_at;
        let faulty = |listed: &Listed| matches!(listed.condition(), Condition::Faulty { .. });
        let (next, found) = blocking(move || look_at(&library, from, faulty)).await;
        self.faulty_at = next;
        for (listed, now, look) in found {
            let Condition::Faulty { seen, read, .. } = listed.condition() else {
                continue;
            };
            match look {
                _ if now == seen => {}
                Look::Same if !read => {
                    self.acquitted(&listed, None);
                }
                Look::Missing(why) => {
                    if listed.condemn(why, now, false) {
                        self.tell();
                    }
                }
                // The same file under its old name: as any other that was only touched.
                Look::Touched if !read => {
                    self.acquitted(&listed, None);
                    self.touched.insert(listed.id.clone(), listed);
                }
                Look::Same | Look::Touched => {
                    listed.suspect("its files or its torrent file were replaced".to_owned());
                }
                Look::Changed(why) => listed.suspect(why),
            }
        }
    }

    fn acquitted(&self, listed: &Arc<Listed>, hashed: Option<&Signature>) {
        if listed.acquit(hashed) {
            self.shared.metrics.torrents_restored.add(1);
            self.tell();
        }
    }

    /// Hashes a step of what is in doubt.
    async fn resolve_doubt(&mut self) {
        let inspection = match self.doubtful.take() {
            Some(inspection) => inspection,
            None => match self.suspects.pop_first() {
                Some((_, listed)) => Inspection::new(listed, 0),
                None => return,
            },
        };
        let doubted = matches!(inspection.listed.condition(), Condition::Suspect { .. });
        if !doubted || inspection.listed.gone.is_cancelled() {
            return;
        }
        let (inspection, _, outcome) = self.advance(inspection, SUSPECT_STEP).await;
        let Some(outcome) = outcome else {
            self.doubtful = Some(inspection);
            return;
        };
        let listed = inspection.listed;
        self.shared.metrics.torrents_rehashed.add(1);
        match outcome {
            Outcome::Right { seen, .. } => {
                let same = listed.compare(&seen) == Look::Same;
                self.acquitted(&listed, Some(&seen).filter(|_| !same));
            }
            Outcome::Wrong { why, seen, read } => {
                listed.condemn(why, seen, read);
                self.tell();
            }
            // The next look finds files that are not what they were now.
            Outcome::Unsettled(why) => {
                listed.condemn(why, Signature::new(), true);
                self.tell();
            }
        }
    }

    /// Hashes a step of what was touched, while it is served on.
    async fn go_on_behind(&mut self) {
        let mut left = TOUCHED_STEP;
        while left > 0 {
            let inspection = match self.behind.take() {
                Some(inspection) => inspection,
                None => match self.touched.pop_first() {
                    Some((_, listed)) => Inspection::new(listed, 0),
                    None => return,
                },
            };
            if !inspection.listed.is_sound() || inspection.listed.gone.is_cancelled() {
                continue;
            }
            let (inspection, read, outcome) = self.advance(inspection, left).await;
            left = left.saturating_sub(read + A_TORRENT);
            match outcome {
                None => self.behind = Some(inspection),
                Some(outcome) => {
                    self.shared.metrics.torrents_rehashed.add(1);
                    self.settle(&inspection.listed, outcome);
                }
            }
        }
    }

    /// Hashes what the scrub's budget allows.
    async fn go_on_scrubbing(&mut self) {
        let config = self.shared.config.scrub;
        if config.bytes_per_second == 0 {
            return;
        }
        let budget = i64::try_from(config.bytes_per_second).unwrap_or(i64::MAX);
        self.scrub_due = self.scrub_due.saturating_add(budget).min(budget);
        while self.scrub_due > 0 {
            let Some(inspection) = self.scrub.take().or_else(|| self.next_to_scrub()) else {
                return;
            };
            let due = self.scrub_due.unsigned_abs();
            let (inspection, read, outcome) = self.advance(inspection, due).await;
            let opened = if outcome.is_some() { A_TORRENT } else { 0 };
            let spent = i64::try_from(read + opened).unwrap_or(i64::MAX);
            self.scrub_due = self.scrub_due.saturating_sub(spent);
            let listed = inspection.listed.clone();
            let gone = listed.gone.is_cancelled();
            match outcome {
                None if !gone => {
                    self.memory.scrub.piece = inspection.next;
                    self.scrub = Some(inspection);
                }
                _ => {
                    // A zero more than this id: the next higher one.
                    self.memory.scrub.at = Some(format!("{}0", listed.id));
                    self.memory.scrub.piece = 0;
                    self.shared.metrics.scrub_torrents.add(1);
                    if let Some(outcome) = outcome.filter(|_| !gone) {
                        if matches!(outcome, Outcome::Wrong { read: true, .. }) {
                            self.shared.metrics.scrub_damaged.add(1);
                        }
                        self.settle(&listed, outcome);
                    }
                }
            }
        }
    }

    /// The torrent the scrub is at, if a round is under way or due.
    fn next_to_scrub(&mut self) -> Option<Inspection> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_secs());
        let place = &mut self.memory.scrub;
        if place.at.is_none() {
            // What was published just now was hashed just now: the first round is due later, as any other.
            if place.began == 0 {
                place.began = now;
            }
            if now
                < place
                    .began
                    .saturating_add(self.shared.config.scrub.every.as_secs())
            {
                return None;
            }
            (place.began, place.at, place.piece) = (now, Some(String::new()), 0);
        }
        let library = self.shared.library();
        let from = place.at.clone().unwrap_or_default();
        let mut ahead = library.from_id(&from);
        if let Some(listed) = ahead.find(|listed| listed.is_on_disk()) {
            let piece = if listed.id == from { place.piece } else { 0 };
            place.at = Some(listed.id.clone());
            place.piece = piece;
            return Some(Inspection::new(listed.clone(), piece));
        }
        place.at = None;
        place.rounds += 1;
        self.shared.metrics.scrub_rounds.add(1);
        None
    }

    /// What an inspection behind other work has found.
    fn settle(&self, listed: &Arc<Listed>, outcome: Outcome) {
        match outcome {
            Outcome::Right { seen, whole } => {
                let look = listed.compare(&seen);
                // What was hashed in part says nothing of the rest.
                if whole && (look != Look::Same || !listed.is_sound()) {
                    self.acquitted(listed, Some(&seen).filter(|_| look != Look::Same));
                }
            }
            Outcome::Wrong { why, seen, read } => {
                if listed.condemn(why, seen, read) {
                    self.shared.metrics.torrents_withdrawn.add(1);
                    self.tell();
                }
            }
            Outcome::Unsettled(why) => listed.suspect(why),
        }
    }

    async fn advance(
        &self,
        mut inspection: Inspection,
        bytes: u64,
    ) -> (Inspection, u64, Option<Outcome>) {
        let (inspection, read, outcome) = blocking(move || {
            let (read, outcome) = inspection.advance(bytes);
            (inspection, read, outcome)
        })
        .await;
        self.shared.metrics.rehashed_bytes.add(read);
        (inspection, read, outcome)
    }
}

/// Looks at some torrents from this one on. Returns where to go on, and what was found.
fn look_at(
    library: &Library,
    from: usize,
    which: impl Fn(&Listed) -> bool,
) -> (usize, Vec<(Arc<Listed>, Signature, Look)>) {
    let all = library.torrents();
    let (mut files, mut found) = (0, Vec::new());
    let mut at = from;
    for _ in 0..all.len() {
        let listed = &all[at % all.len()];
        at = (at + 1) % all.len();
        if listed.is_on_disk() && which(listed) {
            let seen = listed.signature();
            let look = listed.compare(&seen);
            files += seen.len();
            found.push((listed.clone(), seen, look));
        }
        if files >= LOOK_FILES {
            break;
        }
    }
    (at, found)
}

/// Where this seeder remembers, if anywhere.
pub fn memory_path(shared: &Shared) -> Option<PathBuf> {
    let folder = shared.config.state_dir.as_deref()?;
    let source = match &shared.config.out {
        Source::Out(out) => out,
        Source::Torrents { data, .. } => data,
    };
    Some(memory::path(folder, source))
}

impl Guard {
    /// Writes down what should outlive this run: what was hashed at once, the scrub's place now and then.
    async fn remember(&mut self, last: bool) {
        let Some(path) = self.memory_path.clone() else {
            return;
        };
        let (written, at) = &self.written;
        if !last && at.elapsed() < REMEMBER {
            return;
        }
        let library = self.shared.library();
        let accepted = library.torrents().iter().filter_map(|listed| {
            let files = listed.accepted()?;
            Some((listed.id.clone(), files))
        });
        self.memory.accepted = accepted.collect();
        let changed = *written != self.memory;
        self.written = (self.memory.clone(), Instant::now());
        if changed {
            let memory = self.memory.clone();
            blocking(move || memory.write(&path)).await;
        }
    }
}
