//! When a file may be published: a state machine over what was seen of it, in whatever time its caller
//! keeps. It reads no clock and no file; who asks tells what `stat` said, and answers for the file's
//! writers and its container through [`Inspect`].
//!
//! A file is at rest when nobody writes to it, its container ends where it ends, and nothing has changed
//! for a while: a quarter of a second where the system told of its closing and can tell that no writer is
//! left, two seconds elsewhere, and longer for files that have paused before.

use metainfo::state::StatRecord;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use store::lease::Writer;

/// Quiet that is enough where everything tells that the file is finished; and the least for any file.
pub const QUICK: Duration = Duration::from_millis(250);
/// Quiet that is asked of the others. A folder, too, must not gain a file for as long.
pub const ORDINARY: Duration = Duration::from_secs(2);
/// The most that is asked of a file that pauses again and again.
pub const LONGEST: Duration = Duration::from_secs(30);
/// A writer that rests for less has not paused.
const PAUSE: Duration = Duration::from_secs(1);
/// How often to ask again for the writer of a file: its closing may go by unseen.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How long a file that is not whole must rest before it is taken for what it is.
pub const GIVEN_UP: Duration = Duration::from_secs(60);

/// Why a file with a writer waits.
pub const WRITING: &str = "it is still being written";

/// What a file's container says of its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whole {
    /// It ends where the file ends.
    Yes,
    /// The file is cut off, and how that shows.
    CutOff(String),
    /// It contradicts itself. A file that is still written may look so for a while.
    Damaged(String),
    /// Files of this kind don't say.
    Unknown,
}

/// Answers about a file as it is now.
pub trait Inspect {
    /// Whether somebody has it open for writing.
    fn writer(&mut self, path: &Path) -> Writer;
    /// What its container says.
    fn whole(&mut self, path: &Path) -> Whole;
}

/// One file as `stat` showed it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sight {
    /// Where it lies.
    pub path: PathBuf,
    /// What `stat` said.
    pub stat: StatRecord,
    /// How long ago its content or its name last changed, where the file system's clock is this machine's.
    pub age: Option<Duration>,
}

/// Whether something may be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Ready,
    /// It has not rested long enough; ask again then.
    WaitUntil(Instant),
    /// It is not finished, for this reason (a clause for people); ask again then, or when it has changed.
    Waiting {
        /// Why.
        reason: String,
        /// When to ask again.
        again: Instant,
        /// Whether it has been so for long enough that it is likely to stay so.
        stuck: bool,
    },
}

impl Verdict {
    /// When to ask again.
    pub fn again(&self) -> Option<Instant> {
        match self {
            Self::Ready => None,
            Self::WaitUntil(again) | Self::Waiting { again, .. } => Some(*again),
        }
    }

    /// Puts asking again off until then.
    pub fn not_before(&mut self, at: Instant) {
        if let Self::WaitUntil(again) | Self::Waiting { again, .. } = self {
            *again = at.max(*again);
        }
    }

    /// Why it waits, as a clause for people.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Ready => None,
            Self::WaitUntil(_) => Some("it was changed a moment ago"),
            Self::Waiting { reason, .. } => Some(reason),
        }
    }
}

/// What is remembered of a file.
#[derive(Debug)]
struct Seen {
    stat: StatRecord,
    /// When it came, unless it came whole with its folder.
    appeared: Option<Instant>,
    /// When it last changed, as far as is known.
    changed: Instant,
    /// When it was last seen.
    seen: Instant,
    /// Whether its writer closed it, or it was renamed to this name, after the last change that was seen.
    closed: bool,
    /// The quiet it must keep where nothing tells that it is finished.
    quiet: Duration,
    /// What its container said of these bytes.
    whole: Option<Whole>,
}

/// The files that are in motion.
#[derive(Debug, Default)]
pub struct Settle {
    files: HashMap<PathBuf, Seen>,
}

impl Settle {
    /// Takes in how a file looks now. Gives whether that is news.
    pub fn observe(&mut self, now: Instant, sight: &Sight) -> bool {
        let Some(file) = self.files.get_mut(&sight.path) else {
            let since = sight
                .age
                .and_then(|age| now.checked_sub(age.min(LONGEST)))
                .unwrap_or(now);
            let file = Seen {
                stat: sight.stat,
                appeared: Some(since),
                changed: since,
                seen: now,
                // Whoever wrote it did so before anybody looked; the writer test tells whether he is gone.
                closed: sight.age.is_some_and(|age| age >= QUICK),
                quiet: ORDINARY,
                whole: None,
            };
            self.files.insert(sight.path.clone(), file);
            return true;
        };
        let changed = !file.stat.same_content(&sight.stat);
        if changed {
            let same_file =
                (file.stat.device, file.stat.inode) == (sight.stat.device, sight.stat.inode);
            // It rested in our eyes, and yet was not finished.
            let paused = now.saturating_duration_since(file.changed) >= PAUSE
                && file.seen.saturating_duration_since(file.changed) >= QUICK;
            file.quiet = match (same_file, paused) {
                (true, true) => (file.quiet * 2).min(LONGEST),
                (true, false) => file.quiet,
                (false, _) => ORDINARY,
            };
            file.changed = now;
            file.closed = false;
            file.whole = None;
        }
        file.stat = sight.stat;
        file.seen = now;
        changed
    }

    /// Its writer closed it, or it was renamed to this name. To be told after the file was observed.
    pub fn closed(&mut self, path: &Path) {
        if let Some(file) = self.files.get_mut(path) {
            file.closed = true;
        }
    }

    /// It came with the folder around it, which was renamed to where it is: no more is to come.
    pub fn came_whole(&mut self, path: &Path) {
        if let Some(file) = self.files.get_mut(path) {
            file.closed = true;
            file.appeared = None;
        }
    }

    /// Forgets a file, or all below a folder: they are gone, or published.
    pub fn forget(&mut self, path: &Path) {
        if self.files.remove(path).is_none() {
            self.files.retain(|file, _| !file.starts_with(path));
        }
    }

    /// Forgets what is not to be kept.
    pub fn keep(&mut self, keeps: impl Fn(&Path) -> bool) {
        self.files.retain(|path, _| keeps(path));
    }

    /// How many files are in motion.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Whether a release of these files may be published: the one file of a clip, or all of a folder.
    pub fn verdict(
        &mut self,
        now: Instant,
        sights: &[Sight],
        in_folder: bool,
        inspect: &mut dyn Inspect,
    ) -> Verdict {
        let mut all_at = now;
        for sight in sights {
            self.observe(now, sight);
            let file = &self.files[&sight.path];
            all_at = all_at.max(file.changed + QUICK);
            // A folder that gains files is being copied.
            if let Some(appeared) = file.appeared.filter(|_| in_folder) {
                all_at = all_at.max(appeared + ORDINARY);
            }
        }
        // Before all has come and rests, no file needs a closer look.
        if all_at > now {
            return Verdict::WaitUntil(all_at);
        }
        for sight in sights {
            let verdict = self.file(now, &sight.path, inspect);
            if verdict != Verdict::Ready {
                return verdict;
            }
        }
        Verdict::Ready
    }

    fn file(&mut self, now: Instant, path: &Path, inspect: &mut dyn Inspect) -> Verdict {
        let Some(file) = self.files.get_mut(path) else {
            return Verdict::WaitUntil(now + QUICK);
        };
        let writer = inspect.writer(path);
        if writer == Writer::Present {
            return Verdict::Waiting {
                reason: WRITING.to_owned(),
                again: now + ASK_AGAIN,
                stuck: false,
            };
        }
        let whole = file.whole.get_or_insert_with(|| inspect.whole(path));
        let given_up = file.changed + GIVEN_UP;
        let needed = match whole {
            Whole::CutOff(how) => {
                let stuck = now >= given_up;
                return Verdict::Waiting {
                    reason: format!("it is cut off: {how}"),
                    again: if stuck { now + GIVEN_UP } else { given_up },
                    stuck,
                };
            }
            Whole::Damaged(how) if now < given_up => {
                return Verdict::Waiting {
                    reason: format!("it is not whole yet: {how}"),
                    again: given_up,
                    stuck: false,
                };
            }
            Whole::Yes if writer == Writer::None && file.closed => QUICK,
            Whole::Yes if writer == Writer::None => ORDINARY,
            Whole::Yes | Whole::Damaged(_) | Whole::Unknown => file.quiet,
        };
        let at = file.changed + needed;
        if now >= at {
            Verdict::Ready
        } else {
            Verdict::WaitUntil(at)
        }
    }
}

#[cfg(test)]
mod tests;
