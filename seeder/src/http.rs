//! HTTP: the site at `/`, payload at `/library/<id>/…` (BEP 19, browsers), the tracker at `/announce` and `/scrape`, all
//! on one port, and with TLS on another. `connection` takes connections and answers the tracker's requests; what else
//! comes is routed here and answered with files by [`library`] and [`site`], while [`range`] decides which bytes.

pub mod account;
pub mod compressed;
mod connection;
mod head;
pub mod library;
pub mod proxy;
pub mod range;
pub mod reply;
mod rewind;
pub mod site;
mod stall;

use crate::net::{self, AcceptCounters, Gate, Pass};
use crate::serve::Shared;
use crate::tls;
use crate::tracker::http::Question;
use account::Account;
use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{Method, Request, StatusCode, Uri};
use axum::response::Response;
use axum::routing::any;
use bytes::Bytes;
use futures_util::future::Either;
use head::Fields;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use proxy::Proxies;
use rewind::Rewind;
use stall::WriteStall;
use std::future::ready;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tower_service::Service;
use tungstenite::handshake::derive_accept_key;

/// The longest head of a request, and what hyper buffers of an answer.
const HEAD: usize = 32 * 1024;

/// Who asks, and where it reached us.
#[derive(Debug, Clone, Copy)]
pub struct Asker {
    /// The other end of the connection.
    pub remote: SocketAddr,
    /// Our end.
    pub local: SocketAddr,
}

/// All paths but the tracker's.
pub fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/library/{*path}", any(from_library))
        .fallback(from_site)
        .with_state(shared)
}

async fn from_library(
    State(shared): State<Arc<Shared>>,
    account: Extension<Account>,
    asker: AskedBy,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let from = asker.0.ip(&headers, &shared.config.trusted_proxies);
    library::answer(shared, account.0, from, &method, uri.path(), &headers).await
}

async fn from_site(
    State(shared): State<Arc<Shared>>,
    account: Extension<Account>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    site::answer(&shared, &account.0, &method, &uri, &headers).await
}

/// Takes connections from a listener until the seeder stops, one task each; over TLS where there is an acceptor.
pub(crate) fn take_connections(
    shared: &Arc<Shared>,
    listener: TcpListener,
    gate: Arc<Gate>,
    router: Router,
    acceptor: Option<TlsAcceptor>,
) {
    let Ok(listening) = listener.local_addr() else {
        return;
    };
    let serving = shared.clone();
    shared.tasks.spawn(net::accept(
        listener,
        gate,
        shared.metrics.clone(),
        |m| AcceptCounters {
            accepted: &m.http_accepted,
            refused: &m.http_refused_address,
            full: &m.http_full,
        },
        shared.stop.clone(),
        move |stream, remote, pass| {
            let asker = Asker::of(&stream, remote, listening);
            let (shared, router) = (serving.clone(), router.clone());
            match acceptor.clone() {
                None => {
                    let task = connection::serve(shared, router, stream, asker, pass);
                    serving.tasks.spawn(task);
                }
                Some(acceptor) => {
                    let task = serve_tls(shared, router, acceptor, stream, asker, pass);
                    serving.tasks.spawn(task);
                }
            }
        },
    ));
}

/// Serves one connection that begins with a TLS handshake.
async fn serve_tls(
    shared: Arc<Shared>,
    router: Router,
    acceptor: TlsAcceptor,
    stream: TcpStream,
    asker: Asker,
    pass: Pass,
) {
    let patience = Duration::from_secs(shared.config.limits.http_head_seconds.max(1));
    let accepted = tokio::select! {
        accepted = tls::accept(acceptor, stream, patience, &shared.metrics) => accepted,
        () = shared.stop.cancelled() => return,
    };
    let Some(stream) = accepted else {
        return;
    };
    connection::serve(shared, router, stream, asker, pass).await;
}

/// A connection that is to go on as a WebSocket: for whom, what was read of it already, and the stream.
type WebSocket<S> = (IpAddr, Bytes, WriteStall<S>);

/// Lets hyper serve what is left of a connection.
async fn over_hyper<S>(
    shared: &Arc<Shared>,
    router: Router,
    stream: Rewind<WriteStall<S>>,
    asker: Asker,
    account: Account,
) -> Option<WebSocket<S>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let upgrade: Upgrade = Arc::default();
    let (asked, serving) = (upgrade.clone(), shared.clone());
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        serving.metrics.http_requests.add(1);
        if let Some(answer) = from_tracker(&serving, asker, &mut request, &asked) {
            return Either::Left(ready(Ok(answer)));
        }
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(asker);
        request.extensions_mut().insert(account.clone());
        let mut router = router.clone();
        Either::Right(async move { router.call(request).await })
    });
    let limits = &shared.config.limits;
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(limits.http_head_seconds.max(1)))
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Err(error) = connection.await {
        tracing::debug!("{}: {error}", asker.remote);
        return None;
    }
    let (ip, upgrade) = take(&upgrade)?;
    let upgraded = upgrade.await.ok()?;
    let parts = upgraded.downcast::<TokioIo<Rewind<WriteStall<S>>>>().ok()?;
    let (front, stream) = parts.io.into_inner().into_parts();
    let rest = [parts.read_buf, front].concat();
    Some((ip, rest.into(), stream))
}

/// Where a request leaves word that the connection is to go on as a WebSocket, and for whom.
type Upgrade = Arc<Mutex<Option<(IpAddr, OnUpgrade)>>>;

fn take(upgrade: &Upgrade) -> Option<(IpAddr, OnUpgrade)> {
    upgrade
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take()
}

/// Answers a request to the tracker that came on a connection of hyper's; `None` where it is none.
fn from_tracker(
    shared: &Shared,
    asker: Asker,
    request: &mut Request<Incoming>,
    upgrade: &Upgrade,
) -> Option<Response> {
    let path = request.uri().path();
    let question = Question::of(path.as_bytes());
    // Whoever names a WebSocket tracker by its host alone means it as well.
    if question.is_none() && path != "/" {
        return None;
    }
    let headers = request.headers();
    let named = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()));
    let fields = Fields::of(named);
    let ip = asker.ip(headers, &shared.config.trusted_proxies);
    let upgrades = request.method() == Method::GET && fields.wants_websocket();
    if upgrades && question != Some(Question::Scrape) {
        let Some(key) = fields.websocket_key() else {
            return Some(no_websocket());
        };
        let accept = HeaderValue::from_str(&derive_accept_key(key)).ok()?;
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let to = answer.headers_mut();
        to.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        to.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        to.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        let on_upgrade = hyper::upgrade::on(request);
        *upgrade.lock().unwrap_or_else(PoisonError::into_inner) = Some((ip, on_upgrade));
        return Some(answer);
    }
    let question = question?;
    if let Some(answer) = reply::other_method(request.method()) {
        return Some(answer);
    }
    let query = request.uri().query().unwrap_or_default().as_bytes();
    let mut body = Vec::new();
    question.answer(shared, query, ip, asker.local.ip(), &mut body);
    let mut answer = reply::empty(StatusCode::OK);
    let fields = answer.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    *answer.body_mut() = Body::from(body);
    Some(answer)
}

/// The answer to an opening handshake that isn't one (RFC 6455, 4.2.2).
fn no_websocket() -> Response {
    let line = "a WebSocket is opened with version 13 and a key";
    let mut answer = reply::text(StatusCode::UPGRADE_REQUIRED, line);
    let version = HeaderValue::from_static("13");
    answer
        .headers_mut()
        .insert(header::SEC_WEBSOCKET_VERSION, version);
    answer
}

impl Asker {
    /// Of a connection that came to a listener at this address.
    pub fn of(stream: &TcpStream, remote: SocketAddr, listening: SocketAddr) -> Self {
        // Only where every address is listened on is it a question which was reached.
        let local = if listening.ip().is_unspecified() {
            stream.local_addr().unwrap_or(listening)
        } else {
            listening
        };
        Self { remote, local }
    }

    /// The address that asks: the connection's, or where a proxy we trust passes on another's, that one.
    pub fn ip(&self, headers: &HeaderMap, proxies: &[Proxies]) -> IpAddr {
        let lines = headers.get_all("x-forwarded-for").iter().rev();
        let lines = lines.map(HeaderValue::as_bytes);
        proxy::asker(self.remote.ip(), proxies, lines)
    }
}

/// The extractor by which handlers learn who asks.
pub type AskedBy = Extension<Asker>;
