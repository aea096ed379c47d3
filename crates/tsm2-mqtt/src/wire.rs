//! The way to the broker: TCP, TLS where it is asked for, and the bound on packets.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::bounded::Bounded;
use crate::tls::{self, TlsOptions};

/// How long one of a host's addresses may take to answer before the next is tried.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(4);
/// Seconds that a connection may take in all, name server and handshakes included.
pub(crate) const CONNECT_TIMEOUT_S: u64 = 15;

/// What bytes can be read from and written to.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<W: AsyncRead + AsyncWrite + Send + Sync + Unpin> Wire for W {}

/// Where to connect, and how.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: Option<Arc<TlsOptions>>,
    /// The longest remaining length of a PUBLISH.
    pub(crate) bound: usize,
}

impl Route {
    /// Connects.
    pub(crate) async fn connect(self) -> io::Result<Bounded<Box<dyn Wire>>> {
        let tcp = dial(&self.host, self.port).await?;
        tcp.set_nodelay(true)?;
        let wire: Box<dyn Wire> = match self.tls {
            Some(options) => Box::new(tls::secure(tcp, options, &self.host).await?),
            None => Box::new(tcp),
        };
        Ok(Bounded::new(wire, self.bound))
    }
}

/// The first of the host's addresses that answers.
async fn dial(host: &str, port: u16) -> io::Result<TcpStream> {
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
