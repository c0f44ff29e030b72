//! What a connection counts; whoever owns it adds it up.

/// What a connection has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Blocks handed out for reading.
    pub blocks: u64,
    /// Their bytes.
    pub block_bytes: u64,
    /// Requests refused: choked, or too many at once.
    pub refused_requests: u64,
    /// Requests taken back by the peer.
    pub cancelled_requests: u64,
    /// Pieces of metadata sent.
    pub metadata_pieces: u64,
    /// Requests for metadata refused.
    pub refused_metadata: u64,
    /// Extension messages that made no sense and were passed over.
    pub malformed_extended: u64,
    /// Requests for hashes refused.
    pub refused_hashes: u64,
}
