//! What the feeds say: `feed.xml` (the media themselves, for podcast and feed readers), an album's own feed
//! of tracks, and `torrents.xml` (BEP 36, for BitTorrent clients that subscribe). Own files, since readers
//! look at `enclosure` alone.
//!
//! Feed readers have no page to resolve against, so URLs are absolute: below `base_url`, else below
//! `seeder_url`, which serves the site as well. With neither known they stay relative; that happens only
//! for a site built without both, and becomes right with the first build that has one.

mod item;
mod tracks;

use jiff::Timestamp;
use uuid::Uuid;

use self::item::{alternate, content, enclosure_of, item};
pub(super) use self::tracks::{has_track_feed, track_feed, track_feed_path};
use super::labels::{date_rfc2822, whole_seconds};
use super::render::at;
use super::sheets::{Place, feed_archive};
use super::stage::{buttons, rendition_label};
use super::view::{
    ChannelView, EnclosureView, FeedView, ItemView, PosterView, ReleaseView, TorrentView,
};

/// The namespace in which Podcasting 2.0 makes feeds' guids.
const PODCAST: Uuid = Uuid::from_u128(0xead4_c236_bf58_58c6_a2c6_a6b2_8d12_8cb6);

/// The most files of one release that an item lists; the torrent has them all.
const CONTENTS: usize = 50;

/// Where the site's files are for somebody who has no page: ends with `/`, or is empty.
pub(super) fn public_root(channel: &ChannelView) -> &str {
    channel
        .base_url
        .as_deref()
        .or(channel.seeder_url.as_deref())
        .unwrap_or_default()
}

/// The site's front page, as feeds name it.
pub(super) fn home(channel: &ChannelView) -> String {
    match public_root(channel) {
        "" => "./".to_owned(),
        root => root.to_owned(),
    }
}

pub(super) fn is_video(mime: &str) -> bool {
    mime.starts_with("video/")
}

/// The poster's file for readers that know neither WebP nor drawings.
pub(super) fn raster_poster(poster: &PosterView) -> Option<&str> {
    let drawn = poster.placeholder || poster.mime == "image/svg+xml";
    (!drawn).then_some(poster.url.as_str())
}

/// Head of the feed at `path` over these releases, newest first.
pub(super) fn head(channel: &ChannelView, path: &str, views: &[ReleaseView]) -> FeedView {
    let root = public_root(channel);
    let url = at(path, root);
    let poster = || views.iter().find_map(|view| raster_poster(&view.poster));
    FeedView {
        title: channel.title.clone(),
        description: if channel.description.is_empty() {
            channel.title.clone()
        } else {
            channel.description.clone()
        },
        author: channel.author.clone(),
        email: channel.email.clone(),
        category: channel.category.clone(),
        medium: channel
            .medium
            .clone()
            .unwrap_or_else(|| medium(views).to_owned()),
        guid: channel.base_url.as_ref().map(|_| podcast_guid(&url)),
        order: "episodic",
        home: home(channel),
        updated: last_change(views),
        image: channel
            .logo
            .as_deref()
            .or_else(poster)
            .map(|logo| at(logo, root)),
        current: None,
        prev_archive: None,
        next_archive: None,
        url,
    }
}

/// When the newest item was published or any last changed, RFC 2822.
fn last_change(views: &[ReleaseView]) -> Option<String> {
    let dates = views
        .iter()
        .flat_map(|view| [&view.published, &view.updated]);
    let latest = dates
        .filter_map(|date| date.parse::<Timestamp>().ok())
        .max()?;
    Some(date_rfc2822(latest))
}

/// Head of the media feed or of one of its archives: they are one podcast with one guid.
pub(super) fn archive_head(
    channel: &ChannelView,
    place: &Place,
    views: &[ReleaseView],
) -> FeedView {
    let root = public_root(channel);
    let archive = |number: usize| at(&feed_archive(number), root);
    let mut feed = head(channel, "feed.xml", views);
    if let Some(number) = place.number {
        feed.current = Some(std::mem::replace(&mut feed.url, archive(number)));
    }
    feed.prev_archive = place.older.map(archive);
    feed.next_archive = place.newer.map(archive);
    feed
}

/// Podcasting 2.0: UUIDv5 of the feed's address without its scheme.
fn podcast_guid(url: &str) -> String {
    let address = url.split_once("://").map_or(url, |(_, rest)| rest);
    let address = address.trim_end_matches('/');
    Uuid::new_v5(&PODCAST, address.as_bytes()).to_string()
}

/// What a feed of these releases is in the words of Podcasting 2.0.
fn medium(views: &[ReleaseView]) -> &'static str {
    let mimes = || {
        views
            .iter()
            .flat_map(|view| &view.renditions)
            .map(|rendition| &rendition.mime)
    };
    if mimes().any(|mime| is_video(mime)) {
        "video"
    } else if !views.is_empty() && views.iter().all(|view| view.kind == "album") {
        "music"
    } else {
        "podcast"
    }
}

/// One item a release, its enclosure the media file: the best rendition of a clip, the first track of an
/// album, the file behind the first button of a download.
pub(super) fn media_items(channel: &ChannelView, views: &[ReleaseView]) -> Vec<ItemView> {
    views
        .iter()
        .filter_map(|view| media_item(channel, view))
        .collect()
}

fn media_item(channel: &ChannelView, release: &ReleaseView) -> Option<ItemView> {
    let root = public_root(channel);
    let files = || {
        let of = |rendition| move |file| (rendition, file);
        release
            .renditions
            .iter()
            .flat_map(move |r| r.files.iter().map(of(r)))
    };
    let enclosure = match release.kind.as_str() {
        "download" => buttons(release)
            .first()
            .and_then(|button| files().find(|(_, file)| file.url == button.url)),
        _ => files().find(|(_, file)| file.playable),
    };
    let (_, enclosed) = enclosure.or_else(|| files().next())?;
    let mut item = item(channel, release, enclosure_of(enclosed, root));
    if release.kind != "clip" {
        item.duration_s = enclosed.duration_s.map(whole_seconds);
    }
    item.alternates = release
        .renditions
        .iter()
        .map(|rendition| alternate(channel, rendition, enclosed))
        .collect();
    item.contents = files()
        .take(CONTENTS)
        .map(|(rendition, file)| content(rendition, file, enclosed, root))
        .collect();
    item.contents_are_forms = release.kind == "clip";
    item.torrents = release
        .renditions
        .iter()
        .map(|rendition| at(&rendition.torrent_url, root))
        .collect();
    item.parts_feed = has_track_feed(release).then(|| at(&track_feed_path(release), root));
    Some(item)
}

/// One item a torrent. Its guid is the info-hash: a changed clip is a new torrent, and subscribers fetch it.
pub(super) fn torrent_items(channel: &ChannelView, views: &[ReleaseView]) -> Vec<ItemView> {
    let root = public_root(channel);
    let mut items = Vec::new();
    for release in views {
        for rendition in &release.renditions {
            let enclosure = EnclosureView {
                url: at(&rendition.torrent_url, root),
                bytes: rendition.torrent_bytes,
                mime: "application/x-bittorrent".to_owned(),
            };
            let mut item = item(channel, release, enclosure);
            if release.renditions.len() > 1 {
                item.title = format!("{} ({})", release.title, rendition_label(rendition));
            }
            item.guid = rendition.id.clone();
            item.guid_is_link = false;
            item.torrent = Some(TorrentView {
                info_hash: rendition.info_hash_v1.clone(),
                magnet: rendition.magnet.clone(),
                file_name: rendition
                    .torrent_url
                    .rsplit('/')
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
                bytes: rendition.bytes,
            });
            items.push(item);
        }
    }
    items
}

/// What never changes about a release, and whether that is a URL. Without a guid of its own it is the
/// page's place; where only the seeder's address is known, a link may change with its port.
pub(super) fn guid(channel: &ChannelView, release: &ReleaseView) -> (String, bool) {
    let path = format!("r/{}/", release.slug);
    match (&channel.base_url, release.guid.as_str()) {
        (Some(base), "") => (at(&path, base), true),
        (None, "") => (path, false),
        (_, guid) => (guid.to_owned(), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feeds_guid_is_as_the_namespace_defines_it() {
        // The specification's own example.
        assert_eq!(
            podcast_guid("https://mp3s.nashownotes.com/pc20rss.xml"),
            "917393e3-1b1e-5cef-ace4-edaa54e1f810"
        );
        assert_eq!(
            podcast_guid("http://a/feed/"),
            podcast_guid("https://a/feed")
        );
    }
}
