//! Where bytes come from, and what can go wrong while a file is written anew.

use crate::model::ProbeError;
use std::io;

/// A file, or anything else with a length, that is read at any place.
pub trait ReadAt {
    /// Bytes in all.
    fn length(&self) -> u64;

    /// Fills the buffer from this offset on.
    ///
    /// # Errors
    /// `UnexpectedEof` where the source ends before the buffer is full, or what the system says.
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
}

impl ReadAt for [u8] {
    fn length(&self) -> u64 {
        self.len() as u64
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(offset).ok();
        let found = from.and_then(|from| self.get(from..from.checked_add(buffer.len())?));
        buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl ReadAt for Vec<u8> {
    fn length(&self) -> u64 {
        self.as_slice().length()
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.as_slice().read_exact_at(offset, buffer)
    }
}

/// Why a file was not written anew.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// The source can't be read as what it is.
    #[error(transparent)]
    Source(#[from] ProbeError),
    /// It holds something that can't be kept as it is.
    #[error("can't be rewritten without loss: {0}")]
    Lossy(String),
    /// The sink refused.
    #[error("write: {0}")]
    Write(#[source] io::Error),
    /// The caller broke off.
    #[error("stopped")]
    Stopped,
}
