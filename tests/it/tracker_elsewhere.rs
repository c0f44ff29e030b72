//! Trackers of others: `seeder serve` announces what it holds to the further trackers that a torrent names, a client finds
//! it there, and when it ends they are told. Its own tracker is told nothing.

use std::path::{Path, PathBuf};
use std::process::Command;
use tests::bencode::{Bencode, decode};
use tests::clients::libtorrent::Libtorrent;
use tests::clients::trackers::{Tracker, free_place};
use tests::folder::{assert_same, noise, put, temporary};
use tests::http;
use tests::process::{Running, run};
use tests::programs::Tool;
use tests::published::{publisher, seeder_at_large};
use tests::torrent::TorrentFile;
use tests::wait::until;

/// A payload, and a torrent of it that names `trackers`, each in a tier of its own.
fn torrent(folder: &Path, name: &str, trackers: &[&str]) -> PathBuf {
    let data = folder.join("data/noise.bin");
    if !data.exists() {
        put(&data, &noise(1, 500_000));
    }
    let torrent = folder.join(name);
    let mut command = publisher(["torrent", "-o"]);
    command.arg(&torrent);
    for tracker in trackers {
        command.args(["-a", tracker]);
    }
    run(command.arg(data)).success();
    torrent
}

/// A seeder that announces to further trackers, and to nobody else.
fn serve(folder: &Path, torrent: &Path) -> Command {
    let config = folder.join("seeder.toml");
    put(&config, b"further_trackers = true\n");
    let mut command = seeder_at_large(["serve", "--json", "--no-dht", "--no-lsd"]);
    command.arg(torrent).arg("--data").arg(folder.join("data"));
    command.arg("--config").arg(config).arg("--no-port-mapping");
    let ports = ["--peer-port", "--udp-tracker-port", "--webrtc-port"];
    command.args(ports.map(|port| format!("{port}=0")));
    command.args(["--bind", "127.0.0.1", "--http", "127.0.0.1:0"]);
    command
}

fn hash(torrent: &Path) -> (String, Vec<u8>) {
    let hex = TorrentFile::read(torrent).v1();
    let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
    (hex, bytes)
}

/// A tracker of others, at one of its URLs, knows of the seeder while it runs and no longer; libtorrent, which knows nothing
/// else, fetches from it.
fn is_found_by(start: impl Fn(&Path, &str) -> Tracker, url: impl Fn(&Tracker) -> String) {
    let folder = temporary();
    let path = folder.path();
    // The trackers are not part of what is hashed.
    let (hex, bytes) = hash(&torrent(path, "plain.torrent", &[]));
    let tracker = start(path, &hex);
    let torrent = torrent(path, "told.torrent", &[&url(&tracker)]);
    let begin = || {
        let mut seeder = Running::start(&mut serve(path, &torrent));
        seeder.wait_event("ready");
        knows(&tracker, &bytes, 1);
        seeder
    };
    assert_eq!(begin().stop("TERM"), 0);
    knows(&tracker, &bytes, 0);
    let _seeder = begin();
    let fetched = path.join("fetched");
    let done = Libtorrent::newest().fetch(&torrent.to_string_lossy(), &fetched);
    assert!(done.blocks_of_peers > 0, "{done:?}");
    let data = path.join("data/noise.bin");
    assert_same(&fetched.join("noise.bin"), &data, "libtorrent");
}

fn knows(tracker: &Tracker, info_hash: &[u8], seeds: u32) {
    until("the tracker knows so many seeds", || {
        match tracker.seeds(info_hash)? {
            n if n == seeds => Ok(()),
            n => Err(format!("{n}, not {seeds}")),
        }
    });
}

#[test]
fn a_client_finds_the_seeder_by_opentracker_over_udp() {
    if Tool::Opentracker.skipped() || Tool::Libtorrent.skipped() {
        return;
    }
    is_found_by(Tracker::opentracker, Tracker::udp_url);
}

#[test]
fn a_client_finds_the_seeder_by_opentracker_over_http() {
    if Tool::Opentracker.skipped() || Tool::Libtorrent.skipped() {
        return;
    }
    is_found_by(Tracker::opentracker, Tracker::http_url);
}

#[test]
fn a_client_finds_the_seeder_by_aquatic() {
    if Tool::Aquatic.skipped() || Tool::Libtorrent.skipped() {
        return;
    }
    is_found_by(|folder, _| Tracker::aquatic(folder), Tracker::udp_url);
}

#[test]
fn a_client_finds_the_seeder_by_bittorrent_tracker_over_udp() {
    if Tool::BittorrentTracker.skipped() || Tool::Libtorrent.skipped() {
        return;
    }
    is_found_by(|_, _| Tracker::npm(), Tracker::udp_url);
}

#[test]
fn a_client_finds_the_seeder_by_bittorrent_tracker_over_http() {
    if Tool::BittorrentTracker.skipped() || Tool::Libtorrent.skipped() {
        return;
    }
    is_found_by(|_, _| Tracker::npm(), Tracker::http_url);
}

#[test]
fn our_own_tracker_is_told_nothing() {
    if Tool::BittorrentTracker.skipped() {
        return;
    }
    let folder = temporary();
    let path = folder.path();
    // The same port for both.
    let place = free_place();
    let own = ["http", "udp"].map(|protocol| format!("{protocol}://{place}/announce"));
    let tracker = Tracker::npm();
    let torrent = torrent(
        path,
        "told.torrent",
        &[&own[0], &own[1], &tracker.http_url()],
    );
    let (_, bytes) = hash(&torrent);
    let mut command = seeder_at_large(["serve", "--json", "--no-dht", "--no-lsd"]);
    let config = path.join("seeder.toml");
    put(&config, b"further_trackers = true\n");
    command.arg(&torrent).arg("--data").arg(path.join("data"));
    command.arg("--config").arg(config).arg("--no-port-mapping");
    command.args([
        "--peer-port=0",
        "--webrtc-port=0",
        &format!("--udp-tracker-port={}", place.port()),
    ]);
    command.args(["--bind", &place.ip().to_string()]);
    command.args(["--http", &place.to_string()]);
    let mut seeder = Running::start(&mut command);
    let ready = seeder.wait_event("ready");
    // Those of the first tiers have had their turn by then: they are due in order.
    knows(&tracker, &bytes, 1);
    let status = run(&mut seeder_at_large(["status", "--json"])).success();
    let counters = &status.json()[0]["counters"];
    for counter in ["announces", "udp_tracker_announces"] {
        assert_eq!(counters[counter], 0, "{counters}");
    }
    let http = ready["http"].as_str().unwrap();
    let escaped: String = bytes.iter().map(|byte| format!("%{byte:02x}")).collect();
    let answer = http::get(&format!("{http}scrape?info_hash={escaped}")).expect(200);
    let value = decode(&answer.body);
    let Some(Bencode::Dict(files)) = value.get("files") else {
        panic!("{value:?}")
    };
    let complete = files[0].1.get("complete").and_then(Bencode::int);
    assert_eq!(complete, Some(1), "the seeder itself, once: {value:?}");
    assert_eq!(seeder.stop("TERM"), 0);
}
