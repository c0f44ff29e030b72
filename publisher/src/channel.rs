//! `channel.toml`: what the publisher says of the whole channel. Unknown keys are refused, so that a
//! slip of the pen is told and not passed over.

use crate::error::SourceError;
use metainfo::{Format, PieceLength};
use serde::Deserialize;
use std::path::Path;
use std::time::Duration;

/// The file's name in the clips folder.
pub const FILE_NAME: &str = "channel.toml";

/// The channel, every default filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Channel {
    /// Name of the channel.
    pub title: String,
    /// A sentence about it; may be empty.
    pub description: String,
    /// BCP 47 tag.
    pub language: String,
    /// Who publishes.
    pub author: String,
    /// Where the site lives, with a trailing slash.
    pub base_url: Option<String>,
    /// Where the seeder is reached, with a trailing slash.
    pub seeder_url: Option<String>,
    /// Logo, a file name in the clips folder.
    pub logo: Option<String>,
    /// Links of the publisher.
    pub links: Vec<Link>,
    /// Trackers beside the seeder's own, in tiers.
    pub trackers: Vec<Vec<String>>,
    /// Web seeds beside the seeder's own: prefixes below which `<id>/<name>` lies, with a trailing slash.
    pub web_seeds: Vec<String>,
    /// Which info-hashes torrents get.
    pub format: Format,
    /// Piece length; chosen by size where none is set.
    pub piece_length: Option<PieceLength>,
    /// How payload comes into the library.
    pub library: Library,
    /// How long a replaced or removed torrent is seeded.
    pub grace: Duration,
    /// Colours.
    pub theme: Theme,
}

/// A titled link.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// What is shown.
    pub title: String,
    /// Where it leads.
    pub url: String,
}

/// How payload comes into the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Library {
    /// A hard link, or a copy where the file system has none: no space is spent. The clip must not be
    /// edited in place.
    #[default]
    Link,
    /// A copy: the clip may be edited in place.
    Copy,
}

/// Colours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Theme {
    /// `#rrggbb`.
    pub accent: String,
    /// `auto`, `light` or `dark`.
    pub scheme: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    title: Option<String>,
    description: Option<String>,
    language: Option<String>,
    author: Option<String>,
    base_url: Option<String>,
    seeder_url: Option<String>,
    logo: Option<String>,
    #[serde(default)]
    links: Vec<Link>,
    #[serde(default)]
    trackers: Vec<Vec<String>>,
    #[serde(default)]
    web_seeds: Vec<String>,
    #[serde(default)]
    format: Format,
    piece_length: Option<i64>,
    #[serde(default)]
    library: Library,
    grace: Option<String>,
    #[serde(default)]
    theme: ThemeFile,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ThemeFile {
    accent: Option<String>,
    scheme: Option<String>,
}

impl Channel {
    /// Reads the clips folder's `channel.toml`; a folder without one gets the folder's name as title.
    pub fn read(clips: &Path) -> Result<Self, SourceError> {
        let path = clips.join(FILE_NAME);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(SourceError::Read { path, source }),
        };
        let folder = clips
            .canonicalize()
            .ok()
            .and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
        Self::parse(&text, &path, &folder.unwrap_or_else(|| "Clips".into()))
    }

    fn parse(text: &str, path: &Path, folder: &str) -> Result<Self, SourceError> {
        let file: File =
            toml::from_str(text).map_err(|error| SourceError::toml(path, text, 0, &error))?;
        let wrong = |key: &'static str, reason: String| SourceError::Value {
            path: path.to_owned(),
            key,
            reason,
        };
        let url = |key: &'static str, url: Option<String>| {
            url.map(|url| {
                web_url(&url).ok_or_else(|| {
                    wrong(
                        key,
                        format!("`{url}` is not a URL that starts with http:// or https://"),
                    )
                })
            })
            .transpose()
        };
        let title = file.title.unwrap_or_else(|| folder.to_owned());
        let accent = file.theme.accent.unwrap_or_else(|| "#2563eb".into());
        if !is_colour(&accent) {
            return Err(wrong(
                "theme.accent",
                format!("`{accent}` is not a colour like `#c8102e`"),
            ));
        }
        let scheme = file.theme.scheme.unwrap_or_else(|| "auto".into());
        if !["auto", "light", "dark"].contains(&scheme.as_str()) {
            return Err(wrong(
                "theme.scheme",
                format!("`{scheme}` is none of auto, light, dark"),
            ));
        }
        for link in &file.links {
            web_url(&link.url)
                .ok_or_else(|| wrong("links", format!("`{}` is not a web address", link.url)))?;
        }
        for tracker in file.trackers.iter().flatten() {
            let known = ["http://", "https://", "udp://", "ws://", "wss://"];
            let clean = !tracker.chars().any(|c| c.is_control() || c.is_whitespace());
            if !clean || !known.iter().any(|scheme| tracker.starts_with(scheme)) {
                return Err(wrong(
                    "trackers",
                    format!("`{tracker}` is not a tracker's URL"),
                ));
            }
        }
        if let Some(logo) = &file.logo {
            metainfo::name::check(logo).map_err(|error| wrong("logo", error.to_string()))?;
        }
        let piece_length = file.piece_length.map(PieceLength::power_of_two).transpose();
        let grace = file
            .grace
            .as_deref()
            .map(duration)
            .unwrap_or(Some(Duration::from_secs(7 * 86_400)));
        let web_seeds = file
            .web_seeds
            .into_iter()
            .map(|seed| url("web_seeds", Some(seed)));
        Ok(Self {
            author: file.author.unwrap_or_else(|| title.clone()),
            title,
            description: file.description.unwrap_or_default(),
            language: file.language.unwrap_or_else(|| "en".into()),
            base_url: url("base_url", file.base_url)?,
            seeder_url: url("seeder_url", file.seeder_url)?,
            logo: file.logo,
            links: file.links,
            trackers: file.trackers,
            web_seeds: web_seeds
                .collect::<Result<Vec<_>, _>>()?
                .into_iter()
                .flatten()
                .collect(),
            format: file.format,
            piece_length: piece_length.map_err(|error| wrong("piece_length", error.to_string()))?,
            library: file.library,
            grace: grace
                .ok_or_else(|| wrong("grace", "is not a time like `7d`, `12h` or `30m`".into()))?,
            theme: Theme { accent, scheme },
        })
    }
}

/// The URL with a trailing slash, where it is one of the web and holds nothing that breaks a page.
fn web_url(url: &str) -> Option<String> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))?;
    let clean = |c: char| !c.is_whitespace() && !c.is_control() && !"\"'<>;,\\".contains(c);
    let valid = !rest.is_empty() && !rest.starts_with('/') && url.chars().all(clean);
    valid.then(|| {
        if url.ends_with('/') {
            url.to_owned()
        } else {
            format!("{url}/")
        }
    })
}

fn is_colour(text: &str) -> bool {
    text.strip_prefix('#')
        .is_some_and(|hex| hex.len() == 6 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// `7d`, `12h`, `30m`, `45s`.
fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(
        text.len()
            .checked_sub(1)
            .filter(|at| text.is_char_boundary(*at))?,
    );
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    number
        .parse::<u64>()
        .ok()?
        .checked_mul(seconds)
        .map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Channel, String> {
        Channel::parse(text, Path::new("clips/channel.toml"), "my-clips")
            .map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_file_gives_defaults() {
        let channel = parse("").unwrap();
        assert_eq!(
            (channel.title.as_str(), channel.author.as_str()),
            ("my-clips", "my-clips")
        );
        assert_eq!(channel.grace, Duration::from_secs(604_800));
        assert_eq!(channel.format, Format::V1);
    }

    #[test]
    fn urls_get_a_trailing_slash() {
        let channel =
            parse("base_url = \"https://a.example/x\"\nweb_seeds = [\"http://m\"]").unwrap();
        assert_eq!(channel.base_url.as_deref(), Some("https://a.example/x/"));
        assert_eq!(channel.web_seeds, ["http://m/"]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (text, reason) in [
            ("title = ", "clips/channel.toml:1:"),
            ("\ntitel = \"x\"", "clips/channel.toml:2:1"),
            ("base_url = \"ftp://x\"", "base_url"),
            ("seeder_url = \"javascript:alert(1)\"", "seeder_url"),
            ("seeder_url = \"http://a'; script-src *\"", "seeder_url"),
            (
                "links = [{ title = \"x\", url = \"javascript:x\" }]",
                "links",
            ),
            ("trackers = [[\"file:///etc\"]]", "trackers"),
            ("trackers = [[\"http://a/\\u001b[31m\"]]", "trackers"),
            ("theme = { accent = \"red;}\" }", "theme.accent"),
            ("theme = { scheme = \"pink\" }", "theme.scheme"),
            ("grace = \"soon\"", "grace"),
            ("grace = \"é\"", "grace"),
            ("piece_length = 1000", "piece_length"),
            ("format = \"v3\"", "clips/channel.toml:1:"),
            ("logo = \"../x.png\"", "logo"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
