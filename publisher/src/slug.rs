//! A release's place in URLs: lower-case ASCII that stays the same for life.

use std::collections::BTreeSet;

/// The longest slug, in bytes.
const MAX_BYTES: usize = 80;

/// The slug of a title or file name in any script; `release` where nothing of it is left.
pub fn of(name: &str) -> String {
    let mut slug = String::new();
    for c in deunicode::deunicode_with_tofu(name, "-").chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.ends_with('-') && !slug.is_empty() && c != '\'' {
            slug.push('-');
        }
        if slug.len() >= MAX_BYTES {
            break;
        }
    }
    let slug = slug.trim_matches('-');
    if slug.is_empty() {
        "release".into()
    } else {
        slug.into()
    }
}

/// The first of `slug`, `slug-2`, `slug-3` … that is free.
pub fn distinct(slug: &str, taken: &BTreeSet<String>) -> String {
    std::iter::once(slug.to_owned())
        .chain((2u64..).map(|n| format!("{slug}-{n}")))
        .find(|candidate| !taken.contains(candidate))
        .unwrap_or_else(|| slug.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_world_become_addresses() {
        for (name, expected) in [
            ("Test Drive", "test-drive"),
            ("  --a__b.. ", "a-b"),
            ("Straße & Café", "strasse-cafe"),
            ("Don't stop", "dont-stop"),
            ("映画", "ying-hua"),
            ("???", "release"),
            ("<script>alert(1)</script>", "script-alert-1-script"),
            ("../../etc/passwd", "etc-passwd"),
        ] {
            assert_eq!(of(name), expected, "{name}");
            assert_eq!(of(expected), expected);
        }
        assert!(of(&"x".repeat(500)).len() <= MAX_BYTES);
    }

    #[test]
    fn a_taken_slug_is_numbered() {
        let taken = ["a", "a-2"].map(str::to_owned).into();
        assert_eq!(distinct("a", &taken), "a-3");
        assert_eq!(distinct("b", &taken), "b");
    }
}
