//! What a media file is, read from its bytes and never from its name: container, codecs, length, picture,
//! sound, chapters; whether every browser plays it; and how to make it so without touching a sample.
//!
//! Pure: bytes come through [`ReadAt`], results go out as values or through a `Write`. A stranger's file can't
//! panic, exhaust memory or keep a reader busy: every table that is read is bounded by what the file holds.
//!
//! Not here: decoding, encoding, tags for people (artists, albums), files and paths.

mod bits;
mod complete;
mod h264;
mod model;
mod mp4;
mod plays;
mod read;
mod streams;

pub use complete::{Complete, complete};
pub use model::{
    Audio, AudioCodec, Chapter, Chroma, Container, KeyFrame, Media, ProbeError, Video, VideoCodec,
};
pub use mp4::{Sample, Track, samples};
pub use plays::{Plays, Rewrite, plays};
pub use read::{ReadAt, RewriteError};

use std::io::Write;
use std::ops::ControlFlow;

/// Reads what the file is. Only headers and indexes are read, however long the file is.
///
/// # Errors
/// [`ProbeError::NotMedia`] where no known container begins; see [`ProbeError`] for the rest.
pub fn probe(source: &dyn ReadAt) -> Result<Media, ProbeError> {
    let mut head = [0; 16];
    let length = usize::try_from(source.length().min(16)).unwrap_or(16);
    let head = &mut head[..length];
    source.read_exact_at(0, head)?;
    if mp4::begins(head) {
        return mp4::probe(source);
    }
    streams::probe(source)
}

/// Writes the file anew, sample for sample the same, so that browsers play it from its beginning.
/// `progress` hears bytes written so far and may end the work.
///
/// # Errors
/// Where the source can't be read, the sink refuses, the file can't be rewritten without loss, or the caller
/// broke off.
pub fn rewrite(
    source: &dyn ReadAt,
    way: Rewrite,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<(), RewriteError> {
    match way {
        Rewrite::Faststart => mp4::faststart(source, out, progress),
        Rewrite::ToMp4 | Rewrite::ToWebm => streams::remux(source, way, out, progress),
    }
}

/// The key frame shown at or before this time, ready for a decoder of H.264 byte streams (Annex B), parameter
/// sets in front. `None` for other codecs and where there is none.
///
/// # Errors
/// As [`probe`].
pub fn key_frame(source: &dyn ReadAt, at_s: f64) -> Result<Option<KeyFrame>, ProbeError> {
    let mut head = [0; 16];
    let length = usize::try_from(source.length().min(16)).unwrap_or(16);
    let head = &mut head[..length];
    source.read_exact_at(0, head)?;
    if mp4::begins(head) {
        return mp4::key_frame(source, at_s);
    }
    streams::key_frame(source, at_s)
}
