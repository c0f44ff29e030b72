//! rqbit, run until it has everything. It speaks TCP, and uTP on request; encryption it doesn't know.

use crate::namespace::loopback;
use crate::process::run;
use crate::programs::{Tool, root};
use std::path::Path;
use std::process::Command;

/// Fetches a `.torrent` file into `save`, over uTP or TCP alone, and ends.
#[track_caller]
pub fn fetch(torrent: &str, save: &Path, utp: bool) {
    let program = root().join("target/check/bin/rqbit");
    assert!(
        program.is_file(),
        "{} is missing: run ./check, which builds it, or set GROUNDSWELL_SKIP={}",
        program.display(),
        Tool::Rqbit.name()
    );
    let mut command = Command::new(program);
    command
        .args([
            "-v",
            "info",
            "--disable-dht",
            "--disable-lsd",
            "--disable-upnp-port-forward",
        ])
        .arg(format!("--listen-ip={}", loopback()));
    if utp {
        command.args(["--experimental-enable-utp-listen", "--disable-tcp-connect"]);
    }
    command
        .args([
            "download",
            "--exit-on-finish",
            "--disable-http-api",
            "--output-folder",
        ])
        .arg(save)
        .arg(torrent);
    run(&mut command).success();
}
