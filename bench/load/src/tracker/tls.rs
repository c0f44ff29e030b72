//! TLS under any client of the loop. Whose certificate it is isn't looked at: this measures, it doesn't trust.

use crate::client::{Client, Fault, Meter, Tally};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Instant;

/// What all connections share.
pub(super) fn config() -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// A client behind TLS.
pub(super) struct Tls<C> {
    connection: ClientConnection,
    inner: C,
    plain: Vec<u8>,
    open: bool,
}

impl<C: Client> Tls<C> {
    pub(super) fn new(config: Arc<ClientConfig>, inner: C) -> Result<Self, rustls::Error> {
        let name =
            ServerName::try_from("localhost").map_err(|_| rustls::Error::UnsupportedNameType)?;
        let mut connection = ClientConnection::new(config, name)?;
        connection.set_buffer_limit(None);
        Ok(Self {
            connection,
            inner,
            plain: Vec::new(),
            open: false,
        })
    }

    /// Encrypts what the client said, and passes it on with whatever the handshake needs.
    fn send(&mut self, out: &mut Vec<u8>) {
        // Neither fails: the buffer has no limit, and a vector takes everything.
        let _ = self.connection.writer().write_all(&self.plain);
        self.plain.clear();
        while self.connection.wants_write() && self.connection.write_tls(out).is_ok() {}
    }
}

impl<C: Client> Client for Tls<C> {
    fn handle_open(&mut self, _: Instant, out: &mut Vec<u8>) {
        self.send(out);
    }

    fn handle_bytes(
        &mut self,
        mut bytes: &[u8],
        meter: &mut Meter<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let broken = |error: &dyn std::fmt::Display| Fault::protocol(error.to_string());
        let mut buffer = [0; 16 * 1024];
        while !bytes.is_empty() {
            self.connection
                .read_tls(&mut bytes)
                .map_err(|e| broken(&e))?;
            self.connection
                .process_new_packets()
                .map_err(|e| broken(&e))?;
            if !self.open && !self.connection.is_handshaking() {
                self.open = true;
                self.inner.handle_open(meter.now, &mut self.plain);
            }
            while let Ok(count @ 1..) = self.connection.reader().read(&mut buffer) {
                self.inner
                    .handle_bytes(&buffer[..count], meter, &mut self.plain)?;
            }
        }
        self.send(out);
        Ok(())
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.inner.next_timeout().filter(|_| self.open)
    }

    fn handle_timeout(&mut self, now: Instant, out: &mut Vec<u8>) {
        self.inner.handle_timeout(now, &mut self.plain);
        self.send(out);
    }

    fn tally(&self) -> &Tally {
        self.inner.tally()
    }
}

/// Takes any certificate.
#[derive(Debug)]
struct Anybody(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
