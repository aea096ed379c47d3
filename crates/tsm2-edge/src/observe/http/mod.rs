//! What the daemon shows over HTTP: `/metrics`, `/healthz` and `/readyz`.
//!
//! Invariants: nothing that a client does or leaves undone holds up the daemon. Connections, their age, the size of a request and the number
//! of its headers are bounded; a connection carries one request; nothing is read of a body. Without the token, where there is one, only the
//! health pages answer: they say in one line what is wrong, and what watches over a process often has no token to give.

mod exposition;
mod metrics;
mod process;
mod token;

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
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

pub use metrics::metrics;
pub use token::{Token, WeakToken};

use crate::observe::vitals::Vitals;

/// Connections at a time; more wait for their turn.
const MAX_CONNECTIONS: usize = 32;
/// How long a request's head may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may take altogether.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest head of a request, in bytes.
const MAX_HEAD: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;
/// How long to wait when the operating system gives no connection, for lack of files perhaps.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

const TEXT: &str = "text/plain; charset=utf-8";

/// Where to listen and to whom to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpOptions {
    /// Address and port.
    pub listen: SocketAddr,
    /// What `/metrics` wants to be shown; nothing when absent.
    pub token: Option<Token>,
}

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("http.listen: {listen}: {source}")]
pub struct HttpError {
    /// The address.
    pub listen: SocketAddr,
    /// What the operating system said.
    pub source: std::io::Error,
}

/// A server that listens already and answers when it runs.
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
        info!(address = %listener.local_addr().map_err(failed)?, "metrics and health are served over HTTP");
        Ok(Server {
            listener,
            token: options.token.clone(),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until dropped, and its connections with it.
    pub async fn run(self, vitals: Arc<Vitals>) -> Infallible {
        let pages = Arc::new(Pages { token: self.token, vitals });
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                Some(_) = connections.join_next() => {}
                accepted = self.listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                    Ok((stream, peer)) => {
                        connections.spawn(serve(stream, peer, pages.clone()));
                    }
                    Err(error) => {
                        warn!(%error, "no connection can be accepted over HTTP");
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

/// What is there to be seen.
struct Pages {
    token: Option<Token>,
    vitals: Arc<Vitals>,
}

impl Pages {
    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        if !matches!(path, "/metrics" | "/healthz" | "/readyz") {
            return page(StatusCode::NOT_FOUND, TEXT, "there are /metrics, /healthz and /readyz\n");
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refusal = page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n");
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refusal;
        }
        match path {
            "/healthz" => health(self.vitals.is_alive(Instant::now())),
            "/readyz" => health(self.vitals.is_ready()),
            _ if !self.lets_in(request) => {
                let mut refusal = page(StatusCode::UNAUTHORIZED, TEXT, "the token of http.token_file is wanted\n");
                refusal.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                refusal
            }
            _ => page(StatusCode::OK, exposition::CONTENT_TYPE, metrics(&self.vitals)),
        }
    }

    fn lets_in(&self, request: &Request<Incoming>) -> bool {
        let given = request.headers().get(AUTHORIZATION);
        self.token
            .as_ref()
            .is_none_or(|token| given.is_some_and(|given| token.is_in(given.as_bytes())))
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
