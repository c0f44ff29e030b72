//! Asking a web host: bounded in time, in size and in redirections.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use ureq::http::{HeaderMap, Uri};
use ureq::tls::TlsConfig;
use ureq::{Agent, ResponseExt};

/// How long one answer may take, its body included.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// Sends requests.
pub(super) struct Client(Agent);

/// What a host answered.
pub(super) struct Answer {
    /// Where the answer came from, redirections followed.
    pub(super) url: String,
    /// The status code.
    pub(super) status: u16,
    headers: HeaderMap,
    /// The body, cut at the limit.
    pub(super) body: Vec<u8>,
    /// Whether there was more.
    pub(super) cut: bool,
}

impl Client {
    pub(super) fn new() -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(provider)
            .build();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(5)
            .timeout_global(Some(TIMEOUT))
            .timeout_connect(Some(CONNECT))
            .user_agent(concat!("Groundswell/", env!("CARGO_PKG_VERSION"), " check"))
            .accept_encoding("identity")
            .tls_config(tls)
            .build();
        Self(config.new_agent())
    }

    /// Fetches at most `limit` bytes. The error says in a clause why there is no answer.
    pub(super) fn get(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        limit: usize,
    ) -> Result<Answer, String> {
        let mut request = self.0.get(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.answer(url, request.call(), limit)
    }

    /// Asks what another origin may do.
    pub(super) fn preflight(&self, url: &str, from: &str) -> Result<Answer, String> {
        let request = self
            .0
            .options(url)
            .header("Origin", from)
            .header("Access-Control-Request-Method", "GET")
            .header("Access-Control-Request-Headers", "range");
        self.answer(url, request.call(), 0)
    }

    fn answer(
        &self,
        url: &str,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
        limit: usize,
    ) -> Result<Answer, String> {
        let mut answer = answer.map_err(|error| reason(url, &error))?;
        let mut body = Vec::new();
        // A switch of protocols has no body to wait for.
        if answer.status() != 101 && limit > 0 {
            let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
            let mut reader = answer.body_mut().as_reader().take(most);
            reader
                .read_to_end(&mut body)
                .map_err(|error| format!("its answer broke off: {error}"))?;
        }
        let cut = body.len() > limit;
        body.truncate(limit);
        Ok(Answer {
            url: Some(answer.get_uri())
                .filter(|uri| **uri != Uri::default())
                .map_or_else(|| url.to_owned(), ToString::to_string),
            status: answer.status().as_u16(),
            headers: std::mem::take(answer.headers_mut()),
            body,
            cut,
        })
    }
}

fn reason(url: &str, error: &ureq::Error) -> String {
    let host = super::link::origin(url);
    match error {
        ureq::Error::HostNotFound => format!("{host} has no address (DNS)"),
        ureq::Error::Timeout(_) => format!("{host} does not answer in time"),
        ureq::Error::ConnectionFailed => format!("{host} takes no connection"),
        ureq::Error::Io(error) => format!("{host}: {error}"),
        ureq::Error::TooManyRedirects => format!("{host} redirects in circles"),
        ureq::Error::Rustls(error) => format!("{host}: {error} (certificate)"),
        error => format!("{host}: {error}"),
    }
}

impl Answer {
    /// A header's value, empty where there is none.
    pub(super) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().trim()
    }

    /// The media type without its parameters, in lower case.
    pub(super) fn mime(&self) -> String {
        let essence = self.header("content-type").split(';').next();
        essence.unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// The body as text; only where the host sent it as it is.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// How long browsers may keep it without asking, in seconds.
    pub(super) fn max_age(&self) -> Option<u64> {
        let directives = self.header("cache-control").to_ascii_lowercase();
        directives
            .split(',')
            .find_map(|directive| directive.trim().strip_prefix("max-age=")?.parse().ok())
    }
}
