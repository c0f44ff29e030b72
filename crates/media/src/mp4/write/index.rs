//! What stands in front of the samples: brands, index, the header of the samples' box.

use super::{Chunk, Edit, OutKind, OutMovie, OutTrack};
use crate::model::Chapter;
use crate::mp4::boxes::{make, make_full};

/// Everything in front of the samples.
pub(super) fn header(movie: &OutMovie, chunks: &[Chunk]) -> Vec<u8> {
    let brands = brands(movie);
    let payload: u64 = chunks.iter().map(|chunk| chunk.bytes).sum();
    let data_header = match u32::try_from(payload + 8) {
        Ok(size) => [&size.to_be_bytes()[..], b"mdat"].concat(),
        Err(_) => [
            &1_u32.to_be_bytes()[..],
            b"mdat",
            &(payload + 16).to_be_bytes(),
        ]
        .concat(),
    };
    // The index is as long with one set of offsets as with another, so it is made once to be measured.
    let made = |long: bool| {
        let measured = index(movie, chunks, 0, long).len();
        let data = (brands.len() + measured + data_header.len()) as u64;
        (data, index(movie, chunks, data, long))
    };
    let (data, mut index) = made(false);
    if u32::try_from(data + payload).is_err() {
        (_, index) = made(true);
    }
    [brands, index, data_header].concat()
}

fn brands(movie: &OutMovie) -> Vec<u8> {
    let has = |kind: &[u8; 4]| {
        movie
            .tracks
            .iter()
            .any(|track| track.entry.get(4..8) == Some(kind))
    };
    let pictures = movie
        .tracks
        .iter()
        .any(|track| track.kind != OutKind::Audio);
    let mut compatible: Vec<&[u8]> = if pictures {
        vec![b"isom", &[0, 0, 2, 0], b"isom", b"iso4", b"mp41", b"mp42"]
    } else {
        vec![b"M4A ", &[0; 4], b"M4A ", b"isom", b"iso4", b"mp42"]
    };
    for brand in [b"avc1", b"av01"] {
        if has(brand) {
            compatible.push(brand);
        }
    }
    make(b"ftyp", &compatible)
}

fn index(movie: &OutMovie, chunks: &[Chunk], data: u64, long: bool) -> Vec<u8> {
    let durations: Vec<u64> = movie
        .tracks
        .iter()
        .map(|track| shown(movie, track))
        .collect();
    let longest = durations.iter().copied().max().unwrap_or(0);
    let version = u8::from(u32::try_from(longest).is_err());
    let head = make_full(
        b"mvhd",
        version,
        0,
        &[
            &times(version, movie.timescale, None, longest),
            &[0, 1, 0, 0, 1, 0],
            &[0; 10],
            &matrix(0, 0, 0),
            &[0; 24],
            &(movie.tracks.len() as u32 + 1).to_be_bytes(),
        ],
    );
    let tracks = movie.tracks.iter().enumerate().map(|(number, track)| {
        let offsets = offsets(chunks, number, data);
        self::track(number, track, durations[number], &offsets, long)
    });
    let tracks = tracks.collect::<Vec<_>>().concat();
    let user = if movie.chapters.is_empty() {
        Vec::new()
    } else {
        make(b"udta", &[&chapters(&movie.chapters)])
    };
    make(b"moov", &[&head, &tracks, &user])
}

/// How long a track is shown, in the movie's units.
fn shown(movie: &OutMovie, track: &OutTrack) -> u64 {
    if !track.edits.is_empty() {
        return track
            .edits
            .iter()
            .map(|edit| edit.length)
            .fold(0, u64::saturating_add);
    }
    let length = u128::from(media_length(track)) * u128::from(movie.timescale);
    u64::try_from(length.div_ceil(track.timescale.max(1).into())).unwrap_or(u64::MAX)
}

fn media_length(track: &OutTrack) -> u64 {
    track
        .samples
        .iter()
        .map(|sample| u64::from(sample.duration))
        .sum()
}

/// Where each chunk of a track begins in the file, and how many samples it has.
fn offsets(chunks: &[Chunk], track: usize, data: u64) -> Vec<(u64, usize)> {
    let mut at = data;
    let mut offsets = Vec::new();
    for chunk in chunks {
        if chunk.track == track {
            offsets.push((at, chunk.count));
        }
        at += chunk.bytes;
    }
    offsets
}

/// Times of making (not told), then a timescale or a track's number, then a duration: how `mvhd`, `mdhd` and
/// `tkhd` begin.
fn times(version: u8, timescale: u32, track: Option<u32>, duration: u64) -> Vec<u8> {
    let mut made = vec![0; if version == 0 { 8 } else { 16 }];
    match track {
        Some(number) => made.extend([number.to_be_bytes(), [0; 4]].concat()),
        None => made.extend(timescale.to_be_bytes()),
    }
    if version == 0 {
        made.extend((duration as u32).to_be_bytes());
    } else {
        made.extend(duration.to_be_bytes());
    }
    made
}

/// The matrix that turns a picture clockwise and moves it back to the corner.
fn matrix(rotation: u16, width: u32, height: u32) -> Vec<u8> {
    const ONE: i32 = 1 << 16;
    let (a, b, c, d) = match rotation {
        90 => (0, ONE, -ONE, 0),
        180 => (-ONE, 0, 0, -ONE),
        270 => (0, -ONE, ONE, 0),
        _ => (ONE, 0, 0, ONE),
    };
    let whole = |pixels: u32| i32::try_from(pixels.min(0x7fff) << 16).unwrap_or(0);
    let (x, y) = match rotation {
        90 => (whole(height), 0),
        180 => (whole(width), whole(height)),
        270 => (0, whole(width)),
        _ => (0, 0),
    };
    [a, b, 0, c, d, 0, x, y, 1 << 30]
        .iter()
        .flat_map(|value| value.to_be_bytes())
        .collect()
}

fn track(
    number: usize,
    track: &OutTrack,
    duration: u64,
    offsets: &[(u64, usize)],
    long: bool,
) -> Vec<u8> {
    let version = u8::from(u32::try_from(duration).is_err());
    let (volume, matrix, size) = match track.kind {
        OutKind::Video {
            width,
            height,
            rotation,
        } => {
            let size = [width, height]
                .map(|pixels| (pixels.min(0xffff) << 16).to_be_bytes())
                .concat();
            ([0, 0], matrix(rotation, width, height), size)
        }
        OutKind::Audio => ([1, 0], matrix(0, 0, 0), vec![0; 8]),
    };
    // Enabled, in the movie. Tracks of the same kind are each other's alternatives.
    let group = if track.kind == OutKind::Audio { 1 } else { 0 };
    let head = make_full(
        b"tkhd",
        version,
        3,
        &[
            &times(version, 0, Some(number as u32 + 1), duration),
            &[0; 8],
            &[0, 0, 0, group],
            &volume,
            &[0; 2],
            &matrix,
            &size,
        ],
    );
    let edits = if track.edits.is_empty() {
        Vec::new()
    } else {
        make(b"edts", &[&edit_list(&track.edits)])
    };
    let length = media_length(track);
    let version = u8::from(u32::try_from(length).is_err());
    let language = track.language.iter().fold(0_u16, |packed, letter| {
        packed << 5 | u16::from(letter & 0x1f)
    });
    let media_head = make_full(
        b"mdhd",
        version,
        0,
        &[
            &times(version, track.timescale, None, length),
            &language.to_be_bytes(),
            &[0; 2],
        ],
    );
    let (handler, named, kind_head): (&[u8], &[u8], Vec<u8>) = match track.kind {
        OutKind::Video { .. } => (
            b"vide",
            b"VideoHandler\0",
            make_full(b"vmhd", 0, 1, &[&[0; 8]]),
        ),
        OutKind::Audio => (
            b"soun",
            b"SoundHandler\0",
            make_full(b"smhd", 0, 0, &[&[0; 4]]),
        ),
    };
    let handler = make_full(b"hdlr", 0, 0, &[&[0; 4], handler, &[0; 12], named]);
    let here = make_full(b"url ", 0, 1, &[]);
    let data = make(
        b"dinf",
        &[&make_full(b"dref", 0, 0, &[&1_u32.to_be_bytes(), &here])],
    );
    let table = sample_table(track, offsets, long);
    let info = make(b"minf", &[&kind_head, &data, &table]);
    make(
        b"trak",
        &[
            &head,
            &edits,
            &make(b"mdia", &[&media_head, &handler, &info]),
        ],
    )
}

fn edit_list(edits: &[Edit]) -> Vec<u8> {
    let long = |edit: &Edit| {
        u32::try_from(edit.length).is_err()
            || edit
                .media_time
                .is_some_and(|time| i32::try_from(time).is_err())
    };
    let version = u8::from(edits.iter().any(long));
    let mut rows = (edits.len() as u32).to_be_bytes().to_vec();
    for edit in edits {
        if version == 0 {
            rows.extend((edit.length as u32).to_be_bytes());
            rows.extend(edit.media_time.map_or(-1, |time| time as i32).to_be_bytes());
        } else {
            rows.extend(edit.length.to_be_bytes());
            rows.extend(edit.media_time.map_or(-1, |time| time as i64).to_be_bytes());
        }
        rows.extend([0, 1, 0, 0]);
    }
    make_full(b"elst", version, 0, &[&rows])
}

fn sample_table(track: &OutTrack, offsets: &[(u64, usize)], long: bool) -> Vec<u8> {
    let samples = &track.samples;
    let description = make_full(b"stsd", 0, 0, &[&1_u32.to_be_bytes(), &track.entry]);
    let durations = runs(samples.iter().map(|sample| sample.duration));
    let durations = make_full(b"stts", 0, 0, &[&rows(&durations)]);
    let mut parts = vec![description, durations];
    if samples.iter().any(|sample| sample.composition != 0) {
        let version = u8::from(samples.iter().any(|sample| sample.composition < 0));
        let compositions = runs(samples.iter().map(|sample| sample.composition as u32));
        parts.push(make_full(b"ctts", version, 0, &[&rows(&compositions)]));
    }
    if samples.iter().any(|sample| !sample.sync) {
        let sync: Vec<u32> = (1..)
            .zip(samples)
            .filter(|(_, sample)| sample.sync)
            .map(|(number, _)| number)
            .collect();
        parts.push(make_full(
            b"stss",
            0,
            0,
            &[&(sync.len() as u32).to_be_bytes(), &numbers(&sync)],
        ));
    }
    let mut chunk_runs: Vec<u8> = Vec::new();
    let mut run_count = 0_u32;
    let mut previous = None;
    for (number, (_, count)) in (1_u32..).zip(offsets) {
        if previous != Some(*count) {
            chunk_runs.extend(numbers(&[number, *count as u32, 1]));
            run_count += 1;
            previous = Some(*count);
        }
    }
    parts.push(make_full(
        b"stsc",
        0,
        0,
        &[&run_count.to_be_bytes(), &chunk_runs],
    ));
    let sizes: Vec<u32> = samples.iter().map(|sample| sample.size).collect();
    let same = sizes
        .first()
        .copied()
        .filter(|first| *first > 0 && sizes.iter().all(|size| size == first));
    let table = if same.is_some() {
        Vec::new()
    } else {
        numbers(&sizes)
    };
    parts.push(make_full(
        b"stsz",
        0,
        0,
        &[&numbers(&[same.unwrap_or(0), sizes.len() as u32]), &table],
    ));
    let count = (offsets.len() as u32).to_be_bytes();
    parts.push(if long {
        let table: Vec<u8> = offsets
            .iter()
            .flat_map(|(offset, _)| offset.to_be_bytes())
            .collect();
        make_full(b"co64", 0, 0, &[&count, &table])
    } else {
        let table: Vec<u8> = offsets
            .iter()
            .flat_map(|(offset, _)| (*offset as u32).to_be_bytes())
            .collect();
        make_full(b"stco", 0, 0, &[&count, &table])
    });
    make(b"stbl", &[&parts.concat()])
}

/// Counts of equal neighbours.
fn runs(values: impl Iterator<Item = u32>) -> Vec<(u32, u32)> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for value in values {
        match runs.last_mut() {
            Some((count, last)) if *last == value => *count += 1,
            _ => runs.push((1, value)),
        }
    }
    runs
}

fn rows(runs: &[(u32, u32)]) -> Vec<u8> {
    let mut made = (runs.len() as u32).to_be_bytes().to_vec();
    for (count, value) in runs {
        made.extend(numbers(&[*count, *value]));
    }
    made
}

fn numbers(values: &[u32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_be_bytes())
        .collect()
}

/// Nero's list of chapters, which every player of MP4 chapters reads.
fn chapters(chapters: &[Chapter]) -> Vec<u8> {
    const COUNTED_IN_A_BYTE: usize = 255;
    let chapters = &chapters[..chapters.len().min(COUNTED_IN_A_BYTE)];
    let mut rows = vec![0, 0, 0, 0, chapters.len() as u8];
    for chapter in chapters {
        let mut end = chapter.title.len().min(COUNTED_IN_A_BYTE);
        while !chapter.title.is_char_boundary(end) {
            end -= 1;
        }
        let title = &chapter.title[..end];
        rows.extend(((chapter.start_s.max(0.0) * 1e7) as u64).to_be_bytes());
        rows.push(title.len() as u8);
        rows.extend(title.as_bytes());
    }
    make_full(b"chpl", 1, 0, &[&rows])
}
