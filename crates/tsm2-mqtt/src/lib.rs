//! MQTT for TSM2 Edge: payload decoders, topic templates, and one session with a broker.
//!
//! - [`Template`]: a topic with placeholders. It gives the filter to subscribe to, and reads the
//!   names of stream and variate out of a topic.
//! - [`Decoder`]: payload bytes to readings and their times, with bounds on size and depth.
//! - [`Sparkplug`]: Sparkplug B messages to JSON, with the names and aliases of each edge node.
//! - [`Session`]: an MQTT 3.1.1 client session. It reconnects and resubscribes by itself.
//!   [`Receiver`] gives the messages; each is acknowledged by itself ([`Acknowledgement`]).
//!   [`Publisher`] keeps each message until the broker has acknowledged it.
//!
//! Nothing outside this crate names the MQTT client library.

mod ack_reorder_buffer;
mod backoff;
mod connection;
mod inbox;
mod on_connect;
mod options;
mod outbox;
mod payload;
mod publish_truncator;
mod session;
mod session_record;
mod sparkplug;
mod status;
mod template;
mod tls;
mod transport;

pub use inbox::{Acknowledgement, ByteBudget, InFlight, Incoming, MAX_IN_FLIGHT, Receiver};
pub use on_connect::SessionState;
pub use options::{SessionError, SessionOptions};
pub use outbox::{Closed, Message, Publisher};
pub use payload::{
    Condition, Decoder, DecoderOptions, Field, Outcome, Path, PathError, Payload, PayloadError, PayloadFormat, PayloadShape, TimeFormat,
    ValueRule, Words, rfc3339,
};
pub use session::Session;
pub use session_record::{RecordedSession, recorded_sessions};
pub use sparkplug::{Rebirth, Sparkplug, SparkplugError, Translated};
pub use status::Status;
pub use template::{Captured, MAX_NAME, TEMPLATE_STREAM, TEMPLATE_VARIATE, Template, TemplateError, TopicError, topic_level};
pub use tls::{TlsError, TlsOptions};
