//! The demo of TSM2 Edge: the whole path on one machine, with nothing to install.
//!
//! - [`simulator`]: a simulated building, one time step a minute, eleven variates;
//! - [`broker`]: a small MQTT broker on loopback;
//! - [`demo`]: the building publishes, the daemon forecasts, and an MQTT client watches both;
//! - [`Scoreboard`] and [`picture`]: forecasts compared with the readings that followed, as a table.

pub mod broker;
pub mod demo;
mod error;
mod outcome;
mod runner;
mod scoreboard;
pub mod simulator;
mod table;
mod view;

pub use error::DemoError;
pub use outcome::{HorizonOutcome, Outcome, VariateOutcome};
pub use scoreboard::{Comparison, HORIZONS_MIN, Scoreboard, Series};
pub use table::{Style, WIDE, picture};
pub use view::{MINUTES_PER_SECOND, View};
