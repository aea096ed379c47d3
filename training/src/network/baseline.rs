//! The neural baselines in parallel form: a streaming GRU and an MLP over a short window.
//!
//! Both read what TSM2 reads: the patches of all variates under TSM2's normalizer, the calendar, and the future covariates. Both forecast
//! all steps of all targets at once, and like TSM2 they learn the change from the newest sample.

use candle_core::{DType, Device, Result, Tensor};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use tsm2_core::Config;

use crate::network::learner::{Learner, State};
use crate::network::parameters::{Parameter, Parameters};
use crate::ops::{gelu, gru, linear};

/// Which network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NeuralKind {
    /// One layer of gated recurrent units over the patches of all variates, its state carried from sample to sample.
    Gru,
    /// Two hidden layers over the patches of all variates.
    Mlp,
}

impl NeuralKind {
    /// Both.
    pub const ALL: [NeuralKind; 2] = [NeuralKind::Gru, NeuralKind::Mlp];

    /// Name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            NeuralKind::Gru => "gru",
            NeuralKind::Mlp => "mlp",
        }
    }

    /// Widths of the hidden layers that are tried.
    #[must_use]
    pub fn widths(self) -> [usize; 2] {
        match self {
            NeuralKind::Gru => [128, 64],
            NeuralKind::Mlp => [256, 128],
        }
    }

    /// Names and shapes of the tensors, in order.
    fn layout(self, hidden: usize, config: &Config) -> Vec<(String, Vec<usize>)> {
        let forecast = config.forecast_len();
        let inputs = config.variates * own(config) + common(config);
        let shapes: Vec<(&str, Vec<usize>)> = match self {
            NeuralKind::Gru => vec![
                ("input.weight", vec![3 * hidden, inputs]),
                ("input.bias", vec![3 * hidden]),
                ("hidden.weight", vec![3 * hidden, hidden]),
                ("hidden.bias", vec![hidden]),
                ("head.weight", vec![forecast, hidden]),
                ("head.bias", vec![forecast]),
            ],
            NeuralKind::Mlp => vec![
                ("first.weight", vec![hidden, inputs]),
                ("first.bias", vec![hidden]),
                ("second.weight", vec![hidden, hidden]),
                ("second.bias", vec![hidden]),
                ("head.weight", vec![forecast, hidden]),
                ("head.bias", vec![forecast]),
            ],
        };
        shapes.into_iter().map(|(name, shape)| (name.to_owned(), shape)).collect()
    }

    /// Numbers to be trained.
    #[must_use]
    pub fn parameter_count(self, hidden: usize, config: &Config) -> usize {
        let shapes = self.layout(hidden, config);
        shapes.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum()
    }
}

/// Numbers of a patch that belong to its variate: samples and exponential averages.
fn own(config: &Config) -> usize {
    config
        .network
        .map_or(0, |network| network.patch + config.averages_len(network.averages))
}

/// Numbers of a patch that are the same for all variates, calendar and future covariates: they enter once.
fn common(config: &Config) -> usize {
    config.patch_len() - own(config)
}

/// A neural baseline.
#[derive(Clone, Debug)]
pub struct NeuralBaseline {
    /// Which.
    pub kind: NeuralKind,
    /// Width of its hidden layers.
    pub hidden: usize,
    config: Config,
    parameters: Parameters,
}

impl NeuralBaseline {
    /// Initial weights: uniform by the number of inputs; biases and the head are zero, as TSM2's.
    ///
    /// # Errors
    /// The device's.
    pub fn initial(kind: NeuralKind, hidden: usize, config: &Config, rng: &mut impl Rng, device: &Device) -> Result<Self> {
        Self::new(kind, hidden, config, device, |name, shape| {
            let count: usize = shape.iter().product();
            let bound = (*shape.last().unwrap_or(&1) as f32).sqrt().recip();
            Ok(if name.ends_with("bias") || name.starts_with("head") {
                vec![0.0; count]
            } else {
                (0..count).map(|_| rng.random_range(-bound..=bound)).collect()
            })
        })
    }

    /// The network whose tensors have the values that `values` gives for each name and shape.
    ///
    /// # Errors
    /// Those of `values`; the device's.
    pub fn new(
        kind: NeuralKind,
        hidden: usize,
        config: &Config,
        device: &Device,
        values: impl FnMut(&str, &[usize]) -> Result<Vec<f32>>,
    ) -> Result<Self> {
        Ok(Self {
            kind,
            hidden,
            config: *config,
            parameters: Parameters::new(kind.layout(hidden, config), device, values)?,
        })
    }

    /// W x + b of one layer.
    fn layer(&self, name: &str, x: &Tensor) -> Result<Tensor> {
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        linear(x, &self.parameters.get(&weight)?, Some(&self.parameters.get(&bias)?))
    }
}

impl Learner for NeuralBaseline {
    fn parameters(&self) -> &[Parameter] {
        self.parameters.list()
    }

    fn zero_state(&self, streams: usize, device: &Device) -> Result<State> {
        Ok(State(match self.kind {
            NeuralKind::Gru => vec![Tensor::zeros((streams, self.hidden), DType::F32, device)?],
            NeuralKind::Mlp => Vec::new(),
        }))
    }

    fn forward(&self, patches: &Tensor, state: &State) -> Result<(Tensor, State)> {
        let (streams, tokens, variates, _) = patches.dims4()?;
        let (own, common) = (own(&self.config), common(&self.config));
        let samples = patches.narrow(3, 0, own)?.reshape((streams, tokens, variates * own))?;
        let inputs = match common {
            0 => samples,
            _ => Tensor::cat(&[&samples, &patches.narrow(2, 0, 1)?.narrow(3, own, common)?.squeeze(2)?], 2)?,
        };
        let (features, state) = match self.kind {
            NeuralKind::Gru => {
                let (weight, bias) = (self.parameters.get("hidden.weight")?, self.parameters.get("hidden.bias")?);
                let before = match state.0.first() {
                    Some(before) => before.clone(),
                    None => self.zero_state(streams, patches.device())?.0.swap_remove(0),
                };
                let (h, last) = gru(&self.layer("input", &inputs)?, &weight, &bias, &before)?;
                (h, State(vec![last]))
            }
            NeuralKind::Mlp => {
                let first = gelu(&self.layer("first", &inputs)?)?;
                (gelu(&self.layer("second", &first)?)?, State::default())
            }
        };
        let forecast = self.layer("head", &features)?;
        Ok((
            forecast.reshape((streams, tokens, self.config.targets(), self.config.horizon))?,
            state,
        ))
    }
}

#[cfg(test)]
mod tests {
    use tsm2_core::{Averages, Calendar, NetworkConfig};

    use super::*;

    #[test]
    fn every_number_of_every_variate_is_read() {
        let config = Config {
            variates: 3,
            horizon: 2,
            calendar: Calendar { day: 1, week: 0 },
            averages: Some(Averages {
                count: 2,
                shortest: 2.0,
                longest: 8.0,
            }),
            network: Some(NetworkConfig {
                patch: 4,
                averages: true,
                calendar: true,
                ..NetworkConfig::default()
            }),
            ..Config::default()
        };
        let (m, p) = (config.variates, config.patch_len());
        for kind in NeuralKind::ALL {
            let values = |_: &str, shape: &[usize]| Ok((0..shape.iter().product()).map(|i: usize| (i as f32).sin()).collect());
            let network = NeuralBaseline::new(kind, 5, &config, &Device::Cpu, values).unwrap();
            let forecast = |patches: Vec<f32>| -> Vec<f32> {
                let patches = Tensor::from_vec(patches, (1, 1, m, p), &Device::Cpu).unwrap();
                let (forecast, _) = network.forward(&patches, &State::default()).unwrap();
                forecast.flatten_all().unwrap().to_vec1().unwrap()
            };
            let before = forecast(vec![0.1; m * p]);
            // The calendar is common to all variates and read once.
            for place in (0..m * p).filter(|place| place / p == 0 || place % p < own(&config)) {
                let mut patches = vec![0.1; m * p];
                patches[place] = 0.6;
                assert_ne!(forecast(patches), before, "{kind:?}: number {} of variate {}", place % p, place / p);
            }
        }
    }
}
