//! A recording in memory.

use std::ops::Range;

/// Readings of one device or of several like devices.
///
/// Invariants: every series has `values.len() == len * variates.len()`; a missing reading is NaN, and every other value is finite;
/// within a segment neighbouring rows are one interval apart (with [`crate::Steps::Regular`]).
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// The variates, in the order of the columns.
    pub variates: Vec<Variate>,
    /// One series a device; at least one.
    pub series: Vec<Series>,
    /// Milliseconds between time steps; `None` for rows without times.
    pub interval_ms: Option<u64>,
    /// Meaning of the times.
    pub clock: Clock,
    /// SHA-256 of the files' bytes, in hexadecimal; of several files, that of their digests.
    pub sha256: String,
}

/// A variate: one channel of the recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variate {
    /// Name of the column.
    pub name: String,
    /// Unit from the header, a line of units or the cells.
    pub unit: Option<String>,
}

/// The readings of one device.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Name of the device, or of the file.
    pub name: String,
    /// Time of each row in ms since 1970-01-01 UTC, increasing. Without a time column: empty.
    pub times_ms: Vec<i64>,
    /// Readings in the sensors' own units, row-major `[rows][variates]`; NaN where one is missing.
    pub values: Vec<f32>,
    /// Rows without a long gap between them; in order, and together all rows.
    pub segments: Vec<Range<usize>>,
}

/// Meaning of a recording's times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// Time of day and date are known.
    Calendar,
    /// Time since an unknown start; the first row has the time as written.
    Elapsed,
    /// No time: only the order of the rows is known.
    None,
}

/// One segment of all rows.
pub(crate) fn whole(rows: usize) -> Vec<Range<usize>> {
    std::iter::once(0..rows).collect()
}

impl Recording {
    /// Rows of all series.
    pub fn rows(&self) -> usize {
        self.series.iter().map(|series| series.rows(self.variates.len())).sum()
    }
}

impl Series {
    /// Number of rows, for this number of variates.
    pub fn rows(&self, variates: usize) -> usize {
        self.values.len() / variates.max(1)
    }

    /// Readings of row `row`, one per variate.
    pub fn row(&self, row: usize, variates: usize) -> &[f32] {
        &self.values[row * variates..(row + 1) * variates]
    }
}
