//! The neural baselines: what they can learn, that they carry their state, and their place in a training and its resumption.

#[path = "common/chaos.rs"]
mod chaos;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use candle_core::{Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tsm2_core::{Config, NetworkConfig};
use tsm2_train::data::mask::Rate;
use tsm2_train::data::runs::Part;
use tsm2_train::data::scale::Scaler;
use tsm2_train::data::split::{Split, SplitSpec};
use tsm2_train::data::table::Table;
use tsm2_train::evaluate::neural::{self, Neural};
use tsm2_train::evaluate::{Tally, baseline_errors};
use tsm2_train::linear::step_groups::step_groups;
use tsm2_train::network::baseline::{NeuralBaseline, NeuralKind};
use tsm2_train::network::learner::Learner;
use tsm2_train::train::feed::Feed;
use tsm2_train::train::trainer::{Trainer, TrainerOptions};
use tsm2_train::train::validation_errors::BlendSums;
use tsm2_train::train::{self, Budget, Event, Stop, TrainOptions};

/// Width of the networks' hidden layers.
const HIDDEN: usize = 64;

/// Two coupled logistic maps.
fn chaos(rows: usize) -> Table {
    chaos::logistic_maps(rows, |_| false)
}

/// Of this number of variates and steps.
fn config(variates: usize, past_covariates: usize, horizon: usize) -> Config {
    Config {
        variates,
        past_covariates,
        horizon,
        network: Some(NetworkConfig {
            patch: PATCH,
            ..NetworkConfig::default()
        }),
        ..Config::default()
    }
}

/// Samples in a patch.
const PATCH: usize = 12;

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
    let config = config(2, 0, 1);
    let feed = Feed::new(&config, &scaler, &table, &[], &|| ()).expect("valid");
    let options = TrainerOptions {
        standalone: true,
        ..TrainerOptions::default()
    };
    for kind in NeuralKind::ALL {
        let initial = |rng: &mut ChaCha8Rng| {
            let network = NeuralBaseline::initial(kind, HIDDEN, &config, rng, &Device::Cpu)?;
            Ok(Box::new(network) as Box<dyn Learner>)
        };
        let mut trainer = Trainer::new(initial, options, &feed, &train, &Device::Cpu).expect("valid");
        trainer.advance(300, &Stop::default(), &mut |_| {}).expect("trains");
        trainer.validate_average(&validation, &step_groups(1)).expect("measures");
        let best = trainer.best().expect("a best");
        let whole = best.errors.group(0..1).sum::<BlendSums>();
        let mse = whole.mse(1.0);
        assert!(mse < 0.2 * linear, "{kind:?}: {mse}, linear {linear}");
        // Nothing stands beside the network: its own error is what it is judged by.
        assert!((best.score - whole.mse(1.0) / whole.mse(0.0)).abs() < 1e-9, "{}", best.score);
    }
}

#[test]
fn a_stretch_in_pieces_with_the_state_carried_is_the_whole_stretch() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let config = config(3, 1, 4);
    for kind in NeuralKind::ALL {
        let random = NeuralBaseline::initial(kind, HIDDEN, &config, &mut rng, &Device::Cpu).expect("a network");
        // The head is zero at first.
        let peer = NeuralBaseline::new(kind, HIDDEN, &config, &Device::Cpu, |name, shape| {
            let own = random.parameters().iter().find(|p| p.name == name).expect("the same tensors");
            let count: usize = shape.iter().product();
            match name {
                "head.weight" => Ok((0..count).map(|i| (i as f32 * 0.37).sin()).collect()),
                _ => own.var.flatten_all()?.to_vec1(),
            }
        })
        .expect("a network");
        let values: Vec<f32> = (0..2 * 31 * 3 * PATCH).map(|i| (i as f32 * 0.7).sin()).collect();
        let patches = Tensor::from_vec(values, (2, 31, 3, PATCH), &Device::Cpu).expect("fits");
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
        budget: Some(Budget::Updates(40)),
        calendar: false,
        size: train::Size::default(),
        statics: None,
        missing_rate: Rate::default(),
        tensorboard: false,
        resume: false,
        from: None,
        baselines: true,
        device: Device::Cpu,
        stop: Stop::default(),
    }
}

/// Trains; the names of what was trained.
fn train(table: &Table, options: &TrainOptions) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let trained = train::run(table, options, &mut |event| {
        if let Event::Progress { task, .. } = event {
            names.insert(task.to_owned());
        }
    });
    trained.expect("trains");
    names
}

#[test]
fn a_training_ends_with_its_baselines_and_finished_ones_are_not_trained_again() {
    let table = chaos(1200);
    let folder = tempfile::tempdir().expect("temporary folder");
    let options = options(folder.path());
    let names = train(&table, &options);
    assert!(["gru", "mlp", "tsm2"].iter().all(|name| names.contains(*name)), "{names:?}");
    let model = folder.path().join(train::MODEL);
    let paths = NeuralKind::ALL.map(|kind| neural::file(&model, kind));

    let split = SplitSpec::Rows([900, 150, 150]).resolve(1200).expect("a split");
    let (scaler, _) = Scaler::fit(&table, &split);
    let (z, test) = (scaler.standardise_targets(&table), table.part(&split, Part::Test));
    for path in &paths {
        let baseline = Neural::open(path).expect("a baseline");
        let tally = Tally::new(&z, 2, &test, &[2]).expect("a horizon");
        let errors = baseline
            .tally(&table, &scaler, tally, &|_| ())
            .expect("runs")
            .errors()
            .expect("measures")
            .total;
        assert_eq!(errors[0].origins, 149);
        assert!(errors[0].mse.is_finite() && errors[0].mse < 2.0, "{errors:?}");
    }

    let files = || [&model, &paths[0], &paths[1]].map(|path| fs::read(path).expect("a file"));
    let before = files();
    let resume = TrainOptions {
        resume: true,
        ..options.clone()
    };
    let names = train(&table, &resume);
    assert!(names.is_empty(), "nothing is trained again: {names:?}");
    assert!(before == files(), "the files are the same");
    // A baseline that was not begun is trained, and nothing else.
    for i in 0..2 {
        fs::remove_file(folder.path().join(format!("checkpoints/gru-{i}.safetensors"))).expect("removes");
    }
    let names = train(&table, &resume);
    assert_eq!(names, ["gru", "gru, trials"].map(String::from).into());
    assert!(before == files(), "the files are the same");

    let alone = TrainOptions {
        baselines: false,
        ..options
    };
    let names = train(&table, &alone);
    assert!(
        !names.contains("gru") && !paths[0].exists(),
        "the baselines of an earlier training are gone"
    );
}

#[test]
fn a_file_that_is_no_baseline_is_named() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("gru.safetensors");
    for bytes in [&b""[..], b"\x02\0\0\0\0\0\0\0{}", b"no tensors"] {
        fs::write(&path, bytes).expect("writes");
        let message = Neural::open(&path).expect_err("no baseline").to_string();
        assert!(
            message.contains("gru.safetensors") && message.contains("train the model again"),
            "{message}"
        );
    }
}
