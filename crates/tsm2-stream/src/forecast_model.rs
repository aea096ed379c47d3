//! What a forecaster needs of a model. A bundle's model is one; a graph of another maker is another one.

use core::fmt::Display;

use tsm2_core::{Config, Error, Model};

/// A model that consumes time steps one by one. It holds no state: one model serves any number of
/// streams. A state is all zeros at the start.
pub trait ForecastModel {
    /// Why a time step cannot be consumed.
    type Error: Display;

    /// Variates, covariates, horizon and season of the model.
    fn config(&self) -> &Config;

    /// Numbers in the state of one stream.
    fn state_len(&self) -> usize;

    /// Numbers of working memory that a step needs.
    fn scratch_len(&self) -> usize;

    /// Sets the next values of a future covariate; see [`Model::set_future`].
    ///
    /// # Errors
    /// The variate is not a future covariate, or a length does not fit.
    fn set_future(&self, state: &mut [f32], variate: usize, values: &[f32]) -> Result<(), Self::Error>;

    /// Consumes one time step and writes the forecast `[targets, H]`; see [`Model::step`].
    ///
    /// # Errors
    /// A length does not fit, or the model cannot compute the step.
    fn step(&self, state: &mut [f32], scratch: &mut [f32], readings: &[f32], time_ms: i64, forecast: &mut [f32])
    -> Result<(), Self::Error>;
}

impl ForecastModel for Model<'_> {
    type Error = Error;

    fn config(&self) -> &Config {
        self.config()
    }

    fn state_len(&self) -> usize {
        self.state_len()
    }

    fn scratch_len(&self) -> usize {
        self.scratch_len()
    }

    fn set_future(&self, state: &mut [f32], variate: usize, values: &[f32]) -> Result<(), Error> {
        self.set_future(state, variate, values)
    }

    fn step(&self, state: &mut [f32], scratch: &mut [f32], readings: &[f32], time_ms: i64, forecast: &mut [f32]) -> Result<(), Error> {
        self.step(state, scratch, readings, time_ms)?.forecast(forecast)
    }
}
