//! The same over TLS: pages, the tracker, WebSockets, sessions taken up again, and certificates that are replaced while
//! the seeder runs.

use crate::out::{Out, Running};
use metainfo::Info;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use seeder::tls::TlsConfig;
use seeder::{ServeConfig, Source};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const NAME: &str = "video.example.org";

/// An authority with a folder for what it signs.
struct Authority {
    folder: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self {
            folder: tempfile::tempdir().unwrap(),
            issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap(),
        }
    }

    fn certificate(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    /// Signs a new certificate and gives it and its key, in PEM.
    fn sign(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
        let signed = params.signed_by(&key, &self.issuer).unwrap();
        (signed.pem(), key.serialize_pem())
    }

    /// Puts a pair where the seeder looks; gives the certificate.
    fn put(&self, (certificate, key): &(String, String)) {
        std::fs::write(self.key(), key).unwrap();
        std::fs::write(self.certificate(), certificate).unwrap();
    }

    /// A client that trusts it and nobody else.
    fn client(&self) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config).into()
    }

    fn config(&self, out: &Out) -> ServeConfig {
        let mut config = ServeConfig::loopback(Source::Out(out.path().to_owned()));
        config.http.set_port(0);
        config.peer_port = 0;
        config.https = Some("127.0.0.1:0".parse().unwrap());
        config.tls.certificate = Some(self.certificate());
        config.tls.key = Some(self.key());
        config
    }
}

fn clip() -> (Out, Info) {
    let mut out = Out::new();
    let info = out.add(&[("clip.mp4", b"0123456789")]);
    out.write("site/index.html", "<p>the page</p>");
    out.save();
    (out, info)
}

async fn connect(client: &TlsConnector, running: &Running) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(running.https.unwrap()).await.unwrap();
    let name = ServerName::try_from(NAME).unwrap();
    client.connect(name, stream).await.unwrap()
}

fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    let chain = stream.get_ref().1.peer_certificates().unwrap();
    chain[0].clone()
}

async fn ask(stream: &mut TlsStream<TcpStream>, path: &str, more: &str, until: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {NAME}\r\n{more}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !String::from_utf8_lossy(&answer).contains(until) {
        let read = stream.read_buf(&mut answer).await.unwrap();
        assert_ne!(read, 0, "{}", String::from_utf8_lossy(&answer));
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn everything_is_there_over_tls_as_well() {
    let (out, info) = clip();
    let authority = Authority::new();
    authority.put(&authority.sign());
    let running = Running::start_with(authority.config(&out)).await.unwrap();
    let client = authority.client();
    let mut stream = connect(&client, &running).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let hash: String = info.swarm_hashes()[0]
        .0
        .iter()
        .map(|byte| format!("%{byte:02x}"))
        .collect();
    let announce =
        format!("/announce?info_hash={hash}&peer_id=-XX0000-000000000001&port=5001&left=5");
    for _ in 0..2 {
        ask(&mut stream, &announce, "", "5:peers6:").await;
        ask(&mut stream, "/", "", "<p>the page</p>").await;
        let part = format!("/library/{}/clip.mp4", info.id());
        ask(&mut stream, &part, "Range: bytes=3-5\r\n", "\r\n\r\n345").await;
    }
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    ask(&mut stream, "/announce", upgrade, "\r\n\r\n").await;
    stream.write_all(b"\x89\x82\0\0\0\0hi").await.unwrap();
    let mut pong = [0; 4];
    stream.read_exact(&mut pong).await.unwrap();
    assert_eq!(&pong, b"\x8a\x02hi");

    // An announce alone ends as TLS wants it to end, and a client that comes again takes up its session.
    let mut again = connect(&client, &running).await;
    assert_eq!(
        again.get_ref().1.handshake_kind(),
        Some(HandshakeKind::Resumed)
    );
    ask(&mut again, &announce, "Connection: close\r\n", "5:peers6:").await;
    again.read_to_end(&mut Vec::new()).await.unwrap();
    let metrics = &running.metrics;
    assert_eq!(
        (metrics.tls_handshakes.get(), metrics.tls_resumed.get()),
        (2, 1)
    );
}

#[tokio::test]
async fn what_is_sent_in_one_go_is_answered_whole() {
    let (out, info) = clip();
    let authority = Authority::new();
    authority.put(&authority.sign());
    let running = Running::start_with(authority.config(&out)).await.unwrap();
    let stream = connect(&authority.client(), &running).await;
    let (mut read, mut write) = tokio::io::split(stream);
    let hash: String = info.swarm_hashes()[0]
        .0
        .iter()
        .map(|byte| format!("%{byte:02x}"))
        .collect();
    let scrape =
        |more: &str| format!("GET /scrape?info_hash={hash} HTTP/1.1\r\nHost: {NAME}\r\n{more}\r\n");
    let text = scrape("").repeat(5000) + &scrape("Connection: close\r\n");
    let sending = tokio::spawn(async move {
        write.write_all(text.as_bytes()).await.unwrap();
        write.flush().await.unwrap();
        write
    });
    let mut answers = Vec::new();
    read.read_to_end(&mut answers).await.unwrap();
    sending.await.unwrap();
    let answers = String::from_utf8_lossy(&answers);
    assert_eq!(answers.matches("\r\n\r\nd5:files").count(), 5001);
}

#[tokio::test]
async fn a_certificate_that_is_replaced_is_shown_from_then_on() {
    let (out, _) = clip();
    let authority = Authority::new();
    let first = authority.sign();
    authority.put(&first);
    let running = Running::start_with(authority.config(&out)).await.unwrap();
    let client = || authority.client();
    let mut old = connect(&client(), &running).await;
    let before = shown(&old);

    // Half of another pair: told once, and nothing else happens.
    let second = authority.sign();
    std::fs::write(authority.certificate(), &second.0).unwrap();
    while running.metrics.tls_certificates_refused.get() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(shown(&connect(&client(), &running).await), before);

    authority.put(&second);
    while running.metrics.tls_certificates_loaded.get() == 0 {
        tokio::task::yield_now().await;
    }
    assert_ne!(shown(&connect(&client(), &running).await), before);
    ask(&mut old, "/", "", "<p>the page</p>").await;
    assert_eq!(running.metrics.tls_certificates_refused.get(), 1);
}

#[tokio::test]
async fn what_is_no_handshake_ends_with_its_sender() {
    let (out, _) = clip();
    let authority = Authority::new();
    authority.put(&authority.sign());
    let mut config = authority.config(&out);
    config.limits.http_head_seconds = 1;
    let running = Running::start_with(config).await.unwrap();
    let mut silent = TcpStream::connect(running.https.unwrap()).await.unwrap();
    let mut plain = TcpStream::connect(running.https.unwrap()).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut alert = Vec::new();
    let _ = plain.read_to_end(&mut alert).await;
    assert!(!alert.starts_with(b"HTTP"), "{alert:?}");
    assert_eq!(silent.read(&mut [0; 1]).await.unwrap(), 0);
    let metrics = &running.metrics;
    assert_eq!(
        (
            metrics.tls_handshakes_failed.get(),
            metrics.tls_handshakes_slow.get()
        ),
        (1, 1)
    );
    assert_eq!(metrics.tls_handshakes.get(), 0);
}

#[tokio::test]
async fn what_cannot_be_served_over_tls_is_said_at_the_start() {
    let (out, _) = clip();
    let authority = Authority::new();
    authority.put(&authority.sign());
    let refused = async |change: fn(&mut ServeConfig, &Authority), words: &str| {
        let mut config = authority.config(&out);
        change(&mut config, &authority);
        let error = Running::start_with(config)
            .await
            .err()
            .expect(words)
            .to_string();
        assert!(error.contains(words), "{error}");
    };
    refused(
        |config, _| config.tls = TlsConfig::default(),
        "--https needs a certificate",
    )
    .await;
    refused(|config, _| config.tls.key = None, "--tls-key").await;
    refused(|config, _| config.https = None, "say where with --https").await;
    refused(
        |config, _| config.tls.acme.domains.push(NAME.into()),
        "not from both",
    )
    .await;
    refused(
        |config, it| config.tls.key = Some(it.certificate()),
        "no private key in PEM",
    )
    .await;
    refused(
        |config, it| config.tls.certificate = Some(it.key()),
        "no certificate in PEM",
    )
    .await;
    refused(
        |config, _| config.tls.key = Some("nowhere.pem".into()),
        "read nowhere.pem",
    )
    .await;
    for bad in ["*.example.org", "127.0.0.1", "two words", ""] {
        let mut config = authority.config(&out);
        config.tls = TlsConfig::default();
        config.tls.acme.domains.push(bad.into());
        let error = Running::start_with(config)
            .await
            .err()
            .expect(bad)
            .to_string();
        assert!(error.contains("--acme-domain"), "{error}");
    }
    std::fs::write(authority.key(), authority.sign().1).unwrap();
    refused(|_, _| {}, "cert.pem with ").await;
}

#[tokio::test]
async fn without_a_certificate_yet_plain_http_is_served_and_keys_have_a_place_of_their_own() {
    let (out, _) = clip();
    let authority = Authority::new();
    let state = tempfile::tempdir().unwrap();
    let mut config = authority.config(&out);
    config.state_dir = Some(state.path().to_owned());
    config.tls = TlsConfig::default();
    config.tls.acme.domains.push(NAME.into());
    // Nobody listens there.
    config.tls.acme.directory = Some("https://localhost:1/dir".into());
    let running = Running::start_with(config).await.unwrap();
    let stream = TcpStream::connect(running.https.unwrap()).await.unwrap();
    let name = ServerName::try_from(NAME).unwrap();
    authority.client().connect(name, stream).await.unwrap_err();
    assert_eq!(running.get("/").await.body, b"<p>the page</p>");
    while running.metrics.tls_certificates_refused.get() == 0 {
        tokio::task::yield_now().await;
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let folder = std::fs::metadata(state.path().join("acme")).unwrap();
        assert_eq!(folder.permissions().mode() & 0o777, 0o700);
    }
}
