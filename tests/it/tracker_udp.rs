//! The UDP tracker and STUN as strangers meet them: real clients find each other over `udp://`, a browser learns its
//! address, and whoever forges, floods or garbles gets nothing that it wouldn't get anyway.

use serde_json::Value;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tests::clients::libtorrent::Libtorrent;
use tests::clients::{aria2, chromium};
use tests::folder::{assert_same, noise, put, temporary};
use tests::namespace::loopback;
use tests::process::{Running, run};
use tests::programs::{Tool, root};
use tests::published::{publisher, seeder};
use tests::torrent::TorrentFile;
use tests::wait::{PATIENCE, until};

/// A torrent that names our UDP tracker and nothing else, served by us.
struct Tracked {
    folder: tempfile::TempDir,
    torrent: PathBuf,
    hash: Vec<u8>,
    seeder: Running,
    tracker: SocketAddr,
    stun: String,
    ready: Value,
}

impl Tracked {
    fn start() -> Self {
        let folder = temporary();
        let data = folder.path().join("data/noise.bin");
        put(&data, &noise(1, 1_000_000));
        let make = |name: &str, more: &[&str]| {
            let torrent = folder.path().join(name);
            let mut command = publisher(["torrent", "-o"]);
            run(command.arg(&torrent).args(more).arg(&data)).success();
            torrent
        };
        let mut command = seeder(["serve", "--json"]);
        command.arg("--data").arg(folder.path().join("data"));
        command.arg(make("plain.torrent", &[]));
        command.args(["--bind", "127.0.0.1", "--http", "127.0.0.1:0"]);
        for port in ["--peer-port", "--udp-tracker-port", "--webrtc-port"] {
            command.args([port, "0"]);
        }
        let mut seeder = Running::start(&mut command);
        let ready = seeder.wait_event("ready");
        let text = |key: &str| ready[key].as_str().map(str::to_owned).expect(key);
        let tracker: SocketAddr = text("udp_tracker").parse().unwrap();
        assert_ne!(tracker.port(), 0, "the real port: {ready}");
        let url = format!("udp://{tracker}/announce");
        let torrent = make("udp.torrent", &["-a", &url]);
        let file = TorrentFile::read(&torrent);
        assert_eq!(file.announce(), Some(url));
        Self {
            hash: data_encoding::HEXLOWER
                .decode(file.v1().as_bytes())
                .unwrap(),
            stun: text("stun"),
            folder,
            torrent,
            seeder,
            tracker,
            ready,
        }
    }

    fn asker(&self, ip: &str) -> Asker {
        let socket = UdpSocket::bind((ip, 0)).unwrap();
        // What comes from elsewhere than was asked is not seen.
        socket.connect(self.tracker).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Asker { socket }
    }

    /// A payload fetched by somebody into `out` is ours.
    fn assert_fetched(&self, out: &std::path::Path, who: &str) {
        let source = self.folder.path().join("data/noise.bin");
        assert_same(&out.join("noise.bin"), &source, who);
    }

    fn counters(&self) -> Value {
        let control = self.ready["control"][0].as_str().unwrap();
        let status = run(&mut seeder(["status", "--json", control])).success();
        status.json().pop().unwrap()
    }

    fn counter(&self, name: &str) -> u64 {
        let status = self.counters();
        let found = [&status["counters"][name], &status["limits"][name]];
        found
            .into_iter()
            .find_map(Value::as_u64)
            .unwrap_or_else(|| panic!("{name} in {status}"))
    }
}

/// Somebody with a socket.
struct Asker {
    socket: UdpSocket,
}

impl Asker {
    fn say(&self, datagram: &[u8]) {
        self.socket.send(datagram).unwrap();
    }

    fn hear(&self) -> Vec<u8> {
        let mut answer = [0; 2048];
        let n = self.socket.recv(&mut answer).expect("an answer");
        answer[..n].to_vec()
    }

    fn ask(&self, datagram: &[u8]) -> Vec<u8> {
        self.say(datagram);
        self.hear()
    }

    fn connection(&self) -> [u8; 8] {
        let answer = self.ask(&connect(1));
        assert_eq!(
            (answer.len(), &answer[..8]),
            (16, &[0, 0, 0, 0, 0, 0, 0, 1][..])
        );
        answer[8..].try_into().unwrap()
    }

    /// What was said gets no answer: the next thing that comes is the answer to a question that was asked after it. (One
    /// asker's datagrams come to one thread, in their order.)
    fn assert_silence(&self, said: &[u8], what: &str) {
        self.say(said);
        let answer = self.ask(&connect(0x5151_5151));
        assert_eq!(answer[4..8], [0x51; 4], "{what} is answered: {answer:?}");
    }
}

fn connect(transaction: u32) -> Vec<u8> {
    let mut datagram = b"\x00\x00\x04\x17\x27\x10\x19\x80\0\0\0\0".to_vec();
    datagram.extend(transaction.to_be_bytes());
    datagram
}

fn announce(id: [u8; 8], hash: &[u8], peer: u8, wanted: i32) -> Vec<u8> {
    let mut datagram = id.to_vec();
    datagram.extend([0, 0, 0, 1, 0, 0, 0, 2]);
    datagram.extend(hash);
    datagram.extend([peer; 20]);
    // Nothing got, something left, nothing given.
    for bytes in [0u64, 100, 0] {
        datagram.extend(bytes.to_be_bytes());
    }
    // Started, with an address that is claimed.
    datagram.extend([0, 0, 0, 2, 203, 0, 113, 9, 0, 0, 0, 0]);
    datagram.extend(wanted.to_be_bytes());
    datagram.extend((7000 + u16::from(peer)).to_be_bytes());
    datagram
}

fn scrape(id: [u8; 8], hash: &[u8]) -> Vec<u8> {
    [&id[..], &[0, 0, 0, 2, 0, 0, 0, 3], hash].concat()
}

/// The peers of an answer to an announce.
fn peers(answer: &[u8]) -> Vec<SocketAddr> {
    assert_eq!(answer[..8], [0, 0, 0, 1, 0, 0, 0, 2], "{answer:?}");
    let peer = |packed: &[u8]| {
        let ip = <[u8; 4]>::try_from(&packed[..4]).unwrap();
        SocketAddr::new(ip.into(), u16::from_be_bytes([packed[4], packed[5]]))
    };
    answer[20..].chunks(6).map(peer).collect()
}

#[test]
fn libtorrent_meets_libtorrent_and_us() {
    if Tool::Libtorrent.skipped() {
        return;
    }
    let tracked = Tracked::start();
    let libtorrent = Libtorrent::debian();
    let mut command = Command::new(&libtorrent.python);
    let address = loopback().to_string();
    command.arg(root().join("tests/clients/lt_seed.py"));
    command.arg(&tracked.torrent);
    command.arg(tracked.folder.path().join("data"));
    command.arg(&address);
    let mut other = Running::start(&mut command);
    let other: SocketAddr = other.wait_event("ready")["peer"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let asker = tracked.asker("127.0.0.1");
    until("the other seed is told of", || {
        let id = asker.connection();
        let seen = peers(&asker.ask(&announce(id, &tracked.hash, 1, -1)));
        match seen.contains(&other) {
            true => Ok(()),
            false => Err(format!("{other} is not among {seen:?}")),
        }
    });
    let out = tracked.folder.path().join("libtorrent");
    let fetched = libtorrent.fetch(tracked.torrent.to_str().unwrap(), &out);
    assert!(fetched.blocks_of_peers >= 62, "{fetched:?}");
    tracked.assert_fetched(&out, "libtorrent");
    assert!(tracked.counter("udp_tracker_announces") >= 3);
    assert_eq!(tracked.seeder.stop("TERM"), 0);
}

#[test]
fn aria2_finds_us() {
    if Tool::Aria2.skipped() {
        return;
    }
    let tracked = Tracked::start();
    let out = tracked.folder.path().join("aria2");
    let nodes = format!(
        "--dht-file-path={}",
        tracked.folder.path().join("dht").display()
    );
    // Its UDP trackers hang on its DHT, which gets nobody to talk to.
    let flags = [
        "--enable-dht=true",
        "--dht-listen-port=20000-59999",
        &nodes,
        "--bt-stop-timeout=40",
    ];
    aria2::fetch_with(tracked.torrent.to_str().unwrap(), &out, &flags).success();
    tracked.assert_fetched(&out, "aria2");
    assert!(tracked.counter("udp_tracker_announces") > 0);
}

#[test]
fn chromium_learns_its_address() {
    if Tool::Chromium.skipped() {
        return;
    }
    let tracked = Tracked::start();
    let gathered = chromium::script("stun.mjs", &[&tracked.stun]);
    assert_eq!(gathered["errors"], serde_json::json!([]), "{gathered}");
    let candidates = gathered["candidates"].as_array().unwrap();
    let told =
        |candidate: &Value| candidate["type"] == "srflx" && candidate["address"] == "127.0.0.1";
    assert!(candidates.iter().any(told), "{gathered}");
    assert!(tracked.counter("stun_answered") > 0);
    assert_eq!(tracked.counter("stun_refused"), 0);
}

/// Forged, of another address, another kind: silence. An asker of its own address is told of others, not of itself, and
/// nobody's word is taken for an address.
#[test]
fn who_is_not_where_it_says_gets_silence() {
    let tracked = Tracked::start();
    let (asker, other) = (tracked.asker("127.0.0.1"), tracked.asker("127.0.0.2"));
    let id = asker.connection();
    let mut forged = id;
    forged[7] ^= 1;
    let hash = &tracked.hash;
    for (who, id, what) in [
        (&asker, forged, "a forged id"),
        (&other, id, "another's id"),
        (
            &asker,
            *b"\x00\x00\x04\x17\x27\x10\x19\x80",
            "everybody's id",
        ),
    ] {
        who.assert_silence(&announce(id, hash, 1, 50), what);
        who.assert_silence(&scrape(id, hash), what);
    }
    asker.assert_silence(&[], "nothing");
    asker.assert_silence(&connect(1)[..15], "a cut request");
    assert_eq!(tracked.counter("udp_tracker_wrong_id"), 6);

    let first = peers(&asker.ask(&announce(id, hash, 1, 50)));
    assert_eq!(first.len(), 1, "our seeder alone: {first:?}");
    assert_eq!(first[0].ip().to_string(), "127.0.0.1");
    let second = peers(&other.ask(&announce(other.connection(), hash, 2, 50)));
    let expected: Vec<SocketAddr> = vec![first[0], "127.0.0.1:7001".parse().unwrap()];
    assert_eq!(second, expected, "the claimed address is nowhere");
    let counts = other.ask(&scrape(other.connection(), hash));
    assert_eq!(counts[8..], [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2]);
    // A torrent that isn't ours: told in fewer bytes than were asked with.
    let unknown = announce(id, &[9; 20], 1, 50);
    let refusal = asker.ask(&unknown);
    assert_eq!(refusal[..4], [0, 0, 0, 3]);
    assert!(refusal.len() <= unknown.len());
}

fn resident_bytes(process: &Running) -> u64 {
    let path = format!("/proc/{}/status", process.id());
    let text = fs::read_to_string(&path).unwrap();
    let line = text.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.unwrap().parse::<u64>().unwrap() * 1024
}

/// Over a real socket, with everything that looks like a request without being one.
#[test]
fn a_million_random_packets_change_nothing() {
    let tracked = Tracked::start();
    let asker = tracked.asker("127.0.0.1");
    let id = asker.connection();
    asker.ask(&announce(id, &tracked.hash, 1, 50));
    let before = asker.ask(&scrape(id, &tracked.hash));
    let memory = resident_bytes(&tracked.seeder);

    let flood = tracked.asker("127.0.0.3");
    let noise = noise(2, 1 << 20);
    let sent = 1_000_000u64;
    for n in 0..sent as usize {
        let at = (n * 7919) % (noise.len() - 300);
        let length = usize::from(noise[at]);
        let mut datagram = noise[at..at + length].to_vec();
        if length >= 36 {
            match n % 4 {
                0 => datagram[8..12].copy_from_slice(&[0, 0, 0, 1]),
                1 => datagram[8..12].copy_from_slice(&[0, 0, 0, 2]),
                2 => datagram[16..36].copy_from_slice(&tracked.hash),
                _ => {}
            }
        }
        // A full buffer at our own end is no matter.
        let _ = flood.socket.send(&datagram);
    }
    // Whoever is in earnest is still answered, and finds everything as it was.
    asker
        .socket
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let after = until("an answer after the flood", || {
        asker.say(&scrape(id, &tracked.hash));
        let mut answer = [0; 100];
        let n = asker.socket.recv(&mut answer);
        let n = n.map_err(|error| error.to_string())?;
        Ok(answer[..n].to_vec())
    });
    assert_eq!(after, before);
    let grown = resident_bytes(&tracked.seeder).saturating_sub(memory);
    assert!(grown < 4 << 20, "{grown} bytes more");
    let status = tracked.counters();
    let count = |name: &str| {
        let found = [&status["counters"][name], &status["limits"][name]];
        found.into_iter().find_map(Value::as_u64).unwrap()
    };
    let seen = [
        "udp_tracker_malformed",
        "udp_tracker_wrong_id",
        "udp_tracker_full",
    ]
    .map(count);
    assert!(
        seen.iter().sum::<u64>() >= sent,
        "all are accounted for: {seen:?}"
    );
    assert_eq!(count("udp_tracker_announces"), 1);
    assert_eq!(tracked.seeder.stop("TERM"), 0);
}
