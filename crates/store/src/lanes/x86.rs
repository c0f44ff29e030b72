//! The SHA extensions of x86-64. The only unsafe code of this crate: each function that uses the
//! instructions is reached through a state that exists only where the processor has them.

use super::LANES;
use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_loadu_si128, _mm_set_epi32, _mm_set_epi64x,
    _mm_sha1msg1_epu32, _mm_sha1msg2_epu32, _mm_sha1nexte_epu32, _mm_sha1rnds4_epu32,
    _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi8,
    _mm_shuffle_epi32, _mm_storeu_si128, _mm_xor_si128,
};

/// Whether the processor has the instructions; the standard library remembers the answer.
pub fn available() -> bool {
    std::is_x86_feature_detected!("sha")
        && std::is_x86_feature_detected!("sse4.1")
        && std::is_x86_feature_detected!("ssse3")
}

/// Whether it has twice as many registers for them as well.
fn available_avx512() -> bool {
    std::is_x86_feature_detected!("avx512f") && std::is_x86_feature_detected!("avx512vl")
}

/// Four SHA-1 states.
pub struct Sha1State {
    abcd: [__m128i; LANES],
    e: [__m128i; LANES],
}

impl Sha1State {
    /// `None` where the processor lacks the instructions.
    pub fn new() -> Option<Self> {
        // SAFETY: SSE2 is part of x86-64.
        let (abcd, e) = unsafe {
            (
                _mm_set_epi32(
                    0x6745_2301,
                    0xefcd_ab89_u32 as i32,
                    0x98ba_dcfe_u32 as i32,
                    0x1032_5476,
                ),
                _mm_set_epi32(0xc3d2_e1f0_u32 as i32, 0, 0, 0),
            )
        };
        available().then_some(Self {
            abcd: [abcd; LANES],
            e: [e; LANES],
        })
    }

    /// Takes whole blocks: parts of one length, a multiple of 64.
    pub fn update(&mut self, parts: [&[u8]; LANES]) {
        // SAFETY: a state exists only where `available` said yes.
        unsafe { sha1_blocks(&mut self.abcd, &mut self.e, parts) }
    }

    /// The hashes, of messages that were padded.
    pub fn digests(&self) -> [[u8; 20]; LANES] {
        std::array::from_fn(|lane| {
            let [abcd, e] = [words(self.abcd[lane]), words(self.e[lane])];
            let mut digest = [0; 20];
            let order = [abcd[3], abcd[2], abcd[1], abcd[0], e[3]];
            for (bytes, word) in digest.chunks_exact_mut(4).zip(order) {
                bytes.copy_from_slice(&word.to_be_bytes());
            }
            digest
        })
    }
}

/// Four SHA-256 states, as the instructions want them: ABEF and CDGH.
pub struct Sha256State {
    abef: [__m128i; LANES],
    cdgh: [__m128i; LANES],
    /// The form of the code for this processor.
    blocks: unsafe fn(&mut [__m128i; LANES], &mut [__m128i; LANES], [&[u8]; LANES]),
}

impl Sha256State {
    /// `None` where the processor lacks the instructions.
    pub fn new() -> Option<Self> {
        Self::with(available_avx512())
    }

    fn with(avx512: bool) -> Option<Self> {
        let word = |word: u32| word as i32;
        // SAFETY: SSE2 is part of x86-64.
        let (abef, cdgh) = unsafe {
            (
                _mm_set_epi32(
                    0x6a09_e667,
                    word(0xbb67_ae85),
                    0x510e_527f,
                    word(0x9b05_688c),
                ),
                _mm_set_epi32(0x3c6e_f372, word(0xa54f_f53a), 0x1f83_d9ab, 0x5be0_cd19),
            )
        };
        available().then_some(Self {
            abef: [abef; LANES],
            cdgh: [cdgh; LANES],
            blocks: if avx512 {
                sha256_blocks_avx512
            } else {
                sha256_blocks
            },
        })
    }

    /// Takes whole blocks: parts of one length, a multiple of 64.
    pub fn update(&mut self, parts: [&[u8]; LANES]) {
        // SAFETY: a state exists only where `available` said yes, and `available_avx512` chose the form.
        unsafe { (self.blocks)(&mut self.abef, &mut self.cdgh, parts) }
    }

    /// The hashes, of messages that were padded.
    pub fn digests(&self) -> [[u8; 32]; LANES] {
        std::array::from_fn(|lane| {
            let [abef, cdgh] = [words(self.abef[lane]), words(self.cdgh[lane])];
            let mut digest = [0; 32];
            let order = [
                abef[3], abef[2], cdgh[3], cdgh[2], abef[1], abef[0], cdgh[1], cdgh[0],
            ];
            for (bytes, word) in digest.chunks_exact_mut(4).zip(order) {
                bytes.copy_from_slice(&word.to_be_bytes());
            }
            digest
        })
    }
}

fn words(vector: __m128i) -> [u32; 4] {
    let mut words = [0u32; 4];
    // SAFETY: 16 bytes are written into 16 bytes; the store needs no alignment.
    unsafe { _mm_storeu_si128(words.as_mut_ptr().cast(), vector) };
    words
}

/// Sixteen bytes of each lane's current block.
///
/// # Safety
/// `at + 16` is within every part.
#[target_feature(enable = "ssse3")]
unsafe fn load(parts: &[&[u8]; LANES], at: usize, order: __m128i) -> [__m128i; LANES] {
    std::array::from_fn(|lane| {
        // SAFETY: the caller keeps `at` within the part; the load needs no alignment.
        let bytes = unsafe { _mm_loadu_si128(parts[lane].as_ptr().add(at).cast()) };
        _mm_shuffle_epi8(bytes, order)
    })
}

#[target_feature(enable = "sha,sse4.1,ssse3")]
unsafe fn sha1_blocks(
    abcd: &mut [__m128i; LANES],
    e: &mut [__m128i; LANES],
    parts: [&[u8]; LANES],
) {
    // The first word of a block stands in the highest place.
    let order = _mm_set_epi64x(0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f);
    for block in 0..parts[0].len() / 64 {
        let before = (*abcd, *e);
        let at = block * 64;
        // SAFETY: a block is 64 bytes, and every part has as many blocks as the first.
        let mut w = unsafe {
            [
                load(&parts, at, order),
                load(&parts, at + 16, order),
                load(&parts, at + 32, order),
                load(&parts, at + 48, order),
            ]
        };
        let mut last = before.0;
        for lane in 0..LANES {
            let with_e = _mm_add_epi32(e[lane], w[0][lane]);
            abcd[lane] = _mm_sha1rnds4_epu32::<0>(abcd[lane], with_e);
        }
        // Four rounds a step; the round function and constant change every five steps.
        macro_rules! steps {
            ($function:literal: $($step:literal)*) => {$(
                for lane in 0..LANES {
                    if $step >= 4 {
                        let mixed = _mm_sha1msg1_epu32(w[$step % 4][lane], w[($step + 1) % 4][lane]);
                        let mixed = _mm_xor_si128(mixed, w[($step + 2) % 4][lane]);
                        w[$step % 4][lane] = _mm_sha1msg2_epu32(mixed, w[($step + 3) % 4][lane]);
                    }
                    let with_e = _mm_sha1nexte_epu32(last[lane], w[$step % 4][lane]);
                    last[lane] = abcd[lane];
                    abcd[lane] = _mm_sha1rnds4_epu32::<$function>(abcd[lane], with_e);
                }
            )*};
        }
        steps!(0: 1 2 3 4);
        steps!(1: 5 6 7 8 9);
        steps!(2: 10 11 12 13 14);
        steps!(3: 15 16 17 18 19);
        for lane in 0..LANES {
            e[lane] = _mm_sha1nexte_epu32(last[lane], before.1[lane]);
            abcd[lane] = _mm_add_epi32(abcd[lane], before.0[lane]);
        }
    }
}

/// The round constants of SHA-256 (FIPS 180-4, 4.2.2).
const K: [u32; 64] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
];

/// Four rounds a step, in each lane.
macro_rules! sha256_steps {
    ($w:ident $abef:ident $cdgh:ident: $($step:literal)*) => {$(
        // SAFETY: four of the 64 constants, from a multiple of four on.
        let k = unsafe { _mm_loadu_si128(K.as_ptr().add($step * 4).cast()) };
        for lane in 0..LANES {
            if $step >= 4 {
                let mixed = _mm_sha256msg1_epu32($w[$step % 4][lane], $w[($step + 1) % 4][lane]);
                let shifted = _mm_alignr_epi8::<4>($w[($step + 3) % 4][lane], $w[($step + 2) % 4][lane]);
                let mixed = _mm_add_epi32(mixed, shifted);
                $w[$step % 4][lane] = _mm_sha256msg2_epu32(mixed, $w[($step + 3) % 4][lane]);
            }
            let wk = _mm_add_epi32($w[$step % 4][lane], k);
            $cdgh[lane] = _mm_sha256rnds2_epu32($cdgh[lane], $abef[lane], wk);
            let wk = _mm_shuffle_epi32::<0x0e>(wk);
            $abef[lane] = _mm_sha256rnds2_epu32($abef[lane], $cdgh[lane], wk);
        }
    )*};
}

macro_rules! sha256_blocks {
    ($name:ident, $features:literal) => {
        #[target_feature(enable = $features)]
        unsafe fn $name(
            abef: &mut [__m128i; LANES],
            cdgh: &mut [__m128i; LANES],
            parts: [&[u8]; LANES],
        ) {
            // Words keep their places; the bytes of each turn round.
            let order = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
            for block in 0..parts[0].len() / 64 {
                let before = (*abef, *cdgh);
                let at = block * 64;
                // SAFETY: a block is 64 bytes, and every part has as many blocks as the first.
                let mut w = unsafe {
                    [
                        load(&parts, at, order),
                        load(&parts, at + 16, order),
                        load(&parts, at + 32, order),
                        load(&parts, at + 48, order),
                    ]
                };
                sha256_steps!(w abef cdgh: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
                for lane in 0..LANES {
                    abef[lane] = _mm_add_epi32(abef[lane], before.0[lane]);
                    cdgh[lane] = _mm_add_epi32(cdgh[lane], before.1[lane]);
                }
            }
        }
    };
}

// Four lanes take 24 registers for message words and states, and some on the way. With the 16 that SSE names a
// third of the instructions move them to memory and back; with the 32 of AVX-512VL the same code takes three
// quarters of the time.
sha256_blocks!(sha256_blocks, "sha,sse4.1,ssse3");
sha256_blocks!(sha256_blocks_avx512, "sha,sse4.1,ssse3,avx512f,avx512vl");

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::Digest;

    #[test]
    fn each_form_of_the_code_gives_what_the_crate_gives() {
        let bytes: Vec<u8> = (0..LANES * 640)
            .map(|at| (at * 7 + at / 256) as u8)
            .collect();
        let message = |lane: usize| &bytes[lane * 640..][..640];
        let mut end = [0; 64];
        end[0] = 0x80;
        end[56..].copy_from_slice(&(640u64 * 8).to_be_bytes());
        for avx512 in [false, available_avx512()] {
            let Some(mut state) = Sha256State::with(avx512) else {
                return; // Without the instructions nothing of this module is used.
            };
            state.update(std::array::from_fn(message));
            state.update([&end; LANES]);
            for (lane, digest) in state.digests().into_iter().enumerate() {
                let expected: [u8; 32] = sha2::Sha256::digest(message(lane)).into();
                assert_eq!(digest, expected, "lane {lane}, {avx512}");
            }
        }
    }
}
