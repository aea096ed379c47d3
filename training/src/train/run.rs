//! From a CSV file to a bundle: the recipe, its decisions and their evidence.
//!
//! In this order: read and standardise; choose normalizer, linear head and whether the calendar is seen on validation; try what the network is to say
//! and a few variants of it, and train the best to the end; give the network, per step group, the weight in [0, 1] that is best on validation and fold it into the head, so that the
//! model is never worse on validation than its own linear head; measure it with the device's own code beside the baselines; write the bundle; train
//! and measure the company.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tsm2_bundle::Provenance;
use tsm2_core::{Config, NetworkConfig};

use super::baselines::{BaselineData, NeuralBaselines};
use super::error::Error;
use super::options::{Event, TrainOptions, decide};
use super::pilot::{Candidate, LONG_PATCH, MAIN_CANDIDATES, Pilot, VARIANT_MARGIN, main_candidates, report_instability};
use super::recipe::{MEMORY, affordable, spans_weeks, start_config, with_network};
use crate::data::dataset::Dataset;
use crate::data::scale::Scaler;
use crate::data::split::Split;
use crate::data::table::Table;
use crate::evaluate::baselines::Series;
use crate::evaluate::{self, Evaluation, HorizonError, METRICS, Protocol, model_errors, read_metrics};
use crate::linear::head::{self, LinearModel};
use crate::linear::step_groups::step_groups;
use crate::network::baseline::{NeuralKind, baseline_config};
use crate::train::checkpoint::Checkpoints;
use crate::train::export::{self, Export};
use crate::train::trainer::{self, Best, TrainError, TrainerOptions};

/// What came out.
#[derive(Debug)]
pub struct Trained {
    /// The bundle's file.
    pub path: PathBuf,
    /// Rows that were used for what.
    pub split: Split,
    /// What was decided, in order, with its evidence.
    pub decisions: Vec<String>,
    /// What the network was trained on.
    pub device: String,
    /// Rows of its streams that it was trained on in a second, validations included; `None` when it was not.
    pub samples_per_second: Option<f64>,
    /// Errors on the validation part.
    pub validation: Vec<HorizonError>,
    /// Errors on the test part, beside the baselines'; `None` when there is nothing to measure on.
    pub test: Option<Evaluation>,
}

/// Trains a model on a table.
///
/// # Errors
/// The first thing that is wrong, by name.
pub fn run(table: &Table, options: &TrainOptions, report: &mut dyn FnMut(Event<'_>)) -> Result<Trained, Error> {
    let in_file = |source| Error::Split {
        path: table.path.clone(),
        source,
    };
    let split = options.split.resolve(table.len()).map_err(in_file)?;
    let calendar = options.calendar && spans_weeks(table, &split);
    let start = with_network(&start_config(table, options.horizon), |network| NetworkConfig {
        calendar,
        ..network
    });
    split
        .check_training(NetworkConfig::default().patch, options.horizon)
        .map_err(in_file)?;
    let out = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Out { path, source }
    };
    fs::create_dir_all(&options.out).map_err(out(&options.out))?;
    let metrics = options.out.join(METRICS);
    if !options.resume {
        // The errors of an earlier training.
        remove(&metrics)?;
    }
    let (scaler, warnings) = Scaler::fit(table, split.train_range());
    for warning in warnings {
        report(Event::Warning(&warning));
    }

    let mut decisions = Vec::new();
    let masked;
    let table = if options.missing_rate.is_zero() {
        table
    } else {
        let text = format!(
            "a share of {} of the training rows' readings is shown as missing, at random",
            options.missing_rate
        );
        decide(&mut decisions, text, report);
        masked = table.masked(split.train_range(), options.missing_rate, options.seed);
        &masked
    };
    let z = scaler.standardise_targets(table);
    let period = Series::new(&z, table.targets()).find_period(split.train_range());
    decide(
        &mut decisions,
        period.map_or("season: none found".into(), |rows| {
            format!("season: {rows} rows, from the autocorrelation")
        }),
        report,
    );
    let linear_models = head::choose(&start, table, &split, &scaler, period, |model| {
        for line in model.lines() {
            decide(&mut decisions, line, report);
        }
    })
    .map_err(|source| Error::LinearHead {
        path: table.path.clone(),
        source,
    })?;
    decide(
        &mut decisions,
        format!("selected: {}", head::normalizer_name(linear_models[0].normalizer)),
        report,
    );
    let recipe = TrainerOptions {
        seed: options.seed,
        updates: options.updates.unwrap_or_else(|| affordable(&start)),
        ..TrainerOptions::default()
    };
    decide(
        &mut decisions,
        format!("the network is trained for {} updates at most", recipe.updates),
        report,
    );
    if let Some(statics) = &options.statics {
        decide(
            &mut decisions,
            format!("static covariates: {}", statics.features.join(", ")),
            report,
        );
    }
    let groups = step_groups(options.horizon);
    let validation = split.validation_range();
    let provenance = |decisions: &[String]| Provenance {
        code_version: env!("CARGO_PKG_VERSION").into(),
        data: table.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default(),
        data_sha256: table.sha256.clone(),
        split: [split.train, split.validation, split.test],
        seed: options.seed,
        decisions: decisions.to_vec(),
        metrics: BTreeMap::new(),
    };
    let checkpoints = Checkpoints::new(&options.out, &provenance(&[]), table, options)?;
    let rows = rows_in_memory(
        &with_network(&start, |network| NetworkConfig {
            patch: LONG_PATCH,
            ..network
        }),
        table,
        &split,
    )?;
    if rows.start > 0 {
        decide(
            &mut decisions,
            format!(
                "the network is trained on rows {:?} only: all would take too much memory",
                rows.start..split.train
            ),
            report,
        );
    }
    let main_candidates = main_candidates(&start, &linear_models, rows, &scaler, table, options.statics.as_ref())?;
    let pilot = Pilot {
        recipe,
        split: &split,
        groups: &groups,
        linear_head: &linear_models[0].mse,
        device: &options.device,
    };
    // The errors of a training that had come to its end.
    let finished = if options.resume { finished_baselines(&metrics) } else { None };
    let before = decisions.len();
    let variants;
    let (candidate, mut trainer) = if options.resume {
        let saved = checkpoints.load()?;
        for decision in saved.decisions {
            decide(&mut decisions, decision, report);
        }
        let main = &main_candidates[saved.candidate % MAIN_CANDIDATES];
        variants = main.variants(&split, &scaler, table)?;
        let candidate = match saved.candidate / MAIN_CANDIDATES {
            0 => main,
            variant => variants
                .get(variant - 1)
                .ok_or_else(|| TrainError::Checkpoint { name: "candidate".into() })?,
        };
        let mut trainer = candidate.trainer(recipe, split.train, &options.device)?;
        trainer.restore(&saved.tensors)?;
        (candidate, trainer)
    } else {
        let mut best = pilot.run(&main_candidates, "the network says", &mut decisions, report)?;
        variants = best.candidate.variants(&split, &scaler, table)?;
        if !variants.is_empty() {
            let other = pilot.run(&variants, "instead of the recipe's form of the network", &mut decisions, report)?;
            if other.score < (1.0 - VARIANT_MARGIN) * best.score {
                best = other;
            }
        }
        (best.candidate, best.trainer)
    };
    let (target, decided) = (candidate.target, decisions[before..].to_vec());
    // The network with the weight per band that is best for it; where it adds nothing at any step, the best linear head is what remains.
    let blend_weights = |best: &Best| blend_weights(best, candidate, &linear_models, split.validation_origins(options.horizon));
    let export = |best: &Best, blend_weights: &[f64], provenance| {
        let candidate = if is_silent(blend_weights) { &main_candidates[0] } else { candidate };
        let export = Export {
            name: &options.name,
            table,
            scaler: &scaler,
            config: &candidate.config,
            linear_head: &candidate.linear.weights,
            target: candidate.target,
            blend_weights,
        };
        let mut weights = best.weights.clone();
        if let Some(statics) = &options.statics {
            statics.fold(&mut weights);
        }
        Ok::<_, Error>(export.bundle(&weights, provenance)?)
    };
    let mut written = f64::INFINITY;
    let (start, before) = (Instant::now(), trainer.updates());
    loop {
        let on = trainer.advance(recipe.updates, validation.clone(), &groups, &mut |progress| {
            report(Event::Training {
                name: target.name(),
                progress,
                updates: recipe.updates,
            })
        })?;
        checkpoints.save(&trainer, candidate.number, &decided)?;
        if trainer.score() < written {
            written = trainer.score();
            let best = trainer.best().ok_or(TrainError::NotFinite)?;
            export(best, &blend_weights(best), provenance(&decisions))?.write(&checkpoints.best)?;
        }
        if !on {
            break;
        }
    }
    let own_pace = start.elapsed().checked_div((trainer.updates() - before) as u32);
    let device = trainer::describe(&options.device);
    let samples_per_second = own_pace.map(|update| trainer.samples_per_update() as f64 / update.as_secs_f64());
    if let Some(samples) = samples_per_second {
        report(Event::Pace(&format!("trained on {device}: {samples:.0} samples a second")));
    }
    report_instability(&mut decisions, &trainer, report);
    let best = trainer.best().ok_or(TrainError::NotFinite)?;
    let blend_weights = blend_weights(best);
    decide(&mut decisions, export::describe(&best.errors, &blend_weights), report);

    let horizons = horizons(options.horizon);
    let mut provenance = provenance(&decisions);
    let measured = export(best, &blend_weights, provenance.clone())?;
    let model = measured.model();
    let validation = model_errors(
        &model,
        table,
        &scaler,
        split.validation_range(),
        &horizons,
        Protocol::Carried,
        &|| (),
    )?;
    // The model stands without it.
    let mut test = match evaluate::evaluate(&model, table, &scaler, &split, &horizons, Protocol::Carried, &|| ()) {
        Ok(test) => Some(test),
        Err(error) => {
            report(Event::Warning(&format!("nothing is measured on the test part: {error}")));
            None
        }
    };
    for (name, errors) in [("validation", Some(&validation)), ("test", test.as_ref().map(|t| &t.results))] {
        for error in errors.into_iter().flatten() {
            provenance.metrics.insert(format!("{name}_mse_{}", error.horizon), error.mse);
            provenance.metrics.insert(format!("{name}_mae_{}", error.horizon), error.mae);
        }
    }
    let path = options.out.join("model.safetensors");
    export(best, &blend_weights, provenance.clone())?.write(&path)?;
    // What remains of the model without its network, to be measured beside it.
    let alone = options.out.join(evaluate::LINEAR_HEAD);
    if is_silent(&blend_weights) {
        remove(&alone)?;
    } else {
        let linear_head = export(best, &vec![0.0; blend_weights.len()], provenance)?;
        linear_head.write(&alone)?;
        if let Some(test) = &mut test {
            test.add_linear_head(&linear_head.model(), table, &scaler, &split)?;
        }
    }

    if options.baselines {
        let (config, linear, updates) = (candidate.config, candidate.linear, trainer.updates());
        // Frees the memory for the rows of the baselines.
        drop(trainer);
        drop(variants);
        drop(main_candidates);
        let recipe = TrainerOptions { updates, ..recipe };
        if let Some(test) = &mut test {
            match finished {
                Some((gru, mlp)) => (test.baselines.gru, test.baselines.mlp) = (gru, mlp),
                None => train_baselines(test, &config, linear, table, &split, &scaler, recipe, options, own_pace, report)?,
            }
        }
    }
    let baselines = test.as_ref().map(|test| (&test.results, test.baselines.named()));
    let lines = baselines.into_iter().flat_map(|(own, baselines)| {
        let own = std::iter::once(("tsm2", own.as_slice()));
        own.chain(baselines).map(|(name, errors)| ("test", name, errors))
    });
    let text = evaluate::metrics_csv(std::iter::once(("validation", "tsm2", validation.as_slice())).chain(lines));
    fs::write(&metrics, text).map_err(out(&metrics))?;
    Ok(Trained {
        path,
        split,
        decisions,
        device,
        samples_per_second,
        validation,
        test,
    })
}

/// Errors of GRU and MLP in the file that a finished training leaves.
type Finished = (Option<Vec<HorizonError>>, Option<Vec<HorizonError>>);

fn finished_baselines(metrics: &Path) -> Option<Finished> {
    let mut all = read_metrics(metrics).ok()?;
    let mut take = |name: &str| {
        let i = all.iter().position(|errors| errors.part == "test" && errors.model == name)?;
        Some(all.swap_remove(i).errors)
    };
    let (gru, mlp) = (take("gru"), take("mlp"));
    (gru.is_some() || mlp.is_some()).then_some((gru, mlp))
}

/// Removes a file that may be there.
fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(Error::Out {
            path: path.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

/// Trains the neural baselines and adds their errors.
#[expect(clippy::too_many_arguments, reason = "a step of `run`, with what it decided")]
fn train_baselines(
    test: &mut Evaluation,
    config: &Config,
    linear: &LinearModel,
    table: &Table,
    split: &Split,
    scaler: &Scaler,
    recipe: TrainerOptions,
    options: &TrainOptions,
    pace: Option<Duration>,
    report: &mut dyn FnMut(Event<'_>),
) -> Result<(), Error> {
    let rows = match rows_in_memory(&baseline_config(config), table, split) {
        Ok(rows) => rows,
        Err(error) => {
            report(Event::Baselines(&format!("gru and mlp are not trained: {error}")));
            return Ok(());
        }
    };
    let data = BaselineData {
        table,
        split,
        scaler,
        linear,
        rows: &rows,
    };
    let baselines = NeuralBaselines::train(config, data, recipe, pace, &options.device, report)?;
    for (kind, errors) in baselines.errors(table, scaler, split.test_range(), &test.horizons())? {
        match kind {
            NeuralKind::Gru => test.baselines.gru = Some(errors),
            NeuralKind::Mlp => test.baselines.mlp = Some(errors),
        }
    }
    Ok(())
}

/// The weight per band of a candidate's network: none where its own linear head is so much worse than the best one that the network does not
/// make up for it.
fn blend_weights(best: &Best, candidate: &Candidate<'_>, linear_models: &[LinearModel], origins: usize) -> Vec<f64> {
    let mut blend_weights = export::blend_weights(&best.errors, origins);
    if candidate.linear.normalizer != linear_models[0].normalizer
        && export::relative(&best.errors, &blend_weights, &linear_models[0].mse) >= 1.0
    {
        blend_weights.fill(0.0);
    }
    blend_weights
}

fn is_silent(blend_weights: &[f64]) -> bool {
    blend_weights.iter().all(|&weight| weight == 0.0)
}

/// The network's rows: all up to the test part, or the last that memory allows.
fn rows_in_memory(config: &Config, table: &Table, split: &Split) -> Result<Range<usize>, Error> {
    let (rows, end) = (MEMORY / Dataset::row_len(config), split.train + split.validation);
    if rows < 2 * split.validation {
        return Err(Error::TooLarge {
            path: table.path.clone(),
            rows: split.validation,
            most: rows / 2,
            variates: config.variates,
            horizon: config.horizon,
        });
    }
    Ok(end.saturating_sub(rows)..end)
}

/// The horizons that are reported: a step, a quarter, half and the whole.
fn horizons(horizon: usize) -> Vec<usize> {
    let mut list = vec![1, horizon / 4, horizon / 2, horizon];
    list.retain(|&h| h > 0);
    list.dedup();
    list
}
