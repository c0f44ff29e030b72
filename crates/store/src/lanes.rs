//! SHA-1 and SHA-256 of four messages of one length at once.
//!
//! The SHA instructions of x86-64 give one result every few cycles but take several to make it, so one
//! message leaves most of their throughput unused. Pieces (BEP 3) and leaves (BEP 52) are independent of
//! each other: four in turn fill the gaps. Where the instructions are missing, the `sha1` and `sha2` crates
//! hash one after the other; they are also what the tests compare with.

use sha1::Digest;

/// How many messages are hashed at once.
pub const LANES: usize = 4;

/// Whether this processor hashes four messages faster than one.
pub fn available() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        x86::available()
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

/// SHA-1 of four messages that grow in step.
pub struct Sha1Lanes {
    #[cfg(target_arch = "x86_64")]
    fast: Option<x86::Sha1State>,
    plain: [sha1::Sha1; LANES],
    /// Bytes taken of each message.
    length: u64,
}

impl Sha1Lanes {
    /// Four empty messages.
    pub fn new() -> Self {
        Self {
            #[cfg(target_arch = "x86_64")]
            fast: x86::Sha1State::new(),
            plain: Default::default(),
            length: 0,
        }
    }

    /// Appends to each message. All four parts have one length, a multiple of 64 bytes; anything else is a
    /// mistake of the caller.
    pub fn update(&mut self, parts: [&[u8]; LANES]) {
        let length = parts[0].len();
        assert!(
            length.is_multiple_of(64) && parts.iter().all(|part| part.len() == length),
            "parts of one length"
        );
        self.length += length as u64;
        #[cfg(target_arch = "x86_64")]
        if let Some(state) = &mut self.fast {
            state.update(parts);
            return;
        }
        for (hasher, part) in self.plain.iter_mut().zip(parts) {
            hasher.update(part);
        }
    }

    /// The four hashes.
    pub fn finish(self) -> [[u8; 20]; LANES] {
        #[cfg(target_arch = "x86_64")]
        if let Some(mut state) = self.fast {
            let end = padding(self.length);
            state.update([&end; LANES]);
            return state.digests();
        }
        self.plain.map(|hasher| hasher.finalize().into())
    }
}

impl Default for Sha1Lanes {
    fn default() -> Self {
        Self::new()
    }
}

/// SHA-256 of four messages of one length, a multiple of 64 bytes.
pub fn sha256(messages: [&[u8]; LANES]) -> [[u8; 32]; LANES] {
    let length = messages[0].len();
    assert!(
        length.is_multiple_of(64) && messages.iter().all(|message| message.len() == length),
        "messages of one length"
    );
    #[cfg(target_arch = "x86_64")]
    if let Some(mut state) = x86::Sha256State::new() {
        state.update(messages);
        let end = padding(length as u64);
        state.update([&end; LANES]);
        return state.digests();
    }
    messages.map(|message| sha2::Sha256::digest(message).into())
}

/// The last block of a message whose length is a multiple of 64 bytes (FIPS 180-4, 5.1.1).
fn padding(length: u64) -> [u8; 64] {
    let mut block = [0; 64];
    block[0] = 0x80;
    block[56..].copy_from_slice(&(length * 8).to_be_bytes());
    block
}

#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bytes that differ from lane to lane and block to block.
    fn message(seed: u64, length: usize) -> Vec<u8> {
        let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        (0..length)
            .map(|_| {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                x as u8
            })
            .collect()
    }

    fn check(seed: u64, parts: &[usize]) {
        let length: usize = parts.iter().sum();
        let messages: [Vec<u8>; LANES] =
            std::array::from_fn(|lane| message(seed * 4 + lane as u64 + 1, length));
        let mut lanes = Sha1Lanes::new();
        let mut at = 0;
        for part in parts {
            lanes.update(std::array::from_fn(|lane| &messages[lane][at..at + part]));
            at += part;
        }
        let expected: [[u8; 20]; LANES] =
            std::array::from_fn(|lane| sha1::Sha1::digest(&messages[lane]).into());
        assert_eq!(lanes.finish(), expected, "SHA-1 of {parts:?}");
        let expected: [[u8; 32]; LANES] =
            std::array::from_fn(|lane| sha2::Sha256::digest(&messages[lane]).into());
        assert_eq!(
            sha256(std::array::from_fn(|lane| &messages[lane][..])),
            expected,
            "SHA-256 of {length}"
        );
    }

    #[test]
    fn four_at_once_give_what_one_by_one_gives() {
        for parts in [
            &[][..],
            &[64],
            &[128],
            &[16_384],
            &[64, 128, 65_536],
            &[262_144],
        ] {
            check(7, parts);
        }
    }

    #[test]
    fn known_answers() {
        // FIPS 180-4 names no message of whole blocks; these are 64 times "a", by sha1sum and sha256sum.
        let a = [b'a'; 64];
        let mut lanes = Sha1Lanes::new();
        lanes.update([&a; LANES]);
        let hex = |bytes: &[u8]| {
            bytes
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        };
        assert!(
            lanes
                .finish()
                .iter()
                .all(|hash| hex(hash) == "0098ba824b5c16427bd7a1122a5a442a25ec644d")
        );
        let hashes = sha256([&a; LANES]);
        let known = "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb";
        assert!(hashes.iter().all(|hash| hex(hash) == known));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_split_into_blocks_gives_the_same(seed in 0u64..1000, blocks in proptest::collection::vec(0usize..9, 0..6)) {
            check(seed, &blocks.iter().map(|blocks| blocks * 64).collect::<Vec<_>>());
        }
    }
}
