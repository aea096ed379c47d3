//! What waits for one model thread: a lane per stream, served in turn.
//!
//! Invariants: messages of one stream leave in the order in which they came; between two messages of a stream every other stream that waits
//! has had its turn, so that a flood of one delays the others by one message each; a lane takes at most [`LANE`] messages that their broker
//! does not wait for; an empty lane takes no memory.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Messages of one stream that may wait when nothing else bounds them.
const LANE: usize = 1000;

/// See the module's invariants.
#[derive(Debug)]
pub(crate) struct FairQueue<T, U> {
    inner: Mutex<Inner<T, U>>,
    changed: Condvar,
}

#[derive(Debug)]
struct Inner<T, U> {
    lanes: HashMap<Arc<str>, VecDeque<T>>,
    /// The streams that wait, each once, the next one first.
    turn: VecDeque<Arc<str>>,
    /// What goes before all messages.
    urgent: VecDeque<U>,
    closed: bool,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next<T, U> {
    Urgent(U),
    Message(T),
    /// Nothing came in time.
    Idle,
    /// Closed: what still waits is given up.
    End,
}

impl<T, U> FairQueue<T, U> {
    pub(crate) fn new() -> Self {
        FairQueue {
            inner: Mutex::new(Inner {
                lanes: HashMap::new(),
                turn: VecDeque::new(),
                urgent: VecDeque::new(),
                closed: false,
            }),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T, U>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a message at the end of its stream's lane. False, and the message is gone, when the lane is full and `bounded`. Once closed it is
    /// dropped.
    pub(crate) fn push(&self, stream: &str, message: T, bounded: bool) -> bool {
        let mut inner = self.lock();
        if inner.closed {
            return true; // given up with all that waited
        }
        match inner.lanes.get_mut(stream) {
            Some(lane) if bounded && lane.len() >= LANE => return false,
            Some(lane) => lane.push_back(message),
            None => {
                let stream: Arc<str> = stream.into();
                inner.lanes.insert(stream.clone(), VecDeque::from([message]));
                inner.turn.push_back(stream);
            }
        }
        drop(inner);
        self.changed.notify_one();
        true
    }

    /// Puts something before all messages; once closed it is dropped.
    pub(crate) fn push_urgent(&self, urgent: U) {
        let mut inner = self.lock();
        if !inner.closed {
            inner.urgent.push_back(urgent);
        }
        drop(inner);
        self.changed.notify_one();
    }

    /// No more: what waits is dropped and [`FairQueue::pop`] ends at once.
    pub(crate) fn close(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        let dropped = (
            std::mem::take(&mut inner.urgent),
            std::mem::take(&mut inner.lanes),
            std::mem::take(&mut inner.turn),
        );
        drop(inner);
        drop(dropped);
        self.changed.notify_all();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Waits for the next one, at most for `patience`.
    pub(crate) fn pop(&self, patience: Duration) -> Next<T, U> {
        let waits = |inner: &mut Inner<T, U>| !inner.closed && inner.urgent.is_empty() && inner.turn.is_empty();
        let waited = self.changed.wait_timeout_while(self.lock(), patience, waits);
        let (mut inner, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if inner.closed {
            return Next::End;
        }
        if let Some(urgent) = inner.urgent.pop_front() {
            return Next::Urgent(urgent);
        }
        let Some(stream) = inner.turn.pop_front() else { return Next::Idle };
        let Some(lane) = inner.lanes.get_mut(&stream) else {
            return Next::Idle;
        };
        let message = lane.pop_front();
        if lane.is_empty() {
            inner.lanes.remove(&stream);
        } else {
            inner.turn.push_back(stream);
        }
        message.map_or(Next::Idle, Next::Message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(queue: &FairQueue<u32, char>) -> Vec<u32> {
        std::iter::from_fn(|| match queue.pop(Duration::ZERO) {
            Next::Message(message) => Some(message),
            _ => None,
        })
        .collect()
    }

    #[test]
    fn a_flood_of_one_stream_delays_another_by_one_message() {
        let queue = FairQueue::new();
        for message in 0..500 {
            assert!(queue.push("noisy", message, true));
        }
        assert!(queue.push("quiet", 1000, true) && queue.push("quiet", 1001, true));
        let order = drained(&queue);
        assert_eq!(order[..4], [0, 1000, 1, 1001]);
        let noisy: Vec<u32> = order.into_iter().filter(|&message| message < 1000).collect();
        assert_eq!(noisy, (0..500).collect::<Vec<_>>(), "a stream's own order stays");
        assert!(queue.lock().lanes.is_empty() && queue.lock().turn.is_empty());
    }

    #[test]
    fn a_full_lane_takes_no_more_unless_the_broker_bounds_it_and_leaves_the_others_room() {
        let queue: FairQueue<u32, char> = FairQueue::new();
        let taken = (0..2000).filter(|&message| queue.push("noisy", message, true)).count();
        assert_eq!(taken, LANE);
        assert!(queue.push("quiet", 0, true) && queue.push("noisy", 0, false));
    }

    #[test]
    fn the_urgent_goes_first_and_the_end_before_all() {
        let queue = FairQueue::new();
        queue.push("a", 1, true);
        queue.push_urgent('u');
        assert_eq!(queue.pop(Duration::ZERO), Next::Urgent('u'));
        assert_eq!(queue.pop(Duration::ZERO), Next::Message(1));
        assert_eq!(queue.pop(Duration::ZERO), Next::Idle);
        queue.push("a", 2, true);
        queue.close();
        assert_eq!(queue.pop(Duration::ZERO), Next::End);
    }
}
