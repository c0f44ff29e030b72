//! When peers are to announce again: later, the more there are, so that their announces stay within what the tracker is
//! to answer; and when they are forgotten, which must not be before they were told to come back.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Seconds of a coarse tick. Sixteen bits of them are three days.
const TICK: u64 = 4;
/// The longest a peer is remembered, in ticks: well within the sixteen bits.
const LONGEST: u64 = 50_000;

/// The tick at this time after the tracker began.
pub(super) fn tick(since: Duration) -> u16 {
    (since.as_secs() / TICK) as u16
}

/// So many ticks and what is begun.
pub(super) fn ticks(duration: Duration) -> u16 {
    duration
        .as_millis()
        .div_ceil(u128::from(TICK) * 1000)
        .min(u128::from(LONGEST)) as u16
}

/// So many ticks in milliseconds.
pub(super) fn milliseconds(ticks: u16) -> u32 {
    u32::from(ticks) * TICK as u32 * 1000
}

/// The interval of one kind of peers. Read by all threads, written by the one that measures.
#[derive(Debug)]
pub(super) struct Interval {
    base: Duration,
    /// So many peers make as many announces as are to be answered at the base interval.
    at_base: f64,
    most: f64,
    /// By what the base is multiplied now, in thousandths.
    growth: AtomicU32,
    /// The largest growth that peers may still go by, in thousandths, above the second since when: both in one.
    held: AtomicU64,
}

impl Interval {
    /// An interval that grows by up to `most` to keep announces at `rate` a second; 0 is no such rate.
    pub(super) fn new(base: Duration, rate: u32, most: u32) -> Self {
        Self {
            base,
            at_base: if rate == 0 {
                f64::INFINITY
            } else {
                f64::from(rate) * base.as_secs_f64()
            },
            most: f64::from(most.max(1)),
            growth: AtomicU32::new(1000),
            held: AtomicU64::new(1000 << 32),
        }
    }

    /// Adjusts itself to so many peers.
    pub(super) fn measure(&self, peers: usize, since: Duration) {
        let growth = (peers as f64 / self.at_base.max(1.0)).clamp(1.0, self.most);
        let growth = (growth * 1000.0) as u32;
        self.growth.store(growth, Ordering::Relaxed);
        let held = self.held.load(Ordering::Relaxed);
        let age = (since.as_secs() as u32).saturating_sub(held as u32);
        // Who was told the longer interval has come back by then, or won't.
        if growth >= (held >> 32) as u32 || u64::from(age) > self.expiry().as_secs() {
            let held = u64::from(growth) << 32 | (since.as_secs() & u64::from(u32::MAX));
            self.held.store(held, Ordering::Relaxed);
        }
    }

    /// When to come back, on the average.
    pub(super) fn now(&self) -> Duration {
        self.base * self.growth.load(Ordering::Relaxed) / 1000
    }

    /// When a peer that didn't come back is forgotten: two announces may get lost.
    pub(super) fn expiry(&self) -> Duration {
        self.held() * 5 / 2
    }

    /// When a peer that didn't come back has lost its claim to its address.
    pub(super) fn stale(&self) -> Duration {
        self.held() * 5 / 4
    }

    fn held(&self) -> Duration {
        self.base * (self.held.load(Ordering::Relaxed) >> 32) as u32 / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn intervals_grow_with_the_crowd_and_nobody_is_forgotten_early() {
        let interval = Interval::new(10 * MINUTE, 100, 3);
        interval.measure(60_000, Duration::ZERO);
        assert_eq!(interval.now(), 10 * MINUTE);
        assert_eq!(interval.expiry(), 25 * MINUTE);
        interval.measure(90_000, MINUTE);
        assert_eq!(interval.now(), 15 * MINUTE);
        interval.measure(10_000_000, 2 * MINUTE);
        assert_eq!(interval.now(), 30 * MINUTE);
        assert_eq!(interval.expiry(), 75 * MINUTE);
        // The crowd goes; those who were told to come back in half an hour are waited for.
        interval.measure(10, 3 * MINUTE);
        assert_eq!(interval.now(), 10 * MINUTE);
        assert_eq!(interval.expiry(), 75 * MINUTE);
        interval.measure(10, 78 * MINUTE);
        assert_eq!(interval.expiry(), 25 * MINUTE);
    }

    #[test]
    fn ticks_are_never_short() {
        assert_eq!(ticks(Duration::from_millis(1)), 1);
        assert_eq!(ticks(Duration::from_secs(4)), 1);
        assert_eq!(ticks(Duration::from_millis(4001)), 2);
        assert_eq!(ticks(Duration::from_secs(1 << 40)), 50_000);
        assert_eq!(tick(Duration::from_secs(4 * 65_536 + 9)), 2);
    }
}
