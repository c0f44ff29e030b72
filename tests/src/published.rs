//! Running instances of the product: `publisher up`, or `publisher build` with `seeder serve`, and what
//! they published as it stands in `out/`.

use crate::folder;
use crate::http;
use crate::process::{Finished, Running, run};
use crate::programs::ours;
use crate::site::unescape;
use crate::torrent::TorrentFile;
use serde_json::Value;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A command line of `publisher`.
pub fn publisher<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    command("publisher", args)
}

/// A command line of `seeder`. `serve` neither announces nor looks for peers: nothing leaves this machine.
pub fn seeder<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = command("seeder", args);
    if command
        .get_args()
        .next()
        .is_some_and(|first| first == "serve")
    {
        command.args(AT_HOME);
    }
    command
}

/// The same with discovery as it is by default.
pub fn seeder_at_large<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    command("seeder", args)
}

/// Flags by which nothing is announced and nobody looked for.
const AT_HOME: [&str; 4] = [
    "--no-dht",
    "--no-lsd",
    "--no-port-mapping",
    "--no-further-trackers",
];

thread_local! {
    // Each test runs in a thread of its own, and this goes with the thread.
    static HOME: tempfile::TempDir = folder::temporary();
}

fn command<S: AsRef<std::ffi::OsStr>>(name: &str, args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(ours(name));
    command.args(args);
    // A key or settings of whoever runs the tests must not leak in, nor ours out.
    HOME.with(|home| {
        for place in ["XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"] {
            command.env(place, home.path());
        }
    });
    command.env("NO_COLOR", "1").env_remove("RUST_LOG");
    command
}

/// `publisher build CLIPS --out OUT`, run to its end.
#[track_caller]
pub fn build(clips: &Path, out: &Path) -> Finished {
    run(publisher(["build"]).arg(clips).arg("--out").arg(out))
}

/// One torrent of `out/state.json`.
#[derive(Debug, Clone)]
pub struct Published {
    /// Hex of its first swarm hash: folder and URL name.
    pub id: String,
    /// The release's page is `r/<slug>/`.
    pub slug: String,
    /// `public`, `unlisted`, `grace` or `withdrawn`.
    pub status: String,
    /// Its `.torrent`.
    pub torrent: PathBuf,
    /// The folder that holds the payload under its name.
    pub data: PathBuf,
    /// Paths below `data`.
    pub files: Vec<String>,
}

impl Published {
    /// The `.torrent`'s bytes.
    #[track_caller]
    pub fn torrent_file(&self) -> TorrentFile {
        TorrentFile::read(&self.torrent)
    }

    /// The payload: a file or a folder.
    #[track_caller]
    pub fn payload(&self) -> PathBuf {
        let first = self.files.first().expect("a torrent has a file");
        let name = first.split('/').next().expect("split gives at least one");
        self.data.join(name)
    }

    /// Bytes of all its files.
    #[track_caller]
    pub fn bytes(&self) -> u64 {
        let length = |path: &String| {
            std::fs::metadata(self.data.join(path))
                .map_or_else(|e| panic!("{path}: {e}"), |m| m.len())
        };
        self.files.iter().map(length).sum()
    }
}

/// What `out/state.json` lists.
#[track_caller]
pub fn state(out: &Path) -> Vec<Published> {
    try_state(out).unwrap_or_else(|e| panic!("{e}"))
}

/// What `out/state.json` lists, for waiting on it.
pub fn try_state(out: &Path) -> Result<Vec<Published>, String> {
    let path = out.join("state.json");
    let bytes = std::fs::read(&path).map_err(|e| format!("read {}: {e}", path.display()))?;
    let value: Value =
        serde_json::from_slice(&bytes).map_err(|e| format!("{}: {e}", path.display()))?;
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let torrents = value["torrents"]
        .as_array()
        .ok_or("no torrents in state.json")?;
    Ok(torrents
        .iter()
        .map(|t| Published {
            id: text(&t["id"]),
            slug: text(&t["slug"]),
            status: text(&t["status"]),
            torrent: out.join(text(&t["torrent"])),
            data: out.join(text(&t["data"])),
            files: t["files"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|f| text(&f["path"]))
                .collect(),
        })
        .collect())
}

/// A running publisher or seeder that serves an `out/` folder.
pub struct Server {
    /// The process.
    pub process: Running,
    /// Base URL with a trailing slash.
    pub http: String,
    /// The folder it serves.
    pub out: PathBuf,
    /// The ready line.
    pub ready: Value,
}

impl Server {
    /// `publisher up` on a clips folder, on 127.0.0.1 or the given address, and waits until it is ready.
    #[track_caller]
    pub fn up(clips: &Path, out: &Path, address: Ipv4Addr) -> Self {
        let http = format!("{address}:0");
        let bind = address.to_string();
        let mut command = publisher(["up"]);
        command
            .arg(clips)
            .arg("--out")
            .arg(out)
            .args(AT_HOME)
            .args([
                "--http",
                &http,
                "--bind",
                &bind,
                "--peer-port",
                "0",
                "--json",
            ]);
        Self::start(&mut command, out)
    }

    /// `seeder serve` on an `out/` folder, and waits until it is ready.
    #[track_caller]
    pub fn serve(out: &Path) -> Self {
        let mut command = seeder(["serve"]);
        command
            .arg(out)
            .args(["--http", "127.0.0.1:0", "--peer-port", "0", "--json"]);
        Self::start(&mut command, out)
    }

    /// Starts a command of ours that prints a ready line.
    #[track_caller]
    pub fn start(command: &mut Command, out: &Path) -> Self {
        let mut process = Running::start(command);
        let ready = process.wait_event("ready");
        let http = ready["http"]
            .as_str()
            .unwrap_or_else(|| panic!("the ready line has no http: {ready}"))
            .to_owned();
        assert!(
            http.starts_with("http://") && http.ends_with('/') && !http.ends_with(":0/"),
            "the ready line tells the real URL: {ready}"
        );
        Server {
            process,
            http,
            out: out.to_owned(),
            ready,
        }
    }

    /// The torrents it serves now (public ones).
    #[track_caller]
    pub fn torrents(&self) -> Vec<Published> {
        let mut torrents = state(&self.out);
        torrents.retain(|t| t.status == "public");
        assert!(
            !torrents.is_empty(),
            "nothing is published in {}",
            self.out.display()
        );
        torrents
    }

    /// Its URL followed by `path`.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.http)
    }

    /// The magnet link that a release's page offers for a torrent.
    #[track_caller]
    pub fn magnet(&self, torrent: &Published) -> String {
        let url = self.url(&format!("r/{}/", torrent.slug));
        let page = http::get(&url).expect(200).text();
        let wanted = format!("urn:btih:{}", torrent.id);
        let wanted_v2 = format!("urn:btmh:1220{}", torrent.id);
        page.split('"')
            .filter(|part| part.starts_with("magnet:?"))
            .map(unescape)
            .find(|link| link.contains(&wanted) || link.contains(&wanted_v2))
            .unwrap_or_else(|| panic!("{url} has no magnet link for {}", torrent.id))
    }
}

/// An example channel, copied, published and served by `publisher up`.
pub struct Example {
    /// The running server.
    pub server: Server,
    /// The copy of the clips.
    pub clips: PathBuf,
    /// Holds everything; goes with the value.
    pub folder: tempfile::TempDir,
}

impl Example {
    /// Publishes on 127.0.0.1.
    #[track_caller]
    pub fn up(name: &str) -> Self {
        Self::up_at(name, Ipv4Addr::LOCALHOST, |_| ())
    }

    /// Publishes on an address, after `change` had its way with the copied clips.
    #[track_caller]
    pub fn up_at(name: &str, address: Ipv4Addr, change: impl FnOnce(&Path)) -> Self {
        let folder = folder::temporary();
        let clips = folder::copy_example(name, folder.path());
        change(&clips);
        let server = Server::up(&clips, &folder.path().join("out"), address);
        Example {
            server,
            clips,
            folder,
        }
    }

    /// A new folder to fetch into.
    #[track_caller]
    pub fn target(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join("fetched").join(name);
        std::fs::create_dir_all(&path).expect("a folder can be made");
        path
    }
}

/// Sets keys of a clips folder's `channel.toml`; `line` is put in front, before any table.
#[track_caller]
pub fn set_channel(clips: &Path, line: &str) {
    let path = clips.join("channel.toml");
    let old = std::fs::read_to_string(&path).unwrap_or_default();
    let key = line.split('=').next().expect("a key").trim();
    let rest: Vec<_> = old
        .lines()
        .filter(|l| l.split('=').next().map(str::trim) != Some(key))
        .collect();
    folder::put(&path, format!("{line}\n{}\n", rest.join("\n")).as_bytes());
}
