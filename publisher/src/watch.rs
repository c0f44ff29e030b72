//! Keeping `out/` in step with a folder that people drop files into. Events only say where to look; what is
//! there is found by looking, and nothing is published before it is at rest.
//!
//! [`settle`] says when a file is at rest, [`agenda`] what is looked at when, `look` looks, [`events`]
//! turns the system's events into hints, `keeper` joins them; here is the thread that waits.

pub mod agenda;
pub mod events;
mod file_system;
mod inspect;
mod keeper;
mod look;
pub mod settle;

pub use inspect::at_rest;
pub use keeper::Ready;

use crate::derive::{Job, Worker};
use crate::error::PublishError;
use crate::folder;
use crate::publish::{Options, Publisher, Summary};
use crate::report::Reporter;
use events::{Inbox, PROBE, Watches};
use inspect::OnDisk;
use jiff::Timestamp;
use keeper::{Keeper, Outcome};
use look::Ground;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Ends a watch from outside.
#[derive(Debug, Clone)]
pub struct Stop(Arc<Inbox>);

impl Stop {
    /// Asks the watch to end.
    pub fn stop(&self) {
        self.0.add(|hints| hints.stop = true);
    }
}

/// A watched clips folder.
pub struct Watch {
    keeper: Keeper<OnDisk>,
    ground: Arc<Ground>,
    inbox: Arc<Inbox>,
    reporter: Reporter,
    allow_removals: bool,
    /// What the first run left to be made.
    jobs: Vec<Job>,
}

impl Watch {
    /// Starts to watch, before the first run of the publisher. Where the system can't, looking every so often
    /// must do.
    pub fn start(
        clips: &Path,
        out: &Path,
        allow_removals: bool,
        reporter: Reporter,
    ) -> Result<Self, PublishError> {
        let root = clips
            .canonicalize()
            .map_err(|source| PublishError::Folder {
                doing: "watch",
                path: clips.to_owned(),
                source,
            })?;
        let own = out.canonicalize().unwrap_or_else(|_| out.to_owned());
        let shared = file_system::shared(&root);
        let disk = OnDisk {
            shared: shared.is_some(),
        };
        let withdrawn = own.join("withdrawn.json");
        let ground = Arc::new(Ground::new(root, own, shared.is_none()));
        let inbox = Arc::new(Inbox::default());
        // Watched first, looked at then: what comes in between is seen twice rather than never.
        let watches = Watches::start(&ground, &inbox);
        let keeper = Keeper::new(Instant::now(), ground.clone(), withdrawn, disk, reporter);
        let mut watch = Self {
            keeper,
            ground,
            inbox,
            reporter,
            allow_removals,
            jobs: Vec::new(),
        };
        watch.take(watches);
        if let Some(kind) = shared {
            let why = format!("{kind} does not tell of changes that other machines make");
            watch.keeper.poll(&why);
        }
        Ok(watch)
    }

    /// A handle that ends it.
    pub fn stopper(&self) -> Stop {
        Stop(self.inbox.clone())
    }

    /// The first run, in which nothing is published, either, that is still being written. What has only just
    /// come is given the moment it needs to rest.
    pub fn first(&mut self, publisher: &mut Publisher) -> Result<Summary, PublishError> {
        let allow_removals = self.allow_removals;
        let mut all: Result<Summary, PublishError> = Ok(Summary::default());
        let mut run = |ready: &mut Ready<'_>| {
            let result = publish(publisher, allow_removals, ready);
            let outcome = outcome(&result);
            all = result.map(|latest| match &all {
                Ok(before) => joined(before, latest),
                Err(_) => latest,
            });
            outcome
        };
        self.keeper.run(Instant::now(), &[], &mut run);
        let patience = Instant::now() + settle::ORDINARY + settle::QUICK;
        while let Some(at) = self.keeper.rests_at().filter(|at| *at <= patience) {
            let hints = self.inbox.wait(at);
            if hints.stop {
                self.stopper().stop();
                break;
            }
            self.keeper.step(Instant::now(), hints, &mut run);
        }
        let summary = all?;
        self.jobs.clone_from(&summary.jobs);
        Ok(summary)
    }

    /// Runs the publisher whenever something has changed and rests, until it is stopped; makes behind it what
    /// is missing. Runs that changed something are told; an error that stays is told once, and tried again.
    pub fn run(
        mut self,
        publisher: &mut Publisher,
        mut told: impl FnMut(Result<Summary, PublishError>),
    ) {
        let inbox = self.inbox.clone();
        let wake = move || inbox.add(|hints| hints.derived = true);
        let worker = Worker::start(publisher.derived(), self.reporter, wake);
        worker.set(std::mem::take(&mut self.jobs));
        let allow_removals = self.allow_removals;
        let mut last = None;
        // What was heard during the first run.
        let mut hints = self.inbox.wait(Instant::now());
        while !hints.stop {
            let again = self.keeper.step(Instant::now(), hints, &mut |ready| {
                let result = publish(publisher, allow_removals, ready);
                if let Ok(summary) = &result {
                    worker.set(summary.jobs.clone());
                }
                let outcome = outcome(&result);
                let state = match &result {
                    Ok(summary) => Ok((summary.releases, summary.problems)),
                    Err(error) => Err(error.to_string()),
                };
                let is_news = last.as_ref() != Some(&state);
                last = Some(state);
                if is_news || result.as_ref().is_ok_and(has_changed) {
                    told(result);
                }
                outcome
            });
            if self.keeper.take_rewatch() {
                let watches = Watches::start(&self.ground, &self.inbox);
                self.take(watches);
            }
            hints = self.inbox.wait(again);
        }
    }

    fn take(&mut self, watches: notify::Result<Watches>) {
        match watches {
            Ok(watches) => {
                let tested = probe(self.ground.root());
                self.keeper.watched_by(Instant::now(), watches, tested);
            }
            Err(error) => self.keeper.poll(&events::explain(&error)),
        }
    }
}

fn publish(
    publisher: &mut Publisher,
    allow_removals: bool,
    ready: &mut Ready<'_>,
) -> Result<Summary, PublishError> {
    let options = Options {
        allow_removals,
        once: false,
        ready: Some(ready),
    };
    publisher.run(Timestamp::now(), options)
}

fn outcome(result: &Result<Summary, PublishError>) -> Outcome {
    let until = |next: Timestamp| {
        Duration::try_from(next.duration_since(Timestamp::now())).unwrap_or_default()
    };
    Outcome {
        whole: result.as_ref().is_ok_and(|summary| summary.problems == 0),
        next: result
            .as_ref()
            .ok()
            .and_then(|summary| summary.next)
            .map(until),
    }
}

/// What two runs did together.
fn joined(before: &Summary, latest: Summary) -> Summary {
    Summary {
        published: before.published + latest.published,
        renamed: before.renamed + latest.renamed,
        removed: before.removed + latest.removed,
        written: before.written + latest.written,
        ..latest
    }
}

/// Whether a run did anything that shows.
fn has_changed(summary: &Summary) -> bool {
    summary.published + summary.renamed + summary.removed + summary.written > 0
}

/// Makes a file that the system should tell of, and removes it. `false` where it can't be made.
fn probe(root: &Path) -> bool {
    let path = root.join(format!("{PROBE}{}", std::process::id()));
    let made = std::fs::File::create_new(&path).is_ok();
    // Hidden, so no harm is done by one that stays.
    let _ = std::fs::remove_file(&path);
    made
}

/// Whether a clips folder holds anything yet; for the words at the start.
pub fn is_empty(clips: &Path) -> bool {
    folder::list(clips, &[])
        .is_ok_and(|listing| listing.releases.is_empty() && listing.problems.is_empty())
}
