//! Peers over TCP, in raw messages.

use crate::out::{Out, Running};
use metainfo::{Geometry, Info, PeerId, RawRequest, SwarmHash};
use std::collections::{HashMap, HashSet};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wire::decoder::Decoder;
use wire::handshake::{Handshake, Reserved};
use wire::message::Message;

/// A leecher that says what a test tells it to.
pub struct RawPeer {
    stream: TcpStream,
    decoder: Decoder,
    unread: Vec<u8>,
    /// The pieces that the seeder shows; `None` is all.
    shown: Option<Vec<u32>>,
}

impl RawPeer {
    pub async fn connect(running: &Running, info: &Info) -> Self {
        let mut peer = Self::open(running, info.swarm_hashes()[0]).await;
        let mut bytes = [0; Handshake::LENGTH];
        peer.stream.read_exact(&mut bytes).await.unwrap();
        assert_eq!(
            Handshake::decode(&bytes).unwrap().swarm,
            info.swarm_hashes()[0]
        );
        peer
    }

    pub async fn open(running: &Running, swarm: SwarmHash) -> Self {
        let mut stream = TcpStream::connect(running.peers).await.unwrap();
        let reserved = Reserved::default().with_fast();
        let handshake = Handshake {
            reserved,
            swarm,
            peer_id: PeerId(*b"-XX0000-000000000000"),
        };
        stream.write_all(&handshake.encode()).await.unwrap();
        Self {
            stream,
            decoder: Decoder::default(),
            unread: Vec::new(),
            shown: Some(Vec::new()),
        }
    }

    pub async fn say(&mut self, messages: &[Message]) {
        let mut bytes = Vec::new();
        for message in messages {
            message.encode(&mut bytes);
        }
        self.stream.write_all(&bytes).await.unwrap();
    }

    /// The next message, or `None` once the seeder has closed. What it shows is remembered for `fetch`.
    pub async fn hear(&mut self) -> Option<Message> {
        loop {
            let mut input = &self.unread[..];
            let message = self.decoder.feed(&mut input).unwrap();
            self.unread = input.to_vec();
            match message {
                Some(Message::HaveAll) => self.shown = None,
                Some(Message::Have { piece }) => self.shown.iter_mut().for_each(|shown| {
                    shown.push(piece);
                }),
                _ => {}
            }
            if message.is_some() {
                return message;
            }
            let mut bytes = vec![0; 64 * 1024];
            let n = self.stream.read(&mut bytes).await.unwrap_or(0);
            if n == 0 {
                return None;
            }
            self.unread = bytes[..n].to_vec();
        }
    }

    /// Asks for what is shown, in one write where that is everything, and says what it has.
    pub async fn fetch(&mut self, geometry: Geometry) -> Vec<u8> {
        let all: Vec<u32> = (0..geometry.n_pieces()).collect();
        let mut payload = vec![0; geometry.total_length() as usize];
        let (mut asked, mut unchoked, mut got) = (HashSet::new(), false, HashMap::new());
        self.say(&[Message::Interested]).await;
        while asked.len() < all.len() || got.values().sum::<usize>() < payload.len() {
            let shown = self.shown.as_ref().unwrap_or(&all).clone();
            let new = shown
                .iter()
                .filter(|piece| unchoked && asked.insert(**piece));
            let pieces = new.map(|piece| geometry.piece(*piece).unwrap());
            let requests: Vec<Message> = pieces
                .flat_map(|piece| geometry.blocks(piece))
                .map(|block| Message::Request(block.raw()))
                .collect();
            self.say(&requests).await;
            match self.hear().await.expect("to be served") {
                Message::Unchoke => unchoked = true,
                refused @ (Message::Choke | Message::Reject(_)) => panic!("{refused:?}"),
                Message::Piece { piece, begin, data } => {
                    let raw = RawRequest {
                        piece,
                        begin,
                        length: data.len() as u32,
                    };
                    let range = geometry.block_range(geometry.block(raw).unwrap());
                    payload[range.start as usize..range.end as usize].copy_from_slice(&data);
                    let so_far = got.entry(piece).or_insert(0);
                    *so_far += data.len();
                    let whole = geometry.piece_len(geometry.piece(piece).unwrap()) as usize;
                    if *so_far == whole {
                        self.say(&[Message::Have { piece }]).await;
                    }
                }
                _ => {}
            }
        }
        payload
    }
}

fn noise(bytes: usize) -> Vec<u8> {
    (0..bytes as u64)
        .map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8)
        .collect()
}

#[tokio::test]
async fn whoever_asks_for_everything_at_once_gets_everything() {
    // Far more than one send window, asked for in one write: nothing but room for sending wakes the seeder.
    let (mut out, clip) = (Out::new(), noise(160 * 16 * 1024 - 77));
    let info = out.add(&[("clip.mp4", &clip)]);
    out.save();
    let running = out.serve().await;
    let mut peer = RawPeer::connect(&running, &info).await;
    assert!(peer.fetch(info.geometry()).await == clip);
    peer.say(&[Message::HaveAll, Message::NotInterested]).await;
    // A peer that has everything is let go.
    while peer.hear().await.is_some() {}
    running.stop().await.unwrap();
}

#[tokio::test]
async fn many_peers_at_once_get_the_same() {
    let (mut out, clip) = (Out::new(), noise(600_000));
    let info = out.add(&[("clip.mp4", &clip)]);
    out.save();
    let running = out.serve().await;
    let peers = (0..30).map(|_| async {
        let mut peer = RawPeer::connect(&running, &info).await;
        peer.fetch(info.geometry()).await == clip
    });
    assert!(
        futures_util::future::join_all(peers)
            .await
            .into_iter()
            .all(|same| same)
    );
    assert_eq!(running.metrics.snapshot()["block_bytes_sent"], 30 * 600_000);
}

#[tokio::test]
async fn an_unknown_swarm_is_closed_without_a_word() {
    let mut out = Out::new();
    out.add(&[("clip.mp4", b"x")]);
    out.save();
    let running = out.serve().await;
    let mut peer = RawPeer::open(&running, SwarmHash([9; 20])).await;
    assert_eq!(peer.hear().await, None);
    assert_eq!(running.metrics.snapshot()["peers_closed"]["not_served"], 1);
}

#[tokio::test]
async fn what_was_changed_on_disk_is_never_sent() {
    let (mut out, clip) = (Out::new(), noise(100_000));
    let info = out.add(&[("clip.mp4", &clip)]);
    out.save();
    let running = out.serve().await;
    let mut peer = RawPeer::connect(&running, &info).await;
    peer.say(&[Message::Interested]).await;
    let (mut unchoked, mut shown) = (false, None);
    while !unchoked || shown.is_none() {
        match peer.hear().await.unwrap() {
            Message::Unchoke => unchoked = true,
            Message::HaveAll => shown = Some(0),
            Message::Have { piece } => shown = Some(piece),
            _ => {}
        }
    }
    let path = format!("library/{}/clip.mp4", info.id());
    out.write(&path, noise(99_999));
    peer.say(&[Message::Request(RawRequest {
        piece: shown.unwrap(),
        begin: 0,
        length: 1000,
    })])
    .await;
    while let Some(message) = peer.hear().await {
        assert!(!matches!(message, Message::Piece { .. }));
    }
    let reply = running.get(&format!("/{path}")).await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, "10"));
    assert!(
        !String::from_utf8_lossy(&reply.body).contains("library"),
        "no path of ours is told"
    );
}

#[tokio::test]
async fn stopping_takes_no_time_with_peers_connected() {
    let mut out = Out::new();
    let info = out.add(&[("clip.mp4", b"x")]);
    out.save();
    let running = out.serve().await;
    let mut peer = RawPeer::connect(&running, &info).await;
    peer.hear().await;
    let began = std::time::Instant::now();
    running.stop().await.unwrap();
    assert!(began.elapsed().as_millis() < 700, "{:?}", began.elapsed());
    while peer.hear().await.is_some() {}
}
