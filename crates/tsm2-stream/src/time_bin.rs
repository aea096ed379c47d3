//! Time bin: the readings of all variates within one sampling interval, aggregated as they come.
//!
//! Invariants: a variate without a reading has no value; one with a reading may have none either,
//! where its sensor sent no number. The same readings again leave a bin as it is, and so does their
//! order up to rounding, as far as [`crate::recent_times`] remembers.

use alloc::{vec, vec::Vec};

use serde::{Deserialize, Serialize};

use crate::aggregate::{Aggregate, Sum};
use crate::known_readings::Filter;
use crate::recent_times::RecentTimes;

/// A closed time bin, as the forecaster consumes it.
#[derive(Debug, Clone, Copy)]
pub struct TimeStep<'a> {
    /// Time of the bin, a multiple of the interval, in milliseconds since 1970-01-01 UTC.
    pub time_ms: i64,
    /// Time of the newest reading in this bin; `None` in a time step that bridges a gap.
    pub last_reading_ms: Option<i64>,
    /// One value per variate in the sensors' own units, NaN where missing. Shape `[M]`.
    pub values: &'a [f32],
}

/// What all bins of a resampler have in common.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    /// Per variate, at least one.
    pub(crate) aggregates: Vec<Aggregate>,
    /// Whether the readings of a bin may come in any order.
    pub(crate) any_order: bool,
    /// Whether a time identifies a reading, so that the same time again is a duplicate.
    pub(crate) device_times: bool,
}

impl Shape {
    pub(crate) fn variates(&self) -> usize {
        self.aggregates.len()
    }

    /// Whether [`RecentTimes`] are kept. Where only the newest reading counts, an older one changes
    /// nothing anyway.
    fn remembers(&self, aggregate: Aggregate) -> bool {
        self.any_order && self.device_times && aggregate != Aggregate::Last
    }
}

/// A reading on its way into a bin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Incoming {
    pub(crate) variate: usize,
    pub(crate) value: f32,
    /// Within the range of [`crate::time_range::clamp_time`].
    pub(crate) time: i64,
    pub(crate) arrival: Option<i64>,
    pub(crate) source: u16,
    pub(crate) bin: i64,
}

impl Incoming {
    pub(crate) fn filter(&self) -> Filter {
        Filter::of(self.variate, self.value, self.time)
    }
}

/// The readings of one variate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cell {
    /// Time of the newest.
    time_ms: i64,
    /// Value of the newest, NaN where it was not finite.
    value: f32,
    /// How many were finite.
    finite: u64,
    /// The smallest or the largest finite one.
    extreme: f32,
    /// Of the finite ones, where the aggregate needs it.
    sum: Sum,
}

/// What became of a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Insert {
    /// The first of its variate.
    First,
    /// Merged with others of its variate.
    Merged,
    /// A duplicate, or so old that it may be one.
    Known,
}

/// A bin that takes readings.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct TimeBin {
    /// `None` without a reading. Shape `[M]`.
    pub(crate) cells: Vec<Option<Cell>>,
    /// Per variate; empty where no variate remembers times.
    pub(crate) times: Vec<RecentTimes>,
    /// Readings taken.
    pub(crate) readings: u64,
    /// Readings that were not the first of their variate.
    pub(crate) merged: u64,
    pub(crate) filter: Filter,
}

impl TimeBin {
    pub(crate) fn new(shape: &Shape) -> Self {
        let variates = shape.variates();
        let times = shape.aggregates.iter().any(|&aggregate| shape.remembers(aggregate));
        TimeBin {
            cells: vec![None; variates],
            // Cloning a vector would not keep its capacity.
            times: (0..if times { variates } else { 0 }).map(|_| RecentTimes::new()).collect(),
            readings: 0,
            merged: 0,
            filter: Filter::default(),
        }
    }

    /// Starts over, empty.
    pub(crate) fn clear(&mut self) {
        self.cells.fill(None);
        self.times.iter_mut().for_each(RecentTimes::clear);
        (self.readings, self.merged, self.filter) = (0, 0, Filter::default());
    }

    /// Takes a reading of this bin.
    pub(crate) fn insert(&mut self, shape: &Shape, reading: &Incoming) -> Insert {
        let &Incoming {
            variate,
            value,
            time: time_ms,
            ..
        } = reading;
        let (cell, aggregate) = (&mut self.cells[variate], shape.aggregates[variate]);
        let is_newest = !shape.device_times || cell.is_none_or(|cell| time_ms > cell.time_ms);
        let is_new = match self.times.get_mut(variate) {
            Some(times) if shape.remembers(aggregate) => times.insert(time_ms),
            _ => is_newest,
        };
        // One that is too old for this bin is known as well when it comes again.
        self.filter.add(reading.filter());
        if !is_new {
            return Insert::Known;
        }
        let is_first = cell.is_none();
        let cell = cell.get_or_insert(Cell {
            time_ms,
            value: f32::NAN,
            finite: 0,
            extreme: f32::NAN,
            sum: Sum::default(),
        });
        if is_newest {
            cell.time_ms = cell.time_ms.max(time_ms);
            cell.value = if value.is_finite() { value } else { f32::NAN };
        }
        if value.is_finite() {
            let is_extreme = match aggregate {
                Aggregate::Min => value.total_cmp(&cell.extreme).is_lt(),
                Aggregate::Max => value.total_cmp(&cell.extreme).is_gt(),
                _ => false,
            };
            if cell.finite == 0 || is_extreme {
                cell.extreme = value;
            }
            if aggregate.sums() {
                cell.sum.add(value);
            }
            cell.finite += 1;
        }
        self.readings += 1;
        self.merged += u64::from(!is_first);
        if is_first { Insert::First } else { Insert::Merged }
    }

    /// Whether every variate has a reading.
    pub(crate) fn is_complete(&self) -> bool {
        self.readings - self.merged == self.cells.len() as u64
    }

    pub(crate) fn newest_ms(&self) -> Option<i64> {
        self.newest_of(|_| true)
    }

    /// Time of the newest reading of some variates.
    pub(crate) fn newest_of(&self, is_of: impl Fn(usize) -> bool) -> Option<i64> {
        let cells = self.cells.iter().enumerate().filter(|(variate, _)| is_of(*variate));
        cells.filter_map(|(_, cell)| Some(cell.as_ref()?.time_ms)).max()
    }

    /// The variate's newest reading, NaN where it was not finite; `None` without a reading.
    pub(crate) fn newest(&self, variate: usize) -> Option<f32> {
        self.cells[variate].map(|cell| cell.value)
    }

    /// The aggregate of the variate's readings; NaN where missing.
    pub(crate) fn value(&self, shape: &Shape, variate: usize) -> f32 {
        let Some(cell) = &self.cells[variate] else { return f32::NAN };
        let value = match shape.aggregates[variate] {
            Aggregate::Last => cell.value,
            _ if cell.finite == 0 => f32::NAN,
            Aggregate::Mean => (cell.sum.value() / cell.finite as f64) as f32,
            Aggregate::Sum => cell.sum.value() as f32,
            Aggregate::Min | Aggregate::Max => cell.extreme,
        };
        if value.is_finite() { value } else { f32::NAN }
    }

    /// What was saved, perhaps with another `any_order`; `None` where it breaks an invariant.
    pub(crate) fn restored(shape: &Shape, saved: &TimeBin) -> Option<Self> {
        let mut bin = TimeBin::new(shape);
        if saved.cells.len() != bin.cells.len() {
            return None;
        }
        for (variate, cell) in saved.cells.iter().enumerate() {
            let Some(cell) = cell else { continue };
            if cell.finite > u64::MAX / 2 || !cell.sum.is_finite() {
                return None;
            }
            let value = if cell.value.is_finite() { cell.value } else { f32::NAN };
            bin.cells[variate] = Some(Cell { value, ..*cell });
            if let Some(times) = bin.times.get_mut(variate).filter(|_| shape.remembers(shape.aggregates[variate])) {
                // Without times it was saved while readings had to come in order.
                *times = match saved.times.get(variate) {
                    Some(saved) => RecentTimes::restored(saved)?,
                    None => RecentTimes::known_to(cell.time_ms),
                };
            }
        }
        (bin.readings, bin.merged, bin.filter) = (saved.readings, saved.merged, saved.filter);
        let heard = bin.cells.iter().flatten().count() as u64;
        let is_valid = saved.readings <= u64::MAX / 2 && saved.readings.checked_sub(saved.merged) == Some(heard);
        is_valid.then_some(bin)
    }
}
