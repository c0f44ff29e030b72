//! H.264 (ITU-T H.264, ISO/IEC 14496-10) as far as its headers go: units of the byte stream and of samples,
//! sequence parameter sets, the configuration record `avcC` (ISO/IEC 14496-15). Nothing is decoded.

use crate::bits::Bits;
use crate::model::{Chroma, KeyFrame};
use std::iter;

/// A picture that needs no other.
pub(crate) const IDR: u8 = 5;
/// Supplemental enhancement information.
pub(crate) const SEI: u8 = 6;
/// Sequence parameter set.
pub(crate) const SPS: u8 = 7;
/// Picture parameter set.
pub(crate) const PPS: u8 = 8;
/// Access unit delimiter.
pub(crate) const DELIMITER: u8 = 9;

/// What kind of unit this is, by its first byte.
pub(crate) fn unit_type(unit: &[u8]) -> Option<u8> {
    unit.first().map(|header| header & 0x1f)
}

/// The units of a byte stream (Annex B), without start codes and the zeros that may follow a unit.
pub(crate) fn annex_b_units(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = start_code(stream).map(|(_, after)| after);
    iter::from_fn(move || {
        let from = rest?;
        let next = start_code(&stream[from..]);
        let end = next.map_or(stream.len(), |(at, _)| from + at);
        rest = next.map(|(_, after)| from + after);
        let unit = &stream[from..end];
        let used = unit.iter().rposition(|byte| *byte != 0);
        Some(&unit[..used.map_or(0, |last| last + 1)])
    })
    .filter(|unit| !unit.is_empty())
}

/// Where the first `00 00 01` lies and ends.
fn start_code(stream: &[u8]) -> Option<(usize, usize)> {
    let mut at = 0;
    while let Some(third) = stream.get(at + 2) {
        match third {
            // A start code may have begun one or two bytes ago.
            0 => at += 1,
            1 if stream[at] == 0 && stream[at + 1] == 0 => return Some((at, at + 3)),
            _ => at += 3,
        }
    }
    None
}

/// The units of a sample, each behind its length. Ends at a length that doesn't fit.
pub(crate) fn prefixed_units(sample: &[u8], length_size: usize) -> impl Iterator<Item = &[u8]> {
    let mut rest = sample;
    iter::from_fn(move || {
        let (length, after) = rest.split_at_checked(length_size)?;
        let length = length
            .iter()
            .fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
        let (unit, after) = after.split_at_checked(length)?;
        rest = after;
        Some(unit)
    })
    .filter(|unit| !unit.is_empty())
}

/// What a sequence parameter set says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sps {
    /// `profile_idc`.
    pub(crate) profile: u8,
    /// The byte of constraint flags.
    pub(crate) constraints: u8,
    /// `level_idc`.
    pub(crate) level: u8,
    pub(crate) chroma: Chroma,
    pub(crate) bit_depth: u8,
    /// Pixels after cropping, before the sample aspect ratio is applied.
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Width and height of a sample, 1:1 where it isn't told.
    pub(crate) sample_aspect: (u32, u32),
    /// Frames a second, where timing is told.
    pub(crate) frame_rate: Option<f64>,
    /// `matrix_coefficients` (how colours become brightness and two differences), where told.
    pub(crate) matrix: Option<u8>,
    /// Whether samples use all of their values, not those of television.
    pub(crate) full_range: bool,
    /// Whether there are no fields.
    pub(crate) progressive: bool,
    /// Bits of `frame_num` in a slice's header.
    pub(crate) frame_number_bits: u32,
    /// By how many frames at most a picture is decoded before it is shown, where told.
    pub(crate) reorder: Option<u32>,
}

impl Sps {
    /// Reads a unit, its header byte included.
    pub(crate) fn parse(unit: &[u8]) -> Option<Self> {
        if unit_type(unit)? != SPS {
            return None;
        }
        let payload = without_emulation(unit.get(1..)?);
        let mut bits = Bits::new(&payload);
        let profile = bits.small(8)?;
        let constraints = bits.small(8)?;
        let level = bits.small(8)?;
        bits.golomb()?; // seq_parameter_set_id

        let mut chroma_format = 1;
        let mut bit_depth = 8;
        let high = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];
        if high.contains(&profile) {
            chroma_format = bits.golomb()?;
            if chroma_format == 3 && bits.bit()? {
                // Colours in planes of their own: used by nobody, and slices look different.
                return None;
            }
            let luma = bits.golomb()?;
            let colour = bits.golomb()?;
            bit_depth = u8::try_from(luma.max(colour)).ok()?.checked_add(8)?;
            bits.bit()?; // qpprime_y_zero_transform_bypass_flag
            if bits.bit()? {
                skip_scaling_lists(&mut bits, chroma_format)?;
            }
        }

        let frame_number_bits = bits.golomb()?.checked_add(4).filter(|bits| *bits <= 16)?;
        match bits.golomb()? {
            0 => {
                bits.golomb()?; // log2_max_pic_order_cnt_lsb_minus4
            }
            1 => {
                bits.bit()?; // delta_pic_order_always_zero_flag
                bits.signed_golomb()?;
                bits.signed_golomb()?;
                let cycle = bits.golomb()?;
                for _ in 0..cycle {
                    bits.signed_golomb()?;
                }
            }
            _ => {}
        }
        bits.golomb()?; // max_num_ref_frames
        bits.bit()?; // gaps_in_frame_num_value_allowed_flag
        let columns = bits.golomb()?.checked_add(1)?;
        let rows = bits.golomb()?.checked_add(1)?;
        let progressive = bits.bit()?;
        if !progressive {
            bits.bit()?; // mb_adaptive_frame_field_flag
        }
        bits.bit()?; // direct_8x8_inference_flag

        let chroma = match chroma_format {
            0 => Chroma::Monochrome,
            1 => Chroma::C420,
            2 => Chroma::C422,
            3 => Chroma::C444,
            _ => return None,
        };
        let fields = if progressive { 1 } else { 2 };
        let mut width = columns.checked_mul(16)?;
        let mut height = rows.checked_mul(16)?.checked_mul(fields)?;
        if bits.bit()? {
            let across = match chroma {
                Chroma::C420 | Chroma::C422 => 2,
                _ => 1,
            };
            let down = fields * if chroma == Chroma::C420 { 2 } else { 1 };
            let mut cut = || Some((bits.golomb()?, bits.golomb()?));
            let (left, right) = cut()?;
            let (top, bottom) = cut()?;
            width = width.checked_sub(left.checked_add(right)?.checked_mul(across)?)?;
            height = height.checked_sub(top.checked_add(bottom)?.checked_mul(down)?)?;
        }

        let mut sps = Self {
            profile,
            constraints,
            level,
            chroma,
            bit_depth,
            width,
            height,
            sample_aspect: (1, 1),
            frame_rate: None,
            matrix: None,
            full_range: false,
            progressive,
            frame_number_bits,
            reorder: None,
        };
        if bits.bit()? {
            // What follows is for display alone: a set that is cut short here still describes its pictures.
            let _ = sps.read_usability(&mut bits);
        }
        Some(sps)
    }

    /// Video usability information (Annex E).
    fn read_usability(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        if bits.bit()? {
            const ASPECTS: [(u32, u32); 17] = [
                (1, 1),
                (1, 1),
                (12, 11),
                (10, 11),
                (16, 11),
                (40, 33),
                (24, 11),
                (20, 11),
                (32, 11),
                (80, 33),
                (18, 11),
                (15, 11),
                (64, 33),
                (160, 99),
                (4, 3),
                (3, 2),
                (2, 1),
            ];
            let index = bits.take(8)?;
            let told = if index == 255 {
                (bits.take(16)?, bits.take(16)?)
            } else {
                *ASPECTS.get(index as usize).unwrap_or(&(1, 1))
            };
            if told.0 > 0 && told.1 > 0 {
                self.sample_aspect = told;
            }
        }
        if bits.bit()? {
            bits.bit()?; // overscan_appropriate_flag
        }
        if bits.bit()? {
            const UNSPECIFIED: u8 = 2;
            bits.skip(3)?; // video_format
            self.full_range = bits.bit()?;
            if bits.bit()? {
                bits.skip(16)?; // colour_primaries, transfer_characteristics
                self.matrix = Some(bits.small(8)?).filter(|matrix| *matrix != UNSPECIFIED);
            }
        }
        if bits.bit()? {
            bits.golomb()?;
            bits.golomb()?; // chroma_sample_loc_type
        }
        if bits.bit()? {
            let tick = bits.take(32)?;
            let scale = bits.take(32)?;
            bits.bit()?; // fixed_frame_rate_flag
            if tick > 0 && scale > 0 {
                // Ticks count fields, two to a frame.
                self.frame_rate = Some(f64::from(scale) / f64::from(tick) / 2.0);
            }
        }
        let network = bits.bit()?;
        if network {
            skip_hypothetical_decoder(bits)?;
        }
        let video = bits.bit()?;
        if video {
            skip_hypothetical_decoder(bits)?;
        }
        if network || video {
            bits.bit()?; // low_delay_hrd_flag
        }
        bits.bit()?; // pic_struct_present_flag
        if bits.bit()? {
            bits.bit()?; // motion_vectors_over_pic_boundaries_flag
            for _ in 0..4 {
                bits.golomb()?;
            }
            self.reorder = Some(bits.golomb()?).filter(|frames| *frames <= 16);
        }
        Some(())
    }

    /// The codec parameter of a MIME type (RFC 6381).
    pub(crate) fn codecs(&self) -> String {
        format!(
            "avc1.{:02x}{:02x}{:02x}",
            self.profile, self.constraints, self.level
        )
    }

    /// Width and height as shown, the sample aspect ratio applied to the width.
    pub(crate) fn shown(&self) -> (u32, u32) {
        let (across, down) = self.sample_aspect;
        let width = u64::from(self.width) * u64::from(across) / u64::from(down.max(1));
        (u32::try_from(width).unwrap_or(self.width), self.height)
    }
}

fn skip_scaling_lists(bits: &mut Bits<'_>, chroma_format: u32) -> Option<()> {
    for index in 0..if chroma_format == 3 { 12 } else { 8 } {
        if !bits.bit()? {
            continue;
        }
        let (mut last, mut next) = (8_i32, 8_i32);
        for _ in 0..if index < 6 { 16 } else { 64 } {
            if next != 0 {
                next = (last.wrapping_add(bits.signed_golomb()?)) & 0xff;
            }
            if next != 0 {
                last = next;
            }
        }
    }
    Some(())
}

fn skip_hypothetical_decoder(bits: &mut Bits<'_>) -> Option<()> {
    let count = bits.golomb()?;
    bits.skip(8)?; // bit_rate_scale, cpb_size_scale
    if count > 31 {
        return None;
    }
    for _ in 0..=count {
        bits.golomb()?;
        bits.golomb()?;
        bits.bit()?;
    }
    bits.skip(20)
}

/// The payload without the bytes that keep start codes out of it.
fn without_emulation(unit: &[u8]) -> Vec<u8> {
    // Parameter sets are small; a unit that isn't one gains nothing by its length.
    let unit = &unit[..unit.len().min(4096)];
    let mut payload = Vec::with_capacity(unit.len());
    let mut zeros = 0;
    for byte in unit {
        if zeros >= 2 && *byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        payload.push(*byte);
    }
    payload
}

/// A decoder's configuration record (ISO/IEC 14496-15, 5.3.3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AvcC {
    /// Bytes of each unit's length in a sample: 1, 2 or 4.
    pub(crate) length_size: usize,
    pub(crate) sps: Vec<Vec<u8>>,
    pub(crate) pps: Vec<Vec<u8>>,
}

impl AvcC {
    pub(crate) fn parse(record: &[u8]) -> Option<Self> {
        if *record.first()? != 1 {
            return None;
        }
        let length_size = usize::from(record.get(4)? & 3) + 1;
        let mut rest = record.get(5..)?;
        let sets = |rest: &mut &[u8], mask: u8| {
            let (count, after) = rest.split_first()?;
            *rest = after;
            (0..count & mask)
                .map(|_| {
                    let (length, after) = rest.split_at_checked(2)?;
                    let length = usize::from(length[0]) << 8 | usize::from(length[1]);
                    let (set, after) = after.split_at_checked(length)?;
                    *rest = after;
                    Some(set.to_vec())
                })
                .collect::<Option<Vec<_>>>()
        };
        let sps = sets(&mut rest, 0x1f)?;
        let pps = sets(&mut rest, 0xff)?;
        Some(Self {
            length_size,
            sps,
            pps,
        })
    }

    /// For samples with lengths of four bytes. `None` where a set is no set, or too long to be written.
    pub(crate) fn from_sets(sps: Vec<Vec<u8>>, pps: Vec<Vec<u8>>) -> Option<Self> {
        let fits = |sets: &[Vec<u8>], most| {
            !sets.is_empty() && sets.len() <= most && sets.iter().all(|set| set.len() <= 0xffff)
        };
        (fits(&sps, 31) && fits(&pps, 255) && Sps::parse(&sps[0]).is_some()).then_some(Self {
            length_size: 4,
            sps,
            pps,
        })
    }

    /// What the first sequence parameter set says.
    pub(crate) fn sps_parsed(&self) -> Option<Sps> {
        Sps::parse(self.sps.first()?)
    }

    /// The record as a file holds it.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let first = self.sps.first().map_or(&[][..], Vec::as_slice);
        let at = |index: usize| first.get(index).copied().unwrap_or(0);
        let length_size = u8::try_from(self.length_size.clamp(1, 4) - 1).unwrap_or(3);
        let mut record = vec![1, at(1), at(2), at(3), 0xfc | length_size];
        for (sets, reserved) in [(&self.sps, 0xe0_u8), (&self.pps, 0)] {
            record.push(reserved | u8::try_from(sets.len()).unwrap_or(0));
            for set in sets {
                let length = u16::try_from(set.len()).unwrap_or(0);
                record.extend(length.to_be_bytes());
                record.extend(&set[..usize::from(length)]);
            }
        }
        if let Some(sps) = self.sps_parsed()
            && ![66, 77, 88].contains(&sps.profile)
        {
            let chroma = match sps.chroma {
                Chroma::Monochrome => 0,
                Chroma::C420 => 1,
                Chroma::C422 => 2,
                Chroma::C444 => 3,
            };
            let depth = 0xf8 | (sps.bit_depth - 8) & 7;
            record.extend([0xfc | chroma, depth, depth, 0]);
        }
        record
    }

    /// A sample as a key frame.
    pub(crate) fn key_frame(&self, sample: &[u8], time_s: f64, rotation: u16) -> KeyFrame {
        let sps = self.sps_parsed();
        KeyFrame {
            annex_b: self.annex_b(sample),
            time_s,
            rotation,
            matrix: sps.and_then(|sps| sps.matrix),
            full_range: sps.is_some_and(|sps| sps.full_range),
        }
    }

    /// A sample as a byte stream (Annex B), parameter sets in front.
    pub(crate) fn annex_b(&self, sample: &[u8]) -> Vec<u8> {
        let mut stream = Vec::with_capacity(sample.len() + 256);
        let units = prefixed_units(sample, self.length_size);
        let sets = self.sps.iter().chain(&self.pps).map(Vec::as_slice);
        for unit in sets.chain(units) {
            stream.extend([0, 0, 0, 1]);
            stream.extend(unit);
        }
        stream
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// x264, 64 × 48, 25 frames a second, High, two frames of reordering.
    const SPS_X264: &[u8] = &[
        0x67, 0x64, 0x00, 0x0a, 0xac, 0xd9, 0x44, 0x7b, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10,
        0x00, 0x00, 0x03, 0x03, 0x20, 0xf1, 0x22, 0x59, 0x60,
    ];

    #[test]
    fn a_parameter_set_is_read_through_its_emulation_bytes() {
        let sps = Sps::parse(SPS_X264).unwrap();
        assert_eq!((sps.width, sps.height), (64, 48));
        assert_eq!(
            (sps.profile, sps.level, sps.bit_depth, sps.chroma),
            (100, 10, 8, Chroma::C420)
        );
        assert_eq!(sps.frame_rate, Some(25.0));
        assert_eq!(sps.reorder, Some(2));
        assert_eq!(sps.codecs(), "avc1.64000a");
    }

    #[test]
    fn byte_streams_split_at_both_start_codes() {
        let stream = [
            9, 0, 0, 0, 1, 0x09, 0xf0, 0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x65, 0, 2, 0, 0,
        ];
        let units: Vec<&[u8]> = annex_b_units(&stream).collect();
        assert_eq!(units, [&[0x09, 0xf0][..], &[0x67, 1], &[0x65, 0, 2]]);
        assert_eq!(annex_b_units(&[0, 0]).count(), 0);
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record = AvcC::from_sets(vec![SPS_X264.to_vec()], vec![vec![0x68, 0xee]]).unwrap();
        assert_eq!(AvcC::parse(&record.to_bytes()), Some(record.clone()));
        let sample = [0, 0, 0, 2, 0x65, 7, 0, 0, 0, 9, 1];
        let stream = record.annex_b(&sample);
        let kinds: Vec<_> = annex_b_units(&stream).filter_map(unit_type).collect();
        assert_eq!(kinds, [SPS, PPS, IDR], "a unit that is cut off is left out");
    }

    proptest! {
        #[test]
        fn anything_may_stand_in_a_set(mut unit in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Some(first) = unit.first_mut() {
                *first = 0x67;
            }
            let _ = Sps::parse(&unit).map(|sps| (sps.codecs(), sps.shown()));
            let _ = AvcC::parse(&unit).map(|record| (record.to_bytes(), record.annex_b(&unit)));
            let _ = AvcC::from_sets(vec![unit.clone()], vec![unit]).map(|record| record.to_bytes());
        }
    }
}
