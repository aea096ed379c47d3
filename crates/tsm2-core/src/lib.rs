//! The TSM2 forecaster as a recurrence: `no_std`, no allocation, one step per row of readings.
//!
//! TSM2 (Time Series MambaMixer, arXiv 2403.19888) is a selective state-space network that mixes information along time and
//! across variates. This crate runs its causal, streaming form: [`Model::step`] takes one row of M readings, advances a state of
//! fixed size and, when a token is due, hands back a [`Token`] from which a forecast over H leads can be read: of all M variates, or
//! of the first M - X where the last X are read only ([`Config::exogenous`]); of some of these what they will read may be told ahead
//! ([`Model::foretell`]). The work per row is constant, no window is ever run
//! again, and nothing is allocated: weights are borrowed (they may lie in a microcontroller's flash), state and scratch are buffers
//! of the caller whose sizes the model tells.
//!
//! ```
//! use tsm2_core::{Config, Error, Model, Scaler, parameter_count};
//!
//! # fn main() -> Result<(), Error> {
//! let config = Config { variates: 2, horizon: 3, ..Config::default() };
//! let weights = [0.0; 1 << 20];
//! let scaler = Scaler { mean: &[20.0, 50.0], std: &[2.0, 5.0] };
//! let model = Model::new(&config, scaler, &weights[..parameter_count(&config)?])?;
//!
//! let mut state = vec![0.0; model.state_len()];
//! let mut scratch = vec![0.0; model.scratch_len()];
//! let mut forecast = [0.0; 6];
//! if let Some(mut token) = model.step(&mut state, &mut scratch, &[21.5, f32::NAN], 1_700_000_000_000)? {
//!     token.forecast(&mut forecast)?; // [variate][lead], in the sensors' own units
//! }
//! assert_eq!(forecast, [20.0, 20.0, 20.0, 50.0, 50.0, 50.0]); // all weights zero: the training mean
//! # Ok(())
//! # }
//! ```
//!
//! The mathematics is that of the paper's sections 3 and 5 and of Mamba (arXiv 2312.00752); each module names its equations.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod ahead;
mod config;
mod error;
mod front;
pub mod math;
mod mixer;
mod model;
mod network;

pub use ahead::ahead_bands;
pub use config::{
    CALENDAR, Config, Discretisation, Head, MAX_LAYERS, Mlp, Normaliser, Readout, S6, SEASON_RATES, Season, SelectionFrom, VariateMixer,
};
pub use error::Error;
pub use front::{Front, PATCH_LIMIT, Scaler, Z_LIMIT};
pub use mixer::{LAYER_NORM_EPS, S6Scratch, S6Weights, VALUE_LIMIT, layer_norm, scan_step};
pub use model::{Model, Token};
pub use network::{TensorName, layout, parameter_count};
