//! Trials of several candidates, and the training of the best one to its end.
//!
//! 1. Trials: every candidate trains for the same number of updates, together at most a quarter of the budget; as many at a time as
//!    there are cores for. The smallest of those that are as good as the best is taken.
//! 2. Training: warm-up, constant rate, and a decay phase (arXiv 2404.06395), because the stopping time is not known in advance. The decay phase begins when a quarter
//!    of the updates is left, or when a tenth of them brought no new best.
//! 3. Early stop: a network whose gain within a tenth of the updates after the trials is too small for a bundle is not trained further.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};

use super::blend::LEAST_GAIN;
use super::candidate::Candidate;
use super::checkpoint::{Checkpoints, Plan};
use super::clock::{Clock, Stop};
use super::curves::Curves;
use super::error::Error;
use super::feed::Feed;
use super::options::Event;
use super::trainer::{Best, SHARDS, TrainError, Trainer, TrainerOptions};
use crate::data::runs::Pieces;
use crate::network::static_covariates::StaticCovariates;

/// Share of all updates that the trials may take.
const TRIALS: f64 = 0.25;

/// A smaller candidate is taken where its score is higher than the best by this share at most.
const MARGIN: f64 = 0.01;

/// The decay phase has this share of all updates: one of so many.
const DECAY: usize = 4;

/// Without a new best for this share of the updates, the decay phase begins; it then takes as long. One of so many.
const PATIENCE: usize = 10;

/// No network is given up before so many updates: on noisy recordings the error falls late.
const LEAST_UPDATES: usize = 500;

/// Validations of a training at most.
const VALIDATIONS: usize = 40;

/// Updates between two validations at least: a validation takes about as long as eight.
const LEAST_EVERY: usize = 30;

/// Updates from which the time of an update is measured.
const MEASURED: usize = 4;

/// Candidates get at least so many updates in their trials; otherwise there is none, and the first is taken.
const LEAST_TRIAL: usize = 20;

/// Entry of a checkpoint: the score at the end of the trial.
const TRIAL_SCORE: &str = "trial.score";

/// The end of a network's training.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// All updates, trials included.
    Updates(usize),
    /// When the clock shows so much.
    At(Duration),
}

/// What the candidates are trained and judged on.
#[derive(Clone, Debug)]
pub struct Setting<'a> {
    /// The network's name.
    pub name: &'static str,
    /// Training rows.
    pub train: &'a Pieces,
    /// Validation rows.
    pub validation: &'a Pieces,
    /// Groups of steps.
    pub groups: &'a [Range<usize>],
    /// Static covariates.
    pub statics: Option<&'a StaticCovariates>,
    /// How a network is trained.
    pub options: TrainerOptions,
    /// Where.
    pub device: &'a Device,
    /// When it ends.
    pub end: End,
    /// A request to end with the best so far.
    pub stop: &'a Stop,
}

/// Where a training leaves its traces.
pub struct Traces<'a> {
    /// Its checkpoints.
    pub checkpoints: &'a mut Checkpoints,
    /// Its curves.
    pub curves: &'a mut Curves,
    /// Its time.
    pub clock: &'a Clock,
}

/// A trained network.
#[derive(Debug)]
pub struct Fitted {
    /// The candidate that was trained.
    pub candidate: usize,
    /// The best weights; `None` where training was stopped before there were any, or none was finite.
    pub best: Option<Best>,
    /// The time of an update.
    pub pace: Duration,
    /// What was decided, and by what evidence.
    pub decisions: Vec<String>,
}

impl Fitted {
    /// No network, and why.
    #[must_use]
    pub fn none(reason: String) -> Self {
        Self {
            candidate: 0,
            best: None,
            pace: Duration::ZERO,
            decisions: vec![reason],
        }
    }

    /// Updates that fit into a time.
    #[must_use]
    pub fn updates_in(&self, time: Duration) -> usize {
        Pace(Some(self.pace)).fit_into(time)
    }
}

/// One candidate in training.
struct Run<'a> {
    trainer: Trainer<'a>,
    file: String,
    /// The score at the end of the trial.
    trial: Option<f64>,
    pace: Pace,
}

impl Run<'_> {
    fn save(&self, traces: &mut Traces<'_>) -> Result<(), Error> {
        let mut tensors = self.trainer.save()?;
        if let Some(score) = self.trial {
            tensors.insert(TRIAL_SCORE.into(), Tensor::new(&[score], &Device::Cpu).map_err(TrainError::from)?);
        }
        traces.checkpoints.save(&self.file, &tensors, traces.clock.used())?;
        Ok(())
    }
}

impl Setting<'_> {
    /// Tries the candidates and trains the best one.
    ///
    /// # Errors
    /// Those of candle, of the preprocessor and of the files.
    pub fn fit(
        &self,
        candidates: &[Candidate],
        feeds: &[Feed<'_>],
        traces: &mut Traces<'_>,
        report: &mut dyn FnMut(Event<'_>),
    ) -> Result<Fitted, Error> {
        let mut runs = Vec::with_capacity(candidates.len());
        for (i, candidate) in candidates.iter().enumerate() {
            runs.push(self.begin(i, candidate, feeds, traces)?);
        }
        let plan = match traces.checkpoints.plan(self.name) {
            Some(plan) => plan,
            None => {
                let plan = self.plan(&mut runs, traces.clock)?;
                // A plan whose measurement was stopped is made again when the training is resumed.
                if !self.stop.is_set() {
                    traces.checkpoints.set_plan(self.name, plan, traces.clock.used())?;
                }
                plan
            }
        };
        if plan.trial == 0 {
            runs.truncate(1);
        }
        let mut decisions = Vec::new();
        let winner = match runs.len() {
            1 => 0,
            _ => {
                self.trials(&mut runs, plan, traces, report)?;
                let (winner, line) = self.winner(&runs, candidates, plan);
                decisions.push(line);
                winner
            }
        };
        let mut run = runs.swap_remove(winner);
        drop(runs);
        self.train(&mut run, &candidates[winner].what, plan, traces, report)?;
        let trainer = &run.trainer;
        if trainer.loss_spikes() > 0 {
            decisions.push(format!(
                "{}: {} loss spikes; each time training continued from the averaged weights",
                self.name,
                trainer.loss_spikes()
            ));
        }
        if let Some(update) = trainer.diverged() {
            decisions.push(format!(
                "{}: training diverged at update {update}: the best weights before are taken",
                self.name
            ));
        }
        decisions.push(format!(
            "{}: {}, {} updates, best after {}",
            self.name,
            candidates[winner].what,
            trainer.updates(),
            trainer.best().map_or(0, |best| best.update)
        ));
        Ok(Fitted {
            candidate: winner,
            best: trainer.best().cloned(),
            pace: run.pace.of_update(),
            decisions,
        })
    }

    /// A candidate at its beginning, or where it was interrupted.
    fn begin<'f>(&self, i: usize, candidate: &Candidate, feeds: &'f [Feed<'f>], traces: &Traces<'_>) -> Result<Run<'f>, Error> {
        let mut trainer = Trainer::new(
            |rng| candidate.initial(self.statics, rng, self.device),
            TrainerOptions {
                learning_rate: candidate.learning_rate,
                ..self.options
            },
            &feeds[candidate.feed],
            self.train,
            self.device,
        )?;
        if let Some(weights) = &candidate.weights {
            trainer.set_weights(weights)?;
        }
        let file = format!("{}-{i}", self.name);
        let mut trial = None;
        if let Some(saved) = traces.checkpoints.load(&file)? {
            trainer.restore(&saved)?;
            let score = saved.get(TRIAL_SCORE).map(|score| score.get(0)?.to_scalar::<f64>()).transpose();
            trial = score.map_err(TrainError::from)?;
        }
        Ok(Run {
            trainer,
            file,
            trial,
            pace: Pace::default(),
        })
    }

    /// The length of the trials: by the updates that are given, or by the time that they take.
    fn plan(&self, runs: &mut [Run<'_>], clock: &Clock) -> Result<Plan, Error> {
        let (tried, every) = match self.end {
            End::Updates(updates) => (TRIALS * updates as f64 / runs.len() as f64, updates / VALIDATIONS),
            End::At(end) => {
                for run in &mut *runs {
                    self.measure(run)?;
                }
                let seconds = |run: &Run<'_>| run.pace.of_update().as_secs_f64().max(1e-9);
                let left = end.saturating_sub(clock.used()).as_secs_f64();
                let at_a_time = lanes().min(runs.len()) as f64;
                let tried = TRIALS * left * at_a_time / runs.iter().map(seconds).sum::<f64>();
                (tried, (left / seconds(&runs[0]) / VALIDATIONS as f64) as usize)
            }
        };
        let tried = tried as usize;
        let trial = match runs.len() > 1 && (tried >= LEAST_TRIAL || matches!(self.end, End::Updates(_))) {
            true => tried.max(1),
            false => 0,
        };
        Ok(Plan {
            trial,
            every: every.max(LEAST_EVERY),
        })
    }

    /// Trains every candidate up to the end of its trial, and measures it there.
    fn trials(&self, runs: &mut [Run<'_>], plan: Plan, traces: &mut Traces<'_>, report: &mut dyn FnMut(Event<'_>)) -> Result<(), Error> {
        let total = plan.trial * runs.len();
        let mut done = 0;
        for runs in runs.chunks_mut(lanes()) {
            let mut until = 0;
            while until < plan.trial && runs.iter().any(|run| run.trial.is_none()) && !self.stop.is_set() {
                until = (until + plan.every).min(plan.trial);
                let begun: usize = runs.iter().map(|run| run.trainer.updates()).sum();
                let made = AtomicUsize::new(0);
                let advance = |run: &mut Run<'_>| -> Result<(), TrainError> {
                    if run.trial.is_some() {
                        return Ok(());
                    }
                    run.trainer.advance(until, self.stop, &mut |_| {
                        made.fetch_add(1, Ordering::Relaxed);
                    })?;
                    if until == plan.trial && !self.stop.is_set() {
                        run.trial = Some(run.trainer.validate_average(self.validation, self.groups)?);
                    }
                    Ok(())
                };
                let advance = &advance;
                std::thread::scope(|scope| {
                    let threads: Vec<_> = runs.iter_mut().map(|run| scope.spawn(move || advance(run))).collect();
                    while threads.iter().any(|thread| !thread.is_finished()) {
                        std::thread::sleep(Duration::from_millis(20));
                        report(Event::Progress {
                            task: &format!("{}, trials", self.name),
                            done: done + begun + made.load(Ordering::Relaxed),
                            total,
                            note: "",
                        });
                    }
                    let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
                        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                    };
                    threads.into_iter().try_for_each(join)
                })?;
                for run in &*runs {
                    run.save(traces)?;
                }
            }
            done += plan.trial * runs.len();
        }
        Ok(())
    }

    /// The smallest of the candidates that are as good as the best, and the scores in words.
    fn winner(&self, runs: &[Run<'_>], candidates: &[Candidate], plan: Plan) -> (usize, String) {
        let score = |i: usize| runs[i].trial.filter(|score| score.is_finite()).unwrap_or(f64::INFINITY);
        let best = (0..runs.len()).map(score).fold(f64::INFINITY, f64::min);
        let as_good = (0..runs.len()).filter(|&i| score(i) <= (1.0 + MARGIN) * best);
        let winner = as_good.min_by_key(|&i| runs[i].trainer.parameter_count()).unwrap_or(0);
        let scores: Vec<String> = (0..runs.len()).map(|i| format!("{} {:.4}", candidates[i].what, score(i))).collect();
        let line = format!(
            "{}, validation error / linear part after {} updates: {}",
            self.name,
            plan.trial,
            scores.join(", ")
        );
        (winner, line)
    }

    /// Measures the time of an update by making some.
    fn measure(&self, run: &mut Run<'_>) -> Result<(), Error> {
        let (begun, before) = (Instant::now(), run.trainer.updates());
        run.trainer.advance(before + MEASURED, self.stop, &mut |_| ())?;
        run.pace.add(run.trainer.updates() - before, begun.elapsed());
        Ok(())
    }

    /// Trains a candidate to its end.
    fn train(
        &self,
        run: &mut Run<'_>,
        what: &str,
        plan: Plan,
        traces: &mut Traces<'_>,
        report: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Error> {
        let mut note = String::new();
        if matches!(self.end, End::At(_)) && run.pace.0.is_none() {
            self.measure(run)?;
        }
        while !run.trainer.ended() && !self.stop.is_set() {
            let begun = Instant::now();
            let update = run.trainer.updates();
            let all = match self.end {
                End::Updates(updates) => updates,
                End::At(end) => update + run.pace.fit_into(end.saturating_sub(traces.clock.used())),
            };
            match run.trainer.decay() {
                None if update + all / DECAY >= all => run.trainer.begin_decay(all.saturating_sub(update)),
                // The time runs out before the decay phase does.
                Some((from, updates)) if from + updates > all => run.trainer.set_decay(from, all - from),
                _ => {}
            }
            let next = (update / plan.every + 1) * plan.every;
            let until = match run.trainer.decay() {
                Some((from, updates)) => next.min(from + updates),
                None => next.min(all - all / DECAY),
            };
            run.trainer.advance(until, self.stop, &mut |update| {
                report(Event::Progress {
                    task: self.name,
                    done: update,
                    total: all,
                    note: &note,
                });
            })?;
            if self.stop.is_set() {
                break;
            }
            let loss = run.trainer.mean_loss();
            let score = run.trainer.validate_average(self.validation, self.groups)?;
            note = format!("validation error / linear part {score:.4}, best {:.4}", run.trainer.score());
            let made = run.trainer.updates();
            run.pace.add(made - update, begun.elapsed());
            self.curve(traces, what, made, loss, score)?;
            if run.trainer.decay().is_none() {
                let best = run.trainer.best();
                if made >= (plan.trial + all / PATIENCE).max(LEAST_UPDATES) && best.is_none_or(|best| best.score > 1.0 - LEAST_GAIN) {
                    run.trainer.end();
                } else if best.is_some_and(|best| made > best.update + all / PATIENCE) {
                    run.trainer.begin_decay((all / PATIENCE).min(all.saturating_sub(made)));
                }
            }
            run.save(traces)?;
        }
        run.save(traces)
    }

    fn curve(&self, traces: &mut Traces<'_>, what: &str, update: usize, loss: f64, score: f64) -> Result<(), Error> {
        let seconds = traces.clock.used().as_secs_f64();
        let written = traces.curves.write(self.name, what, update, seconds, loss, score);
        written.map_err(|source| Error::Out {
            path: traces.curves.path().to_owned(),
            source,
        })
    }
}

/// Candidates that train at a time.
fn lanes() -> usize {
    (std::thread::available_parallelism().map_or(1, usize::from) / SHARDS).max(1)
}

/// The time of an update, validations included: a mean in which the newest half counts half.
#[derive(Clone, Copy, Debug, Default)]
struct Pace(Option<Duration>);

impl Pace {
    fn add(&mut self, updates: usize, time: Duration) {
        if updates > 0 {
            let newest = time / updates as u32;
            self.0 = Some(self.0.map_or(newest, |before| (before + newest) / 2));
        }
    }

    fn of_update(&self) -> Duration {
        self.0.unwrap_or_default()
    }

    /// Updates that fit into a time.
    fn fit_into(&self, time: Duration) -> usize {
        (time.as_secs_f64() / self.of_update().as_secs_f64().max(1e-9)) as usize
    }
}
