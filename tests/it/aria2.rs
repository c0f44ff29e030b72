//! aria2 1.36 completes every example by every way. It tells nothing of where bytes came from, so the torrents and
//! links it is given leave it one way only.

use std::fs;
use tests::clients::aria2;
use tests::folder::assert_same;
use tests::programs::Tool;
use tests::published::{Example, Published};
use tests::torrent::{TorrentFile, magnet_peers_only};

/// How the bytes may come.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// `.torrent` with the tracker, no web seed.
    Peers,
    /// Magnet link with the tracker, no web seed.
    Magnet,
    /// `.torrent` with the web seed, no tracker.
    WebSeed,
    /// The `.torrent` and the magnet link as they are published.
    AsPublished,
}

fn check(example: &str, way: Way) {
    if Tool::Aria2.skipped() {
        return;
    }
    let example = Example::up(example);
    for torrent in example.server.torrents() {
        match way {
            Way::Peers => by_file(&example, &torrent, torrent.torrent_file().peers_only()),
            Way::WebSeed => by_file(&example, &torrent, torrent.torrent_file().web_seed_only()),
            Way::Magnet => {
                let magnet = magnet_peers_only(&example.server.magnet(&torrent));
                fetch(&example, &torrent, &magnet, "magnet");
            }
            Way::AsPublished => {
                by_file(&example, &torrent, torrent.torrent_file());
                let magnet = example.server.magnet(&torrent);
                fetch(&example, &torrent, &magnet, "magnet");
            }
        }
    }
}

fn by_file(example: &Example, torrent: &Published, file: TorrentFile) {
    let path = example.folder.path().join("edited.torrent");
    fs::write(&path, &file.0).unwrap();
    fetch(example, torrent, path.to_str().unwrap(), "file");
}

fn fetch(example: &Example, torrent: &Published, source: &str, way: &str) {
    let target = example.target(&format!("{}-{way}", torrent.id));
    aria2::fetch(source, &target);
    let payload = torrent.payload();
    assert_same(
        &target.join(payload.file_name().unwrap()),
        &payload,
        "aria2",
    );
}

super::for_each_example!(check;
    peers: Way::Peers,
    magnet: Way::Magnet,
    web_seed: Way::WebSeed,
    as_published: Way::AsPublished,
);
