//! A QuickTime movie, or an MP4 file whose index doesn't lead its fragments, as a plain MP4 file: the same
//! samples under a new index.
//!
//! Tracks that are neither picture nor sound are left out, as are further tracks of codecs that MP4 players don't
//! know; chapters stay.

use super::boxes::{children, make};
use super::movie::{Movie, Track};
use super::table::Sample;
use super::write::{self, Edit, OutKind, OutMovie, OutSample, OutTrack};
use super::{
    Opened, all_samples, chapters, check_extents, description, entries, shown_first, shown_size,
    tracks,
};
use crate::model::{AudioCodec, ProbeError, VideoCodec};
use crate::read::{ReadAt, RewriteError};
use std::io::Write;
use std::ops::ControlFlow;

/// Writes the file anew.
pub(crate) fn to_mp4(
    source: &dyn ReadAt,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<(), RewriteError> {
    let Opened { layout, index } = Opened::read(source)?;
    let movie = Movie::read(&index)?;
    check_extents(&layout, &movie)?;
    let samples = all_samples(source, &layout, &movie)?;

    let (pictures, sounds) = tracks(&movie);
    let (picture, sound) = (shown_first(&movie, &pictures), shown_first(&movie, &sounds));
    let first = || picture.into_iter().chain(sound);
    let others = pictures
        .iter()
        .chain(&sounds)
        .copied()
        .filter(|track| first().all(|first| first != *track));
    let mut written = Vec::new();
    let mut places: Vec<&[Sample]> = Vec::new();
    for number in first().chain(others) {
        let track = &movie.tracks[number];
        match out_track(&movie, track, &samples[number].samples) {
            Ok(track) => {
                written.push(track);
                places.push(&samples[number].samples);
            }
            Err(RewriteError::Lossy(_)) if first().all(|first| first != number) => {}
            Err(error) => return Err(error),
        }
    }
    if written.is_empty() {
        return Err(RewriteError::Lossy(
            "it has neither picture nor sound".into(),
        ));
    }
    let chapters = chapters::read(source, &movie, picture.or(sound))?;
    let written = OutMovie {
        timescale: movie.timescale,
        tracks: written,
        chapters,
    };
    let mut fetch = |track: usize, sample: usize, buffer: &mut Vec<u8>| {
        let Sample { offset, size, .. } = places[track][sample];
        let from = buffer.len();
        buffer.resize(from + usize::try_from(size).unwrap_or(0), 0);
        source
            .read_exact_at(offset, &mut buffer[from..])
            .map_err(|error| ProbeError::from(error).into())
    };
    write::file(&written, &mut fetch, out, progress)
}

fn out_track(
    movie: &Movie<'_>,
    track: &Track<'_>,
    samples: &[Sample],
) -> Result<OutTrack, RewriteError> {
    let lossy = |what: &str| RewriteError::Lossy(what.into());
    if track.external {
        return Err(lossy("a track keeps its samples in another file"));
    }
    if description::entries(track.description).count() != 1 {
        return Err(lossy(
            "a track changes its codec's configuration on the way",
        ));
    }
    let (kind, entry) = if track.handler == *b"vide" {
        picture(track)?
    } else {
        (OutKind::Audio, sound(track)?)
    };
    let begin = samples.first().map_or(0, |sample| sample.decoded);
    Ok(OutTrack {
        kind,
        entry,
        timescale: track.timescale,
        language: track.language,
        edits: edits(movie, track, samples, begin),
        samples: out_samples(samples)?,
    })
}

fn picture(track: &Track<'_>) -> Result<(OutKind, Vec<u8>), RewriteError> {
    let unknown = |codec: &str| {
        RewriteError::Lossy(format!(
            "its picture is {codec}, which MP4 players don't know"
        ))
    };
    let entry =
        description::video(track.description).ok_or_else(|| unknown("of an unknown codec"))?;
    match &entry.picture.codec {
        VideoCodec::Other(codec) => return Err(unknown(codec)),
        VideoCodec::Vp8 => return Err(unknown("VP8")),
        VideoCodec::H264 | VideoCodec::Hevc | VideoCodec::Vp9 | VideoCodec::Av1 => {}
    }
    // QuickTime keeps version, vendor and quality where MP4 wants zeros.
    let mut fixed = entry.fixed.to_vec();
    fixed[8..24].fill(0);
    let mut kept = Vec::new();
    for child in children(entry.extensions) {
        match &child.kind {
            b"avcC" | b"hvcC" | b"av1C" | b"vpcC" | b"pasp" | b"clap" | b"mdcv" | b"clli"
            | b"dvcC" | b"dvvC" => {
                kept.extend(child.whole);
            }
            b"colr" => match child.body {
                // QuickTime's form of the colours lacks the range at its end.
                [b'n', b'c', b'l', b'c', colours @ ..] if colours.len() >= 6 => {
                    kept.extend(make(b"colr", &[b"nclx", &colours[..6], &[0]]));
                }
                _ => kept.extend(child.whole),
            },
            _ => {}
        }
    }
    let (width, height) = shown_size(track, &entry);
    let kind = OutKind::Video {
        width,
        height,
        rotation: track.rotation,
    };
    Ok((kind, make(&entry.kind, &[&fixed, &kept])))
}

fn sound(track: &Track<'_>) -> Result<Vec<u8>, RewriteError> {
    let unknown = |codec: &str| {
        RewriteError::Lossy(format!(
            "its sound is {codec}, which MP4 players don't know"
        ))
    };
    let entry =
        description::audio(track.description).ok_or_else(|| unknown("of an unknown codec"))?;
    match &entry.codec {
        AudioCodec::AacLc | AudioCodec::Aac(_) => Ok(entries::mp4a(
            entry.channels,
            entry.sample_rate,
            entry.config,
        )),
        AudioCodec::Mp3 => Ok(entries::mp3(entry.channels, entry.sample_rate)),
        AudioCodec::Opus => Ok(entries::opus(entry.channels, entry.config)),
        AudioCodec::Flac => Ok(entries::flac(
            entry.channels,
            entry.sample_rate,
            entry.config,
        )),
        AudioCodec::Vorbis => Err(unknown("Vorbis")),
        AudioCodec::Pcm => Err(unknown("uncompressed")),
        AudioCodec::Other(codec) => Err(unknown(codec)),
    }
}

/// The samples with the time to the next one as their duration, so that gaps between fragments stay.
fn out_samples(samples: &[Sample]) -> Result<Vec<OutSample>, RewriteError> {
    let next = samples
        .iter()
        .skip(1)
        .map(|next| Some(next.decoded))
        .chain([None]);
    let each = samples.iter().zip(next).map(|(sample, next)| {
        let duration = next.map_or(sample.duration.into(), |next| {
            next.saturating_sub(sample.decoded)
        });
        let too_large =
            |_| ProbeError::Malformed("a sample is larger or longer than can be".into());
        Ok(OutSample {
            size: u32::try_from(sample.size).map_err(too_large)?,
            duration: u32::try_from(duration).map_err(too_large)?,
            composition: sample.composition,
            sync: sample.sync,
        })
    });
    each.collect()
}

/// The edits, counted from the first sample, which is decoded at 0 in the new file.
fn edits(movie: &Movie<'_>, track: &Track<'_>, samples: &[Sample], begin: u64) -> Vec<Edit> {
    let end = samples.iter().map(Sample::end).max().unwrap_or(0);
    let in_movie = |units: u64| {
        let units =
            (u128::from(units) * u128::from(movie.timescale)).div_ceil(u128::from(track.timescale));
        u64::try_from(units).unwrap_or(u64::MAX)
    };
    if track.edits.is_empty() {
        if begin == 0 {
            return Vec::new();
        }
        let all = Edit {
            length: in_movie(end.saturating_sub(begin)),
            media_time: Some(0),
        };
        return vec![
            Edit {
                length: in_movie(begin),
                media_time: None,
            },
            all,
        ];
    }
    let each = track.edits.iter().map(|edit| match edit.media_time {
        // Fragmented files tell no length: all there is.
        Some(time) if edit.length == 0 => Edit {
            length: in_movie(end.saturating_sub(time)),
            media_time: Some(time.saturating_sub(begin)),
        },
        time => Edit {
            length: edit.length,
            media_time: time.map(|time| time.saturating_sub(begin)),
        },
    });
    each.collect()
}
