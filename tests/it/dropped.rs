//! The folder as people use it: slow copies, renames, edits, removals, vanished disks, dates to come.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use tests::folder::{noise, put, temporary};
use tests::http;
use tests::process::{Running, run};
use tests::programs::root;
use tests::published::{Published, Server, build, publisher, state, try_state};
use tests::site::assert_whole;
use tests::wait::until;

/// A channel with one clip that is there from the start.
fn channel(at: &Path) -> PathBuf {
    let clips = at.join("clips");
    put(&clips.join("channel.toml"), b"title = \"Dropped\"\n");
    put(&clips.join("first.bin"), &noise(1, 40_000));
    clips
}

/// A whole MP4 file; `seed` makes it another one of about `size` bytes.
fn movie(seed: u64, size: usize) -> Vec<u8> {
    let mut bytes = fs::read(root().join("examples/test-drive/test-drive.mp4")).unwrap();
    let rest = size.saturating_sub(bytes.len()).max(16);
    bytes.extend(u32::try_from(rest).unwrap().to_be_bytes());
    bytes.extend(b"free");
    bytes.extend(noise(seed, rest - 8));
    bytes
}

fn up(clips: &Path) -> Server {
    let out = clips.parent().unwrap().join("out");
    Server::up(clips, &out, Ipv4Addr::LOCALHOST)
}

/// The torrents of a release, whatever their status.
fn torrents_of(server: &Server, slug: &str) -> Vec<Published> {
    let mut all = try_state(&server.out).unwrap_or_default();
    all.retain(|torrent| torrent.slug == slug);
    all
}

fn is_shown(server: &Server, slug: &str) -> Result<Published, String> {
    let torrent = torrents_of(server, slug)
        .into_iter()
        .find(|torrent| torrent.status == "public")
        .ok_or_else(|| format!("{slug} isn't in the state"))?;
    let page = http::get(&server.url(&format!("r/{slug}/")));
    if page.status != 200 || !page.text().contains(&torrent.id) {
        return Err(format!("the page of {slug}: {}", page.status));
    }
    Ok(torrent)
}

/// Drops another release and waits until it is served: whatever was ripe before has been looked at since.
#[track_caller]
fn let_it_look(server: &Server, clips: &Path, name: &str) {
    put(
        &clips.join(format!("{name}.bin")),
        &noise(name.len() as u64, 9000),
    );
    until(name, || is_shown(server, name));
}

/// What was never whole must never have been published: the release has one torrent, of all its bytes.
#[track_caller]
fn assert_published_once(server: &Server, slug: &str, bytes: &[u8]) {
    let torrent = until("the whole clip", || is_shown(server, slug));
    assert!(fs::read(torrent.payload()).unwrap() == bytes);
    let all = torrents_of(server, slug);
    assert_eq!(all.len(), 1, "published early: {all:?}");
}

#[test]
fn a_copy_that_pauses_is_published_when_it_is_done() {
    let at = temporary();
    let clips = channel(at.path());
    let server = up(&clips);
    let bytes = movie(5, 9_000_000);
    let mut copy = File::create(clips.join("slow.mp4")).unwrap();
    for (n, part) in bytes.chunks(bytes.len() / 3 + 1).enumerate() {
        copy.write_all(part).unwrap();
        copy.flush().unwrap();
        let_it_look(&server, &clips, &format!("between-{n}"));
        assert!(torrents_of(&server, "slow").is_empty(), "after part {n}");
    }
    drop(copy);
    assert_published_once(&server, "slow", &bytes);
}

#[test]
fn a_copy_that_opens_and_closes_for_each_part_is_published_when_it_is_whole() {
    let at = temporary();
    let clips = channel(at.path());
    let server = up(&clips);
    let bytes = movie(6, 9_000_000);
    let path = clips.join("parts.mp4");
    // Cut inside the samples, and inside the last box.
    let cuts = [bytes.len() / 4, bytes.len() - 1000];
    let mut from = 0;
    for cut in cuts {
        let mut copy = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .unwrap();
        copy.write_all(&bytes[from..cut]).unwrap();
        drop(copy);
        from = cut;
        let_it_look(&server, &clips, &format!("between-{cut}"));
        assert!(torrents_of(&server, "parts").is_empty(), "up to {cut}");
    }
    let mut copy = OpenOptions::new().append(true).open(&path).unwrap();
    copy.write_all(&bytes[from..]).unwrap();
    drop(copy);
    assert_published_once(&server, "parts", &bytes);
}

#[test]
fn a_file_of_full_size_from_the_start_is_published_when_it_is_filled() {
    use std::os::unix::fs::FileExt;
    let at = temporary();
    let clips = channel(at.path());
    let server = up(&clips);
    let bytes = movie(7, 9_000_000);
    let copy = File::create(clips.join("filled.mp4")).unwrap();
    copy.set_len(bytes.len() as u64).unwrap();
    let half = bytes.len() / 2;
    copy.write_all_at(&bytes[half..], half as u64).unwrap();
    let_it_look(&server, &clips, "between");
    assert!(torrents_of(&server, "filled").is_empty());
    copy.write_all_at(&bytes[..half], 0).unwrap();
    drop(copy);
    assert_published_once(&server, "filled", &bytes);
}

#[test]
fn a_folder_is_published_when_its_last_file_is_closed() {
    let at = temporary();
    let clips = channel(at.path());
    let server = up(&clips);
    let folder = clips.join("pack");
    put(&folder.join("one.bin"), &noise(11, 50_000));
    let mut last = File::create(folder.join("two.bin")).unwrap();
    last.write_all(&noise(12, 30_000)).unwrap();
    let_it_look(&server, &clips, "between");
    assert!(torrents_of(&server, "pack").is_empty());
    last.write_all(&noise(13, 30_000)).unwrap();
    drop(last);
    let torrent = until("the folder", || is_shown(&server, "pack"));
    assert_eq!(torrent.bytes(), 110_000);
    assert_eq!(torrents_of(&server, "pack").len(), 1);
}

#[test]
fn a_rename_keeps_the_torrent_and_leads_to_the_new_page() {
    let at = temporary();
    let clips = channel(at.path());
    put(&clips.join("keep.bin"), &noise(2, 9000));
    put(
        &clips.join("first.md"),
        b"+++\ntitle = \"The first\"\n+++\nIts text.\n",
    );
    let server = up(&clips);
    let before = until("the release", || is_shown(&server, "first"));
    fs::rename(clips.join("first.bin"), clips.join("second.bin")).unwrap();
    fs::rename(clips.join("first.md"), clips.join("second.md")).unwrap();
    let after = until("the new page", || is_shown(&server, "second"));
    assert_eq!(before.id, after.id, "the same bytes, the same torrent");
    let old = until("the way from the old page", || {
        let page = http::get(&server.url("r/first/"));
        let text = page.text();
        (page.status == 200 && text.contains("second/") && text.contains("refresh"))
            .then_some(text)
            .ok_or(format!("{}", page.status))
    });
    assert!(!old.contains(&before.id), "no second page of it: {old}");
    let all: Vec<_> = state(&server.out);
    assert!(
        all.iter().all(|t| t.status == "public"),
        "nothing is in grace: {all:?}"
    );
    let index = http::get(&server.http).text();
    assert!(
        index.contains("r/second/") && !index.contains("r/first/"),
        "{index}"
    );
    assert_whole(&server.out);
    // A later build knows it as well.
    drop(server);
    let out = at.path().join("out");
    build(&clips, &out).success();
    assert!(out.join("site/r/first/index.html").is_file());
    assert_eq!(state(&out).len(), 2);
}

#[test]
fn most_of_a_channel_never_goes_by_itself() {
    let at = temporary();
    let clips = at.path().join("clips");
    put(&clips.join("channel.toml"), b"title = \"Many\"\n");
    for n in 0..6 {
        put(&clips.join(format!("clip-{n}.bin")), &noise(n + 1, 9000));
    }
    let out = at.path().join("out");
    build(&clips, &out).success();
    for n in 0..4 {
        fs::remove_file(clips.join(format!("clip-{n}.bin"))).unwrap();
    }
    let warned = build(&clips, &out);
    warned.calm();
    assert!(warned.stderr.contains("--allow-removals"), "{warned}");
    assert_eq!(
        state(&out).iter().filter(|t| t.status == "public").count(),
        6
    );
    assert!(out.join("site/r/clip-0/index.html").is_file());
    assert_whole(&out);
    // A disk that went away, with the folder or as an empty mount point.
    let aside = at.path().join("aside");
    fs::rename(&clips, &aside).unwrap();
    let gone = build(&clips, &out);
    gone.calm();
    assert_eq!(gone.code, 1, "{gone}");
    fs::create_dir(&clips).unwrap();
    build(&clips, &out).calm();
    assert_eq!(
        state(&out).iter().filter(|t| t.status == "public").count(),
        6
    );
    fs::remove_dir(&clips).unwrap();
    fs::rename(&aside, &clips).unwrap();
    // Meant.
    run(publisher(["build", "--allow-removals"])
        .arg(&clips)
        .arg("--out")
        .arg(&out))
    .success();
    assert_eq!(
        state(&out).iter().filter(|t| t.status == "public").count(),
        2
    );
    assert!(!out.join("site/r/clip-0/index.html").exists());
    assert_whole(&out);
}

#[test]
fn a_folder_that_goes_and_comes_back_under_watch_loses_nothing() {
    let at = temporary();
    let clips = channel(at.path());
    put(&clips.join("keep.bin"), &noise(2, 9000));
    let mut server = up(&clips);
    let first = until("the release", || is_shown(&server, "first"));
    let aside = at.path().join("aside");
    fs::rename(&clips, &aside).unwrap();
    // It says so; that line is what is waited for.
    until("the warning", || {
        let told = server.process.stderr();
        told.contains("clips").then_some(()).ok_or(told)
    });
    assert_eq!(is_shown(&server, "first").unwrap().id, first.id);
    fs::rename(&aside, &clips).unwrap();
    let_it_look(&server, &clips, "back");
    assert_eq!(is_shown(&server, "first").unwrap().id, first.id);
    assert!(server.process.is_running());
}

#[test]
fn what_is_dated_in_the_future_is_not_published_yet() {
    let at = temporary();
    let clips = channel(at.path());
    put(&clips.join("later.bin"), &noise(3, 9000));
    put(
        &clips.join("later.md"),
        b"+++\npublish_at = 2999-01-01T00:00:00Z\n+++\n",
    );
    put(&clips.join("since.bin"), &noise(4, 9000));
    put(
        &clips.join("since.md"),
        b"+++\npublish_at = 2020-01-01T00:00:00Z\n+++\n",
    );
    let out = at.path().join("out");
    build(&clips, &out).success();
    let slugs: Vec<_> = state(&out).into_iter().map(|t| t.slug).collect();
    assert_eq!(slugs.len(), 2, "{slugs:?}");
    assert!(!slugs.contains(&"later".to_owned()), "{slugs:?}");
    assert!(!out.join("site/r/later").exists());
}

#[test]
fn it_goes_live_at_its_time() {
    let at = temporary();
    let clips = channel(at.path());
    let server = up(&clips);
    until("the first release", || is_shown(&server, "first"));
    let soon =
        run(Command::new("date").args(["-u", "-d", "+4 seconds", "+%Y-%m-%dT%H:%M:%SZ"])).success();
    let text = format!("+++\npublish_at = {}\n+++\n", soon.stdout.trim());
    put(&clips.join("soon.md"), text.as_bytes());
    put(&clips.join("soon.bin"), &noise(5, 9000));
    let_it_look(&server, &clips, "between");
    until("the release at its time", || is_shown(&server, "soon"));
    let now = run(Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"])).success();
    assert!(now.stdout.trim() >= soon.stdout.trim(), "{now} {soon}");
}

#[test]
fn withdrawn_is_gone_at_once_and_stays_gone() {
    let at = temporary();
    let clips = channel(at.path());
    put(&clips.join("wrong.bin"), &noise(3, 9000));
    let server = up(&clips);
    let wrong = until("the release", || is_shown(&server, "wrong"));
    // While the publisher runs, by another process, with the folder that people know.
    run(publisher(["withdraw"])
        .arg(&clips)
        .arg("wrong")
        .arg("--out")
        .arg(&server.out))
    .success()
    .calm();
    assert_eq!(http::get(&server.url("r/wrong/")).status, 404);
    assert_eq!(
        http::get(&server.url(&format!("t/{}.torrent", wrong.id))).status,
        404
    );
    for page in ["", "feed.xml", "torrents.xml", "catalog.json", "feed.json"] {
        let text = http::get(&server.url(page)).expect(200).text();
        assert!(
            !text.contains("wrong") && !text.contains(&wrong.id),
            "{page}: {text}"
        );
    }
    until("the seeder to refuse it", || {
        let payload = http::get(&server.url(&format!("library/{}/wrong.bin", wrong.id))).status;
        let hash: String = (0..20)
            .map(|n| format!("%{}", &wrong.id[2 * n..2 * n + 2]))
            .collect();
        let announce = http::get(&server.url(&format!(
            "announce?info_hash={hash}&peer_id=-XX0000-abcdefghijkl&port=7001&left=1&compact=1"
        )))
        .text();
        (payload != 200 && announce.contains("failure reason"))
            .then_some(())
            .ok_or(format!("{payload} {announce}"))
    });
    assert!(!wrong.data.exists(), "the payload is off the disk");
    // Not by touching it, not by renaming it, not by starting again.
    fs::rename(clips.join("wrong.bin"), clips.join("wrong-again.bin")).unwrap();
    let_it_look(&server, &clips, "between");
    assert!(is_shown(&server, "wrong-again").is_err());
    let out = server.out.clone();
    drop(server);
    build(&clips, &out).calm();
    assert!(
        state(&out)
            .iter()
            .all(|t| t.id != wrong.id || t.status == "withdrawn")
    );
    assert!(!out.join("site/r/wrong/index.html").exists());
    assert!(!out.join("site/r/wrong-again/index.html").exists());
    // Taken back, from the other end.
    run(publisher(["withdraw", "--undo"]).arg(&out).arg("wrong"))
        .success()
        .calm();
    build(&clips, &out).success();
    assert!(
        state(&out)
            .iter()
            .any(|t| t.id == wrong.id && t.status == "public")
    );
}

#[test]
fn a_dry_run_tells_and_touches_nothing() {
    let at = temporary();
    let clips = channel(at.path());
    let out = at.path().join("out");
    build(&clips, &out).success();
    put(&clips.join("new.bin"), &noise(8, 9000));
    put(&clips.join("first.bin"), &noise(9, 50_000));
    let before = tests::folder::stats(&out);
    let told = run(publisher(["build", "--dry-run", "--json"])
        .arg(&clips)
        .arg("--out")
        .arg(&out))
    .success();
    assert!(
        told.stdout.contains("new") && told.stdout.contains("first"),
        "{told}"
    );
    let mut after = tests::folder::stats(&out);
    after.retain(|path, stat| before.get(path) != Some(stat) && path != ".lock");
    assert!(after.is_empty(), "{after:?}");
}

#[test]
fn two_publishers_do_not_get_into_each_other() {
    let at = temporary();
    let clips = channel(at.path());
    let out = at.path().join("out");
    let mut watch = Running::start(
        publisher(["watch", "--json"])
            .arg(&clips)
            .arg("--out")
            .arg(&out),
    );
    watch.wait_event("ready");
    build(&clips, &out).fails_naming(&["another publisher", "out"]);
    assert_eq!(watch.stop("TERM"), 0);
}
