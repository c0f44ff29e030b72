//! Which pieces a peer may ask for while it is choked (BEP 6): a few, told by its address, so that who comes again
//! gets no others and the swarm's newcomers start in different places. Called by whoever owns a torrent's peers.

use metainfo::geometry::Geometry;
use metainfo::ids::{PieceIndex, SwarmHash};
use sha1::{Digest, Sha1};
use std::net::IpAddr;

/// The set that BEP 6 computes for this address: at most `most` different pieces, in the order in which they are
/// found. For IPv6, of which BEP 6 doesn't speak, the /64 that a host usually has to itself stands for the address.
pub fn allowed_fast(
    remote: IpAddr,
    swarm: &SwarmHash,
    geometry: &Geometry,
    most: usize,
) -> Vec<PieceIndex> {
    let n_pieces = geometry.n_pieces();
    let most = most.min(n_pieces as usize);
    let mut allowed = Vec::with_capacity(most);
    let mut hasher = Sha1::new();
    match remote.to_canonical() {
        // A whole /24 gets the same set: it is often one hand.
        IpAddr::V4(ip) => hasher.update([ip.octets()[0], ip.octets()[1], ip.octets()[2], 0]),
        IpAddr::V6(ip) => hasher.update(&ip.octets()[..8]),
    }
    hasher.update(swarm.as_bytes());
    let mut digest = hasher.finalize();
    while allowed.len() < most {
        for word in digest.chunks_exact(4) {
            let number = u32::from_be_bytes([word[0], word[1], word[2], word[3]]);
            let piece = geometry.piece(number % n_pieces);
            allowed.extend(piece.filter(|piece| allowed.len() < most && !allowed.contains(piece)));
        }
        digest = Sha1::digest(digest);
    }
    allowed
}

#[cfg(test)]
mod tests {
    use super::*;
    use metainfo::geometry::PieceLength;
    use proptest::prelude::*;

    fn geometry(n_pieces: u64) -> Geometry {
        Geometry::new(PieceLength::new(1).unwrap(), n_pieces).unwrap()
    }

    #[test]
    fn as_bep_6_computes_it() {
        let check = |remote: &str, most: usize, expected: &[u32]| {
            let swarm = SwarmHash([0xaa; 20]);
            let set = allowed_fast(remote.parse().unwrap(), &swarm, &geometry(1313), most);
            let set: Vec<_> = set.iter().map(|piece| piece.get()).collect();
            assert_eq!(set, expected, "{remote}");
        };
        check("80.4.4.200", 7, &[1059, 431, 808, 1217, 287, 376, 1188]);
        check(
            "80.4.4.200",
            9,
            &[1059, 431, 808, 1217, 287, 376, 1188, 353, 508],
        );
        check("::ffff:80.4.4.1", 2, &[1059, 431]);
    }

    proptest! {
        #[test]
        fn a_set_is_of_different_pieces_and_ends(remote: IpAddr, swarm: [u8; 20], n in 0u64..40, most in 0usize..50) {
            let set = allowed_fast(remote, &SwarmHash(swarm), &geometry(n), most);
            prop_assert_eq!(set.len(), most.min(n as usize));
            let different: std::collections::BTreeSet<_> = set.iter().collect();
            prop_assert_eq!(different.len(), set.len());
        }
    }
}
