//! A build without TLS: options with TLS are rejected.

use std::error::Error;
use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;

use super::options::{TlsError, TlsOptions};

pub(super) fn check(_: &TlsOptions, _: &str) -> Result<(), TlsError> {
    Err(TlsError::NotBuilt)
}

pub(crate) async fn handshake(_: TcpStream, _: Arc<TlsOptions>, _: &str) -> io::Result<TcpStream> {
    Err(io::Error::other(TlsError::NotBuilt))
}

pub(crate) fn explain(_: &(dyn Error + 'static)) -> Option<String> {
    None
}
