//! The neural baselines of a training: a GRU and an MLP, trained on the same rows by the same trainer for as many updates.
//!
//! They forecast without a linear head, under the normalizer that TSM2 chose. Their errors go into `metrics.csv`; their weights are not kept.

use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};
use tsm2_core::{Config, Preprocessor};

use super::error::Error;
use super::options::Event;
use super::recipe::rows_in_memory;
use super::trainer::{Target, TrainError, Trainer, TrainerOptions};
use crate::data::dataset::Dataset;
use crate::data::runs::{Part, Pieces};
use crate::data::scale::Scaler;
use crate::data::split::Split;
use crate::data::table::Table;
use crate::evaluate::{ErrorsByDevice, EvaluateError, Evaluation, HorizonError, Tally, read_metrics};
use crate::linear::head::LinearModel;
use crate::linear::step_groups::step_groups;
use crate::network::baseline::{NeuralBaseline, NeuralKind, baseline_config};
use crate::network::learner::Learner;

/// A network with more weights is not trained: training takes several times their memory.
const MAX_WEIGHTS: usize = 20_000_000;

/// Tokens in one forward pass when errors are measured.
const TOKENS: usize = 64;

/// The data of a training.
#[derive(Clone, Copy, Debug)]
pub struct BaselineData<'a> {
    /// The recording.
    pub table: &'a Table,
    /// Its parts.
    pub split: &'a Split,
    /// Its scaler.
    pub scaler: &'a Scaler,
    /// The linear head of the model: validation errors are relative to its errors.
    pub linear: &'a LinearModel,
}

/// Trained networks, to be measured.
#[derive(Clone, Debug)]
pub struct NeuralBaselines {
    config: Config,
    networks: Vec<NeuralBaseline>,
}

impl NeuralBaselines {
    /// Trains the baselines of a model of configuration `config`, one after the other.
    ///
    /// `pace` is the time of an update of TSM2.
    ///
    /// # Errors
    /// Those of candle and of the preprocessor.
    pub fn train(
        config: &Config,
        data: BaselineData<'_>,
        spans: &[Range<usize>],
        options: TrainerOptions,
        pace: Option<Duration>,
        device: &Device,
        report: &mut dyn FnMut(Event<'_>),
    ) -> Result<Self, Error> {
        let BaselineData {
            table,
            split,
            scaler,
            linear,
        } = data;
        let config = Config {
            linear_head: linear.features,
            ..baseline_config(config)
        };
        let dataset = Dataset::new(&config, scaler, table, spans, &linear.weights)?;
        let options = TrainerOptions {
            target: Target::Standalone,
            ..options
        };
        let groups = step_groups(config.horizon);
        let [train, validation] = [Part::Train, Part::Validation].map(|part| table.part(split, part));
        let mut networks = Vec::new();
        for kind in NeuralKind::ALL {
            if kind.parameter_count(&config) > MAX_WEIGHTS {
                report(Event::Baselines(&format!(
                    "{} is not trained: it would have too many weights",
                    kind.name()
                )));
                continue;
            }
            let start = Instant::now();
            let initial = |rng: &mut _| NeuralBaseline::initial(kind, &config, rng, device);
            let mut trainer = Trainer::new(initial, options, &dataset, &train, device)?;
            let mut progress_report = |progress| {
                report(Event::Training {
                    name: kind.name(),
                    progress,
                    updates: options.updates,
                });
            };
            while trainer.advance(options.updates, &validation, &groups, &mut progress_report)? {}
            let (updates, took) = (trainer.updates(), start.elapsed().as_secs_f64());
            let ratio = pace.map(|own| took / updates.max(1) as f64 / own.as_secs_f64());
            let ratio = ratio.map(|ratio| format!(", {ratio:.2} times TSM2's time per update"));
            let text = format!("{}: {updates} updates in {took:.1} s{}", kind.name(), ratio.unwrap_or_default());
            report(Event::Baselines(&text));
            let best = trainer.best().ok_or(TrainError::NotFinite)?;
            let values = |name: &str, _: &[usize]| Ok(best.weights.get(name).cloned().unwrap_or_default());
            networks.push(NeuralBaseline::new(kind, &config, &Device::Cpu, values).map_err(TrainError::from)?);
        }
        Ok(Self { config, networks })
    }

    /// Errors of each network at the origins of these pieces; the state is carried from the first row of each run.
    ///
    /// # Errors
    /// As [`crate::evaluate::model_errors`].
    pub fn errors(
        &self,
        table: &Table,
        scaler: &Scaler,
        pieces: &Pieces,
        horizons: &[usize],
    ) -> Result<Vec<(NeuralKind, ErrorsByDevice)>, EvaluateError> {
        let z = scaler.standardise_targets(table);
        let tally = Tally::new(&z, self.config.targets(), pieces, horizons)?;
        let tally = &tally;
        std::thread::scope(|scope| {
            let measure = |network| scope.spawn(move || self.errors_of(network, table, scaler, tally.clone()));
            let threads: Vec<_> = self.networks.iter().map(measure).collect();
            let join =
                |thread: std::thread::ScopedJoinHandle<'_, _>| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let errors = threads.into_iter().map(join).collect::<Result<Vec<_>, EvaluateError>>()?;
            Ok(self.networks.iter().map(|network| network.kind).zip(errors).collect())
        })
    }

    fn errors_of(
        &self,
        network: &NeuralBaseline,
        table: &Table,
        scaler: &Scaler,
        mut tally: Tally<'_>,
    ) -> Result<ErrorsByDevice, EvaluateError> {
        let config = &self.config;
        let (m, targets, h, p) = (config.variates, config.targets(), config.horizon, config.patch_len());
        let scale = tsm2_core::Scaler {
            mean: &scaler.mean,
            std: &scaler.std,
        };
        let preprocessor = Preprocessor::new(config, scale)?;
        let mut past = vec![0.0; preprocessor.state_len()];
        let (mut patches, mut statistics) = (vec![0.0; TOKENS * m * p], vec![(0.0, 0.0); TOKENS * m]);
        for rows in tally.passes() {
            past.fill(0.0);
            let mut state = network.zero_state(1, &Device::Cpu)?;
            for row in rows.clone() {
                table.future_values(row, config.future_covariates, h, |v, values| {
                    preprocessor.set_future(&mut past, v, values)
                })?;
                preprocessor.push(&mut past, table.row(row), table.time_ms(row))?;
                let token = (row - rows.start) % TOKENS;
                for v in 0..m {
                    let at = token * m + v;
                    statistics[at] = preprocessor.statistics(&past, v);
                    preprocessor.patch(&past, v, &mut patches[at * p..(at + 1) * p]);
                }
                if token + 1 < TOKENS && row + 1 < rows.end {
                    continue;
                }
                let tokens = token + 1;
                let chunk = Tensor::from_slice(&patches[..tokens * m * p], (1, tokens, m, p), &Device::Cpu)?;
                let (forecasts, next) = network.forward(&chunk, &state)?;
                state = next;
                let mut forecasts = forecasts.flatten_all()?.to_vec1::<f32>()?;
                for (i, forecast) in forecasts.chunks_exact_mut(h).enumerate() {
                    let (mean, deviation) = statistics[i / targets * m + i % targets];
                    forecast.iter_mut().for_each(|y| *y = *y * deviation + mean);
                }
                for (i, forecast) in forecasts.chunks_exact(config.forecast_len()).enumerate() {
                    let origin = row + 1 - tokens + i + 1;
                    if tally.is_origin(origin) {
                        tally.add(origin, forecast);
                    }
                }
            }
        }
        tally.errors()
    }
}

/// Trains the baselines and adds their errors to the comparison.
pub(super) fn add_errors(
    test: &mut Evaluation,
    config: &Config,
    data: BaselineData<'_>,
    recipe: TrainerOptions,
    device: &Device,
    pace: Option<Duration>,
    report: &mut dyn FnMut(Event<'_>),
) -> Result<(), Error> {
    let spans = match rows_in_memory(&baseline_config(config), data.table, data.split) {
        Ok(spans) => spans,
        Err(error) => {
            report(Event::Baselines(&format!("gru and mlp are not trained: {error}")));
            return Ok(());
        }
    };
    let BaselineData { table, split, scaler, .. } = data;
    let baselines = NeuralBaselines::train(config, data, &spans, recipe, pace, device, report)?;
    for (kind, errors) in baselines.errors(table, scaler, &table.part(split, Part::Test), &test.horizons())? {
        match kind {
            NeuralKind::Gru => test.baselines.gru = Some(errors.total),
            NeuralKind::Mlp => test.baselines.mlp = Some(errors.total),
        }
    }
    Ok(())
}

/// Errors of GRU and MLP in the file that a finished training leaves.
pub(super) type Finished = (Option<Vec<HorizonError>>, Option<Vec<HorizonError>>);

pub(super) fn finished(metrics: &Path) -> Option<Finished> {
    let mut all = read_metrics(metrics).ok()?;
    let mut take = |name: &str| {
        let i = all.iter().position(|errors| errors.part == "test" && errors.model == name)?;
        Some(all.swap_remove(i).errors)
    };
    let (gru, mlp) = (take("gru"), take("mlp"));
    (gru.is_some() || mlp.is_some()).then_some((gru, mlp))
}
