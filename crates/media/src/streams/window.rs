//! Small reads at rising places without a system call for each: a piece of the source held in memory.

use crate::read::ReadAt;
use std::io;

/// A source seen through a piece of it.
pub(crate) struct Window<'a> {
    source: &'a dyn ReadAt,
    length: u64,
    held: Vec<u8>,
    from: u64,
    step: usize,
}

impl<'a> Window<'a> {
    /// Reads at least `step` bytes at once: few for headers that lie apart, many for a pass over everything.
    pub(crate) fn new(source: &'a dyn ReadAt, step: usize) -> Self {
        Self {
            source,
            length: source.length(),
            held: Vec::new(),
            from: 0,
            step,
        }
    }

    /// Bytes of the whole source.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// `count` bytes from `at` on; fewer where the source ends.
    pub(crate) fn get(&mut self, at: u64, count: usize) -> io::Result<&[u8]> {
        let left = self.length.saturating_sub(at);
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(count);
        if count == 0 {
            return Ok(&[]);
        }
        let within = at
            .checked_sub(self.from)
            .and_then(|skip| usize::try_from(skip).ok())
            .filter(|skip| skip.saturating_add(count) <= self.held.len());
        let skip = match within {
            Some(skip) => skip,
            None => {
                let read = usize::try_from(left).unwrap_or(usize::MAX);
                self.held.clear();
                self.held.resize(read.min(count.max(self.step)), 0);
                self.from = at;
                if let Err(error) = self.source.read_exact_at(at, &mut self.held) {
                    self.held.clear();
                    return Err(error);
                }
                0
            }
        };
        Ok(&self.held[skip..skip + count])
    }

    /// As [`get`](Self::get), all of it or nothing.
    pub(crate) fn array<const N: usize>(&mut self, at: u64) -> io::Result<Option<[u8; N]>> {
        Ok(self.get(at, N)?.try_into().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_the_source_however_they_are_read() {
        let bytes: Vec<u8> = (0..=255).collect();
        let mut window = Window::new(&bytes, 16);
        for (at, count) in [(0, 4), (10, 10), (12, 4), (3, 1), (250, 6), (0, 256)] {
            let expected = &bytes[at..at + count];
            assert_eq!(window.get(at as u64, count).unwrap(), expected);
        }
        assert_eq!(window.get(254, 10).unwrap(), [254, 255]);
        assert_eq!(window.get(u64::MAX, 10).unwrap(), [0; 0]);
        assert_eq!(window.array::<4>(253).unwrap(), None);
    }
}
