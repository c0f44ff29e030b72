//! Trackers of both kinds against answers as they come, hostile ones among them.

use super::super::seek::found_for_tests;
use super::*;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::mpsc;
use wire::tracker::http::parse_announce;

fn urls(list: &[&[&str]]) -> Vec<Vec<String>> {
    let tier = |tier: &&[&str]| tier.iter().map(|url| (*url).to_owned()).collect();
    list.iter().map(tier).collect()
}

#[test]
fn what_a_torrent_names_is_bounded() {
    let many = vec![vec!["http://a/announce".to_owned(); 100]; 100];
    let planned = plan(&many, false);
    assert_eq!(
        (planned.len(), planned[0].len(), planned[0][0].len()),
        (MAX_TIERS, 1, MAX_TRACKERS)
    );
    let mixed = urls(&[
        &["wss://a/announce"],
        &["udp://b:1", "file:///x"],
        &["https://c/"],
    ]);
    assert_eq!(
        plan(&mixed, false),
        [urls(&[&["udp://b:1"]]), urls(&[&["https://c/"]])]
    );
    assert_eq!(
        plan(&mixed, true),
        [urls(&[&["udp://b:1"], &["https://c/"]])]
    );
    assert!(plan(&[], true).is_empty());
}

fn asker() -> (Arc<Asker>, mpsc::Receiver<SocketAddr>) {
    let (found, addresses) = found_for_tests();
    let asker = Asker {
        swarms: vec![SwarmHash([7; 20])],
        peer_id: PeerId([1; 20]),
        port: Arc::new(AtomicU16::new(6881)),
        key: 5,
        progress: Arc::default(),
        found,
        http: Http::new(),
        metrics: Arc::default(),
    };
    (Arc::new(asker), addresses)
}

/// A tracker over HTTP that tells what it is asked; where it begins with a location it sends on.
async fn http_tracker(location: Option<String>) -> (String, mpsc::UnboundedReceiver<Announce>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/announce", listener.local_addr().unwrap());
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 4096];
            let length = stream.read(&mut head).await.unwrap();
            let head = String::from_utf8_lossy(&head[..length]).into_owned();
            let query = head.split(['?', ' ']).nth(2).unwrap().to_owned();
            let _ = tell.send(parse_announce(query.as_bytes()).unwrap());
            let body = b"d8:intervali1800e5:peers6:\x0a\0\0\x01\x1a\xe1e";
            let head = match &location {
                Some(to) => format!(
                    "HTTP/1.1 302 Found\r\nLocation: {to}?{query}\r\nContent-Length: 0\r\n\r\n"
                ),
                None => format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                ),
            };
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(body).await.unwrap();
        }
    });
    (url, told)
}

#[tokio::test]
async fn an_http_tracker_is_told_of_coming_and_going() {
    let (url, mut told) = http_tracker(None).await;
    let (sends_on, _) = http_tracker(Some(url.clone())).await;
    let (asker, mut addresses) = asker();
    asker.progress.left.store(5, Ordering::Relaxed);
    let stop = CancellationToken::new();
    // The first of its tier is nobody, the second sends on.
    let tiers = vec![
        vec!["http://127.0.0.1:1/announce".to_owned()],
        vec![sends_on],
    ];
    let running = tokio::spawn(run(asker.clone(), tiers, stop.clone()));
    assert_eq!(
        addresses.recv().await,
        Some("10.0.0.1:6881".parse().unwrap())
    );
    let started = told.recv().await.unwrap();
    assert_eq!(
        (started.event, started.left, started.port.get()),
        (Event::Started, Some(5), 6881)
    );
    asker.progress.left.store(0, Ordering::Relaxed);
    let completed = told.recv().await.unwrap();
    assert_eq!(
        (completed.event, completed.left),
        (Event::Completed, Some(0))
    );
    stop.cancel();
    assert_eq!(told.recv().await.unwrap().event, Event::Stopped);
    running.await.unwrap();
}

#[tokio::test]
async fn a_udp_tracker_is_asked_in_two_steps() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let url = format!("udp://{}/announce", socket.local_addr().unwrap());
    let (asker, mut addresses) = asker();
    let stop = CancellationToken::new();
    let running = tokio::spawn(run(asker, vec![vec![url]], stop.clone()));
    let mut datagram = [0; 2048];
    let mut take = async || {
        let (length, from) = socket.recv_from(&mut datagram).await.unwrap();
        (datagram[..length].to_vec(), from)
    };
    let (request, from) = take().await;
    assert_eq!((request.len(), &request[8..12]), (16, &[0; 4][..]));
    // Of another request, then of this one.
    let mut answer = [&[0; 4], &[9; 4][..], &[1, 2, 3, 4, 5, 6, 7, 8]].concat();
    socket.send_to(&answer, from).await.unwrap();
    answer[4..8].copy_from_slice(&request[12..16]);
    socket.send_to(&answer, from).await.unwrap();
    let (request, from) = take().await;
    assert_eq!(request[..12], [1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 1]);
    assert_eq!(request[16..36], [7; 20]);
    assert!(request.ends_with(b"\x02\x09/announce"));
    let head = [
        &[0, 0, 0, 1],
        &request[12..16],
        &[0, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 1],
    ]
    .concat();
    let answer = [&head[..], &[10, 0, 0, 2, 0x1a, 0xe1]].concat();
    socket.send_to(&answer, from).await.unwrap();
    assert_eq!(
        addresses.recv().await,
        Some("10.0.0.2:6881".parse().unwrap())
    );
    stop.cancel();
    running.await.unwrap();
}
