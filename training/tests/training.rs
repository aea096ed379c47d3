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
use tsm2_train::data::dataset::Dataset;
use tsm2_train::data::mask::{Rate, mask};
use tsm2_train::data::scale::Scaler;
use tsm2_train::data::split::{Split, SplitSpec};
use tsm2_train::data::table::Table;
use tsm2_train::evaluate::{HorizonError, Tally, carried, run};
use tsm2_train::linear::step_groups::step_groups;
use tsm2_train::network::Network;
use tsm2_train::train::trainer::{Progress, Target, Trainer, TrainerOptions};
use tsm2_train::train::{self, Event, TrainOptions};

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
        updates: Some(400),
        calendar: false,
        statics: None,
        missing_rate: Rate::default(),
        resume: false,
        baselines: false,
        device: Device::Cpu,
    }
}

#[test]
fn a_trained_model_beats_every_linear_one_on_a_chaotic_map_and_its_run_can_be_repeated_and_resumed() {
    let table = chaos(2000);
    let folder = tempfile::tempdir().expect("temporary folder");
    let options = options(&folder.path().join("a"));
    let mut checkpoint = Vec::new();
    let last = options.out.join("checkpoints/last.safetensors");
    let trained = train::run(&table, &options, &mut |event| {
        // The checkpoint as it stands when the last chunk has begun.
        if let Event::Training {
            progress: Progress::Update(399),
            ..
        } = event
            && let Ok(bytes) = std::fs::read(&last)
        {
            checkpoint = bytes;
        }
    })
    .expect("trains");
    assert!(trained.device.contains("CPU") && trained.samples_per_second.is_some_and(|samples| samples > 0.0));
    let test = trained.test.expect("a test part");
    let (model, linear) = (test.results[0].mse, test.baselines.linear[0].mse);
    assert!(model < 0.3 * linear, "one step ahead: model {model}, linear {linear}");
    assert!(options.out.join("metrics.csv").is_file() && options.out.join("checkpoints/best.safetensors").is_file());

    let bytes = std::fs::read(&trained.path).expect("the bundle");
    assert!(!checkpoint.is_empty(), "a checkpoint was there before the last chunk");
    std::fs::write(&last, &checkpoint).expect("writes");
    let resumed = train::run(
        &table,
        &TrainOptions {
            resume: true,
            ..options.clone()
        },
        &mut |_| {},
    )
    .expect("resumes");
    assert!(
        bytes == std::fs::read(&resumed.path).expect("the bundle"),
        "resumed training ends elsewhere"
    );

    let other = train::run(
        &table,
        &TrainOptions {
            resume: true,
            seed: 8,
            ..options.clone()
        },
        &mut |_| {},
    )
    .expect_err("another seed");
    assert!(other.to_string().contains("belongs to another training"), "{other}");
    let other = train::run(
        &table,
        &TrainOptions {
            resume: true,
            missing_rate: Rate::percent(10),
            ..options.clone()
        },
        &mut |_| {},
    )
    .expect_err("another share of readings missing");
    assert!(other.to_string().contains("belongs to another training"), "{other}");
    std::fs::write(&last, &checkpoint[..1000]).expect("writes");
    let cut = train::run(&table, &TrainOptions { resume: true, ..options }, &mut |_| {}).expect_err("cut short");
    assert!(cut.to_string().contains("last.safetensors"), "{cut}");
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
    let data = Dataset::new(&config, &scaler, &table, &[0..600], &[]).expect("valid");
    let options = TrainerOptions {
        streams: 4,
        tokens: 8,
        target: Target::Full,
        validate_every: 1,
        ..TrainerOptions::default()
    };
    let mut trainer = Trainer::new(
        |rng| Network::initial(&config, rng, &Device::Cpu),
        options,
        &data,
        &(0..500).into(),
        &Device::Cpu,
    )
    .expect("valid");
    let mut after = |update| {
        while trainer
            .advance(update, &(500..600).into(), &step_groups(3), &mut |_| {})
            .expect("trains")
        {}
        trainer.weights().expect("weights")
    };
    // After one update the head speaks, after two what feeds it hears of it.
    let (early, late): (BTreeMap<_, _>, BTreeMap<_, _>) = (after(1), after(6));
    for (name, values) in &late {
        assert!(values.iter().all(|w| w.is_finite()), "{name}");
        assert_ne!(values, &early[name], "{name} is not trained");
    }
}

/// Trains for 100 updates at a learning rate, calls `see` with the trainer, and checks that the best weights are none the worse for it.
fn at_a_rate(learning_rate: f64, see: impl Fn(&Trainer<'_, Network>)) {
    let table = chaos(600);
    let config = Config {
        variates: 2,
        horizon: 3,
        ..Config::default()
    };
    let (scaler, _) = Scaler::fit(&table, &split(500, 100));
    let data = Dataset::new(&config, &scaler, &table, &[0..600], &[]).expect("valid");
    let options = TrainerOptions {
        learning_rate,
        warm_up: 1,
        ..TrainerOptions::default()
    };
    let mut trainer = Trainer::new(
        |rng| Network::initial(&config, rng, &Device::Cpu),
        options,
        &data,
        &(0..500).into(),
        &Device::Cpu,
    )
    .expect("valid");
    while trainer
        .advance(100, &(500..600).into(), &step_groups(3), &mut |_| {})
        .expect("no error")
    {}
    see(&trainer);
    let best = trainer.best().expect("the initial weights at least");
    assert!(best.score.is_finite() && best.score <= 1.0, "{}", best.score);
    assert!(best.weights.values().flatten().all(|w| w.is_finite()));
}

#[test]
fn a_training_that_diverges_keeps_the_best_weights_before() {
    at_a_rate(1e38, |trainer| {
        assert!(trainer.diverged().is_some_and(|update| update < 100), "{:?}", trainer.diverged());
    });
}

#[test]
fn a_training_that_strays_goes_on_from_its_average() {
    at_a_rate(3.0, |trainer| {
        assert!(trainer.loss_spikes() > 0);
        assert_eq!((trainer.updates(), trainer.diverged()), (100, None));
    });
    at_a_rate(3e-3, |trainer| assert_eq!((trainer.updates(), trainer.loss_spikes()), (100, 0)));
}

#[test]
fn a_dataset_of_the_last_rows_holds_the_same_numbers() {
    let table = chaos(300);
    let config = Config {
        variates: 2,
        horizon: 3,
        ..Config::default()
    };
    let (scaler, _) = Scaler::fit(&table, &split(200, 100));
    let linear_head: Vec<f32> = (0..config.linear_head_features() * 3).map(|i| (i as f32).sin()).collect();
    let [all, last] = [0, 37].map(|first| Dataset::new(&config, &scaler, &table, &[first..300], &linear_head).expect("valid"));
    assert_eq!(last.span_of(37), &(37..300));
    for row in [37, 38, 150, 292, 299] {
        assert_eq!(all.patches(row..row + 1), last.patches(row..row + 1));
        let [mut of_all, mut of_last] = [(); 2].map(|()| [[0.0; 6]; 3]);
        for (data, [target, linear, weight]) in [(&all, &mut of_all), (&last, &mut of_last)] {
            data.write_targets(row, target, linear, weight);
        }
        for (a, b) in of_all.iter().flatten().zip(of_last.iter().flatten()) {
            assert!((a - b).abs() < 1e-5, "row {row}: {a} and {b}");
        }
    }
}

#[test]
fn what_is_shown_as_missing_in_training_is_hidden_from_the_inputs_only() {
    let table = chaos(300);
    let masked = table.masked(&(0..200).into(), Rate::percent(30), 1);
    let config = Config {
        variates: 2,
        horizon: 3,
        normalizer: Normalizer::Global,
        ..Config::default()
    };
    let (scaler, _) = Scaler::fit(&table, &split(200, 100));
    let [all, some] = [&table, &masked].map(|table| Dataset::new(&config, &scaler, table, &[0..300], &[]).expect("valid"));
    let differing = |rows: Range<usize>| rows.filter(|&r| all.patches(r..r + 1) != some.patches(r..r + 1)).count();
    assert!(differing(0..200) > 150 && differing(200 + NetworkConfig::default().patch..300) == 0);
    for row in 0..297 {
        let [of_all, of_some] = [&all, &some].map(|data| {
            let mut numbers = [[0.0; 6]; 3];
            let [target, linear, weight] = &mut numbers;
            data.write_targets(row, target, linear, weight);
            numbers
        });
        assert_eq!(of_all, of_some, "row {row}");
    }
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
            updates: Some(2),
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
            let tally = carried(&bundle.model(), &seen, &scaler, tally.clone(), &|| ()).expect("runs");
            tally.errors().expect("measures").total[0].mse
        };
        [at(0), at(30)]
    };
    let ([all_complete, all_missing], [some_complete, some_missing]) = (errors(&all), errors(&some));
    assert!(some_missing < 0.9 * all_missing, "30 % missing: {some_missing} and {all_missing}");
    assert!(all_complete < some_complete, "nothing missing: {all_complete} and {some_complete}");
}

/// What a few updates on the first 1000 rows come to.
fn trained_briefly(table: &Table, out: &Path) -> train::Trained {
    let options = TrainOptions {
        split: SplitSpec::Rows([1000, 250, 250]),
        updates: Some(40),
        ..options(out)
    };
    train::run(table, &options, &mut |_| {}).expect("trains")
}

#[test]
fn a_valve_that_is_read_only_lowers_the_error_of_the_level_and_is_not_measured_itself() {
    let (folder, table) = (tempfile::tempdir().expect("temporary folder"), tank(1500));
    let trained = |table: &Table, name: &str| trained_briefly(table, &folder.path().join(name));
    let (alone, _) = table.clone().select(&["level"]).expect("a column");
    let apart = table.with_covariates(&["valve".into()], &[]).expect("a column");
    let (alone, with) = (trained(&alone, "alone"), trained(&apart, "with"));
    let bundle = Bundle::open(&with.path).expect("the bundle");
    let (test, without) = (with.test.expect("a test part"), alone.test.expect("a test part"));
    let names: Vec<&str> = bundle.meta().variates.iter().map(|variate| variate.name.as_str()).collect();
    assert_eq!(
        (names.as_slice(), bundle.meta().config.past_covariates),
        (["level", "valve"].as_slice(), 1)
    );
    assert!(
        test.results[0].mse < 0.1 * without.results[0].mse,
        "{:?} with the valve, {:?} without",
        test.results,
        without.results
    );
    // What a baseline makes of the level does not depend on what else there is.
    assert_eq!(test.baselines.naive, without.baselines.naive);
    assert_eq!(test.baselines.seasonal_naive, without.baselines.seasonal_naive);
    assert_eq!(test.baselines.linear, without.baselines.linear);
}

#[test]
fn a_valve_that_is_known_ahead_lowers_the_error_where_one_that_is_only_read_cannot() {
    let (folder, table) = (tempfile::tempdir().expect("temporary folder"), tank(1500));
    let trained = |table: &Table, name: &str| trained_briefly(table, &folder.path().join(name));
    let read = table.clone().with_covariates(&["valve".into()], &[]).expect("a column");
    let known = table.with_covariates(&[], &["valve".into()]).expect("a column");
    let (without, with) = (trained(&read, "read"), trained(&known, "known"));
    let bundle = Bundle::open(&with.path).expect("the bundle");
    assert_eq!(
        (bundle.meta().config.past_covariates, bundle.meta().config.future_covariates),
        (0, 1)
    );
    let (with, without) = (with.test.expect("a test part"), without.test.expect("a test part"));
    let last = |errors: &[HorizonError]| errors.last().expect("a horizon").mse;
    assert!(
        last(&with.results) < 0.1 * last(&without.results),
        "{:?} known ahead, {:?} read",
        with.results,
        without.results
    );
    assert_eq!(with.baselines.linear, without.baselines.linear);

    // What is missing at the end of a recording is not known ahead, and the valve then stands where it is.
    let model = bundle.model();
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
