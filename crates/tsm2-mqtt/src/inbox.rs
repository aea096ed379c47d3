//! Inbox: a queue from the polling task to one consumer, and the way back for acknowledgements.
//!
//! Who competes: the polling task delivers and never waits; one [`Receiver`] takes; any thread
//! acknowledges.
//!
//! What happens when it is full:
//! - QoS 1: the broker stops at its own limit of unacknowledged messages. The consumer gets no more
//!   than [`MAX_IN_FLIGHT`] before it acknowledges some: mosquitto 2.0.11 exceeds its limit under
//!   load and then uses packet identifiers of unacknowledged messages again.
//! - QoS 0: messages above [`MAX_WAITING`] bytes are dropped and counted.
//!
//! Acknowledgements leave in the order of their messages, and only on the connection that brought
//! those messages: a packet identifier means nothing on another connection.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use rumqttc::{AsyncClient, ManualAck, Publish, QoS};
use tokio::sync::{Notify, mpsc};
use tracing::warn;

use crate::ack_reorder_buffer::AckReorderBuffer;

/// Bytes that may wait for the consumer before messages at QoS 0 are dropped.
const MAX_WAITING: usize = 16 << 20;
/// Messages at QoS 1 that the consumer may hold unacknowledged: half of the packet identifiers.
pub const MAX_IN_FLIGHT: usize = 32_768;
/// Memory of a waiting message besides topic and payload, in bytes, roughly.
const OVERHEAD: usize = 256;

/// A message that arrived.
#[derive(Debug)]
pub struct Incoming {
    /// Topic.
    pub topic: String,
    /// Payload.
    pub payload: Bytes,
    /// Whether it is a retained message from before the subscription. Its time of arrival then means
    /// nothing.
    pub retain: bool,
    /// Time of arrival by the wall clock.
    pub arrived: SystemTime,
    /// Time of arrival by the monotonic clock, for durations.
    pub arrived_at: Instant,
    /// To be called when the message is durable. Dropped without that call, the message comes again
    /// after the next reconnect.
    pub ack: Acknowledgement,
    /// To be dropped with topic and payload: until then the message counts as waiting.
    pub budget: ByteBudget,
}

/// A message's share of the bytes that may wait.
#[derive(Debug)]
pub struct ByteBudget {
    waiting: Arc<AtomicUsize>,
    bytes: usize,
}

impl ByteBudget {
    /// The payload has been replaced by one of another length.
    pub fn replace_payload(&mut self, old: usize, new: usize) {
        self.waiting.fetch_add(new, Ordering::Relaxed);
        self.waiting.fetch_sub(old, Ordering::Relaxed);
        self.bytes = self.bytes + new - old;
    }
}

impl Drop for ByteBudget {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Acknowledges one message.
#[derive(Debug)]
#[must_use = "a message that is not acknowledged comes again"]
pub struct Acknowledgement {
    channel: Arc<AckChannel>,
    /// Number of the connection.
    connection: u64,
    number: u64,
    packet: Option<ManualAck>,
    /// Whether the consumer has the message.
    held: bool,
}

impl Acknowledgement {
    /// Whether the broker waits for it: at QoS 0 it does not.
    pub fn is_awaited(&self) -> bool {
        self.packet.is_some()
    }

    /// Acknowledges the message. Returns how many acknowledgements now wait for an earlier message.
    pub fn done(mut self) -> usize {
        let packet = self.packet.take();
        if packet.is_some() { self.finish(packet) } else { 0 }
    }

    fn finish(&self, packet: Option<ManualAck>) -> usize {
        if self.held {
            self.channel.held.fetch_sub(1, Ordering::Relaxed);
            self.channel.room.notify_one();
        }
        let mut pending = self.channel.pending();
        if pending.connection != self.connection {
            return 0;
        }
        for packet in pending.order.finish(self.number, packet) {
            // An error means that the session has ended: the message comes again.
            let _ = self.channel.client.try_manual_ack(packet);
        }
        pending.order.waiting()
    }
}

impl Drop for Acknowledgement {
    /// A message that is never acknowledged does not hold up later ones.
    fn drop(&mut self) {
        if self.packet.is_some() {
            self.finish(None);
        }
    }
}

/// Where acknowledgements go.
#[derive(Debug)]
struct AckChannel {
    client: AsyncClient,
    pending: Mutex<PendingAcks>,
    /// Messages at QoS 1 that the consumer holds unacknowledged.
    held: AtomicUsize,
    /// Notified when they become fewer.
    room: Notify,
}

/// Acknowledgements that are due on the current connection.
#[derive(Debug)]
struct PendingAcks {
    connection: u64,
    order: AckReorderBuffer<ManualAck>,
}

impl AckChannel {
    fn pending(&self) -> MutexGuard<'_, PendingAcks> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The consumer's end: messages in order of arrival.
#[derive(Debug)]
pub struct Receiver {
    channel: Arc<AckChannel>,
    queue: mpsc::UnboundedReceiver<Incoming>,
}

impl Receiver {
    /// The next message; `None` when the session has ended. Waits while the consumer holds
    /// [`MAX_IN_FLIGHT`] unacknowledged messages. Cancel safe.
    pub async fn recv(&mut self) -> Option<Incoming> {
        while self.channel.held.load(Ordering::Relaxed) >= MAX_IN_FLIGHT {
            self.channel.room.notified().await;
        }
        let mut incoming = self.queue.recv().await?;
        if incoming.ack.is_awaited() {
            self.channel.held.fetch_add(1, Ordering::Relaxed);
            incoming.ack.held = true;
        }
        Some(incoming)
    }

    /// A handle that counts unacknowledged messages.
    pub fn in_flight(&self) -> InFlight {
        InFlight {
            channel: self.channel.clone(),
        }
    }
}

/// Counts the messages at QoS 1 that are not acknowledged. Cheap to clone.
#[derive(Debug, Clone)]
pub struct InFlight {
    channel: Arc<AckChannel>,
}

impl InFlight {
    /// Messages of the current connection that are not acknowledged yet, with those that still wait
    /// for the consumer. When the count reaches the broker's limit (20 by default with mosquitto),
    /// no more messages come before some are acknowledged.
    pub fn count(&self) -> usize {
        self.channel.pending().order.len()
    }
}

/// The polling task's end.
#[derive(Debug)]
pub(crate) struct Inbox {
    channel: Arc<AckChannel>,
    queue: mpsc::UnboundedSender<Incoming>,
    waiting: Arc<AtomicUsize>,
    dropped: Arc<AtomicU64>,
}

impl Inbox {
    /// Both ends. `dropped` counts messages that did not fit.
    pub(crate) fn new(client: AsyncClient, dropped: Arc<AtomicU64>) -> (Self, Receiver) {
        let (queue, out) = mpsc::unbounded_channel();
        let channel = Arc::new(AckChannel {
            client,
            pending: Mutex::new(PendingAcks {
                connection: 0,
                order: AckReorderBuffer::new(),
            }),
            held: AtomicUsize::new(0),
            room: Notify::new(),
        });
        (
            Inbox {
                channel: channel.clone(),
                queue,
                waiting: Arc::default(),
                dropped,
            },
            Receiver { channel, queue: out },
        )
    }

    /// Hands a message to the consumer.
    pub(crate) fn deliver(&self, publish: Publish) {
        if publish.qos == QoS::AtMostOnce && self.waiting.load(Ordering::Relaxed) >= MAX_WAITING {
            if self.dropped.fetch_add(1, Ordering::Relaxed) == 0 {
                warn!(
                    waiting_bytes = MAX_WAITING,
                    "dropping messages at QoS 0: they arrive faster than they are processed; publish at QoS 1"
                );
            }
            return;
        }
        let packet = self.channel.client.prepare_ack(&publish);
        let ack = {
            let mut pending = self.channel.pending();
            Acknowledgement {
                channel: self.channel.clone(),
                connection: pending.connection,
                number: packet.as_ref().map_or(0, |_| pending.order.begin()),
                packet,
                held: false,
            }
        };
        let topic = String::from_utf8_lossy(&publish.topic).into_owned();
        let bytes = topic.len() + publish.payload.len() + OVERHEAD;
        self.waiting.fetch_add(bytes, Ordering::Relaxed);
        let incoming = Incoming {
            budget: ByteBudget {
                waiting: self.waiting.clone(),
                bytes,
            },
            topic,
            payload: publish.payload,
            retain: publish.retain,
            arrived: SystemTime::now(),
            arrived_at: Instant::now(),
            ack,
        };
        // An error means that there is no receiver: unacknowledged, the message stays with the broker.
        let _ = self.queue.send(incoming);
    }

    /// The connection is gone: its acknowledgements are void.
    pub(crate) fn disconnected(&self) {
        let mut pending = self.channel.pending();
        *pending = PendingAcks {
            connection: pending.connection + 1,
            order: AckReorderBuffer::new(),
        };
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
        assert_eq!(dropped.load(Ordering::Relaxed), 2, "the broker bounds messages at QoS 1");
        for _ in 0..5 {
            receiver.recv().await.unwrap();
        }
        assert_eq!(inbox.waiting.load(Ordering::Relaxed), 0);
        inbox.deliver(message(QoS::AtMostOnce));
        assert_eq!(dropped.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_payload_that_became_longer_takes_more_of_the_bound() {
        let (client, _events) = AsyncClient::builder(MqttOptions::new("device", ("localhost", 1883)))
            .unbounded()
            .build();
        let dropped = Arc::<AtomicU64>::default();
        let (inbox, mut receiver) = Inbox::new(client, dropped.clone());
        let message = || Publish::new("in/x", QoS::AtMostOnce, "12345");
        inbox.deliver(message());
        let mut translated = receiver.recv().await.unwrap();
        translated.budget.replace_payload(5, MAX_WAITING);
        inbox.deliver(message());
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
        drop(translated);
        assert_eq!(inbox.waiting.load(Ordering::Relaxed), 0);
    }

    /// Whether `future` is still pending after everything ready has run.
    async fn is_pending<T>(future: impl Future<Output = T>) -> bool {
        tokio::select! {
            biased;
            _ = future => false,
            () = std::future::ready(()) => true,
        }
    }

    #[tokio::test]
    async fn the_consumer_gets_no_more_than_it_can_acknowledge() {
        let (client, _events) = AsyncClient::builder(MqttOptions::new("device", ("localhost", 1883)))
            .unbounded()
            .build();
        let (inbox, mut receiver) = Inbox::new(client, Arc::default());
        for pkid in 1..=MAX_IN_FLIGHT + 2 {
            inbox.deliver(Publish {
                pkid: pkid as u16,
                ..Publish::new("in/x", QoS::AtLeastOnce, "1")
            });
        }
        let mut held = Vec::new();
        for _ in 0..MAX_IN_FLIGHT {
            held.push(receiver.recv().await.unwrap().ack);
        }
        assert!(is_pending(receiver.recv()).await);
        held.pop().unwrap().done();
        let next = receiver.recv().await.unwrap();
        assert!(is_pending(receiver.recv()).await);
        drop((held, next));
        assert!(receiver.recv().await.is_some(), "an abandoned message makes room, too");
    }

    #[tokio::test]
    async fn acknowledgements_wait_for_those_of_earlier_messages() {
        let (client, _events) = AsyncClient::builder(MqttOptions::new("device", ("localhost", 1883)))
            .unbounded()
            .build();
        let (inbox, mut receiver) = Inbox::new(client, Arc::default());
        let message = |qos, pkid| Publish {
            pkid,
            ..Publish::new("in/x", qos, "1")
        };
        for pkid in 1..=3 {
            inbox.deliver(message(QoS::AtLeastOnce, pkid));
        }
        inbox.deliver(message(QoS::AtMostOnce, 0));
        assert_eq!(receiver.in_flight().count(), 3);
        let mut acks = Vec::new();
        for _ in 0..4 {
            acks.push(receiver.recv().await.unwrap().ack);
        }
        let mut done = || acks.pop().unwrap().done();
        assert_eq!(done(), 0, "QoS 0 has no acknowledgement");
        assert_eq!([done(), done(), done()], [1, 2, 0]);
        assert_eq!(receiver.in_flight().count(), 0);
        for pkid in 1..=2 {
            inbox.deliver(message(QoS::AtLeastOnce, pkid));
        }
        let first = receiver.recv().await.unwrap().ack;
        let second = receiver.recv().await.unwrap().ack;
        assert_eq!(second.done(), 1);
        inbox.disconnected();
        assert_eq!(first.done(), 0, "its connection is gone");
        assert_eq!(inbox.channel.pending().order.waiting(), 0);
    }
}
