//! From clips to a site and back: deterministic, incremental, whole at any moment, and in step with the folder.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use tests::folder::{EXAMPLES, contents, copy_example, noise, put, stats, temporary};
use tests::http::{self, Response};
use tests::process::{Running, run};
use tests::published::{Published, Server, build, publisher, set_channel, state, try_state};
use tests::site::{assert_nothing_half_written, assert_whole};
use tests::wait::until;

/// Path and bytes of what the world sees: everything but the private state.
fn visible(out: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<_> = contents(out).into_iter().collect();
    all.retain(|(path, _)| path.starts_with("site/") || path.starts_with("library/"));
    all.retain(|(path, _)| !path.ends_with(".minisig"));
    all
}

#[track_caller]
fn assert_equal(one: &Path, two: &Path) {
    let (one, two) = (visible(one), visible(two));
    let names = |all: &[(String, Vec<u8>)]| all.iter().map(|(p, _)| p.clone()).collect::<Vec<_>>();
    assert_eq!(names(&one), names(&two));
    for ((path, a), (_, b)) in one.iter().zip(&two) {
        let text = |bytes: &[u8]| {
            String::from_utf8_lossy(bytes)
                .chars()
                .take(3000)
                .collect::<String>()
        };
        assert!(a == b, "{path} differs:\n{}\n---\n{}", text(a), text(b));
    }
}

/// Every torrent of the state has its file and its payload, and the hashes hold.
#[track_caller]
fn assert_payloads(out: &Path) {
    for torrent in state(out) {
        if torrent.status == "withdrawn" {
            continue;
        }
        let file = torrent.torrent_file();
        assert!([file.v1(), file.v2()[..40].to_owned()].contains(&torrent.id));
        run(publisher(["verify"])
            .arg(&torrent.torrent)
            .arg(torrent.payload()))
        .success();
    }
}

#[test]
fn examples_build_whole_sites() {
    for name in EXAMPLES {
        let folder = temporary();
        let clips = copy_example(name, folder.path());
        let out = folder.path().join("out");
        let built = build(&clips, &out).success();
        built.calm();
        assert_whole(&out);
        assert_payloads(&out);
        // The payload is what lies in the clips folder, byte for byte.
        let sources: Vec<_> = contents(&clips).into_values().collect();
        for torrent in state(&out) {
            for file in &torrent.files {
                let bytes = fs::read(torrent.data.join(file)).unwrap();
                assert!(
                    sources.contains(&bytes),
                    "{file} isn't one of the clips' files"
                );
            }
        }
    }
}

#[test]
fn feeds_have_enclosures() {
    let folder = temporary();
    let clips = copy_example("author-interviews", folder.path());
    set_channel(&clips, "seeder_url = \"https://seed.example.org/\"");
    set_channel(&clips, "base_url = \"https://video.example.org/\"");
    let out = folder.path().join("out");
    build(&clips, &out).success();
    let feed = fs::read_to_string(out.join("site/feed.xml")).unwrap();
    for torrent in state(&out) {
        let url = format!("https://seed.example.org/library/{}/", torrent.id);
        let enclosure = feed
            .split("<enclosure")
            .skip(1)
            .find(|part| part.split("/>").next().unwrap().contains(&url))
            .unwrap_or_else(|| panic!("no enclosure below {url} in {feed}"));
        let length = format!("length=\"{}\"", torrent.bytes());
        assert!(enclosure.contains(&length), "{length}: {enclosure}");
    }
    let torrents = fs::read_to_string(out.join("site/torrents.xml")).unwrap();
    for torrent in state(&out) {
        assert!(
            torrents.contains(&format!(
                "https://video.example.org/t/{}.torrent",
                torrent.id
            )),
            "{torrents}"
        );
    }
    let file = state(&out)[0].torrent_file();
    assert_eq!(
        file.announce().as_deref(),
        Some("https://seed.example.org/announce")
    );
}

#[test]
fn two_builds_are_equal() {
    for name in EXAMPLES {
        let folder = temporary();
        let clips = copy_example(name, folder.path());
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        build(&clips, &one).success();
        build(&clips, &two).success();
        assert_equal(&one, &two);
    }
}

#[test]
fn a_second_build_writes_nothing() {
    for name in EXAMPLES {
        let folder = temporary();
        let clips = copy_example(name, folder.path());
        let out = folder.path().join("out");
        build(&clips, &out).success();
        let before = stats(&out);
        build(&clips, &out).success();
        let mut changed = stats(&out);
        // Taking the lock may touch it.
        changed.retain(|path, stat| before.get(path) != Some(stat) && path != ".lock");
        assert!(changed.is_empty(), "{name}: {changed:?}");
        assert!(before.keys().all(|path| out.join(path).exists()), "{name}");
    }
}

#[test]
fn the_clips_folder_stays_as_it_was() {
    let folder = temporary();
    let clips = copy_example("test-drive", folder.path());
    let before = contents(&clips);
    build(&clips, &folder.path().join("out")).success();
    assert!(contents(&clips) == before);
}

#[test]
fn an_empty_folder_is_an_empty_site() {
    let folder = temporary();
    let clips = folder.path().join("clips");
    put(&clips.join("channel.toml"), b"title = \"Nothing yet\"\n");
    let out = folder.path().join("out");
    build(&clips, &out).success();
    assert_whole(&out);
    assert!(state(&out).is_empty());
}

#[test]
fn new_makes_a_folder_that_builds() {
    let folder = temporary();
    let clips = folder.path().join("my channel");
    run(publisher(["new"]).arg(&clips)).success();
    build(&clips, &folder.path().join("out")).success();
    // Never over somebody's work.
    let again = run(publisher(["new"]).arg(&clips));
    again.calm();
    assert_eq!(again.code, 1, "{again}");
}

/// A channel of small downloads.
fn small_channel(at: &Path, names: &[&str]) -> PathBuf {
    let clips = at.join("clips");
    put(&clips.join("channel.toml"), b"title = \"Small things\"\n");
    for (n, name) in names.iter().enumerate() {
        put(&clips.join(name), &noise(n as u64 + 1, 40_000 + n * 1000));
    }
    clips
}

/// Puts a file in place at once, as careful programs do: the linked old payload stays as it was.
fn replace(path: &Path, bytes: &[u8]) {
    let aside = path.with_file_name(".aside");
    put(&aside, bytes);
    fs::rename(aside, path).unwrap();
}

#[test]
fn killed_at_any_moment_the_site_is_whole() {
    let folder = temporary();
    let clips = small_channel(
        folder.path(),
        &[
            "one.bin",
            "two.bin",
            "three.bin",
            "four.bin",
            "five.bin",
            "six.bin",
        ],
    );
    let reference = folder.path().join("reference");
    const POINTS: usize = 8;
    let outs: Vec<_> = (0..POINTS)
        .map(|n| folder.path().join(format!("out{n}")))
        .collect();
    for out in outs.iter().chain([&reference]) {
        build(&clips, out).success();
    }
    // A new one, a changed one, one gone: all that a build does.
    for name in ["seven", "eight", "nine", "ten", "eleven", "twelve"] {
        put(
            &clips.join(format!("{name}.bin")),
            &noise(name.len() as u64 + 50, 300_000),
        );
    }
    replace(&clips.join("two.bin"), &noise(99, 70_000));
    fs::remove_file(clips.join("three.bin")).unwrap();
    let before = writes(&reference);
    build(&clips, &reference).success();
    let steps = writes(&reference).saturating_sub(before).max(POINTS);

    let mut killed = 0;
    for (n, out) in outs.iter().enumerate() {
        let start = writes(out);
        let goal = start + steps * n / POINTS;
        let mut building = Running::start(publisher(["build"]).arg(&clips).arg("--out").arg(out));
        // Progress, not time, says when: as many files as this point wants.
        while writes(out) < goal && building.is_running() {
            std::thread::yield_now();
        }
        building.signal_if_running("KILL");
        killed += usize::from(died(building.wait_for_end()));
        assert_site_usable(out);
        build(&clips, out).success();
        assert_whole(out);
        assert_payloads(out);
        assert_equal(out, &reference);
    }
    assert!(
        killed >= 2,
        "only {killed} of {POINTS} builds were killed before they ended"
    );
}

fn died(status: ExitStatus) -> bool {
    status.code().is_none()
}

/// Files below a folder while somebody works in it.
fn writes(out: &Path) -> usize {
    let mut count = 0;
    let mut waiting = vec![out.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => waiting.push(entry.path()),
                Ok(_) => count += 1,
                Err(_) => {}
            }
        }
    }
    count
}

/// Links lead somewhere and what the state lists is there; temporary files may lie about after a kill.
#[track_caller]
fn assert_site_usable(out: &Path) {
    tests::site::assert_links(out);
    assert_payloads(out);
}

fn announce(server: &Server, id: &str) -> Response {
    let hash: String = id
        .as_bytes()
        .chunks(2)
        .map(|pair| format!("%{}", String::from_utf8_lossy(pair)))
        .collect();
    http::get(&server.url(&format!(
        "announce?info_hash={hash}&peer_id=-XX0000-abcdefghijkl&port=7001&left=1&compact=1"
    )))
}

fn is_tracked(server: &Server, id: &str) -> Result<(), String> {
    let text = announce(server, id).text();
    if text.contains("failure reason") {
        return Err(text);
    }
    Ok(())
}

/// The public torrent of a release whose page, `.torrent`, payload and announce all answer.
fn is_published(server: &Server, slug: &str) -> Result<Published, String> {
    let torrents = try_state(&server.out)?;
    let torrent = torrents
        .into_iter()
        .find(|t| t.slug == slug && t.status == "public")
        .ok_or_else(|| format!("{slug} isn't in the state"))?;
    let page = http::get(&server.url(&format!("r/{slug}/")));
    if page.status != 200 || !page.text().contains(&torrent.id) {
        return Err(format!("the page of {slug}: {}", page.status));
    }
    let file = http::get(&server.url(&format!("t/{}.torrent", torrent.id)));
    if file.status != 200 {
        return Err(format!("the torrent of {slug}: {}", file.status));
    }
    let url = format!("library/{}/{}", torrent.id, torrent.files[0]);
    let payload = http::get(&server.url(&url));
    if payload.status != 200
        || payload.body != tests::folder::get(&torrent.data.join(&torrent.files[0]))
    {
        return Err(format!("{url}: {}", payload.status));
    }
    if !http::get(&server.http)
        .text()
        .contains(&format!("r/{slug}/"))
    {
        return Err(format!("the index doesn't list {slug}"));
    }
    is_tracked(server, &torrent.id)?;
    Ok(torrent)
}

#[test]
fn up_follows_the_folder() {
    let folder = temporary();
    let clips = small_channel(folder.path(), &["one.bin", "two.bin"]);
    let mut server = Server::up(&clips, &folder.path().join("out"), Ipv4Addr::LOCALHOST);
    follows(&mut server, &clips);
    assert_eq!(server.process.stop("INT"), 0, "Ctrl-C ends it cleanly");
}

#[test]
fn watch_and_serve_follow_the_folder() {
    let folder = temporary();
    let clips = small_channel(folder.path(), &["one.bin", "two.bin"]);
    let out = folder.path().join("out");
    build(&clips, &out).success();
    let mut server = Server::serve(&out);
    let watch = Running::start(publisher(["watch"]).arg(&clips).arg("--out").arg(&out));
    follows(&mut server, &clips);
    assert_eq!(watch.stop("TERM"), 0);
    assert_eq!(server.process.stop("TERM"), 0);
}

fn follows(server: &mut Server, clips: &Path) {
    let one = until("the first release", || is_published(server, "one"));
    until("the second release", || is_published(server, "two"));

    put(&clips.join("three.bin"), &noise(33, 123_456));
    until("the new release", || is_published(server, "three"));
    put(
        &clips.join("three.md"),
        b"+++\ntitle = \"The third thing\"\n+++\nWords.\n",
    );
    until("the new title", || {
        let page = http::get(&server.url("r/three/")).text();
        page.contains("The third thing").then_some(()).ok_or(page)
    });

    replace(&clips.join("one.bin"), &noise(44, 60_000));
    let changed = until("the changed release", || {
        let now = is_published(server, "one")?;
        if now.id == one.id {
            return Err("still the old one".into());
        }
        Ok(now)
    });
    assert_ne!(changed.id, one.id);
    is_tracked(server, &one.id).expect("the old one is tracked for its grace");
    let old = http::get(&server.url(&format!("library/{}/one.bin", one.id))).expect(200);
    assert_eq!(old.body, noise(1, 40_000), "the old payload is as it was");

    let two = is_published(server, "two").unwrap();
    fs::remove_file(clips.join("two.bin")).unwrap();
    until("the removed release to go", || {
        let page = http::get(&server.url("r/two/")).status;
        let index = http::get(&server.http).text();
        if page != 404 || index.contains("r/two/") {
            return Err(format!("page {page}"));
        }
        Ok(())
    });
    is_tracked(server, &two.id).expect("the removed one is tracked for its grace");
    until("all is still there", || is_published(server, "three"));
    assert!(server.process.is_running());
    assert_nothing_half_written(&server.out);
}

#[test]
fn a_clip_edited_in_place_is_never_served_wrong() {
    let folder = temporary();
    let clips = small_channel(folder.path(), &["one.bin", "two.bin"]);
    let server = Server::up(&clips, &folder.path().join("out"), Ipv4Addr::LOCALHOST);
    let old = until("the first release", || is_published(&server, "one"));
    let bytes = noise(1, 40_000);
    // The same inode that the library links to.
    put(&clips.join("one.bin"), &noise(77, 50_000));
    until("the changed release", || {
        let now = is_published(&server, "one")?;
        if now.id == old.id {
            return Err("still the old one".into());
        }
        Ok(())
    });
    let answer = http::get(&server.url(&format!("library/{}/one.bin", old.id)));
    assert!(
        answer.status != 200 || answer.body == bytes,
        "other bytes under an address that never changes: {}",
        answer.status
    );
    is_published(&server, "two").unwrap();
}
