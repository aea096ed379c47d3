//! A training from table to bundle, with its decisions and their evidence.
//!
//! 1. Fit the scaler; find the season.
//! 2. Select normalizer and linear head on validation.
//! 3. Train a few candidates for a short time: targets and normalizers, then variants of the network.
//! 4. Train the best candidate to the end, with checkpoints.
//! 5. Blend network and linear head per step group: the weight in `[0, 1]` with the least validation error. The model is
//!    never worse on validation than its linear head.
//! 6. Measure the model with the device's code, beside the baselines; write the bundle.
//! 7. Train and measure the neural baselines; write `metrics.csv`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tsm2_bundle::Provenance;
use tsm2_core::NetworkConfig;

use super::baselines::{self, BaselineData};
use super::error::Error;
use super::options::{Event, TrainOptions, decide};
use super::pilot::{Candidate, LONG_PATCH, MAIN_CANDIDATES, Pilot, VARIANT_MARGIN, main_candidates, report_instability};
use super::recipe::{affordable, rows_in_memory, spans_weeks, start_config, with_network};
use crate::data::runs::Part;
use crate::data::scale::Scaler;
use crate::data::split::Split;
use crate::data::table::Table;
use crate::evaluate::baselines::Series;
use crate::evaluate::{self, Evaluation, HorizonError, METRICS, Protocol, model_errors};
use crate::linear::head::{self, LinearModel};
use crate::linear::step_groups::step_groups;
use crate::train::checkpoint::Checkpoints;
use crate::train::export::{self, Export};
use crate::train::trainer::{self, Best, TrainError, TrainerOptions};

/// The result of a training.
#[derive(Debug)]
pub struct Trained {
    /// The bundle's file.
    pub path: PathBuf,
    /// Rows of each part.
    pub split: Split,
    /// The decisions, in order, with their evidence.
    pub decisions: Vec<String>,
    /// The device that trained the network.
    pub device: String,
    /// Rows per second in training, validations included; `None` without updates.
    pub samples_per_second: Option<f64>,
    /// Errors on the validation part.
    pub validation: Vec<HorizonError>,
    /// Errors on the test part, of the model and the baselines; `None` without test readings.
    pub test: Option<Evaluation>,
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
    let calendar = options.calendar && spans_weeks(table, &split);
    let start = with_network(&start_config(table, options.horizon), |network| NetworkConfig {
        calendar,
        ..network
    });
    table
        .runs
        .check_training(&split, NetworkConfig::default().patch, options.horizon)
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
    let z = scaler.standardise_targets(table);
    let period = Series::of(table, &z).find_period(&split);
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
    decide(&mut decisions, format!("network: at most {} updates", recipe.updates), report);
    if let Some(statics) = &options.statics {
        decide(
            &mut decisions,
            format!("static covariates: {}", statics.features.join(", ")),
            report,
        );
    }
    let groups = step_groups(options.horizon);
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
    let spans = rows_in_memory(
        &with_network(&start, |network| NetworkConfig {
            patch: LONG_PATCH,
            ..network
        }),
        table,
        &split,
    )?;
    let rows: usize = spans.iter().map(ExactSizeIterator::len).sum();
    if rows < train.rows() + validation.rows() {
        decide(
            &mut decisions,
            format!(
                "network: trained on the last {} of {} training rows, for all rows would take too much memory",
                rows - validation.rows(),
                train.rows()
            ),
            report,
        );
    }
    let main_candidates = main_candidates(&start, &linear_models, &spans, &scaler, table, options.statics.as_ref())?;
    let pilot = Pilot {
        recipe,
        train: &train,
        validation: &validation,
        groups: &groups,
        linear_head: &linear_models[0].mse,
        device: &options.device,
    };
    // The errors of the baselines, where the resumed training was finished.
    let finished = if options.resume { baselines::finished(&metrics) } else { None };
    let before = decisions.len();
    let variants;
    let (candidate, mut trainer) = if options.resume {
        let saved = checkpoints.load()?;
        for decision in saved.decisions {
            decide(&mut decisions, decision, report);
        }
        let main = &main_candidates[saved.candidate % MAIN_CANDIDATES];
        variants = main.variants(&train, &scaler, table)?;
        let candidate = match saved.candidate / MAIN_CANDIDATES {
            0 => main,
            variant => variants
                .get(variant - 1)
                .ok_or_else(|| TrainError::Checkpoint { name: "candidate".into() })?,
        };
        let mut trainer = candidate.trainer(recipe, &train, &options.device)?;
        trainer.restore(&saved.tensors)?;
        (candidate, trainer)
    } else {
        let mut best = pilot.run(&main_candidates, "target of the network", &mut decisions, report)?;
        variants = best.candidate.variants(&train, &scaler, table)?;
        if !variants.is_empty() {
            let other = pilot.run(&variants, "variant of the network", &mut decisions, report)?;
            if other.score < (1.0 - VARIANT_MARGIN) * best.score {
                best = other;
            }
        }
        (best.candidate, best.trainer)
    };
    let (target, decided) = (candidate.target, decisions[before..].to_vec());
    // Where the network is not used at any step, the bundle is the best linear head.
    let blend_weights = |best: &Best| blend_weights(best, candidate, &linear_models, validation.origin_count(options.horizon));
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
            statics.add_to_vectors(&mut weights);
        }
        Ok::<_, Error>(export.bundle(&weights, provenance)?)
    };
    let mut written = f64::INFINITY;
    let (start, before) = (Instant::now(), trainer.updates());
    loop {
        let on = trainer.advance(recipe.updates, &validation, &groups, &mut |progress| {
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
    for line in export::describe(&best.errors, &blend_weights) {
        decide(&mut decisions, line, report);
    }

    let horizons = horizons(options.horizon);
    let mut provenance = provenance(&decisions);
    let measured = export(best, &blend_weights, provenance.clone())?;
    let model = measured.model();
    let validation_errors = model_errors(&model, table, &scaler, &validation, &horizons, Protocol::Carried, &|| ())?.total;
    // A model without a test part is complete.
    let mut test = match evaluate::evaluate(&model, table, &scaler, &split, &horizons, Protocol::Carried, &|| ()) {
        Ok(test) => Some(test),
        Err(error) => {
            report(Event::Warning(&format!("nothing is measured on the test part: {error}")));
            None
        }
    };
    for (name, errors) in [
        ("validation", Some(&validation_errors)),
        ("test", test.as_ref().map(|t| &t.results)),
    ] {
        for error in errors.into_iter().flatten() {
            provenance.metrics.insert(format!("{name}_mse_{}", error.horizon), error.mse);
            provenance.metrics.insert(format!("{name}_mae_{}", error.horizon), error.mae);
        }
    }
    let path = options.out.join("model.safetensors");
    export(best, &blend_weights, provenance.clone())?.write(&path)?;
    // The linear head alone, for the comparison.
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
        let data = BaselineData {
            table,
            split: &split,
            scaler: &scaler,
            linear,
        };
        if let Some(test) = &mut test {
            match finished {
                Some((gru, mlp)) => (test.baselines.gru, test.baselines.mlp) = (gru, mlp),
                None => baselines::add_errors(test, &config, data, recipe, &options.device, own_pace, report)?,
            }
        }
    }
    fs::write(&metrics, metrics_text(&validation_errors, test.as_ref())).map_err(out(&metrics))?;
    Ok(Trained {
        path,
        split,
        decisions,
        device,
        samples_per_second,
        validation: validation_errors,
        test,
    })
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

/// The blend weight per step group. It is 0 everywhere where the candidate's own linear head is so much worse than the best one that
/// the network does not make up for it.
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

/// The reported horizons: 1, a quarter, half and all of the steps.
fn horizons(horizon: usize) -> Vec<usize> {
    let mut list = vec![1, horizon / 4, horizon / 2, horizon];
    list.retain(|&h| h > 0);
    list.dedup();
    list
}

/// The text of `metrics.csv`.
fn metrics_text(validation: &[HorizonError], test: Option<&Evaluation>) -> String {
    let own = std::iter::once(("validation", "tsm2", validation));
    let test = test.into_iter().flat_map(|test| {
        let own = std::iter::once(("tsm2", test.results.as_slice()));
        own.chain(test.baselines.named()).map(|(name, errors)| ("test", name, errors))
    });
    evaluate::metrics_csv(own.chain(test))
}
