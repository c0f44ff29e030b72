//! What templates see. These structs, and nothing else, are handed to Tera, so the theme's variables
//! are documented here. All URLs are relative to the site's root (no leading slash) unless said
//! otherwise; a page adds its own prefix with the filter `at`: `{{ release.poster.url | at(base=page.root) }}`
//! (absolute URLs pass through it unchanged).
//!
//! `build` fills the structs from [`SiteView`] down; the renderer adds those from [`PageView`] down.
//! Names in templates: `channel`, `generator` and `page` everywhere; `releases` on the index and in the
//! sitemap; `release`, `stage`, `buttons` and `player_data` on a release's page; `feed` and `items` in feeds.

use serde::{Deserialize, Serialize};

/// Everything the pages are made from.
#[derive(Debug, Clone, Serialize)]
pub struct SiteView {
    /// The publisher's channel.
    pub channel: ChannelView,
    /// Every release with a page, newest first; unlisted ones too (see [`ReleaseView::unlisted`]).
    pub releases: Vec<ReleaseView>,
    /// Name and version of the program, for `<meta name="generator">`.
    pub generator: String,
}

/// One publisher's channel.
#[derive(Debug, Clone, Serialize)]
pub struct ChannelView {
    /// Name of the channel.
    pub title: String,
    /// One or two plain sentences; may be empty.
    pub description: String,
    /// BCP 47 tag, e.g. `en`.
    pub language: String,
    /// Who publishes, for feeds; falls back to the title.
    pub author: String,
    /// Where the site lives, with a trailing slash; feeds need absolute URLs.
    pub base_url: Option<String>,
    /// Where the seeder is reached, with a trailing slash; `None` on the five-minute path before a port is bound.
    pub seeder_url: Option<String>,
    /// Further links of the publisher (absolute URLs, http or https only).
    pub links: Vec<LinkView>,
    /// Logo below the root, if there is one.
    pub logo: Option<String>,
    /// Colours.
    pub theme: ThemeView,
}

/// A titled link.
#[derive(Debug, Clone, Serialize)]
pub struct LinkView {
    /// What is shown.
    pub title: String,
    /// Where it leads; absolute.
    pub url: String,
}

/// The few colours a publisher sets; the style sheet derives the rest. Values are checked to be
/// `#rrggbb`.
#[derive(Debug, Clone, Serialize)]
pub struct ThemeView {
    /// Accent colour.
    pub accent: String,
    /// `light`, `dark` or `auto`.
    pub scheme: String,
}

/// One release: one page, one feed item.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReleaseView {
    /// URL-safe name; the page is `r/<slug>/`.
    pub slug: String,
    /// `clip`, `album` or `download`.
    pub kind: String,
    /// Title.
    pub title: String,
    /// The publisher's own one or two sentences, plain text; may be empty.
    pub summary: String,
    /// What stands for the release where its page text doesn't: on cards, in feeds and previews. The
    /// summary, or else the beginning of the page text; plain text, may be empty.
    pub excerpt: String,
    /// The page text as safe HTML; may be empty.
    pub html: String,
    /// RFC 3339, UTC.
    pub published: String,
    /// RFC 2822, for RSS.
    pub published_rfc2822: String,
    /// A date for people, e.g. `22 November 2026`.
    pub published_label: String,
    /// People with optional roles.
    pub people: Vec<PersonView>,
    /// Tags.
    pub tags: Vec<String>,
    /// Licence, as the publisher wrote it.
    pub licence: Option<String>,
    /// Length in seconds, where known.
    pub duration_s: Option<f64>,
    /// Length for people (`3:05`), where known.
    pub duration_label: Option<String>,
    /// Poster or cover; a drawn placeholder when there is none, so always present.
    pub poster: PosterView,
    /// Chapters in order.
    pub chapters: Vec<ChapterView>,
    /// Chapter track as WebVTT below the root, when there are chapters.
    pub chapters_url: Option<String>,
    /// Captions per language.
    pub captions: Vec<CaptionView>,
    /// For a clip one entry a rendition, the best first; else exactly one.
    pub renditions: Vec<RenditionView>,
    /// Has a page, but no place in index, feeds and catalog.
    pub unlisted: bool,
}

/// Somebody who took part.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PersonView {
    /// Name.
    pub name: String,
    /// Role, e.g. `host`.
    pub role: Option<String>,
}

/// A still picture.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PosterView {
    /// File below the root.
    pub url: String,
    /// MIME type.
    pub mime: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Text for those who can't see it.
    pub alt: String,
    /// Whether it is the drawn placeholder.
    pub placeholder: bool,
}

/// One chapter.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChapterView {
    /// Start in seconds.
    pub start_s: f64,
    /// Start for people, `1:05`.
    pub start_label: String,
    /// Title.
    pub title: String,
}

/// Captions in one language.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CaptionView {
    /// WebVTT below the root.
    pub url: String,
    /// BCP 47 tag.
    pub language: String,
    /// Name of the language as its speakers write it, or the tag.
    pub label: String,
}

/// One torrent of a release and the ways to get it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RenditionView {
    /// `source`, `1080p` …
    pub name: String,
    /// Hex info-hash that names folders and URLs.
    pub id: String,
    /// v1 info-hash in hex.
    pub info_hash_v1: Option<String>,
    /// v2 info-hash in hex.
    pub info_hash_v2: Option<String>,
    /// Payload bytes.
    pub bytes: u64,
    /// Bytes for people, `2.4 MB`.
    pub bytes_label: String,
    /// MIME type of the media, or `application/octet-stream`; of the first file for folders.
    pub mime: String,
    /// Whether browsers play it.
    pub playable: bool,
    /// The .torrent below the root.
    pub torrent_url: String,
    /// Its size in bytes (BEP 36 wants it).
    pub torrent_bytes: u64,
    /// The magnet link.
    pub magnet: String,
    /// Every file, in order; pads never appear.
    pub files: Vec<FileView>,
}

/// One payload file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FileView {
    /// Name with folders below the release, `/`-separated.
    pub path: String,
    /// What people read: a track's title, else the file name.
    pub title: String,
    /// Artist of a track.
    pub artist: Option<String>,
    /// Bytes.
    pub bytes: u64,
    /// Bytes for people.
    pub bytes_label: String,
    /// MIME type.
    pub mime: String,
    /// Whether browsers play it.
    pub playable: bool,
    /// Length in seconds, where known.
    pub duration_s: Option<f64>,
    /// Length for people.
    pub duration_label: Option<String>,
    /// Where HTTP gives it, percent-encoded: absolute when the seeder's URL is known, else below the
    /// root (`library/<id>/<name>`).
    pub url: String,
}

/// What a page knows about itself. In templates: `page`.
#[derive(Debug, Clone, Serialize)]
pub struct PageView {
    /// The way to the site's root: `./`, `../../`, or a path from `/` on the page for missing pages,
    /// which is shown at any depth.
    pub root: String,
    /// Folder of the assets, `root` included, with a trailing slash.
    pub assets: String,
    /// For `<title>`.
    pub title: String,
    /// One or two plain sentences for search engines and previews; may be empty.
    pub description: String,
    /// The page's own absolute URL, when `base_url` is known.
    pub canonical: Option<String>,
    /// Absolute URL of a picture for previews, when `base_url` is known and there is a real one.
    pub image: Option<String>,
    /// OpenGraph's word for what this is.
    pub og_type: &'static str,
    /// Search engines should pass it over.
    pub noindex: bool,
    /// `ltr` or `rtl`, from the channel's language.
    pub direction: &'static str,
    /// `light`, `dark` or `light dark`.
    pub color_scheme: &'static str,
    /// The Content-Security-Policy.
    pub policy: String,
}

/// What plays on a clip's page. In templates: `stage`.
#[derive(Debug, Clone, Serialize)]
pub struct StageView {
    /// `video`, `audio`, or `none` when browsers can't play any rendition.
    pub element: &'static str,
    /// What to play, the best first.
    pub sources: Vec<SourceView>,
}

/// One source of a media element.
#[derive(Debug, Clone, Serialize)]
pub struct SourceView {
    /// As [`FileView::url`].
    pub url: String,
    /// MIME type.
    pub mime: String,
}

/// An obvious way to get a download; mostly there is one. In templates: `buttons`.
#[derive(Debug, Clone, Serialize)]
pub struct ButtonView {
    /// `file`: one file by HTTP; `torrent`: all files, for a folder in which no file stands out.
    pub way: &'static str,
    /// As [`FileView::url`].
    pub url: String,
    /// What is fetched: a file's name or the release's title.
    pub name: String,
    /// Payload bytes it leads to, for people.
    pub bytes_label: String,
}

/// A feed as a whole. In templates: `feed`.
#[derive(Debug, Clone, Serialize)]
pub struct FeedView {
    /// Its own URL.
    pub url: String,
    /// The site's front page.
    pub home: String,
    /// Date of the newest item, RFC 2822; none when there is no item.
    pub updated: Option<String>,
    /// Absolute URL of the channel's logo.
    pub image: Option<String>,
}

/// One item of a feed; every URL absolute when [`ChannelView::base_url`] or [`ChannelView::seeder_url`] is
/// known. In templates: `items`.
#[derive(Debug, Clone, Serialize)]
pub struct ItemView {
    /// Title; with several renditions in the torrent feed, the rendition's name behind it.
    pub title: String,
    /// The release's page.
    pub link: String,
    /// What never changes about the item.
    pub guid: String,
    /// Whether `guid` is also a URL.
    pub guid_is_link: bool,
    /// RFC 2822.
    pub published: String,
    /// Plain text; the title when there is no summary.
    pub description: String,
    /// The page text, links absolute; may be empty.
    pub html: String,
    /// Tags.
    pub tags: Vec<String>,
    /// Length in whole seconds, where known.
    pub duration_s: Option<u64>,
    /// Poster, unless it is the drawn placeholder.
    pub thumbnail: Option<String>,
    /// The file the item is about.
    pub enclosure: EnclosureView,
    /// Every file of the release, for Media RSS.
    pub contents: Vec<EnclosureView>,
    /// v1 info-hash, in the torrent feed.
    pub info_hash: Option<String>,
}

/// A file as feeds describe it.
#[derive(Debug, Clone, Serialize)]
pub struct EnclosureView {
    /// Where it is.
    pub url: String,
    /// Its size.
    pub bytes: u64,
    /// MIME type.
    pub mime: String,
    /// Title, when it is one of several.
    pub title: Option<String>,
    /// Length in whole seconds, where known.
    pub duration_s: Option<u64>,
}
