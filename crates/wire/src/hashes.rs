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

/// The hashes for [`crate::message::Message::Hashes`], or `None` where the request is to be rejected.
pub fn answer(
    range: &HashRange,
    piece_layer: &[MerkleHash],
    piece_length: PieceLength,
) -> Option<Bytes> {
    let base_layer = (piece_length.get() / BLOCK_LENGTH).checked_ilog2()?;
    let width = piece_layer.len().checked_next_power_of_two()?;
    let (index, length) = (range.index as usize, range.length as usize);
    let aligned = length.is_power_of_two() && range.length <= MAX_LENGTH && index % length == 0;
    if range.base_layer != base_layer || !aligned || index.checked_add(length)? > width {
        return None;
    }
    // What stands for a piece beyond the end of the file.
    let pad = (0..base_layer).fold(merkle::ZERO_LEAF, |node, _| merkle::join(node, node));
    let mut layer = piece_layer.to_vec();
    layer.resize(width, pad);
    let mut hashes = layer[index..index + length].to_vec();
    // The layers under the root of what was asked for can be made from it; uncles are needed from there on,
    // up to the children of the file's root.
    let levels = length.ilog2();
    let uncles = range
        .proof_layers
        .saturating_add(1)
        .saturating_sub(levels)
        .min(width.ilog2() - levels);
    let mut at = index;
    for level in 0..levels + uncles {
        if level >= levels {
            hashes.push(layer[at ^ 1]);
        }
        layer = layer
            .chunks_exact(2)
            .map(|pair| merkle::join(pair[0], pair[1]))
            .collect();
        at /= 2;
    }
    Some(hashes.iter().flat_map(|hash| hash.0).collect())
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
                    let hashes = answer(&range, &layer, piece_length).unwrap();
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
            answer(&range, &layer, piece_length).unwrap().len() / 32
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
            assert_eq!(answer(&range, &layer, piece_length), None, "{range:?}");
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
