//! What arrives, from the polling task to the consumer, and the way back for acknowledgements.
//!
//! Invariants: delivering never waits; what waits is bounded, by the broker at QoS 1 (it sends no more than it may have unacknowledged, at most
//! one per packet identifier) and here at QoS 0; the consumer is given no more than [`MOST_TAKEN`] messages before it acknowledges some, however
//! long that takes it: mosquitto 2.0.11 does not keep to its own bound in a flood, and beyond the packet identifiers there are it uses those of
//! unacknowledged messages again; acknowledgements leave in the order of their messages, and only on the connection that those came by, for
//! packet identifiers mean nothing on another.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use rumqttc::{AsyncClient, ManualAck, Publish, QoS};
use tokio::sync::{Notify, mpsc};
use tracing::warn;

use crate::in_order::InOrder;

/// Bytes that may wait for the consumer before messages at QoS 0 are dropped and counted.
const MAX_WAITING: usize = 16 << 20;
/// Messages at QoS 1 that the consumer may have taken and not acknowledged: half of the packet identifiers.
pub const MOST_TAKEN: usize = 32_768;
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
    number: u64,
    packet: Option<ManualAck>,
    /// Whether it counts among those that the consumer has taken.
    taken: bool,
}

impl Acknowledgement {
    /// Whether the broker waits for it: at QoS 0 it does not.
    pub fn is_awaited(&self) -> bool {
        self.packet.is_some()
    }

    /// The message is dealt with. Returns how many of those that are wait for an earlier one, which must be acknowledged first.
    pub fn done(mut self) -> usize {
        let packet = self.packet.take();
        if packet.is_some() { self.settle(packet) } else { 0 }
    }

    fn settle(&self, packet: Option<ManualAck>) -> usize {
        if self.taken {
            self.link.taken.fetch_sub(1, Ordering::Relaxed);
            self.link.room.notify_one();
        }
        let mut owed = self.link.owed();
        if owed.generation != self.generation {
            return 0;
        }
        for packet in owed.order.settle(self.number, packet) {
            // It fails only when the session has ended; then the message comes again.
            let _ = self.link.client.try_manual_ack(packet);
        }
        owed.order.waiting()
    }
}

impl Drop for Acknowledgement {
    /// What is never acknowledged does not hold up what came after it.
    fn drop(&mut self) {
        if self.packet.is_some() {
            self.settle(None);
        }
    }
}

/// What acknowledgements need: the client, and what is owed on the present connection.
#[derive(Debug)]
struct Link {
    client: AsyncClient,
    owed: Mutex<Owed>,
    /// Messages at QoS 1 that the consumer has and did not acknowledge.
    taken: AtomicUsize,
    /// Told when they become fewer.
    room: Notify,
}

/// The acknowledgements owed on one connection.
#[derive(Debug)]
struct Owed {
    generation: u64,
    order: InOrder<ManualAck>,
}

impl Link {
    fn owed(&self) -> MutexGuard<'_, Owed> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Messages in the order in which they arrived.
#[derive(Debug)]
pub struct Receiver {
    link: Arc<Link>,
    queue: mpsc::UnboundedReceiver<Incoming>,
}

impl Receiver {
    /// The next message, once the consumer has acknowledged enough of those that it has; `None` when the session has ended. Nothing is lost when the future is dropped.
    pub async fn recv(&mut self) -> Option<Incoming> {
        while self.link.taken.load(Ordering::Relaxed) >= MOST_TAKEN {
            self.link.room.notified().await;
        }
        let mut incoming = self.queue.recv().await?;
        if incoming.ack.is_awaited() {
            self.link.taken.fetch_add(1, Ordering::Relaxed);
            incoming.ack.taken = true;
        }
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
        let link = Arc::new(Link {
            client,
            owed: Mutex::new(Owed {
                generation: 0,
                order: InOrder::new(),
            }),
            taken: AtomicUsize::new(0),
            room: Notify::new(),
        });
        (
            Inbox {
                link: link.clone(),
                queue,
                waiting: Arc::default(),
                dropped,
            },
            Receiver { link, queue: out },
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
        let ack = {
            let mut owed = self.link.owed();
            Acknowledgement {
                link: self.link.clone(),
                generation: owed.generation,
                number: packet.as_ref().map_or(0, |_| owed.order.open()),
                packet,
                taken: false,
            }
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
        let mut owed = self.link.owed();
        *owed = Owed {
            generation: owed.generation + 1,
            order: InOrder::new(),
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
        assert_eq!(dropped.load(Ordering::Relaxed), 2, "the broker bounds those");
        for _ in 0..5 {
            receiver.recv().await.unwrap();
        }
        assert_eq!(inbox.waiting.load(Ordering::Relaxed), 0);
        inbox.deliver(message(QoS::AtMostOnce));
        assert_eq!(dropped.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn nobody_is_given_more_than_can_be_acknowledged() {
        let (client, _events) = AsyncClient::builder(MqttOptions::new("device", ("localhost", 1883)))
            .unbounded()
            .build();
        let (inbox, mut receiver) = Inbox::new(client, Arc::default());
        for pkid in 1..=MOST_TAKEN + 2 {
            inbox.deliver(Publish {
                pkid: pkid as u16,
                ..Publish::new("in/x", QoS::AtLeastOnce, "1")
            });
        }
        let mut taken = Vec::new();
        for _ in 0..MOST_TAKEN {
            taken.push(receiver.recv().await.unwrap().ack);
        }
        let soon = std::time::Duration::from_millis(20);
        assert!(tokio::time::timeout(soon, receiver.recv()).await.is_err());
        let later = tokio::spawn(async move { (receiver.recv().await, receiver) });
        taken.pop().unwrap().done();
        let (came, mut receiver) = later.await.unwrap();
        assert!(came.is_some());
        assert!(tokio::time::timeout(soon, receiver.recv()).await.is_err());
        drop((taken, came));
        assert!(receiver.recv().await.is_some(), "what is given up makes room, too");
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
        let mut acks = Vec::new();
        for _ in 0..4 {
            acks.push(receiver.recv().await.unwrap().ack);
        }
        let mut done = || acks.pop().unwrap().done();
        assert_eq!(done(), 0, "nobody waits for an answer at QoS 0");
        assert_eq!([done(), done(), done()], [1, 2, 0]);
        for pkid in 1..=2 {
            inbox.deliver(message(QoS::AtLeastOnce, pkid));
        }
        let first = receiver.recv().await.unwrap().ack;
        let second = receiver.recv().await.unwrap().ack;
        assert_eq!(second.done(), 1);
        inbox.disconnected();
        assert_eq!(first.done(), 0, "it belongs to a connection that is no more");
        assert_eq!(inbox.link.owed().order.waiting(), 0);
    }
}
