//! The text beside a clip: optional TOML between `+++` lines, then Markdown. What it says overrides
//! what tags and file names say.

use crate::error::SourceError;
use jiff::Timestamp;
use serde::Deserialize;
use std::path::Path;

/// What the publisher wrote of a release.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FrontMatter {
    /// Title.
    pub title: Option<String>,
    /// One or two sentences for lists and feeds.
    pub summary: Option<String>,
    /// Date of publication.
    pub published: Option<Timestamp>,
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
    published: Option<toml::Value>,
    people: Vec<PersonHead>,
    tags: Vec<String>,
    licence: Option<String>,
    license: Option<String>,
    language: Option<String>,
    slug: Option<String>,
    unlisted: bool,
    draft: bool,
    chapters: Vec<ChapterHead>,
    poster_alt: Option<String>,
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
    start: ChapterStart,
    title: String,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum ChapterStart {
    Text(String),
    Seconds(f64),
}

/// Parses the text of a sidecar; `path` is for messages.
pub fn parse(text: &str, path: &Path) -> Result<FrontMatter, SourceError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let wrong = |key: &'static str, reason: String| SourceError::Value {
        path: path.to_owned(),
        key,
        reason,
    };
    let (head, body) = split(text).ok_or_else(|| {
        wrong(
            "+++",
            "the front matter is not closed by a line `+++`".into(),
        )
    })?;
    let parsed: Head = toml::from_str(head).map_err(|error| {
        let lines_before = usize::from(!head.is_empty());
        SourceError::toml(path, head, lines_before, &error)
    })?;
    let published = parsed.published.map(|value| {
        timestamp(&value).ok_or_else(|| {
            wrong(
                "published",
                format!("`{value}` is not a date like 2026-11-22"),
            )
        })
    });
    let mut chapters = Vec::new();
    for chapter in parsed.chapters {
        let start_s = match &chapter.start {
            ChapterStart::Seconds(seconds) => Some(*seconds).filter(|s| s.is_finite() && *s >= 0.0),
            ChapterStart::Text(text) => clock(text),
        };
        let start_s = start_s.ok_or_else(|| {
            wrong(
                "chapters",
                format!("the start {:?} is not a time like \"1:05\"", chapter.start),
            )
        })?;
        chapters.push(Chapter {
            start_s,
            title: chapter.title,
        });
    }
    chapters.sort_by(|a, b| a.start_s.total_cmp(&b.start_s));
    if let Some(slug) = parsed
        .slug
        .as_deref()
        .filter(|slug| *slug != crate::slug::of(slug))
    {
        return Err(wrong(
            "slug",
            format!("`{slug}` may hold only a-z, 0-9 and single `-`"),
        ));
    }
    Ok(FrontMatter {
        title: parsed.title.filter(|title| !title.trim().is_empty()),
        summary: parsed.summary,
        published: published.transpose()?,
        people: parsed
            .people
            .into_iter()
            .map(|person| match person {
                PersonHead::Name(name) => Person { name, role: None },
                PersonHead::Full { name, role } => Person { name, role },
            })
            .collect(),
        tags: parsed.tags,
        licence: parsed.licence.or(parsed.license),
        language: parsed.language,
        slug: parsed.slug,
        unlisted: parsed.unlisted,
        draft: parsed.draft,
        chapters,
        poster_alt: parsed.poster_alt,
        text: body.trim().to_owned(),
    })
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
            ("+++\npublished = 5\n+++", "published"),
            ("+++\npublished = \"soon\"\n+++", "published"),
            ("+++\nslug = \"../x\"\n+++", "slug"),
            (
                "+++\nchapters = [{ start = \"1:99\", title = \"x\" }]\n+++",
                "chapters",
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
