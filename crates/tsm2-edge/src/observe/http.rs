//! The web page, `/metrics`, `/healthz` and `/readyz` over HTTP.
//!
//! 1. Clients cannot hold up the daemon: connections, their age, the size of a request and the
//!    number of its headers are bounded; a connection carries one request; no body is read.
//! 2. Idle connections cannot hold up the pages: beyond `MAX_CONNECTIONS` the oldest is closed.
//! 3. With a token only the health pages and the files of the page answer without it.
//! 4. Without a token data are sent only to requests that name the host as `localhost` or by its
//!    address: a web site elsewhere cannot read them through a name of its own (DNS rebinding).

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderValue, WWW_AUTHENTICATE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tracing::{debug, info, warn};

use super::health::Health;
use super::metrics::{self, Metrics};
use super::recent_rejections::Rejection;
use super::token::Token;
use crate::page::{Events, Recent, asset};

/// Connections at a time. One more closes the oldest.
const MAX_CONNECTIONS: usize = 32;
/// How long a request's head may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may take altogether.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// How long server-sent events are sent on one connection. The page then asks again.
const EVENTS_TIMEOUT: Duration = Duration::from_secs(600);
/// Largest head of a request, in bytes.
const MAX_HEAD: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;
/// Pause after the operating system gave no connection, for example for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
/// Nothing of the page comes from another server.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:";

type Answer = Response<Either<Full<Bytes>, Events>>;

/// Where to listen and whom to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpOptions {
    /// Address and port.
    pub listen: SocketAddr,
    /// Token that data and metrics require; none when absent.
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
    pub async fn run(self, metrics: Metrics, health: Arc<Health>, recent: Arc<Recent>) -> Infallible {
        let pages = Arc::new(Pages {
            token: self.token,
            metrics,
            health,
            recent,
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
    let has_events = AtomicBool::new(false);
    let service = service_fn(|request| {
        let answer = pages.answer(&request);
        has_events.fetch_or(matches!(answer.body(), Either::Right(_)), Ordering::Relaxed);
        async { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .keep_alive(false)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    let too_long = async {
        tokio::time::sleep(CONNECTION_TIMEOUT).await;
        if has_events.load(Ordering::Relaxed) {
            tokio::time::sleep(EVENTS_TIMEOUT).await;
        }
    };
    tokio::select! {
        served = connection => {
            if let Err(error) = served {
                debug!(%peer, %error, "an HTTP request failed");
            }
        }
        () = too_long => debug!(%peer, "an HTTP request took too long"),
    }
}

struct Pages {
    token: Option<Token>,
    metrics: Metrics,
    health: Arc<Health>,
    recent: Arc<Recent>,
}

/// State of the daemon, for the page.
#[derive(Serialize)]
struct Status {
    version: &'static str,
    /// Why the daemon is not ready; absent when it is.
    not_ready: Option<String>,
    #[serde(flatten)]
    summary: super::Summary,
    rejections: Vec<Rejection>,
}

impl Pages {
    fn answer(&self, request: &Request<Incoming>) -> Answer {
        let path = request.uri().path();
        let file = asset(path);
        let is_known = file.is_some()
            || matches!(
                path,
                "/metrics" | "/healthz" | "/readyz" | "/api/status" | "/api/streams" | "/api/series" | "/api/events"
            );
        if !is_known {
            return page(StatusCode::NOT_FOUND, TEXT, "not found; ask for /, /metrics, /healthz or /readyz\n");
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refusal = page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "use GET or HEAD\n");
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refusal;
        }
        if let Some((content_type, content)) = file {
            let mut answer = page(StatusCode::OK, content_type, content);
            answer
                .headers_mut()
                .insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
            return answer;
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
            "/metrics" => page(StatusCode::OK, metrics::CONTENT_TYPE, self.metrics.page(&self.health)),
            _ if self.token.is_none() && !names_this_machine(request) => {
                page(StatusCode::FORBIDDEN, TEXT, "ask for localhost or for the address of the machine\n")
            }
            _ => self.data(request, path),
        }
    }

    fn data(&self, request: &Request<Incoming>, path: &str) -> Answer {
        let query = request.uri().query().unwrap_or_default().as_bytes();
        let value = |key: &str| {
            let found = form_urlencoded::parse(query).find(|(name, _)| name == key);
            found.map(|(_, value)| value.into_owned()).unwrap_or_default()
        };
        match path {
            "/api/status" => json(&Status {
                version: env!("CARGO_PKG_VERSION"),
                not_ready: self.health.is_ready().err().map(|why| why.to_string()),
                summary: self.metrics.summary(),
                rejections: self.metrics.input.recent_rejections.list(),
            }),
            "/api/streams" => json(&self.recent.list(&value("search"))),
            "/api/series" => match self.recent.series(&value("stream"), &value("variate")) {
                Some(series) => json(&series),
                None => page(StatusCode::NOT_FOUND, TEXT, "no reading of this stream since the start\n"),
            },
            _ => {
                let events = Events::new(self.recent.clone(), value("stream"));
                let mut answer = Response::new(Either::Right(events));
                set_headers(&mut answer, "text/event-stream");
                answer
            }
        }
    }

    fn is_allowed(&self, request: &Request<Incoming>) -> bool {
        let given = request.headers().get(AUTHORIZATION);
        self.token
            .as_ref()
            .is_none_or(|token| given.is_some_and(|given| token.matches(given.as_bytes())))
    }
}

/// Whether the request names the host as `localhost` or by an address.
fn names_this_machine(request: &Request<Incoming>) -> bool {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || address.parse::<IpAddr>().is_ok()
}

fn health(state: Result<(), impl std::fmt::Display>) -> Answer {
    match state {
        Ok(()) => page(StatusCode::OK, TEXT, "ok\n"),
        Err(why) => page(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{why}\n")),
    }
}

fn json(content: &impl Serialize) -> Answer {
    // Numbers and text are always JSON.
    page(StatusCode::OK, JSON, serde_json::to_vec(content).unwrap_or_default())
}

fn page(status: StatusCode, content_type: &'static str, content: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Either::Left(Full::new(content.into())));
    *answer.status_mut() = status;
    set_headers(&mut answer, content_type);
    answer
}

fn set_headers(answer: &mut Answer, content_type: &'static str) {
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
}
