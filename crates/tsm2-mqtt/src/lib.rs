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
mod decoder;
mod inbox;
mod options;
mod outbox;
mod publish_truncator;
mod session;
mod template;
mod time;
mod tls;
mod transport;

pub use decoder::{Decoder, DecoderOptions, FieldError, PayloadError, PayloadShape};
pub use inbox::{Acknowledgement, ByteBudget, InFlight, Incoming, MAX_IN_FLIGHT, Receiver};
pub use options::{SessionError, SessionOptions};
pub use outbox::{Closed, Message, PublishError, Publisher};
pub use session::{Session, Status};
pub use template::{Captured, TEMPLATE_STREAM, TEMPLATE_VARIATE, Template, TemplateError, TopicError, topic_level};
pub use time::{TimeFormat, rfc3339};
pub use tls::{TlsError, TlsOptions};
