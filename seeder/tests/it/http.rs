//! Site and web seed over HTTP.

use crate::out::Out;

#[tokio::test]
async fn payload_is_given_whole_in_parts_and_by_its_head() {
    let mut out = Out::new();
    let clip: Vec<u8> = (0..300_000u32).map(|i| (i >> 3) as u8).collect();
    let info = out.add(&[("clip ü.mp4", &clip)]);
    out.save();
    let running = out.serve().await;
    let path = format!("/library/{}/clip%20%C3%BC.mp4", info.id());

    let whole = running.get(&path).await;
    assert_eq!(
        (whole.status, whole.header("content-type")),
        (200, "video/mp4")
    );
    assert_eq!(whole.header("content-length"), "300000");
    assert!(whole.body == clip);
    assert_eq!(
        whole.header("cache-control"),
        "public, max-age=31536000, immutable"
    );
    assert_eq!(whole.header("x-content-type-options"), "nosniff");
    assert_eq!(whole.header("referrer-policy"), "no-referrer");
    assert_eq!(whole.header("access-control-allow-origin"), "*");
    for exposed in ["Content-Range", "Content-Length", "ETag", "Accept-Ranges"] {
        assert!(
            whole
                .header("access-control-expose-headers")
                .contains(exposed)
        );
    }

    let probe = running.ask("GET", &path, &[("range", "bytes=0-1")]).await;
    assert_eq!(
        (probe.status, probe.header("content-range")),
        (206, "bytes 0-1/300000")
    );
    assert_eq!(
        (probe.header("content-length"), &probe.body[..]),
        ("2", &clip[..2])
    );
    let etag = whole.header("etag");
    let fresh = [("range", "bytes=131071-131073"), ("if-range", etag)];
    let part = running.ask("GET", &path, &fresh).await;
    assert_eq!(
        (part.status, &part.body[..]),
        (206, &clip[131_071..131_074])
    );
    let stale = running
        .ask(
            "GET",
            &path,
            &[("range", "bytes=0-1"), ("if-range", "\"old\"")],
        )
        .await;
    assert_eq!((stale.status, stale.body.len()), (200, 300_000));
    let dated = [
        ("range", "bytes=-1"),
        ("if-range", whole.header("last-modified")),
    ];
    assert_eq!(running.ask("GET", &path, &dated).await.status, 206);
    let several = running
        .ask("GET", &path, &[("range", "bytes=0-1,5-6")])
        .await;
    assert_eq!((several.status, several.body.len()), (200, 300_000));
    let beyond = running
        .ask("GET", &path, &[("range", "bytes=300000-")])
        .await;
    assert_eq!(
        (beyond.status, beyond.header("content-range")),
        (416, "bytes */300000")
    );
    let known = running.ask("GET", &path, &[("if-none-match", etag)]).await;
    assert_eq!((known.status, known.body.len()), (304, 0));

    let head = running.ask("HEAD", &path, &[("range", "bytes=0-1")]).await;
    assert_eq!(
        (head.status, head.header("content-length"), head.body.len()),
        (200, "300000", 0)
    );
    let preflight = running
        .ask(
            "OPTIONS",
            &path,
            &[("access-control-request-headers", "range")],
        )
        .await;
    assert_eq!(preflight.status, 204);
    assert!(
        preflight
            .header("access-control-allow-headers")
            .contains("Range")
    );
    assert_eq!(running.ask("POST", &path, &[]).await.status, 405);
}

#[tokio::test]
async fn folders_are_reached_file_by_file_and_nothing_else_is() {
    let mut out = Out::new();
    let info = out.add(&[
        ("Album/01.flac", b"one"),
        ("Album/sub/02.flac", b"two"),
        ("Album/empty.txt", b""),
    ]);
    out.write("secret", "never");
    out.save();
    let running = out.serve().await;
    let below = format!("/library/{}", info.id());
    let get = |path: &str| {
        let path = format!("{below}/{path}");
        let running = &running;
        async move { running.get(&path).await }
    };
    assert_eq!(get("Album/sub/02.flac").await.body, b"two");
    assert_eq!(
        get("Album/01.flac").await.header("content-type"),
        "audio/flac"
    );
    let empty = get("Album/empty.txt").await;
    assert_eq!((empty.status, empty.header("content-length")), (200, "0"));
    for nothing in [
        "",
        "Album",
        "Album/",
        "Album/../../../secret",
        "Album/%2e%2e/%2e%2e/%2e%2e/secret",
        "Album%00",
        "%ff",
    ] {
        assert_eq!(get(nothing).await.status, 404, "{nothing}");
    }
    for nothing in [
        "/library",
        "/library/",
        "/library/x",
        "/library/0123/x",
        "/state.json",
        "/../state.json",
    ] {
        assert_eq!(running.get(nothing).await.status, 404, "{nothing}");
    }
}

#[tokio::test]
async fn the_site_is_plain_files() {
    let out = Out::new();
    out.write("site/index.html", "home");
    out.write("site/r/clip/index.html", "page");
    out.write("site/r/clip/x.vtt", "WEBVTT");
    out.write("site/assets/abc/player.js", "code");
    out.write("site/404.html", "lost");
    out.write("site/.hidden", "hidden");
    out.write("site/half.html.tmp", "half");
    out.save();
    let running = out.serve().await;
    let check = |path: &'static str, status: u16, body: &'static str| {
        let running = &running;
        async move {
            let reply = running.get(path).await;
            assert_eq!(
                (reply.status, String::from_utf8_lossy(&reply.body).as_ref()),
                (status, body),
                "{path}"
            );
            reply
        }
    };
    let home = check("/", 200, "home").await;
    assert_eq!(home.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(home.header("cache-control"), "no-cache");
    check("/index.html?x=y", 200, "home").await;
    check("/r/clip/", 200, "page").await;
    assert_eq!(
        check("/r/clip/x.vtt", 200, "WEBVTT")
            .await
            .header("content-type"),
        "text/vtt; charset=utf-8"
    );
    let asset = check("/assets/abc/player.js", 200, "code").await;
    assert_eq!(
        asset.header("cache-control"),
        "public, max-age=31536000, immutable"
    );
    for lost in [
        "/nothing",
        "/.hidden",
        "/half.html.tmp",
        "/r/",
        "/../state.json",
        "/..%2fstate.json",
        "/index.html/",
    ] {
        let reply = check(lost, 404, "lost").await;
        assert_eq!(reply.header("etag"), "", "an error is nobody's version");
    }
    let moved = running.get("/r/clip?a=b").await;
    assert_eq!(
        (moved.status, moved.header("location")),
        (301, "/r/clip/?a=b")
    );
    let known = running
        .ask("GET", "/", &[("if-none-match", home.header("etag"))])
        .await;
    assert_eq!(known.status, 304);
    let part = running
        .ask("GET", "/r/clip/", &[("range", "bytes=1-2")])
        .await;
    assert_eq!((part.status, &part.body[..]), (206, &b"ag"[..]));
}

#[cfg(unix)]
#[tokio::test]
async fn no_link_leads_out_of_the_site() {
    let out = Out::new();
    out.write("site/index.html", "home");
    out.write("outside/secret.html", "secret");
    std::os::unix::fs::symlink(out.path().join("outside"), out.path().join("site/way-out"))
        .unwrap();
    std::os::unix::fs::symlink(
        out.path().join("outside/secret.html"),
        out.path().join("site/file.html"),
    )
    .unwrap();
    std::os::unix::fs::symlink("index.html", out.path().join("site/same.html")).unwrap();
    let running = out.serve().await;
    for lost in [
        "/way-out",
        "/way-out/",
        "/way-out/secret.html",
        "/file.html",
    ] {
        assert_eq!(running.get(lost).await.status, 404, "{lost}");
    }
    assert_eq!(running.get("/same.html").await.body, b"home");
}
