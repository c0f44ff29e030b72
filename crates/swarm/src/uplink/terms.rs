//! What is asked of the uplink and what it says: classes, limits, names and grants.

use std::time::Duration;

/// What comes first on a saturated link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// The beginning of a file: somebody waits for a first picture.
    FirstPrefix,
    /// Bytes that only we have: every copy passed on is passed on further.
    NotYetSpread,
    /// What others have as well.
    Rest,
}

/// How many classes there are.
pub(super) const CLASSES: usize = 3;

/// Bytes a second that may be sent; `None` for no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// By everybody together.
    pub total: Option<u64>,
    /// To all askers of one release together.
    pub per_release: Option<u64>,
    /// To each asker.
    pub per_asker: Option<u64>,
}

/// A bound on what is sent in a month, for servers with a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Volume {
    /// Bytes a month.
    pub bytes: u64,
    /// Bytes a second once they are spent; nothing for a stop.
    pub then: u64,
    /// Bytes sent this month.
    pub used: u64,
}

/// Names an asker, until it leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Asker(pub(super) usize);

/// Names a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Release(pub(super) usize);

/// An asker may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// Who.
    pub asker: Asker,
    /// How many bytes: what was asked for, or less, but no less than [`LEAST_GRANT`](super::LEAST_GRANT).
    pub bytes: u64,
}

impl Volume {
    /// Whether this month's bytes are used up.
    pub fn is_spent(&self) -> bool {
        self.used >= self.bytes
    }
}

/// What was granted so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Bytes by class.
    pub bytes: [u64; CLASSES],
    /// For how long somebody waited.
    pub busy: Duration,
    /// Bytes that went in that time, asked for or not: over `busy` it is the limit.
    pub busy_bytes: u64,
}
