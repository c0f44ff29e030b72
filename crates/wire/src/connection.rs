//! One peer connection as a state machine without a socket or a clock.
//!
//! A shell (a tokio task, a simulator, a fuzzer) owns a [`Connection`] and does four things:
//!
//! 1. gives it what happened: [`Connection::handle_bytes`], [`Connection::handle_sent`],
//!    [`Connection::handle_timeout`];
//! 2. tells it what was decided elsewhere: [`Connection::admit`], [`Connection::refuse`],
//!    [`Connection::set_choked`], [`Connection::close`];
//! 3. after each of these calls [`Connection::poll_output`] until it gives `None`, and carries out what
//!    it says, in order;
//! 4. comes back at [`Connection::next_timeout`], and reads from the peer only while
//!    [`Connection::wants_input`].
//!
//! What a peer can make this hold is bounded: one frame coming in, [`Settings::request_queue`] requests,
//! and going out [`Settings::send_window`] plus one block and some control messages; beyond that nothing
//! more is read from it. Served so far is the seed's side; the fetching side will ask its own requests
//! through the same type.

mod close;
mod introduction;
mod metadata;
mod output;
mod requests;
mod session;
mod settings;
mod tally;
mod timers;

#[cfg(test)]
mod tests;

pub use close::{CloseReason, ProtocolError};
pub use output::Output;
pub use settings::Settings;
pub use tally::Tally;

use crate::bitfield::Bitfield;
use crate::extended::metadata::MetadataMessage;
use crate::extended::{self, ExtendedHandshake, UT_METADATA};
use crate::handshake::{self, Handshake, Reserved};
use crate::message::{HashRange, Message, PIECE_HEADER};
use bytes::Bytes;
use metainfo::geometry::{Block, Geometry, RawRequest};
use metainfo::ids::{PeerId, SwarmHash};
use requests::Taken;
use session::{Has, Session};
use std::net::IpAddr;
use std::time::Instant;
use timers::{Timer, Timers};

/// The torrent a connection is admitted to.
#[derive(Debug, Clone)]
pub struct Served {
    /// How its bytes fall into pieces.
    pub geometry: Geometry,
    /// The raw info dictionary, for peers that came by a magnet link.
    pub metadata: Bytes,
    /// Its truncated v2 hash, where it has BEP 52's merkle trees.
    pub v2: Option<SwarmHash>,
}

/// How many bytes of control messages may wait behind a full send window before reading stops.
const CONTROL_SLACK: usize = 64 * 1024;
/// How many requests for hashes wait at once.
const MAX_HASH_REQUESTS: usize = 16;
/// The most blocks handed out in one go: as many 16 KiB blocks as fill the default window.
const MAX_BATCH: usize = 16;
/// The number under which we take `ut_metadata`.
const OUR_UT_METADATA: u8 = 1;

/// One peer connection. See the module for how it is driven.
#[derive(Debug)]
pub struct Connection {
    settings: Settings,
    stage: Stage,
    timers: Timers,
    /// Encoded messages that wait for [`Self::poll_output`].
    control: Vec<u8>,
    /// Bytes handed out and not yet taken by the socket.
    unsent: usize,
    tally: Tally,
}

#[derive(Debug)]
enum Stage {
    /// The handshake is coming in.
    Greeting {
        bytes: [u8; Handshake::LENGTH],
        filled: usize,
    },
    /// It has come; the shell is to say whether the torrent is served.
    Identified { theirs: Handshake, told: bool },
    /// Messages go both ways.
    Open(Box<Session>),
    /// Over; the shell is told once.
    Closed { reason: CloseReason, told: bool },
}

impl Connection {
    /// A connection that a peer has opened to us.
    pub fn accept(now: Instant, settings: Settings) -> Self {
        let mut timers = Timers::default();
        timers.set(Timer::Handshake, now + settings.handshake_timeout);
        Self {
            settings,
            stage: Stage::Greeting {
                bytes: [0; Handshake::LENGTH],
                filled: 0,
            },
            timers,
            control: Vec::new(),
            unsent: 0,
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
                Stage::Greeting { bytes, filled } => {
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
                        Ok(Some(message)) => self.handle_message(message),
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
        self.unsent = self.unsent.saturating_sub(bytes);
        if self.unsent == 0 || self.is_closed() {
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

    // What was decided elsewhere.

    /// The torrent is served: the connection opens. `remote` is the peer's address as we see it.
    pub fn admit(&mut self, now: Instant, served: Served, remote: Option<IpAddr>) {
        let Stage::Identified { theirs, .. } = self.stage else {
            return;
        };
        let mut ours = Handshake {
            reserved: Reserved::default().with_extended().with_fast(),
            swarm: theirs.swarm,
            peer_id: self.settings.peer_id,
        };
        // BEP 52's upgrade: who came by the v1 hash of a hybrid and speaks v2 is answered with the v2 hash.
        // libtorrent 2.0 insists on it once it has heard of us in the v2 swarm as well; and a v2 bit that
        // nobody asked for makes some of its versions crash on v1 magnet links.
        if let Some(v2) = served
            .v2
            .filter(|v2| theirs.reserved.v2() || theirs.swarm == *v2)
        {
            ours.reserved = ours.reserved.with_v2();
            ours.swarm = v2;
        }
        self.control.extend_from_slice(&ours.encode());
        let n_pieces = served.geometry.n_pieces();
        // BEP 6 wants this to be the first message.
        if theirs.reserved.fast() {
            self.send(&Message::HaveAll);
        } else if n_pieces > 0 {
            self.send(&Message::Bitfield(
                Bitfield::all(n_pieces).as_bytes().to_vec().into(),
            ));
        }
        let introduction = ExtendedHandshake {
            extensions: [(UT_METADATA.to_owned(), OUR_UT_METADATA)].into(),
            client: Some(self.settings.client.to_owned()),
            port: None,
            request_queue: Some(self.settings.request_queue),
            metadata_size: u32::try_from(served.metadata.len()).ok(),
            your_ip: remote,
            upload_only: true,
        };
        self.stage = Stage::Open(Box::new(Session::new(served, &theirs)));
        self.timers.stop(Timer::Handshake);
        self.timers
            .set(Timer::Silence, now + self.settings.silence_timeout);
        if theirs.reserved.extended() {
            self.introduce_later(now, introduction);
        }
    }

    /// The torrent isn't served.
    pub fn refuse(&mut self) {
        self.end(CloseReason::NotServed);
    }

    /// The choker has decided. What a choked peer had asked for is dropped, and rejected by BEP 6.
    pub fn set_choked(&mut self, choked: bool) {
        let Stage::Open(session) = &mut self.stage else {
            return;
        };
        if session.choked == choked {
            return;
        }
        session.choked = choked;
        if choked {
            let dropped: Vec<Block> = session.requests.drain().collect();
            let fast = session.peer.reserved.fast();
            self.send(&Message::Choke);
            self.tally.refused_requests += dropped.len() as u64;
            for block in dropped.iter().filter(|_| fast) {
                self.send(&Message::Reject(block.raw()));
            }
        } else {
            self.send(&Message::Unchoke);
        }
    }

    /// The answer to [`Output::FindHashes`]: the hashes and the proof, or nothing.
    pub fn send_hashes(&mut self, range: HashRange, hashes: Option<Bytes>) {
        match hashes {
            Some(hashes) => self.send(&Message::Hashes { range, hashes }),
            None => {
                self.tally.refused_hashes += 1;
                self.send(&Message::HashReject(range));
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
            self.count_out(now, bytes.len());
            return Some(Output::Send(bytes.into()));
        }
        let room = self.unsent < self.settings.send_window;
        match &mut self.stage {
            Stage::Greeting { .. } => None,
            Stage::Identified { told: true, .. } | Stage::Closed { told: true, .. } => None,
            Stage::Identified { theirs, told } => {
                *told = true;
                Some(Output::Identify(theirs.swarm))
            }
            Stage::Closed { reason, told } => {
                *told = true;
                Some(Output::Close(*reason))
            }
            Stage::Open(session) => {
                if session.told_interest != session.peer.interested {
                    session.told_interest = session.peer.interested;
                    return Some(Output::Interest(session.peer.interested));
                }
                if !room {
                    return None;
                }
                if let Some(output) = session.next_metadata(&mut self.tally) {
                    let mut bytes = Vec::new();
                    output.encode(&mut bytes);
                    self.count_out(now, bytes.len());
                    return Some(Output::Send(bytes.into()));
                }
                if let Some(range) = session.hash_requests.pop_front() {
                    return Some(Output::FindHashes(range));
                }
                let mut blocks = Vec::new();
                let mut bytes = 0;
                while self.unsent + bytes < self.settings.send_window && blocks.len() < MAX_BATCH {
                    let Some(block) = session.requests.pop() else {
                        break;
                    };
                    bytes += PIECE_HEADER + block.length() as usize;
                    blocks.push(block);
                }
                if blocks.is_empty() {
                    return None;
                }
                self.tally.blocks += blocks.len() as u64;
                self.tally.block_bytes += blocks
                    .iter()
                    .map(|block| u64::from(block.length()))
                    .sum::<u64>();
                self.count_out(now, bytes);
                Some(Output::Read(blocks))
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
        let full = self.settings.send_window + Block::MAX_LENGTH as usize + CONTROL_SLACK;
        match &self.stage {
            Stage::Greeting { .. } => true,
            Stage::Open(_) => self.unsent + self.control.len() < full,
            Stage::Identified { .. } | Stage::Closed { .. } => false,
        }
    }

    /// Whether requests of the peer wait for room to send.
    pub fn has_requests(&self) -> bool {
        matches!(&self.stage, Stage::Open(session) if !session.requests.is_empty())
    }

    /// Who the peer says it is, once the torrent is agreed on.
    pub fn peer_id(&self) -> Option<PeerId> {
        if let Stage::Open(session) = &self.stage {
            Some(session.peer.id)
        } else {
            None
        }
    }

    /// The peer's extension handshake, once it has come.
    pub fn peer_extensions(&self) -> Option<&ExtendedHandshake> {
        if let Stage::Open(session) = &self.stage {
            session.peer.extended.as_ref()
        } else {
            None
        }
    }

    /// How many pieces the peer has said it has.
    pub fn peer_pieces(&self) -> u32 {
        match &self.stage {
            Stage::Open(session) => session.peer.n_pieces(session.served.geometry.n_pieces()),
            _ => 0,
        }
    }

    /// What was counted so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    // Inside.

    /// Judges what has come of the handshake.
    fn greet(&mut self) {
        let Stage::Greeting { bytes, filled } = &self.stage else {
            return;
        };
        if !handshake::may_begin(&bytes[..*filled]) {
            return self.fail(ProtocolError::NotBitTorrent);
        }
        if *filled < Handshake::LENGTH {
            return;
        }
        match Handshake::decode(bytes) {
            Ok(theirs) if theirs.peer_id == self.settings.peer_id => {
                self.fail(ProtocolError::SelfConnection);
            }
            Ok(theirs) => {
                self.stage = Stage::Identified {
                    theirs,
                    told: false,
                }
            }
            Err(handshake::NotBitTorrent) => self.fail(ProtocolError::NotBitTorrent),
        }
    }

    fn handle_message(&mut self, message: Message) {
        self.introduce();
        let Stage::Open(session) = &mut self.stage else {
            return;
        };
        if let Some(name) = session.not_agreed(&message) {
            return self.fail(ProtocolError::NotAgreed(name));
        }
        let outcome = match message {
            Message::Interested => {
                session.peer.interested = true;
                Ok(())
            }
            Message::NotInterested => {
                session.peer.interested = false;
                Ok(())
            }
            Message::Have { piece } => session.handle_have(piece),
            Message::Bitfield(bits) => session.handle_bitfield(&bits),
            Message::HaveAll => {
                session.peer.has = Has::All;
                Ok(())
            }
            Message::HaveNone => {
                session.peer.has = Has::None;
                Ok(())
            }
            Message::Request(raw) => self.handle_request(raw),
            Message::Cancel(raw) => {
                self.handle_cancel(raw);
                Ok(())
            }
            Message::Extended { id, payload } => {
                self.handle_extended(id, &payload);
                Ok(())
            }
            Message::HashRequest(range) => {
                if session.hash_requests.len() < MAX_HASH_REQUESTS {
                    session.hash_requests.push_back(range);
                } else {
                    self.send_hashes(range, None);
                }
                Ok(())
            }
            Message::Piece { .. } => Err(ProtocolError::UnaskedBlock),
            // Hints and answers to what a fetching side asks; a seed has no use for them.
            Message::KeepAlive
            | Message::Choke
            | Message::Unchoke
            | Message::Port(_)
            | Message::Suggest { .. }
            | Message::AllowedFast { .. }
            | Message::Reject(_)
            | Message::Hashes { .. }
            | Message::HashReject(_) => Ok(()),
        };
        match outcome {
            Ok(()) => self.part_from_seed(),
            Err(error) => self.fail(error),
        }
    }

    fn handle_request(&mut self, raw: RawRequest) -> Result<(), ProtocolError> {
        let Stage::Open(session) = &mut self.stage else {
            return Ok(());
        };
        let block = session.served.geometry.block(raw)?;
        let limit = self.settings.request_queue as usize;
        let fast = session.peer.reserved.fast();
        match session.requests.push(block, !session.choked, limit) {
            Taken::Queued => Ok(()),
            Taken::Refused => {
                self.tally.refused_requests += 1;
                if fast {
                    self.send(&Message::Reject(raw));
                }
                Ok(())
            }
            Taken::Flood => Err(ProtocolError::RequestFlood(limit as u32)),
        }
    }

    fn handle_cancel(&mut self, raw: RawRequest) {
        let Stage::Open(session) = &mut self.stage else {
            return;
        };
        let fast = session.peer.reserved.fast();
        if session.requests.cancel(raw) {
            self.tally.cancelled_requests += 1;
            // BEP 6: every request is answered, by the block or by this.
            if fast {
                self.send(&Message::Reject(raw));
            }
        }
    }

    /// Extensions are optional, and so is making sense in them: nonsense is counted and passed over.
    fn handle_extended(&mut self, id: u8, payload: &Bytes) {
        let Stage::Open(session) = &mut self.stage else {
            return;
        };
        match id {
            extended::HANDSHAKE_ID => match ExtendedHandshake::decode(payload) {
                Ok(handshake) => session.peer.extended = Some(handshake),
                Err(_) => self.tally.malformed_extended += 1,
            },
            OUR_UT_METADATA => {
                let Some(their_id) = session
                    .peer
                    .extended
                    .as_ref()
                    .and_then(|e| e.id_of(UT_METADATA))
                else {
                    self.tally.malformed_extended += 1;
                    return;
                };
                match MetadataMessage::decode(payload) {
                    Ok(MetadataMessage::Request { piece }) => {
                        let repeats = self.settings.metadata_repeats;
                        if !session
                            .metadata
                            .push(piece, &session.served.metadata, repeats)
                        {
                            self.tally.refused_metadata += 1;
                            let payload = MetadataMessage::Reject { piece }.encode().into();
                            self.send(&Message::Extended {
                                id: their_id,
                                payload,
                            });
                        }
                    }
                    Ok(MetadataMessage::Data { .. } | MetadataMessage::Reject { .. }) => {}
                    Err(_) => self.tally.malformed_extended += 1,
                }
            }
            _ => {}
        }
    }

    /// A peer that is through with us is let go.
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

    fn count_out(&mut self, now: Instant, bytes: usize) {
        self.unsent += bytes;
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
