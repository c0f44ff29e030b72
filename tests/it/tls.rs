//! Real clients over TLS, and a certificate fetched by ACME from a real server of that kind.

use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use tests::certificates::Certificates;
use tests::clients::libtorrent::Libtorrent;
use tests::clients::pebble::{Pebble, Ports};
use tests::clients::{aria2, chromium};
use tests::folder::{self, assert_same};
use tests::process::run;
use tests::programs::{Tool, root};
use tests::published::{Server, build, seeder};
use tests::wait::until;

const NAME: &str = "video.example.org";

/// Asks for a URL at this machine with OpenSSL.
fn ask(url: &str, authority: &Path) -> Result<Value, String> {
    let script = root().join("tests/clients/https.py");
    let finished = run(Command::new("python3").arg(script).arg(url).arg(authority));
    if finished.code != 0 {
        return Err(finished.stderr);
    }
    Ok(finished.json().pop().expect("one line"))
}

fn port_of(server: &Server) -> u16 {
    let url = server.ready["https"].as_str().expect("an address for TLS");
    let port = url.trim_end_matches('/').rsplit(':').next().unwrap();
    port.parse().unwrap()
}

/// A seeder of an example, with these arguments more.
fn serve(folder: &Path, more: &[&str]) -> Server {
    let out = folder.join("out");
    if !out.is_dir() {
        build(&folder::copy_example("test-drive", folder), &out).success();
    }
    let mut command = seeder(["serve"]);
    command
        .arg(&out)
        .args(["--http", "127.0.0.1:0", "--peer-port", "0"]);
    command.args(["--bind", "127.0.0.1", "--https", "127.0.0.1:0", "--json"]);
    Server::start(command.args(more), &out)
}

fn serve_with(folder: &Path, certificates: &Certificates) -> Server {
    let [certificate, key] = [&certificates.certificate, &certificates.key];
    let [certificate, key] = [certificate, key].map(|path| path.to_str().unwrap());
    serve(folder, &["--tls-cert", certificate, "--tls-key", key])
}

#[test]
fn clients_find_peers_by_a_tracker_over_tls() {
    let folder = folder::temporary();
    let certificates = Certificates::local(folder.path());
    let server = serve_with(folder.path(), &certificates);
    let torrent = &server.torrents()[0];
    let port = port_of(&server);
    let magnet = format!(
        "magnet:?xt=urn:btih:{}&tr=https://localhost:{port}/announce",
        torrent.id
    );
    let payload = torrent.payload();
    let name = payload.file_name().unwrap();
    if !Tool::Aria2.skipped() {
        let save = folder.path().join("aria2");
        let trust = format!("--ca-certificate={}", certificates.authority.display());
        aria2::fetch_with(&magnet, &save, &[&trust, "--bt-stop-timeout=60"]).success();
        assert_same(&save.join(name), &payload, "aria2");
    }
    if !Tool::Libtorrent.skipped() {
        // By the environment it is told whom to trust, so that needs a Python with one of its own.
        let python = folder.path().join("python");
        let debian = Libtorrent::debian().python;
        let authority = certificates.authority.display();
        let script = format!(
            "#!/bin/sh\nSSL_CERT_FILE='{authority}' exec '{}' \"$@\"\n",
            debian.display()
        );
        fs::write(&python, script).unwrap();
        fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
        let save = folder.path().join("libtorrent");
        Libtorrent { python }.fetch(&magnet, &save);
        assert_same(&save.join(name), &payload, "libtorrent");
    }
}

#[test]
fn a_browser_gets_the_page_a_part_of_a_clip_and_a_websocket() {
    if Tool::Chromium.skipped() {
        return;
    }
    let folder = folder::temporary();
    let certificates = Certificates::local(folder.path());
    let server = serve_with(folder.path(), &certificates);
    let site = format!("https://localhost:{}/", port_of(&server));
    let torrent = &server.torrents()[0];
    let part = format!("{site}library/{}/{}", torrent.id, torrent.files[0]);
    let seen = chromium::script("https.mjs", &[&site, &part]);
    assert_eq!(seen["problems"], serde_json::json!([]), "{seen}");
    assert_eq!(
        (&seen["status"], &seen["bytes"]),
        (&206.into(), &7.into()),
        "{seen}"
    );
    assert!(seen["opened"] == true && seen["title"] != "", "{seen}");
}

#[test]
fn a_certificate_is_fetched_by_acme_and_kept() {
    if Tool::Pebble.skipped() {
        return;
    }
    let folder = folder::temporary();
    let certificates = Certificates::local(folder.path());
    let ports = Ports::default();
    let config = folder.path().join("seeder.toml");
    let authority = format!("acme_authority = {:?}\n", certificates.authority);
    fs::write(&config, authority).unwrap();
    let directory = ports.directory();
    let flags = [
        "--acme-domain",
        NAME,
        "--acme-domain",
        "www.example.org",
        "--acme-contact",
        "me@example.org",
        "--acme-directory",
        &directory,
        "--config",
        config.to_str().unwrap(),
    ];
    // The authority isn't there yet: the seeder serves all the same, and asks again.
    let server = serve(folder.path(), &flags);
    let port = port_of(&server);
    let page = |name: &str| format!("https://{name}:{port}/");
    ask(&page(NAME), &certificates.authority).expect_err("there is no certificate yet");
    let pebble = Pebble::start(folder.path(), &ports, port, &certificates);
    let roots = folder.path().join("roots.pem");
    let root = ask(&ports.root(), &certificates.authority).unwrap();
    fs::write(&roots, root["body"].as_str().unwrap()).unwrap();
    let first = until("a certificate", || ask(&page(NAME), &roots));
    assert_eq!(first["status"], 200, "{first}");
    assert!(
        first["issuer"].as_str().unwrap().starts_with("Pebble"),
        "{first}"
    );
    ask(&page("www.example.org"), &roots).expect("the other name is in it as well");
    ask(&page("other.example.org"), &roots).expect_err("no third one is");

    // After a restart it is there without the authority.
    drop(pebble);
    assert_eq!(server.process.stop("TERM"), 0);
    let server = serve(folder.path(), &flags);
    let url = format!("https://{NAME}:{}/", port_of(&server));
    let again = until("the certificate that was kept", || ask(&url, &roots));
    assert_eq!(again["serial"], first["serial"]);
}
