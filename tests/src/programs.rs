//! Where the programs are: our own binaries beside the test's executable, foreign ones on the PATH.
//! A foreign program may be missing only when `GROUNDSWELL_SKIP` (set by `./check`, which reports it)
//! names it; otherwise its tests fail.

use std::path::{Path, PathBuf};

/// A foreign program that some tests need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// aria2c.
    Aria2,
    /// transmission-daemon, and the right to make network namespaces for it.
    Transmission,
    /// Python with libtorrent's bindings as Debian has them.
    Libtorrent,
    /// mktorrent.
    Mktorrent,
    /// Chromium, Node and playwright-core.
    Chromium,
    /// The right to mount a small file system (root).
    Mount,
    /// ffmpeg and ffprobe.
    Ffmpeg,
    /// minisign.
    Minisign,
    /// Python with feedparser from PyPI.
    Feedparser,
    /// strace, and the right to trace.
    Strace,
    /// rqbit, which `./check` builds.
    Rqbit,
    /// pebble and its DNS server.
    Pebble,
    /// opentracker.
    Opentracker,
    /// aquatic_udp, which `./check` builds.
    Aquatic,
    /// bittorrent-tracker from npm, and Node.
    BittorrentTracker,
}

impl Tool {
    /// The name in `GROUNDSWELL_SKIP`.
    pub fn name(self) -> &'static str {
        match self {
            Tool::Aria2 => "aria2",
            Tool::Transmission => "transmission",
            Tool::Libtorrent => "libtorrent",
            Tool::Mktorrent => "mktorrent",
            Tool::Chromium => "chromium",
            Tool::Mount => "mount",
            Tool::Ffmpeg => "ffmpeg",
            Tool::Minisign => "minisign",
            Tool::Feedparser => "feedparser",
            Tool::Strace => "strace",
            Tool::Rqbit => "rqbit",
            Tool::Pebble => "pebble",
            Tool::Opentracker => "opentracker",
            Tool::Aquatic => "aquatic",
            Tool::BittorrentTracker => "bittorrent-tracker",
        }
    }

    /// Whether the run was told to do without it. A test that needs the tool ends at once then.
    pub fn skipped(self) -> bool {
        let list = std::env::var("GROUNDSWELL_SKIP").unwrap_or_default();
        let skip = list.split(',').any(|name| name.trim() == self.name());
        if skip {
            eprintln!(
                "SKIPPED: {} is in GROUNDSWELL_SKIP={list}; ./check reports it",
                self.name()
            );
        }
        skip
    }
}

/// One of our binaries, built before the tests into the profile's folder.
pub fn ours(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a running test knows its executable");
    let profile = test
        .parent()
        .and_then(Path::parent)
        .expect("test executables lie in target/<profile>/deps");
    let path = profile.join(name);
    assert!(
        path.is_file(),
        "{} is missing: build the binaries first, `cargo build -p publisher -p seeder` (./check does it)",
        path.display()
    );
    path
}

/// A foreign program by name; panics with the remedy if it isn't there.
pub fn foreign(name: &str, tool: Tool) -> PathBuf {
    find(name).unwrap_or_else(|| {
        panic!(
            "{name} isn't installed: run ./check as root, which installs it, \
             or set GROUNDSWELL_SKIP={} to do without",
            tool.name()
        )
    })
}

fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

/// The project's root.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("tests/ lies in the root").to_owned()
}
