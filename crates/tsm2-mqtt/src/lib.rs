//! MQTT for TSM2 Edge: payload decoders, topic templates, and one session with a broker.
//!
//! - [`Template`]: a topic with placeholders. It gives the filter to subscribe to, and reads the
//!   names of stream and variate out of a topic.
//! - [`Decoder`]: payload bytes to values and their time, with bounds on size and depth.
//! - [`Session`]: an MQTT 3.1.1 client session. It reconnects and resubscribes by itself.
//!   [`Receiver`] gives the messages; each is acknowledged by itself ([`Acknowledgement`]).
//!   [`Publisher`] keeps each message until the broker has acknowledged it.
//!
//! Nothing outside this crate names the MQTT client library.

mod ack_reorder_buffer;
mod backoff;
mod connection;
mod decoder;
mod inbox;
mod on_connect;
mod options;
mod outbox;
mod publish_truncator;
mod session;
mod session_record;
mod status;
mod template;
mod time;
mod tls;
mod transport;

pub use decoder::{Decoder, DecoderOptions, FieldError, PayloadError, PayloadShape};
pub use inbox::{Acknowledgement, ByteBudget, InFlight, Incoming, MAX_IN_FLIGHT, Receiver};
pub use on_connect::SessionState;
pub use options::{SessionError, SessionOptions};
pub use outbox::{Closed, Message, Publisher};
pub use session::Session;
pub use session_record::{RecordedSession, recorded_sessions};
pub use status::Status;
pub use template::{Captured, TEMPLATE_STREAM, TEMPLATE_VARIATE, Template, TemplateError, TopicError, topic_level};
pub use time::{TimeFormat, rfc3339};
pub use tls::{TlsError, TlsOptions};
