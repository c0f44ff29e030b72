//! Sound in frames that stand for themselves: MPEG layer III (ISO/IEC 11172-3, 13818-3) and AAC with ADTS headers
//! (ISO/IEC 13818-7).

use super::remux::{Fetch, Gathered, MOST_SAMPLES, Place, Track, lossy};
use super::timing::Counted;
use super::window::Window;
use crate::model::{Audio, AudioCodec, Container, Media, ProbeError};
use crate::mp4::write::OutKind;
use crate::mp4::{aac, entries};
use crate::read::{ReadAt, RewriteError};
use std::ops::ControlFlow;

/// Where an ID3v2 tag at `at` ends; `at` where there is none (id3.org, "ID3 tag version 2.4.0", 3.1).
pub(super) fn after_id3(window: &mut Window<'_>, at: u64) -> Result<u64, ProbeError> {
    let mut at = at;
    // Some programs put a second tag behind the first.
    for _ in 0..4 {
        let Some(header) = window.array::<10>(at)? else {
            break;
        };
        let sizes = &header[6..];
        if !header.starts_with(b"ID3") || sizes.iter().any(|byte| byte & 0x80 != 0) {
            break;
        }
        let size = sizes
            .iter()
            .fold(0_u64, |sum, byte| sum << 7 | u64::from(*byte));
        let footer = if header[5] & 0x10 != 0 { 10 } else { 0 };
        at += 10 + size + footer;
    }
    Ok(at)
}

/// The header of a layer III frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mp3Frame {
    /// Whether it is MPEG-1; else MPEG-2 or 2.5, with half as many samples.
    pub(crate) first_version: bool,
    /// Bits a second.
    pub(crate) bit_rate: u32,
    pub(crate) sample_rate: u32,
    pub(crate) channels: u16,
    /// Bytes, header included.
    pub(crate) size: u32,
}

impl Mp3Frame {
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let &[0xff, second, third, fourth, ..] = bytes else {
            return None;
        };
        let (version, layer) = (second >> 3 & 3, second >> 1 & 3);
        if second & 0xe0 != 0xe0 || layer != 1 || version == 1 {
            return None;
        }
        const FIRST: [u32; 15] = [
            0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320,
        ];
        const SECOND: [u32; 15] = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
        let first_version = version == 3;
        let rates = if first_version { FIRST } else { SECOND };
        // "Free" rates don't tell where the next frame is: nobody uses them.
        let kilobits = *rates
            .get(usize::from(third >> 4))
            .filter(|rate| **rate > 0)?;
        let base = *[44_100, 48_000, 32_000].get(usize::from(third >> 2 & 3))?;
        let sample_rate = base
            / match version {
                3 => 1,
                2 => 2,
                _ => 4,
            };
        let padding = u32::from(third >> 1 & 1);
        let slots = if first_version { 144_000 } else { 72_000 };
        Some(Self {
            first_version,
            bit_rate: kilobits * 1000,
            sample_rate,
            channels: if fourth >> 6 == 3 { 1 } else { 2 },
            size: slots * kilobits / sample_rate + padding,
        })
    }

    /// Samples a channel.
    pub(crate) fn samples(&self) -> u32 {
        if self.first_version { 1152 } else { 576 }
    }

    /// Whether a decoder goes on with this frame as it is.
    pub(crate) fn fits(&self, next: &Self) -> bool {
        (self.first_version, self.sample_rate) == (next.first_version, next.sample_rate)
    }
}

/// The header of an ADTS frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AdtsFrame {
    /// Audio object type.
    object_type: u8,
    rate_index: u8,
    pub(crate) sample_rate: u32,
    /// As an AudioSpecificConfig counts them; 0 where the stream tells.
    layout: u8,
    /// Bytes of the header, and of the whole frame.
    pub(crate) header: u32,
    pub(crate) size: u32,
    /// Blocks of 1,024 samples.
    pub(crate) blocks: u32,
}

impl AdtsFrame {
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let &[0xff, second, third, fourth, fifth, sixth, seventh, ..] = bytes else {
            return None;
        };
        if second & 0xf6 != 0xf0 {
            return None;
        }
        let rate_index = third >> 2 & 0xf;
        let header = if second & 1 == 1 { 7 } else { 9 };
        let size = u32::from(fourth & 3) << 11 | u32::from(fifth) << 3 | u32::from(sixth >> 5);
        if size <= header {
            return None;
        }
        Some(Self {
            object_type: (third >> 6) + 1,
            rate_index,
            sample_rate: aac::rate(rate_index.into())?,
            layout: (third & 1) << 2 | fourth >> 6,
            header,
            size,
            blocks: u32::from(seventh & 3) + 1,
        })
    }

    /// The same facts as MP4 wants them.
    pub(crate) fn configuration(&self) -> [u8; 2] {
        [
            self.object_type << 3 | self.rate_index >> 1,
            self.rate_index << 7 | self.layout << 3,
        ]
    }

    /// Whether a decoder goes on with this frame as it is.
    pub(crate) fn fits(&self, next: &Self) -> bool {
        self.configuration() == next.configuration()
    }

    pub(crate) fn audio(&self) -> Audio {
        let (codec, codecs) = aac::config(&self.configuration())
            .map_or((AudioCodec::AacLc, String::new()), |config| {
                aac::codec(&config)
            });
        Audio {
            codec,
            codecs,
            channels: [0, 1, 2, 3, 4, 5, 6, 8][usize::from(self.layout & 7)],
            sample_rate: self.sample_rate,
        }
    }
}

/// Reads the frames that begin at `at`: MPEG layer III or ADTS. One header may be chance: two are needed.
pub(super) fn probe(source: &dyn ReadAt, at: u64) -> Result<Media, ProbeError> {
    let mut window = Window::new(source, 4 << 10);
    let at = after_zeros(&mut window, at)?;
    if let Some(frame) = Mp3Frame::parse(window.get(at, 8)?) {
        return probe_mp3(&mut window, at, &frame);
    }
    if let Some(frame) = AdtsFrame::parse(window.get(at, 8)?) {
        return probe_adts(&mut window, at, &frame);
    }
    Err(ProbeError::NotMedia)
}

/// Tags may be followed by zeros that they don't count.
fn after_zeros(window: &mut Window<'_>, at: u64) -> Result<u64, ProbeError> {
    if at == 0 {
        return Ok(at);
    }
    let bytes = window.get(at, 4 << 10)?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    Ok(at + zeros as u64)
}

fn probe_mp3(window: &mut Window<'_>, at: u64, frame: &Mp3Frame) -> Result<Media, ProbeError> {
    let length = window.length();
    let next = at + u64::from(frame.size);
    let follows = Mp3Frame::parse(window.get(next, 4)?).is_some_and(|next| frame.fits(&next));
    if !follows {
        return Err(ProbeError::NotMedia);
    }

    let bytes = window.get(at, frame.size as usize)?.to_vec();
    let duration_s = match told_length(&bytes, frame) {
        Some(told) => told,
        None => (length.saturating_sub(at)) as f64 * 8.0 / f64::from(frame.bit_rate),
    };
    let audio = Audio {
        codec: AudioCodec::Mp3,
        codecs: "mp3".into(),
        channels: frame.channels,
        sample_rate: frame.sample_rate,
    };
    Ok(super::sound(Container::Mp3, audio, Some(duration_s)))
}

/// Seconds, where the first frame holds a count of frames (Xing, Info, VBRI) instead of sound.
fn told_length(bytes: &[u8], frame: &Mp3Frame) -> Option<f64> {
    let side = match (frame.first_version, frame.channels) {
        (true, 2) => 32,
        (true, _) | (false, 2) => 17,
        (false, _) => 9,
    };
    let number = |at: usize| {
        let field = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_be_bytes(field))
    };
    let xing = 4 + side;
    let tag = bytes.get(xing..xing + 4)?;
    let mut cut = 0;
    let frames = if tag == b"Xing" || tag == b"Info" {
        let flags = number(xing + 4)?;
        if flags & 1 == 0 {
            return None;
        }
        let sized = |flag: u32, size: usize| if flags & flag != 0 { size } else { 0 };
        let extension = xing + 8 + sized(1, 4) + sized(2, 4) + sized(4, 100) + sized(8, 4);
        // LAME tells how many samples at both ends are none of the sound.
        if let Some(&[a, b, c]) = bytes.get(extension + 21..extension + 24) {
            let (front, back) = (
                u32::from(a) << 4 | u32::from(b >> 4),
                u32::from(b & 0xf) << 8 | u32::from(c),
            );
            let encoder = bytes.get(extension..extension + 4)?;
            if encoder.iter().all(u8::is_ascii_graphic) {
                cut = front + back;
            }
        }
        number(xing + 8)?
    } else if bytes.get(36..40)? == b"VBRI" {
        number(50)?
    } else {
        return None;
    };
    let samples = u64::from(frames) * u64::from(frame.samples());
    let heard = samples.saturating_sub(cut.into());
    (heard > 0).then(|| heard as f64 / f64::from(frame.sample_rate))
}

fn probe_adts(window: &mut Window<'_>, at: u64, first: &AdtsFrame) -> Result<Media, ProbeError> {
    let length = window.length();
    /// Frames looked at for the mean size.
    const LOOKED_AT: u64 = 200;
    let (mut samples, mut next, mut frames) = (0_u64, at, 0);
    while frames < LOOKED_AT
        && let Some(frame) = AdtsFrame::parse(window.get(next, 7)?)
        && first.fits(&frame)
    {
        samples += u64::from(frame.blocks) * 1024;
        next += u64::from(frame.size);
        frames += 1;
    }
    if frames < 2 {
        return Err(ProbeError::NotMedia);
    }
    let seconds = samples as f64 / f64::from(first.sample_rate);
    let share = length.saturating_sub(at) as f64 / (next - at) as f64;
    let duration_s = if next >= length {
        seconds
    } else {
        seconds * share
    };
    Ok(super::sound(
        Container::Adts,
        first.audio(),
        Some(duration_s),
    ))
}

/// The frames of an ADTS file as samples of MP4.
pub(super) fn gather(
    source: &dyn ReadAt,
    at: u64,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<Gathered, RewriteError> {
    let mut window = Window::new(source, 64 << 10);
    let mut at = after_zeros(&mut window, at)?;
    let first = AdtsFrame::parse(window.get(at, 8).map_err(ProbeError::Read)?)
        .ok_or_else(|| lossy("its frames are not AAC"))?;
    let mut places = Vec::new();
    let mut counted = Counted::new(first.sample_rate, 0.0);
    while let Some(frame) = AdtsFrame::parse(window.get(at, 7).map_err(ProbeError::Read)?) {
        if !first.fits(&frame) || frame.blocks != 1 || places.len() >= MOST_SAMPLES {
            return Err(lossy("its sound changes in the middle"));
        }
        if at + u64::from(frame.size) > window.length() {
            return Err(ProbeError::Truncated("it ends in the middle of a frame".into()).into());
        }
        if places.len().is_multiple_of(4096) && progress(0).is_break() {
            return Err(RewriteError::Stopped);
        }
        let size = frame.size - frame.header;
        places.push(Place {
            at: at + u64::from(frame.header),
            raw: size,
            size,
            sync: true,
        });
        counted.push(None, 1024);
        at += u64::from(frame.size);
    }
    // Behind the last frame only tags may stand.
    let rest = window.get(at, 3).map_err(ProbeError::Read)?;
    if !rest.is_empty() && rest != b"TAG" && rest != b"ID3" && rest != b"APE" {
        return Err(lossy("something between its frames is none"));
    }
    let audio = first.audio();
    let track = Track {
        kind: OutKind::Audio,
        entry: entries::mp4a(audio.channels, audio.sample_rate, &first.configuration()),
        language: *b"und",
        places,
        timing: counted.finish()?,
        fetch: Fetch::Plain(Vec::new()),
    };
    Ok(Gathered {
        tracks: vec![track],
        chapters: Vec::new(),
    })
}
