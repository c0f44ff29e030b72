//! What the feeds say: `feed.xml` (the media themselves, for podcast and feed readers) and `torrents.xml`
//! (BEP 36, for BitTorrent clients that subscribe). Two files, since readers look at `enclosure` alone.
//!
//! Feed readers have no page to resolve against, so URLs are absolute: below `base_url`, else below
//! `seeder_url`, which serves the site as well. With neither known they stay relative; that happens only
//! for a site built without both, and becomes right with the first build that has one.

use super::labels::whole_seconds;
use super::markdown::{shortened, with_absolute_links};
use super::render::{at, buttons};
use super::view::{
    ChannelView, EnclosureView, FeedView, FileView, ItemView, ReleaseView, SiteView,
};

/// Where the site's files are for somebody who has no page: ends with `/`, or is empty.
pub(super) fn public_root(channel: &ChannelView) -> &str {
    channel
        .base_url
        .as_deref()
        .or(channel.seeder_url.as_deref())
        .unwrap_or_default()
}

/// Head of the feed at `path`, over public releases only.
pub(super) fn head(site: &SiteView, path: &str) -> FeedView {
    let root = public_root(&site.channel);
    FeedView {
        url: at(path, root),
        home: if root.is_empty() {
            "./".to_owned()
        } else {
            root.to_owned()
        },
        updated: public(site).next().map(|r| r.published_rfc2822.clone()),
        image: site.channel.logo.as_deref().map(|logo| at(logo, root)),
    }
}

/// One item a release, its enclosure the media file: the best rendition of a clip, the first track of an
/// album, the file behind the first button of a download.
pub(super) fn media_items(site: &SiteView) -> Vec<ItemView> {
    let root = public_root(&site.channel);
    public(site)
        .filter_map(|release| {
            let files = || release.renditions.iter().flat_map(|r| &r.files);
            let enclosure = match release.kind.as_str() {
                "download" => buttons(release)
                    .first()
                    .and_then(|b| files().find(|f| f.url == b.url)),
                _ => files().find(|f| f.playable),
            };
            let enclosure = enclosure.or_else(|| files().next())?;
            let mut item = item(site, release, described(enclosure, root));
            if files().count() > 1 {
                item.contents = files().map(|file| described(file, root)).collect();
            }
            Some(item)
        })
        .collect()
}

/// One item a torrent. Its guid is the info-hash: a changed clip is a new torrent, and subscribers fetch it.
pub(super) fn torrent_items(site: &SiteView) -> Vec<ItemView> {
    let root = public_root(&site.channel);
    let mut items = Vec::new();
    for release in public(site) {
        for rendition in &release.renditions {
            let enclosure = EnclosureView {
                url: at(&rendition.torrent_url, root),
                bytes: rendition.torrent_bytes,
                mime: "application/x-bittorrent".to_owned(),
                title: None,
                duration_s: None,
            };
            let mut item = item(site, release, enclosure);
            if release.renditions.len() > 1 {
                item.title = format!("{} ({})", release.title, rendition.name);
            }
            item.guid = rendition.id.clone();
            item.guid_is_link = false;
            item.info_hash = rendition.info_hash_v1.clone();
            item.contents = rendition
                .files
                .iter()
                .map(|file| described(file, root))
                .collect();
            items.push(item);
        }
    }
    items
}

fn public(site: &SiteView) -> impl Iterator<Item = &ReleaseView> {
    site.releases.iter().filter(|release| !release.unlisted)
}

fn item(site: &SiteView, release: &ReleaseView, enclosure: EnclosureView) -> ItemView {
    let root = public_root(&site.channel);
    let path = format!("r/{}/", release.slug);
    let link = at(&path, root);
    // Where only the seeder's address is known, the link may change with its port; the slug doesn't.
    let (guid, guid_is_link) = match &site.channel.base_url {
        Some(_) => (link.clone(), true),
        None => (path, false),
    };
    ItemView {
        title: release.title.clone(),
        guid,
        guid_is_link,
        published: release.published_rfc2822.clone(),
        description: if release.excerpt.is_empty() {
            release.title.clone()
        } else {
            shortened(&release.excerpt, 4000)
        },
        html: with_absolute_links(&release.html, &link),
        link,
        tags: release.tags.clone(),
        duration_s: release.duration_s.map(whole_seconds),
        thumbnail: (!release.poster.placeholder).then(|| at(&release.poster.url, root)),
        enclosure,
        contents: Vec::new(),
        info_hash: None,
    }
}

fn described(file: &FileView, root: &str) -> EnclosureView {
    EnclosureView {
        url: at(&file.url, root),
        bytes: file.bytes,
        mime: file.mime.clone(),
        title: Some(file.title.clone()),
        duration_s: file.duration_s.map(whole_seconds),
    }
}
