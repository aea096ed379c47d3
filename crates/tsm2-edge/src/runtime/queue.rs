//! Round-robin queue: one FIFO per stream, the streams served in turn.
//!
//! The router pushes, one worker pops. When a stream's own queue is full, a message that no broker
//! waits for is rejected.
//!
//! 1. Messages of one stream leave in the order in which they came.
//! 2. Between two messages of a stream every other waiting stream is served once.
//! 3. A closed queue takes nothing more and hands out what it holds.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Messages of one stream that may wait when the broker does not limit them.
const PER_STREAM: usize = 1000;

/// See the module's description.
#[derive(Debug)]
pub(crate) struct RoundRobinQueue<T> {
    inner: Mutex<Inner<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct Inner<T> {
    streams: HashMap<Arc<str>, VecDeque<T>>,
    /// The waiting streams, each once, the next one first.
    order: VecDeque<Arc<str>>,
    closed: bool,
    /// Whether the next [`RoundRobinQueue::pop`] without a message returns at once.
    woken: bool,
}

/// The result of [`RoundRobinQueue::pop`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next<T> {
    /// A message.
    Message(T),
    /// Nothing came in time, or before [`RoundRobinQueue::wake`].
    Idle,
    /// The queue is closed and empty.
    End,
}

impl<T> RoundRobinQueue<T> {
    pub(crate) fn new() -> Self {
        RoundRobinQueue {
            inner: Mutex::new(Inner {
                streams: HashMap::new(),
                order: VecDeque::new(),
                closed: false,
                woken: false,
            }),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a message. Returns false, and drops the message, when it is `limited` and the
    /// stream's queue is full, or when the queue is closed.
    pub(crate) fn push(&self, stream: &str, message: T, limited: bool) -> bool {
        let mut inner = self.lock();
        if inner.closed {
            return false;
        }
        match inner.streams.get_mut(stream) {
            Some(queue) if limited && queue.len() >= PER_STREAM => return false,
            Some(queue) => queue.push_back(message),
            None => {
                let stream: Arc<str> = stream.into();
                inner.streams.insert(stream.clone(), VecDeque::from([message]));
                inner.order.push_back(stream);
            }
        }
        drop(inner);
        self.changed.notify_one();
        true
    }

    /// Ends the input. What waits can still be popped.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Ends one wait for a message, also one that has not begun yet.
    pub(crate) fn wake(&self) {
        self.lock().woken = true;
        self.changed.notify_one();
    }

    /// Waits for the next message, at most for `patience`.
    pub(crate) fn pop(&self, patience: Duration) -> Next<T> {
        let waits = |inner: &mut Inner<T>| !inner.closed && !inner.woken && inner.order.is_empty();
        let waited = self.changed.wait_timeout_while(self.lock(), patience, waits);
        let (mut inner, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let Some(stream) = inner.order.pop_front() else {
            inner.woken = false;
            return if inner.closed { Next::End } else { Next::Idle };
        };
        let Some(queue) = inner.streams.get_mut(&stream) else {
            return Next::Idle;
        };
        let message = queue.pop_front();
        if queue.is_empty() {
            inner.streams.remove(&stream);
        } else {
            inner.order.push_back(stream);
        }
        message.map_or(Next::Idle, Next::Message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(queue: &RoundRobinQueue<u32>) -> Vec<u32> {
        std::iter::from_fn(|| match queue.pop(Duration::ZERO) {
            Next::Message(message) => Some(message),
            _ => None,
        })
        .collect()
    }

    #[test]
    fn a_flood_of_one_stream_delays_another_by_one_message() {
        let queue = RoundRobinQueue::new();
        for message in 0..500 {
            assert!(queue.push("noisy", message, true));
        }
        assert!(queue.push("quiet", 1000, true) && queue.push("quiet", 1001, true));
        let order = drained(&queue);
        assert_eq!(order[..4], [0, 1000, 1, 1001]);
        let noisy: Vec<u32> = order.into_iter().filter(|&message| message < 1000).collect();
        assert_eq!(noisy, (0..500).collect::<Vec<_>>(), "order within a stream");
        assert!(queue.lock().streams.is_empty() && queue.lock().order.is_empty());
    }

    #[test]
    fn a_full_queue_rejects_only_what_the_broker_does_not_limit() {
        let queue = RoundRobinQueue::new();
        let taken = (0..2000).filter(|&message| queue.push("noisy", message, true)).count();
        assert_eq!(taken, PER_STREAM);
        assert!(queue.push("quiet", 0, true) && queue.push("noisy", 0, false));
    }

    #[test]
    fn a_woken_queue_hands_out_its_content_and_then_ends_one_wait() {
        let (queue, for_ever) = (RoundRobinQueue::new(), Duration::MAX);
        queue.wake();
        assert!(queue.push("a", 1, true));
        assert_eq!(queue.pop(for_ever), Next::Message(1));
        assert_eq!(queue.pop(for_ever), Next::Idle);
        assert_eq!(queue.pop(Duration::ZERO), Next::Idle);
    }

    #[test]
    fn a_closed_queue_hands_out_its_content_and_ends() {
        let queue = RoundRobinQueue::new();
        assert_eq!(queue.pop(Duration::ZERO), Next::Idle);
        assert!(queue.push("a", 1, true));
        queue.close();
        assert!(!queue.push("a", 2, true));
        assert_eq!(queue.pop(Duration::ZERO), Next::Message(1));
        assert_eq!(queue.pop(Duration::ZERO), Next::End);
    }
}
