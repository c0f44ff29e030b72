//! Feeds as readers see them: every address whole, every item once, nothing that breaks a parser.

use serde_json::Value;

use super::sample::{self, SiteView, public_site};

use std::collections::BTreeMap;

fn render(site: &SiteView) -> BTreeMap<String, String> {
    sample::render(site).unwrap()
}

#[track_caller]
fn assert_has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part}\n{text}");
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
fn everything_known_of_a_clip_is_in_its_item() {
    let mut site = public_site();
    site.channel.email = Some("mail@example.org".into());
    site.channel.category = Some("Technology".into());
    site.releases = vec![sample::rich_clip("long", "Long")];
    let pages = render(&site);
    let (file, torrent) = ("a".repeat(40), "d".repeat(40));
    assert_has(
        &pages["feed.xml"],
        &[
            "<itunes:owner><itunes:name>Aurora Motors</itunes:name><itunes:email>mail@example.org</itunes:email></itunes:owner>",
            "<itunes:category text=\"Technology\"/>",
            "<podcast:medium>video</podcast:medium>",
            "<lastBuildDate>Mon, 23 Nov 2026 08:00:00 +0000</lastBuildDate>",
            "<guid isPermaLink=\"false\">0b5ad4f6-3e5a-5f0c-9a52-5a1f1a1d2c3b</guid>",
            "<itunes:duration>65</itunes:duration>",
            "<itunes:image href=\"https://video.example/show/r/long/poster-1280.jpg\"/>",
            "<podcast:person role=\"host\">Mara Lind</podcast:person>",
            "<podcast:person role=\"guest\">Jonas Okafor</podcast:person>",
            "<podcast:license>cc-by-4.0</podcast:license>",
            "<podcast:chapters url=\"https://video.example/show/r/long/chapters.json\" type=\"application/json+chapters\"/>",
            "<podcast:transcript url=\"https://video.example/show/r/long/captions.en.vtt\" type=\"text/vtt\" language=\"en\" rel=\"captions\"/>",
            "height=\"1080\" lang=\"en\" title=\"Original\" codecs=\"avc1.640028,mp4a.40.2\" default=\"true\">",
            &format!(
                "<podcast:source uri=\"https://video.example/show/library/{file}/clip.mp4\"/>"
            ),
            &format!(
                "<podcast:source uri=\"https://video.example/show/t/{torrent}.torrent\" contentType=\"application/x-bittorrent\"/>"
            ),
            &format!("<podcast:source uri=\"magnet:?xt=urn:btih:{torrent}&amp;dn="),
            "<podcast:integrity type=\"sri\" value=\"sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"/>",
            "medium=\"video\" isDefault=\"true\" expression=\"full\" bitrate=\"296\" framerate=\"29.97\" duration=\"65\" height=\"1080\" width=\"1920\">",
            "<media:keywords>electric, long range</media:keywords>",
            "<media:thumbnail url=\"https://video.example/show/r/long/poster-640.jpg\" width=\"640\" height=\"360\"/>",
        ],
    );
    assert_eq!(
        pages["feed.xml"].matches("<podcast:integrity").count(),
        1,
        "one sum is known"
    );
    assert!(
        !pages["feed.xml"].contains(".webp"),
        "not every reader shows WebP"
    );
    let chapters: Value = serde_json::from_str(&pages["r/long/chapters.json"]).unwrap();
    assert_eq!(chapters["version"], "1.2.0");
    assert_eq!(chapters["chapters"][1]["startTime"], 12.5);
    assert_eq!(chapters["chapters"][1]["title"], "On the road");
}

#[test]
fn every_torrent_is_a_source() {
    let feed = &render(&public_site())["feed.xml"];
    for byte in ["a", "b", "c"] {
        let hash = byte.repeat(40);
        assert_has(
            feed,
            &[
                &format!("<podcast:source uri=\"https://video.example/show/t/{hash}.torrent\""),
                &format!("<podcast:source uri=\"magnet:?xt=urn:btih:{hash}&amp;"),
            ],
        );
    }
    // Tracks are parts of an album and no other forms of it.
    let forms = feed.matches("<podcast:alternateEnclosure").count();
    assert_eq!(forms, 3, "one a rendition");
    assert_eq!(
        feed.matches("type=\"application/x-bittorrent\" length=\"640\"")
            .count(),
        2
    );
}

#[test]
fn an_album_is_a_feed_of_its_tracks() {
    let pages = render(&public_site());
    assert_has(
        &pages["feed.xml"],
        &[
            "<atom:link rel=\"related\" type=\"application/rss+xml\" href=\"https://video.example/show/r/first-album/feed.xml\"/>",
        ],
    );
    // Its length is that of the file it gives.
    assert!(!pages["feed.xml"].contains("<itunes:duration>61<"));
    assert_has(
        &pages["feed.xml"],
        &["<itunes:duration>30</itunes:duration>"],
    );
    let feed = &pages["r/first-album/feed.xml"];
    assert_has(
        feed,
        &[
            "<title>First Album</title>",
            "<podcast:medium>music</podcast:medium>",
            "<itunes:type>serial</itunes:type>",
            "<podcast:season>1</podcast:season>",
            "<podcast:episode>2</podcast:episode>",
            "<podcast:person role=\"artist\">The Band</podcast:person>",
            "<itunes:duration>30</itunes:duration>",
            "01.flac\" length=\"800000\" type=\"audio/flac\"/>",
        ],
    );
    assert_eq!(feed.matches("<item>").count(), 2, "the booklet is no track");
    let guids: Vec<&str> = feed
        .split("<guid isPermaLink=\"false\">")
        .skip(1)
        .map(|rest| &rest[..36])
        .collect();
    assert!(guids.len() == 2 && guids[0] != guids[1], "{guids:?}");
    assert!(
        pages["r/first-album/index.html"].contains("title=\"First Album\" href=\"feed.xml\">"),
        "the page leads to it"
    );
    assert!(!pages["r/test-drive/index.html"].contains("href=\"feed.xml\""));
}

#[test]
fn older_items_are_in_archives() {
    let mut site = public_site();
    site.releases = (0..330)
        .map(|n| sample::clip(&format!("clip-{n}"), "Clip"))
        .collect();
    let pages = render(&site);
    let rel = |rel: &str, file: &str| {
        format!(
            "<atom:link rel=\"{rel}\" type=\"application/rss+xml\" href=\"https://video.example/show/{file}\"/>"
        )
    };
    let items = |file: &str| pages[file].matches("<item>").count();
    assert_eq!(
        (items("feed.xml"), items("feed-1.xml"), items("feed-2.xml")),
        (130, 100, 100)
    );
    assert!(!pages.contains_key("feed-3.xml"));
    assert_has(
        &pages["feed.xml"],
        &[&rel("self", "feed.xml"), &rel("prev-archive", "feed-2.xml")],
    );
    assert!(!pages["feed.xml"].contains("fh:archive/>"));
    assert_has(
        &pages["feed-2.xml"],
        &[
            "<fh:archive/>",
            &rel("self", "feed-2.xml"),
            &rel("current", "feed.xml"),
            &rel("prev-archive", "feed-1.xml"),
        ],
    );
    assert!(!pages["feed-2.xml"].contains("next-archive"));
    assert_has(&pages["feed-1.xml"], &[&rel("next-archive", "feed-2.xml")]);
    assert!(!pages["feed-1.xml"].contains("prev-archive"));
    let guid = |file: &str| pages[file].split("<podcast:guid>").nth(1).unwrap()[..36].to_owned();
    assert_eq!(guid("feed.xml"), guid("feed-1.xml"), "one podcast");
}

#[test]
fn the_torrent_feed_is_for_torrent_clients() {
    let mut site = public_site();
    site.releases = vec![sample::rich_clip("long", "Long")];
    let hash = "d".repeat(40);
    assert_has(
        &render(&site)["torrents.xml"],
        &[
            "<title>Long (Original)</title>",
            "<title>Long (720p)</title>",
            &format!(
                "<enclosure url=\"https://video.example/show/t/{hash}.torrent\" length=\"640\" type=\"application/x-bittorrent\"/>"
            ),
            &format!(
                "<media:content url=\"https://video.example/show/t/{hash}.torrent\" fileSize=\"900000\" type=\"application/x-bittorrent\"/>"
            ),
            &format!("<torrent:infoHash>{hash}</torrent:infoHash>"),
            "<torrent:contentLength>900000</torrent:contentLength>",
            &format!("<torrent:magnetURI>magnet:?xt=urn:btih:{hash}&amp;"),
        ],
    );
}

#[test]
fn the_json_feed_is_one() {
    let mut site = public_site();
    site.releases
        .insert(0, sample::rich_clip("long", "Long\u{0}\u{202e}"));
    site.releases[1].html = String::new();
    let feed: Value = serde_json::from_str(&render(&site)["feed.json"]).unwrap();
    assert_eq!(feed["version"], "https://jsonfeed.org/version/1.1");
    assert_eq!(feed["feed_url"], "https://video.example/show/feed.json");
    let items = feed["items"].as_array().unwrap();
    assert_eq!(items.len(), 4, "unlisted releases are not in it");
    for item in items {
        assert!(
            item["content_html"].is_string() != item["content_text"].is_string(),
            "{item}"
        );
        assert!(item["id"].is_string() && item["date_published"].is_string());
        for attachment in item["attachments"].as_array().unwrap() {
            let url = attachment["url"].as_str().unwrap();
            assert!(url.starts_with("https://video.example/show/"), "{url}");
            assert!(attachment["mime_type"].is_string());
        }
    }
    assert_eq!(items[0]["title"], "Long");
    assert_eq!(items[0]["date_modified"], "2026-11-23T08:00:00Z");
    assert_eq!(items[0]["attachments"][0]["duration_in_seconds"], 65);
    assert_eq!(
        items[0]["attachments"][3]["mime_type"],
        "application/x-bittorrent"
    );
    assert!(items[1].get("date_modified").is_none());
}

#[test]
fn the_sitemap_shows_clips_to_search_engines() {
    let mut site = public_site();
    site.releases[0].title = "Tom & Jerry".into();
    let mut drawn = sample::clip("drawn", "Drawn");
    drawn.poster.placeholder = true;
    site.releases.push(drawn);
    let sitemap = &render(&site)["sitemap.xml"];
    assert_has(
        sitemap,
        &[
            "<loc>https://video.example/show/r/test-drive/</loc>",
            "<lastmod>2026-11-22T07:30:00Z</lastmod>",
            "<video:title>Tom &amp; Jerry</video:title>",
            "<video:thumbnail_loc>https://video.example/show/r/test-drive/poster.jpg</video:thumbnail_loc>",
            "<video:duration>65</video:duration>",
        ],
    );
    assert_eq!(
        sitemap.matches("<video:video>").count(),
        1,
        "a drawing is no thumbnail"
    );
    assert_eq!(sitemap.matches("<url>").count(), 5);
}
