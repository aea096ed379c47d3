//! Rows onto the sampling grid: slot `round((t - t0) / interval)`.
//!
//! A slot without a row becomes a row of missing readings; a row that does not advance to a new slot is left out. What is filled in never
//! exceeds the file's own rows or [`FILL`], whichever is more: beyond that a timestamp is more likely wrong than the sensors silent.

use std::path::Path;

use super::cells::TimeColumn;
use super::{Gaps, Stale, TableError};

/// Rows that may be filled in however short the file is.
const FILL: usize = 10_000;

/// A table's rows, one per slot.
pub(super) struct Grid {
    pub values: Vec<f32>,
    pub times_ms: Vec<i64>,
    /// `None` when there is a single row.
    pub interval_ms: Option<u64>,
    pub gaps: Gaps,
    pub stale: Stale,
}

pub(super) fn place(path: &Path, time: &TimeColumn, values: &[f32], lines: &[u64]) -> Result<Grid, TableError> {
    let times = &time.times_ms;
    let variates = values.len() / times.len();
    let mut steps: Vec<u64> = times
        .windows(2)
        .filter_map(|pair| u64::try_from(pair[1] - pair[0]).ok())
        .filter(|&step| step > 0)
        .collect();
    steps.sort_unstable();
    let interval_ms = steps.get(steps.len().saturating_sub(1) / 2).copied();
    if times.len() > 1 && interval_ms.is_none() {
        return Err(TableError::TimeNeverAdvances {
            path: path.into(),
            line: lines[1],
            column: time.column.clone(),
        });
    }
    let interval = interval_ms.unwrap_or(1) as i64;
    let slot_of = |t: i64| (t - times[0] + interval / 2).div_euclid(interval);

    let mut grid = Grid {
        values: Vec::with_capacity(values.len()),
        times_ms: Vec::with_capacity(times.len()),
        interval_ms,
        gaps: Gaps::default(),
        stale: Stale::default(),
    };
    for ((&t, row), &line) in times.iter().zip(values.chunks_exact(variates)).zip(lines) {
        let (slot, next) = (slot_of(t), grid.times_ms.len() as i64);
        if slot < next {
            if grid.stale.rows == 0 {
                grid.stale.first_line = line;
            }
            grid.stale.rows += 1;
            continue;
        }
        let slots = (slot - next) as usize;
        if slots > 0 {
            let gaps = &mut grid.gaps;
            if gaps.count == 0 {
                gaps.first_line = line;
            }
            gaps.count += 1;
            gaps.longest = gaps.longest.max(slots);
            gaps.rows += slots;
            if gaps.rows > FILL.max(times.len()) {
                return Err(TableError::GapTooLong {
                    path: path.into(),
                    line,
                    slots: slots as u64,
                    interval_ms: interval as u64,
                });
            }
            grid.times_ms.extend((next..slot).map(|s| times[0] + s * interval));
            grid.values.resize(slot as usize * variates, f32::NAN);
        }
        grid.times_ms.push(t);
        grid.values.extend_from_slice(row);
    }
    Ok(grid)
}
