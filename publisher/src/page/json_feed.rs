//! `feed.json` (JSON Feed 1.1) and a release's chapters (Podcasting 2.0): documents of fixed shape, so
//! they are no templates.

use serde_json::{Map, Value, json};

use super::escape::clean;
use super::feeds::{guid, home, public_root, raster_poster};
use super::labels::whole_seconds;
use super::markdown::{shortened, with_absolute_links};
use super::render::at;
use super::stage::rendition_label;
use super::view::{ChannelView, ReleaseView};

/// The feed of these releases, newest first.
pub(super) fn json_feed(channel: &ChannelView, views: &[ReleaseView]) -> Vec<u8> {
    let root = public_root(channel);
    let items: Vec<Value> = views.iter().map(|view| item(channel, view)).collect();
    let feed = object([
        ("version", json!("https://jsonfeed.org/version/1.1")),
        ("title", json!(clean(&channel.title))),
        ("home_page_url", json!(home(channel))),
        ("feed_url", json!(at("feed.json", root))),
        ("description", text(&channel.description)),
        (
            "icon",
            channel
                .logo
                .as_deref()
                .map_or(Value::Null, |logo| json!(at(logo, root))),
        ),
        ("authors", json!([{ "name": clean(&channel.author) }])),
        ("language", text(&channel.language)),
        ("items", json!(items)),
    ]);
    to_bytes(&feed)
}

fn item(channel: &ChannelView, release: &ReleaseView) -> Value {
    let root = public_root(channel);
    let url = at(&format!("r/{}/", release.slug), root);
    let (id, _) = guid(channel, release);
    let authors: Vec<Value> = release
        .people
        .iter()
        .map(|person| json!({ "name": clean(&person.name) }))
        .collect();
    let summary = shortened(&clean(&release.excerpt), 4000);
    let (html, plain) = if release.html.is_empty() {
        let words = if summary.is_empty() {
            &release.title
        } else {
            &summary
        };
        (Value::Null, text(words))
    } else {
        (json!(with_absolute_links(&release.html, &url)), Value::Null)
    };
    let tags: Vec<_> = release.tags.iter().map(|tag| clean(tag)).collect();
    let changed = !release.updated.is_empty() && release.updated != release.published;
    object([
        ("id", json!(id)),
        ("title", json!(clean(&release.title))),
        ("content_html", html),
        ("content_text", plain),
        ("summary", text(&summary)),
        (
            "image",
            raster_poster(&release.poster).map_or(Value::Null, |poster| json!(at(poster, root))),
        ),
        ("date_published", text(&release.published)),
        (
            "date_modified",
            if changed {
                text(&release.updated)
            } else {
                Value::Null
            },
        ),
        (
            "authors",
            if authors.is_empty() {
                Value::Null
            } else {
                json!(authors)
            },
        ),
        (
            "tags",
            if tags.is_empty() {
                Value::Null
            } else {
                json!(tags)
            },
        ),
        ("attachments", attachments(release, root)),
        ("url", json!(url)),
    ])
}

/// Every file, then every torrent; the files of one title are forms of one thing, as the format has it.
fn attachments(release: &ReleaseView, root: &str) -> Value {
    const MOST: usize = 50;
    let is_clip = release.kind == "clip";
    let files = release.renditions.iter().flat_map(|rendition| {
        let title = move |file: &super::view::FileView| {
            if is_clip {
                release.title.clone()
            } else {
                file.title.clone()
            }
        };
        rendition.files.iter().map(move |file| {
            object([
                ("url", json!(at(&file.url, root))),
                ("mime_type", json!(file.mime)),
                ("title", text(&title(file))),
                ("size_in_bytes", json!(file.bytes)),
                (
                    "duration_in_seconds",
                    file.duration_s
                        .map_or(Value::Null, |s| json!(whole_seconds(s))),
                ),
            ])
        })
    });
    let torrents = release.renditions.iter().map(|rendition| {
        let title = if release.renditions.len() > 1 {
            format!(
                "{} ({}, torrent)",
                release.title,
                rendition_label(rendition)
            )
        } else {
            format!("{} (torrent)", release.title)
        };
        object([
            ("url", json!(at(&rendition.torrent_url, root))),
            ("mime_type", json!("application/x-bittorrent")),
            ("title", text(&title)),
            ("size_in_bytes", json!(rendition.torrent_bytes)),
        ])
    });
    files.take(MOST).chain(torrents).collect()
}

/// A release's chapters as Podcasting 2.0's JSON, `r/<slug>/chapters.json`.
pub(super) fn chapters(release: &ReleaseView) -> Vec<u8> {
    let chapters: Vec<Value> = release
        .chapters
        .iter()
        .map(|chapter| json!({ "startTime": chapter.start_s, "title": clean(&chapter.title) }))
        .collect();
    to_bytes(&json!({
        "version": "1.2.0",
        "title": clean(&release.title),
        "chapters": chapters,
    }))
}

fn text(text: &str) -> Value {
    if text.is_empty() {
        Value::Null
    } else {
        json!(clean(text))
    }
}

/// Without what isn't known: readers expect a value or no key.
fn object<const N: usize>(entries: [(&str, Value); N]) -> Value {
    let known = entries.into_iter().filter(|(_, value)| !value.is_null());
    Value::Object(
        known
            .map(|(key, value)| (key.to_owned(), value))
            .collect::<Map<_, _>>(),
    )
}

fn to_bytes(value: &Value) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(value).expect("a value is JSON already");
    bytes.push(b'\n');
    bytes
}
