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

/// Messages at QoS 0 that may wait for the consumer; beyond, they are dropped and counted.
const MAX_WAITING_QOS0: usize = 10_000;

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
    waiting: Arc<AtomicUsize>,
}

impl Receiver {
    /// The next message; `None` when the session has ended.
    pub async fn recv(&mut self) -> Option<Incoming> {
        let incoming = self.queue.recv().await?;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        Some(incoming)
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
        let waiting = Arc::<AtomicUsize>::default();
        let link = Arc::new(Link {
            client,
            generation: Mutex::new(0),
        });
        (
            Inbox {
                link,
                queue,
                waiting: waiting.clone(),
                dropped,
            },
            Receiver { queue: out, waiting },
        )
    }

    /// Hands a message to the consumer.
    pub(crate) fn deliver(&self, publish: Publish) {
        if publish.qos == QoS::AtMostOnce && self.waiting.load(Ordering::Relaxed) >= MAX_WAITING_QOS0 {
            if self.dropped.fetch_add(1, Ordering::Relaxed) == 0 {
                warn!(
                    waiting = MAX_WAITING_QOS0,
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
        self.waiting.fetch_add(1, Ordering::Relaxed);
        // Without a receiver nobody wants messages; unacknowledged, they stay with the broker.
        let _ = self.queue.send(Incoming {
            topic,
            payload: publish.payload,
            retain: publish.retain,
            arrived: SystemTime::now(),
            ack,
        });
    }

    /// The connection is gone: acknowledgements of what came by it are void.
    pub(crate) fn disconnected(&self) {
        *self.link.generation() += 1;
    }
}
