//! A token bucket that may go into debt: bytes come in at a steady rate, what is sent is taken out, and nothing more
//! goes while it is empty. In whole bytes-by-nanosecond, so that nothing is lost to rounding.

use std::time::{Duration, Instant};

/// One byte, in the unit of the level: at a rate of `r` bytes a second, `r` units come in each nanosecond.
const BYTE: i128 = 1_000_000_000;

/// What may be sent now, and when more.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    rate: u64,
    level: i128,
    at: Instant,
}

impl Bucket {
    /// Holds what comes in within `depth`, and is full.
    pub(super) fn new(now: Instant, rate: u64, depth: Duration) -> Self {
        let level = most(rate, depth);
        Self {
            rate,
            level,
            at: now,
        }
    }

    /// Bytes a second.
    pub(super) fn rate(&self) -> u64 {
        self.rate
    }

    /// Changes the rate from now on. Debts are kept.
    pub(super) fn set_rate(&mut self, now: Instant, rate: u64, depth: Duration) {
        self.refill(now, depth);
        self.rate = rate;
        self.level = self.level.min(most(rate, depth));
    }

    /// Lets in what has come since the last time. What comes in beyond `depth` is lost.
    pub(super) fn refill(&mut self, now: Instant, depth: Duration) {
        let passed = now.saturating_duration_since(self.at);
        let more = i128::from(self.rate).saturating_mul(nanoseconds(passed));
        // A depth that is less than before takes nothing away that is there.
        let most = most(self.rate, depth).max(self.level);
        self.level = self.level.saturating_add(more).min(most);
        self.at = self.at.max(now);
    }

    /// Takes bytes out, whether they are there or not.
    pub(super) fn take(&mut self, bytes: u64) {
        self.level = self.level.saturating_sub(i128::from(bytes) * BYTE);
    }

    /// Bytes that were taken out and not sent.
    pub(super) fn give_back(&mut self, bytes: u64) {
        self.level = self.level.saturating_add(i128::from(bytes) * BYTE);
    }

    /// Whether something may be sent.
    pub(super) fn is_open(&self) -> bool {
        self.level > 0
    }

    /// From when on something may be sent; `None` for never, at a rate of nothing.
    pub(super) fn opens_at(&self) -> Option<Instant> {
        if self.is_open() {
            return Some(self.at);
        }
        let rate = i128::from(self.rate);
        let wait = (1 - self.level).checked_add(rate - 1)?.checked_div(rate)?;
        let wait = Duration::from_nanos(u64::try_from(wait).ok()?);
        self.at.checked_add(wait)
    }
}

/// What comes in within a time.
fn most(rate: u64, depth: Duration) -> i128 {
    i128::from(rate).saturating_mul(nanoseconds(depth))
}

fn nanoseconds(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods)]
    fn it_holds_its_depth_and_pays_its_debts_to_the_nanosecond() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let depth = Duration::from_millis(100);
        let mut bucket = Bucket::new(start, 1000, depth);
        bucket.take(99);
        assert!(bucket.is_open());
        bucket.take(1);
        assert!(!bucket.is_open());
        bucket.take(50);
        let opens = bucket.opens_at().unwrap();
        assert_eq!(opens, at(50) + Duration::from_nanos(1));
        bucket.refill(at(50), depth);
        assert!(!bucket.is_open());
        bucket.refill(opens, depth);
        assert!(bucket.is_open());
        // However long it rests, it holds no more than its depth.
        bucket.refill(at(90_000), depth);
        bucket.take(100);
        assert!(!bucket.is_open());
        bucket.give_back(1);
        assert!(bucket.is_open());
        bucket.take(1);
        // At a rate of nothing it never opens; a clock that steps back does no harm.
        bucket.set_rate(at(80_000), 0, depth);
        assert_eq!(bucket.opens_at(), None);
        bucket.set_rate(at(90_000), 10, depth);
        assert_eq!(
            bucket.opens_at(),
            Some(at(90_000) + Duration::from_nanos(1))
        );
    }
}
