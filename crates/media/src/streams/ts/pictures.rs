//! Pictures of H.264 in a transport stream.
//!
//! A picture is what one packet of the packetized elementary stream holds, as nearly every writer packs them;
//! where one holds halves of pictures or several, rewriting is refused rather than guessed.

use super::H264;
use super::packets::{Layout, packet};
use super::samples::{Assembler, Unit};
use crate::bits::Bits;
use crate::h264::{self, AvcC, Sps};
use crate::model::{KeyFrame, ProbeError};
use crate::mp4::entries;
use crate::mp4::write::OutKind;
use crate::read::{ReadAt, RewriteError};
use crate::streams::matroska::samples::shape;
use crate::streams::remux::{Fetch, MOST_SAMPLES, Place, Track, check_seeking, lossy};
use crate::streams::timing::Timing;
use crate::streams::window::Window;

/// Pictures of H.264.
#[derive(Default)]
pub(super) struct Pictures {
    sets: Sets,
    places: Vec<Place>,
    /// When each one is shown and decoded.
    times: Vec<(i64, i64)>,
    recovery_points: usize,
}

/// Parameter sets, each as it was first sent.
#[derive(Default)]
struct Sets {
    sps: Vec<Vec<u8>>,
    pps: Vec<Vec<u8>>,
}

impl Sets {
    fn learn(&mut self, unit: &[u8]) -> Result<(), RewriteError> {
        // Their own numbers stand behind three bytes of profile and level, or at once.
        let (known, before) = match h264::unit_type(unit) {
            Some(h264::SPS) => (&mut self.sps, 4),
            Some(h264::PPS) => (&mut self.pps, 1),
            _ => return Ok(()),
        };
        let id = |set: &[u8]| Bits::new(set.get(before..)?).golomb();
        match known.iter().find(|set| id(set) == id(unit)) {
            Some(set) if set == unit => Ok(()),
            Some(_) => Err(lossy("its picture's configuration changes in the middle")),
            None if known.len() < 31 => {
                known.push(unit.to_vec());
                Ok(())
            }
            None => Err(lossy("its picture has too many configurations")),
        }
    }
}

/// Whether a unit stays in an MP4 sample: sets stand in the file's index, delimiters and filling nowhere.
pub(super) fn stays(unit: &[u8]) -> bool {
    const FILLER: u8 = 12;
    let left_out = [h264::SPS, h264::PPS, h264::DELIMITER, FILLER];
    h264::unit_type(unit).is_some_and(|kind| !left_out.contains(&kind))
}

/// Where a decoder can begin.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Begin {
    /// At an IDR picture.
    Idr,
    /// At a picture after which all that are shown later are right.
    Recovery,
}

fn begin(units: &[&[u8]]) -> Option<Begin> {
    let mut kinds = units.iter().map(|unit| h264::unit_type(unit));
    if kinds.any(|kind| kind == Some(h264::IDR)) {
        return Some(Begin::Idr);
    }
    let mut messages = units
        .iter()
        .filter(|unit| h264::unit_type(unit) == Some(h264::SEI));
    messages
        .any(|unit| recovers(unit))
        .then_some(Begin::Recovery)
}

/// Whether supplemental information says that pictures are right from here on (D.2.8).
fn recovers(unit: &[u8]) -> bool {
    const RECOVERY_POINT: usize = 6;
    let mut rest = unit.get(1..).unwrap_or_default();
    loop {
        let mut number = || {
            let mut sum = 0_usize;
            while let Some((byte, after)) = rest.split_first() {
                rest = after;
                sum += usize::from(*byte);
                if *byte < 255 {
                    return Some(sum);
                }
            }
            None
        };
        let (Some(kind), Some(size)) = (number(), number()) else {
            return false;
        };
        if kind == RECOVERY_POINT {
            return Bits::new(rest).golomb() == Some(0);
        }
        rest = rest.get(size..).unwrap_or_default();
    }
}

impl Pictures {
    pub(super) fn push(&mut self, unit: &Unit) -> Result<(), RewriteError> {
        let units: Vec<&[u8]> = h264::annex_b_units(&unit.bytes).collect();
        for set in &units {
            self.sets.learn(set)?;
        }
        let begin = begin(&units);
        if self.places.is_empty() && begin.is_none() {
            // Nothing can be decoded before the first of these.
            return Ok(());
        }
        if begin == Some(Begin::Recovery) {
            self.recovery_points += 1;
        }
        let slices = units
            .iter()
            .filter(|unit| matches!(h264::unit_type(unit), Some(1..=5)));
        // Slices that begin a picture have the code of nought first.
        let first = |slice: &&&[u8]| slice.get(1).is_some_and(|byte| byte & 0x80 != 0);
        let begun = slices.clone().filter(first).count();
        if begun != 1 || slices.clone().any(|slice| self.is_field(slice)) {
            return Err(lossy(
                "its pictures are packed in halves or several at once",
            ));
        }
        let (Some(pts), Some(dts)) = (unit.pts, unit.dts) else {
            return Err(lossy("some of its pictures have no time"));
        };
        let size: usize = units
            .iter()
            .filter(|unit| stays(unit))
            .map(|unit| 4 + unit.len())
            .sum();
        if self.places.len() >= MOST_SAMPLES {
            return Err(lossy("it has too many samples"));
        }
        let length =
            |bytes: usize| u32::try_from(bytes).map_err(|_| lossy("a picture is too large"));
        self.places.push(Place {
            at: unit.at,
            raw: length(unit.bytes.len())?,
            size: length(size)?,
            sync: begin == Some(Begin::Idr),
        });
        self.times.push((pts, dts));
        Ok(())
    }

    /// Whether a slice is one of a field: half a picture.
    fn is_field(&self, slice: &[u8]) -> bool {
        let Some(sps) = self.sets.sps.first().and_then(|set| Sps::parse(set)) else {
            return false;
        };
        let read = || {
            let mut bits = Bits::new(slice.get(1..)?);
            bits.golomb()?; // first_mb_in_slice
            bits.golomb()?; // slice_type
            bits.golomb()?; // pic_parameter_set_id
            bits.skip(sps.frame_number_bits)?;
            bits.bit()
        };
        !sps.progressive && read().unwrap_or(false)
    }

    pub(super) fn track(self, layout: Layout, pid: u16) -> Result<Track, RewriteError> {
        let Self {
            sets,
            places,
            times,
            recovery_points,
        } = self;
        let record = AvcC::from_sets(sets.sps, sets.pps)
            .ok_or_else(|| lossy("its picture's configuration is missing"))?;
        let sps = record
            .sps_parsed()
            .ok_or_else(|| lossy("its picture's configuration is damaged"))?;
        let side =
            |pixels: u32| u16::try_from(pixels).map_err(|_| lossy("its picture is too large"));
        let aspect = sps.sample_aspect;
        let (width, height) = sps.shown();
        let track = Track {
            kind: OutKind::Video {
                width,
                height,
                rotation: 0,
            },
            entry: entries::avc1(
                side(sps.width)?,
                side(sps.height)?,
                shape(aspect.0.into(), aspect.1.into()),
                &record.to_bytes(),
            ),
            language: *b"und",
            timing: timing(&times, sps.frame_rate)?,
            places,
            fetch: Fetch::Packets {
                layout,
                pid,
                pictures: true,
            },
        };
        check_seeking(&track, recovery_points)?;
        Ok(track)
    }
}

/// Times as the stream tells them.
fn timing(times: &[(i64, i64)], frame_rate: Option<f64>) -> Result<Timing, RewriteError> {
    let (Some((_, first)), Some(shown)) = (times.first(), times.iter().map(|time| time.0).min())
    else {
        return Err(lossy("it has no picture that can be decoded"));
    };
    let frame = 90_000.0 / frame_rate.filter(|rate| *rate >= 1.0).unwrap_or(25.0);
    let mut samples = Vec::with_capacity(times.len());
    let mut last = frame.round() as u32;
    for (index, (pts, dts)) in times.iter().enumerate() {
        if let Some((_, next)) = times.get(index + 1) {
            last = u32::try_from(next - dts)
                .ok()
                .filter(|ticks| *ticks > 0)
                .ok_or_else(|| lossy("its clock jumps"))?;
        }
        let composition = i32::try_from(pts - dts).map_err(|_| lossy("its clock jumps"))?;
        samples.push((last, composition));
    }
    Ok(Timing {
        timescale: 90_000,
        samples,
        start_s: shown as f64 / 90_000.0,
        media_time: u64::try_from(shown - first).map_err(|_| lossy("its clock jumps"))?,
    })
}

/// How far before the place where a time is expected pictures are looked at, and how far behind.
const BEFORE: u64 = 8 << 20;
const BEHIND: u64 = 64 << 20;

pub(crate) fn key_frame(source: &dyn ReadAt, at_s: f64) -> Result<Option<KeyFrame>, ProbeError> {
    let mut window = Window::new(source, super::STEP);
    let layout = Layout::find(&mut window)?.ok_or(ProbeError::NotMedia)?;
    let mut heads = super::heads(&mut window, layout)?;
    super::read_back(&mut window, layout, &mut heads)?;
    let start = heads.iter().filter_map(|head| head.first).min();
    let end = heads.iter().filter_map(super::Head::end).max();
    let video = heads
        .iter()
        .find(|head| head.is_video && head.stream.kind == H264);
    let (Some(video), Some(start), Some(end)) = (video, start, end) else {
        return Ok(None);
    };
    let wanted = start.saturating_add((at_s.max(0.0) * 90_000.0) as i64);
    let wanted = wanted.min(end.max(start));
    let share = (wanted - start) as f64 / ((end - start).max(1)) as f64;
    let guess = (window.length() as f64 * share.clamp(0.0, 1.0)) as u64;
    for from in [guess.saturating_sub(BEFORE), 0] {
        let from = layout.packet_of(from);
        let pid = video.stream.pid;
        let found = nearest(&mut window, layout, pid, from, start, wanted)?;
        if found.is_some() || from == 0 {
            return Ok(found);
        }
    }
    Ok(None)
}

/// The last key frame at or before a time, else the first one after it, from a place in the file on.
fn nearest(
    window: &mut Window<'_>,
    layout: Layout,
    pid: u16,
    from: u64,
    start: i64,
    wanted: i64,
) -> Result<Option<KeyFrame>, ProbeError> {
    let mut assembler = Assembler::new(pid);
    let mut sets = Sets::default();
    let mut found = None;
    let mut now = Some(wanted);
    let mut at = from;
    let mut ended = false;
    while !ended && at < from.saturating_add(BEHIND) {
        let unit = match packet(window, layout, at)? {
            Some(packet) if packet.pid == pid && !packet.scrambled => {
                let payload = window.get(packet.data, packet.size)?;
                assembler.push(&packet, payload, &mut now).ok().flatten()
            }
            Some(_) => None,
            None => {
                ended = true;
                assembler.finish()
            }
        };
        at += layout.step;
        let Some(unit) = unit else { continue };
        let Some(shown) = unit.pts else { continue };
        if shown > wanted && found.is_some() {
            break;
        }
        let units: Vec<&[u8]> = h264::annex_b_units(&unit.bytes).collect();
        // A later configuration replaces the one before.
        if units
            .iter()
            .any(|unit| h264::unit_type(unit) == Some(h264::SPS))
        {
            sets = Sets::default();
        }
        for set in &units {
            let _ = sets.learn(set);
        }
        if begin(&units).is_none() || sets.sps.is_empty() || sets.pps.is_empty() {
            continue;
        }
        let mut annex_b = Vec::with_capacity(unit.bytes.len() + 256);
        let kept = units.into_iter().filter(|unit| stays(unit));
        let sps = sets.sps.first().and_then(|set| Sps::parse(set));
        let sets = sets.sps.iter().chain(&sets.pps).map(Vec::as_slice);
        for unit in sets.chain(kept) {
            annex_b.extend([0, 0, 0, 1]);
            annex_b.extend(unit);
        }
        found = Some(KeyFrame {
            annex_b,
            time_s: (shown - start).max(0) as f64 / 90_000.0,
            rotation: 0,
            matrix: sps.and_then(|sps| sps.matrix),
            full_range: sps.is_some_and(|sps| sps.full_range),
        });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_of_recovery_are_known_by_their_message() {
        let check = |units: &[&[u8]], expected: bool| {
            assert_eq!(
                begin(units) == Some(Begin::Recovery),
                expected,
                "{units:x?}"
            );
        };
        // Right at once; right after one more picture; behind another message; none.
        check(&[&[6, 6, 1, 0xc4, 0x80]], true);
        check(&[&[6, 6, 1, 0x44, 0x80]], false);
        check(&[&[6, 0, 2, 9, 9, 6, 1, 0xc4, 0x80]], true);
        check(&[&[6, 5, 1], &[0x41, 0x9a]], false);
        assert!(begin(&[&[6, 6, 1, 0xc4], &[0x65, 0x88]]) == Some(Begin::Idr));
    }
}
