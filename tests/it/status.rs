//! `seeder status`, as a person and a program meet it, and the metrics that Prometheus scrapes.

use serde_json::Value;
use tests::folder::temporary;
use tests::http;
use tests::process::run;
use tests::published::{Example, seeder};

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
        "limits  none has bitten",
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
fn where_none_runs_it_says_so() {
    let empty = temporary();
    // Where other tests' seeders have theirs.
    run(seeder(["status"]).env("TMPDIR", empty.path()))
        .fails_naming(&["no seeder was found", "name its control socket"]);
    run(&mut seeder(["status", "/nowhere/seeder-1.sock"]))
        .fails_naming(&["ask /nowhere/seeder-1.sock"]);
}
