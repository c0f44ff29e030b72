//! What codec configuration records say about a picture. MP4 and Matroska hold the same records.

use super::bytes::Bytes;
use crate::h264::AvcC;
use crate::model::{Chroma, Video, VideoCodec};

/// The facts of a codec configuration.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Picture {
    pub codec: VideoCodec,
    /// RFC 6381; empty where unknown.
    pub codecs: String,
    pub profile: Option<u8>,
    pub bit_depth: Option<u8>,
    pub chroma: Option<Chroma>,
}

impl Picture {
    /// A codec of which nothing else is known.
    pub(crate) fn of(codec: VideoCodec) -> Self {
        Self {
            codec,
            codecs: String::new(),
            profile: None,
            bit_depth: None,
            chroma: None,
        }
    }

    /// The track that has it: its size as shown, before the turn.
    pub(crate) fn track(
        self,
        (width, height): (u32, u32),
        rotation: u16,
        frame_rate: Option<f64>,
    ) -> Video {
        Video {
            codec: self.codec,
            codecs: self.codecs,
            width,
            height,
            rotation,
            frame_rate,
            bit_depth: self.bit_depth,
            chroma: self.chroma,
            profile: self.profile,
        }
    }
}

/// The body of `avcC` (ISO/IEC 14496-15 §5.3.3). The profile is the record's; the format is that of the
/// parameter set, for the record repeats it in newer files only.
pub(crate) fn avc(avcc: &[u8]) -> Option<Picture> {
    let record = AvcC::parse(avcc)?;
    let [profile, constraints, level] = avcc.get(1..4)?.try_into().ok()?;
    let sps = record.sps_parsed();
    Some(Picture {
        codec: VideoCodec::H264,
        codecs: format!("avc1.{profile:02x}{constraints:02x}{level:02x}"),
        profile: Some(profile),
        bit_depth: sps.map(|sps| sps.bit_depth),
        chroma: sps.map(|sps| sps.chroma),
    })
}

/// Subsampling by `chroma_format_idc`.
fn chroma_of(code: u8) -> Option<Chroma> {
    match code {
        0 => Some(Chroma::Monochrome),
        1 => Some(Chroma::C420),
        2 => Some(Chroma::C422),
        3 => Some(Chroma::C444),
        _ => None,
    }
}

/// The body of `hvcC` (ISO/IEC 14496-15 §8.3.3), and the name of the sample entry, `hvc1` or `hev1`.
pub(crate) fn hevc(hvcc: &[u8], entry: &str) -> Picture {
    read_hevc(hvcc, entry).unwrap_or_else(|| Picture::of(VideoCodec::Hevc))
}

fn read_hevc(hvcc: &[u8], entry: &str) -> Option<Picture> {
    let mut bytes = Bytes(hvcc);
    bytes.u8()?;
    let general = bytes.u8()?;
    let space = ["", "A", "B", "C"][usize::from(general >> 6)];
    let profile = general & 0x1f;
    let tier = if general & 0x20 == 0 { 'L' } else { 'H' };
    let compatibility = bytes.u32()?.reverse_bits();
    let constraints = bytes.take(6)?;
    let level = bytes.u8()?;
    bytes.take(3)?;
    let chroma = chroma_of(bytes.u8()? & 3);
    let bit_depth = 8 + (bytes.u8()? & 7).max(bytes.u8()? & 7);
    let mut codecs = format!("{entry}.{space}{profile}.{compatibility:X}.{tier}{level}");
    let used = constraints
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    for byte in &constraints[..used] {
        codecs.push_str(&format!(".{byte:X}"));
    }
    Some(Picture {
        codec: VideoCodec::Hevc,
        codecs,
        profile: Some(profile),
        bit_depth: Some(bit_depth),
        chroma,
    })
}

/// The body of `vpcC` without version and flags ("VP Codec ISO Media File Format Binding").
pub(crate) fn vp9(vpcc: &[u8]) -> Picture {
    read_vp(vpcc, VideoCodec::Vp9, "vp09").unwrap_or_else(|| Picture::of(VideoCodec::Vp9))
}

/// As [`vp9`], for VP8.
pub(crate) fn vp8(vpcc: &[u8]) -> Picture {
    read_vp(vpcc, VideoCodec::Vp8, "vp08").unwrap_or_else(|| Picture::of(VideoCodec::Vp8))
}

fn read_vp(vpcc: &[u8], codec: VideoCodec, entry: &str) -> Option<Picture> {
    let mut bytes = Bytes(vpcc);
    let (profile, level, format) = (bytes.u8()?, bytes.u8()?, bytes.u8()?);
    let bit_depth = format >> 4;
    let chroma = match format >> 1 & 7 {
        0 | 1 => Some(Chroma::C420),
        2 => Some(Chroma::C422),
        3 => Some(Chroma::C444),
        _ => None,
    };
    let codecs = format!("{entry}.{profile:02}.{level:02}.{bit_depth:02}");
    Some(Picture {
        codec,
        codecs,
        profile: Some(profile),
        bit_depth: Some(bit_depth),
        chroma,
    })
}

/// The body of `av1C` ("AV1 Codec ISO Media File Format Binding").
pub(crate) fn av1(av1c: &[u8]) -> Picture {
    read_av1(av1c).unwrap_or_else(|| Picture::of(VideoCodec::Av1))
}

fn read_av1(av1c: &[u8]) -> Option<Picture> {
    let mut bytes = Bytes(av1c);
    bytes.u8()?;
    let (sequence, format) = (bytes.u8()?, bytes.u8()?);
    let (profile, level) = (sequence >> 5, sequence & 0x1f);
    let set = |bit: u8| format >> bit & 1 == 1;
    let tier = if set(7) { 'H' } else { 'M' };
    let bit_depth = match (set(6), set(5)) {
        (false, _) => 8,
        (true, false) => 10,
        (true, true) => 12,
    };
    let chroma = match (set(4), set(3), set(2)) {
        (true, _, _) => Chroma::Monochrome,
        (false, true, true) => Chroma::C420,
        (false, true, false) => Chroma::C422,
        (false, false, _) => Chroma::C444,
    };
    let codecs = format!("av01.{profile}.{level:02}{tier}.{bit_depth:02}");
    Some(Picture {
        codec: VideoCodec::Av1,
        codecs,
        profile: Some(profile),
        bit_depth: Some(bit_depth),
        chroma: Some(chroma),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_become_the_names_that_players_know() {
        // Main, level 2, as x265 writes it; the string is that of the standard's own example form.
        let hvcc = [
            1, 1, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 60, 0xf0, 0, 0xfc, 0xfd, 0xf8, 0xf8,
        ];
        let picture = hevc(&hvcc, "hev1");
        assert_eq!(picture.codecs, "hev1.1.6.L60.90");
        assert_eq!(
            (picture.bit_depth, picture.chroma),
            (Some(8), Some(Chroma::C420))
        );

        let picture = vp9(&[2, 31, 0xa2, 1, 1, 1]);
        assert_eq!(picture.codecs, "vp09.02.31.10");
        assert_eq!(
            (picture.bit_depth, picture.chroma),
            (Some(10), Some(Chroma::C420))
        );

        let picture = av1(&[0x81, 0x08, 0x4c, 0]);
        assert_eq!(picture.codecs, "av01.0.08M.10");
        assert_eq!(
            (picture.bit_depth, picture.chroma),
            (Some(10), Some(Chroma::C420))
        );
    }

    #[test]
    fn a_cut_record_leaves_the_codec_alone() {
        assert_eq!(hevc(&[1, 1], "hvc1"), Picture::of(VideoCodec::Hevc));
        assert_eq!(vp9(&[]), Picture::of(VideoCodec::Vp9));
        assert_eq!(vp8(&[1]), Picture::of(VideoCodec::Vp8));
        assert_eq!(av1(&[0x81]), Picture::of(VideoCodec::Av1));
    }
}
