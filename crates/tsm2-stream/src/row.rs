//! A row: one slot of the grid, with the newest value of each variate.
//!
//! Invariant: `heard[m]` is false exactly when no reading of variate m has come for this slot; then `values[m]` is NaN. A variate that was
//! heard may be NaN too (its sensor said so).

use alloc::{vec, vec::Vec};

/// A closed row, as the forecaster takes it.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// The slot's time on the grid, a multiple of the interval, in milliseconds since 1970-01-01 UTC.
    pub time_ms: i64,
    /// Time of the newest reading in this row; `None` in a row that fills a gap.
    pub last_reading_ms: Option<i64>,
    /// One value per variate in the sensors' own units, NaN where missing. Shape `[M]`.
    pub values: &'a [f32],
}

/// A row being filled.
#[derive(Debug, Clone)]
pub(crate) struct OpenRow {
    pub(crate) slot: i64,
    values: Vec<f32>,
    heard: Vec<bool>,
    unheard: usize,
    /// Readings taken, those that were overwritten included.
    pub(crate) readings: u64,
    last_reading_ms: i64,
}

impl OpenRow {
    pub(crate) fn new(variates: usize) -> Self {
        OpenRow {
            slot: 0,
            values: vec![f32::NAN; variates],
            heard: vec![false; variates],
            unheard: variates,
            readings: 0,
            last_reading_ms: 0,
        }
    }

    /// Starts over, empty, at `slot`.
    pub(crate) fn open(&mut self, slot: i64) {
        self.slot = slot;
        self.values.fill(f32::NAN);
        self.heard.fill(false);
        self.unheard = self.heard.len();
        self.readings = 0;
        self.last_reading_ms = i64::MIN;
    }

    /// Aggregation `last`: a later arrival of the same variate overwrites.
    pub(crate) fn put(&mut self, variate: usize, value: f32, time_ms: i64) {
        self.values[variate] = if value.is_finite() { value } else { f32::NAN };
        self.unheard -= usize::from(!self.heard[variate]);
        self.heard[variate] = true;
        self.readings += 1;
        self.last_reading_ms = self.last_reading_ms.max(time_ms);
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.unheard == 0
    }

    pub(crate) fn as_row(&self, interval_ms: i64) -> Row<'_> {
        Row {
            time_ms: self.slot.saturating_mul(interval_ms),
            last_reading_ms: (self.readings > 0).then_some(self.last_reading_ms),
            values: &self.values,
        }
    }
}
