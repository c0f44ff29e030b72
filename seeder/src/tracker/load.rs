//! P2P on demand: whether the seeder has bandwidth to spare, so that viewers can be kept apart and nobody's address is
//! shown to another, or is loaded and needs them to share. The tracker is told; what it does with it is its own.
//!
//! What is measured is the rate at which payload goes out, against 70 % of the upload limit, or against `p2p_above`
//! where that is less. Without either nobody knows what the line carries: then 50 Mbit/s stand for it, and ten viewers
//! at once count as load, so that a slow line nobody told us of isn't left alone with them. An answer over HTTP that was
//! refused because the line is busy is load in itself.
//!
//! [`Judge`] is without a clock; [`run`] gives it one.

use crate::serve::Shared;
use std::sync::Arc;
use std::time::{Duration, Instant};
use swarm::tracker::Load;
use tokio::time::MissedTickBehavior;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// How long a rate goes on in the mean.
const SMOOTH: Duration = Duration::from_secs(3);
/// How long it must be above to count.
const RISE: Duration = Duration::from_secs(3);
/// How long it must be below to count.
const FALL: Duration = Duration::from_secs(30);
/// Which part of the limit is load.
const PART: f64 = 0.7;
/// Below this part of what is load, there is none any more: half of the limit.
const SPARE: f64 = 5.0 / 7.0;
/// What stands for a line of which nothing is known, in bytes a second.
const UNKNOWN_LINE: u64 = 6_250_000;
/// How many viewers are load on such a line.
const UNKNOWN_LINE_VIEWERS: u32 = 10;

/// When viewers are introduced to each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LoadConfig {
    /// Above this rate of sending, in bytes a second.
    pub above: Option<u64>,
    /// From this many viewers at once.
    pub viewers: Option<u32>,
}

/// What is seen at one look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Measured {
    /// Bytes sent since the start.
    pub sent: u64,
    /// Answers over HTTP refused since the start because the line is busy.
    pub refused: u64,
    /// What may be sent, bytes a second.
    pub limit: Option<u64>,
    /// Browsers in the tracker's swarms.
    pub viewers: u32,
}

/// Decides, look by look.
#[derive(Debug, Default)]
pub struct Judge {
    config: LoadConfig,
    load: Load,
    before: Option<(Instant, Measured)>,
    rate: f64,
    /// What is seen speaks for the other load since then.
    since: Option<Instant>,
}

impl Judge {
    /// Spare at first.
    pub fn new(config: LoadConfig) -> Self {
        Self {
            config,
            ..Self::default()
        }
    }

    /// What this look says: the load to go by, and how much there is, 1 being where viewers are introduced.
    pub fn look(&mut self, now: Instant, measured: Measured) -> (Load, f64) {
        let Some((at, before)) = self.before.replace((now, measured)) else {
            return (self.load, 0.0);
        };
        let passed = now.saturating_duration_since(at).as_secs_f64();
        if passed > 0.0 {
            let rate = measured.sent.saturating_sub(before.sent) as f64 / passed;
            let old = (-passed / SMOOTH.as_secs_f64()).exp();
            self.rate = self.rate * old + rate * (1.0 - old);
        }
        let mut amount = self.config.amount(self.rate, &measured);
        if measured.refused > before.refused {
            amount = amount.max(1.0);
        }
        let (other, wait) = match self.load {
            Load::Spare => (amount >= 1.0, RISE),
            Load::Loaded => (amount < SPARE, FALL),
        };
        let since = other.then(|| *self.since.get_or_insert(now));
        self.since = since;
        if since.is_some_and(|since| now.saturating_duration_since(since) >= wait) {
            self.since = None;
            self.load = match self.load {
                Load::Spare => Load::Loaded,
                Load::Loaded => Load::Spare,
            };
        }
        (self.load, amount)
    }
}

impl LoadConfig {
    fn amount(&self, rate: f64, measured: &Measured) -> f64 {
        // A limit of nothing: the month's volume is spent.
        if measured.limit == Some(0) {
            return 1.0;
        }
        let of_limit = measured.limit.map(|limit| limit as f64 * PART);
        let above = self.above.map(|above| above as f64);
        let known = [of_limit, above].into_iter().flatten().reduce(f64::min);
        let unknown = known.is_none().then_some(UNKNOWN_LINE_VIEWERS);
        let by_rate = rate / known.unwrap_or(UNKNOWN_LINE as f64).max(1.0);
        let viewers = self.viewers.or(unknown);
        let by_viewers = viewers.map_or(0.0, |most| {
            f64::from(measured.viewers) / f64::from(most.max(1))
        });
        by_rate.max(by_viewers)
    }
}

/// Tells the tracker, until the seeder stops.
pub async fn run(shared: Arc<Shared>) {
    let metrics = &shared.metrics;
    let mut judge = Judge::new(shared.config.load);
    let mut told = Load::default();
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        let measured = Measured {
            sent: metrics.block_bytes_sent.get()
                + metrics.http_library_bytes.get()
                + metrics.http_site_bytes.get(),
            refused: metrics.http_busy.get(),
            limit: shared.uplink.rate(),
            viewers: shared.statistics.viewers(),
        };
        let now = tokio::time::Instant::now().into_std();
        let (load, amount) = judge.look(now, measured);
        metrics
            .tracker_load_percent_now
            .set((amount * 100.0).round() as u64);
        if load != told {
            told = load;
            shared.tracker.set_load(load);
            let loaded = load == Load::Loaded;
            metrics.tracker_loaded_now.set(u64::from(loaded));
            metrics.tracker_loaded.add(u64::from(loaded));
            tracing::info!(
                "the seeder {}",
                match loaded {
                    true => "is loaded: viewers are introduced to each other",
                    false => "has bandwidth to spare: viewers are kept apart",
                }
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A seeder of which each second is looked at.
    struct Seconds {
        judge: Judge,
        now: Instant,
        measured: Measured,
        amount: f64,
    }

    impl Seconds {
        fn new(config: LoadConfig, limit: Option<u64>) -> Self {
            let mut seconds = Self {
                judge: Judge::new(config),
                now: Instant::now(),
                measured: Measured {
                    limit,
                    ..Measured::default()
                },
                amount: 0.0,
            };
            seconds.judge.look(seconds.now, seconds.measured);
            seconds
        }

        /// Sends at this rate for so many seconds; after how many of them the load changed last, and what it is.
        fn pass(&mut self, seconds: u32, rate: u64) -> (Option<u32>, Load) {
            let mut changed = None;
            for second in 1..=seconds {
                self.now += LOOK;
                self.measured.sent += rate;
                let before = self.judge.load;
                let (load, amount) = self.judge.look(self.now, self.measured);
                self.amount = amount;
                if load != before {
                    changed = Some(second);
                }
            }
            (changed, self.judge.load)
        }
    }

    #[test]
    fn a_busy_link_is_load_within_seconds_and_half_a_minute_of_quiet_ends_it() {
        let mut seconds = Seconds::new(LoadConfig::default(), Some(1_000_000));
        assert_eq!(seconds.pass(600, 600_000), (None, Load::Spare));
        assert!((0.84..0.87).contains(&seconds.amount), "{}", seconds.amount);
        let (after, load) = seconds.pass(30, 1_000_000);
        assert_eq!(load, Load::Loaded);
        assert!((4..8).contains(&after.unwrap()), "{after:?}");
        // Between half and 70 % it stays as it is.
        assert_eq!(seconds.pass(600, 600_000), (None, Load::Loaded));
        let (after, load) = seconds.pass(60, 400_000);
        assert_eq!(load, Load::Spare);
        assert!((30..36).contains(&after.unwrap()), "{after:?}");
    }

    #[test]
    fn a_link_that_swings_changes_nothing_back_and_forth() {
        let mut seconds = Seconds::new(LoadConfig::default(), Some(1_000_000));
        // A burst of a second or two, as one more player starts.
        for _ in 0..20 {
            assert_eq!(seconds.pass(2, 900_000), (None, Load::Spare));
            assert_eq!(seconds.pass(20, 100_000), (None, Load::Spare));
        }
        seconds.pass(20, 1_000_000);
        for _ in 0..20 {
            assert_eq!(seconds.pass(25, 0), (None, Load::Loaded));
            assert_eq!(seconds.pass(5, 1_000_000), (None, Load::Loaded));
        }
    }

    #[test]
    fn a_rate_that_is_named_goes_below_the_limit_and_not_above_it() {
        let config = LoadConfig {
            above: Some(200_000),
            viewers: None,
        };
        let mut seconds = Seconds::new(config, Some(1_000_000));
        assert_eq!(seconds.pass(60, 250_000).1, Load::Loaded);
        let mut seconds = Seconds::new(config, None);
        assert_eq!(seconds.pass(60, 150_000).1, Load::Spare);
        // Who has named a rate knows the line: viewers alone are no load.
        seconds.measured.viewers = 1000;
        assert_eq!(seconds.pass(60, 150_000).1, Load::Spare);
        let config = LoadConfig {
            above: Some(10_000_000),
            viewers: None,
        };
        let mut seconds = Seconds::new(config, Some(1_000_000));
        assert_eq!(seconds.pass(60, 900_000).1, Load::Loaded);
    }

    #[test]
    fn on_a_line_nobody_knows_fifty_megabits_or_ten_viewers_are_load() {
        let mut seconds = Seconds::new(LoadConfig::default(), None);
        assert_eq!(seconds.pass(60, 5_000_000).1, Load::Spare);
        assert_eq!(seconds.pass(60, 7_000_000).1, Load::Loaded);
        let mut seconds = Seconds::new(LoadConfig::default(), None);
        seconds.measured.viewers = 9;
        assert_eq!(seconds.pass(60, 0).1, Load::Spare);
        seconds.measured.viewers = 10;
        assert_eq!(seconds.pass(60, 0).1, Load::Loaded);
        let config = LoadConfig {
            above: None,
            viewers: Some(2),
        };
        let mut seconds = Seconds::new(config, Some(1_000_000));
        seconds.measured.viewers = 2;
        assert_eq!(seconds.pass(60, 0).1, Load::Loaded);
    }

    #[test]
    fn who_is_turned_away_and_a_month_that_is_spent_are_load() {
        let mut seconds = Seconds::new(LoadConfig::default(), Some(1_000_000));
        let mut load = Load::Spare;
        for _ in 0..10 {
            seconds.measured.refused += 1;
            load = seconds.pass(1, 10_000).1;
        }
        assert_eq!(load, Load::Loaded);
        assert_eq!(seconds.pass(60, 10_000).1, Load::Spare);
        seconds.measured.limit = Some(0);
        assert_eq!(seconds.pass(10, 0).1, Load::Loaded);
    }
}
