//! Matroska and WebM (RFC 9559): what a file holds, where its frames lie.
//!
//! Not here: writing. `matroska-demuxer` was looked at and left: it allocates what a header claims and hands out
//! copies of frames, while this crate needs bounds and places.

pub(crate) mod blocks;
mod codecs;
pub(crate) mod ebml;
pub(crate) mod header;
pub(crate) mod samples;
pub(crate) mod webm;

use self::blocks::{End, Frame};
use self::header::{CLUSTER, Header, Kind, Track};
use super::window::Window;
use crate::complete::Complete;
use crate::h264::AvcC;
use crate::model::{Container, KeyFrame, Media, ProbeError};
use crate::read::ReadAt;
use std::ops::ControlFlow;

/// Headers lie apart: few bytes at once.
const STEP: usize = 4 << 10;
/// Frames looked at in search of one that tells what headers don't.
const MOST_FRAMES: usize = 20_000;

pub(crate) fn probe(source: &dyn ReadAt) -> Result<Media, ProbeError> {
    let mut window = Window::new(source, STEP);
    let header = header::read(&mut window)?;
    let length = window.length();
    if header.segment_end.is_some_and(|end| end > length) {
        return Err(ProbeError::Truncated("it is shorter than it says".into()));
    }
    let duration_s = match header.duration_s {
        Some(duration) => Some(duration),
        None => last_time(&mut window, &header)?,
    };

    let of = |kind| header.tracks.iter().filter(move |track| track.kind == kind);
    let first = |kind| main_track(&header.tracks, kind);
    let video = match first(Kind::Video) {
        Some(track) => {
            let frame = codecs::needs_frame(track)
                .then(|| first_frame(&mut window, &header, track))
                .transpose()?
                .flatten();
            Some(codecs::video(track, frame.as_deref().unwrap_or(&[])))
        }
        None => None,
    };
    Ok(Media {
        container: if header.webm {
            Container::WebM
        } else {
            Container::Matroska
        },
        duration_s,
        bit_rate: None,
        video,
        audio: first(Kind::Audio).map(codecs::audio),
        video_tracks: of(Kind::Video).count(),
        audio_tracks: of(Kind::Audio).count(),
        faststart: header.in_front,
        fragmented: false,
        chapters: header.chapters,
    })
}

/// The track of a kind that is played first.
pub(crate) fn main_track(tracks: &[Track], kind: Kind) -> Option<&Track> {
    let mut of = tracks.iter().filter(|track| track.kind == kind);
    let first = of.clone().next();
    of.find(|track| track.default).or(first)
}

/// The beginning of a track's first frame.
fn first_frame(
    window: &mut Window<'_>,
    header: &Header,
    track: &Track,
) -> Result<Option<Vec<u8>>, ProbeError> {
    let Some(from) = header.first_cluster else {
        return Ok(None);
    };
    let mut found = None;
    let mut looked = 0;
    blocks::walk(window, from, end(window, header), &mut |frame| {
        looked += 1;
        if frame.track == track.number {
            found = Some(*frame);
        }
        if found.is_some() || looked > MOST_FRAMES {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    let Some(frame) = found else {
        return Ok(None);
    };
    let mut bytes = match &track.packing {
        header::Packing::Stripped(prefix) => prefix.clone(),
        _ => Vec::new(),
    };
    bytes.extend(window.get(frame.at, frame.size.min(64) as usize)?);
    Ok(Some(bytes))
}

fn end(window: &Window<'_>, header: &Header) -> u64 {
    let length = window.length();
    header.segment_end.map_or(length, |end| end.min(length))
}

/// How far back a last cluster is looked for where clusters don't tell their size.
const FARTHEST_BACK: u64 = 16 << 20;
/// Clusters stepped over where they do.
const MOST_CLUSTERS: usize = 200_000;

/// When the last frame ends, in seconds, by the last cluster.
fn last_time(window: &mut Window<'_>, header: &Header) -> Result<Option<f64>, ProbeError> {
    let Some(first) = header.first_cluster else {
        return Ok(None);
    };
    let end = end(window, header);
    let mut at = first;
    let mut last = None;
    for _ in 0..MOST_CLUSTERS {
        let Some(element) = ebml::element(window, at)?.filter(|element| header::is_top(element.id))
        else {
            break;
        };
        if element.id == CLUSTER {
            last = Some(at);
        }
        let Some(size) = element.size else {
            break;
        };
        at = element.data.saturating_add(size);
        if at >= end {
            if let Some(last) = last {
                return cluster_end(window, header, last, end);
            }
            break;
        }
    }

    const PIECE: u64 = 64 << 10;
    const MOST_TRIED: usize = 8;
    let mut tried = 0;
    let mut high = end;
    let floor = end.saturating_sub(FARTHEST_BACK).max(first);
    while high > floor {
        let low = high.saturating_sub(PIECE).max(floor);
        // A cluster's identifier may lie across two pieces.
        let length = (high - low + 3).min(end - low);
        let piece = window.get(low, length as usize)?.to_vec();
        for at in (0..piece.len().saturating_sub(3)).rev() {
            if piece[at..at + 4] != CLUSTER.to_be_bytes() {
                continue;
            }
            if let Some(time) = cluster_end(window, header, low + at as u64, end)? {
                return Ok(Some(time));
            }
            tried += 1;
            if tried == MOST_TRIED {
                return Ok(None);
            }
        }
        high = low;
    }
    Ok(None)
}

/// When the frames from this cluster on end; `None` where no cluster begins here, however much it looks like one.
fn cluster_end(
    window: &mut Window<'_>,
    header: &Header,
    at: u64,
    end: u64,
) -> Result<Option<f64>, ProbeError> {
    let mut last: Option<f64> = None;
    let known = |number| header.tracks.iter().find(|track| track.number == number);
    let how = blocks::walk(window, at, end, &mut |frame| {
        let Some(track) = known(frame.track) else {
            return ControlFlow::Break(());
        };
        let ticks = frame.time as f64 + frame.duration.unwrap_or(0) as f64;
        let mut time = ticks * header.scale as f64;
        if frame.duration.is_none() {
            time += track.frame_ns.unwrap_or(0) as f64 * f64::from(frame.lace + 1);
        }
        last = Some(last.map_or(time, |last| last.max(time)));
        ControlFlow::Continue(())
    });
    Ok(match how {
        Ok(End::Whole | End::Cut) => last.map(|ns| ns / 1e9).filter(|time| *time >= 0.0),
        Ok(End::Lost | End::Stopped) | Err(ProbeError::Malformed(_)) => None,
        Err(error) => return Err(error),
    })
}

/// Whether the file reaches to where its segment ends; a live one, whether its last element is whole.
pub(crate) fn complete(source: &dyn ReadAt) -> Complete {
    let mut window = Window::new(source, STEP);
    let length = window.length();
    let header = match header::read(&mut window) {
        Ok(header) => header,
        Err(ProbeError::Truncated(why)) => return Complete::No(why),
        Err(_) => return Complete::Unknown,
    };
    if let Some(end) = header.segment_end {
        return if end <= length {
            Complete::Yes
        } else {
            Complete::No("it is shorter than it says".into())
        };
    }
    let from = header.first_cluster.unwrap_or(header.segment);
    match blocks::walk(
        &mut window,
        from,
        length,
        &mut |_| ControlFlow::Continue(()),
    ) {
        Ok(End::Whole) => Complete::Yes,
        Ok(End::Cut) => Complete::No("it ends in the middle of a block".into()),
        Ok(End::Lost | End::Stopped) | Err(_) => Complete::Unknown,
    }
}

pub(crate) fn key_frame(source: &dyn ReadAt, at_s: f64) -> Result<Option<KeyFrame>, ProbeError> {
    let mut window = Window::new(source, STEP);
    let header = header::read(&mut window)?;
    let (Some(track), Some(first)) = (
        main_track(&header.tracks, Kind::Video),
        header.first_cluster,
    ) else {
        return Ok(None);
    };
    let prefix = match &track.packing {
        header::Packing::None => &[][..],
        header::Packing::Stripped(prefix) => prefix,
        header::Packing::Other => return Ok(None),
    };
    if track.codec != "V_MPEG4/ISO/AVC" {
        return Ok(None);
    }
    let Some(record) = AvcC::parse(&track.private) else {
        return Ok(None);
    };

    let ticks = (at_s.max(0.0) * 1e9 / header.scale as f64) as i64;
    let cue = header
        .cues
        .iter()
        .rev()
        .filter(|cue| cue.track == track.number && cue.cluster < window.length())
        .find(|cue| i64::try_from(cue.time).is_ok_and(|time| time <= ticks));
    let mut found: Option<Frame> = None;
    let mut looked = 0;
    let from = cue.map_or(first, |cue| cue.cluster);
    let limit = end(&window, &header);
    blocks::walk(&mut window, from, limit, &mut |frame| {
        looked += 1;
        let key = frame.track == track.number && frame.key;
        let past = frame.time > ticks;
        if key && (!past || found.is_none()) {
            found = Some(*frame);
        }
        if (past && found.is_some()) || (cue.is_some() && looked > MOST_FRAMES) {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    let Some(frame) = found else {
        return Ok(None);
    };
    let mut sample = prefix.to_vec();
    sample.extend(window.get(frame.at, frame.size as usize)?);
    let time_s = frame.time as f64 * header.scale as f64 / 1e9;
    Ok(Some(record.key_frame(&sample, time_s, track.rotation)))
}
