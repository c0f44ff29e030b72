//! `.torrent` files and info dictionaries: what is accepted can be stored, served and passed on.

use metainfo::{FileMap, Geometry, Info, RawRequest, Torrent, name};

/// The deepest folder that is accepted: as deep as the file tree of a v2 torrent can nest.
const MAX_DEPTH: usize = 128;

/// Reads a torrent, or a bare info dictionary as peers send it.
pub fn torrent(data: &[u8]) {
    if let Ok(info) = Info::parse(data) {
        check_info(&info);
    }
    let Ok(torrent) = Torrent::parse(data) else {
        return;
    };
    check_info(&torrent.info);
    let bytes = torrent.to_bytes();
    let again = Torrent::parse(&bytes).expect("what was accepted is accepted again");
    assert_eq!(again, torrent, "the same meaning");
    assert_eq!(again.to_bytes(), bytes, "the same bytes");
    let occurs = bytes
        .windows(torrent.info.raw().len())
        .any(|window| window == torrent.info.raw());
    assert!(occurs, "the info dictionary stands in it as it was");
}

fn check_info(info: &Info) {
    let again = Info::parse(info.raw()).expect("its own bytes are accepted");
    assert_eq!(&again, info);
    assert_eq!(again.swarm_hashes(), info.swarm_hashes());
    assert!(!info.swarm_hashes().is_empty(), "it has a name");
    assert_eq!(info.id().len(), 40);

    assert_eq!(name::check(info.name()), Ok(()));
    let mut stored = std::collections::BTreeSet::new();
    for file in info.files() {
        for part in &file.path {
            assert_eq!(name::check(part), Ok(()), "{:?}", file.path);
        }
        assert!(
            file.path.len() <= MAX_DEPTH,
            "{} folders deep",
            file.path.len()
        );
        if !file.pad {
            assert!(
                stored.insert(info.stored_path(file)),
                "two files in one place"
            );
        }
    }
    // A file alone may still have a pad behind it.
    let stored = info.files().iter().filter(|file| !file.pad);
    let alone = stored.clone().count() == 1 && stored.clone().all(|file| file.path.is_empty());
    assert_eq!(info.is_single_file(), alone);
    check_sums(info, info.file_map(), info.geometry());
}

/// Files, pieces and hashes add up to the same bytes.
fn check_sums(info: &Info, map: &FileMap, geometry: Geometry) {
    let total = geometry.total_length();
    assert!(total > 0);
    assert_eq!(map.total_length(), total);
    let lengths = info.files().iter().map(|file| file.length);
    assert_eq!(
        lengths.clone().map(u128::from).sum::<u128>(),
        u128::from(total)
    );
    assert!(info.payload_bytes() <= total);
    let mut end = 0;
    for (index, length) in lengths.enumerate().take(200) {
        let range = map.file_range(index);
        assert_eq!((range.start, range.end), (end, end + length));
        end = range.end;
    }
    if let Some(hashes) = info.piece_hashes() {
        assert_eq!(hashes.len(), geometry.n_pieces() as usize);
    }
    for index in [0, geometry.n_pieces() / 2, geometry.n_pieces() - 1] {
        let piece = geometry.piece(index).expect("below the number of pieces");
        let range = geometry.piece_range(piece);
        assert!(range.start < range.end && range.end <= total);
        let spans = map.spans(range.clone()).map(|span| span.length);
        assert_eq!(
            spans.sum::<u64>(),
            range.end - range.start,
            "files cover the piece"
        );
        let last = geometry.blocks(piece).last().expect("no piece is empty");
        assert_eq!(geometry.block_range(last).end, range.end);
        assert_eq!(geometry.block(last.raw()), Ok(last));
        let beyond = RawRequest {
            begin: last.begin() + last.length(),
            length: 1,
            ..last.raw()
        };
        assert!(geometry.block(beyond).is_err());
    }
    assert!(geometry.piece(geometry.n_pieces()).is_none());
}
