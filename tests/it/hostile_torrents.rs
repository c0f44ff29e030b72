//! Torrents and magnet links made to hurt: `publisher show` and `verify` refuse them in one line, `seeder serve` leaves them
//! out and serves the rest.

use tests::bencode::Bencode;
use tests::folder::{noise, put, temporary};
use tests::process::run;
use tests::published::{Server, publisher, seeder};

/// A v1 torrent with one thing changed.
fn torrent_with(name: &[u8], paths: Option<&[&[&[u8]]]>) -> Vec<u8> {
    let mut info = vec![
        (b"name".to_vec(), Bencode::Bytes(name.to_vec())),
        (b"piece length".to_vec(), Bencode::Int(16384)),
        (b"pieces".to_vec(), Bencode::Bytes(vec![7; 20])),
    ];
    match paths {
        None => info.insert(0, (b"length".to_vec(), Bencode::Int(100))),
        Some(paths) => {
            let files = paths
                .iter()
                .map(|path| {
                    let parts = path.iter().map(|p| Bencode::Bytes(p.to_vec())).collect();
                    Bencode::dict([
                        ("length", Bencode::Int(100)),
                        ("path", Bencode::List(parts)),
                    ])
                })
                .collect();
            info.insert(0, (b"files".to_vec(), Bencode::List(files)));
        }
    }
    Bencode::dict([("info", Bencode::Dict(info))]).encode()
}

/// Bytes that are no torrent, or a treacherous one.
fn malformed() -> Vec<(String, Vec<u8>)> {
    let info = |text: &str| format!("d4:info{text}e").into_bytes();
    let mut all: Vec<(String, Vec<u8>)> = vec![
        ("empty".into(), vec![]),
        ("text".into(), b"Hello, I am a web page".to_vec()),
        ("nul".into(), vec![0; 1000]),
        ("deep-lists".into(), vec![b'l'; 1 << 20]),
        ("deep-dicts".into(), b"d1:a".repeat(200_000)),
        ("huge-string".into(), b"d4:info99999999999:x".to_vec()),
        (
            "huge-number".into(),
            info(
                "d6:lengthi999999999999999999999999999e4:name1:x12:piece lengthi16384e6:pieces0:e",
            ),
        ),
        ("negative-string".into(), b"d4:info-5:xe".to_vec()),
        (
            "negative-length".into(),
            info("d6:lengthi-1e4:name1:x12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaae"),
        ),
        (
            "negative-zero".into(),
            info("d6:lengthi-0e4:name1:x12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaae"),
        ),
        (
            "leading-zero".into(),
            info("d6:lengthi0100e4:name1:x12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaae"),
        ),
        (
            "truncated".into(),
            b"d4:infod6:lengthi100e4:name1:x12:piece lengthi1638".to_vec(),
        ),
        ("no-info".into(), b"d8:announce3:abce".to_vec()),
        ("info-is-list".into(), b"d4:infolee".to_vec()),
        (
            "zero-piece-length".into(),
            info("d6:lengthi100e4:name1:x12:piece lengthi0e6:pieces20:aaaaaaaaaaaaaaaaaaaae"),
        ),
        (
            "negative-piece-length".into(),
            info("d6:lengthi100e4:name1:x12:piece lengthi-16384e6:pieces20:aaaaaaaaaaaaaaaaaaaae"),
        ),
        (
            "odd-pieces".into(),
            info("d6:lengthi100e4:name1:x12:piece lengthi16384e6:pieces19:aaaaaaaaaaaaaaaaaaae"),
        ),
        (
            "too-few-pieces".into(),
            info(
                "d6:lengthi1000000e4:name1:x12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaae",
            ),
        ),
        (
            "too-many-pieces".into(),
            info(
                "d6:lengthi100e4:name1:x12:piece lengthi16384e6:pieces40:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaae",
            ),
        ),
        (
            "sum-overflows".into(),
            info(
                "d5:filesld6:lengthi9223372036854775807e4:pathl1:aeed6:lengthi9223372036854775807e4:pathl1:beee4:name1:x12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaae",
            ),
        ),
        (
            "petabytes".into(),
            info(
                "d6:lengthi9223372036854775807e4:name1:x12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaae",
            ),
        ),
        (
            "empty-v2-tree".into(),
            info("d9:file treede12:meta versioni2e4:name1:x12:piece lengthi16384ee"),
        ),
        (
            "v2-bad-root".into(),
            info(
                "d9:file treed1:xd0:d6:lengthi100e11:pieces root3:abceee12:meta versioni2e4:name1:x12:piece lengthi16384ee",
            ),
        ),
        (
            "meta-version-9".into(),
            info(
                "d9:file treed1:xd0:d6:lengthi0eeee12:meta versioni9e4:name1:x12:piece lengthi16384ee",
            ),
        ),
    ];
    type Paths = &'static [&'static [&'static [u8]]];
    let paths: [(&str, &[u8], Option<Paths>); 12] = [
        ("name-up", b"..", None),
        ("name-here", b".", None),
        ("name-empty", b"", None),
        ("name-slash", b"../../etc/passwd", None),
        ("name-root", b"/etc/passwd", None),
        ("name-nul", b"a\0b", None),
        ("path-up", b"x", Some(&[&[b"..", b"..", b"etc", b"passwd"]])),
        ("path-slash", b"x", Some(&[&[b"../../etc/passwd"]])),
        ("path-empty", b"x", Some(&[&[]])),
        ("path-nul", b"x", Some(&[&[b"a\0b"]])),
        ("path-twice", b"x", Some(&[&[b"a"], &[b"a"]])),
        (
            "path-file-and-folder",
            b"x",
            Some(&[&[b"a"], &[b"a", b"b"]]),
        ),
    ];
    for (what, name, paths) in paths {
        all.push((what.into(), torrent_with(name, paths)));
    }
    all
}

/// Not what a publisher makes, but shown where other clients take it: as long as nothing of it reaches the terminal raw.
fn doubtful() -> Vec<(String, Vec<u8>)> {
    let info = |text: &str| format!("d4:info{text}e").into_bytes();
    let mut all = vec![
        (
            "unsorted".into(),
            info("d4:name1:x6:lengthi100e12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaae"),
        ),
        (
            "duplicate-keys".into(),
            info(
                "d6:lengthi100e6:lengthi200e4:name1:x12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaae",
            ),
        ),
        (
            "trailing".into(),
            [torrent_with(b"x", None), b"more".to_vec()].concat(),
        ),
        (
            "announce-number".into(),
            [b"d8:announcei5e".as_slice(), &torrent_with(b"x", None)[1..]].concat(),
        ),
        (
            "announce-bytes".into(),
            [
                b"d8:announce4:\xff\xfe\x1b[".as_slice(),
                &torrent_with(b"x", None)[1..],
            ]
            .concat(),
        ),
    ];
    for (what, name) in [
        ("name-control", "a\u{1b}[31mb"),
        ("name-newline", "a\nb"),
        ("name-bidi", "a\u{202e}gpj.exe"),
        ("name-html", "</script><script>alert(1)</script>"),
        ("name-device", "CON"),
    ] {
        all.push((what.into(), torrent_with(name.as_bytes(), None)));
    }
    all.push(("name-no-text".into(), torrent_with(b"caf\xe9", None)));
    all.push(("name-long".into(), torrent_with(&[b'x'; 5000], None)));
    all
}

#[test]
fn malformed_torrents() {
    let at = temporary();
    let payload = at.path().join("x");
    put(&payload, &noise(1, 100));
    for (what, bytes) in malformed() {
        let file = format!("{what}.torrent");
        let path = at.path().join(&file);
        put(&path, &bytes);
        run(publisher(["show"]).arg(&path)).fails_naming(&[&file]);
        run(publisher(["show", "--json"]).arg(&path)).fails_naming(&[&file]);
        run(publisher(["verify"]).arg(&path).arg(&payload)).fails_naming(&[&file]);
    }
    for (what, bytes) in doubtful() {
        let path = at.path().join(format!("{what}.torrent"));
        put(&path, &bytes);
        for shown in [
            run(publisher(["show"]).arg(&path)),
            run(publisher(["show", "--json"]).arg(&path)),
        ] {
            shown.calm();
            assert!(shown.code <= 1, "{shown}");
        }
    }
    let missing = at.path().join("missing.torrent");
    run(publisher(["show"]).arg(&missing)).fails_naming(&["missing.torrent"]);
    run(publisher(["show"]).arg(at.path())).fails_naming(&[at.path().to_str().unwrap()]);
}

#[test]
fn malformed_magnets() {
    let hash = "0123456789abcdef0123456789abcdef01234567";
    for magnet in [
        "magnet:",
        "magnet:?",
        "magnet:?dn=nothing",
        "magnet:?xt=urn:btih:",
        "magnet:?xt=urn:btih:abc",
        "magnet:?xt=urn:btih:zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
        "magnet:?xt=urn:btmh:1220abcd",
        "magnet:?xt=urn:sha1:0123456789abcdef0123456789abcdef01234567",
        "magnet:?xt=%zz",
    ] {
        let shown = run(&mut publisher(["show", magnet]));
        shown.calm();
        assert!(
            shown.code == 1 && shown.stderr.contains("magnet"),
            "{shown}"
        );
    }
    // Odd extras don't spoil the hash.
    for extra in [
        "&dn=%1b%5b31m%e2%80%ae%00",
        "&dn=</script><script>alert(1)</script>",
        "&tr=not%20a%20url&tr=javascript:alert(1)",
        "&x.pe=999.999.999.999:99999&x.pe=[::1",
        "&&&=&=x&y",
        "&ws=%ff%fe",
        &"&tr=http://t.example/a".repeat(2000),
    ] {
        let shown = run(&mut publisher([
            "show",
            &format!("magnet:?xt=urn:btih:{hash}{extra}"),
        ]));
        shown.calm();
        assert!(shown.code <= 1, "{shown}");
        assert!(shown.code == 1 || shown.stdout.contains(hash), "{shown}");
    }
}

#[test]
fn the_seeder_serves_good_torrents_beside_bad_ones() {
    let at = temporary();
    let data = at.path().join("data");
    put(&data.join("good.bin"), &noise(1, 50_000));
    let good = at.path().join("good.torrent");
    run(publisher(["torrent"])
        .arg(data.join("good.bin"))
        .arg("-o")
        .arg(&good))
    .success();
    let mut command = seeder(["serve"]);
    command.arg(&good);
    let mut bad = Vec::new();
    for (what, bytes) in malformed() {
        let path = at.path().join(format!("{what}.torrent"));
        put(&path, &bytes);
        command.arg(&path);
        bad.push(format!("{what}.torrent"));
    }
    command
        .arg("--data")
        .arg(&data)
        .args(["--http", "127.0.0.1:0", "--peer-port", "0", "--json"]);
    let mut server = Server::start(&mut command, &data);
    assert_eq!(server.ready["torrents"], 1, "{}", server.ready);
    tests::wait::until("every bad one to be named", || {
        let stderr = server.process.stderr();
        let unnamed = bad.iter().find(|name| !stderr.contains(name.as_str()));
        unnamed.map_or(Ok(()), |name| Err(format!("{name}: {stderr}")))
    });
    let stderr = server.process.stderr();
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert!(server.process.is_running());
}
