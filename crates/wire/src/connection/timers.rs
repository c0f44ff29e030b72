//! All deadlines of a connection in one table.

use std::time::Instant;

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timer {
    /// The handshake must be complete.
    Handshake,
    /// Something must have come from the peer.
    Silence,
    /// Something must be said, lest the peer takes us for gone.
    KeepAlive,
    /// We introduce ourselves, whether the peer has or not.
    Introduction,
    /// The socket must have taken some of what was handed out.
    Stall,
}

impl Timer {
    pub(super) const ALL: [Self; 5] = [
        Self::Handshake,
        Self::Silence,
        Self::KeepAlive,
        Self::Introduction,
        Self::Stall,
    ];
}

/// A deadline or none for each [`Timer`].
#[derive(Debug, Default)]
pub(super) struct Timers([Option<Instant>; Timer::ALL.len()]);

impl Timers {
    pub(super) fn set(&mut self, timer: Timer, at: Instant) {
        self.0[timer as usize] = Some(at);
    }

    pub(super) fn stop(&mut self, timer: Timer) {
        self.0[timer as usize] = None;
    }

    pub(super) fn is_set(&self, timer: Timer) -> bool {
        self.0[timer as usize].is_some()
    }

    pub(super) fn is_due(&self, timer: Timer, now: Instant) -> bool {
        self.0[timer as usize].is_some_and(|at| at <= now)
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.0.iter().flatten().min().copied()
    }
}
