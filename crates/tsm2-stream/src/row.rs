//! A row: one slot of the grid, with the newest value of each variate.
//!
//! Invariants: `heard_ms[m]` is `None` exactly when no reading of variate m has come for this slot; then `values[m]` is NaN. A variate that
//! was heard may be NaN too (its sensor said so). The same readings again leave a row as it is.

use alloc::{vec, vec::Vec};

use crate::bytes::{Bytes, put};

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
    /// Per variate the time of its newest reading, milliseconds since 1970-01-01 UTC.
    heard_ms: Vec<Option<i64>>,
    unheard: usize,
    /// Readings taken, those that were overwritten included.
    pub(crate) readings: u64,
}

impl OpenRow {
    pub(crate) fn new(variates: usize) -> Self {
        OpenRow {
            slot: 0,
            values: vec![f32::NAN; variates],
            heard_ms: vec![None; variates],
            unheard: variates,
            readings: 0,
        }
    }

    /// Starts over, empty, at `slot`.
    pub(crate) fn open(&mut self, slot: i64) {
        self.slot = slot;
        self.values.fill(f32::NAN);
        self.heard_ms.fill(None);
        self.unheard = self.heard_ms.len();
        self.readings = 0;
    }

    /// Aggregation `last`: the newest reading of a variate counts. False: its variate was heard at that time or later already.
    pub(crate) fn put(&mut self, variate: usize, value: f32, time_ms: i64) -> bool {
        let heard_ms = &mut self.heard_ms[variate];
        if heard_ms.is_some_and(|heard_ms| time_ms <= heard_ms) {
            return false;
        }
        self.unheard -= usize::from(heard_ms.is_none());
        *heard_ms = Some(time_ms);
        self.values[variate] = if value.is_finite() { value } else { f32::NAN };
        self.readings += 1;
        true
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.unheard == 0
    }

    pub(crate) fn as_row(&self, interval_ms: i64) -> Row<'_> {
        Row {
            time_ms: self.slot.saturating_mul(interval_ms),
            last_reading_ms: self.heard_ms.iter().copied().flatten().max(),
            values: &self.values,
        }
    }
    /// Appends slot, count of readings, and per variate whether it was heard, its time and its value.
    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        put(out, self.slot.to_le_bytes());
        put(out, self.readings.to_le_bytes());
        for (heard_ms, value) in self.heard_ms.iter().zip(&self.values) {
            put(out, [u8::from(heard_ms.is_some())]);
            put(out, heard_ms.unwrap_or_default().to_le_bytes());
            put(out, value.to_le_bytes());
        }
    }

    /// The row that [`OpenRow::save`] wrote; `None` for anything else.
    pub(crate) fn restore(variates: usize, from: &mut Bytes<'_>) -> Option<Self> {
        let mut row = OpenRow::new(variates);
        row.slot = i64::from_le_bytes(from.take()?);
        row.readings = from.count()?;
        for (heard_ms, place) in row.heard_ms.iter_mut().zip(&mut row.values) {
            let heard = from.flag()?;
            let time_ms = i64::from_le_bytes(from.take()?);
            let value = f32::from_le_bytes(from.take()?);
            if heard {
                *heard_ms = Some(time_ms);
                *place = if value.is_finite() { value } else { f32::NAN };
                row.unheard -= 1;
            }
        }
        let heard = variates - row.unheard;
        (row.readings >= heard as u64 && (row.readings == 0) == (heard == 0)).then_some(row)
    }
}
