//! The WebSocket tracker as browsers meet it: the clients that there are find each other through it and exchange a torrent,
//! nobody speaks for another, and what is no WebSocket gets an answer that says so.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::net::TcpStream;
use tests::clients::chromium;
use tests::folder::{noise, put, temporary};
use tests::programs::Tool;
use tests::published::{Server, build};
use tungstenite::client::IntoClientRequest;
use tungstenite::http::HeaderValue;
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message, WebSocket};

const FOREIGN: &str = "00112233445566778899aabbccddeeff00112233";

/// A channel of one download whose viewers are always introduced, or as it is by default.
struct Site {
    server: Server,
    content: Vec<u8>,
    _folder: tempfile::TempDir,
}

impl Site {
    fn start(p2p: &str) -> Self {
        let folder = temporary();
        let clips = folder.path().join("clips");
        let content = noise(5, 700_000);
        put(&clips.join("noise.bin"), &content);
        put(
            &clips.join("channel.toml"),
            format!("title = \"Noise\"\np2p = \"{p2p}\"\n").as_bytes(),
        );
        let out = folder.path().join("out");
        build(&clips, &out).success();
        let server = Server::serve(&out);
        Self {
            server,
            content,
            _folder: folder,
        }
    }

    fn tracker(&self) -> String {
        format!("{}announce", self.server.http.replacen("http", "ws", 1))
    }

    fn hash(&self) -> String {
        self.server.torrents()[0].torrent_file().v1()
    }
}

#[test]
fn viewers_with_the_official_bundle_exchange_a_torrent() {
    if Tool::Chromium.skipped() {
        return;
    }
    let site = Site::start("always");
    let torrent = site.server.url(&format!("t/{}.torrent", site.hash()));
    let web_seed = site
        .server
        .url(&format!("library/{}/noise.bin", site.hash()));
    let seen = chromium::script(
        "viewers.mjs",
        &[&site.server.http, &site.tracker(), &torrent, &web_seed],
    );
    let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(&site.content));
    for who in ["first", "second"] {
        assert_eq!(seen[who]["warnings"], json!([]), "{seen}");
        assert_eq!(seen[who]["content"], digest, "{seen}");
    }
    assert_eq!(seen["first"]["wires"][0], "webSeed", "{seen}");
    assert_eq!(seen["second"]["wires"], json!(["webrtc"]), "{seen}");
}

#[test]
fn the_npm_client_meets_others_scrapes_completes_and_leaves() {
    if Tool::Chromium.skipped() {
        return;
    }
    let site = Site::start("always");
    let seen = chromium::script(
        "tracker-clients.mjs",
        &[&site.tracker(), &site.hash(), FOREIGN],
    );
    // The seeder is in every swarm of its own.
    let counts = |of: &Value| (of["complete"].as_u64(), of["incomplete"].as_u64());
    assert_eq!(counts(&seen["first"]), (Some(1), Some(1)), "{seen}");
    assert_eq!(counts(&seen["second"]), (Some(1), Some(2)), "{seen}");
    assert_eq!(counts(&seen["scrape"]), (Some(1), Some(2)), "{seen}");
    assert_eq!(counts(&seen["after"]), (Some(2), Some(1)), "{seen}");
    assert_eq!(counts(&seen["last"]), (Some(1), Some(1)), "{seen}");
    assert_eq!(seen["words"], json!(["hello", "hello"]));
    assert_eq!(seen["warnings"], json!([]), "{seen}");
    let refusal = seen["refusal"].as_str().unwrap();
    assert!(refusal.contains("not tracked"), "{seen}");
}

/// A browser's socket, blocking.
struct Page(WebSocket<MaybeTlsStream<TcpStream>>);

impl Page {
    /// Asks for compression, as browsers do.
    fn open(site: &Site) -> Self {
        let mut request = site.tracker().into_client_request().unwrap();
        let offered = HeaderValue::from_static("permessage-deflate; client_max_window_bits");
        let fields = request.headers_mut();
        fields.insert("sec-websocket-extensions", offered);
        fields.insert("origin", HeaderValue::from_static("https://pages.example"));
        // It checks the accept key.
        let (socket, response) = tungstenite::connect(request).unwrap();
        assert_eq!(response.status(), 101);
        assert_eq!(response.headers().get("sec-websocket-extensions"), None);
        Self(socket)
    }

    fn say(&mut self, message: &Value) {
        let text = message.to_string();
        self.0.send(Message::text(text)).unwrap();
    }

    fn hear(&mut self) -> Value {
        loop {
            match self.0.read().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

/// The text of a hexadecimal hash as it stands in messages.
fn latin(hex: &str) -> String {
    let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
    bytes.into_iter().map(char::from).collect()
}

fn announce(site: &Site, peer: &str, offers: usize) -> Value {
    let offer = json!({"offer_id": "o".repeat(20), "offer": {"type": "offer", "sdp": "v=0\r\n"}});
    json!({
        "action": "announce", "info_hash": latin(&site.hash()), "peer_id": format!("{peer:-<20}"),
        "left": 1000, "event": "started", "offers": vec![offer; offers],
    })
}

#[test]
fn while_the_seeder_is_idle_no_viewer_is_shown_to_another() {
    let site = Site::start("under-load");
    let (mut ada, mut bob) = (Page::open(&site), Page::open(&site));
    for (page, name) in [(&mut ada, "ada"), (&mut bob, "bob")] {
        page.say(&announce(&site, name, 5));
        let reply = page.hear();
        assert_eq!(reply["p2p"], "wait", "{reply}");
    }
    // What Ada hears next is her own answer, and no offer of Bob's.
    ada.say(&announce(&site, "ada", 5));
    let reply = ada.hear();
    assert_eq!(reply["p2p"], "wait", "{reply}");
    assert_eq!(reply.get("offer"), None, "{reply}");
}

#[test]
fn an_offer_over_real_sockets_reaches_the_other_viewer() {
    let site = Site::start("always");
    let (mut ada, mut bob) = (Page::open(&site), Page::open(&site));
    ada.say(&announce(&site, "ada", 0));
    assert_eq!(ada.hear()["p2p"], "go");
    bob.say(&announce(&site, "bob", 3));
    assert_eq!(bob.hear()["incomplete"], 2);
    let offer = ada.hear();
    assert_eq!(offer["peer_id"], format!("{:-<20}", "bob"));
    assert_eq!(offer["offer"], json!({"type": "offer", "sdp": "v=0\r\n"}));
    // Nonsense is told off and its socket closed; the other stays.
    bob.0.send(Message::text("nonsense")).unwrap();
    let told = bob.hear();
    assert!(told["failure reason"].is_string(), "{told}");
    let closed = bob.0.read().unwrap();
    assert!(
        matches!(&closed, Message::Close(Some(frame)) if u16::from(frame.code) == 1007),
        "{closed:?}"
    );
    ada.say(&json!({"action": "scrape", "info_hash": latin(&site.hash())}));
    assert_eq!(ada.hear()["action"], "scrape");
}
