//! Too many clients on a small line: 500 of all kinds at once at a limit of 20 Mbit/s. The limit holds, nobody is left
//! without anything, and first prefixes come before the rest. What is measured, the seeder's own clock measures: a
//! busy machine slows everybody down alike. The exact figures are `bench/overload.py`'s, and the exact rules
//! `swarm::uplink`'s own tests.

use data_encoding::HEXLOWER;
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tests::clients::aria2;
use tests::clients::libtorrent::Libtorrent;
use tests::folder::{assert_same, noise, put, temporary};
use tests::http::{get, get_with, request};
use tests::programs::Tool;
use tests::published::{Published, Server, build, seeder, set_channel, state};
use tests::wait::until;

/// 20 Mbit/s in bytes.
const RATE: u64 = 2_500_000;
const BLOCK: u32 = 16 * 1024;
/// Its first prefix is a small part of it.
const FILM: usize = 24 << 20;
/// All of it is first prefix.
const SHORT: usize = 200 << 10;
/// BEP 3 peers that ask for the film.
const PEERS: usize = 300;
/// HTTP clients that ask for parts of the rest, one after the other. Every other one does as a 503 tells it.
const SEEKERS: usize = 130;
/// What a seeker asks for at a time.
const PART: u64 = 32 << 10;
/// HTTP clients that ask for its beginning.
const VIEWERS: usize = 67;
/// What a viewer asks for: within the first prefix.
const LOOK: u64 = 128 << 10;

/// What one client got.
#[derive(Default)]
struct Client {
    bytes: AtomicU64,
    /// Of these, what is no first prefix.
    rest: AtomicU64,
    /// Answers that told it to come again later.
    busy: AtomicU64,
    /// Answers that it has got whole.
    whole: AtomicU64,
}

impl Client {
    fn has_something(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) > 0
    }

    fn has_an_answer(&self) -> bool {
        self.whole.load(Ordering::Relaxed) > 0
    }
}

/// Clients of one kind, each on a thread and a loopback address of its own.
struct Crowd {
    clients: Vec<Arc<Client>>,
    threads: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl Crowd {
    /// Starts them; each goes on until it has got so many answers. Whose connection breaks comes again.
    fn start(
        kind: u8,
        n: usize,
        answers: u64,
        run: impl Fn(&Client, Ipv4Addr, &AtomicBool) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let (run, stop) = (Arc::new(run), Arc::new(AtomicBool::new(false)));
        let clients: Vec<Arc<Client>> = (0..n).map(|_| Arc::default()).collect();
        let start = |(index, client): (usize, &Arc<Client>)| {
            let (client, run, stop) = (client.clone(), run.clone(), stop.clone());
            let address = Ipv4Addr::new(127, kind, (index / 250) as u8, (index % 250 + 1) as u8);
            let body = move || {
                while !stop.load(Ordering::Relaxed)
                    && client.whole.load(Ordering::Relaxed) < answers
                {
                    if run(&client, address, &stop).is_err() {
                        std::thread::sleep(Duration::from_secs(1));
                    }
                }
            };
            let thread = std::thread::Builder::new().stack_size(256 << 10);
            thread.spawn(body).expect("threads can be had")
        };
        let threads = clients.iter().enumerate().map(start).collect();
        Self {
            clients,
            threads,
            stop,
        }
    }

    fn bytes(&self) -> u64 {
        let all = self.clients.iter();
        all.map(|client| client.bytes.load(Ordering::Relaxed)).sum()
    }

    fn rest(&self) -> u64 {
        let all = self.clients.iter();
        all.map(|client| client.rest.load(Ordering::Relaxed)).sum()
    }

    fn busy(&self) -> u64 {
        let all = self.clients.iter();
        all.map(|client| client.busy.load(Ordering::Relaxed)).sum()
    }

    /// Waits until this is so of all but so many.
    #[track_caller]
    fn wait(&self, what: &str, all_but: usize, is_so: fn(&Client) -> bool) {
        until(what, || {
            let waits = self.clients.iter().filter(|client| !is_so(client));
            match waits.count() {
                n if n <= all_but => Ok(()),
                n => Err(format!("{n} still wait")),
            }
        });
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("no client panics");
        }
    }
}

fn connect(from: Ipv4Addr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    // What is granted shall be taken or wait in the seeder, not in buffers of the system.
    socket.set_recv_buffer_size(64 << 10)?;
    socket.bind(&SockAddr::from(SocketAddr::from((from, 0))))?;
    socket.connect_timeout(&to.into(), Duration::from_secs(30))?;
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    Ok(socket.into())
}

/// Reads so many bytes, however long it takes, until told to stop.
fn read(stream: &mut TcpStream, bytes: &mut [u8], stop: &AtomicBool) -> io::Result<()> {
    let mut at = 0;
    while at < bytes.len() {
        match stream.read(&mut bytes[at..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => at += n,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) => {}
            Err(error) => return Err(error),
        }
        if stop.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
    }
    Ok(())
}

/// A BEP 3 peer that owns nothing: asks for the pieces it is shown, one after the other, shows what it has, and begins
/// again when it has all.
fn peer(
    client: &Client,
    from: Ipv4Addr,
    stop: &AtomicBool,
    to: SocketAddr,
    info_hash: &[u8],
    (piece_length, n_pieces): (u32, u32),
) -> io::Result<()> {
    let mut stream = connect(from, to)?;
    let id: [u8; 4] = from.octets();
    let mut hello = b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0".to_vec();
    hello.extend_from_slice(info_hash);
    hello.extend_from_slice(b"-XX0001-00000000");
    hello.extend_from_slice(&id);
    stream.write_all(&hello)?;
    let mut theirs = [0; 68];
    read(&mut stream, &mut theirs, stop)?;
    stream.write_all(&[0, 0, 0, 1, 2])?;

    let blocks = piece_length / BLOCK;
    let (mut shown, mut had) = (
        vec![false; n_pieces as usize],
        vec![0u32; n_pieces as usize],
    );
    let (mut choked, mut asked) = (true, 0u32);
    let mut body = Vec::new();
    loop {
        let mut head = [0; 4];
        read(&mut stream, &mut head, stop)?;
        body.resize(u32::from_be_bytes(head) as usize, 0);
        read(&mut stream, &mut body, stop)?;
        let number = |at: usize| {
            let bytes = body.get(at..at + 4);
            bytes.map_or(0, |b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
        };
        match body.first() {
            // What was asked for is forgotten.
            Some(0) => (choked, asked) = (true, 0),
            Some(1) => choked = false,
            Some(4) => shown[number(1) as usize] = true,
            Some(5) => {
                for (piece, shown) in shown.iter_mut().enumerate() {
                    *shown |= body[1 + piece / 8] & (0x80 >> (piece % 8)) != 0;
                }
            }
            Some(7) => {
                let (piece, begin) = (number(1), number(5));
                assert_eq!(
                    begin / BLOCK,
                    had[piece as usize],
                    "asked for in this order"
                );
                let got = body.len() as u64 - 9;
                client.bytes.fetch_add(got, Ordering::Relaxed);
                // The first piece holds the first prefix, and nothing else.
                let rest = if piece > 0 { got } else { 0 };
                client.rest.fetch_add(rest, Ordering::Relaxed);
                had[piece as usize] += 1;
                asked -= 1;
                if had[piece as usize] == blocks {
                    let have = [&[0, 0, 0, 5, 4], &piece.to_be_bytes()[..]].concat();
                    stream.write_all(&have)?;
                }
            }
            _ => {}
        }
        if choked || asked > 0 {
            continue;
        }
        let wanted = |piece: &u32| shown[*piece as usize] && had[*piece as usize] < blocks;
        // Each from another place, as real ones do.
        let start = u32::from(id[3]) * 7;
        if let Some(piece) = (0..n_pieces).map(|n| (start + n) % n_pieces).find(wanted) {
            let next = had[piece as usize];
            for block in next..(next + 2).min(blocks) {
                let mut request = [0, 0, 0, 13, 6].to_vec();
                request.extend_from_slice(&piece.to_be_bytes());
                request.extend_from_slice(&(block * BLOCK).to_be_bytes());
                request.extend_from_slice(&BLOCK.to_be_bytes());
                stream.write_all(&request)?;
                asked += 1;
            }
        }
    }
}

/// One HTTP request for a range; counts the body as it comes. A 503 must say when to come again, and is obeyed or not.
fn range(
    client: &Client,
    from: Ipv4Addr,
    stop: &AtomicBool,
    (host, path): (SocketAddr, &str),
    bytes: std::ops::Range<u64>,
    obeys: bool,
) -> io::Result<()> {
    let mut stream = connect(from, host)?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nRange: bytes={}-{}\r\nConnection: close\r\n\r\n",
        bytes.start,
        bytes.end - 1
    );
    stream.write_all(request.as_bytes())?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        read(&mut stream, &mut byte, stop)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    if head.starts_with("http/1.1 503") {
        let (_, later) = head.split_once("\r\nretry-after: ").expect("it says when");
        let seconds: u64 = later
            .lines()
            .next()
            .unwrap_or_default()
            .parse()
            .expect("seconds");
        client.busy.fetch_add(1, Ordering::Relaxed);
        let naps = if obeys { seconds * 10 } else { 0 };
        for _ in (0..naps).take_while(|_| !stop.load(Ordering::Relaxed)) {
            std::thread::sleep(Duration::from_millis(100));
        }
        return Ok(());
    }
    assert!(head.starts_with("http/1.1 206"), "{head}");
    let mut left = bytes.end - bytes.start;
    let mut body = vec![0; 4096];
    while left > 0 {
        let step = left.min(body.len() as u64) as usize;
        read(&mut stream, &mut body[..step], stop)?;
        client.bytes.fetch_add(step as u64, Ordering::Relaxed);
        left -= step as u64;
    }
    client.whole.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// The seeder under test, its counters at hand.
struct Limited {
    server: Server,
    counters: PathBuf,
}

impl Limited {
    fn counter(&self, name: &str) -> u64 {
        let mut stream = UnixStream::connect(&self.counters).expect("the control socket is there");
        let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream
            .write_all(request.as_bytes())
            .expect("it is written to");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("it answers");
        let line = text
            .lines()
            .find(|line| line.split(' ').next() == Some(name))
            .unwrap_or_else(|| panic!("no {name} in\n{text}"));
        let value = line.rsplit(' ').next().expect("a value");
        value.parse().unwrap_or_else(|e| panic!("{line}: {e}"))
    }

    fn host(&self) -> SocketAddr {
        let host = self.server.http.trim_start_matches("http://");
        host.trim_end_matches('/').parse().expect("an address")
    }

    fn peer(&self) -> SocketAddr {
        let peers = self.server.ready["peer"].as_array().expect("addresses");
        peers[0].as_str().expect("a text").parse().expect("one")
    }
}

/// Publishes both files, with torrents that name the seeder, and serves them at the limit.
fn serve(folder: &Path, limit: &str) -> (Limited, Published, Published) {
    let (clips, out) = (folder.join("clips"), folder.join("out"));
    put(&clips.join("film.bin"), &noise(1, FILM));
    put(&clips.join("short.bin"), &noise(2, SHORT));
    let config = folder.join("seeder.toml");
    put(&config, format!("upload_limit = \"{limit}\"\n").as_bytes());
    build(&clips, &out).success();
    let runtime = folder.join("run");
    let mut command = seeder(["serve"]);
    command
        .arg(&out)
        .args(["--http", "127.0.0.1:0", "--bind", "127.0.0.1"])
        .args(["--peer-port", "0", "--json", "--config"])
        .arg(&config)
        .env("XDG_RUNTIME_DIR", &runtime)
        .env_remove("RUNTIME_DIRECTORY");
    let server = Server::start(&mut command, &out);
    set_channel(&clips, &format!("seeder_url = \"{}\"", server.http));
    build(&clips, &out).success();
    let counters = runtime.join(format!("groundswell/seeder-{}.sock", server.process.id()));
    let find = |name: &str| {
        let mut all = state(&out).into_iter();
        all.find(|torrent| torrent.files[0].contains(name))
            .expect("both are published")
    };
    let limited = Limited { server, counters };
    (limited, find("film"), find("short"))
}

/// Real clients fetch the short one, over TCP and uTP, in the middle of it all.
fn real_clients(folder: &Path, short: &Published) -> Vec<JoinHandle<()>> {
    let torrent = folder.join("short.torrent");
    put(&torrent, &short.torrent_file().peers_only().0);
    let payload = short.payload();
    let name = PathBuf::from(payload.file_name().expect("it has a name"));
    let start = |tool: Tool, way: &'static str| {
        if tool.skipped() {
            return None;
        }
        let (torrent, target) = (torrent.clone(), folder.join(way));
        let (payload, name) = (payload.clone(), name.clone());
        Some(std::thread::spawn(move || {
            let source = torrent.to_string_lossy();
            if way == "aria2" {
                aria2::fetch(&source, &target);
            } else {
                Libtorrent::debian().fetch_by(&source, &target, way);
            }
            assert_same(&target.join(name), &payload, way);
        }))
    };
    let clients = [
        start(Tool::Aria2, "aria2"),
        start(Tool::Libtorrent, "tcp-plain"),
        start(Tool::Libtorrent, "utp-plain"),
    ];
    clients.into_iter().flatten().collect()
}

#[test]
fn five_hundred_clients_at_20_mbit_per_second() {
    let folder = temporary();
    let (seeder, film, short) = serve(folder.path(), "20Mbit/s");
    let info_hash = film.torrent_file().v1();
    let info_hash = HEXLOWER.decode(info_hash.as_bytes()).expect("it is hex");
    let piece_length = 256 << 10;
    let n_pieces = FILM as u32 / piece_length;
    let to = seeder.peer();
    let pieces = (piece_length, n_pieces);
    let peers = Crowd::start(101, PEERS, u64::MAX, move |client, from, stop| {
        peer(client, from, stop, to, &info_hash, pieces)
    });
    let host = seeder.host();
    let path = format!("/library/{}/film.bin", film.id);
    let whole_path = path.clone();
    let seekers = Crowd::start(102, SEEKERS, u64::MAX, move |client, from, stop| {
        // Each from another place, and on from there.
        let last = u64::from(from.octets()[3]);
        let parts = FILM as u64 / PART - 32;
        let part = 16 + (last * 3 + client.whole.load(Ordering::Relaxed)) % parts;
        let bytes = part * PART..(part + 1) * PART;
        range(client, from, stop, (host, &path), bytes, last % 2 == 0)
    });
    // The line is full before the viewers come.
    peers.wait(
        "half of the peers are served",
        PEERS / 2,
        Client::has_something,
    );

    let (busy, busy_bytes) = (
        seeder.counter("groundswell_uplink_busy_milliseconds_total"),
        seeder.counter("groundswell_uplink_busy_bytes_total"),
    );
    let before = peers.rest();
    let viewers = Crowd::start(103, VIEWERS, 1, move |client, from, stop| {
        range(client, from, stop, (host, &whole_path), 0..LOOK, true)
    });
    let real = real_clients(folder.path(), &short);
    viewers.wait("every viewer has a first prefix", 0, Client::has_an_answer);
    // By connections alike it would have been more than four fifths; the classes leave it a sixth.
    let rest = peers.rest() - before;
    let all = rest + viewers.bytes();
    assert!(rest * 100 <= all * 45, "{rest} of {all} went to others");
    assert_eq!(viewers.busy(), 0, "a first prefix is never refused");

    peers.wait("every peer has got something", 0, Client::has_something);
    seekers.wait(
        "everybody who asks for parts of the rest gets them",
        0,
        Client::has_an_answer,
    );
    assert!(seekers.busy() > 0, "nobody was told to come again");
    for client in real {
        client.join().expect("a real client has all it wanted");
    }

    // The limit, by the seeder's own clock, over many seconds: exact above; below, a busy machine may be late.
    let busy = seeder.counter("groundswell_uplink_busy_milliseconds_total") - busy;
    let sent = seeder.counter("groundswell_uplink_busy_bytes_total") - busy_bytes;
    let most = RATE * busy / 1000;
    assert!(busy >= 3000, "the link was full for {busy} ms only");
    assert!(sent <= most * 102 / 100 + RATE / 10, "{sent} in {busy} ms");
    assert!(sent >= most * 60 / 100, "{sent} in {busy} ms: it idled");
    // And by what arrived: nothing goes past the limit.
    let arrived = peers.bytes() + seekers.bytes() + viewers.bytes();
    let granted = seeder.counter("groundswell_uplink_bytes_total");
    assert!(arrived <= granted, "{arrived} arrived, {granted} granted");
    eprintln!(
        "{:.2} Mbit/s over {} s; the rest had {} % while first prefixes were under way; {} answers with 503",
        (sent * 8) as f64 / busy as f64 / 1000.0,
        busy / 1000,
        rest * 100 / all,
        seeder.counter("groundswell_http_busy_total"),
    );
    for crowd in [peers, seekers, viewers] {
        crowd.end();
    }
}

#[test]
fn on_a_busy_line_first_looks_go_first_over_http_and_others_come_again() {
    let folder = temporary();
    let (seeder, film, _) = serve(folder.path(), "1.6Mbit/s");
    let host = seeder.host();
    let path = format!("/library/{}/film.bin", film.id);
    let (whole, far, url) = (path.clone(), path.clone(), seeder.server.url(&path[1..]));
    // So many that a newcomer's part would be of no use to it.
    let viewers = Crowd::start(104, 60, 1, move |client, from, stop| {
        range(client, from, stop, (host, &whole), 0..FILM as u64, true)
    });
    until("they wait for their turn", || {
        match seeder.counter("groundswell_uplink_waiting_now") {
            n if n >= 40 => Ok(()),
            n => Err(format!("{n} wait")),
        }
    });
    // One place is there for whoever begins in the middle; the next is told when to come again.
    let middle = |bytes: &str| get_with(&url, &[("Range", bytes)]);
    let first = Crowd::start(105, 1, 1, move |client, from, stop| {
        range(client, from, stop, (host, &path), 8 << 20..16 << 20, true)
    });
    first.wait("the first one is taken up", 0, Client::has_something);
    let refused = middle("bytes=8000000-8000099").expect(503);
    let later = refused.header("retry-after").expect("it says when");
    assert!(
        later.parse::<u64>().is_ok_and(|s| (4..=11).contains(&s)),
        "{later}"
    );
    assert_eq!(refused.header("cache-control"), Some("no-store"));
    assert!(seeder.counter("groundswell_http_busy_total") > 0);
    // Who comes again as told is served.
    let second = Crowd::start(106, 1, 1, move |client, from, stop| {
        range(
            client,
            from,
            stop,
            (host, &far),
            8 << 20..(8 << 20) + LOOK,
            true,
        )
    });
    second.wait("who comes back is taken up", 0, Client::has_an_answer);
    assert!(second.busy() > 0, "it was told to come again");
    // A player's first look is served, at both ends, and where it goes on; so are pages and whoever wants no bytes.
    middle("bytes=0-1").expect(206);
    middle("bytes=-100").expect(206);
    middle("bytes=8000000-8000099").expect(206);
    request("HEAD", &url, &[], b"").unwrap().expect(200);
    get(&seeder.server.http).expect(200);
    // What has begun goes on.
    let before = viewers.bytes();
    until("who was there goes on", || {
        (viewers.bytes() > before)
            .then_some(())
            .ok_or_else(|| "nothing came".to_owned())
    });
    assert_eq!(viewers.busy() + first.busy(), 0);
    for crowd in [viewers, first, second] {
        crowd.end();
    }
}
