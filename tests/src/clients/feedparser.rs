//! feedparser (PyPI), the parser that most aggregators in Python are built on, and expat for the bare XML.

use crate::process::run;
use crate::programs::root;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// What `tests/clients/feeds.py` reads of a feed.
#[track_caller]
pub fn read(feed: &Path) -> Value {
    let python = root().join("target/check/venv/bin/python");
    assert!(
        python.is_file(),
        "{} is missing: run ./check, which installs it, or set GROUNDSWELL_SKIP=feedparser",
        python.display()
    );
    let finished = run(Command::new(python)
        .arg(root().join("tests/clients/feeds.py"))
        .arg(feed))
    .success();
    finished
        .json()
        .pop()
        .unwrap_or_else(|| panic!("no answer from {finished}"))
}

/// Every element of this name (`{namespace}name`) below a node of the answer's `xml`.
pub fn elements<'a>(node: &'a Value, name: &str) -> Vec<&'a Value> {
    let mut found = Vec::new();
    if node[0] == name {
        found.push(node);
    }
    for child in node[3].as_array().into_iter().flatten() {
        found.extend(elements(child, name));
    }
    found
}
