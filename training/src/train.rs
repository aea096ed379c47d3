//! From a CSV file to a bundle: the recipe, its decisions and their evidence.
//!
//! In this order: read and standardise; choose normaliser and linear read-out on validation; train the network on what the read-out
//! leaves; give the network, per band of leads, the weight in [0, 1] that is best on validation and fold it into the head, so that the
//! model is never worse on validation than its own read-out; write the bundle; measure it with the device's own code beside the baselines.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use candle_core::Device;
use tsm2_bundle::{Bundle, BundleError, FORMAT_VERSION, Metadata, Provenance, Variate};
use tsm2_core::{Config, Head, Mlp, Readout, S6, VariateMixer};

use crate::baselines::Series;
use crate::dataset::Dataset;
use crate::parameters::Parameters;
use crate::evaluate::{EvaluateError, Evaluation, HorizonError, Protocol, evaluate, model_errors};
use crate::readout::{self, ReadoutError};
use crate::ridge::bands;
use crate::scale::Scaler;
use crate::split::{Split, SplitError, SplitSpec};
use crate::table::Table;
use crate::trainer::{Errors, Options, Progress, Target, TrainError, Trainer};

/// Rows ahead that a model forecasts unless told otherwise.
pub const DEFAULT_HORIZON: usize = 24;

/// Up to this many variates are mixed by an MLP, whose cost grows with their square; more by the selective scan.
const MLP_VARIATES: usize = 40;

/// Up to this many variates have a head of their own.
const OWN_HEADS: usize = 40;

/// A band in which the network lowers the validation error by less than this share is left to the read-out.
const LEAST_GAIN: f64 = 1e-3;

/// Updates after which one of the two targets is chosen.
const PILOT_UPDATES: usize = 600;

/// What to train and where to put it.
#[derive(Clone, Debug)]
pub struct TrainOptions {
    /// Training, validation and test rows.
    pub split: SplitSpec,
    /// Rows ahead.
    pub horizon: usize,
    /// Folder of the bundle, its metrics and its checkpoints; made if absent.
    pub out: PathBuf,
    /// Name published with every forecast.
    pub name: String,
    /// Seed of the initial weights and every draw.
    pub seed: u64,
    /// Updates at most.
    pub updates: usize,
    /// Where the network is trained.
    pub device: Device,
}

/// What is told while training.
#[derive(Debug)]
pub enum Event<'a> {
    /// Something about the data that the user should know.
    Warning(&'a str),
    /// A decision with its evidence.
    Decision(&'a str),
    /// Where the network's training stands.
    Training {
        /// What the network is trained to say.
        target: Target,
        /// An update or a validation.
        progress: Progress,
    },
}

/// What came out.
#[derive(Debug)]
pub struct Trained {
    /// The bundle's file.
    pub path: PathBuf,
    /// Rows that were used for what.
    pub split: Split,
    /// What was decided, in order, with its evidence.
    pub decisions: Vec<String>,
    /// Errors on the validation part.
    pub validation: Vec<HorizonError>,
    /// Errors on the test part, beside the baselines'; `None` when the split leaves none.
    pub test: Option<Evaluation>,
}

/// Errors of training, each naming its culprit.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The split, for this file.
    #[error("{}: {source}", path.display())]
    Split {
        /// The CSV file.
        path: PathBuf,
        /// What is wrong.
        source: SplitError,
    },
    /// The read-out.
    #[error(transparent)]
    Readout(#[from] ReadoutError),
    /// The network.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The configuration.
    #[error(transparent)]
    Model(#[from] tsm2_core::Error),
    /// The bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The evaluation.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// The output folder.
    #[error("{}: {source}", path.display())]
    Out {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// Trains a model on a table.
///
/// # Errors
/// The first thing that is wrong, by name.
pub fn run(table: &Table, options: &TrainOptions, tell: &mut dyn FnMut(Event<'_>)) -> Result<Trained, Error> {
    let in_file = |source| Error::Split { path: table.path.clone(), source };
    let split = options.split.resolve(table.len()).map_err(in_file)?;
    let start = start_config(table, options.horizon);
    split.check_training(start.patch, options.horizon).map_err(in_file)?;
    let out = |path: &Path| { let path = path.to_owned(); move |source| Error::Out { path, source } };
    fs::create_dir_all(&options.out).map_err(out(&options.out))?;
    let (scaler, warnings) = Scaler::fit(table, split.train_range());
    for warning in warnings {
        tell(Event::Warning(&warning));
    }

    let mut decisions = Vec::new();
    let mut decide = |text: String, tell: &mut dyn FnMut(Event<'_>)| {
        tell(Event::Decision(&text));
        decisions.push(text);
    };
    let z = scaler.standardise(table);
    let period = Series::new(&z, table.variates()).find_period(split.train_range());
    decide(period.map_or("season: none found".into(), |rows| format!("season: {rows} rows, from the autocorrelation")), tell);
    let choice = readout::choose(&start, table, &split, &scaler, period, |choice| decide(describe(choice), tell))?;
    decide(format!("read-out: {}", describe(&choice)), tell);
    let config = Config { normaliser: choice.normaliser, readout: choice.readout, ..start };

    let data = Dataset::new(&config, &scaler, table, split.train + split.validation, &choice.weights)?;
    let recipe = Options { seed: options.seed, updates: options.updates, ..Options::default() };
    let bands = bands(config.horizon);
    // Both targets are tried; the better one on validation goes on.
    let pilot = PILOT_UPDATES.min(recipe.updates);
    let tell_progress = |target, progress, tell: &mut dyn FnMut(Event<'_>)| tell(Event::Training { target, progress });
    let mut trainers = Vec::new();
    for target in [Target::Whole, Target::Residual] {
        let mut trainer = Trainer::new(&config, Options { target, ..recipe }, &data, split.train, &options.device)?;
        trainer.run(pilot, split.validation_range(), &bands, &mut |progress| tell_progress(target, progress, tell))?;
        trainers.push((target, trainer));
    }
    let scores = trainers.iter().map(|(target, trainer)| format!("{target:?} {:.4}", trainer.score())).collect::<Vec<_>>().join(", ");
    trainers.sort_by(|a, b| a.1.score().total_cmp(&b.1.score()));
    let (target, mut trainer) = trainers.swap_remove(0);
    decide(format!("target of the network: {target:?}; error relative to the read-out after {pilot} updates: {scores}"), tell);
    trainer.run(recipe.updates, split.validation_range(), &bands, &mut |progress| tell_progress(target, progress, tell))?;
    let (parameters, errors) = trainer.finish()?;
    let folds = fold(&errors, &bands);
    decide(describe_folds(&folds, &errors, &bands), tell);

    let (config, weights) = assemble(&config, &parameters, target, &folds, &choice.weights)?;
    let mut provenance = Provenance {
        code_version: env!("CARGO_PKG_VERSION").into(),
        data: table.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default(),
        data_sha256: table.sha256.clone(),
        split: [split.train, split.validation, split.test],
        seed: options.seed,
        decisions,
        metrics: BTreeMap::new(),
    };
    let horizons = horizons(config.horizon);
    let bundle = |provenance: &Provenance| Bundle::new(metadata(options, &config, table, &scaler, provenance), weights.clone());
    let measured = bundle(&provenance)?;
    let model = measured.model();
    let validation = model_errors(&model, table, &scaler, split.validation_range(), &horizons, Protocol::Carried, &|| ())?;
    let has_test = split.check_test(config.horizon).is_ok();
    let test = has_test.then(|| evaluate(&model, table, &scaler, &split, &horizons, Protocol::Carried, &|| ())).transpose()?;
    for (name, errors) in [("validation", Some(&validation)), ("test", test.as_ref().map(|t| &t.results))] {
        for error in errors.into_iter().flatten() {
            provenance.metrics.insert(format!("{name}_mse_{}", error.horizon), error.mse);
            provenance.metrics.insert(format!("{name}_mae_{}", error.horizon), error.mae);
        }
    }
    let path = options.out.join("model.safetensors");
    bundle(&provenance)?.write(&path)?;
    let metrics = options.out.join("metrics.csv");
    fs::write(&metrics, metrics_csv(&validation, test.as_ref())).map_err(out(&metrics))?;
    Ok(Trained { path, split, decisions: provenance.decisions, validation, test })
}

/// The configuration of the recipe before anything about the data is decided. The linear read-out needs only its sizes.
fn start_config(table: &Table, horizon: usize) -> Config {
    let variates = table.variates();
    let s6 = S6 { d_inner: 32, d_state: 2, dt_rank: 4, d_conv: 4 };
    let variate_mixer = match variates {
        1 => VariateMixer::None,
        2..=MLP_VARIATES => VariateMixer::Mlp(Mlp { reduce: 16, hidden: 256 }),
        _ => VariateMixer::S6(s6),
    };
    let head = if variates <= OWN_HEADS { Head::PerVariate } else { Head::Shared };
    Config { variates, horizon, time_mixer: s6, variate_mixer, head, ..Config::default() }
}

/// A linear model in one line.
fn describe(choice: &readout::Choice) -> String {
    let Readout { lags, season, cross_lags, per_variate } = choice.readout;
    let mut features = vec![format!("{lags} lags")];
    features.extend(season.map(|s| format!("averages of a season of {}", s.period)));
    features.extend((cross_lags > 0).then(|| format!("{cross_lags} lags of every other variate")));
    let weights = if per_variate { "weights per variate" } else { "shared weights" };
    format!("normaliser {:?}: {}, {weights}, validation MSE {:.4}", choice.normaliser, features.join(" + "), choice.mean())
}

/// The network's weight per band: the best on validation, or an end of [0, 1] where that is next to as good.
fn fold(errors: &Errors, bands: &[Range<usize>]) -> Vec<f64> {
    let weight = |band: &Range<usize>| {
        let best = errors.fold(band.clone());
        let sum = |weight| band.clone().map(|lead| errors.mse(lead, weight)).sum::<f64>();
        let as_good = |weight: &f64| sum(*weight) * (1.0 - LEAST_GAIN) <= sum(best);
        [0.0, 1.0].into_iter().find(as_good).unwrap_or(best)
    };
    bands.iter().map(weight).collect()
}

fn describe_folds(folds: &[f64], errors: &Errors, bands: &[Range<usize>]) -> String {
    let line = |(band, weight): (&Range<usize>, &f64)| {
        let mse = |weight| band.clone().map(|lead| errors.mse(lead, weight)).sum::<f64>() / band.len() as f64;
        format!("leads {}..={}: {weight:.2} (validation MSE {:.4} -> {:.4})", band.start + 1, band.end, mse(0.0), mse(*weight))
    };
    format!("weight of the network: {}", bands.iter().zip(folds).map(line).collect::<Vec<_>>().join(", "))
}

/// Configuration and flat weights of the model file: the weights per band folded into head and read-out. What is silent at every lead is
/// left out: the network shrinks to the smallest there is, the read-out goes.
fn assemble(config: &Config, parameters: &Parameters, target: Target, folds: &[f64], readout: &[f32]) -> Result<(Config, Vec<f32>), Error> {
    let by_lead: Vec<f32> = bands(config.horizon).iter().zip(folds).flat_map(|(band, &w)| band.clone().map(move |_| w as f32)).collect();
    let of_linear = |lead: usize| if target == Target::Whole { 1.0 - by_lead[lead] } else { 1.0 };
    let mut shrunk = *config;
    let silent = by_lead.iter().all(|&w| w == 0.0);
    if silent {
        shrunk = Config {
            patch: 1,
            d_model: 1,
            layers: 1,
            variate_embedding: false,
            time_mixer: S6 { d_inner: 1, d_state: 1, dt_rank: 1, d_conv: 1 },
            variate_mixer: VariateMixer::None,
            weighted_averaging: false,
            head: Head::Shared,
            ..shrunk
        };
    }
    if (0..config.horizon).all(|lead| of_linear(lead) == 0.0) {
        shrunk.readout = Readout { lags: 0, season: None, cross_lags: 0, per_variate: false };
    }
    let scaled = |mut values: Vec<f32>, width: usize, scale: &dyn Fn(usize) -> f32| {
        for (row, values) in values.chunks_exact_mut(width).enumerate() {
            values.iter_mut().for_each(|w| *w *= scale(row % config.horizon));
        }
        values
    };
    let mut names = Vec::new();
    tsm2_core::layout(&shrunk, |name, shape| names.push((name.to_string(), shape.iter().product::<usize>())))?;
    let mut weights = Vec::new();
    for (name, count) in names {
        if name == "readout.weight" {
            weights.extend(scaled(readout.to_vec(), config.readout_features(), &of_linear));
        } else if silent {
            weights.resize(weights.len() + count, 0.0);
        } else {
            let values = parameters.get(&name).and_then(|t| t.flatten_all()?.to_vec1::<f32>()).map_err(TrainError::from)?;
            weights.extend(match name.as_str() {
                "head.weight" => scaled(values, config.d_model, &|lead| by_lead[lead]),
                "head.bias" => scaled(values, 1, &|lead| by_lead[lead]),
                _ => values,
            });
        }
    }
    Ok((shrunk, weights))
}

fn metadata(options: &TrainOptions, config: &Config, table: &Table, scaler: &Scaler, provenance: &Provenance) -> Metadata {
    let variate = |(m, name): (usize, &String)| Variate { name: name.clone(), unit: None, mean: scaler.mean[m], std: scaler.std[m] };
    Metadata {
        format: FORMAT_VERSION,
        name: options.name.clone(),
        config: *config,
        variates: table.names.iter().enumerate().map(variate).collect(),
        interval_ms: table.interval_ms,
        provenance: provenance.clone(),
    }
}

/// The horizons that are reported: a lead, a quarter, half and the whole.
fn horizons(horizon: usize) -> Vec<usize> {
    let mut list = vec![1, horizon / 4, horizon / 2, horizon];
    list.retain(|&h| h > 0);
    list.dedup();
    list
}

fn metrics_csv(validation: &[HorizonError], test: Option<&Evaluation>) -> String {
    let mut text = String::from("part,model,horizon,mse,mae,origins\n");
    let mut rows = |part: &str, model: &str, errors: &[HorizonError]| {
        for HorizonError { horizon, mse, mae, origins, .. } in errors {
            text.push_str(&format!("{part},{model},{horizon},{mse:.6},{mae:.6},{origins}\n"));
        }
    };
    rows("validation", "tsm2", validation);
    if let Some(test) = test {
        rows("test", "tsm2", &test.results);
        rows("test", "repeat_last", &test.baselines.repeat_last);
        rows("test", "seasonal_naive", &test.baselines.seasonal_naive);
        rows("test", "linear", &test.baselines.linear);
    }
    text
}
