//! Our tracker and the clients of others: each announces and scrapes over each protocol that it speaks, and is content. What
//! peers they then meet is the subject of the modules named after them.

use serde_json::Value;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use tests::clients::libtorrent::Libtorrent;
use tests::clients::trackers::npm_client;
use tests::clients::transmission::Transmission;
use tests::folder::{noise, put, temporary};
use tests::process::{Running, run};
use tests::programs::Tool;
use tests::published::{publisher, seeder};
use tests::torrent::TorrentFile;

/// A torrent, served by us, and where our tracker is.
struct Tracked {
    folder: tempfile::TempDir,
    ready: Value,
    _seeder: Running,
}

impl Tracked {
    fn start(address: Ipv4Addr) -> Self {
        let folder = temporary();
        let torrent = torrent(folder.path(), "plain.torrent", &[]);
        let mut command = seeder(["serve", "--json"]);
        command
            .arg(torrent)
            .arg("--data")
            .arg(folder.path().join("data"));
        let ports = ["--peer-port", "--udp-tracker-port", "--webrtc-port"];
        command.args(ports.map(|port| format!("{port}=0")));
        command.args(["--bind", &address.to_string()]);
        command.args(["--http", &format!("{address}:0")]);
        let mut seeder = Running::start(&mut command);
        let ready = seeder.wait_event("ready");
        Self {
            folder,
            ready,
            _seeder: seeder,
        }
    }

    fn url(&self, protocol: &str) -> String {
        let text = |key: &str| self.ready[key].as_str().expect(key).to_owned();
        match protocol {
            "udp" => format!("udp://{}/announce", text("udp_tracker")),
            "ws" => text("http").replacen("http", "ws", 1) + "announce",
            _ => text("http") + "announce",
        }
    }

    /// The torrent, naming our tracker over this protocol and nothing else.
    fn torrent(&self, protocol: &str) -> PathBuf {
        let url = self.url(protocol);
        torrent(
            self.folder.path(),
            &format!("{protocol}.torrent"),
            &["-a", &url],
        )
    }
}

fn torrent(folder: &Path, name: &str, more: &[&str]) -> PathBuf {
    let data = folder.join("data/noise.bin");
    if !data.exists() {
        put(&data, &noise(1, 300_000));
    }
    let torrent = folder.join(name);
    let mut command = publisher(["torrent", "-o"]);
    run(command.arg(&torrent).args(more).arg(data)).success();
    torrent
}

#[test]
fn libtorrent_announces_and_scrapes() {
    if Tool::Libtorrent.skipped() {
        return;
    }
    let tracked = Tracked::start(Ipv4Addr::LOCALHOST);
    for client in [Libtorrent::debian(), Libtorrent::newest()] {
        for protocol in ["http", "udp"] {
            let save = tracked.folder.path().join("save");
            let told = client.ask_tracker(&tracked.torrent(protocol), &save);
            // Ours, and itself.
            assert!(told["peers"].as_u64() >= Some(1), "{protocol}: {told}");
            assert_eq!(told["complete"], 1, "{protocol}: {told}");
            assert!(told["incomplete"].as_u64() >= Some(1), "{protocol}: {told}");
        }
    }
}

#[test]
fn transmission_announces_and_scrapes() {
    if Tool::Transmission.skipped() {
        return;
    }
    for protocol in ["http", "udp"] {
        let folder = temporary();
        let client = Transmission::start(folder.path());
        let tracked = Tracked::start(client.space.outside);
        let file = TorrentFile::read(&tracked.torrent(protocol));
        let told = client.ask_tracker(&file.0);
        for answered in ["lastAnnounceSucceeded", "lastScrapeSucceeded"] {
            assert_eq!(told[answered], true, "{protocol}: {told}");
        }
        assert_eq!(told["seederCount"], 1, "{protocol}: {told}");
    }
}

#[test]
fn the_npm_client_announces_scrapes_and_leaves() {
    if Tool::BittorrentTracker.skipped() {
        return;
    }
    let tracked = Tracked::start(Ipv4Addr::LOCALHOST);
    let hash = TorrentFile::read(&tracked.torrent("http")).v1();
    let peer = tracked.ready["peer"][0]
        .as_str()
        .expect("where peers are taken");
    for (protocol, port) in [("http", 7001), ("udp", 7002), ("ws", 7003)] {
        let told = npm_client(&tracked.url(protocol), &hash, port);
        assert_eq!(
            told["complaints"],
            Value::Array(Vec::new()),
            "{protocol}: {told}"
        );
        for answer in ["announced", "scraped"] {
            assert_eq!(told[answer]["complete"], 1, "{protocol}: {told}");
            // Who was there before has left.
            assert_eq!(told[answer]["incomplete"], 1, "{protocol}: {told}");
        }
        if protocol != "ws" {
            assert_eq!(
                told["peers"],
                serde_json::json!([peer]),
                "{protocol}: {told}"
            );
        }
    }
}
