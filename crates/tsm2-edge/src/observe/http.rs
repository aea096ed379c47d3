//! `/metrics`, `/healthz` and `/readyz` over HTTP.
//!
//! 1. Clients cannot hold up the daemon: connections, their age, the size of a request and the
//!    number of its headers are bounded; a connection carries one request; no body is read.
//! 2. Idle connections cannot hold up the pages: beyond `MAX_CONNECTIONS` the oldest is closed.
//! 3. With a token only the health pages answer without it. They tell one line.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tracing::{debug, info, warn};

use super::health::Health;
use super::metrics::{self, Metrics};
use super::token::Token;

/// Connections at a time. One more closes the oldest.
const MAX_CONNECTIONS: usize = 32;
/// How long a request's head may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may take altogether.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest head of a request, in bytes.
const MAX_HEAD: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;
/// Pause after the operating system gave no connection, for example for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

const TEXT: &str = "text/plain; charset=utf-8";

/// Where to listen and whom to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpOptions {
    /// Address and port.
    pub listen: SocketAddr,
    /// Token that `/metrics` requires; none when absent.
    pub token: Option<Token>,
}

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("http.listen: cannot listen on {listen}: {source}")]
pub struct HttpError {
    /// The address.
    pub listen: SocketAddr,
    /// The cause.
    pub source: std::io::Error,
}

/// A server that listens; it answers once it runs.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    token: Option<Token>,
}

impl Server {
    /// Listens.
    pub async fn bind(options: &HttpOptions) -> Result<Self, HttpError> {
        let failed = |source| HttpError {
            listen: options.listen,
            source,
        };
        let listener = TcpListener::bind(options.listen).await.map_err(failed)?;
        info!(address = %listener.local_addr().map_err(failed)?, "serving metrics and health over HTTP");
        Ok(Server {
            listener,
            token: options.token.clone(),
        })
    }

    /// The address it listens on.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until dropped. Its connections end with it.
    pub async fn run(self, metrics: Metrics, health: Arc<Health>) -> Infallible {
        let pages = Arc::new(Pages {
            token: self.token,
            metrics,
            health,
        });
        let (mut connections, mut oldest_first) = (JoinSet::new(), VecDeque::<AbortHandle>::new());
        loop {
            tokio::select! {
                Some(_) = connections.join_next() => oldest_first.retain(|connection| !connection.is_finished()),
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        if oldest_first.len() == MAX_CONNECTIONS && let Some(oldest) = oldest_first.pop_front() {
                            oldest.abort();
                        }
                        oldest_first.push_back(connections.spawn(serve(stream, peer, pages.clone())));
                    }
                    Err(error) => {
                        warn!(%error, "cannot accept an HTTP connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, pages: Arc<Pages>) {
    let service = service_fn(|request| {
        let answer = pages.answer(&request);
        async { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .keep_alive(false)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(CONNECTION_TIMEOUT, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%peer, %error, "an HTTP request failed"),
        Err(_) => debug!(%peer, "an HTTP request took too long"),
    }
}

struct Pages {
    token: Option<Token>,
    metrics: Metrics,
    health: Arc<Health>,
}

impl Pages {
    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        if !matches!(path, "/metrics" | "/healthz" | "/readyz") {
            return page(StatusCode::NOT_FOUND, TEXT, "not found; ask for /metrics, /healthz or /readyz\n");
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refusal = page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "use GET or HEAD\n");
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refusal;
        }
        match path {
            "/healthz" => health(self.health.is_alive(Instant::now())),
            "/readyz" => health(self.health.is_ready()),
            _ if !self.is_allowed(request) => {
                let mut refusal = page(
                    StatusCode::UNAUTHORIZED,
                    TEXT,
                    "send the token of http.token_file as Authorization: Bearer TOKEN\n",
                );
                refusal.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                refusal
            }
            _ => page(StatusCode::OK, metrics::CONTENT_TYPE, self.metrics.page(&self.health)),
        }
    }

    fn is_allowed(&self, request: &Request<Incoming>) -> bool {
        let given = request.headers().get(AUTHORIZATION);
        self.token
            .as_ref()
            .is_none_or(|token| given.is_some_and(|given| token.matches(given.as_bytes())))
    }
}

fn health(state: Result<(), impl std::fmt::Display>) -> Response<Full<Bytes>> {
    match state {
        Ok(()) => page(StatusCode::OK, TEXT, "ok\n"),
        Err(why) => page(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{why}\n")),
    }
}

fn page(status: StatusCode, content_type: &'static str, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
