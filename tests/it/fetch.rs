//! `seeder fetch` gets everything whole: from our own seeder in every format, from foreign seeds, by magnet links, from
//! web seeds; whatever stands in its way, among liars and after kills.

use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use tests::clients::libtorrent::Libtorrent;
use tests::clients::transmission::Transmission;
use tests::folder::{assert_same, noise, put, temporary};
use tests::process::{Running, run};
use tests::programs::{Tool, foreign, root};
use tests::published::{Example, publisher, seeder, set_channel};
use tests::sandbox::with_small_disk;
use tests::torrent::{TorrentFile, magnet_peers_only};
use tests::wait::until;

/// A torrent of ours with its data, apart from everything else.
struct Made {
    folder: tempfile::TempDir,
    torrent: PathBuf,
    magnet: String,
}

impl Made {
    /// A folder of several files, one of them empty, in a format.
    fn new(format: &str, bytes: usize) -> Self {
        let folder = temporary();
        let data = folder.path().join("data/noise");
        put(&data.join("a"), &noise(1, bytes));
        put(&data.join("below/b"), &noise(2, bytes / 3));
        put(&data.join("empty"), b"");
        put(&data.join("z"), &noise(3, 10));
        let torrent = folder.path().join("noise.torrent");
        let made = run(publisher(["torrent", "--format", format, "-o"])
            .arg(&torrent)
            .arg(&data))
        .success();
        let magnet = made.stdout.trim().to_owned();
        assert!(magnet.starts_with("magnet:?"), "{made}");
        Self {
            folder,
            torrent,
            magnet,
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn out(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Serves it by our own seeder; gives that and where its peers are taken.
    fn serve(&self, flags: &[&str]) -> (Running, String, String) {
        let mut command = seeder(["serve", "--json", "--bind", "127.0.0.1", "--peer-port", "0"]);
        command.args(["--http", "127.0.0.1:0"]).args(flags);
        command.arg("--data").arg(self.data()).arg(&self.torrent);
        let mut running = Running::start(&mut command);
        let ready = running.wait_event("ready");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let (peer, http) = (text(&ready["peer"][0]), text(&ready["http"]));
        (running, peer, http)
    }

    fn check(&self, out: &Path, who: &str) {
        assert_same(&out.join("noise"), &self.data().join("noise"), who);
        assert_eq!(
            fs::read_dir(out).unwrap().count(),
            1,
            "nothing else is left"
        );
    }
}

fn command(source: &Path, out: &Path, peers: &[&str]) -> Command {
    command_at(Ipv4Addr::LOCALHOST, source, out, peers)
}

fn command_at(address: Ipv4Addr, source: &Path, out: &Path, peers: &[&str]) -> Command {
    let mut command = seeder(["fetch", "--json", "--bind"]);
    command
        .arg(address.to_string())
        .arg(source)
        .arg("--out")
        .arg(out);
    for peer in peers {
        command.args(["--peer", peer]);
    }
    command
}

/// Fetches to the end; gives what is said of it.
#[track_caller]
fn fetch(mut command: Command) -> Value {
    let finished = run(&mut command).success();
    let lines = finished.json();
    let done = lines.last().filter(|line| line["event"] == "done");
    done.unwrap_or_else(|| panic!("no `done` line: {finished}"))
        .clone()
}

#[test]
fn every_format_comes_from_our_own_seeder_by_file_and_by_link() {
    for format in ["v1", "v2", "hybrid"] {
        let made = Made::new(format, 3_000_000);
        let (_seeder, peer, _) = made.serve(&[]);
        let sources = [
            ("file", made.torrent.clone()),
            ("link", PathBuf::from(&made.magnet)),
        ];
        for (way, source) in sources {
            let out = made.out(way);
            let done = fetch(command(&source, &out, &[&peer]));
            made.check(&out, &format!("{format} by {way}"));
            assert_eq!(done["from_peers"], 4_000_010, "{format} by {way}: {done}");
            assert_eq!(done["wasted"], 0, "{format} by {way}: {done}");
            // Once more: it is all there.
            let again = fetch(command(&made.torrent, &out, &[]));
            assert_eq!(again["received"], 0);
        }
    }
}

#[test]
fn what_is_published_comes_as_it_is_linked() {
    for (name, format) in [("garage-band", "v1"), ("test-drive", "hybrid")] {
        let line = format!("format = \"{format}\"");
        let example = Example::up_at(name, Ipv4Addr::LOCALHOST, |clips| set_channel(clips, &line));
        for torrent in example.server.torrents() {
            let payload = torrent.payload();
            let name = payload.file_name().unwrap();
            let magnet = example.server.magnet(&torrent);
            let file = |way: &str, file: TorrentFile| {
                let path = example.folder.path().join(format!("{way}.torrent"));
                fs::write(&path, &file.0).unwrap();
                path
            };
            // From the tracker's peers alone, from the web seed alone, and whatever comes first.
            let ways = [
                ("peers", file("peers", torrent.torrent_file().peers_only())),
                ("web", file("web", torrent.torrent_file().web_seed_only())),
                ("link", magnet_peers_only(&magnet).into()),
                ("published", torrent.torrent.clone()),
            ];
            for (way, source) in ways {
                let out = example.target(&format!("{}-{way}", torrent.id));
                let done = fetch(command(&source, &out, &[]));
                assert_same(&out.join(name), &payload, way);
                match way {
                    "peers" | "link" => assert_eq!(done["from_web_seeds"], 0, "{way}: {done}"),
                    "web" => assert_eq!(done["from_peers"], 0, "{way}: {done}"),
                    _ => {}
                }
            }
        }
    }
}

#[test]
fn libtorrent_seeds_every_format() {
    if Tool::Libtorrent.skipped() {
        return;
    }
    for format in ["v1", "v2", "hybrid"] {
        let made = Made::new(format, 3_000_000);
        let seed = |python: &Path| {
            let mut seeding = Command::new(python);
            seeding.arg(root().join("tests/clients/lt_seed.py"));
            seeding.arg(&made.torrent).arg(made.data()).arg("127.0.0.1");
            let mut running = Running::start(&mut seeding);
            let ready = running.wait_event("ready");
            (running, ready["peer"].as_str().unwrap().to_owned())
        };
        let (_seed, peer) = seed(&Libtorrent::debian().python);
        for (way, source) in [
            ("file", made.torrent.clone()),
            ("link", made.magnet.clone().into()),
        ] {
            let out = made.out(way);
            fetch(command(&source, &out, &[&peer]));
            made.check(&out, &format!("{format} by {way} from libtorrent"));
        }
    }
}

#[test]
fn transmission_seeds() {
    if Tool::Transmission.skipped() {
        return;
    }
    let made = Made::new("v1", 3_000_000);
    for (way, source) in [
        ("file", made.torrent.clone()),
        ("link", made.magnet.clone().into()),
    ] {
        // One for each: it hangs up on an address where somebody had everything.
        let folder = temporary();
        let transmission = Transmission::start(folder.path());
        copy(
            &made.data().join("noise"),
            &transmission.downloads().join("noise"),
        );
        transmission.fetch_torrent(&fs::read(&made.torrent).unwrap());
        let peer = format!("{}:51413", transmission.space.inside);
        let out = made.out(way);
        fetch(command_at(
            transmission.space.outside,
            &source,
            &out,
            &[&peer],
        ));
        made.check(&out, &format!("{way} from Transmission"));
    }
}

fn copy(from: &Path, to: &Path) {
    for (name, bytes) in tests::folder::contents(from) {
        put(&to.join(name), &bytes);
    }
}

#[test]
fn aria2_seeds() {
    if Tool::Aria2.skipped() {
        return;
    }
    let made = Made::new("v1", 3_000_000);
    let mut seeding = Command::new(foreign("aria2c", Tool::Aria2));
    seeding
        .args([
            "--no-conf",
            "--enable-dht=false",
            "--bt-enable-lpd=false",
            "--seed-ratio=0.0",
        ])
        .args([
            "--check-integrity=true",
            "--interface=127.0.0.1",
            "--console-log-level=info",
        ])
        .args(["--listen-port=20000-59999", "--enable-rpc=false"])
        .arg(format!("--dir={}", made.data().display()))
        .arg(&made.torrent);
    let mut seed = Running::start(&mut seeding);
    let port = until("aria2's port", || {
        let said = seed.stdout();
        let (_, rest) = said
            .split_once("listening on TCP port ")
            .ok_or(said.clone())?;
        let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
        assert!(seed.is_running(), "{seed}");
        Ok(port)
    });
    let out = made.out("file");
    let peer = format!("127.0.0.1:{port}");
    fetch(command(&made.torrent, &out, &[&peer]));
    made.check(&out, "aria2");
}

/// A peer that has everything and gives wrong bytes. Gives its address.
fn liar(torrent: &TorrentFile, n_pieces: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let swarm = torrent.v1();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let swarm = swarm.clone();
            std::thread::spawn(move || lie(stream, &swarm, n_pieces));
        }
    });
    address
}

fn lie(mut stream: TcpStream, swarm: &str, n_pieces: usize) -> std::io::Result<()> {
    stream.read_exact(&mut [0; 68])?;
    let hash: Vec<u8> = (0..40)
        .step_by(2)
        .map(|at| u8::from_str_radix(&swarm[at..at + 2], 16).unwrap())
        .collect();
    let mut hello = [
        &[19][..],
        b"BitTorrent protocol",
        &[0; 8],
        &hash,
        &[b'L'; 20],
    ]
    .concat();
    let mut field = vec![0xff; n_pieces.div_ceil(8)];
    if !n_pieces.is_multiple_of(8) {
        *field.last_mut().unwrap() = !(0xff >> (n_pieces % 8));
    }
    let length = (1 + field.len() as u32).to_be_bytes();
    hello.extend([&length[..], &[5], &field, &[0, 0, 0, 1, 1]].concat());
    stream.write_all(&hello)?;
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let mut message = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut message)?;
        if let [6, index_begin_length @ ..] = &message[..] {
            let bytes = u32::from_be_bytes(index_begin_length[8..].try_into().unwrap());
            let head = [
                &(9 + bytes).to_be_bytes()[..],
                &[7],
                &index_begin_length[..8],
            ]
            .concat();
            stream.write_all(&[head, vec![0x55; bytes as usize]].concat())?;
        }
    }
}

#[test]
fn liars_are_sent_away_and_the_rest_completes() {
    let made = Made::new("v1", 6_000_000);
    let (_seeder, honest, _) = made.serve(&["--upload-limit", "4MB/s"]);
    let torrent = TorrentFile::read(&made.torrent);
    let n_pieces = torrent
        .info()
        .get("pieces")
        .and_then(|p| p.bytes())
        .unwrap()
        .len()
        / 20;
    let liars = [liar(&torrent, n_pieces), liar(&torrent, n_pieces)];
    let out = made.out("out");
    let done = fetch(command(
        &made.torrent,
        &out,
        &[&honest, &liars[0], &liars[1]],
    ));
    made.check(&out, "among liars");
    assert_eq!(done["banned"], 2, "{done}");
    assert!(done["wasted"].as_u64().unwrap() > 0, "{done}");
}

#[test]
fn peers_and_web_seeds_together_and_bad_web_seeds_are_dropped() {
    let made = Made::new("v1", 6_000_000);
    // Two seeders, so that neither way takes the other's share of an uplink.
    let (_peers, peer, _) = made.serve(&["--upload-limit", "3MB/s"]);
    let (_web, _, http) = made.serve(&["--upload-limit", "3MB/s"]);
    let id = TorrentFile::read(&made.torrent).v1();
    let good = format!("{http}library/{id}/");
    let torrent = made.folder.path().join("web.torrent");
    run(publisher(["torrent", "-o"])
        .arg(&torrent)
        .args([
            "-w",
            &good,
            "-w",
            &format!("{http}nothing/here/"),
            "-w",
            "http://127.0.0.1:9/",
        ])
        .arg(made.data().join("noise")))
    .success();
    let out = made.out("out");
    let done = fetch(command(&torrent, &out, &[&peer]));
    made.check(&out, "both");
    let from = |key: &str| done[key].as_u64().unwrap();
    assert!(
        from("from_peers") > 0 && from("from_web_seeds") > 0,
        "{done}"
    );
}

#[test]
fn a_killed_fetch_goes_on_where_it_was() {
    let made = Made::new("hybrid", 12_000_000);
    let (_seeder, peer, _) = made.serve(&["--upload-limit", "3MB/s"]);
    let out = made.out("out");
    let mut seen = 0;
    for _ in 0..3 {
        let mut fetching = Running::start(&mut command(&made.torrent, &out, &[&peer]));
        // It dies at once after some pieces, wherever it is just then.
        let pieces = fetching.wait_event("pieces");
        seen += pieces["pieces"].as_array().unwrap().len();
        assert_eq!(fetching.stop("KILL"), 128 + 9);
        assert!(
            !out.join("noise").exists(),
            "nothing half done under its name"
        );
    }
    let mut last = Running::start(&mut command(&made.torrent, &out, &[&peer]));
    let resumed = last.wait_event("resumed");
    assert!(
        resumed["pieces"].as_u64().unwrap() as usize >= seen,
        "{resumed} of {seen}"
    );
    last.wait_event("done");
    assert_eq!(last.wait_for_end().code(), Some(0));
    made.check(&out, "after kills");
}

#[test]
fn a_full_disk_ends_it_with_one_line() {
    if Tool::Mount.skipped() {
        return;
    }
    let made = Made::new("v1", 6_000_000);
    let (_seeder, peer, _) = made.serve(&[]);
    let out = made.out("out");
    fs::create_dir(&out).unwrap();
    let mut fetching = command(&made.torrent, &out, &[&peer]);
    fetching.arg("--quiet");
    let finished = run(&mut with_small_disk(&fetching, &out, 2_000_000));
    let lines: Vec<&str> = finished.stderr.lines().collect();
    assert_eq!(lines.len(), 1, "{finished}");
    finished.fails_naming(&["No space left", "free some space"]);
}

#[test]
fn wrong_usage_and_wrong_sources_are_named() {
    let made = Made::new("v1", 100_000);
    assert_eq!(run(&mut seeder(["fetch"])).code, 2);
    let out = made.out("out");
    let fails = |source: &str, words: &[&str]| {
        run(&mut command(source.as_ref(), &out, &[])).fails_naming(words);
    };
    fails("nothing.torrent", &["nothing.torrent", "No such file"]);
    fails("magnet:?xt=urn:btih:12", &["hash", "malformed"]);
    let lone = format!("magnet:?xt=urn:btih:{}", "0".repeat(40));
    fails(&lone, &["names no peers", "--peer"]);
    put(&out.join("noise"), b"mine");
    fails(made.torrent.to_str().unwrap(), &["noise", "in the way"]);
    assert_eq!(fs::read(out.join("noise")).unwrap(), b"mine");
}

#[test]
fn what_was_fetched_is_served_on() {
    let made = Made::new("v1", 1_000_000);
    let (first, peer, _) = made.serve(&[]);
    let out = made.out("out");
    let mut staying = command(&made.torrent, &out, &[&peer]);
    let mut staying = Running::start(staying.arg("--seed"));
    let ready = staying.wait_event("ready");
    staying.wait_event("done");
    drop(first);
    let second = made.out("second");
    fetch(command(
        &made.torrent,
        &second,
        &[ready["peer"][0].as_str().unwrap()],
    ));
    made.check(&second, "from a fetcher");
    assert_eq!(staying.stop("TERM"), 0);
}
