//! SHA-1 and SHA-256 of several messages of one length at once.
//!
//! The SHA instructions of x86-64 give one result every few cycles but take several to make it, so one
//! message leaves most of their throughput unused. Pieces (BEP 3) and leaves (BEP 52) are independent of
//! each other: four in turn fill the gaps. Where there are vectors of 512 bits, sixteen messages of SHA-1, one in each
//! lane of plain additions and rotations, are faster still. Where the instructions are missing, the `sha1` and `sha2`
//! crates hash one after the other; they are also what the tests compare with.

use sha1::Digest;

/// How many messages SHA instructions hash at once.
pub const LANES: usize = 4;

/// How many messages of SHA-1 vectors of 512 bits hash at once.
pub const WIDE: usize = 16;

/// Whether this processor hashes [`LANES`] messages faster than one.
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

/// How many messages of SHA-1 this processor hashes best at once: [`WIDE`], [`LANES`] or 1.
pub fn sha1_lanes() -> usize {
    #[cfg(target_arch = "x86_64")]
    if x86::available_wide() {
        return WIDE;
    }
    if available() { LANES } else { 1 }
}

/// SHA-1 of messages that grow in step.
pub struct Sha1Lanes {
    state: State,
    messages: usize,
    /// Bytes taken of each message.
    length: u64,
}

enum State {
    #[cfg(target_arch = "x86_64")]
    Wide(x86::Sha1Wide),
    #[cfg(target_arch = "x86_64")]
    Four(x86::Sha1State),
    Plain(Vec<sha1::Sha1>),
}

impl Sha1Lanes {
    /// So many empty messages: [`WIDE`] of them, or at most [`LANES`], are hashed at once where that is faster. Two and
    /// three cost as much as four.
    pub fn new(messages: usize) -> Self {
        Self {
            state: State::new(messages),
            messages,
            length: 0,
        }
    }

    /// Appends to each message. All parts have one length, a multiple of 64 bytes; anything else is a mistake of the
    /// caller.
    pub fn update(&mut self, parts: &[&[u8]]) {
        let length = parts[0].len();
        assert!(
            parts.len() == self.messages
                && length.is_multiple_of(64)
                && parts.iter().all(|part| part.len() == length),
            "parts of one length, one a message"
        );
        self.length += length as u64;
        self.state.update(parts);
    }

    /// The hashes, one a message.
    pub fn finish(self) -> Vec<[u8; 20]> {
        let mut hashes = self.state.finish(self.length);
        hashes.truncate(self.messages);
        hashes
    }
}

impl State {
    fn new(messages: usize) -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            let wide = || x86::Sha1Wide::new().map(Self::Wide);
            let four = || x86::Sha1State::new().map(Self::Four);
            let state = match messages {
                WIDE => wide(),
                2..=LANES => four(),
                _ => None,
            };
            if let Some(state) = state {
                return state;
            }
        }
        Self::Plain(vec![sha1::Sha1::new(); messages])
    }

    fn update(&mut self, parts: &[&[u8]]) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Wide(state) => state.update(filled(parts)),
            #[cfg(target_arch = "x86_64")]
            Self::Four(state) => state.update(filled(parts)),
            Self::Plain(hashers) => {
                for (hasher, part) in hashers.iter_mut().zip(parts) {
                    hasher.update(part);
                }
            }
        }
    }

    fn finish(self, length: u64) -> Vec<[u8; 20]> {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Wide(mut state) => {
                state.update([&padding(length); WIDE]);
                state.digests().to_vec()
            }
            #[cfg(target_arch = "x86_64")]
            Self::Four(mut state) => {
                state.update([&padding(length); LANES]);
                state.digests().to_vec()
            }
            Self::Plain(hashers) => {
                let hash = |hasher: sha1::Sha1| hasher.finalize().into();
                hashers.into_iter().map(hash).collect()
            }
        }
    }
}

/// The parts; the first stands in for those that are missing.
#[cfg(target_arch = "x86_64")]
fn filled<'a, const N: usize>(parts: &[&'a [u8]]) -> [&'a [u8]; N] {
    std::array::from_fn(|at| parts.get(at).copied().unwrap_or(parts[0]))
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
#[cfg(target_arch = "x86_64")]
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
        let messages: [Vec<u8>; WIDE] =
            std::array::from_fn(|lane| message(seed * WIDE as u64 + lane as u64 + 1, length));
        // All forms of the code, whichever is best here, and numbers of messages that none is for.
        for count in [1, 2, 3, LANES, LANES + 1, WIDE] {
            let mut lanes = Sha1Lanes::new(count);
            let mut at = 0;
            for part in parts {
                let now = messages[..count]
                    .iter()
                    .map(|message| &message[at..at + part]);
                lanes.update(&now.collect::<Vec<_>>());
                at += part;
            }
            let expected = messages[..count].iter().map(sha1::Sha1::digest);
            let expected: Vec<[u8; 20]> = expected.map(Into::into).collect();
            assert_eq!(lanes.finish(), expected, "{count} of {parts:?}");
        }
        let expected: [[u8; 32]; LANES] =
            std::array::from_fn(|lane| sha2::Sha256::digest(&messages[lane]).into());
        assert_eq!(
            sha256(std::array::from_fn(|lane| &messages[lane][..])),
            expected,
            "SHA-256 of {length}"
        );
    }

    #[test]
    fn many_at_once_give_what_one_by_one_gives() {
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
    fn the_best_number_is_one_there_is_code_for() {
        assert!([1, LANES, WIDE].contains(&sha1_lanes()));
        #[cfg(target_arch = "x86_64")]
        for count in [LANES, WIDE].into_iter().filter(|n| *n <= sha1_lanes()) {
            let is_plain = matches!(State::new(count), State::Plain(_));
            // A processor may have the vectors and not the SHA instructions.
            assert_eq!(is_plain, count == LANES && !available(), "{count}");
        }
    }

    #[test]
    fn known_answers() {
        // FIPS 180-4 names no message of whole blocks; these are 64 times "a", by sha1sum and sha256sum.
        let a = [b'a'; 64];
        let hex = |bytes: &[u8]| {
            bytes
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        };
        for count in [1, LANES, WIDE] {
            let mut lanes = Sha1Lanes::new(count);
            lanes.update(&vec![&a[..]; count]);
            let hashes = lanes.finish();
            assert_eq!(hashes.len(), count);
            let known = "0098ba824b5c16427bd7a1122a5a442a25ec644d";
            assert!(hashes.iter().all(|hash| hex(hash) == known), "{count}");
        }
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
