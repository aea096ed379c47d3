//! A training from table to bundle, with its decisions and their evidence.
//!
//! 1. Fit the scaler; find the season; choose the linear part by rolling origins.
//! 2. Try several networks that learn the change from the newest sample, and train the best one ([`super::fit`]).
//! 3. Blend network and linear head per step group, by validation ([`super::blend`]).
//! 4. Measure the model on the validation part with the device's code; write the bundle.
//! 5. The same, from 2 on, for the neural baselines.
//! 6. Fit linear part and network again to all rows of the split, and write that model in the place of the measured one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tsm2_bundle::{Bundle, Provenance};
use tsm2_core::{NetworkConfig, Precision};

use super::blend::{self, blend_weights, is_silent};
use super::candidate::{self, Candidate, Kind, feeds};
use super::checkpoint::Checkpoints;
use super::clock::{Budget, Clock};
use super::curves::Curves;
use super::error::Error;
use super::export::Export;
use super::feed::Feed;
use super::fit::{End, Fitted, Setting, Traces};
use super::options::{Event, TrainOptions, decide, metered};
use super::recipe::{default_time, spans_weeks, start_config};
use super::refit;
use super::trainer::{self, Best, TrainerOptions};
use crate::data::runs::{Part, Pieces};
use crate::data::scale::Scaler;
use crate::data::split::Split;
use crate::data::table::Table;
use crate::evaluate::baselines::Series;
use crate::evaluate::neural::{self, Meta};
use crate::evaluate::{self, HorizonError, METRICS, Protocol, model_errors, reported_horizons};
use crate::linear::step_groups::step_groups;
use crate::linear::{LinearError, LinearModel, Periods, choose_linear};
use crate::model::Stepper;
use crate::network::baseline::NeuralKind;

/// Share of the time that each neural baseline gets.
const BASELINE: f64 = 0.15;

/// Share of the time in which the network learns from all rows.
const REFIT: f64 = 0.05;

/// Share of the time for the errors on the validation part and for the files.
const LAST: f64 = 0.05;

/// A baseline with more weights is not trained: training takes several times their memory.
const MOST_WEIGHTS: usize = 20_000_000;

/// Longest gap in a training, as a share of its rows: one of so many.
const GAP: usize = 8;

/// The result of a training.
#[derive(Debug)]
pub struct Trained {
    /// The bundle's file.
    pub path: PathBuf,
    /// The file of the model that was measured: the same choices, fitted to the training rows; the bundle itself where the training was
    /// stopped before it was fitted to all rows.
    pub measured: PathBuf,
    /// Rows of each part.
    pub split: Split,
    /// The decisions, in order, with their evidence.
    pub decisions: Vec<String>,
    /// The device that trained the network.
    pub device: String,
    /// The time that the training took.
    pub used: Duration,
    /// Errors on the validation part.
    pub validation: Vec<HorizonError>,
    /// Errors of the linear part alone there.
    pub linear: Vec<HorizonError>,
}

/// Trains a model on a table.
///
/// # Errors
/// Every [`Error`].
pub fn run(table: &Table, options: &TrainOptions, report: &mut dyn FnMut(Event<'_>)) -> Result<Trained, Error> {
    let in_file = |source| Error::Split {
        path: table.path.clone(),
        source,
    };
    let split = table.split(options.split).map_err(in_file)?;
    let [train, validation] = [Part::Train, Part::Validation].map(|part| table.part(&split, part));
    table
        .runs
        .check_training(&split, NetworkConfig::default().patch, options.horizon)
        .map_err(in_file)?;
    let calendar = options.calendar && spans_weeks(table, &split);
    let start = start_config(table, options.horizon);
    let start = start.with_network(NetworkConfig {
        calendar,
        ..start.network.unwrap_or_default()
    });
    let from = |what| Error::From { what };
    if let Some(earlier) = &options.from {
        candidate::check(earlier, &start, &table.names, &options.size).map_err(from)?;
    }
    fs::create_dir_all(&options.out).map_err(out(&options.out))?;
    let provenance = |decisions: &[String]| Provenance {
        code_version: env!("CARGO_PKG_VERSION").into(),
        data: table.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default(),
        data_sha256: table.sha256.clone(),
        split: [split.train, split.validation, split.test],
        held_out: table.runs.held_out().map(str::to_owned).collect(),
        refit: false,
        seed: options.seed,
        decisions: decisions.to_vec(),
        metrics: BTreeMap::new(),
    };
    let mut checkpoints = Checkpoints::open(&options.out, &provenance(&[]), table, options)?;
    let clock = Clock::start(checkpoints.used());
    let mut curves = Curves::open(&options.out, options.resume, options.tensorboard).map_err(out(&options.out))?;
    if !options.resume {
        // The results of an earlier training.
        for kind in NeuralKind::ALL {
            remove(&neural::file(&options.out.join(MODEL), kind))?;
        }
        remove(&options.out.join(METRICS))?;
    }
    remove(&options.out.join(MEASURED))?;
    let (scaler, warnings) = Scaler::fit(table, &split);
    for warning in warnings {
        report(Event::Warning(&warning));
    }

    let mut decisions = Vec::new();
    let masked;
    let table = if options.missing_rate.is_zero() {
        table
    } else {
        let text = format!(
            "a share of {} of the training rows' readings is masked as missing at random",
            options.missing_rate
        );
        decide(&mut decisions, text, report);
        masked = table.masked(&train, options.missing_rate, options.seed);
        &masked
    };
    let begun = Instant::now();
    let z = scaler.standardise_targets(table);
    let series = Series::of(table, &z);
    let period = metered(report, |meter| series.find_period(&split, meter));
    let season = period.map_or("season: none found".into(), |rows| {
        format!("season: {rows} rows, from the autocorrelation")
    });
    decide(&mut decisions, season, report);
    drop((z, series));
    let budget = options.budget.unwrap_or_else(|| Budget::Time(default_time(table)));
    let time = match budget {
        Budget::Time(time) => Some(time),
        Budget::Updates(_) => None,
    };
    let size = options.size.of_linear_part();
    let periods = Periods { season: period, calendar };
    let linear = metered(report, |meter| {
        choose_linear(&start, table, &split, &scaler, periods, (&size, time), meter)
    });
    let linear = linear.map_err(linear_error(table))?;
    let scaler = linear.scaler.clone();
    let linear_time = begun.elapsed();
    for line in linear.lines() {
        decide(&mut decisions, line, report);
    }
    if let Some(statics) = &options.statics {
        decide(
            &mut decisions,
            format!("static covariates: {}", statics.features.join(", ")),
            report,
        );
    }

    let groups = step_groups(options.horizon);
    if let Budget::Time(time) = budget {
        decide(&mut decisions, format!("time: {} s", time.as_secs_f64().round()), report);
        if linear_time > time {
            let [linear, time] = [linear_time, time].map(|time| time.as_secs_f64());
            let text = format!("the linear part took {linear:.1} s of {time:.1} s: the network is hardly trained; give a longer --budget");
            report(Event::Warning(&text));
        }
    }
    // Each network has a share of the time; updates are the same for all.
    let end = |share: f64, from: Duration| match budget {
        Budget::Updates(updates) => End::Updates(updates),
        Budget::Time(time) => End::At(from + time.mul_f64(share)),
    };
    let shared = if options.baselines {
        BASELINE * NeuralKind::ALL.len() as f64
    } else {
        0.0
    };
    // The linear part is fitted a second time, to all rows.
    let linear_again = match budget {
        Budget::Updates(_) => 0.0,
        Budget::Time(time) => linear_time.div_duration_f64(time),
    };
    let day = table.interval_ms.map_or(0, |ms| (86_400_000 / ms.max(1)) as usize);
    let setting = Setting {
        name: "tsm2",
        train: &train,
        validation: &validation,
        groups: &groups,
        statics: options.statics.as_ref(),
        options: TrainerOptions {
            seed: options.seed,
            longest_gap: day.min(split.train / GAP),
            ..TrainerOptions::default()
        },
        device: &options.device,
        end: end((1.0 - shared - REFIT - LAST - linear_again).max(0.0), Duration::ZERO),
        stop: &options.stop,
    };
    // The network reads the features of the linear part.
    let config = linear.config.with_network(NetworkConfig {
        averages: linear.config.linear_head.averages,
        calendar: linear.config.linear_head.calendar,
        ..start.network.unwrap_or_default()
    });
    let mut traces = Traces {
        checkpoints: &mut checkpoints,
        curves: &mut curves,
        clock: &clock,
    };
    let earlier = options.from.as_ref().map(|bundle| candidate::from(bundle, &config));
    let mut candidates = match earlier.transpose().map_err(from)?.flatten() {
        // Beside the new linear part it may be too large.
        Some(earlier) => Vec::from_iter(options.size.allows(&earlier.config).then_some(earlier)),
        None => candidate::within(candidate::tsm2(&config, table, &split), &options.size),
    };
    let feeds_of_tsm2 = metered(report, |meter| feeds(&mut candidates, &scaler, table, &linear, meter))?;
    let fitted = match candidates.is_empty() {
        true => Fitted::none("tsm2: no network is small enough".into()),
        false => setting.fit(&candidates, &feeds_of_tsm2, &mut traces, report)?,
    };
    drop(feeds_of_tsm2);
    for line in &fitted.decisions {
        decide(&mut decisions, line.clone(), report);
    }
    let weights = fitted.best.as_ref().map_or_else(Vec::new, |best| blend_weights(&best.errors));
    if let Some(best) = &fitted.best {
        for line in blend::describe(&best.errors, &weights) {
            decide(&mut decisions, line, report);
        }
    }

    let model = Model {
        table,
        options,
        scaler: &scaler,
        linear: &linear,
        config: candidates.get(fitted.candidate).map_or(config, |candidate| candidate.config),
        best: fitted.best.as_ref(),
    };
    if options.size.precision == Precision::Int8 {
        let single = model.single(&weights, provenance(&[]))?;
        let mut mse = |bundle: &Bundle| {
            let errors = model.errors(bundle, &validation, report)?;
            Ok::<_, Error>(errors.last().map_or(0.0, |error| error.mse))
        };
        let text = format!(
            "8-bit integers: validation MSE {:.4} -> {:.4}",
            mse(&single)?,
            mse(&single.to_int8()?)?
        );
        decide(&mut decisions, text, report);
    }
    if !options.size.allows(&model.single(&weights, provenance(&[]))?.meta().config) {
        report(Event::Warning(
            "no model of these columns and this horizon is so small: this is the smallest",
        ));
    }
    let mut provenance = provenance(&decisions);
    let errors = model.errors(&model.bundle(&weights, provenance.clone())?, &validation, report)?;
    for error in &errors {
        provenance.metrics.insert(format!("validation_mse_{}", error.horizon), error.mse);
        provenance.metrics.insert(format!("validation_mae_{}", error.horizon), error.mae);
    }
    let path = options.out.join(MODEL);
    let bundle = model.bundle(&weights, provenance.clone())?;
    bundle.write(&path)?;
    // The linear part alone, for the comparison.
    let alone = options.out.join(evaluate::LINEAR_HEAD);
    let linear_errors = if is_silent(&weights) {
        remove(&alone)?;
        errors.clone()
    } else {
        let bundle = model.bundle(&[], provenance.clone())?;
        bundle.write(&alone)?;
        model.errors(&bundle, &validation, report)?
    };
    let metrics = options.out.join(METRICS);
    let lines = [
        ("validation", "tsm2", errors.as_slice()),
        ("validation", "linear-head", &linear_errors),
    ];
    fs::write(&metrics, evaluate::metrics_csv(lines)).map_err(out(&metrics))?;

    for kind in NeuralKind::ALL.into_iter().filter(|_| options.baselines) {
        if options.stop.is_set() {
            break;
        }
        let setting = Setting {
            name: kind.name(),
            end: end(BASELINE, clock.used()),
            statics: None,
            ..setting.clone()
        };
        let candidates = candidate::baselines(kind, &config);
        for line in baseline(&setting, candidates, kind, &model, &split, &mut traces, report)? {
            report(Event::Decision(&line));
        }
    }
    let mut measured = path.clone();
    let all = table.part(&split, Part::All);
    let left = match budget {
        Budget::Updates(_) => usize::MAX,
        Budget::Time(time) => fitted.updates_in(time.mul_f64(1.0 - LAST).saturating_sub(clock.used())),
    };
    if let Some(refit) = model.refit(&setting, candidates.get(fitted.candidate), &all, left, &weights, report)? {
        measured = options.out.join(MEASURED);
        bundle.write(&measured)?;
        provenance.refit = true;
        let text = format!(
            "fitted again to all {} rows; the errors are those of the model before, in {MEASURED}",
            all.rows()
        );
        report(Event::Decision(&text));
        provenance.decisions.push(text);
        refit.bundle(&weights, provenance)?.write(&path)?;
    }
    Ok(Trained {
        path,
        measured,
        split,
        decisions,
        device: trainer::describe(&options.device),
        used: clock.used(),
        validation: errors,
        linear: linear_errors,
    })
}

/// Name of the bundle in the output folder.
pub const MODEL: &str = "model.safetensors";

/// Name of the model that was measured, beside a bundle that was fitted to all rows after that.
pub const MEASURED: &str = "measured.safetensors";

/// Trains a neural baseline and writes its file. Returns what was decided.
fn baseline(
    setting: &Setting<'_>,
    mut candidates: Vec<Candidate>,
    kind: NeuralKind,
    model: &Model<'_>,
    split: &Split,
    traces: &mut Traces<'_>,
    report: &mut dyn FnMut(Event<'_>),
) -> Result<Vec<String>, Error> {
    let Model {
        table,
        options,
        scaler,
        linear,
        ..
    } = *model;
    let weights = |candidate: &Candidate| match candidate.kind {
        Kind::Baseline(kind, hidden) => kind.parameter_count(hidden, &candidate.config),
        Kind::Tsm2 => 0,
    };
    candidates.retain(|candidate| weights(candidate) <= MOST_WEIGHTS);
    candidates.retain(|candidate| {
        candidate
            .config
            .network
            .is_none_or(|network| table.runs.check_training(split, network.patch, options.horizon).is_ok())
    });
    if candidates.is_empty() {
        return Ok(vec![format!("{} is not trained: it would be too large for the data", kind.name())]);
    }
    let feeds = metered(report, |meter| feeds(&mut candidates, scaler, table, linear, meter))?;
    let Fitted {
        candidate,
        best,
        mut decisions,
        ..
    } = setting.fit(&candidates, &feeds, traces, report)?;
    let (Some(best), Kind::Baseline(_, hidden)) = (best, candidates[candidate].kind) else {
        return Ok(decisions);
    };
    let meta = Meta {
        kind,
        hidden,
        config: candidates[candidate].config,
        blend_weights: blend_weights(&best.errors),
        data_sha256: table.sha256.clone(),
        split: [split.train, split.validation, split.test],
    };
    if is_silent(&meta.blend_weights) {
        decisions.push(format!("{}: gains nothing over the linear part", kind.name()));
    }
    let path = neural::file(&options.out.join(MODEL), kind);
    neural::write(&path, &meta, linear, &best.weights)?;
    Ok(decisions)
}

/// A trained model, to be written.
#[derive(Clone, Copy)]
struct Model<'a> {
    table: &'a Table,
    options: &'a TrainOptions,
    scaler: &'a Scaler,
    linear: &'a LinearModel,
    config: tsm2_core::Config,
    best: Option<&'a Best>,
}

impl Model<'_> {
    /// The bundle with these blend weights, of the precision asked for; without any, the linear part alone.
    fn bundle(&self, blend_weights: &[f64], provenance: Provenance) -> Result<Bundle, Error> {
        let single = self.single(blend_weights, provenance)?;
        Ok(match self.options.size.precision {
            Precision::Single => single,
            Precision::Int8 => single.to_int8()?,
        })
    }

    /// The same in single precision.
    fn single(&self, blend_weights: &[f64], provenance: Provenance) -> Result<Bundle, Error> {
        let silent = vec![0.0; step_groups(self.config.horizon).len()];
        let linear_head = self.linear.tensors();
        let export = Export {
            name: &self.options.name,
            table: self.table,
            scaler: self.scaler,
            config: &self.config,
            linear_head: &linear_head,
            blend_weights: if blend_weights.is_empty() { &silent } else { blend_weights },
        };
        let mut weights = self.best.map(|best| best.weights.clone()).unwrap_or_default();
        if let Some(statics) = &self.options.statics {
            statics.add_to_vectors(&mut weights);
        }
        Ok(export.bundle(&weights, provenance)?)
    }

    /// The model with the same choices, fitted to these rows, with at most `left` updates of the network; `None` where the training was
    /// stopped.
    fn refit(
        &self,
        setting: &Setting<'_>,
        candidate: Option<&Candidate>,
        rows: &Pieces,
        left: usize,
        blend_weights: &[f64],
        report: &mut dyn FnMut(Event<'_>),
    ) -> Result<Option<Refit<'_>>, Error> {
        if self.options.stop.is_set() {
            return Ok(None);
        }
        let linear = metered(report, |meter| self.linear.refit(self.table, rows, meter));
        let linear = linear.map_err(linear_error(self.table))?;
        let mut best = self.best.cloned();
        if let (Some(best), Some(candidate), false) = (best.as_mut(), candidate, is_silent(blend_weights)) {
            let updates = (best.update / refit::SHARE).min(left);
            let feed = metered(report, |meter| {
                meter.begin(candidate::READING);
                let tick = || meter.add(1.0 / self.table.len() as f64);
                Feed::new(&self.config, &linear.scaler, self.table, &linear.matrices(), &tick)
            })?;
            let weights = setting.refit(candidate, best, &feed, rows, updates, &mut |done| {
                report(Event::Progress {
                    task: "tsm2, on all rows",
                    done,
                    total: updates,
                    note: "",
                });
            })?;
            let Some(weights) = weights else { return Ok(None) };
            best.weights = weights;
        }
        Ok(Some(Refit {
            model: *self,
            linear,
            best,
        }))
    }

    /// Errors on the validation part.
    fn errors(&self, bundle: &Bundle, validation: &Pieces, report: &mut dyn FnMut(Event<'_>)) -> Result<Vec<HorizonError>, Error> {
        let (model, horizons) = (Stepper::from(bundle), reported_horizons(self.config.horizon));
        let errors = metered(report, |meter| {
            meter.begin("errors on the validation part");
            model_errors(
                &model,
                self.table,
                self.scaler,
                validation,
                &horizons,
                Protocol::Carried,
                &|share| meter.add(share),
            )
        });
        Ok(errors?.total)
    }
}

/// A model whose parts are fitted to other rows.
struct Refit<'a> {
    model: Model<'a>,
    linear: LinearModel,
    best: Option<Best>,
}

impl Refit<'_> {
    fn bundle(&self, blend_weights: &[f64], provenance: Provenance) -> Result<Bundle, Error> {
        let model = Model {
            linear: &self.linear,
            best: self.best.as_ref(),
            ..self.model
        };
        model.bundle(blend_weights, provenance)
    }
}

/// An error of the linear part, with the recording.
fn linear_error(table: &Table) -> impl Fn(LinearError) -> Error + use<> {
    let path = table.path.clone();
    move |source| Error::LinearHead {
        path: path.clone(),
        source,
    }
}

/// Removes a file that may be there.
fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(out(path)(source)),
        _ => Ok(()),
    }
}

fn out(path: &Path) -> impl Fn(std::io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::Out {
        path: path.clone(),
        source,
    }
}
