//! MP4 and QuickTime files packed anew: every sample stays; and any change a stranger may make to a file.

use crate::made::*;
use media::{Complete, Container, Media, Plays, ProbeError, Rewrite, RewriteError};
use proptest::prelude::*;
use std::ops::ControlFlow;

/// Changes every chunk's place in an index.
fn place_chunks(index: &mut [u8], place: impl Fn(usize, u32) -> u32) {
    let mut number = 0;
    for at in 0..index.len() - 4 {
        if &index[at..at + 4] == b"stco" {
            let count = u32::from_be_bytes(index[at + 8..at + 12].try_into().unwrap()) as usize;
            for row in index[at + 12..at + 12 + 4 * count].as_chunks_mut().0 {
                *row = place(number, u32::from_be_bytes(*row)).to_be_bytes();
                number += 1;
            }
        }
    }
    assert!(number > 0, "an index without chunks tests nothing");
}

#[test]
fn neros_list_serves_where_no_track_has_chapters() {
    // The new file has no text track.
    let remuxed = rewrite(CHAPTERS, Rewrite::ToMp4).unwrap();
    assert_eq!(samples(&remuxed).len(), 1);
    assert_eq!(probe(&remuxed).chapters, probe(CHAPTERS).chapters);
}

#[test]
fn the_index_moves_and_nothing_else_changes() {
    for file in [
        MOOV_LAST, QUICKTIME, HEVC, HIGH_422, ROTATED, CHAPTERS, EDIT_LIST, PRORES,
    ] {
        let moved = rewrite(file, Rewrite::Faststart).unwrap();
        let kinds: Vec<[u8; 4]> = boxes(&moved).into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(kinds[..2], [*b"ftyp", *b"moov"]);
        assert_eq!(moved.len(), file.len());
        for (kind, range) in boxes(file).into_iter().filter(|(kind, _)| kind != b"moov") {
            assert_eq!(part(&moved, &kind), &file[range]);
        }
        assert_eq!(samples(&moved), samples(file));
        let expected = Media {
            faststart: true,
            ..probe(file)
        };
        assert_eq!(probe(&moved), expected);
        assert_eq!(media::complete(&moved), Complete::Yes);
    }
}

#[test]
fn a_file_that_begins_with_its_index_stays_as_it_is() {
    assert_eq!(rewrite(FASTSTART, Rewrite::Faststart).unwrap(), FASTSTART);
    assert_eq!(rewrite(FRAGMENTED, Rewrite::Faststart).unwrap(), FRAGMENTED);
}

#[test]
fn headers_may_be_long_or_open() {
    let (head, index) = (
        &MOOV_LAST[..boxes(MOOV_LAST)[3].1.start],
        part(MOOV_LAST, b"moov"),
    );
    let long = [
        &1_u32.to_be_bytes()[..],
        b"moov",
        &(index.len() as u64 + 8).to_be_bytes(),
        &index[8..],
    ]
    .concat();
    let open = [&[0; 4], &index[4..]].concat();
    for index in [long, open] {
        let file = [head, &index].concat();
        assert_eq!(probe(&file).duration_s, Some(1.0));
        assert_eq!(
            rewrite(&file, Rewrite::Faststart).unwrap(),
            rewrite(MOOV_LAST, Rewrite::Faststart).unwrap()
        );
    }
    // Samples to the end of the file, behind the index.
    let mut open = FASTSTART.to_vec();
    let data = boxes(FASTSTART)
        .into_iter()
        .find(|(kind, _)| kind == b"mdat")
        .unwrap()
        .1;
    assert_eq!(data.end, FASTSTART.len());
    open[data.start..data.start + 4].fill(0);
    assert_eq!(samples(&open), samples(FASTSTART));
    assert_eq!(media::complete(&open), Complete::Yes);
}

/// Every second chunk lies behind the index, in a second box of samples.
#[test]
fn samples_may_lie_on_both_sides_of_the_index() {
    let (brands, data) = (part(MOOV_LAST, b"ftyp"), part(MOOV_LAST, b"mdat"));
    let mut index = part(MOOV_LAST, b"moov").to_vec();
    let old = boxes(MOOV_LAST)
        .into_iter()
        .find(|(kind, _)| kind == b"mdat")
        .unwrap()
        .1
        .start;
    let first = brands.len();
    let second = first + data.len() + index.len();
    place_chunks(&mut index, |number, place| {
        let new = if number.is_multiple_of(2) {
            first
        } else {
            second
        };
        place - old as u32 + new as u32
    });
    let file = [brands, data, &index, data].concat();
    assert_eq!(samples(&file), samples(MOOV_LAST));
    assert!(!probe(&file).faststart);
    let moved = rewrite(&file, Rewrite::Faststart).unwrap();
    assert_eq!(samples(&moved), samples(MOOV_LAST));
    assert_eq!(
        boxes(&moved)
            .iter()
            .map(|(kind, _)| *kind)
            .collect::<Vec<_>>(),
        [*b"ftyp", *b"moov", *b"mdat", *b"mdat"]
    );
}

#[test]
fn what_points_elsewhere_is_refused() {
    let lossy = |file: &[u8]| match rewrite(file, Rewrite::Faststart) {
        Err(RewriteError::Lossy(why)) => why,
        other => panic!("{other:?}"),
    };
    let head = &MOOV_LAST[..boxes(MOOV_LAST)[3].1.start];
    let index = part(MOOV_LAST, b"moov");
    // The flag of `url ` that says "in this file".
    let mut external = MOOV_LAST.to_vec();
    let at = external
        .windows(4)
        .position(|kind| kind == b"url ")
        .unwrap();
    external[at + 7] = 0;
    assert_eq!(
        lossy(&external),
        "a track keeps its samples in another file"
    );

    let items = make(b"meta", &[&[0; 4][..], &make(b"iloc", &[0; 8])].concat());
    let file = [head, &make(b"moov", &[&index[8..], &items].concat())].concat();
    assert_eq!(lossy(&file), "its metadata points at places in the file");
    let file = [head, &items, index].concat();
    assert_eq!(lossy(&file), "its metadata points at places in the file");
    assert_eq!(lossy(&[MOOV_LAST, index].concat()), "it has two indexes");

    // An index behind fragments.
    let first = boxes(FRAGMENTED)
        .into_iter()
        .find(|(kind, _)| kind == b"moof")
        .unwrap()
        .1
        .start;
    let (brands, index) = (part(FRAGMENTED, b"ftyp"), part(FRAGMENTED, b"moov"));
    let file = [brands, &FRAGMENTED[first..], index].concat();
    assert_eq!(
        lossy(&file),
        "its samples come in fragments, and its index lies behind them"
    );
    assert_eq!(media::plays(&probe(&file)), Plays::After(Rewrite::ToMp4));
    let remuxed = rewrite(&file, Rewrite::ToMp4).unwrap();
    assert_eq!(samples(&remuxed), samples(FRAGMENTED));

    let file = [head, &make(b"moov", &make(b"cmov", &[0; 16]))].concat();
    assert!(matches!(media::probe(&file), Err(ProbeError::Malformed(_))));
}

/// Nothing says what such samples should be when the index has gone.
#[test]
fn samples_in_or_around_the_index_are_refused() {
    let index = boxes(MOOV_LAST)[3].1.clone();
    assert_eq!(index.end, MOOV_LAST.len());
    for first in [index.start - 1, index.start, index.start + 8] {
        let mut file = MOOV_LAST.to_vec();
        place_chunks(&mut file[index.clone()], |number, place| {
            if number == 0 { first as u32 } else { place }
        });
        let refused = rewrite(&file, Rewrite::Faststart);
        assert!(matches!(refused, Err(RewriteError::Lossy(_))), "{first}");
    }
}

#[test]
fn auxiliary_places_move_along() {
    let mut index = part(MOOV_LAST, b"moov").to_vec();
    let head = &MOOV_LAST[..boxes(MOOV_LAST)[3].1.start];
    // In the place of the roll table, which this file can do without, in a table of the same size or smaller.
    let at = index.windows(4).position(|kind| kind == b"sgpd").unwrap() - 4;
    let size = u32::from_be_bytes(index[at..at + 4].try_into().unwrap()) as usize;
    assert!(size >= 20);
    index[at + 4..at + 8].copy_from_slice(b"saio");
    index[at + 8..at + size].fill(0);
    index[at + 15] = 1;
    index[at + 16..at + 20].copy_from_slice(&40_u32.to_be_bytes());
    let moved = rewrite(&[head, &index].concat(), Rewrite::Faststart).unwrap();
    let at = moved.windows(4).position(|kind| kind == b"saio").unwrap();
    assert_eq!(
        moved[at + 12..at + 16],
        (40 + index.len() as u32).to_be_bytes()
    );
}

#[test]
fn quicktime_becomes_mp4() {
    assert_eq!(
        media::plays(&probe(QUICKTIME)),
        Plays::After(Rewrite::ToMp4)
    );
    let remuxed = rewrite(QUICKTIME, Rewrite::ToMp4).unwrap();
    assert_eq!(samples(&remuxed), samples(QUICKTIME));
    let media = probe(&remuxed);
    let expected = Media {
        container: Container::Mp4,
        faststart: true,
        ..probe(QUICKTIME)
    };
    assert_eq!(
        Media {
            bit_rate: expected.bit_rate,
            ..media.clone()
        },
        expected
    );
    assert!(matches!(media::plays(&media), Plays::AsIs { .. }));
    assert_eq!(media::complete(&remuxed), Complete::Yes);
    let has = |kind: &[u8]| remuxed.windows(4).any(|found| found == kind);
    assert!(!has(b"wave") && !has(b"qt  "));
    assert!(matches!(
        rewrite(PRORES, Rewrite::ToMp4),
        Err(RewriteError::Lossy(_))
    ));
}

#[test]
fn every_kind_of_file_keeps_its_samples_when_packed_anew() {
    for file in [MOOV_LAST, FRAGMENTED, HEVC, ROTATED, EDIT_LIST] {
        let remuxed = rewrite(file, Rewrite::ToMp4).unwrap();
        assert_eq!(samples(&remuxed), samples(file));
        let (before, after) = (probe(file), probe(&remuxed));
        assert_eq!(
            (after.duration_s, &after.video, &after.audio),
            (before.duration_s, &before.video, &before.audio)
        );
        assert!(after.faststart && !after.fragmented);
    }
}

#[test]
fn the_caller_may_break_off() {
    let mut out = Vec::new();
    let stopped = media::rewrite(
        &MOOV_LAST.to_vec(),
        Rewrite::Faststart,
        &mut out,
        &mut |_| ControlFlow::Break(()),
    );
    assert!(matches!(stopped, Err(RewriteError::Stopped)));
    let stopped = media::rewrite(&QUICKTIME.to_vec(), Rewrite::ToMp4, &mut out, &mut |_| {
        ControlFlow::Break(())
    });
    assert!(matches!(stopped, Err(RewriteError::Stopped)));
}

/// Everything a stranger's file can make this crate do.
fn read_all(file: &[u8]) {
    let file = file.to_vec();
    let _ = media::probe(&file).map(|media| media::plays(&media));
    let _ = media::complete(&file);
    let _ = media::key_frame(&file, 0.5);
    let _ = media::samples(&file);
    for way in [Rewrite::Faststart, Rewrite::ToMp4] {
        let _ = rewrite(&file, way);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn changed_files_are_read_or_refused(
        which in 0..ALL.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![Just(0), Just(0xff), any::<u8>()]), 1..12),
        length in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let mut file = ALL[which].to_vec();
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        if cut {
            file.truncate(length.index(file.len()));
        }
        read_all(&file);
    }

    /// Changes where it hurts: sizes, counts and offsets of the index.
    #[test]
    fn changed_indexes_are_read_or_refused(
        which in 0..ALL.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![
            Just(0_u32), Just(1), Just(u32::MAX), Just(0x7fff_ffff), Just(0x0100_0000), any::<u32>()
        ]), 1..6),
    ) {
        let mut file = ALL[which].to_vec();
        let (_, index) = boxes(&file).into_iter().find(|(kind, _)| kind == b"moov").unwrap();
        for (at, value) in changes {
            let at = index.start + 8 + at.index(index.len() - 12) / 4 * 4;
            file[at..at + 4].copy_from_slice(&value.to_be_bytes());
        }
        read_all(&file);
        // What can still be read keeps its samples.
        if let (Ok(_), Ok(moved)) = (media::samples(&file), rewrite(&file, Rewrite::Faststart)) {
            prop_assert_eq!(samples(&moved), samples(&file));
        }
    }

    /// Whatever lies where, a file that can be read keeps all samples when its index moves.
    #[test]
    fn samples_stay_wherever_they_lie(
        which in prop_oneof![Just(MOOV_LAST), Just(QUICKTIME), Just(PRORES), Just(CHAPTERS)],
        padding in prop::collection::vec(0..40_usize, 3),
        far in prop::collection::vec(any::<bool>(), 64),
    ) {
        let (brands, data) = (part(which, b"ftyp"), part(which, b"mdat"));
        let mut index = part(which, b"moov").to_vec();
        let old = boxes(which).into_iter().find(|(kind, _)| kind == b"mdat").unwrap().1.start;
        let room: Vec<Vec<u8>> = padding.iter().map(|bytes| make(b"free", &vec![7; *bytes])).collect();
        let near = brands.len() + room[0].len();
        let behind = near + data.len() + room[1].len() + index.len() + room[2].len();
        place_chunks(&mut index, |number, place| {
            let new = if far[number % far.len()] { behind } else { near };
            place - old as u32 + new as u32
        });
        let file = [brands, &room[0], data, &room[1], &index, &room[2], data].concat();
        prop_assert_eq!(samples(&file), samples(which));
        let moved = rewrite(&file, Rewrite::Faststart).unwrap();
        prop_assert_eq!(samples(&moved), samples(which));
        prop_assert!(probe(&moved).faststart);
    }
}
