//! One peer connection under any sequence of events, whoever opened it, serving and fetching: bytes from the peer,
//! time, decisions of choker and picker, blocks that are read or can't be. The input is a list of operations; [`Shell`] carries out
//! what the connection says, as the seeder's task does, and checks every word of it.

mod decided;
mod said;

use crate::draw::Draw;
use bytes::Bytes;
use metainfo::{Block, Geometry, PeerId, PieceLength, RawRequest, SwarmHash};
use said::peer_message;
use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use wire::bitfield::Bitfield;
use wire::connection::{CloseReason, Command, Connection, Output, Own, Served, Settings};
use wire::decoder::Decoder;
use wire::handshake::{Handshake, Reserved};
use wire::message::{FrameLimits, HashRange, Message, PIECE_HEADER, piece_header};

const SWARM: SwarmHash = SwarmHash([7; 20]);
const SWARM_V2: SwarmHash = SwarmHash([8; 20]);
const US: PeerId = PeerId(*b"-GS0100-000000000000");
const THEM: PeerId = PeerId(*b"-XX0100-111111111111");

/// What may wait beyond the send window: a block, control messages, and the answers to one more message.
const BEYOND_WINDOW: usize = Block::MAX_LENGTH as usize + PIECE_HEADER + 3 * 64 * 1024;
/// What waits on our side of the socket: more is not read, as the seeder's task does.
const MAX_UNREAD: usize = 64 * 1024;

/// Plays the operations that the input lists.
pub fn connection(data: &[u8]) {
    let mut draw = Draw::new(data);
    let mut shell = Shell::begin(&mut draw);
    while !draw.is_done() {
        shell.operation(&mut draw);
        shell.settle();
    }
    // Left alone, every connection ends, and stays quiet then.
    for _ in 0..8 {
        shell.pass(Duration::from_secs(3600));
        shell.settle();
    }
    assert!(shell.closed.is_some(), "a silent peer is let go");
}

/// A connection with all that surrounds it.
struct Shell {
    connection: Connection,
    /// Whether we opened it.
    asked_for: bool,
    settings: Settings,
    now: Instant,
    served: Served,
    /// How the shell answers when the connection asks which torrent it is for.
    identify: Identify,
    identified: bool,
    /// From the peer, not yet taken.
    unread: Vec<u8>,
    /// The peer's handshake, as far as it was taken.
    theirs: Vec<u8>,
    /// The peer's messages, as the connection must have read them.
    said: Decoder,
    /// Our side of the stream, as the peer reads it.
    greeting: Vec<u8>,
    heard: Decoder,
    in_flight: usize,
    /// Whether the peer speaks BEP 6.
    fast: bool,
    choked: bool,
    interested: bool,
    blocks_fail: bool,
    /// The pieces we show.
    shown: BTreeSet<u32>,
    /// Those we allowed fast.
    allowed: BTreeSet<u32>,
    /// Whether the peer chokes us, as we were told.
    choked_by: bool,
    /// Blocks that we asked for and have no answer to.
    asked: BTreeSet<Block>,
    asked_metadata: BTreeSet<u32>,
    asked_hashes: Vec<HashRange>,
    owed_hashes: Option<HashRange>,
    requests: u64,
    answers: u64,
    block_bytes: u64,
    closed: Option<CloseReason>,
}

#[derive(Clone, Copy, PartialEq)]
enum Identify {
    Admit,
    Refuse,
    Later,
}

/// One moment for the whole run: only distances matter.
fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}

impl Shell {
    /// Settings small enough that their limits are met, and a handshake unless the input brings its own.
    fn begin(draw: &mut Draw<'_>) -> Self {
        let flags = draw.u8();
        let has = |bit: u8| flags & (1 << bit) != 0;
        let n_pieces = u64::from(draw.u8() % 40) + 1;
        let metadata = usize::from(draw.u16());
        let mut settings = Settings::new(US, "Groundswell fuzz");
        settings.request_queue = u32::from(draw.u8() % 8) + 1;
        settings.send_window = 16 * 1024 * (usize::from(draw.u8() % 4) + 1);
        let piece_length = PieceLength::new(32 * 1024).expect("in range");
        let geometry = Geometry::new(piece_length, n_pieces * 32 * 1024 - 100).expect("few pieces");
        let fetching = has(7);
        let mut own = Bitfield::none(geometry.n_pieces());
        if fetching {
            let picks = draw.u8();
            for piece in geometry
                .pieces()
                .filter(|piece| picks & 1 << (piece.get() % 8) != 0)
            {
                own.set(piece);
            }
        }
        let shown = geometry
            .pieces()
            .filter(|piece| !fetching || own.has(*piece));
        let shown = shown.map(|piece| piece.get()).collect();
        let served = Served {
            geometry: Some(geometry),
            metadata: Some(Bytes::from(vec![b'm'; metadata])),
            v2: has(0).then_some(SWARM_V2),
            own: match fetching {
                true => Own::Some(own.clone()),
                false => Own::All,
            },
            upload_only: !fetching,
            private: has(5),
            port: None,
        };
        let identify = match draw.u8() % 8 {
            0 => Identify::Refuse,
            1 => Identify::Later,
            _ => Identify::Admit,
        };
        let mut reserved = Reserved::default();
        if has(1) {
            reserved = reserved.with_fast();
        }
        if has(2) {
            reserved = reserved.with_extended();
        }
        if has(4) {
            reserved = reserved.with_v2();
        }
        let now = epoch();
        let bitfield = Bitfield::byte_len(n_pieces as u32) as u32;
        let mut shell = Self {
            connection: if has(6) {
                Connection::connect(now, settings, SWARM, served.v2)
            } else {
                Connection::accept(now, settings)
            },
            asked_for: has(6),
            settings,
            now,
            served,
            identify,
            identified: false,
            unread: Vec::new(),
            theirs: Vec::new(),
            said: Decoder::new(FrameLimits {
                bitfield,
                ..FrameLimits::default()
            }),
            greeting: Vec::new(),
            heard: Decoder::default(),
            in_flight: 0,
            fast: false,
            choked: true,
            interested: false,
            blocks_fail: false,
            shown,
            allowed: BTreeSet::new(),
            choked_by: true,
            asked: BTreeSet::new(),
            asked_metadata: BTreeSet::new(),
            asked_hashes: Vec::new(),
            owed_hashes: None,
            requests: 0,
            answers: 0,
            block_bytes: 0,
            closed: None,
        };
        if !has(3) {
            let handshake = Handshake {
                reserved,
                swarm: SWARM,
                peer_id: THEM,
            };
            shell.say(&handshake.encode());
        }
        shell.settle();
        shell
    }

    fn operation(&mut self, draw: &mut Draw<'_>) {
        match draw.u8() % 20 {
            0 => {
                let n = usize::from(draw.u8());
                self.say(draw.bytes(n));
            }
            1..=4 => {
                let geometry = self.geometry();
                let message = peer_message(draw, &geometry, &self.asked);
                let mut bytes = Vec::new();
                message.encode(&mut bytes);
                for _ in 0..=draw.u8() % 12 {
                    self.say(&bytes);
                }
            }
            5 => self.pass(Duration::from_millis(u64::from(draw.u16()))),
            6 => self.pass(Duration::from_secs(u64::from(draw.u8()))),
            7 | 8 => {
                self.choked = draw.u8().is_multiple_of(4);
                self.command(Command::Choke(self.choked));
            }
            9 => self.sent(usize::from(draw.u16())),
            10 => self.sent(usize::MAX),
            11 => self.blocks_fail = draw.u8().is_multiple_of(8),
            12 => {
                if let Some(range) = self.owed_hashes.take() {
                    let hashes =
                        (draw.u8().is_multiple_of(2)).then(|| Bytes::from_static(&[9; 64]));
                    self.connection.send_hashes(range, hashes);
                }
            }
            14..=16 => self.fetch(draw),
            17 | 18 => self.show(draw),
            _ => match draw.u8() % 16 {
                0 => self.connection.close(CloseReason::Withdrawn),
                1 => self.connection.refuse(),
                2 => self.connection.admit(self.now, self.served.clone(), None),
                // Harmless before its time.
                _ if self
                    .connection
                    .next_timeout()
                    .is_none_or(|at| at > self.now) =>
                {
                    self.connection.handle_timeout(self.now);
                    assert_eq!(
                        self.connection.poll_output(self.now),
                        None,
                        "nothing was due"
                    );
                }
                _ => {}
            },
        }
    }

    fn command(&mut self, command: Command) {
        self.connection.handle_command(self.now, command);
    }

    fn is_open(&self) -> bool {
        self.connection.is_open()
    }

    fn geometry(&self) -> Geometry {
        self.served.geometry.expect("it is known here")
    }

    /// The peer sends bytes.
    fn say(&mut self, bytes: &[u8]) {
        let room = MAX_UNREAD - self.unread.len();
        self.unread
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// The socket takes some of what was handed out.
    fn sent(&mut self, bytes: usize) {
        let bytes = bytes.min(self.in_flight);
        if bytes > 0 {
            self.in_flight -= bytes;
            self.connection.handle_sent(self.now, bytes);
        }
    }

    /// Time passes, and a deadline that was met is kept.
    fn pass(&mut self, time: Duration) {
        self.now += time;
        if self
            .connection
            .next_timeout()
            .is_some_and(|at| at <= self.now)
        {
            self.connection.handle_timeout(self.now);
            let next = self.connection.next_timeout();
            assert!(
                next.is_none_or(|at| at > self.now),
                "no deadline is left in the past"
            );
        }
    }

    /// Gives the connection what it takes and carries out what it says, until neither moves.
    fn settle(&mut self) {
        self.carry_out();
        while !self.unread.is_empty() {
            let wanted = self.connection.wants_input();
            let taken = self.connection.handle_bytes(self.now, &self.unread);
            assert!(taken <= self.unread.len());
            assert!(wanted || taken == 0, "nothing is taken unasked");
            let bytes: Vec<u8> = self.unread.drain(..taken).collect();
            self.follow(&bytes);
            let moved = self.carry_out();
            if taken == 0 && !moved {
                break;
            }
        }
        self.check();
    }

    /// Reads the peer's stream along with the connection and counts its requests.
    fn follow(&mut self, bytes: &[u8]) {
        let missing = Handshake::LENGTH - self.theirs.len();
        let (greeting, mut rest) = bytes.split_at(missing.min(bytes.len()));
        self.theirs.extend_from_slice(greeting);
        if let (false, Ok(whole)) = (greeting.is_empty(), self.theirs[..].try_into()) {
            self.fast = Handshake::decode(whole).is_ok_and(|theirs| theirs.reserved.fast());
        }
        while let Ok(Some(message)) = self.said.feed(&mut rest) {
            self.requests += u64::from(matches!(message, Message::Request(_)));
        }
    }

    fn carry_out(&mut self) -> bool {
        let mut n_outputs = 0;
        loop {
            let mut blocks = Vec::new();
            self.connection.take_blocks(self.now, 40_000, &mut blocks);
            n_outputs += u32::from(!blocks.is_empty());
            self.read(&blocks);
            let Some(output) = self.connection.poll_output(self.now) else {
                if blocks.is_empty() {
                    return n_outputs > 0;
                }
                continue;
            };
            n_outputs += 1;
            assert!(n_outputs < 10_000, "one event, endless work");
            assert!(self.closed.is_none(), "nothing follows a close: {output:?}");
            match output {
                Output::Identify(swarm) => {
                    assert!(!self.identified, "asked once");
                    self.identified = true;
                    match self.identify {
                        Identify::Admit if swarm == SWARM => {
                            self.connection.admit(self.now, self.served.clone(), None);
                        }
                        Identify::Admit | Identify::Refuse => self.connection.refuse(),
                        Identify::Later => {}
                    }
                }
                Output::Send(bytes) => self.hear(&bytes),
                Output::FindHashes(range) => {
                    assert!(self.served.v2.is_some(), "only where there are any");
                    // One answer is late, the others are given at once.
                    if let Some(earlier) = self.owed_hashes.replace(range) {
                        self.connection.send_hashes(earlier, None);
                    }
                }
                Output::Event(event) => self.event(event),
                Output::Close(reason) => self.closed = Some(reason),
            }
        }
    }

    fn read(&mut self, blocks: &[Block]) {
        for block in blocks {
            let piece = block.piece().get();
            assert!(
                !self.choked || self.allowed.contains(&piece),
                "nothing is read for a choked peer"
            );
            assert!(self.shown.contains(&piece), "{piece} isn't shown");
        }
        if self.blocks_fail && !blocks.is_empty() {
            return self.connection.close(CloseReason::Withdrawn);
        }
        for block in blocks {
            assert_eq!(
                self.geometry().block(block.raw()),
                Ok(*block),
                "inside the torrent"
            );
            let mut bytes = piece_header(*block).to_vec();
            bytes.resize(PIECE_HEADER + block.length() as usize, 0);
            self.block_bytes += u64::from(block.length());
            self.hear(&bytes);
        }
    }

    /// The peer reads what we send: a handshake, then nothing but messages it may be sent.
    fn hear(&mut self, bytes: &[u8]) {
        assert!(!bytes.is_empty());
        self.in_flight += bytes.len();
        let missing = Handshake::LENGTH - self.greeting.len();
        let (greeting, mut rest) = bytes.split_at(missing.min(bytes.len()));
        self.greeting.extend_from_slice(greeting);
        if let (false, Ok(whole)) = (greeting.is_empty(), self.greeting[..].try_into()) {
            let ours = Handshake::decode(whole).expect("we open with a handshake");
            assert_eq!(ours.peer_id, US);
            let upgraded = self.served.v2 == Some(ours.swarm);
            assert!(
                ours.swarm == SWARM || upgraded,
                "the swarm that was asked for"
            );
            let meant = match self.asked_for {
                true => self.served.v2.is_some(),
                false => upgraded,
            };
            assert_eq!(ours.reserved.v2(), meant, "said where it is meant");
        }
        while let Some(message) = self.heard.feed(&mut rest).expect("we say what is allowed") {
            match message {
                Message::Piece { .. } => self.answers += 1,
                Message::Reject(_) => {
                    assert!(self.fast, "the peer knows no reject");
                    self.answers += 1;
                }
                Message::HaveAll | Message::HaveNone => {
                    assert!(self.fast, "the peer knows no `have all`");
                }
                Message::AllowedFast { .. } | Message::Suggest { .. } => assert!(self.fast),
                Message::Request(raw) => {
                    assert!(self.geometry().block(raw).is_ok());
                }
                Message::Extended { id, .. } => {
                    // What the peer numbers 2 or more is peer exchange and the like: see `peer_message`.
                    assert!(id != said::THEIR_PEX || !self.served.private);
                }
                _ => {}
            }
        }
    }

    /// What holds whenever the connection is at rest.
    fn check(&self) {
        let window = self.settings.send_window;
        assert!(
            self.in_flight <= window + BEYOND_WINDOW,
            "{} bytes in flight",
            self.in_flight
        );
        assert_eq!(self.heard.buffered(), 0, "whole messages are sent");
        assert!(
            self.closed.is_some() || self.connection.next_timeout().is_some(),
            "an open connection always has a deadline"
        );
        if self.closed.is_some() {
            assert!(!self.connection.wants_input(), "nothing more is read");
            assert_eq!(self.connection.next_timeout(), None, "nothing more is due");
            return;
        }
        let tally = self.connection.tally();
        assert_eq!(tally.block_bytes, self.block_bytes);
        assert!(self.connection.peer_pieces() <= self.geometry().n_pieces());
        assert!(
            !self.choked || !self.allowed.is_empty() || !self.connection.has_requests(),
            "choked, nothing waits"
        );
        if self.fast && self.unread.is_empty() {
            // BEP 6: every request gets its block or a reject.
            let waiting = self.requests - self.answers;
            assert!(waiting <= u64::from(self.settings.request_queue));
            assert_eq!(
                waiting > 0,
                self.connection.has_requests(),
                "{waiting} unanswered"
            );
        }
    }
}
