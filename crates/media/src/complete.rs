//! Whether a file is whole, by its own account: what a watched folder asks before it publishes.
//!
//! Media are asked through their readers; pictures, archives and documents, which come as downloads, by their
//! ends. Little is read, so that a "yes" means that the structure ends where the file ends, not that every byte
//! between is right.

use crate::read::ReadAt;
use crate::streams::window::Window;
use crate::{mp4, streams};
use std::io;

/// Whether a file is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Complete {
    /// Its container ends where the file ends.
    Yes,
    /// It can't be whole, and why, as a clause for people.
    No(String),
    /// Files of this kind don't say.
    Unknown,
}

/// Reads as little as tells.
///
/// A file that begins with 4 KiB of zeros is judged by what else is there, since programs that fetch files in
/// any order, or reserve room first, leave zeros where nothing has arrived, while images of discs begin with
/// zeros by design: optical ones are known by their descriptors at 32 KiB, and whole if these say so; those of
/// Btrfs by their magic number at 64 KiB, `Unknown`. Anything else counts as not filled yet: archives, media and
/// documents all have something to say in their first page.
pub fn complete(source: &dyn ReadAt) -> Complete {
    ask(source).unwrap_or(Complete::Unknown)
}

/// One page.
const PAGE: usize = 4 << 10;

fn ask(source: &dyn ReadAt) -> io::Result<Complete> {
    if source.length() == 0 {
        return Ok(no("it is empty"));
    }
    let head = streams::head(source, PAGE)?;
    if mp4::begins(&head) {
        return Ok(mp4::complete(source));
    }
    let mut file = Window::new(source, PAGE);
    match head.as_slice() {
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => zip(&mut file),
        head if head.starts_with(b"\xfd7zXZ\0") => xz(&mut file),
        head if head.starts_with(b"7z\xbc\xaf\x27\x1c") => seven_zip(&mut file),
        head if head.starts_with(b"%PDF-") => pdf(&mut file),
        head if head.starts_with(b"\x89PNG\r\n\x1a\n") => png(&mut file),
        head if head.starts_with(b"\xff\xd8\xff") => jpeg(&mut file),
        head if head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP") => {
            Ok(streams::complete_riff(source))
        }
        head => match optical_disc(&mut file)? {
            Some(told) => Ok(told),
            None if head.len() == PAGE && head.iter().all(|byte| *byte == 0) => zeros(&mut file),
            None => Ok(streams::complete(source).unwrap_or(Complete::Unknown)),
        },
    }
}

fn no(why: &str) -> Complete {
    Complete::No(why.into())
}

/// Yes where this holds.
fn yes_if(whole: bool, else_why: &str) -> Complete {
    if whole { Complete::Yes } else { no(else_why) }
}

fn number(bytes: &[u8], at: usize, count: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(count)?)?.iter().rev();
    Some(field.fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

fn zeros(file: &mut Window<'_>) -> io::Result<Complete> {
    const BTRFS: u64 = 0x1_0040;
    if file.get(BTRFS, 8)? == b"_BHRfS_M" {
        return Ok(Complete::Unknown);
    }
    Ok(no(
        "it begins with zeros, as a file does that is still being filled",
    ))
}

/// ISO 9660 (ECMA-119, 8.4): the volume's size stands in its descriptor.
fn optical_disc(file: &mut Window<'_>) -> io::Result<Option<Complete>> {
    const FIRST_DESCRIPTOR: u64 = 32 << 10;
    let length = file.length();
    let descriptor = file.get(FIRST_DESCRIPTOR, 2048)?;
    match descriptor.get(1..6) {
        Some(b"CD001") => {}
        // UDF alone doesn't tell in one place.
        Some(b"BEA01" | b"NSR02" | b"NSR03") => return Ok(Some(Complete::Unknown)),
        _ => return Ok(None),
    }
    const PRIMARY: u8 = 1;
    if descriptor[0] != PRIMARY {
        return Ok(Some(Complete::Unknown));
    }
    let told = number(descriptor, 80, 4).zip(number(descriptor, 128, 2));
    let whole = told.is_some_and(|(blocks, size)| blocks * size <= length);
    Ok(Some(yes_if(
        whole,
        "it is shorter than the disc it is the image of",
    )))
}

/// The record that ends a zip file and the directory it points to (PKWARE, APPNOTE.TXT 4.3.16).
fn zip(file: &mut Window<'_>) -> io::Result<Complete> {
    const RECORD: usize = 22;
    const LONGEST: u64 = (RECORD + 0xffff) as u64;
    const ELSEWHERE: u64 = 0xffff_ffff;
    let length = file.length();
    let from = length.saturating_sub(LONGEST);
    let tail = file.get(from, LONGEST as usize)?.to_vec();
    for at in (0..tail.len().saturating_sub(RECORD - 1)).rev() {
        let record = &tail[at..];
        if !record.starts_with(b"PK\x05\x06") {
            continue;
        }
        let comment = number(record, 20, 2).unwrap_or(0);
        let (Some(size), Some(offset)) = (number(record, 12, 4), number(record, 16, 4)) else {
            continue;
        };
        if comment > (record.len() - RECORD) as u64 {
            continue;
        }
        let position = from + at as u64;
        if offset == ELSEWHERE || size == ELSEWHERE {
            return zip64(file, position);
        }
        if size + offset <= position {
            return Ok(Complete::Yes);
        }
    }
    Ok(no("its directory at the end is missing"))
}

/// The locator in front of the record, and the larger record that it points to (4.3.14, 4.3.15).
fn zip64(file: &mut Window<'_>, record: u64) -> io::Result<Complete> {
    const MISSING: &str = "its directory at the end doesn't fit";
    let Some(locator) = record.checked_sub(20) else {
        return Ok(no(MISSING));
    };
    let bytes = file.get(locator, 20)?;
    let larger = number(bytes, 8, 8).filter(|_| bytes.starts_with(b"PK\x06\x07"));
    let Some(larger) = larger.filter(|larger| *larger < locator) else {
        return Ok(no(MISSING));
    };
    let bytes = file.get(larger, 56)?;
    let directory = number(bytes, 40, 8).zip(number(bytes, 48, 8));
    let end = directory.and_then(|(size, offset)| size.checked_add(offset));
    let fits = end.is_some_and(|end| end <= larger) && bytes.starts_with(b"PK\x06\x06");
    Ok(yes_if(fits, MISSING))
}

/// The footer, and the index in front of it (the .xz file format, 2.1.2 and 4).
fn xz(file: &mut Window<'_>) -> io::Result<Complete> {
    const MISSING: &str = "its end is missing";
    const FOOTER: u64 = 12;
    let length = file.length();
    // Padding: zeros in groups of four.
    const PADDING: u64 = 4 << 10;
    let from = length.saturating_sub(PADDING);
    let tail = file.get(from, PADDING as usize)?;
    let used = tail
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    let end = from + used as u64;
    if !length.is_multiple_of(4) || !end.is_multiple_of(4) || end < 2 * FOOTER {
        return Ok(no(MISSING));
    }
    let flags = file.get(6, 2)?.to_vec();
    let footer = file.get(end - FOOTER, 12)?.to_vec();
    let backward = number(&footer, 4, 4).map_or(0, |size| (size + 1) * 4);
    let Some(index) = (end - FOOTER).checked_sub(backward) else {
        return Ok(no(MISSING));
    };
    let whole =
        footer.ends_with(b"YZ") && footer.get(8..10) == Some(&flags) && file.get(index, 1)? == [0];
    Ok(yes_if(whole, MISSING))
}

/// The signature header says where the last header ends (7-Zip, 7zFormat.txt).
fn seven_zip(file: &mut Window<'_>) -> io::Result<Complete> {
    const HEADER: u64 = 32;
    let length = file.length();
    let header = file.get(0, HEADER as usize)?;
    let told = number(header, 12, 8).zip(number(header, 20, 8));
    let end = told.and_then(|(offset, size)| HEADER.checked_add(offset)?.checked_add(size));
    // While an archive is made the fields hold nought.
    let whole = end.is_some_and(|end| end <= length && (end > HEADER || length == HEADER));
    Ok(yes_if(whole, "its index at the end is missing"))
}

/// The marker that ends a PDF stands in its last kilobyte (ISO 32000-1, Annex H, note 18).
fn pdf(file: &mut Window<'_>) -> io::Result<Complete> {
    const TAIL: u64 = 1024;
    let from = file.length().saturating_sub(TAIL);
    let tail = file.get(from, TAIL as usize)?;
    let marked = tail.windows(5).any(|bytes| bytes == b"%%EOF");
    Ok(yes_if(marked, "its end is missing"))
}

/// Chunks up to the one that ends a PNG.
fn png(file: &mut Window<'_>) -> io::Result<Complete> {
    const MISSING: &str = "the picture's end is missing";
    const MOST_CHUNKS: usize = 100_000;
    let length = file.length();
    let mut at = 8_u64;
    for _ in 0..MOST_CHUNKS {
        let Some([a, b, c, d, kind @ ..]) = file.array::<8>(at)? else {
            return Ok(no(MISSING));
        };
        at += 12 + u64::from(u32::from_be_bytes([a, b, c, d]));
        if at > length {
            return Ok(no(MISSING));
        }
        if &kind == b"IEND" {
            return Ok(Complete::Yes);
        }
    }
    Ok(Complete::Unknown)
}

/// The marker that ends a JPEG, behind where its picture begins: a small picture inside has its own.
fn jpeg(file: &mut Window<'_>) -> io::Result<Complete> {
    const MISSING: &str = "the picture's end is missing";
    const MOST_SEGMENTS: usize = 10_000;
    const START_OF_SCAN: u8 = 0xda;
    let length = file.length();
    let mut at = 2_u64;
    for _ in 0..MOST_SEGMENTS {
        let Some([0xff, marker, high, low]) = file.array::<4>(at)? else {
            return Ok(if at.saturating_add(4) > length {
                no(MISSING)
            } else {
                Complete::Unknown
            });
        };
        if marker == START_OF_SCAN {
            return scan(file, at);
        }
        at += 2 + u64::from(u16::from_be_bytes([high, low]));
    }
    Ok(Complete::Unknown)
}

/// Looks for the end from a scan on.
fn scan(file: &mut Window<'_>, from: u64) -> io::Result<Complete> {
    const PIECE: usize = 64 << 10;
    /// Nobody's picture is larger.
    const FARTHEST: u64 = 256 << 20;
    let mut at = from;
    while at < file.length() && at - from < FARTHEST {
        let piece = file.get(at, PIECE)?;
        if piece.windows(2).any(|bytes| bytes == [0xff, 0xd9]) {
            return Ok(Complete::Yes);
        }
        // The marker may lie across two pieces.
        at += (piece.len() - 1).max(1) as u64;
    }
    Ok(if at >= file.length() {
        no("the picture's end is missing")
    } else {
        Complete::Unknown
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut_off(bytes: &[u8]) -> bool {
        matches!(complete(&bytes.to_vec()), Complete::No(_))
    }

    /// What is whole, and each of its cuts that must be told.
    fn check(whole: &[u8], cuts: impl IntoIterator<Item = usize>) {
        assert_eq!(complete(&whole.to_vec()), Complete::Yes);
        for cut in cuts {
            assert!(cut_off(&whole[..cut]), "{cut} of {}", whole.len());
        }
    }

    #[test]
    fn empty_files_are_not_whole() {
        assert_eq!(complete(&Vec::new()), no("it is empty"));
        assert_eq!(complete(&b"text".to_vec()), Complete::Unknown);
    }

    #[test]
    fn zip_files_end_with_their_directory() {
        // One stored file `a` with the text `hi`, as Info-ZIP packs it, without extra fields.
        let mut zip =
            b"PK\x03\x04\x0a\0\0\0\0\0\0\0\0\0\xac\x2a\x93\xd8\x02\0\0\0\x02\0\0\0\x01\0\0\0ahi"
                .to_vec();
        let directory = zip.len() as u32;
        zip.extend(b"PK\x01\x02\x1e\x03\x0a\0\0\0\0\0\0\0\0\0\xac\x2a\x93\xd8\x02\0\0\0\x02\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\xa4\x81\0\0\0\0a");
        let size = zip.len() as u32 - directory;
        zip.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
        zip.extend(size.to_le_bytes());
        zip.extend(directory.to_le_bytes());
        zip.extend([0, 0]);
        check(&zip, 4..zip.len());
        let comment = [&zip[..zip.len() - 2], &[3, 0], b"abc"].concat();
        check(&comment, [comment.len() - 1]);
    }

    #[test]
    fn xz_files_end_with_their_footer() {
        // `xz` of nothing.
        let xz = b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46\0\0\0\0\x1c\xdf\x44\x21\x1f\xb6\xf3\x7d\x01\0\0\0\0\x04YZ";
        check(xz, 6..xz.len());
        check(&[xz, &[0; 8][..]].concat(), []);
    }

    #[test]
    fn seven_zip_files_end_where_they_say() {
        let mut archive = b"7z\xbc\xaf\x27\x1c\0\x04crc.".to_vec();
        archive.extend(3_u64.to_le_bytes());
        archive.extend(2_u64.to_le_bytes());
        archive.extend(b"crc.ABCde");
        check(&archive, [20, 32, archive.len() - 1]);
        let unfinished = [&b"7z\xbc\xaf\x27\x1c\0\x04"[..], &[0; 24], b"data"].concat();
        assert!(cut_off(&unfinished));
    }

    #[test]
    fn documents_and_pictures_have_ends() {
        check(b"%PDF-1.4\n...\n%%EOF\n", [9, 15]);
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\x02IDATxxcrc.\0\0\0\0IEND\xae\x42\x60\x82";
        check(png, 8..png.len());
        // A small picture in a segment of its own, then the picture.
        let jpeg = b"\xff\xd8\xff\xe1\0\x04\xff\xd9\xff\xda\0\x02abc\xff\xd9";
        check(jpeg, 3..jpeg.len());
        let webp = b"RIFF\x06\0\0\0WEBPVP";
        check(webp, [12, 13]);
    }

    #[test]
    fn images_of_discs_begin_with_zeros_and_other_files_do_not() {
        let mut disc = vec![0; 40 << 10];
        disc[0x8000..0x8006].copy_from_slice(b"\x01CD001");
        disc[0x8000 + 80] = 20;
        disc[0x8000 + 129] = 8;
        check(&disc, [39 << 10]);
        disc[0x8000..0x8006].fill(0);
        assert!(cut_off(&disc));
        assert_eq!(complete(&vec![0; 100]), Complete::Unknown);
    }

    proptest! {
        #[test]
        fn whatever_begins_like_something_is_judged(
            magic in prop::sample::select(vec![
                &b"PK\x03\x04"[..], b"PK\x05\x06", b"\xfd7zXZ\0", b"7z\xbc\xaf\x27\x1c", b"%PDF-", b"\x89PNG\r\n\x1a\n",
                b"\xff\xd8\xff", b"RIFF", b"OggS", b"\x1a\x45\xdf\xa3", b"G", b"",
            ]),
            bytes in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            complete(&[magic, &bytes].concat());
        }
    }
}
