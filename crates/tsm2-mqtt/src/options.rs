//! Where and as whom a session connects, and what no session can be made of.
//!
//! Invariant: neither [`SessionOptions`] nor [`SessionError`] shows the password, however they are printed.

use std::net::IpAddr;

use crate::tls::{TlsError, TlsOptions};

/// Where and as whom to connect.
#[derive(Clone)]
pub struct SessionOptions {
    /// Host name or address of the broker.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Stable and unique at the broker: the persistent session hangs on it.
    pub client_id: String,
    /// User name and password.
    pub credentials: Option<(String, String)>,
    /// Seconds between signs of life.
    pub keep_alive_s: u16,
    /// Filters to subscribe to, at QoS 1.
    pub filters: Vec<String>,
    /// Whether the broker keeps what is published while the client is away. With no filters there is nothing to keep.
    pub persistent: bool,
    /// Topic of the availability, published retained.
    pub status_topic: Option<String>,
    /// The largest payload, in bytes, that need arrive whole; a larger one may be cut, but never to this size or below.
    pub max_payload: usize,
    /// TLS, and how.
    pub tls: Option<TlsOptions>,
}

impl std::fmt::Debug for SessionOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionOptions")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("client_id", &self.client_id)
            .field("credentials", &self.credentials.as_ref().map(|(user, _)| (user, "***")))
            .field("filters", &self.filters)
            .field("status_topic", &self.status_topic)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

impl SessionOptions {
    /// A session that only publishes, without credentials and TLS.
    pub fn new(host: impl Into<String>, port: u16, client_id: impl Into<String>) -> Self {
        SessionOptions {
            host: host.into(),
            port,
            client_id: client_id.into(),
            credentials: None,
            keep_alive_s: 30,
            filters: Vec::new(),
            persistent: true,
            status_topic: None,
            max_payload: 64 * 1024,
            tls: None,
        }
    }

    /// Finds what no session can be made of; [`crate::Session::start`] asks the same.
    pub fn check(&self) -> Result<(), SessionError> {
        if self.host.is_empty() || self.host.contains(|c: char| c == '/' || c.is_whitespace()) {
            return Err(SessionError::Host { host: self.host.clone() });
        }
        if self.port == 0 {
            return Err(SessionError::Port);
        }
        if self.client_id.is_empty() {
            return Err(SessionError::NoClientId);
        }
        if let Some(tls) = &self.tls {
            tls.check(&self.host)?;
        }
        let bad_filter = self.filters.iter().find(|filter| !rumqttc::valid_filter(filter));
        let bad_topic = self.status_topic.iter().find(|topic| !rumqttc::valid_topic(topic));
        match bad_filter.or(bad_topic) {
            Some(topic) => Err(SessionError::Topic { topic: topic.clone() }),
            None => Ok(()),
        }
    }

    /// Whether a password would go over a network for everybody to read.
    pub(crate) fn shows_password(&self) -> bool {
        let is_here = self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        self.tls.is_none() && !is_here && self.credentials.as_ref().is_some_and(|(_, password)| !password.is_empty())
    }
}

/// Options that make no session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// Nothing that a name server could be asked for.
    #[error("host {host:?} is neither a name nor an address; it has no scheme, slash or space")]
    Host {
        /// The host given.
        host: String,
    },
    /// Nobody can listen there.
    #[error("port 0 is no port to connect to")]
    Port,
    /// A persistent session needs a name.
    #[error("the MQTT client id is empty")]
    NoClientId,
    /// TLS cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A filter or topic that MQTT does not allow.
    #[error("{topic:?} is no valid MQTT topic")]
    Topic {
        /// The offending topic or filter.
        topic: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_password_without_tls_to_another_machine_is_shown_to_everybody() {
        let options = |host: &str, password: &str| SessionOptions {
            credentials: Some(("user".into(), password.into())),
            ..SessionOptions::new(host, 1883, "device")
        };
        for host in ["10.0.0.7", "broker.lan", "::2"] {
            assert!(options(host, "secret").shows_password(), "{host}");
        }
        for host in ["localhost", "127.0.0.1", "127.9.9.9", "::1"] {
            assert!(!options(host, "secret").shows_password(), "{host}");
        }
        assert!(!options("broker.lan", "").shows_password());
        assert!(!SessionOptions::new("broker.lan", 1883, "device").shows_password());
        let safe = SessionOptions {
            tls: Some(TlsOptions::default()),
            ..options("broker.lan", "secret")
        };
        assert!(!safe.shows_password());
    }

    #[test]
    fn the_password_is_never_printed() {
        let options = SessionOptions {
            credentials: Some(("user".into(), "secret".into())),
            ..SessionOptions::new("broker.lan", 1883, "device")
        };
        assert!(!format!("{options:?} {options:#?}").contains("secret"));
    }
}
