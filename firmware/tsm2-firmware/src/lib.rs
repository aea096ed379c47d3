//! Forecasting station for microcontrollers: readings in, forecasts out, over MQTT or a serial line.
//!
//! A station is the same [`Resampler`](tsm2_stream::Resampler) and
//! [`Forecaster`](tsm2_stream::Forecaster) as a stream of the daemon, over a model that lies in flash
//! (`tsm2_blob`). It needs a heap, from which it takes all it needs when it starts; afterwards each
//! reading borrows and returns the memory of one snapshot.
//!
//! - [`Settings`]: a few lines of text in flash;
//! - [`Station`]: a payload in, forecasts out; saved and restored to the bit;
//! - [`Retained`]: two checked copies of the state in memory that survives a reset;
//! - [`run`]: the main loop of a [`Board`]: network, MQTT, serial line, watchdog.
//!
//! # Order of work
//!
//! 1. A payload arrives. Its readings become time steps, each time step a forecast.
//! 2. The state and the newest forecast are written to the retained memory.
//! 3. The acknowledgement of the payload leaves, then the forecast.
//!
//! A reset before step 2 leaves the payload unacknowledged, so the broker sends it again. After a
//! reset later than step 2 the payload changes nothing, and the forecast is published again.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod board;
#[cfg(feature = "embassy")]
mod embassy;
mod forecast;
mod mqtt;
mod net;
mod payload;
mod retained;
mod run;
mod serial;
mod settings;
mod shared;
mod station;

pub use board::{Board, Flash, NoEthernet};
#[cfg(feature = "embassy")]
pub use embassy::EmbassyEthernet;
pub use payload::Rejected;
pub use retained::Retained;
pub use run::{StartError, run};
pub use settings::{Settings, SettingsError};
pub use station::{Station, StationError};
