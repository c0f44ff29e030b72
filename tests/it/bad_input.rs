//! Whatever is thrown at the programs: one clear line that names the thing, exit code 1, no panic, nothing half-written,
//! and everything else is published all the same.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use tests::folder::{noise, put, temporary};
use tests::http;
use tests::process::{Finished, run};
use tests::programs::Tool;
use tests::published::{Server, build, publisher, seeder, state};
use tests::sandbox::{with_read_only, with_small_disk};
use tests::site::assert_whole;
use tests::wait::until;

/// A channel with one release that nothing is wrong with.
fn channel(at: &Path) -> PathBuf {
    let clips = at.join("clips");
    put(&clips.join("channel.toml"), b"title = \"Trouble\"\n");
    put(&clips.join("good.bin"), &noise(1, 50_000));
    clips
}

/// Builds, expects one bad release named by one line, and the good one published in a whole site.
#[track_caller]
fn check_one_bad(clips: &Path, out: &Path, words: &[&str]) -> Finished {
    let built = build(clips, out).fails_naming(words);
    assert_good_is_published(out);
    built
}

#[track_caller]
fn assert_good_is_published(out: &Path) {
    assert_whole(out);
    let slugs: Vec<_> = state(out).into_iter().map(|t| t.slug).collect();
    assert!(
        slugs.iter().any(|s| s == "good"),
        "good is published: {slugs:?}"
    );
}

#[test]
fn an_empty_clip() {
    let at = temporary();
    let clips = channel(at.path());
    put(&clips.join("nothing.mp4"), b"");
    check_one_bad(&clips, &at.path().join("out"), &["nothing.mp4", "0 bytes"]);
}

#[test]
fn an_empty_folder_and_one_of_empty_files() {
    let at = temporary();
    let clips = channel(at.path());
    fs::create_dir(clips.join("hollow")).unwrap();
    put(&clips.join("husks/a.bin"), b"");
    let built = build(&clips, &at.path().join("out"));
    built.calm();
    assert!(built.code <= 1, "{built}");
    assert!(built.stderr.contains("husks"), "{built}");
    assert_good_is_published(&at.path().join("out"));
}

#[test]
fn links_that_lead_nowhere_or_in_circles() {
    let at = temporary();
    let clips = channel(at.path());
    std::os::unix::fs::symlink("/nowhere/at-all.mp4", clips.join("dangling.mp4")).unwrap();
    std::os::unix::fs::symlink("circle.mp4", clips.join("circle.mp4")).unwrap();
    std::os::unix::fs::symlink("..", clips.join("upwards")).unwrap();
    let built = build(&clips, &at.path().join("out"));
    built.calm();
    assert!(built.stderr.contains("dangling.mp4"), "{built}");
    assert!(built.stderr.contains("circle.mp4"), "{built}");
    assert_good_is_published(&at.path().join("out"));
}

#[test]
fn what_is_no_file_at_all() {
    let at = temporary();
    let clips = channel(at.path());
    // Opening a pipe that nobody writes to would wait for ever.
    run(std::process::Command::new("mkfifo").arg(clips.join("pipe.mp4"))).success();
    let _socket = std::os::unix::net::UnixListener::bind(clips.join("socket.mp4")).unwrap();
    let built = build(&clips, &at.path().join("out"));
    built.calm();
    assert!(built.code <= 1, "{built}");
    assert_good_is_published(&at.path().join("out"));
}

#[test]
fn a_clip_that_is_none() {
    let at = temporary();
    let clips = channel(at.path());
    put(&clips.join("noise.mp4"), &noise(3, 100_000));
    put(&clips.join("text.flac"), b"I am no music.");
    put(&clips.join("cut.mp4"), &{
        let whole =
            fs::read(tests::programs::root().join("examples/test-drive/test-drive.mp4")).unwrap();
        whole[..whole.len() / 3].to_vec()
    });
    let boxes: Vec<u8> = [0xff, 0xff, 0xff, 0xff]
        .iter()
        .chain(b"ftypisom")
        .copied()
        .collect();
    put(&clips.join("huge-box.mp4"), &boxes);
    let zero = [0, 0, 0, 0]
        .iter()
        .chain(b"moov")
        .copied()
        .collect::<Vec<u8>>();
    put(&clips.join("endless-box.mp4"), &zero.repeat(100));
    // Published as a download or refused by name, as long as it is said.
    let built = build(&clips, &at.path().join("out"));
    built.calm();
    assert!(built.code <= 1, "{built}");
    assert_good_is_published(&at.path().join("out"));
}

#[test]
fn names_that_are_traps() {
    let at = temporary();
    let clips = channel(at.path());
    let traps = [
        "esc\u{1b}[31mred.bin",
        "new\nline.bin",
        "bidi\u{202e}4pm.exe",
        "isolate\u{2066}x.bin",
        "tab\there.bin",
        "del\u{7f}.bin",
    ];
    for name in traps {
        put(&clips.join(name), &noise(2, 1000));
    }
    let out = at.path().join("out");
    let built = build(&clips, &out);
    built.calm();
    assert_eq!(built.code, 1, "{built}");
    for word in ["esc", "line.bin", "bidi", "isolate", "tab", "del"] {
        assert!(built.stderr.contains(word), "{word} is named: {built}");
    }
    assert_good_is_published(&out);
    assert_eq!(state(&out).len(), 1, "the traps aren't published");
}

#[cfg(target_os = "linux")]
#[test]
fn a_name_that_is_no_text() {
    use std::os::unix::ffi::OsStrExt;
    let at = temporary();
    let clips = channel(at.path());
    put(
        &clips.join(std::ffi::OsStr::from_bytes(b"caf\xe9.bin")),
        &noise(2, 1000),
    );
    let out = at.path().join("out");
    let built = build(&clips, &out);
    built.calm();
    assert_eq!(built.code, 1, "{built}");
    assert!(built.stderr.contains("caf"), "{built}");
    assert_good_is_published(&out);
}

/// HTML where text belongs: shown as text, never as HTML.
#[test]
fn html_in_names_and_titles() {
    let at = temporary();
    let clips = channel(at.path());
    put(
        &clips.join("channel.toml"),
        br#"title = "<script>alert('channel')</script> & \"more\""
description = "</title></script><script>alert('description')</script>"
links = [{ title = "\"><script>alert('link')</script>", url = "https://example.org/?a=1&b=%27x%27" }]
"#,
    );
    put(
        &clips.join("<img src=x onerror=alert('name')>.bin"),
        &noise(5, 2000),
    );
    put(&clips.join("quote\"'&amp;.bin"), &noise(6, 2000));
    put(&clips.join("titled.bin"), &noise(7, 2000));
    put(&clips.join("titled.md"), br#"+++
title = "</script><script>alert('title')</script>"
summary = "<b onmouseover=alert('summary')>x</b> ]]> -->"
people = ["<script>alert('people')</script>", { name = "\"><svg onload=alert('svg')>", role = "<i>" }]
tags = ["<script>alert('tag')</script>"]
licence = "</script><script>alert('licence')</script>"
+++
Text with <script>alert('markdown')</script>, <img src=x onerror=alert('image')> and
[a link](javascript:alert('href')), [another](data:text/html,<script>alert('data')</script>).

<iframe src="https://evil.example/"></iframe>
"#);
    let out = at.path().join("out");
    let built = build(&clips, &out);
    built.calm();
    assert!(
        built.code <= 1 && out.join("site/index.html").exists(),
        "{built}"
    );
    assert_good_is_published(&out);
    for (path, bytes) in tests::folder::contents(&out.join("site")) {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if path.ends_with(".html") {
            let low = text.to_lowercase();
            assert!(
                !low.contains("<script>alert"),
                "{path} has a script of a stranger"
            );
            assert!(
                !low.contains("<img src=x"),
                "{path} has an element of a stranger"
            );
            assert!(!low.contains("<svg onload"), "{path}");
            assert!(!low.contains("<iframe"), "{path}");
            assert!(!low.contains("\"javascript:"), "{path}");
            assert!(!low.contains("\"data:text"), "{path}");
            assert!(!low.contains("<b onmouseover"), "{path}");
        }
        if path.ends_with(".xml") {
            // Whether a feed is one, a parser says best; Python has one.
            let file = out.join("site").join(&path);
            run(std::process::Command::new("python3")
                .args([
                    "-c",
                    "import sys,xml.dom.minidom as m; m.parse(sys.argv[1])",
                ])
                .arg(file))
            .success();
        }
    }
    if Tool::Chromium.skipped() {
        return;
    }
    let server = Server::serve(&out);
    let seen = tests::clients::chromium::script("site.mjs", &[&server.http]);
    for visit in [&seen["with_scripts"], &seen["without_scripts"]] {
        assert_eq!(visit["problems"], serde_json::json!([]));
    }
    let headings = seen["with_scripts"]["releases"].to_string();
    assert!(
        headings.contains("</script><script>alert('title')</script>"),
        "shown as text: {headings}"
    );
}

#[test]
fn settings_that_make_no_sense() {
    for (text, words) in [
        ("title = \n", &["channel.toml"][..]),
        (
            "title = \"x\"\ncolour = \"red\"\n",
            &["channel.toml", "colour"],
        ),
        ("title = \"x\"\nformat = \"v3\"\n", &["channel.toml", "v3"]),
        (
            "title = \"x\"\n[theme]\naccent = \"red; } body { display: none\"\n",
            &["channel.toml", "accent"],
        ),
        (
            "title = \"x\"\nbase_url = \"not a url\"\n",
            &["channel.toml", "base_url"],
        ),
        (
            "title = \"x\"\nseeder_url = \"javascript:alert(1)\"\n",
            &["channel.toml", "seeder_url"],
        ),
        (
            "title = \"x\"\ngrace = \"for ever\"\n",
            &["channel.toml", "grace"],
        ),
        ("\u{0}\u{1}\u{2}", &["channel.toml"]),
    ] {
        let at = temporary();
        let clips = channel(at.path());
        put(&clips.join("channel.toml"), text.as_bytes());
        build(&clips, &at.path().join("out")).fails_naming(words);
    }
}

#[test]
fn page_text_that_makes_no_sense() {
    let at = temporary();
    let clips = channel(at.path());
    for (name, text) in [
        ("open", "+++\ntitle = \"never closed\"\n"),
        ("key", "+++\ntitel = \"x\"\n+++\n"),
        ("type", "+++\ntitle = 5\n+++\n"),
        ("date", "+++\npublished = \"yesterday\"\n+++\n"),
        ("slug", "+++\nslug = \"../../etc\"\n+++\n"),
        (
            "chapter",
            "+++\nchapters = [{ start = \"soon\", title = \"x\" }]\n+++\n",
        ),
    ] {
        put(
            &clips.join(format!("{name}.bin")),
            &noise(name.len() as u64, 500),
        );
        put(&clips.join(format!("{name}.md")), text.as_bytes());
    }
    put(&clips.join("bytes.bin"), &noise(90, 500));
    put(&clips.join("bytes.md"), b"+++\ntitle = \"\xff\xfe\"\n+++\n");
    let out = at.path().join("out");
    let built = build(&clips, &out);
    built.calm();
    assert_eq!(built.code, 1, "{built}");
    for name in [
        "open.md",
        "key.md",
        "type.md",
        "date.md",
        "slug.md",
        "chapter.md",
        "bytes.md",
    ] {
        assert!(built.stderr.contains(name), "{name} is named: {built}");
    }
    assert_good_is_published(&out);
    assert_eq!(state(&out).len(), 1);
}

#[test]
fn two_releases_with_one_name() {
    let at = temporary();
    let clips = channel(at.path());
    put(&clips.join("Same Name.bin"), &noise(4, 500));
    put(&clips.join("same-name.bin"), &noise(5, 500));
    let out = at.path().join("out");
    let built = build(&clips, &out);
    built.calm();
    assert!(built.code <= 1, "{built}");
    assert_good_is_published(&out);
    let mut slugs: Vec<_> = state(&out).into_iter().map(|t| t.slug).collect();
    let all = slugs.len();
    slugs.dedup();
    assert_eq!(slugs.len(), all, "no two releases share a page: {slugs:?}");
}

#[test]
fn equal_files_are_one_torrent_on_two_pages_or_named() {
    let at = temporary();
    let clips = channel(at.path());
    put(&clips.join("a/film.bin"), &noise(8, 5000));
    put(&clips.join("b/film.bin"), &noise(8, 5000));
    put(&clips.join("copy of good.bin"), &noise(1, 50_000));
    let out = at.path().join("out");
    let built = build(&clips, &out);
    built.calm();
    assert!(built.code <= 1, "{built}");
    assert_good_is_published(&out);
}

#[test]
fn folders_that_are_not_there_or_no_folders() {
    let at = temporary();
    let out = at.path().join("out");
    build(&at.path().join("missing"), &out).fails_naming(&["missing"]);
    let file = at.path().join("plain.txt");
    put(&file, b"x");
    build(&file, &out).fails_naming(&["plain.txt"]);
    let clips = channel(at.path());
    build(&clips, &file).fails_naming(&["plain.txt"]);
    run(
        seeder(["serve", "--http", "127.0.0.1:0", "--peer-port", "0"])
            .arg(at.path().join("missing")),
    )
    .fails_naming(&["missing"]);
}

#[test]
fn a_full_disk() {
    if Tool::Mount.skipped() {
        return;
    }
    let at = temporary();
    let clips = channel(at.path());
    put(&clips.join("too-big.bin"), &noise(9, 8 << 20));
    let out = at.path().join("disk");
    fs::create_dir(&out).unwrap();
    let mut command = publisher(["build"]);
    command.arg(&clips).arg("--out").arg(&out);
    let built = run(&mut with_small_disk(&command, &out, 4 << 20));
    let built = built.fails_naming(&["too-big.bin"]);
    assert!(
        built.stderr.contains("space"),
        "the cause is named: {built}"
    );
    assert!(
        !built.stdout.contains("LEFT "),
        "nothing half-written stays: {built}"
    );
    assert!(
        built.stdout.contains("FILE site/r/good/index.html"),
        "{built}"
    );
    assert!(!built.stdout.contains("site/r/too-big/"), "{built}");

    // Not even room for the pages.
    let built = run(&mut with_small_disk(&command, &out, 16 << 10));
    built.calm();
    assert_eq!(built.code, 1, "{built}");
    assert!(built.stderr.contains("space"), "{built}");
    assert!(!built.stdout.contains("LEFT "), "{built}");
}

#[test]
fn a_folder_that_is_read_only() {
    if Tool::Mount.skipped() {
        return;
    }
    let at = temporary();
    let clips = channel(at.path());
    let out = at.path().join("sealed");
    fs::create_dir(&out).unwrap();
    let mut command = publisher(["build"]);
    command.arg(&clips).arg("--out").arg(&out);
    run(&mut with_read_only(&command, &out)).fails_naming(&["sealed"]);
    // Clips on a read-only disk are the normal case of an archive.
    let out = at.path().join("out");
    let mut command = publisher(["build"]);
    command.arg(&clips).arg("--out").arg(&out);
    run(&mut with_read_only(&command, &clips)).success();
    assert_good_is_published(&out);
}

#[test]
fn a_taken_port() {
    let at = temporary();
    let clips = channel(at.path());
    let out = at.path().join("out");
    build(&clips, &out).success();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let http = format!("127.0.0.1:{port}");
    run(publisher(["up"])
        .arg(&clips)
        .args(["--http", &http, "--peer-port", "0"]))
    .fails_naming(&[&port, "--http"]);
    run(publisher(["up"])
        .arg(&clips)
        .args(["--http", "127.0.0.1:0", "--peer-port", &port]))
    .fails_naming(&[&port, "--peer-port"]);
    run(seeder(["serve"])
        .arg(&out)
        .args(["--http", &http, "--peer-port", "0"]))
    .fails_naming(&[&port, "--http"]);
}

#[test]
fn usage() {
    for args in [
        &["frobnicate"][..],
        &["build"],
        &["torrent"],
        &["show"],
        &["torrent", "x", "--format", "v9"],
        &["up", "clips", "--http", "not-an-address"],
        &["up", "clips", "--peer-port", "70000"],
    ] {
        let finished = run(&mut publisher(args));
        finished.calm();
        assert_eq!(finished.code, 2, "{finished}");
    }
    let at = temporary();
    let file = at.path().join("x.bin");
    put(&file, &noise(1, 100));
    for length in ["0", "1", "-5", "16383", "100000", "99999999999999999999"] {
        let option = format!("--piece-length={length}");
        let finished = run(publisher(["torrent", &option]).arg(&file));
        finished.calm();
        assert!([1, 2].contains(&finished.code), "{finished}");
        assert!(finished.stderr.contains("piece"), "{finished}");
    }
}

#[test]
fn a_broken_state_is_named() {
    let at = temporary();
    let clips = channel(at.path());
    let out = at.path().join("out");
    build(&clips, &out).success();
    let good = fs::read(out.join("state.json")).unwrap();
    for bytes in [
        &b"{"[..],
        b"[]",
        b"{\"version\": 999}",
        b"",
        &good[..good.len() / 2],
    ] {
        put(&out.join("state.json"), bytes);
        run(seeder(["serve", "--http", "127.0.0.1:0", "--peer-port", "0"]).arg(&out))
            .fails_naming(&["state.json"]);
    }
}

#[test]
fn a_payload_that_vanished_or_shrank() {
    let at = temporary();
    let clips = channel(at.path());
    put(&clips.join("second.bin"), &noise(2, 50_000));
    put(&clips.join("third.bin"), &noise(3, 50_000));
    let out = at.path().join("out");
    build(&clips, &out).success();
    let torrents = state(&out);
    let by_slug = |slug: &str| torrents.iter().find(|t| t.slug == slug).unwrap();
    fs::remove_file(by_slug("second").payload()).unwrap();
    put(&by_slug("third").payload(), &noise(3, 10));
    let mut server = Server::serve(&out);
    let url = |slug: &str| {
        let torrent = by_slug(slug);
        server.url(&format!("library/{}/{slug}.bin", torrent.id))
    };
    http::get(&url("good")).expect(200);
    for slug in ["second", "third"] {
        let answer = http::get(&url(slug));
        assert!(
            [404, 410, 500, 503].contains(&answer.status),
            "{slug}: {}",
            answer.status
        );
    }
    assert!(server.process.is_running());
    until("both to be named", || {
        let stderr = server.process.stderr();
        let named = stderr.contains("second.bin") && stderr.contains("third.bin");
        named.then_some(()).ok_or(stderr)
    });
}

#[test]
fn files_that_come_and_go() {
    let at = temporary();
    let clips = channel(at.path());
    let mut server = Server::up(&clips, &at.path().join("out"), Ipv4Addr::LOCALHOST);
    for n in 0..30 {
        let path = clips.join(format!("flicker{n}.bin"));
        put(&path, &noise(n, 300_000));
        fs::remove_file(&path).unwrap();
    }
    put(&clips.join("last.bin"), &noise(200, 1000));
    until("the one that stayed", || {
        let page = http::get(&server.url("r/last/"));
        (page.status == 200)
            .then_some(())
            .ok_or(format!("{}", page.status))
    });
    http::get(&server.url("r/good/")).expect(200);
    assert!(server.process.is_running());
    assert!(
        !server.process.stderr().contains("panicked"),
        "{}",
        server.process
    );
}
