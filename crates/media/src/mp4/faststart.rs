//! Moving the index in front of the samples. Every other byte of the file stays as it is; what moves are the
//! places of chunks, and the index grows where they no longer fit into 32 bits.

use super::boxes::{Child, Kind, children, find, make, make_full, split};
use super::bytes::Bytes;
use super::layout::{Layout, Top};
use super::movie::Movie;
use super::{Opened, check_extents, is_fragmented};
use crate::model::ProbeError;
use crate::read::{ReadAt, RewriteError};
use std::io::Write;
use std::ops::ControlFlow;

const READ_AT_ONCE: usize = 4 << 20;

pub(crate) fn faststart(
    source: &dyn ReadAt,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<(), RewriteError> {
    let Opened { layout, index } = Opened::read(source)?;
    let movie = Movie::read(&index)?;
    check_extents(&layout, &movie)?;
    let mut copy = Copy {
        source,
        out,
        progress,
        written: 0,
    };
    if layout.index_leads() {
        return copy.range(0, layout.length);
    }
    refuse_what_would_break(source, &layout, &index, &movie)?;
    let (index, places) = moved_index(&layout, &index)?;
    places.check_samples(&movie)?;
    let behind = places.before;
    copy.range(0, behind)?;
    copy.bytes(&index)?;
    copy.range(behind, places.index.offset)?;
    copy.range(places.index.end(), layout.length)
}

/// Refuses files that tell of places in the file anywhere but where this module moves them.
fn refuse_what_would_break(
    source: &dyn ReadAt,
    layout: &Layout,
    index: &[u8],
    movie: &Movie<'_>,
) -> Result<(), RewriteError> {
    let lossy = |what: &str| Err(RewriteError::Lossy(what.into()));
    if is_fragmented(layout, movie) {
        return lossy("its samples come in fragments, and its index lies behind them");
    }
    if layout
        .boxes
        .iter()
        .filter(|found| found.kind == *b"moov")
        .count()
        > 1
    {
        return lossy("it has two indexes");
    }
    if movie.tracks.iter().any(|track| track.external) {
        return lossy("a track keeps its samples in another file");
    }
    let mut metas: Vec<&[u8]> = Vec::new();
    collect_metas(index, &mut metas);
    for track in children(index).filter(|child| child.kind == *b"trak") {
        collect_metas(track.body, &mut metas);
    }
    if metas.iter().any(|meta| places_items(meta)) {
        return lossy("its metadata points at places in the file");
    }
    for found in layout.boxes.iter().filter(|found| found.kind == *b"meta") {
        if places_items(&layout.read(source, found, 16 << 20)?) {
            return lossy("its metadata points at places in the file");
        }
    }
    Ok(())
}

/// Metadata boxes of the movie or of a track: beside its parts, or among what users added.
fn collect_metas<'a>(body: &'a [u8], metas: &mut Vec<&'a [u8]>) {
    metas.extend(find(body, b"meta"));
    metas.extend(find(body, b"udta").and_then(|user| find(user, b"meta")));
}

/// Whether metadata has a table of places. QuickTime's form of the box has no version in front.
fn places_items(meta: &[u8]) -> bool {
    let after_version = meta.get(4..).unwrap_or(&[]);
    find(meta, b"iloc").is_some() || find(after_version, b"iloc").is_some()
}

/// Where the parts of the file go.
struct Places<'a> {
    layout: &'a Layout,
    /// The old index.
    index: Top,
    /// The new index comes after this many bytes.
    before: u64,
    /// Bytes of the new index, header included.
    new_index: u64,
}

impl Places<'_> {
    /// Refuses samples that don't lie on one side of what moves.
    fn check_samples(&self, movie: &Movie<'_>) -> Result<(), RewriteError> {
        let index = self.index.offset..self.index.end();
        for track in &movie.tracks {
            for chunk in track.table.chunks() {
                let end = chunk.offset.saturating_add(track.table.chunk_size(&chunk));
                let around = |place: u64| chunk.offset < place && place < end;
                if around(self.before)
                    || around(index.start)
                    || end > chunk.offset && index.contains(&chunk.offset)
                {
                    return Err(RewriteError::Lossy(
                        "its samples lie around its index".into(),
                    ));
                }
            }
        }
        Ok(())
    }

    /// Where a byte of the old file lies in the new one. Empty chunks may name any place; what lies beyond the
    /// file stays there.
    fn moved(&self, offset: u64) -> Result<u64, RewriteError> {
        if offset < self.before || offset > self.layout.length {
            Ok(offset)
        } else if offset <= self.index.offset {
            Ok(offset + self.new_index)
        } else if offset < self.index.end() {
            Err(RewriteError::Lossy(
                "its samples lie inside its index".into(),
            ))
        } else {
            Ok(offset - self.index.size + self.new_index)
        }
    }
}

/// The new index as a whole box. Tables that become longer move everything again, so it is made until none does.
fn moved_index<'a>(
    layout: &'a Layout,
    index: &[u8],
) -> Result<(Vec<u8>, Places<'a>), RewriteError> {
    let top = *layout
        .first(b"moov")
        .ok_or_else(|| ProbeError::Truncated("its index is missing".into()))?;
    let before = layout
        .boxes
        .first()
        .filter(|first| first.kind == *b"ftyp")
        .map_or(0, Top::end);
    let mut places = Places {
        layout,
        index: top,
        before,
        new_index: index.len() as u64 + 8,
    };
    let mut long_tables = Vec::new();
    loop {
        let mut tables = Tables {
            places: &places,
            long: &mut long_tables,
            seen: 0,
        };
        let made = make(b"moov", &[&tables.rewrite(index, 0)?]);
        if made.len() as u64 == places.new_index {
            return Ok((made, places));
        }
        places.new_index = made.len() as u64;
    }
}

struct Tables<'a> {
    places: &'a Places<'a>,
    /// By the order of tables: whether one needs 64 bits. Never taken back, so that the making comes to an end.
    long: &'a mut Vec<bool>,
    seen: usize,
}

impl Tables<'_> {
    /// The boxes that lead to sample tables, by their depth.
    const PATH: [&'static Kind; 4] = [b"trak", b"mdia", b"minf", b"stbl"];

    fn rewrite(&mut self, body: &[u8], depth: usize) -> Result<Vec<u8>, RewriteError> {
        let mut made = Vec::with_capacity(body.len());
        let mut rest = body;
        while let Some((child, after)) = split(rest) {
            match &child.kind {
                kind if Self::PATH.get(depth) == Some(&kind) => {
                    let inner = self.rewrite(child.body, depth + 1)?;
                    made.extend(make(kind, &[&inner]));
                }
                b"stco" | b"co64" if depth == Self::PATH.len() => {
                    made.extend(self.offsets(&child)?);
                }
                b"saio" if depth == Self::PATH.len() => made.extend(self.auxiliary(&child)?),
                // A size of 0 means "to the end", which is elsewhere now.
                kind if child.whole.starts_with(&[0; 4]) => made.extend(make(kind, &[child.body])),
                _ => made.extend(child.whole),
            }
            rest = after;
        }
        made.extend(rest);
        Ok(made)
    }

    fn offsets(&mut self, table: &Child<'_>) -> Result<Vec<u8>, RewriteError> {
        let was_long = table.kind == *b"co64";
        let number = self.seen;
        self.seen += 1;
        if self.long.len() == number {
            self.long.push(was_long);
        }
        let damaged = || ProbeError::Malformed("a table of chunks is cut".into());
        let mut bytes = Bytes(table.body);
        let (version, flags) = bytes.version().ok_or_else(damaged)?;
        let count = bytes.u32().ok_or_else(damaged)?;
        let mut offsets = Vec::new();
        for _ in 0..count {
            let offset = bytes.u32_or_u64(was_long).ok_or_else(damaged)?;
            let offset = self.places.moved(offset)?;
            self.long[number] |= u32::try_from(offset).is_err();
            offsets.push(offset);
        }
        let rows: Vec<u8> = if self.long[number] {
            offsets
                .iter()
                .flat_map(|offset| offset.to_be_bytes())
                .collect()
        } else {
            offsets
                .iter()
                .flat_map(|offset| (*offset as u32).to_be_bytes())
                .collect()
        };
        let kind = if self.long[number] { b"co64" } else { b"stco" };
        Ok(make_full(
            kind,
            version,
            flags,
            &[&count.to_be_bytes(), &rows, bytes.0],
        ))
    }

    /// Places of what belongs to samples but isn't part of them: keys of encrypted ones, most often.
    fn auxiliary(&mut self, table: &Child<'_>) -> Result<Vec<u8>, RewriteError> {
        let damaged = || ProbeError::Malformed("a table of what belongs to samples is cut".into());
        let mut bytes = Bytes(table.body);
        let (version, flags) = bytes.version().ok_or_else(damaged)?;
        let named = if flags & 1 == 1 {
            bytes.take(8).ok_or_else(damaged)?
        } else {
            &[]
        };
        let count = bytes.u32().ok_or_else(damaged)?;
        let mut rows = Vec::new();
        for _ in 0..count {
            let offset = bytes.u32_or_u64(version > 0).ok_or_else(damaged)?;
            let offset = self.places.moved(offset)?;
            if version > 0 {
                rows.extend(offset.to_be_bytes());
            } else {
                let refused = |_| {
                    RewriteError::Lossy("what belongs to its samples would lie too far back".into())
                };
                rows.extend(u32::try_from(offset).map_err(refused)?.to_be_bytes());
            }
        }
        Ok(make_full(
            b"saio",
            version,
            flags,
            &[named, &count.to_be_bytes(), &rows, bytes.0],
        ))
    }
}

struct Copy<'a> {
    source: &'a dyn ReadAt,
    out: &'a mut dyn Write,
    progress: &'a mut dyn FnMut(u64) -> ControlFlow<()>,
    written: u64,
}

impl Copy<'_> {
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), RewriteError> {
        self.out.write_all(bytes).map_err(RewriteError::Write)?;
        self.written += bytes.len() as u64;
        if (self.progress)(self.written).is_break() {
            Err(RewriteError::Stopped)
        } else {
            Ok(())
        }
    }

    /// The bytes of the old file from here to there.
    fn range(&mut self, from: u64, to: u64) -> Result<(), RewriteError> {
        let length = usize::try_from(to.saturating_sub(from))
            .unwrap_or(READ_AT_ONCE)
            .min(READ_AT_ONCE);
        let mut buffer = vec![0; length];
        let mut at = from;
        while at < to {
            let count = usize::try_from(to - at).unwrap_or(length).min(length);
            self.source
                .read_exact_at(at, &mut buffer[..count])
                .map_err(ProbeError::from)?;
            self.bytes(&buffer[..count])?;
            at += count as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mp4::boxes::descend;

    const DATA: u64 = u32::MAX as u64 - 20;

    /// An index of tracks with one chunk each, behind almost 4 GiB of samples.
    fn layout_of(index: &[u8]) -> Layout {
        let mut at = 0;
        let parts = [
            (*b"ftyp", 16),
            (*b"mdat", DATA),
            (*b"moov", index.len() as u64 + 8),
        ];
        let boxes = parts.map(|(kind, size)| {
            at += size;
            Top {
                kind,
                offset: at - size,
                size,
                header: 8,
            }
        });
        Layout {
            boxes: boxes.to_vec(),
            length: at,
        }
    }

    fn index_of(places: &[u32]) -> Vec<u8> {
        let tracks = places.iter().map(|place| {
            let table = make_full(b"stco", 0, 0, &[&1_u32.to_be_bytes(), &place.to_be_bytes()]);
            let table = make(b"stbl", &[&make(b"stsd", &[&[0; 8]]), &table]);
            make(b"trak", &[&make(b"mdia", &[&make(b"minf", &[&table])])])
        });
        tracks.collect::<Vec<_>>().concat()
    }

    /// Whether each track's table has 64 bits a place, and the place.
    fn places_of(moov: &[u8]) -> Vec<(bool, u64)> {
        let tracks = children(find(moov, b"moov").unwrap());
        let place = |track: Child<'_>| {
            let table = descend(track.body, &[b"mdia", b"minf", b"stbl"]).unwrap();
            match find(table, b"co64") {
                Some(long) => (true, u64::from_be_bytes(long[8..16].try_into().unwrap())),
                None => {
                    let short = find(table, b"stco").unwrap();
                    (
                        false,
                        u32::from_be_bytes(short[8..12].try_into().unwrap()).into(),
                    )
                }
            }
        };
        tracks.map(place).collect()
    }

    #[test]
    fn tables_grow_until_every_place_fits() {
        // The last place overflows at once; its longer table pushes the one before over the edge as well.
        let index_length = index_of(&[0, 0, 0]).len() as u64 + 8;
        let edge = u32::MAX - u32::try_from(index_length).unwrap();
        let old = [100, edge - 1, edge + 1];
        let index = index_of(&old);
        let layout = layout_of(&index);
        let (moved, _) = moved_index(&layout, &index).unwrap();
        assert_eq!(moved.len() as u64, index_length + 8);
        let by = moved.len() as u64;
        let expected = [
            (false, 100 + by),
            (true, u64::from(edge - 1) + by),
            (true, u64::from(edge + 1) + by),
        ];
        assert_eq!(places_of(&moved), expected);
    }

    #[test]
    fn places_inside_the_old_index_are_refused() {
        let index = index_of(&[u32::MAX - 1]);
        let layout = layout_of(&index);
        assert!(matches!(
            moved_index(&layout, &index),
            Err(RewriteError::Lossy(_))
        ));
    }
}
