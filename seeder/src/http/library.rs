//! `/library/<id>/<name>[/<path>]`: payload by HTTP range, for browsers and web seeds (BEP 19). A path is
//! looked up in the torrent's own list of files, never on disk, so nothing else can be reached. The bytes
//! come through `store::Payload` and its stat guard: what isn't what was hashed isn't sent.

use super::account::Account;
use super::reply::{self, Caching, FileHead};
use crate::library::Served;
use crate::serve::Shared;
use crate::uplink::{Busy, STOPPED, Slot};
use axum::body::Body;
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use percent_encoding::percent_decode_str;
use std::io;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// How much is read from disk at once.
const STEP: u64 = 128 * 1024;
/// How long whoever comes too early waits for being told so.
const EARLY: Duration = Duration::from_secs(1);

/// Answers whoever asks `from` an address.
pub async fn answer(
    shared: Arc<Shared>,
    account: Account,
    from: IpAddr,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
) -> Response {
    if let Some(response) = reply::other_method(method) {
        return response;
    }
    let (torrent, file) = match find(&shared, path).await {
        Ok(found) => found,
        Err(response) => return *response,
    };
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
    let slot = match account.begin(from, &torrent.id, part.start, head.length) {
        Ok(slot) => slot,
        Err(busy) => return refuse(busy).await,
    };
    let mut answer = Steps {
        shared,
        torrent,
        account,
        file: place.start,
        length: head.length,
        rest: part,
        _slot: slot,
    };
    // The first bytes are read before the head goes out: there is no taking back a 200.
    let first = match answer.next().await {
        Ok(first) => first,
        Err(Broken::Unreadable) => return unavailable(),
        Err(Broken::Stopped) => return busy(STOPPED),
    };
    let mut response = planned.response;
    *response.body_mut() = Body::from_stream(stream::unfold(
        (Some(first), Some(answer)),
        |(ready, answer)| async move {
            let mut answer = answer?;
            if let Some(bytes) = ready {
                return Some((Ok(bytes), (None, Some(answer))));
            }
            if answer.rest.is_empty() {
                return None;
            }
            match answer.next().await {
                Ok(bytes) => Some((Ok(bytes), (None, Some(answer)))),
                // The connection breaks off, and the asker sees that the body is short.
                Err(_) => Some((
                    Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
                    (None, None),
                )),
            }
        },
    ));
    response
}

/// What is still to be sent of an answer, step by step.
struct Steps {
    shared: Arc<Shared>,
    torrent: Arc<Served>,
    account: Account,
    /// Where the file begins in the payload.
    file: u64,
    /// How long the file is.
    length: u64,
    /// What is left of the file's bytes.
    rest: Range<u64>,
    _slot: Option<Slot>,
}

/// Why an answer can't go on.
#[derive(Debug, Clone, Copy)]
enum Broken {
    /// The file is not what was published.
    Unreadable,
    /// The month's volume is spent.
    Stopped,
}

impl Steps {
    /// The next bytes, when the upload limit lets them through.
    async fn next(&mut self) -> Result<Bytes, Broken> {
        let start = self.rest.start;
        let want = STEP.min(self.rest.end - start);
        let granted = self.account.acquire(start, self.length, want).await;
        let end = start + granted.ok_or(Broken::Stopped)?.min(want);
        self.rest.start = end;
        let range = self.file + start..self.file + end;
        let bytes = read(&self.shared, self.torrent.clone(), range).await;
        bytes.ok_or(Broken::Unreadable)
    }
}

/// The torrent and file behind a path, pads among them: a web seed is asked for these too.
async fn find(shared: &Shared, path: &str) -> Result<(Arc<Served>, usize), Box<Response>> {
    let nothing = || {
        let line = "there is no such file in the library";
        Box::new(reply::text(StatusCode::NOT_FOUND, line))
    };
    let below = path.strip_prefix("/library/");
    let (id, path) = below
        .and_then(|below| below.split_once('/'))
        .ok_or_else(nothing)?;
    let listed = shared.library().by_id(id).cloned().ok_or_else(nothing)?;
    let torrent = shared.open(&listed).await;
    let torrent = torrent.ok_or_else(|| Box::new(unavailable()))?;
    let path = percent_decode_str(path).decode_utf8();
    let path = path.map_err(|_| nothing())?;
    let file = torrent.file_at(&path).ok_or_else(nothing)?;
    Ok((torrent, file))
}

async fn read(shared: &Shared, torrent: Arc<Served>, range: Range<u64>) -> Option<Bytes> {
    // What is in memory is taken at once; what isn't must not hold up a thread that others need.
    let mut out = Vec::new();
    let bytes = match torrent.payload.read_resident(range.clone(), &mut out) {
        Ok(true) => Some(Bytes::from(out)),
        Ok(false) | Err(_) => read_waiting(shared, torrent.clone(), range).await,
    };
    match &bytes {
        Some(bytes) => {
            shared.metrics.http_library_bytes.add(bytes.len() as u64);
            torrent.figures.sent_http(bytes.len() as u64);
        }
        None => shared.metrics.reads_failed.add(1),
    }
    bytes
}

async fn read_waiting(shared: &Shared, torrent: Arc<Served>, range: Range<u64>) -> Option<Bytes> {
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
    read.await.ok().flatten()
}

fn unavailable() -> Response {
    let line = "this file is not what was published; it is served again once it is";
    later(line, 10)
}

/// Not now. Who was told so and didn't wait is told again after a second, and so can't ask in a flood.
async fn refuse(refusal: Busy) -> Response {
    let mut seconds = refusal.seconds;
    if refusal.early {
        tokio::time::sleep(EARLY).await;
        seconds = seconds.saturating_sub(EARLY.as_secs()).max(1);
    }
    busy(seconds)
}

/// First prefixes go before this; peers have it as well.
fn busy(seconds: u64) -> Response {
    let line = "the uplink is busy; fetch it from peers, or ask again later";
    later(line, seconds)
}

fn later(line: &'static str, seconds: u64) -> Response {
    let mut response = reply::text(StatusCode::SERVICE_UNAVAILABLE, line);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, seconds.into());
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
