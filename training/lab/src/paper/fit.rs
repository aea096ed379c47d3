//! Training a network in window mode on random windows, and measuring it.
//!
//! Every batch is split into two shards, one thread each, whose gradients and errors are added in a fixed order: the same seed gives the same
//! figures. What is measured on the test part are the averaged weights that did best on validation.

use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::config::WindowConfig;
use tsm2_stream::{ErrorSums, Errors};

use super::error::PaperError;
use super::network::WindowNetwork;
use super::windows::{Part, Windows};
use tsm2_train::evaluate::on_cores;
use tsm2_train::network::parameters::Parameter;
use tsm2_train::ops::squared_error;
use tsm2_train::train::optim::{AdamW, AdamWOptions, Ema, sum_gradients, warm_cosine};
use tsm2_train::train::trainer::{SHARDS, TrainError};

/// Windows at most that are validated on, evenly spread: neighbours share nearly all of their rows.
const VALIDATED: usize = 512;

/// Validations in a training.
const VALIDATIONS: usize = 10;

/// Updates of the warm-up: one of so many.
const WARM_UP: usize = 20;

/// Windows in one forward pass when errors are measured.
const WINDOWS_AT_ONCE: usize = 32;

/// Decay of the averaged weights.
const EMA_DECAY: f32 = 0.99;

/// How long and how a network is trained.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Updates.
    pub updates: usize,
    /// Windows per update.
    pub windows: usize,
    /// Largest learning rate: reached after a warm-up, then lowered along a cosine to nothing.
    pub learning_rate: f64,
    /// Seed of the initial weights and of every draw.
    pub seed: u64,
}

/// Errors in units of the targets' source: for a table, of the training part's standard deviations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Mean squared error over all windows, variates and steps.
    pub mse: f64,
    /// Mean absolute error.
    pub mae: f64,
}

/// What became of a training.
#[derive(Clone, Copy, Debug)]
pub struct FitResult {
    /// Numbers that were trained.
    pub parameters: usize,
    /// On the validation windows, at the update that was best there.
    pub validation: Score,
    /// On all test windows, of the same weights.
    pub test: Score,
    /// The largest norm of a gradient, before it was clipped.
    pub largest_gradient: f64,
    /// The update at which the gradient was not finite and training ended, if one was.
    pub diverged: Option<usize>,
}

/// Adds errors in units of the recording: the weight of a value is the square of its unit, 0 where it is missing.
fn add(sums: &mut ErrorSums, forecast: &[f32], target: &[f32], weight: &[f32]) {
    for ((forecast, target), weight) in forecast.iter().zip(target).zip(weight).filter(|(_, weight)| **weight > 0.0) {
        sums.add(f64::from(*weight).sqrt() * f64::from(forecast - target));
    }
}

fn score(parts: impl IntoIterator<Item = ErrorSums>) -> Score {
    let mut sum = ErrorSums::default();
    parts.into_iter().for_each(|part| sum += part);
    let Errors { mae, mse } = sum.mean().unwrap_or(Errors {
        mae: f64::NAN,
        mse: f64::NAN,
    });
    Score { mse, mae }
}

/// Examples as tensors and numbers.
struct WindowBatch {
    /// `[windows, tokens, M, P]`.
    patches: Vec<f32>,
    /// `[windows, M, H]`.
    target: Vec<f32>,
    /// As the target.
    weight: Vec<f32>,
}

impl WindowBatch {
    fn new(config: &WindowConfig, source: &Windows, examples: &[usize]) -> Self {
        let WindowConfig {
            variates: m,
            lookback: l,
            horizon: h,
            patch: p,
            stride: s,
            ..
        } = *config;
        let tokens = config.tokens();
        let mut window = vec![0.0; m * l];
        let mut patches = Vec::with_capacity(examples.len() * tokens * m * p);
        let (mut target, mut weight) = (vec![0.0; examples.len() * m * h], vec![0.0; examples.len() * m * h]);
        let places = target.chunks_exact_mut(m * h).zip(weight.chunks_exact_mut(m * h));
        for (&example, (target, weight)) in examples.iter().zip(places) {
            source.write(example, &mut window, target, weight);
            for token in 0..tokens {
                let start = l - p - (tokens - 1 - token) * s;
                window
                    .chunks_exact(l)
                    .for_each(|window| patches.extend_from_slice(&window[start..start + p]));
            }
        }
        Self { patches, target, weight }
    }

    fn forward(&self, network: &WindowNetwork) -> candle_core::Result<Tensor> {
        let config = network.config();
        let shape = ((), config.tokens(), config.variates, config.patch);
        network.forward(&Tensor::from_slice(&self.patches, self.patches.len(), &Device::Cpu)?.reshape(shape)?)
    }
}

/// Trains a network and measures it. `tick` is called once per update.
///
/// # Errors
/// A configuration that cannot be; candle's; errors on validation that are not finite from the start.
pub fn fit(config: &WindowConfig, budget: Budget, source: &Windows, tick: &mut dyn FnMut()) -> Result<FitResult, PaperError> {
    let mut rng = ChaCha8Rng::seed_from_u64(budget.seed);
    let network = WindowNetwork::initial(config, &mut rng, &Device::Cpu)?;
    let parameters = network.parameters().list();
    let mut optimiser = AdamW::new(parameters.to_vec(), AdamWOptions::default());
    let mut average = Ema::new(parameters)?;
    let training = source.examples(Part::Training);
    let mut best = (evaluate(&network, source, Part::Validation)?, values(parameters)?);
    let (mut largest, mut diverged) = (0.0f64, None);
    for update in 0..budget.updates {
        let examples: Vec<usize> = (0..budget.windows).map(|_| rng.random_range(training.clone())).collect();
        let shards = on_cores(SHARDS, |job, jobs| {
            let mine: Vec<usize> = examples.iter().copied().skip(job).step_by(jobs).collect();
            gradients(&network, source, &mine, examples.len())
        });
        let shards = shards.into_iter().collect::<candle_core::Result<Vec<GradStore>>>()?;
        let gradients = sum_gradients(parameters, &shards)?;
        let rate = warm_cosine(update, budget.updates, budget.updates / WARM_UP, budget.learning_rate);
        let norm = optimiser.step(&gradients, rate)?;
        if !norm.is_finite() {
            diverged = Some(update);
            break;
        }
        largest = largest.max(norm);
        average.update(parameters, EMA_DECAY)?;
        tick();
        if (update + 1).is_multiple_of((budget.updates / VALIDATIONS).max(1)) || update + 1 == budget.updates {
            average.swap(parameters)?;
            let score = evaluate(&network, source, Part::Validation)?;
            // Written so that NaN is never the best.
            if score.mse < best.0.mse {
                best = (score, values(parameters)?);
            }
            average.swap(parameters)?;
        }
    }
    for (parameter, values) in parameters.iter().zip(best.1) {
        parameter.var.set(&Tensor::from_vec(values, parameter.var.shape(), &Device::Cpu)?)?;
    }
    if !best.0.mse.is_finite() {
        return Err(TrainError::NotFinite.into());
    }
    Ok(FitResult {
        parameters: parameters.iter().map(|p| p.var.elem_count()).sum(),
        validation: best.0,
        test: evaluate(&network, source, Part::Test)?,
        largest_gradient: largest,
        diverged,
    })
}

/// Errors on the test windows of saying a window's last sample at every step.
#[must_use]
pub fn naive(config: &WindowConfig, source: &Windows) -> Score {
    let (m, l, h) = (config.variates, config.lookback, config.horizon);
    let (mut window, mut target, mut weight) = (vec![0.0; m * l], vec![0.0; m * h], vec![0.0; m * h]);
    let mut sums = ErrorSums::default();
    for example in source.examples(Part::Test) {
        source.write(example, &mut window, &mut target, &mut weight);
        let said: Vec<f32> = window.chunks_exact(l).flat_map(|window| vec![window[l - 1]; h]).collect();
        add(&mut sums, &said, &target, &weight);
    }
    score([sums])
}

/// The gradients of some of an update's windows.
fn gradients(network: &WindowNetwork, source: &Windows, examples: &[usize], windows: usize) -> candle_core::Result<GradStore> {
    let batch = WindowBatch::new(network.config(), source, examples);
    let said = batch.forward(network)?;
    let scale = 1.0 / (windows * network.config().variates * network.config().horizon) as f32;
    let weight: Vec<f32> = batch.weight.iter().map(|weight| weight * scale).collect();
    let tensor = |values: &[f32]| Tensor::from_slice(values, said.shape(), &Device::Cpu);
    squared_error(&said, &tensor(&batch.target)?, &tensor(&weight)?)?.backward()
}

/// Errors of the present weights on the windows of a part; of validation, on as many as are looked at.
fn evaluate(network: &WindowNetwork, source: &Windows, part: Part) -> Result<Score, PaperError> {
    let all = source.examples(part);
    let step = match part {
        Part::Validation => all.len().div_ceil(VALIDATED).max(1),
        Part::Training | Part::Test => 1,
    };
    let examples: Vec<usize> = all.step_by(step).collect();
    let config = network.config();
    let share = |job: usize, jobs: usize| {
        let mut sums = ErrorSums::default();
        for examples in examples.chunks(WINDOWS_AT_ONCE).skip(job).step_by(jobs) {
            let batch = WindowBatch::new(config, source, examples);
            let said = batch.forward(network)?.flatten_all()?.to_vec1::<f32>()?;
            add(&mut sums, &said, &batch.target, &batch.weight);
        }
        Ok::<_, candle_core::Error>(sums)
    };
    let sums = on_cores(SHARDS, share)
        .into_iter()
        .collect::<candle_core::Result<Vec<ErrorSums>>>()?;
    Ok(score(sums))
}

/// The present numbers of all parameters.
fn values(parameters: &[Parameter]) -> candle_core::Result<Vec<Vec<f32>>> {
    parameters.iter().map(|p| p.var.flatten_all()?.to_vec1()).collect()
}
