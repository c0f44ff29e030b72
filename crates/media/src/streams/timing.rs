//! Decoding times and durations where a container tells only when samples are shown, and tells that roundly.

/// When samples of a track are decoded and shown, in units of its own.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Timing {
    /// Units a second.
    pub(crate) timescale: u32,
    /// For each sample in decoding order: units until the next one is decoded, and from decoding to showing.
    pub(crate) samples: Vec<(u32, i32)>,
    /// When what lies at `media_time` is shown, in seconds of the source.
    pub(crate) start_s: f64,
    /// Where the first picture lies on a line on which the first sample is decoded at 0.
    pub(crate) media_time: u64,
}

/// Times of a source that don't fit the new file's fields.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OutOfRange;

const SECOND: i128 = 1_000_000_000;

/// Times of pictures whose times of showing are known, in decoding order: decoding goes on in the order of
/// showing, as early as the picture that is most behind needs it. Where all times lie on a grid of the frame
/// duration but for the rounding to ticks, the grid is taken, so that nothing jitters.
pub(crate) fn shown(
    times: &[i64],
    tick_ns: u64,
    frame_ns: Option<u64>,
) -> Result<Timing, OutOfRange> {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let (Some(first), tick) = (sorted.first().copied(), i128::from(tick_ns)) else {
        return Err(OutOfRange);
    };
    let ns = |time: i64| i128::from(time) * tick - i128::from(first) * tick;

    let grid = frame_ns.map(rate).filter(|(scale, duration)| {
        let mut before = -1;
        sorted.iter().all(|time| {
            let index = on_grid(ns(*time), *scale, *duration);
            let exact = index * SECOND * i128::from(*duration) / i128::from(*scale);
            let strays = (exact - ns(*time)).abs() > tick + tick / 8;
            let fits = index > before && !strays;
            before = index;
            fits
        })
    });
    // Milliseconds mostly; finer ticks than these would overflow a sample's fields.
    let plain = u32::try_from(SECOND / tick.max(1)).unwrap_or(0);
    let exact = (1000..=100_000).contains(&plain) && i128::from(plain) * tick == SECOND;
    let (timescale, place): (u32, Box<dyn Fn(i64) -> i128>) = match grid {
        Some((scale, duration)) => (
            scale,
            Box::new(move |time| on_grid(ns(time), scale, duration) * i128::from(duration)),
        ),
        None if exact => (plain, Box::new(move |time| ns(time) / tick)),
        None => (
            90_000,
            Box::new(move |time| divide(ns(time) * 90_000, SECOND)),
        ),
    };

    let decoded: Vec<i128> = sorted.iter().map(|time| place(*time)).collect();
    let behind = |(decoded, time): (&i128, &i64)| decoded - place(*time);
    let delay = decoded.iter().zip(times).map(behind).max().unwrap_or(0);
    let last = match grid {
        Some((_, duration)) => i128::from(duration),
        None => {
            let ends = decoded.iter().rev().take(2);
            ends.fold(0, |sum, time| (time - sum).abs()).max(1)
        }
    };
    let mut samples = Vec::with_capacity(times.len());
    for (index, time) in times.iter().enumerate() {
        let duration = match decoded.get(index + 1) {
            Some(next) => next - decoded[index],
            None => last,
        };
        samples.push((
            u32::try_from(duration).map_err(|_| OutOfRange)?,
            i32::try_from(place(*time) - decoded[index] + delay).map_err(|_| OutOfRange)?,
        ));
    }
    Ok(Timing {
        timescale,
        samples,
        start_s: first as f64 * tick_ns as f64 / 1e9,
        media_time: u64::try_from(delay).map_err(|_| OutOfRange)?,
    })
}

fn divide(value: i128, by: i128) -> i128 {
    (value + by / 2).div_euclid(by)
}

fn on_grid(ns: i128, scale: u32, duration: u32) -> i128 {
    divide(ns * i128::from(scale), SECOND * i128::from(duration.max(1)))
}

/// A frame rate as a fraction, units a second and units a frame: the rates in use are 24, 25, 30, 50, 60 … and
/// those of old television, slower by 1,000 to 1,001.
fn rate(frame_ns: u64) -> (u32, u32) {
    let per_second = 1e9 / frame_ns as f64;
    for (times, duration) in [(1000.0, 1000), (1001.0, 1001)] {
        let scale = (per_second * times / 1000.0).round() * 1000.0;
        let exact = 1e9 * f64::from(duration) / scale;
        if (1000.0..=1_000_000.0).contains(&scale) && (exact - frame_ns as f64).abs() < 2.0 {
            return (scale as u32, duration);
        }
    }
    // No rate that is known: to the microsecond, for frames that last up to an hour.
    let duration = u32::try_from(frame_ns.saturating_add(500) / 1000).unwrap_or(u32::MAX);
    (1_000_000, duration.max(1))
}

/// Times of sound by the samples in its frames, checked against what the container tells: further away than
/// this it has a gap, and the container is believed.
pub(crate) struct Counted {
    rate: u32,
    tolerance: i64,
    first: Option<i64>,
    /// Where frames begin, in samples from the first one on.
    starts: Vec<u64>,
    next: u64,
}

impl Counted {
    pub(crate) fn new(rate: u32, tolerance_s: f64) -> Self {
        Self {
            rate: rate.max(1),
            tolerance: (f64::from(rate) * tolerance_s) as i64,
            first: None,
            starts: Vec::new(),
            next: 0,
        }
    }

    /// A frame of so many samples, and when it is heard where that is told.
    pub(crate) fn push(&mut self, told_s: Option<f64>, samples: u32) {
        if let Some(told) = told_s {
            let told = (told * f64::from(self.rate)).round() as i64;
            // A beginning that isn't told is told by the first frame that is.
            let counted = i64::try_from(self.next).unwrap_or(i64::MAX);
            let first = *self.first.get_or_insert(told.saturating_sub(counted));
            let heard = told.saturating_sub(first);
            if heard.abs_diff(counted) > self.tolerance.unsigned_abs() {
                let least = self.starts.last().map_or(0, |last| last + 1);
                self.next = u64::try_from(heard).unwrap_or(0).max(least);
            }
        }
        self.starts.push(self.next);
        self.next = self.next.saturating_add(samples.into());
    }

    pub(crate) fn finish(self) -> Result<Timing, OutOfRange> {
        let nexts = self.starts.iter().skip(1).chain([&self.next]);
        let samples = self.starts.iter().zip(nexts).map(|(start, next)| {
            let duration = u32::try_from(next.saturating_sub(*start)).ok()?;
            Some((duration, 0))
        });
        Ok(Timing {
            timescale: self.rate,
            samples: samples.collect::<Option<_>>().ok_or(OutOfRange)?,
            start_s: self.first.unwrap_or(0) as f64 / f64::from(self.rate),
            media_time: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rates_become_the_fractions_they_were() {
        let check = |ns, expected| assert_eq!(rate(ns), expected, "{ns}");
        check(40_000_000, (25_000, 1000));
        check(41_708_333, (24_000, 1001));
        check(33_366_666, (30_000, 1001));
        check(33_366_667, (30_000, 1001));
        check(16_666_666, (60_000, 1000));
        check(16_683_333, (60_000, 1001));
        check(20_833_333, (48_000, 1000));
        check(123_456_789, (1_000_000, 123_457));
    }

    #[test]
    fn b_frames_are_decoded_before_they_are_shown() {
        let timing = shown(
            &[23, 143, 63, 103, 263, 183, 223],
            1_000_000,
            Some(40_000_000),
        )
        .unwrap();
        assert_eq!(timing.timescale, 25_000);
        assert!(timing.samples.iter().all(|(duration, _)| *duration == 1000));
        let compositions: Vec<i32> = timing.samples.iter().map(|(_, shift)| *shift).collect();
        assert_eq!(compositions, [1000, 3000, 0, 0, 3000, 0, 0]);
        assert_eq!(timing.media_time, 1000);
        assert_eq!(timing.start_s, 0.023);
    }

    #[test]
    fn rounded_times_lie_on_the_grid_and_others_stay() {
        // 30 frames a second in milliseconds, the third one dropped.
        let timing = shown(&[0, 33, 100, 133, 167], 1_000_000, Some(33_333_333)).unwrap();
        assert_eq!(timing.timescale, 30_000);
        let durations: Vec<u32> = timing
            .samples
            .iter()
            .map(|(duration, _)| *duration)
            .collect();
        assert_eq!(durations, [1000, 2000, 1000, 1000, 1000]);
        let timing = shown(&[0, 33, 90, 133], 1_000_000, Some(33_333_333)).unwrap();
        assert_eq!(timing.timescale, 1000);
        let durations: Vec<u32> = timing
            .samples
            .iter()
            .map(|(duration, _)| *duration)
            .collect();
        assert_eq!(durations, [33, 57, 43, 43]);
    }

    #[test]
    fn sound_is_counted_until_it_has_a_gap() {
        let mut counted = Counted::new(44_100, 0.01);
        for told in [0.0, 0.023, 0.046, 0.5, 0.523] {
            counted.push(Some(told), 1024);
        }
        counted.push(None, 1024);
        let timing = counted.finish().unwrap();
        let durations: Vec<u32> = timing
            .samples
            .iter()
            .map(|(duration, _)| *duration)
            .collect();
        assert_eq!(durations, [1024, 1024, 22_050 - 2048, 1024, 1024, 1024]);
    }

    proptest! {
        #[test]
        fn every_sample_is_shown_when_it_was(
            mut times in prop::collection::btree_set(0_i64..5000, 1..40),
            swaps in prop::collection::vec(any::<(prop::sample::Index, bool)>(), 0..10),
            frame_ns in prop::option::of(1_u64..200_000_000),
        ) {
            let mut times: Vec<i64> = std::mem::take(&mut times).into_iter().collect();
            for (index, _) in swaps {
                let at = index.index(times.len());
                times.swap(at, 0);
            }
            let timing = shown(&times, 1_000_000, frame_ns).unwrap();
            let scale = f64::from(timing.timescale);
            let first = *times.iter().min().unwrap();
            let mut decoded = 0_i64;
            for (time, (duration, composition)) in times.iter().zip(&timing.samples) {
                let shown = decoded + i64::from(*composition) - timing.media_time as i64;
                prop_assert!(*composition >= 0);
                prop_assert!((shown as f64 / scale - (time - first) as f64 / 1e3).abs() < 0.0012);
                decoded += i64::from(*duration);
            }
        }
    }
}
