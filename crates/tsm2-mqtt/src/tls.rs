//! TLS to the broker: trusted authorities and the client certificate.
//!
//! Invariants:
//! 1. The certificate of the broker is always verified, and its name is always sent (SNI). There is
//!    no switch for either.
//! 2. Files are read for each connection, so the next connection uses a renewed certificate.

mod options;

pub use options::{TlsError, TlsOptions};

impl TlsOptions {
    /// Checks the options without a connection.
    ///
    /// # Errors
    /// A file or name with which no connection to `host` can be made.
    pub fn check(&self, host: &str) -> Result<(), TlsError> {
        backend::check(self, host)
    }
}

#[cfg(feature = "tls")]
#[path = "tls/rustls.rs"]
mod backend;

#[cfg(not(feature = "tls"))]
#[path = "tls/none.rs"]
mod backend;

pub(crate) use backend::{explain, handshake};

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
