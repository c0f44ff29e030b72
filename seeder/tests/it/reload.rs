//! The state changes under a running seeder.

use crate::out::{Out, Running};
use crate::peers::RawPeer;
use metainfo::state::Status;
use seeder::{ServeConfig, ServeError, Source};

#[tokio::test]
async fn an_empty_folder_is_served_and_fills_up() {
    let mut out = Out::new();
    let mut running = out.serve().await;
    assert_eq!(running.wait_for(0).await.torrents, 0);
    assert_eq!(running.get("/").await.status, 404);
    out.write("site/index.html", "<p>here</p>");
    assert_eq!(running.get("/").await.body, b"<p>here</p>");
    let info = out.add(&[("clip.mp4", b"some bytes")]);
    out.save();
    running.wait_for(1).await;
    assert_eq!(
        running
            .get(&format!("/library/{}/clip.mp4", info.id()))
            .await
            .body,
        b"some bytes"
    );
    RawPeer::connect(&running, &info).await;
}

#[tokio::test]
async fn what_goes_takes_its_peers_along_and_what_stays_keeps_them() {
    let mut out = Out::new();
    let stays = out.add(&[("a.mp4", b"stays")]);
    let goes = out.add(&[("b.mp4", b"goes")]);
    out.save();
    let mut running = out.serve().await;
    running.wait_for(2).await;
    let mut with = RawPeer::connect(&running, &goes).await;
    let mut of = RawPeer::connect(&running, &stays).await;
    assert!(with.hear().await.is_some());
    out.entry(&goes.id()).status = Status::Withdrawn;
    out.entry(&stays.id()).title = "Another title".to_owned();
    out.save();
    running.wait_for(1).await;
    while with.hear().await.is_some() {}
    assert_eq!(
        running
            .get(&format!("/library/{}/b.mp4", goes.id()))
            .await
            .status,
        404
    );
    assert_eq!(of.fetch(stays.geometry()).await, b"stays");
}

#[tokio::test]
async fn a_grace_that_is_over_is_over() {
    let mut out = Out::new();
    let info = out.add(&[("a.mp4", b"old")]);
    let entry = out.entry(&info.id());
    (entry.status, entry.until) = (Status::Grace, Some(1));
    out.save();
    let mut running = out.serve().await;
    assert_eq!(running.wait_for(0).await.torrents, 0);
}

#[tokio::test]
async fn one_bad_torrent_is_named_and_the_rest_is_served() {
    let mut out = Out::new();
    let good = out.add(&[("a.mp4", b"good")]);
    let bad = out.add(&[("b.mp4", b"bad")]);
    let path = out.write(&format!("site/t/{}.torrent", bad.id()), "no torrent");
    out.save();
    let mut running = out.serve().await;
    // It is parsed when somebody asks for it.
    running.wait_for(2).await;
    let mut refused = RawPeer::open(&running, bad.swarm_hashes()[0]).await;
    assert_eq!(refused.hear().await, None);
    let loaded = running.wait_for(1).await;
    assert!(
        loaded.skipped[0].contains(&path.display().to_string()),
        "{:?}",
        loaded.skipped
    );
    RawPeer::connect(&running, &good).await;
}

#[tokio::test]
async fn a_state_that_makes_no_sense_stops_the_start_and_later_changes_nothing() {
    let mut out = Out::new();
    out.write("state.json", "{");
    let Err(error) = Running::start(Source::Out(out.path().to_owned())).await else {
        panic!("it started");
    };
    assert!(
        matches!(error, ServeError::State { .. }) && error.to_string().contains("state.json"),
        "{error}"
    );

    let first = out.add(&[("a.mp4", b"first")]);
    out.save();
    let mut running = out.serve().await;
    running.wait_for(1).await;
    out.write("state.json", "{");
    out.add(&[("b.mp4", b"second")]);
    out.save();
    running.wait_for(2).await;
    RawPeer::connect(&running, &first).await;
}

#[tokio::test]
async fn foreign_torrents_are_checked_before_they_are_served() {
    let mut out = Out::new();
    let (good, bad) = (
        out.add(&[("a.mp4", b"good")]),
        out.add(&[("b.mp4", b"right")]),
    );
    let data = tempfile::tempdir().unwrap();
    std::fs::write(data.path().join("a.mp4"), "good").unwrap();
    std::fs::write(data.path().join("b.mp4"), "wrong").unwrap();
    let torrent = |id: String| out.path().join(format!("site/t/{id}.torrent"));
    let source = |files| Source::Torrents {
        files,
        data: data.path().to_owned(),
    };
    let files = vec![
        torrent(good.id()),
        torrent(bad.id()),
        out.path().join("gone.torrent"),
    ];
    let mut running = Running::start(source(files)).await.unwrap();
    let loaded = running.wait_for(1).await;
    let expected = [("b.mp4", "differs"), ("gone.torrent", "No such file")];
    for (line, (name, why)) in loaded.skipped.iter().zip(expected) {
        assert!(line.contains(name) && line.contains(why), "{line}");
    }
    let mut peer = RawPeer::connect(&running, &good).await;
    assert_eq!(peer.fetch(good.geometry()).await, b"good");

    let nothing = Running::start(source(vec![torrent(bad.id())])).await;
    assert!(matches!(nothing, Err(ServeError::NothingToServe)));
}

#[tokio::test]
async fn a_taken_port_is_an_error_of_one_line() {
    let out = Out::new();
    let running = out.serve().await;
    let mut config = ServeConfig::loopback(Source::Out(out.path().to_owned()));
    config.http = running.http;
    let Err(error) = Running::start_with(config).await else {
        panic!("two programs share a port");
    };
    assert!(
        matches!(&error, ServeError::AddressInUse { flag: "--http", .. }),
        "{error}"
    );
    assert_eq!(error.to_string().lines().count(), 1);
}
