//! Which names may stand in a torrent. Names are refused, never repaired: a repaired name is another
//! file than the one that was hashed.

use unicode_normalization::UnicodeNormalization;

/// The longest name that every common file system takes, in bytes.
pub const MAX_NAME_BYTES: usize = 255;

/// What is wrong with a file or folder name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// No name at all.
    #[error("an empty name")]
    Empty,
    /// Not UTF-8.
    #[error("a name that is not UTF-8")]
    NotUtf8,
    /// `.` or `..`.
    #[error("the name `{0}` leads out of its folder")]
    Traversal(String),
    /// Holds a path separator of any system.
    #[error("the name {0:?} holds a path separator")]
    Separator(String),
    /// Holds a control character, NUL included.
    #[error("the name {0:?} holds a control character")]
    Control(String),
    /// Holds a character that reverses or hides text on the screen.
    #[error("the name {0:?} holds an invisible character that turns text around")]
    Bidi(String),
    /// Too long for common file systems.
    #[error("a name of {0} bytes, at most {MAX_NAME_BYTES} are allowed")]
    TooLong(usize),
    /// Means a device, or loses its end, on Windows.
    #[error("the name {0:?} can't exist on Windows")]
    Windows(String),
}

/// Checks one path component of a torrent from anywhere: what could leave its folder, break a log
/// line or be stored nowhere is refused.
pub fn check(name: &str) -> Result<(), BadName> {
    let shown = || name.chars().take(60).collect::<String>();
    match name {
        "" => return Err(BadName::Empty),
        "." | ".." => return Err(BadName::Traversal(name.into())),
        _ => {}
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(BadName::TooLong(name.len()));
    }
    if name.contains(['/', '\\']) {
        return Err(BadName::Separator(shown()));
    }
    if name.chars().any(char::is_control) {
        return Err(BadName::Control(shown()));
    }
    if name.chars().any(is_bidi_control) {
        return Err(BadName::Bidi(shown()));
    }
    Ok(())
}

/// Checks one path component of what we publish: clients on other systems must be able to make it.
/// Characters such as `?` or `:` are let through, since every client there replaces them.
pub fn check_published(name: &str) -> Result<(), BadName> {
    check(name)?;
    let stem = name.split('.').next().unwrap_or(name).to_ascii_uppercase();
    let device = matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL")
        || (stem.len() == 4
            && (stem.starts_with("COM") || stem.starts_with("LPT"))
            && stem.ends_with(|digit: char| digit.is_ascii_digit() && digit != '0'));
    let mut first = name.chars();
    let drive = first.next().is_some_and(|c| c.is_ascii_alphabetic()) && first.next() == Some(':');
    if device || drive || name.ends_with(['.', ' ']) {
        return Err(BadName::Windows(name.chars().take(60).collect()));
    }
    Ok(())
}

/// The form under which two names are the same on systems that fold case or normalise.
pub fn fold(name: &str) -> String {
    name.nfc().flat_map(char::to_lowercase).nfc().collect()
}

/// Whether a character reverses, isolates or hides text on the screen (Unicode's `Bidi_Control`).
pub fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_harm_are_refused_and_names_of_the_world_are_not() {
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "a\\b",
            "a\0b",
            "a\nb",
            "a\u{202e}4pm.exe",
            "\u{85}",
            &"x".repeat(256),
        ] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
        for good in [
            "a",
            "...",
            " x",
            "Straße",
            "映画.mp4",
            "فيلم",
            "<b>&\"'",
            "CON",
            "a:b",
            "x.",
        ] {
            assert_eq!(check(good), Ok(()), "{good:?}");
        }
        for bad in ["CON", "nul.txt", "com1.mp4", "LPT9", "c:b", "x.", "x "] {
            assert!(check_published(bad).is_err(), "{bad:?}");
        }
        for good in [
            "COM0",
            "conman.mp4",
            "a'b & c.mp4",
            "映画.mp4",
            "Part 2: who?.mp4",
            "<b>.mp4",
        ] {
            assert_eq!(check_published(good), Ok(()), "{good:?}");
        }
    }

    #[test]
    fn names_that_differ_by_case_or_normalisation_fold_together() {
        assert_eq!(fold("Café"), fold("CAFE\u{301}"));
        assert_ne!(fold("cafe"), fold("café"));
    }
}
