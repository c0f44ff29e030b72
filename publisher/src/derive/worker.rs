//! Makes jobs behind a watched folder: one thread, one job at a time, cheap ones first.

use super::{Cancel, DeriveError, Derived, Found, Job, cheap_first};
use crate::report::Reporter;
use serde_json::json;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A job that failed for want of room or the like is tried again after this long.
const AGAIN: Duration = Duration::from_secs(300);

/// A thread that makes jobs. Dropping it calls off what runs, and waits for that.
pub struct Worker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    running: Option<(Job, Cancel)>,
    /// Jobs that are not tried before that time.
    later: Vec<(Job, Instant)>,
    is_over: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // The queue is whole between any two statements that change it.
        self.queue
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Worker {
    /// Starts it. `wake` is called after each job that was made or failed.
    pub fn start(
        derived: Arc<Derived>,
        reporter: Reporter,
        wake: impl Fn() + Send + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            changed: Condvar::new(),
        });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            while let Some((job, cancel)) = next(&theirs) {
                // A job may have ended while the list it stands on was made.
                if derived.look(&job) != Found::Missing {
                    theirs.lock().running = None;
                    continue;
                }
                let made = derived.make(&job, &reporter, &cancel);
                let is_news = finish(&theirs, job, made, &reporter);
                if is_news {
                    wake();
                }
            }
        });
        Self {
            shared,
            thread: Some(thread),
        }
    }

    /// Replaces the queue. A running job goes on if it is still wanted, and is called off otherwise.
    pub fn set(&self, mut jobs: Vec<Job>) {
        cheap_first(&mut jobs);
        let mut queue = self.shared.lock();
        if let Some((running, cancel)) = &queue.running {
            match jobs.iter().position(|job| job == running) {
                Some(at) => {
                    jobs.remove(at);
                }
                None => cancel.cancel(),
            }
        }
        queue.later.retain(|(job, _)| jobs.contains(job));
        queue.jobs = jobs.into();
        drop(queue);
        self.shared.changed.notify_all();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.is_over = true;
        if let Some((_, cancel)) = &queue.running {
            cancel.cancel();
        }
        drop(queue);
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Waits for the next job worth trying; `None` when it is over.
fn next(shared: &Shared) -> Option<(Job, Cancel)> {
    let mut queue = shared.lock();
    loop {
        if queue.is_over {
            return None;
        }
        let now = Instant::now();
        queue.later.retain(|(_, at)| *at > now);
        let is_due = |job: &Job| !queue.later.iter().any(|(later, _)| later == job);
        if let Some(at) = queue.jobs.iter().position(is_due) {
            let job = queue.jobs.remove(at)?;
            let cancel = Cancel::default();
            queue.running = Some((job.clone(), cancel.clone()));
            return Some((job, cancel));
        }
        let first = queue
            .later
            .iter()
            .map(|(_, at)| at.duration_since(now))
            .min();
        queue = match first {
            Some(wait) => {
                let waited = shared.changed.wait_timeout(queue, wait);
                waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0
            }
            None => {
                let waited = shared.changed.wait(queue);
                waited.unwrap_or_else(|poisoned| poisoned.into_inner())
            }
        };
    }
}

/// Tells how a job ended; whether that is worth another look at the folder.
fn finish(shared: &Shared, job: Job, made: Result<(), DeriveError>, reporter: &Reporter) -> bool {
    let mut queue = shared.lock();
    queue.running = None;
    match made {
        Ok(()) => {
            reporter.event(|| json!({"event": "derived", "name": job.name, "recipe": job.recipe}));
            true
        }
        Err(DeriveError::Failed(reason)) => {
            let message = format!("{}: no {}: {reason}", job.name, job.recipe.word());
            reporter.problem("warning", &job.name, &message);
            true
        }
        Err(DeriveError::Stopped) => false,
        Err(error) => {
            let message = format!("{}: no {} yet: {error}", job.name, job.recipe.word());
            reporter.problem("warning", &job.name, &message);
            queue.later.push((job.clone(), Instant::now() + AGAIN));
            queue.jobs.push_back(job);
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::derive::{Made, Recipe, Tools};
    use crate::report::Mode;
    use std::path::Path;
    use std::sync::mpsc;

    fn job(folder: &Path, name: &str, recipe: Recipe) -> Job {
        let source = folder.join(name);
        std::fs::write(&source, name).unwrap();
        Job {
            stat: store::stat_record(&source).unwrap(),
            source,
            recipe,
            name: name.to_owned(),
        }
    }

    #[test]
    fn it_makes_what_it_is_given_and_wakes() {
        let folder = tempfile::tempdir().unwrap();
        let derived = Derived::open(&folder.path().join("derived"), Tools::default());
        let derived = Arc::new(derived);
        let (wake, woken) = mpsc::channel();
        let wake = move || wake.send(()).unwrap();
        let worker = Worker::start(Arc::clone(&derived), Reporter::new(Mode::Quiet), wake);
        let good = job(folder.path(), "a.mp4", Recipe::Sha256);
        let bad = job(folder.path(), "a.jpg", Recipe::Pictures);
        worker.set(vec![good.clone(), bad.clone()]);
        woken.recv().unwrap();
        assert!(
            matches!(derived.look(&bad), Found::Failed(_)),
            "the cheap one is first"
        );
        woken.recv().unwrap();
        assert!(matches!(derived.look(&good), Found::Made(Made::Sha256(_))));

        let other = job(folder.path(), "b.mp4", Recipe::Sha256);
        worker.set(vec![other.clone()]);
        woken.recv().unwrap();
        assert!(matches!(derived.look(&other), Found::Made(_)));
        drop(worker);
        assert!(woken.try_recv().is_err());
    }

    #[test]
    fn jobs_that_can_not_be_kept_are_not_tried_over_and_over() {
        let folder = tempfile::tempdir().unwrap();
        // A file stands where the cache should be.
        let root = folder.path().join("derived");
        std::fs::write(&root, "in the way").unwrap();
        let derived = Arc::new(Derived::open(&root, Tools::default()));
        let one = job(folder.path(), "a.mp4", Recipe::Sha256);
        let shared = Shared {
            queue: Mutex::default(),
            changed: Condvar::new(),
        };
        shared.lock().jobs.push_back(one.clone());
        let (taken, cancel) = next(&shared).unwrap();
        let reporter = Reporter::new(Mode::Quiet);
        let made = derived.make(&taken, &reporter, &cancel);
        assert!(!finish(&shared, taken, made, &reporter));
        let queue = shared.lock();
        assert_eq!(queue.later.len(), 1);
        assert_eq!(queue.jobs, [one]);
    }
}
