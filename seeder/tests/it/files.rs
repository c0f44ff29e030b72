//! What becomes of a torrent whose files are not what they were, and how much thousands of them cost at the start.

use crate::out::{Out, Running};
use crate::peers::RawPeer;
use metainfo::Info;
use seeder::config::Scrub;
use seeder::metrics::Counter;
use seeder::{ServeConfig, Source};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

fn config(out: &Out) -> ServeConfig {
    let mut config = ServeConfig::loopback(Source::Out(out.path().to_owned()));
    config.http.set_port(0);
    config.peer_port = 0;
    config
}

fn payload(out: &Out, info: &Info, name: &str) -> PathBuf {
    out.path().join(format!("library/{}/{name}", info.id()))
}

/// Waits until a counter has risen so far.
async fn until(counter: &Counter, n: u64) {
    while counter.get() < n {
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn is_served(running: &Running, info: &Info, bytes: &[u8]) {
    let mut peer = RawPeer::connect(running, info).await;
    assert!(peer.fetch(info.geometry()).await == bytes);
}

async fn is_refused(running: &Running, info: &Info) {
    let mut peer = RawPeer::open(running, info.swarm_hashes()[0]).await;
    assert_eq!(peer.hear().await, None);
}

/// Writes a file anew under its name: another inode, another time.
fn replace(path: &Path, bytes: &[u8]) {
    let new = path.with_extension("new");
    std::fs::write(&new, bytes).unwrap();
    std::fs::rename(new, path).unwrap();
}

#[tokio::test]
async fn a_copied_library_is_hashed_and_served() {
    let mut out = Out::new();
    let copied = out.add(&[("a.mp4", b"one")]);
    let other = out.add(&[("b.mp4", b"two")]);
    out.save();
    replace(&payload(&out, &copied, "a.mp4"), b"one");
    replace(&payload(&out, &other, "b.mp4"), b"TWO");
    let mut running = out.serve().await;
    until(&running.metrics.torrents_rehashed, 2).await;
    let loaded = running.wait_for(1).await;
    assert!(
        loaded.skipped[0].contains("piece 0") && loaded.skipped[0].contains("b.mp4"),
        "{:?}",
        loaded.skipped
    );
    is_served(&running, &copied, b"one").await;
    is_refused(&running, &other).await;
    // Put right by hand.
    replace(&payload(&out, &other, "b.mp4"), b"two");
    running.wait_for(2).await;
    is_served(&running, &other, b"two").await;
}

#[tokio::test]
async fn a_file_that_changes_is_withdrawn_at_once_and_served_again_when_its_bytes_are_right() {
    let mut out = Out::new();
    let clip = vec![7; 100_000];
    let info = out.add(&[("clip.mp4", &clip)]);
    let stays = out.add(&[("other.mp4", b"other")]);
    out.save();
    let mut running = out.serve().await;
    running.wait_for(2).await;
    let path = payload(&out, &info, "clip.mp4");
    let web = format!("/library/{}/clip.mp4", info.id());
    let mut peer = RawPeer::connect(&running, &info).await;
    peer.hear().await;
    let mut changed = clip.clone();
    changed[70_000] ^= 1;
    replace(&path, &changed);
    // Whatever asks first finds it, even where the changed byte isn't asked for.
    let reply = running.ask("GET", &web, &[("range", "bytes=0-1")]).await;
    assert_ne!(reply.status, 206);
    while peer.hear().await.is_some() {}
    let loaded = running.wait_for(1).await;
    assert!(loaded.skipped[0].contains("clip.mp4"), "{loaded:?}");
    assert_eq!(running.get(&web).await.status, 503);
    is_refused(&running, &info).await;
    is_served(&running, &stays, b"other").await;

    replace(&path, &clip);
    running.wait_for(2).await;
    assert_eq!(running.get(&web).await.body, clip);
    is_served(&running, &info, &clip).await;
    assert!(running.metrics.torrents_withdrawn.get() >= 1);
    assert_eq!(running.metrics.torrents_restored.get(), 1);

    // Moved away and back it is the same file: served at once, and hashed behind.
    std::fs::rename(&path, path.with_extension("away")).unwrap();
    running.wait_for(1).await;
    std::fs::rename(path.with_extension("away"), &path).unwrap();
    running.wait_for(2).await;
    assert_eq!(running.metrics.torrents_restored.get(), 2);
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_is_only_touched_is_served_on_and_hashed_behind_once() {
    let mut out = Out::new();
    let state = tempfile::tempdir().unwrap();
    let info = out.add(&[("clip.mp4", b"touched")]);
    out.save();
    let mut config = config(&out);
    config.state_dir = Some(state.path().to_owned());
    let mut running = Running::start_with(config.clone()).await.unwrap();
    let mut peer = RawPeer::connect(&running, &info).await;
    peer.hear().await;
    let path = payload(&out, &info, "clip.mp4");
    std::fs::hard_link(&path, out.path().join("link")).unwrap();
    until(&running.metrics.torrents_rehashed, 1).await;
    assert_eq!(peer.fetch(info.geometry()).await, b"touched");
    assert_eq!(running.wait_for(1).await.skipped, [""; 0]);
    assert_eq!(running.metrics.torrents_withdrawn.get(), 0);
    running.stop().await.unwrap();

    // A later run knows that it was hashed.
    let running = Running::start_with(config).await.unwrap();
    is_served(&running, &info, b"touched").await;
    running.stop().await.unwrap();
    let remembered = std::fs::read_dir(state.path()).unwrap().next().unwrap();
    let remembered = std::fs::read_to_string(remembered.unwrap().path()).unwrap();
    assert!(remembered.contains(&info.id()), "{remembered}");
}

#[tokio::test]
async fn the_scrub_finds_a_wrong_byte_under_an_unchanged_stat() {
    let mut out = Out::new();
    let clips: Vec<_> = (0..5u8)
        .map(|n| out.add(&[(&format!("{n}.mp4"), &[n; 90_000])]))
        .collect();
    // A byte is flipped, and the file's record is what it is after that: as when a disk forgets.
    let path = payload(&out, &clips[3], "3.mp4");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[89_999] ^= 0x10;
    std::fs::write(&path, bytes).unwrap();
    let stat = store::stat_record(&path).unwrap();
    out.entry(&clips[3].id()).files[0].stat = Some(stat);
    out.save();
    let state = tempfile::tempdir().unwrap();
    let mut config = config(&out);
    config.state_dir = Some(state.path().to_owned());
    config.scrub = Scrub {
        bytes_per_second: 1 << 30,
        every: Duration::ZERO,
    };
    let mut running = Running::start_with(config.clone()).await.unwrap();
    until(&running.metrics.scrub_damaged, 1).await;
    let loaded = running.wait_for(4).await;
    assert!(
        loaded.skipped[0].contains("piece 2") && loaded.skipped[0].contains("3.mp4"),
        "{loaded:?}"
    );
    is_refused(&running, &clips[3]).await;
    until(&running.metrics.scrub_rounds, 1).await;
    running.stop().await.unwrap();

    // Switched off, it reads nothing.
    config.scrub.bytes_per_second = 0;
    let running = Running::start_with(config).await.unwrap();
    is_served(&running, &clips[0], &[0; 90_000]).await;
    assert_eq!(running.metrics.rehashed_bytes.get(), 0);
}

#[cfg(unix)]
#[tokio::test]
async fn the_scrub_keeps_to_its_budget() {
    let mut out = Out::new();
    let scrubbed = out.add(&[("clip.mp4", &[1; 320_000])]);
    let touched = out.add(&[("other.mp4", b"touched")]);
    out.save();
    let mut config = config(&out);
    config.scrub = Scrub {
        bytes_per_second: 1,
        every: Duration::ZERO,
    };
    let running = Running::start_with(config).await.unwrap();
    // A piece of this seeder's is read for the first byte's sake; the next one is due in some hours.
    let metrics = &running.metrics;
    until(&metrics.rehashed_bytes, 1).await;
    let first = metrics.rehashed_bytes.get();
    assert!(first <= scrubbed.geometry().piece_length().get().into());
    // What was touched is hashed two looks later, and nothing else in between.
    let path = payload(&out, &touched, "other.mp4");
    std::fs::hard_link(&path, out.path().join("link")).unwrap();
    until(&metrics.torrents_rehashed, 1).await;
    let since = metrics.rehashed_bytes.get() - first;
    assert_eq!(since, touched.payload_bytes());
}

#[tokio::test]
async fn thousands_of_releases_are_ready_before_one_is_parsed() {
    const RELEASES: usize = 2000;
    let mut out = Out::new();
    let bytes = |n: usize| format!("release {n}").into_bytes();
    let infos: Vec<Info> = (0..RELEASES)
        .map(|n| out.add(&[(&format!("{n}.bin"), &bytes(n))]))
        .collect();
    out.save();
    let mut running = out.serve().await;
    assert_eq!(running.wait_for(RELEASES).await.torrents, RELEASES);
    let opened = || running.metrics.torrents_opened.get();
    assert_eq!((opened(), running.metrics.rehashed_bytes.get()), (0, 0));
    is_served(&running, &infos[1234], &bytes(1234)).await;
    let web = format!("/library/{}/77.bin", infos[77].id());
    assert_eq!(running.get(&web).await.body, bytes(77));
    // Asked for again, it is open still.
    is_served(&running, &infos[1234], &bytes(1234)).await;
    assert_eq!(opened(), 2);
}

#[tokio::test]
async fn a_file_of_another_time_is_another_file() {
    let mut out = Out::new();
    let info = out.add(&[("clip.mp4", b"same bytes")]);
    out.save();
    let path = payload(&out, &info, "clip.mp4");
    let file = File::options().write(true).open(&path).unwrap();
    file.set_modified(UNIX_EPOCH).unwrap();
    let mut running = out.serve().await;
    running.wait_for(1).await;
    until(&running.metrics.torrents_rehashed, 1).await;
    is_served(&running, &info, b"same bytes").await;
}
