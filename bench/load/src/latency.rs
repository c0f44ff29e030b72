//! A histogram of times with a resolution of 1.6 %, from a microsecond to hours, in constant memory.

use std::time::Duration;

/// Sub-buckets of each power of two.
const STEPS: u64 = 64;
const STEP_BITS: u32 = 6;
/// Powers of two above `STEPS` microseconds that are told apart: 64 µs · 2^28 are almost five hours.
const POWERS: usize = 28;

/// How often which time was seen.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; (POWERS + 1) * STEPS as usize],
            total: 0,
            max: Duration::ZERO,
        }
    }
}

impl Histogram {
    /// Counts one time.
    pub fn record(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = bucket(micros).min(self.counts.len() - 1);
        self.counts[bucket] += 1;
        self.total += 1;
        self.max = self.max.max(time);
    }

    /// How many were counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The longest, exactly.
    pub fn max(&self) -> Duration {
        self.max
    }

    /// The time that this share (0 to 1) of all didn't exceed; `None` where nothing was counted.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        if self.total == 0 {
            return None;
        }
        let rank = ((self.total as f64 * share).ceil() as u64).clamp(1, self.total);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Some(Duration::from_micros(upper(bucket)).min(self.max));
            }
        }
        Some(self.max)
    }
}

fn bucket(micros: u64) -> usize {
    if micros < STEPS {
        return micros as usize;
    }
    let power = micros.ilog2() - STEP_BITS;
    let step = (micros >> power) - STEPS;
    (u64::from(power + 1) * STEPS + step) as usize
}

/// The largest time of a bucket.
fn upper(bucket: usize) -> u64 {
    let (power, step) = (bucket as u64 / STEPS, bucket as u64 % STEPS);
    if power == 0 {
        return step;
    }
    ((STEPS + step + 1) << (power - 1)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_falls_below_the_upper_end_of_its_bucket_and_above_the_one_before() {
        for micros in (0..100_000).chain((0..30).map(|n| (1 << n) + n)) {
            let at = bucket(micros);
            assert!(micros <= upper(at), "{micros}");
            assert!(at == 0 || micros > upper(at - 1), "{micros}");
        }
    }

    #[test]
    fn quantiles_are_within_two_percent() {
        let mut times = Histogram::default();
        assert_eq!(times.quantile(0.5), None);
        for millis in 1..=1000 {
            times.record(Duration::from_millis(millis));
        }
        for (share, expected) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = times.quantile(share).unwrap().as_secs_f64() * 1e3;
            assert!((found / expected - 1.0).abs() < 0.02, "{share}: {found}");
        }
        assert_eq!(times.max(), Duration::from_secs(1));
    }
}
