//! Chromium on every page of every example: index and releases, with and without JavaScript. Video and sound play,
//! seeks land, nothing goes wrong in the console and nothing is asked of a third party.

use serde_json::Value;
use tests::clients::chromium;
use tests::programs::Tool;
use tests::published::Example;

/// What an example is expected to show: releases, and how many of them play in a browser.
fn check(example: &str, releases: usize, media: Option<&str>) {
    if Tool::Chromium.skipped() {
        return;
    }
    let example = Example::up(example);
    let seen = chromium::script("site.mjs", &[&example.server.http]);
    for scripts in ["with_scripts", "without_scripts"] {
        let visit = &seen[scripts];
        assert_eq!(visit["problems"], serde_json::json!([]), "{scripts}");
        assert_ne!(visit["index"]["heading"], "", "{scripts}: {visit}");
        assert_eq!(visit["index"]["overflow"], 0, "{scripts}: index on a phone");
        let pages = visit["releases"].as_array().unwrap();
        assert_eq!(pages.len(), releases, "{scripts}: {visit}");
        for page in pages {
            check_release(page, media, scripts);
        }
    }
}

fn check_release(page: &Value, media: Option<&str>, scripts: &str) {
    let at = format!("{scripts}: {page}");
    assert_ne!(page["heading"], "", "{at}");
    assert_eq!(page["overflow"], 0, "{at}");
    for link in ["magnets", "torrents", "files"] {
        assert!(page[link].as_u64().unwrap() > 0, "no {link}: {at}");
    }
    for image in page["images"].as_array().unwrap() {
        assert_eq!(image["loaded"], true, "{image}: {at}");
    }
    // That it plays, goes on, seeks and goes on again was waited for by the script.
    let played = &page["played"];
    match media {
        None => assert!(played.is_null(), "{at}"),
        Some(element) => {
            assert_eq!(played["element"], element, "{at}");
            assert_eq!(played["controls"], true, "{at}");
            assert!(played["audio_bytes"].as_u64().unwrap() > 0, "{at}");
            let off = played["landed"].as_f64().unwrap() - played["target"].as_f64().unwrap();
            assert!((-0.3..2.0).contains(&off), "seek is {off} s off: {at}");
            if element == "video" {
                assert!(played["frames"].as_u64().unwrap() > 10, "{at}");
                assert!(played["width"].as_u64().unwrap() > 0, "{at}");
            }
        }
    }
}

#[test]
fn test_drive() {
    check("test-drive", 1, Some("video"));
}

#[test]
fn author_interviews() {
    check("author-interviews", 3, Some("video"));
}

#[test]
fn how_to_manual() {
    check("how-to-manual", 2, Some("video"));
}

#[test]
fn garage_band() {
    check("garage-band", 1, Some("audio"));
}

#[test]
fn service_pack() {
    check("service-pack", 2, None);
}

#[test]
fn chapters_lead_where_they_say() {
    if Tool::Chromium.skipped() {
        return;
    }
    let example = Example::up("test-drive");
    let slug = &example.server.torrents()[0].slug;
    let url = example.server.url(&format!("r/{slug}/"));
    let seen = chromium::script("chapters.mjs", &[&url]);
    assert_eq!(seen["problems"], serde_json::json!([]));
    assert_eq!(seen["still_here"], true, "a chapter is a seek, not a page");
    assert!(seen["chapters"].as_array().unwrap().len() >= 2, "{seen}");
}
