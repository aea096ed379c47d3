//! Puts things that are settled in any order back into the order in which they began.
//!
//! A broker is owed acknowledgements in the order of its messages (MQTT 3.1.1, MQTT-4.6.0-2), and mosquitto looks for each from the oldest on: out
//! of order, most of its time goes into that.

use std::collections::VecDeque;

/// What became of one of them.
#[derive(Debug)]
enum Place<T> {
    Open,
    Settled(Option<T>),
}

/// See the module's purpose. Numbers count from 0.
#[derive(Debug)]
pub(crate) struct InOrder<T> {
    /// Number of the first of `places`.
    first: u64,
    places: VecDeque<Place<T>>,
    /// Settled ones among `places`.
    settled: usize,
}

impl<T> InOrder<T> {
    /// Of nothing yet.
    pub(crate) fn new() -> Self {
        InOrder {
            first: 0,
            places: VecDeque::new(),
            settled: 0,
        }
    }

    /// The number of the next one, which is open from now on.
    pub(crate) fn open(&mut self) -> u64 {
        self.places.push_back(Place::Open);
        self.first + self.places.len() as u64 - 1
    }

    /// Settles a number, with something or (`None`) with nothing, and gives out what is settled up to the first that is still open.
    pub(crate) fn settle(&mut self, number: u64, with: Option<T>) -> impl Iterator<Item = T> {
        let place = number.checked_sub(self.first).and_then(|place| self.places.get_mut(place as usize));
        if let Some(place @ Place::Open) = place {
            *place = Place::Settled(with);
            self.settled += 1;
        }
        std::iter::from_fn(|| {
            let Some(Place::Settled(with)) = self.places.front_mut() else {
                return None;
            };
            let with = with.take();
            self.places.pop_front();
            self.first += 1;
            self.settled -= 1;
            Some(with)
        })
        .flatten()
    }

    /// How many are settled and wait for an earlier one.
    pub(crate) fn waiting(&self) -> usize {
        self.settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_settled_out_of_order_leaves_in_order() {
        let mut order = InOrder::new();
        let numbers: Vec<u64> = (0..5).map(|_| order.open()).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4]);
        let mut settle = |number, with| order.settle(number, with).collect::<Vec<_>>();
        assert_eq!(settle(2, Some('c')), []);
        assert_eq!(settle(0, Some('a')), ['a']);
        assert_eq!(settle(0, Some('x')), [], "it has left");
        assert_eq!(settle(7, Some('x')), [], "it was never opened");
        assert_eq!(settle(1, None), ['c'], "what is settled with nothing holds nothing up");
        assert_eq!(settle(4, Some('e')), []);
        assert_eq!(order.waiting(), 1);
        assert_eq!(order.settle(3, Some('d')).collect::<Vec<_>>(), ['d', 'e']);
        assert_eq!((order.waiting(), order.open()), (0, 5));
    }
}
