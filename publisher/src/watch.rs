//! Keeping `out/` in step: the system's events only say "look again"; what to do is found by looking.
//! A run follows when the folder has been quiet for a while, and every so often without any event.

use crate::error::PublishError;
use crate::file_type::is_passed_over;
use crate::folder;
use crate::publish::Publisher;
use jiff::Timestamp;
use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecursiveMode, Watcher};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How long the folder must be quiet: a file that is still being copied makes noise.
const QUIET: Duration = Duration::from_millis(1000);

/// How often to look without an event: some file systems send none.
const RESCAN: Duration = Duration::from_secs(10);

/// How often to run without a change: torrents whose grace is over leave the disk.
const RERUN: Duration = Duration::from_secs(3600);

/// What wakes the watcher.
enum Wake {
    Changed,
    Stop,
}

/// Ends a watch from outside.
#[derive(Clone)]
pub struct Stop(mpsc::Sender<Wake>);

impl Stop {
    /// Asks the watch to end.
    pub fn stop(&self) {
        // A watch that has ended already needs no word.
        let _ = self.0.send(Wake::Stop);
    }
}

/// A watched clips folder.
pub struct Watch {
    clips: PathBuf,
    out: PathBuf,
    /// The folder before the first run: what comes while that run lasts is a change.
    seen: Signature,
    events: mpsc::Receiver<Wake>,
    stop: Stop,
    _watcher: Option<notify::RecommendedWatcher>,
}

impl Watch {
    /// Starts to watch, before the first run of the publisher. Where the system can't, looking every so often must do.
    pub fn start(clips: &Path, out: &Path) -> Result<Self, PublishError> {
        let (sender, events) = mpsc::channel();
        let stop = Stop(sender.clone());
        let own = out.canonicalize().unwrap_or_else(|_| out.to_owned());
        let root = clips
            .canonicalize()
            .map_err(|source| PublishError::Folder {
                doing: "watch",
                path: clips.to_owned(),
                source,
            })?;
        let watched = root.clone();
        let handler = move |event: notify::Result<notify::Event>| {
            let wakes = event.map_or(true, |event| concerns(&event, &watched, &own));
            if wakes {
                let _ = sender.send(Wake::Changed);
            }
        };
        let watcher = notify::recommended_watcher(handler).and_then(|mut watcher| {
            watcher.watch(&root, RecursiveMode::Recursive)?;
            Ok(watcher)
        });
        if let Err(error) = &watcher {
            tracing::warn!(%error, "no change notifications; looking every {} s instead", RESCAN.as_secs());
        }
        Ok(Self {
            clips: clips.to_owned(),
            out: out.to_owned(),
            seen: signature(clips),
            events,
            stop,
            _watcher: watcher.ok(),
        })
    }

    /// A handle that ends it.
    pub fn stopper(&self) -> Stop {
        self.stop.clone()
    }

    /// Runs the publisher whenever the folder has changed and rests, until it is stopped. An error of one
    /// run is told, and tried again at the next change.
    pub fn run(
        self,
        publisher: &mut Publisher,
        mut told: impl FnMut(Result<crate::publish::Summary, PublishError>),
    ) {
        let mut seen = Some(self.seen);
        let mut noise: Option<Instant> = None;
        let mut last_run = Instant::now();
        let mut last_error = None;
        loop {
            let wait = noise.map_or(RESCAN, |at| QUIET.saturating_sub(at.elapsed()));
            match self.events.recv_timeout(wait) {
                Ok(Wake::Changed) => {
                    noise = Some(Instant::now());
                    continue;
                }
                Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            let now = signature(&self.clips);
            let changed = seen.as_ref() != Some(&now);
            if !changed && last_run.elapsed() < RERUN {
                noise = None;
                continue;
            }
            if changed && noise.take().is_none() {
                // Found without an event: rest once more before believing it.
                noise = Some(Instant::now());
                continue;
            }
            let result = publisher.run(Timestamp::now());
            last_run = Instant::now();
            // What could not be published is tried again at the next look, without a change.
            let whole = result.as_ref().is_ok_and(|summary| summary.problems == 0);
            seen = whole.then_some(now);
            let error = result.as_ref().err().map(ToString::to_string);
            if error.is_none() || error != last_error {
                told(result);
            }
            last_error = error;
        }
    }

    /// Where the watch publishes to.
    pub fn out(&self) -> &Path {
        &self.out
    }
}

type Signature = Vec<(PathBuf, u64, i64)>;

/// Names, sizes and times of everything in the folder that is not passed over. A folder that can't be
/// read is another than one that can.
fn signature(clips: &Path) -> Signature {
    let shown = |entry: &walkdir::DirEntry| {
        entry.depth() == 0 || !entry.file_name().to_str().is_some_and(is_passed_over)
    };
    walkdir::WalkDir::new(clips)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(shown)
        .filter_map(Result::ok)
        .filter(|entry| !entry.file_type().is_dir())
        .map(|entry| {
            let stat = store::stat_record(entry.path()).ok();
            (
                entry.into_path(),
                stat.map_or(0, |stat| stat.bytes),
                stat.map_or(0, |stat| stat.mtime_ns),
            )
        })
        .collect()
}

/// Whether an event may mean another release: our own reads and writes don't.
fn concerns(event: &notify::Event, clips: &Path, out: &Path) -> bool {
    let content = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    };
    let passed_over = |path: &PathBuf| {
        let hidden = path.strip_prefix(clips).is_ok_and(|below| {
            below
                .iter()
                .any(|part| part.to_str().is_some_and(is_passed_over))
        });
        hidden || path.starts_with(out)
    };
    content && (event.paths.is_empty() || !event.paths.iter().all(passed_over))
}

/// Whether a clips folder holds anything yet; for the words at the start.
pub fn is_empty(clips: &Path) -> bool {
    folder::list(clips, &[])
        .is_ok_and(|listing| listing.releases.is_empty() && listing.problems.is_empty())
}
