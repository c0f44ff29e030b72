//! The system's events, as hints where to look. Reading is no hint, so the publisher's own passes wake
//! nobody; hidden names, partial downloads and the publisher's own folder are passed over here already.
//! Hints of many events are gathered by path and bounded: too many of them mean "look at everything".

use crate::watch::look::Ground;
use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind, RenameMode};
use notify::{ErrorKind, RecursiveMode, Watcher, WatcherKind};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Names of files by which the watch tests itself. Hidden: no release.
pub const PROBE: &str = ".groundswell-probe-";

/// How long to gather what is not urgent: a writer makes an event for each of its writes.
const GATHER: Duration = Duration::from_millis(40);
/// Hints to hold by path.
const MOST_PATHS: usize = 10_000;

/// What has been heard since it was last taken.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// Paths where something happened, and whether the last that happened there is that a writer closed
    /// the file, or that it was renamed to this name.
    pub paths: HashMap<PathBuf, bool>,
    /// Events were lost, or concern the watched folder itself.
    pub rescan: bool,
    /// The file of the self-test was noticed.
    pub probe: bool,
    /// No further folder can be watched: the system's limit is reached.
    pub limit: bool,
    /// Something was derived that pages can show.
    pub derived: bool,
    /// The watch is to end.
    pub stop: bool,
}

impl Hints {
    fn is_urgent(&self) -> bool {
        self.rescan
            || self.derived
            || self.stop
            || self.limit
            || self.paths.values().any(|closed| *closed)
    }

    /// Takes in an event or an error. Gives whether it must not wait for others.
    fn take(&mut self, event: notify::Result<notify::Event>, ground: &Ground) -> bool {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                self.limit |= matches!(error.kind, ErrorKind::MaxFilesWatch);
                self.rescan = true;
                return true;
            }
        };
        if event.need_rescan() {
            self.rescan = true;
            return true;
        }
        let meaning = match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => Meaning::Closed,
            EventKind::Access(_) => return false,
            EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Both)) => {
                Meaning::Closed
            }
            EventKind::Modify(ModifyKind::Data(_)) | EventKind::Create(_) => Meaning::Opened,
            _ => Meaning::Touched,
        };
        let last = event.paths.len().saturating_sub(1);
        let mut urgent = false;
        for (n, path) in event.paths.into_iter().enumerate() {
            let is_probe = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with(PROBE);
            if path.file_name().is_some_and(is_probe) {
                self.probe = true;
            } else if path == ground.root() || !path.starts_with(ground.root()) {
                self.rescan = true;
                urgent = true;
            } else if ground.entry_of(&path).is_some() {
                // Where an event names two paths, the last is the new one.
                let closed = meaning == Meaning::Closed && n == last;
                let held = self.paths.entry(path).or_default();
                *held = closed || (*held && meaning == Meaning::Touched);
                urgent |= closed;
            }
        }
        if self.paths.len() > MOST_PATHS {
            self.paths.clear();
            self.rescan = true;
        }
        urgent
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// A writer closed it, or it was renamed to this name.
    Closed,
    /// Somebody writes.
    Opened,
    /// Anything else.
    Touched,
}

/// Where hints are gathered until the watch takes them.
#[derive(Debug, Default)]
pub struct Inbox {
    hints: Mutex<Hints>,
    came: Condvar,
}

impl Inbox {
    /// Adds to what is held and wakes the watch.
    pub fn add(&self, change: impl FnOnce(&mut Hints)) {
        change(&mut self.lock());
        self.came.notify_one();
    }

    fn take_event(&self, event: notify::Result<notify::Event>, ground: &Ground) {
        let mut hints = self.lock();
        let nothing_held = *hints == Hints::default();
        let urgent = hints.take(event, ground);
        // The watch wakes for the first hint and gathers then; the others needn't wake it again.
        let wakes = urgent || (nothing_held && *hints != Hints::default());
        drop(hints);
        if wakes {
            self.came.notify_one();
        }
    }

    /// Waits for hints until then, and takes them.
    pub fn wait(&self, until: Instant) -> Hints {
        let mut hints = self.lock();
        while *hints == Hints::default() {
            match self.sleep(hints, until) {
                Ok(woken) => hints = woken,
                Err(mut held) => return std::mem::take(&mut held),
            }
        }
        let gathered = Instant::now() + GATHER;
        while !hints.is_urgent() {
            match self.sleep(hints, gathered) {
                Ok(woken) => hints = woken,
                Err(mut held) => return std::mem::take(&mut held),
            }
        }
        std::mem::take(&mut hints)
    }

    /// `Err` when the time has come.
    fn sleep<'a>(
        &self,
        hints: MutexGuard<'a, Hints>,
        until: Instant,
    ) -> Result<MutexGuard<'a, Hints>, MutexGuard<'a, Hints>> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(hints);
        }
        let woken = self.came.wait_timeout(hints, left);
        Ok(woken.unwrap_or_else(PoisonError::into_inner).0)
    }

    fn lock(&self) -> MutexGuard<'_, Hints> {
        self.hints.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The system's watches on the folder and the folders in it.
pub struct Watches {
    watcher: notify::RecommendedWatcher,
    ground: Arc<Ground>,
}

impl Watches {
    /// Watches everything below the folder.
    pub fn start(ground: &Arc<Ground>, inbox: &Arc<Inbox>) -> notify::Result<Self> {
        let (to, seen) = (inbox.clone(), ground.clone());
        let watcher = notify::recommended_watcher(move |event| to.take_event(event, &seen))?;
        let mut watches = Self {
            watcher,
            ground: ground.clone(),
        };
        if by_folder() {
            watches.add(ground.root())?;
        } else {
            watches
                .watcher
                .watch(ground.root(), RecursiveMode::Recursive)?;
        }
        Ok(watches)
    }

    /// Watches a folder that has come, with those in it. What was put there before that is found by looking
    /// afterwards.
    pub fn add(&mut self, folder: &Path) -> notify::Result<()> {
        if !by_folder() {
            return Ok(());
        }
        for folder in self.ground.folders(folder) {
            match self.watcher.watch(&folder, RecursiveMode::NonRecursive) {
                // It is gone again, or not ours to read: publishing will say so.
                Err(error) if folder != self.ground.root() && !is_limit(&error) => {
                    tracing::debug!("not watched: {}: {error}", folder.display());
                }
                result => result?,
            }
        }
        Ok(())
    }
}

/// Whether each folder needs a watch of its own. Doing it here leaves the publisher's own folders out,
/// which may be many and are busy.
fn by_folder() -> bool {
    notify::RecommendedWatcher::kind() == WatcherKind::Inotify
}

fn is_limit(error: &notify::Error) -> bool {
    matches!(error.kind, ErrorKind::MaxFilesWatch)
}

/// Why the system can't tell of changes, as a clause with its remedy.
pub fn explain(error: &notify::Error) -> String {
    // EMFILE
    const TOO_MANY_OPEN: i32 = 24;
    match &error.kind {
        ErrorKind::MaxFilesWatch => LIMIT.to_owned(),
        ErrorKind::Io(source) if cfg!(target_os = "linux") && source.raw_os_error() == Some(TOO_MANY_OPEN) => {
            "this user has too many watchers (raise it with `sysctl fs.inotify.max_user_instances=1024`)".to_owned()
        }
        _ => format!("the system does not tell of changes ({error})"),
    }
}

/// What to do about the limit of watches.
pub const LIMIT: &str = "there are more folders than the system lets one user watch (raise it with `sysctl fs.inotify.max_user_watches=1048576`)";

#[cfg(test)]
mod tests {
    use super::*;
    use notify::Event;
    use notify::event::{CreateKind, DataChange, Flag, MetadataKind, RemoveKind};

    const WRITE: EventKind = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    const CLOSE: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Write));
    const CREATE: EventKind = EventKind::Create(CreateKind::File);
    const CHMOD: EventKind = EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any));
    const REMOVE: EventKind = EventKind::Remove(RemoveKind::File);
    const TO: EventKind = EventKind::Modify(ModifyKind::Name(RenameMode::To));
    const FROM: EventKind = EventKind::Modify(ModifyKind::Name(RenameMode::From));
    const BOTH: EventKind = EventKind::Modify(ModifyKind::Name(RenameMode::Both));

    fn ground() -> Ground {
        Ground::new("/clips".into(), "/clips/public".into(), true)
    }

    fn heard(events: &[(EventKind, &[&str])]) -> Hints {
        let mut hints = Hints::default();
        for (kind, paths) in events {
            let mut event = Event::new(*kind);
            event.paths = paths.iter().map(PathBuf::from).collect();
            hints.take(Ok(event), &ground());
        }
        hints
    }

    fn paths(hints: &Hints) -> Vec<(&str, bool)> {
        let mut paths: Vec<_> = hints
            .paths
            .iter()
            .map(|(path, closed)| (path.to_str().unwrap(), *closed))
            .collect();
        paths.sort();
        paths
    }

    #[test]
    fn reading_is_no_hint() {
        let reads = [
            AccessKind::Any,
            AccessKind::Read,
            AccessKind::Open(AccessMode::Any),
            AccessKind::Close(AccessMode::Read),
            AccessKind::Close(AccessMode::Any),
        ];
        for read in reads {
            let hints = heard(&[(EventKind::Access(read), &["/clips/a.mp4"])]);
            assert_eq!(hints, Hints::default(), "{read:?}");
        }
    }

    #[test]
    fn the_last_thing_that_happened_counts() {
        let a: &[&str] = &["/clips/a.mp4"];
        let table: [(&[EventKind], bool); 8] = [
            (&[CREATE, WRITE, CLOSE], true),
            (&[CREATE, WRITE], false),
            (&[CLOSE, WRITE], false),
            (&[CLOSE, CREATE], false),
            (&[CLOSE, CHMOD], true),
            (&[CHMOD], false),
            (&[TO], true),
            (&[CLOSE, WRITE, CLOSE], true),
        ];
        for (kinds, closed) in table {
            let events: Vec<_> = kinds.iter().map(|kind| (*kind, a)).collect();
            assert_eq!(
                paths(&heard(&events)),
                [("/clips/a.mp4", closed)],
                "{kinds:?}"
            );
        }
        assert_eq!(paths(&heard(&[(REMOVE, a)])), [("/clips/a.mp4", false)]);
    }

    #[test]
    fn a_rename_closes_the_new_name() {
        let both = heard(&[
            (FROM, &["/clips/a.mp4"]),
            (TO, &["/clips/b.mp4"]),
            (BOTH, &["/clips/a.mp4", "/clips/b.mp4"]),
        ]);
        assert_eq!(
            paths(&both),
            [("/clips/a.mp4", false), ("/clips/b.mp4", true)]
        );
        let from_hidden = heard(&[(BOTH, &["/clips/.b.mp4.x1Y2z3", "/clips/b.mp4"])]);
        assert_eq!(paths(&from_hidden), [("/clips/b.mp4", true)]);
    }

    #[test]
    fn what_is_passed_over_and_our_own_are_no_hints() {
        for path in [
            "/clips/.groundswell/state.json",
            "/clips/public/site/index.html",
            "/clips/public",
            "/clips/a.mp4.part",
            "/clips/album/.a.flac.Xy",
        ] {
            assert_eq!(heard(&[(CLOSE, &[path])]), Hints::default(), "{path}");
        }
    }

    #[test]
    fn the_self_test_is_heard_and_the_folder_itself_is_looked_at() {
        let probe = heard(&[(CREATE, &["/clips/.groundswell-probe-12"])]);
        assert!(probe.probe && probe.paths.is_empty());
        for kind in [REMOVE, FROM] {
            assert!(heard(&[(kind, &["/clips"])]).rescan);
        }
        assert!(heard(&[(WRITE, &["/elsewhere"])]).rescan);
    }

    #[test]
    fn lost_events_and_errors_mean_to_look() {
        let mut hints = Hints::default();
        let lost = Event::new(EventKind::Other).set_flag(Flag::Rescan);
        assert!(hints.take(Ok(lost), &ground()));
        assert!(hints.rescan && !hints.limit);
        let mut hints = Hints::default();
        hints.take(Err(notify::Error::new(ErrorKind::MaxFilesWatch)), &ground());
        assert!(hints.rescan && hints.limit);
        let explained = explain(&notify::Error::new(ErrorKind::MaxFilesWatch));
        assert!(explained.contains("fs.inotify.max_user_watches"));
    }

    #[test]
    fn a_flood_becomes_one_look() {
        let mut hints = Hints::default();
        for n in 0..=MOST_PATHS {
            let event = Event::new(CREATE).add_path(format!("/clips/{n}.mp4").into());
            hints.take(Ok(event), &ground());
        }
        assert!(hints.rescan && hints.paths.is_empty());
    }

    #[test]
    fn the_inbox_gives_what_it_holds_once() {
        let inbox = Inbox::default();
        inbox.add(|hints| hints.stop = true);
        assert!(inbox.wait(Instant::now()).stop);
        assert_eq!(inbox.wait(Instant::now()), Hints::default());
    }

    /// Waits for the system's events until one concerns this path; gives everything heard by then.
    #[cfg(target_os = "linux")]
    fn until(inbox: &Inbox, path: &Path) -> Hints {
        let patience = Instant::now() + Duration::from_secs(60);
        let mut all = Hints::default();
        while !all.paths.contains_key(path) {
            assert!(
                Instant::now() < patience,
                "{} was not heard of",
                path.display()
            );
            let hints = inbox.wait(patience);
            all.paths.extend(hints.paths);
            all.rescan |= hints.rescan;
            all.probe |= hints.probe;
        }
        all
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_system_tells_of_files_in_new_folders_and_not_of_our_own() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let own = root.join("public");
        std::fs::create_dir_all(own.join("site")).unwrap();
        std::fs::write(root.join("read.mp4"), b"x").unwrap();
        let ground = Arc::new(Ground::new(root.clone(), own.clone(), true));
        let inbox = Arc::new(Inbox::default());
        let mut watches = Watches::start(&ground, &inbox).unwrap();

        std::fs::create_dir(root.join("album")).unwrap();
        until(&inbox, &root.join("album"));
        watches.add(&root.join("album")).unwrap();
        std::fs::write(own.join("site/index.html"), b"x").unwrap();
        std::fs::write(root.join(format!("{PROBE}1")), b"x").unwrap();
        std::fs::read(root.join("read.mp4")).unwrap();
        std::fs::write(root.join("album/.01.flac.Xy"), b"x").unwrap();
        std::fs::rename(root.join("album/.01.flac.Xy"), root.join("album/01.flac")).unwrap();
        let heard = until(&inbox, &root.join("album/01.flac"));
        assert_eq!(
            heard.paths.into_iter().collect::<Vec<_>>(),
            [(root.join("album/01.flac"), true)]
        );
        assert!(heard.probe && !heard.rescan);
    }
}
