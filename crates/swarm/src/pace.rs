//! How many at once keep a link full: pieces under way, or peers that are served. Nobody tells a program how fast its
//! uplink is, so this finds out by trying: a few more are let in, and if that makes more go out, they stay; if
//! not, the link is full, and fewer do as well and come to an end sooner.
//!
//! At first the number doubles while that helps. From then on measurements go in pairs, one with the number as
//! it is and one with a quarter more. The first half of each isn't measured: it still shows what was before.

use std::time::{Duration, Instant};

/// By how much the flow has to grow for a doubling to have helped.
const HELPED_AT_START: f64 = 1.3;
/// By how much for a quarter more.
const HELPED: f64 = 1.05;

/// A number that follows a link.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    limit: f64,
    least: f64,
    most: f64,
    step: Step,
    began: Instant,
    /// Since when, how much and how many events, in the measured half.
    measured: Option<(Instant, u64, u32)>,
    /// Whether the number was what held things back, all the time.
    was_full: bool,
    /// What the measurement before gave, a second.
    before: Option<f64>,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// Doubling.
    Start,
    /// As it is.
    Hold,
    /// A quarter more than this.
    More(f64),
}

impl Pace {
    /// Begins with so many; never fewer than `least` or more than `most`.
    pub(crate) fn new(now: Instant, start: usize, least: usize, most: usize) -> Self {
        Self {
            limit: start as f64,
            least: least as f64,
            most: most as f64,
            step: Step::Start,
            began: now,
            measured: None,
            was_full: true,
            before: None,
        }
    }

    /// How many at once.
    pub(crate) fn limit(&self) -> usize {
        self.limit as usize
    }

    /// So much has gone.
    pub(crate) fn handle_done(&mut self, amount: u64) {
        if let Some((_, sum, events)) = &mut self.measured {
            *sum += amount;
            *events += 1;
        }
    }

    /// Time has passed. `full`: as many as may be are under way, and there would be more. `round`: how long one
    /// takes; a measurement lasts twice that.
    pub(crate) fn handle_timeout(&mut self, now: Instant, full: bool, round: Duration) {
        self.was_full &= full;
        let passed = now.saturating_duration_since(self.began);
        let Some((since, sum, events)) = self.measured else {
            if passed >= round {
                self.measured = Some((now, 0, 0));
            }
            return;
        };
        let span = now.saturating_duration_since(since);
        if span < round || span.is_zero() {
            return;
        }
        let rate = sum as f64 / span.as_secs_f64();
        if self.was_full {
            self.judge(rate, events);
        } else if let Step::More(from) = self.step {
            // Nothing is learned from a number that wasn't reached.
            self.limit = from;
            self.step = Step::Hold;
        }
        self.limit = self.limit.clamp(self.least, self.most);
        self.began = now;
        self.measured = None;
        self.was_full = true;
    }

    fn judge(&mut self, rate: f64, events: u32) {
        let before = self.before.replace(rate);
        let grew = |by: f64| before.is_none_or(|before| rate >= before * by);
        match self.step {
            Step::Start if rate == 0.0 || grew(HELPED_AT_START) => self.limit *= 2.0,
            Step::Start => {
                self.limit /= 2.0;
                self.step = Step::Hold;
            }
            Step::Hold => {
                self.step = Step::More(self.limit);
                self.limit = self.limit * 1.25 + 1.0;
            }
            Step::More(from) => {
                // Of few events one more or less is chance.
                if !grew(HELPED + 0.5 / f64::from(events.max(1))) {
                    self.limit = from * 0.9;
                }
                self.step = Step::Hold;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::disallowed_methods)]
    fn epoch() -> Instant {
        Instant::now()
    }

    /// Lets a link of this many a second run with pieces that take at least `each`; gives the number at the end
    /// and what went in the last half.
    fn run(each: Duration, link: f64, seconds: u32) -> (usize, f64) {
        let start = epoch();
        let step = Duration::from_millis(10);
        let mut pace = Pace::new(start, 4, 3, 1000);
        let (mut done, mut late) = (0.0, 0.0);
        for tick in 0..seconds * 100 {
            let rate = (pace.limit() as f64 / each.as_secs_f64()).min(link);
            let before = done;
            done += rate * step.as_secs_f64();
            for _ in 0..(done as u64 - before as u64) {
                pace.handle_done(1);
            }
            if tick > seconds * 50 {
                late += done - before;
            }
            let round = Duration::from_secs_f64(pace.limit() as f64 / rate);
            pace.handle_timeout(start + tick * step, true, round);
        }
        (pace.limit(), late / f64::from(seconds) * 2.0)
    }

    #[test]
    fn a_full_link_needs_few_and_an_empty_one_many() {
        // Eight pieces a second fill it; one alone takes 0.15 s.
        let (few, rate) = run(Duration::from_millis(150), 8.0, 60);
        assert!(few < 12 && rate > 7.5, "{few} at once, {rate}/s");
        // Slow takers and a fast link: everybody.
        let (many, rate) = run(Duration::from_secs(2), 300.0, 120);
        assert!(many > 500 && rate > 250.0, "{many} at once, {rate}/s");
    }

    #[test]
    fn a_number_that_is_not_reached_stays() {
        let start = epoch();
        let mut pace = Pace::new(start, 4, 3, 1000);
        for tick in 0..1000 {
            let now = start + Duration::from_millis(tick * 10);
            pace.handle_timeout(now, false, Duration::from_millis(100));
        }
        assert_eq!(pace.limit(), 4);
    }
}
