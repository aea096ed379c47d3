//! What arrives, from the polling task to the consumer, and the way back for acknowledgements.
//!
//! Invariants: delivering never waits; what waits is bounded, by the broker at QoS 1 (it sends no more than it may have unacknowledged) and
//! here at QoS 0; an acknowledgement is sent only on the connection that its message came by, for packet identifiers mean nothing on another.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use rumqttc::{AsyncClient, ManualAck, Publish, QoS};
use tokio::sync::mpsc;
use tracing::warn;

/// Bytes that may wait for the consumer before messages at QoS 0 are dropped and counted.
const MAX_WAITING: usize = 16 << 20;
/// What a waiting message takes beside its topic and payload, roughly.
const OVERHEAD: usize = 256;

/// A message that arrived.
#[derive(Debug)]
pub struct Incoming {
    /// Topic.
    pub topic: String,
    /// Payload.
    pub payload: Bytes,
    /// Whether the broker had it stored when we subscribed: then its time of arrival says nothing.
    pub retain: bool,
    /// When it arrived here.
    pub arrived: SystemTime,
    /// To be told when the message is dealt with; dropped untold, the message comes again after the next reconnect.
    pub ack: Acknowledgement,
    /// To be dropped when topic and payload are no longer needed: until then the message counts as waiting.
    pub place: Place,
}

/// A message's share of what may wait.
#[derive(Debug)]
pub struct Place {
    waiting: Arc<AtomicUsize>,
    bytes: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Acknowledges one message.
#[derive(Debug)]
#[must_use = "a message that is not acknowledged comes again"]
pub struct Acknowledgement {
    link: Arc<Link>,
    generation: u64,
    packet: Option<ManualAck>,
}

impl Acknowledgement {
    /// Whether the broker waits for it: at QoS 0 it does not.
    pub fn is_awaited(&self) -> bool {
        self.packet.is_some()
    }

    /// The message is dealt with.
    pub fn done(self) {
        let generation = self.link.generation();
        if let Some(packet) = self.packet
            && *generation == self.generation
        {
            // It fails only when the session has ended; then the message comes again.
            let _ = self.link.client.try_manual_ack(packet);
        }
    }
}

/// What acknowledgements need: the client, and which connection is the present one.
#[derive(Debug)]
struct Link {
    client: AsyncClient,
    generation: Mutex<u64>,
}

impl Link {
    fn generation(&self) -> MutexGuard<'_, u64> {
        self.generation.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Messages in the order in which they arrived.
#[derive(Debug)]
pub struct Receiver {
    queue: mpsc::UnboundedReceiver<Incoming>,
}

impl Receiver {
    /// The next message; `None` when the session has ended.
    pub async fn recv(&mut self) -> Option<Incoming> {
        self.queue.recv().await
    }
}

/// The polling task's end.
#[derive(Debug)]
pub(crate) struct Inbox {
    link: Arc<Link>,
    queue: mpsc::UnboundedSender<Incoming>,
    waiting: Arc<AtomicUsize>,
    dropped: Arc<AtomicU64>,
}

impl Inbox {
    /// Both ends. `dropped` counts what did not fit.
    pub(crate) fn new(client: AsyncClient, dropped: Arc<AtomicU64>) -> (Self, Receiver) {
        let (queue, out) = mpsc::unbounded_channel();
        let link = Arc::new(Link {
            client,
            generation: Mutex::new(0),
        });
        (
            Inbox {
                link,
                queue,
                waiting: Arc::default(),
                dropped,
            },
            Receiver { queue: out },
        )
    }

    /// Hands a message to the consumer.
    pub(crate) fn deliver(&self, publish: Publish) {
        if publish.qos == QoS::AtMostOnce && self.waiting.load(Ordering::Relaxed) >= MAX_WAITING {
            if self.dropped.fetch_add(1, Ordering::Relaxed) == 0 {
                warn!(
                    waiting_bytes = MAX_WAITING,
                    "messages at QoS 0 arrive faster than they are dealt with; dropping"
                );
            }
            return;
        }
        let packet = self.link.client.prepare_ack(&publish);
        let ack = Acknowledgement {
            link: self.link.clone(),
            generation: *self.link.generation(),
            packet,
        };
        let topic = String::from_utf8_lossy(&publish.topic).into_owned();
        let bytes = topic.len() + publish.payload.len() + OVERHEAD;
        self.waiting.fetch_add(bytes, Ordering::Relaxed);
        let incoming = Incoming {
            place: Place {
                waiting: self.waiting.clone(),
                bytes,
            },
            topic,
            payload: publish.payload,
            retain: publish.retain,
            arrived: SystemTime::now(),
            ack,
        };
        // Without a receiver nobody wants messages; unacknowledged, they stay with the broker.
        let _ = self.queue.send(incoming);
    }

    /// The connection is gone: acknowledgements of what came by it are void.
    pub(crate) fn disconnected(&self) {
        *self.link.generation() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rumqttc::MqttOptions;

    #[tokio::test]
    async fn messages_at_qos_0_wait_within_a_bound_of_bytes() {
        let (client, _events) = AsyncClient::builder(MqttOptions::new("device", ("localhost", 1883)))
            .unbounded()
            .build();
        let dropped = Arc::<AtomicU64>::default();
        let (inbox, mut receiver) = Inbox::new(client, dropped.clone());
        let message = |qos| Publish::new("in/x", qos, vec![0; MAX_WAITING / 4]);
        for _ in 0..6 {
            inbox.deliver(message(QoS::AtMostOnce));
        }
        assert_eq!(dropped.load(Ordering::Relaxed), 2);
        inbox.deliver(message(QoS::AtLeastOnce));
        assert_eq!(dropped.load(Ordering::Relaxed), 2, "the broker bounds those");
        for _ in 0..5 {
            receiver.recv().await.unwrap();
        }
        assert_eq!(inbox.waiting.load(Ordering::Relaxed), 0);
        inbox.deliver(message(QoS::AtMostOnce));
        assert_eq!(dropped.load(Ordering::Relaxed), 2);
    }
}
