//! SealedRelease → what templates and catalog show of it.

mod rendition;

use crate::channel::{Channel, Link};
use crate::derive;
use crate::page::view::{
    CaptionView, ChannelView, ChapterView, LinkView, PersonView, PictureView, PosterView,
    ReleaseView, ThemeView, ThumbnailsView,
};
use crate::page::{labels, markdown, placeholder};
use crate::probe::ProbedRelease;
use crate::seal::{Addresses, SealedRelease, segment};
use crate::vtt;
use crate::wanted::{Extras, SizedPicture};
use jiff::Timestamp;
use metainfo::catalog::{CatalogChannel, CatalogFile, CatalogRelease, CatalogRendition};
use rendition::rendition_views;
pub use rendition::shown_size;

/// The longest summary made from a page text, in characters.
const SUMMARY_CHARS: usize = 200;

/// A file beside a release's page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageFile {
    /// Where it goes, below `site/`.
    pub path: String,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// The channel as templates see it.
pub fn channel_view(
    channel: &Channel,
    addresses: &Addresses,
    public_key: Option<String>,
) -> ChannelView {
    ChannelView {
        title: channel.title.clone(),
        description: channel.description.clone(),
        language: channel.language.clone(),
        author: channel.author.clone(),
        email: channel.email.clone(),
        category: channel.category.clone(),
        medium: channel.medium.clone(),
        p2p: Some(channel.p2p.word().to_owned()),
        public_key,
        base_url: channel.base_url.clone(),
        seeder_url: addresses.page.clone(),
        links: channel.links.iter().map(link_view).collect(),
        logo: channel.logo.as_deref().map(segment),
        theme: ThemeView {
            accent: channel.theme.accent.clone(),
            scheme: channel.theme.scheme.clone(),
        },
    }
}

fn link_view(link: &Link) -> LinkView {
    LinkView {
        title: link.title.clone(),
        url: link.url.clone(),
    }
}

/// The channel as the catalog names it.
pub fn catalog_channel(channel: &Channel) -> CatalogChannel {
    CatalogChannel {
        title: channel.title.clone(),
        description: channel.description.clone(),
        language: channel.language.clone(),
    }
}

/// What pages say of a release beyond what its files do.
#[derive(Debug, Clone)]
pub struct Placed {
    /// Its place in URLs.
    pub slug: String,
    /// What feeds know it by.
    pub guid: String,
    /// Its date.
    pub published: Timestamp,
}

/// A release as templates see it, and the files that its page needs beside it.
pub fn release_view(
    sealed: &SealedRelease,
    placed: &Placed,
    extras: &Extras,
    channel: &Channel,
    addresses: &Addresses,
) -> (ReleaseView, Vec<PageFile>) {
    let probed = &sealed.probed;
    let front = &probed.front;
    let mut beside = Vec::new();
    let mut put = |name: String, bytes: Vec<u8>| {
        let path = format!("r/{}/{name}", placed.slug);
        beside.push(PageFile {
            path: path.clone(),
            bytes,
        });
        path
    };
    let poster = poster_view(probed, extras, channel, &mut put);
    let thumbnails = thumbnails_view(probed, extras, &mut put);
    let captions = probed
        .captions
        .iter()
        .map(|(language, text)| CaptionView {
            url: put(
                format!("captions.{language}.vtt"),
                text.clone().into_bytes(),
            ),
            language: language.clone(),
            label: language_label(language),
        })
        .collect();
    let chapters_url = (!probed.chapters.is_empty()).then(|| {
        put(
            "chapters.vtt".into(),
            vtt::from_chapters(&probed.chapters, probed.duration_s).into_bytes(),
        )
    });
    let summary = front.summary.clone().unwrap_or_default();
    let excerpt = if summary.is_empty() {
        markdown::first_paragraph(&front.text, SUMMARY_CHARS)
    } else {
        summary.clone()
    };
    let published = placed.published;
    let view = ReleaseView {
        slug: placed.slug.clone(),
        kind: probed.kind.word().into(),
        title: probed.title.clone(),
        summary,
        excerpt,
        html: markdown::to_html(&front.text),
        guid: placed.guid.clone(),
        published: labels::date_rfc3339(published),
        updated: labels::date_rfc3339(updated(probed).max(published)),
        published_rfc2822: labels::date_rfc2822(published),
        published_label: labels::date_label(published),
        people: front
            .people
            .iter()
            .map(|person| PersonView {
                name: person.name.clone(),
                role: person.role.clone(),
            })
            .collect(),
        tags: front.tags.clone(),
        licence: front.licence.clone(),
        duration_s: probed.duration_s,
        duration_label: probed.duration_s.map(labels::duration_label),
        poster,
        chapters: probed
            .chapters
            .iter()
            .map(|chapter| ChapterView {
                start_s: chapter.start_s,
                start_label: labels::duration_label(chapter.start_s),
                title: chapter.title.clone(),
            })
            .collect(),
        chapters_url,
        captions,
        thumbnails,
        renditions: rendition_views(sealed, extras, channel, addresses),
        note: extras.note.clone().or_else(|| probed.note.clone()),
        links: front.links.iter().map(link_view).collect(),
        accent: front.accent.clone(),
        p2p: front.p2p.map(|p2p| p2p.word().to_owned()),
        unlisted: front.unlisted,
    };
    (view, beside)
}

/// When its newest file was written.
fn updated(probed: &ProbedRelease) -> Timestamp {
    let payload = probed.found.files.iter().map(|file| &file.stat);
    let newest = payload
        .chain(probed.found.sidecars.stats.values())
        .map(|stat| stat.mtime_ns)
        .max();
    newest
        .and_then(|ns| Timestamp::from_second(ns / 1_000_000_000).ok())
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The picture as it stands there, or the drawn one: pages show it until there are sizes of it, and it stays for
/// those who have such a page open.
fn plain_poster(
    probed: &ProbedRelease,
    channel: &Channel,
    put: &mut impl FnMut(String, Vec<u8>) -> String,
) -> PosterView {
    let alt = probed.front.poster_alt.clone().unwrap_or_default();
    // A poster that vanished since it was probed is drawn like one that never was.
    let read = probed
        .poster
        .as_ref()
        .and_then(|poster| Some((poster, std::fs::read(&poster.path).ok()?)));
    if let Some((poster, bytes)) = read {
        return PosterView {
            url: put(format!("poster.{}", poster.extension), bytes),
            mime: poster.mime.into(),
            width: poster.width,
            height: poster.height,
            alt,
            placeholder: false,
            sources: Vec::new(),
        };
    }
    let accent = probed.front.accent.as_ref();
    let accent = accent.unwrap_or(&channel.theme.accent);
    let drawn = placeholder::poster(&probed.title, probed.kind.word(), accent);
    PosterView {
        url: put("poster.svg".into(), drawn.svg.into_bytes()),
        mime: "image/svg+xml".into(),
        width: drawn.width,
        height: drawn.height,
        alt,
        placeholder: true,
        sources: Vec::new(),
    }
}

fn poster_view(
    probed: &ProbedRelease,
    extras: &Extras,
    channel: &Channel,
    put: &mut impl FnMut(String, Vec<u8>) -> String,
) -> PosterView {
    let plain = plain_poster(probed, channel, put);
    let Some(fallback) = extras.pictures.iter().position(|sized| sized.fallback) else {
        return plain;
    };
    let sources: Vec<PictureView> = extras
        .pictures
        .iter()
        .map(|SizedPicture { picture, bytes, .. }| {
            let ending = match picture.mime {
                "image/webp" => "webp",
                _ => "jpg",
            };
            PictureView {
                url: put(format!("poster-{}.{ending}", picture.width), bytes.clone()),
                mime: picture.mime.into(),
                width: picture.width,
                height: picture.height,
            }
        })
        .collect();
    let shown = &sources[fallback];
    PosterView {
        url: shown.url.clone(),
        mime: shown.mime.clone(),
        width: shown.width,
        height: shown.height,
        placeholder: false,
        sources,
        ..plain
    }
}

fn thumbnails_view(
    probed: &ProbedRelease,
    extras: &Extras,
    put: &mut impl FnMut(String, Vec<u8>) -> String,
) -> Option<ThumbnailsView> {
    let (thumbnails, sprite) = extras.thumbnails.as_ref()?;
    let duration_s = probed.duration_s?;
    // Cues are resolved against the track's own place: the sprite lies beside it.
    let cues = derive::thumbnails_vtt(thumbnails, "thumbnails.jpg", duration_s);
    Some(ThumbnailsView {
        sprite_url: put("thumbnails.jpg".into(), sprite.clone()),
        vtt_url: put("thumbnails.vtt".into(), cues.into_bytes()),
        width: thumbnails.width,
        height: thumbnails.height,
    })
}

/// The torrent file's place below `site/`.
pub fn torrent_path(id: &str) -> String {
    format!("t/{id}.torrent")
}

/// A public release as the catalog lists it.
pub fn catalog_release(sealed: &SealedRelease, view: &ReleaseView) -> CatalogRelease {
    let file = |file: &metainfo::state::StateFile| CatalogFile {
        path: file.path.clone(),
        bytes: file.bytes,
        merkle_root: file.merkle_root,
    };
    let renditions = view.renditions.iter().filter_map(|rendition| {
        let sealed = sealed
            .renditions
            .iter()
            .find(|sealed| sealed.id == rendition.id)?;
        Some(CatalogRendition {
            name: rendition.name.clone(),
            bytes: rendition.bytes,
            mime: rendition.mime.clone(),
            info_hash_v1: sealed.torrent.info.info_hash_v1(),
            info_hash_v2: sealed.torrent.info.info_hash_v2(),
            files: sealed.files.iter().map(file).collect(),
            torrent: rendition.torrent_url.clone(),
            magnet: rendition.magnet.clone(),
            sources: sealed.torrent.web_seeds.clone(),
        })
    });
    CatalogRelease {
        slug: view.slug.clone(),
        kind: view.kind.clone(),
        title: view.title.clone(),
        published: view.published.clone(),
        page: format!("r/{}/", view.slug),
        renditions: renditions.collect(),
    }
}

/// A language's name as its speakers write it; the tag where we don't know it.
fn language_label(tag: &str) -> String {
    let name = match tag
        .split('-')
        .next()
        .unwrap_or(tag)
        .to_ascii_lowercase()
        .as_str()
    {
        "en" => "English",
        "de" => "Deutsch",
        "fr" => "Français",
        "es" => "Español",
        "it" => "Italiano",
        "pt" => "Português",
        "nl" => "Nederlands",
        "pl" => "Polski",
        "sv" => "Svenska",
        "da" => "Dansk",
        "fi" => "Suomi",
        "cs" => "Čeština",
        "tr" => "Türkçe",
        "ru" => "Русский",
        "uk" => "Українська",
        "el" => "Ελληνικά",
        "ar" => "العربية",
        "he" => "עברית",
        "hi" => "हिन्दी",
        "zh" => "中文",
        "ja" => "日本語",
        "ko" => "한국어",
        _ => return tag.to_owned(),
    };
    if tag.contains('-') {
        format!("{name} ({tag})")
    } else {
        name.to_owned()
    }
}
