//! Waiting for a condition with a deadline. The only place of this crate that sleeps, and only between
//! two looks at a condition that nobody announces.

use std::time::{Duration, Instant};

/// How long anything may take before a test gives up. Generous: a machine that is slow or busy is no failure.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// Looks until `look` gives something; panics with `what` and the last reason after [`PATIENCE`].
#[track_caller]
pub fn until<T>(what: &str, look: impl FnMut() -> Result<T, String>) -> T {
    match within(PATIENCE, look) {
        Ok(found) => found,
        Err(last) => panic!("waited {} s for {what}; last: {last}", PATIENCE.as_secs()),
    }
}

/// Looks until `look` gives something or `patience` is over; then the last reason is the error.
pub fn within<T>(
    patience: Duration,
    mut look: impl FnMut() -> Result<T, String>,
) -> Result<T, String> {
    let end = Instant::now() + patience;
    let mut pause = Duration::from_millis(5);
    loop {
        match look() {
            Ok(found) => return Ok(found),
            Err(reason) if Instant::now() >= end => return Err(reason),
            Err(_) => std::thread::sleep(pause),
        }
        pause = (pause * 3 / 2).min(Duration::from_millis(100));
    }
}
