//! ISO base media files (ISO/IEC 14496-12) and QuickTime movies.

use crate::model::{KeyFrame, Media, ProbeError};
use crate::read::{ReadAt, RewriteError};
use std::io::Write;
use std::ops::ControlFlow;

/// Whether such a file begins like this.
pub(crate) fn begins(head: &[u8]) -> bool {
    let _ = head;
    false
}

pub(crate) fn probe(source: &dyn ReadAt) -> Result<Media, ProbeError> {
    let _ = source;
    Err(ProbeError::NotMedia)
}

pub(crate) fn faststart(
    source: &dyn ReadAt,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<(), RewriteError> {
    let _ = (source, out, progress);
    Err(ProbeError::NotMedia.into())
}

pub(crate) fn key_frame(source: &dyn ReadAt, at_s: f64) -> Result<Option<KeyFrame>, ProbeError> {
    let _ = (source, at_s);
    Ok(None)
}
