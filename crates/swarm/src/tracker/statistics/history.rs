//! How large an audience was, over time: minutes of the last hours, hours of the last weeks, days of the last years.
//! Each span has so many slots and no more; a slot in which nobody was there takes no room.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Means are kept in tenths.
const TENTHS: u64 = 10;

/// How finely time is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Span {
    /// Minutes of the last two hours.
    Minutes,
    /// Hours of the last two weeks.
    Hours,
    /// Days (UTC) of the last two years.
    Days,
}

impl Span {
    /// Every span, the finest first.
    pub const ALL: [Self; 3] = [Self::Minutes, Self::Hours, Self::Days];

    /// How long one slot is, in seconds.
    pub fn seconds(self) -> u64 {
        match self {
            Self::Minutes => 60,
            Self::Hours => 3600,
            Self::Days => 86_400,
        }
    }

    /// How many slots are kept.
    pub fn slots(self) -> u32 {
        match self {
            Self::Minutes => 120,
            Self::Hours => 336,
            Self::Days => 731,
        }
    }

    /// The slot of a time, in seconds since 1970.
    pub fn slot(self, now: u64) -> u32 {
        u32::try_from(now / self.seconds()).unwrap_or(u32::MAX)
    }
}

/// One slot in which somebody was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u32, u32, u32, u32)", into = "(u32, u32, u32, u32)")]
pub struct Point {
    /// Which slot since 1970.
    pub at: u32,
    /// The most that were there at once.
    pub max: u32,
    /// The mean, in tenths, over the samples that were taken in it: time in which the tracker was down doesn't count.
    pub mean_tenths: u32,
    /// The same of browsers alone.
    pub viewers_tenths: u32,
}

impl From<(u32, u32, u32, u32)> for Point {
    fn from((at, max, mean_tenths, viewers_tenths): (u32, u32, u32, u32)) -> Self {
        Self {
            at,
            max,
            mean_tenths,
            viewers_tenths,
        }
    }
}

impl From<Point> for (u32, u32, u32, u32) {
    fn from(point: Point) -> Self {
        (point.at, point.max, point.mean_tenths, point.viewers_tenths)
    }
}

/// The slot that is filled now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Open {
    at: u32,
    max: u32,
    sum: u64,
    viewers: u64,
    samples: u32,
}

impl Open {
    fn new(at: u32) -> Self {
        Self {
            at,
            max: 0,
            sum: 0,
            viewers: 0,
            samples: 0,
        }
    }

    fn count(&mut self, audience: u32, viewers: u32, samples: u32) {
        self.max = self.max.max(audience);
        self.sum += u64::from(audience);
        self.viewers += u64::from(viewers);
        self.samples = self.samples.saturating_add(1).max(samples);
    }

    fn point(&self) -> Option<Point> {
        let mean = |sum: u64| {
            let samples = u64::from(self.samples.max(1));
            u32::try_from((sum.saturating_mul(TENTHS) + samples / 2) / samples).unwrap_or(u32::MAX)
        };
        (self.max > 0).then(|| Point {
            at: self.at,
            max: self.max,
            mean_tenths: mean(self.sum),
            viewers_tenths: mean(self.viewers),
        })
    }
}

/// When samples were taken: how many in the slot that is filled now. A mean is over these, whenever in the slot somebody
/// came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Samples {
    now: u64,
    taken: [(u32, u32); 3],
}

impl Samples {
    /// One more is taken, at this time in seconds since 1970.
    pub fn take(&mut self, now: u64) {
        self.now = now;
        for (span, (slot, taken)) in Span::ALL.into_iter().zip(&mut self.taken) {
            let at = span.slot(now);
            // A clock that was set back goes on in the slot that was open.
            if *slot < at || *slot > at.saturating_add(1) {
                (*slot, *taken) = (at, 0);
            }
            *taken = taken.saturating_add(1);
        }
    }

    fn of(&self, span: Span) -> u32 {
        self.taken[span as usize].1
    }
}

/// One span: its closed slots, the oldest first, and the open one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Ring {
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    points: VecDeque<Point>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    open: Option<Open>,
}

impl Ring {
    fn sample(&mut self, slot: u32, audience: u32, viewers: u32, samples: u32) {
        if self.open.is_some_and(|open| open.at < slot) {
            self.close();
        }
        // Where nobody was yet, nothing is filled.
        if audience == 0 && self.open.is_none() {
            return;
        }
        // A clock that was set back goes on in the open slot.
        let open = self.open.get_or_insert_with(|| Open::new(slot));
        open.count(audience, viewers, samples);
    }

    fn close(&mut self) {
        if let Some(point) = self.open.take().and_then(|open| open.point()) {
            self.points.push_back(point);
        }
    }

    /// Drops what is too old, and what lies in the future: the clock was wrong then.
    fn expire(&mut self, slot: u32, slots: u32) {
        let first = slot.saturating_sub(slots.saturating_sub(1));
        let known = |at: u32| (first..=slot.saturating_add(1)).contains(&at);
        while self.points.front().is_some_and(|point| !known(point.at)) {
            self.points.pop_front();
        }
        while self.points.back().is_some_and(|point| !known(point.at)) {
            self.points.pop_back();
        }
        if self.open.is_some_and(|open| !known(open.at)) {
            self.open = None;
        }
        if self.points.is_empty() {
            self.points = VecDeque::new();
        }
    }

    fn is_sound(&self, slots: u32) -> bool {
        let points = self.points.iter().map(|point| point.at);
        self.points.len() <= slots as usize
            && points
                .chain(self.open.map(|open| open.at))
                .is_sorted_by(|a, b| a < b)
    }
}

/// How large an audience was, in every span.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    #[serde(default)]
    minutes: Ring,
    #[serde(default)]
    hours: Ring,
    #[serde(default)]
    days: Ring,
}

impl History {
    /// Counts how many are there at the sample that was taken last, and how many of these are browsers.
    pub fn sample(&mut self, samples: &Samples, audience: u32, viewers: u32) {
        for span in Span::ALL {
            let slot = span.slot(samples.now);
            let ring = self.ring_mut(span);
            // First: a slot of the future would take this sample.
            ring.expire(slot, span.slots());
            ring.sample(slot, audience, viewers, samples.of(span));
        }
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// How many slots take room.
    pub fn n_points(&self) -> usize {
        Span::ALL
            .iter()
            .map(|span| self.ring(*span).points.len())
            .sum()
    }

    /// The slots of a span in which somebody was there, the oldest first, the one that is filled now at the end.
    pub fn points(&self, span: Span) -> impl Iterator<Item = Point> + '_ {
        let ring = self.ring(span);
        let open = ring.open.and_then(|open| open.point());
        ring.points.iter().copied().chain(open)
    }

    /// The most that were there at once, in what is kept.
    pub fn most(&self) -> u32 {
        let all = Span::ALL.iter().flat_map(|span| self.points(*span));
        all.map(|point| point.max).max().unwrap_or(0)
    }

    /// Forgets the closed slots of a span; how many there were.
    pub fn forget(&mut self, span: Span) -> usize {
        std::mem::take(&mut self.ring_mut(span).points).len()
    }

    /// Whether it can have been written by this program: slots in order, none twice, no more than there may be.
    pub fn is_sound(&self) -> bool {
        Span::ALL
            .iter()
            .all(|span| self.ring(*span).is_sound(span.slots()))
    }

    fn ring(&self, span: Span) -> &Ring {
        match span {
            Span::Minutes => &self.minutes,
            Span::Hours => &self.hours,
            Span::Days => &self.days,
        }
    }

    fn ring_mut(&mut self, span: Span) -> &mut Ring {
        match span {
            Span::Minutes => &mut self.minutes,
            Span::Hours => &mut self.hours,
            Span::Days => &mut self.days,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Sunday, at midnight.
    const DAY: u64 = 20_000 * 86_400;

    /// A history with its samples.
    #[derive(Default)]
    struct Taken {
        samples: Samples,
        history: History,
    }

    impl Taken {
        fn sample(&mut self, now: u64, audience: u32, viewers: u32) {
            self.samples.take(now);
            self.history.sample(&self.samples, audience, viewers);
            assert!(self.history.is_sound());
        }

        fn points(&self, span: Span) -> Vec<Point> {
            self.history.points(span).collect()
        }
    }

    #[test]
    fn a_slot_has_the_most_and_the_mean_of_its_samples() {
        let mut taken = Taken::default();
        for (second, audience, viewers) in [(0, 4, 1), (20, 8, 2), (40, 0, 0), (60, 3, 3)] {
            taken.sample(DAY + second, audience, viewers);
        }
        let first = Span::Minutes.slot(DAY);
        let expected = [(first, 8, 40, 10), (first + 1, 3, 30, 30)].map(Point::from);
        assert_eq!(taken.points(Span::Minutes), expected);
        let hour = Span::Hours.slot(DAY);
        assert_eq!(taken.points(Span::Hours), [Point::from((hour, 8, 38, 15))]);
        assert_eq!(taken.points(Span::Days)[0].at, 20_000);
        assert_eq!(taken.history.most(), 8);
    }

    #[test]
    fn the_mean_counts_the_time_before_the_first_came() {
        let mut taken = Taken::default();
        for minute in 0..60 {
            taken.sample(DAY + minute * 60, u32::from(minute >= 45) * 4, 0);
        }
        taken.sample(DAY + 3600, 0, 0);
        assert_eq!(taken.points(Span::Minutes).len(), 15);
        let hour = Span::Hours.slot(DAY);
        assert_eq!(taken.points(Span::Hours), [Point::from((hour, 4, 10, 0))]);
    }

    #[test]
    fn nobody_takes_no_room_and_years_take_a_bounded_one() {
        let mut taken = Taken::default();
        for hour in 0..1000 {
            taken.sample(DAY + hour * 3600, 0, 0);
        }
        assert!(taken.history.is_empty());
        // Three years with somebody each hour, then with somebody each minute.
        for hour in 0..3 * 366 * 24 {
            taken.sample(DAY + hour * 3600, 1, 0);
        }
        let end = DAY + 3 * 366 * 86_400;
        for minute in 0..1000 {
            taken.sample(end + minute * 60, 1, 0);
        }
        for span in Span::ALL {
            assert_eq!(taken.points(span).len(), span.slots() as usize, "{span:?}");
        }
        assert!(taken.history.n_points() * size_of::<Point>() < 20_000);
        // Then nobody: what is too old goes.
        for day in 0..800 {
            taken.sample(end + day * 86_400, 0, 0);
        }
        assert!(taken.history.is_empty());
    }

    #[test]
    fn a_clock_that_jumps_breaks_nothing() {
        let mut taken = Taken::default();
        taken.sample(DAY + 600, 1, 0);
        taken.sample(DAY + 590, 5, 0);
        assert_eq!(taken.points(Span::Minutes).len(), 1);
        // Far ahead, and back again: what was counted in the future is dropped.
        taken.sample(DAY + 900 * 86_400, 7, 0);
        taken.sample(DAY + 660, 2, 0);
        taken.sample(DAY + 720, 2, 0);
        let known = |point: &Point| point.at <= Span::Days.slot(DAY) + 1;
        assert!(taken.points(Span::Days).iter().all(known));
        assert_eq!(taken.history.most(), 2);
        taken.sample(u64::MAX, 1, 1);
        taken.sample(DAY, 1, 1);
    }

    #[test]
    fn what_is_out_of_order_was_not_written_here() {
        let mut taken = Taken::default();
        for minute in 0..5 {
            taken.sample(DAY + minute * 60, 1, 0);
        }
        let ring = &mut taken.history.minutes;
        ring.points.swap(0, 1);
        assert!(!taken.history.is_sound());
    }
}
