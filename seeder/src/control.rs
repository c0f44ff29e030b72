//! Status and metrics, apart from everything public: a Unix socket of the user's own, and where it is asked for a
//! loopback address that Prometheus can scrape. HTTP on both, `GET` alone: `/metrics` in Prometheus' form, `/status` and
//! `/history` in JSON. No web page can reach it: a request must name a loopback host and come from no page.

pub mod places;

use crate::error::ServeError;
use crate::metrics::prometheus;
use crate::net;
use crate::serve::Shared;
use crate::status::history::Document;
use crate::status::report::Report;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Connections at once; more wait.
const CONNECTIONS: usize = 16;
/// How long a request's head may take.
const HEAD: Duration = Duration::from_secs(5);
/// How long one connection may last: a scrape takes milliseconds.
const LIFE: Duration = Duration::from_secs(60);

/// Where status and metrics are given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ControlConfig {
    /// The folder of the socket; none without it.
    pub folder: Option<PathBuf>,
    /// A loopback address as well.
    pub tcp: Option<SocketAddr>,
}

/// One listener.
#[derive(Debug)]
pub enum Control {
    /// A Unix socket, removed when this goes.
    #[cfg(unix)]
    Socket(tokio::net::UnixListener, Removed),
    /// A loopback address. Where there are no Unix sockets, a file of the user's own names it.
    Tcp(Vec<TcpListener>, Option<Removed>),
}

/// A file that goes when this does.
#[derive(Debug)]
pub struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Control {
    /// Listens. A socket that can't be made is warned of: nobody should be without a seeder for want of its status.
    /// An address that was asked for and can't be had is an error.
    pub fn listen(config: &ControlConfig) -> Result<Vec<Self>, ServeError> {
        let mut all = Vec::new();
        if let Some(folder) = &config.folder {
            match socket(folder) {
                Ok(control) => all.push(control),
                Err(error) => {
                    let folder = folder.display();
                    tracing::warn!("no control socket in {folder}, so no status: {error}");
                }
            }
        }
        if let Some(addr) = config.tcp {
            if !addr.ip().is_loopback() {
                return Err(ServeError::ControlNotLocal(addr));
            }
            all.push(Self::Tcp(net::listen(addr, "--control")?, None));
        }
        Ok(all)
    }

    /// The socket's path, or the address.
    pub fn place(&self) -> String {
        match self {
            #[cfg(unix)]
            Self::Socket(_, file) => file.0.display().to_string(),
            Self::Tcp(listeners, _) => net::local_addrs(listeners)
                .first()
                .map(SocketAddr::to_string)
                .unwrap_or_default(),
        }
    }

    /// Answers until the seeder stops.
    pub async fn serve(self, shared: Arc<Shared>) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let stop = shared.stop.clone();
        loop {
            if places.available_permits() == 0 {
                shared.metrics.control_full.add(1);
            }
            let accepted = async {
                let place = places.clone().acquire_owned().await.ok()?;
                Some((place, self.accept().await))
            };
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = accepted => accepted,
            };
            match accepted {
                Some((place, Ok(stream))) => {
                    let serving = shared.clone();
                    shared.tasks.spawn(async move {
                        answer(serving, stream).await;
                        drop(place);
                    });
                }
                Some((_, Err(error))) => {
                    shared.metrics.accepts_failed.add(1);
                    tracing::debug!("control: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                None => return,
            }
        }
    }

    async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match self {
            #[cfg(unix)]
            Self::Socket(listener, _) => Box::new(listener.accept().await?.0),
            Self::Tcp(listeners, _) => match &listeners[..] {
                [listener, ..] => Box::new(listener.accept().await?.0),
                [] => std::future::pending().await,
            },
        })
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A socket for this user alone, in a folder for this user alone.
#[cfg(unix)]
fn socket(folder: &Path) -> io::Result<Control> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(folder)?;
    // In a folder that anybody may write to, somebody else could have made it.
    let owner = std::fs::metadata(folder)?.uid();
    if owner != rustix::process::getuid().as_raw() {
        return Err(io::Error::other("the folder is somebody else's"));
    }
    let path = places::socket(folder);
    let listen = || tokio::net::UnixListener::bind(&path);
    let listener = match listen() {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            if std::os::unix::net::UnixStream::connect(&path).is_ok() {
                return Err(error);
            }
            // Left behind by a process that was killed and had our id.
            std::fs::remove_file(&path)?;
            listen()?
        }
        listener => listener?,
    };
    let removed = Removed(path);
    std::fs::set_permissions(&removed.0, PermissionsExt::from_mode(0o600))?;
    Ok(Control::Socket(listener, removed))
}

/// An address on this machine, named in a file of the user's own folder.
#[cfg(not(unix))]
fn socket(folder: &Path) -> io::Result<Control> {
    let local = SocketAddr::new(std::net::Ipv4Addr::LOCALHOST.into(), 0);
    let listeners = net::listen(local, "--control").map_err(io::Error::other)?;
    let addr = net::local_addrs(&listeners);
    let addr = addr.first().map(SocketAddr::to_string).unwrap_or_default();
    std::fs::create_dir_all(folder)?;
    let path = places::socket(folder);
    std::fs::write(&path, addr)?;
    Ok(Control::Tcp(listeners, Some(Removed(path))))
}

async fn answer(shared: Arc<Shared>, stream: Box<dyn Stream>) {
    let stop = shared.stop.clone();
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let shared = shared.clone();
        async move { Ok::<_, Infallible>(respond(&shared, &request)) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        _ = tokio::time::timeout(LIFE, connection) => {}
        () = stop.cancelled() => {}
    }
}

fn respond(shared: &Shared, request: &Request<Incoming>) -> Response<Body> {
    if let Err(reason) = is_ours(request.headers()) {
        shared.metrics.control_refused.add(1);
        return text(StatusCode::FORBIDDEN, reason);
    }
    if request.method() != Method::GET {
        return text(StatusCode::METHOD_NOT_ALLOWED, "GET alone");
    }
    match request.uri().path() {
        "/metrics" => {
            let mut response = text(StatusCode::OK, Report::of(shared).prometheus(shared));
            let kind = HeaderValue::from_static(prometheus::CONTENT_TYPE);
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        }
        "/status" => json(&Report::of(shared)),
        "/history" => match Document::of(shared, release(request.uri()).as_deref()) {
            Some(document) => json(&document),
            None => text(
                StatusCode::NOT_FOUND,
                "no release of this name or id had an audience",
            ),
        },
        "/" => text(
            StatusCode::OK,
            "/metrics\n/status\n/history\n/history?release=NAME\n",
        ),
        _ => text(
            StatusCode::NOT_FOUND,
            "there are /metrics, /status and /history",
        ),
    }
}

/// The release that is asked for, if any.
fn release(uri: &Uri) -> Option<String> {
    let mut fields = uri.query()?.split('&');
    let name = fields.find_map(|field| field.strip_prefix("release="))?;
    let name = percent_encoding::percent_decode_str(name);
    Some(name.decode_utf8_lossy().into_owned())
}

fn json(document: &impl serde::Serialize) -> Response<Body> {
    let mut response = text(
        StatusCode::OK,
        serde_json::to_vec(document).unwrap_or_default(),
    );
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn text(status: StatusCode, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    for (name, value) in [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

/// Refuses what a web page could send: a name that isn't this machine's own (a name of the page's that leads here), or
/// a sign that a page asks.
fn is_ours(headers: &HeaderMap) -> Result<(), &'static str> {
    let hosts: Vec<_> = headers.get_all(header::HOST).iter().collect();
    let local = match hosts[..] {
        [host] => host.to_str().is_ok_and(is_local),
        _ => false,
    };
    if !local {
        return Err("Host must be this machine: localhost or a loopback address");
    }
    let page = headers.get("sec-fetch-site");
    let page = page.is_some_and(|site| site != "none" && site != "same-origin");
    if headers.contains_key(header::ORIGIN) || page {
        return Err("no page may ask");
    }
    Ok(())
}

/// Whether a `Host` names this machine, whatever its port.
fn is_local(host: &str) -> bool {
    let ip = |text: &str| text.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split_once(']').is_some_and(|(address, rest)| {
            ip(address) && (rest.is_empty() || rest.starts_with(':'))
        });
    }
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    name.eq_ignore_ascii_case("localhost") || ip(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whoever_names_this_machine_and_is_no_page_is_answered() {
        let check = |fields: &[(&'static str, &'static str)], expected: bool| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, HeaderValue::from_static(value));
            }
            assert_eq!(is_ours(&headers).is_ok(), expected, "{fields:?}");
        };
        for host in [
            "localhost",
            "LOCALHOST:9",
            "127.0.0.1:9100",
            "[::1]",
            "[::1]:80",
        ] {
            check(&[("host", host)], true);
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "10.0.0.1",
            "[::1",
            "[::1]x",
        ] {
            check(&[("host", host)], false);
        }
        check(&[], false);
        check(&[("host", "localhost"), ("host", "evil.example")], false);
        check(
            &[("host", "localhost"), ("origin", "http://localhost")],
            false,
        );
        check(
            &[("host", "localhost"), ("sec-fetch-site", "cross-site")],
            false,
        );
        check(&[("host", "localhost"), ("sec-fetch-site", "none")], true);
    }
}
