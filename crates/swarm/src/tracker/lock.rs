//! The one lock of the tracker's store: held for a look-up or an entry, a microsecond or so, and for nothing else.
//! The rest of this crate has one owner for each state; the tracker's is shared by all threads that answer.

#![expect(
    clippy::disallowed_types,
    reason = "front ends on several threads share one store"
)]

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A value behind a lock. A thread that died holding it leaves what it had done.
#[derive(Debug, Default)]
pub(super) struct Lock<T>(Mutex<T>);

impl<T> Lock<T> {
    pub(super) fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
