//! The checks against a host on this machine that answers as it is told.

use super::finding::Findings;
use super::http::Client;
use super::{link, media, site, tracker};
use metainfo::catalog::{Catalog, CatalogChannel, CatalogRelease, CatalogRendition};
use metainfo::{Format, Hashes, Info, Layout, Torrent};
use minisign::KeyPair;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Cursor, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// An answer: status line, header lines, body.
#[derive(Clone)]
struct Canned {
    status: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

fn canned(mime: &'static str, body: impl Into<Vec<u8>>) -> Canned {
    Canned {
        status: "200 OK",
        headers: vec![("Content-Type", mime.into())],
        body: body.into(),
    }
}

type Pages = Arc<Mutex<BTreeMap<String, Canned>>>;

/// A host for as long as the test's process lives; `/x` answers a range as `/x?range`.
fn host() -> (String, Pages) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let root = format!("http://{}/", listener.local_addr().unwrap());
    let pages = Pages::default();
    let told = pages.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            answer(stream, &told);
        }
    });
    (root, pages)
}

fn answer(mut stream: TcpStream, pages: &Pages) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let request = lines.next().and_then(Result::ok).unwrap_or_default();
    let mut path = request.split(' ').nth(1).unwrap_or("/").to_owned();
    path.truncate(path.find('?').unwrap_or(path.len()));
    for line in lines
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
    {
        if line.to_lowercase().starts_with("range: ") {
            let two = line.ends_with("=0-1");
            path.push_str(if two { "?two" } else { "?piece" });
        }
    }
    let found = pages.lock().unwrap().get(&path).cloned();
    let found = found.unwrap_or(Canned {
        status: "404 Not Found",
        ..canned("text/plain", "no")
    });
    let mut head = format!(
        "HTTP/1.1 {}\r\nConnection: close\r\nContent-Length: {}\r\n",
        found.status,
        found.body.len()
    );
    for (name, value) in &found.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let _ = stream.write_all(format!("{head}\r\n").as_bytes());
    let _ = stream.write_all(&found.body);
}

fn public_file(key: &minisign::PublicKey) -> String {
    format!("untrusted comment: a key\n{}\n", key.to_base64())
}

const CLIP: &[u8] = b"a clip of a few bytes";

/// A site in good order.
fn good(root: &str, pages: &Pages) -> KeyPair {
    let layout = Layout::file("clip.mp4", CLIP.len() as u64, Format::V1, None).unwrap();
    use sha1::Digest;
    let hashes = Hashes {
        pieces: vec![metainfo::PieceHash::from_slice(&sha1::Sha1::digest(CLIP)).unwrap()],
        ..Hashes::default()
    };
    let mut torrent = Torrent::new(Info::make(&layout, &hashes, false, None));
    torrent.announce = vec![vec![format!("{root}announce")]];
    let id = torrent.info.id();
    let catalog = Catalog {
        version: metainfo::state::VERSION,
        serial: 3,
        channel: CatalogChannel {
            title: "T".into(),
            description: String::new(),
            language: "en".into(),
        },
        releases: vec![CatalogRelease {
            slug: "clip".into(),
            kind: "clip".into(),
            title: "Clip".into(),
            published: "2026-11-22T00:00:00Z".into(),
            page: "r/clip/".into(),
            renditions: vec![CatalogRendition {
                name: "source".into(),
                bytes: CLIP.len() as u64,
                mime: "video/mp4".into(),
                info_hash_v1: torrent.info.info_hash_v1(),
                info_hash_v2: None,
                files: Vec::new(),
                torrent: format!("t/{id}.torrent"),
                magnet: String::new(),
                sources: vec![format!("{root}library/{id}/clip.mp4")],
            }],
        }],
    };
    let key = KeyPair::generate_unencrypted_keypair().unwrap();
    let signature = minisign::sign(
        Some(&key.pk),
        &key.sk,
        Cursor::new(catalog.to_bytes()),
        None,
        None,
    )
    .unwrap();
    let html = "<meta name=\"generator\" content=\"Groundswell 0.1\"><link rel=\"stylesheet\" href=\"assets/s.css\">";
    let range = |said: &str, body: &[u8]| Canned {
        status: "206 Partial Content",
        headers: [
            ("Content-Type", "video/mp4"),
            ("Content-Range", said),
            ("Accept-Ranges", "bytes"),
            ("ETag", "\"1\""),
            ("Access-Control-Allow-Origin", "*"),
            ("Access-Control-Expose-Headers", "Content-Range, ETag"),
        ]
        .map(|(name, value)| (name, value.to_owned()))
        .into(),
        body: body.to_vec(),
    };
    let length = CLIP.len();
    let media = format!("/library/{id}/clip.mp4");
    *pages.lock().unwrap() = BTreeMap::from([
        ("/".into(), canned("text/html; charset=utf-8", html)),
        (
            "/r/clip/".into(),
            canned("text/html", html.replace("assets/", "../../assets/")),
        ),
        ("/assets/s.css".into(), canned("text/css", "a{}")),
        (
            "/catalog.json".into(),
            canned("application/json", catalog.to_bytes()),
        ),
        (
            "/catalog.json.minisig".into(),
            canned("text/plain", signature.into_string()),
        ),
        (
            "/minisign.pub".into(),
            canned("text/plain", public_file(&key.pk)),
        ),
        ("/feed.xml".into(), canned("application/xml", "<rss/>")),
        (
            format!("/t/{id}.torrent"),
            canned("application/x-bittorrent", torrent.to_bytes()),
        ),
        (
            format!("{media}?two"),
            range(&format!("bytes 0-1/{length}"), &CLIP[..2]),
        ),
        (
            format!("{media}?piece"),
            range(&format!("bytes 0-{}/{length}", length - 1), CLIP),
        ),
        (
            "/announce".into(),
            canned("text/plain", "d8:completei1e8:intervali60ee"),
        ),
    ]);
    key
}

/// What a check of that host tells, and whether nothing failed.
fn told(root: &str, key: Option<String>) -> (Vec<String>, bool) {
    let mut findings = Findings::default();
    let client = Client::new();
    if let Some(site) = site::check(&client, &link::typed(root).unwrap(), key, &mut findings) {
        let example = site.example().unwrap();
        if let Some(torrent) = site::release(&client, &site, example, &mut findings) {
            media::check(&client, &site, example, &torrent, &mut findings);
            tracker::check(&client, &torrent, &mut findings);
        }
    }
    let lines = findings.lines().into_iter().map(str::to_owned).collect();
    (lines, findings.tell())
}

#[test]
fn a_site_in_good_order_is_told_so() {
    let (root, pages) = host();
    let key = good(&root, &pages);
    for address in [root.clone(), format!("{root}r/clip/")] {
        let (lines, right) = told(&address, Some(key.pk.to_base64()));
        assert!(
            right && lines.iter().all(|line| line.starts_with("ok")),
            "{lines:#?}"
        );
        for subject in [
            "page",
            "assets",
            "catalog",
            "signature",
            "feed",
            "release",
            "torrent",
            "media",
            "tracker",
        ] {
            let told = lines
                .iter()
                .any(|line| line.starts_with(&format!("ok    {subject}")));
            assert!(told, "{subject}: {lines:#?}");
        }
    }
}

/// Changes the answers to paths that hold `part`, checks, and expects a failure that says `reason`.
#[track_caller]
fn fails(part: &str, change: impl Fn(&mut Canned), reason: &str) {
    let (root, pages) = host();
    good(&root, &pages);
    let mut changed = 0;
    for (path, answer) in pages.lock().unwrap().iter_mut() {
        if path.contains(part) {
            change(answer);
            changed += 1;
        }
    }
    assert!(changed > 0, "{part}");
    let (lines, right) = told(&root, None);
    let found = lines
        .iter()
        .any(|line| line.starts_with("fail") && line.contains(reason));
    assert!(found && !right, "{reason}: {lines:#?}");
}

fn set(answer: &mut Canned, name: &'static str, value: &str) {
    answer.headers.retain(|(known, _)| *known != name);
    answer.headers.push((name, value.into()));
}

#[test]
fn what_is_wrong_is_found() {
    fails("/r/clip/", |a| a.status = "404 Not Found", "answers 404");
    fails(
        "/assets/",
        |a| set(a, "Content-Type", "text/plain"),
        "as text/css",
    );
    fails(
        ".minisig",
        |a| a.body = b"untrusted comment: x\nx\n".to_vec(),
        "does not belong",
    );
    fails(
        "minisign.pub",
        |a| {
            let other = KeyPair::generate_unencrypted_keypair().unwrap();
            a.body = public_file(&other.pk).into_bytes();
        },
        "does not belong",
    );
    fails(".torrent", |a| a.body.truncate(30), ".torrent");
    fails("?two", |a| a.status = "200 OK", "answers 200 to a range");
    fails("?two", |a| a.body = CLIP.to_vec(), "another number");
    fails(
        "?two",
        |a| set(a, "Content-Range", "bytes 0-1/9"),
        "`bytes 0-1/9`",
    );
    fails("?two", |a| set(a, "Content-Encoding", "gzip"), "compressed");
    fails(
        "?two",
        |a| set(a, "Content-Type", "application/octet-stream"),
        "as video/mp4",
    );
    fails("?piece", |a| a.body[5] ^= 1, "first piece");
    fails(
        "/announce",
        |a| a.body = b"<html>".to_vec(),
        "no tracker's reply",
    );
    fails(
        "/announce",
        |a| a.body = b"d14:failure reason3:whye".to_vec(),
        "refuses: why",
    );
}

#[test]
fn another_key_than_the_given_one_is_found() {
    let (root, pages) = host();
    good(&root, &pages);
    let other = KeyPair::generate_unencrypted_keypair().unwrap();
    let (lines, right) = told(&root, Some(other.pk.to_base64()));
    assert!(
        !right && lines.iter().any(|line| line.contains("this channel's key")),
        "{lines:#?}"
    );
}

#[test]
fn a_host_that_is_not_there_is_told() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let (lines, right) = told(&format!("http://{free}/"), None);
    assert!(!right && lines[0].starts_with("fail  page"), "{lines:?}");
}
