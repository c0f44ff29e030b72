//! The info dictionary of a magnet link (BEP 9), from peers, and for a v2 torrent the piece layers (BEP 52). Each peer is
//! asked over a connection of its own that ends with it; whatever comes is checked against the link's hashes.

use bytes::Bytes;
use metainfo::{Format, Info, Magnet, MerkleHash, SwarmHash, Torrent};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wire::bitfield::Bitfield;
use wire::connection::{CloseReason, Command, Connection, Event, Output, Own, Served, Settings};
use wire::extended::metadata::n_pieces;
use wire::hashes;
use wire::message::HashRange;

/// How long a connection may take to come about, and all that is asked over it.
const CONNECT: Duration = Duration::from_secs(10);
const ALL: Duration = Duration::from_secs(60);
/// How much is read at once.
const READ: usize = 32 * 1024;

/// Why a peer gave no metadata.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// The network's side.
    #[error(transparent)]
    Socket(#[from] io::Error),
    /// The connection has ended.
    #[error(transparent)]
    Closed(#[from] CloseReason),
    /// What came isn't what the link names.
    #[error("its metadata is not that of the link")]
    Wrong,
    /// It won't give what it was asked for.
    #[error("gives no metadata")]
    Refused,
    /// It took too long.
    #[error("too slow")]
    Slow,
}

/// Asks one peer.
pub async fn from_peer(
    settings: Settings,
    magnet: &Magnet,
    peer: SocketAddr,
) -> Result<Torrent, MetadataError> {
    let slow = |_| MetadataError::Slow;
    let stream = tokio::time::timeout(CONNECT, TcpStream::connect(peer))
        .await
        .map_err(slow)??;
    let asking = Asking::new(settings, magnet, stream);
    tokio::time::timeout(ALL, asking.run())
        .await
        .map_err(slow)?
}

/// The swarm that a link's peers are asked in.
pub fn swarm_of(magnet: &Magnet) -> Option<SwarmHash> {
    let v2 = magnet.info_hash_v2.map(|hash| hash.truncated());
    magnet.info_hash_v1.map(SwarmHash::from).or(v2)
}

/// Whether an info dictionary is the one that a link names.
pub fn is_of(info: &Info, magnet: &Magnet) -> bool {
    let v1 = magnet
        .info_hash_v1
        .is_none_or(|hash| info.info_hash_v1() == Some(hash));
    let v2 = magnet
        .info_hash_v2
        .is_none_or(|hash| info.info_hash_v2() == Some(hash));
    v1 && v2
}

struct Asking<'a> {
    magnet: &'a Magnet,
    stream: TcpStream,
    connection: Connection,
    /// Pieces of the dictionary.
    parts: Vec<Option<Bytes>>,
    info: Option<Info>,
    layers: HashMap<MerkleHash, BTreeMap<u32, Vec<MerkleHash>>>,
    waiting: usize,
}

impl<'a> Asking<'a> {
    fn new(settings: Settings, magnet: &'a Magnet, stream: TcpStream) -> Self {
        let swarm = swarm_of(magnet).unwrap_or(SwarmHash([0; 20]));
        let v2 = magnet.info_hash_v2.map(|hash| hash.truncated());
        Self {
            magnet,
            stream,
            connection: Connection::connect(Instant::now(), settings, swarm, v2),
            parts: Vec::new(),
            info: None,
            layers: HashMap::new(),
            waiting: 0,
        }
    }

    async fn run(mut self) -> Result<Torrent, MetadataError> {
        let mut space = vec![0; READ];
        loop {
            if let Some(torrent) = self.drain().await? {
                return Ok(torrent);
            }
            let next = self
                .connection
                .next_timeout()
                .unwrap_or(Instant::now() + ALL);
            tokio::select! {
                read = self.stream.read(&mut space) => {
                    let n = read?;
                    if n == 0 {
                        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                    }
                    let mut bytes = &space[..n];
                    while !bytes.is_empty() {
                        let taken = self.connection.handle_bytes(Instant::now(), bytes);
                        bytes = &bytes[taken..];
                        if let Some(torrent) = self.drain().await? {
                            return Ok(torrent);
                        }
                    }
                }
                () = tokio::time::sleep_until(next.into()) => {
                    self.connection.handle_timeout(Instant::now());
                }
            }
        }
    }

    /// Carries out what the connection says, until it says no more or the torrent is there.
    async fn drain(&mut self) -> Result<Option<Torrent>, MetadataError> {
        while let Some(output) = self.connection.poll_output(Instant::now()) {
            match output {
                Output::Identify(_) => self.admit(),
                Output::Send(bytes) => {
                    self.stream.write_all(&bytes).await?;
                    self.connection.handle_sent(Instant::now(), bytes.len());
                }
                Output::FindHashes(range) => self.connection.send_hashes(range, None),
                Output::Event(event) => {
                    if let Some(torrent) = self.handle(event)? {
                        return Ok(Some(torrent));
                    }
                }
                Output::Close(reason) => return Err(reason.into()),
            }
        }
        Ok(None)
    }

    fn admit(&mut self) {
        let served = Served {
            geometry: None,
            metadata: None,
            v2: self.magnet.info_hash_v2.map(|hash| hash.truncated()),
            own: Own::Some(Bitfield::none(0)),
            upload_only: false,
            private: false,
            port: None,
        };
        self.connection.admit(Instant::now(), served, None);
    }

    fn handle(&mut self, event: Event) -> Result<Option<Torrent>, MetadataError> {
        match event {
            Event::Introduced(introduced) if self.parts.is_empty() => {
                let Some(size) = introduced
                    .metadata_size
                    .filter(|_| introduced.speaks_metadata())
                else {
                    return Err(MetadataError::Refused);
                };
                let n = n_pieces(size as usize);
                self.parts = vec![None; n];
                for piece in 0..n as u32 {
                    let ask = Command::RequestMetadata(piece);
                    self.connection.handle_command(Instant::now(), ask);
                }
            }
            Event::Metadata { piece, bytes, .. } if self.info.is_none() => {
                if let Some(part) = self.parts.get_mut(piece as usize) {
                    *part = Some(bytes);
                }
                if self.parts.iter().all(Option::is_some) {
                    let raw: Vec<u8> = self.parts.iter().flatten().flatten().copied().collect();
                    let info = Info::parse(&raw).map_err(|_| MetadataError::Wrong)?;
                    if !is_of(&info, self.magnet) {
                        return Err(MetadataError::Wrong);
                    }
                    return Ok(self.take_info(info));
                }
            }
            Event::Hashes { range, hashes } => return self.take_hashes(&range, &hashes),
            Event::MetadataRejected(_) | Event::HashesRejected(_) => {
                return Err(MetadataError::Refused);
            }
            _ => {}
        }
        Ok(None)
    }

    /// The dictionary is here. A v2 torrent can't be checked without its piece layers; a hybrid has SHA-1.
    fn take_info(&mut self, info: Info) -> Option<Torrent> {
        if info.format() != Format::V2 {
            return Some(Torrent::new(info));
        }
        let piece_length = info.geometry().piece_length();
        let real = info.files().iter().filter(|file| !file.pad);
        // Files of equal content share a layer.
        let roots: BTreeMap<MerkleHash, u64> = real
            .filter_map(|file| Some((file.merkle_root?, file.length)))
            .collect();
        for (root, length) in roots {
            for range in hashes::requests(root, length, piece_length) {
                self.waiting += 1;
                let ask = Command::RequestHashes(range);
                self.connection.handle_command(Instant::now(), ask);
            }
        }
        self.info = Some(info);
        self.finish()
    }

    fn take_hashes(
        &mut self,
        range: &HashRange,
        bytes: &[u8],
    ) -> Result<Option<Torrent>, MetadataError> {
        let Some(info) = &self.info else {
            return Ok(None);
        };
        let mut files = info.files().iter();
        let Some(file) = files.find(|file| file.merkle_root == Some(range.root)) else {
            return Ok(None);
        };
        let piece_length = info.geometry().piece_length();
        let layer = hashes::verify(range, file.length, piece_length, bytes)
            .map_err(|_| MetadataError::Wrong)?;
        let parts = self.layers.entry(range.root).or_default();
        if parts.insert(range.index, layer).is_none() {
            self.waiting = self.waiting.saturating_sub(1);
        }
        Ok(self.finish())
    }

    fn finish(&mut self) -> Option<Torrent> {
        if self.waiting > 0 {
            return None;
        }
        let mut torrent = Torrent::new(self.info.take()?);
        let layers = std::mem::take(&mut self.layers).into_iter();
        torrent.piece_layers = layers
            .map(|(root, parts)| (root, parts.into_values().flatten().collect()))
            .collect();
        torrent
            .info
            .check_piece_layers(&torrent.piece_layers)
            .is_ok()
            .then_some(torrent)
    }
}
