//! Answers a peer's request for hashes of a file's merkle tree (BEP 52) from the file's piece layer: the
//! hashes asked for, then the uncles that lead from them towards the root. A peer that came by a v2 magnet
//! link has no piece layers and asks for them so. Layers below the pieces aren't kept and aren't answered.

use crate::message::HashRange;
use bytes::Bytes;
use metainfo::geometry::{BLOCK_LENGTH, PieceLength};
use metainfo::ids::MerkleHash;
use metainfo::merkle;

/// The most hashes given at once (BEP 52 asks for requests of no more).
const MAX_LENGTH: u32 = 512;

/// The upper part of one file's tree: the piece layer and everything above. Made once, so that an answer
/// costs no more than what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PieceTree {
    base_layer: u32,
    /// From the piece layer, padded to a power of two, to the root.
    layers: Vec<Vec<MerkleHash>>,
}

impl PieceTree {
    /// The tree over a file's piece layer, as it stands in the torrent.
    pub fn new(piece_layer: &[MerkleHash], piece_length: PieceLength) -> Self {
        let base_layer = (piece_length.get() / BLOCK_LENGTH).max(1).ilog2();
        // What stands for a piece beyond the end of the file.
        let pad = (0..base_layer).fold(merkle::ZERO_LEAF, |node, _| merkle::join(node, node));
        let mut layer = piece_layer.to_vec();
        layer.resize(piece_layer.len().next_power_of_two(), pad);
        let mut layers = vec![layer];
        while let Some([_, _, ..]) = layers.last().map(Vec::as_slice) {
            let below = &layers[layers.len() - 1];
            let above = below
                .chunks_exact(2)
                .map(|pair| merkle::join(pair[0], pair[1]))
                .collect();
            layers.push(above);
        }
        Self { base_layer, layers }
    }

    /// The hashes for [`crate::message::Message::Hashes`], or `None` where the request is to be rejected.
    pub fn answer(&self, range: &HashRange) -> Option<Bytes> {
        let (index, length) = (range.index as usize, range.length as usize);
        let aligned =
            length.is_power_of_two() && range.length <= MAX_LENGTH && index.is_multiple_of(length);
        if range.base_layer != self.base_layer || !aligned {
            return None;
        }
        let asked = self
            .layers
            .first()?
            .get(index..index.checked_add(length)?)?;
        // The layers under the root of what was asked for can be made from it; uncles are needed from there
        // on, up to the children of the file's root.
        let levels = length.ilog2();
        let uncles = range.proof_layers.saturating_add(1).saturating_sub(levels) as usize;
        let above = self
            .layers
            .iter()
            .enumerate()
            .skip(levels as usize)
            .take(uncles);
        let uncles = above.filter_map(|(level, layer)| layer.get((index >> level) ^ 1));
        Some(asked.iter().chain(uncles).flat_map(|hash| hash.0).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(n: u8) -> (PieceLength, Vec<MerkleHash>, MerkleHash) {
        let piece_length = PieceLength::power_of_two(32 * 1024).unwrap();
        let leaves: Vec<_> = (0..n)
            .flat_map(|i| [merkle::leaf(&[i]), merkle::leaf(&[i, i])])
            .collect();
        (
            piece_length,
            merkle::piece_layer(&leaves, piece_length),
            merkle::root(&leaves),
        )
    }

    /// Climbs from the hashes asked for to the root, as a receiver does.
    fn climb(hashes: &[u8], index: u32, length: u32) -> MerkleHash {
        let mut hashes: Vec<_> = hashes
            .chunks_exact(32)
            .map(|h| MerkleHash::from_slice(h).unwrap())
            .collect();
        let uncles = hashes.split_off(length as usize);
        while hashes.len() > 1 {
            hashes = hashes
                .chunks_exact(2)
                .map(|pair| merkle::join(pair[0], pair[1]))
                .collect();
        }
        let mut at = index / length;
        uncles.iter().fold(hashes[0], |node, uncle| {
            let joined = if at.is_multiple_of(2) {
                merkle::join(node, *uncle)
            } else {
                merkle::join(*uncle, node)
            };
            at /= 2;
            joined
        })
    }

    #[test]
    fn every_aligned_range_leads_to_the_root() {
        for n in 2..20u8 {
            let (piece_length, layer, root) = layer(n);
            let width = layer.len().next_power_of_two() as u32;
            for length in (1..6)
                .map(|bits| 1 << bits)
                .filter(|length| *length <= width)
            {
                for index in (0..width).step_by(length as usize) {
                    let range = HashRange {
                        root,
                        base_layer: 1,
                        index,
                        length,
                        proof_layers: 30,
                    };
                    let hashes = PieceTree::new(&layer, piece_length).answer(&range).unwrap();
                    assert_eq!(
                        climb(&hashes, index, length),
                        root,
                        "{n} pieces, {length} from {index}"
                    );
                }
            }
        }
    }

    #[test]
    fn only_as_many_uncles_as_asked_for() {
        let (piece_length, layer, root) = layer(16);
        let count = |length, proof_layers| {
            let range = HashRange {
                root,
                base_layer: 1,
                index: 0,
                length,
                proof_layers,
            };
            PieceTree::new(&layer, piece_length)
                .answer(&range)
                .unwrap()
                .len()
                / 32
        };
        assert_eq!(
            [count(2, 0), count(2, 1), count(2, 3), count(2, 9)],
            [2, 3, 5, 5]
        );
        assert_eq!(
            [count(4, 0), count(4, 1), count(4, 2), count(4, 3)],
            [4, 4, 5, 6]
        );
    }

    #[test]
    fn what_cannot_be_proved_is_not_answered() {
        let (piece_length, layer, root) = layer(5);
        let check = |base_layer, index, length| {
            let range = HashRange {
                root,
                base_layer,
                index,
                length,
                proof_layers: u32::MAX - 1,
            };
            assert_eq!(
                PieceTree::new(&layer, piece_length).answer(&range),
                None,
                "{range:?}"
            );
        };
        check(0, 0, 2);
        check(2, 0, 2);
        check(1, 0, 0);
        check(1, 0, 3);
        check(1, 1, 2);
        check(1, 8, 2);
        check(1, u32::MAX - 1, 2);
        check(1, 0, 1 << 31);
    }
}
