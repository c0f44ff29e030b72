//! Keeps the library in step with its source: looks at the state file, loads it when it has changed, says what is served
//! whenever that has changed.

use super::{Loaded, Shared, blocking};
use crate::config::Source;
use crate::error::ServeError;
use crate::library::memory::Memory;
use crate::library::{Alarm, Library, Load};
use metainfo::state::StatRecord;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{Notify, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// How often the state is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How long a change waits for others to be told with.
const TOGETHER: Duration = Duration::from_millis(100);
/// How often the tracker forgets some of who hasn't come back.
const EXPIRE: Duration = Duration::from_secs(5);

/// The task.
pub(super) struct Follower {
    shared: Arc<Shared>,
    loaded: watch::Sender<Option<Loaded>>,
    nudged: Arc<Notify>,
    alarm: Alarm,
    memory: Memory,
    /// What the state file was when it was read.
    seen: Option<StatRecord>,
    /// When the first grace ends.
    next_end: Option<SystemTime>,
}

impl Follower {
    pub fn new(
        shared: Arc<Shared>,
        loaded: watch::Sender<Option<Loaded>>,
        nudged: Arc<Notify>,
        alarm: Alarm,
        memory: Memory,
    ) -> Self {
        Self {
            shared,
            loaded,
            nudged,
            alarm,
            memory,
            seen: None,
            next_end: None,
        }
    }

    /// Loads the source: the first time, or because it has changed.
    pub async fn load(&mut self) -> Result<(), ServeError> {
        let (source, before) = (self.shared.config.out.clone(), self.shared.library());
        if let Source::Out(out) = &source {
            self.seen = stat_of(&out.join("state.json")).await;
        }
        let (alarm, memory) = (self.alarm.clone(), self.memory.clone());
        let load = blocking(move || match source {
            Source::Out(out) => {
                Library::from_out(&out, &before, SystemTime::now(), &memory, &alarm)
            }
            Source::Torrents { files, data } => Ok(Library::from_torrents(&files, &data, &alarm)),
        });
        let Load { library, next_end } = load.await?;
        self.next_end = next_end;
        if library.torrents().is_empty()
            && matches!(&self.shared.config.out, Source::Torrents { files, .. } if !files.is_empty())
        {
            return Err(ServeError::NothingToServe);
        }
        self.shared.replace(library);
        Ok(())
    }

    /// Says what is served now.
    pub fn tell(&self) {
        self.loaded.send_replace(Some(self.shared.loaded()));
    }

    /// Follows the state file, and `changes` in what can be served of it.
    pub async fn follow(&mut self, mut changes: watch::Receiver<u64>) {
        if let Source::Out(out) = &self.shared.config.out {
            let (seen, nudged) = (self.seen, self.nudged.clone());
            watch_state(out.join("state.json"), seen, nudged, &self.shared.stop);
        }
        let mut expire = tokio::time::interval(EXPIRE);
        expire.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let grace_over = async {
                match self.next_end {
                    Some(end) => tokio::time::sleep(until(end)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.nudged.notified() => {}
                () = grace_over => {}
                changed = changes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    // Many that change at once are told of a few times, not one by one.
                    tokio::time::sleep(TOGETHER).await;
                    changes.mark_unchanged();
                    self.tell();
                    continue;
                }
                _ = expire.tick() => {
                    self.shared.tracker.expire(Instant::now());
                    continue;
                }
            }
            let Source::Out(out) = &self.shared.config.out else {
                continue;
            };
            let grace_over = self.next_end.is_some_and(|end| end <= SystemTime::now());
            if !grace_over && stat_of(&out.join("state.json")).await == self.seen {
                continue;
            }
            match self.load().await {
                Ok(()) => self.tell(),
                Err(error) => {
                    self.next_end = None;
                    tracing::warn!("what was served before is served on: {error}");
                }
            }
        }
    }
}

/// The time until then.
fn until(end: SystemTime) -> Duration {
    // Clocks are set; whoever sleeps long looks again.
    let left = end.duration_since(SystemTime::now());
    left.unwrap_or(Duration::ZERO).min(Duration::from_secs(60))
}

/// Looks at the state file on a thread of its own, which costs nothing while it sleeps, and nudges when it is another
/// than it was. It ends with the seeder.
fn watch_state(
    path: PathBuf,
    mut seen: Option<StatRecord>,
    nudged: Arc<Notify>,
    stop: &CancellationToken,
) {
    let stop = stop.clone();
    let look = move || {
        while !stop.is_cancelled() {
            std::thread::sleep(LOOK);
            let now = store::stat_record(&path).ok();
            if now != seen {
                seen = now;
                nudged.notify_one();
            }
        }
    };
    let thread = std::thread::Builder::new().name("state".to_owned());
    if let Err(error) = thread.spawn(look) {
        tracing::warn!("changes of the state are not followed: {error}");
    }
}

async fn stat_of(path: &Path) -> Option<StatRecord> {
    let path = path.to_owned();
    blocking(move || store::stat_record(&path).ok()).await
}
