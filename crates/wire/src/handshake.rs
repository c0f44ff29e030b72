//! The handshake: 68 bytes that open every peer connection (BEP 3), with the reserved bits by which
//! both sides say which extensions they speak. Called by [`crate::connection`].

use metainfo::ids::{PeerId, SwarmHash};

/// The length byte and the protocol's name: what every connection starts with.
pub const PROTOCOL: &[u8; 20] = b"\x13BitTorrent protocol";

/// The eight reserved bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reserved(pub [u8; 8]);

impl Reserved {
    const EXTENDED: (usize, u8) = (5, 0x10);
    const DHT: (usize, u8) = (7, 0x01);
    const FAST: (usize, u8) = (7, 0x04);
    const V2: (usize, u8) = (7, 0x10);

    /// Whether the extension protocol is spoken (BEP 10).
    pub fn extended(self) -> bool {
        self.has(Self::EXTENDED)
    }

    /// Whether a DHT port message may follow (BEP 5).
    pub fn dht(self) -> bool {
        self.has(Self::DHT)
    }

    /// Whether the fast extension is spoken (BEP 6).
    pub fn fast(self) -> bool {
        self.has(Self::FAST)
    }

    /// Whether version 2 of the protocol is spoken: on a hybrid torrent reached by its v1 hash, the
    /// connection may be upgraded to the v2 hash (BEP 52).
    pub fn v2(self) -> bool {
        self.has(Self::V2)
    }

    /// With the extension protocol's bit set.
    #[must_use]
    pub fn with_extended(self) -> Self {
        self.with(Self::EXTENDED)
    }

    /// With the DHT's bit set.
    #[must_use]
    pub fn with_dht(self) -> Self {
        self.with(Self::DHT)
    }

    /// With the fast extension's bit set.
    #[must_use]
    pub fn with_fast(self) -> Self {
        self.with(Self::FAST)
    }

    /// With the v2 bit set.
    #[must_use]
    pub fn with_v2(self) -> Self {
        self.with(Self::V2)
    }

    fn has(self, (byte, bit): (usize, u8)) -> bool {
        self.0[byte] & bit != 0
    }

    fn with(mut self, (byte, bit): (usize, u8)) -> Self {
        self.0[byte] |= bit;
        self
    }
}

/// What one side says first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handshake {
    /// Extension bits.
    pub reserved: Reserved,
    /// The swarm the connection is for: a v1 info-hash or a truncated v2 one.
    pub swarm: SwarmHash,
    /// Who speaks.
    pub peer_id: PeerId,
}

/// Bytes that open no BitTorrent connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no BitTorrent handshake")]
pub struct NotBitTorrent;

impl Handshake {
    /// How long a handshake is.
    pub const LENGTH: usize = 68;

    /// As it stands on the wire.
    pub fn encode(&self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[..20].copy_from_slice(PROTOCOL);
        bytes[20..28].copy_from_slice(&self.reserved.0);
        bytes[28..48].copy_from_slice(&self.swarm.0);
        bytes[48..].copy_from_slice(&self.peer_id.0);
        bytes
    }

    /// Reads one.
    pub fn decode(bytes: &[u8; Self::LENGTH]) -> Result<Self, NotBitTorrent> {
        let (protocol, rest) = bytes.split_at(20);
        if protocol != PROTOCOL {
            return Err(NotBitTorrent);
        }
        let mut reserved = [0; 8];
        reserved.copy_from_slice(&rest[..8]);
        let mut swarm = [0; 20];
        swarm.copy_from_slice(&rest[8..28]);
        let mut peer_id = [0; 20];
        peer_id.copy_from_slice(&rest[28..]);
        Ok(Self {
            reserved: Reserved(reserved),
            swarm: SwarmHash(swarm),
            peer_id: PeerId(peer_id),
        })
    }
}

/// Whether these first bytes of a connection can still become a handshake. Anything else, an encrypted
/// opening included, is refused at once, so that the other side falls back without waiting.
pub fn may_begin(bytes: &[u8]) -> bool {
    let n = bytes.len().min(PROTOCOL.len());
    bytes[..n] == PROTOCOL[..n]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_beginning_is_judged_byte_by_byte() {
        assert!(may_begin(b""));
        assert!(may_begin(b"\x13BitT"));
        assert!(may_begin(b"\x13BitTorrent protocol and more"));
        assert!(!may_begin(b"GET / HTTP/1.1"));
        assert!(!may_begin(b"\x13bit"));
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(reserved: [u8; 8], swarm: [u8; 20], peer_id: [u8; 20]) {
            let handshake = Handshake {
                reserved: Reserved(reserved), swarm: SwarmHash(swarm), peer_id: PeerId(peer_id),
            };
            prop_assert_eq!(Handshake::decode(&handshake.encode()), Ok(handshake));
        }
    }
}
