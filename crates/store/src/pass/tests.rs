//! The parallel pass against hashing everything from memory, one piece at a time.

use super::*;
use metainfo::{Format, PieceLength};
use proptest::prelude::*;

/// The same hashes by reading everything into memory first.
fn by_the_book(layout: &Layout, root: &Path, want: Want) -> Hashes {
    let mut space = Vec::new();
    let mut hashes = Hashes::default();
    let piece_length = layout.geometry().piece_length();
    for file in layout.files() {
        let bytes = if file.pad {
            vec![0; file.length as usize]
        } else {
            std::fs::read(root.join(layout.stored_path(file))).unwrap()
        };
        let leaves: Vec<_> = bytes.chunks(LEAF as usize).map(merkle::leaf).collect();
        let root = (want.roots && !file.pad && file.length > 0).then(|| merkle::root(&leaves));
        if let Some(root) = root
            && layout.format().has_v2()
            && file.length > u64::from(piece_length.get())
        {
            hashes
                .piece_layers
                .insert(root, merkle::piece_layer(&leaves, piece_length));
        }
        hashes.roots.push(root);
        space.extend(bytes);
    }
    if want.pieces {
        let pieces = space.chunks(piece_length.get() as usize);
        hashes.pieces = pieces
            .map(|piece| PieceHash(Sha1::digest(piece).into()))
            .collect();
    }
    hashes
}

fn check(lengths: &[u64], format: Format, piece_length: i64, threads: usize) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("x");
    std::fs::create_dir(&root).unwrap();
    let mut files = Vec::new();
    for (i, length) in lengths.iter().enumerate() {
        let bytes: Vec<u8> = (0..*length)
            .map(|at| (at * 31 + i as u64 + at / 251) as u8)
            .collect();
        std::fs::write(root.join(format!("f{i:02}")), bytes).unwrap();
        files.push((vec![format!("f{i:02}")], *length));
    }
    let piece_length = PieceLength::power_of_two(piece_length).unwrap();
    let layout = Layout::folder("x", files, format, Some(piece_length)).unwrap();
    for want in [(true, true), (true, false), (false, true)] {
        let want = Want {
            pieces: want.0,
            roots: want.1,
        };
        let progress = Progress::default();
        let found = hash(&layout, folder.path(), want, threads, &progress).unwrap();
        assert_eq!(
            found.hashes,
            by_the_book(&layout, folder.path(), want),
            "{lengths:?} {format:?} {want:?}"
        );
        assert_eq!(progress.bytes(), layout.map().total_length());
        assert_eq!(progress.resumed(), 0);
    }
}

#[test]
fn pieces_in_lanes_give_the_same_hashes() {
    // Groups of four and what is left over; a single file, aligned files, files with pads.
    for format in [Format::V1, Format::V2, Format::Hybrid] {
        check(&[16_384 * 23 + 7], format, 16_384, 2);
        check(&[131_072 * 9, 131_072 * 4, 65_536], format, 131_072, 1);
        check(&[40, 131_072 * 5 + 1, 16_384 * 3], format, 65_536, 2);
    }
}

#[test]
fn ranges_and_files_that_cross_give_the_same_hashes() {
    // More than one range, files that end inside leaves, pieces and ranges.
    let lengths = [
        unit::UNIT_BYTES - 5,
        0,
        3,
        70_000,
        unit::UNIT_BYTES + 16_384 * 3 + 1,
        16_384,
        1,
    ];
    for format in [Format::V1, Format::V2, Format::Hybrid] {
        check(&lengths, format, 65_536, 2);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn small_files_in_any_order_give_the_same_hashes(
        lengths in proptest::collection::vec(prop_oneof![0u64..40, 16_380u64..16_390, 30_000u64..70_000], 1..9),
        format in prop_oneof![Just(Format::V1), Just(Format::V2), Just(Format::Hybrid)],
        piece_length in prop_oneof![Just(16_384i64), Just(32_768)],
    ) {
        prop_assume!(lengths.iter().sum::<u64>() > 0);
        check(&lengths, format, piece_length, 3);
    }
}

#[test]
fn a_file_of_another_length_or_gone_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("clip"), b"12345").unwrap();
    let want = Want {
        pieces: true,
        roots: true,
    };
    let layout = |length| Layout::file("clip", length, Format::V1, None).unwrap();
    let error = hash(&layout(6), folder.path(), want, 1, &Progress::default()).unwrap_err();
    assert!(
        matches!(&error, PassError::Changed(path) if path.ends_with("clip")),
        "{error}"
    );
    std::fs::remove_file(folder.path().join("clip")).unwrap();
    let error = hash(&layout(5), folder.path(), want, 1, &Progress::default()).unwrap_err();
    assert!(error.to_string().contains("clip"), "{error}");
}

#[test]
fn a_cancelled_pass_ends() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("clip"), b"12345").unwrap();
    let layout = Layout::file("clip", 5, Format::V1, None).unwrap();
    let progress = Progress::default();
    progress.cancel();
    let ended = hash(
        &layout,
        folder.path(),
        Want {
            pieces: true,
            roots: false,
        },
        1,
        &progress,
    );
    assert!(matches!(ended, Err(PassError::Cancelled)));
}
