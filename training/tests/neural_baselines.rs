//! The neural baselines: what they can learn, that they carry their state, and their place in a training and its resumption.

#[path = "common/chaos.rs"]
mod chaos;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use candle_core::{Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tsm2_core::Config;
use tsm2_train::data::dataset::Dataset;
use tsm2_train::data::mask::Rate;
use tsm2_train::data::runs::Part;
use tsm2_train::data::scale::Scaler;
use tsm2_train::data::split::{Split, SplitSpec};
use tsm2_train::data::table::Table;
use tsm2_train::evaluate::baseline_errors;
use tsm2_train::linear::step_groups::step_groups;
use tsm2_train::network::baseline::{NeuralBaseline, NeuralKind, WINDOW, baseline_config};
use tsm2_train::network::learner::Learner;
use tsm2_train::train::trainer::{Target, Trainer, TrainerOptions};
use tsm2_train::train::{self, Event, TrainOptions};

/// Two coupled logistic maps.
fn chaos(rows: usize) -> Table {
    chaos::logistic_maps(rows, |_| false)
}

#[test]
fn each_network_learns_a_recurrence_that_no_linear_map_can_follow() {
    let table = chaos(1500);
    let split = Split {
        train: 1000,
        validation: 500,
        test: 0,
    };
    let (scaler, _) = Scaler::fit(&table, &split);
    let [train, validation] = [Part::Train, Part::Validation].map(|part| table.part(&split, part));
    let (linear, _) = baseline_errors(&table, &scaler, &split, &validation, &[1]).expect("linear models");
    let linear = linear.linear_all.expect("two variates")[0].mse;
    let config = baseline_config(&Config {
        variates: 2,
        horizon: 1,
        ..Config::default()
    });
    let data = Dataset::new(&config, &scaler, &table, &[0..1500], &[]).expect("valid");
    let options = TrainerOptions {
        updates: 300,
        target: Target::Standalone,
        ..TrainerOptions::default()
    };
    for kind in NeuralKind::ALL {
        let initial = |rng: &mut ChaCha8Rng| NeuralBaseline::initial(kind, &config, rng, &Device::Cpu);
        let mut trainer = Trainer::new(initial, options, &data, &train, &Device::Cpu).expect("valid");
        while trainer.advance(300, &validation, &step_groups(1), &mut |_| {}).expect("trains") {}
        let best = trainer.best().expect("a best");
        let mse = best
            .errors
            .group(0..1)
            .sum::<tsm2_train::train::validation_errors::BlendSums>()
            .mse(1.0);
        assert!(mse < 0.2 * linear, "{kind:?}: {mse}, linear {linear}");
        // Nothing stands beside the network: its own error is what it is judged by.
        let whole = best.errors.group(0..1).sum::<tsm2_train::train::validation_errors::BlendSums>();
        assert!((best.score - whole.mse(1.0) / whole.mse(0.0)).abs() < 1e-9, "{}", best.score);
    }
}

#[test]
fn a_stretch_in_pieces_with_the_state_carried_is_the_whole_stretch() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let config = baseline_config(&Config {
        variates: 3,
        past_covariates: 1,
        horizon: 4,
        ..Config::default()
    });
    for kind in NeuralKind::ALL {
        let random = NeuralBaseline::initial(kind, &config, &mut rng, &Device::Cpu).expect("a network");
        // The head is zero at first.
        let peer = NeuralBaseline::new(kind, &config, &Device::Cpu, |name, shape| {
            let own = random.parameters().iter().find(|p| p.name == name).expect("the same tensors");
            let count: usize = shape.iter().product();
            match name {
                "head.weight" => Ok((0..count).map(|i| (i as f32 * 0.37).sin()).collect()),
                _ => own.var.flatten_all()?.to_vec1(),
            }
        })
        .expect("a network");
        let values: Vec<f32> = (0..2 * 31 * 3 * WINDOW).map(|i| (i as f32 * 0.7).sin()).collect();
        let patches = Tensor::from_vec(values, (2, 31, 3, WINDOW), &Device::Cpu).expect("fits");
        let zero = peer.zero_state(2, &Device::Cpu).expect("a state");
        let (whole, _) = peer.forward(&patches, &zero).expect("runs");
        let (mut state, mut pieces) = (zero, Vec::new());
        for (from, len) in [(0, 1), (1, 13), (14, 17)] {
            let (said, next) = peer.forward(&patches.narrow(1, from, len).expect("a piece"), &state).expect("runs");
            state = next;
            pieces.push(said);
        }
        let numbers = |x: &Tensor| x.flatten_all().expect("flat").to_vec1::<f32>().expect("numbers");
        let pieces = numbers(&Tensor::cat(&pieces, 1).expect("one"));
        let worst = pieces
            .iter()
            .zip(numbers(&whole))
            .fold(0.0f32, |worst, (a, b)| worst.max((a - b).abs()));
        assert!(worst < 1e-4, "{kind:?}: {worst:e}");
        assert!(pieces.iter().any(|said| said.abs() > 0.1), "{kind:?} says something");
    }
}

fn options(out: &Path) -> TrainOptions {
    TrainOptions {
        split: SplitSpec::Rows([900, 150, 150]),
        horizon: 2,
        out: out.to_owned(),
        name: "chaos".into(),
        seed: 3,
        updates: Some(40),
        calendar: false,
        statics: None,
        missing_rate: Rate::default(),
        resume: false,
        baselines: true,
        device: Device::Cpu,
    }
}

/// Trains; the names of what was trained.
fn train(table: &Table, options: &TrainOptions) -> (train::Trained, BTreeSet<String>) {
    let mut names = BTreeSet::new();
    let trained = train::run(table, options, &mut |event| {
        if let Event::Training { name, .. } = event {
            names.insert(name.to_owned());
        }
    });
    (trained.expect("trains"), names)
}

#[test]
fn a_training_ends_with_its_baselines_and_finished_ones_are_not_trained_again() {
    let table = chaos(1200);
    let folder = tempfile::tempdir().expect("temporary folder");
    let options = options(folder.path());
    let (trained, names) = train(&table, &options);
    assert!(
        names.contains("gru") && names.contains("mlp") && names.contains("full"),
        "{names:?}"
    );
    let test = trained.test.expect("a test part");
    let gru = test.baselines.gru.expect("trained");
    let path = folder.path().join("metrics.csv");
    let metrics = fs::read_to_string(&path).expect("metrics");
    for name in ["tsm2", "linear", "linear_all", "gru", "mlp"] {
        let rows = metrics.lines().filter(|line| line.starts_with(&format!("test,{name},"))).count();
        assert_eq!(rows, gru.len(), "{name} in {metrics}");
    }

    let files = || [&trained.path, &path].map(|path| fs::read(path).expect("a file"));
    let before = files();
    let resume = TrainOptions {
        resume: true,
        ..options.clone()
    };
    let (_, names) = train(&table, &resume);
    assert!(names.is_empty(), "nothing is trained again: {names:?}");
    assert!(before == files(), "the files are the same");
    // Baselines that were not finished begin again, TSM2 does not.
    fs::remove_file(&path).expect("removes");
    let (_, names) = train(&table, &resume);
    assert_eq!(names, ["gru", "mlp"].map(String::from).into());
    assert!(before == files(), "the files are the same");

    let alone = TrainOptions {
        baselines: false,
        ..options
    };
    let (trained, names) = train(&table, &alone);
    let metrics = fs::read_to_string(&path).expect("metrics");
    assert!(
        !names.contains("gru") && !metrics.contains("gru"),
        "the errors of an earlier training are gone"
    );
    assert!(trained.test.expect("a test part").baselines.gru.is_none());
}
