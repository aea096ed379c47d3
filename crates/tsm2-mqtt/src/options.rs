//! Options of a session, and their checks.
//!
//! Invariant: [`SessionOptions`] and [`SessionError`] never print the password.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::tls::{TlsError, TlsOptions};

/// Options of a session.
#[derive(Clone)]
pub struct SessionOptions {
    /// Host name or address of the broker.
    pub host: String,
    /// Port of the broker.
    pub port: u16,
    /// Stable and unique at the broker, which keeps the persistent session under it.
    pub client_id: String,
    /// User name and password.
    pub credentials: Option<(String, String)>,
    /// Keep-alive in seconds, 1 or more. A dead connection is noticed after twice this time.
    pub keep_alive_s: u16,
    /// Filters to subscribe to, at QoS 1.
    pub filters: Vec<String>,
    /// Whether the broker keeps messages while the client is away. Without filters there are none.
    pub persistent: bool,
    /// Topic of the availability ([`crate::Status`]), published retained.
    pub status_topic: Option<String>,
    /// The largest payload, in bytes, that arrives whole. A larger one may be truncated, but never to
    /// this size or below.
    pub max_payload: usize,
    /// TLS; `None`: no encryption.
    pub tls: Option<TlsOptions>,
    /// A small file that lists the filters subscribed under this client id, so that those of an
    /// earlier configuration are unsubscribed. `None`: they stay at the broker.
    pub record: Option<PathBuf>,
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
            record: None,
        }
    }

    /// Checks the options; [`crate::Session::start`] does the same.
    ///
    /// # Errors
    /// The first option that is not valid.
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
        if self.keep_alive_s == 0 {
            return Err(SessionError::KeepAlive);
        }
        if let Some(tls) = &self.tls {
            tls.check(&self.host)?;
        }
        let bad_filter = self.filters.iter().find(|filter| !rumqttc::valid_filter(filter));
        let bad_topic = self.status_topic.iter().find(|topic| !is_sendable(topic));
        match bad_filter.or(bad_topic) {
            Some(topic) => Err(SessionError::Topic { topic: topic.clone() }),
            None => Ok(()),
        }
    }

    /// Whether the broker keeps the session: without filters there is nothing to keep.
    pub(crate) fn is_kept_by_broker(&self) -> bool {
        self.persistent && !self.filters.is_empty()
    }

    /// The name in the broker's access list.
    pub(crate) fn account(&self) -> String {
        match &self.credentials {
            Some((user, _)) => format!("user {user:?}"),
            None => format!("anonymous client {:?}", self.client_id),
        }
    }

    /// Whether the password is sent over a network without encryption.
    pub(crate) fn shows_password(&self) -> bool {
        let is_here = self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        self.tls.is_none() && !is_here && self.credentials.as_ref().is_some_and(|(_, password)| !password.is_empty())
    }
}

/// Whether brokers accept a topic to publish to. They may end the connection at control characters
/// and at code points that are no characters (MQTT 3.1.1, 1.5.3).
pub(crate) fn is_sendable(topic: &str) -> bool {
    let is_bad = |c: char| c.is_control() || matches!(c, '+' | '#' | '\u{fdd0}'..='\u{fdef}') || u32::from(c) & 0xfffe == 0xfffe;
    (1..=usize::from(u16::MAX)).contains(&topic.len()) && !topic.contains(is_bad)
}

/// Options that are not valid, or a session that cannot be cleared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// Not a host name.
    #[error("host {host:?} is not a host name or address; write it without a scheme, slash or space")]
    Host {
        /// The host given.
        host: String,
    },
    /// Port 0.
    #[error("port 0 cannot be connected to; the usual port of MQTT is 1883, with TLS 8883")]
    Port,
    /// A persistent session needs a name.
    #[error("the MQTT client id is empty")]
    NoClientId,
    /// No keep-alive.
    #[error("a keep-alive of 0 s turns keep-alive off, and a dead connection is never noticed; use 1 s or more")]
    KeepAlive,
    /// The broker still keeps a session.
    #[error("the session of client id {client_id:?} is not cleared: {reason}")]
    NotCleared {
        /// The client id.
        client_id: String,
        /// The cause.
        reason: String,
    },
    /// TLS cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A filter or topic that MQTT does not allow.
    #[error("{topic:?} is not a valid MQTT topic")]
    Topic {
        /// The topic or filter.
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
    fn a_keep_alive_of_zero_is_rejected() {
        let options = SessionOptions {
            keep_alive_s: 0,
            ..SessionOptions::new("broker.lan", 1883, "device")
        };
        assert_eq!(options.check(), Err(SessionError::KeepAlive));
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
