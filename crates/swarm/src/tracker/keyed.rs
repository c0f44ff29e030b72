//! Hashing of what strangers send, with a key they don't know: nobody can choose addresses that fall into one place.

use crate::random::Random;
use metainfo::ids::PeerId;
use std::net::IpAddr;

/// A keyed hash of numbers: two rounds of folded multiplication, as in wyhash. Quick, and no more than that: whoever
/// saw its results could find the key. Nobody is shown them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keyed {
    first: u64,
    second: u64,
}

impl Keyed {
    pub(super) fn new(key: u64) -> Self {
        let mut random = Random::new(key);
        Self {
            first: random.next(),
            second: random.next() | 1,
        }
    }

    pub(super) fn number(self, number: u64) -> u64 {
        fold(
            fold(number ^ self.first, self.second) ^ self.first,
            0x9e37_79b9_7f4a_7c15 ^ self.second.rotate_left(32),
        )
    }

    /// An address and port as they are packed, 6 bytes or 18.
    pub(super) fn packed<const N: usize>(self, packed: &[u8; N]) -> u64 {
        let words = packed.chunks(8).map(word);
        words.fold(N as u64, |hash, word| self.number(hash ^ word))
    }

    pub(super) fn peer_id(self, id: &PeerId) -> u64 {
        let words = id.0.chunks(8).map(word);
        words.fold(0, |hash, word| self.number(hash ^ word))
    }

    /// Whose an address is: an IPv4 address or an IPv6 /64. The address is canonical.
    pub(super) fn subscriber(self, ip: IpAddr) -> u64 {
        self.number(match ip {
            // No IPv6 address begins so that sends anything: multicast is no source.
            IpAddr::V4(ip) => 0xffff << 48 | u64::from(u32::from(ip)),
            IpAddr::V6(ip) => (u128::from(ip) >> 64) as u64,
        })
    }
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

fn word(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}
