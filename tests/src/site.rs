//! Checks of a whole site on disk: every local link leads to a file, every torrent has its payload. Reads
//! HTML only as far as attributes go.

use crate::folder;
use percent_encoding::percent_decode_str;
use std::path::{Component, Path, PathBuf};

/// Undoes the character references that a careful template writes.
pub fn unescape(text: &str) -> String {
    text.replace("&#x2F;", "/")
        .replace("&#x2f;", "/")
        .replace("&#x27;", "'")
        .replace("&#39;", "'")
        .replace("&quot;", "\"")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&#x3D;", "=")
        .replace("&amp;", "&")
}

/// The values of `href`, `src`, `poster` and `data-*` URLs' attributes of a page, unescaped.
pub fn links(html: &str) -> Vec<String> {
    let mut found = Vec::new();
    for name in [" href=\"", " src=\"", " poster=\""] {
        for part in html.split(name).skip(1) {
            let value = part.split('"').next().expect("split gives at least one");
            found.push(unescape(value));
        }
    }
    found
}

/// Where a link of the page at `site/<page>` leads on disk; `None` for links to elsewhere.
fn on_disk(out: &Path, page: &str, link: &str) -> Option<PathBuf> {
    let link = link.split(['#', '?']).next().expect("split gives one");
    let elsewhere = link.is_empty()
        || link.starts_with("//")
        || link
            .split_once(':')
            .is_some_and(|(scheme, _)| !scheme.contains('/'));
    if elsewhere {
        return None;
    }
    let decoded = percent_decode_str(link).decode_utf8_lossy().into_owned();
    let above = Path::new(page).parent().expect("a page is a file");
    let joined = match decoded.strip_prefix('/') {
        Some(absolute) => PathBuf::from(absolute),
        None => above.join(&decoded),
    };
    let mut path = PathBuf::new();
    for part in joined.components() {
        match part {
            Component::ParentDir => assert!(path.pop(), "{page}: {link} leaves the site"),
            Component::Normal(name) => path.push(name),
            _ => {}
        }
    }
    let base = if path.starts_with("library") {
        out.to_owned()
    } else {
        out.join("site")
    };
    let mut target = base.join(path);
    if decoded.ends_with('/') || target.is_dir() {
        target.push("index.html");
    }
    Some(target)
}

/// Panics unless every page's local links lead to files, there is an index, and nothing half-written lies about.
#[track_caller]
pub fn assert_whole(out: &Path) {
    assert_links(out);
    assert_nothing_half_written(out);
}

/// Panics unless there is an index and every page's local links lead to files.
#[track_caller]
pub fn assert_links(out: &Path) {
    let site = out.join("site");
    let pages = folder::files(&site);
    assert!(
        pages.iter().any(|p| p == "index.html"),
        "{} has no index.html",
        site.display()
    );
    for page in pages.iter().filter(|p| p.ends_with(".html")) {
        let html = String::from_utf8(folder::get(&site.join(page))).expect("pages are UTF-8");
        assert!(
            html.trim_end().ends_with("</html>"),
            "{page} is cut off: …{:?}",
            html.chars().rev().take(80).collect::<String>()
        );
        for link in links(&html) {
            if let Some(target) = on_disk(out, page, &link) {
                assert!(
                    target.is_file(),
                    "{page} links to {link}, but {} isn't there",
                    target.display()
                );
            }
        }
    }
}

/// Panics if a temporary file is left anywhere below `out`.
#[track_caller]
pub fn assert_nothing_half_written(out: &Path) {
    if !out.exists() {
        return;
    }
    for file in folder::files(out) {
        let name = file.rsplit('/').next().expect("split gives one");
        assert!(
            !name.contains(".tmp") && !name.ends_with(".part") && !name.starts_with(".tmp"),
            "{file} is left half-written in {}",
            out.display()
        );
    }
}
