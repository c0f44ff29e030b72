//! A web seed (BEP 19, the GetRight style): a thread that fetches runs of blocks by HTTP ranges. It gives up on a
//! server that doesn't answer as it should; wrong bytes are found where pieces are hashed.

use crate::torrent::WebMember;
use bytes::BytesMut;
use metainfo::Info;
use metainfo::geometry::Block;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::io::{self, Read};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use ureq::http::{StatusCode, Uri, header};
use ureq::{Agent, Body};

/// What stays as it is in a path: letters, digits and what RFC 3986 calls unreserved.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// How long a server may take to answer, and between two bytes.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often in a row a run may fail.
const MOST_FAILURES: u32 = 4;
/// How long to wait after a failure, times the failures so far, and how long where the server says it is busy, at
/// most.
const PAUSE: Duration = Duration::from_secs(1);
const MOST_PAUSE: u64 = 60;
/// How many redirects are followed.
const MOST_REDIRECTS: usize = 5;

/// Why a web seed can't give a run.
#[derive(Debug, thiserror::Error)]
enum WebError {
    /// It says that it is busy, and for how many seconds.
    #[error("busy")]
    Busy(u64),
    /// It won't do any better.
    #[error("{0}")]
    Useless(String),
    /// It may next time.
    #[error("{0}")]
    Broken(String),
    /// Nothing more is wanted.
    #[error("no longer wanted")]
    Over,
}

/// Starts the thread for one web seed. It ends with the fetch, or when the server is of no use.
pub fn start(url: String, info: Arc<Info>, member: WebMember) -> io::Result<()> {
    let work = move || {
        let seed = WebSeed {
            agent: agent(),
            url,
            info,
            member,
        };
        if let Err(error @ (WebError::Useless(_) | WebError::Broken(_))) = seed.run() {
            tracing::warn!("web seed {} is not asked again: {error}", seed.url);
        }
    };
    std::thread::Builder::new()
        .name("web seed".into())
        .spawn(work)?;
    Ok(())
}

/// An HTTP client that follows no redirect by itself and takes every status for an answer.
pub fn agent() -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_connect(Some(PATIENCE))
        .timeout_recv_response(Some(PATIENCE))
        .user_agent(crate::serve::CLIENT)
        .tls_config(crate::tls::asking())
        .build()
        .into()
}

struct WebSeed {
    agent: Agent,
    url: String,
    info: Arc<Info>,
    member: WebMember,
}

impl WebSeed {
    fn run(&self) -> Result<(), WebError> {
        while let Ok(run) = self.member.runs.recv() {
            let (mut done, mut failures) = (0, 0);
            while done < run.len() {
                match self.fetch(&run, &mut done) {
                    Ok(()) => {}
                    Err(WebError::Over) => return Ok(()),
                    Err(WebError::Busy(seconds)) => {
                        std::thread::sleep(Duration::from_secs(seconds.clamp(1, MOST_PAUSE)));
                    }
                    Err(error @ WebError::Broken(_)) => {
                        failures += 1;
                        if failures >= MOST_FAILURES {
                            return Err(error);
                        }
                        tracing::debug!("web seed {}: {error}", self.url);
                        std::thread::sleep(PAUSE * failures);
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Fetches what is left of a run, as far as the server gives it; `done` counts the blocks that are through.
    fn fetch(&self, run: &[Block], done: &mut usize) -> Result<(), WebError> {
        let (Some(first), Some(last)) = (run.get(*done), run.last()) else {
            return Ok(());
        };
        let geometry = self.info.geometry();
        let range = geometry.block_range(*first).start..geometry.block_range(*last).end;
        let mut block = BytesMut::with_capacity(first.length() as usize);
        for span in self.info.file_map().spans(range) {
            let file = &self.info.files()[span.file];
            let mut source: Box<dyn Read> = if file.pad {
                Box::new(io::repeat(0).take(span.length))
            } else {
                let whole = span.offset == 0 && span.length == file.length;
                let url = url_of(&self.url, &self.info, span.file);
                let body = self.open(&url, span.offset..span.offset + span.length, whole)?;
                Box::new(body.into_reader().take(span.length))
            };
            let mut left = span.length as usize;
            while left > 0 {
                let wanted = run[*done].length() as usize - block.len();
                let (before, step) = (block.len(), wanted.min(left));
                block.resize(before + step, 0);
                source
                    .read_exact(&mut block[before..])
                    .map_err(|error| WebError::Broken(error.to_string()))?;
                left -= step;
                if step == wanted {
                    if !self.member.give(run[*done], block.split().freeze()) {
                        return Err(WebError::Over);
                    }
                    *done += 1;
                }
            }
        }
        Ok(())
    }

    /// Asks for a range of a file.
    fn open(&self, url: &str, range: std::ops::Range<u64>, whole: bool) -> Result<Body, WebError> {
        let useless = |what: String| WebError::Useless(what);
        let mut at: Uri = url.parse().map_err(|_| useless("not a URL".into()))?;
        for _ in 0..MOST_REDIRECTS {
            let bytes = format!("bytes={}-{}", range.start, range.end - 1);
            let request = self.agent.get(&at).header(header::RANGE, bytes);
            let response = request
                .call()
                .map_err(|error| WebError::Broken(error.to_string()))?;
            let status = response.status();
            let field = |name| response.headers().get(name)?.to_str().ok();
            match status {
                StatusCode::PARTIAL_CONTENT => {
                    let starts = format!("bytes {}-", range.start);
                    let right =
                        field(header::CONTENT_RANGE).is_some_and(|is| is.starts_with(&starts));
                    return match right {
                        true => Ok(response.into_body()),
                        false => Err(useless("it answers with another range".into())),
                    };
                }
                StatusCode::OK if whole => return Ok(response.into_body()),
                StatusCode::OK => return Err(useless("it gives no ranges".into())),
                StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                    let seconds = field(header::RETRY_AFTER).and_then(|text| text.parse().ok());
                    return Err(WebError::Busy(seconds.unwrap_or(5)));
                }
                _ if status.is_redirection() => {
                    let to = field(header::LOCATION).unwrap_or_default();
                    at =
                        redirect(&at, to).ok_or_else(|| useless(format!("redirects to `{to}`")))?;
                }
                _ if status.is_server_error() => return Err(WebError::Broken(status.to_string())),
                _ => return Err(useless(status.to_string())),
            }
        }
        Err(useless("redirects in circles".into()))
    }
}

/// Where a file of a torrent lies below a web seed's URL (BEP 19).
fn url_of(base: &str, info: &Info, file: usize) -> String {
    if info.is_single_file() && !base.ends_with('/') {
        return base.to_owned();
    }
    let mut url = base.trim_end_matches('/').to_owned();
    for segment in info.stored_path(&info.files()[file]).split('/') {
        url.push('/');
        url.extend(utf8_percent_encode(segment, SEGMENT));
    }
    url
}

/// Where a redirect leads: to another path or another host, but never from the world into our own network.
fn redirect(from: &Uri, to: &str) -> Option<Uri> {
    let next: Uri = match to.strip_prefix('/') {
        Some(path) if !path.starts_with('/') => {
            let host = from.authority()?;
            format!("{}://{host}{to}", from.scheme_str()?)
                .parse()
                .ok()?
        }
        _ => to.parse().ok()?,
    };
    let web = matches!(next.scheme_str(), Some("http" | "https"));
    (web && (is_local(from) || !is_local(&next))).then_some(next)
}

fn is_local(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let ip = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>();
    match ip.map(|ip| ip.to_canonical()) {
        Ok(IpAddr::V4(ip)) => {
            ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified()
        }
        Ok(IpAddr::V6(ip)) => {
            ip.is_loopback()
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
                || ip.is_unspecified()
        }
        Err(_) => host.eq_ignore_ascii_case("localhost") || host.ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_stay_out_of_our_network() {
        let from: Uri = "https://example.org/a".parse().unwrap();
        let to = |to| redirect(&from, to).map(|uri| uri.to_string());
        assert_eq!(to("/b").as_deref(), Some("https://example.org/b"));
        assert_eq!(
            to("http://mirror.example/c").as_deref(),
            Some("http://mirror.example/c")
        );
        for bad in [
            "http://127.0.0.1/",
            "http://[::1]/",
            "http://10.1.1.1/",
            "http://localhost:1/",
            "ftp://x/",
            "//x",
            "",
        ] {
            assert_eq!(to(bad), None, "{bad}");
        }
        let local: Uri = "http://127.0.0.1:1/a".parse().unwrap();
        assert!(redirect(&local, "http://127.0.0.1:2/").is_some());
    }
}
