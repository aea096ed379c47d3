//! Certificate authorities that live as long as a test, and what they sign.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd};

/// A private certificate authority.
pub struct TestCa {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate, PEM.
    pub certificate: String,
}

/// A certificate and its key, as files.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate, PEM.
    pub cert: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
}

/// When a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// Now, and for long.
    Now,
    /// It was, years ago.
    Past,
    /// It will be, in many years.
    Future,
}

impl TestCa {
    /// An authority by that name.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        TestCa {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    /// Writes its certificate to `NAME.pem` in `folder`.
    pub fn write(&self, folder: &Path, name: &str) -> PathBuf {
        written(folder, &format!("{name}.pem"), &self.certificate)
    }

    /// Signs a certificate for a server at these names or addresses, and for a client called by the first of them; writes it and its key to
    /// files in `folder` that are named after that one and the validity.
    pub fn issue(&self, folder: &Path, names: &[&str], validity: Validity) -> Identity {
        let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).expect("names");
        (params.not_before, params.not_after) = match validity {
            Validity::Now => (date_time_ymd(2020, 1, 1), date_time_ymd(2200, 1, 1)),
            Validity::Past => (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1)),
            Validity::Future => (date_time_ymd(2199, 1, 1), date_time_ymd(2200, 1, 1)),
        };
        params.distinguished_name.push(DnType::CommonName, names[0]);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let name = format!("{}-{validity:?}", names[0]);
        Identity {
            cert: written(folder, &format!("{name}.crt"), &certificate.pem()),
            key: written(folder, &format!("{name}.key"), &key.serialize_pem()),
        }
    }
}

fn written(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("a file");
    path
}
