//! What a connection counts; whoever owns it adds it up.

/// What a connection has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Blocks handed out for sending.
    pub blocks: u64,
    /// Their bytes.
    pub block_bytes: u64,
    /// Requests refused: choked, too many at once, or of pieces that aren't shown.
    pub refused_requests: u64,
    /// Of these, requests of pieces that we don't show to this peer.
    pub hidden_requests: u64,
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
    /// Blocks received that were asked for.
    pub blocks_received: u64,
    /// Their bytes.
    pub block_bytes_received: u64,
    /// Blocks received after they were taken back: dropped.
    pub late_blocks: u64,
    /// Lists of peers that came too soon, or parts of them that were too long: passed over.
    pub refused_pex: u64,
    /// Hints and answers that fit nothing we have or asked for: passed over.
    pub passed_over: u64,
}
