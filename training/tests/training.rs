//! Training as a whole, on a small chaotic system: it learns what no linear model can, repeats itself to the bit, and goes on from a
//! checkpoint as if it had never stopped.

#[path = "common/chaos.rs"]
mod chaos;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::Range;
use std::path::Path;

use candle_core::Device;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tsm2_bundle::Bundle;
use tsm2_core::{Config, Mlp, NetworkConfig, Normalizer, S6, VariateMixer};
use tsm2_train::data::mask::{Rate, mask};
use tsm2_train::data::runs::Part;
use tsm2_train::data::scale::Scaler;
use tsm2_train::data::split::{Split, SplitSpec};
use tsm2_train::data::table::Table;
use tsm2_train::evaluate::{HorizonError, LINEAR_HEAD, Protocol, Tally, carried, model_errors, run};
use tsm2_train::linear::step_groups::step_groups;
use tsm2_train::network::Network;
use tsm2_train::network::learner::Learner;
use tsm2_train::train::feed::{Chunk, Feed};
use tsm2_train::train::trainer::{Trainer, TrainerOptions};
use tsm2_train::train::{self, Budget, Event, Size, Stop, TrainOptions};

/// Two coupled logistic maps, observed as they are; every hundredth reading of the second is missing.
fn chaos(rows: usize) -> Table {
    chaos::logistic_maps(rows, |row| row % 100 == 50)
}

/// A tank that is filled through a valve which nobody can foresee, with noise in between; columns `valve`, `level`.
fn tank(rows: usize) -> Table {
    let (mut text, mut level, mut random) = (String::from("valve,level\n"), 0.0f64, 1u32);
    let mut next = || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(random >> 8) / f64::from(1 << 23) - 1.0
    };
    for _ in 0..rows {
        let valve = next();
        let _ = writeln!(text, "{valve:.4},{level:.4}");
        level = 0.7 * level + valve + 0.05 * next();
    }
    Table::parse(Path::new("tank.csv"), text.as_bytes()).expect("a table")
}

fn split(train: usize, validation: usize) -> Split {
    Split {
        train,
        validation,
        test: 0,
    }
}

fn options(out: &Path) -> TrainOptions {
    TrainOptions {
        split: SplitSpec::Rows([1500, 250, 250]),
        horizon: 3,
        out: out.to_owned(),
        name: "chaos".into(),
        seed: 7,
        budget: Some(Budget::Updates(400)),
        calendar: false,
        size: train::Size::default(),
        statics: None,
        missing_rate: Rate::default(),
        tensorboard: false,
        resume: false,
        from: None,
        baselines: false,
        device: Device::Cpu,
        stop: Stop::default(),
    }
}

/// Errors of a bundle on the test rows at each of the model's horizons.
fn test_errors(bundle: &Path, table: &Table) -> Vec<HorizonError> {
    let bundle = Bundle::open(bundle).expect("a bundle");
    let [train, validation, test] = bundle.meta().provenance.split;
    let split = Split { train, validation, test };
    let (scaler, _) = Scaler::fit(table, &split);
    let rows = table.part(&split, Part::Test);
    let errors = model_errors(&(&bundle).into(), table, &scaler, &rows, &[1, 3], Protocol::Carried, &|_| ());
    errors.expect("measures").total
}

/// Trains, and stops when the progress says so; then resumes, and so on to the end. Returns the bundle's bytes.
fn interrupted(table: &Table, options: &TrainOptions, stops: &[(&str, usize)]) -> Vec<u8> {
    for (i, &(task, at)) in stops.iter().enumerate() {
        let options = TrainOptions {
            resume: i > 0,
            stop: Stop::default(),
            ..options.clone()
        };
        let stop = options.stop.clone();
        train::run(table, &options, &mut |event| {
            if let Event::Progress { task: own, done, .. } = event
                && own == task
                && done >= at
            {
                stop.0.store(true, std::sync::atomic::Ordering::Relaxed);
            }
        })
        .expect("stops with a model");
        assert!(options.stop.is_set(), "{task} reaches {at}");
        Bundle::open(&options.out.join(train::MODEL)).expect("a complete bundle");
    }
    let options = TrainOptions {
        resume: true,
        ..options.clone()
    };
    std::fs::read(train::run(table, &options, &mut |_| {}).expect("resumes").path).expect("the bundle")
}

#[test]
fn a_trained_model_beats_every_linear_one_on_a_chaotic_map_and_resumes_exactly_wherever_it_was_stopped() {
    let table = chaos(2000);
    let folder = tempfile::tempdir().expect("temporary folder");
    let options = TrainOptions {
        tensorboard: true,
        ..options(&folder.path().join("a"))
    };
    let trained = train::run(&table, &options, &mut |_| {}).expect("trains");
    assert!(trained.device.contains("CPU"));
    let (model, linear) = (
        test_errors(&trained.measured, &table),
        test_errors(&options.out.join(LINEAR_HEAD), &table),
    );
    assert!(model[0].mse < 0.3 * linear[0].mse, "one step ahead: {model:?}, linear {linear:?}");
    assert!(trained.validation[0].mse < 0.3 * trained.linear[0].mse);
    for file in ["metrics.csv", "curves.csv"] {
        let text = std::fs::read_to_string(options.out.join(file)).expect(file);
        assert!(text.lines().count() > 3 && !text.contains("test"), "{file}: {text}");
    }
    let events = std::fs::read_dir(options.out.join("tensorboard/tsm2")).expect("event files");
    assert_eq!(events.count(), 1);

    let bytes = std::fs::read(&trained.path).expect("the bundle");
    let again = TrainOptions {
        out: folder.path().join("b"),
        ..options.clone()
    };
    let stops = [("tsm2, trials", 10), ("tsm2, trials", 45), ("tsm2", 130), ("tsm2", 380)];
    assert!(interrupted(&table, &again, &stops) == bytes, "a resumed training ends elsewhere");

    let resume = TrainOptions { resume: true, ..again };
    let refused = |options: TrainOptions| train::run(&table, &options, &mut |_| {}).expect_err("another training").to_string();
    for other in [
        TrainOptions { seed: 8, ..resume.clone() },
        TrainOptions {
            missing_rate: Rate::percent(10),
            ..resume.clone()
        },
        TrainOptions {
            budget: Some(Budget::Updates(401)),
            ..resume.clone()
        },
    ] {
        assert!(refused(other).contains("belongs to another training"));
    }
    let saved = resume.out.join("checkpoints/tsm2-0.safetensors");
    let bytes = std::fs::read(&saved).expect("a checkpoint");
    std::fs::write(&saved, &bytes[..1000]).expect("writes");
    assert!(refused(resume).contains("tsm2-0.safetensors"));
}

#[test]
fn a_training_stopped_before_its_first_update_goes_on_within_its_time() {
    let table = chaos(2000);
    let folder = tempfile::tempdir().expect("temporary folder");
    let time = Some(Budget::Time(std::time::Duration::from_secs(2)));
    let stopped = TrainOptions {
        budget: time,
        ..options(&folder.path().join("stopped"))
    };
    stopped.stop.0.store(true, std::sync::atomic::Ordering::Relaxed);
    let trained = train::run(&table, &stopped, &mut |_| {}).expect("stops with a model");
    Bundle::open(&trained.path).expect("a complete bundle");
    let resumed = TrainOptions {
        resume: true,
        stop: Stop::default(),
        ..stopped
    };
    let stop = resumed.stop.clone();
    let mut longest = 0;
    train::run(&table, &resumed, &mut |event| {
        if let Event::Progress { total, .. } = event {
            longest = longest.max(total);
            // More than a machine can do in this time.
            let is_endless = longest > 1_000_000;
            stop.0.store(is_endless, std::sync::atomic::Ordering::Relaxed);
        }
    })
    .expect("resumes");
    assert!((1..1_000_000).contains(&longest), "{longest} updates are planned");
}

#[test]
fn a_training_whose_time_is_over_ends_with_few_updates_and_a_complete_model() {
    let table = chaos(2000);
    let folder = tempfile::tempdir().expect("temporary folder");
    let options = TrainOptions {
        budget: Some(Budget::Time(std::time::Duration::from_millis(1))),
        ..options(&folder.path().join("short"))
    };
    let mut warnings = Vec::new();
    let trained = train::run(&table, &options, &mut |event| {
        if let Event::Warning(text) = event {
            warnings.push(text.to_owned());
        }
    })
    .expect("trains");
    assert!(warnings.iter().any(|text| text.contains("longer --budget")), "{warnings:?}");
    Bundle::open(&trained.path).expect("a complete bundle");
    let curves = std::fs::read_to_string(options.out.join("curves.csv")).expect("curves");
    let update = |line: &str| line.split(',').nth(2).and_then(|update| update.parse::<usize>().ok());
    assert!(curves.lines().skip(1).filter_map(update).all(|update| update < 20), "{curves}");
}

#[test]
fn a_model_goes_on_with_newer_recordings() {
    let table = chaos(2000);
    let folder = tempfile::tempdir().expect("temporary folder");
    let first = train::run(&table, &options(&folder.path().join("first")), &mut |_| {}).expect("trains");
    let earlier = std::sync::Arc::new(Bundle::open(&first.path).expect("a bundle"));
    let few = |from, name: &str| TrainOptions {
        budget: Some(Budget::Updates(40)),
        from,
        ..options(&folder.path().join(name))
    };
    let on = train::run(&table, &few(Some(earlier.clone()), "on"), &mut |_| {}).expect("trains");
    let anew = train::run(&table, &few(None, "anew"), &mut |_| {}).expect("trains");
    assert!(
        on.validation[0].mse < 0.5 * anew.validation[0].mse,
        "{:?} continued, {:?} anew",
        on.validation,
        anew.validation
    );
}

#[test]
fn an_earlier_model_that_does_not_fit_is_refused_before_anything_is_lost() {
    let table = chaos(2000);
    let folder = tempfile::tempdir().expect("temporary folder");
    let options = options(&folder.path().join("model"));
    let first = train::run(&table, &options, &mut |_| {}).expect("trains");
    let earlier = std::sync::Arc::new(Bundle::open(&first.path).expect("a bundle"));
    let files = || {
        let read = |file: &str| std::fs::read(options.out.join(file)).expect("a file of the first training");
        ["model.safetensors", "measured.safetensors", "metrics.csv"].map(read)
    };
    let before = files();
    let refused = |changed: TrainOptions| {
        let from = TrainOptions {
            from: Some(earlier.clone()),
            ..changed
        };
        let mut tasks = 0;
        let mut count = |event: Event<'_>| tasks += usize::from(matches!(event, Event::Share { .. }));
        let message = train::run(&table, &from, &mut count).expect_err("does not fit").to_string();
        assert_eq!(tasks, 0, "{message}: after work");
        assert_eq!(files(), before, "{message}: a file of the first training has changed");
        message
    };
    let message = refused(TrainOptions {
        horizon: 4,
        ..options.clone()
    });
    assert!(message.contains("--from") && message.contains("a horizon of 3"), "{message}");
    let size = Size {
        most: Some(1 << 10),
        ..Size::default()
    };
    let message = refused(TrainOptions { size, ..options.clone() });
    assert!(message.contains("--from") && message.contains("--max-kib"), "{message}");
}

#[test]
fn no_test_row_enters_the_model_that_is_measured() {
    let table = chaos(1000);
    let folder = tempfile::tempdir().expect("temporary folder");
    let trained = |table: &Table, name: &str| {
        let options = TrainOptions {
            split: SplitSpec::Rows([700, 150, 150]),
            budget: Some(Budget::Updates(40)),
            ..options(&folder.path().join(name))
        };
        Bundle::open(&train::run(table, &options, &mut |_| {}).expect("trains").measured).expect("a bundle")
    };
    let mut flipped = table.clone();
    flipped.values[850 * 2..].iter_mut().for_each(|value| *value = -*value);
    assert_eq!(trained(&table, "as it is").weights(), trained(&flipped, "flipped").weights());
}

/// TSM2 with initial weights.
fn initial(config: &Config, rng: &mut ChaCha8Rng) -> candle_core::Result<Box<dyn Learner>> {
    Ok(Box::new(Network::initial(config, rng, &Device::Cpu)?))
}

#[test]
fn every_parameter_is_trained() {
    let table = chaos(600);
    let s6 = S6 {
        d_inner: 8,
        d_state: 2,
        dt_rank: 2,
        d_conv: 3,
    };
    let config = Config {
        variates: 2,
        horizon: 3,
        network: Some(NetworkConfig {
            patch: 4,
            d_model: 8,
            time_mixer: s6,
            variate_mixer: VariateMixer::Both {
                s6,
                mlp: Mlp { reduce: 3, hidden: 6 },
            },
            ..NetworkConfig::default()
        }),
        ..Config::default()
    };
    let (scaler, _) = Scaler::fit(&table, &split(500, 100));
    let feed = Feed::new(&config, &scaler, &table, &[], &|| ()).expect("valid");
    let options = TrainerOptions {
        streams: 4,
        tokens: 8,
        ..TrainerOptions::default()
    };
    let mut trainer = Trainer::new(|rng| initial(&config, rng), options, &feed, &(0..500).into(), &Device::Cpu).expect("valid");
    let mut after = |update| {
        trainer.advance(update, &Stop::default(), &mut |_| {}).expect("trains");
        trainer.weights().expect("weights")
    };
    // After one update the head speaks, after two what feeds it hears of it.
    let (early, late): (BTreeMap<_, _>, BTreeMap<_, _>) = (after(1), after(6));
    for (name, values) in &late {
        assert!(values.iter().all(|w| w.is_finite()), "{name}");
        assert_ne!(values, &early[name], "{name} is not trained");
    }
}

/// Trains for 100 updates at a learning rate, calls `see` with the trainer and an untrained one, and checks that the best weights are none
/// the worse for it.
fn at_a_rate(learning_rate: f64, see: impl Fn(&Trainer<'_>, &mut Trainer<'_>)) {
    let table = chaos(600);
    let config = Config {
        variates: 2,
        horizon: 3,
        ..Config::default()
    };
    let (scaler, _) = Scaler::fit(&table, &split(500, 100));
    let feed = Feed::new(&config, &scaler, &table, &[], &|| ()).expect("valid");
    let options = TrainerOptions {
        learning_rate,
        warm_up: 1,
        ..TrainerOptions::default()
    };
    let untrained = || Trainer::new(|rng| initial(&config, rng), options, &feed, &(0..500).into(), &Device::Cpu).expect("valid");
    let mut trainer = untrained();
    trainer
        .validate_average(&(500..600).into(), &step_groups(3))
        .expect("the initial weights");
    trainer.advance(100, &Stop::default(), &mut |_| {}).expect("no error");
    let _ = trainer.validate_average(&(500..600).into(), &step_groups(3));
    see(&trainer, &mut untrained());
    let best = trainer.best().expect("the initial weights at least");
    assert!(best.score.is_finite() && best.score <= 1.0, "{}", best.score);
    assert!(best.weights.values().flatten().all(|w| w.is_finite()));
}

#[test]
fn a_training_that_diverges_keeps_the_best_weights_before() {
    at_a_rate(1e38, |trainer, again| {
        assert!(trainer.diverged().is_some_and(|update| update < 100), "{:?}", trainer.diverged());
        again.restore(&trainer.save().expect("saves")).expect("restores");
        assert_eq!(
            again.diverged(),
            trainer.diverged(),
            "a resumed training goes on beyond the divergence"
        );
    });
}

#[test]
fn a_training_with_loss_spikes_goes_on_from_its_average() {
    at_a_rate(3.0, |trainer, _| {
        assert!(trainer.loss_spikes() > 0);
        assert_eq!((trainer.updates(), trainer.diverged()), (100, None));
    });
    at_a_rate(3e-3, |trainer, _| assert_eq!((trainer.updates(), trainer.loss_spikes()), (100, 0)));
}

#[test]
fn a_feed_gives_the_same_numbers_from_any_row_on() {
    let table = chaos(700);
    let config = Config {
        variates: 2,
        horizon: 3,
        ..Config::default()
    };
    let (scaler, _) = Scaler::fit(&table, &split(200, 100));
    let linear_head: Vec<f32> = (0..config.linear_head_features() * 3).map(|i| (i as f32).sin()).collect();
    let feed = Feed::new(&config, &scaler, &table, &linear_head, &|| ()).expect("valid");
    let all = Chunk::at(&feed, 0..700).expect("reads");
    let patch = 2 * config.patch_len();
    for rows in [37..40, 255..258, 512..513, 690..700] {
        let some = Chunk::at(&feed, rows.clone()).expect("reads");
        assert_eq!(some.patches, all.patches[rows.start * patch..rows.end * patch]);
        let entries = rows.start * 6..rows.end * 6;
        assert_eq!(some.weight, all.weight[entries.clone()]);
        for (a, b) in some.target.iter().zip(&all.target[entries]) {
            assert!((a - b).abs() < 1e-5, "rows {rows:?}: {a} and {b}");
        }
    }
}

#[test]
fn a_hidden_reading_is_missing_for_the_model_and_counts_nowhere_until_the_readings_return() {
    let table = chaos(300);
    let config = Config {
        variates: 2,
        horizon: 3,
        ..Config::default()
    };
    let (scaler, _) = Scaler::fit(&table, &split(200, 100));
    let feed = Feed::new(&config, &scaler, &table, &[], &|| ()).expect("valid");
    let mut cursor = feed.cursor(100).expect("a row");
    cursor.hidden = 10;
    let (mut gap, plain) = (Chunk::default(), Chunk::at(&feed, 100..130).expect("reads"));
    feed.read(&mut cursor, 30, &mut gap).expect("reads");
    assert!(gap.weight[..60].iter().all(|w| *w == 0.0) && gap.weight[60..] == plain.weight[60..]);
    assert_eq!(gap.target, plain.target);
    let patch = 2 * config.patch_len();
    assert_ne!(gap.patches[9 * patch..10 * patch], plain.patches[9 * patch..10 * patch]);
    let after = (10 + NetworkConfig::default().patch) * patch;
    assert_eq!(gap.patches[after..], plain.patches[after..]);
}

#[test]
fn what_is_masked_in_training_is_hidden_from_the_inputs_only() {
    let table = chaos(300);
    let masked = table.masked(&(0..200).into(), Rate::percent(30), 1);
    let config = Config {
        variates: 2,
        horizon: 3,
        normalizer: Normalizer::Global,
        ..Config::default()
    };
    let (scaler, _) = Scaler::fit(&table, &split(200, 100));
    let [all, some] = [&table, &masked].map(|table| {
        let feed = Feed::new(&config, &scaler, table, &[], &|| ()).expect("valid");
        Chunk::at(&feed, 0..300).expect("reads")
    });
    let patch = 2 * config.patch_len();
    let differs = |row: usize| all.patches[row * patch..(row + 1) * patch] != some.patches[row * patch..(row + 1) * patch];
    let differing = |rows: Range<usize>| rows.filter(|&row| differs(row)).count();
    assert!(differing(0..200) > 150 && differing(200 + NetworkConfig::default().patch..300) == 0);
    assert_eq!((all.target, all.weight), (some.target, some.weight));
}

/// An oscillator that noise keeps going: its last two readings foretell the next one, if both are there.
fn oscillator(rows: usize) -> Table {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let (mut older, mut newer) = (0.0f64, 0.0f64);
    let mut text = String::from("x\n");
    for _ in 0..rows {
        let push = (0..6).map(|_| rng.random::<f64>() - 0.5).sum::<f64>();
        (older, newer) = (newer, 1.8 * newer - 0.95 * older + 0.3 * push);
        text.push_str(&format!("{newer:.5}\n"));
    }
    Table::parse(Path::new("oscillator.csv"), text.as_bytes()).expect("a table")
}

#[test]
fn a_model_trained_with_readings_missing_is_better_where_readings_are_missing() {
    let table = oscillator(1500);
    let folder = tempfile::tempdir().expect("temporary folder");
    // The network of so few updates is left out: the linear head is what learns here.
    let trained = |name: &str, missing_rate| {
        let options = TrainOptions {
            split: SplitSpec::Rows([900, 200, 400]),
            missing_rate,
            budget: Some(Budget::Updates(2)),
            ..options(&folder.path().join(name))
        };
        train::run(&table, &options, &mut |_| {}).expect("trains").path
    };
    let paths = [
        trained("all", Rate::default()),
        trained("some", Rate::percent(30)),
        trained("again", Rate::percent(30)),
    ];
    let [all, some, again] = paths.map(|path| std::fs::read(path).expect("the bundle"));
    let [all, some, again] = [all, some, again].map(|bytes| Bundle::from_bytes(&bytes).expect("a bundle"));
    assert_eq!(some.weights(), again.weights());
    let said = &some.meta().provenance.decisions[0];
    assert!(said.contains("0.3") && said.contains("missing"), "{said}");
    let errors = |bundle: &Bundle| {
        let split = SplitSpec::Rows([900, 200, 400]).resolve(1500).expect("a split");
        let (scaler, _) = Scaler::fit(&table, &split);
        let z = scaler.standardise_targets(&table);
        let test = (1100..1500).into();
        let tally = Tally::new(&z, table.targets(), &test, &[3]).expect("a horizon");
        let at = |percent| {
            let mut seen = table.clone();
            mask(&mut seen.values, Rate::percent(percent), 0);
            let tally = carried(&bundle.into(), &seen, &scaler, tally.clone(), &|_| ()).expect("runs");
            tally.errors().expect("measures").total[0].mse
        };
        [at(0), at(30)]
    };
    let ([all_complete, all_missing], [some_complete, some_missing]) = (errors(&all), errors(&some));
    assert!(some_missing < 0.9 * all_missing, "30 % missing: {some_missing} and {all_missing}");
    assert!(all_complete < some_complete, "nothing missing: {all_complete} and {some_complete}");
}

/// The bundle of a few updates on the first 1000 rows, and its errors on the last 250.
fn trained_briefly(table: &Table, out: &Path) -> (Bundle, Vec<HorizonError>) {
    let options = TrainOptions {
        split: SplitSpec::Rows([1000, 250, 250]),
        budget: Some(Budget::Updates(40)),
        ..options(out)
    };
    let path = train::run(table, &options, &mut |_| {}).expect("trains").path;
    (Bundle::open(&path).expect("the bundle"), test_errors(&path, table))
}

#[test]
fn a_valve_that_is_read_only_lowers_the_error_of_the_level_and_is_not_measured_itself() {
    let (folder, table) = (tempfile::tempdir().expect("temporary folder"), tank(1500));
    let trained = |table: &Table, name: &str| trained_briefly(table, &folder.path().join(name));
    let (alone, _) = table.clone().select(&["level"]).expect("a column");
    let apart = table.with_covariates(&["valve".into()], &[]).expect("a column");
    let ((_, without), (bundle, with)) = (trained(&alone, "alone"), trained(&apart, "with"));
    let names: Vec<&str> = bundle.meta().variates.iter().map(|variate| variate.name.as_str()).collect();
    assert_eq!(
        (names.as_slice(), bundle.meta().config.past_covariates),
        (["level", "valve"].as_slice(), 1)
    );
    assert!(with[0].mse < 0.1 * without[0].mse, "{with:?} with the valve, {without:?} without");
}

#[test]
fn a_valve_that_is_known_ahead_lowers_the_error_where_one_that_is_only_read_cannot() {
    let (folder, table) = (tempfile::tempdir().expect("temporary folder"), tank(1500));
    let trained = |table: &Table, name: &str| trained_briefly(table, &folder.path().join(name));
    let read = table.clone().with_covariates(&["valve".into()], &[]).expect("a column");
    let known = table.with_covariates(&[], &["valve".into()]).expect("a column");
    let ((_, without), (bundle, with)) = (trained(&read, "read"), trained(&known, "known"));
    assert_eq!(
        (bundle.meta().config.past_covariates, bundle.meta().config.future_covariates),
        (0, 1)
    );
    assert!(
        with[1].mse < 0.1 * without[1].mse,
        "{with:?} as a future covariate, {without:?} without"
    );

    // What is missing at the end of a recording is no future covariate, and the valve then stands where it is.
    let model = tsm2_train::model::Stepper::from(&bundle);
    let forecast = |table: &Table| {
        let mut out = vec![0.0; model.config().forecast_len()];
        run(
            &model,
            table,
            0..1000,
            |row, token| if row == 1000 { token.forecast(&mut out) } else { Ok(()) },
        )
        .expect("steps");
        out
    };
    let mut unknown = known.clone();
    for row in 1000..unknown.len() {
        unknown.values[row * 2 + 1] = f32::NAN;
    }
    let mut stands = unknown.clone();
    for row in 1000..stands.len() {
        stands.values[row * 2 + 1] = stands.values[999 * 2 + 1];
    }
    assert_ne!(forecast(&unknown), forecast(&known));
    assert_eq!(forecast(&unknown), forecast(&stands));
}
