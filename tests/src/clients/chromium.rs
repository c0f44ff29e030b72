//! Chromium, driven by the scripts in `tests/browser/` under Node with playwright-core.

use crate::process::{Finished, run};
use crate::programs::{Tool, foreign, root};
use serde_json::Value;
use std::process::Command;

/// Runs a script of `tests/browser/` and gives its answer; panics with what it saw unless it ended with 0.
#[track_caller]
pub fn script(name: &str, args: &[&str]) -> Value {
    let finished = start(name, args).success();
    finished
        .json()
        .pop()
        .unwrap_or_else(|| panic!("no answer from {finished}"))
}

#[track_caller]
fn start(name: &str, args: &[&str]) -> Finished {
    let folder = root().join("tests/browser");
    assert!(
        folder.join("node_modules/playwright-core").is_dir(),
        "tests/browser/node_modules is missing: run `npm ci` there (./check does), \
         or set GROUNDSWELL_SKIP=chromium to do without"
    );
    let mut command = Command::new(foreign("node", Tool::Chromium));
    command
        .arg(folder.join(name))
        .args(args)
        .env("CHROMIUM", foreign("chromium", Tool::Chromium));
    run(&mut command)
}
