//! ISO base media files (ISO/IEC 14496-12) and QuickTime movies: what they hold, whether they are whole, and how
//! the same samples are packed anew.
//!
//! Not here: other containers, items that aren't tracks (still pictures, tags).

pub(crate) mod aac;
mod boxes;
mod bytes;
mod chapters;
pub(crate) mod config;
mod description;
pub(crate) mod entries;
mod faststart;
mod fragments;
mod key_frame;
mod layout;
mod movie;
mod remux;
mod table;
pub(crate) mod write;

pub(crate) use faststart::faststart;
pub(crate) use key_frame::key_frame;
pub(crate) use layout::begins;
pub(crate) use remux::to_mp4;
pub use table::Sample;

use crate::complete::Complete;
use crate::model::{Audio, AudioCodec, Container, Media, ProbeError, Video, VideoCodec};
use crate::read::ReadAt;
use layout::Layout;
use movie::Movie;
use std::ops::ControlFlow;

/// A track of an MP4 or QuickTime file and all its samples, so that two files can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// `vide`, `soun`, `text` …
    pub handler: [u8; 4],
    /// Units a second in which its samples are counted.
    pub timescale: u32,
    /// In decoding order. A chunk of uncompressed sound counts as one.
    pub samples: Vec<Sample>,
}

/// Every sample of an MP4 or QuickTime file, fragments included.
///
/// # Errors
/// As [`probe`](crate::probe); [`ProbeError::NotMedia`] for other containers.
pub fn samples(source: &dyn ReadAt) -> Result<Vec<Track>, ProbeError> {
    let file = Opened::read(source)?;
    let movie = Movie::read(&file.index)?;
    check_extents(&file.layout, &movie)?;
    all_samples(source, &file.layout, &movie)
}

/// The headers of a file, read.
struct Opened {
    layout: Layout,
    /// Body of `moov`.
    index: Vec<u8>,
}

impl Opened {
    fn read(source: &dyn ReadAt) -> Result<Self, ProbeError> {
        let layout = layout::layout(source)?;
        let index = layout.read_index(source)?;
        Ok(Self { layout, index })
    }
}

pub(crate) fn probe(source: &dyn ReadAt) -> Result<Media, ProbeError> {
    let Opened { layout, index } = Opened::read(source)?;
    let movie = Movie::read(&index)?;
    check_extents(&layout, &movie)?;
    fragments::told_whole(source, &layout)?;
    let lengths = lengths(source, &layout, &movie)?;

    let (pictures, sounds) = tracks(&movie);
    let told_s = movie
        .fragments_duration
        .or(movie.duration)
        .map(|units| units as f64 / f64::from(movie.timescale));
    let longest_s = pictures
        .iter()
        .chain(&sounds)
        .filter(|track| lengths[**track].time > 0)
        .map(|track| movie.tracks[*track].shown_length_s(&movie, lengths[*track].end))
        .max_by(f64::total_cmp);
    let duration_s = longest_s
        .or(told_s)
        .filter(|duration| duration.is_finite() && *duration > 0.0);
    let picture = shown_first(&movie, &pictures);
    let sound = shown_first(&movie, &sounds);
    Ok(Media {
        container: container(source, &layout),
        duration_s,
        bit_rate: duration_s.map(|seconds| (source.length() as f64 * 8.0 / seconds) as u64),
        video: picture.and_then(|track| video(&movie.tracks[track], lengths[track])),
        audio: sound.and_then(|track| audio(source, &movie.tracks[track])),
        video_tracks: pictures.len(),
        audio_tracks: sounds.len(),
        faststart: layout.index_leads(),
        fragmented: is_fragmented(&layout, &movie),
        chapters: chapters::read(source, &movie, picture.or(sound))?,
    })
}

/// Whether the file is whole by its own account. Fragments come one by one and need no end: where nothing tells
/// of all of them, nobody can say.
pub(crate) fn complete(source: &dyn ReadAt) -> Complete {
    let whole = || -> Result<bool, ProbeError> {
        let Opened { layout, index } = Opened::read(source)?;
        let movie = Movie::read(&index)?;
        check_extents(&layout, &movie)?;
        let placed_nowhere = |track: &movie::Track<'_>| {
            track
                .table
                .chunks()
                .any(|chunk| chunk.offset == 0 && track.table.chunk_size(&chunk) > 0)
        };
        if movie::has_holes(&index) || movie.tracks.iter().any(placed_nowhere) {
            return Err(ProbeError::Truncated(
                "its index has zeros where its tables should be".into(),
            ));
        }
        if !is_fragmented(&layout, &movie) {
            return Ok(true);
        }
        let told = fragments::told_whole(source, &layout)?;
        lengths(source, &layout, &movie)?;
        Ok(told.is_some())
    };
    match whole() {
        Ok(true) => Complete::Yes,
        Err(ProbeError::Truncated(why)) => Complete::No(why),
        Ok(false) | Err(_) => Complete::Unknown,
    }
}

fn container(source: &dyn ReadAt, layout: &Layout) -> Container {
    let brands = layout.boxes.first().filter(|first| first.kind == *b"ftyp");
    let brands = brands.and_then(|brands| layout.read(source, brands, 1 << 16).ok());
    match brands {
        Some(brands) if !brands.starts_with(b"qt  ") => Container::Mp4,
        _ => Container::QuickTime,
    }
}

fn is_fragmented(layout: &Layout, movie: &Movie<'_>) -> bool {
    let empty = || movie.tracks.iter().all(|track| track.table.count() == 0);
    layout.has(b"moof") || movie.fragmented && empty()
}

/// Every sample that the index tells of must lie inside the file.
fn check_extents(layout: &Layout, movie: &Movie<'_>) -> Result<(), ProbeError> {
    let length = layout.length;
    for track in movie.tracks.iter().filter(|track| !track.external) {
        for chunk in track.table.chunks().filter(|chunk| chunk.count > 0) {
            let end = chunk.offset.saturating_add(track.table.chunk_size(&chunk));
            if end > length {
                let what = format!(
                    "its index tells of samples up to byte {end}, but the file ends at byte {length}"
                );
                return Err(ProbeError::Truncated(what));
            }
        }
    }
    Ok(())
}

/// How many samples a track has, and their time in its own units.
#[derive(Debug, Clone, Copy, Default)]
struct Length {
    samples: u64,
    time: u64,
    /// When the last one is shown no more.
    end: u64,
}

fn lengths(
    source: &dyn ReadAt,
    layout: &Layout,
    movie: &Movie<'_>,
) -> Result<Vec<Length>, ProbeError> {
    let of_table = movie.tracks.iter().map(|track| {
        let (samples, time) = track.table.length();
        Length {
            samples,
            time,
            end: time,
        }
    });
    let mut lengths: Vec<Length> = of_table.collect();
    fragments::visit(source, layout, movie, &mut |track, sample| {
        let length = &mut lengths[track];
        length.samples += 1;
        length.time = length
            .time
            .max(sample.decoded.saturating_add(sample.duration.into()));
        length.end = length.end.max(sample.end());
        ControlFlow::Continue(())
    })?;
    Ok(lengths)
}

/// Numbers of the picture and sound tracks. Cover art and tracks that belong to another (chapters) are none.
fn tracks(movie: &Movie<'_>) -> (Vec<usize>, Vec<usize>) {
    let of = |handler: &[u8; 4]| -> Vec<usize> {
        let named = movie
            .tracks
            .iter()
            .enumerate()
            .filter(|(_, track)| track.handler == *handler);
        let own = named.filter(|(_, track)| {
            !movie
                .tracks
                .iter()
                .any(|other| other.chapter_tracks.contains(&track.id))
        });
        own.map(|(number, _)| number).collect()
    };
    let sounds = of(b"soun");
    let mut pictures = of(b"vide");
    if !sounds.is_empty() {
        pictures.retain(|track| !is_still(&movie.tracks[*track]));
    }
    (pictures, sounds)
}

/// Whether a track is a single picture of a kind that isn't made for moving ones.
fn is_still(track: &movie::Track<'_>) -> bool {
    let Some(entry) = description::video(track.description) else {
        return false;
    };
    let VideoCodec::Other(codec) = entry.picture.codec else {
        return false;
    };
    track.table.count() == 1
        && matches!(
            codec.as_str(),
            "JPEG" | "Motion JPEG" | "PNG" | "tiff" | "gif"
        )
}

/// Of several tracks, the first that is switched on.
fn shown_first(movie: &Movie<'_>, tracks: &[usize]) -> Option<usize> {
    tracks
        .iter()
        .find(|track| movie.tracks[**track].enabled)
        .or(tracks.first())
        .copied()
}

fn video(track: &movie::Track<'_>, length: Length) -> Option<Video> {
    let entry = description::video(track.description)?;
    let size = shown_size(track, &entry);
    let frame_rate = (length.time > 0).then(|| length.samples as f64 / track.seconds(length.time));
    Some(entry.picture.track(size, track.rotation, frame_rate))
}

/// The size of a picture with square samples: as HTML has it, one side is kept and the other grows.
fn shown_size(track: &movie::Track<'_>, entry: &description::VideoEntry<'_>) -> (u32, u32) {
    let (width, height) = (u32::from(entry.width), u32::from(entry.height));
    if width == 0 || height == 0 {
        return (track.width, track.height);
    }
    // Without a shape told, the track's own size may stretch the picture. Some writers swap it when they turn,
    // and a few lines or columns of difference are what is cropped.
    let near = track.width.abs_diff(width) < 16 && track.height.abs_diff(height) < 16;
    let swapped = (track.width, track.height) == (height, width);
    let by_track = (track.width > 0 && track.height > 0 && !near && !swapped)
        .then_some((track.width * height, track.height * width));
    let (x, y) = entry.pasp.or(by_track).unwrap_or((1, 1));
    let stretched = |side: u32, by: u32, to: u32| {
        let side = (u64::from(side) * u64::from(by) + u64::from(to) / 2) / u64::from(to);
        u32::try_from(side).unwrap_or(u32::MAX)
    };
    if x > y {
        (stretched(width, x, y), height)
    } else {
        (width, stretched(height, y, x))
    }
}

fn audio(source: &dyn ReadAt, track: &movie::Track<'_>) -> Option<Audio> {
    let mut entry = description::audio(track.description)?;
    if entry.codec == AudioCodec::Mp3
        && let Some((layer, channels)) = mpeg_frame(source, track)
    {
        entry.channels = channels;
        if layer != 3 {
            entry.codec = AudioCodec::Other(format!("MPEG layer {}", "I".repeat(layer)));
        }
    }
    Some(Audio {
        codec: entry.codec,
        codecs: entry.codecs,
        channels: entry.channels,
        sample_rate: entry.sample_rate,
    })
}

/// Layer and channels. MPEG sound of all layers has the same name in an index, and writers tell two channels of
/// any; a frame's own header tells which it is.
fn mpeg_frame(source: &dyn ReadAt, track: &movie::Track<'_>) -> Option<(usize, u16)> {
    let mut head = [0; 4];
    source
        .read_exact_at(track.table.chunks().next()?.offset, &mut head)
        .ok()?;
    const MONO: u8 = 3;
    let layer = usize::from(head[1] >> 1 & 3);
    let channels = if head[3] >> 6 == MONO { 1 } else { 2 };
    (head[0] == 0xff && head[1] >= 0xe0 && layer > 0).then_some((4 - layer, channels))
}

/// Every sample of every track, one after the other.
fn all_samples(
    source: &dyn ReadAt,
    layout: &Layout,
    movie: &Movie<'_>,
) -> Result<Vec<Track>, ProbeError> {
    // Each sample has a byte at least, so a small file can't ask for many.
    let mut left = layout.length;
    let mut tracks = Vec::new();
    for track in &movie.tracks {
        let mut samples = Vec::new();
        // What lies in another file is no sample of this one.
        let own = (!track.external).then(|| track.table.samples());
        for sample in own.transpose()?.into_iter().flatten() {
            left = left.checked_sub(1).ok_or_else(too_many)?;
            samples.push(sample);
        }
        tracks.push(Track {
            handler: track.handler,
            timescale: track.timescale,
            samples,
        });
    }
    fragments::visit(source, layout, movie, &mut |track, sample| {
        tracks[track].samples.push(sample);
        ControlFlow::Continue(())
    })?;
    Ok(tracks)
}

fn too_many() -> ProbeError {
    ProbeError::Malformed("its index tells of more samples than the file has bytes".into())
}
