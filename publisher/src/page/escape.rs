//! The one place where hostile text becomes harmless: for HTML and XML (text and quoted attributes) and
//! for JSON inside a `<script>` element.
//!
//! Tera calls `write_escaped` for every value a template prints from an `.html` or `.xml` file.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;

/// Whether a character may appear in a page at all.
///
/// Characters outside XML 1.0 would make a feed unreadable as a whole. Bidirectional embeddings,
/// overrides and isolates let one title reorder what stands after it, or dress `exe.` up as `.txt`;
/// right-to-left titles don't need them, the elements around them carry `dir="auto"`.
fn is_allowed(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' => true,
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' => false,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => false,
        // Also the non-characters at the end of each plane.
        _ => (c as u32) & 0xfffe != 0xfffe,
    }
}

/// The text without characters that no page or feed may carry: controls, what XML 1.0 forbids, and
/// characters that reorder the text around them.
pub fn clean(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_allowed) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.chars().filter(|c| is_allowed(*c)).collect())
    }
}

/// Writes text so that it is text in HTML and XML, in elements and in quoted attributes.
pub(crate) fn write_escaped(text: &str, out: &mut dyn Write) -> io::Result<()> {
    let mut rest = text;
    while let Some((at, c)) = rest.char_indices().find(|(_, c)| is_special(*c)) {
        out.write_all(&rest.as_bytes()[..at])?;
        out.write_all(match c {
            '&' => b"&amp;",
            '<' => b"&lt;",
            '>' => b"&gt;",
            '"' => b"&quot;",
            '\'' => b"&#39;",
            _ => b"",
        })?;
        rest = &rest[at + c.len_utf8()..];
    }
    out.write_all(rest.as_bytes())
}

fn is_special(c: char) -> bool {
    matches!(c, '&' | '<' | '>' | '"' | '\'') || !is_allowed(c)
}

/// Text as it stands in HTML and XML, in elements and in quoted attributes; for what is drawn without a
/// template.
pub fn escaped(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 16);
    write_escaped(text, &mut out).expect("writing to memory");
    String::from_utf8(out).expect("cut at character borders only")
}

/// JSON that can stand inside `<script type="application/json">`: `<`, `>` and `&` can neither close the
/// element nor open a comment in it, U+2028/9 don't end a line for older JavaScript parsers, and what no
/// page may carry is written as an escape.
///
/// # Errors
/// When the value can't be written as JSON (a map whose keys aren't text, say).
pub fn script_json<T: Serialize + ?Sized>(value: &T) -> Result<String, serde_json::Error> {
    let json = serde_json::to_string(value)?;
    let mut out = String::with_capacity(json.len() + 16);
    // Such characters stand only inside JSON strings, where the escape means the same character.
    for c in json.chars() {
        if matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}') || !is_allowed(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_becomes_text() {
        assert_eq!(
            escaped("</script><script>alert(1)</script>"),
            "&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;"
        );
        assert_eq!(
            escaped("\" onload='x' &amp;"),
            "&quot; onload=&#39;x&#39; &amp;amp;"
        );
        assert_eq!(escaped("plain é 日本 🎸"), "plain é 日本 🎸");
    }

    #[test]
    fn forbidden_characters_are_dropped() {
        assert_eq!(escaped("a\0b\u{b}c\u{1b}[0m\u{7f}\u{85}d"), "abc[0md");
        assert_eq!(escaped("x\u{fffe}\u{ffff}\u{1ffff}y"), "xy");
        assert_eq!(escaped("photo\u{202e}gpj.exe\u{2066}"), "photogpj.exe");
        assert_eq!(escaped("two\nlines\tand a tab"), "two\nlines\tand a tab");
        // Marks that right-to-left and joined scripts need stay.
        assert_eq!(escaped("\u{200f}עברית\u{200d}"), "\u{200f}עברית\u{200d}");
        assert!(matches!(clean("all fine"), Cow::Borrowed(_)));
        assert_eq!(clean("a\u{0}b"), "ab");
    }

    #[test]
    fn json_cannot_leave_its_element() {
        let hostile = "</script><!--<script>&amp;\u{2028}\u{2029}\"\\\u{0}\u{202e}\u{1ffff}";
        let json = script_json(&[hostile]).unwrap();
        assert!(
            !json.contains(['<', '>', '&', '\u{2028}', '\u{2029}', '\0', '\u{202e}']),
            "{json}"
        );
        let back: Vec<String> = serde_json::from_str(&json).unwrap();
        assert_eq!(back, [hostile]);
    }
}
