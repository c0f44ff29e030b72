//! The trackers of a torrent: do they answer, do they know it, and is anybody there to give it?

use super::finding::Findings;
use super::http::Client;
use metainfo::Torrent;
use metainfo::bencode::{self, Limits};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use std::net::{ToSocketAddrs, UdpSocket};
use std::time::Duration;

/// The longest reply that is read.
const REPLY: usize = 64 << 10;
/// How many trackers are asked.
const MOST: usize = 8;
/// How long a UDP tracker may take.
const UDP_TIMEOUT: Duration = Duration::from_secs(5);
/// BEP 15: what every connect request begins with.
const UDP_MAGIC: u64 = 0x0417_2710_1980;
/// Who asks.
const PEER_ID: &str = "-GS0000-checkfromweb";
const _: () = assert!(PEER_ID.len() == 20);

/// Asks each tracker.
pub(super) fn check(client: &Client, torrent: &Torrent, findings: &mut Findings) {
    let trackers: Vec<&String> = torrent.announce.iter().flatten().collect();
    if trackers.is_empty() {
        let remedy = "set seeder_url in channel.toml and publish again";
        findings.fail("tracker", "the torrent names no tracker", remedy);
    }
    for url in trackers.into_iter().take(MOST) {
        if url.starts_with("http") {
            announce(client, url, torrent, findings);
            web_socket(client, url, false, findings);
        } else if let Some(address) = url.strip_prefix("udp://") {
            match udp(address) {
                Ok(()) => findings.ok("tracker", &format!("{url} answers")),
                Err(reason) => findings.warn(
                    "tracker",
                    &format!("{url}: {reason}"),
                    "leave it out where it stays silent",
                ),
            }
        } else if let Some(rest) = url.strip_prefix("ws") {
            web_socket(client, &format!("http{rest}"), true, findings);
        }
    }
}

/// Announces as a client that has nothing and wants nobody, then takes its leave.
fn announce(client: &Client, url: &str, torrent: &Torrent, findings: &mut Findings) {
    let Some(hash) = torrent.info.swarm_hashes().first().copied() else {
        return;
    };
    let ask = |event: &str| {
        let mark = if url.contains('?') { '&' } else { '?' };
        let hash = percent_encode(hash.as_bytes(), NON_ALPHANUMERIC);
        let left = torrent.info.payload_bytes();
        let query = format!(
            "{url}{mark}info_hash={hash}&peer_id={PEER_ID}&port=6881&uploaded=0&downloaded=0\
             &left={left}&compact=1&numwant=0&event={event}"
        );
        client.get(&query, &[], REPLY)
    };
    let answer = match ask("started") {
        Ok(answer) => answer,
        Err(reason) => {
            let remedy = "is the seeder up, and seeder_url the address it is reached by?";
            findings.fail("tracker", &format!("{url}: {reason}"), remedy);
            return;
        }
    };
    // It is forgotten by itself as well, some time later.
    let _ = ask("stopped");
    let Ok(reply) = bencode::decode(&answer.body, &Limits::MESSAGE) else {
        let text = format!("{url} answers {} and no tracker's reply", answer.status);
        findings.fail(
            "tracker",
            &text,
            "let the proxy pass /announce on to the seeder",
        );
        return;
    };
    if let Some(reason) = reply
        .get("failure reason")
        .and_then(|reason| reason.as_str())
    {
        let remedy =
            "does that tracker allow this torrent? a seeder of ours knows what its out/ lists";
        findings.fail("tracker", &format!("{url} refuses: {reason}"), remedy);
        return;
    }
    let count = |key: &str| reply.get(key).and_then(|count| count.as_int());
    match count("complete") {
        Some(0) => {
            let remedy = "run `seeder serve`, or any client that has the files";
            findings.warn(
                "tracker",
                &format!("{url} knows nobody who has the whole"),
                remedy,
            );
        }
        Some(seeds) => findings.ok("tracker", &format!("{url} answers, seeds: {seeds}")),
        None => findings.ok("tracker", &format!("{url} answers")),
    }
}

/// Whether browsers find each other there: a tracker over WebSocket switches protocols when asked to.
fn web_socket(client: &Client, url: &str, promised: bool, findings: &mut Findings) {
    let asked = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "Z3JvdW5kc3dlbGxjaGVjaw=="),
    ];
    let shown = format!("ws{}", url.strip_prefix("http").unwrap_or(url));
    match client.get(url, &asked, REPLY) {
        Ok(answer) if answer.status == 101 => {
            findings.ok("websocket", &format!("{shown} answers"));
        }
        Ok(_) if !promised => {
            findings.ok(
                "websocket",
                &format!("{shown} is not offered; pages do without"),
            );
        }
        Ok(answer) => {
            let text = format!("{shown} answers {}, not 101", answer.status);
            findings.warn(
                "websocket",
                &text,
                "leave it out of channel.toml where it stays so",
            );
        }
        Err(reason) => {
            let remedy = "leave it out of channel.toml where it stays so";
            findings.warn("websocket", &format!("{shown}: {reason}"), remedy);
        }
    }
}

/// BEP 15: a connect request and its answer.
fn udp(address: &str) -> Result<(), String> {
    let host = address.split('/').next().unwrap_or(address);
    let failed = |error: std::io::Error| error.to_string();
    let target = host
        .to_socket_addrs()
        .map_err(failed)?
        .next()
        .ok_or("has no address (DNS)")?;
    let local = if target.is_ipv4() {
        "0.0.0.0:0"
    } else {
        "[::]:0"
    };
    let socket = UdpSocket::bind(local).map_err(failed)?;
    socket.set_read_timeout(Some(UDP_TIMEOUT)).map_err(failed)?;
    socket.connect(target).map_err(failed)?;
    let transaction = std::process::id().to_be_bytes();
    let mut request = UDP_MAGIC.to_be_bytes().to_vec();
    request.extend([0; 4]);
    request.extend(transaction);
    // One of the two may be lost.
    for _ in 0..2 {
        socket.send(&request).map_err(failed)?;
        let mut reply = [0; 64];
        match socket.recv(&mut reply) {
            Ok(16..) if reply[..4] == [0; 4] && reply[4..8] == transaction => return Ok(()),
            Ok(_) => return Err("answers something else".into()),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                return Err(error.to_string());
            }
            Err(_) => {}
        }
    }
    Err("does not answer".into())
}
