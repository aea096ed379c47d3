//! Arguments of commands that connect to a broker without a configuration.

use std::net::Ipv6Addr;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::Args;

use crate::config::{Broker, Tls};

/// The broker, where no configuration names it.
#[derive(Args)]
pub(super) struct Connection {
    /// Address of the broker: HOST, HOST:PORT or [IPv6]:PORT [default: localhost]
    #[arg(long, value_name = "ADDRESS")]
    broker: Option<String>,
    /// User name
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// File with the password
    #[arg(long, value_name = "FILE", requires = "username")]
    password_file: Option<PathBuf>,
    /// Use TLS with the system's certificate authorities
    #[arg(long)]
    tls: bool,
    /// Use TLS with these certificate authorities, PEM
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Certificate to show to the broker, PEM
    #[arg(long, value_name = "FILE", requires = "key_file")]
    cert_file: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE", requires = "cert_file")]
    key_file: Option<PathBuf>,
}

impl Connection {
    /// The section `broker` that these arguments stand for.
    pub(super) fn broker(&self) -> anyhow::Result<Broker> {
        let mut broker = Broker::default();
        if self.tls || self.ca_file.is_some() || self.cert_file.is_some() {
            let mut tls = Tls::default();
            tls.ca_file.clone_from(&self.ca_file);
            tls.cert_file.clone_from(&self.cert_file);
            tls.key_file.clone_from(&self.key_file);
            broker.tls = Some(tls);
            broker.port = 8883;
        }
        if let Some(address) = &self.broker {
            let (host, port) = parse_address(address).with_context(|| format!("--broker: {address:?}"))?;
            broker.host = host;
            broker.port = port.unwrap_or(broker.port);
        }
        broker.username.clone_from(&self.username);
        broker.password_file.clone_from(&self.password_file);
        Ok(broker)
    }
}

/// Host and port of `HOST`, `HOST:PORT`, `[IPv6]:PORT` or a bare IPv6 address.
fn parse_address(text: &str) -> anyhow::Result<(String, Option<u16>)> {
    const FORM: &str = "write HOST:PORT or [IPv6]:PORT";
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').context(FORM)?;
            let port = match rest {
                "" => None,
                rest => Some(rest.strip_prefix(':').context(FORM)?),
            };
            (host, port)
        }
        None if text.parse::<Ipv6Addr>().is_ok() => (text, None),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    ensure!(!host.is_empty(), FORM);
    let port = port.map(|port| port.parse().with_context(|| format!("{port:?} is not a port; {FORM}")));
    Ok((host.to_owned(), port.transpose()?))
}

#[cfg(test)]
mod tests {
    use super::parse_address;

    #[test]
    fn an_ipv6_address_of_the_broker_can_be_given() {
        for (text, host, port) in [
            ("localhost:1883", "localhost", Some(1883)),
            ("broker.site", "broker.site", None),
            ("[::1]:1883", "::1", Some(1883)),
            ("[fe80::1]", "fe80::1", None),
            ("::1", "::1", None),
            ("10.0.0.7:8883", "10.0.0.7", Some(8883)),
        ] {
            assert_eq!(parse_address(text).unwrap(), (host.to_owned(), port), "{text}");
        }
        for text in ["", ":1883", "host:", "host:x", "host:70000", "[::1", "[::1]1883", "[]:1"] {
            assert!(parse_address(text).is_err(), "{text}");
        }
    }
}
