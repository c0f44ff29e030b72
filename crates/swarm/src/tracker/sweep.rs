//! What is done now and then: forgetting who didn't come back, measuring how often peers are to come, and telling
//! browsers that they are introduced now. Each call does a bounded part and the next goes on from there.

use super::Tracker;
use super::counters::Count;
use super::exchange::{Introduction, SocketId};
use super::family::{Cursor, Family, Size};
use super::interval::{tick, ticks};
use super::swarm::Swarm;
use metainfo::ids::SwarmHash;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// What one call may cost, in peers that are looked at: a few milliseconds.
const WORK: usize = 400_000;
/// What it costs to take one out.
const REMOVAL: usize = 50;
/// Swarms that one call looks at.
const SWARMS: usize = 20_000;
/// Peers that are looked at under one lock.
const AT_ONCE: usize = 1024;

/// Where the search for overdue peers is.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    swarm: usize,
    part: Part,
    cursor: Cursor,
}

/// The lists of a swarm, in the order they are searched.
#[derive(Debug, Clone, Copy, Default)]
enum Part {
    #[default]
    V4,
    V6,
    Browsers,
}

/// Where the search for browsers that wait is.
#[derive(Debug, Default)]
pub(super) struct Waking {
    /// Whether there may be more.
    active: bool,
    swarm: usize,
    below: usize,
}

impl Waking {
    /// From the first swarm on.
    pub(super) fn begin() -> Self {
        Self {
            active: true,
            swarm: 0,
            below: usize::MAX,
        }
    }
}

impl Tracker {
    /// Forgets who didn't come back and measures how often peers are to come: to be called every few seconds. The work
    /// of one call is bounded; the next goes on where it ended.
    pub fn expire(&self, now: Instant) {
        let since = self.since(now);
        let (natives, browsers) = self.n_by_kind();
        self.native_interval.measure(natives, since);
        self.browser_interval.measure(browsers, since);
        self.measure_offers(browsers);

        let mut sweep = self.sweep.lock();
        let swarms = self.swarms.load_full();
        let (mut work_left, mut swarms_left) = (WORK, SWARMS.min(swarms.all.len()));
        while work_left > 0 && swarms_left > 0 {
            let Some(swarm) = swarms.all.get(sweep.swarm) else {
                *sweep = Sweep::default();
                continue;
            };
            let work = self.sweep_part(swarm, &mut sweep, tick(since));
            work_left = work_left.saturating_sub(work);
            if matches!(sweep.part, Part::V4) && sweep.cursor.is_start() {
                swarms_left -= 1;
            }
        }
    }

    /// Searches one stretch of one list and moves on; gives what that cost.
    fn sweep_part(&self, swarm: &Swarm, sweep: &mut Sweep, now: u16) -> usize {
        let native = ticks(self.native_interval.expiry());
        let (next, looked, before, after) = match sweep.part {
            Part::V4 => self.sweep_family(&swarm.v4, sweep.cursor, now, native),
            Part::V6 => self.sweep_family(&swarm.v6, sweep.cursor, now, native),
            Part::Browsers => self.sweep_browsers(swarm, sweep.cursor, now),
        };
        if matches!(sweep.part, Part::Browsers) {
            swarm.note_browsers(before, after);
        } else {
            swarm.note(before, after);
        }
        let gone = before.len() - after.len();
        self.counted.add(0, Count::Expired, gone as u64);
        sweep.cursor = next.unwrap_or_default();
        if next.is_none() {
            sweep.part = match sweep.part {
                Part::V4 => Part::V6,
                Part::V6 => Part::Browsers,
                Part::Browsers => {
                    sweep.swarm += 1;
                    Part::V4
                }
            };
        }
        looked + gone * REMOVAL
    }

    fn sweep_family<const N: usize>(
        &self,
        family: &Family<N>,
        cursor: Cursor,
        now: u16,
        expiry: u16,
    ) -> (Option<Cursor>, usize, Size, Size) {
        let overdue = |seen: u16| now.wrapping_sub(seen) > expiry;
        family.expire(overdue, cursor, AT_ONCE, self.native_room(), self.keyed)
    }

    fn sweep_browsers(
        &self,
        swarm: &Swarm,
        cursor: Cursor,
        now: u16,
    ) -> (Option<Cursor>, usize, Size, Size) {
        let Some(browsers) = swarm.browsers() else {
            return (None, 0, Size::default(), Size::default());
        };
        let expiry = ticks(self.browser_interval.expiry());
        let mut browsers = browsers.lock();
        let before = browsers.size();
        let below = cursor.below.min(before.len());
        let overdue = |seen: u16| now.wrapping_sub(seen) > expiry;
        let end = browsers.expire(overdue, (below, AT_ONCE), &self.limits, self.keyed);
        (cursor.at(end), below - end, before, browsers.size())
    }

    /// Asks for so many offers that all browsers together stay within what is passed on.
    fn measure_offers(&self, browsers: usize) {
        let most = self.limits.offers_wanted;
        let a_second = browsers as f64 / self.browser_interval.now().as_secs_f64().max(1.0);
        let fits = f64::from(self.limits.offer_rate) / a_second.max(1e-9);
        let wanted = if self.limits.offer_rate == 0 {
            most
        } else {
            (fits.min(f64::from(most)) as u32).max(1).min(most)
        };
        self.offers_wanted.store(wanted, Ordering::Relaxed);
    }

    /// Adds to `into` whom to tell that they are introduced now: browsers told to wait before the load rose, `most` of
    /// them at a time. To be called until nothing is added, and again now and then.
    pub fn newly_wanted(&self, _now: Instant, most: usize, into: &mut Vec<(SocketId, SwarmHash)>) {
        let mut waking = self.waking.lock();
        if !waking.active || most == 0 {
            return;
        }
        let full = into.len() + most;
        let swarms = self.swarms.load_full();
        while let Some(swarm) = swarms.all.get(waking.swarm) {
            let go = swarm.introduction(self.load()) == Introduction::Go;
            let browsers = swarm.browsers().filter(|_| go);
            waking.below = browsers.map_or(0, |browsers| {
                let mut browsers = browsers.lock();
                browsers.wake((waking.below, AT_ONCE), full, |socket| {
                    into.push((socket, swarm.hash));
                    into.len()
                })
            });
            if waking.below == 0 {
                waking.swarm += 1;
                waking.below = usize::MAX;
            }
            if into.len() >= full {
                return;
            }
        }
        waking.active = false;
    }
}
