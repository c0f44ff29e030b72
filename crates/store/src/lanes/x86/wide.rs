//! SHA-1 of sixteen messages, each in its own 32-bit lane of vectors of 512 bits. It takes more instructions than the
//! SHA extensions, but they are plain ones, of which a core begins several a cycle: four fifths of the time.
//! Reached, like its parent's code, through a state that exists only where the processor has the instructions.

use super::super::WIDE;
use std::arch::x86_64::{
    __m512i, _mm_set_epi64x, _mm512_add_epi32, _mm512_broadcast_i32x4, _mm512_loadu_si512,
    _mm512_rol_epi32, _mm512_set1_epi32, _mm512_shuffle_epi8, _mm512_shuffle_i32x4,
    _mm512_storeu_si512, _mm512_ternarylogic_epi32, _mm512_unpackhi_epi32, _mm512_unpackhi_epi64,
    _mm512_unpacklo_epi32, _mm512_unpacklo_epi64, _mm512_xor_si512,
};

/// Whether the processor has the instructions.
pub fn available() -> bool {
    std::is_x86_feature_detected!("avx512f") && std::is_x86_feature_detected!("avx512bw")
}

/// Sixteen SHA-1 states: for each of the five words, that of every message.
pub struct Sha1Wide {
    words: [[u32; WIDE]; 5],
}

impl Sha1Wide {
    /// `None` where the processor lacks the instructions.
    pub fn new() -> Option<Self> {
        let first = [
            0x6745_2301,
            0xefcd_ab89,
            0x98ba_dcfe,
            0x1032_5476,
            0xc3d2_e1f0,
        ];
        available().then(|| Self {
            words: first.map(|word| [word; WIDE]),
        })
    }

    /// Takes whole blocks: parts of one length, a multiple of 64.
    pub fn update(&mut self, parts: [&[u8]; WIDE]) {
        assert!(parts.iter().all(|part| part.len() == parts[0].len()));
        // SAFETY: a state exists only where `available` said yes, and the parts have one length.
        unsafe { blocks(&mut self.words, parts) }
    }

    /// The hashes, of messages that were padded.
    pub fn digests(&self) -> [[u8; 20]; WIDE] {
        std::array::from_fn(|lane| {
            let mut digest = [0; 20];
            for (bytes, words) in digest.chunks_exact_mut(4).zip(&self.words) {
                bytes.copy_from_slice(&words[lane].to_be_bytes());
            }
            digest
        })
    }
}

/// Rounds of one function and constant (FIPS 180-4, 6.1.2). The function is a table of three bits to one.
macro_rules! rounds {
    ($w:ident $state:ident: $function:literal $constant:literal: $($t:literal)*) => {
        let k = _mm512_set1_epi32($constant as i32);
        $(
            if $t >= 16 {
                // Counted from the oldest of the sixteen words that are kept.
                let mixed = _mm512_ternarylogic_epi32::<0x96>(
                    $w[($t + 13) % 16], $w[($t + 8) % 16], $w[($t + 2) % 16],
                );
                $w[$t % 16] = _mm512_rol_epi32::<1>(_mm512_xor_si512(mixed, $w[$t % 16]));
            }
            let [a, b, c, d, e] = $state;
            let mixed = _mm512_ternarylogic_epi32::<$function>(b, c, d);
            let mixed = _mm512_add_epi32(_mm512_rol_epi32::<5>(a), mixed);
            let with_e = _mm512_add_epi32(e, _mm512_add_epi32($w[$t % 16], k));
            $state = [_mm512_add_epi32(mixed, with_e), a, _mm512_rol_epi32::<30>(b), c, d];
        )*
    };
}

/// # Safety
/// All parts are as long as the first.
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn blocks(words: &mut [[u32; WIDE]; 5], parts: [&[u8]; WIDE]) {
    // SAFETY: each array has the 64 bytes that are read; the load needs no alignment.
    let mut state = words.map(|lanes| unsafe { _mm512_loadu_si512(lanes.as_ptr().cast()) });
    for block in 0..parts[0].len() / 64 {
        // SAFETY: a block is 64 bytes, and every part has as many blocks as the first.
        let rows =
            parts.map(|part| unsafe { _mm512_loadu_si512(part.as_ptr().add(block * 64).cast()) });
        let mut w = message_words(rows);
        let before = state;
        rounds!(w state: 0xca 0x5a82_7999_u32: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19);
        rounds!(w state: 0x96 0x6ed9_eba1_u32: 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39);
        rounds!(w state: 0xe8 0x8f1b_bcdc_u32: 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59);
        rounds!(w state: 0x96 0xca62_c1d6_u32: 60 61 62 63 64 65 66 67 68 69 70 71 72 73 74 75 76 77 78 79);
        for (now, before) in state.iter_mut().zip(before) {
            *now = _mm512_add_epi32(*now, before);
        }
    }
    for (lanes, state) in words.iter_mut().zip(state) {
        // SAFETY: the array has the 64 bytes that are written; the store needs no alignment.
        unsafe { _mm512_storeu_si512(lanes.as_mut_ptr().cast(), state) };
    }
}

/// From a block of each message to the first, second … word of all blocks: a matrix of 16 × 16 words is turned over,
/// first within pairs and fours of rows, then by quarters of rows; then the bytes of each word.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn message_words(rows: [__m512i; WIDE]) -> [__m512i; WIDE] {
    let mut pairs = rows;
    for i in 0..8 {
        let (a, b) = (rows[2 * i], rows[2 * i + 1]);
        pairs[2 * i] = _mm512_unpacklo_epi32(a, b);
        pairs[2 * i + 1] = _mm512_unpackhi_epi32(a, b);
    }
    let mut fours = pairs;
    for i in 0..4 {
        let [a, b, c, d] = std::array::from_fn(|n| pairs[4 * i + n]);
        fours[4 * i] = _mm512_unpacklo_epi64(a, c);
        fours[4 * i + 1] = _mm512_unpackhi_epi64(a, c);
        fours[4 * i + 2] = _mm512_unpacklo_epi64(b, d);
        fours[4 * i + 3] = _mm512_unpackhi_epi64(b, d);
    }
    let mut words = fours;
    for i in 0..4 {
        let [a, b, c, d] = std::array::from_fn(|n| fours[4 * n + i]);
        let even = [
            _mm512_shuffle_i32x4::<0x88>(a, b),
            _mm512_shuffle_i32x4::<0x88>(c, d),
        ];
        let odd = [
            _mm512_shuffle_i32x4::<0xdd>(a, b),
            _mm512_shuffle_i32x4::<0xdd>(c, d),
        ];
        words[i] = _mm512_shuffle_i32x4::<0x88>(even[0], even[1]);
        words[i + 4] = _mm512_shuffle_i32x4::<0x88>(odd[0], odd[1]);
        words[i + 8] = _mm512_shuffle_i32x4::<0xdd>(even[0], even[1]);
        words[i + 12] = _mm512_shuffle_i32x4::<0xdd>(odd[0], odd[1]);
    }
    let order = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    let order = _mm512_broadcast_i32x4(order);
    std::array::from_fn(|t| _mm512_shuffle_epi8(words[t], order))
}
