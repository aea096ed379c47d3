//! The neural baselines in parallel form: a streaming GRU and an MLP over a short window.
//!
//! Both read what TSM2 reads: the samples of all variates under TSM2's normalizer, the calendar, and the future covariates. Both forecast all
//! steps of all targets at once.

use candle_core::{DType, Device, Result, Tensor};
use rand::{Rng, RngExt};
use tsm2_core::{Config, NetworkConfig};

use crate::network::learner::{Learner, State};
use crate::network::parameters::{Parameter, Parameters};
use crate::ops::{gelu, gru, linear};

/// Number of samples of every variate that the MLP reads.
pub const WINDOW: usize = 24;

/// Width of the GRU's state.
const GRU_HIDDEN: usize = 128;

/// Width of the MLP's hidden layers.
const MLP_HIDDEN: usize = 256;

/// Which network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeuralKind {
    /// One layer of gated recurrent units over the newest sample of every variate, its state carried from sample to sample.
    Gru,
    /// Two hidden layers over the last [`WINDOW`] samples of every variate.
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

    /// Names and shapes of the tensors, in order.
    fn layout(self, config: &Config) -> Vec<(String, Vec<usize>)> {
        let (variates, forecast) = (config.variates, config.forecast_len());
        // Calendar and future covariates are the same for all variates: they enter once.
        let common = config.patch_len() - WINDOW;
        let shapes: Vec<(&str, Vec<usize>)> = match self {
            NeuralKind::Gru => vec![
                ("input.weight", vec![3 * GRU_HIDDEN, variates + common]),
                ("input.bias", vec![3 * GRU_HIDDEN]),
                ("hidden.weight", vec![3 * GRU_HIDDEN, GRU_HIDDEN]),
                ("hidden.bias", vec![GRU_HIDDEN]),
                ("head.weight", vec![forecast, GRU_HIDDEN]),
                ("head.bias", vec![forecast]),
            ],
            NeuralKind::Mlp => vec![
                ("first.weight", vec![MLP_HIDDEN, variates * WINDOW + common]),
                ("first.bias", vec![MLP_HIDDEN]),
                ("second.weight", vec![MLP_HIDDEN, MLP_HIDDEN]),
                ("second.bias", vec![MLP_HIDDEN]),
                ("head.weight", vec![forecast, MLP_HIDDEN]),
                ("head.bias", vec![forecast]),
            ],
        };
        shapes.into_iter().map(|(name, shape)| (name.to_owned(), shape)).collect()
    }

    /// Numbers to be trained.
    #[must_use]
    pub fn parameter_count(self, config: &Config) -> usize {
        let shapes = self.layout(config);
        shapes.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum()
    }
}

/// The configuration of the preprocessor in front of a baseline of a model of configuration `config`: patches of [`WINDOW`] samples.
#[must_use]
pub fn baseline_config(config: &Config) -> Config {
    let network = NetworkConfig {
        patch: WINDOW,
        calendar: config.network.is_some_and(|network| network.calendar),
        ..NetworkConfig::default()
    };
    Config {
        network: Some(network),
        ..*config
    }
}

/// A neural baseline.
#[derive(Clone, Debug)]
pub struct NeuralBaseline {
    /// Which.
    pub kind: NeuralKind,
    targets: usize,
    horizon: usize,
    parameters: Parameters,
}

impl NeuralBaseline {
    /// Initial weights: uniform by the number of inputs; biases and the head are zero, as TSM2's.
    ///
    /// # Errors
    /// The device's.
    pub fn initial(kind: NeuralKind, config: &Config, rng: &mut impl Rng, device: &Device) -> Result<Self> {
        Self::new(kind, config, device, |name, shape| {
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
    pub fn new(kind: NeuralKind, config: &Config, device: &Device, values: impl FnMut(&str, &[usize]) -> Result<Vec<f32>>) -> Result<Self> {
        Ok(Self {
            kind,
            targets: config.targets(),
            horizon: config.horizon,
            parameters: Parameters::new(kind.layout(config), device, values)?,
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
            NeuralKind::Gru => vec![Tensor::zeros((streams, GRU_HIDDEN), DType::F32, device)?],
            NeuralKind::Mlp => Vec::new(),
        }))
    }

    fn forward(&self, patches: &Tensor, state: &State) -> Result<(Tensor, State)> {
        let (streams, tokens, variates, patch) = patches.dims4()?;
        let with_common = |samples: Tensor| match patch - WINDOW {
            0 => Ok(samples),
            common => Tensor::cat(&[&samples, &patches.narrow(2, 0, 1)?.narrow(3, WINDOW, common)?.squeeze(2)?], 2),
        };
        let (features, state) = match self.kind {
            NeuralKind::Gru => {
                let newest = patches.narrow(3, WINDOW - 1, 1)?.reshape((streams, tokens, variates))?;
                let (weight, bias) = (self.parameters.get("hidden.weight")?, self.parameters.get("hidden.bias")?);
                let before = match state.0.first() {
                    Some(before) => before.clone(),
                    None => self.zero_state(streams, patches.device())?.0.swap_remove(0),
                };
                let (h, last) = gru(&self.layer("input", &with_common(newest)?)?, &weight, &bias, &before)?;
                (h, State(vec![last]))
            }
            NeuralKind::Mlp => {
                let window = patches.narrow(3, 0, WINDOW)?.reshape((streams, tokens, variates * WINDOW))?;
                let first = gelu(&self.layer("first", &with_common(window)?)?)?;
                (gelu(&self.layer("second", &first)?)?, State::default())
            }
        };
        let forecast = self.layer("head", &features)?;
        Ok((forecast.reshape((streams, tokens, self.targets, self.horizon))?, state))
    }
}
