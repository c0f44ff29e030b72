//! Every container but MP4: which one begins, its reader, and rewriting it as MP4 or WebM.

mod flac;
mod matroska;
mod mpeg_audio;
mod ogg;
mod old;
mod remux;
mod riff;
mod timing;
mod ts;
pub(crate) mod window;

use crate::complete::Complete;
use crate::h264::Sps;
use crate::model::{Audio, AudioCodec, Container, KeyFrame, Media, ProbeError, VideoCodec};
use crate::mp4::config::Picture;
use crate::plays::Rewrite;
use crate::read::{ReadAt, RewriteError};
use std::io::{self, Write};
use std::ops::ControlFlow;

/// What begins here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Matroska,
    Ogg,
    /// FLAC, maybe behind tags.
    Flac(u64),
    Riff(riff::Form),
    Asf,
    Flv,
    MpegPs,
    MpegTs,
    /// Frames of layer III or ADTS, or nothing known: told by reading them.
    Frames(u64),
}

/// Recognises a container by its first bytes.
fn kind(source: &dyn ReadAt) -> Result<Kind, ProbeError> {
    let head = head(source, 16)?;
    let kind = match head.as_slice() {
        [0x1a, 0x45, 0xdf, 0xa3, ..] => Kind::Matroska,
        head if head.starts_with(ogg::MAGIC) => Kind::Ogg,
        head if head.starts_with(flac::MAGIC) => Kind::Flac(0),
        head if head.starts_with(old::ASF) => Kind::Asf,
        head if head.starts_with(old::FLV) => Kind::Flv,
        head if head.starts_with(old::MPEG_PS) => Kind::MpegPs,
        head => match riff::form(head) {
            Some(form) => Kind::Riff(form),
            None if ts::begins(source)? => Kind::MpegTs,
            None => {
                let mut window = window::Window::new(source, 64);
                let at = mpeg_audio::after_id3(&mut window, 0)?;
                if at > 0 && window.get(at, 4)? == flac::MAGIC {
                    Kind::Flac(at)
                } else {
                    Kind::Frames(at)
                }
            }
        },
    };
    Ok(kind)
}

/// The first bytes, as many as there are.
pub(crate) fn head(source: &dyn ReadAt, most: usize) -> io::Result<Vec<u8>> {
    let length = usize::try_from(source.length()).unwrap_or(usize::MAX);
    let mut head = vec![0; length.min(most)];
    source.read_exact_at(0, &mut head)?;
    Ok(head)
}

pub(crate) fn probe(source: &dyn ReadAt) -> Result<Media, ProbeError> {
    let mut media = match kind(source)? {
        Kind::Matroska => matroska::probe(source),
        Kind::Ogg => ogg::probe(source),
        Kind::Flac(at) => flac::probe(source, at),
        Kind::Riff(form) => riff::probe(source, form),
        Kind::Asf => old::probe_asf(source),
        Kind::Flv => old::probe_flv(source),
        Kind::MpegPs => old::probe_mpeg_ps(source),
        Kind::MpegTs => ts::probe(source),
        Kind::Frames(at) => mpeg_audio::probe(source, at),
    }?;
    // Headers can claim any number; thirty years are none.
    const LONGEST_S: f64 = 1e9;
    media.duration_s = media
        .duration_s
        .filter(|seconds| (0.0..LONGEST_S).contains(seconds));
    let played = media.duration_s.filter(|seconds| *seconds > 0.0);
    media.bit_rate = played.map(|seconds| (source.length() as f64 * 8.0 / seconds).round() as u64);
    Ok(media)
}

/// Whether a container that is known ends where the file ends; `None` where none is.
pub(crate) fn complete(source: &dyn ReadAt) -> Option<Complete> {
    match kind(source).ok()? {
        Kind::Matroska => Some(matroska::complete(source)),
        Kind::Ogg => Some(ogg::complete(source)),
        Kind::Riff(form) => Some(riff::complete(source, form == riff::Form::Aiff)),
        Kind::MpegTs => Some(ts::complete(source)),
        Kind::Flac(_) | Kind::Asf | Kind::Flv | Kind::MpegPs => Some(Complete::Unknown),
        Kind::Frames(at) => mpeg_audio::probe(source, at)
            .is_ok()
            .then_some(Complete::Unknown),
    }
}

/// As [`complete`], for a file of RIFF that is no sound and no film.
pub(crate) fn complete_riff(source: &dyn ReadAt) -> Complete {
    riff::complete(source, false)
}

/// Writes Matroska, QuickTime, transport streams or ADTS anew as MP4, Matroska as WebM.
///
/// The picture and the sound that are played first are kept, and what else the new container can hold;
/// subtitles, attachments and further tracks that it can't hold stay behind.
pub(crate) fn remux(
    source: &dyn ReadAt,
    way: Rewrite,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<(), RewriteError> {
    let refused = |what: &str| RewriteError::Lossy(what.into());
    if crate::mp4::begins(&head(source, 16).map_err(ProbeError::Read)?) {
        return crate::mp4::to_mp4(source, out, progress);
    }
    match (way, kind(source)?) {
        (Rewrite::ToWebm, Kind::Matroska) => matroska::webm::write(source, out, progress),
        (Rewrite::ToWebm, _) => Err(refused("only Matroska becomes WebM")),
        (_, Kind::Matroska) => {
            matroska::samples::gather(source, progress)?.write(source, out, progress)
        }
        (_, Kind::MpegTs) => ts::samples::gather(source, progress)?.write(source, out, progress),
        (_, Kind::Frames(at)) => {
            mpeg_audio::gather(source, at, progress)?.write(source, out, progress)
        }
        _ => Err(refused("its container is not one that becomes MP4")),
    }
}

pub(crate) fn key_frame(source: &dyn ReadAt, at_s: f64) -> Result<Option<KeyFrame>, ProbeError> {
    match kind(source)? {
        Kind::Matroska => matroska::key_frame(source, at_s),
        Kind::MpegTs => ts::pictures::key_frame(source, at_s),
        _ => Ok(None),
    }
}

/// A file of one sound track.
fn sound(container: Container, audio: Audio, duration_s: Option<f64>) -> Media {
    Media {
        duration_s,
        audio: Some(audio),
        audio_tracks: 1,
        ..Media::of(container)
    }
}

/// What an H.264 parameter set says of a picture.
fn picture_of(sps: &Sps) -> Picture {
    Picture {
        codec: VideoCodec::H264,
        codecs: sps.codecs(),
        profile: Some(sps.profile),
        bit_depth: Some(sps.bit_depth),
        chroma: Some(sps.chroma),
    }
}

/// A picture codec by the code of four letters that AVI, ASF and their kin use.
fn fourcc(code: &[u8]) -> VideoCodec {
    let upper = code.to_ascii_uppercase();
    let name = match upper.as_slice() {
        b"H264" | b"X264" | b"AVC1" => return VideoCodec::H264,
        b"HEVC" | b"HVC1" | b"H265" => return VideoCodec::Hevc,
        b"VP80" => return VideoCodec::Vp8,
        b"VP90" => return VideoCodec::Vp9,
        b"AV01" => return VideoCodec::Av1,
        b"XVID" | b"DIVX" | b"DX50" | b"FMP4" | b"MP4V" => "MPEG-4 Part 2",
        b"DIV3" | b"DIV4" | b"MP42" | b"MP43" => "Microsoft MPEG-4",
        b"MJPG" | b"DMB1" => "Motion JPEG",
        b"MPG1" => "MPEG-1",
        b"MPG2" => "MPEG-2",
        b"WMV1" | b"WMV2" | b"WMV3" | b"WMVA" => "Windows Media Video",
        b"WVC1" => "VC-1",
        b"DVSD" | b"DVHD" => "DV",
        b"CVID" => "Cinepak",
        b"IV31" | b"IV32" | b"IV41" | b"IV50" => "Indeo",
        b"HFYU" | b"FFVH" => "HuffYUV",
        b"FFV1" => "FFV1",
        [0, 0, 0, 0] => "uncompressed pictures",
        _ => {
            let text = String::from_utf8_lossy(code);
            let printable = text.chars().all(|letter| letter.is_ascii_graphic());
            return VideoCodec::Other(if printable {
                text.into()
            } else {
                "unknown".into()
            });
        }
    };
    VideoCodec::Other(name.into())
}

/// A sound codec by the number that WAVE, AVI and ASF use.
fn wave(tag: u16) -> AudioCodec {
    let name = match tag {
        0x01 | 0x03 => return AudioCodec::Pcm,
        0x55 => return AudioCodec::Mp3,
        0xff | 0x1600 | 0x1610 => return AudioCodec::AacLc,
        0xf1ac => return AudioCodec::Flac,
        0x02 | 0x11 => "ADPCM",
        0x06 => "A-law",
        0x07 => "mu-law",
        0x50 => "MPEG layer II",
        0x0160..=0x0163 => "Windows Media Audio",
        0x2000 => "AC-3",
        0x2001 => "DTS",
        _ => return AudioCodec::Other(format!("WAVE format {tag:#x}")),
    };
    AudioCodec::Other(name.into())
}
