//! Section `http`: the web page, metrics and health over HTTP.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::secret::{self, Warnings};
use super::section::section;
use crate::observe::http::HttpOptions;
use crate::observe::token::{Token, WeakToken};

section! {
    /// A web page with live charts at `/`, metrics and health at `/metrics`, `/healthz` and `/readyz`.
    /// Nothing listens without this section, which may be empty.
    Http in "http" {
        /// Address and port. An address that other machines can reach needs `http.token_file`.
        listen: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, 9464)) => "`\"127.0.0.1:9464\"`";
        /// File with the bearer token that the data of the page and `/metrics` require, at least 16 characters. A line end at its
        /// end is ignored. The file should be readable by the daemon's user only.
        token_file: Option<PathBuf> = None;
    }
    example: r#"[http]
listen = "0.0.0.0:9464"
token_file = "$CREDENTIALS_DIRECTORY/http-token"
"#
}

/// A section `http` that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpSectionError {
    /// Anybody could read the metrics.
    #[error("set http.token_file: other machines can reach http.listen {listen}")]
    NoToken {
        /// The address.
        listen: SocketAddr,
    },
    /// The token's file cannot be read.
    #[error("http.token_file: cannot read {}: {source}", path.display())]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file does not contain a token.
    #[error("http.token_file: {}: {source}", path.display())]
    WeakToken {
        /// The file.
        path: PathBuf,
        /// Why.
        source: WeakToken,
    },
}

impl Http {
    pub(super) fn options(&self, warnings: &mut Warnings) -> Result<HttpOptions, HttpSectionError> {
        let token = match &self.token_file {
            None if self.listen.ip().is_loopback() => None,
            None => return Err(HttpSectionError::NoToken { listen: self.listen }),
            Some(path) => {
                let text = secret::read("http.token_file", path, warnings).map_err(|source| HttpSectionError::TokenFile {
                    path: path.clone(),
                    source,
                })?;
                let token = Token::new(&text).map_err(|source| HttpSectionError::WeakToken {
                    path: path.clone(),
                    source,
                })?;
                Some(token)
            }
        };
        Ok(HttpOptions {
            listen: self.listen,
            token,
        })
    }
}
