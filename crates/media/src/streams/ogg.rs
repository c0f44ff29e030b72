//! Ogg (RFC 3533): the streams that begin in a file, and their lengths by the last pages.

use super::window::Window;
use crate::complete::Complete;
use crate::model::{Audio, AudioCodec, Chroma, Container, Media, ProbeError, Video, VideoCodec};
use crate::read::ReadAt;

/// The first page's first bytes.
pub(super) const MAGIC: &[u8] = b"OggS";

/// A page's header.
struct Page {
    /// First page of its stream, last page of its stream.
    begins: bool,
    ends: bool,
    /// `None` where no packet ends on the page.
    granule: Option<i64>,
    serial: u32,
    /// Where the payload begins, and where the page ends.
    data: u64,
    end: u64,
}

fn page(window: &mut Window<'_>, at: u64) -> Result<Option<Page>, ProbeError> {
    let header = window.get(at, 27 + 255)?;
    if header.len() < 27 || !header.starts_with(MAGIC) || header[4] != 0 {
        return Ok(None);
    }
    let segments = usize::from(header[26]);
    let Some(lengths) = header.get(27..27 + segments) else {
        return Ok(None);
    };
    let payload: u64 = lengths.iter().map(|length| u64::from(*length)).sum();
    let data = at + 27 + segments as u64;
    let granule = header[6..14].try_into().map_or(-1, i64::from_le_bytes);
    Ok(Some(Page {
        begins: header[5] & 2 != 0,
        ends: header[5] & 4 != 0,
        granule: (granule != -1).then_some(granule),
        serial: u32_at(header, 14),
        data,
        end: data + payload,
    }))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let field = bytes
        .get(at..at + 4)
        .and_then(|field| field.try_into().ok());
    field.map_or(0, u32::from_le_bytes)
}

/// A stream by its first packet.
struct Stream {
    serial: u32,
    kind: Kind,
    /// Granules a second, and those that are decoded and not heard.
    rate: f64,
    skip: i64,
    /// For Theora: how far the count of key frames is shifted.
    shift: u32,
}

impl Stream {
    /// Frames up to a granule position.
    fn frames(&self, granule: i64) -> i64 {
        if self.shift > 0 {
            // A key frame's number, then frames since.
            (granule >> self.shift).saturating_add(granule & ((1 << self.shift) - 1))
        } else {
            granule.saturating_sub(self.skip)
        }
    }
}

enum Kind {
    Video(Video),
    Audio(Audio),
}

/// Streams that begin in one file.
const MOST_STREAMS: usize = 64;

pub(super) fn probe(source: &dyn ReadAt) -> Result<Media, ProbeError> {
    let mut window = Window::new(source, 16 << 10);
    let length = window.length();
    let mut streams = Vec::new();
    let mut at = 0;
    while let Some(page) = page(&mut window, at)?
        && page.begins
        && streams.len() < MOST_STREAMS
    {
        if page.end > length {
            return Err(ProbeError::Truncated("it ends in its first page".into()));
        }
        let packet = window.get(page.data, (page.end - page.data) as usize)?;
        streams.extend(stream(page.serial, packet));
        at = page.end;
    }
    if streams.is_empty() {
        return Err(ProbeError::Malformed(
            "it begins no stream that is known".into(),
        ));
    }

    let (pages, _) = tail(&mut window)?;
    let mut duration_s: Option<f64> = None;
    for stream in &streams {
        let of = pages
            .iter()
            .rev()
            .filter(|page| page.serial == stream.serial);
        let Some(end) = of.clone().find_map(|page| page.granule) else {
            continue;
        };
        let seconds = stream.frames(end) as f64 / stream.rate;
        if seconds.is_finite() && seconds > 0.0 {
            duration_s = Some(duration_s.map_or(seconds, |known| known.max(seconds)));
        }
    }

    let mut media = Media {
        duration_s,
        ..Media::of(Container::Ogg)
    };
    for stream in streams {
        match stream.kind {
            Kind::Video(video) => {
                media.video_tracks += 1;
                media.video.get_or_insert(video);
            }
            Kind::Audio(audio) => {
                media.audio_tracks += 1;
                media.audio.get_or_insert(audio);
            }
        }
    }
    Ok(media)
}

/// What a first packet says of its stream.
fn stream(serial: u32, packet: &[u8]) -> Option<Stream> {
    let sound = |codec, codecs: &str, channels: u8, sample_rate: u32| {
        Kind::Audio(Audio {
            codec,
            codecs: codecs.into(),
            channels: channels.into(),
            sample_rate,
        })
    };
    let byte = |at: usize| packet.get(at).copied();
    let mut made = Stream {
        serial,
        kind: sound(AudioCodec::Other("Speex".into()), "speex", 0, 0),
        rate: 0.0,
        skip: 0,
        shift: 0,
    };
    if packet.starts_with(b"OpusHead") {
        made.skip = i64::from(byte(10)?) | i64::from(byte(11)?) << 8;
        made.rate = 48_000.0;
        made.kind = sound(AudioCodec::Opus, "opus", byte(9)?, 48_000);
    } else if packet.starts_with(b"\x01vorbis") {
        let rate = u32_at(packet, 12);
        made.rate = rate.into();
        made.kind = sound(AudioCodec::Vorbis, "vorbis", byte(11)?, rate);
    } else if packet.starts_with(b"\x7fFLAC") {
        let info = super::flac::StreamInfo::parse(packet.get(17..)?)?;
        made.rate = info.sample_rate.into();
        made.kind = sound(AudioCodec::Flac, "flac", info.channels, info.sample_rate);
    } else if packet.starts_with(b"Speex   ") {
        let rate = u32_at(packet, 36);
        made.rate = rate.into();
        let channels = u8::try_from(u32_at(packet, 48)).ok()?;
        made.kind = sound(AudioCodec::Other("Speex".into()), "speex", channels, rate);
    } else if packet.starts_with(b"\x80theora") {
        let big = |at: usize, count: usize| {
            let field = packet.get(at..at + count)?;
            Some(
                field
                    .iter()
                    .fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte)),
            )
        };
        let (rate, per) = (big(22, 4)?, big(26, 4)?);
        let last = big(40, 2)?;
        made.rate = f64::from(rate) / f64::from(per.max(1));
        made.shift = last >> 5 & 0x1f;
        made.kind = Kind::Video(Video {
            codec: VideoCodec::Other("Theora".into()),
            codecs: "theora".into(),
            width: big(14, 3)?,
            height: big(17, 3)?,
            rotation: 0,
            frame_rate: Some(made.rate).filter(|rate| *rate > 0.0),
            bit_depth: Some(8),
            chroma: match last >> 3 & 3 {
                0 => Some(Chroma::C420),
                2 => Some(Chroma::C422),
                3 => Some(Chroma::C444),
                _ => None,
            },
            profile: None,
        });
    } else {
        return None;
    }
    Some(made)
}

/// How the last page of a file lies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tail {
    Whole,
    Cut,
    Unclear,
}

/// The pages at the end of a file. A page is at most 65,307 bytes long, so that at least one begins here.
fn tail(window: &mut Window<'_>) -> Result<(Vec<Page>, Tail), ProbeError> {
    const TAIL: u64 = 256 << 10;
    /// Places that look like a page and are none.
    const MOST_TRIED: usize = 64;
    let length = window.length();
    let from = length.saturating_sub(TAIL);
    let bytes = window.get(from, TAIL as usize)?.to_vec();
    let starts = (0..bytes.len().saturating_sub(3)).filter(|at| bytes[*at..].starts_with(MAGIC));
    for start in starts.take(MOST_TRIED) {
        let mut pages = Vec::new();
        let mut at = from + start as u64;
        while let Some(page) = page(window, at)? {
            at = page.end;
            pages.push(page);
        }
        if at == length && !pages.is_empty() {
            return Ok((pages, Tail::Whole));
        }
        // A page that reaches beyond the end, or the beginning of one's header.
        let rest = window.get(at, 27)?.to_vec();
        let header_cut = at < length && length - at < 27 + 255 && starts_alike(&rest);
        if at > length || header_cut {
            return Ok((pages, Tail::Cut));
        }
    }
    Ok((Vec::new(), Tail::Unclear))
}

fn starts_alike(bytes: &[u8]) -> bool {
    let common = bytes.len().min(MAGIC.len());
    common > 0 && bytes[..common] == MAGIC[..common]
}

/// Whether the last page is whole and says that it is the last.
pub(crate) fn complete(source: &dyn ReadAt) -> Complete {
    let mut window = Window::new(source, 16 << 10);
    match tail(&mut window) {
        Ok((pages, Tail::Whole)) if pages.last().is_some_and(|page| page.ends) => Complete::Yes,
        Ok((_, Tail::Cut)) => Complete::No("it ends in the middle of a page".into()),
        _ => Complete::Unknown,
    }
}
