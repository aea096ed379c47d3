//! Whether a variate's forecasts have become worse than they used to be.
//!
//! Errors in units of their own long-run size are averaged over batches of at least a horizon of rows, for errors within a horizon resemble
//! each other. A one-sided CUSUM (Page, "Continuous inspection schemes", 1954) adds up by how much each batch exceeds what is usual, in mean
//! deviations of the batches before it: g <- max(0, g + (batch - mean) / deviation - [`SLACK`]). The flag is up from when g passes [`ALARM`]
//! until it is back at 0: errors are as before, or the new size has become the usual one.
//!
//! Invariant: all numbers are finite and not negative.

use alloc::vec::Vec;

use crate::bytes::{Bytes, put};

/// Rows of a batch, at least.
const LEAST_ROWS: u32 = 64;
/// Batches that tell what is usual, and for which no alarm is raised.
const WARM_UP: u32 = 16;
/// Batches over which the usual is a mean.
const MEMORY: f32 = 64.0;
/// Deviations by which a batch may exceed the usual.
const SLACK: f32 = 2.0;
/// Excess at which the flag goes up.
const ALARM: f32 = 10.0;
/// Excess that is remembered, so that the flag goes down again.
const MOST: f32 = 20.0;
/// Least deviation, in units of the mean.
const LEAST_DEVIATION: f32 = 0.1;
/// The most that one score counts for.
const CLIP: f32 = 8.0;

/// The watch over one variate.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct DriftDetector {
    /// Of the batch at hand.
    sum: f32,
    scores: u32,
    rows: u32,
    /// Of the batches so far.
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

    /// A row is over.
    pub(crate) fn row(&mut self, horizon: usize) {
        self.rows += 1;
        if (self.rows as usize) < horizon.max(LEAST_ROWS as usize) {
            return;
        }
        if self.scores > 0 {
            self.batch(self.sum / self.scores as f32);
        }
        (self.sum, self.scores, self.rows) = (0.0, 0, 0);
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

    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        for number in [self.sum, self.mean, self.deviation, self.excess] {
            put(out, number.to_le_bytes());
        }
        for count in [self.scores, self.rows, self.batches] {
            put(out, count.to_le_bytes());
        }
        put(out, [u8::from(self.raised)]);
    }

    pub(crate) fn restore(from: &mut Bytes<'_>) -> Option<Self> {
        let count = |from: &mut Bytes<'_>| from.take().map(u32::from_le_bytes);
        let small = |from: &mut Bytes<'_>| from.amount(1e30);
        Some(DriftDetector {
            sum: small(from)?,
            mean: small(from)?,
            deviation: small(from)?,
            excess: small(from)?,
            scores: count(from).filter(|&count| count <= u32::MAX / 2)?,
            rows: count(from).filter(|&count| count <= u32::MAX / 2)?,
            batches: count(from)?,
            raised: from.flag()?,
        })
    }
}
