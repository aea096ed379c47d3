//! Truncated back-propagation with a carried state, as on the device (docs/explanation/training.md, Training).
//!
//! - Several streams run side by side through the training rows. An update advances each by some tokens, with a loss at every
//!   token. The recurrent state passes, detached, to the next update.
//! - The network learns the change from the newest sample, as the linear head does: an error of that head is not one that it has to undo.
//!   The squared error at each step is divided by its running mean, so that one model serves near and distant steps.
//! - Now and then a stream goes through a gap: its readings are hidden, and no loss is taken until they return.
//! - A row whose error is far above the mean, as after a gap, counts by the root of its error (Huber 1964), so that it does not rule
//!   the gradient.
//! - The streams are divided into two shards, one thread each; the gradients are added in a fixed order. The same seed gives
//!   the same model, whatever the load of the machine.

mod resume;
mod shard;
mod validation;

use std::collections::BTreeMap;
use std::ops::Range;

use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::clock::Stop;
use super::feed::{Cursor, Feed};
use crate::data::runs::Pieces;
use crate::network::learner::{Learner, State};
use crate::network::parameters::Parameter;
use crate::train::optim::{AdamW, AdamWOptions, Ema, sum_gradients};
pub use crate::train::trainer_options::{TrainError, TrainerOptions};
use crate::train::validation_errors::ValidationErrors;

/// Threads of an update. Fixed, because the order of additions depends on it.
pub const SHARDS: usize = 2;

/// Share of the new error in the running mean per step.
const BALANCE_RATE: f64 = 0.01;

/// A loss this many times the usual one is a spike.
const LOSS_SPIKE: f64 = 100.0;

/// Share of the rows that lie in gaps, where a training has gaps.
const GAP_SHARE: f64 = 0.03;

/// Shortest gap in rows.
const SHORTEST_GAP: usize = 4;

/// A stream in the training rows.
struct Stream {
    cursor: Cursor,
    restarted: bool,
}

/// A network in training.
pub struct Trainer<'a> {
    learner: Box<dyn Learner>,
    options: TrainerOptions,
    feed: &'a Feed<'a>,
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
    /// First update of the decay phase, and its length.
    decay: Option<(usize, usize)>,
    /// Number of loss spikes.
    loss_spikes: usize,
    /// Whether the last gradient was not finite.
    diverged: bool,
    /// Sum of the losses since the last validation, and their number.
    losses: (f64, usize),
}

/// The averaged weights that did best on validation.
#[derive(Clone, Debug)]
pub struct Best {
    /// [`ValidationErrors::score`], or [`ValidationErrors::score_standalone`] of a network that is judged by its own forecast.
    pub score: f64,
    /// Updates that led to them.
    pub update: usize,
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

impl<'a> Trainer<'a> {
    /// What `initial` makes of the first draws of the seed, to be trained on forecasts that lie wholly in one of the pieces
    /// `train` of the feed; at least one holds a forecast.
    ///
    /// # Errors
    /// candle's and the preprocessor's.
    pub fn new(
        initial: impl FnOnce(&mut ChaCha8Rng) -> candle_core::Result<Box<dyn Learner>>,
        options: TrainerOptions,
        feed: &'a Feed<'a>,
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
        let horizon = feed.config().horizon;
        let rows: Vec<_> = train.origins(horizon).map(|origins| origins.start - 1..origins.end - 1).collect();
        let tokens = options.tokens.min(rows.iter().map(ExactSizeIterator::len).max().unwrap_or(0));
        let options = TrainerOptions { tokens, ..options };
        let streams = (0..options.streams)
            .map(|_| random_stream(feed, &mut rng, &rows, tokens))
            .collect::<Result<_, _>>()?;
        let per_shard = options.streams / SHARDS;
        let states = (0..SHARDS)
            .map(|_| learner.zero_state(per_shard, device))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            learner,
            options,
            feed,
            rows,
            optimiser,
            average,
            streams,
            states,
            balance: vec![0.0; horizon],
            rng,
            device: device.clone(),
            update: 0,
            best: None,
            decay: None,
            loss_spikes: 0,
            diverged: false,
            losses: (0.0, 0),
        })
    }

    /// Trains up to update `until`, or until `stop`, the end of the decay phase or a gradient that is not finite.
    ///
    /// # Errors
    /// candle's and the preprocessor's.
    pub fn advance(&mut self, until: usize, stop: &Stop, report: &mut dyn FnMut(usize)) -> Result<(), TrainError> {
        while self.update < until && !self.ended() && !stop.is_set() {
            match self.step()? {
                Some(loss) => self.losses = (self.losses.0 + loss, self.losses.1 + 1),
                None => self.diverged = true,
            }
            report(self.update);
        }
        Ok(())
    }

    /// Measures the averaged weights on the forecasts that lie wholly in one of the pieces, and keeps them if they are the best so far.
    ///
    /// # Errors
    /// candle's and the preprocessor's; the errors are not finite and none were before.
    pub fn validate_average(&mut self, pieces: &Pieces, groups: &[Range<usize>]) -> Result<f64, TrainError> {
        self.average.swap(self.optimiser.parameters())?;
        let measured = self.keep_if_best(pieces, groups);
        self.average.swap(self.optimiser.parameters())?;
        self.losses = (0.0, 0);
        measured
    }

    fn keep_if_best(&mut self, pieces: &Pieces, groups: &[Range<usize>]) -> Result<f64, TrainError> {
        let errors = self.validate(pieces)?;
        let score = match self.options.standalone {
            true => errors.score_standalone(),
            false => errors.score(groups),
        };
        // Written so that NaN is never the best.
        if score < self.score() {
            self.best = Some(Best {
                score,
                update: self.update,
                errors,
                weights: self.weights()?,
            });
        }
        Ok(score)
    }

    /// Lowers the learning rate to 0 over the next updates, and then ends.
    pub fn begin_decay(&mut self, updates: usize) {
        self.decay = Some((self.update, updates.max(1)));
    }

    /// Gives the decay phase that began at update `from` another length.
    pub fn set_decay(&mut self, from: usize, updates: usize) {
        self.decay = Some((from, updates.max(1)));
    }

    /// Ends the training here.
    pub fn end(&mut self) {
        self.decay = Some((self.update, 0));
    }

    /// First update of the decay phase, and its length.
    #[must_use]
    pub fn decay(&self) -> Option<(usize, usize)> {
        self.decay
    }

    /// Whether the decay phase is over or the training has diverged.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.diverged || self.decay.is_some_and(|(from, updates)| self.update >= from + updates)
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

    /// Mean loss since the last validation, 1 where it is as before; NaN without an update.
    #[must_use]
    pub fn mean_loss(&self) -> f64 {
        self.losses.0 / self.losses.1 as f64
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

    /// Gives the network these weights, its average too.
    ///
    /// # Errors
    /// A weight that is absent or of another size; candle's.
    pub fn set_weights(&mut self, weights: &BTreeMap<String, Vec<f32>>) -> Result<(), TrainError> {
        for Parameter { name, var, .. } in self.learner.parameters() {
            let values = weights.get(name).filter(|values| values.len() == var.elem_count());
            let values = values.ok_or_else(|| TrainError::Checkpoint { name: name.clone() })?;
            var.set(&Tensor::from_slice(values, var.shape(), &self.device)?)?;
        }
        self.average = Ema::new(self.learner.parameters())?;
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

    /// The averaged weights by name.
    ///
    /// # Errors
    /// candle's.
    pub fn averaged_weights(&mut self) -> Result<BTreeMap<String, Vec<f32>>, TrainError> {
        self.average.swap(self.optimiser.parameters())?;
        let weights = self.weights();
        self.average.swap(self.optimiser.parameters())?;
        weights
    }

    /// One update; returns its loss, [`LOSS_SPIKE`] at most, or nothing where the gradient is not finite, and then no weight has changed.
    fn step(&mut self) -> Result<Option<f64>, TrainError> {
        let per_shard = self.options.streams / SHARDS;
        let mut streams = std::mem::take(&mut self.streams);
        let this = &*self;
        let shards: Vec<(GradStore, ShardResult)> = std::thread::scope(|scope| {
            let shards = streams.chunks_mut(per_shard).zip(&this.states);
            let threads: Vec<_> = shards
                .map(|(streams, state)| scope.spawn(move || this.shard(streams, state)))
                .collect();
            threads.into_iter().map(join).collect::<Result<_, _>>()
        })?;
        self.streams = streams;
        let (gradients, results): (Vec<GradStore>, Vec<ShardResult>) = shards.into_iter().unzip();
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
        for (step, balance) in self.balance.iter_mut().enumerate().filter(|_| self.options.horizon_balance) {
            let (error, weight) = results
                .iter()
                .fold((0.0, 0.0), |sum, r| (sum.0 + r.errors[step].0, sum.1 + r.errors[step].1));
            if weight > 0.0 {
                let rate = if *balance == 0.0 { 1.0 } else { BALANCE_RATE };
                *balance += rate * (error / weight - *balance);
            }
        }
        self.states = results.into_iter().map(|r| r.state).collect();
        self.move_on()?;
        self.update += 1;
        Ok(Some(loss))
    }

    /// Continues from the averaged weights. At a high learning rate a selective scan can get so far off that recovery would take
    /// hundreds of updates.
    fn return_to_average(&mut self) -> Result<(), TrainError> {
        self.average.copy_to(self.optimiser.parameters())?;
        for stream in &mut self.streams {
            *stream = random_stream(self.feed, &mut self.rng, &self.rows, self.options.tokens)?;
        }
        Ok(())
    }

    /// Where each stream goes on: one that reaches the end of the rows, and now and then any, restarts elsewhere, and now and then
    /// one enters a gap.
    fn move_on(&mut self) -> Result<(), TrainError> {
        let TrainerOptions {
            tokens,
            restart_every,
            longest_gap,
            ..
        } = self.options;
        let (shortest, longest) = (SHORTEST_GAP as f64, longest_gap as f64);
        for stream in &mut self.streams {
            let at = self.rows.partition_point(|rows| rows.end <= stream.cursor.row);
            let at_end = self
                .rows
                .get(at)
                .is_none_or(|rows| !rows.contains(&stream.cursor.row) || stream.cursor.row + tokens > rows.end);
            stream.restarted = at_end || self.rng.random_range(0..restart_every) == 0;
            if stream.restarted {
                *stream = random_stream(self.feed, &mut self.rng, &self.rows, tokens)?;
            }
            if longest_gap > SHORTEST_GAP && stream.cursor.hidden == 0 {
                // Lengths are log-uniform.
                let mean = (longest - shortest) / (longest / shortest).ln();
                if self.rng.random::<f64>() < GAP_SHARE * tokens as f64 / mean {
                    stream.cursor.hidden = (shortest * (longest / shortest).powf(self.rng.random::<f64>())) as usize;
                }
            }
        }
        Ok(())
    }

    fn learning_rate(&self) -> f64 {
        let TrainerOptions {
            warm_up, learning_rate, ..
        } = self.options;
        let warm = ((self.update + 1) as f64 / warm_up as f64).min(1.0);
        let cosine = |(from, updates): (usize, usize)| {
            let progress = (self.update - from) as f64 / updates as f64;
            0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
        };
        learning_rate * warm * self.decay.map_or(1.0, cosine)
    }
}

/// A stream at a random row from which a chunk of `tokens` lies in one of the ranges; at least one is that long.
fn random_stream(feed: &Feed<'_>, rng: &mut ChaCha8Rng, rows: &[Range<usize>], tokens: usize) -> Result<Stream, tsm2_core::Error> {
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
    Ok(Stream {
        cursor: feed.cursor(row)?,
        restarted: true,
    })
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
