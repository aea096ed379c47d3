//! The TSM2 forecaster as a recurrence: `no_std`, no allocation, one step per time step of readings.
//!
//! TSM2 (Time Series MambaMixer, arXiv 2403.19888) is a selective state-space network that mixes information along time
//! and across variates (a variate is one channel of a stream). This crate runs its causal, streaming form.
//!
//! - [`Model::step`] takes M readings, advances a state of fixed size, and returns a [`Token`].
//! - [`Token::forecast`] writes the forecast of all targets over H steps.
//! - [`Model::set_future`] sets the next values of future covariates.
//!
//! The work per time step is constant and nothing is allocated. Weights are borrowed, so they may lie in a
//! microcontroller's flash. State and scratch are buffers of the caller; the model gives their sizes.
//!
//! ```
//! use tsm2_core::{Config, Error, Model, Scaler, parameter_count};
//!
//! # fn main() -> Result<(), Error> {
//! let config = Config { variates: 2, horizon: 3, ..Config::default() };
//! let weights = vec![0.0; parameter_count(&config)?];
//! let scaler = Scaler { mean: &[20.0, 50.0], std: &[2.0, 5.0] };
//! let model = Model::new(&config, scaler, &weights)?;
//!
//! let mut state = vec![0.0; model.state_len()];
//! let mut scratch = vec![0.0; model.scratch_len()];
//! let mut forecast = [0.0; 6];
//! let mut token = model.step(&mut state, &mut scratch, &[21.5, f32::NAN], 1_700_000_000_000)?;
//! token.forecast(&mut forecast)?; // [target][step], in the sensors' own units
//! assert_eq!(forecast, [20.0, 20.0, 20.0, 50.0, 50.0, 50.0]); // all weights zero: the training mean
//! # Ok(())
//! # }
//! ```
//!
//! From the outside in: [`Model`] calls the [`Preprocessor`] (readings to patches and features), the network (patches to
//! features of width D) and the linear head. [`Config`] fixes all sizes; [`layout`] lists the learned tensors. The
//! mathematics is that of the paper's sections 3 and 5 and of Mamba (arXiv 2312.00752).
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod config;
mod error;
mod linear_head;
pub mod math;
mod matrix;
mod model;
mod network;
mod preprocess;
mod slices;
mod weights;

pub use config::{
    Averages, Calendar, Config, Head, LinearHead, MAX_AVERAGES, MAX_LAYERS, Mlp, NetworkConfig, Normalizer, Precision, S6, SEASON_RATES,
    Season, VariateMixer, future_bands,
};
pub use error::Error;
pub use math::{LAYER_NORM_EPS, layer_norm};
pub use matrix::{Matrix, quantize};
pub use model::{Model, Token};
pub use network::selective_mixer::{S6Scratch, VALUE_LIMIT, scan_step};
pub use preprocess::{PATCH_LIMIT, Preprocessor, Scaler, Z_LIMIT};
pub use weights::{S6Weights, Storage, TensorName, layout, parameter_count, storage_lens, stored_layout};
