//! A connection, a clock and what was said: how a test drives the machine and listens to it.

use super::super::*;
use super::{SWARM, THEM, US};
use crate::decoder::Decoder;
use metainfo::geometry::PieceLength;
use std::time::Duration;

/// The one place where a test takes a time from outside.
#[allow(clippy::disallowed_methods)]
fn epoch() -> Instant {
    Instant::now()
}

/// A connection, the clock and what was said.
pub(super) struct Story {
    pub(super) connection: Connection,
    pub(super) now: Instant,
    pub(super) heard: Decoder,
    pub(super) said: Vec<Message>,
    pub(super) read: Vec<RawRequest>,
    pub(super) interest: Option<bool>,
    pub(super) closed: Option<CloseReason>,
    pub(super) greeting: Vec<u8>,
    pub(super) take_bytes: bool,
}

pub(super) fn served(n_pieces: u64, metadata: usize) -> Served {
    Served {
        geometry: Geometry::new(
            PieceLength::new(32 * 1024).unwrap(),
            n_pieces * 32 * 1024 - 100,
        )
        .unwrap(),
        metadata: Bytes::from((0..metadata).map(|i| i as u8).collect::<Vec<_>>()),
        v2: None,
    }
}

impl Story {
    pub(super) fn begin() -> Self {
        let now = epoch();
        Self {
            connection: Connection::accept(now, Settings::new(US, "Groundswell test")),
            now,
            heard: Decoder::default(),
            said: Vec::new(),
            read: Vec::new(),
            interest: None,
            closed: None,
            greeting: Vec::new(),
            take_bytes: true,
        }
    }

    /// Handshakes done, our first messages heard and forgotten.
    pub(super) fn open(reserved: Reserved) -> Self {
        let mut story = Self::begin();
        story.hear(
            &Handshake {
                reserved,
                swarm: SWARM,
                peer_id: THEM,
            }
            .encode(),
        );
        assert_eq!(story.greeting.len(), Handshake::LENGTH);
        // Our introduction comes by itself.
        story.after(1);
        story.said.clear();
        story
    }

    pub(super) fn open_fast() -> Self {
        Self::open(Reserved::default().with_fast().with_extended())
    }

    pub(super) fn hear(&mut self, mut bytes: &[u8]) {
        loop {
            let taken = self.connection.handle_bytes(self.now, bytes);
            bytes = &bytes[taken..];
            let did = self.drain();
            if bytes.is_empty() || (taken == 0 && !did) {
                break;
            }
        }
    }

    pub(super) fn say(&mut self, message: Message) {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        self.hear(&bytes);
    }

    pub(super) fn after(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        if self
            .connection
            .next_timeout()
            .is_some_and(|at| at <= self.now)
        {
            self.connection.handle_timeout(self.now);
        }
        self.drain();
    }

    pub(super) fn drain(&mut self) -> bool {
        let mut any = false;
        while let Some(output) = self.connection.poll_output(self.now) {
            any = true;
            assert!(self.closed.is_none(), "nothing follows a close: {output:?}");
            match output {
                Output::Identify(swarm) if swarm == SWARM => {
                    self.connection.admit(self.now, served(10, 40_000), None);
                }
                Output::Identify(_) => self.connection.refuse(),
                Output::Send(bytes) => {
                    let mut bytes = &bytes[..];
                    let sent = bytes.len();
                    let missing = Handshake::LENGTH - self.greeting.len();
                    let (greeting, rest) = bytes.split_at(missing.min(bytes.len()));
                    self.greeting.extend_from_slice(greeting);
                    bytes = rest;
                    while let Some(message) =
                        self.heard.feed(&mut bytes).expect("we say what is allowed")
                    {
                        self.said.push(message);
                    }
                    if self.take_bytes {
                        self.connection.handle_sent(self.now, sent);
                    }
                }
                Output::Read(blocks) => {
                    let bytes: usize = blocks
                        .iter()
                        .map(|block| PIECE_HEADER + block.length() as usize)
                        .sum();
                    self.read.extend(blocks.iter().map(|block| block.raw()));
                    if self.take_bytes {
                        self.connection.handle_sent(self.now, bytes);
                    }
                }
                Output::FindHashes(range) => self.connection.send_hashes(range, None),
                Output::Interest(interested) => self.interest = Some(interested),
                Output::Close(reason) => self.closed = Some(reason),
            }
        }
        any
    }
}
