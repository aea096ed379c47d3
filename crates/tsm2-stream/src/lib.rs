//! Readings in, rows on the sampling grid out, and what their forecasts are worth: pure logic, no I/O, no clock of its own.
//!
//! A sensor reports when it likes; the forecaster wants one row of all variates per sampling interval. [`Grid`] stands between the two: it
//! takes [`Reading`]s one at a time and hands out [`Event`]s, most of them rows; [`Aggregate`] says what several readings of one slot come to.
//! [`Monitor`] holds rows against the forecasts that were made of them, and puts bounds around the next. Both allocate when they are made and
//! never again. [`Outlook`] is what was told of a variate's rows to come.
//!
//! ```
//! use tsm2_stream::{Event, Grid, GridConfig, Reading};
//!
//! let mut grid = Grid::new(GridConfig::new(2, 60_000, 1440))?;
//! let mut rows = Vec::new();
//! for (variate, value, time_ms) in [(0, 20.5, 1_000), (1, 410.0, 2_000), (0, 20.6, 61_000)] {
//!     grid.push(Reading { variate, value, time_ms }, |event| {
//!         if let Event::Row(row) = event {
//!             rows.push((row.time_ms, row.values.to_vec()));
//!         }
//!     })?;
//! }
//! assert_eq!(rows, [(0, vec![20.5, 410.0])]); // the second row waits for its other variate
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]

extern crate alloc;

#[cfg(test)]
extern crate std;

mod aggregate;
mod bytes;
mod candidate;
mod config;
mod drift;
mod event;
mod grid;
mod history;
mod hold;
mod intervals;
mod monitor;
mod outlook;
mod past;
mod pending;
mod row;
mod skill;
mod times;

pub use aggregate::Aggregate;
pub use config::{GridConfig, GridError};
pub use event::{Counts, Event, Refused};
pub use grid::Grid;
pub use monitor::{MAX_SEASON, Monitor, MonitorConfig, MonitorError};
pub use outlook::Outlook;
pub use row::Row;
pub use skill::{Errors, Skill};

/// One sensor's value at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// Index of the variate in the model's order, 0..M.
    pub variate: usize,
    /// Value in the sensor's own unit; a non-finite one says that the sensor was heard but had nothing to tell.
    pub value: f32,
    /// Milliseconds since 1970-01-01 UTC.
    pub time_ms: i64,
}
