//! Exponential back-off with jitter.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Doubles from `first` to `longest`.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Backoff {
            first,
            longest,
            next: first,
        }
    }

    /// The next pause: between half of it and all of it, so that many devices do not return at the
    /// same moment.
    pub(crate) fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (self.next * 2).min(self.longest);
        let random = RandomState::new().hash_one(0u8);
        pause / 2 + (pause / 2).mul_f64(random as f64 / u64::MAX as f64)
    }

    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }
}
