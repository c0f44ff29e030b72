//! One peer of a swarm, as the torrent's task knows it.

use super::Joining;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;
use wire::connection::{Command, Event, Introduced};

/// One peer of a swarm.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) joining: Joining,
    commands: mpsc::UnboundedSender<Command>,
    sent: Arc<AtomicU64>,
    /// It wants something of us.
    pub(super) interested: bool,
    /// We choke it.
    pub(super) choked: bool,
    /// It has everything, or wants nothing (BEP 21).
    pub(super) is_seed: bool,
    n_have: u32,
    /// It needs no slot: it is shown no more than goes.
    pub(super) is_metered: bool,
    /// It was allowed a few pieces without a slot.
    pub(super) is_allowed: bool,
    /// Others are told of it.
    pub(super) is_told_of: bool,
    /// What was sent to it when that was last asked for.
    seen_sent: u64,
    /// We have told it that we want something of it.
    pub(super) wanted: bool,
    /// Bytes of payload that came from it.
    pub(super) received: u64,
    /// It takes lists of peers, and this is how far it has been told.
    pub(super) exchange: Option<super::exchange::Told>,
    /// Its port, where it has said it.
    port: Option<u16>,
}

impl Member {
    pub(super) fn new(
        joining: Joining,
        commands: mpsc::UnboundedSender<Command>,
        sent: Arc<AtomicU64>,
    ) -> Self {
        Self {
            joining,
            commands,
            sent,
            interested: false,
            choked: true,
            is_seed: false,
            n_have: 0,
            is_metered: false,
            is_allowed: false,
            is_told_of: false,
            seen_sent: 0,
            wanted: false,
            received: 0,
            exchange: None,
            port: None,
        }
    }

    /// Tells its task what to do.
    pub(super) fn command(&self, command: Command) {
        // Who has gone meanwhile is noticed at the next tick.
        let _ = self.commands.send(command);
    }

    /// Whether its task listens no longer.
    pub(super) fn is_gone(&self) -> bool {
        self.commands.is_closed()
    }

    /// Bytes of payload sent to it.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// How many pieces it says it has.
    pub(super) fn n_have(&self) -> u32 {
        self.n_have
    }

    /// Keeps count of what it has and wants.
    pub(super) fn handle_event(&mut self, event: &Event, n_pieces: u32) {
        match event {
            Event::Interested(interested) => self.interested = *interested,
            Event::Have(_) => self.n_have = (self.n_have + 1).min(n_pieces),
            Event::DontHave(_) => self.n_have = self.n_have.saturating_sub(1),
            Event::Bitfield(field) => self.n_have = field.count(),
            Event::HasAll => self.n_have = n_pieces,
            Event::HasNone => self.n_have = 0,
            _ => return,
        }
        self.is_seed = self.n_have == n_pieces;
    }

    /// Takes up what it says of itself.
    pub(super) fn introduce(&mut self, introduced: &Introduced) {
        self.port = introduced.port.filter(|port| *port != 0).or(self.port);
        self.is_seed |= introduced.upload_only;
    }

    /// The same, where it has changed since this was last asked.
    pub(super) fn news_of_sent(&mut self) -> Option<u64> {
        let sent = self.sent();
        let changed = sent != self.seen_sent;
        self.seen_sent = sent;
        changed.then_some(sent)
    }

    /// Whether anything may have to be decided about it soon.
    pub(super) fn is_active(&self) -> bool {
        self.interested || self.wanted
    }

    /// Where others can reach it, as far as is known.
    pub(super) fn listens_at(&self) -> Option<SocketAddr> {
        let remote = self.joining.remote;
        if self.joining.outgoing {
            return Some(remote);
        }
        self.port.map(|port| SocketAddr::new(remote.ip(), port))
    }
}
