//! One step of the whole model: preprocessor, network, linear head.

use crate::config::Config;
use crate::error::{Error, check_len};
use crate::linear_head::LinearHead;
use crate::network::Network;
use crate::preprocess::{Preprocessor, Scaler};
use crate::slices::{at, rows_mut, split_mut};
use crate::weights::Weights;

#[cfg(test)]
mod tests;

/// Largest number of elements in the state of a stream, and in the working memory of a step. A small model file cannot
/// demand more than 64 MiB of each.
const MAX_BUFFER: usize = 1 << 24;

/// A model ready to step: configuration, scaler and borrowed weights. It holds no state; one model serves any number of
/// streams.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    config: Config,
    preprocessor: Preprocessor<'a>,
    network: Option<Network<'a>>,
    linear_head: LinearHead<'a>,
}

/// The result of a step. The forecast of this time step can be read from it.
#[derive(Debug)]
pub struct Token<'t> {
    model: &'t Model<'t>,
    state: &'t [f32],
    /// `[M, D]`; empty without a network.
    features: &'t [f32],
    /// Working memory of the linear head.
    linear: &'t mut [f32],
}

impl<'a> Model<'a> {
    /// A model over `weights`, which hold every tensor of [`crate::layout`] one after the other.
    ///
    /// # Errors
    /// A fault of the configuration, the scaler, or the number of weights.
    pub fn new(config: &Config, scaler: Scaler<'a>, weights: &'a [f32]) -> Result<Self, Error> {
        Self::with_int8(config, scaler, weights, &[])
    }

    /// A model whose large matrices may be stored as integers: `singles` and `integers` hold the tensors of
    /// [`crate::stored_layout`] one after the other, each in its kind; in place of a tensor of integers, `singles` holds the
    /// scales of its rows. [`crate::storage_lens`] gives both lengths.
    ///
    /// # Errors
    /// A fault of the configuration, the scaler, or the number of weights.
    pub fn with_int8(config: &Config, scaler: Scaler<'a>, singles: &'a [f32], integers: &'a [i8]) -> Result<Self, Error> {
        let weights = Weights::view(config, singles, integers)?;
        let network = config.network.zip(weights.network);
        let bounds = weights.linear_head.bounds;
        let model = Self {
            config: *config,
            preprocessor: Preprocessor::new(config, scaler)?.with_bounds(bounds)?,
            network: network.map(|(sizes, weights)| Network::new(config, sizes, weights)),
            linear_head: LinearHead::new(config, weights.linear_head),
        };
        let fault = |requirement| {
            Err(Error::Config {
                key: "config",
                requirement,
            })
        };
        if model.state_len() > MAX_BUFFER {
            return fault("small enough that the state of a stream does not exceed 2^24 numbers");
        }
        if model.scratch_len() > MAX_BUFFER {
            return fault("small enough that the working memory of a step does not exceed 2^24 numbers");
        }
        Ok(model)
    }

    /// The configuration of the model.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The part of the model that is not learned.
    #[must_use]
    pub fn preprocessor(&self) -> &Preprocessor<'a> {
        &self.preprocessor
    }

    /// Numbers in the state of one stream: the preprocessor's, then the network's.
    #[must_use]
    pub fn state_len(&self) -> usize {
        self.preprocessor.state_len() + self.network.map_or(0, |network| network.state_len())
    }

    /// Numbers of working memory that a step needs. Nothing in it outlives the [`Token`].
    #[must_use]
    pub fn scratch_len(&self) -> usize {
        self.linear_head.scratch_len() + self.network.map_or(0, |network| network.scratch_len())
    }

    /// Sets the state to the state of a new stream.
    ///
    /// # Errors
    /// [`Error::Length`] when `state` does not have [`Model::state_len`] numbers.
    pub fn reset(&self, state: &mut [f32]) -> Result<(), Error> {
        check_len("state", state.len(), self.state_len())?;
        state.fill(0.0);
        Ok(())
    }

    /// Sets the next values of a future covariate (one of the last K variates of a time step), in the sensors' units:
    /// of the time step that is stepped next, then of the H time steps after it, as far as they are known.
    ///
    /// - A value that is not finite is not known. It stands at the known value before it, or else at the newest reading.
    /// - The values replace all values set before. Values that are not set again move up with every time step; beyond
    ///   the last known value that value stands.
    /// - A time step's own reading, where it is not missing, takes precedence.
    ///
    /// # Errors
    /// - [`Error::NotFutureCovariate`] for any other variate.
    /// - [`Error::Length`] when `state` has the wrong length, or for more than H + 1 values.
    pub fn set_future(&self, state: &mut [f32], variate: usize, values: &[f32]) -> Result<(), Error> {
        check_len("state", state.len(), self.state_len())?;
        self.preprocessor
            .set_future(split_mut(state, self.preprocessor.state_len()).0, variate, values)
    }

    /// Consumes one time step and advances the state.
    ///
    /// `readings` holds M numbers in the sensors' units; a reading that is not finite is missing, and its variate stands
    /// at its last reading.
    ///
    /// `time_ms` is the time in the model's time zone: milliseconds since the beginning of 1970 there, that is, Unix time
    /// plus the zone's offset at that moment. Of a model without a time zone it is the Unix time.
    ///
    /// # Errors
    /// [`Error::Length`] when a slice has the wrong length; the state is untouched then.
    pub fn step<'t>(&'t self, state: &'t mut [f32], scratch: &'t mut [f32], readings: &[f32], time_ms: i64) -> Result<Token<'t>, Error> {
        check_len("readings", readings.len(), self.config.variates)?;
        check_len("state", state.len(), self.state_len())?;
        check_len("scratch", scratch.len(), self.scratch_len())?;
        let (state, recurrent) = split_mut(state, self.preprocessor.state_len());
        self.preprocessor.push(state, readings, time_ms)?;
        let (linear, scratch) = split_mut(scratch, self.linear_head.scratch_len());
        let features: &[f32] = match &self.network {
            Some(network) => network.step(recurrent, scratch, |variate, patch| self.preprocessor.patch(state, variate, patch)),
            None => &[],
        };
        Ok(Token {
            model: self,
            state,
            features,
            linear,
        })
    }
}

impl Token<'_> {
    /// Writes the forecast `[targets, H]`, in the sensors' units; step 0 is the time step after the one just consumed.
    ///
    /// # Errors
    /// [`Error::Length`] when `out` does not have [`Config::forecast_len`] numbers.
    pub fn forecast(&mut self, out: &mut [f32]) -> Result<(), Error> {
        let model = self.model;
        check_len("forecast", out.len(), model.config.forecast_len())?;
        let scaler = model.preprocessor.scaler();
        for (m, out) in rows_mut(out, model.config.horizon).enumerate() {
            match &model.network {
                Some(network) => network.head(m, self.features, out),
                None => out.fill(0.0),
            }
            let features = |phi: &mut [f32]| model.preprocessor.features(self.state, m, phi);
            model.linear_head.add(m, self.linear, features, out);
            let (mean, deviation) = model.preprocessor.statistics(self.state, m);
            let anchor = model.preprocessor.anchor(self.state, m);
            let (unit, zero) = (at(scaler.std, m), at(scaler.mean, m));
            for out in out {
                *out = ((*out + anchor) * deviation + mean) * unit + zero;
            }
        }
        Ok(())
    }
}
