//! Truncated back-propagation with a carried state, as on the device (TSM2.md section 6).
//!
//! - Several streams run side by side through the training rows. An update advances each by some tokens, with a loss at every
//!   token. The recurrent state passes, detached, to the next update.
//! - The squared error at each step is divided by its running mean, so that one model serves near and distant steps.
//! - The streams are divided into two shards, one thread each; the gradients are added in a fixed order. The same seed gives
//!   the same model, whatever the load of the machine.

mod resume;
mod validation;

use std::collections::BTreeMap;
use std::ops::Range;

use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::data::dataset::Dataset;
use crate::data::runs::Pieces;
use crate::network::learner::{Learner, State};
use crate::network::parameters::Parameter;
use crate::ops::squared_error;
use crate::train::batch::Batch;
use crate::train::optim::{AdamW, AdamWOptions, Ema, sum_gradients};
pub use crate::train::trainer_options::{Progress, Target, TrainError, TrainerOptions};
use crate::train::validation_errors::ValidationErrors;

/// Threads of an update. Fixed, because the order of additions depends on it.
pub const SHARDS: usize = 2;

/// Share of the new error in the running mean per step.
const BALANCE_RATE: f64 = 0.01;

/// Lower bound of the running mean, in units of z: smaller errors are those of single precision.
const LEAST_ERROR: f64 = 1e-12;

/// A loss this many times the usual one is a spike.
const LOSS_SPIKE: f64 = 100.0;

/// The decay phase has this fraction of the updates before it: one of so many.
const DECAY_SHARE: usize = 4;

/// Position of a stream in the training rows.
#[derive(Clone, Copy)]
struct Stream {
    row: usize,
    restarted: bool,
}

impl Stream {
    /// A random row from which a chunk of `tokens` lies in one of the ranges; at least one is that long.
    fn random(rng: &mut ChaCha8Rng, rows: &[Range<usize>], tokens: usize) -> Self {
        let choices = |rows: &Range<usize>| if rows.len() < tokens { 0 } else { (rows.len() - tokens).max(1) };
        let mut choice = rng.random_range(0..rows.iter().map(choices).sum());
        let mut row = 0;
        for rows in rows {
            row = rows.start + choice;
            match choice.checked_sub(choices(rows)) {
                Some(left) => choice = left,
                None => break,
            }
        }
        Self { row, restarted: true }
    }
}

/// A network in training.
pub struct Trainer<'a, L> {
    learner: L,
    options: TrainerOptions,
    data: &'a Dataset,
    /// Rows after which a training forecast is made, a range for each piece.
    rows: Vec<Range<usize>>,
    optimiser: AdamW,
    average: Ema,
    streams: Vec<Stream>,
    states: Vec<State>,
    balance: Vec<f64>,
    rng: ChaCha8Rng,
    device: Device,
    update: usize,
    best: Option<Best>,
    /// Validations since the best one.
    stale: usize,
    /// First update of the decay phase.
    decay_start: Option<usize>,
    /// Number of loss spikes.
    loss_spikes: usize,
    /// Whether the last gradient was not finite.
    diverged: bool,
}

/// The averaged weights that did best on validation.
#[derive(Clone, Debug)]
pub struct Best {
    /// [`ValidationErrors::score`], or [`ValidationErrors::score_standalone`] of a network that is judged by its own forecast.
    pub score: f64,
    /// Their errors.
    pub errors: ValidationErrors,
    /// The weights by name.
    pub weights: BTreeMap<String, Vec<f32>>,
}

/// What one shard of a batch came to.
struct ShardResult {
    state: State,
    loss: f64,
    /// Sum of squared errors and of weights per step.
    errors: Vec<(f64, f64)>,
}

impl<'a, L: Learner> Trainer<'a, L> {
    /// What `initial` makes of the first draws of the seed, to be trained on forecasts that lie wholly in the pieces `train` of `data`.
    ///
    /// # Errors
    /// candle's.
    pub fn new(
        initial: impl FnOnce(&mut ChaCha8Rng) -> candle_core::Result<L>,
        options: TrainerOptions,
        data: &'a Dataset,
        train: &Pieces,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
        let learner = initial(&mut rng)?;
        let optimiser = AdamW::new(
            learner.parameters().to_vec(),
            AdamWOptions {
                weight_decay: options.weight_decay,
                ..AdamWOptions::default()
            },
        );
        let average = Ema::new(learner.parameters())?;
        let held = |origins: Range<usize>| (origins.start - 1).max(data.span_of(origins.start).start)..origins.end - 1;
        let is_held = |origins: &Range<usize>| data.spans().any(|span| span.start < origins.end && origins.end <= span.end);
        let rows: Vec<_> = train.origins(data.horizon()).filter(is_held).map(held).collect();
        let tokens = options.tokens.min(rows.iter().map(ExactSizeIterator::len).max().unwrap_or(0));
        let options = TrainerOptions { tokens, ..options };
        let streams = (0..options.streams).map(|_| Stream::random(&mut rng, &rows, tokens)).collect();
        let per_shard = options.streams / SHARDS;
        let states = (0..SHARDS)
            .map(|_| learner.zero_state(per_shard, device))
            .collect::<Result<_, _>>()?;
        let balance = vec![0.0; data.horizon()];
        Ok(Self {
            learner,
            options,
            data,
            rows,
            optimiser,
            average,
            streams,
            states,
            balance,
            rng,
            device: device.clone(),
            update: 0,
            best: None,
            stale: 0,
            decay_start: None,
            loss_spikes: 0,
            diverged: false,
        })
    }

    /// Trains up to the next validation or to update `until`, and validates the averaged weights on the forecasts that lie wholly in the pieces `validation`;
    /// the initial ones too, so that there is a best whatever becomes of training.
    /// Returns whether it goes on: neither `until` nor the end of training is reached, and it has not diverged.
    ///
    /// # Errors
    /// candle's.
    pub fn advance(
        &mut self,
        until: usize,
        validation: &Pieces,
        groups: &[Range<usize>],
        report: &mut dyn FnMut(Progress),
    ) -> Result<bool, TrainError> {
        let (mut loss, start) = (0.0, self.update);
        if self.best.is_none() {
            self.keep_if_best(validation, groups)?;
        }
        if !self.goes_on(until) {
            return Ok(false);
        }
        while self.update < until {
            let Some(of_update) = self.step()? else {
                self.diverged = true;
                break;
            };
            loss += of_update;
            if self.update + decay_updates(self.update) >= self.options.updates {
                self.begin_decay();
            }
            report(Progress::Update(self.update));
            if self.update.is_multiple_of(self.options.validate_every) {
                break;
            }
        }
        if self.update > start {
            self.average.swap(self.optimiser.parameters())?;
            let score = self.keep_if_best(validation, groups)?;
            self.average.swap(self.optimiser.parameters())?;
            if self.stale >= self.options.patience {
                self.begin_decay();
            }
            let best = self.best.as_ref().map_or(score, |best| best.score);
            report(Progress::Validation {
                update: self.update,
                loss: loss / (self.update - start) as f64,
                score,
                best,
            });
        }
        Ok(self.goes_on(until))
    }

    /// Begins the decay phase, if it has not begun.
    fn begin_decay(&mut self) {
        self.decay_start.get_or_insert(self.update);
    }

    fn goes_on(&self, until: usize) -> bool {
        let over = |from| self.update >= from + decay_updates(from);
        self.update < until && !self.decay_start.is_some_and(over) && !self.diverged
    }

    /// The score of the present weights, which are kept if it is the best.
    fn keep_if_best(&mut self, validation: &Pieces, groups: &[Range<usize>]) -> Result<f64, TrainError> {
        let errors = self.validate(validation)?;
        let score = match self.options.target {
            Target::Full | Target::Residual => errors.score(groups),
            Target::Standalone => errors.score_standalone(),
        };
        // Written so that NaN is never the best.
        if score < self.score() {
            self.best = Some(Best {
                score,
                errors,
                weights: self.weights()?,
            });
            self.stale = 0;
        } else {
            self.stale += 1;
        }
        Ok(score)
    }

    /// The update at which the gradient was not finite and training ended, if one was.
    #[must_use]
    pub fn diverged(&self) -> Option<usize> {
        self.diverged.then_some(self.update)
    }

    /// Number of loss spikes; after each the network continued from its averaged weights.
    #[must_use]
    pub fn loss_spikes(&self) -> usize {
        self.loss_spikes
    }

    /// Updates done.
    #[must_use]
    pub fn updates(&self) -> usize {
        self.update
    }

    /// Rows that an update is made from, over all streams.
    #[must_use]
    pub fn samples_per_update(&self) -> usize {
        self.options.streams * self.options.tokens
    }

    /// Numbers that are trained.
    #[must_use]
    pub fn parameter_count(&self) -> usize {
        let numbers = |p: &Parameter| p.var.elem_count() - p.frozen.len();
        self.optimiser.parameters().iter().map(numbers).sum()
    }

    /// The best score on validation so far; infinite before the first.
    #[must_use]
    pub fn score(&self) -> f64 {
        self.best.as_ref().map_or(f64::INFINITY, |best| best.score)
    }

    /// The best averaged weights so far, once something was validated.
    #[must_use]
    pub fn best(&self) -> Option<&Best> {
        self.best.as_ref()
    }

    /// Ends training: the weights are from now on the best averaged ones.
    ///
    /// # Errors
    /// candle's.
    pub fn take_best(&mut self) -> Result<(), TrainError> {
        let best = self.best.as_ref().ok_or(TrainError::NotFinite)?;
        for Parameter { name, var, .. } in self.learner.parameters() {
            let values = best.weights.get(name).cloned().unwrap_or_default();
            var.set(&Tensor::from_vec(values, var.shape(), &self.device)?)?;
        }
        Ok(())
    }

    /// The present weights by name (not the averaged ones).
    ///
    /// # Errors
    /// candle's.
    pub fn weights(&self) -> Result<BTreeMap<String, Vec<f32>>, TrainError> {
        let values = |p: &Parameter| Ok((p.name.clone(), p.var.flatten_all()?.to_vec1()?));
        Ok(self.learner.parameters().iter().map(values).collect::<candle_core::Result<_>>()?)
    }

    /// One update; returns its loss, [`LOSS_SPIKE`] at most, or nothing where the gradient is not finite, and then nothing has changed.
    fn step(&mut self) -> Result<Option<f64>, TrainError> {
        let per_shard = self.options.streams / SHARDS;
        let shards: Vec<(&[Stream], &State)> = self.streams.chunks(per_shard).zip(&self.states).collect();
        let this = &*self;
        let (gradients, results): (Vec<GradStore>, Vec<ShardResult>) = std::thread::scope(|scope| {
            let threads: Vec<_> = shards
                .into_iter()
                .map(|(streams, state)| scope.spawn(move || this.shard(streams, state)))
                .collect();
            threads.into_iter().map(join).collect::<Result<_, _>>()
        })?;
        let loss: f64 = results.iter().map(|r| r.loss).sum();
        if self.options.horizon_balance && self.update > self.options.warm_up && loss > LOSS_SPIKE {
            self.return_to_average()?;
            self.loss_spikes += 1;
            self.update += 1;
            return Ok(Some(LOSS_SPIKE));
        }
        let gradients = sum_gradients(self.optimiser.parameters(), &gradients)?;
        let norm = self.optimiser.step(&gradients, self.learning_rate())?;
        if !norm.is_finite() {
            return Ok(None);
        }
        // Over the last tenth at first: the initial weights are soon forgotten.
        let short = (1 + self.update) as f32 / (10 + self.update) as f32;
        self.average
            .update(self.optimiser.parameters(), self.options.ema_decay.min(short))?;
        let balanced = if self.options.horizon_balance { self.data.horizon() } else { 0 };
        for step in 0..balanced {
            let (error, weight) = results
                .iter()
                .fold((0.0, 0.0), |sum, r| (sum.0 + r.errors[step].0, sum.1 + r.errors[step].1));
            if weight > 0.0 {
                let mean = error / weight;
                let rate = if self.balance[step] == 0.0 { 1.0 } else { BALANCE_RATE };
                self.balance[step] += rate * (mean - self.balance[step]);
            }
        }
        self.states = results.into_iter().map(|r| r.state).collect();
        self.move_on();
        self.update += 1;
        Ok(Some(loss))
    }

    /// Continues from the averaged weights. At a high learning rate a selective scan can get so far off that recovery would take
    /// hundreds of updates.
    fn return_to_average(&mut self) -> Result<(), TrainError> {
        self.average.copy_to(self.optimiser.parameters())?;
        for stream in &mut self.streams {
            *stream = Stream::random(&mut self.rng, &self.rows, self.options.tokens);
        }
        Ok(())
    }

    /// Moves every stream on; one that reaches the end of the rows, and now and then any, restarts elsewhere.
    fn move_on(&mut self) {
        let tokens = self.options.tokens;
        for stream in &mut self.streams {
            let at = self.rows.partition_point(|rows| rows.end <= stream.row);
            stream.row += tokens;
            stream.restarted = self.rows.get(at).is_none_or(|rows| stream.row + tokens > rows.end)
                || self.rng.random_range(0..self.options.restart_every) == 0;
            if stream.restarted {
                *stream = Stream::random(&mut self.rng, &self.rows, tokens);
            }
        }
    }

    fn learning_rate(&self) -> f64 {
        let TrainerOptions {
            warm_up, learning_rate, ..
        } = self.options;
        let warm = ((self.update + 1) as f64 / warm_up as f64).min(1.0);
        let left = |from| 1.0 - (self.update - from) as f64 / decay_updates(from) as f64;
        learning_rate * warm * self.decay_start.map_or(1.0, left)
    }

    /// Forward and backward of some streams.
    fn shard(&self, streams: &[Stream], state: &State) -> Result<(GradStore, ShardResult), TrainError> {
        let (f, h, tokens) = (self.data.targets(), self.data.horizon(), self.options.tokens);
        let keep: Vec<f32> = streams.iter().map(|s| if s.restarted { 0.0 } else { 1.0 }).collect();
        let state = state.masked(&Tensor::from_vec(keep, streams.len(), &self.device)?)?;
        let chunks: Vec<Range<usize>> = streams.iter().map(|s| s.row..s.row + tokens).collect();
        let Batch {
            patches,
            target,
            mut weight,
            ..
        } = Batch::new(self.data, self.options.target, &self.device, &chunks)?;
        // Errors count relative to what they are on average at their step, over all streams of the update.
        let scale = 1.0 / (self.options.streams * tokens * f * h) as f64;
        let factors: Vec<f32> = self
            .balance
            .iter()
            .map(|&b| (scale / if b > 0.0 { b.max(LEAST_ERROR) } else { 1.0 }) as f32)
            .collect();
        let raw = weight.clone();
        for weights in weight.chunks_exact_mut(h) {
            weights.iter_mut().zip(&factors).for_each(|(w, f)| *w *= f);
        }
        let shape = (streams.len(), tokens, f, h);
        let (said, state) = self.learner.forward(&patches, &state)?;
        let tensor = |values: &[f32]| Tensor::from_slice(values, shape, &self.device);
        let loss = squared_error(&said, &tensor(&target)?, &tensor(&weight)?)?;
        let gradients = loss.backward()?;
        let mut errors = vec![(0.0, 0.0); h];
        for (i, ((said, target), w)) in said.flatten_all()?.to_vec1::<f32>()?.iter().zip(&target).zip(&raw).enumerate() {
            let sum = &mut errors[i % h];
            sum.0 += f64::from((said - target) * (said - target) * w);
            sum.1 += f64::from(u8::from(*w > 0.0));
        }
        Ok((
            gradients,
            ShardResult {
                state,
                loss: f64::from(loss.to_scalar::<f32>()?),
                errors,
            },
        ))
    }
}

/// Updates over which the learning rate is lowered when so many were made.
fn decay_updates(updates: usize) -> usize {
    updates.div_ceil(DECAY_SHARE).max(1)
}

/// A device in words.
#[must_use]
pub fn describe(device: &Device) -> String {
    match device {
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => device
            .cuda_stream()
            .context()
            .name()
            .unwrap_or("a CUDA device without a name".into()),
        _ => format!("{SHARDS} threads of the CPU"),
    }
}

/// The result of a thread; its panic goes on here.
fn join<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
