//! The time of a training: what it may use, what it has used, and an early stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A request to end with the best so far, set by another thread or a signal.
#[derive(Clone, Debug, Default)]
pub struct Stop(pub Arc<AtomicBool>);

impl Stop {
    /// Whether it was set.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a training may use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Budget {
    /// Time, for everything from the first choice to the last file.
    Time(Duration),
    /// Updates of the network, its trials included: the same data, options and seed then give the same model.
    Updates(usize),
}

/// The time that a training has used, over its interruptions.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    before: Duration,
}

impl Clock {
    /// Starts, with what was used before an interruption.
    #[must_use]
    pub fn start(before: Duration) -> Self {
        Self {
            start: Instant::now(),
            before,
        }
    }

    /// The time used so far.
    #[must_use]
    pub fn used(&self) -> Duration {
        self.before + self.start.elapsed()
    }
}
