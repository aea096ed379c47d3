//! Options of TLS and why they cannot be used.

use std::path::PathBuf;

use serde::Deserialize;

/// Trusted authorities and client certificate. The default trusts the authorities of the system
/// and has no client certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct TlsOptions {
    /// Certificates of the trusted authorities, PEM; replaces those of the system.
    pub ca_file: Option<PathBuf>,
    /// Client certificate, followed by the intermediate certificates, PEM.
    pub cert_file: Option<PathBuf>,
    /// Private key of the client certificate, not encrypted, PEM.
    pub key_file: Option<PathBuf>,
    /// The name in the certificate of the broker, if it differs from the host name.
    pub server_name: Option<String>,
}

/// TLS options that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The feature `tls` is off.
    #[error("tls: this program was built without TLS (cargo feature `tls`)")]
    NotBuilt,
    /// A file cannot be read or has other content.
    #[error("tls.{key}: {}: {reason}", path.display())]
    File {
        /// The option.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// The fault.
        reason: String,
    },
    /// A certificate without a key, or a key without a certificate.
    #[error("tls.{missing} is missing: a certificate and its key go together")]
    Half {
        /// The missing option.
        missing: &'static str,
    },
    /// Not a name that a certificate can have.
    #[error("tls.server_name: {name:?} is neither a host name nor an address")]
    ServerName {
        /// The name.
        name: String,
    },
    /// No trusted authorities.
    #[error("tls.ca_file is needed: this system has no certificate authorities ({reason}); name a file of certificates")]
    NoAuthorities {
        /// The cause.
        reason: String,
    },
    /// The TLS library rejects the settings.
    #[error("tls: {reason}")]
    Settings {
        /// Its message.
        reason: String,
    },
}
