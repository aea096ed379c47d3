//! The network in parallel form: chunks of tokens at once, differentiable, the same function as the device's step.
//!
//! Features are `[streams, tokens, variates, D]`.

use candle_core::{DType, Device, Result, Tensor, bail};
use rand::Rng;
use tsm2_core::{Config, NetworkConfig, S6};

use crate::network::learner::{Learner, State};
use crate::network::mixer::{Directions, Mixers, TimeState};
use crate::network::parameters::{Parameter, Parameters, Parts, sizes};
use crate::network::static_covariates::{PROJECTION, StaticCovariates};
use crate::ops::linear;

/// TSM2's network, with the current values of its parameters.
#[derive(Clone, Debug)]
pub struct Network {
    config: Config,
    sizes: NetworkConfig,
    parts: Parts,
    parameters: Parameters,
    /// Static covariates `[M, C]`.
    statics: Option<Tensor>,
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
        } = self.sizes.time_mixer;
        let m = self.config.variates;
        let mut tensors = Vec::with_capacity(2 * self.sizes.layers);
        for _ in 0..self.sizes.layers {
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
    ///
    /// # Errors
    /// A configuration without a network.
    pub fn new(config: &Config, parameters: Parameters) -> Result<Self> {
        Ok(Self {
            config: *config,
            sizes: sizes(config)?,
            parts: Parts::ALL,
            parameters,
            statics: None,
        })
    }

    /// A network with initial weights.
    ///
    /// # Errors
    /// A fault of the configuration, or of the device.
    pub fn initial(config: &Config, rng: &mut impl Rng, device: &Device) -> Result<Self> {
        Self::initial_of(config, Parts::ALL, rng, device)
    }

    /// A network of some parts only, with initial weights.
    ///
    /// # Errors
    /// A fault of the configuration, or of the device.
    pub fn initial_of(config: &Config, parts: Parts, rng: &mut impl Rng, device: &Device) -> Result<Self> {
        let network = Self::new(config, Parameters::initial(config, parts, rng, device)?)?;
        Ok(Self { parts, ..network })
    }

    /// The same network with static covariates, if there are any.
    ///
    /// # Errors
    /// Features of another number of variates; a fault of the device.
    pub fn with_statics(mut self, statics: Option<&StaticCovariates>, rng: &mut impl Rng, device: &Device) -> Result<Self> {
        if let Some(statics) = statics {
            let (c, d) = (statics.width(), self.sizes.d_model);
            self.statics = Some(Tensor::from_slice(&statics.values, (self.config.variates, c), device)?);
            self.parameters.add(PROJECTION, (d, c), statics.initial(d, rng), device)?;
        }
        Ok(self)
    }

    /// Its parameters, to be set or held.
    pub fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }

    /// Patches `[streams, tokens, variates, patch]` to the last layer's features `[streams, tokens, variates, D]`, and the state after them.
    fn features(&self, patches: &Tensor, state: &State) -> Result<(Tensor, State)> {
        let p = &self.parameters;
        let mut bias = p.get("embed.bias")?;
        if self.parts.variate_vectors {
            bias = p.get("embed.variate")?.broadcast_add(&bias)?;
        }
        if let Some(statics) = &self.statics {
            bias = linear(statics, &p.get(PROJECTION)?, None)?.broadcast_add(&bias)?;
        }
        let u = linear(patches, &p.get("embed.weight")?, Some(&bias))?;
        let mixers = Mixers {
            parameters: p,
            raw_values: self.parts.raw_values,
        };
        let (mut of_time, mut of_variate) = (vec![u.clone()], vec![u]);
        let mut after = Vec::with_capacity(state.0.len());
        for (l, state) in state.0.chunks_exact(2).take(self.sizes.layers).enumerate() {
            let prefix = format!("layers.{l}.");
            let x = match self.parts.averaging {
                true => mixers.average(&prefix, ("alpha", &of_time), ("beta", &of_variate))?,
                false => of_variate[l].clone(),
            };
            // The state holds both for layer after layer.
            let state = TimeState {
                conv: &state[0],
                scan: &state[1],
            };
            let (y, state) = mixers.time(&prefix, &self.sizes.time_mixer, &x, Some(state))?;
            of_time.push(y);
            after.extend(state);
            let x = match self.parts.averaging {
                true => mixers.average(&prefix, ("theta", &of_time), ("gamma", &of_variate))?,
                false => of_time[l + 1].clone(),
            };
            of_variate.push(mixers.variate(&prefix, &self.sizes.variate_mixer, Directions::Both, &x)?);
        }
        if after.len() != 2 * self.sizes.layers {
            bail!(
                "a state of {} tensors where {} layers have two each",
                state.0.len(),
                self.sizes.layers
            );
        }
        Ok((of_variate.swap_remove(self.sizes.layers), State(after)))
    }

    /// Features `[streams, tokens, variates, D]` to the forecast, normalised: `[streams, tokens, targets, H]`.
    fn head(&self, features: &Tensor) -> Result<Tensor> {
        let (weight, bias) = (self.parameters.get("head.weight")?, self.parameters.get("head.bias")?);
        let forecast = match self.config.variates - self.config.targets() {
            0 => features.clone(),
            _ => features.narrow(2, 0, self.config.targets())?.contiguous()?,
        };
        linear(&forecast, &weight, Some(&bias))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// The features of patches in which all numbers differ.
    fn features_of(network: &Network) -> Vec<f32> {
        let patches: Vec<f32> = (0..4 * 3 * 2).map(|i| (i as f32).sin()).collect();
        let patches = Tensor::from_vec(patches, (1, 4, 3, 2), &Device::Cpu).unwrap();
        let (features, _) = network.features(&patches, &network.zero_state(1, &Device::Cpu).unwrap()).unwrap();
        features.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn static_covariates_are_part_of_the_vectors_once_added() {
        let config = Config {
            variates: 3,
            horizon: 4,
            network: Some(NetworkConfig {
                patch: 2,
                d_model: 8,
                ..NetworkConfig::default()
            }),
            ..Config::default()
        };
        let names = ["a", "b", "c"].map(str::to_owned);
        let statics = StaticCovariates::parse(Path::new("s.csv"), b"name,kind,floor\na,x,1\nb,y,2\nc,y,4\n", &names).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let plain = Network::initial(&config, &mut rng, &Device::Cpu).unwrap();
        let told = plain.clone().with_statics(Some(&statics), &mut rng, &Device::Cpu).unwrap();
        let values = |p: &Parameter| (p.name.clone(), p.var.flatten_all().unwrap().to_vec1().unwrap());
        let mut weights: BTreeMap<String, Vec<f32>> = told.parameters().iter().map(values).collect();
        statics.add_to_vectors(&mut weights);
        let folded = Parameters::new(crate::network::parameters::layout(&config).unwrap(), &Device::Cpu, |name, _| {
            Ok(weights.remove(name).unwrap_or_default())
        });
        let folded = Network::new(&config, folded.unwrap()).unwrap();
        assert!(weights.is_empty(), "nothing is left that a model file does not have");
        let apart = |a: &[f32], b: &[f32]| a.iter().zip(b).fold(0.0f32, |worst, (a, b)| worst.max((a - b).abs()));
        assert!(apart(&features_of(&told), &features_of(&folded)) < 1e-5);
        assert!(apart(&features_of(&told), &features_of(&plain)) > 1e-3, "they are seen");
    }
}
