//! Section `broker`: the MQTT broker and how to connect to it.

use std::path::PathBuf;

use tsm2_mqtt::{MAX_IN_FLIGHT, SessionError, SessionOptions, TlsError, TlsOptions};

use super::secret::{self, Warnings};
use super::section::section;

section! {
    /// The MQTT broker.
    Broker in "broker" {
        /// Host name or address.
        host: String = "localhost".into();
        /// Port.
        port: u16 = 1883 => "`1883`; `8883` with a section `broker.tls`";
        /// Client id: unique at the broker and the same after every start. Unread messages and the
        /// subscription are kept under it. Two clients with one id disconnect each other.
        client_id: String = "tsm2-edge".into();
        /// User name.
        username: Option<String> = None;
        /// File with the password. A line end at its end is ignored. The file should be readable by
        /// the daemon's user only.
        password_file: Option<PathBuf> = None;
        /// Keep-alive interval in seconds, at least 1. A silent connection is closed after twice this.
        keep_alive_s: u16 = 30;
        /// With `state.path`: number of unacknowledged messages at which the broker may stop sending, 1
        /// to 32768. Set it to the broker's own limit (mosquitto: `max_inflight_messages`) to commit less
        /// often.
        max_inflight: usize = 10;
        /// TLS to the broker; a section, which may be empty. The broker's certificate is always verified.
        tls: Option<Tls> = None => "no TLS";
    }
    example: r#"[broker]
host = "broker.site"
port = 8883
client_id = "tsm2-edge-hall-3"
username = "tsm2-edge"
password_file = "$CREDENTIALS_DIRECTORY/broker-password"
keep_alive_s = 30
max_inflight = 20
"#
}

section! {
    /// TLS to the broker. The files are read for each connection, so that a renewed file is used from
    /// the next connection on.
    Tls in "broker.tls" {
        /// Certificate authorities to trust, PEM.
        ca_file: Option<PathBuf> = None => "the system's";
        /// Certificate of the daemon with its intermediate certificates, PEM, for a broker that asks for
        /// one.
        cert_file: Option<PathBuf> = None;
        /// Private key of `cert_file`, not encrypted, PEM.
        key_file: Option<PathBuf> = None;
        /// Name in the broker's certificate.
        server_name: Option<String> = None => "`broker.host`";
    }
    example: r#"[broker.tls]
ca_file = "ca.pem"
cert_file = "device.pem"
key_file = "$CREDENTIALS_DIRECTORY/broker-key"
server_name = "broker.site"
"#
}

impl Tls {
    pub(crate) fn options(&self) -> TlsOptions {
        let mut options = TlsOptions::default();
        options.ca_file.clone_from(&self.ca_file);
        options.cert_file.clone_from(&self.cert_file);
        options.key_file.clone_from(&self.key_file);
        options.server_name.clone_from(&self.server_name);
        options
    }
}

/// A section `broker` that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// Without keep-alive a dead connection is never noticed.
    #[error("broker.keep_alive_s is 0; set it to at least 1 second")]
    NoKeepAlive,
    /// The daemon does not accept as many messages between two commits.
    #[error("broker.max_inflight is {got}; set it to 1 to {MAX_IN_FLIGHT}")]
    MaxInflight {
        /// The number.
        got: usize,
    },
    /// The session cannot be made.
    #[error("broker: {0}")]
    Session(SessionError),
    /// TLS cannot be used.
    #[error("broker.{0}")]
    Tls(TlsError),
    /// A password without a user.
    #[error("broker.password_file needs a user: set broker.username")]
    NoUser,
    /// The password's file cannot be read.
    #[error("broker.password_file: cannot read {}: {source}", path.display())]
    Password {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}

impl Broker {
    /// Options of a session with this broker, without subscriptions.
    pub fn session(&self, warnings: &mut Warnings) -> Result<SessionOptions, BrokerError> {
        if self.keep_alive_s == 0 {
            return Err(BrokerError::NoKeepAlive);
        }
        if !(1..=MAX_IN_FLIGHT).contains(&self.max_inflight) {
            return Err(BrokerError::MaxInflight { got: self.max_inflight });
        }
        if let Some(key) = self.tls.as_ref().and_then(|tls| tls.key_file.as_ref()) {
            warnings.check_private("broker.tls.key_file", key);
        }
        let options = SessionOptions {
            credentials: self.credentials(warnings)?,
            keep_alive_s: self.keep_alive_s,
            tls: self.tls.as_ref().map(Tls::options),
            ..SessionOptions::new(self.host.clone(), self.port, self.client_id.clone())
        };
        options.check().map_err(|error| match error {
            SessionError::Tls(error) => BrokerError::Tls(error),
            error => BrokerError::Session(error),
        })?;
        Ok(options)
    }

    fn credentials(&self, warnings: &mut Warnings) -> Result<Option<(String, String)>, BrokerError> {
        let password = match &self.password_file {
            None => String::new(),
            Some(path) => secret::read("broker.password_file", path, warnings).map_err(|source| BrokerError::Password {
                path: path.clone(),
                source,
            })?,
        };
        match &self.username {
            Some(user) => Ok(Some((user.clone(), password))),
            None if self.password_file.is_some() => Err(BrokerError::NoUser),
            None => Ok(None),
        }
    }
}
