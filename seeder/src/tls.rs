//! TLS: the handshake in front of HTTP, with a certificate from files ([`files`]) or from an authority that speaks ACME
//! ([`acme`]), and one crypto provider for everything that speaks TLS here, asking and answering. What goes over a
//! connection is `crate::http`'s.

pub mod acme;
pub mod files;

use crate::metrics::Metrics;
use crate::serve::Shared;
use acme::{Acme, AcmeConfig};
use files::Files;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};
use rustls::{HandshakeKind, ServerConfig};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use ureq::tls::TlsConfig as AskingConfig;

/// HTTP as it is spoken here (RFC 7301).
const HTTP: &[u8] = b"http/1.1";

/// Where certificates come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsConfig {
    /// The certificate with those that lead to its authority, in PEM.
    pub certificate: Option<PathBuf>,
    /// Its private key, in PEM.
    pub key: Option<PathBuf>,
    /// Names for which certificates are fetched.
    pub acme: AcmeConfig,
}

/// Why there can be no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// An address without a certificate.
    #[error(
        "--https needs a certificate: name its files with --tls-cert and --tls-key, or its name with --acme-domain"
    )]
    NoCertificate,
    /// A certificate without an address.
    #[error("a certificate is of no use without an address: say where with --https")]
    NoAddress,
    /// One file of two.
    #[error("a certificate and its key belong together: name both, --tls-cert and --tls-key")]
    Half,
    /// Files and ACME.
    #[error("a certificate comes from files (--tls-cert) or from --acme-domain, not from both")]
    Both,
    /// A file can't be read.
    #[error("read {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file holds no PEM of what it should hold.
    #[error("{}: no {what} in PEM form is in it", .path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What should be there.
        what: &'static str,
    },
    /// The certificate and the key are of no use, or not with each other.
    #[error("{} with {}: {source}", .certificate.display(), .key.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// No certificate is given for such a name this way.
    #[error(
        "`{0}` is no name that --acme-domain can fetch a certificate for: one like video.example.org is wanted"
    )]
    Domain(String),
    /// Certificates that were fetched must be kept.
    #[error("there is no folder to keep certificates in: set HOME or STATE_DIRECTORY")]
    NoFolder,
    /// The folder can't be made.
    #[error("make {}: {source}", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The library refuses.
    #[error("TLS: {0}")]
    Rustls(#[from] rustls::Error),
}

/// What answers handshakes.
pub struct Tls {
    config: Arc<ServerConfig>,
    source: Source,
}

/// What keeps the certificate fresh.
enum Source {
    Files(Files),
    Acme(Box<Acme>),
}

impl Tls {
    /// From the configuration; `None` where no address for it is given. Certificates that are fetched are kept below
    /// `state`.
    ///
    /// # Errors
    /// Where what is configured doesn't go together or can't be used.
    pub fn new(
        wanted: bool,
        config: &TlsConfig,
        state: Option<&Path>,
    ) -> Result<Option<Self>, TlsError> {
        let files = match (&config.certificate, &config.key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err(TlsError::Half),
        };
        let (source, resolver): (Source, Arc<dyn ResolvesServerCert>) =
            match (files, config.acme.domains.is_empty(), wanted) {
                (None, true, false) => return Ok(None),
                (None, true, true) => return Err(TlsError::NoCertificate),
                (Some(_), false, _) => return Err(TlsError::Both),
                (_, _, false) => return Err(TlsError::NoAddress),
                (Some((certificate, key)), true, true) => {
                    let files = Files::open(certificate, key)?;
                    let resolver = files.resolver();
                    (Source::Files(files), resolver)
                }
                (None, false, true) => {
                    let acme = Acme::new(&config.acme, state)?;
                    let resolver = acme.resolver();
                    (Source::Acme(Box::new(acme)), resolver)
                }
            };
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols.push(HTTP.to_vec());
        if matches!(source, Source::Acme(_)) {
            config.alpn_protocols.push(acme::PROTOCOL.to_vec());
        }
        // Who comes again needs no second signature of ours, and nothing is kept here for it.
        config.ticketer = aws_lc_rs::Ticketer::new()?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        let config = Arc::new(config);
        Ok(Some(Self { config, source }))
    }

    /// Starts what keeps the certificate fresh, and gives what answers handshakes.
    pub(crate) fn start(self, shared: &Arc<Shared>) -> TlsAcceptor {
        let (metrics, stop) = (shared.metrics.clone(), shared.stop.clone());
        match self.source {
            Source::Files(files) => shared.tasks.spawn(files.follow(metrics, stop)),
            Source::Acme(acme) => shared.tasks.spawn(acme.run(metrics, stop)),
        };
        TlsAcceptor::from(self.config)
    }
}

/// Shakes hands. `None` where that fails, or all was said with it.
pub(crate) async fn accept(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    patience: Duration,
    metrics: &Metrics,
) -> Option<Box<TlsStream<TcpStream>>> {
    // Boxed: what a handshake needs is gone when it is over.
    let stream = match timeout(patience, Box::pin(acceptor.accept(stream))).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            metrics.tls_handshakes_failed.add(1);
            tracing::debug!("TLS handshake: {error}");
            return None;
        }
        Err(_) => {
            metrics.tls_handshakes_slow.add(1);
            return None;
        }
    };
    metrics.tls_handshakes.add(1);
    let session = stream.get_ref().1;
    if session.handshake_kind() == Some(HandshakeKind::Resumed) {
        metrics.tls_resumed.add(1);
    }
    // The authority that looked whether the name is ours has seen the certificate it wanted to see.
    let over = session.alpn_protocol() == Some(acme::PROTOCOL);
    (!over).then(|| Box::new(stream))
}

/// The one crypto provider. It is passed on explicitly and never installed for the process, which may have another.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    let provider = PROVIDER.get_or_init(|| Arc::new(aws_lc_rs::default_provider()));
    provider.clone()
}

/// How our own requests to `https://` are made.
pub(crate) fn asking() -> AskingConfig {
    AskingConfig::builder()
        .unversioned_rustls_crypto_provider(provider())
        .build()
}
