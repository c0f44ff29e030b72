//! An output folder as the publisher leaves it, a seeder that serves it, and the plainest HTTP client.

use metainfo::state::{State, StateFile, StateTorrent, Status};
use metainfo::{Format, Info, Layout, PieceLength, Torrent};
use seeder::{Bound, Loaded, ServeConfig, ServeError, Source};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::pass::{Progress, Want};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The output folder.
pub struct Out {
    folder: tempfile::TempDir,
    state: State,
}

impl Out {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("site/t")).unwrap();
        Self {
            folder,
            state: State::default(),
        }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn write(&self, path: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Adds a torrent of one file, or of a folder where the paths have several parts. The state is not
    /// written yet.
    pub fn add(&mut self, files: &[(&str, &[u8])]) -> Info {
        self.add_as(files, false)
    }

    /// The same, private (BEP 27).
    pub fn add_private(&mut self, files: &[(&str, &[u8])]) -> Info {
        self.add_as(files, true)
    }

    fn add_as(&mut self, files: &[(&str, &[u8])], private: bool) -> Info {
        let inbox = tempfile::tempdir_in(self.path()).unwrap();
        for (path, bytes) in files {
            let path = inbox.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        let piece_length = Some(PieceLength::new(32 * 1024).unwrap());
        let layout = match files {
            [(name, bytes)] if !name.contains('/') => {
                Layout::file(name, bytes.len() as u64, Format::V1, piece_length).unwrap()
            }
            _ => {
                let name = files[0].0.split('/').next().unwrap();
                let below = |path: &str| path.split('/').skip(1).map(str::to_owned).collect();
                let files = files
                    .iter()
                    .map(|(path, bytes)| (below(path), bytes.len() as u64));
                Layout::folder(name, files, Format::V1, piece_length).unwrap()
            }
        };
        let want = Want {
            pieces: true,
            roots: true,
        };
        let hashed = store::hash(&layout, inbox.path(), want, 1, &Progress::default()).unwrap();
        let info = Info::make(&layout, &hashed.hashes, private, None);
        let id = info.id();
        let data = format!("library/{id}");
        std::fs::create_dir_all(self.path().join("library")).unwrap();
        std::fs::rename(inbox.keep(), self.path().join(&data)).unwrap();
        self.write(
            &format!("site/t/{id}.torrent"),
            Torrent::new(info.clone()).to_bytes(),
        );
        let files = info.files().iter().zip(&hashed.stats);
        self.state.torrents.push(StateTorrent {
            id: id.clone(),
            slug: "clip".to_owned(),
            title: "A clip".to_owned(),
            rendition: "source".to_owned(),
            p2p: None,
            status: Status::Public,
            until: None,
            torrent: format!("site/t/{id}.torrent"),
            data,
            info_hash_v1: info.info_hash_v1(),
            info_hash_v2: info.info_hash_v2(),
            files: files
                .map(|(file, stat)| StateFile {
                    path: info.stored_path(file),
                    bytes: file.length,
                    stat: *stat,
                    merkle_root: None,
                })
                .collect(),
        });
        info
    }

    pub fn entry(&mut self, id: &str) -> &mut StateTorrent {
        self.state
            .torrents
            .iter_mut()
            .find(|torrent| torrent.id == id)
            .unwrap()
    }

    pub fn save(&self) {
        store::write_atomic(&self.path().join("state.json"), &self.state.to_bytes()).unwrap();
    }

    pub async fn serve(&self) -> Running {
        Running::start(Source::Out(self.path().to_owned()))
            .await
            .unwrap()
    }
}

/// A seeder that runs until this goes.
pub struct Running {
    pub http: SocketAddr,
    /// The same over TLS, where there is that.
    pub https: Option<SocketAddr>,
    pub peers: SocketAddr,
    /// Where status and metrics are given.
    pub control: Vec<String>,
    pub metrics: Arc<seeder::metrics::Metrics>,
    pub loaded: watch::Receiver<Option<Loaded>>,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), ServeError>>,
}

impl Running {
    pub async fn start(source: Source) -> Result<Self, ServeError> {
        let mut config = ServeConfig::loopback(source);
        config.http.set_port(0);
        config.peer_port = 0;
        Self::start_with(config).await
    }

    pub async fn start_with(config: ServeConfig) -> Result<Self, ServeError> {
        let bound = Bound::bind(config).await?;
        let shutdown = CancellationToken::new();
        let mut running = Self {
            http: bound.http_addr(),
            https: bound.https_addr(),
            peers: bound.peer_addrs()[0],
            control: bound.control(),
            metrics: bound.metrics(),
            loaded: bound.loaded(),
            shutdown: shutdown.clone(),
            task: tokio::spawn(bound.run(shutdown)),
        };
        let ready = running.loaded.wait_for(Option::is_some).await.is_ok();
        if ready {
            Ok(running)
        } else {
            Err((&mut running.task).await.unwrap().unwrap_err())
        }
    }

    /// Waits until this many torrents are served.
    pub async fn wait_for(&mut self, torrents: usize) -> Loaded {
        let served = |loaded: &Option<Loaded>| {
            loaded
                .as_ref()
                .is_some_and(|loaded| loaded.torrents == torrents)
        };
        self.loaded.wait_for(served).await.unwrap().clone().unwrap()
    }

    pub async fn stop(mut self) -> Result<(), ServeError> {
        self.shutdown.cancel();
        (&mut self.task).await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, &[]).await
    }

    pub async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
        let mut stream = TcpStream::connect(self.http).await.unwrap();
        let lines: String = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let request =
            format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{lines}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        Reply::parse(&bytes)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

pub struct Reply {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Reply {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .expect("a head");
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines
            .next()
            .unwrap()
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        let headers = lines.map(|line| line.split_once(": ").unwrap());
        let headers = headers
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        Self {
            status,
            headers,
            body: bytes[end + 4..].to_vec(),
        }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}
