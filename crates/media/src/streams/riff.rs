//! Files in chunks: RIFF WAVE and AVI (Microsoft, "Multimedia Programming Interface and Data Specifications"),
//! RF64 (EBU Tech 3306), AIFF and AIFC (Apple).

use super::window::Window;
use super::{fourcc, wave};
use crate::complete::Complete;
use crate::model::{Audio, AudioCodec, Container, Media, ProbeError, Video};
use crate::read::ReadAt;

/// What a file of chunks is, by its first twelve bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Wave,
    Avi,
    Aiff,
}

pub(super) fn form(head: &[u8]) -> Option<Form> {
    match (head.get(..4)?, head.get(8..12)?) {
        (b"RIFF" | b"RF64" | b"BW64", b"WAVE") => Some(Form::Wave),
        (b"RIFF", b"AVI ") => Some(Form::Avi),
        (b"FORM", b"AIFF" | b"AIFC") => Some(Form::Aiff),
        _ => None,
    }
}

/// A chunk's name, where its body begins, how long it says it is.
struct Chunk {
    name: [u8; 4],
    data: u64,
    size: u64,
}

impl Chunk {
    /// Bodies of odd length are padded.
    fn next(&self) -> u64 {
        self.data
            .saturating_add(self.size)
            .saturating_add(self.size & 1)
    }
}

fn chunk(window: &mut Window<'_>, at: u64, big: bool) -> Result<Option<Chunk>, ProbeError> {
    let Some([a, b, c, d, size @ ..]) = window.array::<8>(at)? else {
        return Ok(None);
    };
    let size = if big {
        u32::from_be_bytes(size)
    } else {
        u32::from_le_bytes(size)
    };
    Ok(Some(Chunk {
        name: [a, b, c, d],
        data: at + 8,
        size: size.into(),
    }))
}

fn little<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    let field = bytes.get(at..at + N).unwrap_or_default();
    field
        .iter()
        .rev()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// Chunks looked at in search of those that tell.
const MOST_CHUNKS: usize = 1000;

pub(super) fn probe(source: &dyn ReadAt, form: Form) -> Result<Media, ProbeError> {
    let mut window = Window::new(source, 4 << 10);
    match form {
        Form::Wave => probe_wave(&mut window),
        Form::Aiff => probe_aiff(&mut window),
        Form::Avi => probe_avi(&mut window),
    }
}

fn probe_wave(window: &mut Window<'_>) -> Result<Media, ProbeError> {
    let length = window.length();
    let mut audio = None;
    let mut byte_rate = 0;
    let mut data = None;
    let mut long_data = None;
    let mut at = 12;
    for _ in 0..MOST_CHUNKS {
        let Some(chunk) = chunk(window, at, false)? else {
            break;
        };
        match &chunk.name {
            b"ds64" => long_data = Some(little::<8>(window.get(chunk.data + 8, 8)?, 0)),
            b"fmt " => {
                let format = window.get(chunk.data, chunk.size.min(40) as usize)?;
                let mut tag = little::<2>(format, 0) as u16;
                const EXTENSIBLE: u16 = 0xfffe;
                if tag == EXTENSIBLE {
                    tag = little::<2>(format, 24) as u16;
                }
                byte_rate = little::<4>(format, 8);
                let codec = wave(tag);
                audio = Some(Audio {
                    codecs: match codec {
                        AudioCodec::Pcm => tag.to_string(),
                        _ => String::new(),
                    },
                    codec,
                    channels: little::<2>(format, 2) as u16,
                    sample_rate: little::<4>(format, 4) as u32,
                });
            }
            b"data" => {
                // Programs that write as they record leave the size open.
                let size = match chunk.size {
                    0xffff_ffff => long_data.unwrap_or(length),
                    size => size,
                };
                data = Some(size.min(length.saturating_sub(chunk.data)));
                if size == 0 && audio.is_some() {
                    data = Some(length.saturating_sub(chunk.data));
                    break;
                }
            }
            _ => {}
        }
        if audio.is_some() && data.is_some() {
            break;
        }
        at = chunk.next();
    }
    let audio =
        audio.ok_or_else(|| ProbeError::Truncated("it ends before its format is told".into()))?;
    let duration_s = data
        .filter(|_| byte_rate > 0)
        .map(|size| size as f64 / byte_rate as f64);
    Ok(super::sound(Container::Wav, audio, duration_s))
}

fn probe_aiff(window: &mut Window<'_>) -> Result<Media, ProbeError> {
    let compressed = window.get(8, 4)? == b"AIFC";
    let mut at = 12;
    for _ in 0..MOST_CHUNKS {
        let Some(chunk) = chunk(window, at, true)? else {
            break;
        };
        if &chunk.name == b"COMM" {
            let common = window.get(chunk.data, chunk.size.min(22) as usize)?;
            let big = |from: usize, count: usize| {
                let field = common.get(from..from + count)?;
                Some(
                    field
                        .iter()
                        .fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte)),
                )
            };
            let (Some(channels), Some(frames)) = (big(0, 2), big(2, 4)) else {
                break;
            };
            let rate = extended(common.get(8..18).unwrap_or_default());
            let codec = match common.get(18..22) {
                Some(
                    b"NONE" | b"sowt" | b"fl32" | b"FL32" | b"fl64" | b"FL64" | b"in24" | b"in32",
                ) => AudioCodec::Pcm,
                Some(b"ulaw" | b"ULAW") => AudioCodec::Other("mu-law".into()),
                Some(b"alaw" | b"ALAW") => AudioCodec::Other("A-law".into()),
                Some(code) if compressed => {
                    AudioCodec::Other(String::from_utf8_lossy(code).into_owned())
                }
                _ => AudioCodec::Pcm,
            };
            let audio = Audio {
                codec,
                codecs: String::new(),
                channels: channels as u16,
                sample_rate: rate.round() as u32,
            };
            let seconds = f64::from(frames) / rate;
            let duration_s = Some(seconds).filter(|seconds| seconds.is_finite());
            return Ok(super::sound(Container::Aiff, audio, duration_s));
        }
        at = chunk.next();
    }
    Err(ProbeError::Truncated(
        "it ends before its format is told".into(),
    ))
}

/// A number of 80 bits (IEEE 754 extended), as far as sample rates go.
fn extended(bytes: &[u8]) -> f64 {
    let &[high, low, ref mantissa @ ..] = bytes else {
        return 0.0;
    };
    let exponent = i32::from(u16::from_be_bytes([high & 0x7f, low])) - 16_383 - 63;
    let mantissa = mantissa
        .iter()
        .fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    mantissa as f64 * f64::from(exponent).exp2()
}

fn probe_avi(window: &mut Window<'_>) -> Result<Media, ProbeError> {
    let mut media = Media::of(Container::Avi);
    let mut kind = [0; 4];
    let mut rate = None;
    let mut at = 12;
    for _ in 0..MOST_CHUNKS {
        let Some(chunk) = chunk(window, at, false)? else {
            break;
        };
        let body = window.get(chunk.data, chunk.size.min(64) as usize)?;
        match &chunk.name {
            // Lists of headers are walked into, the list of frames ends them.
            b"LIST" if matches!(body.get(..4), Some(b"hdrl" | b"strl")) => {
                at = chunk.data + 4;
                continue;
            }
            b"LIST" if body.starts_with(b"movi") => break,
            b"avih" => {
                let (frame_us, frames) = (little::<4>(body, 0), little::<4>(body, 16));
                let seconds = frame_us as f64 * frames as f64 / 1e6;
                media.duration_s = Some(seconds).filter(|seconds| *seconds > 0.0);
            }
            b"strh" => {
                kind = body
                    .get(..4)
                    .and_then(|kind| kind.try_into().ok())
                    .unwrap_or(kind);
                let seconds = little::<4>(body, 20) as f64 / little::<4>(body, 24) as f64;
                rate = Some(seconds.recip()).filter(|rate| rate.is_finite() && *rate > 0.0);
            }
            b"strf" if &kind == b"vids" => {
                media.video_tracks += 1;
                let code = body.get(16..20).unwrap_or(b"????");
                // The height is negative where lines count from the top.
                let (width, height) = (little::<4>(body, 4), little::<4>(body, 8));
                let height = (height as u32 as i32).unsigned_abs();
                media.video.get_or_insert(Video {
                    frame_rate: rate,
                    ..Video::of(fourcc(code), width as u32, height)
                });
            }
            b"strf" if &kind == b"auds" => {
                media.audio_tracks += 1;
                media.audio.get_or_insert(Audio {
                    codec: wave(little::<2>(body, 0) as u16),
                    codecs: String::new(),
                    channels: little::<2>(body, 2) as u16,
                    sample_rate: little::<4>(body, 4) as u32,
                });
            }
            _ => {}
        }
        at = chunk.next();
    }
    if media.video.is_none() && media.audio.is_none() {
        return Err(ProbeError::Truncated(
            "it ends before its streams are named".into(),
        ));
    }
    Ok(media)
}

/// Whether the file reaches to where its outermost chunk ends.
pub(crate) fn complete(source: &dyn ReadAt, big: bool) -> Complete {
    let mut window = Window::new(source, 16);
    let Ok(Some(chunk)) = chunk(&mut window, 0, big) else {
        return Complete::Unknown;
    };
    // Sizes left open: by programs that write as they record, and in files beyond 4 GiB.
    if chunk.size == 0
        || chunk.size >= 0xffff_ff00
        || &chunk.name == b"RF64"
        || &chunk.name == b"BW64"
    {
        return Complete::Unknown;
    }
    if chunk.data + chunk.size > window.length() {
        Complete::No("it is shorter than it says".into())
    } else {
        Complete::Yes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sample_rates_of_eighty_bits() {
        let check = |bytes: [u8; 10], expected: f64| assert_eq!(extended(&bytes), expected);
        check([0x40, 0x0e, 0xac, 0x44, 0, 0, 0, 0, 0, 0], 44_100.0);
        check([0x40, 0x0b, 0xfa, 0, 0, 0, 0, 0, 0, 0], 8000.0);
        assert_eq!(extended(&[1]), 0.0);
    }
}
