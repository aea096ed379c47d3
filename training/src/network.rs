//! The network in parallel form: whole stretches of tokens at once, differentiable, the same function as the device's step.
//!
//! Features are `[streams, tokens, variates, D]`.

use candle_core::{DType, Device, Result, Tensor, bail};
use rand::Rng;
use tsm2_core::{Config, S6};

use crate::learner::{Learner, State};
use crate::mixer::{Directions, Mixers, TimeState};
use crate::ops::linear;
use crate::optim::Parameter;
use crate::parameters::Parameters;

/// TSM2's network, with the current values of its parameters.
#[derive(Clone, Debug)]
pub struct Network {
    config: Config,
    parameters: Parameters,
}

impl Learner for Network {
    fn parameters(&self) -> &[Parameter] {
        self.parameters.list()
    }

    fn zero_state(&self, streams: usize, device: &Device) -> Result<State> {
        let S6 {
            d_inner: e,
            d_state: n,
            d_conv: k,
            ..
        } = self.config.time_mixer;
        let m = self.config.variates;
        let mut tensors = Vec::with_capacity(2 * self.config.layers);
        for _ in 0..self.config.layers {
            tensors.push(Tensor::zeros((streams, k - 1, m, e), DType::F32, device)?);
            tensors.push(Tensor::zeros((streams, m, e, n), DType::F32, device)?);
        }
        Ok(State(tensors))
    }

    fn forward(&self, patches: &Tensor, state: &State) -> Result<(Tensor, State)> {
        let (features, state) = self.features(patches, state)?;
        Ok((self.head(&features)?, state))
    }
}

impl Network {
    /// A network of this configuration.
    #[must_use]
    pub fn new(config: &Config, parameters: Parameters) -> Self {
        Self {
            config: *config,
            parameters,
        }
    }

    /// A network with initial weights.
    ///
    /// # Errors
    /// A fault of the configuration, or of the device.
    pub fn initial(config: &Config, rng: &mut impl Rng, device: &Device) -> Result<Self> {
        Ok(Self::new(config, Parameters::initial(config, rng, device)?))
    }

    /// Its parameters, to be set or held.
    pub fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }

    /// Patches `[streams, tokens, variates, patch]` to the last layer's features `[streams, tokens, variates, D]`, and the state after them.
    fn features(&self, patches: &Tensor, state: &State) -> Result<(Tensor, State)> {
        let p = &self.parameters;
        let mut bias = p.get("embed.bias")?;
        if self.config.variate_embedding {
            bias = p.get("embed.variate")?.broadcast_add(&bias)?;
        }
        let u = linear(patches, &p.get("embed.weight")?, Some(&bias))?;
        let mixers = Mixers {
            parameters: p,
            raw_value_path: self.config.raw_value_path,
            selection_from: self.config.selection_from,
            discretisation: self.config.discretisation,
        };
        let (mut of_time, mut of_variate) = (vec![u.clone()], vec![u]);
        let mut after = Vec::with_capacity(state.0.len());
        for (l, state) in state.0.chunks_exact(2).take(self.config.layers).enumerate() {
            let prefix = format!("layers.{l}.");
            let x = match self.config.weighted_averaging {
                true => mixers.average(&prefix, ("alpha", &of_time), ("beta", &of_variate))?,
                false => of_variate[l].clone(),
            };
            // The state holds both for layer after layer.
            let state = TimeState {
                conv: &state[0],
                scan: &state[1],
            };
            let (y, state) = mixers.time(&prefix, &self.config.time_mixer, &x, Some(state))?;
            of_time.push(y);
            after.extend(state);
            let x = match self.config.weighted_averaging {
                true => mixers.average(&prefix, ("theta", &of_time), ("gamma", &of_variate))?,
                false => of_time[l + 1].clone(),
            };
            of_variate.push(mixers.variate(&prefix, &self.config.variate_mixer, Directions::Both, &x)?);
        }
        if after.len() != 2 * self.config.layers {
            bail!(
                "a state of {} tensors where {} layers have two each",
                state.0.len(),
                self.config.layers
            );
        }
        Ok((of_variate.swap_remove(self.config.layers), State(after)))
    }

    /// Features `[streams, tokens, variates, D]` to what the network adds to the forecast, normalised: `[streams, tokens, M - X, H]`.
    fn head(&self, features: &Tensor) -> Result<Tensor> {
        let (weight, bias) = (self.parameters.get("head.weight")?, self.parameters.get("head.bias")?);
        let forecast = match self.config.exogenous {
            0 => features.clone(),
            _ => features.narrow(2, 0, self.config.endogenous())?.contiguous()?,
        };
        linear(&forecast, &weight, Some(&bias))
    }
}
