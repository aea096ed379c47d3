//! Live metrics: running errors of the model beside those of the naive forecasts, over the same
//! readings.
//!
//! They are kept at [`metric_steps`] of the horizon. Invariant: all numbers are finite and not
//! negative.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::errors::Errors;
use crate::intervals::MAX_ERROR;

/// Scores that a running mean covers: a plain mean until there are as many, then an exponentially
/// weighted one.
const WINDOW: u32 = 4096;
/// Most steps of the horizon that have live metrics.
pub const MAX_METRIC_STEPS: usize = 20;

/// Live metrics of one variate at one step of the horizon: means over the last 4096 scores or so.
/// An error counts as at most 1000 times the widest of the variate's initial widths, so that one
/// wrong reading does not hide the rest.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct LiveMetrics {
    /// Readings that were compared with their prediction interval.
    pub scored: u32,
    /// Fraction of them within the interval.
    pub coverage: f32,
    /// Readings behind the three errors: those for which every reference existed.
    pub compared: u32,
    /// Of the model.
    pub model: Errors<f32>,
    /// Of the naive forecast, which repeats the last reading.
    pub naive: Errors<f32>,
    /// Of the seasonal naive forecast, which repeats the last season; `None` without a season.
    pub seasonal: Option<Errors<f32>>,
}

/// The steps of a horizon that have live metrics, from 1, ascending: all of up to 20, else 20 in
/// growing distances, always with the first, the middle and the last.
pub(crate) fn metric_steps(horizon: usize) -> Vec<usize> {
    let count = horizon.min(MAX_METRIC_STEPS);
    let mut steps = Vec::with_capacity(count);
    for index in 0..count {
        let exponent = index as f64 / (count - 1).max(1) as f64;
        let geometric = libm::round(libm::pow(horizon as f64, exponent)) as usize;
        let least = steps.last().map_or(1, |last| last + 1);
        steps.push(geometric.clamp(least, horizon - (count - 1 - index)));
    }
    let middle = horizon.div_ceil(2);
    if let Err(place) = steps.binary_search(&middle) {
        steps[place] = middle;
    }
    steps
}

impl LiveMetrics {
    /// Live metrics of nothing yet.
    pub(crate) fn new(has_season: bool) -> Self {
        LiveMetrics {
            seasonal: has_season.then(Errors::default),
            ..LiveMetrics::default()
        }
    }

    /// Fraction of readings within their interval; `None` before the first was compared with it.
    pub fn known_coverage(&self) -> Option<f32> {
        (self.scored > 0).then_some(self.coverage)
    }

    /// One of the three errors; `None` before the first comparison, when it is 0.
    pub fn known(&self, errors: Errors<f32>) -> Option<Errors<f32>> {
        (self.compared > 0).then_some(errors)
    }

    /// A reading was compared with its interval.
    pub(crate) fn score(&mut self, is_covered: bool) {
        self.scored = self.scored.saturating_add(1);
        let covered = f32::from(u8::from(is_covered));
        self.coverage += (covered - self.coverage) / self.scored.min(WINDOW) as f32;
    }

    /// Errors of the three at one reading, each as if it were at most `limit` large.
    pub(crate) fn compare(&mut self, [model, naive, seasonal]: [f32; 3], limit: f32) {
        self.compared = self.compared.saturating_add(1);
        let n = self.compared.min(WINDOW) as f32;
        self.model.update(model, limit, n);
        self.naive.update(naive, limit, n);
        if let Some(errors) = &mut self.seasonal {
            errors.update(seasonal, limit, n);
        }
    }

    /// Whether these can be metrics of a monitor with or without a season.
    pub(crate) fn is_valid(&self, has_season: bool) -> bool {
        let is_valid = |errors: &Errors<f32>| {
            (0.0..=2.0 * MAX_ERROR).contains(&errors.mae) && (0.0..=2.0 * MAX_ERROR * MAX_ERROR).contains(&errors.mse)
        };
        // A running mean of ones may be rounded upwards.
        (0.0..=1.01).contains(&self.coverage)
            && self.seasonal.is_some() == has_season
            && [Some(&self.model), Some(&self.naive), self.seasonal.as_ref()]
                .into_iter()
                .flatten()
                .all(is_valid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metric_steps_ascend_and_have_the_first_the_middle_and_the_last() {
        for horizon in 1..=2000 {
            let steps = metric_steps(horizon);
            assert_eq!(steps.len(), horizon.min(MAX_METRIC_STEPS));
            assert!(steps.windows(2).all(|pair| pair[0] < pair[1]), "{horizon}: {steps:?}");
            for step in [1, horizon.div_ceil(2), horizon] {
                assert!(steps.contains(&step), "{horizon}: {steps:?}");
            }
        }
        assert_eq!(metric_steps(20), (1..=20).collect::<Vec<_>>());
    }
}
