//! The text beside a clip: TOML between `+++` lines, then Markdown.

use publisher::front_matter::{clock, parse};
use publisher::page::{labels, markdown};
use publisher::{slug, vtt};
use std::path::Path;

/// What was understood can be printed, linked and played; what was not names the file.
pub fn front_matter(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(seconds) = clock(&text) {
        assert!(seconds.is_finite() && seconds >= 0.0);
    }
    let front = match parse(&text, Path::new("clips/a-clip.md")) {
        Ok(front) => front,
        Err(error) => {
            assert!(error.to_string().contains("clips/a-clip.md"), "{error}");
            return;
        }
    };
    if let Some(title) = &front.title {
        assert!(!title.trim().is_empty());
    }
    for link in &front.links {
        assert!(link.url.starts_with("http"), "{}", link.url);
        assert!(!link.url.contains(['"', '<', '>']), "{}", link.url);
    }
    for colour in front
        .accent
        .iter()
        .flat_map(|colour| colour.strip_prefix('#'))
    {
        assert!(colour.len() == 6 && colour.bytes().all(|b| b.is_ascii_hexdigit()));
    }
    check_heights(front.renditions.as_deref().unwrap_or_default());
    if let Some(slug) = &front.slug {
        assert_eq!(&slug::of(slug), slug);
    }
    for when in front.published.into_iter().chain(front.publish_at) {
        for label in [
            labels::date_label(when),
            labels::date_rfc3339(when),
            labels::date_rfc2822(when),
        ] {
            assert!(!label.is_empty());
        }
    }
    let starts: Vec<f64> = front
        .chapters
        .iter()
        .map(|chapter| chapter.start_s)
        .collect();
    assert!(
        starts
            .iter()
            .all(|start| start.is_finite() && *start >= 0.0)
    );
    assert!(starts.is_sorted(), "{starts:?}");
    let written = vtt::from_chapters(&front.chapters, starts.last().copied());
    let cues = vtt::cues(&written).expect("our own chapters can be read");
    assert_eq!(cues.len(), front.chapters.len(), "{written}");
    check_markdown(&front.text);
}

/// Heights that an encoder can make, each once.
pub(crate) fn check_heights(heights: &[u32]) {
    assert!(heights.is_sorted_by(|a, b| a > b), "{heights:?}");
    assert!(
        heights
            .iter()
            .all(|h| (144..=4320).contains(h) && h.is_multiple_of(2))
    );
}

/// No text becomes a page that runs, loads or closes something.
fn check_markdown(text: &str) {
    let html = markdown::to_html(text).to_lowercase();
    for tag in ["script", "style", "iframe", "img", "svg", "object", "form"] {
        assert!(!html.contains(&format!("<{tag}")), "{html}");
    }
    for attribute in [" style=", " onerror=", "href=\"javascript:", "href=\"data:"] {
        // In a tag only: between tags it is text, whose angle brackets are escaped.
        let in_tag = html
            .split('<')
            .filter_map(|part| part.split_once('>'))
            .any(|(tag, _)| tag.contains(attribute));
        assert!(!in_tag, "{html}");
    }
    assert!(markdown::first_paragraph(text, 200).chars().count() <= 200);
}
