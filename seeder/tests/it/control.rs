//! Status and metrics, on their own socket and address.

use crate::out::{Out, Running};
use crate::peers::RawPeer;
use seeder::status::client::Place;
use seeder::{ServeConfig, ServeError, Source};
use std::collections::{BTreeMap, HashSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

fn config(out: &Out, runtime: &Path) -> ServeConfig {
    let mut config = ServeConfig::loopback(Source::Out(out.path().to_owned()));
    config.http.set_port(0);
    config.peer_port = 0;
    config.control.folder = Some(runtime.to_owned());
    config.control.tcp = Some("127.0.0.1:0".parse().unwrap());
    config
}

/// Status and body of what an address answers, with these fields in the request's head.
async fn ask(address: &str, path: &str, fields: &str) -> (u16, String) {
    let address: SocketAddr = address.parse().unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nconnection: close\r\n{fields}\r\n");
    let answer = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    });
    let answer = answer.await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

/// Every sample of a text in Prometheus' form, and the names of its families; panics where it isn't in that form.
fn parse(text: &str) -> (BTreeMap<String, f64>, HashSet<&str>) {
    let (mut samples, mut families) = (BTreeMap::new(), HashSet::new());
    let mut family = "";
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(families.insert(name) && !help.is_empty(), "{line}");
            family = name;
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(name == family && ["counter", "gauge"].contains(&kind));
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            assert_eq!(name, family, "a sample outside of its family");
            let valid = |c: char| c.is_ascii_alphanumeric() || c == '_';
            assert!(name.chars().all(valid), "{line}");
            let before = samples.insert(series.to_owned(), value.parse().unwrap());
            assert_eq!(before, None, "{line} stands there twice");
        }
    }
    (samples, families)
}

#[tokio::test]
async fn metrics_are_in_prometheus_form_and_no_page_reaches_them() {
    let mut out = Out::new();
    let info = out.add(&[("clip.mp4", b"some bytes")]);
    out.entry(&info.id()).slug = "a\"}\nevil 1".to_owned();
    out.save();
    let runtime = tempfile::tempdir().unwrap();
    let running = Running::start_with(config(&out, runtime.path()))
        .await
        .unwrap();
    let address = running.control.last().unwrap();
    let mut peer = RawPeer::connect(&running, &info).await;
    assert_eq!(peer.fetch(info.geometry()).await, b"some bytes");
    let web = format!("/library/{}/clip.mp4", info.id());
    running.get(&web).await;

    let (status, text) = ask(address, "/metrics", "host: localhost\r\n").await;
    assert_eq!(status, 200);
    let (samples, families) = parse(&text);
    assert_eq!(samples["groundswell_blocks_sent_total"], 1.0);
    assert_eq!(samples["groundswell_torrents_now"], 1.0);
    for entry in running.metrics.entries() {
        let total = format!("groundswell_{}_total", entry.name);
        let gauge = format!("groundswell_{}", entry.name);
        assert!(
            families.contains(&*total) != families.contains(&*gauge),
            "{}",
            entry.name
        );
        assert!(entry.help.trim().ends_with('.'), "{entry:?}");
    }
    let id = info.id();
    let labels = format!("{{id=\"{id}\",slug=\"a\\\"}}\\nevil 1\"}}");
    let sent = format!("groundswell_release_http_bytes_total{labels}");
    assert_eq!(samples[&sent], 10.0, "{text}");

    for fields in [
        "",
        "host: evil.example\r\n",
        "host: localhost\r\norigin: http://localhost\r\n",
        "host: localhost\r\nsec-fetch-site: cross-site\r\n",
    ] {
        let (status, body) = ask(address, "/metrics", fields).await;
        assert!(status >= 400 && !body.contains("groundswell"), "{fields}");
    }
    assert_eq!(running.metrics.control_refused.get(), 4);
    let (status, _) = ask(address, "/state.json", "host: localhost\r\n").await;
    assert_eq!(status, 404);
    // The public port knows nothing of it.
    assert_eq!(running.get("/metrics").await.status, 404);
    assert_eq!(running.get("/status").await.status, 404);
}

#[tokio::test]
async fn the_status_tells_of_peers_bytes_and_what_is_withdrawn() {
    let mut out = Out::new();
    let info = out.add(&[("clip.mp4", &[5; 50_000])]);
    let lost = out.add(&[("lost.mp4", b"lost")]);
    out.save();
    std::fs::remove_file(out.path().join(format!("library/{}/lost.mp4", lost.id()))).unwrap();
    let runtime = tempfile::tempdir().unwrap();
    let running = Running::start_with(config(&out, runtime.path()))
        .await
        .unwrap();
    let mut peer = RawPeer::connect(&running, &info).await;
    peer.fetch(info.geometry()).await;
    let web = format!("/library/{}/clip.mp4", info.id());
    running.get(&web).await;

    for place in running.control.clone() {
        let place = Place::find(Some(&place)).unwrap();
        let report = tokio::task::spawn_blocking(move || place.ask());
        let report = report.await.unwrap().unwrap();
        let total = &report.total;
        assert_eq!((total.torrents, total.torrents_served), (2, 1));
        assert_eq!((total.torrents_active, total.traffic.peers_tcp), (1, 1));
        assert_eq!(
            (total.traffic.sent, total.traffic.sent_http),
            (50_000, 50_000)
        );
        assert_eq!(total.traffic.web_offload, Some(0.5));
        assert_eq!(total.traffic.viewer_share, None);
        let [release] = &report.releases[..] else {
            panic!("{:?}", report.releases);
        };
        assert_eq!((&*release.title, release.bytes), ("A clip", 50_000));
        assert_eq!((release.joined, release.traffic.sent), (1, 50_000));
        let [withdrawn] = &report.withdrawn[..] else {
            panic!("{:?}", report.withdrawn);
        };
        assert!(withdrawn.why.contains("lost.mp4 is missing"));
        assert_eq!((&withdrawn.id, withdrawn.checking), (&lost.id(), false));
        assert_eq!(report.limits["peers_full"], 0);
        assert_eq!(report.counters["blocks_sent"], 4);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn the_socket_is_its_owners_alone_and_goes_with_the_seeder() {
    use std::os::unix::fs::PermissionsExt;
    let out = Out::new();
    let runtime = tempfile::tempdir().unwrap();
    let folder = runtime.path().join("groundswell");
    let running = Running::start_with(config(&out, &folder)).await.unwrap();
    let socket = Path::new(&running.control[0]).to_owned();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&socket)), (0o700, 0o600));
    running.stop().await.unwrap();
    assert!(!socket.exists());

    // Left behind by a process that was killed, it is in nobody's way.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert!(socket.exists());
    let running = Running::start_with(config(&out, &folder)).await.unwrap();
    let place = Place::find(Some(&running.control[0])).unwrap();
    let report = tokio::task::spawn_blocking(move || place.ask());
    assert_eq!(report.await.unwrap().unwrap().total.torrents, 0);
}

#[tokio::test]
async fn status_and_metrics_are_never_for_other_machines() {
    let out = Out::new();
    let runtime = tempfile::tempdir().unwrap();
    let mut config = config(&out, runtime.path());
    config.control.tcp = Some("0.0.0.0:0".parse().unwrap());
    let Err(error) = Running::start_with(config).await else {
        panic!("it listens everywhere");
    };
    assert!(matches!(error, ServeError::ControlNotLocal(_)), "{error}");
}
