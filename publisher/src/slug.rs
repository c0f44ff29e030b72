//! A release's place in URLs: lower-case ASCII that stays the same for life.

use metainfo::state::State;
use std::collections::HashMap;

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

/// Who has which place in URLs.
#[derive(Debug, Default)]
pub struct Slugs {
    /// Source of the release that has it, or had it before it went.
    owners: HashMap<String, String>,
    /// Source of the release to which it leads now.
    former: HashMap<String, String>,
    /// The last number that was given behind a slug.
    numbers: HashMap<String, u64>,
}

impl Slugs {
    /// As the last run left them. Slugs of releases that are gone, or can't be read now, stay theirs.
    pub fn of(state: &State) -> Self {
        let mut slugs = Self::default();
        for release in &state.releases {
            let source = &release.source;
            slugs.owners.insert(release.slug.clone(), source.clone());
            let former = release.former.iter();
            slugs
                .former
                .extend(former.map(|slug| (slug.clone(), source.clone())));
        }
        slugs
    }

    /// A release goes by another name from now on; what was its own stays its own.
    pub fn rename(&mut self, from: &str, to: &str) {
        let all = self.owners.values_mut().chain(self.former.values_mut());
        for owner in all.filter(|owner| *owner == from) {
            to.clone_into(owner);
        }
    }

    /// Sets a slug aside for the release whose publisher asks for it, unless it is taken.
    pub fn reserve(&mut self, slug: &str, source: &str) {
        self.owners
            .entry(slug.to_owned())
            .or_insert_with(|| source.to_owned());
    }

    /// Whether a release has this slug, and not one that was renamed since.
    pub fn is_live(&self, slug: &str) -> bool {
        self.owners.contains_key(slug)
    }

    /// Gives a release its slug: `wanted` by its publisher, else the one it `had`, else its name made safe.
    ///
    /// # Errors
    /// The source of the release that has the slug that is wanted.
    pub fn give(
        &mut self,
        source: &str,
        wanted: Option<&str>,
        had: Option<&str>,
        name: &str,
    ) -> Result<String, String> {
        let slug = match wanted.or(had) {
            Some(slug) => slug.to_owned(),
            None => self.first_free(&of(name), source),
        };
        match self.owners.get(&slug) {
            Some(owner) if owner != source => Err(owner.clone()),
            _ => {
                self.owners.insert(slug.clone(), source.to_owned());
                Ok(slug)
            }
        }
    }

    /// The first of `slug`, `slug-2`, `slug-3` … that nobody else has or had.
    fn first_free(&mut self, slug: &str, source: &str) -> String {
        let Self {
            owners,
            former,
            numbers,
        } = self;
        let last = numbers.entry(slug.to_owned()).or_default();
        loop {
            *last += 1;
            let candidate = match *last {
                1 => slug.to_owned(),
                n => format!("{slug}-{n}"),
            };
            let of_another = |owner: Option<&String>| owner.is_some_and(|owner| owner != source);
            if !owners.contains_key(&candidate) && !of_another(former.get(&candidate)) {
                return candidate;
            }
        }
    }
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
        let mut slugs = Slugs::default();
        let give =
            |slugs: &mut Slugs, source: &str, wanted, had| slugs.give(source, wanted, had, "A!");
        assert_eq!(give(&mut slugs, "1", None, None).unwrap(), "a");
        assert_eq!(give(&mut slugs, "2", None, None).unwrap(), "a-2");
        assert_eq!(give(&mut slugs, "3", Some("a"), None).unwrap_err(), "1");
        assert_eq!(give(&mut slugs, "1", None, Some("a")).unwrap(), "a");
        slugs.reserve("a-3", "9");
        assert_eq!(give(&mut slugs, "4", None, None).unwrap(), "a-4");
        assert_eq!(give(&mut slugs, "9", Some("a-3"), None).unwrap(), "a-3");
    }

    #[test]
    fn a_former_slug_is_for_the_release_that_had_it_or_asks_for_it() {
        let mut slugs = Slugs::default();
        slugs.owners.insert("new".into(), "new.mp4".into());
        slugs.former.insert("old".into(), "new.mp4".into());
        assert_eq!(slugs.give("old.mp4", None, None, "old").unwrap(), "old-2");
        slugs.rename("new.mp4", "old.mov");
        assert_eq!(slugs.give("old.mov", None, None, "old").unwrap(), "old-3");
        let mut slugs = Slugs::default();
        slugs.former.insert("old".into(), "new.mp4".into());
        assert_eq!(slugs.give("new.mp4", None, None, "old").unwrap(), "old");
        assert!(slugs.is_live("old"));
        assert_eq!(slugs.give("x", Some("new"), None, "x").unwrap(), "new");
    }
}
