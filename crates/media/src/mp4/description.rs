//! Sample entries (ISO/IEC 14496-12 §8.5.2), QuickTime's sample descriptions: which codec, and its configuration.

use super::aac;
use super::boxes::{Kind, children, find, name};
use super::bytes::Bytes;
use super::config::{self, Picture};
use crate::model::{AudioCodec, VideoCodec};

/// The first sample entry of a picture track.
#[derive(Debug, Clone)]
pub(crate) struct VideoEntry<'a> {
    pub kind: Kind,
    pub picture: Picture,
    /// Coded size.
    pub width: u16,
    pub height: u16,
    /// Shape of a sample, width to height.
    pub pasp: Option<(u32, u32)>,
    /// The fixed part, 78 bytes.
    pub fixed: &'a [u8],
    /// Boxes behind it.
    pub extensions: &'a [u8],
}

/// The first sample entry of a sound track.
#[derive(Debug, Clone)]
pub(crate) struct AudioEntry<'a> {
    pub codec: AudioCodec,
    pub codecs: String,
    /// 0 where unknown.
    pub channels: u16,
    /// 0 where unknown.
    pub sample_rate: u32,
    /// What the decoder needs: AudioSpecificConfig, body of `dOps`, metadata blocks of FLAC; empty for others.
    pub config: &'a [u8],
    /// For uncompressed sound: bytes, and how many instants of all channels have them.
    pub packed: Option<(u32, u32)>,
}

/// Bytes in front of the boxes of a picture track's sample entry.
pub(crate) const FIXED_VIDEO: usize = 78;

/// Sample entries of a track, the fixed head of `stsd` left out: kind and body each.
pub(crate) fn entries(stsd: &[u8]) -> impl Iterator<Item = (Kind, &[u8])> {
    children(stsd.get(8..).unwrap_or(&[])).map(|child| (child.kind, child.body))
}

/// Reads the first entry of a picture track.
pub(crate) fn video(stsd: &[u8]) -> Option<VideoEntry<'_>> {
    let (kind, body) = entries(stsd).next()?;
    let mut bytes = Bytes(body);
    bytes.take(24)?;
    let (width, height) = (bytes.u16()?, bytes.u16()?);
    bytes.take(50)?;
    let (fixed, extensions) = body.split_at_checked(FIXED_VIDEO)?;
    let pasp = find(extensions, b"pasp").and_then(|body| {
        let mut bytes = Bytes(body);
        Some((bytes.u32()?, bytes.u32()?)).filter(|(x, y)| *x > 0 && *y > 0)
    });
    let record = |kind: &Kind| find(extensions, kind).unwrap_or(&[]);
    // The records of VP8 and VP9 follow version and flags.
    let vpcc = record(b"vpcC").get(4..).unwrap_or(&[]);
    let picture = match &kind {
        b"avc1" | b"avc2" | b"avc3" | b"avc4" => {
            config::avc(record(b"avcC")).unwrap_or_else(|| Picture::of(VideoCodec::H264))
        }
        b"hvc1" | b"hev1" => config::hevc(record(b"hvcC"), &name(kind)),
        // Dolby Vision on HEVC.
        b"dvh1" | b"dvhe" => Picture::of(VideoCodec::Hevc),
        b"vp08" => config::vp8(vpcc),
        b"vp09" => config::vp9(vpcc),
        b"av01" => config::av1(record(b"av1C")),
        b"encv" => Picture::of(VideoCodec::Other(encrypted(extensions))),
        b"mp4v" => Picture::of(mpeg4_video(record(b"esds"))),
        other => Picture::of(VideoCodec::Other(video_name(other))),
    };
    Some(VideoEntry {
        kind,
        picture,
        width,
        height,
        pasp,
        fixed,
        extensions,
    })
}

fn encrypted(extensions: &[u8]) -> String {
    let original = find(extensions, b"sinf").and_then(|scheme| find(scheme, b"frma"));
    match original.and_then(|kind| Kind::try_from(kind).ok()) {
        Some(kind) => format!("encrypted {}", name(kind)),
        None => "encrypted".into(),
    }
}

fn mpeg4_video(esds: &[u8]) -> VideoCodec {
    let name = match aac::descriptor(esds).map(|descriptor| descriptor.object_type) {
        Some(0x60..=0x65) => "MPEG-2",
        Some(0x6a) => "MPEG-1",
        Some(0x6c) => "JPEG",
        Some(0x6d) => "PNG",
        _ => "MPEG-4 Part 2",
    };
    VideoCodec::Other(name.into())
}

fn video_name(kind: &Kind) -> String {
    let known = match kind {
        b"apch" | b"apcn" | b"apcs" | b"apco" | b"ap4h" | b"ap4x" => "Apple ProRes",
        b"aprn" | b"aprh" => "Apple ProRes RAW",
        b"jpeg" | b"mjpa" | b"mjpb" | b"mjpg" | b"AVDJ" => "Motion JPEG",
        b"png " => "PNG",
        b"rle " => "QuickTime Animation",
        b"s263" | b"h263" | b"H263" => "H.263",
        b"SVQ1" | b"SVQ3" => "Sorenson Video",
        b"AVdn" | b"AVdh" => "Avid DNxHD",
        b"CFHD" => "CineForm",
        b"vvc1" | b"vvi1" => "H.266",
        [b'd', b'v', ..] => "DV",
        [b'h', b'd', b'v', _] | [b'x', b'd', b'v', _] | [b'm', b'x', _, _] => "MPEG-2",
        b"raw " | b"2vuy" | b"v210" | b"yuv2" | b"b64a" => "uncompressed",
        other => return name(*other),
    };
    known.into()
}

/// Reads the first entry of a sound track.
pub(crate) fn audio(stsd: &[u8]) -> Option<AudioEntry<'_>> {
    // QuickTime's later forms are told by the entry's version; in MP4 a version above 0 counts only where that
    // of the table is above 0 too, and then the form stays as it was.
    let table_version = *stsd.first()?;
    let (kind, body) = entries(stsd).next()?;
    let mut bytes = Bytes(body);
    bytes.take(8)?;
    let version = bytes.u16()?;
    bytes.take(6)?;
    let (mut channels, mut sample_bits) = (bytes.u16()?, u32::from(bytes.u16()?));
    bytes.take(4)?;
    let mut sample_rate = bytes.u32()? >> 16;
    let mut layout = None;
    if table_version == 0 && version == 1 {
        let (instants, _, frame_bytes, _) =
            (bytes.u32()?, bytes.u32()?, bytes.u32()?, bytes.u32()?);
        layout =
            Some((frame_bytes, instants)).filter(|(bytes, instants)| *bytes > 0 && *instants > 0);
    } else if table_version == 0 && version == 2 {
        bytes.u32()?;
        sample_rate = bytes.f64()? as u32;
        channels = u16::try_from(bytes.u32()?).unwrap_or(0);
        bytes.u32()?;
        sample_bits = bytes.u32()?;
        bytes.u32()?;
        let (frame_bytes, instants) = (bytes.u32()?, bytes.u32()?);
        layout =
            Some((frame_bytes, instants)).filter(|(bytes, instants)| *bytes > 0 && *instants > 0);
    }
    let extensions = bytes.0;
    let wave = find(extensions, b"wave");
    let record = |kind: &Kind| {
        find(extensions, kind)
            .or_else(|| find(wave?, kind))
            .unwrap_or(&[])
    };
    let mut entry = AudioEntry {
        codec: AudioCodec::Pcm,
        codecs: name(kind),
        channels,
        sample_rate,
        config: &[],
        packed: None,
    };
    let named = |codec: &str| AudioCodec::Other(codec.into());
    match &kind {
        b"mp4a" => descriptor(&mut entry, record(b"esds")),
        b".mp3" | b"ms\0\x55" | b"mp3 " => {
            entry.codec = AudioCodec::Mp3;
            entry.codecs = "mp4a.6B".into();
        }
        b"Opus" => {
            entry.config = record(b"dOps");
            entry.codec = AudioCodec::Opus;
            entry.codecs = "opus".into();
            entry.sample_rate = 48_000;
            entry.channels = entry
                .config
                .get(1)
                .map_or(channels, |count| u16::from(*count));
        }
        b"fLaC" => {
            entry.config = record(b"dfLa").get(4..).unwrap_or(&[]);
            entry.codec = AudioCodec::Flac;
            entry.codecs = "flac".into();
            // The block's header, sizes of blocks and frames, then twenty bits of rate and three of channels.
            if let Some(&[a, b, c]) = entry.config.get(14..17) {
                entry.sample_rate = u32::from_be_bytes([0, a, b, c]) >> 4;
                entry.channels = u16::from(c >> 1 & 7) + 1;
            }
        }
        b"ac-3" | b"sac3" => {
            entry.codec = named("AC-3");
            entry.codecs = "ac-3".into();
            entry.channels = record(b"dac3").get(1..3).map_or(channels, |told| {
                let told = u16::from_be_bytes([told[0], told[1]]);
                dolby_channels(told >> 11, told >> 10)
            });
        }
        b"ec-3" => {
            entry.codec = named("E-AC-3");
            entry.channels = record(b"dec3").get(3).map_or(channels, |told| {
                dolby_channels(u16::from(told >> 1), (*told).into())
            });
        }
        b"ac-4" => entry.codec = named("AC-4"),
        b"alac" => {
            entry.codec = named("ALAC");
            // Behind version and flags; the field of the entry can't hold rates above 65,535.
            if let Some(rate) = record(b"alac").get(24..28) {
                entry.sample_rate = rate
                    .iter()
                    .fold(0, |rate, byte| rate << 8 | u32::from(*byte));
            }
        }
        b"dtsc" | b"dtsh" | b"dtsl" | b"dtse" | b"dtsx" => entry.codec = named("DTS"),
        b"mlpa" => entry.codec = named("Dolby TrueHD"),
        b"samr" | b"sawb" => entry.codec = named("AMR"),
        b"ulaw" => entry.codec = named("µ-law"),
        b"alaw" => entry.codec = named("A-law"),
        b"ima4" => entry.codec = named("IMA ADPCM"),
        b"QDM2" | b"QDMC" => entry.codec = named("QDesign Music"),
        b"mha1" | b"mha2" | b"mhm1" | b"mhm2" => entry.codec = named("MPEG-H"),
        b"enca" => {
            entry.codec = AudioCodec::Other(encrypted(extensions));
            entry.codecs.clear();
        }
        b"sowt" | b"twos" | b"lpcm" | b"ipcm" | b"fpcm" | b"raw " | b"NONE" | b"in24" | b"in32"
        | b"fl32" | b"fl64" => {
            entry.packed = layout.or_else(|| {
                let bits = match &kind {
                    b"in24" => 24,
                    b"in32" | b"fl32" => 32,
                    b"fl64" => 64,
                    _ => sample_bits,
                };
                Some((u32::from(channels) * bits.div_ceil(8), 1)).filter(|(bytes, _)| *bytes > 0)
            });
        }
        other => entry.codec = AudioCodec::Other(name(*other)),
    }
    if matches!(&kind, b"ima4" | b"ulaw" | b"alaw") {
        entry.packed = layout.or(Some((u32::from(channels.max(1)), 1)));
    }
    Some(entry)
}

/// Fills in what an elementary stream descriptor says.
fn descriptor<'a>(entry: &mut AudioEntry<'a>, esds: &'a [u8]) {
    let Some(found) = aac::descriptor(esds) else {
        entry.codec = AudioCodec::Other("mp4a".into());
        return;
    };
    entry.codecs = format!("mp4a.{:02X}", found.object_type);
    entry.codec = match found.object_type {
        0x40 | 0x66..=0x68 => {
            entry.config = found.specific;
            let mpeg2 = found.object_type != 0x40;
            match aac::config(found.specific) {
                Some(read) => {
                    if read.channels > 0 {
                        entry.channels = read.channels;
                    }
                    entry.sample_rate = read.sample_rate;
                    let (codec, codecs) = aac::codec(&read);
                    if !mpeg2 {
                        entry.codecs = codecs;
                    }
                    codec
                }
                // MPEG-2's own numbers: Main, Low Complexity, Scalable.
                None if found.object_type == 0x67 => AudioCodec::AacLc,
                None => AudioCodec::Other("AAC".into()),
            }
        }
        0x69 | 0x6b => AudioCodec::Mp3,
        0xa5 => AudioCodec::Other("AC-3".into()),
        0xa6 => AudioCodec::Other("E-AC-3".into()),
        0xa9..=0xac => AudioCodec::Other("DTS".into()),
        0xad => AudioCodec::Opus,
        0xdd => AudioCodec::Vorbis,
        0xe1 => AudioCodec::Other("QCELP".into()),
        _ => AudioCodec::Other(entry.codecs.clone()),
    };
}

/// Channels by AC-3's coding mode, and its bass.
fn dolby_channels(mode: u16, bass: u16) -> u16 {
    [2, 1, 2, 3, 3, 4, 4, 5][usize::from(mode & 7)] + (bass & 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mp4::boxes::{make, make_full};
    use crate::mp4::entries as made;

    fn table(entry: &[u8]) -> Vec<u8> {
        [&[0; 4][..], &1_u32.to_be_bytes(), entry].concat()
    }

    /// QuickTime's second form of AAC: version 1, four numbers more, `esds` inside `wave`.
    #[test]
    fn sound_is_found_inside_quicktimes_wave() {
        let plain = made::mp4a(2, 44_100, &[0x12, 0x10]);
        let esds = &plain[36..];
        let wave = make(
            b"wave",
            &[
                &make(b"frma", &[b"mp4a"]),
                &make(b"mp4a", &[&[0; 4]]),
                esds,
                &[0, 0, 0, 8, 0, 0, 0, 0],
            ],
        );
        let mut fixed = plain[8..36].to_vec();
        fixed[9] = 1;
        let entry = table(&make(b"mp4a", &[&fixed, &[0; 16], &wave]));
        let read = audio(&entry).unwrap();
        assert_eq!(
            (read.codec, read.codecs.as_str()),
            (AudioCodec::AacLc, "mp4a.40.2")
        );
        assert_eq!((read.channels, read.sample_rate), (2, 44_100));
    }

    #[test]
    fn quicktimes_third_form_tells_rate_and_channels_anew() {
        let mut body = vec![0; 8];
        body.extend([
            0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 16, 0xff, 0xfe, 0, 0, 0, 1, 0, 0, 0, 0, 0, 72,
        ]);
        body.extend(96_000_f64.to_be_bytes());
        for value in [6_u32, 0x7f00_0000, 24, 0xc, 18, 1] {
            body.extend(value.to_be_bytes());
        }
        let entry = table(&make(b"lpcm", &[&body]));
        let read = audio(&entry).unwrap();
        assert_eq!(
            (read.codec, read.channels, read.sample_rate),
            (AudioCodec::Pcm, 6, 96_000)
        );
        assert_eq!(read.packed, Some((18, 1)));
    }

    #[test]
    fn what_is_encrypted_is_called_so() {
        let scheme = make(b"sinf", &[&make(b"frma", &[b"avc1"])]);
        let entry = table(&make(b"encv", &[&[0; 78], &scheme]));
        assert_eq!(
            video(&entry).unwrap().picture.codec,
            VideoCodec::Other("encrypted avc1".into())
        );
        let entry = table(&make(b"enca", &[&[0; 28]]));
        assert_eq!(
            audio(&entry).unwrap().codec,
            AudioCodec::Other("encrypted".into())
        );
    }

    #[test]
    fn other_sound_is_named() {
        let with = |kind: &Kind, record: &[u8]| {
            table(&make(kind, &[&made::mp4a(2, 48_000, &[])[8..36], record]))
        };
        // 48 kHz, three channels in front, two behind, bass.
        let entry = with(b"ac-3", &make(b"dac3", &[&[0x10, 0x3d, 0x40]]));
        let read = audio(&entry).unwrap();
        assert_eq!(
            (read.codec, read.channels),
            (AudioCodec::Other("AC-3".into()), 6)
        );
        let entry = with(
            b"Opus",
            &make(b"dOps", &[&[0, 1, 0, 0, 0, 0, 0xbb, 0x80, 0, 0, 0]]),
        );
        let read = audio(&entry).unwrap();
        assert_eq!(
            (read.codec, read.channels, read.sample_rate),
            (AudioCodec::Opus, 1, 48_000)
        );
        let stream_info = [
            &[0x80, 0, 0, 34][..],
            &[0; 10],
            &[0x17, 0x70, 0x02, 0xf0],
            &[0; 20],
        ]
        .concat();
        let entry = with(b"fLaC", &make_full(b"dfLa", 0, 0, &[&stream_info]));
        let read = audio(&entry).unwrap();
        assert_eq!(
            (read.codec, read.channels, read.sample_rate),
            (AudioCodec::Flac, 2, 96_000)
        );
        let entry = table(&made::mp3(2, 44_100));
        assert_eq!(audio(&entry).unwrap().codecs, "mp4a.6B");
        assert!(audio(&table(&[0, 0, 0, 8, b'm', b'p', b'4', b'a'])).is_none());
    }
}
