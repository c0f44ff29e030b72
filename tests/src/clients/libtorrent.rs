//! libtorrent, driven by `tests/clients/lt.py` under the Python that has its bindings: Debian's, or another one that
//! `GROUNDSWELL_LIBTORRENT_PYTHON` names (`./check` puts the newest release into an environment of its own).

use crate::namespace::loopback;
use crate::process::{Finished, Running, run};
use crate::programs::{Tool, foreign, root};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How a program ends that reads memory it doesn't have, as a shell says it.
const SEGMENTATION_FAULT: i32 = 128 + 11;

/// How many crashes of one fetch are put up with. On a loaded machine Debian's libtorrent (2.0.8) dies of a
/// segmentation fault in about one of a hundred fetches, from peers and from web seeds alike. That says nothing of
/// what it was served; any other end than success is a failure at once, and so is a third crash.
const CRASHES: u32 = 2;

/// A Python with libtorrent's bindings.
#[derive(Debug, Clone)]
pub struct Libtorrent {
    /// The interpreter that has them.
    pub python: PathBuf,
}

/// What a fetch came to.
#[derive(Debug, Clone, Copy)]
pub struct Fetched {
    /// Blocks of 16 KiB asked of peers over the wire.
    pub blocks_of_peers: u64,
    /// Blocks asked of web seeds.
    pub blocks_of_web_seeds: u64,
}

impl Libtorrent {
    /// Debian's python3-libtorrent (2.0.8).
    pub fn debian() -> Self {
        let python = PathBuf::from("/usr/bin/python3");
        let python = if python.is_file() {
            python
        } else {
            foreign("python3", Tool::Libtorrent)
        };
        Libtorrent { python }
    }

    /// The newest release from PyPI, where `./check` put it.
    #[track_caller]
    pub fn newest() -> Self {
        let named = std::env::var_os("GROUNDSWELL_LIBTORRENT_PYTHON").map(PathBuf::from);
        let python = named.unwrap_or_else(|| root().join("target/check/venv/bin/python"));
        assert!(
            python.is_file(),
            "{} is missing: run ./check, which installs it, or set GROUNDSWELL_SKIP=libtorrent",
            python.display()
        );
        Libtorrent { python }
    }

    /// Fetches a `.torrent` file or magnet link into `save`.
    #[track_caller]
    pub fn fetch(&self, source: &str, save: &Path) -> Fetched {
        self.fetch_by(source, save, "default")
    }

    /// The same, reaching peers in one way alone: `tcp-plain`, `tcp-encrypted`, `utp-plain`, `utp-encrypted`.
    #[track_caller]
    pub fn fetch_by(&self, source: &str, save: &Path, way: &str) -> Fetched {
        self.fetch_with(source, save, &["--way", way])
    }

    /// The same, in a DHT that is entered by this node alone.
    #[track_caller]
    pub fn fetch_by_dht(&self, source: &str, save: &Path, router: &str) -> Fetched {
        self.fetch_with(source, save, &["--dht-router", router])
    }

    /// Announces to a torrent's only tracker from an address of its own, then scrapes it; what it was told: `peers`,
    /// `complete`, `incomplete`.
    #[track_caller]
    pub fn ask_tracker(&self, torrent: &Path, save: &Path) -> Value {
        let (torrent, save) = (torrent.to_string_lossy(), save.to_string_lossy());
        let address = loopback().to_string();
        self.call(&["ask", &torrent, "--save", &save, "--address", &address])
    }

    /// A node by which a DHT of our own is entered, and its address. It runs until it is stopped or dropped.
    #[track_caller]
    pub fn dht_node(&self) -> (Running, String) {
        let script = root().join("tests/clients/lt.py");
        let mut command = Command::new(&self.python);
        let address = loopback().to_string();
        command.arg(script).args(["dht", "--address", &address]);
        let mut node = Running::start(&mut command);
        let ready = node.wait_event("ready");
        let address = ready["dht"].as_str().expect("an address").to_owned();
        (node, address)
    }

    #[track_caller]
    fn fetch_with(&self, source: &str, save: &Path, further: &[&str]) -> Fetched {
        let mut crashes = 0;
        let finished = loop {
            let address = loopback().to_string();
            let save = save.to_string_lossy();
            let usual = ["fetch", source, "--save", &save, "--address", &address];
            let finished = self.run(&[&usual, further].concat());
            if finished.code != SEGMENTATION_FAULT || crashes == CRASHES {
                break finished;
            }
            crashes += 1;
            eprintln!("libtorrent crashed by itself, once more from nothing: {finished}");
            let _ = std::fs::remove_dir_all(&*save);
        };
        let value = answer(finished);
        let count = |key: &str| {
            value[key]
                .as_u64()
                .unwrap_or_else(|| panic!("{key} in {value}"))
        };
        Fetched {
            blocks_of_peers: count("blocks_of_peers"),
            blocks_of_web_seeds: count("blocks_of_web_seeds"),
        }
    }

    /// Makes a torrent; `args` as `lt.py create` takes them. Gives what it says of the result.
    #[track_caller]
    pub fn create(&self, path: &Path, output: &Path, args: &[&str]) -> Value {
        let (path, output) = (path.to_string_lossy(), output.to_string_lossy());
        self.call(&[&["create", &path, "--output", &output], args].concat())
    }

    /// What libtorrent reads in a `.torrent` file: hashes, name, files, trackers, web seeds.
    #[track_caller]
    pub fn show(&self, torrent: &Path) -> Value {
        self.call(&["show", &torrent.to_string_lossy()])
    }

    #[track_caller]
    fn call(&self, args: &[&str]) -> Value {
        answer(self.run(args))
    }

    fn run(&self, args: &[&str]) -> Finished {
        let script = root().join("tests/clients/lt.py");
        run(Command::new(&self.python).arg(script).args(args))
    }
}

#[track_caller]
fn answer(finished: Finished) -> Value {
    let finished = finished.success();
    finished
        .json()
        .pop()
        .unwrap_or_else(|| panic!("no answer from {finished}"))
}
