//! Drift detector: whether a variate's forecasts have become worse than they used to be.
//!
//! Errors in units of their own long-run size are averaged over batches of at least a horizon of
//! time steps, since errors within a horizon resemble each other. A one-sided CUSUM (Page,
//! "Continuous inspection schemes", 1954) adds up by how much each batch exceeds what is usual, in
//! mean deviations of the batches before it: g <- max(0, g + (batch - mean) / deviation -
//! [`SLACK`]). The flag is raised when g passes [`ALARM`] and lowered when g is back at 0: errors
//! are as before, or the new size has become the usual one.
//!
//! Invariant: all numbers are finite and not negative.

use serde::{Deserialize, Serialize};

/// Time steps of a batch, at least.
const LEAST_STEPS: u32 = 64;
/// Batches that show what is usual, and for which no alarm is raised.
const WARM_UP: u32 = 16;
/// Batches over which the usual is a mean.
const MEMORY: f32 = 64.0;
/// Deviations by which a batch may exceed the usual.
const SLACK: f32 = 2.0;
/// Excess at which the flag is raised.
const ALARM: f32 = 10.0;
/// Largest excess, so that the flag is lowered again.
const MOST: f32 = 20.0;
/// Least deviation, in units of the mean.
const LEAST_DEVIATION: f32 = 0.1;
/// The most that one score counts for.
const CLIP: f32 = 8.0;

/// Drift detector of one variate.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct DriftDetector {
    /// Sum of the current batch.
    sum: f32,
    scores: u32,
    time_steps: u32,
    /// Batches so far.
    batches: u32,
    mean: f32,
    deviation: f32,
    /// The g above.
    excess: f32,
    pub(crate) raised: bool,
}

impl DriftDetector {
    /// An error, in units of its usual size.
    pub(crate) fn add(&mut self, relative: f32) {
        self.sum += relative.min(CLIP);
        self.scores += 1;
    }

    /// A time step is over.
    pub(crate) fn end_step(&mut self, horizon: usize) {
        self.time_steps += 1;
        if (self.time_steps as usize) < horizon.max(LEAST_STEPS as usize) {
            return;
        }
        if self.scores > 0 {
            self.batch(self.sum / self.scores as f32);
        }
        (self.sum, self.scores, self.time_steps) = (0.0, 0, 0);
    }

    fn batch(&mut self, batch: f32) {
        if self.batches >= WARM_UP {
            let usual = self.deviation.max(LEAST_DEVIATION * self.mean).max(f32::MIN_POSITIVE);
            self.excess = (self.excess + (batch - self.mean) / usual - SLACK).clamp(0.0, MOST);
            self.raised = self.excess >= ALARM || (self.raised && self.excess > 0.0);
        }
        self.batches = self.batches.saturating_add(1);
        let weight = 1.0 / (self.batches as f32).min(MEMORY);
        self.deviation += weight * ((batch - self.mean).abs() - self.deviation);
        self.mean += weight * (batch - self.mean);
    }

    /// Whether the numbers keep the invariant and counting can go on.
    pub(crate) fn is_valid(&self) -> bool {
        [self.sum, self.mean, self.deviation, self.excess]
            .iter()
            .all(|number| (0.0..=1e30).contains(number))
            && self.scores <= u32::MAX / 2
            && self.time_steps <= u32::MAX / 2
    }
}
