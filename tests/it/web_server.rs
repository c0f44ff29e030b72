//! The HTTP side of a running publisher, byte for byte: ranges, conditions, HEAD, CORS, MIME types, and what it refuses.

use std::io::Read;
use tests::folder;
use tests::http::{Response, exchange, get, get_with, request};
use tests::published::{Example, Published};

/// The URL of the first payload file and its bytes.
fn payload(example: &Example) -> (String, Vec<u8>) {
    let torrent = &example.server.torrents()[0];
    (
        library_url(example, torrent, 0),
        folder::get(&torrent.data.join(&torrent.files[0])),
    )
}

fn library_url(example: &Example, torrent: &Published, file: usize) -> String {
    let path = torrent.files[file]
        .split('/')
        .map(|part| {
            percent_encoding::utf8_percent_encode(part, percent_encoding::NON_ALPHANUMERIC)
                .to_string()
        })
        .collect::<Vec<_>>()
        .join("/");
    example
        .server
        .url(&format!("library/{}/{path}", torrent.id))
}

fn range(url: &str, range: &str) -> Response {
    get_with(url, &[("Range", range)])
}

#[test]
fn ranges() {
    let example = Example::up("test-drive");
    let (url, bytes) = payload(&example);
    let len = bytes.len();

    let whole = get(&url).expect(200);
    assert_eq!(whole.body, bytes);
    assert_eq!(whole.header("content-type"), Some("video/mp4"));
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));
    assert_eq!(
        whole.header("content-encoding"),
        None,
        "media is never re-encoded"
    );

    let check = |asked: &str, from: usize, to: usize| {
        let part = range(&url, asked).expect(206);
        assert_eq!(part.body, bytes[from..=to], "{asked}");
        let said = format!("bytes {from}-{to}/{len}");
        assert_eq!(part.header("content-range"), Some(said.as_str()), "{asked}");
    };
    // Safari asks for exactly these two bytes and plays nothing if it gets others.
    check("bytes=0-1", 0, 1);
    check("bytes=0-0", 0, 0);
    check("bytes=1000-70000", 1000, 70000);
    check("bytes=0-", 0, len - 1);
    check(&format!("bytes={}-", len - 1), len - 1, len - 1);
    check("bytes=-500", len - 500, len - 1);
    check(&format!("bytes=-{}", len * 2), 0, len - 1);
    check(&format!("bytes=10-{}", len * 2), 10, len - 1);

    for beyond in [
        format!("bytes={len}-"),
        format!("bytes={}-{}", len * 2, len * 3),
        "bytes=-0".into(),
    ] {
        let refused = range(&url, &beyond).expect(416);
        let said = format!("bytes */{len}");
        assert_eq!(
            refused.header("content-range"),
            Some(said.as_str()),
            "{beyond}"
        );
    }
    // Not understood or not worth it: the whole, as RFC 9110 allows, or a plain refusal; never other bytes.
    for odd in [
        "bytes=5-2",
        "bytes=abc",
        "lines=1-2",
        "bytes=0-1,5-6",
        "bytes=99999999999999999999-",
    ] {
        let answer = range(&url, odd);
        match answer.status {
            200 => assert_eq!(answer.body, bytes, "{odd}"),
            206 => assert!(
                answer
                    .header("content-type")
                    .unwrap_or("")
                    .starts_with("multipart/byteranges"),
                "{odd}"
            ),
            400 | 416 => {}
            other => panic!("{odd}: {other}"),
        }
    }
}

#[test]
fn head_and_conditions() {
    let example = Example::up("test-drive");
    let (url, bytes) = payload(&example);
    let head = request("HEAD", &url, &[], b"").unwrap().expect(200);
    let length = bytes.len().to_string();
    assert_eq!(head.header("content-length"), Some(length.as_str()));
    let etag = head.header("etag").expect("payload has an ETag").to_owned();
    assert!(etag.starts_with('"'), "a strong one, for If-Range: {etag}");

    let part = |if_range: &str| get_with(&url, &[("Range", "bytes=5-9"), ("If-Range", if_range)]);
    assert_eq!(part(&etag).expect(206).body, bytes[5..=9]);
    assert_eq!(part("\"another\"").expect(200).body, bytes);
    assert_eq!(
        part("Wed, 01 Jan 2020 00:00:00 GMT").expect(200).body,
        bytes
    );

    get_with(&url, &[("If-None-Match", &etag)]).expect(304);
    let fresh = get_with(&url, &[("If-None-Match", "\"another\"")]).expect(200);
    assert_eq!(fresh.body, bytes);

    let ranged = request("HEAD", &url, &[("Range", "bytes=0-1")], b"").unwrap();
    assert!([200, 206].contains(&ranged.status), "{ranged:?}");
}

#[test]
fn cors() {
    let example = Example::up("test-drive");
    let (url, _) = payload(&example);
    let origin = [
        ("Origin", "https://video.example.org"),
        ("Range", "bytes=0-99"),
    ];
    let answer = get_with(&url, &origin).expect(206);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let exposed = answer
        .header("access-control-expose-headers")
        .unwrap_or_default()
        .to_ascii_lowercase();
    for name in ["content-range", "content-length", "etag"] {
        assert!(exposed.contains(name), "{name} is exposed: {exposed}");
    }
    let asked = [
        ("Origin", "https://video.example.org"),
        ("Access-Control-Request-Method", "GET"),
        ("Access-Control-Request-Headers", "range"),
    ];
    let preflight = request("OPTIONS", &url, &asked, b"").unwrap();
    assert!([200, 204].contains(&preflight.status), "{preflight:?}");
    assert_eq!(preflight.header("access-control-allow-origin"), Some("*"));
    let allowed = preflight
        .header("access-control-allow-headers")
        .unwrap_or_default()
        .to_ascii_lowercase();
    assert!(allowed.contains("range") || allowed == "*", "{preflight:?}");
}

#[test]
fn every_payload_file_by_its_link() {
    for name in folder::EXAMPLES {
        let example = Example::up(name);
        for torrent in example.server.torrents() {
            for (n, path) in torrent.files.iter().enumerate() {
                let answer = get(&library_url(&example, &torrent, n)).expect(200);
                assert!(
                    answer.body == folder::get(&torrent.data.join(path)),
                    "{path}"
                );
            }
            let file = get(&example.server.url(&format!("t/{}.torrent", torrent.id))).expect(200);
            assert_eq!(file.body, torrent.torrent_file().0);
            assert_eq!(
                file.header("content-type"),
                Some("application/x-bittorrent")
            );
        }
    }
}

#[test]
fn pages_have_their_types_and_are_compressed() {
    let example = Example::up("test-drive");
    let slug = &example.server.torrents()[0].slug;
    for path in [
        "",
        &format!("r/{slug}/"),
        "feed.xml",
        "torrents.xml",
        "robots.txt",
    ] {
        let url = example.server.url(path);
        let plain = get(&url).expect(200);
        let kind = plain.header("content-type").unwrap_or_default().to_owned();
        let wanted = match path.rsplit_once('.') {
            Some((_, "xml")) => "xml",
            Some((_, "txt")) => "text/plain",
            _ => "text/html",
        };
        assert!(kind.contains(wanted), "{path}: {kind}");
        assert_eq!(
            plain.header("x-content-type-options"),
            Some("nosniff"),
            "{path}: {plain:?}"
        );
        assert_eq!(plain.header("content-encoding"), None, "{path}");
        let packed = get_with(&url, &[("Accept-Encoding", "gzip, br")]).expect(200);
        if plain.body.len() < 1024 {
            continue;
        }
        assert_eq!(packed.header("content-encoding"), Some("gzip"), "{path}");
        for answer in [&plain, &packed] {
            assert_eq!(answer.header("vary"), Some("Accept-Encoding"), "{path}");
        }
        assert!(packed.body.len() < plain.body.len() * 2 / 3, "{path}");
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&packed.body[..])
            .read_to_end(&mut unpacked)
            .unwrap();
        assert!(unpacked == plain.body, "{path}");
        let tag = packed.header("etag").unwrap();
        assert_ne!(Some(tag), plain.header("etag"), "two forms, two tags");
        let again = [("Accept-Encoding", "gzip"), ("If-None-Match", tag)];
        get_with(&url, &again).expect(304);
        let part = [("Accept-Encoding", "gzip"), ("Range", "bytes=2-11")];
        let part = get_with(&url, &part).expect(206);
        assert_eq!(part.header("content-encoding"), None, "{path}");
        assert!(part.body == plain.body[2..12], "{path}");
    }
    // Media never.
    let torrent = &example.server.torrents()[0];
    let media = library_url(&example, torrent, 0);
    let packed = get_with(&media, &[("Accept-Encoding", "gzip")]).expect(200);
    assert_eq!(packed.header("content-encoding"), None);
    // A folder's address without the slash leads to the one with it, or relative links on the page break.
    let bare = get(&example.server.url(&format!("r/{slug}")));
    assert!([301, 302, 307, 308].contains(&bare.status), "{bare:?}");
    assert!(
        bare.header("location").unwrap_or_default().ends_with('/'),
        "{bare:?}"
    );
}

#[test]
fn refuses_what_is_not_public() {
    let example = Example::up("test-drive");
    let torrent = &example.server.torrents()[0];
    let file = &torrent.files[0];
    let id = &torrent.id;
    let paths = [
        "state.json".to_owned(),
        "../state.json".to_owned(),
        "%2e%2e/state.json".to_owned(),
        "library/".to_owned(),
        format!("library/{id}"),
        format!("library/{id}/"),
        format!("library/{id}/../../state.json"),
        format!("library/{id}/..%2f..%2fstate.json"),
        format!("library/{id}/%2e%2e/%2e%2e/state.json"),
        format!("library/{id}/{file}/"),
        format!("library/{id}/{file}%00"),
        format!("library/{}/{file}", "0".repeat(40)),
        "t/../../state.json".to_owned(),
        "..%5cstate.json".to_owned(),
        "//etc/passwd".to_owned(),
        "%2fetc%2fpasswd".to_owned(),
        "%ff%fe".to_owned(),
        "%zz".to_owned(),
        "a%0d%0aSet-Cookie:%20x".to_owned(),
    ];
    for path in paths {
        let answer = get(&example.server.url(&path));
        assert!(
            (400..500).contains(&answer.status) || (300..400).contains(&answer.status),
            "{path}: {answer:?}"
        );
        assert!(
            !answer.text().contains("\"torrents\""),
            "{path} leaks state.json"
        );
        assert!(
            !answer.text().contains("root:"),
            "{path} leaks a system file"
        );
        assert_eq!(answer.header("set-cookie"), None, "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"] {
        let answer = request(method, &example.server.http, &[], b"").unwrap();
        assert!(
            [400, 404, 405, 501].contains(&answer.status),
            "{method}: {answer:?}"
        );
    }
    // Whatever was thrown at it, it is still there.
    get(&example.server.http).expect(200);
}

#[test]
fn nonsense_on_the_http_port_hurts_nobody() {
    let example = Example::up("test-drive");
    let host = example.server.http["http://".len()..].trim_end_matches('/');
    let long_line = [
        b"GET /",
        "a".repeat(1 << 20).as_bytes(),
        b" HTTP/1.1\r\n\r\n",
    ]
    .concat();
    let many_headers = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(100_000));
    let nonsense: [&[u8]; 6] = [
        b"\x13BitTorrent protocol\r\n\r\n\r\n\r\n",
        b"GET\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        &long_line,
        many_headers.as_bytes(),
    ];
    for bytes in nonsense {
        // A refusal or a closed connection; both are fine.
        let _ = exchange(host, bytes);
        get(&example.server.http).expect(200);
    }
}
