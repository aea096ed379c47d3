//! The trainer's form of the network: a stretch of time steps at once, as one sequence of tokens.
//!
//! The preprocessor is the core's own, as in training; the network is candle's; the linear head is added here.

use candle_core::{Device, Tensor};
use tsm2_bundle::Bundle;
use tsm2_core::{Model, NetworkConfig, S6, math::dot};
use tsm2_train::network::learner::{Learner, State};
use tsm2_train::network::parameters::Parameters;
use tsm2_train::network::tsm2::Network;

use crate::{Run, Stream, tensor};

/// A stream on its way through the parallel form, with the state carried from stretch to stretch.
#[derive(Debug)]
pub struct Parallel<'b> {
    bundle: &'b Bundle,
    model: Model<'b>,
    preprocessor: Vec<f32>,
    /// None: the model is its linear head.
    network: Option<(NetworkConfig, Network, State)>,
}

/// What the preprocessor makes of a stretch.
#[derive(Default)]
struct Tokens {
    /// `[tokens, M, patch]`.
    patches: Vec<f32>,
    /// `[tokens, targets]`: the linear head's forecast `[H]`, and the normalizer's mean and deviation.
    origins: Vec<(Vec<f32>, f32, f32)>,
}

impl<'b> Parallel<'b> {
    /// A new stream.
    ///
    /// # Panics
    /// When candle refuses the model.
    #[must_use]
    pub fn new(bundle: &'b Bundle) -> Self {
        let config = &bundle.meta().config;
        let model = bundle.model();
        let network = config.network.map(|sizes| {
            let parameters = Parameters::from_weights(config, bundle.weights(), &Device::Cpu).expect("the model's weights");
            let network = Network::new(config, parameters).expect("a network");
            let state = network.zero_state(1, &Device::Cpu).expect("a zero state");
            (sizes, network, state)
        });
        Self {
            bundle,
            network,
            preprocessor: vec![0.0; model.preprocessor().state_len()],
            model,
        }
    }

    /// Consumes a stretch of time steps; returns their forecasts.
    ///
    /// # Panics
    /// When candle fails.
    pub fn advance(&mut self, stretch: &Stream) -> Run {
        let tokens = self.tokens(stretch);
        let mut y = self.network_output(&tokens, stretch.times.len()).expect("candle runs the network");
        let config = self.model.config();
        let scaler = self.model.preprocessor().scaler();
        for (i, (y, (linear, mean, deviation))) in y.chunks_exact_mut(config.horizon).zip(&tokens.origins).enumerate() {
            let m = i % config.targets();
            for (y, linear) in y.iter_mut().zip(linear) {
                *y = ((*y + linear) * deviation + mean) * scaler.std[m] + scaler.mean[m];
            }
        }
        Run {
            forecasts: y,
            state: self.recurrent().expect("candle gives the state"),
        }
    }

    /// The state in the order of [`Run::state`]. The trainer's is, layer by layer, the values `[1, d_conv - 1, M, E]`
    /// and h `[1, M, E, N]`.
    fn recurrent(&self) -> candle_core::Result<Vec<f32>> {
        let Some((sizes, _, state)) = &self.network else {
            return Ok(Vec::new());
        };
        let variates = self.model.config().variates;
        let S6 {
            d_inner: e, d_state: n, ..
        } = sizes.time_mixer;
        let numbers = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<f32>();
        let tensors = state.0.iter().map(numbers).collect::<candle_core::Result<Vec<_>>>()?;
        let mut state = Vec::new();
        for layer in tensors.chunks_exact(2) {
            let (values, h) = (&layer[0], &layer[1]);
            for m in 0..variates {
                state.extend(values.chunks_exact(e).skip(m).step_by(variates).flatten());
                state.extend((0..n * e).map(|i| h[m * e * n + i % e * n + i / e]));
            }
        }
        Ok(state)
    }

    /// The preprocessor over a stretch.
    fn tokens(&mut self, stretch: &Stream) -> Tokens {
        let config = self.model.config();
        let preprocessor = self.model.preprocessor();
        let matrices = linear_head(self.bundle);
        let mut tokens = Tokens::default();
        let mut patch = vec![0.0; config.patch_len()];
        let mut phi = vec![0.0; config.linear_head_features()];
        for step in stretch.steps(self.bundle) {
            let state = &mut self.preprocessor;
            for (variate, values) in step.future() {
                preprocessor.set_future(state, variate, values).expect("a future covariate");
            }
            preprocessor.push(state, step.readings, step.time_ms).expect("lengths fit");
            for m in 0..config.variates {
                preprocessor.patch(state, m, &mut patch);
                tokens.patches.extend_from_slice(&patch);
            }
            for m in 0..config.targets() {
                preprocessor.features(state, m, &mut phi);
                let anchor = preprocessor.anchor(state, m);
                let linear = match phi.len() {
                    0 => vec![0.0; config.horizon],
                    features => {
                        let own = &matrices[if matrices.len() > 1 { m } else { 0 }];
                        own.chunks_exact(features).map(|row| anchor + dot(row, &phi)).collect()
                    }
                };
                let (mean, deviation) = preprocessor.statistics(state, m);
                tokens.origins.push((linear, mean, deviation));
            }
        }
        tokens
    }

    /// The network's part of the forecasts, normalized: `[tokens, targets, H]`.
    fn network_output(&mut self, tokens: &Tokens, count: usize) -> candle_core::Result<Vec<f32>> {
        let config = self.model.config();
        let Some((_, network, state)) = &mut self.network else {
            return Ok(vec![0.0; count * config.forecast_len()]);
        };
        if count == 0 {
            return Ok(Vec::new());
        }
        let shape = (1, count, config.variates, config.patch_len());
        let patches = Tensor::from_slice(&tokens.patches, shape, &Device::Cpu)?;
        let (output, after) = network.forward(&patches, state)?;
        *state = after;
        output.flatten_all()?.to_vec1::<f32>()
    }
}

/// The linear head's matrices `[H, features]`, one or one for each target; none without a linear head.
fn linear_head(bundle: &Bundle) -> Vec<Vec<f32>> {
    let config = &bundle.meta().config;
    let features = config.linear_head_features();
    let tensor = |name: &str| tensor(bundle, &format!("linear_head.{name}weight"));
    if let Some(whole) = tensor("") {
        return whole.chunks_exact(config.horizon * features).map(<[f32]>::to_vec).collect();
    }
    let (Some(step), Some(core), Some(feature)) = (tensor("step."), tensor("core."), tensor("feature.")) else {
        return Vec::new();
    };
    let r = config.linear_head.rank;
    let of_core = |core: &[f32]| product(&product(step, core, r), feature, r);
    core.chunks_exact(r * r).map(of_core).collect()
}

/// A B, with B of `inner` rows.
fn product(a: &[f32], b: &[f32], inner: usize) -> Vec<f32> {
    let columns = b.len() / inner;
    let column = |j: usize| b.iter().skip(j).step_by(columns).copied().collect::<Vec<f32>>();
    let columns: Vec<_> = (0..columns).map(column).collect();
    a.chunks_exact(inner)
        .flat_map(|row| columns.iter().map(|column| dot(row, column)))
        .collect()
}

/// A whole stream from a zero state, in one pass.
///
/// The trainer knows single precision only: integers are multiplied by their scales first.
pub fn run(bundle: &Bundle, stream: &Stream) -> Run {
    let single = bundle.to_single().expect("the same model");
    Parallel::new(&single).advance(stream)
}
