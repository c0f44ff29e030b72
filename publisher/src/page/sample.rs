//! A small site for tests: one release of each kind, and an unlisted one.

use std::collections::BTreeMap;

use super::labels::{bytes_label, duration_label};
use super::view::*;
use super::{Listed, PageError, Renderer, SitemapEntry};

/// A channel and all its releases, newest first.
pub(crate) struct SiteView {
    pub(crate) channel: ChannelView,
    pub(crate) releases: Vec<ReleaseView>,
}

/// Every file of a site.
pub(crate) fn render(whole: &SiteView) -> Result<BTreeMap<String, String>, PageError> {
    let renderer = Renderer::new()?;
    let site = renderer.site(whole.channel.clone(), "Groundswell 0.1.0");
    let public: Vec<ReleaseView> = whole
        .releases
        .iter()
        .filter(|release| !release.unlisted)
        .cloned()
        .collect();
    let listed: Vec<Listed> = public
        .iter()
        .map(|view| Listed {
            slug: view.slug.clone(),
            published: view.published.clone(),
            fingerprint: 0,
            entry: SitemapEntry::of(view),
        })
        .collect();
    let mut pages = site.fixed()?;
    for release in &whole.releases {
        pages.extend(site.release(release)?);
    }
    for sheet in site.plan(&listed) {
        pages.push(site.sheet(&sheet, &listed, &public[sheet.members.clone()])?);
    }
    let count = pages.len();
    let pages: BTreeMap<String, String> = pages
        .into_iter()
        .map(|page| {
            (
                page.path,
                String::from_utf8(page.bytes).expect("pages are text"),
            )
        })
        .collect();
    assert_eq!(pages.len(), count, "two pages for one path");
    Ok(pages)
}

/// The sample with both addresses known.
pub(crate) fn public_site() -> SiteView {
    let mut site = site();
    site.channel.base_url = Some("https://video.example/show/".into());
    site.channel.seeder_url = Some("https://seed.example/".into());
    site
}

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
            email: None,
            category: None,
            medium: None,
            p2p: None,
            public_key: None,
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

/// A clip about which everything is known: two renditions, sized pictures, checksums, links, a colour.
pub(crate) fn rich_clip(slug: &str, title: &str) -> ReleaseView {
    let mut release = clip(slug, title);
    release.guid = "0b5ad4f6-3e5a-5f0c-9a52-5a1f1a1d2c3b".into();
    release.updated = "2026-11-23T08:00:00Z".into();
    let picture = |width: u32, format: &str| PictureView {
        url: format!("r/{slug}/poster-{width}.{format}"),
        mime: if format == "webp" {
            "image/webp"
        } else {
            "image/jpeg"
        }
        .into(),
        width,
        height: width * 9 / 16,
    };
    release.poster.sources = vec![
        picture(640, "jpg"),
        picture(1280, "jpg"),
        picture(640, "webp"),
        picture(1280, "webp"),
    ];
    release.thumbnails = Some(ThumbnailsView {
        vtt_url: format!("r/{slug}/thumbnails.vtt"),
        sprite_url: format!("r/{slug}/thumbnails.jpg"),
        width: 160,
        height: 90,
    });
    release.links = vec![LinkView {
        title: "The route".into(),
        url: "https://example.org/route".into(),
    }];
    release.accent = Some("#00704a".into());
    release.p2p = Some("always".into());
    let small = file("clip-720p.mp4", title, "video/mp4", 900_000, Some(65.0));
    release
        .renditions
        .push(rendition("720p", "dd", vec![small]));
    for (rendition, height) in release.renditions.iter_mut().zip([1080, 720]) {
        rendition.height = height;
        rendition.width = height * 16 / 9;
        rendition.bit_rate = Some(rendition.bytes * 8 / 65);
        rendition.frame_rate = Some(30_000.0 / 1001.0);
        rendition.mime_codecs = "video/mp4; codecs=\"avc1.640028,mp4a.40.2\"".into();
    }
    release.renditions[0].sha256 = Some("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".into());
    release
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
        duration_s: Some(61.0),
        duration_label: Some("1:01".into()),
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
        guid: String::new(),
        published: "2026-11-22T07:30:00Z".into(),
        updated: String::new(),
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
            sources: Vec::new(),
        },
        chapters: Vec::new(),
        chapters_url: None,
        captions: Vec::new(),
        thumbnails: None,
        renditions: Vec::new(),
        note: None,
        links: Vec::new(),
        accent: None,
        p2p: None,
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
        mime_codecs: String::new(),
        playable: files[0].playable,
        width: 0,
        height: 0,
        frame_rate: None,
        bit_rate: None,
        language: None,
        sha256: None,
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
        sha256: None,
        url: path.into(),
    }
}
