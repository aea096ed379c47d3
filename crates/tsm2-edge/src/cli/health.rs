//! `tsm2-edge health`: asks the running daemon for its health, for container engines and scripts.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;

use super::common;
use crate::config::Config;

/// How long the daemon may take for each part of its answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer that is read, in bytes.
const MAX_ANSWER: u64 = 16 * 1024;

/// Ask the running daemon for its health: fails unless each of its threads works
#[derive(Args)]
#[command(after_long_help = "Example, in a container file:
  HEALTHCHECK CMD [\"/usr/bin/tsm2-edge\", \"health\", \"/etc/tsm2-edge/tsm2-edge.toml\"]")]
pub(super) struct Health {
    /// Configuration of the daemon, with a section [http]
    config: PathBuf,
}

impl Health {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let http = Config::load(&self.config)?.http;
        let http = http.with_context(|| format!("{}: add a section [http]; the daemon serves /healthz there", self.config.display()))?;
        common::print(ask(http.listen)?)
    }
}

/// The text of `/healthz` of the daemon that listens on this address.
fn ask(listen: SocketAddr) -> anyhow::Result<String> {
    let address = SocketAddr::new(reachable(listen.ip()), listen.port());
    let answer = exchange(address).with_context(|| format!("no answer from http://{address}/healthz"))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).unwrap_or_default();
    ensure!(
        status == "200",
        "not healthy: http://{address}/healthz answers {status} {}",
        body.trim()
    );
    Ok(body.trim().to_owned())
}

/// The address at which this machine reaches a listener on all its addresses.
fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

fn exchange(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER).read_to_string(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// What [`ask`] makes of an answer.
    fn asked(answer: &'static str) -> Result<String, String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // To its end: a connection that ends with unread bytes is reset, and the answer is lost.
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            assert!(request.starts_with(b"GET /healthz HTTP/1.1\r\n"));
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let all = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port());
        let result = ask(all).map_err(|error| format!("{error:#}"));
        server.join().unwrap();
        result
    }

    #[test]
    fn only_the_answer_200_is_healthy() {
        let answer = |status: &str, body: &str| -> &'static str {
            format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).leak()
        };
        assert_eq!(asked(answer("200 OK", "alive\n")), Ok("alive".into()));
        let stalled = asked(answer("503 Service Unavailable", "writer stalled for 31 s\n")).unwrap_err();
        assert!(stalled.ends_with("answers 503 writer stalled for 31 s"), "{stalled}");
        assert!(asked("nonsense").is_err());
    }

    #[test]
    fn a_daemon_that_does_not_run_is_not_healthy() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = format!("{:#}", ask(free).unwrap_err());
        assert!(error.contains("/healthz: "), "{error}");
    }
}
