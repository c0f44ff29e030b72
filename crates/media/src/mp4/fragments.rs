//! Movie fragments (ISO/IEC 14496-12 §8.8): samples whose index lies beside them.

use super::boxes::{Child, children, find};
use super::bytes::Bytes;
use super::layout::{Layout, Top};
use super::movie::{Defaults, Movie};
use super::table::{MOST_SAMPLES, Sample};
use crate::model::ProbeError;
use crate::read::ReadAt;
use std::ops::ControlFlow;

/// The index of one fragment has a row of 16 bytes a sample; one of this size spans hours.
const MOST_INDEX: u64 = 64 << 20;
const NOT_SYNC: u32 = 1 << 16;

/// Reads the fragments one after the other. `visit` hears the number of the track in the movie and each sample,
/// and may break off.
///
/// # Errors
/// Where samples lie beyond the end of the file, or there are more than can be.
pub(crate) fn visit(
    source: &dyn ReadAt,
    layout: &Layout,
    movie: &Movie<'_>,
    visit: &mut dyn FnMut(usize, Sample) -> ControlFlow<()>,
) -> Result<(), ProbeError> {
    let mut reader = Fragments {
        movie,
        length: layout.length,
        next_times: movie
            .tracks
            .iter()
            .map(|track| track.table.length().1)
            .collect(),
        samples: 0,
    };
    for fragment in layout.boxes.iter().filter(|found| found.kind == *b"moof") {
        let body = layout.read(source, fragment, MOST_INDEX)?;
        if reader.fragment(fragment, &body, visit)?.is_break() {
            break;
        }
    }
    Ok(())
}

struct Fragments<'a> {
    movie: &'a Movie<'a>,
    /// Bytes of the file.
    length: u64,
    /// When the next sample of each track is decoded.
    next_times: Vec<u64>,
    /// Seen so far.
    samples: u64,
}

impl Fragments<'_> {
    fn fragment(
        &mut self,
        fragment: &Top,
        body: &[u8],
        visit: &mut dyn FnMut(usize, Sample) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, ProbeError> {
        // Where a track's samples begin when it doesn't say: behind those of the track before it.
        let mut end_of_last = fragment.offset;
        for part in children(body).filter(|child| child.kind == *b"traf") {
            let Some((track, defaults, base)) =
                find(part.body, b"tfhd").and_then(|head| self.head(head))
            else {
                continue;
            };
            let mut at = match base {
                Base::Told(offset) => offset,
                Base::Fragment => fragment.offset,
                Base::EndOfLast => end_of_last,
            };
            let base = at;
            if let Some(time) = find(part.body, b"tfdt").and_then(decode_time) {
                self.next_times[track] = time;
            }
            for run in children(part.body).filter(|child| child.kind == *b"trun") {
                let told = run_offset(&run);
                at = told
                    .map_or(Some(at), |told| base.checked_add_signed(told.into()))
                    .ok_or_else(beyond)?;
                if self
                    .run(track, defaults, run.body, &mut at, visit)?
                    .is_break()
                {
                    return Ok(ControlFlow::Break(()));
                }
            }
            end_of_last = at;
        }
        Ok(ControlFlow::Continue(()))
    }

    fn head(&self, body: &[u8]) -> Option<(usize, Defaults, Base)> {
        let mut bytes = Bytes(body);
        let (_, flags) = bytes.version()?;
        let id = bytes.u32()?;
        let track = self.movie.tracks.iter().position(|track| track.id == id)?;
        let mut defaults = self
            .movie
            .defaults
            .iter()
            .find(|row| row.track == id)
            .copied()
            .unwrap_or_default();
        let base = if flags & 0x1 != 0 {
            Base::Told(bytes.u64()?)
        } else if flags & 0x2_0000 != 0 {
            Base::Fragment
        } else {
            Base::EndOfLast
        };
        if flags & 0x2 != 0 {
            bytes.u32()?;
        }
        if flags & 0x8 != 0 {
            defaults.duration = bytes.u32()?;
        }
        if flags & 0x10 != 0 {
            defaults.size = bytes.u32()?;
        }
        if flags & 0x20 != 0 {
            defaults.flags = bytes.u32()?;
        }
        Some((track, defaults, base))
    }

    fn run(
        &mut self,
        track: usize,
        defaults: Defaults,
        body: &[u8],
        at: &mut u64,
        visit: &mut dyn FnMut(usize, Sample) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, ProbeError> {
        let mut bytes = Bytes(body);
        let Some(((_, flags), count)) = bytes.version().zip(bytes.u32()) else {
            return Ok(ControlFlow::Continue(()));
        };
        if flags & 0x1 != 0 {
            bytes.u32();
        }
        let first_flags = if flags & 0x4 != 0 { bytes.u32() } else { None };
        for number in 0..count {
            let field = |bytes: &mut Bytes<'_>, flag: u32, default| {
                if flags & flag != 0 {
                    bytes.u32()
                } else {
                    Some(default)
                }
            };
            let told = (|| {
                let duration = field(&mut bytes, 0x100, defaults.duration)?;
                let size = field(&mut bytes, 0x200, defaults.size)?;
                let sample_flags = field(&mut bytes, 0x400, defaults.flags)?;
                Some((duration, size, sample_flags, field(&mut bytes, 0x800, 0)?))
            })();
            let Some((duration, size, sample_flags, composition)) = told else {
                break;
            };
            let sample_flags = first_flags.filter(|_| number == 0).unwrap_or(sample_flags);
            self.samples += 1;
            // Samples of no bytes are rare; a file can't have many more samples than bytes.
            if self.samples > MOST_SAMPLES.min(self.length) {
                return Err(ProbeError::Malformed(
                    "its fragments tell of more samples than can be".into(),
                ));
            }
            let sample = Sample {
                offset: *at,
                size: size.into(),
                decoded: self.next_times[track],
                // Version 0 has them unsigned, but writers put signed ones there all the same.
                composition: composition as i32,
                duration,
                sync: sample_flags & NOT_SYNC == 0,
            };
            *at = at
                .checked_add(size.into())
                .filter(|end| *end <= self.length)
                .ok_or_else(beyond)?;
            self.next_times[track] = sample.decoded.saturating_add(duration.into());
            if visit(track, sample).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// From where a track's offsets in a fragment count.
enum Base {
    Told(u64),
    Fragment,
    EndOfLast,
}

fn beyond() -> ProbeError {
    ProbeError::Truncated("its last fragment has samples beyond the end of the file".into())
}

fn decode_time(body: &[u8]) -> Option<u64> {
    let mut bytes = Bytes(body);
    let long = bytes.version()?.0 == 1;
    bytes.u32_or_u64(long)
}

fn run_offset(run: &Child<'_>) -> Option<i32> {
    let mut bytes = Bytes(run.body);
    let (_, flags) = bytes.version()?;
    bytes.u32()?;
    if flags & 0x1 != 0 { bytes.i32() } else { None }
}

/// Whether the file says itself that all its fragments are there: by a table of them at its end, or by an index
/// of segments. `None` where it doesn't say.
///
/// # Errors
/// Where the index tells of more than there is.
pub(crate) fn told_whole(source: &dyn ReadAt, layout: &Layout) -> Result<Option<()>, ProbeError> {
    if layout
        .boxes
        .last()
        .is_some_and(|last| last.kind == *b"mfra")
    {
        return Ok(Some(()));
    }
    let mut told = None;
    for index in layout
        .boxes
        .iter()
        .filter(|found| found.kind == *b"sidx")
        .take(1)
    {
        let body = layout.read(source, index, MOST_INDEX)?;
        let Some(end) = indexed_end(&body, index.end()) else {
            continue;
        };
        if end > layout.length {
            let what = format!(
                "its segments end at byte {end}, but the file at byte {}",
                layout.length
            );
            return Err(ProbeError::Truncated(what));
        }
        told = (end == layout.length).then_some(());
    }
    Ok(told)
}

/// Where the segments of an index end.
fn indexed_end(body: &[u8], anchor: u64) -> Option<u64> {
    let mut bytes = Bytes(body);
    let long = bytes.version()?.0 > 0;
    bytes.take(8)?;
    bytes.u32_or_u64(long)?;
    let mut end = anchor.checked_add(bytes.u32_or_u64(long)?)?;
    let count = bytes.u32()? & 0xffff;
    for _ in 0..count {
        end = end.checked_add(u64::from(bytes.u32()? & 0x7fff_ffff))?;
        bytes.take(8)?;
    }
    Some(end)
}
