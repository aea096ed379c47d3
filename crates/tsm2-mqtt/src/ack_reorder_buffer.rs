//! Reorder buffer: items finish in any order and leave in the order in which they began.
//!
//! A client owes acknowledgements in the order of the messages (MQTT 3.1.1, MQTT-4.6.0-2).
//! mosquitto searches its list from the oldest message on, so acknowledgements out of order cost it
//! most of its time. The buffer grows with the messages in flight, which the inbox bounds.

use std::collections::VecDeque;

/// The state of one item.
#[derive(Debug)]
enum Slot<T> {
    Pending,
    Done(Option<T>),
}

/// The buffer. Items are numbered from 0.
#[derive(Debug)]
pub(crate) struct AckReorderBuffer<T> {
    /// Number of the first of `slots`.
    first: u64,
    slots: VecDeque<Slot<T>>,
    /// Finished items among `slots`.
    done: usize,
}

impl<T> AckReorderBuffer<T> {
    /// An empty buffer.
    pub(crate) fn new() -> Self {
        AckReorderBuffer {
            first: 0,
            slots: VecDeque::new(),
            done: 0,
        }
    }

    /// Begins an item and returns its number.
    pub(crate) fn begin(&mut self) -> u64 {
        self.slots.push_back(Slot::Pending);
        self.first + self.slots.len() as u64 - 1
    }

    /// Finishes an item and returns what may leave now: everything up to the first pending item.
    /// `None` finishes it without anything to send. A number that is finished already is ignored.
    pub(crate) fn finish(&mut self, number: u64, with: Option<T>) -> impl Iterator<Item = T> {
        let slot = number.checked_sub(self.first).and_then(|index| self.slots.get_mut(index as usize));
        if let Some(slot @ Slot::Pending) = slot {
            *slot = Slot::Done(with);
            self.done += 1;
        }
        std::iter::from_fn(|| {
            let Some(Slot::Done(with)) = self.slots.front_mut() else {
                return None;
            };
            let with = with.take();
            self.slots.pop_front();
            self.first += 1;
            self.done -= 1;
            Some(with)
        })
        .flatten()
    }

    /// Items that have not left.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Finished items that wait for an earlier one.
    pub(crate) fn waiting(&self) -> usize {
        self.done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_that_finish_out_of_order_leave_in_order() {
        let mut buffer = AckReorderBuffer::new();
        let numbers: Vec<u64> = (0..5).map(|_| buffer.begin()).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4]);
        let mut finish = |number, with| buffer.finish(number, with).collect::<Vec<_>>();
        assert_eq!(finish(2, Some('c')), []);
        assert_eq!(finish(0, Some('a')), ['a']);
        assert_eq!(finish(0, Some('x')), [], "it has left");
        assert_eq!(finish(7, Some('x')), [], "it never began");
        assert_eq!(finish(1, None), ['c'], "an item without content holds nothing up");
        assert_eq!(finish(4, Some('e')), []);
        assert_eq!(buffer.waiting(), 1);
        assert_eq!(buffer.finish(3, Some('d')).collect::<Vec<_>>(), ['d', 'e']);
        assert_eq!((buffer.waiting(), buffer.begin()), (0, 5));
    }
}
