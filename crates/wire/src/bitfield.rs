//! Which pieces a peer has: a bit each, the first piece in the highest bit of the first byte (BEP 3).

use metainfo::ids::PieceIndex;

/// The pieces of one peer. Spare bits at the end are always zero.
#[derive(Clone, PartialEq, Eq)]
pub struct Bitfield {
    bytes: Vec<u8>,
    n_pieces: u32,
    count: u32,
}

/// A `bitfield` message that doesn't fit the torrent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadBitfield {
    /// Not one bit a piece.
    #[error("bitfield of {bytes} bytes for {n_pieces} pieces")]
    WrongLength {
        /// The bytes that came.
        bytes: usize,
        /// The pieces there are.
        n_pieces: u32,
    },
    /// Bits beyond the last piece are set; BEP 3 asks to drop such a peer.
    #[error("bits set beyond the last of {n_pieces} pieces")]
    SpareBits {
        /// The pieces there are.
        n_pieces: u32,
    },
}

impl Bitfield {
    /// The bytes it takes for so many pieces.
    pub fn byte_len(n_pieces: u32) -> usize {
        n_pieces.div_ceil(8) as usize
    }

    /// No piece.
    pub fn none(n_pieces: u32) -> Self {
        Self {
            bytes: vec![0; Self::byte_len(n_pieces)],
            n_pieces,
            count: 0,
        }
    }

    /// Every piece.
    pub fn all(n_pieces: u32) -> Self {
        let mut bytes = vec![0xff; Self::byte_len(n_pieces)];
        if let Some(last) = bytes.last_mut() {
            *last &= !spare_mask(n_pieces);
        }
        Self {
            bytes,
            n_pieces,
            count: n_pieces,
        }
    }

    /// Reads the payload of a `bitfield` message.
    pub fn from_bytes(bytes: &[u8], n_pieces: u32) -> Result<Self, BadBitfield> {
        if bytes.len() != Self::byte_len(n_pieces) {
            return Err(BadBitfield::WrongLength {
                bytes: bytes.len(),
                n_pieces,
            });
        }
        if bytes
            .last()
            .is_some_and(|last| last & spare_mask(n_pieces) != 0)
        {
            return Err(BadBitfield::SpareBits { n_pieces });
        }
        let count = bytes.iter().map(|byte| byte.count_ones()).sum();
        Ok(Self {
            bytes: bytes.to_vec(),
            n_pieces,
            count,
        })
    }

    /// The payload of a `bitfield` message.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether this piece is there.
    pub fn has(&self, piece: PieceIndex) -> bool {
        let (byte, bit) = position(piece);
        self.bytes.get(byte).is_some_and(|byte| byte & bit != 0)
    }

    /// Adds a piece; says whether it is new.
    pub fn set(&mut self, piece: PieceIndex) -> bool {
        let (byte, bit) = position(piece);
        match self.bytes.get_mut(byte) {
            Some(byte) if *byte & bit == 0 && piece.get() < self.n_pieces => {
                *byte |= bit;
                self.count += 1;
                true
            }
            _ => false,
        }
    }

    /// Takes a piece away; says whether it was there.
    pub fn unset(&mut self, piece: PieceIndex) -> bool {
        let (byte, bit) = position(piece);
        match self.bytes.get_mut(byte) {
            Some(byte) if *byte & bit != 0 => {
                *byte &= !bit;
                self.count -= 1;
                true
            }
            _ => false,
        }
    }

    /// How many pieces are there.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// How many there could be.
    pub fn n_pieces(&self) -> u32 {
        self.n_pieces
    }

    /// Whether none is missing.
    pub fn is_complete(&self) -> bool {
        self.count == self.n_pieces
    }
}

impl std::fmt::Debug for Bitfield {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bitfield({} of {})", self.count, self.n_pieces)
    }
}

fn position(piece: PieceIndex) -> (usize, u8) {
    (piece.as_usize() / 8, 0x80 >> (piece.get() % 8))
}

/// The bits of the last byte that stand for no piece.
fn spare_mask(n_pieces: u32) -> u8 {
    match n_pieces % 8 {
        0 => 0,
        used => 0xff >> used,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metainfo::geometry::{Geometry, PieceLength};
    use proptest::prelude::*;

    #[test]
    fn full_and_empty_meet_at_no_pieces() {
        assert_eq!(Bitfield::all(0), Bitfield::none(0));
        assert!(Bitfield::none(0).is_complete());
        assert!(Bitfield::all(9).is_complete());
        assert_eq!(Bitfield::all(9).as_bytes(), [0xff, 0x80]);
    }

    proptest! {
        #[test]
        fn setting_and_asking_agree(n in 1u32..200, picks in proptest::collection::vec(any::<u32>(), 0..60)) {
            let geometry = Geometry::new(PieceLength::new(1).unwrap(), u64::from(n)).unwrap();
            let mut field = Bitfield::none(n);
            let mut expected = std::collections::BTreeSet::new();
            for pick in picks {
                let piece = geometry.piece(pick % n).unwrap();
                prop_assert_eq!(field.set(piece), expected.insert(piece));
            }
            for piece in geometry.pieces() {
                prop_assert_eq!(field.has(piece), expected.contains(&piece));
            }
            prop_assert_eq!(field.count() as usize, expected.len());
            prop_assert_eq!(Bitfield::from_bytes(field.as_bytes(), n), Ok(field.clone()));
            for piece in geometry.pieces() {
                prop_assert_eq!(field.unset(piece), expected.remove(&piece));
            }
            prop_assert_eq!(field, Bitfield::none(n));
        }

        #[test]
        fn any_bytes_are_judged(bytes in proptest::collection::vec(any::<u8>(), 0..6), n in 0u32..50) {
            if let Ok(field) = Bitfield::from_bytes(&bytes, n) {
                prop_assert_eq!(field.as_bytes(), &bytes[..]);
                prop_assert!(field.count() <= n);
            }
        }
    }
}
