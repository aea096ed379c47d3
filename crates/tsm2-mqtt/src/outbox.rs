//! Outbox: an ordered queue with replacement by topic, from many publishers to the one session.
//!
//! Who competes: any number of [`Publisher`]s put messages in; the sending task takes them out. Each
//! message stays until the broker has acknowledged it, because the client library forgets
//! unacknowledged publishes when the broker answers a reconnect without a session.
//!
//! What happens when it is full:
//! - with a connection, publishers wait while [`WINDOW`] messages are unacknowledged;
//! - without a connection, a retained message replaces the waiting one of the same topic, so memory
//!   is bounded by the number of topics; other messages wait as above.
//!
//! Invariants: messages leave in the order in which they came; an older payload of a retained topic
//! never follows a newer one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

/// Messages that may be unacknowledged while a connection stands.
const WINDOW: usize = 512;

/// A message to publish, at QoS 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Topic.
    pub topic: String,
    /// Payload.
    pub payload: Bytes,
    /// Whether the broker keeps it for later subscribers.
    pub retain: bool,
}

/// The session has ended: nothing is published any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the MQTT session is closed")]
pub struct Closed;

/// The order of arrival, and the identity of a message.
pub(crate) type Sequence = u64;

#[derive(Debug, Default)]
struct Inner {
    connected: bool,
    closed: bool,
    next: Sequence,
    waiting: BTreeMap<Sequence, Message>,
    in_flight: BTreeSet<Sequence>,
    /// Of those, the messages of the last connection. Until each is settled nothing overtakes them.
    left_behind: BTreeSet<Sequence>,
    /// The newest message of each retained topic.
    newest: HashMap<String, Sequence>,
    /// Newest messages that are acknowledged, while an older message is not.
    acknowledged: BTreeMap<Sequence, String>,
}

/// Shared between publishers and the sending task.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    inner: Mutex<Inner>,
    changed: Notify,
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `step` on the content, again after each change, until it returns something.
    async fn until<T>(&self, mut step: impl FnMut(&mut Inner) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(done) = step(&mut self.lock()) {
                self.changed.notify_waiters();
                return done;
            }
            changed.await;
        }
    }

    pub(crate) fn set_connected(&self, connected: bool) {
        let mut inner = self.lock();
        inner.connected = connected;
        if !connected {
            inner.left_behind = inner.in_flight.clone();
        }
        drop(inner);
        self.changed.notify_waiters();
    }

    /// Takes no more from publishers. What is here still leaves.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_waiters();
    }

    /// For the session itself: takes a message whether or not there is room, even when closed.
    pub(crate) fn put(&self, message: Message) {
        self.lock().put(message);
        self.changed.notify_waiters();
    }

    /// Waits for a message to send and takes it.
    pub(crate) async fn take(&self) -> (Sequence, Message) {
        self.until(|inner| {
            let may_leave = inner.connected && inner.left_behind.is_empty();
            let first = may_leave.then(|| inner.waiting.pop_first()).flatten()?;
            inner.in_flight.insert(first.0);
            Some(first)
        })
        .await
    }

    /// The broker has acknowledged a message of this topic.
    pub(crate) fn acknowledged(&self, sequence: Sequence, topic: String) {
        let mut inner = self.lock();
        inner.settle(sequence);
        if inner.newest.get(&topic) == Some(&sequence) {
            inner.acknowledged.insert(sequence, topic);
        }
        inner.forget_acknowledged();
        drop(inner);
        self.changed.notify_waiters();
    }

    /// A message was not delivered. It leaves again, unless a newer one of its retained topic exists.
    pub(crate) fn failed(&self, sequence: Sequence, message: Message) {
        let mut inner = self.lock();
        inner.settle(sequence);
        if !message.retain || inner.newest.get(&message.topic) == Some(&sequence) {
            inner.waiting.insert(sequence, message);
        }
        inner.forget_acknowledged();
        drop(inner);
        self.changed.notify_waiters();
    }

    /// Waits until each message that was put before this call is acknowledged or replaced, or can no
    /// longer be.
    pub(crate) async fn flush(&self) -> Result<(), Closed> {
        let end = self.lock().next;
        self.until(|inner| {
            if inner.oldest().is_none_or(|oldest| oldest >= end) {
                return Some(Ok(()));
            }
            (inner.closed && !inner.connected).then_some(Err(Closed))
        })
        .await
    }

    /// Messages not yet acknowledged.
    pub(crate) fn len(&self) -> usize {
        let inner = self.lock();
        inner.waiting.len() + inner.in_flight.len()
    }
}

impl Inner {
    fn put(&mut self, message: Message) {
        let sequence = self.next;
        self.next += 1;
        if message.retain
            && let Some(older) = self.newest.insert(message.topic.clone(), sequence)
            && !self.connected
        {
            self.waiting.remove(&older);
        }
        self.waiting.insert(sequence, message);
    }

    /// Takes the message out of `slot` if there is room for it.
    fn try_put(&mut self, slot: &mut Option<Message>) -> Option<Result<(), Closed>> {
        if self.closed {
            return Some(Err(Closed));
        }
        let message = slot.take_if(|message| self.has_room(message))?;
        self.put(message);
        Some(Ok(()))
    }

    fn settle(&mut self, sequence: Sequence) {
        self.in_flight.remove(&sequence);
        self.left_behind.remove(&sequence);
    }

    /// A topic whose newest message is acknowledged is remembered only while an older message, perhaps
    /// of the same topic, may still fail.
    fn forget_acknowledged(&mut self) {
        let oldest = self.oldest();
        while let Some(entry) = self.acknowledged.first_entry()
            && oldest.is_none_or(|oldest| *entry.key() < oldest)
        {
            let (sequence, topic) = entry.remove_entry();
            if self.newest.get(&topic) == Some(&sequence) {
                self.newest.remove(&topic);
            }
        }
    }

    /// The oldest message that is not acknowledged yet.
    fn oldest(&self) -> Option<Sequence> {
        let waiting = self.waiting.first_key_value().map(|(&sequence, _)| sequence);
        waiting.into_iter().chain(self.in_flight.first().copied()).min()
    }

    fn has_room(&self, message: &Message) -> bool {
        self.waiting.len() + self.in_flight.len() < WINDOW || (message.retain && !self.connected)
    }
}

/// Publishes through a session. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Publisher {
    pub(crate) outbox: Arc<Outbox>,
}

impl Publisher {
    /// Hands a message over, after waiting for room. It leaves in its turn, again after every lost
    /// connection, until the broker has acknowledged it.
    ///
    /// # Errors
    /// The session has ended.
    pub async fn publish(&self, message: Message) -> Result<(), Closed> {
        let mut message = Some(message);
        self.outbox.until(|inner| inner.try_put(&mut message)).await
    }

    /// Waits until the broker has acknowledged each message handed over before this call, by any
    /// publisher. It does not wait for later ones. Cancel safe.
    ///
    /// # Errors
    /// The session ended before.
    pub async fn flush(&self) -> Result<(), Closed> {
        self.outbox.flush().await
    }

    /// Messages handed over that the broker has not acknowledged yet.
    pub fn unacknowledged(&self) -> usize {
        self.outbox.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(topic: &str, payload: &'static str, retain: bool) -> Message {
        Message {
            topic: topic.into(),
            payload: Bytes::from_static(payload.as_bytes()),
            retain,
        }
    }

    fn publisher() -> Publisher {
        Publisher { outbox: Arc::default() }
    }

    async fn take(publisher: &Publisher) -> (Sequence, Message) {
        publisher.outbox.take().await
    }

    #[tokio::test]
    async fn without_a_connection_the_newest_of_a_retained_topic_replaces_the_older() {
        let publisher = publisher();
        for (topic, payload, retain) in [
            ("a", "1", true),
            ("b", "1", true),
            ("c", "1", false),
            ("a", "2", true),
            ("c", "2", false),
        ] {
            publisher.publish(message(topic, payload, retain)).await.unwrap();
        }
        publisher.outbox.set_connected(true);
        let mut left = Vec::new();
        while publisher.unacknowledged() > 0 {
            let (sequence, message) = take(&publisher).await;
            left.push((message.topic.clone(), message.payload.clone()));
            publisher.outbox.acknowledged(sequence, message.topic);
        }
        let expected = [("b", "1"), ("c", "1"), ("a", "2"), ("c", "2")].map(|(t, p)| (t.to_owned(), Bytes::from_static(p.as_bytes())));
        assert_eq!(left, expected);
    }

    #[tokio::test]
    async fn with_a_connection_nothing_is_replaced() {
        let publisher = publisher();
        publisher.outbox.set_connected(true);
        for payload in ["1", "2", "3"] {
            publisher.publish(message("a", payload, true)).await.unwrap();
        }
        assert_eq!(publisher.unacknowledged(), 3);
    }

    #[tokio::test]
    async fn after_a_reconnect_nothing_overtakes_what_the_last_connection_left_behind() {
        let publisher = publisher();
        let outbox = &publisher.outbox;
        outbox.set_connected(true);
        for payload in ["1", "2", "3", "4"] {
            publisher.publish(message("a", payload, false)).await.unwrap();
        }
        let taken = [take(&publisher).await, take(&publisher).await];
        outbox.set_connected(false);
        outbox.set_connected(true);
        // As when the broker has lost the session, one after the other and not in order.
        let next = tokio::spawn({
            let publisher = publisher.clone();
            async move { take(&publisher).await }
        });
        for (sequence, message) in taken.into_iter().rev() {
            tokio::task::yield_now().await;
            assert!(!next.is_finished());
            outbox.failed(sequence, message);
        }
        assert_eq!(next.await.unwrap().1.payload, "1");
        for payload in ["2", "3", "4"] {
            assert_eq!(take(&publisher).await.1.payload, payload);
        }
    }

    #[tokio::test]
    async fn a_failed_message_leaves_again_unless_a_newer_one_exists() {
        let publisher = publisher();
        publisher.outbox.set_connected(true);
        publisher.publish(message("a", "old", true)).await.unwrap();
        publisher.publish(message("b", "only", true)).await.unwrap();
        publisher.publish(message("a", "new", true)).await.unwrap();
        let mut taken = Vec::new();
        for _ in 0..3 {
            taken.push(take(&publisher).await);
        }
        for (sequence, message) in taken.into_iter().rev() {
            publisher.outbox.failed(sequence, message); // as when the broker has lost the session
        }
        assert_eq!(take(&publisher).await.1, message("b", "only", true));
        assert_eq!(take(&publisher).await.1, message("a", "new", true));
        assert_eq!(publisher.unacknowledged(), 2);
    }

    #[tokio::test]
    async fn a_flush_waits_for_what_came_before_it_only() {
        let publisher = publisher();
        publisher.outbox.set_connected(true);
        publisher.publish(message("a", "before", true)).await.unwrap();
        let (before, _) = take(&publisher).await;
        let flush = tokio::spawn({
            let publisher = publisher.clone();
            async move { publisher.flush().await.unwrap() }
        });
        tokio::task::yield_now().await;
        publisher.publish(message("a", "after", true)).await.unwrap();
        tokio::task::yield_now().await;
        assert!(!flush.is_finished());
        publisher.outbox.acknowledged(before, "a".into());
        flush.await.unwrap();
        assert_eq!(publisher.unacknowledged(), 1);
    }

    #[tokio::test]
    async fn publishers_wait_for_room_and_learn_of_the_end() {
        let publisher = publisher();
        publisher.outbox.set_connected(true);
        for _ in 0..WINDOW {
            publisher.publish(message("t", "x", false)).await.unwrap();
        }
        let waiting = tokio::spawn({
            let publisher = publisher.clone();
            async move { publisher.publish(message("t", "last", false)).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        let (sequence, _) = take(&publisher).await;
        publisher.outbox.acknowledged(sequence, "t".into());
        assert_eq!(waiting.await.unwrap(), Ok(()));
        publisher.outbox.close();
        assert_eq!(publisher.publish(message("t", "x", false)).await, Err(Closed));
    }

    #[tokio::test]
    async fn topics_that_are_no_longer_published_take_no_memory() {
        let publisher = publisher();
        publisher.outbox.set_connected(true);
        for number in 0..100 {
            publisher.publish(message(&format!("t/{number}"), "x", true)).await.unwrap();
        }
        let mut taken = Vec::new();
        for _ in 0..100 {
            taken.push(take(&publisher).await);
        }
        for (sequence, message) in taken.into_iter().rev() {
            publisher.outbox.acknowledged(sequence, message.topic);
        }
        let inner = publisher.outbox.lock();
        assert_eq!((inner.newest.len(), inner.acknowledged.len()), (0, 0));
    }

    #[tokio::test]
    async fn an_older_message_that_fails_does_not_follow_the_acknowledged_newer_one() {
        let publisher = publisher();
        publisher.outbox.set_connected(true);
        publisher.publish(message("a", "old", true)).await.unwrap();
        publisher.publish(message("a", "new", true)).await.unwrap();
        let (old, new) = (take(&publisher).await, take(&publisher).await);
        publisher.outbox.acknowledged(new.0, new.1.topic);
        publisher.outbox.failed(old.0, old.1);
        assert_eq!(publisher.unacknowledged(), 0);
    }
}
