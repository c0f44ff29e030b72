//! Writing MP4 files: index in front, samples of all tracks interleaved half a second at a time.
//!
//! Not here: sample entries (`entries`), and where samples come from.

mod index;

use crate::model::{Chapter, ProbeError};
use crate::read::RewriteError;
use std::io::Write;
use std::ops::ControlFlow;

/// A file to be written.
#[derive(Debug, Clone)]
pub(crate) struct OutMovie {
    /// Units a second in which edits are counted.
    pub timescale: u32,
    pub tracks: Vec<OutTrack>,
    pub chapters: Vec<Chapter>,
}

/// A track to be written.
#[derive(Debug, Clone)]
pub(crate) struct OutTrack {
    pub kind: OutKind,
    /// Sample entry: a whole box.
    pub entry: Vec<u8>,
    /// Units a second in which samples are counted; not 0.
    pub timescale: u32,
    /// ISO 639-2, `und` where unknown.
    pub language: [u8; 3],
    /// In decoding order; the first is decoded at 0.
    pub samples: Vec<OutSample>,
    /// What of the track is shown when; empty: all of it, from the beginning on.
    pub edits: Vec<Edit>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutKind {
    Video {
        /// As shown, before rotation, samples made square.
        width: u32,
        height: u32,
        /// Clockwise, in degrees.
        rotation: u16,
    },
    Audio,
}

/// A sample to be written, times in its track's units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutSample {
    pub size: u32,
    /// Until the next one is decoded.
    pub duration: u32,
    /// From decoding to showing.
    pub composition: i32,
    pub sync: bool,
}

/// A stretch of what is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edit {
    /// In the movie's units.
    pub length: u64,
    /// Where it begins in the track, in the track's units; `None` shows nothing.
    pub media_time: Option<u64>,
}

/// Neighbouring samples of one track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Chunk {
    track: usize,
    first: usize,
    count: usize,
    bytes: u64,
}

const CHUNK_S: f64 = 0.5;
const WRITE_AT_ONCE: usize = 1 << 20;

/// Appends the bytes of a sample, told by the numbers of its track and of itself.
pub(crate) type Fetch<'a> = dyn FnMut(usize, usize, &mut Vec<u8>) -> Result<(), RewriteError> + 'a;

/// Writes a file. `fetch` is called once for every sample, in the order of the file, with the numbers of track
/// and sample; it appends exactly as many bytes as the sample has.
pub(crate) fn file(
    movie: &OutMovie,
    fetch: &mut Fetch<'_>,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<(), RewriteError> {
    let chunks = interleave(movie);
    let mut buffer = index::header(movie, &chunks);
    let mut written = 0;
    for chunk in &chunks {
        for sample in chunk.first..chunk.first + chunk.count {
            let before = buffer.len();
            fetch(chunk.track, sample, &mut buffer)?;
            let size = movie.tracks[chunk.track].samples[sample].size;
            if buffer.len() - before != size as usize {
                let what = format!(
                    "sample {sample} of track {} is not as long as told",
                    chunk.track + 1
                );
                return Err(ProbeError::Malformed(what).into());
            }
            if buffer.len() >= WRITE_AT_ONCE {
                flush(&mut buffer, &mut written, out, progress)?;
            }
        }
    }
    flush(&mut buffer, &mut written, out, progress)
}

fn flush(
    buffer: &mut Vec<u8>,
    written: &mut u64,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<(), RewriteError> {
    out.write_all(buffer).map_err(RewriteError::Write)?;
    *written += buffer.len() as u64;
    buffer.clear();
    if progress(*written).is_break() {
        return Err(RewriteError::Stopped);
    }
    Ok(())
}

/// The order of the file: always the track that is behind goes on, half a second at a time.
fn interleave(movie: &OutMovie) -> Vec<Chunk> {
    struct Cursor {
        next: usize,
        time_s: f64,
    }
    let mut cursors: Vec<Cursor> = movie
        .tracks
        .iter()
        .map(|track| Cursor {
            next: 0,
            time_s: delay_s(movie, track),
        })
        .collect();
    let mut chunks = Vec::new();
    loop {
        let behind = cursors
            .iter()
            .enumerate()
            .filter(|(track, cursor)| cursor.next < movie.tracks[*track].samples.len())
            .min_by(|(_, a), (_, b)| a.time_s.total_cmp(&b.time_s));
        let Some((track, _)) = behind else {
            return chunks;
        };
        let cursor = &mut cursors[track];
        let mut chunk = Chunk {
            track,
            first: cursor.next,
            count: 0,
            bytes: 0,
        };
        let timescale = f64::from(movie.tracks[track].timescale.max(1));
        let mut length = 0.0;
        while length < CHUNK_S {
            let Some(sample) = movie.tracks[track].samples.get(cursor.next) else {
                break;
            };
            length += f64::from(sample.duration) / timescale;
            chunk.bytes += u64::from(sample.size);
            chunk.count += 1;
            cursor.next += 1;
        }
        cursor.time_s += length;
        chunks.push(chunk);
    }
}

/// How long nothing of a track is shown.
fn delay_s(movie: &OutMovie, track: &OutTrack) -> f64 {
    let empty = track
        .edits
        .iter()
        .take_while(|edit| edit.media_time.is_none());
    empty.map(|edit| edit.length).sum::<u64>() as f64 / f64::from(movie.timescale.max(1))
}

#[cfg(test)]
mod tests;
