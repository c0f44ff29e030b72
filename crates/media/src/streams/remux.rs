//! From the places of samples in a source to an MP4 file: what all sources share. Tables of samples are held,
//! 32 bytes a sample; samples are read when they are written.

use super::timing::{OutOfRange, Timing};
use super::ts::packets::Layout;
use super::ts::samples::read_unit;
use super::window::Window;
use crate::model::{Chapter, ProbeError};
use crate::mp4::write::{self, Edit, OutKind, OutMovie, OutSample, OutTrack};
use crate::read::{ReadAt, RewriteError};
use std::io::Write;
use std::ops::ControlFlow;

/// Where a sample lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) at: u64,
    /// Bytes there: not always those of the sample that is made of them.
    pub(crate) raw: u32,
    /// Bytes of the sample.
    pub(crate) size: u32,
    pub(crate) sync: bool,
}

/// Samples that one file may have: more than fifty hours of picture and sound. It bounds what a file that was
/// made to exhaust memory can do.
pub(crate) const MOST_SAMPLES: usize = 16 << 20;

/// How samples are made of the bytes at their places.
#[derive(Debug, Clone)]
pub(crate) enum Fetch {
    /// They lie there, but for bytes that were taken off their fronts.
    Plain(Vec<u8>),
    /// They are spread over transport packets.
    Packets {
        layout: Layout,
        pid: u16,
        /// Whether they are pictures with start codes, which become lengths.
        pictures: bool,
    },
}

/// A track whose samples are known.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) kind: OutKind,
    pub(crate) entry: Vec<u8>,
    pub(crate) language: [u8; 3],
    pub(crate) places: Vec<Place>,
    pub(crate) timing: Timing,
    pub(crate) fetch: Fetch,
}

/// A source whose samples are known.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(crate) tracks: Vec<Track>,
    pub(crate) chapters: Vec<Chapter>,
}

/// Units a second in which edits are counted: those of transport streams, fine enough for any frame rate.
const MOVIE_SCALE: u32 = 90_000;

impl Gathered {
    /// Writes the file.
    pub(crate) fn write(
        self,
        source: &dyn ReadAt,
        out: &mut dyn Write,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<(), RewriteError> {
        let Self {
            tracks,
            mut chapters,
        } = self;
        if tracks.iter().any(|track| track.places.is_empty()) || tracks.is_empty() {
            return Err(RewriteError::Lossy("one of its tracks is empty".into()));
        }
        // The file begins with what is shown or heard first.
        let starts = tracks.iter().map(|track| track.timing.start_s);
        let base = starts.fold(f64::MAX, f64::min).max(0.0);
        for chapter in &mut chapters {
            chapter.start_s = (chapter.start_s - base).max(0.0);
        }
        let mut movie = OutMovie {
            timescale: MOVIE_SCALE,
            tracks: Vec::new(),
            chapters,
        };
        let mut readers = Vec::new();
        for track in tracks {
            let edits = edits(&track.timing, base);
            let samples = track.places.iter().zip(track.timing.samples);
            let samples = samples.map(|(place, (duration, composition))| OutSample {
                size: place.size,
                duration,
                composition,
                sync: place.sync,
            });
            movie.tracks.push(OutTrack {
                kind: track.kind,
                entry: track.entry,
                timescale: track.timing.timescale,
                language: track.language,
                samples: samples.collect(),
                edits,
            });
            readers.push((Window::new(source, 32 << 10), track.fetch, track.places));
        }
        write::file(
            &movie,
            &mut |track, sample, buffer| {
                let (window, fetch, places) = &mut readers[track];
                let place = places[sample];
                match fetch {
                    Fetch::Plain(prefix) => {
                        buffer.extend_from_slice(prefix);
                        let bytes = window.get(place.at, place.raw as usize);
                        buffer.extend(bytes.map_err(ProbeError::Read)?);
                    }
                    Fetch::Packets {
                        layout,
                        pid,
                        pictures,
                    } => read_unit(window, *layout, *pid, &place, *pictures, buffer)?,
                }
                Ok(())
            },
            out,
            progress,
        )
    }
}

/// What of a track is shown, and when.
fn edits(timing: &Timing, base: f64) -> Vec<Edit> {
    let scale = f64::from(timing.timescale);
    let delay = timing.start_s - base;
    // What lies before the beginning (a codec's delay) is decoded and not heard.
    let early = (-delay * scale).round().max(0.0) as u64;
    let late = (delay * f64::from(MOVIE_SCALE)).round().max(0.0) as u64;
    let media_time = timing.media_time + early;
    if media_time == 0 && late == 0 {
        return Vec::new();
    }
    // From the first picture that is shown to the end of the last one.
    let mut decoded = 0;
    let mut end = 0;
    for (duration, composition) in &timing.samples {
        let shown = i64::try_from(decoded).unwrap_or(i64::MAX) + i64::from(*composition);
        end = end.max(shown.saturating_add(i64::from(*duration)));
        decoded += u64::from(*duration);
    }
    let shown = u64::try_from(end).unwrap_or(0).saturating_sub(media_time);
    let shown = Edit {
        length: (shown as f64 / scale * f64::from(MOVIE_SCALE)).round() as u64,
        media_time: Some(media_time),
    };
    let empty = Edit {
        length: late,
        media_time: None,
    };
    if late > 0 {
        vec![empty, shown]
    } else {
        vec![shown]
    }
}

/// Whether players can seek in H.264 whose samples may also begin at points of recovery that are no IDR pictures
/// ("open GOP"). Such points are no sync samples of MP4: Chromium, sent to one, stops with an error. Without them
/// seeking decodes from the IDR picture before, which takes too long where that is far.
pub(crate) fn check_seeking(track: &Track, recovery_points: usize) -> Result<(), RewriteError> {
    const FARTHEST_S: u64 = 20;
    if !track.places.first().is_some_and(|place| place.sync) {
        return Err(lossy("its first picture needs others that are not there"));
    }
    let (mut since, mut farthest) = (0_u64, 0);
    for (place, (duration, _)) in track.places.iter().zip(&track.timing.samples) {
        since = if place.sync { 0 } else { since };
        since += u64::from(*duration);
        farthest = farthest.max(since);
    }
    if recovery_points > 0 && farthest > FARTHEST_S * u64::from(track.timing.timescale) {
        return Err(lossy(
            "its key frames need other frames (open GOP), so that browsers can't seek",
        ));
    }
    Ok(())
}

/// A reason in the words of an error.
pub(crate) fn lossy(why: impl Into<String>) -> RewriteError {
    RewriteError::Lossy(why.into())
}

impl From<OutOfRange> for RewriteError {
    fn from(_: OutOfRange) -> Self {
        lossy("its times are out of order")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A track of one picture a second, some of them sync samples.
    fn track(seconds: usize, is_sync: impl Fn(usize) -> bool) -> Track {
        let place = |number| Place {
            at: 0,
            raw: 1,
            size: 1,
            sync: is_sync(number),
        };
        Track {
            kind: OutKind::Audio,
            entry: Vec::new(),
            language: *b"und",
            places: (0..seconds).map(place).collect(),
            timing: Timing {
                timescale: 1000,
                samples: vec![(1000, 0); seconds],
                start_s: 0.0,
                media_time: 0,
            },
            fetch: Fetch::Plain(Vec::new()),
        }
    }

    #[test]
    fn points_of_recovery_are_refused_where_nothing_better_is_near() {
        let rare = track(60, |number| number == 0);
        assert!(check_seeking(&rare, 0).is_ok(), "nobody could do better");
        assert!(check_seeking(&rare, 20).is_err());
        let often = track(60, |number| number % 10 == 0);
        assert!(check_seeking(&often, 20).is_ok());
        let late = track(60, |number| number == 1);
        assert!(check_seeking(&late, 0).is_err());
    }

    #[test]
    fn what_is_heard_too_early_is_left_out_and_what_is_late_waits() {
        let timing = |start_s| Timing {
            start_s,
            ..track(4, |_| true).timing
        };
        let shown = |length, media_time| Edit {
            length,
            media_time: Some(media_time),
        };
        let empty = Edit {
            length: 45_000,
            media_time: None,
        };
        assert_eq!(edits(&timing(0.0), 0.0), []);
        assert_eq!(edits(&timing(-0.5), 0.0), [shown(315_000, 500)]);
        assert_eq!(edits(&timing(2.5), 2.0), [empty, shown(360_000, 0)]);
    }
}
