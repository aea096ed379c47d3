//! TLS by rustls with the cryptography of ring.

use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{self, AlertDescription, CertificateError, ClientConfig, RootCertStore, crypto};

use super::options::{TlsError, TlsOptions};

pub(super) fn check(options: &TlsOptions, host: &str) -> Result<(), TlsError> {
    server_name(options, host)?;
    client_config(options).map(drop)
}

/// The TLS handshake on a connection to `host`.
pub(crate) async fn handshake(tcp: TcpStream, options: Arc<TlsOptions>, host: &str) -> io::Result<TlsStream<TcpStream>> {
    let name = server_name(&options, host).map_err(io::Error::other)?;
    let config = tokio::task::spawn_blocking(move || client_config(&options))
        .await
        .map_err(io::Error::other)?;
    let connector = TlsConnector::from(Arc::new(config.map_err(io::Error::other)?));
    connector.connect(name, tcp).await.map_err(|error| match tls_error(&error) {
        Some(_) => error,
        None => io::Error::new(
            error.kind(),
            format!("the connection broke in the TLS handshake; does this port speak TLS? ({error})"),
        ),
    })
}

fn server_name(options: &TlsOptions, host: &str) -> Result<ServerName<'static>, TlsError> {
    let name = options.server_name.as_deref().unwrap_or(host).to_owned();
    ServerName::try_from(name.clone()).map_err(|_| TlsError::ServerName { name })
}

fn client_config(options: &TlsOptions) -> Result<ClientConfig, TlsError> {
    let settings = |error: rustls::Error| TlsError::Settings { reason: error.to_string() };
    let roots = match &options.ca_file {
        Some(path) => authorities_of_file(path)?,
        None => authorities_of_the_system()?,
    };
    let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(settings)?
        .with_root_certificates(roots);
    match (&options.cert_file, &options.key_file) {
        (None, None) => Ok(config.with_no_client_auth()),
        (None, Some(_)) => Err(TlsError::Half { missing: "cert_file" }),
        (Some(_), None) => Err(TlsError::Half { missing: "key_file" }),
        (Some(cert), Some(key)) => config
            .with_client_auth_cert(certificates("cert_file", cert)?, private_key(key)?)
            .map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => file(
                    "key_file",
                    key,
                    format_args!("not the key of the certificate in {}", cert.display()),
                ),
                error => settings(error),
            }),
    }
}

fn authorities_of_file(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("ca_file", path)? {
        roots.add(certificate).map_err(|error| file("ca_file", path, error))?;
    }
    Ok(roots)
}

/// The authorities of the system that can be read; others are not trusted.
fn authorities_of_the_system() -> Result<RootCertStore, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let reason = found
            .errors
            .first()
            .map_or_else(|| "none was found".to_owned(), ToString::to_string);
        return Err(TlsError::NoAuthorities { reason });
    }
    Ok(roots)
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(key, path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(certificates) if certificates.is_empty() => Err(file(key, path, "no certificate in PEM")),
        found => found.map_err(|error| file(key, path, error)),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read("key_file", path)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        pem::Error::NoItemsFound => file("key_file", path, "no private key in PEM, or an encrypted one"),
        error => file("key_file", path, error),
    })
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|error| file(key, path, error))
}

fn file(key: &'static str, path: &Path, reason: impl std::fmt::Display) -> TlsError {
    TlsError::File {
        key,
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

/// A TLS error among the causes of `error`, in the same words each time it happens.
pub(crate) fn explain(error: &(dyn Error + 'static)) -> Option<String> {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.filter_map(tls_error).map(sentence).next()
}

/// The error itself, or the error inside an I/O error.
fn tls_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    wrapped.map_or_else(|| error.downcast_ref(), |wrapped| wrapped.downcast_ref())
}

fn sentence(error: &rustls::Error) -> String {
    use AlertDescription as Alert;
    match error {
        rustls::Error::InvalidCertificate(certificate) => rejected(certificate),
        rustls::Error::AlertReceived(Alert::CertificateRequired) => {
            "the broker requires a client certificate; set tls.cert_file and tls.key_file".to_owned()
        }
        rustls::Error::AlertReceived(
            alert @ (Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied),
        ) => format!("the broker refuses the client certificate: {alert:?}"),
        rustls::Error::InvalidMessage(_) => "the server at this port does not speak TLS".to_owned(),
        other => format!("TLS: {other}"),
    }
}

/// Why the certificate of the broker is rejected.
fn rejected(why: &CertificateError) -> String {
    let why = match why {
        // BadSignature: the issuer has the name of a trusted authority and another key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "is not signed by a trusted authority; check tls.ca_file".to_owned()
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            format!(
                "is for {1}, not for {0:?}; check broker.host or tls.server_name",
                expected.to_str(),
                presented.join(", ")
            )
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "has expired, or the clock of this machine is ahead".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet, or the clock of this machine is behind".to_owned()
        }
        other => format!("cannot be verified: {other}"),
    };
    format!("the broker's certificate {why}")
}
