//! Samples of Matroska's tracks as MP4 holds them: places, times, entries.

use super::blocks::{self, End, Frame};
use super::header::{self, Header, Kind, Packing, Track};
use super::main_track;
use crate::h264::{self, AvcC};
use crate::model::{AudioCodec, ProbeError, VideoCodec};
use crate::mp4::write::OutKind;
use crate::mp4::{aac, entries};
use crate::read::{ReadAt, RewriteError};
use crate::streams::flac::StreamInfo;
use crate::streams::mpeg_audio::Mp3Frame;
use crate::streams::remux::{
    Fetch, Gathered, MOST_SAMPLES, Place, Track as Made, check_seeking, lossy,
};
use crate::streams::timing::{Counted, shown};
use crate::streams::window::Window;
use std::ops::ControlFlow;

/// Bytes of a frame of sound that tell how long it is.
const FRAME_HEAD: usize = 20;
/// Sound may stray this far from what its blocks tell: they tell it in milliseconds.
const TOLERANCE_S: f64 = 0.01;

/// Reads where all samples lie.
pub(crate) fn gather(
    source: &dyn ReadAt,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<Gathered, RewriteError> {
    let mut window = Window::new(source, super::STEP);
    let header = header::read(&mut window)?;
    let tracks = carried(&header.tracks)?;
    let Some(first) = header.first_cluster else {
        return Err(ProbeError::Truncated("it holds no frames".into()).into());
    };

    let mut frames: Vec<Vec<Frame>> = tracks.iter().map(|_| Vec::new()).collect();
    let mut count = 0_usize;
    let mut stopped = false;
    let end = header.segment_end.unwrap_or(window.length());
    let how = blocks::walk(&mut window, first, end, &mut |frame| {
        let of = tracks.iter().position(|track| track.number == frame.track);
        if let Some(of) = of {
            frames[of].push(*frame);
        }
        count += 1;
        stopped = count.is_multiple_of(4096) && progress(0).is_break();
        if stopped || count > MOST_SAMPLES {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    match how {
        End::Whole => {}
        End::Cut => {
            return Err(ProbeError::Truncated("it ends in the middle of a block".into()).into());
        }
        End::Lost => {
            return Err(
                ProbeError::Malformed("something between its blocks is none".into()).into(),
            );
        }
        End::Stopped if stopped => return Err(RewriteError::Stopped),
        End::Stopped => return Err(lossy("it has too many samples")),
    }

    let mut made = Vec::new();
    for (track, frames) in tracks.iter().zip(frames) {
        if frames.is_empty() {
            continue;
        }
        made.push(match track.kind {
            Kind::Video => picture(&mut window, &header, track, frames)?,
            _ => sound(&mut window, &header, track, frames)?,
        });
    }
    Ok(Gathered {
        tracks: made,
        chapters: header.chapters,
    })
}

/// The tracks that are kept: what is played first, which must fit into MP4, and further sound that does.
fn carried(tracks: &[Track]) -> Result<Vec<&Track>, RewriteError> {
    let mut kept = Vec::new();
    for kind in [Kind::Video, Kind::Audio] {
        if let Some(track) = main_track(tracks, kind) {
            fits(track)?;
            kept.push(track);
        }
    }
    let numbers: Vec<u64> = kept.iter().map(|track| track.number).collect();
    let others = tracks.iter().filter(|track| track.kind == Kind::Audio);
    kept.extend(others.filter(|track| !numbers.contains(&track.number) && fits(track).is_ok()));
    Ok(kept)
}

fn fits(track: &Track) -> Result<(), RewriteError> {
    if track.packing == Packing::Other {
        return Err(lossy("its frames are compressed"));
    }
    let named = |what: &str| Err(lossy(format!("MP4 for browsers can't hold {what}")));
    match track.kind {
        Kind::Video => match super::codecs::video(track, &[]).codec {
            VideoCodec::H264 | VideoCodec::Av1 if !track.private.is_empty() => Ok(()),
            VideoCodec::Other(name) => named(&name),
            other => named(&format!("{other:?}")),
        },
        _ => match super::codecs::audio(track).codec {
            AudioCodec::Mp3 => Ok(()),
            AudioCodec::AacLc | AudioCodec::Aac(_) | AudioCodec::Flac | AudioCodec::Opus
                if !track.private.is_empty() =>
            {
                Ok(())
            }
            AudioCodec::Other(name) => named(&name),
            other => named(&format!("{other:?}")),
        },
    }
}

fn prefix(track: &Track) -> Vec<u8> {
    match &track.packing {
        Packing::Stripped(prefix) => prefix.clone(),
        _ => Vec::new(),
    }
}

fn places(track: &Track, frames: &[Frame]) -> Result<Vec<Place>, RewriteError> {
    let extra = u32::try_from(prefix(track).len()).unwrap_or(u32::MAX);
    let place = |frame: &Frame| {
        Some(Place {
            at: frame.at,
            raw: frame.size,
            size: frame.size.checked_add(extra)?,
            // Every frame of sound stands for itself, whatever a block's flags say.
            sync: frame.key || track.kind == Kind::Audio,
        })
    };
    let places: Option<Vec<Place>> = frames.iter().map(place).collect();
    places.ok_or_else(|| lossy("a sample is too large"))
}

fn picture(
    window: &mut Window<'_>,
    header: &Header,
    track: &Track,
    mut frames: Vec<Frame>,
) -> Result<Made, RewriteError> {
    if frames.iter().any(|frame| frame.lace > 0) {
        return Err(lossy("several pictures share a block"));
    }
    let recovery_points = match AvcC::parse(&track.private) {
        Some(record) if track.codec != "V_AV1" => {
            keep_idr(window, track, record.length_size, &mut frames)?
        }
        _ => 0,
    };
    let times: Vec<i64> = frames.iter().map(|frame| frame.time).collect();
    let timing = shown(&times, header.scale, track.frame_ns)?;
    let side = |pixels: u32| u16::try_from(pixels).map_err(|_| lossy("its picture is too large"));
    let (width, height) = (side(track.width)?, side(track.height)?);
    let (shown_width, shown_height) = track.display.unwrap_or((track.width, track.height));
    let shape = shape(
        u64::from(shown_width) * u64::from(height),
        u64::from(shown_height) * u64::from(width),
    );
    let entry = match track.codec.as_str() {
        "V_AV1" => entries::av01(width, height, shape, &track.private),
        _ => entries::avc1(width, height, shape, &track.private),
    };
    let made = Made {
        kind: OutKind::Video {
            width: shown_width,
            height: shown_height,
            rotation: track.rotation,
        },
        entry,
        language: track.language,
        places: places(track, &frames)?,
        timing,
        fetch: Fetch::Plain(prefix(track)),
    };
    check_seeking(&made, recovery_points)?;
    Ok(made)
}

/// Takes the mark of a key frame off H.264 pictures that are no IDR pictures, and counts them.
fn keep_idr(
    window: &mut Window<'_>,
    track: &Track,
    length_size: usize,
    frames: &mut [Frame],
) -> Result<usize, RewriteError> {
    /// What stands in front of a picture's first slice is smaller.
    const HEAD: usize = 16 << 10;
    let prefix = prefix(track);
    let mut taken = 0;
    for frame in frames.iter_mut().filter(|frame| frame.key) {
        let head = sample_head(window, &prefix, frame, HEAD)?;
        let mut at = 0;
        while let Some(length) = head.get(at..at + length_size)
            && let Some(header) = head.get(at + length_size)
        {
            match header & 0x1f {
                h264::IDR => break,
                1..=4 => {
                    frame.key = false;
                    taken += 1;
                    break;
                }
                _ => {}
            }
            let length = length
                .iter()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            at += length_size + length;
        }
    }
    Ok(taken)
}

/// The shape of a sample in lowest terms; `None` for a square.
pub(crate) fn shape(width: u64, height: u64) -> Option<(u32, u32)> {
    let (mut a, mut b) = (width, height);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    let reduced = (
        u32::try_from(width.checked_div(a)?).ok()?,
        u32::try_from(height.checked_div(a)?).ok()?,
    );
    (reduced.0 != reduced.1 && reduced.0 > 0 && reduced.1 > 0).then_some(reduced)
}

fn sound(
    window: &mut Window<'_>,
    header: &Header,
    track: &Track,
    frames: Vec<Frame>,
) -> Result<Made, RewriteError> {
    let prefix = prefix(track);
    let told = super::codecs::audio(track);
    let broken = || lossy("its sound's configuration is damaged");
    let (mut rate, mut channels) = (told.sample_rate, told.channels);
    // How many samples a frame has: fixed for AAC, told by each frame of the other codecs.
    let mut fixed = None;
    let entry = match told.codec {
        AudioCodec::Opus => {
            rate = 48_000;
            let (dops, counted) = dops(&track.private).ok_or_else(broken)?;
            channels = counted.into();
            entries::opus(channels, &dops)
        }
        AudioCodec::Flac => {
            let info = flac_info(&track.private).ok_or_else(broken)?;
            let parsed = StreamInfo::parse(&info[4..]).ok_or_else(broken)?;
            (rate, channels) = (parsed.sample_rate, parsed.channels.into());
            entries::flac(channels, rate, &info)
        }
        AudioCodec::Mp3 => {
            let head = sample_head(window, &prefix, &frames[0], FRAME_HEAD)?;
            let frame = Mp3Frame::parse(&head).ok_or_else(broken)?;
            (rate, channels) = (frame.sample_rate, frame.channels);
            fixed = Some(frame.samples());
            entries::mp3(channels, rate)
        }
        _ => {
            fixed = Some(aac_samples(&track.private).ok_or_else(broken)?);
            entries::mp4a(channels, rate, &track.private)
        }
    };
    if rate == 0 {
        return Err(broken());
    }

    let delay_s = track.delay_ns as f64 / 1e9;
    let mut counted = Counted::new(rate, TOLERANCE_S);
    for frame in &frames {
        let samples = match (fixed, &told.codec) {
            (Some(samples), _) => samples,
            (None, AudioCodec::Opus) => {
                let head = sample_head(window, &prefix, frame, FRAME_HEAD)?;
                opus_samples(&head).ok_or_else(|| lossy("a frame of its sound is damaged"))?
            }
            (None, _) => {
                let head = sample_head(window, &prefix, frame, FRAME_HEAD)?;
                flac_samples(&head).ok_or_else(|| lossy("a frame of its sound is damaged"))?
            }
        };
        let time_s = frame.time as f64 * header.scale as f64 / 1e9 - delay_s;
        counted.push((frame.lace == 0).then_some(time_s), samples);
    }
    Ok(Made {
        kind: OutKind::Audio,
        entry,
        language: track.language,
        places: places(track, &frames)?,
        timing: counted.finish()?,
        fetch: Fetch::Plain(prefix),
    })
}

fn sample_head(
    window: &mut Window<'_>,
    prefix: &[u8],
    frame: &Frame,
    most: usize,
) -> Result<Vec<u8>, RewriteError> {
    let mut head = prefix.to_vec();
    let bytes = window.get(frame.at, (frame.size as usize).min(most));
    head.extend(bytes.map_err(ProbeError::Read)?);
    Ok(head)
}

/// Samples of an AAC frame at the rate that comes out.
fn aac_samples(private: &[u8]) -> Option<u32> {
    let config = aac::config(private)?;
    let &[first, second, ..] = private else {
        return None;
    };
    let index = (first & 7) << 1 | second >> 7;
    let core = aac::rate(index.into()).unwrap_or(config.sample_rate);
    // With a rate in 24 bits nobody uses frames of 960.
    let short = index < 15 && config.object_type == aac::LOW_COMPLEXITY && second & 4 != 0;
    let samples = if short { 960 } else { 1024 };
    Some(if config.sample_rate == core.saturating_mul(2) {
        samples * 2
    } else {
        samples
    })
}

/// OpusHead (RFC 7845, 5.1) as MP4 holds it: the same fields, highest byte first. The second value is the number
/// of channels.
fn dops(head: &[u8]) -> Option<(Vec<u8>, u8)> {
    let &[
        channels,
        skip_low,
        skip_high,
        a,
        b,
        c,
        d,
        gain_low,
        gain_high,
        family,
        ref table @ ..,
    ] = head.strip_prefix(b"OpusHead")?.get(1..)?
    else {
        return None;
    };
    let mut dops = vec![
        0, channels, skip_high, skip_low, d, c, b, a, gain_high, gain_low, family,
    ];
    if family != 0 {
        dops.extend(table.get(..2 + usize::from(channels))?);
    }
    Some((dops, channels))
}

/// Samples of an Opus packet at 48 kHz (RFC 6716, 3.1).
fn opus_samples(packet: &[u8]) -> Option<u32> {
    let (toc, rest) = packet.split_first()?;
    let configuration = toc >> 3;
    let frame = match configuration {
        0..=11 => [480, 960, 1920, 2880][usize::from(configuration & 3)],
        12..=15 => [480, 960][usize::from(configuration & 1)],
        _ => [120, 240, 480, 960][usize::from(configuration & 3)],
    };
    let count = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(rest.first()? & 0x3f),
    };
    Some(frame * count)
}

/// The STREAMINFO block with its header, marked as the last.
fn flac_info(private: &[u8]) -> Option<Vec<u8>> {
    let block = private.strip_prefix(b"fLaC")?.get(..4 + 34)?;
    let mut block = block.to_vec();
    (block[0] & 0x7f == 0 && block[1..4] == [0, 0, 34]).then(|| block[0] = 0x80)?;
    Some(block)
}

/// Samples of a FLAC frame (RFC 9639, 9.1).
fn flac_samples(frame: &[u8]) -> Option<u32> {
    let &[0xff, second, third, _, number, ..] = frame else {
        return None;
    };
    if second & 0xfe != 0xf8 {
        return None;
    }
    // The frame's number is coded as UTF-8 codes letters.
    let behind = 4 + match number.leading_ones() {
        0 => 1,
        ones @ 2..=7 => ones as usize,
        _ => return None,
    };
    Some(match third >> 4 {
        1 => 192,
        code @ 2..=5 => 576 << (code - 2),
        6 => u32::from(*frame.get(behind)?) + 1,
        7 => {
            let &[high, low, ..] = frame.get(behind..)? else {
                return None;
            };
            u32::from(u16::from_be_bytes([high, low])) + 1
        }
        code @ 8..=15 => 256 << (code - 8),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opus_packets_tell_how_long_they_are() {
        assert_eq!(opus_samples(&[0x78]), Some(960));
        assert_eq!(opus_samples(&[0x08 | 3, 6]), Some(960 * 6));
        assert_eq!(opus_samples(&[0xe0]), Some(120));
        assert_eq!(opus_samples(&[]), None);
    }

    #[test]
    fn flac_frames_tell_how_long_they_are() {
        assert_eq!(
            flac_samples(&[0xff, 0xf8, 0xc9, 0x18, 0x00, 0xc2]),
            Some(4096)
        );
        assert_eq!(
            flac_samples(&[0xff, 0xf8, 0x69, 0x18, 0x01, 0x0f, 0x99]),
            Some(16)
        );
        assert_eq!(flac_samples(&[0xff, 0xf8, 0x79]), None);
    }

    #[test]
    fn aac_frames_are_as_long_as_their_configuration_says() {
        assert_eq!(aac_samples(&[0x12, 0x10]), Some(1024));
        assert_eq!(aac_samples(&[0x12, 0x14]), Some(960));
        assert_eq!(aac_samples(&[0x2b, 0x92, 0x08, 0x00]), Some(2048));
        assert_eq!(aac_samples(&[0x12]), None);
    }

    #[test]
    fn shapes_of_samples_are_reduced() {
        assert_eq!(shape(1920 * 1080, 1920 * 1080), None);
        assert_eq!(shape(1024 * 576, 576 * 720), Some((64, 45)));
        assert_eq!(shape(0, 5), None);
    }
}
