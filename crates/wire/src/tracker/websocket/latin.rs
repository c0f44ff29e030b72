//! Twenty bytes as twenty characters: how JSON carries an info-hash. Nothing else is known here.

/// The bytes of a string that has exactly twenty characters, each below U+0100.
pub(super) fn bytes(text: &str) -> Option<[u8; 20]> {
    let mut bytes = [0; 20];
    let mut chars = text.chars();
    for byte in &mut bytes {
        *byte = u8::try_from(chars.next()?).ok()?;
    }
    chars.next().is_none().then_some(bytes)
}

/// Appends the bytes as a JSON string, with its quotes.
pub(super) fn write(out: &mut Vec<u8>, bytes: &[u8; 20]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    // Twenty escapes of six bytes and two quotes at most.
    let mut text = [0; 122];
    let mut length = 0;
    let mut push = |part: &[u8]| {
        text[length..length + part.len()].copy_from_slice(part);
        length += part.len();
    };
    push(b"\"");
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => push(&[b'\\', byte]),
            0..0x20 => {
                let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
                push(&[b'\\', b'u', b'0', b'0', high, low]);
            }
            0x20..0x80 => push(&[byte]),
            // Two bytes of UTF-8.
            0x80.. => push(&[0xc0 | byte >> 6, 0x80 | byte & 0x3f]),
        }
    }
    push(b"\"");
    out.extend_from_slice(&text[..length]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn twenty_characters_and_no_others() {
        assert_eq!(
            bytes("\u{0}\u{1}\u{7f}\u{80}\u{ff}abcdefghijklmno").map(|b| b[..5].to_vec()),
            Some(vec![0, 1, 0x7f, 0x80, 0xff])
        );
        for bad in [
            "",
            "abcdefghijklmnopqrs",
            "abcdefghijklmnopqrstu",
            "abcdefghijklmnopqrs\u{100}",
            // Twenty bytes, nineteen characters.
            "abcdefghijklmnopqr\u{e9}",
        ] {
            assert_eq!(bytes(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_survive(id: [u8; 20]) {
            let mut out = Vec::new();
            write(&mut out, &id);
            let text: String = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(bytes(&text), Some(id));
        }
    }
}
