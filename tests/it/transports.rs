//! Every client by every way it knows to reach a peer, TCP and uTP, in the clear and encrypted, and every form of torrent
//! that it takes: one table. And what the seeder is told to refuse.
//!
//! The way is forced on one side or the other: a client is told to leave TCP or encryption alone where it has words
//! for that, and the seeder is told to take nothing else.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tests::clients::libtorrent::Libtorrent;
use tests::clients::transmission::Transmission;
use tests::clients::{aria2, rqbit};
use tests::folder::{assert_same, put, temporary};
use tests::programs::Tool;
use tests::published::{Server, build, seeder, set_channel, state};

/// Who fetches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    /// aria2 1.36.
    Aria2,
    /// Transmission 3.00, in a network namespace.
    Transmission,
    /// libtorrent 2.0, Debian's.
    Libtorrent20,
    /// libtorrent 2.1, PyPI's.
    Libtorrent21,
    /// rqbit 9.1.
    Rqbit,
}

/// How it reaches the seeder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Tcp,
    TcpEncrypted,
    Utp,
    UtpEncrypted,
}

use Client::{Aria2, Libtorrent20, Libtorrent21, Rqbit};
use Way::{Tcp, TcpEncrypted, Utp, UtpEncrypted};

/// A test of each line.
macro_rules! matrix {
    ($($name:ident: $client:expr, $way:expr, $format:literal;)+) => {$(
        #[test]
        fn $name() {
            check($client, $way, $format);
        }
    )+};
}

// Transmission 3.00 and aria2 1.36 can't take hybrids; rqbit's are v1 as well.
matrix! {
    aria2_tcp: Aria2, Tcp, "v1";
    aria2_tcp_encrypted: Aria2, TcpEncrypted, "v1";
    rqbit_tcp: Rqbit, Tcp, "v1";
    rqbit_utp: Rqbit, Utp, "v1";
    transmission_tcp: Client::Transmission, Tcp, "v1";
    transmission_tcp_encrypted: Client::Transmission, TcpEncrypted, "v1";
    transmission_utp: Client::Transmission, Utp, "v1";
    transmission_utp_encrypted: Client::Transmission, UtpEncrypted, "v1";
    libtorrent_2_0_tcp: Libtorrent20, Tcp, "v1";
    libtorrent_2_0_tcp_encrypted: Libtorrent20, TcpEncrypted, "v1";
    libtorrent_2_0_utp: Libtorrent20, Utp, "v1";
    libtorrent_2_0_tcp_hybrid: Libtorrent20, Tcp, "hybrid";
    libtorrent_2_0_tcp_v2: Libtorrent20, Tcp, "v2";
    libtorrent_2_1_tcp: Libtorrent21, Tcp, "v1";
    libtorrent_2_1_tcp_encrypted: Libtorrent21, TcpEncrypted, "v1";
    libtorrent_2_1_utp: Libtorrent21, Utp, "v1";
    libtorrent_2_1_utp_encrypted: Libtorrent21, UtpEncrypted, "v1";
    libtorrent_2_1_tcp_hybrid: Libtorrent21, Tcp, "hybrid";
    libtorrent_2_1_tcp_encrypted_hybrid: Libtorrent21, TcpEncrypted, "hybrid";
    libtorrent_2_1_utp_hybrid: Libtorrent21, Utp, "hybrid";
    libtorrent_2_1_tcp_v2: Libtorrent21, Tcp, "v2";
    libtorrent_2_1_utp_encrypted_v2: Libtorrent21, UtpEncrypted, "v2";
}

fn check(client: Client, way: Way, format: &str) {
    let tool = match client {
        Aria2 => Tool::Aria2,
        Client::Transmission => Tool::Transmission,
        Libtorrent20 | Libtorrent21 => Tool::Libtorrent,
        Rqbit => Tool::Rqbit,
    };
    if tool.skipped() {
        return;
    }
    let encryption = match way {
        Tcp | Utp => "off",
        TcpEncrypted | UtpEncrypted => "required",
    };
    let mut flags = vec!["--encryption", encryption];
    let over_utp = matches!(way, Utp | UtpEncrypted);
    if !over_utp {
        flags.push("--no-utp");
    }
    let served = |address| Served::start(address, format, &flags);
    let here = Ipv4Addr::LOCALHOST;
    match client {
        Aria2 => {
            let served = served(here);
            let encrypted = format!("--bt-force-encryption={}", way == TcpEncrypted);
            aria2::fetch_with(&served.source(), &served.target(), &[&encrypted]).success();
            served.assert_fetched();
        }
        Rqbit => {
            let served = served(here);
            rqbit::fetch(&served.source(), &served.target(), over_utp);
            served.assert_fetched();
        }
        Libtorrent20 | Libtorrent21 => {
            let served = served(here);
            let libtorrent = match client {
                Libtorrent20 => Libtorrent::debian(),
                _ => Libtorrent::newest(),
            };
            let way = match way {
                Tcp => "tcp-plain",
                TcpEncrypted => "tcp-encrypted",
                Utp => "utp-plain",
                UtpEncrypted => "utp-encrypted",
            };
            let fetched = libtorrent.fetch_by(&served.source(), &served.target(), way);
            assert!(fetched.blocks_of_peers > 0, "{fetched:?}");
            served.assert_fetched();
        }
        Client::Transmission => {
            let folder = temporary();
            let encrypted = way == TcpEncrypted || way == UtpEncrypted;
            let client = Transmission::start_with(folder.path(), over_utp, encrypted);
            let served = served(client.space.outside);
            let fetched = client.fetch_torrent(&std::fs::read(&served.torrent).unwrap());
            assert!(fetched.over_utp == over_utp, "{way:?}: {fetched:?}");
            assert!(fetched.encrypted == encrypted, "{way:?}: {fetched:?}");
            served.assert_fetched_at(&client.downloads());
        }
    }
}

/// A folder of files, one of them with a name beyond ASCII, served with these flags; its torrent has the tracker and no
/// web seed.
struct Served {
    folder: TempDir,
    torrent: PathBuf,
    payload: PathBuf,
    _server: Server,
}

impl Served {
    #[track_caller]
    fn start(address: Ipv4Addr, format: &str, flags: &[&str]) -> Self {
        let folder = temporary();
        let clips = tests::folder::copy_example("service-pack", folder.path());
        set_channel(&clips, &format!("format = \"{format}\""));
        let out = folder.path().join("out");
        build(&clips, &out).success();
        let (address, http) = (address.to_string(), format!("{address}:0"));
        let mut command = seeder(["serve"]);
        command
            .arg(&out)
            .args([
                "--bind",
                &address,
                "--http",
                &http,
                "--peer-port",
                "0",
                "--json",
            ])
            .args(flags);
        let server = Server::start(&mut command, &out);
        // Only now is it known where the tracker is.
        set_channel(&clips, &format!("seeder_url = \"{}\"", server.http));
        build(&clips, &out).success();
        let published = state(&out)
            .into_iter()
            .find(|torrent| torrent.files.len() > 1)
            .expect("the example has a folder of files");
        let torrent = folder.path().join("peers.torrent");
        put(&torrent, &published.torrent_file().peers_only().0);
        Served {
            payload: published.payload(),
            folder,
            torrent,
            _server: server,
        }
    }

    fn source(&self) -> String {
        self.torrent.to_string_lossy().into_owned()
    }

    /// Where a client is to put it.
    fn target(&self) -> PathBuf {
        let target = self.folder.path().join("got");
        std::fs::create_dir_all(&target).expect("a folder can be made");
        target
    }

    #[track_caller]
    fn assert_fetched(&self) {
        self.assert_fetched_at(&self.target());
    }

    #[track_caller]
    fn assert_fetched_at(&self, downloads: &Path) {
        let got = downloads.join(self.payload.file_name().expect("a payload has a name"));
        assert_same(&got, &self.payload, "fetched");
    }
}

#[test]
fn encryption_that_is_off_is_refused() {
    if Tool::Aria2.skipped() {
        return;
    }
    let served = Served::start(Ipv4Addr::LOCALHOST, "v1", &["--encryption", "off"]);
    let arguments = [
        "--bt-force-encryption=true",
        "--bt-stop-timeout=6",
        "--bt-tracker-timeout=5",
    ];
    let refused = aria2::fetch_with(&served.source(), &served.target(), &arguments);
    assert_ne!(refused.code, 0, "an encrypted peer was served: {refused}");
}
