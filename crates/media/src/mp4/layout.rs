//! The boxes at the top of a file, found by their headers alone: whether they tile it, and where the index is.

use super::boxes::{Kind, name};
use crate::model::ProbeError;
use crate::read::ReadAt;

/// Larger indexes than this are not read; a day of video has one of a few dozen MiB.
const MOST_INDEX: u64 = 256 << 20;
/// A fragment for every frame of several hours still has fewer boxes.
const MOST_BOXES: usize = 1 << 20;

/// A box at the top of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Top {
    pub kind: Kind,
    pub offset: u64,
    /// Header and body.
    pub size: u64,
    /// Bytes of the header.
    pub header: u64,
}

impl Top {
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.size
    }
}

/// What a file consists of.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub boxes: Vec<Top>,
    /// Bytes in all.
    pub length: u64,
}

/// The kinds that stand at the top of files.
const KNOWN: [&Kind; 21] = [
    b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"moof", b"mfra", b"sidx", b"ssix",
    b"styp", b"emsg", b"uuid", b"meta", b"udta", b"pdin", b"prft", b"pnot", b"PICT", b"imda",
    b"junk",
];

/// Brands of files that hold pictures which don't move.
const STILL: [&Kind; 9] = [
    b"heic", b"heix", b"mif1", b"avif", b"crx ", b"jp2 ", b"jpx ", b"heim", b"heis",
];

/// Whether a file begins with a box that such a file can begin with.
pub(crate) fn begins(head: &[u8]) -> bool {
    const FIRST: [&Kind; 11] = [
        b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"moof", b"sidx",
        b"uuid",
    ];
    let Some((size, rest)) = head.split_first_chunk::<4>() else {
        return false;
    };
    let size = u32::from_be_bytes(*size);
    FIRST.iter().any(|kind| rest.starts_with(&kind[..])) && (size <= 1 || size >= 8)
}

/// Walks the headers.
pub(crate) fn layout(source: &dyn ReadAt) -> Result<Layout, ProbeError> {
    let length = source.length();
    let mut boxes: Vec<Top> = Vec::new();
    let mut offset = 0;
    while offset < length {
        if boxes.len() == MOST_BOXES {
            return Err(ProbeError::Malformed(format!(
                "has more than {MOST_BOXES} boxes"
            )));
        }
        let Some(found) = header(source, offset, length)? else {
            trailing(source, &boxes, offset, length)?;
            break;
        };
        if found.size > length - offset {
            // What follows a finished file (a tag of another format, say) may look like a box by chance.
            if is_finished(&boxes) && !KNOWN.contains(&&found.kind) {
                break;
            }
            let (kind, end) = (name(found.kind), offset.saturating_add(found.size));
            let what =
                format!("its part `{kind}` ends at byte {end}, but the file at byte {length}");
            return Err(ProbeError::Truncated(what));
        }
        offset = found.end();
        boxes.push(found);
    }
    Ok(Layout { boxes, length })
}

/// The box whose header lies here; `None` where there can't be one.
fn header(source: &dyn ReadAt, offset: u64, length: u64) -> Result<Option<Top>, ProbeError> {
    let mut bytes = [0; 16];
    let count = usize::try_from(length - offset).unwrap_or(16).min(16);
    source.read_exact_at(offset, &mut bytes[..count])?;
    let [size, kind, long @ ..] =
        [0, 4, 8, 12].map(|at| [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let printable = |byte: &u8| matches!(byte, 0x20..=0x7e | 0xa9);
    if count < 8 || !kind.iter().all(printable) {
        return Ok(None);
    }
    let (size, header) = match u32::from_be_bytes(size) {
        0 => (length - offset, 8),
        1 if count < 16 => return Ok(None),
        1 => (
            u64::from(u32::from_be_bytes(long[0])) << 32 | u64::from(u32::from_be_bytes(long[1])),
            16,
        ),
        size => (u64::from(size), 8),
    };
    Ok((size >= header).then_some(Top {
        kind,
        offset,
        size,
        header,
    }))
}

/// Judges bytes behind the last box. Players don't care for what follows a finished file.
fn trailing(
    source: &dyn ReadAt,
    boxes: &[Top],
    offset: u64,
    length: u64,
) -> Result<(), ProbeError> {
    if boxes.is_empty() {
        return Err(ProbeError::NotMedia);
    }
    let mut bytes = [0; 8];
    let count = usize::try_from(length - offset).unwrap_or(8).min(8);
    source.read_exact_at(offset, &mut bytes[..count])?;
    if is_finished(boxes) {
        return Ok(());
    }
    let what = if bytes == [0; 8] {
        "zeros follow"
    } else {
        "what follows is no part of it"
    };
    Err(ProbeError::Truncated(format!(
        "it ends at byte {offset} of {length}, {what}"
    )))
}

/// Whether all that a file needs is there. One in fragments is never sure to be finished: what follows may be
/// the next one, or room for it.
fn is_finished(boxes: &[Top]) -> bool {
    let has = |kind: &Kind| boxes.iter().any(|found| found.kind == *kind);
    has(b"moov") && has(b"mdat") && !has(b"moof")
}

impl Layout {
    pub(crate) fn first(&self, kind: &Kind) -> Option<&Top> {
        self.boxes.iter().find(|found| found.kind == *kind)
    }

    pub(crate) fn has(&self, kind: &Kind) -> bool {
        self.first(kind).is_some()
    }

    /// The index, which every file has.
    pub(crate) fn index(&self, source: &dyn ReadAt) -> Result<&Top, ProbeError> {
        if let Some(index) = self.first(b"moov") {
            return Ok(index);
        }
        if let Some(brands) = self.first(b"ftyp")
            && let Ok(brands) = self.read(source, brands, 1 << 12)
            && brands
                .get(..4)
                .is_some_and(|major| STILL.iter().any(|still| major == *still))
        {
            return Err(ProbeError::NotMedia);
        }
        Err(ProbeError::Truncated(
            "its index (`moov`) is missing".into(),
        ))
    }

    /// Whether the index lies before all samples.
    pub(crate) fn index_leads(&self) -> bool {
        let place = |kind: &Kind| self.boxes.iter().position(|found| found.kind == *kind);
        match (place(b"moov"), place(b"mdat")) {
            (Some(index), Some(samples)) => index < samples,
            (Some(_), None) => true,
            _ => false,
        }
    }

    /// The body of a box, which the file holds whole.
    pub(crate) fn read(
        &self,
        source: &dyn ReadAt,
        found: &Top,
        most: u64,
    ) -> Result<Vec<u8>, ProbeError> {
        let body = found.size - found.header;
        let Some(count) = Some(body)
            .filter(|body| *body <= most)
            .and_then(|body| usize::try_from(body).ok())
        else {
            return Err(ProbeError::Malformed(format!(
                "its part `{}` has {body} bytes",
                name(found.kind)
            )));
        };
        let mut bytes = vec![0; count];
        source.read_exact_at(found.offset + found.header, &mut bytes)?;
        Ok(bytes)
    }

    /// The body of the index.
    pub(crate) fn read_index(&self, source: &dyn ReadAt) -> Result<Vec<u8>, ProbeError> {
        let index = self.index(source)?;
        self.read(source, index, MOST_INDEX)
    }
}
