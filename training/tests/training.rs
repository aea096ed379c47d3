//! Training as a whole, on a small chaotic system: it learns what no linear model can, repeats itself to the bit, and goes on from a
//! checkpoint as if it had never stopped.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Device;
use tsm2_core::{Config, Mlp, S6, VariateMixer};
use tsm2_train::dataset::Dataset;
use tsm2_train::ridge::bands;
use tsm2_train::scale::Scaler;
use tsm2_train::split::SplitSpec;
use tsm2_train::table::Table;
use tsm2_train::train::{self, Event, TrainOptions};
use tsm2_train::trainer::{Options, Progress, Target, Trainer};

/// Two coupled logistic maps, observed as they are; every hundredth reading of the second is missing.
fn chaos(rows: usize) -> Table {
    let (mut x, mut y) = (0.3f64, 0.6f64);
    let mut text = String::from("x,y\n");
    for row in 0..rows {
        let (next_x, next_y) = (3.8 * x * (1.0 - x), 3.7 * y * (1.0 - y));
        (x, y) = (0.8 * next_x + 0.2 * next_y, 0.2 * next_x + 0.8 * next_y);
        let second = if row % 100 == 50 { String::new() } else { format!("{y:.5}") };
        text.push_str(&format!("{x:.5},{second}\n"));
    }
    Table::parse(Path::new("chaos.csv"), text.as_bytes()).expect("a table")
}

fn options(out: &Path) -> TrainOptions {
    TrainOptions {
        split: SplitSpec::Rows([1500, 250, 250]),
        horizon: 3,
        out: out.to_owned(),
        name: "chaos".into(),
        seed: 7,
        updates: 400,
        resume: false,
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
        // The checkpoint as it stands when the last stretch has begun.
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
    let test = trained.test.expect("a test part");
    let (model, linear) = (test.results[0].mse, test.baselines.linear[0].mse);
    assert!(model < 0.3 * linear, "one step ahead: model {model}, linear {linear}");
    assert!(options.out.join("metrics.csv").is_file() && options.out.join("checkpoints/best.safetensors").is_file());

    let bytes = std::fs::read(&trained.path).expect("the bundle");
    assert!(!checkpoint.is_empty(), "a checkpoint was there before the last stretch");
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
        patch: 4,
        d_model: 8,
        time_mixer: s6,
        variate_mixer: VariateMixer::Both {
            s6,
            mlp: Mlp { reduce: 3, hidden: 6 },
        },
        ..Config::default()
    };
    let (scaler, _) = Scaler::fit(&table, 0..500);
    let data = Dataset::new(&config, &scaler, &table, 0..600, &[]).expect("valid");
    let options = Options {
        streams: 4,
        tokens: 8,
        target: Target::Whole,
        validate_every: 1,
        ..Options::default()
    };
    let mut trainer = Trainer::new(&config, options, &data, 500, &Device::Cpu).expect("valid");
    let mut after = |update| {
        while trainer.advance(update, 500..600, &bands(3), &mut |_| {}).expect("trains") {}
        trainer.weights().expect("weights")
    };
    // After one update the head speaks, after two what feeds it hears of it.
    let (early, late): (BTreeMap<_, _>, BTreeMap<_, _>) = (after(1), after(6));
    for (name, values) in &late {
        assert!(values.iter().all(|w| w.is_finite()), "{name}");
        assert_ne!(values, &early[name], "{name} is not trained");
    }
}

#[test]
fn a_training_that_diverges_keeps_the_best_weights_before() {
    let table = chaos(600);
    let config = Config {
        variates: 2,
        horizon: 3,
        ..Config::default()
    };
    let (scaler, _) = Scaler::fit(&table, 0..500);
    let data = Dataset::new(&config, &scaler, &table, 0..600, &[]).expect("valid");
    let options = Options {
        learning_rate: 1e38,
        warm_up: 1,
        ..Options::default()
    };
    let mut trainer = Trainer::new(&config, options, &data, 500, &Device::Cpu).expect("valid");
    while trainer.advance(100, 500..600, &bands(3), &mut |_| {}).expect("no error") {}
    assert!(trainer.diverged().is_some_and(|update| update < 100), "{:?}", trainer.diverged());
    let best = trainer.best().expect("the initial weights at least");
    assert!(best.score.is_finite() && best.score <= 1.0, "{}", best.score);
    assert!(best.weights.values().flatten().all(|w| w.is_finite()));
}

#[test]
fn a_dataset_of_the_last_rows_holds_the_same_numbers() {
    let table = chaos(300);
    let config = Config {
        variates: 2,
        horizon: 3,
        ..Config::default()
    };
    let (scaler, _) = Scaler::fit(&table, 0..200);
    let readout: Vec<f32> = (0..config.readout_features() * 3).map(|i| (i as f32).sin()).collect();
    let [all, last] = [0, 37].map(|first| Dataset::new(&config, &scaler, &table, first..300, &readout).expect("valid"));
    assert_eq!(last.first(), 37);
    for row in [37, 38, 150, 292, 299] {
        assert_eq!(all.patches(row..row + 1), last.patches(row..row + 1));
        let [mut of_all, mut of_last] = [(); 2].map(|()| [[0.0; 6]; 3]);
        for (data, [target, linear, weight]) in [(&all, &mut of_all), (&last, &mut of_last)] {
            data.targets(row, target, linear, weight);
        }
        for (a, b) in of_all.iter().flatten().zip(of_last.iter().flatten()) {
            assert!((a - b).abs() < 1e-5, "row {row}: {a} and {b}");
        }
    }
}
