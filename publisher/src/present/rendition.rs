//! A release's torrents as templates see them.

use crate::channel::Channel;
use crate::file_type::MediaType;
use crate::folder::Kind;
use crate::page::labels;
use crate::page::view::{FileView, RenditionView};
use crate::prepare::SOURCE;
use crate::present::torrent_path;
use crate::probe::Track;
use crate::seal::{Addresses, SealedRelease, SealedRendition};
use crate::wanted::Extras;
use data_encoding::BASE64;
use media::{Media, Plays};
use metainfo::state::StateFile;
use std::collections::BTreeMap;

/// What browsers make of a file.
struct Judged {
    mime: String,
    mime_codecs: String,
    playable: bool,
}

fn judged(media: Option<&Media>, named: MediaType) -> Judged {
    match media.map(media::plays) {
        Some(Plays::AsIs { mime }) => Judged {
            mime: mime.split(';').next().unwrap_or_default().trim().into(),
            mime_codecs: mime,
            playable: true,
        },
        _ => Judged {
            mime: named.mime.into(),
            mime_codecs: String::new(),
            playable: false,
        },
    }
}

/// Every torrent: those that play before those that don't, the publisher's own before the others, then the
/// tallest.
pub(super) fn rendition_views(
    sealed: &SealedRelease,
    extras: &Extras,
    channel: &Channel,
    addresses: &Addresses,
) -> Vec<RenditionView> {
    let view = |rendition| rendition_view(sealed, rendition, extras, channel, addresses);
    let mut views: Vec<RenditionView> = sealed.renditions.iter().map(view).collect();
    views.sort_by_key(|view| {
        let shorter = view.width.min(view.height);
        (!view.playable, view.name != SOURCE, u32::MAX - shorter)
    });
    views
}

fn rendition_view(
    sealed: &SealedRelease,
    rendition: &SealedRendition,
    extras: &Extras,
    channel: &Channel,
    addresses: &Addresses,
) -> RenditionView {
    let info = &rendition.torrent.info;
    let files = if rendition.name == SOURCE {
        source_files(sealed, rendition, addresses)
    } else {
        derived_file(sealed, rendition, addresses)
            .into_iter()
            .collect()
    };
    let main = match sealed.probed.kind {
        Kind::Album => files
            .iter()
            .find(|file| file.playable)
            .or_else(|| files.first()),
        Kind::Clip | Kind::Download => files.first(),
    };
    let media = rendition.media.as_ref();
    let picture = media.and_then(|media| media.video.as_ref());
    let (width, height) = picture.map_or((0, 0), shown_size);
    let site = channel.base_url.as_deref().or(addresses.torrent.as_deref());
    let sha256 = extras.sha256.get(&rendition.id);
    let sha256 = sha256.map(|hash| BASE64.encode(hash));
    let mut view = RenditionView {
        name: rendition.name.clone(),
        id: rendition.id.clone(),
        info_hash_v1: info.info_hash_v1().map(|hash| hash.to_string()),
        info_hash_v2: info.info_hash_v2().map(|hash| hash.to_string()),
        bytes: info.payload_bytes(),
        bytes_label: labels::bytes_label(info.payload_bytes()),
        mime: main.map_or("application/octet-stream".into(), |file| file.mime.clone()),
        mime_codecs: judged(media, crate::file_type::media_type("")).mime_codecs,
        playable: main.is_some_and(|file| file.playable),
        width,
        height,
        frame_rate: picture.and_then(|picture| picture.frame_rate),
        bit_rate: media.and_then(|media| media.bit_rate),
        language: sealed.probed.front.language.clone(),
        sha256: sha256.clone(),
        torrent_url: torrent_path(&rendition.id),
        torrent_bytes: rendition.torrent_bytes.len() as u64,
        magnet: rendition.magnet(site),
        files,
    };
    if let [only] = view.files.as_mut_slice() {
        only.sha256 = sha256;
    }
    view
}

/// Pixels as people see them: a turned picture is as wide as it was high.
pub fn shown_size(picture: &media::Video) -> (u32, u32) {
    match picture.rotation {
        90 | 270 => (picture.height, picture.width),
        _ => (picture.width, picture.height),
    }
}

/// The files in the order people want: an album's tracks by their numbers, then the rest.
fn source_files(
    sealed: &SealedRelease,
    rendition: &SealedRendition,
    addresses: &Addresses,
) -> Vec<FileView> {
    let found = &sealed.probed.found;
    let name = rendition.torrent.info.name();
    let below = |file: &StateFile| {
        let rest = file.path.strip_prefix(name).unwrap_or_default();
        rest.trim_start_matches('/').to_owned()
    };
    let stored: BTreeMap<String, &StateFile> = rendition
        .files
        .iter()
        .map(|file| (below(file), file))
        .collect();
    let mut views: Vec<_> = found
        .files
        .iter()
        .zip(&sealed.probed.tracks)
        .filter_map(|(file, track)| {
            let path = file.path.join("/");
            let state = stored.get(&path)?;
            let shown = if path.is_empty() { name.into() } else { path };
            let media = if file.path.is_empty() {
                rendition.media.as_ref()
            } else {
                track.media.as_ref()
            };
            let view = file_view(rendition, state, shown, track, media, addresses);
            let number = track.number.unwrap_or(u32::MAX);
            Some(((track.media.is_none(), number), view))
        })
        .collect();
    if sealed.probed.kind == Kind::Album {
        views.sort_by(|a, b| (a.0, &a.1.path).cmp(&(b.0, &b.1.path)));
    }
    views.into_iter().map(|(_, view)| view).collect()
}

fn derived_file(
    sealed: &SealedRelease,
    rendition: &SealedRendition,
    addresses: &Addresses,
) -> Option<FileView> {
    let track = sealed.probed.tracks.first()?;
    let state = rendition.files.first()?;
    let media = rendition.media.as_ref();
    let shown = state.path.clone();
    Some(file_view(rendition, state, shown, track, media, addresses))
}

fn file_view(
    rendition: &SealedRendition,
    state: &StateFile,
    shown: String,
    track: &Track,
    media: Option<&Media>,
    addresses: &Addresses,
) -> FileView {
    let prefix = addresses.page.as_deref().unwrap_or_default();
    let named = crate::file_type::media_type(&state.path);
    let judged = judged(media, named);
    FileView {
        path: shown,
        title: track.title.clone(),
        artist: track.artist.clone(),
        bytes: state.bytes,
        bytes_label: labels::bytes_label(state.bytes),
        mime: judged.mime,
        playable: judged.playable,
        duration_s: track.duration_s(),
        duration_label: track.duration_s().map(labels::duration_label),
        sha256: None,
        url: format!("{prefix}{}", rendition.library_url(state)),
    }
}
