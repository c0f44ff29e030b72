//! What the watch does between two waits: takes in hints, looks where they point (and at everything now and
//! then), and calls for a run when something that has changed is at rest. Time comes from the caller; the
//! clock is read only to learn what looking and publishing cost, so that neither keeps a core busy.

use crate::folder::{FoundFile, FoundRelease};
use crate::report::{Reporter, one_line};
use crate::watch::agenda::{Agenda, Audience, Change, Tell};
use crate::watch::events::{Hints, LIMIT, Watches};
use crate::watch::look::{Fingerprints, Ground, change_of};
use crate::watch::settle::{Inspect, QUICK, Settle, Sight, Verdict};
use metainfo::state::StatRecord;
use serde_json::json;
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often to look at everything while the system tells of changes.
const LOOK: Duration = Duration::from_secs(10);
/// How often where it does not.
const POLL: Duration = Duration::from_secs(2);
/// How often to look whether something is to be withdrawn.
const WITHDRAWN: Duration = Duration::from_millis(500);
/// How long an event may take in the self-test.
const PROBE: Duration = Duration::from_secs(2);
/// How often to run without a change: torrents whose grace is over leave the disk.
const RERUN: Duration = Duration::from_secs(3600);
/// How soon to try again what could not be published.
const RETRY: Duration = Duration::from_secs(10);
/// Pages follow what was derived at most this often.
const DERIVED: Duration = Duration::from_millis(200);
/// What is done without being asked may take one part in this many of a core.
const SHARE: u32 = 20;

/// Says whether a found release may be published, else why not, as a clause.
pub type Ready<'a> = dyn FnMut(&FoundRelease) -> Result<(), String> + 'a;

/// What a run left to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Whether everything that is ready could be published.
    pub whole: bool,
    /// After how long something is to go live by itself.
    pub next: Option<Duration>,
}

/// A watched folder and what is known of it.
pub struct Keeper<I> {
    ground: Arc<Ground>,
    watches: Option<Watches>,
    inspect: I,
    reporter: Reporter,
    settle: Settle,
    agenda: Agenda,
    fingerprints: Fingerprints,
    /// Which folder it was: another may be put in its place.
    identity: Option<(u64, u64)>,
    withdrawn: PathBuf,
    withdrawn_seen: Option<StatRecord>,
    every: Duration,
    look_at: Instant,
    look_cost: Duration,
    run_at: Instant,
    run_cost: Duration,
    derived_at: Option<Instant>,
    probe_by: Option<Instant>,
    rewatch: bool,
}

impl<I: Inspect> Keeper<I> {
    /// Looks at everything for the first time. What comes after that is a change.
    pub fn new(
        now: Instant,
        ground: Arc<Ground>,
        withdrawn: PathBuf,
        inspect: I,
        reporter: Reporter,
    ) -> Self {
        let mut keeper = Self {
            watches: None,
            inspect,
            reporter,
            settle: Settle::default(),
            agenda: Agenda::default(),
            fingerprints: Fingerprints::default(),
            identity: ground.identity(),
            withdrawn_seen: None,
            withdrawn,
            every: LOOK,
            look_at: now + LOOK,
            look_cost: Duration::ZERO,
            run_at: now + RERUN,
            run_cost: Duration::ZERO,
            derived_at: None,
            probe_by: None,
            rewatch: false,
            ground,
        };
        let started = Instant::now();
        if let Ok(found) = keeper.ground.everything(&keeper.fingerprints) {
            keeper.fingerprints = found.fingerprints;
        }
        keeper.looked(now, started.elapsed());
        keeper
    }

    /// Takes the system's watches. Where a file could be made for it, they are tested.
    pub fn watched_by(&mut self, now: Instant, watches: Watches, tested: bool) {
        self.watches = Some(watches);
        self.probe_by = tested.then(|| now + PROBE);
    }

    /// Looks every two seconds from now on, and says why.
    pub fn poll(&mut self, why: &str) {
        if self.every == POLL {
            return;
        }
        self.every = POLL;
        self.look_at = self.look_at.min(Instant::now() + POLL);
        self.reporter
            .line(&format!("  {why}; looking every {} s", POLL.as_secs()));
        self.reporter
            .event(|| json!({"event": "polling", "reason": why, "every_seconds": POLL.as_secs()}));
    }

    /// Whether the watched folder was replaced, so that the system's watches are to be taken anew. Told once.
    pub fn take_rewatch(&mut self) -> bool {
        std::mem::take(&mut self.rewatch)
    }

    /// Does what is to be done now, `run` included; gives when to come again at the latest.
    pub fn step(
        &mut self,
        now: Instant,
        hints: Hints,
        run: &mut dyn FnMut(&mut Ready<'_>) -> Outcome,
    ) -> Instant {
        if hints.limit {
            self.poll(LIMIT);
        }
        if hints.probe {
            self.probe_by = None;
        } else if self.probe_by.is_some_and(|by| by <= now) {
            self.probe_by = None;
            self.poll("no change notifications on this file system");
        }
        if hints.rescan {
            // A flood of events must not become a flood of looks.
            self.look_at = self.look_at.min(now + self.look_cost * 4);
        }
        if hints.derived {
            let rest = DERIVED.max(self.run_cost * 4);
            self.derived_at.get_or_insert(now + rest);
        }
        for (path, closed) in hints.paths {
            self.noticed(now, &path, closed);
        }
        let mut wanted = false;
        if self.look_at <= now {
            wanted |= self.look_at_everything(now);
        }
        let withdrawn = store::stat_record(&self.withdrawn).ok();
        wanted |= withdrawn != self.withdrawn_seen;
        wanted |= self.run_at <= now || self.derived_at.is_some_and(|at| at <= now);
        let ready = self.due(now);
        for tell in self.agenda.tell(now) {
            self.tell(&tell);
        }
        if wanted || !ready.is_empty() {
            self.run(now, &ready, run);
        }
        let times = [
            Some(now + WITHDRAWN),
            Some(self.look_at),
            Some(self.run_at),
            self.derived_at,
            self.probe_by,
            self.agenda.next(),
        ];
        times.into_iter().flatten().min().unwrap_or(now)
    }

    /// When the first of what waits for nothing but rest will have rested.
    pub fn rests_at(&self) -> Option<Instant> {
        self.agenda.next_look()
    }

    /// Publishes. Entries in `ready` are believed to be at rest; each release is asked about again.
    pub fn run(
        &mut self,
        now: Instant,
        ready: &[OsString],
        run: &mut dyn FnMut(&mut Ready<'_>) -> Outcome,
    ) {
        self.withdrawn_seen = store::stat_record(&self.withdrawn).ok();
        self.derived_at = None;
        for name in ready {
            self.agenda.done(name);
        }
        let mut asked: Vec<String> = Vec::new();
        let started = Instant::now();
        let outcome = run(&mut |found| {
            asked.push(found.source.clone());
            self.is_ready(now + started.elapsed(), found)
        });
        self.run_cost = started.elapsed();
        let done = now + self.run_cost;
        let names = asked.iter().map(OsStr::new);
        let names = ready.iter().map(OsString::as_os_str).chain(names);
        let settled: HashSet<&OsStr> = names.filter(|name| !self.agenda.holds(name)).collect();
        let ground = &self.ground;
        self.settle.keep(|path| {
            !ground
                .entry_of(path)
                .is_some_and(|name| settled.contains(name))
        });
        let retry = (!outcome.whole).then(|| RETRY.max(self.run_cost * SHARE));
        let soonest = [Some(RERUN), retry, outcome.next];
        self.run_at = done + soonest.into_iter().flatten().min().unwrap_or(RERUN);
    }

    fn is_ready(&mut self, now: Instant, found: &FoundRelease) -> Result<(), String> {
        let name = OsStr::new(&found.source);
        let in_folder = found
            .files
            .first()
            .is_some_and(|file| !file.path.is_empty());
        // The list may be older than the file: much may have been published since it was made.
        // The folder may have been listed under another spelling of its path than the one events come with.
        let entry = self.ground.root().join(name);
        let sight = |file: &FoundFile| {
            let mut path = entry.clone();
            path.extend(&file.path);
            let stat = store::stat_record(&path).ok();
            let stat = stat.filter(|stat| stat.same_content(&file.stat))?;
            Some(self.ground.sight(path, stat))
        };
        let sights: Option<Vec<Sight>> = found.files.iter().map(sight).collect();
        let verdict = match sights {
            Some(sights) => self
                .settle
                .verdict(now, &sights, in_folder, &mut self.inspect),
            None => Verdict::WaitUntil(now + QUICK),
        };
        let Some(reason) = verdict.reason() else {
            if self.agenda.holds(name) {
                // It goes with a run that something else called for, and needs none of its own.
                let look = self.ground.entry(name);
                self.ground.remember(&mut self.fingerprints, name, &look);
                self.agenda.done(name);
            }
            return Ok(());
        };
        // When it is ready it is a change, though it may look as it does now.
        self.ground.forget(&mut self.fingerprints, name);
        if let Some(tell) = self.agenda.waits(now, name, &verdict) {
            self.tell(&tell);
        }
        Err(reason.to_owned())
    }

    /// Something happened at a path.
    fn noticed(&mut self, now: Instant, path: &Path, closed: bool) {
        let Some(name) = self.ground.entry_of(path) else {
            return;
        };
        let is_folder = path.symlink_metadata().is_ok_and(|found| found.is_dir());
        if is_folder && let Some(watches) = &mut self.watches {
            // Before looking: what comes after the look is an event.
            if let Err(error) = watches.add(path) {
                self.poll(&super::events::explain(&error));
            }
        }
        let look = self.ground.below(path);
        for sight in &look.sights {
            self.settle.observe(now, sight);
            match (closed, is_folder) {
                (true, true) => self.settle.came_whole(&sight.path),
                (true, false) => self.settle.closed(&sight.path),
                (false, _) => {}
            }
        }
        if !look.exists {
            self.settle.forget(path);
        }
        let is_entry = path.parent() == Some(self.ground.root());
        let change = match (is_entry, look.exists) {
            (true, false) => Change::Gone,
            (true, true) if !is_folder => change_of(name),
            _ => Change::Payload,
        };
        self.agenda.changed(now, name, change);
    }

    /// Looks at the entries that are due, and gives those that are ready and new.
    fn due(&mut self, now: Instant) -> Vec<OsString> {
        let mut ready = Vec::new();
        for (name, change) in self.agenda.due(now) {
            let started = Instant::now();
            let look = self.ground.entry(&name);
            let mut verdict = match change {
                Change::Sidecar => Verdict::Ready,
                Change::Payload | Change::Gone => {
                    self.settle
                        .verdict(now, &look.sights, look.is_folder, &mut self.inspect)
                }
            };
            if verdict == Verdict::Ready {
                if self.ground.remember(&mut self.fingerprints, &name, &look) {
                    ready.push(name);
                } else {
                    self.agenda.done(&name);
                    self.settle.forget(&self.ground.root().join(&name));
                }
                continue;
            }
            // A folder of very many files is not looked at all the time.
            verdict.not_before(now + started.elapsed() * SHARE);
            if let Some(tell) = self.agenda.waits(now, &name, &verdict) {
                self.tell(&tell);
            }
        }
        ready
    }

    /// Gives whether to run at once.
    fn look_at_everything(&mut self, now: Instant) -> bool {
        let started = Instant::now();
        let identity = self.ground.identity();
        let other = identity != self.identity;
        self.identity = identity;
        self.rewatch |= other && identity.is_some();
        let Ok(found) = self.ground.everything(&self.fingerprints) else {
            // The run finds the folder gone or unreadable, and says so.
            self.looked(now, started.elapsed());
            return true;
        };
        for name in &found.changed {
            let look = self.ground.entry(name);
            let mut news = false;
            for sight in &look.sights {
                news |= self.settle.observe(now, sight);
            }
            if news || !self.agenda.holds(name) {
                let change = if look.is_folder {
                    Change::Payload
                } else {
                    change_of(name)
                };
                self.agenda.changed(now, name, change);
            }
        }
        Ground::drop_vanished(&mut self.fingerprints, &found.fingerprints);
        self.looked(now, started.elapsed());
        found.vanished || other
    }

    fn looked(&mut self, now: Instant, cost: Duration) {
        self.look_cost = cost;
        self.look_at = now + cost + self.every.max(cost * SHARE);
    }

    fn tell(&self, tell: &Tell) {
        let Tell {
            name,
            reason,
            to,
            first,
        } = tell;
        if *first {
            self.reporter
                .event(|| json!({"event": "waiting", "source": name, "reason": reason}));
        }
        let waiting = format!("waiting for {}: {reason}", one_line(name));
        match to {
            Audience::Nobody | Audience::Machines => {}
            Audience::People => self.reporter.line(&format!("  {waiting}")),
            Audience::PeopleWithWarning => {
                let message = format!(
                    "{waiting}; it has not changed for a minute, and is published once it is whole"
                );
                self.reporter.problem("warning", name, &message);
            }
        }
    }
}

#[cfg(test)]
mod tests;
