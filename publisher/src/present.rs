//! SealedRelease → what templates and catalog show of it.

use crate::channel::Channel;
use crate::folder::Kind;
use crate::page::view::{
    CaptionView, ChannelView, ChapterView, FileView, LinkView, PersonView, PosterView, ReleaseView,
    RenditionView, ThemeView,
};
use crate::page::{labels, markdown, placeholder};
use crate::seal::{Addresses, SealedRelease, segment};
use crate::vtt;
use jiff::Timestamp;
use metainfo::catalog::{CatalogChannel, CatalogFile, CatalogRelease, CatalogRendition};

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
pub fn channel_view(channel: &Channel, addresses: &Addresses) -> ChannelView {
    ChannelView {
        title: channel.title.clone(),
        description: channel.description.clone(),
        language: channel.language.clone(),
        author: channel.author.clone(),
        base_url: channel.base_url.clone(),
        seeder_url: addresses.page.clone(),
        links: channel
            .links
            .iter()
            .map(|link| LinkView {
                title: link.title.clone(),
                url: link.url.clone(),
            })
            .collect(),
        logo: channel.logo.as_deref().map(segment),
        theme: ThemeView {
            accent: channel.theme.accent.clone(),
            scheme: channel.theme.scheme.clone(),
        },
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

/// A release as templates see it, and the files that its page needs beside it.
pub fn release_view(
    sealed: &SealedRelease,
    slug: &str,
    published: Timestamp,
    channel: &Channel,
    addresses: &Addresses,
) -> (ReleaseView, Vec<PageFile>) {
    let probed = &sealed.probed;
    let front = &probed.front;
    let mut beside = Vec::new();
    let mut put = |name: String, bytes: Vec<u8>| {
        let path = format!("r/{slug}/{name}");
        beside.push(PageFile {
            path: path.clone(),
            bytes,
        });
        path
    };
    let poster = poster_view(sealed, channel, &mut put);
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
    let view = ReleaseView {
        slug: slug.to_owned(),
        kind: probed.found.kind.word().into(),
        title: probed.title.clone(),
        summary,
        excerpt,
        html: markdown::to_html(&front.text),
        published: labels::date_rfc3339(published),
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
        renditions: vec![rendition_view(sealed, channel, addresses)],
        unlisted: front.unlisted,
    };
    (view, beside)
}

fn poster_view(
    sealed: &SealedRelease,
    channel: &Channel,
    put: &mut impl FnMut(String, Vec<u8>) -> String,
) -> PosterView {
    let probed = &sealed.probed;
    let alt = probed.front.poster_alt.clone();
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
            alt: alt.unwrap_or_default(),
            placeholder: false,
        };
    }
    let drawn = placeholder::poster(
        &probed.title,
        probed.found.kind.word(),
        &channel.theme.accent,
    );
    PosterView {
        url: put("poster.svg".into(), drawn.svg.into_bytes()),
        mime: "image/svg+xml".into(),
        width: drawn.width,
        height: drawn.height,
        alt: alt.unwrap_or_default(),
        placeholder: true,
    }
}

fn rendition_view(
    sealed: &SealedRelease,
    channel: &Channel,
    addresses: &Addresses,
) -> RenditionView {
    let info = &sealed.torrent.info;
    let (mime, playable) = media(sealed);
    let site = channel.base_url.as_deref().or(addresses.torrent.as_deref());
    RenditionView {
        name: "source".into(),
        id: sealed.id.clone(),
        info_hash_v1: info.info_hash_v1().map(|hash| hash.to_string()),
        info_hash_v2: info.info_hash_v2().map(|hash| hash.to_string()),
        bytes: info.payload_bytes(),
        bytes_label: labels::bytes_label(info.payload_bytes()),
        mime,
        playable,
        torrent_url: torrent_path(&sealed.id),
        torrent_bytes: sealed.torrent_bytes.len() as u64,
        magnet: sealed.magnet(site),
        files: file_views(sealed, addresses),
    }
}

/// The torrent file's place below `site/`.
pub fn torrent_path(id: &str) -> String {
    format!("t/{id}.torrent")
}

/// The type of the whole: of its media, else of its first file.
fn media(sealed: &SealedRelease) -> (String, bool) {
    let tracks = &sealed.probed.tracks;
    let main = match sealed.probed.found.kind {
        Kind::Album => tracks.iter().find(|track| track.media.is_timed()),
        Kind::Clip | Kind::Download => tracks.first(),
    };
    main.map_or(("application/octet-stream".into(), false), |track| {
        (track.media.mime.into(), track.media.playable)
    })
}

/// The files in the order people want: an album's tracks by their numbers, then the rest.
fn file_views(sealed: &SealedRelease, addresses: &Addresses) -> Vec<FileView> {
    let prefix = addresses.page.as_deref().unwrap_or_default();
    let found = &sealed.probed.found;
    let mut views: Vec<_> = found
        .files
        .iter()
        .zip(&sealed.probed.tracks)
        .filter_map(|(file, track)| {
            let stored = std::iter::once(&found.source)
                .chain(&file.path)
                .map(String::as_str);
            let stored = stored.collect::<Vec<_>>().join("/");
            let state = sealed.files.iter().find(|state| state.path == stored)?;
            let path = if file.path.is_empty() {
                found.source.clone()
            } else {
                file.path.join("/")
            };
            let view = FileView {
                path,
                title: track.title.clone(),
                artist: track.artist.clone(),
                bytes: state.bytes,
                bytes_label: labels::bytes_label(state.bytes),
                mime: track.media.mime.into(),
                playable: track.media.playable,
                duration_s: track.duration_s,
                duration_label: track.duration_s.map(labels::duration_label),
                url: format!("{prefix}{}", sealed.library_url(state)),
            };
            Some((
                (!track.media.is_timed(), track.number.unwrap_or(u32::MAX)),
                view,
            ))
        })
        .collect();
    if found.kind == Kind::Album {
        views.sort_by(|a, b| (a.0, &a.1.path).cmp(&(b.0, &b.1.path)));
    }
    views.into_iter().map(|(_, view)| view).collect()
}

/// A public release as the catalog lists it.
pub fn catalog_release(sealed: &SealedRelease, view: &ReleaseView) -> CatalogRelease {
    let info = &sealed.torrent.info;
    let file = |file: &metainfo::state::StateFile| CatalogFile {
        path: file.path.clone(),
        bytes: file.bytes,
        merkle_root: file.merkle_root,
    };
    let renditions = view.renditions.iter().map(|rendition| CatalogRendition {
        name: rendition.name.clone(),
        bytes: rendition.bytes,
        mime: rendition.mime.clone(),
        info_hash_v1: info.info_hash_v1(),
        info_hash_v2: info.info_hash_v2(),
        files: sealed.files.iter().map(file).collect(),
        torrent: rendition.torrent_url.clone(),
        magnet: rendition.magnet.clone(),
        sources: sealed.torrent.web_seeds.clone(),
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
