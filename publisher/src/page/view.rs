//! What templates see. These structs, and nothing else, are handed to Tera, so the theme's variables
//! are documented here. All URLs are relative to the site's root (no leading slash) unless said
//! otherwise; a page adds its own prefix with the filter `at`: `{{ release.poster.url | at(base=page.root) }}`
//! (absolute URLs pass through it unchanged).
//!
//! `build` fills the structs in this file; the renderer adds those in `view/made.rs`, from [`PageView`]
//! down. Names in templates: `channel`, `generator` and `page` everywhere; `releases` and `pager` on index
//! pages; `release`, `stage`, `buttons` and `player_data` on a release's page; `moved_to` on the page of a
//! former slug; `feed` and `items` in feeds.

mod made;

pub use made::*;

use serde::{Deserialize, Serialize};

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
    /// Where podcast directories write to the publisher, if that is to be public.
    pub email: Option<String>,
    /// What the channel is, in the words of podcast directories (`Technology`), where it was said.
    pub category: Option<String>,
    /// Podcasting 2.0's word for what is published: `video`, `podcast`, `music`, `film`, `course` …;
    /// where it wasn't said it follows from the releases.
    pub medium: Option<String>,
    /// How viewers share by default: `under-load`, `always` or `off`.
    pub p2p: Option<String>,
    /// The minisign public key that the catalog is signed with, as minisign writes it in one line.
    pub public_key: Option<String>,
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
#[derive(Debug, Clone, Serialize, Deserialize)]
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
    /// What never changes about the release, over renames and edits: a UUID; empty where none was given,
    /// and feeds fall back to the page.
    #[serde(default)]
    pub guid: String,
    /// RFC 3339, UTC.
    pub published: String,
    /// When it last changed; RFC 3339, UTC. Empty: never since it was published.
    #[serde(default)]
    pub updated: String,
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
    /// Previews along the timeline, when they have been made.
    #[serde(default)]
    pub thumbnails: Option<ThumbnailsView>,
    /// For a clip one entry a rendition: the source first when it plays, else those that do; else exactly
    /// one.
    pub renditions: Vec<RenditionView>,
    /// One sentence: why this is a download and not a player, or what is still being made.
    #[serde(default)]
    pub note: Option<String>,
    /// Further links of the publisher about this release (absolute URLs, http or https only).
    #[serde(default)]
    pub links: Vec<LinkView>,
    /// Accent colour of this release alone, `#rrggbb`.
    #[serde(default)]
    pub accent: Option<String>,
    /// How viewers of this release share, where it differs from the channel: as [`ChannelView::p2p`].
    #[serde(default)]
    pub p2p: Option<String>,
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
    /// The same picture in further sizes and formats; `url` stays what every browser can show.
    #[serde(default)]
    pub sources: Vec<PictureView>,
}

/// One size and format of a still picture.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PictureView {
    /// File below the root.
    pub url: String,
    /// MIME type.
    pub mime: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

/// Previews along the timeline: pictures side by side in one file, and when each is shown.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ThumbnailsView {
    /// WebVTT below the root; its cues are `sprite#xywh=…`.
    pub vtt_url: String,
    /// The one picture that holds them all.
    pub sprite_url: String,
    /// Pixels of one preview.
    pub width: u32,
    /// Pixels of one preview.
    pub height: u32,
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
    /// The same with its codecs (RFC 6381), `video/mp4; codecs="avc1.640028,mp4a.40.2"`; empty where they
    /// aren't known.
    #[serde(default)]
    pub mime_codecs: String,
    /// Whether browsers play it.
    pub playable: bool,
    /// Pixels as shown (turned as the file says); 0 where there is no picture.
    #[serde(default)]
    pub width: u32,
    /// Pixels as shown; 0 where there is no picture.
    #[serde(default)]
    pub height: u32,
    /// Frames a second.
    #[serde(default)]
    pub frame_rate: Option<f64>,
    /// Bits a second over the whole file.
    #[serde(default)]
    pub bit_rate: Option<u64>,
    /// Language of the sound, BCP 47, where it isn't the channel's.
    #[serde(default)]
    pub language: Option<String>,
    /// SHA-256 of the payload's only file in base64, for subresource integrity; computed after publication.
    #[serde(default)]
    pub sha256: Option<String>,
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
    /// SHA-256 of its bytes in base64, when it has been computed.
    #[serde(default)]
    pub sha256: Option<String>,
    /// Where HTTP gives it, percent-encoded: absolute when the seeder's URL is known, else below the
    /// root (`library/<id>/<name>`).
    pub url: String,
}
