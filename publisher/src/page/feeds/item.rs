//! What one item of a feed says of a release and its files.

use super::{guid, public_root, raster_poster};
use crate::page::labels::whole_seconds;
use crate::page::markdown::{shortened, with_absolute_links};
use crate::page::render::at;
use crate::page::stage::rendition_label;
use crate::page::view::{
    AlternateView, ChannelView, ContentView, CreditView, EnclosureView, FileView, ItemView,
    LicenceView, PersonView, PosterView, ReleaseView, RenditionView, ThumbnailView, TranscriptView,
};

/// An item about this release whose enclosure is this file; what differs between feeds is still empty.
pub(super) fn item(
    channel: &ChannelView,
    release: &ReleaseView,
    enclosure: EnclosureView,
) -> ItemView {
    let root = public_root(channel);
    let path = format!("r/{}/", release.slug);
    let link = at(&path, root);
    let (guid, guid_is_link) = guid(channel, release);
    ItemView {
        title: release.title.clone(),
        guid,
        guid_is_link,
        published: release.published_rfc2822.clone(),
        updated: (!release.updated.is_empty() && release.updated != release.published)
            .then(|| release.updated.clone()),
        description: if release.excerpt.is_empty() {
            release.title.clone()
        } else {
            shortened(&release.excerpt, 4000)
        },
        html: with_absolute_links(&release.html, &link),
        tags: release.tags.clone(),
        people: credits(release),
        licence: release.licence.as_deref().map(|text| licence(text, &link)),
        duration_s: release.duration_s.map(whole_seconds),
        episode: None,
        thumbnails: thumbnails(&release.poster, root),
        chapters: (!release.chapters.is_empty()).then(|| at(&format!("{path}chapters.json"), root)),
        transcripts: release
            .captions
            .iter()
            .map(|caption| TranscriptView {
                url: at(&caption.url, root),
                language: caption.language.clone(),
            })
            .collect(),
        parts_feed: None,
        link,
        enclosure,
        alternates: Vec::new(),
        contents: Vec::new(),
        contents_are_forms: false,
        torrents: Vec::new(),
        torrent: None,
    }
}

/// Without a role podcast readers would show everybody as the host.
fn credits(release: &ReleaseView) -> Vec<CreditView> {
    let no_role = if release.kind == "album" {
        "artist"
    } else {
        "guest"
    };
    let credit = |person: &PersonView| CreditView {
        name: person.name.clone(),
        role: person.role.as_deref().unwrap_or(no_role).to_lowercase(),
    };
    release.people.iter().map(credit).collect()
}

/// SPDX names licences without blanks; Creative Commons' are mostly written with them.
fn licence(text: &str, page: &str) -> LicenceView {
    let slug = text.trim().to_lowercase().replace(' ', "-");
    let is_name = slug
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '+'));
    let known = [
        "cc-by-",
        "cc0-",
        "mit",
        "apache-",
        "gpl-",
        "lgpl-",
        "agpl-",
        "bsd-",
        "mpl-",
        "isc",
        "wtfpl",
        "unlicense",
    ];
    if is_name && known.iter().any(|known| slug.starts_with(known)) {
        LicenceView {
            name: slug,
            url: None,
        }
    } else {
        LicenceView {
            name: text.to_owned(),
            url: Some(page.to_owned()),
        }
    }
}

fn thumbnails(poster: &PosterView, root: &str) -> Vec<ThumbnailView> {
    let Some(url) = raster_poster(poster) else {
        return Vec::new();
    };
    let whole = (url, poster.width, poster.height);
    let sized = poster
        .sources
        .iter()
        .filter(|source| source.mime != "image/webp");
    let mut all: Vec<_> = sized.map(|s| (s.url.as_str(), s.width, s.height)).collect();
    if !all.contains(&whole) {
        all.push(whole);
    }
    all.sort_by_key(|(_, width, _)| std::cmp::Reverse(*width));
    let thumbnail = |(url, width, height)| ThumbnailView {
        url: at(url, root),
        width,
        height,
    };
    all.into_iter().map(thumbnail).collect()
}

pub(super) fn enclosure_of(file: &FileView, root: &str) -> EnclosureView {
    EnclosureView {
        url: at(&file.url, root),
        bytes: file.bytes,
        mime: file.mime.clone(),
    }
}

/// A rendition of one file is the file itself by three ways; a folder is to be had whole by torrent only.
pub(super) fn alternate(
    channel: &ChannelView,
    rendition: &RenditionView,
    enclosed: &FileView,
) -> AlternateView {
    let root = public_root(channel);
    let torrent = at(&rendition.torrent_url, root);
    let language = rendition
        .language
        .as_ref()
        .unwrap_or(&channel.language)
        .clone();
    let magnet = rendition.magnet.clone();
    let [file] = rendition.files.as_slice() else {
        return AlternateView {
            url: None,
            bytes: rendition.torrent_bytes,
            mime: "application/x-bittorrent".to_owned(),
            codecs: None,
            bit_rate: None,
            height: None,
            language,
            title: "All files".to_owned(),
            is_default: false,
            torrent,
            magnet,
            integrity: None,
        };
    };
    let sha256 = rendition.sha256.as_ref().or(file.sha256.as_ref());
    AlternateView {
        url: Some(at(&file.url, root)),
        bytes: file.bytes,
        mime: file.mime.clone(),
        codecs: codecs(&rendition.mime_codecs).map(str::to_owned),
        bit_rate: rendition.bit_rate,
        height: (rendition.height > 0).then_some(rendition.height),
        language,
        title: rendition_label(rendition),
        is_default: file.url == enclosed.url,
        torrent,
        magnet,
        integrity: sha256.map(|sha256| format!("sha256-{sha256}")),
    }
}

/// The codecs parameter of a MIME type.
fn codecs(mime: &str) -> Option<&str> {
    let (_, parameter) = mime.split_once("codecs=")?;
    let value = parameter.trim().trim_matches('"');
    (!value.is_empty()).then_some(value)
}

pub(super) fn content(
    rendition: &RenditionView,
    file: &FileView,
    enclosed: &FileView,
    root: &str,
) -> ContentView {
    let is_whole = rendition.files.len() == 1;
    let of_whole = |pixels: u32| (is_whole && pixels > 0).then_some(pixels);
    ContentView {
        url: at(&file.url, root),
        bytes: file.bytes,
        mime: file.mime.clone(),
        medium: match file.mime.split('/').next() {
            Some("video") => Some("video"),
            Some("audio") => Some("audio"),
            Some("image") => Some("image"),
            Some("text") => Some("document"),
            _ if file.mime == "application/pdf" => Some("document"),
            _ => None,
        },
        title: file.title.clone(),
        duration_s: file.duration_s.map(whole_seconds),
        width: of_whole(rendition.width),
        height: of_whole(rendition.height),
        kilobits: rendition
            .bit_rate
            .filter(|_| is_whole)
            .map(|bits| bits.div_ceil(1000)),
        frame_rate: rendition
            .frame_rate
            .filter(|rate| is_whole && rate.is_finite())
            .map(|rate| (rate * 1000.0).round() / 1000.0),
        is_default: file.url == enclosed.url,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_have_names() {
        for (text, name) in [
            ("CC BY 4.0", "cc-by-4.0"),
            ("CC0 1.0", "cc0-1.0"),
            ("MIT", "mit"),
            ("CC-BY-NC-SA-4.0", "cc-by-nc-sa-4.0"),
        ] {
            let licence = licence(text, "p");
            assert_eq!((licence.name.as_str(), licence.url), (name, None), "{text}");
        }
        for text in [
            "All rights reserved",
            "CC BY 4.0 \u{2013} see below",
            "mine",
        ] {
            let licence = licence(text, "p");
            assert_eq!(
                (licence.name.as_str(), licence.url.as_deref()),
                (text, Some("p"))
            );
        }
    }

    #[test]
    fn codecs_stand_alone() {
        assert_eq!(
            codecs("video/mp4; codecs=\"avc1.640028,mp4a.40.2\""),
            Some("avc1.640028,mp4a.40.2")
        );
        assert_eq!(codecs("video/mp4"), None);
        assert_eq!(codecs(""), None);
    }
}
