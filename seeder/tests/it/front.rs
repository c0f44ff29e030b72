//! Connections that ask the tracker and for files as they like, and those that mean no good: the loop in front of HTTP.

use crate::out::{Out, Running};
use metainfo::Info;
use seeder::{ServeConfig, Source};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

fn escaped(info: &Info) -> String {
    let hash = info.swarm_hashes()[0];
    hash.0.iter().map(|byte| format!("%{byte:02x}")).collect()
}

fn announce(info: &Info, port: u16) -> String {
    let hash = escaped(info);
    format!("/announce?info_hash={hash}&peer_id=-XX0000-{port:012}&port={port}&left=5")
}

/// A seeder of one clip of these bytes, and a page.
async fn clip(bytes: &[u8], change: impl FnOnce(&mut ServeConfig)) -> (Out, Info, Running) {
    let mut out = Out::new();
    let info = out.add(&[("clip.mp4", bytes)]);
    out.write("site/index.html", "<p>the page</p>");
    out.save();
    let mut config = ServeConfig::loopback(Source::Out(out.path().to_owned()));
    config.http.set_port(0);
    config.peer_port = 0;
    change(&mut config);
    let running = Running::start_with(config).await.unwrap();
    (out, info, running)
}

/// A connection that stays open.
struct Client(BufReader<TcpStream>);

impl Client {
    async fn to(running: &Running) -> Self {
        let stream = TcpStream::connect(running.http).await.unwrap();
        Self(BufReader::new(stream))
    }

    async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// The status line with the header fields, and the body.
    async fn answer(&mut self) -> (String, Vec<u8>) {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let read = self.0.read_line(&mut head).await.unwrap();
            assert_ne!(read, 0, "the connection ended after {head:?}");
        }
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.parse().unwrap())
        });
        let mut body = vec![0; length.unwrap_or(0)];
        self.0.read_exact(&mut body).await.unwrap();
        (head, body)
    }

    /// Everything until the other end closes.
    async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // Where something of ours was left unread, it closes harder.
        let _ = self.0.read_to_end(&mut rest).await;
        rest
    }
}

fn get(path: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n")
}

#[tokio::test]
async fn one_connection_mixes_the_tracker_the_site_a_web_seed_and_a_websocket() {
    let (_out, info, running) = clip(b"0123456789", |_| {}).await;
    let mut client = Client::to(&running).await;
    let clip = format!("/library/{}/clip.mp4", info.id());
    for round in 0..2 {
        client.send(&get(&announce(&info, 5000), "")).await;
        let (head, body) = client.answer().await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{round}: {head}");
        assert!(body.starts_with(b"d8:completei1e"), "{round}");
        client.send(&get("/", "")).await;
        assert_eq!(client.answer().await.1, b"<p>the page</p>");
        client.send(&get(&clip, "Range: bytes=3-5\r\n")).await;
        let (head, body) = client.answer().await;
        assert!(head.starts_with("HTTP/1.1 206") && body == b"345", "{head}");
        let scrape = format!("/scrape?info_hash={}", escaped(&info));
        client.send(&get(&scrape, "")).await;
        assert!(client.answer().await.1.starts_with(b"d5:filesd20:"));
    }
    client
        .send(&get(
            "/announce",
            "Connection: Upgrade\r\nUpgrade: websocket\r\n",
        ))
        .await;
    let (head, _) = client.answer().await;
    assert!(
        head.starts_with("HTTP/1.1 426"),
        "no version, no key: {head}"
    );
    let upgrade = "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    // Behind hyper, and as the first on its connection; with a frame that follows at once: a ping, masked by zeros.
    for (mut client, path) in [
        (client, "/announce"),
        (Client::to(&running).await, "/announce"),
        (Client::to(&running).await, "/"),
    ] {
        client.send(&get(path, upgrade)).await;
        client.0.write_all(b"\x89\x82\0\0\0\0hi").await.unwrap();
        let (head, _) = client.answer().await;
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        // The example of RFC 6455, 1.3.
        assert!(
            head.to_lowercase()
                .contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"),
            "{head}"
        );
        let mut pong = [0; 4];
        client.0.read_exact(&mut pong).await.unwrap();
        assert_eq!(&pong, b"\x8a\x02hi");
    }
}

#[tokio::test]
async fn what_is_sent_in_one_go_is_answered_in_its_order() {
    let (_out, info, running) =
        clip(b"x", |config| config.limits.tracker_announce_burst = 10_000).await;
    let stream = TcpStream::connect(running.http).await.unwrap();
    let (read, mut write) = stream.into_split();
    let scrape = get(&format!("/scrape?info_hash={}", escaped(&info)), "");
    let text = [get(&announce(&info, 5000), ""), scrape]
        .concat()
        .repeat(2000);
    let sending = tokio::spawn(async move {
        // In pieces of a length that has nothing to do with the requests'.
        for part in text.as_bytes().chunks(7919) {
            write.write_all(part).await.unwrap();
        }
        write
            .write_all(get("/", "Connection: close\r\n").as_bytes())
            .await
            .unwrap();
        write
    });
    let mut answers = Vec::new();
    let mut read = BufReader::new(read);
    read.read_to_end(&mut answers).await.unwrap();
    drop(sending.await.unwrap());
    let answers = String::from_utf8_lossy(&answers);
    let bodies: Vec<&str> = answers.split("\r\n\r\n").skip(1).collect();
    assert_eq!(bodies.len(), 4001);
    for pair in bodies[..4000].chunks(2) {
        assert!(
            pair[0].starts_with("d8:complete") && pair[1].starts_with("d5:files"),
            "{pair:?}"
        );
    }
    assert_eq!(bodies[4000], "<p>the page</p>");
}

#[tokio::test]
async fn a_connection_ends_when_the_client_says_or_is_old() {
    let (_out, info, running) = clip(b"x", |_| {}).await;
    let path = announce(&info, 5000);
    for (request, says) in [
        (get(&path, "Connection: close\r\n"), "HTTP/1.1 200 OK"),
        (format!("GET {path} HTTP/1.0\r\n\r\n"), "HTTP/1.0 200 OK"),
        (
            format!("HEAD {path} HTTP/1.1\r\nConnection: close\r\n\r\n"),
            "HTTP/1.1 200 OK",
        ),
    ] {
        let mut client = Client::to(&running).await;
        client.send(&request).await;
        let answer = String::from_utf8_lossy(&client.rest().await).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with(says) && head.contains("Connection: close"),
            "{answer}"
        );
        assert_eq!(body.is_empty(), request.starts_with("HEAD"), "{answer}");
    }
    let mut client = Client::to(&running).await;
    for _ in 0..3 {
        client
            .send(&format!(
                "GET {path} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
            ))
            .await;
        let (head, _) = client.answer().await;
        assert!(head.contains("Connection: keep-alive"), "{head}");
    }
}

#[tokio::test]
async fn a_huge_head_is_refused_and_counted() {
    let (_out, _info, running) = clip(b"x", |_| {}).await;
    let mut client = Client::to(&running).await;
    let field = format!("X: {}\r\n", "y".repeat(1000));
    client.send(&get("/announce?", &field.repeat(15))).await;
    assert!(
        client.answer().await.1.starts_with(b"d14:failure reason"),
        "large, but answered"
    );
    client.send(&get("/announce?", &field.repeat(20))).await;
    let (head, _) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 431"), "{head}");
    client.rest().await;
    assert_eq!(running.metrics.http_heads_long.get(), 1);

    // A query has a bound of its own, which is told as trackers tell things.
    let mut client = Client::to(&running).await;
    client
        .send(&get(&format!("/announce?x={}", "y".repeat(9000)), ""))
        .await;
    let (head, body) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(
        String::from_utf8_lossy(&body).contains("longer than 8192"),
        "{body:?}"
    );
}

#[tokio::test]
async fn whoever_asks_slowly_is_let_go_and_counted() {
    let (_out, _info, running) = clip(b"x", |config| config.limits.http_head_seconds = 1).await;
    let mut slow = Client::to(&running).await;
    slow.send("GET /announce?info_hash=").await;
    let mut silent = Client::to(&running).await;
    assert_eq!(slow.rest().await, b"");
    assert_eq!(silent.rest().await, b"");
    assert_eq!(
        running.metrics.http_heads_slow.get(),
        1,
        "a silent one asked for nothing"
    );
}

#[tokio::test]
async fn whoever_never_reads_is_let_go_and_counted() {
    let (_out, info, running) = clip(b"x", |config| {
        config.limits.http_stall_seconds = 1;
        config.limits.tracker_announce_burst = 10_000_000;
    })
    .await;
    let mut stream = TcpStream::connect(running.http).await.unwrap();
    let flood = get(&announce(&info, 5000), "").repeat(1000);
    // Ends once the seeder has closed: it reads no further than it can answer.
    while stream.write_all(flood.as_bytes()).await.is_ok() {}
    assert_eq!(running.metrics.http_stalled.get(), 1);
}

#[tokio::test]
async fn nonsense_ends_with_its_sender() {
    let (_out, info, running) = clip(b"x", |_| {}).await;
    let path = announce(&info, 5000);
    let whole = get(&path, "");
    for (text, answer) in [
        // Half a request.
        (&whole[..whole.len() / 2], ""),
        ("GE", ""),
        ("", ""),
        // No HTTP.
        ("\x16\x03\x01\x02\0\x01\0\x01\x01\x03\x03", "HTTP/1.1 400"),
        ("GET /announce?x\r\n\r\n", "HTTP/1.1 400"),
        (
            "GET /announce?x HTTP/1.1\r\nno colon\r\n\r\n",
            "HTTP/1.1 400",
        ),
        // Another method, in other words.
        (
            "POST /announce?x HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 405",
        ),
        (
            "DELETE /scrape?x HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 405",
        ),
        ("get /announce?x HTTP/1.1\r\n\r\n", "HTTP/1.1 405"),
        // A body nobody asked for: it is no second request.
        (
            "GET /announce?x HTTP/1.1\r\nContent-Length: 19\r\n\r\nGET / HTTP/1.1\r\n\r\nX",
            "HTTP/1.1 200",
        ),
    ] {
        let mut client = Client::to(&running).await;
        client.send(text).await;
        client.0.get_mut().shutdown().await.unwrap();
        let said = client.rest().await;
        let said = String::from_utf8_lossy(&said);
        assert!(said.starts_with(answer), "{text:?}: {said}");
        assert_eq!(
            said.matches("HTTP/1.1").count(),
            usize::from(!answer.is_empty()),
            "{text:?}: {said}"
        );
    }
    let mut client = Client::to(&running).await;
    client.send(&whole).await;
    assert!(
        client.answer().await.1.starts_with(b"d8:complete"),
        "others are served"
    );
}

#[tokio::test]
async fn a_withdrawn_torrent_is_refused_for_good() {
    let mut out = Out::new();
    let info = out.add(&[("clip.mp4", b"x")]);
    out.entry(&info.id()).status = metainfo::state::Status::Withdrawn;
    out.save();
    let running = out.serve().await;
    let body = running.get(&announce(&info, 5000)).await.body;
    assert!(
        body.ends_with(b"8:retry in5:nevere"),
        "{}",
        String::from_utf8_lossy(&body)
    );
}
