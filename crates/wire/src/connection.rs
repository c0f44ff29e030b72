//! One peer connection as a state machine without a socket or a clock: the same for who opened it and who was
//! called, for seeds and for those who fetch.
//!
//! A shell (a tokio task, a simulator, a fuzzer) owns a [`Connection`] and does five things:
//!
//! 1. gives it what happened: [`Connection::handle_bytes`], [`Connection::handle_sent`],
//!    [`Connection::handle_timeout`];
//! 2. tells it what was decided elsewhere: [`Connection::admit`], [`Connection::refuse`],
//!    [`Connection::handle_command`], [`Connection::close`];
//! 3. after each of these calls [`Connection::poll_output`] until it gives `None`, and carries out what
//!    it says, in order;
//! 4. takes blocks that the peer asked for by [`Connection::take_blocks`] when it can send them;
//! 5. comes back at [`Connection::next_timeout`], and reads from the peer only while
//!    [`Connection::wants_input`].
//!
//! What a peer can make this hold is bounded: one frame coming in, [`Settings::request_queue`] requests,
//! [`MAX_EVENTS`] events and those of one more message, and going out 64 KiB of messages and the answers to one
//! more; beyond that nothing more is read from it. Blocks that are handed out fit [`Settings::send_window`], by one
//! block at most more. What a peer sends is either an answer to a
//! question of ours or one of the few things it may say unasked.
//!
//! Not here: which peers to choke, which pieces to show, which blocks to ask for and when to give up waiting for
//! them (crate `swarm`), whether blocks are what they should be (their hashes, in the seeder).

mod asking;
mod close;
mod command;
mod event;
mod extensions;
mod fetching;
mod greeting;
mod introduction;
mod metadata;
mod output;
mod receive;
mod requests;
mod served;
mod serving;
mod session;
mod settings;
mod tally;
mod timers;
mod unsent;

#[cfg(test)]
mod tests;

pub use close::{CloseReason, ProtocolError};
pub use command::Command;
pub use event::{Event, Introduced};
pub use output::Output;
pub use served::{Own, Served};
pub use settings::Settings;
pub use tally::Tally;

use crate::handshake::Handshake;
use crate::message::Message;
use greeting::Asked;
use metainfo::ids::{PeerId, SwarmHash};
use session::{Has, Session};
use std::time::Instant;
use timers::{Timer, Timers};
use unsent::{Kind, Unsent};

/// How many bytes of messages other than blocks may be unsent before reading stops.
const CONTROL_SLACK: usize = 64 * 1024;
/// How many events may wait for the shell before reading stops.
pub const MAX_EVENTS: usize = 64;
/// How many pieces are shown at once where all are to be shown.
const SHOWN_AT_ONCE: usize = 1024;
/// The numbers under which we take extensions.
const OUR_UT_METADATA: u8 = 1;
const OUR_UT_PEX: u8 = 2;
const OUR_LT_DONTHAVE: u8 = 3;

/// One peer connection. See the module for how it is driven.
#[derive(Debug)]
pub struct Connection {
    settings: Settings,
    stage: Stage,
    timers: Timers,
    /// Encoded messages that wait for [`Self::poll_output`].
    control: Vec<u8>,
    /// What was handed out and not yet taken by the socket.
    unsent: Unsent,
    tally: Tally,
}

#[derive(Debug)]
enum Stage {
    /// The handshake is coming in.
    Greeting {
        bytes: [u8; Handshake::LENGTH],
        filled: usize,
        /// What we have asked for, where we opened the connection.
        asked: Option<Asked>,
    },
    /// It has come; the shell is to say whether the torrent is served.
    Identified {
        theirs: Handshake,
        told: bool,
        /// Whether our handshake is sent already.
        asked: bool,
    },
    /// Messages go both ways.
    Open(Box<Session>),
    /// Over; the shell is told once.
    Closed { reason: CloseReason, told: bool },
}

impl Connection {
    /// A connection that a peer has opened to us.
    pub fn accept(now: Instant, settings: Settings) -> Self {
        Self::new(now, settings, None)
    }

    /// A connection that we have opened, to a peer that is said to be in this swarm: our handshake goes first.
    /// `v2` is the torrent's truncated v2 hash where it is known to have one; a peer that is asked for the v1 hash
    /// of a hybrid may then answer with it (BEP 52).
    pub fn connect(
        now: Instant,
        settings: Settings,
        swarm: SwarmHash,
        v2: Option<SwarmHash>,
    ) -> Self {
        let mut connection = Self::new(now, settings, Some(Asked { swarm, v2 }));
        connection.greet_with(swarm, v2.is_some());
        connection
    }

    fn new(now: Instant, settings: Settings, asked: Option<Asked>) -> Self {
        let mut timers = Timers::default();
        timers.set(Timer::Handshake, now + settings.handshake_timeout);
        Self {
            settings,
            stage: Stage::Greeting {
                bytes: [0; Handshake::LENGTH],
                filled: 0,
                asked,
            },
            timers,
            control: Vec::new(),
            unsent: Unsent::default(),
            tally: Tally::default(),
        }
    }

    // What happened.

    /// Bytes came from the peer. Gives how many were taken: fewer than came when the shell has something
    /// to do first (drain [`Self::poll_output`], then offer the rest again) or when [`Self::wants_input`] is false.
    pub fn handle_bytes(&mut self, now: Instant, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        while self.wants_input() && !rest.is_empty() {
            match &mut self.stage {
                Stage::Greeting { bytes, filled, .. } => {
                    let take = rest.len().min(Handshake::LENGTH - *filled);
                    bytes[*filled..*filled + take].copy_from_slice(&rest[..take]);
                    *filled += take;
                    rest = &rest[take..];
                    self.greet();
                }
                Stage::Open(session) => {
                    self.timers
                        .set(Timer::Silence, now + self.settings.silence_timeout);
                    match session.decoder.feed(&mut rest) {
                        Ok(Some(message)) => self.handle_message(now, message),
                        Ok(None) => {}
                        Err(error) => self.fail(ProtocolError::from(error)),
                    }
                }
                Stage::Identified { .. } | Stage::Closed { .. } => break,
            }
        }
        bytes.len() - rest.len()
    }

    /// The socket has taken so many of the bytes that were handed out.
    pub fn handle_sent(&mut self, now: Instant, bytes: usize) {
        self.unsent.take(bytes);
        if self.unsent.total() == 0 || self.is_closed() {
            self.timers.stop(Timer::Stall);
        } else {
            self.timers
                .set(Timer::Stall, now + self.settings.stall_timeout);
        }
    }

    /// Time has passed: to be called at [`Self::next_timeout`], harmless before.
    pub fn handle_timeout(&mut self, now: Instant) {
        for timer in Timer::ALL {
            if !self.timers.is_due(timer, now) {
                continue;
            }
            self.timers.stop(timer);
            match timer {
                Timer::Handshake => self.end(CloseReason::HandshakeTimeout),
                Timer::Silence => self.end(CloseReason::Silent),
                Timer::Stall => self.end(CloseReason::Stalled),
                Timer::KeepAlive => self.send(&Message::KeepAlive),
                Timer::Introduction => self.introduce(),
            }
        }
    }

    /// Ends the connection from our side.
    pub fn close(&mut self, reason: CloseReason) {
        self.end(reason);
    }

    // What to do.

    /// The next thing to do, or `None` until something happens.
    pub fn poll_output(&mut self, now: Instant) -> Option<Output> {
        if !self.control.is_empty() {
            let bytes = std::mem::take(&mut self.control);
            self.count_out(now, Kind::Control, bytes.len());
            return Some(Output::Send(bytes.into()));
        }
        let room = self.unsent.control() < CONTROL_SLACK;
        match &mut self.stage {
            Stage::Greeting { .. } => None,
            Stage::Identified { told: true, .. } | Stage::Closed { told: true, .. } => None,
            Stage::Identified { theirs, told, .. } => {
                *told = true;
                Some(Output::Identify(theirs.swarm))
            }
            Stage::Closed { reason, told } => {
                *told = true;
                Some(Output::Close(*reason))
            }
            Stage::Open(session) => {
                if let Some(event) = session.next_event() {
                    return Some(Output::Event(event));
                }
                if !room {
                    return None;
                }
                let mut messages = Vec::new();
                if let Some(message) = session.next_metadata(&mut self.tally) {
                    message.encode(&mut messages);
                } else if let Some(range) = session.hash_requests.pop_front() {
                    return Some(Output::FindHashes(range));
                } else {
                    for piece in session.next_shown(SHOWN_AT_ONCE) {
                        Message::Have { piece: piece.get() }.encode(&mut messages);
                    }
                }
                if messages.is_empty() {
                    return None;
                }
                self.count_out(now, Kind::Control, messages.len());
                Some(Output::Send(messages.into()))
            }
        }
    }

    /// When to call [`Self::handle_timeout`].
    pub fn next_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    // Getters.

    /// Whether bytes from the peer are taken: not while it leaves ours unread, nor while the shell owes an answer.
    pub fn wants_input(&self) -> bool {
        match &self.stage {
            Stage::Greeting { .. } => true,
            Stage::Open(session) => {
                let control = self.unsent.control() + self.control.len();
                control < CONTROL_SLACK && session.events.len() < MAX_EVENTS
            }
            Stage::Identified { .. } | Stage::Closed { .. } => false,
        }
    }

    /// Whether a torrent is agreed on and messages go both ways.
    pub fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open(_))
    }

    /// Who the peer says it is, once its handshake has come.
    pub fn peer_id(&self) -> Option<PeerId> {
        match &self.stage {
            Stage::Identified { theirs, .. } => Some(theirs.peer_id),
            Stage::Open(session) => Some(session.peer.id),
            Stage::Greeting { .. } | Stage::Closed { .. } => None,
        }
    }

    /// Whether the peer speaks the fast extension (BEP 6).
    pub fn is_fast(&self) -> bool {
        matches!(&self.stage, Stage::Open(session) if session.peer.reserved.fast())
    }

    /// What the peer has said of itself, once it has.
    pub fn introduced(&self) -> Option<&Introduced> {
        match &self.stage {
            Stage::Open(session) => session.peer.introduced.as_deref(),
            _ => None,
        }
    }

    /// How many pieces the peer has said it has.
    pub fn peer_pieces(&self) -> u32 {
        match &self.stage {
            Stage::Open(session) => session.peer.n_pieces(session.n_pieces()),
            _ => 0,
        }
    }

    /// What was counted so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    // Inside.

    /// A peer that is through with us is let go, if we are through with it.
    fn part_from_seed(&mut self) {
        if matches!(&self.stage, Stage::Open(session) if session.is_done()) {
            self.end(CloseReason::BothSeeds);
        }
    }

    /// Queues a message; nothing is said any more once the end is decided.
    fn send(&mut self, message: &Message) {
        if !self.is_closed() {
            message.encode(&mut self.control);
        }
    }

    fn count_out(&mut self, now: Instant, kind: Kind, bytes: usize) {
        self.unsent.add(kind, bytes);
        if self.is_closed() {
            return;
        }
        self.timers
            .set(Timer::KeepAlive, now + self.settings.keep_alive);
        if !self.timers.is_set(Timer::Stall) {
            self.timers
                .set(Timer::Stall, now + self.settings.stall_timeout);
        }
    }

    fn is_closed(&self) -> bool {
        matches!(self.stage, Stage::Closed { .. })
    }

    fn fail(&mut self, error: ProtocolError) {
        self.control = Vec::new();
        self.end(CloseReason::Protocol(error));
    }

    fn end(&mut self, reason: CloseReason) {
        if !self.is_closed() {
            self.stage = Stage::Closed {
                reason,
                told: false,
            };
            self.timers = Timers::default();
        }
    }
}
