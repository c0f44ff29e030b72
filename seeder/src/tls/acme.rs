//! Certificates from an authority that speaks ACME (RFC 8555), Let's Encrypt unless told otherwise. It looks whether a
//! name is ours by a TLS handshake on port 443 (TLS-ALPN-01, RFC 8737), so nothing else is to be opened. Account and
//! certificates are kept in a folder; they are renewed when a third of their time is left.

use super::{TlsError, provider};
use crate::metrics::Metrics;
use futures_util::StreamExt;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ResolvesServerCert;
use rustls::{ClientConfig, RootCertStore};
use rustls_acme::acme::{ACME_TLS_ALPN_NAME, LETS_ENCRYPT_PRODUCTION_DIRECTORY};
use rustls_acme::caches::DirCache;
use rustls_acme::{AcmeState, EventOk};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What the authority's handshake asks for in place of HTTP.
pub(super) const PROTOCOL: &[u8] = ACME_TLS_ALPN_NAME;

/// Which certificates are fetched, and where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AcmeConfig {
    /// The names that one certificate is for.
    pub domains: Vec<String>,
    /// Where the authority may write to when something is wrong with it.
    pub contact: Option<String>,
    /// The authority's directory; Let's Encrypt's where none is given.
    pub directory: Option<String>,
    /// A file, in PEM, with the certificate by which the directory's own is checked; the public ones where none is
    /// given.
    pub authority: Option<PathBuf>,
}

/// The task that fetches certificates.
pub struct Acme {
    state: AcmeState<io::Error, io::Error>,
    names: String,
}

impl Acme {
    /// Asks nobody yet. Makes the folder.
    ///
    /// # Errors
    /// Where a name can't have a certificate, or there is no folder.
    pub fn new(config: &AcmeConfig, state: Option<&Path>) -> Result<Self, TlsError> {
        for domain in &config.domains {
            let name = ServerName::try_from(domain.as_str());
            if !matches!(name, Ok(ServerName::DnsName(_))) || domain.contains('*') {
                return Err(TlsError::Domain(domain.clone()));
            }
        }
        let folder = state.ok_or(TlsError::NoFolder)?.join("acme");
        make_private(&folder)?;
        let domains = &config.domains;
        let acme = match &config.authority {
            None => rustls_acme::AcmeConfig::new_with_provider(domains, provider()),
            Some(path) => {
                let client = trusting(path)?;
                rustls_acme::AcmeConfig::new_with_client_config(domains, client)
            }
        };
        let contact = config.contact.iter().map(|address| match address {
            address if address.contains(':') => address.clone(),
            address => format!("mailto:{address}"),
        });
        let directory = config.directory.as_deref();
        let acme = acme
            .contact(contact)
            .directory(directory.unwrap_or(LETS_ENCRYPT_PRODUCTION_DIRECTORY))
            .cache(DirCache::new(folder));
        Ok(Self {
            state: acme.state(),
            names: domains.join(", "),
        })
    }

    pub(super) fn resolver(&self) -> Arc<dyn ResolvesServerCert> {
        self.state.resolver()
    }

    /// Fetches certificates and renews them.
    pub(super) async fn run(mut self: Box<Self>, metrics: Arc<Metrics>, stop: CancellationToken) {
        let mut told = String::new();
        loop {
            let event = tokio::select! {
                () = stop.cancelled() => return,
                event = self.state.next() => event,
            };
            match event {
                None => return,
                Some(Ok(EventOk::DeployedNewCert | EventOk::DeployedCachedCert)) => {
                    metrics.tls_certificates_loaded.add(1);
                    told.clear();
                    tracing::info!("there is a certificate for {}", self.names);
                }
                Some(Ok(EventOk::CertCacheStore | EventOk::AccountCacheStore)) => {}
                Some(Err(error)) => {
                    metrics.tls_certificates_refused.add(1);
                    let text = error.to_string();
                    // It tries again by itself, less and less often.
                    if text != told {
                        tracing::warn!("no certificate for {} yet: {text}", self.names);
                        told = text;
                    }
                }
            }
        }
    }
}

/// A folder that nobody else looks into: keys lie there.
fn make_private(folder: &Path) -> Result<(), TlsError> {
    let failed = |source| TlsError::Folder {
        path: folder.to_owned(),
        source,
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let private = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(folder, private).map_err(failed)?;
    }
    Ok(())
}

/// Trusts the authorities in a file and no other.
fn trusting(path: &Path) -> Result<Arc<ClientConfig>, TlsError> {
    let bytes = std::fs::read(path).map_err(|source| TlsError::Read {
        path: path.to_owned(),
        source,
    })?;
    let mut roots = RootCertStore::empty();
    let found = CertificateDer::pem_slice_iter(&bytes).filter_map(Result::ok);
    let (added, _) = roots.add_parsable_certificates(found);
    if added == 0 {
        let what = "certificate";
        let path = path.to_owned();
        return Err(TlsError::Pem { path, what });
    }
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
