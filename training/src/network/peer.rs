//! The two networks that TSM2 is compared with, in parallel form: a streaming GRU and an MLP over a short window.
//!
//! Both see all variates' samples under TSM2's own normaliser, and the calendar and what is known ahead where TSM2 does, and say all leads of all
//! variates at once.

use candle_core::{DType, Device, Result, Tensor};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use tsm2_core::Config;

use crate::network::learner::{Learner, State};
use crate::network::parameters::Parameters;
use crate::ops::{gelu, gru, linear};
use crate::train::optim::Parameter;

/// The last samples of every variate that the MLP sees.
pub const WINDOW: usize = 24;

/// Width of the GRU's state.
const GRU_HIDDEN: usize = 128;

/// Width of the MLP's hidden layers.
const MLP_HIDDEN: usize = 256;

/// Which network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One layer of gated recurrent units over the newest sample of every variate, its state carried from sample to sample.
    Gru,
    /// Two hidden layers over the last [`WINDOW`] samples of every variate.
    Mlp,
}

impl Kind {
    /// Both.
    pub const ALL: [Kind; 2] = [Kind::Gru, Kind::Mlp];

    /// As in tables and tensors' names.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Gru => "gru",
            Kind::Mlp => "mlp",
        }
    }

    /// Names and shapes of the tensors, in order.
    fn layout(self, front: &Config) -> Vec<(String, Vec<usize>)> {
        let (variates, said) = (front.variates, front.forecast_len());
        // What all variates see is taken once.
        let common = front.patch_len() - front.patch;
        let shapes: Vec<(&str, Vec<usize>)> = match self {
            Kind::Gru => vec![
                ("input.weight", vec![3 * GRU_HIDDEN, variates + common]),
                ("input.bias", vec![3 * GRU_HIDDEN]),
                ("hidden.weight", vec![3 * GRU_HIDDEN, GRU_HIDDEN]),
                ("hidden.bias", vec![GRU_HIDDEN]),
                ("head.weight", vec![said, GRU_HIDDEN]),
                ("head.bias", vec![said]),
            ],
            Kind::Mlp => vec![
                ("first.weight", vec![MLP_HIDDEN, variates * WINDOW + common]),
                ("first.bias", vec![MLP_HIDDEN]),
                ("second.weight", vec![MLP_HIDDEN, MLP_HIDDEN]),
                ("second.bias", vec![MLP_HIDDEN]),
                ("head.weight", vec![said, MLP_HIDDEN]),
                ("head.bias", vec![said]),
            ],
        };
        shapes.into_iter().map(|(name, shape)| (name.to_owned(), shape)).collect()
    }

    /// Numbers to be trained.
    #[must_use]
    pub fn parameter_count(self, front: &Config) -> usize {
        let shapes = self.layout(front);
        shapes.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum()
    }
}

/// A network that TSM2 is compared with.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Which.
    pub kind: Kind,
    /// Variates that are forecast.
    endogenous: usize,
    horizon: usize,
    parameters: Parameters,
}

impl Peer {
    /// Initial weights: uniform by the number of inputs; biases and the head are zero, as TSM2's.
    ///
    /// # Errors
    /// The device's.
    pub fn initial(kind: Kind, front: &Config, rng: &mut impl Rng, device: &Device) -> Result<Self> {
        Self::new(kind, front, device, |name, shape| {
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
    pub fn new(kind: Kind, front: &Config, device: &Device, values: impl FnMut(&str, &[usize]) -> Result<Vec<f32>>) -> Result<Self> {
        Ok(Self {
            kind,
            endogenous: front.endogenous(),
            horizon: front.horizon,
            parameters: Parameters::new(kind.layout(front), device, values)?,
        })
    }

    /// W x + b of one layer.
    fn layer(&self, name: &str, x: &Tensor) -> Result<Tensor> {
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        linear(x, &self.parameters.get(&weight)?, Some(&self.parameters.get(&bias)?))
    }
}

impl Learner for Peer {
    fn parameters(&self) -> &[Parameter] {
        self.parameters.list()
    }

    fn zero_state(&self, streams: usize, device: &Device) -> Result<State> {
        Ok(State(match self.kind {
            Kind::Gru => vec![Tensor::zeros((streams, GRU_HIDDEN), DType::F32, device)?],
            Kind::Mlp => Vec::new(),
        }))
    }

    fn forward(&self, patches: &Tensor, state: &State) -> Result<(Tensor, State)> {
        let (streams, tokens, variates, patch) = patches.dims4()?;
        let with_common = |samples: Tensor| match patch - WINDOW {
            0 => Ok(samples),
            common => Tensor::cat(&[&samples, &patches.narrow(2, 0, 1)?.narrow(3, WINDOW, common)?.squeeze(2)?], 2),
        };
        let (features, state) = match self.kind {
            Kind::Gru => {
                let newest = patches.narrow(3, WINDOW - 1, 1)?.reshape((streams, tokens, variates))?;
                let (weight, bias) = (self.parameters.get("hidden.weight")?, self.parameters.get("hidden.bias")?);
                let before = match state.0.first() {
                    Some(before) => before.clone(),
                    None => self.zero_state(streams, patches.device())?.0.swap_remove(0),
                };
                let (h, last) = gru(&self.layer("input", &with_common(newest)?)?, &weight, &bias, &before)?;
                (h, State(vec![last]))
            }
            Kind::Mlp => {
                let window = patches.narrow(3, 0, WINDOW)?.reshape((streams, tokens, variates * WINDOW))?;
                let first = gelu(&self.layer("first", &with_common(window)?)?)?;
                (gelu(&self.layer("second", &first)?)?, State::default())
            }
        };
        let said = self.layer("head", &features)?;
        Ok((said.reshape((streams, tokens, self.endogenous, self.horizon))?, state))
    }
}
