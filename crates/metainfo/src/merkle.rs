//! The SHA-256 merkle trees of BEP 52: 16 KiB leaves, a binary tree padded with zero leaves up to a
//! power of two, one tree a file. The catalog carries every file's root, whatever the torrent's format.

use crate::geometry::{BLOCK_LENGTH, PieceLength};
use crate::ids::MerkleHash;
use sha2::{Digest, Sha256};

/// What stands for a leaf beyond the end of the file.
pub const ZERO_LEAF: MerkleHash = MerkleHash([0; 32]);

/// The hash of one leaf: at most 16 KiB, shorter only at the end of a file.
pub fn leaf(block: &[u8]) -> MerkleHash {
    debug_assert!(block.len() <= BLOCK_LENGTH as usize);
    MerkleHash(Sha256::digest(block).into())
}

/// The root over all leaves of a file, which has at least one byte.
pub fn root(leaves: &[MerkleHash]) -> MerkleHash {
    fold(leaves.to_vec(), ZERO_LEAF)
}

/// The nodes that cover one piece each, in order (BEP 52 `piece layers`). Files no longer than a piece
/// have none in a torrent; here they give their one node, padded to the whole piece.
pub fn piece_layer(leaves: &[MerkleHash], piece_length: PieceLength) -> Vec<MerkleHash> {
    let per_piece = (piece_length.get() / BLOCK_LENGTH).max(1) as usize;
    leaves
        .chunks(per_piece)
        .map(|piece| {
            let mut nodes = piece.to_vec();
            nodes.resize(per_piece, ZERO_LEAF);
            fold(nodes, ZERO_LEAF)
        })
        .collect()
}

/// The root over a piece layer: must equal the file's root.
pub fn root_of_piece_layer(layer: &[MerkleHash], piece_length: PieceLength) -> MerkleHash {
    let per_piece = (piece_length.get() / BLOCK_LENGTH).max(1) as usize;
    let pad = fold(vec![ZERO_LEAF; per_piece], ZERO_LEAF);
    fold(layer.to_vec(), pad)
}

/// Joins nodes pairwise up to one; where a level is odd or short, `pad` stands for the missing ones.
fn fold(mut nodes: Vec<MerkleHash>, mut pad: MerkleHash) -> MerkleHash {
    let mut width = nodes.len().next_power_of_two();
    while width > 1 {
        if nodes.len() % 2 == 1 {
            nodes.push(pad);
        }
        nodes = nodes
            .chunks_exact(2)
            .map(|pair| join(pair[0], pair[1]))
            .collect();
        pad = join(pad, pad);
        width /= 2;
    }
    nodes.first().copied().unwrap_or(pad)
}

/// The node above two nodes.
pub fn join(left: MerkleHash, right: MerkleHash) -> MerkleHash {
    let mut hasher = Sha256::new();
    hasher.update(left.0);
    hasher.update(right.0);
    MerkleHash(hasher.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree as BEP 52 words it: pad the leaves to a power of two, then halve.
    fn by_the_book(leaves: &[MerkleHash]) -> MerkleHash {
        let mut level = leaves.to_vec();
        level.resize(leaves.len().next_power_of_two(), ZERO_LEAF);
        while level.len() > 1 {
            level = level.chunks(2).map(|pair| join(pair[0], pair[1])).collect();
        }
        level[0]
    }

    #[test]
    fn every_width_equals_the_padded_tree() {
        let leaves: Vec<_> = (0..70u8).map(|i| leaf(&[i])).collect();
        for width in 1..=leaves.len() {
            assert_eq!(
                root(&leaves[..width]),
                by_the_book(&leaves[..width]),
                "{width} leaves"
            );
        }
    }

    #[test]
    fn a_piece_layer_leads_to_the_same_root() {
        let leaves: Vec<_> = (0..70u8).map(|i| leaf(&[i])).collect();
        for piece_length in [16 << 10, 32 << 10, 64 << 10] {
            let piece_length = PieceLength::power_of_two(piece_length).unwrap();
            let per_piece = (piece_length.get() / BLOCK_LENGTH) as usize;
            for width in per_piece + 1..=leaves.len() {
                let layer = piece_layer(&leaves[..width], piece_length);
                assert_eq!(
                    root_of_piece_layer(&layer, piece_length),
                    root(&leaves[..width]),
                    "{width}"
                );
            }
        }
    }
}
