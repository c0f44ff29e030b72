//! A magnet link that names a hash and nothing else, and a DHT of our own on loopback: whoever has only these gets
//! everything, `seeder fetch` and libtorrent alike.

use mainline::Testnet;
use std::path::{Path, PathBuf};
use tests::clients::libtorrent::Libtorrent;
use tests::folder::{assert_same, noise, put, temporary};
use tests::process::{Running, run};
use tests::programs::Tool;
use tests::published::{publisher, seeder_at_large};
use tests::torrent::TorrentFile;

/// A torrent that names no tracker, seeded by us in a DHT.
struct Seeded {
    folder: tempfile::TempDir,
    magnet: String,
    seeder: Running,
}

/// What keeps the rest of the world out, and the DHT in.
const FLAGS: [&str; 8] = [
    "--bind",
    "127.0.0.1",
    "--http",
    "127.0.0.1:0",
    "--peer-port",
    "0",
    "--dht-port",
    "0",
];

impl Seeded {
    /// Seeds it in the DHT that is entered by this node.
    fn start(router: &str) -> Self {
        let folder = temporary();
        let data = folder.path().join("data/noise.bin");
        put(&data, &noise(1, 1_000_000));
        let torrent = folder.path().join("noise.torrent");
        run(publisher(["torrent", "-o"]).arg(&torrent).arg(&data)).success();
        let id = TorrentFile::read(&torrent).v1();
        let mut command = seeder_at_large(["serve", "--json"]);
        command.args(FLAGS).args(["--dht-bootstrap", router]);
        command
            .arg("--data")
            .arg(folder.path().join("data"))
            .arg(&torrent);
        let mut seeder = Running::start(&mut command);
        let ready = seeder.wait_event("ready");
        assert!(ready["dht"].is_string(), "its node is named: {ready}");
        Self {
            magnet: format!("magnet:?xt=urn:btih:{id}"),
            folder,
            seeder,
        }
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn check(self, out: &Path) {
        let source = self.folder.path().join("data/noise.bin");
        assert_same(&out.join("noise.bin"), &source, &self.magnet);
        assert_eq!(self.seeder.stop("TERM"), 0);
    }
}

#[test]
fn seeder_fetch_needs_nothing_but_the_hash() {
    let testnet = Testnet::builder(5).build().expect("nodes on loopback");
    let router = &testnet.bootstrap[0];
    let seeded = Seeded::start(router);
    let out = seeded.out();
    let mut fetch = seeder_at_large(["fetch", &seeded.magnet, "--bind", "127.0.0.1"]);
    fetch.args(["--peer-port", "0", "--dht-port", "0"]);
    fetch.args(["--dht-bootstrap", router, "--out"]).arg(&out);
    run(&mut fetch).success();
    seeded.check(&out);
}

/// The nodes are libtorrent's: the crate `mainline` answers no other crate's requests, since it takes only transaction
/// ids of four bytes, and libtorrent's have two.
#[test]
fn libtorrent_finds_what_we_announce_to_its_node() {
    if Tool::Libtorrent.skipped() {
        return;
    }
    let libtorrent = Libtorrent::debian();
    let (node, router) = libtorrent.dht_node();
    let seeded = Seeded::start(&router);
    let out = seeded.out();
    let fetched = libtorrent.fetch_by_dht(&seeded.magnet, &out, &router);
    assert!(fetched.blocks_of_peers >= 62, "{fetched:?}");
    seeded.check(&out);
    node.stop("KILL");
}
