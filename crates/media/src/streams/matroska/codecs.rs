//! Matroska's codec identifiers and private data (RFC 9559; "Matroska Media Codec Mappings") as the model's words.

use super::header::{Packing, Track};
use crate::bits::Bits;
use crate::h264::AvcC;
use crate::model::{Audio, AudioCodec, Chroma, Video, VideoCodec};
use crate::mp4::aac;
use crate::mp4::config::{self, Picture};
use crate::streams::{fourcc, wave};

pub(super) fn needs_frame(track: &Track) -> bool {
    track.codec == "V_VP9" && track.packing != Packing::Other
}

/// `frame` is the beginning of the first frame, where the codec needs one.
pub(super) fn video(track: &Track, frame: &[u8]) -> Video {
    let private = &track.private;
    let mut frame_rate = track.frame_ns.map(|ns| 1e9 / ns as f64);
    let picture = match track.codec.as_str() {
        "V_MPEG4/ISO/AVC" => {
            let sps = AvcC::parse(private).and_then(|record| record.sps_parsed());
            frame_rate = frame_rate.or(sps.and_then(|sps| sps.frame_rate));
            sps.map_or_else(
                || Picture::of(VideoCodec::H264),
                |sps| crate::streams::picture_of(&sps),
            )
        }
        "V_MPEGH/ISO/HEVC" => config::hevc(private, "hvc1"),
        "V_AV1" => config::av1(private),
        "V_VP9" => vp9(track, frame),
        "V_VP8" => Picture {
            codecs: "vp8".into(),
            bit_depth: Some(8),
            chroma: Some(Chroma::C420),
            ..Picture::of(VideoCodec::Vp8)
        },
        "V_MS/VFW/FOURCC" => {
            let code = private.get(16..20).unwrap_or(b"????");
            let name = match fourcc(code) {
                VideoCodec::Other(name) => name,
                VideoCodec::H264 => "H.264 as AVI holds it".into(),
                known => format!("{known:?} as AVI holds it"),
            };
            Picture::of(VideoCodec::Other(name))
        }
        other => Picture::of(VideoCodec::Other(name(other).into())),
    };
    let size = track.display.unwrap_or((track.width, track.height));
    picture.track(size, track.rotation, frame_rate)
}

pub(super) fn audio(track: &Track) -> Audio {
    let mut channels = track.channels;
    let mut sample_rate = track.sample_rate.clamp(0.0, 1e9).round() as u32;
    let (codec, codecs) = match track.codec.as_str() {
        id if id == "A_AAC" || id.starts_with("A_AAC/") => match aac::config(&track.private) {
            Some(config) => {
                sample_rate = config.sample_rate;
                if config.channels > 0 {
                    channels = config.channels;
                }
                aac::codec(&config)
            }
            None if id.ends_with("/LC") || id == "A_AAC" => {
                (AudioCodec::AacLc, "mp4a.40.2".to_owned())
            }
            None if id.ends_with("/SBR") => (AudioCodec::Aac(5), "mp4a.40.5".to_owned()),
            None => (AudioCodec::Other("AAC".into()), String::new()),
        },
        "A_MPEG/L3" => (AudioCodec::Mp3, "mp3".to_owned()),
        "A_OPUS" => {
            // Opus is always played at this rate, whatever was recorded.
            sample_rate = 48_000;
            (AudioCodec::Opus, "opus".to_owned())
        }
        "A_VORBIS" => (AudioCodec::Vorbis, "vorbis".to_owned()),
        "A_FLAC" => (AudioCodec::Flac, "flac".to_owned()),
        id if id.starts_with("A_PCM/") => (AudioCodec::Pcm, String::new()),
        "A_MS/ACM" => {
            let tag = track.private.get(..2).map(|tag| [tag[0], tag[1]]);
            (
                wave(u16::from_le_bytes(tag.unwrap_or_default())),
                String::new(),
            )
        }
        other => (AudioCodec::Other(name(other).into()), String::new()),
    };
    Audio {
        codec,
        codecs,
        channels,
        sample_rate,
    }
}

/// A codec's name for people, else its identifier.
fn name(id: &str) -> &str {
    const NAMES: [(&str, &str); 24] = [
        ("V_MPEG4/ISO/", "MPEG-4 Part 2"),
        ("V_MPEG4/MS/", "Microsoft MPEG-4"),
        ("V_MPEGI/ISO/VVC", "VVC"),
        ("V_MPEG1", "MPEG-1"),
        ("V_MPEG2", "MPEG-2"),
        ("V_THEORA", "Theora"),
        ("V_PRORES", "Apple ProRes"),
        ("V_MJPEG", "Motion JPEG"),
        ("V_FFV1", "FFV1"),
        ("V_DIRAC", "Dirac"),
        ("V_REAL/", "RealVideo"),
        ("V_QUICKTIME", "a QuickTime codec"),
        ("V_UNCOMPRESSED", "uncompressed pictures"),
        ("A_MPEG/L1", "MPEG layer I"),
        ("A_MPEG/L2", "MPEG layer II"),
        ("A_AC3", "AC-3"),
        ("A_EAC3", "E-AC-3"),
        ("A_DTS", "DTS"),
        ("A_TRUEHD", "Dolby TrueHD"),
        ("A_MLP", "MLP"),
        ("A_ALAC", "ALAC"),
        ("A_WAVPACK4", "WavPack"),
        ("A_TTA1", "TTA"),
        ("A_REAL/", "RealAudio"),
    ];
    let known = NAMES.iter().find(|(prefix, _)| id.starts_with(prefix));
    known.map_or(if id.is_empty() { "unknown" } else { id }, |(_, name)| name)
}

/// VP9 tells what it is in its first frame, and in private data where a writer took the trouble.
fn vp9(track: &Track, frame: &[u8]) -> Picture {
    let mut picture = Picture::of(VideoCodec::Vp9);
    let Some((profile, bit_depth, chroma)) = vp9_frame(frame).or_else(|| vp9_private(track)) else {
        return picture;
    };
    picture.profile = Some(profile);
    picture.bit_depth = Some(bit_depth);
    picture.chroma = Some(chroma);
    let rate = track.frame_ns.map_or(30.0, |ns| 1e9 / ns as f64);
    let level = vp9_level(track.width, track.height, rate);
    picture.codecs = format!("vp09.{profile:02}.{level:02}.{bit_depth:02}");
    picture
}

/// The uncompressed header of a key frame ("VP9 Bitstream & Decoding Process Specification", 6.2).
fn vp9_frame(frame: &[u8]) -> Option<(u8, u8, Chroma)> {
    let mut bits = Bits::new(frame);
    if bits.take(2)? != 2 {
        return None;
    }
    let profile = bits.small(1)? | bits.small(1)? << 1;
    if profile == 3 {
        bits.bit()?;
    }
    let (shown_again, inter) = (bits.bit()?, bits.bit()?);
    if shown_again || inter {
        return None;
    }
    bits.skip(2)?; // show_frame, error_resilient_mode
    if bits.take(24)? != 0x49_8342 {
        return None;
    }
    let bit_depth = match profile >= 2 {
        true if bits.bit()? => 12,
        true => 10,
        false => 8,
    };
    const RGB: u32 = 7;
    if bits.take(3)? == RGB {
        return Some((profile, bit_depth, Chroma::C444));
    }
    bits.bit()?; // color_range
    let chroma = match profile {
        0 | 2 => Chroma::C420,
        _ => match (bits.bit()?, bits.bit()?) {
            (true, true) => Chroma::C420,
            (true, false) => Chroma::C422,
            _ => Chroma::C444,
        },
    };
    Some((profile, bit_depth, chroma))
}

/// Features by number and length ("VP Codec ISO Media File Format Binding", as WebM carries them).
fn vp9_private(track: &Track) -> Option<(u8, u8, Chroma)> {
    let mut features = [None; 5];
    let mut rest = track.private.as_slice();
    while let [id, 1, value, after @ ..] = rest {
        if let Some(feature) = features.get_mut(usize::from(*id)) {
            *feature = Some(*value);
        }
        rest = after;
    }
    let chroma = match features[4] {
        Some(2) => Chroma::C422,
        Some(3) => Chroma::C444,
        _ => Chroma::C420,
    };
    Some((features[1]?, features[3].unwrap_or(8), chroma))
}

/// The lowest level that holds pictures of this size at this rate.
fn vp9_level(width: u32, height: u32, rate: f64) -> u8 {
    const LEVELS: [(u8, u64, f64); 14] = [
        (10, 36_864, 829_440.0),
        (11, 73_728, 2_764_800.0),
        (20, 122_880, 4_608_000.0),
        (21, 245_760, 9_216_000.0),
        (30, 552_960, 20_736_000.0),
        (31, 983_040, 36_864_000.0),
        (40, 2_228_224, 83_558_400.0),
        (41, 2_228_224, 160_432_128.0),
        (50, 8_912_896, 311_951_360.0),
        (51, 8_912_896, 588_251_136.0),
        (52, 8_912_896, 1_176_502_272.0),
        (60, 35_651_584, 1_176_502_272.0),
        (61, 35_651_584, 2_353_004_544.0),
        (62, 35_651_584, 4_706_009_088.0),
    ];
    let picture = u64::from(width) * u64::from(height);
    let fits = |(_, most, samples): &&(u8, u64, f64)| {
        picture <= *most && picture as f64 * rate <= *samples
    };
    LEVELS.iter().find(fits).map_or(62, |(level, _, _)| *level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_frame_tells_profile_and_depth() {
        // Profile 0; profile 2 with 10 bits.
        let check = |frame: &[u8], expected| assert_eq!(vp9_frame(frame), expected);
        check(
            &[0x82, 0x49, 0x83, 0x42, 0x20, 0],
            Some((0, 8, Chroma::C420)),
        );
        check(
            &[0x92, 0x49, 0x83, 0x42, 0x10, 0],
            Some((2, 10, Chroma::C420)),
        );
        check(&[0x86, 0], None);
        check(&[], None);
    }

    #[test]
    fn levels_rise_with_size_and_rate() {
        assert_eq!(vp9_level(64, 48, 25.0), 10);
        assert_eq!(vp9_level(1920, 1080, 30.0), 40);
        assert_eq!(vp9_level(1920, 1080, 60.0), 41);
        assert_eq!(vp9_level(3840, 2160, 30.0), 50);
    }
}
