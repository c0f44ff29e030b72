//! A small site for tests: one release of each kind, and an unlisted one.

use super::labels::{bytes_label, duration_label};
use super::view::*;

/// A channel with a clip, an album, a download and an unlisted clip, neither URL known.
pub(crate) fn site() -> SiteView {
    let mut secret = clip("not-for-everyone", "Not for everyone");
    secret.unlisted = true;
    SiteView {
        channel: ChannelView {
            title: "Aurora Motors".into(),
            description: "Test drives, unhurried.".into(),
            language: "en".into(),
            author: "Aurora Motors".into(),
            base_url: None,
            seeder_url: None,
            links: vec![LinkView {
                title: "Dealers".into(),
                url: "https://example.org/dealers".into(),
            }],
            logo: None,
            theme: ThemeView {
                accent: "#c8102e".into(),
                scheme: "auto".into(),
            },
        },
        releases: vec![
            clip("test-drive", "Test drive"),
            album(),
            download(),
            secret,
        ],
        generator: "groundswell 0.1.0".into(),
    }
}

/// A clip with chapters and captions.
pub(crate) fn clip(slug: &str, title: &str) -> ReleaseView {
    let file = file("clip.mp4", title, "video/mp4", 2_400_000, Some(65.0));
    ReleaseView {
        kind: "clip".into(),
        duration_s: Some(65.0),
        duration_label: Some("1:05".into()),
        people: vec![
            PersonView {
                name: "Mara Lind".into(),
                role: Some("host".into()),
            },
            PersonView {
                name: "Jonas Okafor".into(),
                role: None,
            },
        ],
        tags: vec!["electric".into(), "long range".into()],
        licence: Some("CC BY 4.0".into()),
        chapters: vec![
            ChapterView {
                start_s: 0.0,
                start_label: "0:00".into(),
                title: "Start".into(),
            },
            ChapterView {
                start_s: 12.5,
                start_label: "0:12".into(),
                title: "On the road".into(),
            },
        ],
        chapters_url: Some(format!("r/{slug}/chapters.vtt")),
        captions: vec![CaptionView {
            url: format!("r/{slug}/captions.en.vtt"),
            language: "en".into(),
            label: "English".into(),
        }],
        renditions: vec![rendition("source", "aa", vec![file])],
        ..bare(slug, title)
    }
}

/// An album of two tracks and a booklet.
pub(crate) fn album() -> ReleaseView {
    let mut first = file(
        "First%20Album/01.flac",
        "One",
        "audio/flac",
        800_000,
        Some(30.0),
    );
    first.artist = Some("The Band".into());
    ReleaseView {
        kind: "album".into(),
        renditions: vec![rendition(
            "source",
            "bb",
            vec![
                first,
                file("First%20Album/02.flac", "Two", "audio/flac", 700_000, None),
                file(
                    "First%20Album/booklet.pdf",
                    "booklet.pdf",
                    "application/pdf",
                    90_000,
                    None,
                ),
            ],
        )],
        ..bare("first-album", "First Album")
    }
}

/// A download of one large file and notes.
pub(crate) fn download() -> ReleaseView {
    ReleaseView {
        kind: "download".into(),
        renditions: vec![rendition(
            "source",
            "cc",
            vec![
                file(
                    "firmware/image.bin",
                    "image.bin",
                    "application/octet-stream",
                    5_000_000,
                    None,
                ),
                file("firmware/NOTES.txt", "NOTES.txt", "text/plain", 1200, None),
            ],
        )],
        ..bare("firmware", "Firmware 2.1")
    }
}

fn bare(slug: &str, title: &str) -> ReleaseView {
    ReleaseView {
        slug: slug.into(),
        kind: String::new(),
        title: title.into(),
        summary: format!("All about {title}."),
        excerpt: format!("All about {title}."),
        html: "<p>A <a href=\"more/\">page text</a>.</p>\n".into(),
        published: "2026-11-22T07:30:00Z".into(),
        published_rfc2822: "Sun, 22 Nov 2026 07:30:00 +0000".into(),
        published_label: "22 November 2026".into(),
        people: Vec::new(),
        tags: Vec::new(),
        licence: None,
        duration_s: None,
        duration_label: None,
        poster: PosterView {
            url: format!("r/{slug}/poster.jpg"),
            mime: "image/jpeg".into(),
            width: 1280,
            height: 720,
            alt: "A picture".into(),
            placeholder: false,
        },
        chapters: Vec::new(),
        chapters_url: None,
        captions: Vec::new(),
        renditions: Vec::new(),
        unlisted: false,
    }
}

pub(crate) fn rendition(name: &str, id_byte: &str, files: Vec<FileView>) -> RenditionView {
    let id = id_byte.repeat(20);
    let bytes = files.iter().map(|file| file.bytes).sum();
    RenditionView {
        name: name.into(),
        info_hash_v1: Some(id.clone()),
        info_hash_v2: None,
        bytes,
        bytes_label: bytes_label(bytes),
        mime: files[0].mime.clone(),
        playable: files[0].playable,
        torrent_url: format!("t/{id}.torrent"),
        torrent_bytes: 640,
        magnet: format!(
            "magnet:?xt=urn:btih:{id}&dn={name}&tr=http%3A%2F%2F127.0.0.1%3A8080%2Fannounce"
        ),
        files: files
            .into_iter()
            .map(|file| FileView {
                url: format!("library/{id}/{}", file.url),
                ..file
            })
            .collect(),
        id,
    }
}

pub(crate) fn file(
    path: &str,
    title: &str,
    mime: &str,
    bytes: u64,
    seconds: Option<f64>,
) -> FileView {
    FileView {
        path: path.rsplit('/').next().unwrap_or(path).into(),
        title: title.into(),
        artist: None,
        bytes,
        bytes_label: bytes_label(bytes),
        mime: mime.into(),
        playable: mime.starts_with("audio/") || mime.starts_with("video/"),
        duration_s: seconds,
        duration_label: seconds.map(duration_label),
        url: path.into(),
    }
}
