//! MPEG-2 transport streams (ISO/IEC 13818-1): the first program's streams, their length by time stamps.

pub(crate) mod packets;
pub(super) mod pictures;
pub(crate) mod samples;
mod sound;

use self::packets::{Layout, PesHeader, Stream, packet, unwrap_time};
use super::mpeg_audio::{AdtsFrame, Mp3Frame};
use super::window::Window;
use crate::complete::Complete;
use crate::h264::{self, Sps};
use crate::model::{Audio, AudioCodec, Container, Media, ProbeError, Video, VideoCodec};
use crate::mp4::config::Picture;
use crate::read::ReadAt;

/// Reads at once: packets follow each other closely.
const STEP: usize = 64 << 10;
/// How far from the beginning a first picture is looked for, and from the end a last time.
const FRONT: u64 = 8 << 20;
const BACK: u64 = 2 << 20;

/// Whether packets begin here.
pub(super) fn begins(source: &dyn ReadAt) -> Result<bool, ProbeError> {
    Ok(Layout::find(&mut Window::new(source, 2048))?.is_some())
}

pub(super) fn probe(source: &dyn ReadAt) -> Result<Media, ProbeError> {
    let mut window = Window::new(source, STEP);
    let layout = Layout::find(&mut window)?.ok_or(ProbeError::NotMedia)?;
    let mut heads = heads(&mut window, layout)?;
    read_back(&mut window, layout, &mut heads)?;

    let starts = heads.iter().filter_map(|head| head.first);
    let ends = heads.iter().filter_map(Head::end);
    let duration_s = starts
        .min()
        .zip(ends.max())
        .map(|(start, end)| (end - start) as f64 / 90_000.0)
        .filter(|seconds| *seconds > 0.0);

    let is_video = |head: &&Head| head.is_video;
    let video = heads.iter().find(is_video).map(Head::video);
    let audio = heads.iter().find(|head| !head.is_video).map(Head::audio);
    let video_tracks = heads.iter().filter(is_video).count();
    Ok(Media {
        container: Container::MpegTs,
        duration_s,
        bit_rate: None,
        video,
        audio,
        video_tracks,
        audio_tracks: heads.len() - video_tracks,
        faststart: true,
        fragmented: false,
        chapters: Vec::new(),
    })
}

/// The pictures and sound of the first program.
fn heads(window: &mut Window<'_>, layout: Layout) -> Result<Vec<Head>, ProbeError> {
    let streams = packets::streams(window, layout)?;
    if streams.is_empty() {
        return Err(ProbeError::NotMedia);
    }
    let mut heads: Vec<Head> = streams.into_iter().filter_map(Head::new).collect();
    read_front(window, layout, &mut heads)?;
    // What is announced as private and described by nothing is what it begins like.
    for head in heads.iter_mut().filter(|head| head.is_private()) {
        if AdtsFrame::parse(&head.bytes).is_some() {
            head.stream.kind = ADTS;
        } else if head.bytes.starts_with(&[0x0b, 0x77]) {
            head.stream.kind = AC3;
        }
    }
    heads.retain(|head| !head.is_private());
    Ok(heads)
}

/// A stream and what its first packets tell.
struct Head {
    stream: Stream,
    is_video: bool,
    /// The beginning of the elementary stream.
    bytes: Vec<u8>,
    sps: Option<Sps>,
    /// In ticks of 90 kHz.
    first: Option<i64>,
    last: Option<i64>,
}

/// Kinds of streams (`stream_type`).
pub(crate) const H264: u8 = 0x1b;
const HEVC: u8 = 0x24;
const MPEG_AUDIO: [u8; 2] = [0x03, 0x04];
pub(crate) const ADTS: u8 = 0x0f;
const LATM: u8 = 0x11;
const PRIVATE: u8 = 0x06;
const AC3: u8 = 0x81;

impl Head {
    /// `None` for what is neither picture nor sound.
    fn new(stream: Stream) -> Option<Self> {
        let is_video = match stream.kind {
            0x01 | 0x02 | 0x10 | H264 | HEVC | 0x33 | 0x42 | 0xd1 | 0xea => true,
            0x03 | 0x04 | ADTS | LATM | 0x1c | 0x80..=0x8a | 0xc1 | 0xc2 => false,
            PRIVATE => match private(&stream.descriptors) {
                Private::Video => true,
                Private::Audio(_) | Private::Untold => false,
                Private::Text => return None,
            },
            _ => return None,
        };
        Some(Self {
            stream,
            is_video,
            bytes: Vec::new(),
            sps: None,
            first: None,
            last: None,
        })
    }

    fn is_private(&self) -> bool {
        let untold = || matches!(private(&self.stream.descriptors), Private::Untold);
        self.stream.kind == PRIVATE && untold()
    }

    /// Bytes of an elementary stream's beginning that are kept: a picture's parameter sets come first.
    const KEPT: usize = 128 << 10;

    /// Whether nothing more is to be learnt from the front.
    fn done(&self) -> bool {
        let told = match self.stream.kind {
            H264 => self.sps.is_some(),
            _ => self.bytes.len() >= 16,
        };
        self.first.is_some() && told
    }

    fn look_for_sps(&mut self) {
        let units = h264::annex_b_units(&self.bytes);
        self.sps = units
            .filter(|unit| h264::unit_type(unit) == Some(h264::SPS))
            .find_map(Sps::parse);
    }

    /// When the last picture or frame ends.
    fn end(&self) -> Option<i64> {
        let rate = self.sps.and_then(|sps| sps.frame_rate);
        let frame = rate.map_or(0.0, |rate| 90_000.0 / rate);
        Some(self.last? + frame.min(90_000.0) as i64)
    }

    fn video(&self) -> Video {
        let other = |name: &str| Picture::of(VideoCodec::Other(name.into()));
        let picture = match self.stream.kind {
            H264 => self
                .sps
                .as_ref()
                .map_or_else(|| Picture::of(VideoCodec::H264), super::picture_of),
            HEVC | PRIVATE => Picture::of(VideoCodec::Hevc),
            0x01 => other("MPEG-1"),
            0x02 => other("MPEG-2"),
            0x10 => other("MPEG-4 Part 2"),
            0x33 => other("VVC"),
            0x42 => other("AVS"),
            0xd1 => other("Dirac"),
            _ => other("VC-1"),
        };
        let size = self.sps.map_or((0, 0), |sps| sps.shown());
        picture.track(size, 0, self.sps.and_then(|sps| sps.frame_rate))
    }

    fn audio(&self) -> Audio {
        let other = |name: &str| Audio {
            codec: AudioCodec::Other(name.into()),
            codecs: String::new(),
            channels: 0,
            sample_rate: 0,
        };
        match self.stream.kind {
            ADTS => {
                let frame = AdtsFrame::parse(&self.bytes);
                frame.map_or_else(|| other("AAC"), |frame| frame.audio())
            }
            kind if MPEG_AUDIO.contains(&kind) => {
                let frame = Mp3Frame::parse(&self.bytes);
                frame.map_or_else(
                    || other("MPEG layer II"),
                    |frame| Audio {
                        codec: AudioCodec::Mp3,
                        codecs: "mp3".into(),
                        channels: frame.channels,
                        sample_rate: frame.sample_rate,
                    },
                )
            }
            PRIVATE => match private(&self.stream.descriptors) {
                Private::Audio(name) => other(name),
                _ => other("unknown"),
            },
            LATM => other("AAC in LATM"),
            0x80 => other("PCM of a Blu-ray disc"),
            AC3 => other("AC-3"),
            0x82 | 0x85 | 0x86 | 0x8a => other("DTS"),
            0x83 => other("Dolby TrueHD"),
            0x84 | 0x87 => other("E-AC-3"),
            _ => other("unknown"),
        }
    }
}

/// What private data are, by their descriptors.
enum Private {
    Video,
    Audio(&'static str),
    /// Teletext and subtitles.
    Text,
    Untold,
}

fn private(descriptors: &[u8]) -> Private {
    let mut rest = descriptors;
    while let [tag, length, after @ ..] = rest {
        let Some((body, next)) = after.split_at_checked(usize::from(*length)) else {
            break;
        };
        rest = next;
        return match (tag, body) {
            (0x6a, _) | (0x05, b"AC-3") => Private::Audio("AC-3"),
            (0x7a, _) | (0x05, b"EAC3") => Private::Audio("E-AC-3"),
            (0x7b, _) => Private::Audio("DTS"),
            (0x05, b"Opus") => Private::Audio("Opus in a transport stream"),
            (0x05, b"HEVC") => Private::Video,
            (0x56 | 0x59, _) | (0x05, b"KLVA") => Private::Text,
            _ => continue,
        };
    }
    Private::Untold
}

fn read_front(
    window: &mut Window<'_>,
    layout: Layout,
    heads: &mut [Head],
) -> Result<(), ProbeError> {
    let (mut at, mut now) = (0, None);
    while at < FRONT && !heads.iter().all(Head::done) {
        let Some(packet) = packet(window, layout, at)? else {
            break;
        };
        at += layout.step;
        let Some(head) = heads.iter_mut().find(|head| head.stream.pid == packet.pid) else {
            continue;
        };
        if head.done() {
            continue;
        }
        let mut payload = window.get(packet.data, packet.size)?;
        if packet.begins {
            let Some(header) = PesHeader::parse(payload) else {
                continue;
            };
            payload = payload.get(header.length..).unwrap_or_default();
            if let Some(pts) = header.pts {
                let time = unwrap_time(pts, now);
                now = Some(time);
                head.first = Some(head.first.map_or(time, |first| first.min(time)));
            }
            // A picture is whole where the next one begins.
            if head.stream.kind == H264 {
                head.look_for_sps();
                if head.sps.is_none() {
                    head.bytes.clear();
                }
            }
        } else if head.first.is_none() {
            // The rest of what began before the file did.
            continue;
        }
        if head.bytes.len() < Head::KEPT {
            head.bytes.extend(payload);
        }
    }
    for head in heads
        .iter_mut()
        .filter(|head| head.stream.kind == H264 && head.sps.is_none())
    {
        head.look_for_sps();
    }
    Ok(())
}

fn read_back(
    window: &mut Window<'_>,
    layout: Layout,
    heads: &mut [Head],
) -> Result<(), ProbeError> {
    let mut at = layout.packet_of(window.length().saturating_sub(BACK));
    while let Some(packet) = packet(window, layout, at)? {
        at += layout.step;
        let Some(head) = heads.iter_mut().find(|head| head.stream.pid == packet.pid) else {
            continue;
        };
        if !packet.begins {
            continue;
        }
        let header = PesHeader::parse(window.get(packet.data, packet.size)?);
        if let (Some(pts), Some(first)) = (header.and_then(|header| header.pts), head.first) {
            // A turn may lie between: times don't run backwards.
            let time = match unwrap_time(pts, head.last.or(Some(first))) {
                time if time < first - 90_000 => time + (1 << 33),
                time => time,
            };
            head.last = Some(head.last.map_or(time, |last| last.max(time)));
        }
    }
    Ok(())
}

/// A stream may end after any packet, and in the middle of none.
pub(crate) fn complete(source: &dyn ReadAt) -> Complete {
    let mut window = Window::new(source, 2048);
    match Layout::find(&mut window) {
        Ok(Some(layout)) if !window.length().is_multiple_of(layout.step) => {
            Complete::No("it ends in the middle of a packet".into())
        }
        _ => Complete::Unknown,
    }
}
