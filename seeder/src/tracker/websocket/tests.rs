//! Sockets over streams in memory, with virtual time where time matters.

mod abuse;
mod cuts;

use super::*;
use crate::config::{self, ServeConfig, Source};
use serde_json::{Value, json};
use std::io::{self, Cursor};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use swarm::tracker::{Limits as StoreLimits, Load, P2p as Policy, Tracked};
use tokio::io::{
    AsyncReadExt, AsyncWriteExt, DuplexStream, ReadBuf, ReadHalf, WriteHalf, duplex, split,
};
use tokio::task::JoinHandle;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

const TEXT: OpCode = OpCode::Data(Data::Text);
const BINARY: OpCode = OpCode::Data(Data::Binary);
const CONTINUE: OpCode = OpCode::Data(Data::Continue);
const MASK: [u8; 4] = [0x81, 0x02, 0xf3, 0x44];
const ONE: &str = "11111111111111111111";
const TWO: &str = "22222222222222222222";

fn limits() -> Limits {
    config::Limits::default().websocket()
}

/// A tracker of two swarms whose members are always introduced.
fn sockets(limits: Limits) -> Arc<Sockets> {
    let tracker = Tracker::new(StoreLimits::default(), 7);
    let tracked = |(id, name): (u32, &str)| Tracked {
        swarm: SwarmHash(name.as_bytes().try_into().unwrap()),
        id,
        p2p: Policy::Always,
        seeded: false,
    };
    tracker.set_tracked([(1, ONE), (2, TWO)].map(tracked));
    let metrics: Arc<Metrics> = Arc::default();
    let config = ServeConfig::new(Source::Out("out".into()));
    let statistics = Arc::new(Statistics::new(&config, metrics.clone()));
    Arc::new(Sockets::new(Arc::new(tracker), statistics, metrics, limits))
}

/// One frame as a client sends it.
fn frame(opcode: OpCode, is_final: bool, payload: &[u8]) -> Vec<u8> {
    let header = FrameHeader {
        is_final,
        opcode,
        mask: Some(MASK),
        ..FrameHeader::default()
    };
    let mut out = Vec::new();
    header.format(payload.len() as u64, &mut out).unwrap();
    let masked = payload.iter().zip(MASK.into_iter().cycle());
    out.extend(masked.map(|(byte, mask)| byte ^ mask));
    out
}

/// A browser.
struct Page {
    read: ReadHalf<DuplexStream>,
    write: WriteHalf<DuplexStream>,
    heard: Vec<u8>,
    task: JoinHandle<()>,
}

impl Page {
    async fn open(sockets: &Arc<Sockets>, from: &str) -> Self {
        let (near, far) = duplex(32 * 1024);
        let task = tokio::spawn(sockets.open(far, &[], from.parse().unwrap(), None));
        Self::over(near, task)
    }

    fn over(near: DuplexStream, task: JoinHandle<()>) -> Self {
        let (read, write) = split(near);
        Self {
            read,
            write,
            heard: Vec::new(),
            task,
        }
    }

    async fn more(&mut self) -> Option<usize> {
        let n = self.read.read_buf(&mut self.heard).await.unwrap_or(0);
        (n > 0).then_some(n)
    }

    async fn send(&mut self, bytes: &[u8]) {
        // A closed socket is seen when reading.
        let _ = self.write.write_all(bytes).await;
    }

    async fn say(&mut self, message: &Value) {
        self.send(&frame(TEXT, true, message.to_string().as_bytes()))
            .await;
    }

    /// The next frame; `None` where the socket was closed without one.
    async fn frame(&mut self) -> Option<(OpCode, Vec<u8>)> {
        loop {
            let mut cursor = Cursor::new(&self.heard);
            if let Some((header, length)) = FrameHeader::parse(&mut cursor).unwrap() {
                assert!(header.mask.is_none() && header.is_final);
                let start = cursor.position() as usize;
                let end = start + length as usize;
                if self.heard.len() >= end {
                    let payload = self.heard[start..end].to_vec();
                    self.heard.drain(..end);
                    return Some((header.opcode, payload));
                }
            }
            self.more().await?;
        }
    }

    async fn hear(&mut self) -> Value {
        let (opcode, payload) = self.frame().await.expect("a message");
        assert_eq!(opcode, TEXT, "{payload:?}");
        serde_json::from_slice(&payload).unwrap()
    }

    /// Reads to the end: the close code.
    async fn code(mut self) -> Option<u16> {
        let mut code = None;
        while let Some((opcode, payload)) = self.frame().await {
            if opcode == OpCode::Control(Control::Close) {
                code = Some(u16::from_be_bytes(payload.try_into().unwrap()));
            }
        }
        self.task.await.unwrap();
        code
    }

    /// Joins with so many offers and reads the answer, which comes first.
    async fn join(&mut self, swarm: &str, id: &str, offers: usize) -> Value {
        self.say(&announce(swarm, id, offers)).await;
        self.hear().await
    }
}

fn id(name: &str) -> String {
    format!("{name:-<20}")
}

fn announce(swarm: &str, peer: &str, offers: usize) -> Value {
    let offer = |n: usize| {
        let sdp = format!("offer {n} of {peer} in {swarm}\r\n");
        json!({"offer_id": id(&format!("{peer}{n}")), "offer": {"type": "offer", "sdp": sdp}})
    };
    let offers: Vec<_> = (0..offers).map(offer).collect();
    json!({"action": "announce", "info_hash": swarm, "peer_id": id(peer), "left": 9, "offers": offers})
}

fn answer(swarm: &str, peer: &str, to: &Value) -> Value {
    json!({
        "action": "announce", "info_hash": swarm, "peer_id": id(peer), "to_peer_id": to["peer_id"],
        "offer_id": to["offer_id"], "answer": {"type": "answer", "sdp": format!("answer of {peer}")},
    })
}

fn assert_nothing_held(sockets: &Sockets) {
    assert_eq!(sockets.metrics.ws_now.get(), 0);
    assert_eq!(sockets.budget.held(), 0);
    assert_eq!(sockets.tracker.n_peers(), 0);
    let mut open = 0;
    sockets.registry.for_each(|_| open += 1);
    assert_eq!(open, 0);
}

#[tokio::test]
async fn an_offer_finds_another_viewer_and_its_answer_the_way_back() {
    let sockets = sockets(limits());
    let mut ada = Page::open(&sockets, "192.0.2.1").await;
    let mut bob = Page::open(&sockets, "2001:db8::1").await;
    let alone = ada.join(ONE, "ada", 2).await;
    assert_eq!(
        (&alone["incomplete"], &alone["p2p"]),
        (&json!(1), &json!("go"))
    );
    assert!(alone["interval"].as_u64().unwrap() > 60, "{alone}");
    assert!(alone["offers_wanted"].is_u64(), "{alone}");
    assert_eq!(sockets.metrics.ws_offers_unplaced.get(), 2);

    assert_eq!(bob.join(ONE, "bob", 1).await["incomplete"], 2);
    let offer = ada.hear().await;
    assert_eq!(
        (&offer["peer_id"], &offer["info_hash"]),
        (&json!(id("bob")), &json!(ONE))
    );
    assert_eq!(
        offer["offer"],
        json!({"type": "offer", "sdp": format!("offer 0 of bob in {ONE}\r\n")})
    );
    ada.say(&answer(ONE, "another id", &offer)).await;
    let told = bob.hear().await;
    assert_eq!(
        told["answer"],
        json!({"type": "answer", "sdp": "answer of another id"})
    );
    assert_eq!(
        (&told["peer_id"], &told["offer_id"]),
        (&json!(id("another id")), &offer["offer_id"])
    );
    let metrics = &sockets.metrics;
    let relayed = (
        metrics.ws_offers_relayed.get(),
        metrics.ws_answers_relayed.get(),
    );
    assert_eq!(relayed, (1, 1));

    ada.say(&json!({"action": "scrape", "info_hash": [ONE, TWO, id("nobody's")]}))
        .await;
    let count = |n: u32| json!({"complete": 0, "incomplete": n, "downloaded": 0});
    let expected = json!({"action": "scrape", "files": {ONE: count(2), TWO: count(0)}});
    assert_eq!(ada.hear().await, expected);
    drop((ada.read, ada.write));
    ada.task.await.unwrap();
    assert_eq!(sockets.tracker.n_peers(), 1);
    drop((bob.read, bob.write));
    bob.task.await.unwrap();
    assert_nothing_held(&sockets);
}

#[tokio::test]
async fn descriptions_stay_in_the_swarm_they_are_meant_for() {
    let sockets = sockets(limits());
    let mut ada = Page::open(&sockets, "192.0.2.1").await;
    let mut bob = Page::open(&sockets, "192.0.2.2").await;
    let mut eve = Page::open(&sockets, "192.0.2.3").await;
    ada.join(ONE, "ada", 0).await;
    bob.join(ONE, "bob", 1).await;
    let offer = ada.hear().await;
    eve.join(TWO, "eve", 5).await;
    // Eve knows everything about the offer, but it was not made to her, nor in her swarm.
    for swarm in [ONE, TWO] {
        eve.say(&answer(swarm, "eve", &offer)).await;
        eve.say(&answer(swarm, "ada", &offer)).await;
    }
    eve.say(&json!({"action": "scrape", "info_hash": ONE}))
        .await;
    assert_eq!(eve.hear().await["action"], "scrape");
    assert_eq!(sockets.metrics.ws_answers_unplaced.get(), 4);
    assert_eq!(sockets.metrics.ws_offers_unplaced.get(), 5);
    // The first that reaches Bob is Ada's.
    ada.say(&answer(ONE, "ada", &offer)).await;
    assert_eq!(bob.hear().await["answer"]["sdp"], "answer of ada");
}

#[tokio::test]
async fn one_socket_is_in_several_swarms_and_leaves_all() {
    let sockets = sockets(limits());
    let mut ada = Page::open(&sockets, "192.0.2.1").await;
    ada.join(ONE, "ada", 1).await;
    ada.join(TWO, "ada", 1).await;
    let unknown = ada.join(&id("nobody's"), "ada", 1).await;
    assert!(
        unknown["failure reason"]
            .as_str()
            .unwrap()
            .contains("not tracked"),
        "{unknown}"
    );
    assert_eq!(ada.join(ONE, "ada", 0).await["incomplete"], 1, "still open");
    assert_eq!(sockets.tracker.n_peers(), 2);
    ada.send(&frame(OpCode::Control(Control::Close), true, &[3, 232]))
        .await;
    assert_eq!(ada.code().await, Some(1000));
    assert_nothing_held(&sockets);
}

#[tokio::test]
async fn what_came_with_the_request_is_read_first() {
    let sockets = sockets(limits());
    let (near, far) = duplex(32 * 1024);
    let first = frame(TEXT, true, announce(ONE, "ada", 0).to_string().as_bytes());
    let second = frame(OpCode::Control(Control::Ping), true, b"there?");
    let leftover = [&first[..], &second[..7]].concat();
    let task = tokio::spawn(sockets.open(far, &leftover, "192.0.2.1".parse().unwrap(), None));
    let mut ada = Page::over(near, task);
    assert_eq!(ada.hear().await["incomplete"], 1);
    ada.send(&second[7..]).await;
    let pong = (OpCode::Control(Control::Pong), b"there?".to_vec());
    assert_eq!(ada.frame().await, Some(pong));
    assert_eq!(sockets.budget.held(), 0);
}

#[tokio::test]
async fn messages_come_in_any_frames() {
    let sockets = sockets(limits());
    let mut ada = Page::open(&sockets, "192.0.2.1").await;
    let message = announce(ONE, "ada", 3).to_string();
    let (first, rest) = message.as_bytes().split_at(100);
    let mut bytes = frame(BINARY, true, message.as_bytes());
    bytes.extend(frame(TEXT, false, first));
    bytes.extend(frame(OpCode::Control(Control::Ping), true, b"there?"));
    bytes.extend(frame(CONTINUE, false, b""));
    bytes.extend(frame(OpCode::Control(Control::Pong), true, b""));
    bytes.extend(frame(CONTINUE, true, rest));
    // Cut anywhere: byte by byte, as a slow network would.
    for byte in &bytes {
        ada.send(&[*byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(ada.hear().await["incomplete"], 1);
    let pong = (OpCode::Control(Control::Pong), b"there?".to_vec());
    assert_eq!(ada.frame().await, Some(pong));
    assert_eq!(ada.hear().await["incomplete"], 1);
    assert_eq!(sockets.budget.held(), 0, "a resting socket holds nothing");
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_told_when_introductions_begin() {
    let sockets = sockets(limits());
    let waiting = Tracked {
        swarm: SwarmHash(ONE.as_bytes().try_into().unwrap()),
        id: 1,
        p2p: Policy::UnderLoad,
        seeded: true,
    };
    sockets.tracker.set_tracked([waiting]);
    let stop = CancellationToken::new();
    let running = tokio::spawn(sockets.clone().run(stop.clone()));
    let mut ada = Page::open(&sockets, "192.0.2.1").await;
    let mut bob = Page::open(&sockets, "192.0.2.2").await;
    assert_eq!(ada.join(ONE, "ada", 5).await["p2p"], "wait");
    assert_eq!(bob.join(ONE, "bob", 5).await["p2p"], "wait");
    assert_eq!(sockets.metrics.ws_offers_relayed.get(), 0);
    sockets.tracker.set_load(Load::Loaded);
    for page in [&mut ada, &mut bob] {
        let told = page.hear().await;
        assert_eq!(
            (&told["p2p"], &told["info_hash"]),
            (&json!("go"), &json!(ONE))
        );
        assert!(told["offers_wanted"].as_u64().unwrap() > 0, "{told}");
        assert_eq!(told.get("interval"), None, "what was told before holds");
    }
    assert_eq!(bob.join(ONE, "bob", 1).await["p2p"], "go");
    assert_eq!(ada.hear().await["peer_id"], id("bob"));
    stop.cancel();
    running.await.unwrap();
}
