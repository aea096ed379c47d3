//! The daemon's pages: `/metrics`, `/healthz`, `/readyz`.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use tsm2_mqtt_testkit::TIMEOUT;

/// Status and body of a page; `None` while nobody listens.
pub fn get(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// Asks for a page until `wanted` accepts it.
pub fn get_until(port: u16, path: &str, wanted: impl Fn(u16, &str) -> bool) -> String {
    let begun = Instant::now();
    let mut last = None;
    while begun.elapsed() < TIMEOUT {
        if let Some((status, body)) = get(port, path) {
            if wanted(status, &body) {
                return body;
            }
            last = Some((status, body));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("{path} stays at {last:?}");
}

/// Whether a page of metrics has this line.
pub fn has(page: &str, line: &str) -> bool {
    page.lines().any(|found| found == line)
}
