//! Reading numbers out of bytes that may end anywhere: `None` instead of a panic.

/// What is left of a run of bytes, big-endian numbers first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u24(&mut self) -> Option<u32> {
        self.array::<3>()
            .map(|[a, b, c]| u32::from_be_bytes([0, a, b, c]))
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn f64(&mut self) -> Option<f64> {
        self.array().map(f64::from_be_bytes)
    }

    /// A number of 32 bits, or of 64 in the long form that later versions of a box have.
    pub(crate) fn u32_or_u64(&mut self, long: bool) -> Option<u64> {
        if long {
            self.u64()
        } else {
            self.u32().map(u64::from)
        }
    }

    pub(crate) fn kind(&mut self) -> Option<[u8; 4]> {
        self.array()
    }

    /// Version and flags, which many boxes begin with.
    pub(crate) fn version(&mut self) -> Option<(u8, u32)> {
        Some((self.u8()?, self.u24()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_end_where_the_bytes_end() {
        let mut bytes = Bytes(&[0, 1, 2, 3, 4]);
        assert_eq!(bytes.u16(), Some(1));
        assert_eq!(bytes.u24(), Some(0x02_03_04));
        assert_eq!(bytes.u8(), None);
        assert_eq!(Bytes(&[1, 2, 3]).u32(), None);
    }
}
