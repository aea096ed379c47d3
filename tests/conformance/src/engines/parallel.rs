//! The trainer's form of the network: a stretch of rows at once, each phase's tokens as one sequence.
//!
//! The front end is the core's own, as in training; the network is candle's; the read-out is added here.

use candle_core::{Device, Tensor};
use tsm2_bundle::Bundle;
use tsm2_core::{Model, S6, math::dot};
use tsm2_train::network::Network;
use tsm2_train::network::learner::{Learner, State};
use tsm2_train::network::parameters::Parameters;

use crate::{Run, Stream, tensor};

/// A stream on its way through the parallel form, with the state carried from stretch to stretch.
#[derive(Debug)]
pub struct Parallel<'b> {
    bundle: &'b Bundle,
    model: Model<'b>,
    network: Network,
    front: Vec<f32>,
    rows: usize,
    /// One per phase.
    states: Vec<State>,
}

/// The tokens of one phase in a stretch.
#[derive(Default)]
struct Tokens {
    rows: Vec<usize>,
    /// `[tokens, M, patch]`.
    patches: Vec<f32>,
    /// `[tokens, M - X]`: what the read-out adds `[H]`, and mu and sd.
    origins: Vec<(Vec<f32>, f32, f32)>,
}

impl<'b> Parallel<'b> {
    /// A stream that has seen nothing.
    ///
    /// # Panics
    /// When candle refuses the model.
    #[must_use]
    pub fn new(bundle: &'b Bundle) -> Self {
        let config = &bundle.meta().config;
        let model = bundle.model();
        let parameters = Parameters::from_weights(config, bundle.weights(), &Device::Cpu).expect("the model's weights");
        let network = Network::new(config, parameters);
        let zero = network.zero_state(1, &Device::Cpu).expect("a zero state");
        Self {
            bundle,
            network,
            front: vec![0.0; model.front().state_len()],
            model,
            rows: 0,
            states: vec![zero; config.phases],
        }
    }

    /// Consumes a stretch of rows; returns the forecasts issued in it, their rows counted from the stream's begin.
    ///
    /// # Panics
    /// When candle fails.
    pub fn advance(&mut self, stretch: &Stream) -> Run {
        let mut forecasts = Vec::new();
        for (phase, tokens) in self
            .tokens(stretch)
            .into_iter()
            .enumerate()
            .filter(|(_, tokens)| !tokens.rows.is_empty())
        {
            forecasts.extend(self.forecasts(phase, &tokens).expect("candle runs the network"));
        }
        forecasts.sort_by_key(|(row, _)| *row);
        Run {
            issued: forecasts.iter().map(|(row, _)| *row).collect(),
            forecasts: forecasts.into_iter().flat_map(|(_, forecast)| forecast).collect(),
            state: Some(self.recurrent().expect("candle shows the state")),
        }
    }

    /// The state as [`Run::state`] orders it. The trainer's is, layer by layer, the values `[1, K-1, M, E]` and h `[1, M, E, N]`.
    fn recurrent(&self) -> candle_core::Result<Vec<f32>> {
        let config = self.model.config();
        let (
            variates,
            S6 {
                d_inner: e, d_state: n, ..
            },
        ) = (config.variates, config.time_mixer);
        let numbers = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<f32>();
        let mut state = Vec::new();
        for phase in &self.states {
            let tensors = phase.0.iter().map(numbers).collect::<candle_core::Result<Vec<_>>>()?;
            for layer in tensors.chunks_exact(2) {
                let (values, h) = (&layer[0], &layer[1]);
                for m in 0..variates {
                    state.extend(values.chunks_exact(e).skip(m).step_by(variates).flatten());
                    state.extend((0..n * e).map(|i| h[m * e * n + i % e * n + i / e]));
                }
            }
        }
        Ok(state)
    }

    /// The front end over a stretch: the tokens of each phase.
    fn tokens(&mut self, stretch: &Stream) -> Vec<Tokens> {
        let config = self.model.config();
        let front = self.model.front();
        let readout = tensor(self.bundle, "readout.weight").unwrap_or(&[]);
        let mut phases: Vec<Tokens> = (0..config.phases).map(|_| Tokens::default()).collect();
        let mut patch = vec![0.0; config.patch_len()];
        let mut phi = vec![0.0; config.readout_features()];
        for row in stretch.rows(self.bundle) {
            for (variate, values) in row.told() {
                front.foretell(&mut self.front, variate, values).expect("known ahead");
            }
            front.push(&mut self.front, row.readings, row.time_ms).expect("lengths fit");
            self.rows += 1;
            let Some(tokens) = phases.get_mut(self.rows % config.stride) else {
                continue;
            };
            tokens.rows.push(self.rows - 1);
            for m in 0..config.variates {
                front.patch(&self.front, m, &mut patch);
                tokens.patches.extend_from_slice(&patch);
            }
            for m in 0..config.endogenous() {
                front.features(&self.front, m, &mut phi);
                let own = if config.readout.per_variate {
                    m * config.horizon * phi.len()
                } else {
                    0
                };
                let linear = match phi.len() {
                    0 => vec![0.0; config.horizon],
                    features => readout[own..]
                        .chunks_exact(features)
                        .take(config.horizon)
                        .map(|row| dot(row, &phi))
                        .collect(),
                };
                let (mu, sd) = front.statistics(&self.front, m);
                tokens.origins.push((linear, mu, sd));
            }
        }
        phases
    }

    /// The network over one phase's tokens: each row with its forecast `[M - X, H]` in the sensors' units.
    fn forecasts(&mut self, phase: usize, tokens: &Tokens) -> candle_core::Result<Vec<(usize, Vec<f32>)>> {
        let config = self.model.config();
        let shape = (1, tokens.rows.len(), config.variates, config.patch_len());
        let patches = Tensor::from_slice(&tokens.patches, shape, &Device::Cpu)?;
        let (said, state) = self.network.forward(&patches, &self.states[phase])?;
        self.states[phase] = state;
        let mut y = said.flatten_all()?.to_vec1::<f32>()?;
        let scaler = self.model.front().scaler();
        for (i, (y, (linear, mu, sd))) in y.chunks_exact_mut(config.horizon).zip(&tokens.origins).enumerate() {
            let m = i % config.endogenous();
            for (y, linear) in y.iter_mut().zip(linear) {
                *y = ((*y + linear) * sd + mu) * scaler.std[m] + scaler.mean[m];
            }
        }
        let by_token = y.chunks_exact(config.forecast_len()).map(<[f32]>::to_vec);
        Ok(tokens.rows.iter().copied().zip(by_token).collect())
    }
}

/// A whole stream from a zero state, in one pass.
pub fn run(bundle: &Bundle, stream: &Stream) -> Run {
    Parallel::new(bundle).advance(stream)
}
