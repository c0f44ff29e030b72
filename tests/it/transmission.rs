//! transmission-daemon 3.00 completes every example by every way, from a network namespace of its own.

use tests::clients::transmission::Transmission;
use tests::folder::{assert_same, temporary};
use tests::programs::Tool;
use tests::published::Example;
use tests::torrent::magnet_peers_only;

/// How the bytes may come.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// `.torrent` with the tracker, no web seed.
    Peers,
    /// Magnet link with the tracker, no web seed.
    Magnet,
    /// `.torrent` with the web seed, no tracker.
    WebSeed,
}

fn check(example: &str, way: Way) {
    if Tool::Transmission.skipped() {
        return;
    }
    let folder = temporary();
    let client = Transmission::start(folder.path());
    let example = Example::up_at(example, client.space.outside, |_| ());
    for torrent in example.server.torrents() {
        let file = torrent.torrent_file();
        let fetched = match way {
            Way::Peers => client.fetch_torrent(&file.peers_only().0),
            Way::WebSeed => client.fetch_torrent(&file.web_seed_only().0),
            Way::Magnet => {
                client.fetch_magnet(&magnet_peers_only(&example.server.magnet(&torrent)))
            }
        };
        match way {
            Way::Peers | Way::Magnet => {
                assert!(
                    fetched.peers > 0 && fetched.web_seeds == 0,
                    "from peers that the tracker named: {fetched:?}"
                );
            }
            Way::WebSeed => assert!(fetched.peers == 0, "from the web seed: {fetched:?}"),
        }
        let payload = torrent.payload();
        let got = client.downloads().join(payload.file_name().unwrap());
        assert_same(&got, &payload, "transmission");
    }
}

super::for_each_example!(check;
    peers: Way::Peers,
    magnet: Way::Magnet,
    web_seed: Way::WebSeed,
);
