//! How many peers are served at once: as many as keep the link full, and beyond that as many as it can give a
//! flow worth having. With a fast link and no limit that is practically everybody.

use super::Policy;
use crate::pace::Pace;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long one measurement of what goes out takes, and how many are looked back at.
const MEASURE: Duration = Duration::from_millis(500);
const LOOK_BACK: usize = 40;
/// How long a slot needs to show what it makes go out.
const ROUND: Duration = Duration::from_secs(1);
const MOST_SLOTS: usize = 100_000;

/// Follows the uplink.
#[derive(Debug)]
pub(super) struct Slots {
    pace: Pace,
    /// The limit that holds, in bytes a second.
    limit: Option<u64>,
    began: Instant,
    bytes: u64,
    /// Bytes a second of the last measurements, and the best of them.
    rates: VecDeque<u64>,
}

impl Slots {
    pub(super) fn new(now: Instant, policy: &Policy) -> Self {
        Self {
            pace: Pace::new(now, policy.slots, policy.least_slots, MOST_SLOTS),
            limit: None,
            began: now,
            bytes: 0,
            rates: VecDeque::new(),
        }
    }

    pub(super) fn set_limit(&mut self, limit: Option<u64>) {
        self.limit = limit;
    }

    /// So many bytes have gone out.
    pub(super) fn handle_sent(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.pace.handle_done(bytes);
    }

    /// `full`: every slot is taken and somebody waits.
    pub(super) fn handle_timeout(&mut self, now: Instant, full: bool) {
        let passed = now.saturating_duration_since(self.began);
        if passed >= MEASURE {
            let rate = self.bytes as f64 / passed.as_secs_f64();
            if self.rates.len() == LOOK_BACK {
                self.rates.pop_front();
            }
            self.rates.push_back(rate as u64);
            self.bytes = 0;
            self.began = now;
        }
        self.pace.handle_timeout(now, full, ROUND);
    }

    /// How many there are.
    pub(super) fn count(&self, policy: &Policy) -> usize {
        let best = self.rates.iter().copied().max().unwrap_or(0);
        let rate = self.limit.map_or(best, |limit| limit.max(1));
        let worthwhile = usize::try_from(rate / policy.slot_rate.max(1)).unwrap_or(MOST_SLOTS);
        // A limit that is known needs no search.
        let searched = self.limit.map_or(self.pace.limit(), |_| policy.least_slots);
        searched.max(worthwhile).min(MOST_SLOTS)
    }
}
