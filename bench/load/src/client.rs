//! What the loop asks of a client, whichever protocol it speaks. A client has no socket and no clock.

use crate::latency::Histogram;
use std::net::Ipv4Addr;
use std::time::Instant;

/// One connection's protocol.
pub trait Client {
    /// The connection is open: what goes out first.
    fn handle_open(&mut self, now: Instant, out: &mut Vec<u8>);

    /// Bytes came in; what is to be sent is appended to `out`.
    fn handle_bytes(
        &mut self,
        bytes: &[u8],
        meter: &mut Meter<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault>;

    /// When [`handle_timeout`](Self::handle_timeout) is wanted.
    fn next_timeout(&self) -> Option<Instant> {
        None
    }

    /// The time has come.
    fn handle_timeout(&mut self, _now: Instant, _out: &mut Vec<u8>) {}

    /// The connection has ended: from which address another is to be opened in its place, if one is.
    fn dial_again(&mut self) -> Option<Ipv4Addr> {
        None
    }

    /// What has come of it so far.
    fn tally(&self) -> &Tally;
}

/// Where a client leaves the times that it takes.
#[derive(Debug)]
pub struct Meter<'a> {
    /// Now.
    pub now: Instant,
    /// From request to last byte, where a window is measured.
    pub latency: Option<&'a mut Histogram>,
}

/// What came of one connection.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Payload received, bytes.
    pub bytes: u64,
    /// The other side has introduced itself (BitTorrent's handshake, HTTP's first head).
    pub met: bool,
    /// There is nothing that the other side hasn't shown.
    pub shown_all: bool,
    /// Times that the other side said: not now (choked after an unchoke; 503).
    pub refusals: u64,
    /// Pieces whose hash was looked at.
    pub checked: u64,
    /// Of them, those that were wrong.
    pub bad: u64,
    /// When the first block was whole.
    pub first_block: Option<Instant>,
    /// When the first prefix was whole.
    pub prefix: Option<Instant>,
}

/// Why a client gives a connection up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// What came isn't what the protocol says.
    #[error("{0}")]
    Protocol(String),
}

impl Fault {
    /// A fault in words.
    pub fn protocol(words: impl Into<String>) -> Self {
        Self::Protocol(words.into())
    }
}
