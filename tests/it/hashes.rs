//! `publisher torrent` makes the same info-hashes as mktorrent (v1) and libtorrent (v1, v2, hybrid) for the same files and
//! options, and libtorrent reads ours as we mean it.

use std::path::{Path, PathBuf};
use tests::clients::libtorrent::Libtorrent;
use tests::clients::mktorrent;
use tests::folder::{noise, put, temporary};
use tests::process::run;
use tests::programs::Tool;
use tests::published::publisher;
use tests::torrent::TorrentFile;

const PIECE: usize = 64 * 1024;

/// Makes ours.
fn ours(path: &Path, format: &str, piece: usize, more: &[&str]) -> TorrentFile {
    let output = path.with_extension("ours.torrent");
    let _ = std::fs::remove_file(&output);
    let piece = piece.to_string();
    run(publisher(["torrent"])
        .arg(path)
        .arg("-o")
        .arg(&output)
        .args(["--format", format, "--piece-length", &piece])
        .args(more))
    .success();
    TorrentFile::read(&output)
}

/// Single files at all the edges of blocks and pieces.
fn single_files(at: &Path) -> Vec<PathBuf> {
    let sizes = [
        1,
        16 * 1024 - 1,
        16 * 1024,
        16 * 1024 + 1,
        PIECE - 1,
        PIECE,
        PIECE + 1,
        3 * PIECE,
        5 * PIECE + 7,
        17 * PIECE + 16 * 1024,
    ];
    sizes
        .iter()
        .map(|size| {
            let path = at.join(format!("film of {size} bytes.mp4"));
            put(&path, &noise(*size as u64, *size));
            path
        })
        .collect()
}

/// A flat folder, a nested one with empty and tiny files and files of whole pieces, and one with odd names.
fn folders(at: &Path) -> Vec<PathBuf> {
    let fill = |name: &str, files: &[(&str, usize)]| {
        let folder = at.join(name);
        for (n, (path, size)) in files.iter().enumerate() {
            put(&folder.join(path), &noise(n as u64 + 1, *size));
        }
        folder
    };
    vec![
        fill(
            "flat",
            &[
                ("01 one.flac", 200_000),
                ("02 two.flac", PIECE),
                ("cover.jpg", 77),
            ],
        ),
        fill(
            "nested",
            &[
                ("b/deep/er/3", 300_001),
                ("b/deep/4", 1),
                ("b/exact", 4 * PIECE),
                ("b/empty", 0),
                ("a/tiny", 3),
                ("a/block", 16 * 1024),
                ("Z", 2 * PIECE + 1),
                ("empty", 0),
                ("zz", PIECE - 1),
            ],
        ),
        fill(
            "odd names",
            &[
                ("with space & <angle>.bin", 100_000),
                ("ünïcödé/Ärger.txt", 5_000),
                ("日本語.bin", 70_000),
                ("UPPER.TXT", 10),
                ("lower.txt", 10),
                ("100%.md", 20),
                ("it's \"quoted\"", 30),
                ("🎬", 40),
            ],
        ),
        fill("one file in a folder", &[("only.bin", 123_456)]),
        fill(
            "all empty but one",
            &[("a", 0), ("b", 0), ("c", 1), ("d", 0)],
        ),
    ]
}

/// Names where comparing whole paths and comparing components give another order: `-` sorts before `/`.
fn order_trap(at: &Path) -> PathBuf {
    let folder = at.join("trap");
    for path in ["a/1", "a-b/2", "a.txt", "a/-", "a0"] {
        put(&folder.join(path), &noise(7, 20_000));
    }
    folder
}

#[test]
fn v1_equals_mktorrent() {
    if Tool::Mktorrent.skipped() {
        return;
    }
    let at = temporary();
    let mut all = [single_files(at.path()), folders(at.path())].concat();
    all.push(order_trap(at.path()));
    for path in all {
        for private in [false, true] {
            let theirs = mktorrent::create(&path, 16, private, at.path());
            let more: &[&str] = if private { &["--private"] } else { &[] };
            let ours = ours(&path, "v1", PIECE, more);
            assert_eq!(
                ours.v1(),
                theirs.v1(),
                "{}, private {private}: ours {:?}, mktorrent's {:?}",
                path.display(),
                ours.info(),
                theirs.info()
            );
        }
    }
}

fn equals_libtorrent(format: &str) {
    if Tool::Libtorrent.skipped() {
        return;
    }
    let at = temporary();
    let old = Libtorrent::debian();
    let new = Libtorrent::newest();
    let all = [single_files(at.path()), folders(at.path())].concat();
    for path in &all {
        compare(&old, path, format, PIECE, at.path());
        // Pieces of one block.
        compare(&new, path, format, 16 * 1024, at.path());
    }
    // In v1 the order is the maker's choice; ours is mktorrent's. And not with 2.1.1: it sorts a hybrid's v1
    // list by whole paths and then refuses its own torrent.
    if format != "v1" {
        compare(&old, &order_trap(at.path()), format, PIECE, at.path());
    }
}

fn compare(client: &Libtorrent, path: &Path, format: &str, piece: usize, scratch: &Path) {
    let output = scratch.join("theirs.torrent");
    let piece_text = piece.to_string();
    let said = client.create(
        path,
        &output,
        &["--format", format, "--piece-length", &piece_text],
    );
    let theirs = TorrentFile::read(&output);
    let ours = ours(path, format, piece, &[]);
    assert!(
        ours.raw_info() == theirs.raw_info(),
        "{format}, pieces of {piece}, {}: ours {:?}\nlibtorrent's {:?}\n{said}",
        path.display(),
        ours.info(),
        theirs.info()
    );
    // Not part of the info dictionary, but a v2 client can't begin without them.
    let layers = |torrent: &TorrentFile| {
        tests::bencode::raw_value(&torrent.0, "piece layers").map(<[u8]>::to_vec)
    };
    if format != "v1" {
        assert_eq!(layers(&ours), layers(&theirs), "{}", path.display());
    }
    let file = scratch.join("ours.torrent");
    std::fs::write(&file, &ours.0).unwrap();
    let read = client.show(&file);
    for key in [
        "info_hash_v1",
        "info_hash_v2",
        "files",
        "name",
        "piece_length",
    ] {
        assert_eq!(read[key], said[key], "{key} of {}", path.display());
    }
}

#[test]
fn v1_equals_libtorrent() {
    equals_libtorrent("v1");
}

#[test]
fn v2_equals_libtorrent() {
    equals_libtorrent("v2");
}

#[test]
fn hybrid_equals_libtorrent() {
    equals_libtorrent("hybrid");
}

#[test]
fn options_reach_libtorrent() {
    if Tool::Libtorrent.skipped() {
        return;
    }
    let at = temporary();
    let path = at.path().join("film.mp4");
    put(&path, &noise(1, 100_000));
    for format in ["v1", "v2", "hybrid"] {
        // libtorrent takes every v2-only torrent for a folder where web seeds are concerned.
        let web_seed = match format {
            "v2" => "http://seed.example/",
            _ => "http://seed.example/film.mp4",
        };
        let more = [
            "--private",
            "-a",
            "http://one.example/announce",
            "-a",
            "udp://two.example:6969/announce",
            "-w",
            web_seed,
        ];
        let ours = ours(&path, format, PIECE, &more);
        let file = at.path().join("ours.torrent");
        std::fs::write(&file, &ours.0).unwrap();
        let read = Libtorrent::newest().show(&file);
        assert_eq!(read["private"], true, "{format}: {read}");
        assert_eq!(read["piece_length"], PIECE, "{format}: {read}");
        assert_eq!(
            read["trackers"],
            serde_json::json!([
                "http://one.example/announce",
                "udp://two.example:6969/announce"
            ]),
            "{format}: {read}"
        );
        assert_eq!(
            read["web_seeds"],
            serde_json::json!([web_seed]),
            "{format}: {read}"
        );
    }
}

#[test]
fn verify_finds_a_wrong_byte() {
    let at = temporary();
    for format in ["v1", "v2", "hybrid"] {
        for path in [
            single_files(&at.path().join(format)).pop().unwrap(),
            folders(&at.path().join(format)).remove(1),
        ] {
            let torrent = path.with_extension("ours.torrent");
            ours(&path, format, PIECE, &[]);
            let verify = || run(publisher(["verify"]).arg(&torrent).arg(&path));
            verify().success();

            let victim = if path.is_dir() {
                path.join("b/exact")
            } else {
                path.clone()
            };
            let mut bytes = std::fs::read(&victim).unwrap();
            let whole = bytes.clone();
            bytes[PIECE + 5] ^= 1;
            put(&victim, &bytes);
            let name = victim.file_name().unwrap().to_str().unwrap();
            verify().fails_naming(&[name]);

            put(&victim, &whole[..whole.len() - 1]);
            verify().fails_naming(&[name]);

            std::fs::remove_file(&victim).unwrap();
            verify().fails_naming(&[name]);

            put(&victim, &whole);
            verify().success();
        }
    }
}
