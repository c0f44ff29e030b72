//! minisign, with which everybody can check a catalog.

use crate::process::{Finished, run};
use crate::programs::{Tool, foreign};
use std::path::Path;
use std::process::Command;

/// `minisign -V` of a file and its `.minisig` against a public key file.
#[track_caller]
pub fn verify(file: &Path, key: &Path) -> Finished {
    run(Command::new(foreign("minisign", Tool::Minisign))
        .arg("-V")
        .arg("-m")
        .arg(file)
        .arg("-p")
        .arg(key))
}
