//! The audience's statistics: counted at the tracker, told by status, metrics and history, kept over restarts.

use crate::out::{Out, Running};
use metainfo::{Info, SwarmHash};
use seeder::status::client::{Place, StatusError};
use seeder::status::history::Document;
use seeder::status::report::Report;
use seeder::{ServeConfig, Source};
use std::path::{Path, PathBuf};

/// A seeder of this folder that keeps what it knows in `state`, and is asked at an address.
fn config(out: &Out, state: &Path) -> ServeConfig {
    let mut config = ServeConfig::loopback(Source::Out(out.path().to_owned()));
    config.http.set_port(0);
    config.peer_port = 0;
    config.control.tcp = Some("127.0.0.1:0".parse().unwrap());
    config.state_dir = Some(state.to_owned());
    config
}

/// A table that says where this machine is.
fn countries(folder: &Path) -> PathBuf {
    let path = folder.join("countries.csv");
    std::fs::write(&path, "127.0.0.0,127.255.255.255,DE\n::1,::1,DE\n").unwrap();
    path
}

/// A peer of this client announces to the swarm, from a port of its own.
async fn announce(running: &Running, info: &Info, client: &str, port: u16, rest: &str) {
    let swarm: String = swarm(info).0.map(|byte| format!("%{byte:02x}")).concat();
    let path = format!(
        "/announce?info_hash={swarm}&peer_id={client}{port:012}&port={port}&uploaded=0&downloaded=0&compact=1{rest}"
    );
    let reply = running.get(&path).await;
    let body = String::from_utf8_lossy(&reply.body);
    assert!(reply.status == 200 && !body.contains("failure"), "{body}");
}

fn swarm(info: &Info) -> SwarmHash {
    info.swarm_hashes()[0]
}

async fn report(running: &Running) -> Report {
    ask(running, |place| place.ask()).await.unwrap()
}

async fn history(running: &Running, release: Option<&str>) -> Result<Document, StatusError> {
    let release = release.map(str::to_owned);
    ask(running, move |place| place.history(release.as_deref())).await
}

async fn ask<T: Send + 'static>(
    running: &Running,
    what: impl FnOnce(Place) -> T + Send + 'static,
) -> T {
    let place = Place::find(running.control.last().map(String::as_str)).unwrap();
    tokio::task::spawn_blocking(move || what(place))
        .await
        .unwrap()
}

#[tokio::test]
async fn who_came_and_from_where_outlives_a_restart_and_who_is_there_does_not() {
    let mut out = Out::new();
    let info = out.add(&[("clip.mp4", b"some bytes")]);
    let idle = out.add(&[("idle.mp4", b"nobody looks")]);
    out.save();
    let state = tempfile::tempdir().unwrap();
    let mut wanted = config(&out, state.path());
    wanted.tables.countries = Some(countries(state.path()));
    let running = Running::start_with(wanted.clone()).await.unwrap();
    announce(&running, &info, "-qB4630-", 7001, "&left=10&event=started").await;
    announce(&running, &info, "-qB4630-", 7002, "&left=0&event=started").await;
    announce(&running, &info, "-TR3000-", 7003, "&left=10&event=started").await;
    announce(&running, &info, "-TR3000-", 7003, "&left=0&event=completed").await;

    let now = report(&running).await;
    let audience = &now.total.audience;
    assert_eq!((audience.now, audience.viewers), (3, 0));
    let clients = [
        ("Transmission".to_owned(), 1),
        ("qBittorrent".to_owned(), 2),
    ];
    assert_eq!(audience.clients, clients.into());
    assert_eq!((audience.arrivals, audience.completions), (3, 1));
    // Nobody has asked the seeder itself for anything; the release is shown for its audience.
    let [release] = &now.releases[..] else {
        panic!("{:?}", now.releases);
    };
    assert_eq!((&release.id, release.bytes), (&info.id(), 10));
    assert_eq!((release.audience.now, release.audience.arrivals), (3, 3));
    assert_eq!(now.counters["tracker_client_announces"], 4);
    assert!(now.limits.contains_key("tracker_swarm_full"));
    announce(&running, &info, "-qB4630-", 7001, "&left=10&event=stopped").await;
    assert_eq!(report(&running).await.total.audience.now, 2);
    running.stop().await.unwrap();

    let kept: Vec<_> = std::fs::read_dir(state.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().contains("audience-"))
        .collect();
    let [kept] = &kept[..] else {
        panic!("{kept:?}")
    };
    let text = std::fs::read_to_string(kept).unwrap();
    assert!(
        !text.contains("127.0.0.1") && !text.contains("-qB4630-"),
        "{text}"
    );

    let running = Running::start_with(wanted).await.unwrap();
    let now = report(&running).await;
    let audience = &now.total.audience;
    assert_eq!((audience.now, audience.arrivals), (0, 3));
    assert_eq!(audience.countries, [("DE".to_owned(), 3)].into());
    // A scrape knows who got everything before the restart.
    assert_eq!(now.releases.len(), 0);
    announce(&running, &info, "-qB4630-", 7009, "&left=10").await;
    assert_eq!(report(&running).await.releases[0].tracker_downloaded, 1);
    let everything = history(&running, None).await.unwrap();
    let total = everything.total.unwrap();
    assert_eq!((total.arrivals, total.completions), (3, 1));
    assert_eq!(total.audience.days.len(), 1);
    assert_eq!(everything.clients.len(), 2);
    let one = history(&running, Some("clip")).await.unwrap();
    assert!(one.total.is_none() && one.clients.is_empty());
    let [release] = &one.releases[..] else {
        panic!("{:?}", one.releases);
    };
    assert_eq!((&release.id, release.arrivals), (&info.id(), 3));
    assert!(release.audience.days[0].max >= 2, "{release:?}");
    let by_id = history(&running, Some(&info.id())).await.unwrap();
    assert_eq!(by_id.releases, one.releases);
    let none = history(&running, Some(&idle.id())).await.unwrap_err();
    assert!(matches!(none, StatusError::Release(_)), "{none}");
}

#[tokio::test]
async fn a_damaged_file_is_set_aside_and_counting_begins_anew() {
    let mut out = Out::new();
    let info = out.add(&[("clip.mp4", b"some bytes")]);
    out.save();
    let state = tempfile::tempdir().unwrap();
    let wanted = config(&out, state.path());
    let running = Running::start_with(wanted.clone()).await.unwrap();
    announce(&running, &info, "-qB4630-", 7001, "&left=10").await;
    running.stop().await.unwrap();
    let file = |end: &str| {
        let entries = std::fs::read_dir(state.path()).unwrap();
        let mut paths = entries.map(|entry| entry.unwrap().path());
        paths.find(|path| {
            path.to_string_lossy().contains("audience-") && path.to_string_lossy().ends_with(end)
        })
    };
    let path = file(".json").unwrap();
    std::fs::write(&path, "{\"version\":1,").unwrap();
    let running = Running::start_with(wanted).await.unwrap();
    assert_eq!(report(&running).await.total.audience.arrivals, 0);
    let aside = file(".damaged").unwrap();
    assert_eq!(std::fs::read(aside).unwrap(), b"{\"version\":1,");
}

#[tokio::test]
async fn metrics_tell_the_audience_with_labels_that_have_an_end() {
    let mut out = Out::new();
    let info = out.add(&[("clip.mp4", b"some bytes")]);
    out.save();
    let state = tempfile::tempdir().unwrap();
    let running = Running::start_with(config(&out, state.path()))
        .await
        .unwrap();
    // Ids can say anything: each is one of the kinds that are known, or other.
    let ids = ["-qB4630-", "-EVIL%22x-", "%0aevil%201-", "-XX0000-"];
    for (client, port) in ids.into_iter().zip(8000..) {
        announce(&running, &info, client, port, "&left=10").await;
    }
    let text = ask(&running, |place| {
        let Place::Address(address) = place else {
            panic!("an address")
        };
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        use std::io::{Read, Write};
        stream
            .write_all(b"GET /metrics HTTP/1.0\r\nhost: localhost\r\n\r\n")
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    })
    .await;
    for line in [
        "groundswell_audience_now{client=\"qBittorrent\"} 1",
        "groundswell_audience_now{client=\"other\"} 3",
        "groundswell_audience_arrivals_total 4",
        "groundswell_tracker_client_announces_total 4",
        "groundswell_tracker_loaded_now 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    let of_release = format!(
        "groundswell_release_audience_now{{id=\"{}\",slug=\"clip\"}} 4",
        info.id()
    );
    assert!(text.contains(&of_release), "{text}");
}
