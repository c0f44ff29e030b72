//! What the renderer adds to the views it is given: the page itself, what plays on it, feeds.

use serde::Serialize;

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
    /// Style sheet of this page alone, beside it: a release's own colours.
    pub own_style: Option<String>,
    /// Feed of this page alone, beside it: an album's tracks.
    pub own_feed: Option<&'static str>,
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

/// Where an index page stands among the others. In templates: `pager`.
#[derive(Debug, Clone, Serialize)]
pub struct PagerView {
    /// Its number, from the oldest releases on; the front page, which shows the newest, has none.
    pub number: Option<usize>,
    /// The page with newer releases, below the root; empty for the front page's place.
    pub newer: Option<String>,
    /// The page with older releases, below the root.
    pub older: Option<String>,
}

/// What plays on a clip's page. In templates: `stage`.
#[derive(Debug, Clone, Serialize)]
pub struct StageView {
    /// `video`, `audio`, or `none` when browsers can't play any rendition.
    pub element: &'static str,
    /// What to play, the first that a browser takes.
    pub sources: Vec<SourceView>,
    /// Pixels of the picture, for its shape.
    pub width: u32,
    /// Pixels of the picture, for its shape.
    pub height: u32,
}

/// One source of a media element.
#[derive(Debug, Clone, Serialize)]
pub struct SourceView {
    /// As [`super::FileView::url`].
    pub url: String,
    /// MIME type, with its codecs where they are known.
    pub mime: String,
    /// For people: `Original`, `720p`.
    pub label: String,
    /// Bytes for people.
    pub bytes_label: String,
}

/// An obvious way to get a download; mostly there is one. In templates: `buttons`.
#[derive(Debug, Clone, Serialize)]
pub struct ButtonView {
    /// `file`: one file by HTTP; `torrent`: all files, for a folder in which no file stands out.
    pub way: &'static str,
    /// As [`super::FileView::url`].
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
    /// What it is called.
    pub title: String,
    /// What it is about; the title when nothing was said.
    pub description: String,
    /// Who publishes.
    pub author: String,
    /// Where podcast directories write to the publisher.
    pub email: Option<String>,
    /// What podcast directories file it under.
    pub category: Option<String>,
    /// Podcasting 2.0's word for what it holds.
    pub medium: String,
    /// Podcasting 2.0's name of the feed, made from its URL; none before the site has an address.
    pub guid: Option<String>,
    /// `episodic`, or `serial` where the order matters.
    pub order: &'static str,
    /// The page it belongs to.
    pub home: String,
    /// Date of the newest item, RFC 2822; none when there is no item.
    pub updated: Option<String>,
    /// Absolute URL of a picture.
    pub image: Option<String>,
    /// RFC 5005: for an archive the feed that people subscribe to; none for that feed itself.
    pub current: Option<String>,
    /// RFC 5005: the archive before this one in time.
    pub prev_archive: Option<String>,
    /// RFC 5005: the archive after this one.
    pub next_archive: Option<String>,
}

/// One item of a feed; every URL absolute when [`super::ChannelView::base_url`] or
/// [`super::ChannelView::seeder_url`] is known. In templates: `items`.
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
    /// RFC 3339, where the release has changed since.
    pub updated: Option<String>,
    /// Plain text; the title when there is no summary.
    pub description: String,
    /// The page text, links absolute; may be empty.
    pub html: String,
    /// Tags.
    pub tags: Vec<String>,
    /// Who took part, each with a role.
    pub people: Vec<CreditView>,
    /// The licence: its SPDX name in small letters where it has one, else as it was written.
    pub licence: Option<LicenceView>,
    /// Length in whole seconds, where known.
    pub duration_s: Option<u64>,
    /// Number in a series, for an album's tracks.
    pub episode: Option<usize>,
    /// Poster in the format that every reader shows, unless it is the drawn placeholder; the largest first.
    pub thumbnails: Vec<ThumbnailView>,
    /// Chapters as Podcasting 2.0's JSON.
    pub chapters: Option<String>,
    /// Captions as WebVTT.
    pub transcripts: Vec<TranscriptView>,
    /// A feed with the release's parts.
    pub parts_feed: Option<String>,
    /// The file the item is about.
    pub enclosure: EnclosureView,
    /// The same content in other forms and by other ways, for Podcasting 2.0.
    pub alternates: Vec<AlternateView>,
    /// Files of the release, for Media RSS.
    pub contents: Vec<ContentView>,
    /// Whether `contents` are forms of one thing, and not parts of it.
    pub contents_are_forms: bool,
    /// Torrents of the release, for Media RSS.
    pub torrents: Vec<String>,
    /// What the torrent feed says of its one torrent.
    pub torrent: Option<TorrentView>,
}

/// Somebody who took part.
#[derive(Debug, Clone, Serialize)]
pub struct CreditView {
    /// Name.
    pub name: String,
    /// Role, in small letters.
    pub role: String,
}

/// A licence as feeds name it.
#[derive(Debug, Clone, Serialize)]
pub struct LicenceView {
    /// Its name.
    pub name: String,
    /// Where it can be read, when the name isn't one of SPDX's.
    pub url: Option<String>,
}

/// A picture of an item.
#[derive(Debug, Clone, Serialize)]
pub struct ThumbnailView {
    /// Where it is.
    pub url: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

/// Captions of an item.
#[derive(Debug, Clone, Serialize)]
pub struct TranscriptView {
    /// Where they are.
    pub url: String,
    /// BCP 47 tag.
    pub language: String,
}

/// A file as RSS describes it.
#[derive(Debug, Clone, Serialize)]
pub struct EnclosureView {
    /// Where it is.
    pub url: String,
    /// Its size.
    pub bytes: u64,
    /// MIME type.
    pub mime: String,
}

/// A rendition as Podcasting 2.0 describes it.
#[derive(Debug, Clone, Serialize)]
pub struct AlternateView {
    /// Where the file is; none for several files, which only their torrent gives as a whole.
    pub url: Option<String>,
    /// Its size; that of the torrent file where there is no one file.
    pub bytes: u64,
    /// MIME type; that of the torrent file where there is no one file.
    pub mime: String,
    /// The codecs parameter alone, where known.
    pub codecs: Option<String>,
    /// Bits a second.
    pub bit_rate: Option<u64>,
    /// Pixels.
    pub height: Option<u32>,
    /// BCP 47 tag.
    pub language: String,
    /// For people: `Original`, `720p`.
    pub title: String,
    /// Whether it is the enclosure.
    pub is_default: bool,
    /// The torrent file.
    pub torrent: String,
    /// The magnet link.
    pub magnet: String,
    /// Subresource integrity of the file, when it has been computed.
    pub integrity: Option<String>,
}

/// A file as Media RSS describes it.
#[derive(Debug, Clone, Serialize)]
pub struct ContentView {
    /// Where it is.
    pub url: String,
    /// Its size.
    pub bytes: u64,
    /// MIME type.
    pub mime: String,
    /// `video`, `audio`, `image`, `document`, where it is one of these.
    pub medium: Option<&'static str>,
    /// Title.
    pub title: String,
    /// Length in whole seconds, where known.
    pub duration_s: Option<u64>,
    /// Pixels.
    pub width: Option<u32>,
    /// Pixels.
    pub height: Option<u32>,
    /// Thousands of bits a second.
    pub kilobits: Option<u64>,
    /// Frames a second.
    pub frame_rate: Option<f64>,
    /// Whether it is the enclosure.
    pub is_default: bool,
}

/// A torrent as the torrent feed describes it.
#[derive(Debug, Clone, Serialize)]
pub struct TorrentView {
    /// v1 info-hash, 40 hex digits.
    pub info_hash: Option<String>,
    /// The magnet link.
    pub magnet: String,
    /// The torrent file's name.
    pub file_name: String,
    /// Payload bytes.
    pub bytes: u64,
}
