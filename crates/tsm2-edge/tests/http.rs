//! The HTTP pages, by a client that writes its requests byte by byte.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tsm2_edge::observe::http::{HttpOptions, Server};
use tsm2_edge::observe::token::Token;
use tsm2_edge::observe::{Health, Metrics, Subscription};

/// A server on a free port.
async fn start(token: Option<&str>) -> (SocketAddr, Metrics, Arc<Health>) {
    let options = HttpOptions {
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        token: token.map(|token| Token::new(token).unwrap()),
    };
    let server = Server::bind(&options).await.unwrap();
    let (address, metrics, health) = (server.address().unwrap(), Metrics::new(), Arc::<Health>::default());
    tokio::spawn(server.run(metrics.clone(), health.clone(), Arc::default()));
    (address, metrics, health)
}

/// All that the server says to these bytes until it hangs up.
async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A server that hangs up with bytes unread resets the connection; what it said before counts.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

async fn get(address: SocketAddr, path: &str, header: &str) -> String {
    exchange(address, &format!("GET {path} HTTP/1.1\r\nHost: edge\r\n{header}\r\n")).await
}

#[tokio::test]
async fn the_health_pages_say_what_is_wrong() {
    let (address, _, health) = start(None).await;
    let live = get(address, "/healthz", "").await;
    assert!(live.starts_with("HTTP/1.1 200 ") && live.ends_with("\r\n\r\nok\n"), "{live}");
    health.started_up();
    let ready = get(address, "/readyz", "").await;
    assert!(ready.starts_with("HTTP/1.1 503 "), "{ready}");
    assert!(ready.ends_with("\r\n\r\nthere is no connection to the broker\n"), "{ready}");
    health.set_subscription(Subscription::Granted);
    let ready = get(address, "/readyz?verbose", "").await;
    assert!(ready.starts_with("HTTP/1.1 200 "), "{ready}");
}

#[tokio::test]
async fn metrics_come_in_the_format_of_prometheus() {
    let (address, metrics, _) = start(None).await;
    metrics.input.latency.observe(0.003);
    let page = get(address, "/metrics", "").await;
    assert!(page.contains("content-type: text/plain; version=0.0.4"), "{page}");
    for line in [
        "\ntsm2_edge_forecast_latency_seconds_bucket{le=\"0.0025\"} 0\n",
        "\ntsm2_edge_forecast_latency_seconds_bucket{le=\"0.005\"} 1\n",
        "\ntsm2_edge_forecast_latency_seconds_bucket{le=\"+Inf\"} 1\n",
        "\ntsm2_edge_forecast_latency_seconds_sum 0.003\n",
        "\ntsm2_edge_ready 0\n",
    ] {
        assert!(page.contains(line), "{line} is not in {page}");
    }
}

#[tokio::test]
async fn metrics_want_the_token_and_health_does_not() {
    let (address, ..) = start(Some("correct-horse-battery")).await;
    for header in [
        "",
        "Authorization: Bearer correct-horse\r\n",
        "Authorization: Basic Y29ycmVjdA==\r\n",
    ] {
        let refused = get(address, "/metrics", header).await;
        assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
        assert!(
            refused.contains("www-authenticate: Bearer") && !refused.contains("tsm2_edge_"),
            "{refused}"
        );
    }
    let metrics = get(address, "/metrics", "Authorization: Bearer correct-horse-battery\r\n").await;
    assert!(metrics.starts_with("HTTP/1.1 200 ") && metrics.contains("tsm2_edge_"), "{metrics}");
    assert!(get(address, "/healthz", "").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn other_paths_methods_and_nonsense_are_refused() {
    let (address, ..) = start(None).await;
    let head = |line: &str| format!("{line} HTTP/1.1\r\nHost: edge\r\n\r\n");
    for (request, status) in [
        (head("GET /index.html"), "404"),
        (head("GET /metrics/"), "404"),
        (head("GET /%2e%2e/etc/passwd"), "404"),
        (head("POST /metrics"), "405"),
        (head("DELETE /healthz"), "405"),
        (head("GET"), "400"),
        ("\u{0}\u{1}\r\n\r\n".to_owned(), "400"),
        (format!("GET /metrics HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(100)), "431"),
        (format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(100_000)), "431"),
    ] {
        let answer = exchange(address, &request).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request:.40} was answered {answer:.80}"
        );
    }
    let posted = exchange(address, "POST /metrics HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\nx").await;
    assert!(posted.starts_with("HTTP/1.1 405 "), "no body is waited for: {posted}");
}

#[tokio::test]
async fn a_connection_carries_one_request() {
    let (address, ..) = start(None).await;
    let request = "GET /healthz HTTP/1.1\r\nHost: edge\r\nConnection: keep-alive\r\n\r\n";
    let answers = exchange(address, &request.repeat(3)).await;
    assert_eq!(answers.matches("HTTP/1.1").count(), 1, "{answers}");
    assert!(answers.contains("connection: close"), "{answers}");
}

#[tokio::test]
async fn idle_connections_do_not_starve_the_health_page() {
    let (address, ..) = start(None).await;
    let mut idle = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nX: ").await.unwrap();
        idle.push(stream);
    }
    let health = get(address, "/healthz", "").await;
    assert!(health.starts_with("HTTP/1.1 200 "), "{health}");
    // It was answered before the newest idle connection timed out.
    let newest = idle.last().unwrap().try_read(&mut [0; 1]).unwrap_err();
    assert_eq!(newest.kind(), std::io::ErrorKind::WouldBlock);
    let mut oldest = Vec::new();
    let _ = idle[0].read_to_end(&mut oldest).await;
    assert!(oldest.is_empty(), "the oldest idle connection is closed unanswered");
}

// Time is simulated: it passes whenever nothing else can happen.
#[tokio::test(start_paused = true)]
async fn a_client_that_never_finishes_its_request_is_disconnected() {
    let (address, ..) = start(None).await;
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nX: ").await.unwrap();
    let mut answer = Vec::new();
    let _ = slow.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/1.1 200 "));
}

#[tokio::test]
async fn an_address_in_use_is_an_error_that_names_the_key() {
    let (address, ..) = start(None).await;
    let options = HttpOptions {
        listen: address,
        token: None,
    };
    let error = Server::bind(&options).await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("http.listen: cannot listen on {address}: ")), "{error}");
}

#[tokio::test]
async fn data_need_the_token_and_the_files_of_the_page_do_not() {
    let token = "a-token-of-many-characters";
    let (address, ..) = start(Some(token)).await;
    let page = get(address, "/", "").await;
    assert!(
        page.starts_with("HTTP/1.1 200 ") && page.contains("content-security-policy: default-src 'none'"),
        "{page}"
    );
    for path in ["/api/status", "/api/streams", "/api/series?stream=a", "/api/events?stream=a"] {
        let refused = get(address, path, "").await;
        assert!(refused.starts_with("HTTP/1.1 401 "), "{path}: {refused}");
    }
    let status = get(address, "/api/status", &format!("Authorization: Bearer {token}\r\n")).await;
    assert!(status.contains("\"not_ready\":\""), "{status}");
}

#[tokio::test]
async fn a_web_site_cannot_read_the_data_through_a_name_of_its_own() {
    let (address, ..) = start(None).await;
    let ask = async |host: &str| exchange(address, &format!("GET /api/streams HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
    for host in ["rebound.example", "rebound.example:9464", "localhost.example", ""] {
        let refused = ask(host).await;
        assert!(refused.starts_with("HTTP/1.1 403 "), "{host}: {refused}");
    }
    for host in ["localhost", "localhost:9464", "127.0.0.1:9464", "[::1]:9464", "[::1]"] {
        let listed = ask(host).await;
        assert!(listed.contains("\"total\":0"), "{host}: {listed}");
    }
}
