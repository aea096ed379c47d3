//! TLS to the broker: whom to believe, and as whom to appear.
//!
//! Invariants: the broker's certificate is always verified, and its name always asked for (SNI); there is no switch for either. Files are read
//! for each connection, so that a certificate renewed on the disk is used from the next one on.

use std::path::PathBuf;

use serde::Deserialize;

/// How to verify the broker and as whom to appear; empty, the system's certificate authorities are trusted and no certificate is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct TlsOptions {
    /// Certificates of the authorities to trust instead of the system's, PEM.
    pub ca_file: Option<PathBuf>,
    /// Certificate to appear with, followed by those between it and its authority, PEM.
    pub cert_file: Option<PathBuf>,
    /// Its private key, not encrypted, PEM.
    pub key_file: Option<PathBuf>,
    /// The name in the broker's certificate, where it is not the host's.
    pub server_name: Option<String>,
}

impl TlsOptions {
    /// Finds what no connection to `host` can be made with.
    pub fn check(&self, host: &str) -> Result<(), TlsError> {
        engine::check(self, host)
    }
}

/// TLS that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The feature `tls` is off.
    #[error("tls: this program was built without TLS (cargo feature `tls`)")]
    NotBuilt,
    /// A file that cannot be read or does not hold what it should.
    #[error("tls.{key}: {}: {reason}", path.display())]
    File {
        /// The option.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A certificate without a key, or a key without a certificate.
    #[error("tls.{missing} is missing: a certificate and its key go together")]
    Half {
        /// The option that is not there.
        missing: &'static str,
    },
    /// No certificate can be for such a name.
    #[error("tls.server_name: {name:?} is neither a host's name nor an address")]
    ServerName {
        /// The name.
        name: String,
    },
    /// Nobody to trust.
    #[error("tls.ca_file is needed: this system has no certificate authorities ({reason})")]
    NoAuthorities {
        /// What was found instead.
        reason: String,
    },
    /// The TLS library refuses the settings.
    #[error("tls: {reason}")]
    Settings {
        /// What it says.
        reason: String,
    },
}

#[cfg(feature = "tls")]
#[path = "tls/rustls.rs"]
mod engine;

#[cfg(not(feature = "tls"))]
#[path = "tls/none.rs"]
mod engine;

pub(crate) use engine::{explain, secure};

#[cfg(all(test, not(feature = "tls")))]
mod tests {
    use super::*;

    #[test]
    fn a_build_without_tls_refuses_it() {
        let said = TlsOptions::default().check("broker").unwrap_err();
        assert_eq!(said, TlsError::NotBuilt);
        assert!(said.to_string().contains("`tls`"), "{said}");
    }
}
