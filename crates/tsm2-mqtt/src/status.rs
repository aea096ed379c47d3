//! The availability of a session, published retained.

use bytes::Bytes;

use crate::outbox::Message;

/// The availability that is published retained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The session is ready.
    Online,
    /// The session has ended, cleanly or not.
    Offline,
}

impl Status {
    /// The payload.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Online => "online",
            Status::Offline => "offline",
        }
    }

    pub(crate) fn message(self, topic: &str) -> Message {
        Message {
            topic: topic.to_owned(),
            payload: Bytes::from_static(self.as_str().as_bytes()),
            retain: true,
        }
    }
}
