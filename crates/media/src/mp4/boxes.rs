//! Boxes (ISO/IEC 14496-12 §4.2), QuickTime's atoms: a size, a kind, a body. Within a body that is in memory
//! they are read in place; the few functions that write them serve everything that is written anew.
//!
//! A reader of our own rather than a crate's: QuickTime's old forms, tables that are read where they lie, and
//! the byte-identical rewriting need the bytes themselves, and a stranger's sizes must not allocate.

use super::bytes::Bytes;

/// Four bytes that name a box.
pub(crate) type Kind = [u8; 4];

/// A box inside a body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Child<'a> {
    pub kind: Kind,
    /// What follows the header.
    pub body: &'a [u8],
    /// The header too.
    pub whole: &'a [u8],
}

/// The boxes in a body, in order. Ends at the first that can't be one: some writers leave a few zero bytes.
pub(crate) fn children(body: &[u8]) -> impl Iterator<Item = Child<'_>> {
    let mut rest = body;
    std::iter::from_fn(move || {
        let (child, after) = split(rest)?;
        rest = after;
        Some(child)
    })
}

/// The first box of a body and what follows it.
pub(crate) fn split(body: &[u8]) -> Option<(Child<'_>, &[u8])> {
    let mut header = Bytes(body);
    let short = header.u32()?;
    let kind = header.kind()?;
    let size = match short {
        0 if kind == [0; 4] => return None,
        0 => body.len() as u64,
        1 => header.u64()?,
        short => u64::from(short),
    };
    let header_length = body.len() - header.0.len();
    let size = usize::try_from(size)
        .ok()
        .filter(|size| *size >= header_length)?;
    let (whole, after) = body.split_at_checked(size)?;
    Some((
        Child {
            kind,
            body: &whole[header_length..],
            whole,
        },
        after,
    ))
}

/// The body of the first box of this kind.
pub(crate) fn find<'a>(body: &'a [u8], kind: &Kind) -> Option<&'a [u8]> {
    children(body)
        .find(|child| child.kind == *kind)
        .map(|child| child.body)
}

/// The body of the box that this path of kinds leads to, by the first of each.
pub(crate) fn descend<'a>(body: &'a [u8], path: &[&Kind]) -> Option<&'a [u8]> {
    path.iter().try_fold(body, |body, kind| find(body, kind))
}

/// A box made of parts. One of 4 GiB or more gets the long header.
pub(crate) fn make(kind: &Kind, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut made = Vec::with_capacity(length + 16);
    if let Ok(size) = u32::try_from(length as u64 + 8) {
        made.extend(size.to_be_bytes());
        made.extend(kind);
    } else {
        made.extend(1_u32.to_be_bytes());
        made.extend(kind);
        made.extend((length as u64 + 16).to_be_bytes());
    }
    for part in parts {
        made.extend(*part);
    }
    made
}

/// A box with version and flags.
pub(crate) fn make_full(kind: &Kind, version: u8, flags: u32, parts: &[&[u8]]) -> Vec<u8> {
    let head = (u32::from(version) << 24 | flags & 0x00ff_ffff).to_be_bytes();
    let mut all = vec![&head[..]];
    all.extend(parts);
    make(kind, &all)
}

/// A kind as people read it: its letters, or its bytes in hexadecimal digits.
pub(crate) fn name(kind: Kind) -> String {
    if kind
        .iter()
        .all(|byte| byte.is_ascii_graphic() || *byte == b' ')
    {
        kind.iter()
            .map(|byte| char::from(*byte))
            .collect::<String>()
            .trim_end()
            .to_owned()
    } else {
        format!("0x{:08x}", u32::from_be_bytes(kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_found_in_order_and_by_path() {
        let inner = make(b"inne", &[b"x"]);
        let body = [make(b"free", &[]), make(b"oute", &[&inner]), vec![0, 0, 0]].concat();
        let kinds: Vec<Kind> = children(&body).map(|child| child.kind).collect();
        assert_eq!(kinds, [*b"free", *b"oute"]);
        assert_eq!(descend(&body, &[b"oute", b"inne"]), Some(&b"x"[..]));
        assert_eq!(descend(&body, &[b"oute", b"none"]), None);
    }

    #[test]
    fn sizes_that_cannot_be_end_the_row() {
        assert!(split(&[0, 0, 0, 7, b'a', b'b', b'c', b'd']).is_none());
        assert!(split(&[0, 0, 0, 9, b'a', b'b', b'c', b'd']).is_none());
        assert!(
            split(&[
                0, 0, 0, 1, b'a', b'b', b'c', b'd', 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0
            ])
            .is_none()
        );
        let (rest, after) = split(&[0, 0, 0, 0, b'a', b'b', b'c', b'd', 1, 2]).unwrap();
        assert_eq!((rest.body, after), (&[1, 2][..], &[][..]));
        let (long, _) = split(&[
            0, 0, 0, 1, b'a', b'b', b'c', b'd', 0, 0, 0, 0, 0, 0, 0, 17, 5,
        ])
        .unwrap();
        assert_eq!(long.body, [5]);
    }
}
