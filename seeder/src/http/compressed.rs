//! Text of the site in gzip (RFC 9110, section 8.4): made once for each version of a file and kept within a bound,
//! so that a crowd on one page costs one compression. Media and payload never come here.

use super::reply;
use crate::metrics::Metrics;
use axum::http::header::{self, HeaderMap};
use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzEncoder;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// Below this, the head of the answer is longer than what is saved.
const SHORTEST: u64 = 1024;
/// Above this, a file is sent as it is: it would fill the memory that pages share.
const LONGEST: u64 = 32 << 20;
/// Compressions at once: pages are small, and blocks of payload go before them.
const AT_ONCE: usize = 2;

/// Which version of which file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version {
    /// The file.
    pub path: PathBuf,
    /// Its entity tag: another one is another version.
    pub etag: String,
}

/// Compressed files that are kept.
#[derive(Debug)]
pub struct Compressed {
    kept: Mutex<Kept>,
    working: Semaphore,
    most: usize,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Kept {
    files: HashMap<Version, Bytes>,
    bytes: usize,
}

impl Compressed {
    /// Keeps at most this many bytes.
    pub fn new(most: usize, metrics: Arc<Metrics>) -> Self {
        Self {
            kept: Mutex::default(),
            working: Semaphore::new(AT_ONCE),
            most,
            metrics,
        }
    }

    /// The file in gzip, made now where it isn't kept yet; `None` where it can't be read.
    pub async fn of(&self, version: Version, file: File) -> Option<Bytes> {
        if let Some(bytes) = self.find(&version) {
            return Some(bytes);
        }
        let _turn = self.working.acquire().await.ok()?;
        // Whoever waited for the same file finds it now.
        if let Some(bytes) = self.find(&version) {
            return Some(bytes);
        }
        let compress = move || {
            let mut bytes = Vec::new();
            GzEncoder::new(file, Compression::default())
                .read_to_end(&mut bytes)
                .ok()?;
            Some(Bytes::from(bytes))
        };
        let bytes = tokio::task::spawn_blocking(compress).await.ok()??;
        self.keep(version, &bytes);
        Some(bytes)
    }

    fn find(&self, version: &Version) -> Option<Bytes> {
        self.kept().files.get(version).cloned()
    }

    fn keep(&self, version: Version, bytes: &Bytes) {
        let mut kept = self.kept();
        if kept.bytes + bytes.len() > self.most {
            // Which were wanted last isn't known; what is wanted comes back by itself.
            *kept = Kept::default();
            self.metrics.http_compressed_full.add(1);
        }
        if bytes.len() <= self.most && kept.files.insert(version, bytes.clone()).is_none() {
            kept.bytes += bytes.len();
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether this file has two forms: the answer depends on what the asker accepts.
pub fn is_offered(mime: &str, length: u64) -> bool {
    reply::is_text(mime) && (SHORTEST..=LONGEST).contains(&length)
}

/// Whether the asker takes gzip (RFC 9110, section 12.5.3) and wants the whole file: a range is one of the file itself.
pub fn is_wanted(headers: &HeaderMap) -> bool {
    let accepted = headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let mut named = None;
    let mut any = None;
    for item in accepted {
        let (coding, parameters) = item.split_once(';').unwrap_or((item, ""));
        let weight = parameters.trim().strip_prefix("q=").unwrap_or("1");
        let takes = weight
            .trim()
            .parse::<f32>()
            .is_ok_and(|weight| weight > 0.0);
        match coding.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => named = Some(takes),
            "*" => any = Some(takes),
            _ => {}
        }
    }
    named.or(any).unwrap_or(false) && !headers.contains_key(header::RANGE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use std::io::{Seek, Write};

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        file
    }

    fn version(name: &str) -> Version {
        Version {
            path: name.into(),
            etag: "\"1\"".into(),
        }
    }

    #[tokio::test]
    async fn a_version_is_compressed_once_and_the_bound_holds() {
        let metrics: Arc<Metrics> = Arc::default();
        let compressed = Compressed::new(200, metrics.clone());
        let text = "words ".repeat(500);
        let bytes = compressed
            .of(version("a"), file(text.as_bytes()))
            .await
            .unwrap();
        let mut back = String::new();
        GzDecoder::new(&bytes[..])
            .read_to_string(&mut back)
            .unwrap();
        assert_eq!(back, text);
        // From memory: this file has no bytes.
        assert_eq!(compressed.of(version("a"), file(b"")).await.unwrap(), bytes);
        for name in 0..20 {
            compressed
                .of(version(&name.to_string()), file(text.as_bytes()))
                .await
                .unwrap();
            assert!(compressed.kept().bytes <= 200);
        }
        assert!(metrics.http_compressed_full.get() > 0);
    }

    #[test]
    fn only_who_takes_gzip_gets_it() {
        let check = |accepted: Option<&str>, expected| {
            let mut headers = HeaderMap::new();
            if let Some(accepted) = accepted {
                headers.insert(header::ACCEPT_ENCODING, accepted.parse().unwrap());
            }
            assert_eq!(is_wanted(&headers), expected, "{accepted:?}");
            headers.insert(header::RANGE, "bytes=0-1".parse().unwrap());
            assert!(!is_wanted(&headers), "a range of {accepted:?}");
        };
        check(None, false);
        check(Some("gzip, deflate, br, zstd"), true);
        check(Some("br;q=1, gzip;q=0.5"), true);
        check(Some("gzip;q=0"), false);
        check(Some("gzip;q=0, *"), false);
        check(Some("*"), true);
        check(Some("identity"), false);
        check(Some("*;q=0"), false);
    }
}
