//! What comes out of the renderer as a whole: which files, and that nothing a publisher types can leave
//! the place it is printed in.

use super::PageError;
use super::sample::{self, SiteView, public_site};
use super::view::{LinkView, PersonView, PictureView};

use std::collections::BTreeMap;

fn render(site: &SiteView) -> BTreeMap<String, String> {
    sample::render(site).unwrap()
}

#[test]
fn every_file_once() {
    let site = sample::site();
    let pages = render(&site);
    assert_eq!(pages, render(&site), "the same site, the same bytes");
    let paths: Vec<&str> = pages
        .keys()
        .map(String::as_str)
        .filter(|path| !path.starts_with("assets/"))
        .collect();
    assert_eq!(
        paths,
        [
            "404.html",
            "feed.json",
            "feed.xml",
            "index.html",
            "r/firmware/index.html",
            "r/first-album/feed.xml",
            "r/first-album/index.html",
            "r/not-for-everyone/chapters.json",
            "r/not-for-everyone/index.html",
            "r/test-drive/chapters.json",
            "r/test-drive/index.html",
            "robots.txt",
            "torrents.xml",
        ]
    );
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
fn a_slug_that_climbs_is_refused() {
    let mut site = sample::site();
    site.releases = vec![sample::clip("../../x", "Climber")];
    let error = sample::render(&site).unwrap_err();
    assert!(matches!(&error, PageError::Slug { .. }), "{error}");
    let renderer = super::Renderer::new().unwrap();
    let site = renderer.site(site.channel, "test");
    assert!(site.redirect("../x", "b", "B").is_err() && site.redirect("a", "..", "B").is_err());
}

#[test]
fn a_former_address_leads_to_the_new_one() {
    let renderer = super::Renderer::new().unwrap();
    let site = renderer.site(public_site().channel, "test");
    let page = site.redirect("old", "new", "Tom & <Jerry>").unwrap();
    assert_eq!(page.path, "r/old/index.html");
    let text = String::from_utf8(page.bytes).unwrap();
    for part in [
        "<meta http-equiv=\"refresh\" content=\"0; url=../../r/new/\">",
        "<link rel=\"canonical\" href=\"https://video.example/show/r/new/\">",
        "<meta name=\"robots\" content=\"noindex\">",
        "<a href=\"../../r/new/\" dir=\"auto\">Tom &amp; &lt;Jerry&gt;</a>",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn many_releases_stand_on_several_pages() {
    let mut site = public_site();
    site.releases = (0..150)
        .map(|n| sample::clip(&format!("clip-{n}"), &format!("Clip {n}")))
        .collect();
    let pages = render(&site);
    let front = &pages["index.html"];
    assert!(
        front
            .contains("<a class=\"button button-quiet pager-older\" rel=\"next\" href=\"./p/2/\">")
    );
    assert!(!front.contains("pager-newer"));
    assert_eq!(front.matches("<article").count(), 54);
    let newer = &pages["p/2/index.html"];
    assert!(
        newer.contains("rel=\"prev\" href=\"../../\"")
            && newer.contains("rel=\"next\" href=\"../../p/1/\"")
    );
    assert!(
        newer.contains("<title>Page 2 · Aurora Motors</title>"),
        "{newer}"
    );
    assert!(newer.contains("<link rel=\"canonical\" href=\"https://video.example/show/p/2/\">"));
    let oldest = &pages["p/1/index.html"];
    assert!(
        oldest.contains("rel=\"prev\" href=\"../../p/2/\"") && !oldest.contains("rel=\"next\"")
    );
    assert!(oldest.contains("href=\"../../r/clip-149/\"") && !oldest.contains("r/clip-101/"));
    let few = render(&public_site());
    assert!(
        !few["index.html"].contains("pager"),
        "one page has no neighbours"
    );
}

#[test]
fn a_choice_of_quality_works_without_scripts() {
    let mut site = sample::site();
    site.releases = vec![sample::rich_clip("long", "Long")];
    let page = &render(&site)["r/long/index.html"];
    for part in [
        "clip.mp4\" data-source>Original <span class=\"size\">2.4 MB</span></a>",
        "clip-720p.mp4\" data-source>720p <span class=\"size\">900 KB</span></a>",
        "type=\"video/mp4; codecs=&quot;avc1.640028,mp4a.40.2&quot;\"",
        "<track kind=\"metadata\" src=\"../../r/long/thumbnails.vtt\" label=\"thumbnails\">",
        "<a href=\"https://example.org/route\" dir=\"auto\">The route</a>",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    let one = &render(&sample::site())["r/test-drive/index.html"];
    assert!(!one.contains("data-quality") && !one.contains("kind=\"metadata\""));
}

#[test]
fn a_note_says_why_nothing_plays() {
    let mut site = sample::site();
    let note = "This film is ProRes, which browsers can't play.";
    for release in &mut site.releases {
        release.note = Some(note.into());
    }
    let count = |site: &SiteView, slug: &str| {
        let page = &render(site)[&format!("r/{slug}/index.html")];
        (
            page.matches("ProRes").count(),
            page.matches("<p class=\"note\"").count(),
        )
    };
    assert_eq!(count(&site, "test-drive"), (1, 1));
    assert_eq!(count(&site, "firmware"), (1, 1));
    for rendition in &mut site.releases[0].renditions {
        rendition.files[0].playable = false;
    }
    assert_eq!(
        count(&site, "test-drive"),
        (1, 0),
        "in the player's place, once"
    );
}

#[test]
fn a_release_can_have_its_own_colour() {
    let mut site = sample::site();
    site.releases[0].accent = Some("#00704a".into());
    let pages = render(&site);
    let (path, css) = pages
        .iter()
        .find(|(path, _)| path.starts_with("r/test-drive/theme-"))
        .unwrap();
    assert!(css.contains("--accent: #00704a;"), "{css}");
    let name = path.rsplit('/').next().unwrap();
    let page = &pages["r/test-drive/index.html"];
    let theme = page.find("theme.css").unwrap();
    assert!(
        page.find(&format!("<link rel=\"stylesheet\" href=\"{name}\">"))
            .unwrap()
            > theme
    );
    for none in [site.channel.theme.accent.as_str(), "red;} * {", ""] {
        site.releases[0].accent = Some(none.into());
        assert!(
            !render(&site)
                .keys()
                .any(|path| path.starts_with("r/test-drive/theme")),
            "{none}"
        );
    }
}

#[test]
fn pictures_come_in_the_size_that_is_shown() {
    let mut site = sample::site();
    let picture = |width: u32, mime: &str| PictureView {
        url: format!("r/x/p-{width}.{}", mime.rsplit('/').next().unwrap()),
        mime: mime.into(),
        width,
        height: width / 2,
    };
    for release in &mut site.releases {
        release.poster.sources = vec![
            picture(320, "image/jpeg"),
            picture(640, "image/jpeg"),
            picture(320, "image/webp"),
        ];
    }
    let pages = render(&site);
    for (page, times) in [
        ("index.html", 3),
        ("r/first-album/index.html", 1),
        ("r/firmware/index.html", 1),
    ] {
        let text = &pages[page];
        assert_eq!(
            text.matches("<picture><source type=\"image/webp\" srcset=\"")
                .count(),
            times,
            "{page}"
        );
        let root = if page == "index.html" { "./" } else { "../../" };
        let set =
            format!("srcset=\"{root}r/x/p-320.jpeg 320w, {root}r/x/p-640.jpeg 640w\" sizes=\"");
        assert_eq!(text.matches(&set).count(), times, "{page}\n{text}");
    }
    assert!(!render(&sample::site())["index.html"].contains("srcset"));
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
    site.channel.email = Some(text.into());
    site.channel.category = Some(text.into());
    site.channel.medium = Some(text.into());
    site.channel.p2p = Some(text.into());
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
        release.note = Some(text.into());
        release.guid = text.into();
        release.links = vec![LinkView {
            title: text.into(),
            url: format!("https://example.org/?{text}"),
        }];
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
            rendition.mime_codecs = format!("video/mp4; codecs=\"{text}\"");
            rendition.language = Some(text.into());
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
