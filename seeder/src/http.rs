//! HTTP: the site at `/`, payload at `/library/<id>/…` (BEP 19, browsers), the tracker at `/announce` and
//! `/scrape`, all on one port. This file takes connections and routes; [`library`] and [`site`] answer with
//! files, [`range`] decides which bytes, and `crate::tracker` answers announces.

pub mod account;
pub mod compressed;
pub mod library;
pub mod range;
pub mod reply;
pub mod site;
mod stall;

use crate::net::Pass;
use crate::serve::Shared;
use crate::tracker;
use account::Account;
use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, Method, Request, Uri};
use axum::response::Response;
use axum::routing::any;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tower_service::Service;

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

/// All paths.
pub fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/announce", any(tracker::announce))
        .route("/scrape", any(tracker::scrape))
        .route("/library/{*path}", any(from_library))
        .fallback(from_site)
        .with_state(shared)
}

async fn from_library(
    State(shared): State<Arc<Shared>>,
    account: Extension<Account>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    library::answer(shared, account.0, &method, uri.path(), &headers).await
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

/// Serves one connection until it ends.
pub async fn serve(
    shared: Arc<Shared>,
    router: Router,
    stream: TcpStream,
    remote: SocketAddr,
    _pass: Pass,
) {
    let _gauge = shared.metrics.http_now.hold();
    let Ok(local) = stream.local_addr() else {
        return;
    };
    let limits = &shared.config.limits;
    let stall = Duration::from_secs(limits.http_stall_seconds.max(1));
    let account = Account::new(shared.uplink.clone());
    let stream = stall::WriteStall::new(stream, stall, shared.metrics.clone(), account.clone());
    let asker = Asker { remote, local };
    let counted = shared.metrics.clone();
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        counted.http_requests.add(1);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(asker);
        request.extensions_mut().insert(account.clone());
        let mut router = router.clone();
        async move { router.call(request).await }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(limits.http_head_seconds.max(1)))
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        ended = connection => if let Err(error) = ended {
            tracing::debug!("{remote}: {error}");
        },
        () = shared.stop.cancelled() => {}
    }
}

impl Asker {
    /// The address that asks: the connection's, or where a proxy we trust passes on another's, that one.
    /// Only the proxy's own entry, the last that is no proxy of ours, is believed.
    pub fn ip(&self, headers: &HeaderMap, proxies: &[IpAddr]) -> IpAddr {
        let remote = self.remote.ip().to_canonical();
        if !proxies.contains(&remote) {
            return remote;
        }
        let lines = headers
            .get_all("x-forwarded-for")
            .iter()
            .rev()
            .filter_map(|line| line.to_str().ok());
        let mut hops = lines
            .flat_map(|line| line.rsplit(','))
            .map(|hop| hop.trim().parse::<IpAddr>());
        let stranger =
            hops.find(|hop| !matches!(hop, Ok(ip) if proxies.contains(&ip.to_canonical())));
        stranger
            .and_then(Result::ok)
            .map_or(remote, |ip| ip.to_canonical())
    }
}

/// The extractor by which handlers learn who asks.
pub type AskedBy = Extension<Asker>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trusted_proxy_speaks_for_others() {
        let check = |remote: &str, forwarded: &[&str], expected: &str| {
            let asker = Asker {
                remote: SocketAddr::new(remote.parse().unwrap(), 9),
                local: "10.0.0.1:80".parse().unwrap(),
            };
            let mut headers = HeaderMap::new();
            for line in forwarded {
                headers.append("x-forwarded-for", line.parse().unwrap());
            }
            let proxies = ["127.0.0.1".parse().unwrap(), "10.0.0.9".parse().unwrap()];
            assert_eq!(
                asker.ip(&headers, &proxies),
                expected.parse::<IpAddr>().unwrap(),
                "{forwarded:?}"
            );
        };
        check("5.5.5.5", &["1.1.1.1"], "5.5.5.5");
        check("127.0.0.1", &[], "127.0.0.1");
        check("127.0.0.1", &["1.1.1.1"], "1.1.1.1");
        check("127.0.0.1", &["6.6.6.6, 1.1.1.1"], "1.1.1.1");
        check("127.0.0.1", &["6.6.6.6", "1.1.1.1, 10.0.0.9"], "1.1.1.1");
        check("::ffff:127.0.0.1", &["2001:db8::1"], "2001:db8::1");
        check("127.0.0.1", &["1.1.1.1, unknown"], "127.0.0.1");
    }
}
