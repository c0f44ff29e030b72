//! Bits of a header, highest first, as codecs' specifications count them. Reading beyond the end gives `None`.

/// A place in a byte string, counted in bits.
pub(crate) struct Bits<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Bits<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    pub(crate) fn bit(&mut self) -> Option<bool> {
        let byte = *self.bytes.get(self.position / 8)?;
        let bit = byte >> (7 - self.position % 8) & 1;
        self.position += 1;
        Some(bit == 1)
    }

    /// At most 32 bits.
    pub(crate) fn take(&mut self, count: u32) -> Option<u32> {
        let mut value = 0_u32;
        for _ in 0..count {
            value = value << 1 | u32::from(self.bit()?);
        }
        Some(value)
    }

    /// Eight bits or fewer.
    pub(crate) fn small(&mut self, count: u32) -> Option<u8> {
        u8::try_from(self.take(count)?).ok()
    }

    pub(crate) fn skip(&mut self, count: u32) -> Option<()> {
        let position = self.position.checked_add(count as usize)?;
        if position > self.bytes.len() * 8 {
            return None;
        }
        self.position = position;
        Some(())
    }

    /// Unsigned Exp-Golomb code (ITU-T H.264, 9.1).
    pub(crate) fn golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.bit()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1_u32 << zeros) - 1 + self.take(zeros)?)
    }

    /// Signed Exp-Golomb code (ITU-T H.264, 9.1.1).
    pub(crate) fn signed_golomb(&mut self) -> Option<i32> {
        let code = i64::from(self.golomb()?);
        let value = if code % 2 == 1 {
            (code + 1) / 2
        } else {
            -(code / 2)
        };
        i32::try_from(value).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_as_the_standard_lists_them() {
        // 1, 010, 011, 00100, 00101, then the same lengths signed.
        let mut bits = Bits::new(&[0b1010_0110, 0b0100_0010, 0b1101_0011, 0b0010_0000]);
        let unsigned: Vec<_> = (0..5).map_while(|_| bits.golomb()).collect();
        assert_eq!(unsigned, [0, 1, 2, 3, 4]);
        let signed: Vec<_> = (0..4).map_while(|_| bits.signed_golomb()).collect();
        assert_eq!(signed, [0, 1, -1, 2]);
    }

    #[test]
    fn nothing_lies_beyond_the_end() {
        let mut bits = Bits::new(&[0xff]);
        assert_eq!(bits.take(8), Some(0xff));
        assert_eq!(bits.bit(), None);
        assert_eq!(bits.skip(1), None);
        assert_eq!(Bits::new(&[0; 5]).golomb(), None);
    }
}
