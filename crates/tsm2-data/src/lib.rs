//! Reads recordings of sensors from the tables that people have, and reports how.
//!
//! ```text
//! bytes -> text -> layout -> columns -> times -> rows -> regular time steps
//!          encoding dialect  census     time     table   grid
//! ```
//!
//! - Two passes over a file: the first decides for whole columns, the second reads numbers. Memory is that of the numbers.
//! - Nothing is silent. A column that is left out, a row that is dropped and a decision that could be another stand in the [`Report`];
//!   what cannot be decided is an [`Error`] with the option that helps.
//! - Time steps are made by the resampler of the device.
//!
//! ```
//! use std::path::Path;
//! use tsm2_data::{Options, read_bytes};
//!
//! let table = "Zeit;Temperatur [°C]\n04.03.2024 00:00;18,3\n04.03.2024 00:10;18,2\n04.03.2024 00:20;18,4\n";
//! let (recording, report) = read_bytes(Path::new("hall.csv"), table.as_bytes(), &Options::default())?;
//! assert_eq!(recording.series[0].values, [18.3, 18.2, 18.4]);
//! assert_eq!(report.interval_s, Some(600.0));
//! assert_eq!(recording.variates[0].unit.as_deref(), Some("°C"));
//! # Ok::<(), tsm2_data::Error>(())
//! ```

mod cadence;
mod calendar;
mod cells;
mod census;
mod columns;
mod day_rows;
mod delimited;
mod devices;
mod dialect;
mod draw;
mod encoding;
mod error;
mod file;
#[cfg(feature = "compressed")]
mod frames;
mod grid;
mod header;
mod line_protocol;
mod lines;
mod long;
mod meter;
mod months;
mod names;
mod options;
#[cfg(feature = "parquet")]
mod parquet;
mod pivot;
mod read;
mod reader;
mod recording;
mod regular;
mod report;
mod rows;
mod source;
mod spaces;
mod statistics;
mod suspects;
mod table;
mod time;
mod turns;
mod units;
mod unpack;
mod wide;

pub use cells::{is_missing, state};
pub use error::{Error, quoted};
pub use meter::Meter;
pub use options::{Aggregate, Options, Steps};
pub use read::{read, read_bytes, read_metered};
pub use recording::{Clock, Recording, Series, Variate};
pub use report::{DroppedColumn, DroppedRows, Kind, Report, Shape, VariateReport, VariateShape};
