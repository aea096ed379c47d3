//! Payload codecs, topic templates and the one MQTT session of TSM2 Edge.
//!
//! - [`Template`]: which topics to subscribe to, and which stream and variate a topic speaks of;
//! - [`Decoder`]: bytes of a payload to values and their time, with bounds on size and depth;
//! - [`Session`]: the connection itself. It reconnects and resubscribes by itself, hands out messages that are acknowledged one by one, and
//!   keeps what is to be published until the broker has it.
//!
//! Nothing outside this crate names the MQTT client library.

mod bounded;
mod codec;
mod in_order;
mod inbox;
mod options;
mod outbox;
mod session;
mod time;
mod tls;
mod topic;
mod wire;

pub use codec::{Decoder, DecoderOptions, FieldError, PayloadError, Shape};
pub use inbox::{Acknowledgement, Incoming, MOST_TAKEN, Place, Receiver};
pub use options::{SessionError, SessionOptions};
pub use outbox::{Closed, Message, Publisher};
pub use session::{Session, Status};
pub use time::{TimeFormat, rfc3339};
pub use tls::{TlsError, TlsOptions};
pub use topic::{Captured, TEMPLATE_STREAM, TEMPLATE_VARIATE, Template, TemplateError, TopicError, topic_level};
