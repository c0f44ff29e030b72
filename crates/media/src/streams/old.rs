//! Containers that no browser plays: read as far as a sentence about them needs.

use super::fourcc;
use super::window::Window;
use crate::model::{Audio, AudioCodec, Container, Media, ProbeError, Video, VideoCodec};
use crate::read::ReadAt;

/// Advanced Systems Format: the header object's identifier.
pub(super) const ASF: &[u8] = &[
    0x30, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11, 0xa6, 0xd9, 0x00, 0xaa, 0x00, 0x62, 0xce, 0x6c,
];
/// Flash video.
pub(super) const FLV: &[u8] = b"FLV\x01";
/// MPEG program stream: a pack's start code.
pub(super) const MPEG_PS: &[u8] = &[0, 0, 1, 0xba];

fn sound(codec: AudioCodec) -> Audio {
    Audio {
        codec,
        codecs: String::new(),
        channels: 0,
        sample_rate: 0,
    }
}

fn little(bytes: &[u8], at: usize, count: usize) -> u64 {
    let field = bytes.get(at..at + count).unwrap_or_default();
    field
        .iter()
        .rev()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

pub(super) fn probe_asf(source: &dyn ReadAt) -> Result<Media, ProbeError> {
    /// File properties, stream properties, and the two kinds of stream.
    const FILE: [u8; 4] = [0xa1, 0xdc, 0xab, 0x8c];
    const STREAM: [u8; 4] = [0x91, 0x07, 0xdc, 0xb7];
    const VIDEO: [u8; 4] = [0xc0, 0xef, 0x19, 0xbc];
    const AUDIO: [u8; 4] = [0x40, 0x9e, 0x69, 0xf8];
    let mut window = Window::new(source, 16 << 10);
    let length = window.length();
    let mut media = Media::of(Container::Asf);
    let end = little(window.get(16, 8)?, 0, 8).min(length);
    let mut at = 30;
    for _ in 0..200 {
        if at >= end {
            break;
        }
        let object = window.get(at, 256)?;
        let size = little(object, 16, 8);
        if object.starts_with(&FILE) {
            let played = little(object, 64, 8) as f64 / 1e7;
            let preroll = little(object, 80, 8) as f64 / 1e3;
            media.duration_s = Some(played - preroll).filter(|seconds| *seconds > 0.0);
        } else if object.starts_with(&STREAM) {
            match object.get(24..28) {
                Some(kind) if *kind == VIDEO => {
                    media.video_tracks += 1;
                    let code = object.get(105..109).unwrap_or(b"????");
                    let size = |at| little(object, at, 4) as u32;
                    media
                        .video
                        .get_or_insert(Video::of(fourcc(code), size(78), size(82)));
                }
                Some(kind) if *kind == AUDIO => {
                    media.audio_tracks += 1;
                    media.audio.get_or_insert(Audio {
                        codec: super::wave(little(object, 78, 2) as u16),
                        codecs: String::new(),
                        channels: little(object, 80, 2) as u16,
                        sample_rate: little(object, 82, 4) as u32,
                    });
                }
                _ => {}
            }
        }
        at = at.saturating_add(size.max(24));
    }
    Ok(media)
}

pub(super) fn probe_flv(source: &dyn ReadAt) -> Result<Media, ProbeError> {
    let mut window = Window::new(source, 4 << 10);
    let length = window.length();
    let mut media = Media::of(Container::Flv);
    let mut at = 9 + 4;
    // Tags interleave: those in front tell both streams.
    for _ in 0..200 {
        let Some([kind, a, b, c, ..]) = window.array::<11>(at)? else {
            break;
        };
        let first = window.get(at + 11, 1)?.first().copied().unwrap_or(0);
        match kind {
            9 if media.video.is_none() => {
                media.video_tracks = 1;
                let codec = match first & 0xf {
                    7 => VideoCodec::H264,
                    2 => VideoCodec::Other("Sorenson Spark".into()),
                    4 | 5 => VideoCodec::Other("On2 VP6".into()),
                    _ => VideoCodec::Other("Flash video".into()),
                };
                media.video = Some(Video::of(codec, 0, 0));
            }
            8 if media.audio.is_none() => {
                media.audio_tracks = 1;
                media.audio = Some(sound(match first >> 4 {
                    2 | 14 => AudioCodec::Mp3,
                    10 => AudioCodec::AacLc,
                    0 | 3 => AudioCodec::Pcm,
                    11 => AudioCodec::Other("Speex".into()),
                    _ => AudioCodec::Other("Nellymoser".into()),
                }));
            }
            _ => {}
        }
        at += 11 + (u64::from(a) << 16 | u64::from(b) << 8 | u64::from(c)) + 4;
    }
    // The last tag tells when it is shown.
    let size = window
        .array::<4>(length.saturating_sub(4))?
        .map(u32::from_be_bytes);
    if let Some(size) = size
        && let Some(last) = length.checked_sub(4 + u64::from(size))
        && let Some([8 | 9 | 18, _, _, _, a, b, c, high, ..]) = window.array::<11>(last)?
    {
        let ms = u32::from_be_bytes([high, a, b, c]);
        media.duration_s = Some(f64::from(ms) / 1e3).filter(|seconds| *seconds > 0.0);
    }
    Ok(media)
}

pub(super) fn probe_mpeg_ps(source: &dyn ReadAt) -> Result<Media, ProbeError> {
    let mut window = Window::new(source, 64 << 10);
    let mut media = Media::of(Container::MpegPs);
    let head = window.get(0, 256 << 10)?;
    let mut rest = head;
    while let Some(at) = rest.windows(3).position(|code| code == [0, 0, 1]) {
        let code = rest.get(at + 3).copied();
        match code {
            Some(0xe0..=0xef) if media.video.is_none() => {
                media.video_tracks = 1;
                media.video = Some(Video::of(VideoCodec::Other("MPEG-1".into()), 0, 0));
            }
            // A sequence header's extension: only MPEG-2 has it.
            Some(0xb5) => {
                if let Some(video) = &mut media.video {
                    video.codec = VideoCodec::Other("MPEG-2".into());
                }
            }
            Some(0xb3) => {
                let size = rest.get(at + 4..at + 7).map(|size| {
                    let size =
                        u32::from(size[0]) << 16 | u32::from(size[1]) << 8 | u32::from(size[2]);
                    (size >> 12, size & 0xfff)
                });
                if let (Some(video), Some((width, height))) = (&mut media.video, size)
                    && video.width == 0
                {
                    (video.width, video.height) = (width, height);
                }
            }
            Some(0xc0..=0xdf) if media.audio.is_none() => {
                media.audio_tracks = 1;
                media.audio = Some(sound(AudioCodec::Other("MPEG layer II".into())));
            }
            // Private stream 1: AC-3 on discs.
            Some(0xbd) if media.audio.is_none() => {
                media.audio_tracks = 1;
                media.audio = Some(sound(AudioCodec::Other("AC-3".into())));
            }
            _ => {}
        }
        rest = &rest[at + 3..];
    }
    Ok(media)
}
