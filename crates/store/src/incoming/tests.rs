//! Fetches into temporary folders, whole, broken off, wrong and in the way.

use super::*;
use crate::pass::{Progress, Want, hash};
use metainfo::{Format, Layout, PieceLength};

const FILES: [(&str, usize); 4] = [("a", 70_000), ("b/c", 40_000), ("b/empty", 0), ("d", 10)];

fn bytes_of(n: usize) -> Vec<u8> {
    (0..n as u32)
        .map(|i| (i % 251) as u8 ^ (i >> 12) as u8)
        .collect()
}

/// A folder published in a format, and its payload as one.
fn published(folder: &Path, format: Format) -> (Torrent, Vec<u8>) {
    for (name, length) in FILES {
        let path = folder.join("x").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes_of(length)).unwrap();
    }
    let files =
        FILES.map(|(name, length)| (name.split('/').map(str::to_owned).collect(), length as u64));
    let piece_length = Some(PieceLength::new(32768).unwrap());
    let layout = Layout::folder("x", files, format, piece_length).unwrap();
    let want = Want {
        pieces: format.has_v1(),
        roots: format.has_v2(),
    };
    let hashed = hash(&layout, folder, want, 1, &Progress::default()).unwrap();
    let mut torrent = Torrent::new(Info::make(&layout, &hashed.hashes, false, None));
    torrent.piece_layers = hashed.hashes.piece_layers;
    let mut payload = Vec::new();
    let all = 0..torrent.info.file_map().total_length();
    let source = crate::Payload::new(folder, &torrent.info, &[]);
    source.read(all, &mut payload).unwrap();
    (torrent, payload)
}

fn blocks(incoming: &Incoming, piece: PieceIndex) -> Vec<Block> {
    let info = &incoming.torrent().info;
    let asked = asked_length(info, piece);
    let all = info.geometry().blocks(piece);
    all.filter(|block| block.begin() < asked).collect()
}

fn write(incoming: &Incoming, payload: &[u8], piece: PieceIndex) {
    for block in blocks(incoming, piece) {
        let range = incoming.torrent().info.geometry().block_range(block);
        let bytes = &payload[range.start as usize..range.end as usize];
        incoming.write(block, bytes).unwrap();
    }
}

#[test]
fn what_was_written_is_found_again_and_ends_in_its_place() {
    for format in [Format::V1, Format::V2, Format::Hybrid] {
        let folder = tempfile::tempdir().unwrap();
        let (torrent, payload) = published(&folder.path().join("from"), format);
        let out = folder.path().join("out");
        let pieces: Vec<PieceIndex> = torrent.info.geometry().pieces().collect();
        let (early, late) = pieces.split_at(1);
        {
            let incoming = Incoming::open(torrent.clone(), &out).unwrap();
            assert!(
                incoming.find(&AtomicUsize::new(0)).unwrap().is_empty(),
                "{format:?}"
            );
            for piece in early {
                write(&incoming, &payload, *piece);
                assert!(
                    incoming.verify(*piece, &mut Vec::new()).unwrap(),
                    "{format:?}"
                );
            }
            // Half a piece is no piece.
            let half = blocks(&incoming, late[0])[0];
            let range = torrent.info.geometry().block_range(half);
            incoming
                .write(half, &payload[range.start as usize..range.end as usize])
                .unwrap();
            assert!(!incoming.verify(late[0], &mut Vec::new()).unwrap());
            assert!(matches!(
                Incoming::open(torrent.clone(), &out),
                Err(IncomingError::Locked(_))
            ));
        }
        let incoming = Incoming::open(torrent.clone(), &out).unwrap();
        let looked = AtomicUsize::new(0);
        assert_eq!(incoming.find(&looked).unwrap(), early, "{format:?}");
        assert_eq!(looked.into_inner(), pieces.len());
        for piece in late {
            write(&incoming, &payload, *piece);
            assert!(
                incoming.verify(*piece, &mut Vec::new()).unwrap(),
                "{format:?} {piece:?}"
            );
        }
        let stats = incoming.finish(|| {}).unwrap();
        assert_eq!(stats.len(), FILES.len());
        let verdict = crate::verify(&torrent.info, &out, 1, &Progress::default()).unwrap();
        assert!(verdict.is_whole(), "{format:?} {verdict:?}");
        for (name, length) in FILES {
            assert_eq!(
                std::fs::read(out.join("x").join(name)).unwrap(),
                bytes_of(length)
            );
        }
        assert_eq!(
            std::fs::read_dir(&out).unwrap().count(),
            1,
            "nothing is left behind"
        );
    }
}

#[test]
fn a_wrong_byte_is_seen_and_its_block_told() {
    for format in [Format::V1, Format::V2, Format::Hybrid] {
        let folder = tempfile::tempdir().unwrap();
        let (torrent, mut payload) = published(&folder.path().join("from"), format);
        let incoming = Incoming::open(torrent.clone(), &folder.path().join("out")).unwrap();
        let piece = torrent.info.geometry().piece(1).unwrap();
        write(&incoming, &payload, piece);
        let right = incoming.block_digests(piece).unwrap();
        assert_eq!(right.len(), 2);
        payload[32768 + 20_000] ^= 1;
        write(&incoming, &payload, piece);
        assert!(
            !incoming.verify(piece, &mut Vec::new()).unwrap(),
            "{format:?}"
        );
        let wrong = incoming.block_digests(piece).unwrap();
        assert_eq!(right[0], wrong[0]);
        assert_ne!(right[1], wrong[1]);
    }
}

#[test]
fn pads_are_not_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (v1, _) = published(folder.path(), Format::V1);
    assert!(short_pieces(&v1.info).is_empty());
    let (hybrid, _) = published(folder.path(), Format::Hybrid);
    // 70,000 and 40,000 bytes end in the third and the second piece of theirs.
    let short = short_pieces(&hybrid.info);
    assert_eq!(short.get(&2), Some(&(70_000 - 65_536)));
    assert_eq!(short.get(&4), Some(&(40_000 - 32_768)));
}

#[test]
fn what_is_in_the_way_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (torrent, payload) = published(&folder.path().join("from"), Format::V1);
    let out = folder.path().join("out");
    let incoming = Incoming::open(torrent.clone(), &out).unwrap();
    for piece in torrent.info.geometry().pieces() {
        write(&incoming, &payload, piece);
    }
    std::fs::write(out.join("x"), "mine").unwrap();
    assert!(
        matches!(incoming.finish(|| {}), Err(IncomingError::InTheWay(at)) if at == out.join("x"))
    );
    assert_eq!(std::fs::read(out.join("x")).unwrap(), b"mine");
}
