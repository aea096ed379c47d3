//! Source: messages in, acknowledgements back. MQTT is the first implementation.

use std::future::Future;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use tsm2_mqtt::{Acknowledgement, ByteBudget, Receiver};

/// The way back to the sender of one message.
///
/// Dropping it without [`Acknowledge::done`] means: deliver the message again later.
pub trait Acknowledge: Send + 'static {
    /// Whether the sender waits for it. A message that nobody waits for does not come again.
    fn is_awaited(&self) -> bool;

    /// The message is processed and its effects are durable.
    fn done(self);
}

/// One message.
#[derive(Debug)]
pub struct Message<A> {
    /// Topic.
    pub topic: String,
    /// Payload.
    pub payload: Bytes,
    /// Whether the sender had stored it: then its time of arrival says nothing.
    pub retained: bool,
    /// Wall clock at arrival.
    pub arrived: SystemTime,
    /// Monotonic clock at arrival.
    pub arrived_at: Instant,
    /// The way back.
    pub ack: A,
    /// Memory accounted to the message, freed when it is dropped.
    pub budget: Option<ByteBudget>,
}

/// Messages with acknowledgements, in the order of each stream.
pub trait Source: Send + 'static {
    /// Its acknowledgements.
    type Ack: Acknowledge;

    /// The next message; `None` when the source has ended. Cancelling loses nothing.
    fn recv(&mut self) -> impl Future<Output = Option<Message<Self::Ack>>> + Send;
}

impl Acknowledge for Acknowledgement {
    fn is_awaited(&self) -> bool {
        Acknowledgement::is_awaited(self)
    }

    fn done(self) {
        Acknowledgement::done(self);
    }
}

impl Source for Receiver {
    type Ack = Acknowledgement;

    async fn recv(&mut self) -> Option<Message<Acknowledgement>> {
        let incoming = Receiver::recv(self).await?;
        Some(Message {
            topic: incoming.topic,
            payload: incoming.payload,
            retained: incoming.retain,
            arrived: incoming.arrived,
            arrived_at: incoming.arrived_at,
            ack: incoming.ack,
            budget: Some(incoming.budget),
        })
    }
}
