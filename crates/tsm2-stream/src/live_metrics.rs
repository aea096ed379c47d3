//! Running errors of the model beside those of repeating the last reading and the last season, over the same readings.
//!
//! Invariant: all numbers are finite and not negative.

use alloc::vec::Vec;

use crate::bytes::{Bytes, put};
use crate::intervals::MAX_ERROR;

/// Scores that a running mean looks back on: a plain mean until there are as many, then an exponentially weighted one.
pub(crate) const WINDOW: u32 = 4096;

/// Mean errors, in the sensor's unit and its square.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Errors {
    /// Mean absolute error.
    pub mae: f32,
    /// Mean squared error.
    pub mse: f32,
}

/// How forecasts of one variate at one lead have fared: means over the last 4096 scores or so. An error counts as at most 1000 times the widest
/// of the variate's prior widths, so that one nonsense reading does not hide the rest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LiveMetrics {
    /// Readings that were held against their interval.
    pub scored: u32,
    /// Part of them that lay within it.
    pub coverage: f32,
    /// Readings over which the three means are taken: those for which every reference existed.
    pub compared: u32,
    /// Of the model.
    pub model: Errors,
    /// Of repeating the last reading before the forecast.
    pub naive: Errors,
    /// Of repeating the last season before the forecast; `None` without a season.
    pub seasonal: Option<Errors>,
}

/// The comparison of one variate at one lead.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Comparison {
    pub(crate) compared: u32,
    pub(crate) model: Errors,
    pub(crate) naive: Errors,
    pub(crate) seasonal: Errors,
}

impl Errors {
    fn add(&mut self, error: f32, limit: f32, n: f32) {
        let size = error.abs().min(limit);
        self.mae += (size - self.mae) / n;
        self.mse += (size * size - self.mse) / n;
    }
}

impl Comparison {
    /// Errors of the three at one reading, each as if it were at most `limit` large.
    pub(crate) fn add(&mut self, [model, naive, seasonal]: [f32; 3], limit: f32) {
        self.compared = self.compared.saturating_add(1);
        let n = self.compared.min(WINDOW) as f32;
        self.model.add(model, limit, n);
        self.naive.add(naive, limit, n);
        self.seasonal.add(seasonal, limit, n);
    }

    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        put(out, self.compared.to_le_bytes());
        for errors in [self.model, self.naive, self.seasonal] {
            put(out, errors.mae.to_le_bytes());
            put(out, errors.mse.to_le_bytes());
        }
    }

    pub(crate) fn restore(from: &mut Bytes<'_>) -> Option<Self> {
        let compared = u32::from_le_bytes(from.take()?);
        let errors = |from: &mut Bytes<'_>| {
            Some(Errors {
                mae: from.amount(2.0 * MAX_ERROR)?,
                mse: from.amount(2.0 * MAX_ERROR * MAX_ERROR)?,
            })
        };
        Some(Comparison {
            compared,
            model: errors(from)?,
            naive: errors(from)?,
            seasonal: errors(from)?,
        })
    }
}
