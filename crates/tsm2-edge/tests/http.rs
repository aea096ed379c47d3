//! The HTTP pages, by a client that writes its requests byte by byte.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tsm2_edge::observe::http::{HttpOptions, Server, Token};
use tsm2_edge::observe::vitals::Vitals;

/// A server on a free port.
async fn start(token: Option<&str>) -> (SocketAddr, Arc<Vitals>) {
    let options = HttpOptions {
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        token: token.map(|token| Token::new(token).unwrap()),
    };
    let server = Server::bind(&options).await.unwrap();
    let (address, vitals) = (server.address().unwrap(), Arc::new(Vitals::new(1)));
    tokio::spawn(server.run(vitals.clone()));
    (address, vitals)
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
    let (address, vitals) = start(None).await;
    let live = get(address, "/healthz", "").await;
    assert!(live.starts_with("HTTP/1.1 200 ") && live.ends_with("\r\n\r\nok\n"), "{live}");
    vitals.restored();
    let ready = get(address, "/readyz", "").await;
    assert!(ready.starts_with("HTTP/1.1 503 "), "{ready}");
    assert!(ready.ends_with("\r\n\r\nthere is no connection to the broker\n"), "{ready}");
    vitals.connected(true);
    let ready = get(address, "/readyz?verbose", "").await;
    assert!(ready.starts_with("HTTP/1.1 200 "), "{ready}");
}

#[tokio::test]
async fn metrics_come_in_the_format_of_prometheus() {
    let (address, vitals) = start(None).await;
    vitals.forecast_latency(Duration::from_millis(3));
    let metrics = get(address, "/metrics", "").await;
    assert!(metrics.contains("content-type: text/plain; version=0.0.4"), "{metrics}");
    for line in [
        "\ntsm2_edge_forecast_latency_seconds_bucket{le=\"0.0025\"} 0\n",
        "\ntsm2_edge_forecast_latency_seconds_bucket{le=\"0.005\"} 1\n",
        "\ntsm2_edge_forecast_latency_seconds_bucket{le=\"+Inf\"} 1\n",
        "\ntsm2_edge_forecast_latency_seconds_sum 0.003\n",
        "\ntsm2_edge_ready 0\n",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
}

#[tokio::test]
async fn metrics_want_the_token_and_health_does_not() {
    let (address, _vitals) = start(Some("correct-horse-battery")).await;
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
    let (address, _vitals) = start(None).await;
    let head = |line: &str| format!("{line} HTTP/1.1\r\nHost: edge\r\n\r\n");
    for (request, status) in [
        (head("GET /"), "404"),
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
    let (address, _vitals) = start(None).await;
    let request = "GET /healthz HTTP/1.1\r\nHost: edge\r\nConnection: keep-alive\r\n\r\n";
    let answers = exchange(address, &request.repeat(3)).await;
    assert_eq!(answers.matches("HTTP/1.1").count(), 1, "{answers}");
    assert!(answers.contains("connection: close"), "{answers}");
}

// Time is simulated: it passes whenever nothing else can happen.
#[tokio::test(start_paused = true)]
async fn clients_that_never_finish_a_request_are_hung_up_on_and_make_room() {
    let (address, _vitals) = start(None).await;
    let mut slow = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nX: ").await.unwrap();
        slow.push(stream);
    }
    assert!(get(address, "/healthz", "").await.starts_with("HTTP/1.1 200 "), "it has its turn");
    for mut stream in slow {
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP/1.1 200 "));
    }
}

#[tokio::test]
async fn an_address_in_use_is_an_error_that_names_the_key() {
    let (address, _vitals) = start(None).await;
    let options = HttpOptions {
        listen: address,
        token: None,
    };
    let error = Server::bind(&options).await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("http.listen: {address}: ")), "{error}");
}
