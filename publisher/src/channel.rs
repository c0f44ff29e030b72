//! `channel.toml`: what the publisher says of the whole channel. Unknown keys are refused, so that a
//! slip of the pen is told and not passed over.

use crate::error::SourceError;
use crate::place::Place;
use metainfo::{Format, PieceLength};
use serde::Deserialize;
use std::num::NonZeroU16;
use std::path::Path;
use std::time::Duration;
use toml::Spanned;

/// The file's name in the clips folder.
pub const FILE_NAME: &str = "channel.toml";

/// The words of `podcast:medium`.
const MEDIA: [&str; 9] = [
    "podcast",
    "music",
    "video",
    "film",
    "audiobook",
    "newsletter",
    "blog",
    "publisher",
    "course",
];

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
    /// Where directories of podcasts write to; stands in feeds.
    pub email: Option<String>,
    /// What it is about, in the words of podcast directories.
    pub category: Option<String>,
    /// What is published, in the words of Podcasting 2.0; where it is not said, it follows from the releases.
    pub medium: Option<String>,
    /// Where the site lives, with a trailing slash.
    pub base_url: Option<String>,
    /// Where the seeder is reached, with a trailing slash.
    pub seeder_url: Option<String>,
    /// The UDP port of the seeder's tracker at that host, for torrents to name; none where they shouldn't.
    pub udp_tracker_port: Option<u16>,
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
    /// Heights of the smaller versions that every video gets, tallest first.
    pub renditions: Vec<u32>,
    /// When viewers exchange data among themselves.
    pub p2p: P2p,
    /// How payload comes into the library.
    pub library: Library,
    /// How long a replaced or removed torrent is seeded.
    pub grace: Duration,
    /// Colours.
    pub theme: Theme,
}

/// A titled link.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// When viewers exchange data among themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum P2p {
    /// When the seeder has no bandwidth to spare: nobody's address is shown to others before.
    #[default]
    UnderLoad,
    /// From the first viewer on.
    Always,
    /// Never.
    Off,
}

impl P2p {
    /// As it is written in files.
    pub fn word(self) -> &'static str {
        match self {
            Self::UnderLoad => "under-load",
            Self::Always => "always",
            Self::Off => "off",
        }
    }
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
    language: Option<Spanned<String>>,
    author: Option<String>,
    email: Option<Spanned<String>>,
    category: Option<String>,
    medium: Option<Spanned<String>>,
    base_url: Option<Spanned<String>>,
    seeder_url: Option<Spanned<String>>,
    udp_tracker_port: Option<NonZeroU16>,
    logo: Option<Spanned<String>>,
    #[serde(default)]
    links: Vec<LinkFile>,
    #[serde(default)]
    trackers: Vec<Vec<Spanned<String>>>,
    #[serde(default)]
    web_seeds: Vec<Spanned<String>>,
    #[serde(default)]
    format: Format,
    piece_length: Option<Spanned<i64>>,
    #[serde(default)]
    renditions: Vec<Spanned<String>>,
    #[serde(default)]
    p2p: P2p,
    #[serde(default)]
    library: Library,
    grace: Option<Spanned<String>>,
    #[serde(default)]
    theme: ThemeFile,
}

/// A link as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinkFile {
    title: String,
    url: Spanned<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ThemeFile {
    accent: Option<Spanned<String>>,
    scheme: Option<Spanned<String>>,
}

/// What says where a value stands that is not allowed.
pub(crate) struct Source<'a> {
    pub(crate) path: &'a Path,
    /// The TOML.
    pub(crate) text: &'a str,
    /// Lines of the file before it.
    pub(crate) lines_before: usize,
}

impl Source<'_> {
    pub(crate) fn wrong<T>(
        &self,
        key: &'static str,
        value: &Spanned<T>,
        reason: String,
    ) -> SourceError {
        SourceError::Value {
            path: self.path.to_owned(),
            place: Place::of(self.text, value.span().start).below(self.lines_before),
            key,
            reason,
        }
    }

    pub(crate) fn links(&self, links: Vec<LinkFile>) -> Result<Vec<Link>, SourceError> {
        let link = |link: LinkFile| {
            if !is_link(link.url.get_ref()) {
                let reason = format!("`{}` is not a web address", link.url.get_ref());
                return Err(self.wrong("links", &link.url, reason));
            }
            Ok(Link {
                title: link.title,
                url: link.url.into_inner(),
            })
        };
        links.into_iter().map(link).collect()
    }

    /// Heights out of `1080p`, tallest first.
    pub(crate) fn renditions(&self, names: &[Spanned<String>]) -> Result<Vec<u32>, SourceError> {
        let height = |name: &Spanned<String>| {
            let height = name
                .get_ref()
                .strip_suffix('p')
                .and_then(|number| number.parse().ok())
                .filter(|height: &u32| (144..=4320).contains(height) && height.is_multiple_of(2));
            height.ok_or_else(|| {
                let reason = format!(
                    "`{}` is not a height like `1080p` (144p to 4320p, even)",
                    name.get_ref()
                );
                self.wrong("renditions", name, reason)
            })
        };
        let mut heights = names.iter().map(height).collect::<Result<Vec<_>, _>>()?;
        heights.sort_unstable_by(|a, b| b.cmp(a));
        heights.dedup();
        Ok(heights)
    }

    pub(crate) fn colour(
        &self,
        key: &'static str,
        colour: Spanned<String>,
    ) -> Result<String, SourceError> {
        if !is_colour(colour.get_ref()) {
            let reason = format!("`{}` is not a colour like `#c8102e`", colour.get_ref());
            return Err(self.wrong(key, &colour, reason));
        }
        Ok(colour.into_inner())
    }

    pub(crate) fn language(&self, language: Spanned<String>) -> Result<String, SourceError> {
        if !crate::folder::is_language_tag(language.get_ref()) {
            let reason = format!(
                "`{}` is not a language tag like `en` or `pt-BR`",
                language.get_ref()
            );
            return Err(self.wrong("language", &language, reason));
        }
        Ok(language.into_inner())
    }
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
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let file: File =
            toml::from_str(text).map_err(|error| SourceError::toml(path, text, 0, &error))?;
        let source = Source {
            path,
            text,
            lines_before: 0,
        };
        let url = |key: &'static str, url: Spanned<String>| {
            web_url(url.get_ref()).ok_or_else(|| {
                let reason = format!(
                    "`{}` is not a URL that starts with http:// or https://",
                    url.get_ref()
                );
                source.wrong(key, &url, reason)
            })
        };
        let optional_url =
            |key, value: Option<Spanned<String>>| value.map(|value| url(key, value)).transpose();
        let title = file.title.unwrap_or_else(|| folder.to_owned());
        let accent = file
            .theme
            .accent
            .map(|accent| source.colour("theme.accent", accent))
            .transpose()?;
        if let Some(scheme) = &file.theme.scheme
            && !["auto", "light", "dark"].contains(&scheme.get_ref().as_str())
        {
            let reason = format!("`{}` is none of auto, light, dark", scheme.get_ref());
            return Err(source.wrong("theme.scheme", scheme, reason));
        }
        if let Some(email) = &file.email {
            let parts = email.get_ref().split_once('@');
            let whole = parts.is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
            if !whole
                || email
                    .get_ref()
                    .contains(|c: char| c.is_whitespace() || c.is_control())
            {
                let reason = format!("`{}` is not a mail address", email.get_ref());
                return Err(source.wrong("email", email, reason));
            }
        }
        if let Some(medium) = &file.medium
            && !MEDIA.contains(&medium.get_ref().as_str())
        {
            let reason = format!("`{}` is none of {}", medium.get_ref(), MEDIA.join(", "));
            return Err(source.wrong("medium", medium, reason));
        }
        for tracker in file.trackers.iter().flatten() {
            let known = ["http://", "https://", "udp://", "ws://", "wss://"];
            let text = tracker.get_ref();
            let clean = !text.chars().any(|c| c.is_control() || c.is_whitespace());
            if !clean || !known.iter().any(|scheme| text.starts_with(scheme)) {
                let reason = format!("`{text}` is not a tracker's URL");
                return Err(source.wrong("trackers", tracker, reason));
            }
        }
        if let Some(logo) = &file.logo {
            metainfo::name::check(logo.get_ref())
                .map_err(|error| source.wrong("logo", logo, error.to_string()))?;
        }
        let piece_length = |length: Spanned<i64>| {
            PieceLength::power_of_two(*length.get_ref())
                .map_err(|error| source.wrong("piece_length", &length, error.to_string()))
        };
        let grace = |grace: Spanned<String>| {
            duration(grace.get_ref()).ok_or_else(|| {
                let reason = "is not a time like `7d`, `12h` or `30m`".into();
                source.wrong("grace", &grace, reason)
            })
        };
        let trackers = file.trackers.into_iter();
        Ok(Self {
            author: file.author.unwrap_or_else(|| title.clone()),
            title,
            description: file.description.unwrap_or_default(),
            language: file
                .language
                .map(|language| source.language(language))
                .transpose()?
                .unwrap_or_else(|| "en".into()),
            email: file.email.map(Spanned::into_inner),
            category: file.category.filter(|text| !text.trim().is_empty()),
            medium: file.medium.map(Spanned::into_inner),
            base_url: optional_url("base_url", file.base_url)?,
            seeder_url: optional_url("seeder_url", file.seeder_url)?,
            udp_tracker_port: file.udp_tracker_port.map(NonZeroU16::get),
            logo: file.logo.map(Spanned::into_inner),
            links: source.links(file.links)?,
            trackers: trackers
                .map(|tier| tier.into_iter().map(Spanned::into_inner).collect())
                .collect(),
            web_seeds: file
                .web_seeds
                .into_iter()
                .map(|seed| url("web_seeds", seed))
                .collect::<Result<_, _>>()?,
            format: file.format,
            piece_length: file.piece_length.map(piece_length).transpose()?,
            renditions: source.renditions(&file.renditions)?,
            p2p: file.p2p,
            library: file.library,
            grace: file
                .grace
                .map(grace)
                .transpose()?
                .unwrap_or(Duration::from_secs(7 * 86_400)),
            theme: Theme {
                accent: accent.unwrap_or_else(|| "#2563eb".into()),
                scheme: file
                    .theme
                    .scheme
                    .map_or_else(|| "auto".into(), Spanned::into_inner),
            },
        })
    }
}

/// Whether a link may stand on a page: an address of the web, on one line and without quotes.
fn is_link(url: &str) -> bool {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    let clean = |c: char| !c.is_whitespace() && !c.is_control() && !"\"<>\\".contains(c);
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/')) && url.chars().all(clean)
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
        assert_eq!((channel.renditions.len(), channel.p2p), (0, P2p::UnderLoad));
    }

    #[test]
    fn renditions_are_heights_tallest_first() {
        let channel =
            parse("renditions = [\"480p\", \"1080p\", \"480p\"]\np2p = \"always\"").unwrap();
        assert_eq!(channel.renditions, [1080, 480]);
        assert_eq!(channel.p2p.word(), "always");
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
            ("title = ", ":1:9: "),
            ("\ntitel = \"x\"", ":2:1: "),
            ("\n\nbase_url = \"ftp://x\"", ":3:12: `base_url`"),
            (
                "seeder_url = \"javascript:alert(1)\"",
                ":1:14: `seeder_url`",
            ),
            ("seeder_url = \"http://a'; script-src *\"", "`seeder_url`"),
            (
                "links = [{ title = \"x\", url = \"javascript:x\" }]",
                ":1:31: `links`",
            ),
            ("trackers = [[\"file:///etc\"]]", ":1:14: `trackers`"),
            ("trackers = [[\"http://a/\\u001b[31m\"]]", "`trackers`"),
            ("theme = { accent = \"red;}\" }", "`theme.accent`"),
            ("[theme]\nscheme = \"pink\"", ":2:10: `theme.scheme`"),
            ("grace = \"soon\"", ":1:9: `grace`"),
            ("grace = \"é\"", "`grace`"),
            ("piece_length = 1000", ":1:16: `piece_length`"),
            ("format = \"v3\"", ":1:10: "),
            ("logo = \"../x.png\"", ":1:8: `logo`"),
            ("language = \"English!\"", ":1:12: `language`"),
            ("renditions = [\"720p\",\n \"big\"]", ":2:2: `renditions`"),
            ("renditions = [\"100000p\"]", "`renditions`"),
            ("p2p = \"sometimes\"", ":1:7: "),
            ("email = \"nobody\"", ":1:9: `email`"),
            ("medium = \"tv\"", ":1:10: `medium`"),
            ("udp_tracker_port = 0", ":1:20: "),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.starts_with("clips/channel.toml:"), "{text}: {error}");
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
