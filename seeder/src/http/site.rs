//! The site: plain files below `out/site/`. A path is decoded and judged part by part before the disk is
//! touched, and what was found must lie inside the site even when symbolic links are followed.

use super::account::Account;
use super::compressed::{self, Version};
use super::reply::{self, Caching, FileHead};
use crate::config::Source;
use crate::serve::Shared;
use axum::body::Body;
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{Method, StatusCode, Uri};
use axum::response::Response;
use futures_util::StreamExt;
use percent_encoding::percent_decode_str;
use std::fs::{File, Metadata};
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

/// How much is read from disk at once.
const STEP: usize = 64 * 1024;

/// Answers.
pub async fn answer(
    shared: &Arc<Shared>,
    account: &Account,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Response {
    if let Some(response) = reply::other_method(method) {
        return response;
    }
    let Source::Out(out) = &shared.config.out else {
        return reply::text(
            StatusCode::NOT_FOUND,
            "there is no site here, only torrents",
        );
    };
    let Some(parts) = parts(uri.path()) else {
        return not_found(shared, account, out, method).await;
    };
    match open(out.join("site"), parts, uri.path().ends_with('/')).await {
        Found::File(file) => give(shared, account, file, method, headers).await,
        Found::Folder => moved(uri),
        Found::Nothing => not_found(shared, account, out, method).await,
    }
}

/// The parts of a path, or `None` where it can name nothing of ours.
fn parts(path: &str) -> Option<Vec<String>> {
    let path = percent_decode_str(path).decode_utf8().ok()?;
    let parts: Vec<String> = path
        .split('/')
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect();
    // No way up, nothing hidden, nothing half-written; a backslash or a colon means something elsewhere.
    let fine = |part: &String| {
        !part.starts_with('.')
            && !part.ends_with(".tmp")
            && !part
                .chars()
                .any(|c| c.is_control() || matches!(c, '\\' | ':'))
    };
    parts.iter().all(fine).then_some(parts)
}

struct OpenFile {
    file: File,
    metadata: Metadata,
    path: PathBuf,
    name: String,
    immutable: bool,
}

enum Found {
    File(Box<OpenFile>),
    /// A folder named without the slash that its relative links need.
    Folder,
    Nothing,
}

async fn open(site: PathBuf, parts: Vec<String>, slash: bool) -> Found {
    let find = move || -> io::Result<Found> {
        let site = site.canonicalize()?;
        let mut path = site
            .join(parts.iter().collect::<PathBuf>())
            .canonicalize()?;
        if path.is_dir() {
            if !slash && !parts.is_empty() {
                return Ok(if path.starts_with(&site) {
                    Found::Folder
                } else {
                    Found::Nothing
                });
            }
            path = path.join("index.html").canonicalize()?;
        } else if slash {
            return Ok(Found::Nothing);
        }
        if !path.starts_with(&site) {
            return Ok(Found::Nothing);
        }
        let immutable = parts.first().is_some_and(|part| part == "assets");
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let file = File::open(&path)?;
        let metadata = file.metadata()?;
        Ok(if metadata.is_file() {
            Found::File(Box::new(OpenFile {
                file,
                metadata,
                path,
                name,
                immutable,
            }))
        } else {
            Found::Nothing
        })
    };
    let found = tokio::task::spawn_blocking(find).await;
    found
        .unwrap_or_else(|_| Ok(Found::Nothing))
        .unwrap_or(Found::Nothing)
}

async fn give(
    shared: &Arc<Shared>,
    account: &Account,
    found: Box<OpenFile>,
    method: &Method,
    headers: &HeaderMap,
) -> Response {
    let OpenFile {
        mut file,
        metadata,
        path,
        name,
        immutable,
    } = *found;
    let modified = metadata.modified().ok();
    let mut head = FileHead {
        length: metadata.len(),
        etag: etag(metadata.len(), modified),
        modified,
        mime: reply::mime(&name),
        caching: if immutable {
            Caching::Immutable
        } else {
            Caching::Revalidate
        },
    };
    let offered = compressed::is_offered(head.mime, head.length);
    if offered && compressed::is_wanted(headers) {
        let etag = head.etag.clone();
        let bytes = match file.try_clone() {
            Ok(file) => shared.compressed.of(Version { path, etag }, file).await,
            Err(_) => None,
        };
        if let Some(bytes) = bytes {
            // Other bytes under the same name: another entity.
            head.etag = format!("{}-gzip\"", head.etag.trim_end_matches('"'));
            head.length = bytes.len() as u64;
            let planned = head.plan(method, headers);
            let mut response = planned.response;
            let fields = response.headers_mut();
            fields.remove(header::ACCEPT_RANGES);
            fields.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            fields.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
            if planned.body.is_some() {
                shared.metrics.http_site_bytes.add(head.length);
                *response.body_mut() = account.page(bytes);
            }
            return response;
        }
        // Read in part, and the descriptor is shared: from the start again.
        if file.rewind().is_err() {
            return reply::text(StatusCode::INTERNAL_SERVER_ERROR, "this file can't be read");
        }
    }
    let planned = head.plan(method, headers);
    let mut response = planned.response;
    if offered {
        let vary = HeaderValue::from_static("Accept-Encoding");
        response.headers_mut().insert(header::VARY, vary);
    }
    if let Some(part) = planned.body {
        if file.seek(SeekFrom::Start(part.start)).is_err() {
            return reply::text(StatusCode::INTERNAL_SERVER_ERROR, "this file can't be read");
        }
        shared.metrics.http_site_bytes.add(part.end - part.start);
        let bytes = tokio::fs::File::from_std(file).take(part.end - part.start);
        let steps = ReaderStream::with_capacity(bytes, STEP);
        let account = account.clone();
        *response.body_mut() = Body::from_stream(steps.then(move |step| {
            let account = account.clone();
            async move {
                let step = step?;
                let mut left = step.len();
                while left > 0 {
                    left -= account.acquire_page(left).await.min(left);
                }
                Ok::<_, io::Error>(step)
            }
        }));
    }
    response
}

/// Files of the site are replaced whole, by rename: length and time tell them apart.
fn etag(length: u64, modified: Option<SystemTime>) -> String {
    let since = modified
        .and_then(|at| at.duration_since(UNIX_EPOCH).ok())
        .unwrap_or_default();
    format!("\"{length:x}-{:x}\"", since.as_nanos())
}

fn moved(uri: &Uri) -> Response {
    let query = uri
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    // Leading slashes are reduced to one: two would name another host.
    let location = format!("/{}/{query}", uri.path().trim_start_matches('/'));
    let mut response = reply::text(
        StatusCode::MOVED_PERMANENTLY,
        "this is a folder; its name ends in a slash",
    );
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

async fn not_found(
    shared: &Arc<Shared>,
    account: &Account,
    out: &Path,
    method: &Method,
) -> Response {
    match open(out.join("site"), vec!["404.html".to_owned()], false).await {
        Found::File(file) => {
            let mut response = give(shared, account, file, method, &HeaderMap::new()).await;
            *response.status_mut() = StatusCode::NOT_FOUND;
            let fields = response.headers_mut();
            for name in [header::ETAG, header::LAST_MODIFIED, header::ACCEPT_RANGES] {
                fields.remove(name);
            }
            response
        }
        _ => reply::text(StatusCode::NOT_FOUND, "there is no such page"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_lead_astray_name_nothing() {
        let check = |path: &str, expected: Option<&[&str]>| {
            assert_eq!(
                parts(path).as_deref(),
                expected
                    .map(|e| e.iter().map(|s| s.to_string()).collect::<Vec<_>>())
                    .as_deref(),
                "{path}"
            );
        };
        check("/", Some(&[]));
        check("/r/a%20clip/", Some(&["r", "a clip"]));
        check("//r//x", Some(&["r", "x"]));
        for bad in [
            "/..",
            "/r/../x",
            "/%2e%2e/x",
            "/r/..%2fx",
            "/.git/config",
            "/x/.hidden",
            "/index.html.tmp",
            "/a%5cb",
            "/a%00b",
            "/c:/x",
            "/%ff",
        ] {
            check(bad, None);
        }
    }
}
