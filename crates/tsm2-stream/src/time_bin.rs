//! A row: one slot of the grid, with what the readings of each variate come to.
//!
//! Invariants: a variate without a reading is not heard and has no value; one that was heard may have none too (its sensor said so). The
//! same readings again leave a row as it is, and so does their order, as far as [`crate::recent_times`] remembers.

use alloc::{vec, vec::Vec};

use crate::aggregate::{Aggregate, Sum};
use crate::bytes::{Bytes, put};
use crate::recent_times::RecentTimes;

/// A closed row, as the forecaster takes it.
#[derive(Debug, Clone, Copy)]
pub struct TimeStep<'a> {
    /// The slot's time on the grid, a multiple of the interval, in milliseconds since 1970-01-01 UTC.
    pub time_ms: i64,
    /// Time of the newest reading in this row; `None` in a row that fills a gap.
    pub last_reading_ms: Option<i64>,
    /// One value per variate in the sensors' own units, NaN where missing. Shape `[M]`.
    pub values: &'a [f32],
}

/// What all rows of a grid have in common.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    /// Per variate, at least one.
    pub(crate) aggregates: Vec<Aggregate>,
    /// Whether readings of a row may come in any order.
    pub(crate) any_order: bool,
}

impl Shape {
    pub(crate) fn variates(&self) -> usize {
        self.aggregates.len()
    }

    /// Of the newest reading alone an older one changes nothing, so its times need no list.
    fn remembers(&self, aggregate: Aggregate) -> bool {
        self.any_order && aggregate != Aggregate::Last
    }
}

/// The readings of one variate.
#[derive(Debug, Clone, Copy)]
struct Cell {
    /// Time and value of the newest, NaN where it was not finite.
    newest: Option<(i64, f32)>,
    /// How many were finite.
    finite: u64,
    /// The smallest or the largest finite one.
    extreme: f32,
}

const EMPTY: Cell = Cell {
    newest: None,
    finite: 0,
    extreme: f32::NAN,
};

/// A reading as its row took it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Insert {
    /// The first of its variate.
    First,
    /// Another one of its variate.
    Merged,
    /// Not: it is known, or so old that it may be.
    Known,
}

/// A row being filled.
#[derive(Debug, Clone)]
pub(crate) struct TimeBin {
    cells: Vec<Cell>,
    /// Per variate; empty where no variate is summed.
    sums: Vec<Sum>,
    /// Per variate; empty where none remembers times.
    times: Vec<RecentTimes>,
    unheard: usize,
    /// Readings taken.
    pub(crate) readings: u64,
    /// Those of them that were not the first of their variate.
    pub(crate) merged: u64,
}

impl TimeBin {
    pub(crate) fn new(shape: &Shape) -> Self {
        let variates = shape.variates();
        let sums = shape.aggregates.iter().any(|aggregate| aggregate.sums());
        let times = shape.aggregates.iter().any(|&aggregate| shape.remembers(aggregate));
        TimeBin {
            cells: vec![EMPTY; variates],
            sums: if sums { vec![Sum::default(); variates] } else { Vec::new() },
            // Cloning a vector would not keep its capacity.
            times: (0..if times { variates } else { 0 }).map(|_| RecentTimes::new()).collect(),
            unheard: variates,
            readings: 0,
            merged: 0,
        }
    }

    /// Starts over, empty.
    pub(crate) fn clear(&mut self) {
        self.cells.fill(EMPTY);
        self.sums.fill(Sum::default());
        self.times.iter_mut().for_each(RecentTimes::clear);
        (self.unheard, self.readings, self.merged) = (self.cells.len(), 0, 0);
    }

    /// Takes a reading of the row's slot.
    pub(crate) fn insert(&mut self, shape: &Shape, variate: usize, value: f32, time_ms: i64) -> Insert {
        let (cell, aggregate) = (&mut self.cells[variate], shape.aggregates[variate]);
        let is_newest = cell.newest.is_none_or(|(newest_ms, _)| time_ms > newest_ms);
        let is_new = match self.times.get_mut(variate) {
            Some(times) if shape.remembers(aggregate) => times.insert(time_ms),
            _ => is_newest,
        };
        if !is_new {
            return Insert::Known;
        }
        let is_first = cell.newest.is_none();
        if is_newest {
            cell.newest = Some((time_ms, if value.is_finite() { value } else { f32::NAN }));
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
                self.sums[variate].add(value);
            }
            cell.finite += 1;
        }
        self.unheard -= usize::from(is_first);
        self.readings += 1;
        self.merged += u64::from(!is_first);
        if is_first { Insert::First } else { Insert::Merged }
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.unheard == 0
    }

    pub(crate) fn newest_ms(&self) -> Option<i64> {
        self.cells.iter().filter_map(|cell| cell.newest).map(|(time_ms, _)| time_ms).max()
    }

    /// The value of the variate's newest reading, NaN where it was not finite; `None` when the variate was not heard.
    pub(crate) fn newest(&self, variate: usize) -> Option<f32> {
        self.cells[variate].newest.map(|(_, value)| value)
    }

    /// What the variate's readings come to; NaN where missing.
    pub(crate) fn value(&self, shape: &Shape, variate: usize) -> f32 {
        let cell = &self.cells[variate];
        let sum = || self.sums[variate].value();
        let value = match shape.aggregates[variate] {
            Aggregate::Last => self.newest(variate).unwrap_or(f32::NAN),
            _ if cell.finite == 0 => f32::NAN,
            Aggregate::Mean => (sum() / cell.finite as f64) as f32,
            Aggregate::Sum => sum() as f32,
            Aggregate::Min | Aggregate::Max => cell.extreme,
        };
        if value.is_finite() { value } else { f32::NAN }
    }

    /// Appends counts, and per variate whether it was heard and what of.
    pub(crate) fn save(&self, shape: &Shape, out: &mut Vec<u8>) {
        put(out, self.readings.to_le_bytes());
        put(out, self.merged.to_le_bytes());
        for (variate, cell) in self.cells.iter().enumerate() {
            let Some((time_ms, value)) = cell.newest else {
                put(out, [0]);
                continue;
            };
            put(out, [1]);
            put(out, time_ms.to_le_bytes());
            put(out, value.to_le_bytes());
            put(out, cell.finite.to_le_bytes());
            put(out, cell.extreme.to_le_bytes());
            if shape.aggregates[variate].sums() {
                self.sums[variate].save(out);
            }
            let times = self.times.get(variate).filter(|_| shape.remembers(shape.aggregates[variate]));
            put(out, [u8::from(times.is_some())]);
            if let Some(times) = times {
                times.save(out);
            }
        }
    }

    /// The row that [`OpenRow::save`] wrote, perhaps with another `any_order`; `None` for anything else.
    pub(crate) fn restore(shape: &Shape, from: &mut Bytes<'_>) -> Option<Self> {
        let mut row = TimeBin::new(shape);
        (row.readings, row.merged) = (from.count()?, from.count()?);
        for (variate, &aggregate) in shape.aggregates.iter().enumerate() {
            if !from.flag()? {
                continue;
            }
            row.unheard -= 1;
            let time_ms = i64::from_le_bytes(from.take()?);
            let value = f32::from_le_bytes(from.take()?);
            let finite = from.count()?;
            let extreme = f32::from_le_bytes(from.take()?);
            row.cells[variate] = Cell {
                newest: Some((time_ms, if value.is_finite() { value } else { f32::NAN })),
                finite,
                extreme,
            };
            if aggregate.sums() {
                row.sums[variate] = Sum::restore(from)?;
            }
            let saved = if from.flag()? { Some(RecentTimes::restore(from)?) } else { None };
            if let Some(times) = row.times.get_mut(variate).filter(|_| shape.remembers(aggregate)) {
                // Without times it was written while they had to come in order.
                *times = saved.unwrap_or_else(|| RecentTimes::known_to(time_ms));
            }
        }
        let heard = (shape.variates() - row.unheard) as u64;
        (row.readings.checked_sub(row.merged) == Some(heard)).then_some(row)
    }
}
