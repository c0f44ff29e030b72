//! Certificates for tests: an authority that nobody else trusts, and what it signs, as PEM files.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
};
use std::path::{Path, PathBuf};

/// An authority with one certificate, in files.
#[derive(Debug)]
pub struct Certificates {
    /// The authority's own certificate.
    pub authority: PathBuf,
    /// The certificate it has signed.
    pub certificate: PathBuf,
    /// The key of that.
    pub key: PathBuf,
}

impl Certificates {
    /// Makes them in a folder, for a server at 127.0.0.1 and `localhost`.
    #[track_caller]
    pub fn local(folder: &Path) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names are names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Otherwise both have the same one, and OpenSSL takes what is signed for signed by itself.
        params.distinguished_name = DistinguishedName::new();
        let name = "Authority of the tests";
        params.distinguished_name.push(DnType::CommonName, name);
        let new_key = || KeyPair::generate().expect("there is randomness");
        let issuer = CertifiedIssuer::self_signed(params, new_key()).expect("it signs itself");
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let params = CertificateParams::new(names).expect("good names");
        let key = new_key();
        let signed = params.signed_by(&key, &issuer).expect("it signs");
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            std::fs::write(&path, text).expect("a folder to write to");
            path
        };
        Self {
            authority: write("authority.pem", issuer.pem()),
            certificate: write("certificate.pem", signed.pem()),
            key: write("key.pem", key.serialize_pem()),
        }
    }
}
