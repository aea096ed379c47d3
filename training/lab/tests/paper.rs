//! Window mode: what reaches what in its networks, what its windows hold, and that it learns.

#[path = "../../tests/common/chaos.rs"]
mod chaos;

use candle_core::{Device, Tensor, Var};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tsm2_core::{Mlp, S6, VariateMixer};
use tsm2_lab::paper::{Budget, PaperError, Part, TimeMixer, Variant, WindowConfig, WindowNetwork, Windows, fit, naive, revin};
use tsm2_train::data::scale::Scaler;
use tsm2_train::data::split::Split;
use tsm2_train::data::table::Table;
use tsm2_train::evaluate::baseline_errors;
use tsm2_train::network::mixer::Directions;

const SCAN: S6 = S6 {
    d_inner: 20,
    d_state: 2,
    dt_rank: 1,
    d_conv: 3,
};

/// Three variates of 32 samples, in 7 tokens.
fn small() -> WindowConfig {
    WindowConfig {
        variates: 3,
        lookback: 32,
        horizon: 2,
        patch: 8,
        stride: 4,
        d_model: 12,
        layers: 2,
        time: TimeMixer::S6(SCAN),
        variate: VariateMixer::S6(SCAN),
        directions: Directions::Both,
        max_span: None,
    }
}

fn network(config: &WindowConfig) -> WindowNetwork {
    WindowNetwork::initial(config, &mut ChaCha8Rng::seed_from_u64(5), &Device::Cpu).expect("a valid configuration")
}

/// Patches of two windows, every number another.
fn patches(config: &WindowConfig) -> Vec<f32> {
    let count = 2 * config.tokens() * config.variates * config.patch;
    (0..count).map(|i| ((i * 7919 % 997) as f32 / 400.0 - 1.2).sin()).collect()
}

fn tensor(config: &WindowConfig, patches: &[f32]) -> Tensor {
    let shape = (2, config.tokens(), config.variates, config.patch);
    Tensor::from_slice(patches, shape, &Device::Cpu).expect("a shape that fits")
}

/// The features as numbers, `[windows * tokens * variates][D]`.
fn features(network: &WindowNetwork, patches: &[f32]) -> Vec<Vec<f32>> {
    let features = network.features(&tensor(network.config(), patches)).expect("features");
    let d = network.config().d_model;
    let numbers = features.flatten_all().and_then(|all| all.to_vec1::<f32>()).expect("numbers");
    numbers.chunks(d).map(<[f32]>::to_vec).collect()
}

/// Which features `[tokens][variates]` of the first window change with the patch of a token and variate; those of the second never may.
fn reached(config: &WindowConfig, token: usize, variate: usize) -> Vec<Vec<bool>> {
    let network = network(config);
    let before = patches(config);
    let mut after = before.clone();
    let start = (token * config.variates + variate) * config.patch;
    after[start..start + config.patch].iter_mut().for_each(|x| *x += 1.0);
    let (before, after) = (features(&network, &before), features(&network, &after));
    let changed: Vec<bool> = before.iter().zip(&after).map(|(before, after)| before != after).collect();
    let (first, second) = changed.split_at(config.tokens() * config.variates);
    assert!(second.iter().all(|changed| !changed), "windows meet");
    first.chunks(config.variates).map(<[bool]>::to_vec).collect()
}

#[test]
fn a_forecast_has_a_number_for_every_variate_and_lead_whatever_the_mixers() {
    let mlp = VariateMixer::Mlp(Mlp { reduce: 2, hidden: 5 });
    for (time, variate) in [(TimeMixer::S6(SCAN), VariateMixer::S6(SCAN)), (TimeMixer::Linear, mlp)] {
        let config = WindowConfig { time, variate, ..small() };
        assert_eq!(config.tokens(), 7);
        let forecast = network(&config).forward(&tensor(&config, &patches(&config))).expect("a forecast");
        assert_eq!(forecast.dims(), [2, 3, 2], "{config:?}");
    }
}

#[test]
fn a_scan_looks_back_only_and_a_matrix_both_ways() {
    for time in [TimeMixer::S6(SCAN), TimeMixer::Linear] {
        let causal = matches!(time, TimeMixer::S6(_));
        let config = WindowConfig {
            time,
            variate: VariateMixer::None,
            ..small()
        };
        for (token, changed) in reached(&config, 3, 1).iter().enumerate() {
            // Variates do not meet without a mixer.
            assert_eq!(*changed, [false, !causal || token >= 3, false], "{time:?}, token {token}");
        }
    }
}

#[test]
fn variates_meet_within_a_token_in_the_order_of_the_mixers_directions() {
    let with = |variate, directions| {
        let config = WindowConfig {
            variate,
            directions,
            max_span: Some(0),
            ..small()
        };
        reached(&config, 3, 1)
    };
    let s6 = VariateMixer::S6(SCAN);
    for (token, (one, both)) in with(s6, Directions::One).iter().zip(with(s6, Directions::Both)).enumerate() {
        let since = token >= 3;
        assert_eq!((one.clone(), both), (vec![false, since, since], vec![since; 3]), "token {token}");
    }
}

#[test]
fn an_averaging_that_starts_is_the_plain_stack_and_reaches_as_far_back_as_it_may() {
    let spanned = |max_span| {
        let config = WindowConfig {
            layers: 4,
            max_span,
            ..small()
        };
        network(&config)
    };
    let (plain, all) = (spanned(Some(0)), spanned(None));
    let seen = patches(plain.config());
    let stack = features(&plain, &seen);
    assert!(plain.parameters().list().iter().all(|p| !p.name.contains("average")));
    for (span, reach) in [(Some(1), 1), (Some(2), 2), (None, 4), (Some(9), 4)] {
        let network = spanned(span);
        assert_eq!(features(&network, &seen), stack, "{span:?}");
        let terms = |name: &str| {
            network
                .parameters()
                .get(&format!("layers.3.average.{name}"))
                .expect("a tensor")
                .dims()[0]
        };
        assert_eq!(
            ["alpha", "beta", "theta", "gamma"].map(terms),
            [reach, reach, reach + 1, reach],
            "{span:?}"
        );
    }
    let alpha = all
        .parameters()
        .list()
        .iter()
        .find(|p| p.name == "layers.3.average.alpha")
        .expect("a tensor");
    alpha
        .var
        .set(&Tensor::new(&[0.5f32, 0.0, 0.0, 0.0], &Device::Cpu).expect("a tensor"))
        .expect("fits");
    assert_ne!(features(&all, &seen), stack);
}

#[test]
fn every_number_of_every_variant_learns() {
    let ours = Variant::ablations().into_iter().chain(Variant::spans());
    let tables = ours.map(|variant| {
        (
            variant.name,
            WindowConfig {
                lookback: 64,
                ..variant.config(3, 4)
            },
        )
    });
    for (name, config) in tables {
        let network = network(&config);
        // The head starts silent, and would let nothing through.
        for head in network
            .parameters()
            .list()
            .iter()
            .filter(|p| p.name == "head.weight" || p.name.ends_with("mlp.out.weight"))
        {
            let values = Tensor::randn(0f32, 0.1, head.var.shape(), &Device::Cpu).expect("a tensor");
            head.var.set(&values).expect("fits");
        }
        let said = network.forward(&tensor(&config, &patches(&config))).expect("a forecast");
        let gradients = (said - 1.0)
            .and_then(|error| error.sqr()?.sum_all()?.backward())
            .expect("a way back");
        for parameter in network.parameters().list() {
            let gradient = gradients
                .get(&parameter.var)
                .unwrap_or_else(|| panic!("{name}: {} is not reached", parameter.name));
            let norm = gradient.sqr().and_then(|g| g.sum_all()?.to_scalar::<f32>()).expect("a number");
            assert!(norm.is_finite() && norm > 0.0, "{name}: {}: {norm}", parameter.name);
        }
    }
}

#[test]
fn a_window_is_what_it_was_when_its_mean_and_deviation_are_given_back() {
    let original: Vec<f32> = (0..40).map(|i| 20.0 + (i as f32).sin()).collect();
    let mut window = original.clone();
    let (mean, sd) = revin(&mut window);
    let (sum, squares) = window.iter().fold((0.0, 0.0), |(sum, squares), x| (sum + x, squares + x * x));
    assert!((sum / 40.0).abs() < 1e-4 && (squares / 40.0 - 1.0).abs() < 1e-3, "{sum} {squares}");
    for (x, original) in window.iter().zip(&original) {
        assert!((x * sd + mean - original).abs() < 1e-5);
    }
    let mut still = [3.0; 8];
    assert!(revin(&mut still).1 > 0.0 && still == [0.0; 8]);
}

/// Two coupled logistic maps; every fiftieth reading of the second is missing.
fn chaos(rows: usize) -> Table {
    chaos::logistic_maps(rows, |row| row % 50 == 49)
}

const SPLIT: Split = Split {
    train: 1000,
    validation: 250,
    test: 250,
};

#[test]
fn a_window_ends_before_its_origin_and_what_is_missing_does_not_count() {
    let table = chaos(1500);
    let windows = Windows::new(&table, SPLIT, 32, 3).expect("windows");
    assert_eq!(windows.examples(Part::Training), 32..998);
    assert_eq!(windows.examples(Part::Validation), 1000..1248);
    assert_eq!(windows.examples(Part::Test), 1250..1498);
    let (scaler, _) = Scaler::fit(&table, &SPLIT);
    let (mut window, mut target, mut weight) = ([0.0; 64], [0.0; 6], [0.0; 6]);
    windows.write(1248, &mut window, &mut target, &mut weight);
    // Row 1249 of the second variate is missing.
    assert!(
        weight[4] == 0.0 && weight.iter().enumerate().all(|(i, w)| i == 4 || *w > 0.0),
        "{weight:?}"
    );
    // All of it in units of the window, whose deviation the weight is the square of: the last row's step to the next is the table's.
    let z = |row: usize| (table.row(row)[0] - scaler.mean[0]) / scaler.std[0];
    let step = (target[0] - window[31]) * weight[0].sqrt();
    assert!((step - (z(1248) - z(1247))).abs() < 1e-5, "{step}");
}

fn budget(updates: usize, seed: u64) -> Budget {
    Budget {
        updates,
        windows: 32,
        learning_rate: 5e-3,
        seed,
    }
}

#[test]
fn a_short_training_learns_what_no_linear_map_can_and_repeats_itself() {
    let table = chaos(1500);
    let config = WindowConfig {
        variates: 2,
        lookback: 8,
        horizon: 1,
        patch: 2,
        stride: 1,
        d_model: 16,
        layers: 1,
        ..small()
    };
    let windows = Windows::new(&table, SPLIT, 8, 1).expect("windows");
    let fitted = fit(&config, budget(300, 1), &windows, &mut || ()).expect("trains");
    let (scaler, _) = Scaler::fit(&table, &SPLIT);
    let (linear, _) = baseline_errors(&table, &scaler, &SPLIT, &(1250..1500).into(), &[1]).expect("linear maps");
    let linear_all = linear.linear_all.expect("two variates")[0].mse;
    assert!(fitted.test.mse < 0.5 * linear_all, "{fitted:?} where a linear map has {linear_all}");
    let repeated = naive(&config, &windows);
    assert!((repeated.mse / linear.naive[0].mse - 1.0).abs() < 1e-4, "{repeated:?}");
    assert!(fitted.diverged.is_none() && fitted.largest_gradient > 0.0);

    let mut ticks = 0;
    let mut figures =
        |seed| fit(&config, budget(20, seed), &windows, &mut || ticks += 1).map(|f| (f.test, f.validation, f.largest_gradient));
    let (one, again, other) = (
        figures(1).expect("trains"),
        figures(1).expect("trains"),
        figures(2).expect("trains"),
    );
    assert_eq!(one, again);
    assert_ne!(one, other);
    assert_eq!(ticks, 60);
}

#[test]
fn what_cannot_be_is_named() {
    let fails = |config: WindowConfig| config.validate().expect_err("it cannot be").to_string();
    let message = fails(WindowConfig { lookback: 7, ..small() });
    assert!(message.contains("lookback of 7") && message.contains("patch of 8"), "{message}");
    assert!(fails(WindowConfig { horizon: 0, ..small() }).contains("horizon"));
    assert!(fails(WindowConfig { stride: 0, ..small() }).contains("stride"));
    let table = chaos(1500);
    for (lookback, horizon, part) in [(999, 2, "training"), (32, 251, "validation")] {
        let error = Windows::new(&table, SPLIT, lookback, horizon).err().expect("too short");
        assert!(matches!(error, PaperError::Split(_)), "{error}");
        assert!(
            error.to_string().contains(part) && error.to_string().contains(&horizon.to_string()),
            "{error}"
        );
    }
    assert!(matches!(Windows::new(&table, SPLIT, 32, 0), Err(PaperError::Zero(_))));
    let var = Var::zeros((1, 2, 3), candle_core::DType::F32, &Device::Cpu).expect("a variable");
    assert!(network(&small()).forward(&var).is_err());
}
