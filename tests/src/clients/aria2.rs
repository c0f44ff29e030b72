//! aria2c, run until it has everything. It bans peers by address, so each run has its own loopback address.

use crate::namespace::loopback;
use crate::process::{Finished, run};
use crate::programs::{Tool, foreign};
use std::path::Path;
use std::process::Command;

/// Fetches a `.torrent` file or magnet link into `save` and ends; panics with aria2's words if it doesn't succeed.
#[track_caller]
pub fn fetch(source: &str, save: &Path) {
    // Where nothing comes, it shall say so before the test's patience is over.
    let patience = ["--bt-stop-timeout=40", "--bt-tracker-timeout=10"];
    fetch_with(source, save, &patience).success();
}

/// The same with further arguments; how it ended.
pub fn fetch_with(source: &str, save: &Path, arguments: &[&str]) -> Finished {
    let mut command = Command::new(foreign("aria2c", Tool::Aria2));
    command
        .args(["--no-conf", "--enable-rpc=false", "--quiet=false"])
        .args(["--enable-dht=false", "--enable-dht6=false"])
        .args(["--bt-enable-lpd=false", "--enable-peer-exchange=false"])
        // A random port of these; the next one when it is taken.
        .arg("--listen-port=20000-59999")
        .arg(format!("--interface={}", loopback()))
        .args(["--seed-time=0", "--follow-torrent=mem"])
        .args(["--bt-hash-check-seed=true", "--check-integrity=true"])
        .args(["--file-allocation=none", "--auto-save-interval=0"])
        .args(["--summary-interval=0", "--console-log-level=notice"])
        .args(arguments)
        .arg(format!("--dir={}", save.display()))
        .arg(source);
    run(&mut command)
}
