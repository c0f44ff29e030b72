//! Every container but MP4: which one begins, and its reader.

use crate::model::{KeyFrame, Media, ProbeError};
use crate::plays::Rewrite;
use crate::read::{ReadAt, RewriteError};
use std::io::Write;
use std::ops::ControlFlow;

pub(crate) fn probe(source: &dyn ReadAt) -> Result<Media, ProbeError> {
    let _ = source;
    Err(ProbeError::NotMedia)
}

pub(crate) fn remux(
    source: &dyn ReadAt,
    way: Rewrite,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<(), RewriteError> {
    let _ = (source, way, out, progress);
    Err(ProbeError::NotMedia.into())
}

pub(crate) fn key_frame(source: &dyn ReadAt, at_s: f64) -> Result<Option<KeyFrame>, ProbeError> {
    let _ = (source, at_s);
    Ok(None)
}
