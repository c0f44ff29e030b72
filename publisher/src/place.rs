//! Text files as people save them: their encoding, and where in them something is wrong.

use std::fmt;

/// What is wrong with a text, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {reason}")]
pub struct TextError {
    /// Where.
    pub place: Place,
    /// Why, for people.
    pub reason: String,
}

/// A place in a file, as editors count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl Place {
    /// The place of a byte; beyond the text's end, its end.
    pub fn of(text: &str, byte: usize) -> Self {
        let mut at = byte.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let before = &text[..at];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    /// The same place where this many lines stand before the text.
    pub fn below(self, lines: usize) -> Self {
        Self {
            line: self.line + lines,
            ..self
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// The text of a file in UTF-8, or in UTF-16 with a byte order mark. Anything else is refused: guessing
/// an encoding would put wrong letters on a page.
///
/// # Errors
/// Where the first byte stands that can't be read.
pub fn decode(bytes: &[u8]) -> Result<String, TextError> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.chunks(2).map(|pair| match pair {
            [a, b] => unit([*a, *b]),
            // Half a letter at the end: a surrogate, which alone is none.
            _ => 0xd800,
        });
        let mut text = String::with_capacity(bytes.len());
        for letter in char::decode_utf16(units) {
            text.push(letter.map_err(|_| TextError {
                place: Place::of(&text, text.len()),
                reason: "is not UTF-16; save the file as UTF-8".into(),
            })?);
        }
        Ok(text)
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        _ => std::str::from_utf8(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes))
            .map(str::to_owned)
            .map_err(|error| not_utf8(bytes, error.valid_up_to())),
    }
}

fn not_utf8(bytes: &[u8], at: usize) -> TextError {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let before = std::str::from_utf8(&bytes[..at]).expect("valid up to here");
    let byte = bytes[at];
    TextError {
        place: Place::of(before, at),
        reason: format!(
            "the byte 0x{byte:02x} is not UTF-8 (Latin-1 or Windows-1252?); save the file as UTF-8"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_told_by_their_marks() {
        for (bytes, expected) in [
            (&b"a\xc3\xa9"[..], Ok("aé")),
            (b"\xef\xbb\xbfa", Ok("a")),
            (b"\xff\xfea\0\xe9\0", Ok("aé")),
            (b"\xfe\xff\0a\0\xe9", Ok("aé")),
            (b"\xff\xfea\0b", Err("1:2: ")),
            (b"ok\ncaf\xe9", Err("2:4: the byte 0xe9 is not UTF-8")),
            (b"\xef\xbb\xbf\xff", Err("1:1: ")),
        ] {
            match (decode(bytes), expected) {
                (Ok(text), Ok(expected)) => assert_eq!(text, expected),
                (Err(error), Err(start)) => {
                    assert!(error.to_string().starts_with(start), "{error}");
                }
                (read, expected) => panic!("{bytes:?}: {read:?}, not {expected:?}"),
            }
        }
    }

    #[test]
    fn places_are_counted_as_editors_do() {
        let text = "é=1\r\nab\n";
        for (byte, expected) in [(0, "1:1"), (1, "1:1"), (2, "1:2"), (7, "2:2"), (99, "3:1")] {
            assert_eq!(Place::of(text, byte).to_string(), expected, "{byte}");
        }
        assert_eq!(Place::of(text, 0).below(2).to_string(), "3:1");
    }
}
