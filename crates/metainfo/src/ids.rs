//! The identifiers of BitTorrent, one type each. A raw number or byte string from the wire is never
//! the same type as a checked one. Called by every other crate; knows none of them.

use data_encoding::HEXLOWER_PERMISSIVE;
use std::fmt;
use std::str::FromStr;

/// A text that is not the hexadecimal form of the hash that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected} hexadecimal digits")]
pub struct BadHash {
    text: String,
    expected: usize,
}

macro_rules! byte_id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Takes the identifier from a byte string of exactly the right length.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }

            /// The bytes as they stand on the wire.
            pub fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&HEXLOWER_PERMISSIVE.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = BadHash;

            fn from_str(text: &str) -> Result<Self, BadHash> {
                HEXLOWER_PERMISSIVE
                    .decode(text.as_bytes())
                    .ok()
                    .and_then(|bytes| Self::from_slice(&bytes))
                    .ok_or_else(|| BadHash { text: text.chars().take(80).collect(), expected: $len * 2 })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

byte_id!(
    /// The SHA-1 of the bencoded info dictionary (BEP 3).
    InfoHashV1, 20
);
byte_id!(
    /// The SHA-256 of the bencoded info dictionary (BEP 52).
    InfoHashV2, 32
);
byte_id!(
    /// What handshakes, trackers and the DHT carry: a v1 info-hash, or a v2 info-hash cut to its
    /// first 20 bytes (BEP 52, "trackers" and "handshake").
    SwarmHash, 20
);
byte_id!(
    /// The 20 bytes by which a peer names itself (BEP 3, BEP 20).
    PeerId, 20
);
byte_id!(
    /// The SHA-1 of one piece (BEP 3).
    PieceHash, 20
);
byte_id!(
    /// A node of a BEP 52 merkle tree: SHA-256 of a 16 KiB leaf, or of two nodes joined. The root
    /// names a file's content.
    MerkleHash, 32
);

impl InfoHashV2 {
    /// The first 20 bytes: what stands where only 20 fit (BEP 52).
    pub fn truncated(&self) -> SwarmHash {
        let mut cut = [0; 20];
        cut.copy_from_slice(&self.0[..20]);
        SwarmHash(cut)
    }
}

impl From<InfoHashV1> for SwarmHash {
    fn from(hash: InfoHashV1) -> Self {
        Self(hash.0)
    }
}

/// The index of a piece that exists: only [`crate::geometry::Geometry`] makes one from a raw number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PieceIndex(pub(crate) u32);

impl PieceIndex {
    /// The index as it stands on the wire.
    pub fn get(self) -> u32 {
        self.0
    }

    /// The index for addressing a slice.
    pub fn as_usize(self) -> usize {
        self.0 as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_goes_both_ways() {
        let hash: InfoHashV1 = "00112233445566778899aabbccddeeff01234567".parse().unwrap();
        assert_eq!(hash.to_string(), "00112233445566778899aabbccddeeff01234567");
        assert_eq!("00112233445566778899AABBCCDDEEFF01234567".parse(), Ok(hash));
        for bad in [
            "",
            "00",
            "zz112233445566778899aabbccddeeff01234567",
            "00112233445566778899aabbccddeeff0123456",
        ] {
            assert!(bad.parse::<InfoHashV1>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_v2_hash_is_cut_to_its_first_twenty_bytes() {
        let mut bytes = [0; 32];
        for (i, byte) in (0u8..).zip(&mut bytes) {
            *byte = i;
        }
        assert_eq!(InfoHashV2(bytes).truncated().0[..], bytes[..20]);
    }
}
