//! From a CSV file to a bundle: the recipe, its decisions and their evidence.
//!
//! In this order: read and standardise; choose normaliser, linear read-out and whether the calendar is seen on validation; try what the network is to say
//! and a few forms of it, and train the best to the end; give the network, per band of leads, the weight in [0, 1] that is best on validation and fold it into the head, so that the
//! model is never worse on validation than its own read-out; measure it with the device's own code beside the baselines; write the bundle; train
//! and measure the company.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tsm2_bundle::Provenance;
use tsm2_core::Config;

use super::error::Error;
use super::options::{Event, TrainOptions, decide};
use super::recipe::{MEMORY, affordable, spans_weeks, start_config};
use super::trial::{Candidate, FORM_MARGIN, LONG_PATCH, Trial, WAYS, tell_of_divergence, ways};
use crate::data::dataset::Dataset;
use crate::data::scale::Scaler;
use crate::data::split::Split;
use crate::data::table::Table;
use crate::evaluate::baselines::Series;
use crate::evaluate::company::{self, About, Company, Ground, Kind, Step};
use crate::evaluate::{self, Evaluation, HorizonError, Protocol, model_errors};
use crate::linear::readout::{self, Choice};
use crate::linear::ridge::bands;
use crate::train::checkpoint::Checkpoints;
use crate::train::export::{self, Export};
use crate::train::trainer::{self, Best, Options, TrainError};

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
pub fn run(table: &Table, options: &TrainOptions, tell: &mut dyn FnMut(Event<'_>)) -> Result<Trained, Error> {
    let in_file = |source| Error::Split {
        path: table.path.clone(),
        source,
    };
    let split = options.split.resolve(table.len()).map_err(in_file)?;
    let start = Config {
        calendar: options.calendar && spans_weeks(table, &split),
        ..start_config(table, options.horizon)
    };
    split.check_training(start.patch, options.horizon).map_err(in_file)?;
    let out = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Out { path, source }
    };
    fs::create_dir_all(&options.out).map_err(out(&options.out))?;
    if !options.resume {
        // Trained beside another model, which is about to be replaced.
        remove(&options.out.join(company::FILE))?;
    }
    let (scaler, warnings) = Scaler::fit(table, split.train_range());
    for warning in warnings {
        tell(Event::Warning(&warning));
    }

    let mut decisions = Vec::new();
    let thinned;
    let table = if options.missing_rate.is_zero() {
        table
    } else {
        let text = format!(
            "a share of {} of the training rows' readings is shown as missing, at random",
            options.missing_rate
        );
        decide(&mut decisions, text, tell);
        thinned = table.thinned(split.train_range(), options.missing_rate, options.seed);
        &thinned
    };
    let z = scaler.standardise_endogenous(table);
    let period = Series::new(&z, table.endogenous()).find_period(split.train_range());
    decide(
        &mut decisions,
        period.map_or("season: none found".into(), |rows| {
            format!("season: {rows} rows, from the autocorrelation")
        }),
        tell,
    );
    let choices = readout::choose(&start, table, &split, &scaler, period, |choice| {
        decide(&mut decisions, choice.to_string(), tell)
    })
    .map_err(|source| Error::Readout {
        path: table.path.clone(),
        source,
    })?;
    decide(&mut decisions, format!("read-out: {:?}", choices[0].normaliser), tell);
    let recipe = Options {
        seed: options.seed,
        updates: options.updates.unwrap_or_else(|| affordable(&start)),
        ..Options::default()
    };
    decide(
        &mut decisions,
        format!("the network is trained for {} updates at most", recipe.updates),
        tell,
    );
    if let Some(statics) = &options.statics {
        decide(
            &mut decisions,
            format!("the network sees static features: {}", statics.features.join(", ")),
            tell,
        );
    }
    let bands = bands(options.horizon);
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
    let rows = held(
        &Config {
            patch: LONG_PATCH,
            ..start
        },
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
            tell,
        );
    }
    let ways = ways(&start, &choices, rows, &scaler, table, options.statics.as_ref())?;
    let trial = Trial {
        recipe,
        split: &split,
        bands: &bands,
        readout: &choices[0].mse,
        device: &options.device,
    };
    let before = decisions.len();
    let forms;
    let (candidate, mut trainer) = if options.resume {
        let saved = checkpoints.load()?;
        for decision in saved.decisions {
            decide(&mut decisions, decision, tell);
        }
        let way = &ways[saved.candidate % WAYS];
        forms = way.forms(&split, &scaler, table)?;
        let candidate = match saved.candidate / WAYS {
            0 => way,
            form => forms
                .get(form - 1)
                .ok_or_else(|| TrainError::Checkpoint { name: "candidate".into() })?,
        };
        let mut trainer = candidate.trainer(recipe, split.train, &options.device)?;
        trainer.restore(&saved.tensors)?;
        (candidate, trainer)
    } else {
        let mut best = trial.run(&ways, "the network says", &mut decisions, tell)?;
        forms = best.candidate.forms(&split, &scaler, table)?;
        if !forms.is_empty() {
            let other = trial.run(&forms, "instead of the recipe's form of the network", &mut decisions, tell)?;
            if other.score < (1.0 - FORM_MARGIN) * best.score {
                best = other;
            }
        }
        (best.candidate, best.trainer)
    };
    let (target, tried) = (candidate.target, decisions[before..].to_vec());
    // The network with the weight per band that is best for it; where it adds nothing at any lead, the best read-out is what remains.
    let folds = |best: &Best| folds(best, candidate, &choices, split.validation_origins(options.horizon));
    let export = |best: &Best, folds: &[f64], provenance| {
        let candidate = if is_silent(folds) { &ways[0] } else { candidate };
        let export = Export {
            name: &options.name,
            table,
            scaler: &scaler,
            config: &candidate.config,
            readout: &candidate.choice.weights,
            target: candidate.target,
            folds,
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
        let on = trainer.advance(recipe.updates, validation.clone(), &bands, &mut |progress| {
            tell(Event::Training {
                name: target.name(),
                progress,
                updates: recipe.updates,
            })
        })?;
        checkpoints.save(&trainer, candidate.number, &tried)?;
        if trainer.score() < written {
            written = trainer.score();
            let best = trainer.best().ok_or(TrainError::NotFinite)?;
            export(best, &folds(best), provenance(&decisions))?.write(&checkpoints.best)?;
        }
        if !on {
            break;
        }
    }
    let own_pace = start.elapsed().checked_div((trainer.updates() - before) as u32);
    let device = trainer::describe(&options.device);
    let samples_per_second = own_pace.map(|update| trainer.samples_per_update() as f64 / update.as_secs_f64());
    if let Some(samples) = samples_per_second {
        tell(Event::Pace(&format!("trained on {device}: {samples:.0} samples a second")));
    }
    tell_of_divergence(&mut decisions, &trainer, tell);
    let best = trainer.best().ok_or(TrainError::NotFinite)?;
    let folds = folds(best);
    decide(&mut decisions, export::describe(&best.errors, &folds), tell);

    let horizons = horizons(options.horizon);
    let mut provenance = provenance(&decisions);
    let measured = export(best, &folds, provenance.clone())?;
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
            tell(Event::Warning(&format!("nothing is measured on the test part: {error}")));
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
    export(best, &folds, provenance.clone())?.write(&path)?;
    // What remains of the model without its network, to be measured beside it.
    let alone = options.out.join(evaluate::READOUT);
    if is_silent(&folds) {
        remove(&alone)?;
    } else {
        let readout = export(best, &vec![0.0; folds.len()], provenance)?;
        readout.write(&alone)?;
        if let Some(test) = &mut test {
            test.join_readout(&readout.model(), table, &scaler, &split)?;
        }
    }

    if options.company {
        let about = About::new(&candidate.config, measured.meta(), trainer.updates());
        let ground = Ground {
            table,
            split: &split,
            scaler: &scaler,
            readout: candidate.choice.readout,
            weights: &candidate.choice.weights,
        };
        // Memory for the company's rows.
        drop(trainer);
        drop(forms);
        drop(ways);
        let company = train_company(about, ground, recipe, options, own_pace, tell)?;
        if let (Some(company), Some(test)) = (company, &mut test) {
            test.join(&company, table, &split)?;
        }
    }
    let metrics = options.out.join("metrics.csv");
    fs::write(&metrics, metrics_csv(&validation, test.as_ref())).map_err(out(&metrics))?;
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

/// The company, written into the folder, or as it lies there when the training that is resumed had come so far. None if there is none to train.
fn train_company(
    about: About,
    ground: Ground<'_>,
    recipe: Options,
    options: &TrainOptions,
    own_pace: Option<Duration>,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<Option<Company>, Error> {
    let path = options.out.join(company::FILE);
    if options.resume
        && path.exists()
        && let Ok(company) = Company::open(&path)
        && *company.about() == about
    {
        return Ok(Some(company));
    }
    for kind in about.too_large() {
        tell(Event::Company(&format!(
            "{} is not trained: it would have too many weights",
            kind.name()
        )));
    }
    if about.too_large().count() == Kind::ALL.len() {
        return Ok(None);
    }
    let rows = match held(about.front(), ground.table, ground.split) {
        Ok(rows) => rows,
        Err(error) => {
            tell(Event::Company(&format!("gru and mlp are not trained: {error}")));
            return Ok(None);
        }
    };
    let company = Company::train(about, ground, rows, recipe, &options.device, &mut |kind, step| match step {
        Step::Training(progress) => tell(Event::Training {
            name: kind.name(),
            progress,
            updates: recipe.updates,
        }),
        Step::Trained { updates, took } => {
            let pace = took.as_secs_f64() / updates.max(1) as f64;
            let beside = own_pace.map(|own| format!(", an update {:.2} times as long as TSM2's", pace / own.as_secs_f64()));
            tell(Event::Company(&format!(
                "{}: {updates} updates in {:.1} s{}",
                kind.name(),
                took.as_secs_f64(),
                beside.unwrap_or_default()
            )));
        }
    })?;
    company.write(&path)?;
    Ok(Some(company))
}

/// The weight per band of a candidate's network: none where its own read-out is so much worse than the best one that the network does not
/// make up for it.
fn folds(best: &Best, candidate: &Candidate<'_>, choices: &[Choice], origins: usize) -> Vec<f64> {
    let mut folds = export::folds(&best.errors, origins);
    if candidate.choice.normaliser != choices[0].normaliser && export::relative(&best.errors, &folds, &choices[0].mse) >= 1.0 {
        folds.fill(0.0);
    }
    folds
}

fn is_silent(folds: &[f64]) -> bool {
    folds.iter().all(|&weight| weight == 0.0)
}

/// The network's rows: all up to the test part, or the last that memory allows.
fn held(config: &Config, table: &Table, split: &Split) -> Result<Range<usize>, Error> {
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
        for HorizonError {
            horizon,
            mse,
            mae,
            origins,
            ..
        } in errors
        {
            text.push_str(&format!("{part},{model},{horizon},{mse:.6},{mae:.6},{origins}\n"));
        }
    };
    rows("validation", "tsm2", validation);
    if let Some(test) = test {
        rows("test", "tsm2", &test.results);
        for (name, errors) in test.baselines.named() {
            rows("test", &name.replace('-', "_"), errors);
        }
    }
    text
}
