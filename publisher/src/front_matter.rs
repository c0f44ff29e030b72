//! The text beside a clip: optional TOML between `+++` lines, then Markdown. What it says overrides
//! what tags and file names say.

use crate::channel::{Link, LinkFile, P2p, Source};
use crate::error::SourceError;
use crate::place::Place;
use jiff::Timestamp;
use serde::Deserialize;
use std::path::Path;
use toml::Spanned;

/// What the publisher wrote of a release.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FrontMatter {
    /// Title.
    pub title: Option<String>,
    /// One or two sentences for lists and feeds.
    pub summary: Option<String>,
    /// Date of publication.
    pub published: Option<Timestamp>,
    /// When it goes live; not before.
    pub publish_at: Option<Timestamp>,
    /// Who took part.
    pub people: Vec<Person>,
    /// Tags.
    pub tags: Vec<String>,
    /// Licence.
    pub licence: Option<String>,
    /// BCP 47 tag where it differs from the channel's.
    pub language: Option<String>,
    /// Place in URLs.
    pub slug: Option<String>,
    /// Has a page, but stands in no list.
    pub unlisted: bool,
    /// Is not published at all.
    pub draft: bool,
    /// Chapters.
    pub chapters: Vec<Chapter>,
    /// Text for those who can't see the poster.
    pub poster_alt: Option<String>,
    /// When viewers exchange data, where it differs from the channel's.
    pub p2p: Option<P2p>,
    /// Heights of smaller versions, tallest first, in place of the channel's.
    pub renditions: Option<Vec<u32>>,
    /// Links that belong to it.
    pub links: Vec<Link>,
    /// Accent colour of its page, `#rrggbb`.
    pub accent: Option<String>,
    /// The Markdown that follows.
    pub text: String,
}

/// Somebody who took part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Name.
    pub name: String,
    /// What they did.
    pub role: Option<String>,
}

/// A chapter.
#[derive(Debug, Clone, PartialEq)]
pub struct Chapter {
    /// Start in seconds.
    pub start_s: f64,
    /// Title.
    pub title: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Head {
    title: Option<String>,
    summary: Option<String>,
    published: Option<Spanned<toml::Value>>,
    publish_at: Option<Spanned<toml::Value>>,
    people: Vec<PersonHead>,
    tags: Vec<String>,
    licence: Option<String>,
    license: Option<String>,
    language: Option<Spanned<String>>,
    slug: Option<Spanned<String>>,
    unlisted: bool,
    draft: bool,
    chapters: Vec<ChapterHead>,
    poster_alt: Option<String>,
    p2p: Option<P2p>,
    renditions: Option<Vec<Spanned<String>>>,
    links: Vec<LinkFile>,
    accent: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum PersonHead {
    Name(String),
    Full { name: String, role: Option<String> },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChapterHead {
    start: Spanned<toml::Value>,
    title: String,
}

/// Parses the text of a sidecar; `path` is for messages.
pub fn parse(text: &str, path: &Path) -> Result<FrontMatter, SourceError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let Some((head, body)) = split(text) else {
        return Err(SourceError::Value {
            path: path.to_owned(),
            place: Place { line: 1, column: 1 },
            key: "+++",
            reason: "the front matter is not closed by a line `+++`".into(),
        });
    };
    let source = Source {
        path,
        text: head,
        lines_before: 1,
    };
    let parsed: Head = toml::from_str(head)
        .map_err(|error| SourceError::toml(path, head, source.lines_before, &error))?;
    let date = |key: &'static str, value: Spanned<toml::Value>| {
        timestamp(value.get_ref()).ok_or_else(|| {
            let reason = format!(
                "`{}` is not a date like 2026-11-22 or 2026-11-22T18:00:00+01:00",
                value.get_ref()
            );
            source.wrong(key, &value, reason)
        })
    };
    let chapter = |chapter: ChapterHead| {
        let start_s = seconds(chapter.start.get_ref()).ok_or_else(|| {
            let reason = format!(
                "the start `{}` is not a time like \"1:05\"",
                chapter.start.get_ref()
            );
            source.wrong("chapters", &chapter.start, reason)
        })?;
        Ok(Chapter {
            start_s,
            title: chapter.title,
        })
    };
    let mut chapters = parsed
        .chapters
        .into_iter()
        .map(chapter)
        .collect::<Result<Vec<_>, _>>()?;
    chapters.sort_by(|a, b| a.start_s.total_cmp(&b.start_s));
    if let Some(slug) = &parsed.slug
        && *slug.get_ref() != crate::slug::of(slug.get_ref())
    {
        let reason = format!(
            "`{}` may hold only a-z, 0-9 and single `-`; `{}` would do",
            slug.get_ref(),
            crate::slug::of(slug.get_ref())
        );
        return Err(source.wrong("slug", slug, reason));
    }
    Ok(FrontMatter {
        title: parsed.title.filter(|title| !title.trim().is_empty()),
        summary: parsed.summary,
        published: parsed
            .published
            .map(|value| date("published", value))
            .transpose()?,
        publish_at: parsed
            .publish_at
            .map(|value| date("publish_at", value))
            .transpose()?,
        people: parsed.people.into_iter().map(Person::from).collect(),
        tags: parsed.tags,
        licence: parsed.licence.or(parsed.license),
        language: parsed
            .language
            .map(|language| source.language(language))
            .transpose()?,
        slug: parsed.slug.map(Spanned::into_inner),
        unlisted: parsed.unlisted,
        draft: parsed.draft,
        chapters,
        poster_alt: parsed.poster_alt,
        p2p: parsed.p2p,
        renditions: parsed
            .renditions
            .map(|names| source.renditions(&names))
            .transpose()?,
        links: source.links(parsed.links)?,
        accent: parsed
            .accent
            .map(|accent| source.colour("accent", accent))
            .transpose()?,
        text: body.trim().to_owned(),
    })
}

impl From<PersonHead> for Person {
    fn from(person: PersonHead) -> Self {
        match person {
            PersonHead::Name(name) => Self { name, role: None },
            PersonHead::Full { name, role } => Self { name, role },
        }
    }
}

/// A chapter's start: a clock's text or a number of seconds.
fn seconds(value: &toml::Value) -> Option<f64> {
    match value {
        toml::Value::String(text) => clock(text),
        toml::Value::Integer(seconds) => u32::try_from(*seconds).ok().map(f64::from),
        toml::Value::Float(seconds) => Some(*seconds).filter(|s| s.is_finite() && *s >= 0.0),
        _ => None,
    }
}

/// Head and body; a text that does not start with `+++` is all body. `None` where the head never ends.
fn split(text: &str) -> Option<(&str, &str)> {
    let Some(rest) = text.strip_prefix("+++").and_then(|rest| {
        rest.trim_start_matches([' ', '\t', '\r'])
            .strip_prefix('\n')
    }) else {
        return Some(("", text));
    };
    let mut at = 0;
    for line in rest.split_inclusive('\n') {
        if line.trim_end() == "+++" {
            return Some((&rest[..at], &rest[at + line.len()..]));
        }
        at += line.len();
    }
    None
}

/// A TOML date or datetime, or a text of one. A date alone means midnight UTC.
fn timestamp(value: &toml::Value) -> Option<Timestamp> {
    let text = match value {
        toml::Value::Datetime(datetime) => datetime.to_string(),
        toml::Value::String(text) => text.clone(),
        _ => return None,
    };
    let text = text.replacen(' ', "T", 1);
    text.parse().ok().or_else(|| {
        let datetime: jiff::civil::DateTime = text.parse().ok().or_else(|| {
            text.parse::<jiff::civil::Date>()
                .ok()
                .map(|date| date.at(0, 0, 0, 0))
        })?;
        datetime
            .to_zoned(jiff::tz::TimeZone::UTC)
            .ok()
            .map(|zoned| zoned.timestamp())
    })
}

/// `1:05`, `01:02:03.5` or plain seconds.
pub fn clock(text: &str) -> Option<f64> {
    let parts: Vec<&str> = text.trim().split(':').collect();
    if parts.len() > 3 {
        return None;
    }
    let mut seconds = 0.0;
    for (index, part) in parts.iter().enumerate() {
        let last = index + 1 == parts.len();
        let digits = part
            .bytes()
            .all(|b| b.is_ascii_digit() || (last && b == b'.'));
        if part.is_empty() || !digits {
            return None;
        }
        let number: f64 = part.parse().ok()?;
        if index > 0 && number >= 60.0 {
            return None;
        }
        seconds = seconds * 60.0 + number;
    }
    Some(seconds).filter(|seconds| seconds.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<FrontMatter, String> {
        parse(text, Path::new("clip.md")).map_err(|error| error.to_string())
    }

    #[test]
    fn head_and_text_are_told_apart() {
        let front = read(
            "+++\r\ntitle = \"A\"\npublished = 2026-11-22\npeople = [\"B\", { name = \"C\", role = \"host\" }]\n\
             chapters = [{ start = \"1:05\", title = \"two\" }, { start = 0, title = \"one\" }]\n+++\n\n# Hello\n",
        )
        .unwrap();
        assert_eq!(front.title.as_deref(), Some("A"));
        assert_eq!(front.published.unwrap().to_string(), "2026-11-22T00:00:00Z");
        assert_eq!(front.people.len(), 2);
        assert_eq!(
            front
                .chapters
                .iter()
                .map(|chapter| chapter.start_s)
                .collect::<Vec<_>>(),
            [0.0, 65.0]
        );
        assert_eq!(front.text, "# Hello");
        assert_eq!(read("just text").unwrap().text, "just text");
        assert_eq!(read("+++ no head").unwrap().text, "+++ no head");
    }

    #[test]
    fn a_release_may_differ_from_its_channel() {
        let front = read(
            "+++\npublish_at = 2026-12-24T18:00:00+01:00\np2p = \"off\"\nrenditions = []\n\
             accent = \"#C8102E\"\n[[links]]\ntitle = \"Shop\"\nurl = \"https://a.example/x;y,z\"\n+++",
        )
        .unwrap();
        assert_eq!(
            front.publish_at.unwrap().to_string(),
            "2026-12-24T17:00:00Z"
        );
        assert_eq!(
            (front.p2p, front.renditions),
            (Some(P2p::Off), Some(vec![]))
        );
        assert_eq!(front.accent.as_deref(), Some("#C8102E"));
        assert_eq!(front.links[0].url, "https://a.example/x;y,z");
    }

    #[test]
    fn dates_are_taken_in_every_form_of_toml() {
        for (text, expected) in [
            ("2026-11-22", "2026-11-22T00:00:00Z"),
            ("2026-11-22T10:00:00", "2026-11-22T10:00:00Z"),
            ("2026-11-22 10:00:00Z", "2026-11-22T10:00:00Z"),
            ("2026-11-22T10:00:00+02:00", "2026-11-22T08:00:00Z"),
            ("\"2026-11-22\"", "2026-11-22T00:00:00Z"),
        ] {
            let front = read(&format!("+++\npublished = {text}\n+++")).unwrap();
            assert_eq!(front.published.unwrap().to_string(), expected);
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (text, reason) in [
            ("+++\ntitle = \"a\"\n", "not closed"),
            ("+++\ntitle = \"a\"\nx = 1\n+++", "clip.md:3:1"),
            ("+++\ntitle = \n+++", "clip.md:2:"),
            ("+++\npublished = 5\n+++", "clip.md:2:13: `published`"),
            ("+++\npublished = \"soon\"\n+++", "`published`"),
            ("+++\npublish_at = true\n+++", "clip.md:2:14: `publish_at`"),
            ("+++\nslug = \"../x\"\n+++", "clip.md:2:8: `slug`"),
            ("+++\naccent = \"red\"\n+++", "clip.md:2:10: `accent`"),
            ("+++\nlanguage = \"e\"\n+++", "`language`"),
            ("+++\np2p = \"x\"\n+++", "clip.md:2:7: "),
            (
                "+++\n\nrenditions = [\"2k\"]\n+++",
                "clip.md:3:15: `renditions`",
            ),
            (
                "+++\nlinks = [{ title = \"x\", url = \"//x\" }]\n+++",
                "clip.md:2:31: `links`",
            ),
            (
                "+++\nchapters = [{ start = \"1:99\", title = \"x\" }]\n+++",
                "clip.md:2:23: `chapters`",
            ),
            (
                "+++\nchapters = [{ start = -1.0, title = \"x\" }]\n+++",
                "chapters",
            ),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(reason), "{text:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(\\+\\+\\+\n)?[a-z =\"\\[\\]{}\n:0-9é+]{0,60}") {
            let _ = read(&text);
            let _ = clock(&text);
        }
    }
}
