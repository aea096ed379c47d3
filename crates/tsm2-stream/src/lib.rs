//! One sensor stream: readings in, evenly spaced time steps out, and the evaluation of their
//! forecasts. Pure logic: no I/O and no clock of its own.
//!
//! - [`Resampler`]: readings at any time become one [`TimeStep`] of all variates per sampling
//!   interval. [`Aggregate`] combines several readings of one time bin.
//! - [`Forecaster`]: model state, [`FutureCovariate`]s and monitor of one stream. A [`TimeStep`]
//!   in, a [`Forecast`] out.
//! - [`Monitor`]: prediction intervals, [`LiveMetrics`] and a drift flag.
//! - [`ErrorSums`]: mean absolute and mean squared errors, wherever forecasts are evaluated.
//!
//! A resampler, a forecaster and a monitor allocate when they are made and never again, except for
//! new future covariates. Their snapshots are serde types; any bytes that decode are checked before
//! they are used.
//!
//! ```
//! use tsm2_stream::{Event, Reading, Resampler, ResamplerConfig};
//!
//! let mut resampler = Resampler::new(ResamplerConfig::new(2, 60_000, 1440))?;
//! let mut steps = Vec::new();
//! for (variate, value, time_ms) in [(0, 20.5, 1_000), (1, 410.0, 2_000), (0, 20.6, 61_000)] {
//!     resampler.push(Reading::at(variate, value, time_ms), |event| {
//!         if let Event::TimeStep(step) = event {
//!             steps.push((step.time_ms, step.values.to_vec()));
//!         }
//!     })?;
//! }
//! assert_eq!(steps, [(0, vec![20.5, 410.0])]); // the second step waits for its other variate
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]

extern crate alloc;

#[cfg(test)]
extern crate std;

mod aggregate;
mod config;
mod drift;
mod errors;
mod event;
mod forecast_model;
mod forecaster;
mod forward_fill;
mod future_covariates;
mod initial_widths;
mod intervals;
mod known_readings;
mod live_metrics;
mod monitor;
mod open_forecasts;
mod pending_jump;
mod reading;
mod recent_times;
mod resampler;
mod resampler_snapshot;
mod seasons;
mod segment;
mod source_clock;
mod time_bin;
mod time_range;

pub use aggregate::Aggregate;
pub use config::{MAX_AHEAD, MAX_GAP, ResamplerConfig, ResamplerError};
pub use errors::{ErrorSums, Errors};
pub use event::{Accepted, Counts, Event, Rejected};
pub use forecast_model::ForecastModel;
pub use forecaster::{Forecast, Forecaster, ForecasterConfig, ForecasterSnapshot, Naive, Workspace};
pub use future_covariates::FutureCovariate;
pub use initial_widths::initial_widths;
pub use live_metrics::{LiveMetrics, MAX_METRIC_STEPS};
pub use monitor::{MAX_SEASON, Monitor, MonitorConfig, MonitorError, MonitorSnapshot};
pub use reading::Reading;
pub use resampler::Resampler;
pub use resampler_snapshot::{ResamplerSnapshot, ResamplerSnapshotV1};
pub use time_bin::TimeStep;
