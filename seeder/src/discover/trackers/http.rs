//! A tracker over HTTP or HTTPS. The URL is a stranger's, and this machine may have services that trust whoever is
//! near: a host that isn't out in the world is asked for `/announce` alone, and nobody leads us there.

use super::AskError;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use ureq::http::Uri;
use wire::tracker::http::asking::{MAX_REPLY, announce_query, parse_reply};
use wire::tracker::{Announce, AnnounceReply};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a tracker may send us on.
const MAX_REDIRECTS: usize = 3;
/// Requests under way at once, of all torrents: each takes a thread that waits.
const AT_ONCE: usize = 8;

/// What all announces over HTTP share.
#[derive(Debug, Clone)]
pub struct Http {
    agent: ureq::Agent,
    places: Arc<Semaphore>,
}

impl Http {
    /// Nothing is sent yet.
    pub(in crate::discover) fn new() -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .user_agent(concat!("Groundswell/", env!("CARGO_PKG_VERSION")))
            .tls_config(crate::tls::asking())
            .build();
        Self {
            agent: config.into(),
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    pub(super) async fn ask(
        &self,
        url: &str,
        announce: &Announce,
        key: u32,
    ) -> Result<AnnounceReply, AskError> {
        let _place = self.places.acquire().await.map_err(|_| AskError::Timeout)?;
        let query = announce_query(announce, key);
        let url = url.split('#').next().unwrap_or_default();
        let mark = if url.contains('?') { '&' } else { '?' };
        let mut url = format!("{url}{mark}{query}");
        let mut from_near = None;
        for _ in 0..=MAX_REDIRECTS {
            let uri: Uri = url.parse().map_err(|_| AskError::Url("malformed"))?;
            let near = vet(&uri, from_near).await?;
            from_near = Some(near);
            let agent = self.agent.clone();
            let asking = crate::serve::blocking(move || get(&agent, uri));
            match timeout(PATIENCE + Duration::from_secs(5), asking).await {
                Ok(Ok(Answer::Body(body))) => return Ok(parse_reply(&body)?),
                Ok(Ok(Answer::Elsewhere(next))) => url = next,
                Ok(Err(error)) => return Err(AskError::Http(Box::new(error))),
                Err(_) => return Err(AskError::Timeout),
            }
        }
        Err(AskError::Url("it sends us on and on"))
    }
}

enum Answer {
    Body(Vec<u8>),
    Elsewhere(String),
}

fn get(agent: &ureq::Agent, uri: Uri) -> Result<Answer, ureq::Error> {
    let mut response = agent.get(uri).call()?;
    let location = response.headers().get("location");
    if let Some(location) = location.filter(|_| response.status().is_redirection()) {
        // A relative one is as rare with trackers as it is easily abused: it fails as a URL.
        let location = String::from_utf8_lossy(location.as_bytes()).into_owned();
        return Ok(Answer::Elsewhere(location));
    }
    let body = response.body_mut().with_config().limit(MAX_REPLY as u64);
    body.read_to_vec().map(Answer::Body)
}

/// Whether this URL may be asked. Gives whether its host is near: not out in the world. `from_near` is that of who has
/// sent us there.
async fn vet(uri: &Uri, from_near: Option<bool>) -> Result<bool, AskError> {
    let https = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(AskError::Url("neither HTTP nor HTTPS")),
    };
    let host = uri.host().ok_or(AskError::Url("no host"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
    let addresses = timeout(PATIENCE, tokio::net::lookup_host((host, port))).await;
    let addresses = addresses.map_err(|_| AskError::Timeout)??;
    let near = addresses.into_iter().any(|address| is_near(address.ip()));
    if near && !uri.path().ends_with("/announce") {
        return Err(AskError::Url("a host near us, and not /announce"));
    }
    if near && from_near == Some(false) {
        return Err(AskError::Url("sent on from the world to a host near us"));
    }
    Ok(near)
}

/// Whether an address is of this machine or of a network that the world can't reach.
fn is_near(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            ip.is_loopback()
                || ip.is_private()
                || ip.is_link_local()
                || ip.is_unspecified()
                || shared
        }
        IpAddr::V6(ip) => {
            let local = ip.segments()[0] & 0xfe00 == 0xfc00 || ip.segments()[0] & 0xffc0 == 0xfe80;
            ip.is_loopback() || ip.is_unspecified() || local
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_leads_us_to_services_near_us() {
        let judge = async |url: &str, from_near| vet(&url.parse().unwrap(), from_near).await.ok();
        assert_eq!(
            judge("http://127.0.0.1:8080/announce?x", None).await,
            Some(true)
        );
        assert_eq!(judge("http://[::1]/announce", Some(true)).await, Some(true));
        assert_eq!(
            judge("https://192.0.2.1/any/path.php?x", None).await,
            Some(false)
        );
        assert_eq!(judge("http://192.0.2.1/x", Some(false)).await, Some(false));
        for (url, from_near) in [
            ("http://127.0.0.1/shutdown?x", None),
            ("http://169.254.169.254/latest/meta-data", None),
            ("http://[::ffff:10.0.0.1]/admin", None),
            ("http://127.0.0.1:8080/announce", Some(false)),
            ("ftp://192.0.2.1/announce", None),
        ] {
            assert_eq!(judge(url, from_near).await, None, "{url}");
        }
    }
}
