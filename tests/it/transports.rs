//! Every way a peer may come: TCP and uTP, in the clear and encrypted, and what the seeder is told to refuse.

use tests::clients::libtorrent::Libtorrent;
use tests::folder::{assert_same, put};
use tests::process::{Finished, run};
use tests::programs::{Tool, foreign};
use tests::published::{Example, Server, build, seeder, set_channel, state};

fn fetch(client: &Libtorrent, way: &str) {
    if Tool::Libtorrent.skipped() {
        return;
    }
    let example = Example::up("test-drive");
    for torrent in example.server.torrents() {
        let file = example.folder.path().join("peers.torrent");
        put(&file, &torrent.torrent_file().peers_only().0);
        let target = example.target(way);
        let fetched = client.fetch_by(&file.to_string_lossy(), &target, way);
        assert!(fetched.blocks_of_peers > 0, "{way}: {fetched:?}");
        let payload = torrent.payload();
        assert_same(&target.join(payload.file_name().unwrap()), &payload, way);
    }
}

#[test]
fn tcp_in_the_clear() {
    fetch(&Libtorrent::debian(), "tcp-plain");
}

#[test]
fn tcp_encrypted() {
    fetch(&Libtorrent::debian(), "tcp-encrypted");
    fetch(&Libtorrent::newest(), "tcp-encrypted");
}

#[test]
fn utp_in_the_clear() {
    fetch(&Libtorrent::debian(), "utp-plain");
    fetch(&Libtorrent::newest(), "utp-plain");
}

#[test]
fn utp_encrypted() {
    fetch(&Libtorrent::newest(), "utp-encrypted");
}

/// aria2 with these arguments at a seeder with those; how it ended.
fn aria2(seeder_flags: &[&str], arguments: &[&str]) -> Finished {
    let folder = tests::folder::temporary();
    let clips = tests::folder::copy_example("service-pack", folder.path());
    let out = folder.path().join("out");
    build(&clips, &out).success();
    let mut command = seeder(["serve"]);
    command
        .arg(&out)
        .args(["--http", "127.0.0.1:0", "--peer-port", "0", "--json"])
        .args(seeder_flags);
    let server = Server::start(&mut command, &out);
    set_channel(&clips, &format!("seeder_url = \"{}\"", server.http));
    build(&clips, &out).success();
    let torrent = &state(&out)[0];
    let file = folder.path().join("peers.torrent");
    put(&file, &torrent.torrent_file().peers_only().0);
    let mut client = std::process::Command::new(foreign("aria2c", Tool::Aria2));
    client
        .args([
            "--no-conf",
            "--enable-dht=false",
            "--enable-dht6=false",
            "--bt-enable-lpd=false",
        ])
        .args([
            "--enable-peer-exchange=false",
            "--listen-port=20000-59999",
            "--seed-time=0",
        ])
        .arg(format!("--interface={}", tests::namespace::loopback()))
        .args([
            "--file-allocation=none",
            "--bt-stop-timeout=6",
            "--bt-tracker-timeout=5",
        ])
        .args(arguments)
        .arg(format!("--dir={}", folder.path().join("got").display()))
        .arg(&file);
    run(&mut client)
}

#[test]
fn what_is_required_or_off_is_so() {
    if Tool::Aria2.skipped() {
        return;
    }
    let encrypted = ["--bt-force-encryption=true"];
    aria2(&["--encryption", "required"], &encrypted).success();
    aria2(&["--encryption", "off"], &[]).success();
    let refused = aria2(&["--encryption", "off"], &encrypted);
    assert_ne!(refused.code, 0, "an encrypted peer was served: {refused}");
    aria2(&["--no-utp"], &encrypted).success();
}
