//! How often an address may announce: a sketch of fixed size, which no flood of addresses can fill.
//!
//! An address has a place in each of two rows, by a keyed hash. A place holds when its allowance will be whole again
//! (the generic cell rate algorithm); of the two the earlier counts, since the other may be somebody else's doing.
//! So an innocent address is held up only if both of its places are shared with floods.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Places of a row; two rows are 512 KiB.
const PLACES: usize = 1 << 15;

/// When the allowance of each address will be whole again, in microseconds of the tracker's time.
#[derive(Debug)]
pub(super) struct Rate {
    rows: [Box<[AtomicU64]>; 2],
    /// What one costs, in microseconds; 0 where there is no bound.
    cost: u64,
    /// How far ahead of the time an address may be.
    burst: u64,
}

impl Rate {
    /// So many a second, and so many at once; no bound where either is 0.
    pub(super) fn new(rate: u32, burst: u32) -> Self {
        let cost = 1_000_000_u64.checked_div(u64::from(rate)).unwrap_or(0);
        let row = || (0..PLACES).map(|_| AtomicU64::new(0)).collect();
        Self {
            rows: [row(), row()],
            cost,
            burst: cost * u64::from(burst),
        }
    }

    /// Takes `n` of a subscriber's allowance at a time in microseconds, or says when there will be as much. Two
    /// threads that take for one address in the same instant may take once.
    pub(super) fn take(&self, subscriber: u64, n: u32, now: u64) -> Result<(), Duration> {
        if self.burst == 0 || n == 0 {
            return Ok(());
        }
        let places = [
            &self.rows[0][subscriber as usize % PLACES],
            &self.rows[1][(subscriber >> 24) as usize % PLACES],
        ];
        let whole_at = places.map(|place| place.load(Ordering::Relaxed));
        let then = whole_at[0].min(whole_at[1]).max(now) + self.cost * u64::from(n);
        let ahead = then.saturating_sub(now + self.burst);
        if ahead > 0 {
            return Err(Duration::from_micros(ahead));
        }
        for place in places {
            place.fetch_max(then, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// How much of something may go on over the whole tracker: the same for one place.
#[derive(Debug)]
pub(super) struct Total {
    whole_at: AtomicU64,
    cost: u64,
}

impl Total {
    /// So many a second; no bound where that is 0.
    pub(super) fn new(rate: u32) -> Self {
        Self {
            whole_at: AtomicU64::new(0),
            cost: 1_000_000_u64.checked_div(u64::from(rate)).unwrap_or(0),
        }
    }

    /// Takes up to `n` of what is left of a second's allowance; gives how many.
    pub(super) fn take(&self, n: usize, now: u64) -> usize {
        if self.cost == 0 {
            return n;
        }
        let mut taken = 0;
        let _ = self
            .whole_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |whole_at| {
                let from = whole_at.max(now);
                let left = (now + 1_000_000).saturating_sub(from) / self.cost;
                taken = n.min(left as usize);
                Some(from + self.cost * taken as u64)
            });
        taken
    }
}
