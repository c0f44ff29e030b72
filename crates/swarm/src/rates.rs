//! How fast something has been going over the last seconds: a sum over a ring of whole seconds, so that
//! a burst fades away after exactly [`WINDOW`] seconds.

use std::time::{Duration, Instant};

/// How many seconds a rate looks back.
pub const WINDOW: usize = 10;

/// A moving rate, in bytes per second.
#[derive(Debug, Clone)]
pub struct Rate {
    began: Instant,
    /// Bytes by second, the second `n` in slot `n % WINDOW`.
    seconds: [u64; WINDOW],
    /// The second the ring has come to, counted from `began`.
    at: u64,
}

impl Rate {
    /// Nothing yet.
    pub fn new(now: Instant) -> Self {
        Self {
            began: now,
            seconds: [0; WINDOW],
            at: 0,
        }
    }

    /// Something more has gone.
    pub fn add(&mut self, now: Instant, bytes: u64) {
        self.advance(now);
        let slot = (self.at % WINDOW as u64) as usize;
        self.seconds[slot] = self.seconds[slot].saturating_add(bytes);
    }

    /// Bytes per second over the window, or over the time there was, where that is shorter.
    pub fn per_second(&mut self, now: Instant) -> u64 {
        self.advance(now);
        let total = self
            .seconds
            .iter()
            .fold(0u64, |sum, bytes| sum.saturating_add(*bytes));
        total / (self.at + 1).min(WINDOW as u64)
    }

    fn advance(&mut self, now: Instant) {
        let second = now
            .checked_duration_since(self.began)
            .unwrap_or(Duration::ZERO)
            .as_secs();
        let passed = second.saturating_sub(self.at).min(WINDOW as u64);
        for step in 1..=passed {
            self.seconds[((second - passed + step) % WINDOW as u64) as usize] = 0;
        }
        self.at = self.at.max(second);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::disallowed_methods)]
    fn epoch() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_steady_flow_reads_as_itself_and_a_burst_fades() {
        let start = epoch();
        let at = |tenths: u64| start + Duration::from_millis(tenths * 100);
        let mut rate = Rate::new(start);
        assert_eq!(rate.per_second(start), 0);
        for tenth in 0..300 {
            rate.add(at(tenth), 100);
        }
        assert_eq!(rate.per_second(at(299)), 1000);
        assert_eq!(rate.per_second(at(340)), 500);
        assert_eq!(rate.per_second(at(400)), 0);
        rate.add(at(100_000), 5000);
        assert_eq!(rate.per_second(at(100_000)), 500);
        assert_eq!(rate.per_second(at(100_099)), 500);
        assert_eq!(rate.per_second(at(100_100)), 0);
    }

    #[test]
    fn a_clock_that_steps_back_does_no_harm() {
        let start = epoch();
        let mut rate = Rate::new(start + Duration::from_secs(5));
        rate.add(start, 10);
        assert_eq!(rate.per_second(start), 10);
    }
}
