//! Names of files and what URLs make of them.

use metainfo::name;
use publisher::slug::{self, Slugs};
use std::collections::BTreeSet;
use std::path::{Component, Path};

/// A name that is let through is one component of a path and nothing else; a slug stays what it is.
pub fn names(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if name::check(&text).is_ok() {
        let components: Vec<_> = Path::new(text.as_ref()).components().collect();
        assert_eq!(
            components,
            [Component::Normal(text.as_ref().as_ref())],
            "stays in its folder"
        );
        assert!(text.len() <= name::MAX_NAME_BYTES);
        assert!(!text.contains(['\0', '\n', '\r', '\u{1b}', '\u{202e}']));
    } else {
        assert!(name::check_published(&text).is_err(), "ours are fewer");
    }
    assert_eq!(name::fold(&text), name::fold(&name::fold(&text)), "folded");

    let slug = slug::of(&text);
    assert!((1..=80).contains(&slug.len()));
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    assert!(slug.bytes().all(plain), "{slug:?}");
    assert!(!slug.starts_with('-') && !slug.ends_with('-') && !slug.contains("--"));
    assert_eq!(slug::of(&slug), slug, "a slug is its own slug");
    let mut slugs = Slugs::default();
    let given = ["a", "b", "c"].map(|source| slugs.give(source, None, None, &text));
    let given: BTreeSet<_> = given
        .into_iter()
        .map(|slug| slug.expect("nobody asked"))
        .collect();
    assert_eq!(given.len(), 3, "each release has its own");
    assert!(given.contains(&slug) && given.iter().all(|given| given.bytes().all(plain)));
}
