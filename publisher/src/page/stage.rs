//! What can be done with a release on its page: what plays, which way to get it is the obvious one, and
//! what the player's scripts are told.

use serde::Serialize;

use super::render::at;
use super::view::{ButtonView, ChannelView, ReleaseView, RenditionView, SourceView, StageView};

/// What plays on a clip's page.
pub(super) fn stage(release: &ReleaseView) -> StageView {
    let playable = release.renditions.iter().filter_map(|rendition| {
        Some((
            rendition,
            rendition.files.iter().find(|file| file.playable)?,
        ))
    });
    let sources: Vec<SourceView> = playable
        .map(|(rendition, file)| SourceView {
            url: file.url.clone(),
            mime: if rendition.mime_codecs.is_empty() {
                file.mime.clone()
            } else {
                rendition.mime_codecs.clone()
            },
            label: rendition_label(rendition),
            bytes_label: file.bytes_label.clone(),
        })
        .collect();
    let moving = sources
        .iter()
        .any(|source| !source.mime.starts_with("audio/"));
    // Browsers show captions over a video element only.
    let element = match sources.is_empty() {
        true => "none",
        false if moving || !release.captions.is_empty() => "video",
        false => "audio",
    };
    // The film's own shape; the poster's where that isn't known, as of a drawing it is always the same.
    let shape = release
        .renditions
        .iter()
        .find(|rendition| rendition.width > 0 && rendition.height > 0)
        .map_or((release.poster.width, release.poster.height), |film| {
            (film.width, film.height)
        });
    StageView {
        element,
        sources,
        width: shape.0,
        height: shape.1,
    }
}

/// A rendition's name for people.
pub(super) fn rendition_label(rendition: &RenditionView) -> String {
    match rendition.name.as_str() {
        "source" => "Original".to_owned(),
        name => name.to_owned(),
    }
}

/// The obvious ways to get a download: its only file, or the one that is most of it, by HTTP, which
/// everybody's browser can do; the two or three that are it together (one for each system, say); all of
/// it by BitTorrent when none stands out.
pub(super) fn buttons(release: &ReleaseView) -> Vec<ButtonView> {
    let Some(rendition) = release.renditions.first() else {
        return Vec::new();
    };
    let share = |bytes: u64| u128::from(bytes) * 100 / u128::from(rendition.bytes.max(1));
    let files = || rendition.files.iter();
    let most = files().find(|file| rendition.files.len() == 1 || share(file.bytes) >= 60);
    let large = || files().filter(|file| share(file.bytes) >= 25);
    let picked: Vec<_> = match most {
        Some(file) => vec![file],
        None if share(large().map(|file| file.bytes).sum()) >= 75 => large().collect(),
        None => Vec::new(),
    };
    if picked.is_empty() {
        return vec![ButtonView {
            way: "torrent",
            url: rendition.torrent_url.clone(),
            name: release.title.clone(),
            bytes_label: rendition.bytes_label.clone(),
        }];
    }
    picked
        .into_iter()
        .map(|file| ButtonView {
            way: "file",
            url: file.url.clone(),
            name: file.title.clone(),
            bytes_label: file.bytes_label.clone(),
        })
        .collect()
}

/// What the player's scripts need, as JSON in the page; URLs relative to the page or absolute. Text for
/// people is not here: scripts take it from the page, where it stands already.
#[derive(Serialize)]
pub(super) struct PlayerData<'a> {
    kind: &'a str,
    seeder: Option<&'a str>,
    /// `under-load`, `always` or `off`; none: the seeder decides.
    p2p: Option<&'a str>,
    thumbnails: Option<PlayerThumbnails>,
    renditions: Vec<PlayerRendition<'a>>,
}

#[derive(Serialize)]
struct PlayerThumbnails {
    vtt: String,
    sprite: String,
    width: u32,
    height: u32,
}

#[derive(Serialize)]
struct PlayerRendition<'a> {
    name: &'a str,
    id: &'a str,
    info_hash_v1: Option<&'a str>,
    torrent: String,
    bytes: u64,
    mime: &'a str,
    width: u32,
    height: u32,
    bit_rate: Option<u64>,
    files: Vec<PlayerFile<'a>>,
}

#[derive(Serialize)]
struct PlayerFile<'a> {
    url: String,
    bytes: u64,
    mime: &'a str,
    playable: bool,
}

impl<'a> PlayerData<'a> {
    pub(super) fn of(
        release: &'a ReleaseView,
        channel: &'a ChannelView,
        root: &str,
    ) -> PlayerData<'a> {
        let renditions = release.renditions.iter().map(|rendition| PlayerRendition {
            name: &rendition.name,
            id: &rendition.id,
            info_hash_v1: rendition.info_hash_v1.as_deref(),
            torrent: at(&rendition.torrent_url, root),
            bytes: rendition.bytes,
            mime: if rendition.mime_codecs.is_empty() {
                &rendition.mime
            } else {
                &rendition.mime_codecs
            },
            width: rendition.width,
            height: rendition.height,
            bit_rate: rendition.bit_rate,
            files: rendition
                .files
                .iter()
                .map(|file| PlayerFile {
                    url: at(&file.url, root),
                    bytes: file.bytes,
                    mime: &file.mime,
                    playable: file.playable,
                })
                .collect(),
        });
        PlayerData {
            kind: &release.kind,
            seeder: channel.seeder_url.as_deref(),
            p2p: release.p2p.as_deref().or(channel.p2p.as_deref()),
            thumbnails: release
                .thumbnails
                .as_ref()
                .map(|thumbnails| PlayerThumbnails {
                    vtt: at(&thumbnails.vtt_url, root),
                    sprite: at(&thumbnails.sprite_url, root),
                    width: thumbnails.width,
                    height: thumbnails.height,
                }),
            renditions: renditions.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn the_obvious_button() {
        #[track_caller]
        fn check(sizes: &[u64], buttons_wanted: &[(&str, &str)]) {
            let files = sizes.iter().enumerate().map(|(n, bytes)| {
                let name = format!("f{n}");
                sample::file(&name, &name, "application/octet-stream", *bytes, None)
            });
            let mut release = sample::download();
            release.renditions = vec![sample::rendition("source", "cc", files.collect())];
            let buttons = buttons(&release);
            let found: Vec<_> = buttons.iter().map(|b| (b.way, b.name.as_str())).collect();
            assert_eq!(found, buttons_wanted, "{sizes:?}");
        }
        check(&[0], &[("file", "f0")]);
        check(&[5], &[("file", "f0")]);
        check(&[1, 98, 1], &[("file", "f1")]);
        check(&[49, 2, 49], &[("file", "f0"), ("file", "f2")]);
        check(&[10; 10], &[("torrent", "Firmware 2.1")]);
        check(&[50, 10, 10, 10, 10, 10], &[("torrent", "Firmware 2.1")]);
        check(&[0, 0, 0], &[("torrent", "Firmware 2.1")]);
        check(
            &[u64::MAX / 2, u64::MAX / 2],
            &[("file", "f0"), ("file", "f1")],
        );
    }

    #[test]
    fn only_what_plays_is_on_the_stage() {
        let mut release = sample::clip("a", "A");
        let mut other = release.renditions[0].clone();
        other.name = "720p".into();
        other.mime_codecs = "video/mp4; codecs=\"avc1.64001f,mp4a.40.2\"".into();
        release.renditions.push(other);
        let both = stage(&release);
        let labels: Vec<_> = both.sources.iter().map(|s| s.label.as_str()).collect();
        assert_eq!(labels, ["Original", "720p"]);
        assert!(both.sources[1].mime.contains("codecs"));
        assert_eq!((both.width, both.height), (1280, 720), "the poster's shape");
        release.renditions[0].width = 1080;
        release.renditions[0].height = 1920;
        let tall = stage(&release);
        assert_eq!((tall.width, tall.height), (1080, 1920));
        release.renditions[0].files[0].playable = false;
        assert_eq!(stage(&release).sources[0].label, "720p");
        release.renditions.truncate(1);
        assert_eq!(stage(&release).element, "none");
    }
}
