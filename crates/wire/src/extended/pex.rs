//! Peer exchange (BEP 11): peers that one side has met and lost since it last told. The message here, bounded
//! both ways; how often one may come is in [`crate::connection`], and whom to tell of is the swarm's.

use metainfo::bencode::{self, BencodeError, Limits, Node, Value};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The most peers that one message adds, and the most that it drops, both address families together.
pub const MAX_PEERS: usize = 50;

const LIMITS: Limits = Limits {
    bytes: 64 << 10,
    depth: 3,
    values: 50,
};
const V4: usize = 6;
const V6: usize = 18;

/// One message of the `ut_pex` extension.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PexMessage {
    /// Peers met: at most [`MAX_PEERS`].
    pub added: Vec<PexPeer>,
    /// Peers lost: at most [`MAX_PEERS`].
    pub dropped: Vec<SocketAddr>,
}

/// A peer that is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PexPeer {
    /// Where it listens.
    pub address: SocketAddr,
    /// What is known of it.
    pub flags: PexFlags,
}

/// What is known of a peer, as the bits of `added.f`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PexFlags(pub u8);

impl PexFlags {
    /// It prefers encrypted connections.
    pub const ENCRYPTION: Self = Self(0x01);
    /// It wants nothing: a seed, or a partial one.
    pub const SEED: Self = Self(0x02);
    /// It speaks uTP.
    pub const UTP: Self = Self(0x04);
    /// It knows of the holepunch extension (BEP 55).
    pub const HOLEPUNCH: Self = Self(0x08);
    /// A connection to it was made: it can be reached.
    pub const REACHABLE: Self = Self(0x10);

    /// Whether all of these bits are set.
    pub fn has(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// With these bits set as well.
    #[must_use]
    pub fn with(self, flags: Self) -> Self {
        Self(self.0 | flags.0)
    }
}

impl PexMessage {
    /// The payload of a [`crate::message::Message::Extended`]. What is beyond [`MAX_PEERS`] is left out.
    pub fn encode(&self) -> Vec<u8> {
        let added = || self.added.iter().take(MAX_PEERS);
        let flags = |v4: bool| -> Vec<u8> {
            let of_family = added().filter(|peer| peer.address.is_ipv4() == v4);
            of_family.map(|peer| peer.flags.0).collect()
        };
        let (added4, added6) = compact(added().map(|peer| peer.address));
        let (dropped4, dropped6) = compact(self.dropped.iter().copied().take(MAX_PEERS));
        // All keys are written: some clients take a missing one for a broken message.
        Node::dict([
            ("added", Node::from(&added4[..])),
            ("added.f", Node::from(&flags(true)[..])),
            ("added6", Node::from(&added6[..])),
            ("added6.f", Node::from(&flags(false)[..])),
            ("dropped", Node::from(&dropped4[..])),
            ("dropped6", Node::from(&dropped6[..])),
        ])
        .to_bytes()
    }

    /// Reads a payload. Says as well how many peers were passed over: those beyond [`MAX_PEERS`], and those that
    /// no connection can lead to.
    pub fn decode(payload: &[u8]) -> Result<(Self, usize), BencodeError> {
        let (value, _) = bencode::decode_prefix(payload, &LIMITS)?;
        let bytes = |key| value.get(key).and_then(Value::as_bytes).unwrap_or(&[]);
        let peers = |key4, key6| {
            let v4 = bytes(key4).chunks_exact(V4).map(address4);
            v4.chain(bytes(key6).chunks_exact(V6).map(address6))
        };
        let flags4 = bytes("added.f");
        let flags6 = bytes("added6.f");
        let n4 = bytes("added").len() / V4;
        let flag = |n: usize| {
            let flags = if n < n4 {
                flags4.get(n)
            } else {
                flags6.get(n - n4)
            };
            PexFlags(flags.copied().unwrap_or(0))
        };
        let n_all = (bytes("added").len() + bytes("dropped").len()) / V4
            + (bytes("added6").len() + bytes("dropped6").len()) / V6;
        let message = Self {
            added: peers("added", "added6")
                .enumerate()
                .map(|(n, address)| PexPeer {
                    address,
                    flags: flag(n),
                })
                .filter(|peer| is_reachable(&peer.address))
                .take(MAX_PEERS)
                .collect(),
            dropped: peers("dropped", "dropped6")
                .filter(is_reachable)
                .take(MAX_PEERS)
                .collect(),
        };
        let passed_over = n_all.saturating_sub(message.added.len() + message.dropped.len());
        Ok((message, passed_over))
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.dropped.is_empty()
    }
}

/// Compact addresses, by family.
fn compact(peers: impl Iterator<Item = SocketAddr>) -> (Vec<u8>, Vec<u8>) {
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for peer in peers {
        let out = match peer.ip() {
            IpAddr::V4(ip) => {
                v4.extend_from_slice(&ip.octets());
                &mut v4
            }
            IpAddr::V6(ip) => {
                v6.extend_from_slice(&ip.octets());
                &mut v6
            }
        };
        out.extend_from_slice(&peer.port().to_be_bytes());
    }
    (v4, v6)
}

fn address4(bytes: &[u8]) -> SocketAddr {
    let ip = Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]);
    SocketAddr::from((ip, u16::from_be_bytes([bytes[4], bytes[5]])))
}

fn address6(bytes: &[u8]) -> SocketAddr {
    let mut ip = [0; 16];
    ip.copy_from_slice(&bytes[..16]);
    SocketAddr::from((
        Ipv6Addr::from(ip),
        u16::from_be_bytes([bytes[16], bytes[17]]),
    ))
}

/// Whether a stranger may send us there: to one host, on a port that exists.
pub(crate) fn is_reachable(address: &SocketAddr) -> bool {
    let ip = address.ip().to_canonical();
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && !broadcast
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn as_bep_11_writes_it() {
        let message = PexMessage {
            added: vec![PexPeer {
                address: "1.2.3.4:5".parse().unwrap(),
                flags: PexFlags::SEED.with(PexFlags::REACHABLE),
            }],
            dropped: vec!["[2001:db8::1]:6881".parse().unwrap()],
        };
        let mut expected = b"d5:added6:\x01\x02\x03\x04\x00\x057:added.f1:\x126:added60:8:added6.f0:7:dropped0:8:dropped618:".to_vec();
        expected.extend(b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x1a\xe1e");
        assert_eq!(message.encode(), expected);
        assert_eq!(PexMessage::decode(&expected), Ok((message, 0)));
    }

    #[test]
    fn what_leads_nowhere_or_is_too_much_is_passed_over() {
        let mut list = Vec::new();
        for n in 0..80u8 {
            list.extend([10, 0, 0, n, 0, 1]);
        }
        list.extend([10, 0, 0, 1, 0, 0]);
        list.extend([0, 0, 0, 0, 0, 1]);
        list.extend([224, 0, 0, 1, 0, 1]);
        list.extend([1, 2]);
        let mut payload = b"d5:added".to_vec();
        payload.extend(format!("{}:", list.len()).bytes());
        payload.extend(&list);
        payload.extend(b"e");
        let (message, passed_over) = PexMessage::decode(&payload).unwrap();
        assert_eq!((message.added.len(), passed_over), (MAX_PEERS, 33));
        assert!(PexMessage::decode(b"d5:added99:").is_err());
        assert_eq!(
            PexMessage::decode(b"d5:addedi7ee").unwrap().0,
            PexMessage::default()
        );
    }

    fn address() -> impl Strategy<Value = SocketAddr> {
        let any = (any::<IpAddr>(), 1u16..).prop_map(SocketAddr::from);
        any.prop_filter("reachable", is_reachable)
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(
            added in proptest::collection::vec((address(), any::<u8>()), 0..20),
            dropped in proptest::collection::vec(address(), 0..20),
        ) {
            let mut added: Vec<_> = added.into_iter()
                .map(|(address, flags)| PexPeer { address, flags: PexFlags(flags) }).collect();
            let mut dropped = dropped;
            // On the wire one family stands behind the other.
            added.sort_by_key(|peer| peer.address.is_ipv6());
            dropped.sort_by_key(SocketAddr::is_ipv6);
            let message = PexMessage { added, dropped };
            prop_assert_eq!(PexMessage::decode(&message.encode()), Ok((message, 0)));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(
            proptest::sample::select(b"dle0123456789:aded.f6rop\xff".to_vec()), 0..60)) {
            let _ = PexMessage::decode(&bytes);
        }
    }
}
