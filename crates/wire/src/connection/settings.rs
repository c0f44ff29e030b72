//! What all connections of one program share: who we are, and how much a peer may have of us and for how long.

use metainfo::ids::PeerId;
use std::time::Duration;

/// What all connections of one program share.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Who we are.
    pub peer_id: PeerId,
    /// Our name and version, as peers show it.
    pub client: &'static str,
    /// How many requests of one peer wait at once (`reqq` of BEP 10).
    pub request_queue: u32,
    /// How many bytes may be handed out before the socket has taken them.
    pub send_window: usize,
    /// How often one peer is given the same piece of metadata.
    pub metadata_repeats: u8,
    /// The longest info dictionary that is asked for or taken.
    pub max_metadata: u32,
    /// How often a peer may tell of other peers (BEP 11 has a minute; some clients are a little faster).
    pub pex_interval: Duration,
    /// How long a handshake may take.
    pub handshake_timeout: Duration,
    /// How long a peer may say nothing.
    pub silence_timeout: Duration,
    /// How long we say nothing.
    pub keep_alive: Duration,
    /// How long our extension handshake waits for the peer's first message.
    pub introduction_delay: Duration,
    /// How long a peer may take none of the bytes it asked for.
    pub stall_timeout: Duration,
}

impl Settings {
    /// The defaults, under this peer id and client name.
    pub fn new(peer_id: PeerId, client: &'static str) -> Self {
        Self {
            peer_id,
            client,
            request_queue: 512,
            send_window: 1024 * 1024,
            metadata_repeats: 4,
            max_metadata: 16 * 1024 * 1024,
            pex_interval: Duration::from_secs(45),
            handshake_timeout: Duration::from_secs(12),
            silence_timeout: Duration::from_secs(180),
            keep_alive: Duration::from_secs(100),
            introduction_delay: Duration::from_millis(150),
            stall_timeout: Duration::from_secs(60),
        }
    }
}
