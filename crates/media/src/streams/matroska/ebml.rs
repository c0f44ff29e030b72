//! EBML (RFC 8794): elements and their values.

use crate::model::ProbeError;
use crate::streams::window::Window;
use std::io;

/// Where an element lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) id: u32,
    /// Where its header begins.
    pub(crate) at: u64,
    /// Where its payload begins.
    pub(crate) data: u64,
    /// Bytes of payload; `None` where it lasts until something begins that can't lie in it.
    pub(crate) size: Option<u64>,
}

impl Element {
    /// Where the payload ends by the element's own account, or where its parent ends.
    pub(crate) fn end(&self, parent: u64) -> u64 {
        self.size
            .map_or(parent, |size| self.data.saturating_add(size))
    }
}

/// The element at this place; `None` where no valid header is, or less than a header is left.
pub(crate) fn element(window: &mut Window<'_>, at: u64) -> io::Result<Option<Element>> {
    let header = window.get(at, 12)?;
    Ok(parse(header).map(|(id, size, length)| Element {
        id,
        at,
        data: at + length as u64,
        size,
    }))
}

/// Identifier, size of the payload, length of the header.
pub(crate) fn parse(header: &[u8]) -> Option<(u32, Option<u64>, usize)> {
    let id_length = header.first()?.leading_zeros() as usize + 1;
    if id_length > 4 {
        return None;
    }
    let id = header
        .get(..id_length)?
        .iter()
        .fold(0, |id, byte| id << 8 | u32::from(*byte));
    let (size, size_length) = number(&header[id_length..])?;
    Some((id, size, id_length + size_length))
}

/// A number of variable length, its marker taken off, and how many bytes it took. All ones mean "unknown".
pub(crate) fn number(bytes: &[u8]) -> Option<(Option<u64>, usize)> {
    let first = *bytes.first()?;
    let length = first.leading_zeros() as usize + 1;
    if length > 8 {
        return None;
    }
    let raw = bytes
        .get(..length)?
        .iter()
        .fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    let mask = (1_u64 << (7 * length)) - 1;
    let value = raw & mask;
    Some(((value != mask).then_some(value), length))
}

/// Values are read whole where they have a meaning; what is larger than this has none.
const LARGEST_VALUE: u64 = 4 << 20;

/// An element's payload, at most 4 MiB of it.
pub(crate) fn bytes(window: &mut Window<'_>, element: &Element) -> Result<Vec<u8>, ProbeError> {
    let size = element.size.unwrap_or(0);
    if size > window.length().saturating_sub(element.data) {
        return Err(ProbeError::Truncated(
            "it ends in the middle of its header".into(),
        ));
    }
    if size > LARGEST_VALUE {
        return Err(ProbeError::Malformed(
            "a value in its header is too large".into(),
        ));
    }
    let size = usize::try_from(size).unwrap_or(0);
    Ok(window.get(element.data, size)?.to_vec())
}

pub(crate) fn unsigned(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .take(8)
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// A number with a fraction, where it is one and finite.
pub(crate) fn float(bytes: &[u8]) -> Option<f64> {
    let value = match bytes.len() {
        0 => 0.0,
        4 => f64::from(f32::from_be_bytes(bytes.try_into().ok()?)),
        8 => f64::from_be_bytes(bytes.try_into().ok()?),
        _ => return None,
    };
    value.is_finite().then_some(value)
}

/// Text up to the first zero.
pub(crate) fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read() {
        let check = |bytes: &[u8], expected| assert_eq!(parse(bytes), expected, "{bytes:x?}");
        check(&[0xec, 0x81, 0], Some((0xec, Some(1), 2)));
        check(
            &[0x1a, 0x45, 0xdf, 0xa3, 0x9f],
            Some((0x1a45_dfa3, Some(31), 5)),
        );
        check(&[0xec, 0x40, 0x02], Some((0xec, Some(2), 3)));
        check(&[0xec, 0xff], Some((0xec, None, 2)));
        let live = [0x18, 0x53, 0x80, 0x67, 1, 255, 255, 255, 255, 255, 255, 255];
        check(&live, Some((0x1853_8067, None, 12)));
        check(&[0xec], None);
        check(&[0x08, 0, 0, 0, 0x81], None);
        check(&[0xec, 0], None);
    }

    #[test]
    fn values_are_read() {
        assert_eq!(unsigned(&[1, 0]), 256);
        assert_eq!(float(&1.5_f32.to_be_bytes()), Some(1.5));
        assert_eq!(float(&f64::NAN.to_be_bytes()), None);
        assert_eq!(float(&[0; 3]), None);
        assert_eq!(text(b"ab\0c"), "ab");
    }
}
