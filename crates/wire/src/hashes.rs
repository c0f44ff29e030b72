//! Requests for hashes of a file's merkle tree (BEP 52): the hashes asked for, then the uncles that lead from them
//! towards the root. Who came by a v2 magnet link has no piece layers and asks for them so. [`PieceTree`] answers
//! from the file's piece layer; layers below the pieces aren't kept and aren't answered. [`requests`] says what to
//! ask for, and [`verify`] whether an answer is true.

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
        let base_layer = base_layer(piece_length);
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

/// Hashes that don't lead to the file's root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadHashes {
    /// Not as many as were asked for, with the uncles up to the root.
    #[error("{0} bytes of hashes")]
    Length(usize),
    /// They lead to another root.
    #[error("hashes of another file")]
    Root,
}

/// The requests that fetch the whole piece layer of a file, whose root this is, of `length` bytes: none for files
/// no longer than a piece, whose root says everything.
pub fn requests(
    root: MerkleHash,
    length: u64,
    piece_length: PieceLength,
) -> impl Iterator<Item = HashRange> {
    let pieces = n_pieces(length, piece_length);
    let width = pieces.next_power_of_two();
    let at_once = width.min(u64::from(MAX_LENGTH));
    let n_requests = if pieces > 1 {
        pieces.div_ceil(at_once)
    } else {
        0
    };
    (0..n_requests).map(move |n| HashRange {
        root,
        base_layer: base_layer(piece_length),
        // A torrent's piece indices fit 31 bits.
        index: (n * at_once) as u32,
        length: at_once as u32,
        // Up to the root's children: that of the layer asked for counts as one (see `answer`).
        proof_layers: width.ilog2().saturating_sub(1),
    })
}

/// Checks an answer to one of these [`requests`] against the file's root. Gives the hashes of those pieces that the
/// file has, in order.
pub fn verify(
    range: &HashRange,
    length: u64,
    piece_length: PieceLength,
    hashes: &[u8],
) -> Result<Vec<MerkleHash>, BadHashes> {
    let bad_length = BadHashes::Length(hashes.len());
    let pieces = n_pieces(length, piece_length);
    let height = pieces.next_power_of_two().ilog2();
    let levels = range.length.max(1).ilog2();
    let n_uncles = height.checked_sub(levels).ok_or(bad_length)? as usize;
    let aligned = range.length.is_power_of_two()
        && range.index.is_multiple_of(range.length)
        && range.base_layer == base_layer(piece_length);
    if !aligned || hashes.len() != 32 * (range.length as usize + n_uncles) {
        return Err(bad_length);
    }
    let mut asked: Vec<_> = hashes
        .chunks_exact(32)
        .filter_map(MerkleHash::from_slice)
        .collect();
    let uncles = asked.split_off(range.length as usize);
    let mut nodes = asked.clone();
    while nodes.len() > 1 {
        let pairs = nodes.chunks_exact(2);
        nodes = pairs.map(|pair| merkle::join(pair[0], pair[1])).collect();
    }
    let mut at = range.index / range.length;
    let top = uncles.iter().fold(nodes[0], |node, uncle| {
        let is_left = at.is_multiple_of(2);
        at /= 2;
        if is_left {
            merkle::join(node, *uncle)
        } else {
            merkle::join(*uncle, node)
        }
    });
    if top != range.root || at != 0 {
        return Err(BadHashes::Root);
    }
    let has = pieces.saturating_sub(u64::from(range.index));
    asked.truncate(usize::try_from(has).unwrap_or(usize::MAX));
    Ok(asked)
}

fn n_pieces(length: u64, piece_length: PieceLength) -> u64 {
    length.div_ceil(u64::from(piece_length.get()))
}

/// The layer of the pieces, counted from the leaves.
fn base_layer(piece_length: PieceLength) -> u32 {
    (piece_length.get() / BLOCK_LENGTH).max(1).ilog2()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    #[test]
    fn every_aligned_range_leads_to_the_root() {
        for n in 2..20u8 {
            let (piece_length, layer, root) = layer(n);
            let width = layer.len().next_power_of_two() as u32;
            let file_length = u64::from(n) * 32 * 1024;
            for length in (0..6)
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
                    let tree = PieceTree::new(&layer, piece_length);
                    let hashes = tree.answer(&range).unwrap();
                    let verified = verify(&range, file_length, piece_length, &hashes);
                    let from = (index as usize).min(layer.len());
                    let to = (from + length as usize).min(layer.len());
                    assert_eq!(
                        verified.as_deref(),
                        Ok(&layer[from..to]),
                        "{n} pieces, {length} from {index}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_whole_layer_is_fetched_by_its_requests() {
        for n in [1, 2, 3, 511, 512, 513, 1500] {
            let piece_length = PieceLength::power_of_two(16 * 1024).unwrap();
            let leaves: Vec<_> = (0..n as u32)
                .map(|i| merkle::leaf(&i.to_be_bytes()))
                .collect();
            let (root, length) = (merkle::root(&leaves), n * 16 * 1024 - 5);
            let tree = PieceTree::new(&leaves, piece_length);
            let mut fetched = Vec::new();
            for range in requests(root, length, piece_length) {
                let hashes = tree.answer(&range).unwrap();
                fetched.extend(verify(&range, length, piece_length, &hashes).unwrap());
            }
            assert_eq!(fetched, if n > 1 { leaves } else { Vec::new() }, "{n}");
        }
    }

    proptest! {
        #[test]
        fn what_is_not_true_is_found_out(n in 2u8..20, at: usize, bit in 0usize..8, cut in 0usize..3) {
            let (piece_length, layer, root) = layer(n);
            let file_length = u64::from(n) * 32 * 1024;
            let range = requests(root, file_length, piece_length).next().unwrap();
            let mut hashes = PieceTree::new(&layer, piece_length).answer(&range).unwrap().to_vec();
            let at = at % hashes.len();
            hashes[at] ^= 1 << bit;
            let judged = verify(&range, file_length, piece_length, &hashes);
            prop_assert_eq!(judged, Err(BadHashes::Root));
            hashes.truncate(hashes.len() - [1, 32, 33][cut]);
            let judged = verify(&range, file_length, piece_length, &hashes);
            prop_assert_eq!(judged, Err(BadHashes::Length(hashes.len())));
        }

        #[test]
        fn any_range_is_judged(index: u32, length: u32, base_layer in 0u32..3, bits in 0u32..6, n in 0u64..40,
            bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let piece_length = PieceLength::power_of_two(32 * 1024).unwrap();
            let (root, proof_layers) = (MerkleHash([1; 32]), 9);
            for length in [length, 1 << bits] {
                let range = HashRange { root, base_layer, index, length, proof_layers };
                prop_assert!(verify(&range, n * 32 * 1024, piece_length, &bytes).is_err());
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
