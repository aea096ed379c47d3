//! Truncated back-propagation with the state carried, as the device will live (TSM2.md section 6).
//!
//! A number of streams run side by side through the training rows. Each update advances all of them by some tokens, with a loss at
//! every token; the recurrent state goes on, detached, to the next update. The squared error at each lead is divided by a running
//! mean of the error at that lead, so one model serves short and long leads. The batch is split into two shards of streams, one
//! thread each, and their gradients are added in a fixed order: the same seed gives the same model, whatever the machine's load.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tsm2_core::Config;

use crate::dataset::Dataset;
use crate::errors::{Errors, Sums};
use crate::network::{Network, State};
use crate::ops::squared_error;
use crate::optim::{AdamW, AdamWOptions, Ema, OptimError, Parameter, sum_gradients};
use crate::parameters::Parameters;

/// Threads that share the streams of an update; fixed, because the order of additions depends on it.
const SHARDS: usize = 2;

/// Rows that warm the state up before the validation rows of each of the streams that share them.
const VALIDATION_WARM_UP: usize = 256;

/// Tokens per stretch of a validation pass.
const VALIDATION_TOKENS: usize = 64;

/// Entry of a checkpoint: updates done, and validations since the best.
const COUNTS: &str = "trainer.counts";

/// Share of the new error in the running mean per lead.
const BALANCE_RATE: f64 = 0.01;

/// Errors below this, in units of z, are those of single precision: a lead with less is not made up for.
const LEAST_ERROR: f64 = 1e-12;

/// How a network is trained.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Streams side by side.
    pub streams: usize,
    /// Tokens of each stream per update.
    pub tokens: usize,
    /// Updates in all.
    pub updates: usize,
    /// Largest learning rate: reached after a warm-up, then lowered along a cosine to nothing.
    pub learning_rate: f64,
    /// Updates of the warm-up.
    pub warm_up: usize,
    /// Decay of the averaged weights.
    pub ema_decay: f32,
    /// Weight decay of matrices.
    pub weight_decay: f32,
    /// Updates after which a stream restarts at a random row with zero state, on average.
    pub restart_every: usize,
    /// Updates between validations.
    pub validate_every: usize,
    /// Validations without a new best after which training stops.
    pub patience: usize,
    /// What the network is to say: the whole forecast, or what the read-out leaves of it.
    pub target: Target,
    /// Seed of the initial weights and of every draw.
    pub seed: u64,
}

/// What a network is trained to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The whole forecast; a weight per band then chooses between it and the read-out's.
    Whole,
    /// What the linear read-out leaves.
    Residual,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            streams: 16,
            tokens: 16,
            updates: 6000,
            learning_rate: 3e-3,
            warm_up: 200,
            ema_decay: 0.99,
            weight_decay: 0.01,
            restart_every: 64,
            validate_every: 200,
            patience: 10,
            target: Target::Whole,
            seed: 0,
        }
    }
}

/// Errors of training.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// candle refused.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// The optimiser refused.
    #[error(transparent)]
    Optim(#[from] OptimError),
    /// Not even the initial weights can be validated.
    #[error("the errors on validation are not finite")]
    NotFinite,
    /// A checkpoint of another training.
    #[error("the checkpoint does not fit this training: `{name}` is absent or of another shape")]
    Checkpoint {
        /// The entry.
        name: String,
    },
}

/// What is told while training.
#[derive(Clone, Copy, Debug)]
pub enum Progress {
    /// So many updates are done.
    Update(usize),
    /// The averaged weights were validated.
    Validation {
        /// Updates done.
        update: usize,
        /// Mean training loss since the last report: 1 where the network does as it did on average.
        loss: f64,
        /// [`Errors::score`].
        score: f64,
        /// The best score so far.
        best: f64,
    },
}

/// A stream's place in the training rows.
#[derive(Clone, Copy)]
struct Stream {
    row: usize,
    restarted: bool,
}

/// A network in training.
pub struct Trainer<'a> {
    config: Config,
    options: Options,
    data: &'a Dataset,
    /// Rows at which training forecasts are issued.
    rows: Range<usize>,
    parameters: Parameters,
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
    /// Whether the last gradient was not finite.
    diverged: bool,
}

/// The averaged weights that did best on validation.
#[derive(Clone, Debug)]
pub struct Best {
    /// [`Errors::score`].
    pub score: f64,
    /// Their errors.
    pub errors: Errors,
    /// The weights by name.
    pub weights: BTreeMap<String, Vec<f32>>,
}

/// What one shard of a batch came to.
struct ShardResult {
    state: State,
    loss: f64,
    /// Sum of squared errors and of weights per lead.
    errors: Vec<(f64, f64)>,
}

/// Stretches of rows, all numbers `[streams, tokens, M, H]`.
struct Batch {
    /// `[streams, tokens, M, patch]`.
    patches: Tensor,
    /// What the network is to say.
    target: Vec<f32>,
    /// What the read-out leaves.
    residual: Vec<f32>,
    /// Weights in the loss.
    weight: Vec<f32>,
}

impl<'a> Trainer<'a> {
    /// A network with initial weights, to be trained on forecasts that lie wholly in rows `0..train` of `data`.
    ///
    /// # Errors
    /// candle's.
    pub fn new(config: &Config, options: Options, data: &'a Dataset, train: usize, device: &Device) -> Result<Self, TrainError> {
        let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
        let parameters = Parameters::initial(config, &mut rng, device)?;
        let optimiser = AdamW::new(
            parameters.list().to_vec(),
            AdamWOptions {
                weight_decay: options.weight_decay,
                ..AdamWOptions::default()
            },
        );
        let average = Ema::new(parameters.list())?;
        let rows = data.first()..train - config.horizon;
        let tokens = options.tokens.min(rows.len());
        let options = Options { tokens, ..options };
        let streams = (0..options.streams)
            .map(|_| Stream {
                row: random_start(&mut rng, &rows, tokens),
                restarted: true,
            })
            .collect();
        let per_shard = options.streams / SHARDS;
        let states = (0..SHARDS)
            .map(|_| State::zero(config, per_shard, device))
            .collect::<Result<_, _>>()?;
        let balance = vec![0.0; config.horizon];
        Ok(Self {
            config: *config,
            options,
            data,
            rows,
            parameters,
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
            diverged: false,
        })
    }

    /// Trains up to the next validation or to update `until`, and validates the averaged weights on the forecasts that lie wholly in `validation`;
    /// the initial ones too, so that there is a best whatever becomes of training.
    /// Returns whether there is any use in going on: `until` is not reached, the last best is not too long ago, and training has not diverged.
    ///
    /// # Errors
    /// candle's.
    pub fn advance(
        &mut self,
        until: usize,
        validation: Range<usize>,
        bands: &[Range<usize>],
        report: &mut dyn FnMut(Progress),
    ) -> Result<bool, TrainError> {
        let (mut loss, start) = (0.0, self.update);
        if self.best.is_none() {
            self.keep_if_best(validation.clone(), bands)?;
        }
        while self.update < until {
            let Some(of_update) = self.step()? else {
                self.diverged = true;
                break;
            };
            loss += of_update;
            report(Progress::Update(self.update));
            if self.update.is_multiple_of(self.options.validate_every) {
                break;
            }
        }
        if self.update > start {
            self.average.swap(self.optimiser.parameters())?;
            let score = self.keep_if_best(validation, bands)?;
            self.average.swap(self.optimiser.parameters())?;
            let best = self.best.as_ref().map_or(score, |best| best.score);
            report(Progress::Validation {
                update: self.update,
                loss: loss / (self.update - start) as f64,
                score,
                best,
            });
        }
        Ok(self.update < until && self.stale < self.options.patience && !self.diverged)
    }

    /// The score of the present weights, which are kept if it is the best.
    fn keep_if_best(&mut self, validation: Range<usize>, bands: &[Range<usize>]) -> Result<f64, TrainError> {
        let errors = self.validate(validation)?;
        let score = errors.score(bands);
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

    /// What the network is trained to say.
    #[must_use]
    pub fn target(&self) -> Target {
        self.options.target
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

    /// The present weights by name (not the averaged ones).
    ///
    /// # Errors
    /// candle's.
    pub fn weights(&self) -> Result<BTreeMap<String, Vec<f32>>, TrainError> {
        let values = |p: &Parameter| Ok((p.name.clone(), p.var.flatten_all()?.to_vec1()?));
        Ok(self.parameters.list().iter().map(values).collect::<candle_core::Result<_>>()?)
    }

    /// Everything that the next update depends on, as named tensors.
    ///
    /// # Errors
    /// candle's.
    pub fn save(&self) -> Result<HashMap<String, Tensor>, TrainError> {
        let device = &Device::Cpu;
        let mut saved = self.optimiser.save()?;
        saved.extend(self.average.save(self.optimiser.parameters())?);
        for parameter in self.parameters.list() {
            saved.insert(format!("now.{}", parameter.name), parameter.var.as_tensor().clone());
        }
        for (shard, state) in self.states.iter().enumerate() {
            saved.extend(
                state
                    .named()
                    .map(|(name, tensor)| (format!("state.{shard}.{name}"), tensor.clone())),
            );
        }
        let counts = [self.update as i64, self.stale as i64];
        saved.insert(COUNTS.into(), Tensor::new(&counts, device)?);
        let streams: Vec<i64> = self.streams.iter().flat_map(|s| [s.row as i64, i64::from(s.restarted)]).collect();
        saved.insert("trainer.streams".into(), Tensor::new(streams, device)?);
        saved.insert("trainer.balance".into(), Tensor::new(self.balance.as_slice(), device)?);
        let position = self.rng.get_word_pos();
        let position: Vec<i64> = (0..4).map(|i| (position >> (32 * i)) as i64 & 0xFFFF_FFFF).collect();
        saved.insert("trainer.rng".into(), Tensor::new(position, device)?);
        if let Some(Best { score, errors, weights }) = &self.best {
            saved.insert("best.score".into(), Tensor::new(&[*score], device)?);
            let sums: Vec<f64> = errors
                .parts
                .iter()
                .flatten()
                .flat_map(|s| [s.linear, s.cross, s.network, s.count])
                .collect();
            saved.insert(
                "best.errors".into(),
                Tensor::from_vec(sums, (errors.parts.len(), errors.horizon(), 4), device)?,
            );
            for (name, values) in weights {
                saved.insert(format!("best.weights.{name}"), Tensor::new(values.as_slice(), device)?);
            }
        }
        Ok(saved)
    }

    /// Takes up what [`Trainer::save`] gave; the next update is then the one that would have followed.
    ///
    /// # Errors
    /// Something is absent or has another shape: the file belongs to another training.
    pub fn restore(&mut self, saved: &HashMap<String, Tensor>) -> Result<(), TrainError> {
        let get = |name: &str| saved.get(name).ok_or_else(|| TrainError::Checkpoint { name: name.to_owned() });
        let integers = |name: &str| Ok::<_, TrainError>(get(name)?.to_vec1::<i64>()?);
        let mismatch = |name: &str| TrainError::Checkpoint { name: name.to_owned() };
        let counts = integers(COUNTS)?;
        let &[update, stale] = counts.as_slice() else {
            return Err(mismatch(COUNTS));
        };
        let streams = integers("trainer.streams")?;
        let balance = get("trainer.balance")?.to_vec1::<f64>()?;
        if streams.len() != 2 * self.streams.len() || balance.len() != self.balance.len() {
            return Err(mismatch("trainer.streams"));
        }
        self.optimiser.restore(saved)?;
        self.average.restore(self.optimiser.parameters(), saved)?;
        for parameter in self.parameters.list() {
            parameter
                .var
                .set(&get(&format!("now.{}", parameter.name))?.to_device(&self.device)?)?;
        }
        for (shard, state) in self.states.iter_mut().enumerate() {
            for (name, tensor) in state.named_mut() {
                *tensor = get(&format!("state.{shard}.{name}"))?.to_device(&self.device)?;
            }
        }
        self.streams = streams
            .chunks_exact(2)
            .map(|s| Stream {
                row: s[0] as usize,
                restarted: s[1] == 1,
            })
            .collect();
        self.balance = balance;
        let position = integers("trainer.rng")?
            .iter()
            .rev()
            .fold(0u128, |sum, part| sum << 32 | *part as u128);
        self.rng.set_word_pos(position);
        (self.update, self.stale) = (update as usize, stale as usize);
        if saved.contains_key("best.score") {
            let sums = |s: &Vec<f64>| match s.as_slice() {
                &[linear, cross, network, count] => Ok(Sums {
                    linear,
                    cross,
                    network,
                    count,
                }),
                _ => Err(mismatch("best.errors")),
            };
            let part = |part: &Vec<Vec<f64>>| part.iter().map(sums).collect::<Result<Vec<_>, _>>();
            let parts = get("best.errors")?
                .to_vec3::<f64>()?
                .iter()
                .map(part)
                .collect::<Result<Vec<_>, _>>()?;
            if parts.iter().any(|part| part.len() != self.config.horizon) {
                return Err(mismatch("best.errors"));
            }
            let errors = Errors { parts };
            let weight = |p: &Parameter| Ok((p.name.clone(), get(&format!("best.weights.{}", p.name))?.to_vec1()?));
            let weights = self.parameters.list().iter().map(weight).collect::<Result<_, TrainError>>()?;
            let score = get("best.score")?.to_vec1::<f64>()?.first().copied().unwrap_or(f64::INFINITY);
            self.best = Some(Best { score, errors, weights });
        }
        Ok(())
    }

    /// One update; returns its loss, or nothing where the gradient is not finite, and then nothing has changed.
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
        let gradients = sum_gradients(self.optimiser.parameters(), &gradients)?;
        let norm = self.optimiser.step(&gradients, self.learning_rate())?;
        if !norm.is_finite() {
            return Ok(None);
        }
        self.average.update(self.optimiser.parameters(), self.options.ema_decay)?;
        let loss = results.iter().map(|r| r.loss).sum();
        for lead in 0..self.config.horizon {
            let (error, weight) = results
                .iter()
                .fold((0.0, 0.0), |sum, r| (sum.0 + r.errors[lead].0, sum.1 + r.errors[lead].1));
            if weight > 0.0 {
                let mean = error / weight;
                let rate = if self.balance[lead] == 0.0 { 1.0 } else { BALANCE_RATE };
                self.balance[lead] += rate * (mean - self.balance[lead]);
            }
        }
        self.states = results.into_iter().map(|r| r.state).collect();
        self.move_on();
        self.update += 1;
        Ok(Some(loss))
    }

    /// Moves every stream on; one that reaches the end of the rows, and now and then any, restarts elsewhere.
    fn move_on(&mut self) {
        let tokens = self.options.tokens;
        for stream in &mut self.streams {
            stream.row += tokens;
            stream.restarted = stream.row + tokens > self.rows.end || self.rng.random_range(0..self.options.restart_every) == 0;
            if stream.restarted {
                stream.row = random_start(&mut self.rng, &self.rows, tokens);
            }
        }
    }

    fn learning_rate(&self) -> f64 {
        let Options {
            updates,
            warm_up,
            learning_rate,
            ..
        } = self.options;
        let warm = ((self.update + 1) as f64 / warm_up as f64).min(1.0);
        let progress = self.update as f64 / updates as f64;
        learning_rate * warm * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
    }

    /// Forward and backward of some streams.
    fn shard(&self, streams: &[Stream], state: &State) -> Result<(GradStore, ShardResult), TrainError> {
        let (m, h, tokens) = (self.config.variates, self.config.horizon, self.options.tokens);
        let keep: Vec<f32> = streams.iter().map(|s| if s.restarted { 0.0 } else { 1.0 }).collect();
        let state = state.masked(&Tensor::from_vec(keep, streams.len(), &self.device)?)?;
        let stretches: Vec<Range<usize>> = streams.iter().map(|s| s.row..s.row + tokens).collect();
        let Batch {
            patches,
            target,
            mut weight,
            ..
        } = self.batch(&stretches)?;
        // Errors count relative to what they are on average at their lead, over all streams of the update.
        let scale = 1.0 / (self.options.streams * tokens * m * h) as f64;
        let factors: Vec<f32> = self
            .balance
            .iter()
            .map(|&b| (scale / if b > 0.0 { b.max(LEAST_ERROR) } else { 1.0 }) as f32)
            .collect();
        let raw = weight.clone();
        for weights in weight.chunks_exact_mut(h) {
            weights.iter_mut().zip(&factors).for_each(|(w, f)| *w *= f);
        }
        let shape = (streams.len(), tokens, m, h);
        let network = Network::new(&self.config, &self.parameters);
        let (features, state) = network.forward(&patches, &state)?;
        let said = network.head(&features)?;
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

    /// Stretches of rows as tensors and numbers.
    fn batch(&self, stretches: &[Range<usize>]) -> Result<Batch, TrainError> {
        let (m, h, p) = (self.config.variates, self.config.horizon, self.data.patch_len());
        let tokens = stretches[0].len();
        let entries = vec![0.0; stretches.len() * tokens * m * h];
        let mut patches = Vec::with_capacity(stretches.len() * tokens * m * p);
        let (mut target, mut linear, mut weight) = (entries.clone(), entries.clone(), entries);
        for (i, row) in stretches.iter().flat_map(|rows| rows.clone()).enumerate() {
            patches.extend_from_slice(self.data.patches(row..row + 1));
            let place = i * m * h..(i + 1) * m * h;
            self.data
                .targets(row, &mut target[place.clone()], &mut linear[place.clone()], &mut weight[place]);
        }
        let residual: Vec<f32> = target.iter().zip(&linear).map(|(t, l)| t - l).collect();
        let target = if self.options.target == Target::Whole {
            target
        } else {
            residual.clone()
        };
        let patches = Tensor::from_vec(patches, (stretches.len(), tokens, m, p), &self.device)?;
        Ok(Batch {
            patches,
            target,
            residual,
            weight,
        })
    }

    /// Errors of the present weights over the forecasts that lie wholly in `rows`, in consecutive parts, each a stream with a warm-up.
    ///
    /// # Errors
    /// candle's.
    pub fn validate(&self, rows: Range<usize>) -> Result<Errors, TrainError> {
        let h = self.config.horizon;
        let origins = rows.start.max(1) - 1..rows.end - h;
        // A remainder of a few origins at the end is left out.
        let streams = origins.len().clamp(1, 2 * SHARDS);
        let share = origins.len() / streams;
        let starts: Vec<usize> = (0..streams).map(|i| origins.start + i * share).collect();
        let parts: Vec<Vec<Vec<Sums>>> = std::thread::scope(|scope| {
            let spawn = |starts| scope.spawn(move || self.validate_streams(starts, share));
            let threads: Vec<_> = starts.chunks(streams.div_ceil(SHARDS)).map(spawn).collect();
            threads.into_iter().map(join).collect::<Result<_, _>>()
        })?;
        Ok(Errors { parts: parts.concat() })
    }

    /// Sums per start and lead, over `share` origins from each start on.
    fn validate_streams(&self, starts: &[usize], share: usize) -> Result<Vec<Vec<Sums>>, TrainError> {
        let (m, h) = (self.config.variates, self.config.horizon);
        let network = Network::new(&self.config, &self.parameters);
        let mut state = State::zero(&self.config, starts.len(), &self.device)?;
        let mut sums = vec![vec![Sums::default(); h]; starts.len()];
        let warm = VALIDATION_WARM_UP.min(starts[0] - self.data.first());
        let mut done = 0;
        while done < warm + share {
            // Stretches end where the warm-up does, so that each is counted as a whole or not at all.
            let left = if done < warm { warm - done } else { warm + share - done };
            let tokens = VALIDATION_TOKENS.min(left);
            let stretches: Vec<Range<usize>> = starts.iter().map(|s| s - warm + done).map(|row| row..row + tokens).collect();
            let Batch {
                patches,
                target,
                residual,
                weight,
            } = self.batch(&stretches)?;
            let (features, next) = network.forward(&patches, &state)?;
            state = next;
            if done >= warm {
                let said = network.head(&features)?.flatten_all()?.to_vec1::<f32>()?;
                for (i, (((said, target), r), w)) in said.iter().zip(&target).zip(&residual).zip(&weight).enumerate() {
                    let (n, r, w) = (f64::from(said - target + r), f64::from(*r), f64::from(*w));
                    let sum = &mut sums[i / (tokens * m * h)][i % h];
                    let one = Sums {
                        linear: w * r * r,
                        cross: w * r * n,
                        network: w * n * n,
                        count: f64::from(u8::from(w > 0.0)),
                    };
                    *sum = [*sum, one].into_iter().sum();
                }
            }
            done += tokens;
        }
        Ok(sums)
    }
}

/// A row from which a stretch of `tokens` lies wholly in `rows`.
fn random_start(rng: &mut ChaCha8Rng, rows: &Range<usize>, tokens: usize) -> usize {
    let last = rows.end.saturating_sub(tokens);
    rng.random_range(rows.start..last.max(rows.start + 1))
}

/// The result of a thread; its panic goes on here.
fn join<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
