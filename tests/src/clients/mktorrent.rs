//! mktorrent, whose v1 torrents are the measure for ours.

use crate::process::run;
use crate::programs::{Tool, foreign};
use crate::torrent::TorrentFile;
use std::path::Path;
use std::process::Command;

/// Makes a torrent of a file or folder with pieces of 2^`power` bytes.
#[track_caller]
pub fn create(path: &Path, power: u32, private: bool, scratch: &Path) -> TorrentFile {
    let output = scratch.join("mktorrent.torrent");
    let _ = std::fs::remove_file(&output);
    let mut command = Command::new(foreign("mktorrent", Tool::Mktorrent));
    command.arg(format!("--piece-length={power}"));
    if private {
        command.arg("--private");
    }
    command.arg("--output").arg(&output).arg(path);
    run(&mut command).success();
    TorrentFile::read(&output)
}
