//! How a recording was read, as data: the JSON of `tsm2 describe --json`.

use serde::Serialize;

/// How a recording was read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The files, as they were named.
    pub files: Vec<String>,
    /// Rows of readings in the files, those dropped left out; of a long table, its distinct times per device.
    pub rows: u64,
    /// Time of the first row, RFC 3339.
    pub start: Option<String>,
    /// Time of the last row, RFC 3339.
    pub end: Option<String>,
    /// Seconds between time steps.
    pub interval_s: Option<f64>,
    /// The column or columns of times, joined by ` + `.
    pub time_column: Option<String>,
    /// How the times are written.
    pub time_format: Option<String>,
    /// Zone of the times.
    pub time_zone: Option<String>,
    /// The variates.
    pub variates: Vec<VariateReport>,
    /// Columns that are not variates.
    pub dropped_columns: Vec<DroppedColumn>,
    /// Rows that are left out.
    pub dropped_rows: Vec<DroppedRows>,
    /// What a user should know, a sentence each.
    pub warnings: Vec<String>,
    /// What the drawing needs beside.
    #[serde(skip)]
    pub shape: Shape,
}

/// One variate as it was read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VariateReport {
    /// The name.
    pub name: String,
    /// The unit, where one is written.
    pub unit: Option<String>,
    /// Rows without a reading.
    pub missing: u64,
    /// The smallest reading.
    pub min: Option<f64>,
    /// The largest reading.
    pub max: Option<f64>,
    /// What the values look like.
    pub kind: Kind,
    /// What the drawing needs beside.
    #[serde(skip)]
    pub shape: VariateShape,
}

/// What the values of a variate look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Kind {
    /// Numbers.
    Number,
    /// Two states, on and off, as 1 and 0.
    OnOff,
    /// A counter: it only rises, but for resets.
    Counter,
    /// One value throughout.
    Constant,
    /// No reading at all.
    Empty,
}

/// A column that is not a variate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DroppedColumn {
    /// The name.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// Rows left out for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DroppedRows {
    /// Why.
    pub reason: String,
    /// How many.
    pub count: u64,
    /// Line of the first, from 1.
    pub first_line: u64,
}

/// Facts of the whole recording for the drawing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shape {
    /// Time steps, those without a row included.
    pub time_steps: u64,
    /// Stretches without a long gap.
    pub segments: u64,
    /// Gaps that are bridged by missing readings: how many, time steps in all, time steps in the longest.
    pub gaps: (u64, u64, u64),
    /// Rows that share a time step with another.
    pub merged: u64,
    /// Share of steps between rows that equal the interval within 5 %, 0 to 1.
    pub regularity: f64,
    /// Names of the devices, where there are several.
    pub series: Vec<String>,
}

/// Facts of one variate for the drawing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct VariateShape {
    /// Means of equal parts of the recording, for a sparkline; NaN where a part has no reading.
    pub parts: Vec<f32>,
    /// Time steps of the longest stretch with one value.
    pub longest_constant: u64,
    /// Values that look like codes for no reading, and how often each comes.
    pub sentinels: Vec<(f64, u64)>,
}
