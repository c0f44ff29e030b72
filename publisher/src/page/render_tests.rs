//! What comes out of the renderer as a whole: which files, and that nothing a publisher types can leave
//! the place it is printed in.

use std::collections::BTreeMap;

use super::sample;
use super::view::{PersonView, SiteView};
use super::{PageError, Renderer};

fn render(site: &SiteView) -> BTreeMap<String, String> {
    let pages = Renderer::new().unwrap().render(site).unwrap();
    pages
        .into_iter()
        .map(|page| (page.path, String::from_utf8(page.bytes).unwrap()))
        .collect()
}

fn public_site() -> SiteView {
    let mut site = sample::site();
    site.channel.base_url = Some("https://video.example/show/".into());
    site.channel.seeder_url = Some("https://seed.example/".into());
    site
}

#[test]
fn every_file_once_and_in_order() {
    let site = sample::site();
    let renderer = Renderer::new().unwrap();
    let pages = renderer.render(&site).unwrap();
    assert_eq!(
        pages,
        renderer.render(&site).unwrap(),
        "the same site, the same bytes"
    );
    let paths: Vec<&str> = pages
        .iter()
        .map(|page| page.path.as_str())
        .filter(|path| !path.starts_with("assets/"))
        .collect();
    assert_eq!(
        paths,
        [
            "404.html",
            "feed.xml",
            "index.html",
            "r/firmware/index.html",
            "r/first-album/index.html",
            "r/not-for-everyone/index.html",
            "r/test-drive/index.html",
            "robots.txt",
            "torrents.xml",
        ]
    );
    assert!(pages.is_sorted_by(|a, b| a.path < b.path));
    assert!(
        render(&public_site()).contains_key("sitemap.xml"),
        "a sitemap needs base_url"
    );
}

#[test]
fn an_empty_channel_has_a_page() {
    let mut site = sample::site();
    site.releases.clear();
    let pages = render(&site);
    assert!(pages["index.html"].contains("Nothing here yet"));
    assert!(!pages["feed.xml"].contains("<item>"));
}

#[test]
fn a_release_without_renditions_still_renders() {
    let mut site = sample::site();
    for release in &mut site.releases {
        release.renditions.clear();
    }
    render(&site);
}

#[test]
fn unlisted_releases_are_named_nowhere_else() {
    let pages = render(&public_site());
    for (path, text) in &pages {
        if path == "r/not-for-everyone/index.html" {
            assert!(text.contains("<meta name=\"robots\" content=\"noindex\">"));
        } else {
            assert!(!text.contains("not-for-everyone"), "{path}");
        }
    }
    assert!(!pages["r/test-drive/index.html"].contains("noindex"));
}

#[test]
fn two_releases_cannot_share_a_page() {
    let mut site = sample::site();
    site.releases.push(sample::clip("test-drive", "Another"));
    let error = Renderer::new().unwrap().render(&site).unwrap_err();
    assert!(
        matches!(&error, PageError::TwoPages { path } if path == "r/test-drive/index.html"),
        "{error}"
    );
    site.releases = vec![sample::clip("../../x", "Climber")];
    let error = Renderer::new().unwrap().render(&site).unwrap_err();
    assert!(matches!(&error, PageError::Slug { .. }), "{error}");
}

#[test]
fn pages_play_without_scripts() {
    let pages = render(&sample::site());
    let clip = &pages["r/test-drive/index.html"];
    for part in [
        "<video class=\"screen\" data-media controls playsinline preload=\"metadata\"",
        "<track kind=\"captions\" src=\"../../r/test-drive/captions.en.vtt\" srclang=\"en\" label=\"English\">",
        "<track kind=\"chapters\"",
        "clip.mp4#t=12.5\" data-seek=\"12.5\">",
        "../../t/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.torrent\" download",
        "href=\"magnet:?xt=urn:btih:aaaa",
    ] {
        assert!(clip.contains(part), "{part}\n{clip}");
    }
    let album = &pages["r/first-album/index.html"];
    assert_eq!(
        album
            .matches("<audio controls preload=\"none\" src=")
            .count(),
        2
    );
    assert!(album.contains("booklet.pdf") && album.contains("The Band"));
    let download = &pages["r/firmware/index.html"];
    assert!(download.contains("image.bin\" download>") && download.contains("NOTES.txt"));
}

#[test]
fn one_artist_stands_below_the_title_several_at_their_tracks() {
    let mut site = sample::site();
    let count = |site: &SiteView, part: &str| {
        render(site)["r/first-album/index.html"]
            .matches(part)
            .count()
    };
    assert_eq!(count(&site, "class=\"track-artist\""), 1);
    assert_eq!(
        count(&site, "class=\"byline\""),
        0,
        "one guest is not the band"
    );
    for file in &mut site.releases[1].renditions[0].files {
        file.artist = Some("The Band".into());
    }
    assert_eq!(count(&site, "class=\"track-artist\""), 0);
    assert_eq!(
        count(&site, "class=\"byline\" dir=\"auto\">The Band</p>"),
        1
    );
}

#[test]
fn nothing_comes_from_elsewhere_and_nothing_is_inline() {
    for (path, text) in render(&sample::site())
        .iter()
        .filter(|(path, _)| path.ends_with(".html"))
    {
        assert!(
            text.contains("http-equiv=\"Content-Security-Policy\""),
            "{path}"
        );
        assert!(
            !text.contains("style=") && !text.contains("<style"),
            "{path}"
        );
        for script in text.split("<script").skip(1) {
            let is_data = script.starts_with(" type=\"application/json\"");
            assert!(
                is_data || script.contains("src=\""),
                "{path}: inline script"
            );
        }
        for part in text.split(" src=\"").skip(1) {
            assert!(
                !part.starts_with("http") && !part.starts_with("//"),
                "{path}: {part:.40}"
            );
        }
    }
}

#[test]
fn feeds_are_absolute_and_well_formed() {
    let pages = render(&public_site());
    let feed = &pages["feed.xml"];
    for part in [
        "<atom:link rel=\"self\" type=\"application/rss+xml\" href=\"https://video.example/show/feed.xml\"/>",
        "<link>https://video.example/show/r/test-drive/</link>",
        "<guid isPermaLink=\"true\">https://video.example/show/r/test-drive/</guid>",
        "length=\"2400000\" type=\"video/mp4\"/>",
        // The album's first track and the download's large file, not what comes first in the folder.
        "01.flac\" length=\"800000\" type=\"audio/flac\"/>",
        "image.bin\" length=\"5000000\" type=\"application/octet-stream\"/>",
        // Links of the page text lead somewhere from a feed reader, too.
        "https://video.example/show/r/test-drive/more/",
    ] {
        assert!(feed.contains(part), "{part}\n{feed}");
    }
    let torrents = &pages["torrents.xml"];
    assert!(
        torrents.contains(".torrent\" length=\"640\" type=\"application/x-bittorrent\"/>"),
        "{torrents}"
    );
    assert_eq!(torrents.matches("<item>").count(), 3);

    // The five-minute path: no base_url, and a port that may be another tomorrow.
    let mut site = sample::site();
    site.channel.seeder_url = Some("http://127.0.0.1:8080/".into());
    let feed = &render(&site)["feed.xml"];
    assert!(
        feed.contains("<enclosure url=\"http://127.0.0.1:8080/library/"),
        "{feed}"
    );
    assert!(
        feed.contains("<guid isPermaLink=\"false\">r/test-drive/</guid>"),
        "{feed}"
    );
    assert!(!feed.contains("lastBuildDate></"), "{feed}");
}

#[test]
fn the_page_for_missing_pages_works_at_any_depth() {
    assert!(
        render(&sample::site())["404.html"].contains("<link rel=\"stylesheet\" href=\"/assets/")
    );
    assert!(
        render(&public_site())["404.html"]
            .contains("<link rel=\"stylesheet\" href=\"/show/assets/")
    );
}

const HOSTILE: [&str; 6] = [
    "</script><script>alert(1)</script>",
    "\" onload=\"alert(1)",
    "' autofocus onfocus='alert(1)",
    "{{ 7 * 7 }}{% raw %}]]>&amp;<!--",
    "photo\u{202e}gpj.exe\u{0}\u{8}\u{1b}\u{fffe}",
    "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww",
];

/// The sample with one text in every place a publisher can type into.
fn hostile_site(text: &str) -> SiteView {
    let mut site = public_site();
    site.channel.title = text.into();
    site.channel.description = text.into();
    site.channel.author = text.into();
    site.channel.language = text.into();
    site.channel.links[0].title = text.into();
    site.channel.theme.accent = text.into();
    site.channel.theme.scheme = text.into();
    for release in &mut site.releases {
        release.title = text.into();
        release.summary = text.into();
        release.excerpt = text.into();
        release.people = vec![PersonView {
            name: text.into(),
            role: Some(text.into()),
        }];
        release.tags = vec![text.into()];
        release.licence = Some(text.into());
        release.poster.alt = text.into();
        for chapter in &mut release.chapters {
            chapter.title = text.into();
        }
        for caption in &mut release.captions {
            caption.label = text.into();
            caption.language = text.into();
        }
        for rendition in &mut release.renditions {
            rendition.name = text.into();
            rendition.mime = text.into();
            for file in &mut rendition.files {
                file.path = text.into();
                file.title = text.into();
                file.artist = Some(text.into());
            }
        }
    }
    site
}

/// Tags with their attributes' names, in order; the contents of attributes and text left out. Two pages
/// with one skeleton differ in words only.
fn skeleton(markup: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut rest = markup;
    while let Some(at) = rest.find('<') {
        rest = &rest[at..];
        if let Some(comment) = rest.strip_prefix("<!--") {
            out.push("<!--".to_owned());
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let mut tag = String::new();
        let mut quoted = false;
        let mut end = rest.len();
        for (at, c) in rest.char_indices() {
            match c {
                '"' => quoted = !quoted,
                '>' if !quoted => {
                    end = at + 1;
                    break;
                }
                c if !quoted => tag.push(c),
                _ => {}
            }
        }
        out.push(tag);
        rest = &rest[end..];
    }
    out
}

#[test]
fn hostile_text_changes_words_only() {
    let tame = render(&hostile_site("tame"));
    for text in HOSTILE {
        let hostile = render(&hostile_site(text));
        let pages = |site: &BTreeMap<String, String>| {
            let is_page = |path: &String| path.ends_with(".html") || path.ends_with(".xml");
            site.keys()
                .filter(|path| is_page(path))
                .cloned()
                .collect::<Vec<_>>()
        };
        assert_eq!(pages(&hostile), pages(&tame));
        for path in pages(&hostile) {
            let page = &hostile[&path];
            assert_eq!(
                skeleton(page),
                skeleton(&tame[&path]),
                "{path} with {text:?}"
            );
            assert!(
                !page.contains(['\0', '\u{8}', '\u{1b}', '\u{fffe}', '\u{202e}']),
                "{path} carries a forbidden character"
            );
        }
        let is_template = text.contains("{{");
        assert_eq!(
            hostile["index.html"].contains("7 * 7"),
            is_template,
            "a title was run as a template"
        );
    }
}

#[test]
fn hostile_text_stays_inside_the_player_data() {
    for text in HOSTILE {
        let pages = render(&hostile_site(text));
        let page = &pages["r/test-drive/index.html"];
        let (_, after) = page
            .split_once("<script type=\"application/json\" id=\"player-data\">")
            .unwrap();
        let (json, _) = after.split_once("</script>").unwrap();
        let data: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(data["renditions"][0]["name"], text);
        assert_eq!(data["kind"], "clip");
    }
}
