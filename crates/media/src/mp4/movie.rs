//! The index of a file (`moov`): its tracks, their shapes, edits and tables, and the chapters it names.

use super::boxes::{Kind, children, descend, find, split};
use super::bytes::Bytes;
use super::description;
use super::table::Table;
use crate::model::{Chapter, ProbeError};

/// More tracks than any recorder writes.
const MOST_TRACKS: usize = 512;
const MOST_EDITS: usize = 4096;
/// Chapters come in a language or two, with pictures or without.
const MOST_REFERENCES: usize = 16;

/// An index.
#[derive(Debug, Clone)]
pub(crate) struct Movie<'a> {
    /// Units a second in which edits are counted.
    pub timescale: u32,
    /// In those units; all ones and 0 count as unknown.
    pub duration: Option<u64>,
    pub tracks: Vec<Track<'a>>,
    /// Whether fragments may follow.
    pub fragmented: bool,
    /// `mehd`: the duration with fragments, in the movie's units.
    pub fragments_duration: Option<u64>,
    /// `trex`: what samples in fragments have where nothing else is told.
    pub defaults: Vec<Defaults>,
    /// Chapters of Nero's list.
    pub chapters: Vec<Chapter>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Defaults {
    pub track: u32,
    pub duration: u32,
    pub size: u32,
    pub flags: u32,
}

/// A track.
#[derive(Debug, Clone)]
pub(crate) struct Track<'a> {
    pub id: u32,
    pub enabled: bool,
    /// `vide`, `soun`, `text` …
    pub handler: Kind,
    pub timescale: u32,
    pub language: [u8; 3],
    /// Clockwise, in degrees.
    pub rotation: u16,
    /// As shown; 0 where not told.
    pub width: u32,
    pub height: u32,
    pub edits: Vec<EditEntry>,
    /// Tracks that hold this one's chapters.
    pub chapter_tracks: Vec<u32>,
    /// Body of `stsd`.
    pub description: &'a [u8],
    pub table: Table<'a>,
    /// Whether samples may lie in other files.
    pub external: bool,
}

/// A row of an edit list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EditEntry {
    /// In the movie's units; 0 in fragmented files: all there is.
    pub length: u64,
    /// In the track's units; `None` shows nothing.
    pub media_time: Option<u64>,
}

impl<'a> Movie<'a> {
    /// Reads the body of `moov`.
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, ProbeError> {
        let damaged = |what: &str| ProbeError::Malformed(what.into());
        if find(body, b"cmov").is_some() {
            return Err(damaged(
                "its index is compressed, an old form of QuickTime that is not read",
            ));
        }
        let head = find(body, b"mvhd").ok_or_else(|| damaged("its index has no head (`mvhd`)"))?;
        let (timescale, duration, turn) =
            movie_head(head).ok_or_else(|| damaged("the head of its index is cut"))?;
        let mut tracks = Vec::new();
        let found = children(body).filter(|child| child.kind == *b"trak");
        for (number, child) in found.enumerate() {
            if number == MOST_TRACKS {
                return Err(damaged("has more tracks than can be"));
            }
            tracks.extend(track(child.body, turn));
        }
        let extends = find(body, b"mvex");
        Ok(Self {
            timescale,
            duration: Some(duration)
                .filter(|length| !matches!(*length, 0 | 0xffff_ffff | u64::MAX)),
            tracks,
            fragmented: extends.is_some(),
            fragments_duration: extends
                .and_then(|body| find(body, b"mehd"))
                .and_then(fragments_duration),
            defaults: extends.map(defaults).unwrap_or_default(),
            chapters: descend(body, &[b"udta", b"chpl"])
                .and_then(nero_chapters)
                .unwrap_or_default(),
        })
    }
}

/// Whether a part of the index that leads to samples is zeros where boxes should be, as in a file whose room was
/// made before its bytes came. A few zeros at the end of a part are a custom of old.
pub(crate) fn has_holes(body: &[u8]) -> bool {
    const PATH: [&Kind; 4] = [b"trak", b"mdia", b"minf", b"stbl"];
    let mut level = vec![body];
    for inner in PATH.into_iter().map(Some).chain([None]) {
        let mut next = Vec::new();
        for body in level {
            let mut rest = body;
            while let Some((child, after)) = split(rest) {
                if Some(&child.kind) == inner {
                    next.push(child.body);
                }
                rest = after;
            }
            if rest.starts_with(&[0; 8]) {
                return true;
            }
        }
        level = next;
    }
    false
}

impl Track<'_> {
    pub(crate) fn seconds(&self, units: u64) -> f64 {
        units as f64 / f64::from(self.timescale)
    }

    /// The units of the movie by which the track is shown late, and where it begins in the track's own.
    pub(crate) fn start(&self) -> (u64, u64) {
        let delay = self
            .edits
            .iter()
            .take_while(|edit| edit.media_time.is_none())
            .map(|edit| edit.length);
        let begin = self.edits.iter().find_map(|edit| edit.media_time);
        (delay.fold(0, u64::saturating_add), begin.unwrap_or(0))
    }

    /// When a time of the track is shown, in seconds: as its first edit has it.
    pub(crate) fn shown_s(&self, movie: &Movie<'_>, time: i64) -> f64 {
        let (delay, begin) = self.start();
        let delay_s = delay as f64 / f64::from(movie.timescale);
        delay_s + (time as f64 - begin as f64) / f64::from(self.timescale)
    }

    /// How long the track is shown, in seconds, when its samples last this long.
    pub(crate) fn shown_length_s(&self, movie: &Movie<'_>, media_length: u64) -> f64 {
        if self.edits.is_empty() {
            return self.seconds(media_length);
        }
        let lengths = self.edits.iter().map(|edit| match edit.media_time {
            Some(begin) if edit.length == 0 => self.seconds(media_length.saturating_sub(begin)),
            _ => edit.length as f64 / f64::from(movie.timescale),
        });
        lengths.sum()
    }
}

/// Timescale, duration, and how the whole movie is turned.
fn movie_head(body: &[u8]) -> Option<(u32, u64, Turn)> {
    let mut bytes = Bytes(body);
    let long = bytes.version()?.0 == 1;
    bytes.u32_or_u64(long)?;
    bytes.u32_or_u64(long)?;
    let timescale = bytes.u32()?.max(1);
    let duration = bytes.u32_or_u64(long)?;
    bytes.take(16)?;
    Some((timescale, duration, Turn::read(&mut bytes)?))
}

fn fragments_duration(body: &[u8]) -> Option<u64> {
    let mut bytes = Bytes(body);
    let long = bytes.version()?.0 == 1;
    bytes.u32_or_u64(long).filter(|duration| *duration > 0)
}

fn defaults(body: &[u8]) -> Vec<Defaults> {
    let read = |body| {
        let mut bytes = Bytes(body);
        bytes.version()?;
        let track = bytes.u32()?;
        bytes.u32()?;
        Some(Defaults {
            track,
            duration: bytes.u32()?,
            size: bytes.u32()?,
            flags: bytes.u32()?,
        })
    };
    let found = children(body).filter(|child| child.kind == *b"trex");
    found
        .filter_map(|child| read(child.body))
        .take(MOST_TRACKS)
        .collect()
}

/// The part of a matrix that turns: a, b, c, d as signs are all that is needed.
#[derive(Debug, Clone, Copy)]
struct Turn([i64; 4]);

impl Turn {
    fn read(bytes: &mut Bytes<'_>) -> Option<Self> {
        let mut row = || Some((bytes.i32()?, bytes.i32()?, bytes.i32()?));
        let ((a, b, _), (c, d, _)) = (row()?, row()?);
        Some(Self([a, b, c, d].map(|value| i64::from(value.signum()))))
    }

    fn then(self, next: Self) -> Self {
        let ([a, b, c, d], [e, f, g, h]) = (self.0, next.0);
        Self([a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h])
    }

    /// Clockwise, in degrees; a mirrored picture is taken as it is before it is mirrored.
    fn degrees(self) -> u16 {
        let [a, b, c, d] = self.0;
        let mirrored = a * d - b * c < 0;
        let (a, b) = if mirrored { (-a, -b) } else { (a, b) };
        match (a.signum(), b.signum()) {
            (0, 1) => 90,
            (-1, 0) => 180,
            (0, -1) => 270,
            _ => 0,
        }
    }
}

/// Reads a track; `None` for one that has no media.
fn track<'a>(body: &'a [u8], movie_turn: Turn) -> Option<Track<'a>> {
    let mut head = Bytes(find(body, b"tkhd")?);
    let (version, flags) = head.version()?;
    let long = version == 1;
    head.u32_or_u64(long)?;
    head.u32_or_u64(long)?;
    let id = head.u32()?;
    head.u32()?;
    head.u32_or_u64(long)?;
    head.take(16)?;
    let turn = Turn::read(&mut head)?;
    head.take(12)?;
    let (width, height) = (head.u32()? >> 16, head.u32()? >> 16);

    let media = find(body, b"mdia")?;
    let mut media_head = Bytes(find(media, b"mdhd")?);
    let long = media_head.version()?.0 == 1;
    media_head.u32_or_u64(long)?;
    media_head.u32_or_u64(long)?;
    let timescale = media_head.u32()?.max(1);
    media_head.u32_or_u64(long)?;
    let language = language(media_head.u16()?);
    let mut handler = Bytes(find(media, b"hdlr")?);
    handler.take(8)?;
    let handler = handler.kind()?;

    let info = find(media, b"minf")?;
    let tables = find(info, b"stbl")?;
    let description = find(tables, b"stsd").unwrap_or(&[]);
    let packed = if handler == *b"soun" {
        description::audio(description).and_then(|entry| entry.packed)
    } else {
        None
    };
    let references = descend(body, &[b"tref", b"chap"]).unwrap_or(&[]);
    Some(Track {
        id,
        enabled: flags & 1 == 1,
        handler,
        timescale,
        language,
        rotation: turn.then(movie_turn).degrees(),
        width,
        height,
        edits: descend(body, &[b"edts", b"elst"])
            .and_then(edits)
            .unwrap_or_default(),
        chapter_tracks: references
            .as_chunks()
            .0
            .iter()
            .take(MOST_REFERENCES)
            .map(|id| u32::from_be_bytes(*id))
            .collect(),
        description,
        table: Table::read(tables, packed),
        external: descend(info, &[b"dinf", b"dref"]).is_some_and(is_external),
    })
}

/// ISO 639-2, packed into five bits a letter; QuickTime's own numbers are taken as unknown.
fn language(packed: u16) -> [u8; 3] {
    let letters = [10, 5, 0].map(|shift| (packed >> shift & 0x1f) as u8 + 0x60);
    if letters.iter().all(u8::is_ascii_lowercase) {
        letters
    } else {
        *b"und"
    }
}

/// Whether an entry of `dref` points elsewhere: its flag says that samples lie in the same file.
fn is_external(dref: &[u8]) -> bool {
    let mut entries = children(dref.get(8..).unwrap_or(&[]));
    entries.any(|entry| entry.body.get(3).is_none_or(|flags| flags & 1 == 0))
}

fn edits(body: &[u8]) -> Option<Vec<EditEntry>> {
    let mut bytes = Bytes(body);
    let long = bytes.version()?.0 == 1;
    let count = bytes.u32()? as usize;
    let mut edits = Vec::new();
    while edits.len() < count.min(MOST_EDITS) {
        let Some(length) = bytes.u32_or_u64(long) else {
            break;
        };
        let Some(time) = bytes.u32_or_u64(long) else {
            break;
        };
        let time = if long {
            time as i64
        } else {
            i64::from(time as u32 as i32)
        };
        let Some(_rate) = bytes.u32() else { break };
        edits.push(EditEntry {
            length,
            media_time: u64::try_from(time).ok(),
        });
    }
    Some(edits)
}

fn nero_chapters(body: &[u8]) -> Option<Vec<Chapter>> {
    let mut bytes = Bytes(body);
    let (version, _) = bytes.version()?;
    if version > 0 {
        bytes.u32()?;
    }
    let count = bytes.u8()?;
    let mut chapters = Vec::new();
    for _ in 0..count {
        let Some(start) = bytes.u64() else { break };
        let Some(title) = bytes.u8().and_then(|length| bytes.take(length.into())) else {
            break;
        };
        chapters.push(Chapter {
            start_s: start as f64 / 1e7,
            title: String::from_utf8_lossy(title).trim().to_owned(),
        });
    }
    Some(chapters)
}
