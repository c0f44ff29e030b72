//! A certificate and its key in files, read again when these change: whoever renews them needs to tell nobody. A pair
//! that is of no use, or half of another, changes nothing.

use super::{TlsError, provider};
use crate::metrics::Metrics;
use crate::serve::blocking;
use metainfo::state::StatRecord;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// What `stat` says of the certificate and of the key.
type Signature = [Option<StatRecord>; 2];

/// The files, and what was last read from them.
#[derive(Debug)]
pub struct Files {
    certificate: PathBuf,
    key: PathBuf,
    current: Arc<Current>,
    /// What the files were when they were last read.
    seen: Signature,
    /// Whether what was read then was of no use, and nobody was told yet: the other file may be on its way.
    doubted: bool,
}

/// The certificate that is shown now.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(current.clone())
    }
}

impl Files {
    /// Reads the files. Blocking.
    ///
    /// # Errors
    /// Where they can't be read or don't belong together.
    pub fn open(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let seen = look(certificate, key);
        let pair = Arc::new(read(certificate, key)?);
        Ok(Self {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            current: Arc::new(Current(RwLock::new(pair))),
            seen,
            doubted: false,
        })
    }

    pub(super) fn resolver(&self) -> Arc<dyn ResolvesServerCert> {
        self.current.clone()
    }

    /// Looks at the files now and then, and reads them when they have changed.
    pub(super) async fn follow(mut self, metrics: Arc<Metrics>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            let outcome;
            (self, outcome) = blocking(move || {
                let outcome = self.look();
                (self, outcome)
            })
            .await;
            match outcome {
                None => {}
                Some(Ok(())) => {
                    metrics.tls_certificates_loaded.add(1);
                    tracing::info!("the certificate was read again");
                }
                Some(Err(error)) => {
                    metrics.tls_certificates_refused.add(1);
                    tracing::warn!("the certificate is kept as it was: {error}");
                }
            }
        }
    }

    /// Reads the files again if they have changed: `None` where there is nothing to tell. What is of no use is told of
    /// once, and only when the next look finds it unchanged.
    fn look(&mut self) -> Option<Result<(), TlsError>> {
        let now = look(&self.certificate, &self.key);
        let changed = now != self.seen;
        if !changed && !self.doubted {
            return None;
        }
        self.seen = now;
        match read(&self.certificate, &self.key) {
            Ok(pair) => {
                self.doubted = false;
                let mut current = self
                    .current
                    .0
                    .write()
                    .unwrap_or_else(PoisonError::into_inner);
                *current = Arc::new(pair);
                Some(Ok(()))
            }
            Err(error) => {
                self.doubted = changed;
                (!changed).then_some(Err(error))
            }
        }
    }
}

fn look(certificate: &Path, key: &Path) -> Signature {
    [certificate, key].map(|path| store::stat_record(path).ok())
}

fn read(certificate: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let bytes = |path: &Path| {
        std::fs::read(path).map_err(|source: io::Error| TlsError::Read {
            path: path.to_owned(),
            source,
        })
    };
    let missing = |path: &Path, what| TlsError::Pem {
        path: path.to_owned(),
        what,
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes(certificate)?).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty());
    let chain = chain.ok_or_else(|| missing(certificate, "certificate"))?;
    let private = PrivateKeyDer::from_pem_slice(&bytes(key)?);
    let private = private.map_err(|_| missing(key, "private key"))?;
    CertifiedKey::from_der(chain, private, &provider()).map_err(|source| TlsError::Pair {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        source,
    })
}
