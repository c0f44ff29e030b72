//! `seeder status`, as a person and a program meet it, and the metrics that Prometheus scrapes.

use serde_json::Value;
use std::path::PathBuf;
use tests::folder::{copy_example, temporary};
use tests::http;
use tests::process::run;
use tests::published::{Example, Server, build, seeder};
use tests::wait::until;

#[test]
fn a_running_seeder_is_found_and_tells_what_it_does() {
    let example = Example::up("test-drive");
    let torrent = &example.server.torrents()[0];
    let web = format!("library/{}/test-drive.mp4", torrent.id);
    let bytes = http::get(&example.server.url(&web)).expect(200).body.len() as u64;

    let plain = run(&mut seeder(["status"])).success();
    plain.calm();
    for words in [
        "1 torrent, 0 with peers",
        "Forty-eight kilometres",
        "web offload 0 %",
        "viewer share unknown",
        "limits    none has bitten",
        "audience  nobody in the swarms",
        "p2p       bandwidth to spare",
    ] {
        assert!(plain.stdout.contains(words), "{words}: {plain}");
    }

    let json = run(&mut seeder(["status", "--json"])).success();
    let [status] = &json.json()[..] else {
        panic!("one object: {json}");
    };
    assert_eq!(
        (&status["event"], &status["version"]),
        (&"status".into(), &1.into())
    );
    assert_eq!(status["total"]["torrents_served"], 1);
    assert_eq!(status["total"]["sent_http"], bytes);
    assert_eq!(status["total"]["viewer_share"], Value::Null);
    let release = &status["releases"][0];
    assert_eq!(
        (&release["id"], &release["sent_http"]),
        (&(*torrent.id).into(), &bytes.into())
    );
    assert_eq!(status["rates"]["total"]["sent_http"], 0.0);
    assert_eq!(status["rates"]["releases"][&torrent.id]["sent"], 0.0);
    assert!(status["limits"]["peers_full"].is_u64() && status["counters"]["announces"].is_u64());
}

#[test]
fn the_audience_is_told_and_outlives_a_kill() {
    let folder = temporary();
    let clips = copy_example("test-drive", folder.path());
    let out = folder.path().join("out");
    build(&clips, &out).success();
    let server = Server::serve(&out);
    let torrent = server.torrents().remove(0);
    let hash: Vec<_> = torrent.id.as_bytes().chunks(2).collect();
    let hash: Vec<_> = hash.into_iter().map(String::from_utf8_lossy).collect();
    let announce = |server: &Server, client: &str, port: u16, more: &str| {
        let query = format!(
            "announce?info_hash=%{}&peer_id={client}{port:012}&port={port}&uploaded=0&downloaded=0&compact=1{more}",
            hash.join("%")
        );
        let text = http::get(&server.url(&query)).expect(200).text();
        assert!(!text.contains("failure"), "{text}");
    };
    announce(&server, "-qB4630-", 7001, "&left=100&event=started");
    announce(&server, "-qB4630-", 7001, "&left=0&event=completed");
    announce(&server, "-TR3000-", 7002, "&left=100&event=started");
    let status = run(&mut seeder(["status", "--json"])).success();
    let audience = &status.json()[0]["total"]["audience"];
    assert_eq!(audience["now"], 2, "{status}");
    assert_eq!(audience["clients"]["qBittorrent"], 1);
    assert_eq!(
        (&audience["arrivals"], &audience["completions"]),
        (&2.into(), &1.into())
    );
    let plain = run(&mut seeder(["status"])).success();
    plain.calm();
    for words in [
        "audience  2: 1 Transmission, 1 qBittorrent",
        "came      2, of whom 1 got everything",
    ] {
        assert!(plain.stdout.contains(words), "{words}: {plain}");
    }

    // The first who ever came are written down at the next sample.
    let history = || {
        run(&mut seeder(["status", "--history", "--json"]))
            .success()
            .json()
            .remove(0)
    };
    let state = groundswell_state();
    until("the statistics to be written", || {
        let entries = std::fs::read_dir(&state).map_err(|error| error.to_string())?;
        let paths = entries.flatten().map(|entry| entry.path());
        let mut ours = paths.filter(|path| path.to_string_lossy().contains("audience-"));
        let path = ours.next().ok_or("no file")?;
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        let whole = text.contains(r#""arrivals":2,"completions":1"#);
        whole.then_some(()).ok_or(text)
    });
    let before = history();
    assert_eq!(before["total"]["arrivals"], 2);
    server.process.stop("KILL");

    let server = Server::serve(&out);
    let after = history();
    for count in ["arrivals", "completions"] {
        assert_eq!(after["total"][count], before["total"][count], "{after}");
    }
    assert_eq!(after["total"]["audience"]["days"][0]["max"], 2, "{after}");
    let one = format!("--history={}", torrent.slug);
    let drawn = run(&mut seeder(["status", &one])).success();
    drawn.calm();
    for words in [&*torrent.id, "today", "most 2", "came 2   got everything 1"] {
        assert!(drawn.stdout.contains(words), "{words}: {drawn}");
    }
    run(&mut seeder(["status", "--history=nobody"])).fails_naming(&["nobody", "slug"]);
    announce(&server, "-TR3000-", 7003, "&left=100&event=started");
    let status = run(&mut seeder(["status", "--json"])).success();
    assert_eq!(
        status.json()[0]["total"]["audience"]["arrivals"],
        3,
        "{status}"
    );
}

#[test]
fn a_loaded_seeder_says_that_viewers_are_introduced() {
    let folder = temporary();
    let clips = copy_example("test-drive", folder.path());
    let out = folder.path().join("out");
    build(&clips, &out).success();
    let settings = folder.path().join("seeder.toml");
    // So little that the bytes of one download are load for half a minute.
    std::fs::write(&settings, "[tracker]\np2p_above = \"1KB/s\"\n").expect("settings are written");
    let mut command = seeder(["serve"]);
    command
        .arg(&out)
        .args(["--http", "127.0.0.1:0", "--peer-port", "0", "--json"]);
    let server = Server::start(command.arg("--config").arg(&settings), &out);
    let plain = run(&mut seeder(["status"])).success();
    assert!(
        plain.stdout.contains("viewers are kept apart; load 0 %"),
        "{plain}"
    );
    let torrent = server.torrents().remove(0);
    let web = format!("library/{}/test-drive.mp4", torrent.id);
    http::get(&server.url(&web)).expect(200);
    until("the seeder to be loaded", || {
        let status = run(&mut seeder(["status", "--json"])).success();
        let status = &status.json()[0];
        let p2p = &status["p2p"];
        let told =
            p2p["loaded"] == true && p2p["times"] == 1 && p2p["percent"].as_u64() > Some(100);
        let counted = status["counters"]["tracker_loaded_now"] == 1;
        (told && counted)
            .then_some(())
            .ok_or_else(|| p2p.to_string())
    });
    let plain = run(&mut seeder(["status"])).success();
    assert!(
        plain.stdout.contains("p2p       viewers are introduced"),
        "{plain}"
    );
}

/// Where the seeders of this test keep what they know.
fn groundswell_state() -> PathBuf {
    let command = seeder(["status"]);
    let mut envs = command.get_envs();
    let found = envs.find_map(|(name, value)| value.filter(|_| name == "XDG_STATE_HOME"));
    PathBuf::from(found.expect("each command has it")).join("groundswell")
}

#[test]
fn where_none_runs_it_says_so() {
    let empty = temporary();
    // Where other tests' seeders have theirs.
    run(seeder(["status"]).env("TMPDIR", empty.path()))
        .fails_naming(&["no seeder was found", "name its control socket"]);
    run(&mut seeder(["status", "/nowhere/seeder-1.sock"]))
        .fails_naming(&["ask /nowhere/seeder-1.sock"]);
}
