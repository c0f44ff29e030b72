//! Answers with files: headers that every answer has, and those of a file or a part of one.

use super::range::{self, Answer, Conditions, Known};
use axum::body::Body;
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use std::ops::Range;
use std::time::SystemTime;

/// How long a file may be kept by whoever has fetched it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caching {
    /// What is behind this URL never changes.
    Immutable,
    /// Ask each time whether it has changed.
    Revalidate,
}

/// A file about to be given.
#[derive(Debug, Clone)]
pub struct FileHead {
    /// Its length.
    pub length: u64,
    /// Its strong entity tag, in quotes.
    pub etag: String,
    /// When it was last changed.
    pub modified: Option<SystemTime>,
    /// Its media type.
    pub mime: &'static str,
    /// How long it may be kept.
    pub caching: Caching,
}

/// The bytes that go with an answer's head, or none.
#[derive(Debug)]
pub struct Planned {
    /// The head, without a body yet.
    pub response: Response,
    /// What the body is to be; `None` where there is none, as for HEAD.
    pub body: Option<Range<u64>>,
}

impl FileHead {
    /// The head of the answer, and which bytes go with it.
    pub fn plan(&self, method: &Method, headers: &HeaderMap) -> Planned {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let conditions = Conditions {
            range: text(header::RANGE).filter(|_| method == Method::GET),
            if_range: text(header::IF_RANGE),
            if_none_match: text(header::IF_NONE_MATCH),
            if_modified_since: text(header::IF_MODIFIED_SINCE),
        };
        let known = Known {
            length: self.length,
            etag: &self.etag,
            modified: self.modified,
        };
        let answer = range::decide(&conditions, &known);
        let (status, bytes) = match &answer {
            Answer::NotModified => (StatusCode::NOT_MODIFIED, None),
            Answer::Whole => (StatusCode::OK, Some(0..self.length)),
            Answer::Part(part) => (StatusCode::PARTIAL_CONTENT, Some(part.clone())),
            Answer::Unsatisfiable => (StatusCode::RANGE_NOT_SATISFIABLE, None),
        };
        let mut response = empty(status);
        let fields = response.headers_mut();
        fields.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        put(fields, header::ETAG, &self.etag);
        if let Some(modified) = self.modified {
            put(
                fields,
                header::LAST_MODIFIED,
                &httpdate::fmt_http_date(modified),
            );
        }
        let caching = match self.caching {
            Caching::Immutable => "public, max-age=31536000, immutable",
            Caching::Revalidate => "no-cache",
        };
        fields.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
        match &answer {
            Answer::Part(part) => {
                let value = format!("bytes {}-{}/{}", part.start, part.end - 1, self.length);
                put(fields, header::CONTENT_RANGE, &value);
            }
            Answer::Unsatisfiable => put(
                fields,
                header::CONTENT_RANGE,
                &format!("bytes */{}", self.length),
            ),
            Answer::NotModified | Answer::Whole => {}
        }
        if let Some(bytes) = &bytes {
            fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.mime));
            fields.insert(header::CONTENT_LENGTH, (bytes.end - bytes.start).into());
        }
        Planned {
            response,
            body: bytes.filter(|bytes| method == Method::GET && !bytes.is_empty()),
        }
    }
}

fn put(fields: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        fields.insert(name, value);
    }
}

/// An answer with what every answer has: nothing is guessed from content, and no page learns where its
/// visitor came from. Any page may read it: what is served is public, and no cookie is ever looked at.
pub fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let fields = response.headers_mut();
    fields.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    fields.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    fields.insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    );
    let exposed = "Content-Range, Content-Length, ETag, Accept-Ranges, Retry-After";
    fields.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static(exposed),
    );
    response
}

/// An answer of one line.
pub fn text(status: StatusCode, line: &'static str) -> Response {
    let mut response = empty(status);
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    *response.body_mut() = Body::from(format!("{line}\n"));
    response
}

/// The answer to methods other than GET and HEAD, `None` for these.
pub fn other_method(method: &Method) -> Option<Response> {
    const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");
    if method == Method::GET || method == Method::HEAD {
        return None;
    }
    if method != Method::OPTIONS {
        let mut response = text(
            StatusCode::METHOD_NOT_ALLOWED,
            "only GET and HEAD are answered",
        );
        response.headers_mut().insert(header::ALLOW, METHODS);
        return Some(response);
    }
    // The preflight of a browser that wants a range.
    let mut response = empty(StatusCode::NO_CONTENT);
    let fields = response.headers_mut();
    fields.insert(header::ALLOW, METHODS);
    fields.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    let allowed = "Range, If-Range, If-None-Match, If-Modified-Since";
    fields.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static(allowed),
    );
    fields.insert(
        header::ACCESS_CONTROL_MAX_AGE,
        HeaderValue::from_static("86400"),
    );
    Some(response)
}

/// Whether files of this type shrink: text does, media and archives are as short as they get.
pub fn is_text(mime: &str) -> bool {
    let kind = mime.split(';').next().unwrap_or(mime);
    kind.starts_with("text/")
        || matches!(
            kind,
            "application/json"
                | "application/manifest+json"
                | "application/xml"
                | "application/wasm"
                | "image/svg+xml"
        )
}

/// The media type of a file by its name. Whatever isn't known is bytes.
pub fn mime(name: &str) -> &'static str {
    let extension = name
        .rsplit_once('.')
        .map_or("", |(_, extension)| extension)
        .to_ascii_lowercase();
    match extension.as_str() {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "xml" => "application/xml; charset=utf-8",
        "txt" | "md" | "minisig" => "text/plain; charset=utf-8",
        "vtt" => "text/vtt; charset=utf-8",
        "torrent" => "application/x-bittorrent",
        "mp4" | "m4v" => "video/mp4",
        "mov" => "video/quicktime",
        "webm" => "video/webm",
        "mkv" => "video/x-matroska",
        "ogv" => "video/ogg",
        "mp3" => "audio/mpeg",
        "m4a" | "m4b" => "audio/mp4",
        "aac" => "audio/aac",
        "ogg" | "oga" | "opus" => "audio/ogg",
        "flac" => "audio/flac",
        "wav" => "audio/wav",
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "gif" => "image/gif",
        "svg" => "image/svg+xml",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        "gz" | "tgz" => "application/gzip",
        "wasm" => "application/wasm",
        _ => "application/octet-stream",
    }
}
