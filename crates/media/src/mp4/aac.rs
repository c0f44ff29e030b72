//! AAC's configuration (AudioSpecificConfig, ISO/IEC 14496-3 §1.6.2) and the descriptor that holds it in MP4
//! (`esds`, ISO/IEC 14496-1 §7.2.6).

use super::bytes::Bytes;
use crate::bits::Bits;
use crate::model::AudioCodec;

/// What an AudioSpecificConfig says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Aac {
    /// Audio object type: 2 Low Complexity, 5 with spectral band replication, 29 with parametric stereo too.
    pub object_type: u8,
    /// Of the sound that comes out.
    pub sample_rate: u32,
    /// Channels; 0 where unknown.
    pub channels: u16,
}

pub(crate) const LOW_COMPLEXITY: u8 = 2;
const BAND_REPLICATION: u8 = 5;
const PARAMETRIC_STEREO: u8 = 29;

const RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];

/// Sample rate by its index, as ADTS headers count too.
pub(crate) fn rate(index: u32) -> Option<u32> {
    RATES.get(index as usize).copied()
}

/// Reads an AudioSpecificConfig.
pub(crate) fn config(asc: &[u8]) -> Option<Aac> {
    let mut bits = Bits::new(asc);
    let mut object_type = read_object_type(&mut bits)?;
    let mut sample_rate = read_rate(&mut bits)?;
    let layout = bits.take(4)?;
    if object_type == BAND_REPLICATION || object_type == PARAMETRIC_STEREO {
        sample_rate = read_rate(&mut bits)?;
        read_object_type(&mut bits)?;
        let channels = if object_type == PARAMETRIC_STEREO {
            2
        } else {
            channels_of(layout)
        };
        return Some(Aac {
            object_type,
            sample_rate,
            channels,
        });
    }
    let mut channels = channels_of(layout);
    if matches!(object_type, 1..=4 | 6 | 7 | 17 | 19..=23) {
        if let Some(named) = specific(&mut bits, layout == 0).flatten() {
            channels = named;
        }
        if let Some((extension, rate)) = extension(&mut bits) {
            object_type = extension;
            sample_rate = rate;
        }
    }
    Some(Aac {
        object_type,
        sample_rate,
        channels,
    })
}

fn read_object_type(bits: &mut Bits<'_>) -> Option<u8> {
    let short = bits.take(5)?;
    let object_type = if short == 31 {
        32 + bits.take(6)?
    } else {
        short
    };
    u8::try_from(object_type).ok()
}

fn read_rate(bits: &mut Bits<'_>) -> Option<u32> {
    match bits.take(4)? {
        15 => bits.take(24),
        index => rate(index),
    }
}

fn channels_of(layout: u32) -> u16 {
    match layout {
        1..=6 => layout as u16,
        7 | 12 | 14 => 8,
        11 => 7,
        _ => 0,
    }
}

/// Reads on to where an extension may begin; the channels, where they are listed one by one.
fn specific(bits: &mut Bits<'_>, listed: bool) -> Option<Option<u16>> {
    bits.bit()?;
    if bits.bit()? {
        bits.take(14)?;
    }
    bits.bit()?;
    if listed {
        program(bits).map(Some)
    } else {
        Some(None)
    }
}

/// Counts the channels of a program configuration element.
fn program(bits: &mut Bits<'_>) -> Option<u16> {
    bits.take(4 + 2 + 4)?;
    let [front, side, back] = [bits.take(4)?, bits.take(4)?, bits.take(4)?];
    let (low, associated, coupled) = (bits.take(2)?, bits.take(3)?, bits.take(4)?);
    for mixdown in [4, 4, 3] {
        if bits.bit()? {
            bits.take(mixdown)?;
        }
    }
    let mut channels = low as u16;
    for _ in 0..front + side + back {
        channels += if bits.bit()? { 2 } else { 1 };
        bits.take(4)?;
    }
    bits.take(4 * low)?;
    for _ in 0..associated {
        bits.take(4)?;
    }
    for _ in 0..coupled {
        bits.take(5)?;
    }
    Some(channels)
}

/// Band replication told in a place that older decoders don't look at.
fn extension(bits: &mut Bits<'_>) -> Option<(u8, u32)> {
    let mut last = 0;
    while last != 0x2b7 {
        last = (last << 1 | u32::from(bits.bit()?)) & 0x7ff;
    }
    if read_object_type(bits)? != BAND_REPLICATION || !bits.bit()? {
        return None;
    }
    let rate = read_rate(bits)?;
    let stereo = bits.take(11) == Some(0x548) && bits.bit() == Some(true);
    Some((
        if stereo {
            PARAMETRIC_STEREO
        } else {
            BAND_REPLICATION
        },
        rate,
    ))
}

/// The model's word for it and the codec parameter of a MIME type (RFC 6381 §3.3).
pub(crate) fn codec(aac: &Aac) -> (AudioCodec, String) {
    let codec = match aac.object_type {
        LOW_COMPLEXITY => AudioCodec::AacLc,
        32 | 33 => AudioCodec::Other(format!("MPEG layer {}", aac.object_type - 31)),
        34 => AudioCodec::Mp3,
        36 => AudioCodec::Other("MPEG-4 ALS".into()),
        other => AudioCodec::Aac(other),
    };
    (codec, format!("mp4a.40.{}", aac.object_type))
}

/// What an elementary stream descriptor says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Descriptor<'a> {
    /// Object type indication: 0x40 MPEG-4 audio, 0x6b MPEG-1 audio …
    pub object_type: u8,
    /// What the decoder needs; empty where there is none.
    pub specific: &'a [u8],
}

/// Reads the body of `esds`, version and flags included.
pub(crate) fn descriptor(esds: &[u8]) -> Option<Descriptor<'_>> {
    let mut bytes = Bytes(esds);
    bytes.version()?;
    let (tag, mut body) = element(&mut bytes)?;
    if tag == 3 {
        body.u16()?;
        let flags = body.u8()?;
        if flags & 0x80 != 0 {
            body.u16()?;
        }
        if flags & 0x40 != 0 {
            let length = body.u8()?;
            body.take(length.into())?;
        }
        if flags & 0x20 != 0 {
            body.u16()?;
        }
    } else {
        // Some writers begin with the decoder's configuration at once.
        body = Bytes(esds.get(4..)?);
    }
    let (tag, mut decoder) = element(&mut body)?;
    if tag != 4 {
        return None;
    }
    let object_type = decoder.u8()?;
    decoder.take(12)?;
    let specific = match element(&mut decoder) {
        Some((5, specific)) => specific.0,
        _ => &[],
    };
    Some(Descriptor {
        object_type,
        specific,
    })
}

/// A descriptor's tag and body; a body that is longer than what is left is cut.
fn element<'a>(bytes: &mut Bytes<'a>) -> Option<(u8, Bytes<'a>)> {
    let tag = bytes.u8()?;
    let mut length = 0_usize;
    for _ in 0..4 {
        let byte = bytes.u8()?;
        length = length << 7 | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    let body = bytes.take(length.min(bytes.0.len()))?;
    Some((tag, Bytes(body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_low_complexity() {
        assert_eq!(
            config(&[0x12, 0x10]),
            Some(Aac {
                object_type: 2,
                sample_rate: 44_100,
                channels: 2
            })
        );
        assert_eq!(
            config(&[0x11, 0xb0]),
            Some(Aac {
                object_type: 2,
                sample_rate: 48_000,
                channels: 6
            })
        );
        assert_eq!(config(&[0x12]), None);
        assert_eq!(
            codec(&config(&[0x12, 0x10]).unwrap()),
            (AudioCodec::AacLc, "mp4a.40.2".into())
        );
    }

    #[test]
    fn band_replication_is_seen_in_both_places() {
        // In front: type 5, core 22,050 Hz, stereo, extended to 44,100 Hz.
        assert_eq!(
            config(&[0x2b, 0x92, 0x08, 0x00]),
            Some(Aac {
                object_type: 5,
                sample_rate: 44_100,
                channels: 2
            })
        );
        // Behind, where old decoders don't look: 22,050 Hz stereo, 0x2b7, type 5, 44,100 Hz.
        assert_eq!(
            config(&[0x13, 0x90, 0x56, 0xe5, 0xa0]),
            Some(Aac {
                object_type: 5,
                sample_rate: 44_100,
                channels: 2
            })
        );
        // Parametric stereo: told as two channels, whatever the core has.
        let stereo = config(&[0xeb, 0x8a, 0x08, 0x00]).unwrap();
        assert_eq!((stereo.object_type, stereo.channels), (29, 2));
        assert_eq!(codec(&stereo), (AudioCodec::Aac(29), "mp4a.40.29".into()));
    }

    #[test]
    fn descriptors_are_read_with_long_and_short_lengths() {
        let short = [
            0, 0, 0, 0, 3, 22, 0, 1, 0, 4, 17, 0x40, 0x15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 2,
            0x12, 0x10,
        ];
        let read = descriptor(&short).unwrap();
        assert_eq!((read.object_type, read.specific), (0x40, &[0x12, 0x10][..]));
        let long = [
            0, 0, 0, 0, 3, 0x80, 0x80, 0x80, 25, 0, 1, 0, 4, 0x80, 0x80, 0x80, 17, 0x6b, 0x15, 0,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ];
        let read = descriptor(&long).unwrap();
        assert_eq!((read.object_type, read.specific), (0x6b, &[][..]));
        assert_eq!(descriptor(&[0, 0, 0, 0, 3]), None);
    }
}
