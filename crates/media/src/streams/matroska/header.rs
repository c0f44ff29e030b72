//! What stands before and beside the clusters of a Matroska file (RFC 9559): general information, tracks,
//! chapters, cues. Found from the front and through the seek head; clusters are stepped over.

use super::ebml::{self, Element};
use crate::model::{Chapter, ProbeError};
use crate::streams::window::Window;

pub(crate) const EBML: u32 = 0x1a45_dfa3;
pub(crate) const DOC_TYPE: u32 = 0x4282;
pub(crate) const SEGMENT: u32 = 0x1853_8067;
pub(crate) const CLUSTER: u32 = 0x1f43_b675;
const SEEK_HEAD: u32 = 0x114d_9b74;
const INFO: u32 = 0x1549_a966;
const TRACKS: u32 = 0x1654_ae6b;
const CHAPTERS: u32 = 0x1043_a770;
const CUES: u32 = 0x1c53_bb6b;
const TAGS: u32 = 0x1254_c367;
const ATTACHMENTS: u32 = 0x1941_a469;
const VOID: u32 = 0xec;
const CRC: u32 = 0xbf;

/// Whether an element of this kind lies in the segment itself.
pub(crate) fn is_top(id: u32) -> bool {
    [
        SEEK_HEAD,
        INFO,
        TRACKS,
        CHAPTERS,
        CUES,
        TAGS,
        ATTACHMENTS,
        CLUSTER,
        VOID,
        CRC,
    ]
    .contains(&id)
}

/// A file without its clusters.
#[derive(Debug, Default)]
pub(crate) struct Header {
    pub(crate) webm: bool,
    /// Where the segment's payload begins: positions in the file count from here.
    pub(crate) segment: u64,
    /// Where the segment ends by its own account.
    pub(crate) segment_end: Option<u64>,
    /// Nanoseconds a tick.
    pub(crate) scale: u64,
    /// In seconds.
    pub(crate) duration_s: Option<f64>,
    pub(crate) tracks: Vec<Track>,
    pub(crate) chapters: Vec<Chapter>,
    pub(crate) cues: Vec<Cue>,
    /// Where the first cluster's header begins.
    pub(crate) first_cluster: Option<u64>,
    /// Whether all that a player needs stands before the first cluster.
    pub(crate) in_front: bool,
}

/// A way into the middle.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cue {
    /// In ticks.
    pub(crate) time: u64,
    pub(crate) track: u64,
    /// Where the cluster begins in the file.
    pub(crate) cluster: u64,
}

/// A track as its entry describes it.
#[derive(Debug, Default)]
pub(crate) struct Track {
    pub(crate) number: u64,
    pub(crate) kind: Kind,
    pub(crate) default: bool,
    pub(crate) codec: String,
    pub(crate) private: Vec<u8>,
    /// Nanoseconds a frame.
    pub(crate) frame_ns: Option<u64>,
    /// Nanoseconds of sound at the beginning that are decoded and not heard.
    pub(crate) delay_ns: u64,
    pub(crate) packing: Packing,
    pub(crate) language: [u8; 3],
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) display: Option<(u32, u32)>,
    pub(crate) rotation: u16,
    pub(crate) channels: u16,
    pub(crate) sample_rate: f64,
}

/// What a track carries.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Video,
    Audio,
    /// Subtitles, buttons and whatever else.
    #[default]
    Other,
}

/// What was done to a track's frames.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Packing {
    #[default]
    None,
    /// These bytes were taken off the front of each frame.
    Stripped(Vec<u8>),
    /// Compressed or encrypted.
    Other,
}

/// Elements of the segment looked at in search of its header; a file of honest make has a handful in front.
const MOST_STEPS: usize = 10_000;

/// Reads everything but the clusters.
pub(crate) fn read(window: &mut Window<'_>) -> Result<Header, ProbeError> {
    let length = window.length();
    let ebml = ebml::element(window, 0)?
        .filter(|element| element.id == EBML)
        .ok_or(ProbeError::NotMedia)?;
    let mut header = Header {
        scale: 1_000_000,
        ..Header::default()
    };
    let payload = ebml::bytes(window, &ebml)?;
    let doc_type = children(&payload).find(|(id, _)| *id == DOC_TYPE);
    match doc_type.map_or_else(String::new, |(_, value)| ebml::text(value)) {
        name if name == "webm" => header.webm = true,
        name if name == "matroska" => {}
        _ => return Err(ProbeError::NotMedia),
    }

    let mut at = ebml.end(length);
    let segment = loop {
        match ebml::element(window, at)? {
            Some(element) if element.id == SEGMENT => break element,
            Some(element) if [VOID, CRC].contains(&element.id) => at = element.end(length),
            _ => return Err(ProbeError::Truncated("it holds no segment".into())),
        }
    };
    header.segment = segment.data;
    header.segment_end = segment.size.map(|size| segment.data.saturating_add(size));
    let end = header.segment_end.map_or(length, |end| end.min(length));

    let mut seeks = Vec::new();
    let mut found = Found::default();
    let mut at = segment.data;
    for _ in 0..MOST_STEPS {
        if at >= end {
            break;
        }
        let Some(element) = ebml::element(window, at)? else {
            break;
        };
        if element.id == CLUSTER {
            if header.first_cluster.is_none() {
                header.first_cluster = Some(at);
                header.in_front = found.tracks && found.info;
            }
            // Where the tracks aren't in front, they may stand behind clusters whose size is known.
            let sought = seeks.iter().any(|(id, _)| *id == TRACKS);
            if found.tracks || sought || element.size.is_none() {
                break;
            }
        } else if element.id == SEEK_HEAD {
            read_seeks(&ebml::bytes(window, &element)?, segment.data, &mut seeks);
        } else {
            read_top(window, &element, &mut header, &mut found)?;
        }
        if element.size.is_none() && element.id != CLUSTER {
            break;
        }
        at = element.end(end);
    }
    // A seek head may name another one, once.
    for (_, at) in seeks
        .clone()
        .into_iter()
        .filter(|(id, _)| *id == SEEK_HEAD)
        .take(2)
    {
        if let Some(element) = element_at(window, SEEK_HEAD, at)? {
            read_seeks(&ebml::bytes(window, &element)?, segment.data, &mut seeks);
        }
    }
    for (id, at) in seeks.into_iter().take(64) {
        if id == CLUSTER || id == SEEK_HEAD {
            continue;
        }
        if let Some(element) = element_at(window, id, at)? {
            read_top(window, &element, &mut header, &mut found)?;
        }
    }
    if !found.tracks {
        return Err(if header.segment_end.is_some_and(|end| end <= length) {
            ProbeError::Malformed("it names no tracks".into())
        } else {
            ProbeError::Truncated("it ends before its tracks are named".into())
        });
    }
    Ok(header)
}

fn element_at(window: &mut Window<'_>, id: u32, at: u64) -> Result<Option<Element>, ProbeError> {
    if at >= window.length() {
        return Ok(None);
    }
    let element = ebml::element(window, at)?;
    Ok(element.filter(|element| element.id == id && element.size.is_some()))
}

#[derive(Default)]
struct Found {
    info: bool,
    tracks: bool,
    chapters: bool,
    cues: bool,
}

/// Reads one of the segment's children, the first of its kind.
fn read_top(
    window: &mut Window<'_>,
    element: &Element,
    header: &mut Header,
    found: &mut Found,
) -> Result<(), ProbeError> {
    let seen = match element.id {
        INFO => &mut found.info,
        TRACKS => &mut found.tracks,
        CHAPTERS => &mut found.chapters,
        CUES => &mut found.cues,
        _ => return Ok(()),
    };
    if *seen {
        return Ok(());
    }
    // Cues and chapters are a convenience: a file whose cues are cut off still plays.
    let payload = match ebml::bytes(window, element) {
        Ok(payload) => payload,
        Err(ProbeError::Truncated(_) | ProbeError::Malformed(_))
            if [CUES, CHAPTERS].contains(&element.id) =>
        {
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    *seen = true;
    match element.id {
        INFO => read_info(&payload, header),
        TRACKS => header.tracks = entries(&payload, 0xae).map(read_track).collect(),
        CHAPTERS => header.chapters = read_chapters(&payload),
        _ => read_cues(&payload, header),
    }
    Ok(())
}

/// The elements of a payload, up to the first that doesn't fit.
pub(crate) fn children(payload: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    let mut rest = payload;
    std::iter::from_fn(move || {
        let (id, size, length) = ebml::parse(rest)?;
        let size = usize::try_from(size?).ok()?;
        let (value, after) = rest.get(length..)?.split_at_checked(size)?;
        rest = after;
        Some((id, value))
    })
}

fn entries(payload: &[u8], wanted: u32) -> impl Iterator<Item = &[u8]> {
    children(payload)
        .filter(move |(id, _)| *id == wanted)
        .map(|(_, value)| value)
}

fn read_seeks(payload: &[u8], segment: u64, seeks: &mut Vec<(u32, u64)>) {
    for seek in entries(payload, 0x4dbb).take(64) {
        let (mut id, mut position) = (0, None);
        for (field, value) in children(seek) {
            match field {
                0x53ab => id = u32::try_from(ebml::unsigned(value)).unwrap_or(0),
                0x53ac => position = segment.checked_add(ebml::unsigned(value)),
                _ => {}
            }
        }
        if let Some(position) = position {
            seeks.push((id, position));
        }
    }
}

fn read_info(payload: &[u8], header: &mut Header) {
    let mut ticks = None;
    for (id, value) in children(payload) {
        match id {
            0x2a_d7b1 => header.scale = ebml::unsigned(value).max(1),
            0x4489 => ticks = ebml::float(value).filter(|ticks| *ticks > 0.0),
            _ => {}
        }
    }
    header.duration_s = ticks.map(|ticks| ticks * header.scale as f64 / 1e9);
}

fn read_track(entry: &[u8]) -> Track {
    let mut track = Track {
        default: true,
        language: *b"eng",
        ..Track::default()
    };
    for (id, value) in children(entry) {
        match id {
            0xd7 => track.number = ebml::unsigned(value),
            0x83 => {
                track.kind = match ebml::unsigned(value) {
                    1 => Kind::Video,
                    2 => Kind::Audio,
                    _ => Kind::Other,
                }
            }
            0x88 => track.default = ebml::unsigned(value) != 0,
            0x86 => track.codec = ebml::text(value),
            0x63a2 => track.private = value.to_vec(),
            0x23_e383 => track.frame_ns = Some(ebml::unsigned(value)).filter(|ns| *ns > 0),
            0x56aa => track.delay_ns = ebml::unsigned(value),
            0x22_b59c => {
                let code = value.get(..3).and_then(|code| code.try_into().ok());
                track.language = code
                    .filter(|code: &[u8; 3]| code.iter().all(u8::is_ascii_lowercase))
                    .unwrap_or(*b"und");
            }
            0x6d80 => track.packing = read_packing(value),
            0xe0 => read_picture(value, &mut track),
            0xe1 => {
                track.channels = 1;
                track.sample_rate = 8000.0;
                for (id, value) in children(value) {
                    match id {
                        0xb5 => track.sample_rate = ebml::float(value).unwrap_or(0.0),
                        0x9f => {
                            track.channels = u16::try_from(ebml::unsigned(value)).unwrap_or(0);
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    track
}

fn read_picture(payload: &[u8], track: &mut Track) {
    let small = |value: &[u8]| {
        u32::try_from(ebml::unsigned(value))
            .unwrap_or(0)
            .min(1 << 20)
    };
    let (mut display_width, mut display_height, mut unit) = (None, None, 0);
    let (mut across, mut down) = (0, 0);
    for (id, value) in children(payload) {
        match id {
            0xb0 => track.width = small(value),
            0xba => track.height = small(value),
            0x54b0 => display_width = Some(small(value)),
            0x54ba => display_height = Some(small(value)),
            0x54b2 => unit = ebml::unsigned(value),
            // Cropping: bottom and top, left and right.
            0x54aa | 0x54bb => down += small(value),
            0x54cc | 0x54dd => across += small(value),
            0x7670 => {
                for (id, value) in children(value) {
                    // The roll is counted against the clock.
                    if id == 0x7675
                        && let Some(roll) = ebml::float(value)
                    {
                        let turns = (-roll / 90.0).round().rem_euclid(4.0);
                        track.rotation = turns as u16 * 90;
                    }
                }
            }
            _ => {}
        }
    }
    let seen = (
        track.width.saturating_sub(across),
        track.height.saturating_sub(down),
    );
    let told = (
        display_width.unwrap_or(seen.0),
        display_height.unwrap_or(seen.1),
    );
    track.display = match unit {
        0 => Some(told),
        // Centimetres, inches, or an aspect ratio: the height stays.
        1..=3 if told.1 > 0 => {
            let width = u64::from(seen.1) * u64::from(told.0) / u64::from(told.1);
            Some((u32::try_from(width).unwrap_or(seen.0), seen.1))
        }
        _ => Some(seen),
    }
    .filter(|(width, height)| *width > 0 && *height > 0);
}

fn read_packing(payload: &[u8]) -> Packing {
    let mut packings = entries(payload, 0x6240);
    let Some(encoding) = packings.next() else {
        return Packing::None;
    };
    if packings.next().is_some() {
        return Packing::Other;
    }
    let mut packing = Packing::Other;
    for (id, value) in children(encoding) {
        match id {
            // Scope: frames, and neither the codec's private data nor the next encoding.
            0x5032 if ebml::unsigned(value) != 1 => return Packing::Other,
            0x5033 if ebml::unsigned(value) != 0 => return Packing::Other,
            0x5034 => {
                let (mut algorithm, mut settings) = (0, &[][..]);
                for (id, value) in children(value) {
                    match id {
                        0x4254 => algorithm = ebml::unsigned(value),
                        0x4255 => settings = value,
                        _ => {}
                    }
                }
                if algorithm == 3 {
                    packing = Packing::Stripped(settings.to_vec());
                }
            }
            _ => {}
        }
    }
    packing
}

/// The chapters of the default edition, else of the first: those of its top level that are shown.
fn read_chapters(payload: &[u8]) -> Vec<Chapter> {
    let flag = |edition: &[u8], wanted, otherwise| {
        let told = entries(edition, wanted).next();
        told.map_or(otherwise, |value| ebml::unsigned(value) != 0)
    };
    let shown = |edition: &&[u8]| !flag(edition, 0x45bd, false);
    let default = entries(payload, 0x45b9)
        .filter(shown)
        .find(|edition| flag(edition, 0x45db, false));
    let Some(edition) = default.or_else(|| entries(payload, 0x45b9).find(shown)) else {
        return Vec::new();
    };
    let mut chapters: Vec<Chapter> = entries(edition, 0xb6)
        .filter(|atom| !flag(atom, 0x98, false) && flag(atom, 0x4598, true))
        .map(|atom| {
            let (mut start, mut title) = (0, String::new());
            for (id, value) in children(atom) {
                match id {
                    0x91 => start = ebml::unsigned(value),
                    0x80 if title.is_empty() => {
                        if let Some(text) = entries(value, 0x85).next() {
                            title = ebml::text(text);
                        }
                    }
                    _ => {}
                }
            }
            Chapter {
                start_s: start as f64 / 1e9,
                title,
            }
        })
        .collect();
    chapters.sort_by(|one, other| one.start_s.total_cmp(&other.start_s));
    chapters
}

fn read_cues(payload: &[u8], header: &mut Header) {
    for point in entries(payload, 0xbb) {
        let time = entries(point, 0xb3).next().map(ebml::unsigned);
        for positions in entries(point, 0xb7) {
            let (mut track, mut cluster) = (0, None);
            for (id, value) in children(positions) {
                match id {
                    0xf7 => track = ebml::unsigned(value),
                    0xf1 => cluster = header.segment.checked_add(ebml::unsigned(value)),
                    _ => {}
                }
            }
            if let (Some(time), Some(cluster)) = (time, cluster) {
                header.cues.push(Cue {
                    time,
                    track,
                    cluster,
                });
            }
        }
    }
    header.cues.sort_by_key(|cue| cue.time);
}
