//! Matroska that holds what WebM holds becomes WebM: only the name of the document type differs.

use super::ebml;
use super::header::{self, DOC_TYPE, Kind, Packing};
use crate::model::ProbeError;
use crate::read::{ReadAt, RewriteError};
use crate::streams::remux::lossy;
use crate::streams::window::Window;
use std::io::Write;
use std::ops::ControlFlow;

const NAME: &[u8] = b"\x42\x82\x84webm";
const VOID: u8 = 0xec;
const CRC: u8 = 0xbf;
const PIECE: usize = 1 << 20;

/// Copies the file, its header changed in place: nothing moves, so that all positions in it stay right.
pub(crate) fn write(
    source: &dyn ReadAt,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<(), RewriteError> {
    let mut window = Window::new(source, PIECE);
    let header = header::read(&mut window)?;
    for track in &header.tracks {
        let fits = match track.kind {
            Kind::Video => ["V_VP8", "V_VP9", "V_AV1"].contains(&track.codec.as_str()),
            Kind::Audio => ["A_OPUS", "A_VORBIS"].contains(&track.codec.as_str()),
            Kind::Other => true,
        };
        if !fits {
            return Err(lossy(format!("WebM can't hold {}", track.codec)));
        }
        if track.packing != Packing::None {
            return Err(lossy("its frames are compressed"));
        }
    }

    let element = ebml::element(&mut window, 0)
        .map_err(ProbeError::Read)?
        .ok_or(ProbeError::NotMedia)?;
    let length = window.length();
    let end = element.end(length).min(length);
    let mut head = window
        .get(0, usize::try_from(end).unwrap_or(0).min(PIECE))
        .map_err(ProbeError::Read)?
        .to_vec();
    if !header.webm {
        let payload = usize::try_from(element.data).unwrap_or(0);
        rename(&mut head, payload)
            .ok_or_else(|| ProbeError::Malformed("its header has no document type".into()))?;
    }
    out.write_all(&head).map_err(RewriteError::Write)?;
    let mut written = head.len() as u64;
    while written < length {
        let piece = window.get(written, PIECE).map_err(ProbeError::Read)?;
        out.write_all(piece).map_err(RewriteError::Write)?;
        written += piece.len() as u64;
        if progress(written).is_break() {
            return Err(RewriteError::Stopped);
        }
    }
    Ok(())
}

/// Gives the document type its new name and fills up what the old one took more.
fn rename(head: &mut [u8], payload: usize) -> Option<()> {
    let mut at = payload;
    let mut renamed = None;
    while at < head.len() {
        let (id, size, length) = ebml::parse(&head[at..])?;
        let end = at + length + usize::try_from(size?).ok()?;
        let element = head.get_mut(at..end)?;
        if id == DOC_TYPE {
            let (name, rest) = element.split_at_mut_checked(NAME.len())?;
            name.copy_from_slice(NAME);
            let void = u8::try_from(rest.len().checked_sub(2)?)
                .ok()
                .filter(|size| *size < 127)?;
            rest.fill(0);
            rest[..2].copy_from_slice(&[VOID, 0x80 | void]);
            renamed = Some(());
        } else if id == CRC.into() {
            // It would be wrong now, and nobody needs it.
            element[0] = VOID;
        }
        at = end;
    }
    renamed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_changed_in_its_place() {
        let mut head = b"\x1a\x45\xdf\xa3\x91\xbf\x84abcd\x42\x82\x88matroska".to_vec();
        rename(&mut head, 5).unwrap();
        assert_eq!(
            head,
            b"\x1a\x45\xdf\xa3\x91\xec\x84abcd\x42\x82\x84webm\xec\x82\0\0"
        );
        assert_eq!(rename(&mut b"\x1a\x45\xdf\xa3\x80".to_vec(), 5), None);
    }
}
