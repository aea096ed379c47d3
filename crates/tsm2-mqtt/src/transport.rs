//! Transport to the broker: TCP, then TLS where it is configured, then the bound on packet size.
//!
//! One connection at a time: the session's polling task opens the next one after the last is gone.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::publish_truncator::PublishTruncator;
use crate::tls::{self, TlsOptions};

/// How long one address of the host may take to answer before the next is tried.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(4);
/// Seconds that a connection may take in all, with name resolution and handshakes.
pub(crate) const CONNECT_TIMEOUT_S: u64 = 15;

/// A stream of bytes in both directions.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Transport for T {}

/// Where to connect, and how.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: Option<Arc<TlsOptions>>,
    /// The longest remaining length of a PUBLISH, in bytes.
    pub(crate) bound: usize,
}

impl Endpoint {
    /// Connects.
    pub(crate) async fn connect(self) -> io::Result<PublishTruncator<Box<dyn Transport>>> {
        let tcp = connect_tcp(&self.host, self.port).await?;
        tcp.set_nodelay(true)?;
        let transport: Box<dyn Transport> = match self.tls {
            Some(options) => Box::new(tls::handshake(tcp, options, &self.host).await?),
            None => Box::new(tcp),
        };
        Ok(PublishTruncator::new(transport, self.bound))
    }
}

/// Connects to the first address of the host that answers.
async fn connect_tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in lookup_host((host, port)).await? {
        match timeout(ADDRESS_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => return Ok(tcp),
            Ok(Err(error)) => failed = error,
            Err(_) => failed = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(failed)
}
