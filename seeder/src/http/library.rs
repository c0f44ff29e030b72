//! `/library/<id>/<name>[/<path>]`: payload by HTTP range, for browsers and web seeds (BEP 19). A path is
//! looked up in the torrent's own list of files, never on disk, so nothing else can be reached. The bytes
//! come through `store::Payload` and its stat guard: what isn't what was hashed isn't sent.

use super::reply::{self, Caching, FileHead};
use crate::library::Served;
use crate::serve::Shared;
use axum::body::Body;
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use percent_encoding::percent_decode_str;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// How much is read from disk at once.
const STEP: u64 = 128 * 1024;

/// Answers.
pub async fn answer(
    shared: Arc<Shared>,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
) -> Response {
    if let Some(response) = reply::other_method(method) {
        return response;
    }
    let Some((torrent, file)) = find(&shared, path) else {
        return reply::text(
            StatusCode::NOT_FOUND,
            "there is no such file in the library",
        );
    };
    if !torrent.is_sound() {
        return unavailable();
    }
    let place = torrent.info.file_map().file_range(file);
    let head = FileHead {
        length: place.end - place.start,
        etag: format!("\"{}-{file}\"", torrent.id),
        modified: torrent.modified(file),
        mime: reply::mime(
            torrent.info.files()[file]
                .path
                .last()
                .map_or(torrent.info.name(), String::as_str),
        ),
        caching: Caching::Immutable,
    };
    let planned = head.plan(method, headers);
    let Some(part) = planned.body else {
        return planned.response;
    };
    let rest = place.start + part.start..place.start + part.end;
    // The first bytes are read before the head goes out: there is no taking back a 200.
    let (first, rest) = rest.split_first_step();
    let Some(first) = read(&shared, torrent.clone(), first).await else {
        return unavailable();
    };
    let mut response = planned.response;
    *response.body_mut() =
        Body::from_stream(stream::unfold(Some((Some(first), rest)), move |state| {
            let (shared, torrent) = (shared.clone(), torrent.clone());
            async move {
                let (ready, rest) = state?;
                if let Some(bytes) = ready {
                    return Some((Ok(bytes), Some((None, rest))));
                }
                if rest.is_empty() {
                    return None;
                }
                let (step, rest) = rest.split_first_step();
                match read(&shared, torrent, step).await {
                    Some(bytes) => Some((Ok(bytes), Some((None, rest)))),
                    // The connection breaks off, and the asker sees that the body is short.
                    None => Some((Err(io::Error::from(io::ErrorKind::UnexpectedEof)), None)),
                }
            }
        }));
    response
}

/// The torrent and file behind a path, pads among them: a web seed is asked for these too.
fn find(shared: &Shared, path: &str) -> Option<(Arc<Served>, usize)> {
    let (id, path) = path.strip_prefix("/library/")?.split_once('/')?;
    let torrent = shared.library().by_id(id)?.clone();
    let path = percent_decode_str(path).decode_utf8().ok()?;
    let file = torrent.file_at(&path)?;
    Some((torrent, file))
}

async fn read(shared: &Shared, torrent: Arc<Served>, range: Range<u64>) -> Option<Bytes> {
    let _place = shared.reads.acquire().await.ok()?;
    let read = tokio::task::spawn_blocking(move || {
        let mut out = Vec::new();
        match torrent.payload.read(range, &mut out) {
            Ok(()) => Some(Bytes::from(out)),
            Err(error) => {
                torrent.report(&error);
                None
            }
        }
    });
    let bytes = read.await.ok().flatten();
    match &bytes {
        Some(bytes) => shared.metrics.http_library_bytes.add(bytes.len() as u64),
        None => shared.metrics.reads_failed.add(1),
    }
    bytes
}

fn unavailable() -> Response {
    let line = "this file is not what was published; it is served again once it is";
    let mut response = reply::text(StatusCode::SERVICE_UNAVAILABLE, line);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

trait SplitFirstStep: Sized {
    /// As much as is read at once, and the rest.
    fn split_first_step(self) -> (Self, Self);
}

impl SplitFirstStep for Range<u64> {
    fn split_first_step(self) -> (Self, Self) {
        let middle = self.end.min(self.start + STEP);
        (self.start..middle, middle..self.end)
    }
}
