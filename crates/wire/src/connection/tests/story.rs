//! A connection, a clock and what was said: how a test drives the machine and listens to it.

use super::*;
use crate::decoder::Decoder;
use metainfo::geometry::PieceLength;
use std::time::Duration;

/// The one place where a test takes a time from outside.
#[allow(clippy::disallowed_methods)]
pub(super) fn epoch() -> Instant {
    static EPOCH: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}

/// A connection, the clock and what was said.
pub(super) struct Story {
    pub(super) connection: Connection,
    pub(super) now: Instant,
    pub(super) heard: Decoder,
    pub(super) said: Vec<Message>,
    pub(super) read: Vec<RawRequest>,
    pub(super) events: Vec<Event>,
    pub(super) closed: Option<CloseReason>,
    pub(super) greeting: Vec<u8>,
    pub(super) take_bytes: bool,
    /// What the connection is admitted to.
    pub(super) served: Served,
}

/// A window small enough to be met.
pub(super) fn settings() -> Settings {
    Settings {
        send_window: 256 * 1024,
        ..Settings::new(US, "Groundswell test")
    }
}

pub(super) fn geometry(n_pieces: u64) -> Geometry {
    let piece_length = PieceLength::new(32 * 1024).unwrap();
    Geometry::new(piece_length, n_pieces * 32 * 1024 - 100).unwrap()
}

pub(super) fn served(n_pieces: u64, metadata: usize) -> Served {
    Served {
        geometry: Some(geometry(n_pieces)),
        metadata: Some((0..metadata).map(|i| i as u8).collect::<Vec<_>>().into()),
        v2: None,
        own: Own::All,
        upload_only: true,
        private: false,
        port: None,
    }
}

impl Story {
    pub(super) fn begin() -> Self {
        let now = epoch();
        Self {
            connection: Connection::accept(now, settings()),
            now,
            heard: Decoder::default(),
            said: Vec::new(),
            read: Vec::new(),
            events: Vec::new(),
            closed: None,
            greeting: Vec::new(),
            take_bytes: true,
            served: served(10, 40_000),
        }
    }

    /// Handshakes done, our first messages heard and forgotten.
    pub(super) fn open(reserved: Reserved) -> Self {
        Self::open_as(reserved, served(10, 40_000))
    }

    /// The same, admitted to this.
    pub(super) fn open_as(reserved: Reserved, served: Served) -> Self {
        let mut story = Self::begin();
        story.served = served;
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
        loop {
            any |= self.take();
            let Some(output) = self.connection.poll_output(self.now) else {
                return any;
            };
            any = true;
            assert!(self.closed.is_none(), "nothing follows a close: {output:?}");
            match output {
                Output::Identify(swarm) if swarm == SWARM || swarm == V2_SWARM => {
                    self.connection.admit(self.now, self.served.clone(), None);
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
                Output::FindHashes(range) => self.connection.send_hashes(range, None),
                Output::Event(event) => self.events.push(event),
                Output::Close(reason) => self.closed = Some(reason),
            }
        }
    }

    /// Takes the blocks there is room for.
    fn take(&mut self) -> bool {
        let mut blocks = Vec::new();
        let first = self.connection.next_request();
        self.connection
            .take_blocks(self.now, usize::MAX, &mut blocks);
        assert_eq!(first, blocks.first().copied());
        let length = |block: &Block| PIECE_HEADER + block.length() as usize;
        self.read.extend(blocks.iter().map(|block| block.raw()));
        if self.take_bytes {
            let bytes = blocks.iter().map(length).sum();
            self.connection.handle_sent(self.now, bytes);
        }
        !blocks.is_empty()
    }

    pub(super) fn command(&mut self, command: Command) {
        self.connection.handle_command(self.now, command);
    }
}
