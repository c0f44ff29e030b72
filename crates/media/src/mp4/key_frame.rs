//! One picture that needs no other, found in the index and made ready for a decoder.

use super::boxes::{Kind, find};
use super::movie::{Movie, Track};
use super::table::Sample;
use super::{Opened, description, fragments, is_fragmented, shown_first, tracks};
use crate::h264::AvcC;
use crate::model::{KeyFrame, ProbeError};
use crate::read::ReadAt;
use std::ops::ControlFlow;

/// A picture of 8K at the codec's highest rate is smaller.
const MOST_PICTURE: u64 = 64 << 20;
/// Pictures are shown a few frames after they are decoded, so that stepping back ends soon.
const MOST_STEPS: usize = 8;

pub(crate) fn key_frame(source: &dyn ReadAt, at_s: f64) -> Result<Option<KeyFrame>, ProbeError> {
    let Opened { layout, index } = Opened::read(source)?;
    let movie = Movie::read(&index)?;
    let (pictures, _) = tracks(&movie);
    let Some(number) =
        shown_first(&movie, &pictures).filter(|track| !movie.tracks[*track].external)
    else {
        return Ok(None);
    };
    let track = &movie.tracks[number];
    let at_s = if at_s.is_finite() { at_s.max(0.0) } else { 0.0 };
    let found = if is_fragmented(&layout, &movie) {
        let mut found: Option<Sample> = None;
        fragments::visit(source, &layout, &movie, &mut |of, sample| {
            if of != number {
                return ControlFlow::Continue(());
            }
            let past = track.shown_s(&movie, sample.shown()) > at_s;
            if sample.sync && (!past || found.is_none()) {
                found = Some(sample);
            }
            // What is decoded later is shown later, but for a few frames within a group.
            let over =
                track.shown_s(&movie, i64::try_from(sample.decoded).unwrap_or(i64::MAX)) > at_s;
            if over && found.is_some() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        found.map(|sample| (sample, 1))
    } else {
        in_table(&movie, track, at_s)
    };
    let Some((sample, entry)) = found else {
        return Ok(None);
    };
    let Some(record) = record(track, entry) else {
        return Ok(None);
    };
    if sample.size == 0
        || sample.size > MOST_PICTURE
        || sample.offset.saturating_add(sample.size) > layout.length
    {
        return Ok(None);
    }
    let mut bytes = vec![0; usize::try_from(sample.size).unwrap_or(0)];
    source.read_exact_at(sample.offset, &mut bytes)?;
    let time_s = track.shown_s(&movie, sample.shown()).max(0.0);
    Ok(Some(record.key_frame(&bytes, time_s, track.rotation)))
}

/// The sync sample shown at or before a time, or the first one, and its sample entry.
fn in_table(movie: &Movie<'_>, track: &Track<'_>, at_s: f64) -> Option<(Sample, u32)> {
    let (delay, begin) = track.start();
    let delay_s = delay as f64 / f64::from(movie.timescale);
    let time = (at_s - delay_s).max(0.0) * f64::from(track.timescale) + begin as f64;
    let mut number = track.table.sync_before(track.table.at(time as u64))?;
    let mut found = track.table.sample(number)?;
    for _ in 0..MOST_STEPS {
        if found.0.shown() as f64 <= time {
            break;
        }
        let before = number
            .checked_sub(1)
            .and_then(|before| track.table.sync_before(before));
        let Some(before) = before.filter(|before| *before < number) else {
            break;
        };
        number = before;
        found = track.table.sample(number)?;
    }
    Some(found)
}

/// The configuration of an H.264 sample entry, by its number from 1.
fn record(track: &Track<'_>, entry: u32) -> Option<AvcC> {
    let nth = usize::try_from(entry).ok()?.checked_sub(1)?;
    let (kind, body) = description::entries(track.description).nth(nth)?;
    const H264: [&Kind; 2] = [b"avc1", b"avc3"];
    let extensions = body
        .get(description::FIXED_VIDEO..)
        .filter(|_| H264.contains(&&kind))?;
    AvcC::parse(find(extensions, b"avcC")?)
}
