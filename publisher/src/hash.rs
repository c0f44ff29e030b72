//! PreparedRendition → HashedRendition: the one read pass over the payload, with progress.

use crate::error::ReleaseError;
use crate::prepare::PreparedRendition;
use crate::report::Reporter;
use std::sync::mpsc;
use std::time::Duration;
use store::pass::Progress;
use store::{Hashed, Want};

/// From how many bytes on a pass keeps a journal: below, it is over before somebody could miss it.
const RESUMED_FROM: u64 = 256 << 20;

/// A payload with its hashes: the fourth stage.
#[derive(Debug)]
pub struct HashedRendition {
    /// What was hashed.
    pub prepared: PreparedRendition,
    /// Its hashes, and what its files were.
    pub hashed: Hashed,
}

/// Hashes the staged payload. The merkle roots are made for every format: the catalog carries them.
pub fn hash(
    prepared: PreparedRendition,
    reporter: &Reporter,
) -> Result<HashedRendition, ReleaseError> {
    let want = Want {
        pieces: prepared.layout.format().has_v1(),
        roots: true,
    };
    let (layout, root) = (&prepared.layout, prepared.staged.path());
    let hashed = with_progress(
        reporter,
        layout.name(),
        layout.map().total_length(),
        |progress| {
            if layout.map().total_length() < RESUMED_FROM {
                return store::hash(layout, root, want, 0, progress);
            }
            let journal = prepared.staged.journal();
            store::hash_resuming(layout, root, want, 0, progress, journal)
        },
    )?;
    Ok(HashedRendition { prepared, hashed })
}

/// Runs a pass and shows how far it is.
pub fn with_progress<T: Send>(
    reporter: &Reporter,
    name: &str,
    bytes: u64,
    pass: impl FnOnce(&Progress) -> T + Send,
) -> T {
    let progress = Progress::default();
    let shown = reporter.hashing(name, bytes);
    std::thread::scope(|scope| {
        let (done, wait) = mpsc::channel::<()>();
        let progress = &progress;
        let thread = scope.spawn(move || {
            let result = pass(progress);
            drop(done);
            result
        });
        while wait.recv_timeout(Duration::from_millis(100)) == Err(mpsc::RecvTimeoutError::Timeout)
        {
            shown.at(progress.bytes());
        }
        thread.join().expect("a hashing thread never panics")
    })
}
