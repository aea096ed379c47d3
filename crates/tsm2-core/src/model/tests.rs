use super::*;
use crate::{Head, LinearHead, Mlp, NetworkConfig, Normalizer, S6, Season, VariateMixer, parameter_count};

/// Deterministic numbers in [-1, 1) with no structure.
fn noise(seed: u64, n: usize) -> Vec<f32> {
    let mut x = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        (x >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

const MEAN: [f32; 3] = [10.0, -5.0, 0.0];
const STD: [f32; 3] = [2.0, 0.5, 1.0];

const S6_SIZES: S6 = S6 {
    d_inner: 5,
    d_state: 3,
    dt_rank: 2,
    d_conv: 4,
};

const MLP: Mlp = Mlp { reduce: 2, hidden: 5 };

fn network() -> NetworkConfig {
    NetworkConfig {
        patch: 6,
        calendar: true,
        d_model: 8,
        time_mixer: S6_SIZES,
        variate_mixer: VariateMixer::Both { s6: S6_SIZES, mlp: MLP },
        ..NetworkConfig::default()
    }
}

fn config() -> Config {
    Config {
        variates: 3,
        horizon: 4,
        normalizer: Normalizer::Exponential { half_life: 7.0 },
        network: Some(network()),
        linear_head: LinearHead {
            lags: 5,
            season: Some(Season {
                period: 4,
                bins: None,
                rate: None,
            }),
            cross_lags: 2,
            calendar: true,
            per_variate: true,
            ..LinearHead::default()
        },
        ..Config::default()
    }
}

fn with(network: NetworkConfig) -> Config {
    Config {
        network: Some(network),
        ..config()
    }
}

struct Run {
    config: Config,
    weights: Vec<f32>,
}

impl Run {
    fn new(config: Config) -> Self {
        let count = parameter_count(&config).expect("valid");
        Self {
            config,
            weights: noise(7, count).iter().map(|w| 0.4 * w).collect(),
        }
    }

    fn model(&self) -> Model<'_> {
        Model::new(&self.config, Scaler { mean: &MEAN, std: &STD }, &self.weights).expect("valid")
    }

    /// Feeds time steps and returns the forecasts.
    fn feed(&self, state: &mut [f32], times: core::ops::Range<usize>) -> Vec<Vec<f32>> {
        let model = self.model();
        let mut scratch = vec![f32::NAN; model.scratch_len()];
        let forecast = |t: usize| {
            let mut token = model
                .step(state, &mut scratch, &readings(t), t as i64 * 60_000)
                .expect("lengths fit");
            let mut out = vec![0.0; self.config.forecast_len()];
            token.forecast(&mut out).expect("length fits");
            out
        };
        times.map(forecast).collect()
    }

    fn zero_state(&self) -> Vec<f32> {
        vec![0.0; self.model().state_len()]
    }
}

fn readings(t: usize) -> [f32; 3] {
    let z = noise(1000 + t as u64, 3);
    let mut readings: [f32; 3] = core::array::from_fn(|i| MEAN[i] + STD[i] * z[i]);
    if t % 11 == 5 {
        readings[t % 3] = f32::NAN;
    }
    readings
}

#[test]
fn a_saved_state_goes_on_bit_for_bit() {
    let linear = Config { network: None, ..config() };
    for config in [config(), linear] {
        let run = Run::new(config);
        let mut state = run.zero_state();
        let whole = run.feed(&mut state, 0..60);
        let mut first = run.zero_state();
        let mut parts = run.feed(&mut first, 0..23);
        let mut restored: Vec<f32> = first.iter().map(|x| f32::from_bits(x.to_bits())).collect();
        parts.extend(run.feed(&mut restored, 23..60));
        assert!(whole.iter().flatten().all(|x| x.is_finite()));
        assert_eq!(whole, parts);
        assert!(state.iter().zip(&restored).all(|(a, b)| a.to_bits() == b.to_bits()));
    }
}

#[test]
fn a_model_without_a_network_is_its_linear_head() {
    let linear = Run::new(Config { network: None, ..config() });
    let mut silent = Run::new(config());
    let network_weights = silent.weights.len() - linear.weights.len();
    silent.weights[..network_weights].fill(0.0);
    silent.weights[network_weights..].copy_from_slice(&linear.weights);
    let (a, b) = (
        linear.feed(&mut linear.zero_state(), 0..20),
        silent.feed(&mut silent.zero_state(), 0..20),
    );
    assert_eq!(a, b);
    assert!(linear.model().state_len() < silent.model().state_len());
    assert_eq!(linear.model().scratch_len(), linear.config.linear_head_features());
}

#[test]
fn every_option_changes_the_forecast_and_stays_finite() {
    let network = network();
    let variants = [
        config(),
        with(NetworkConfig {
            variate_mixer: VariateMixer::None,
            ..network
        }),
        with(NetworkConfig {
            variate_mixer: VariateMixer::S6(S6_SIZES),
            ..network
        }),
        with(NetworkConfig {
            variate_mixer: VariateMixer::Mlp(MLP),
            ..network
        }),
        Config {
            normalizer: Normalizer::Global,
            ..config()
        },
        with(NetworkConfig {
            calendar: false,
            ..network
        }),
        with(NetworkConfig {
            head: Head::PerVariate,
            ..network
        }),
        Config { network: None, ..config() },
        Config {
            linear_head: LinearHead::default(),
            ..config()
        },
    ];
    let mut all: Vec<Vec<f32>> = Vec::new();
    for config in variants {
        let run = Run::new(config);
        let last = run.feed(&mut run.zero_state(), 0..20).pop().expect("a forecast");
        assert!(last.iter().all(|x| x.is_finite()), "{config:?}");
        assert!(!all.contains(&last), "{config:?}");
        all.push(last);
    }
}

#[test]
fn a_past_covariate_moves_the_targets_forecasts_and_has_none() {
    let of = |config: Config, last: f32| {
        let run = Run::new(config);
        let model = run.model();
        let (mut state, mut scratch) = (run.zero_state(), vec![0.0; model.scratch_len()]);
        let mut out = vec![f32::NAN; config.forecast_len()];
        for _ in 0..3 {
            let mut token = model.step(&mut state, &mut scratch, &[9.0, -4.5, last], 0).expect("lengths fit");
            token.forecast(&mut out).expect("length fits");
        }
        (out, state.len())
    };
    // The readings stand still; an exponential normalizer would take them for their level.
    let global = Config {
        normalizer: Normalizer::Global,
        ..config()
    };
    let covariate = Config {
        past_covariates: 1,
        ..global
    };
    let unmixed = Config {
        network: Some(NetworkConfig {
            variate_mixer: VariateMixer::None,
            ..network()
        }),
        ..covariate
    };
    let own_lags = LinearHead {
        cross_lags: 0,
        ..config().linear_head
    };
    let without_cross_lags = |config| Config {
        linear_head: own_lags,
        ..config
    };
    for (config, is_read) in [
        (covariate, true),
        // By the mixers alone, and by the linear head alone.
        (without_cross_lags(covariate), true),
        (unmixed, true),
        (without_cross_lags(unmixed), false),
    ] {
        let ((calm, len), (stirred, _)) = (of(config, 0.5), of(config, -1.0));
        assert_eq!(calm.len(), 2 * 4);
        assert_eq!(calm != stirred, is_read, "{config:?}");
        let target = Config {
            past_covariates: 0,
            ..config
        };
        assert_eq!(len, of(target, 0.5).1, "its state is that of any variate");
    }
}

#[test]
fn a_targets_forecast_does_not_depend_on_whether_other_variates_are_targets() {
    // Per-variate heads lie last in each tensor, variate by variate: without the last variate's all others are the same.
    let all = Run::new(with(NetworkConfig {
        head: Head::PerVariate,
        ..network()
    }));
    let config = Config {
        past_covariates: 1,
        ..all.config
    };
    let mut some = Run::new(config);
    let heads = [4 * 8, 4, 4 * config.linear_head_features()].map(|of_variate| 3 * of_variate);
    let mut rest = all.weights.as_slice();
    some.weights = rest[..rest.len() - heads.iter().sum::<usize>()].to_vec();
    rest = &rest[some.weights.len()..];
    for tensor in heads {
        some.weights.extend_from_slice(&rest[..tensor * 2 / 3]);
        rest = &rest[tensor..];
    }
    let of_all = all.feed(&mut all.zero_state(), 0..20);
    let of_some = some.feed(&mut some.zero_state(), 0..20);
    for (all, some) in of_all.iter().zip(&of_some) {
        assert_eq!(all[..8], some[..]);
    }
}

#[test]
fn no_reading_poisons_the_state() {
    let run = Run::new(config());
    let model = run.model();
    let (mut state, mut scratch) = (run.zero_state(), vec![0.0; model.scratch_len()]);
    let mut out = [0.0; 12];
    for value in [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::MAX,
        f32::MIN,
        f32::MIN_POSITIVE,
        0.0,
    ] {
        for readings in [[value; 3], [0.0, value, 1.0]] {
            let mut token = model.step(&mut state, &mut scratch, &readings, i64::MAX).expect("lengths fit");
            token.forecast(&mut out).expect("length fits");
            assert!(out.iter().all(|x| x.is_finite()), "{value}: {out:?}");
        }
    }
    assert!(state.iter().all(|x| x.is_finite()));
}

#[test]
fn wrong_lengths_are_errors_and_leave_the_state_alone() {
    let run = Run::new(config());
    let model = run.model();
    let (mut state, mut scratch) = (run.zero_state(), vec![0.0; model.scratch_len()]);
    let fault = model
        .step(&mut state, &mut scratch, &[1.0], 0)
        .map(|_| ())
        .expect_err("one reading for three variates");
    assert_eq!(
        fault,
        Error::Length {
            buffer: "readings",
            expected: 3,
            actual: 1
        }
    );
    assert!(model.step(&mut state[1..], &mut scratch, &readings(0), 0).is_err());
    assert!(model.step(&mut state, &mut scratch[1..], &readings(0), 0).is_err());
    assert!(state.iter().all(|&x| x == 0.0));
    let mut token = model.step(&mut state, &mut scratch, &readings(0), 0).expect("lengths fit");
    assert!(token.forecast(&mut [0.0; 11]).is_err());
    let scaler = Scaler {
        mean: &MEAN,
        std: &[1.0, 0.0, 1.0],
    };
    assert_eq!(
        Model::new(&run.config, scaler, &run.weights).err(),
        Some(Error::Scaler { variate: 1 })
    );
}

#[test]
fn a_head_of_a_rank_is_the_product_of_its_factors() {
    let linear_head = LinearHead {
        relative: true,
        lags: 3,
        per_variate: true,
        ..LinearHead::default()
    };
    let whole = Config {
        variates: 2,
        horizon: 4,
        network: None,
        linear_head,
        ..Config::default()
    };
    let ranked = Config {
        linear_head: LinearHead { rank: 2, ..linear_head },
        ..whole
    };
    let number = |i: usize| ((i * 37 + 11) % 19) as f32 / 19.0 - 0.5;
    let (step, core, feature): (Vec<f32>, Vec<f32>, Vec<f32>) = (
        (0..8).map(number).collect(),
        (8..16).map(number).collect(),
        (16..22).map(number).collect(),
    );
    let product = |target: usize, row: usize, column: usize| -> f32 {
        let of_core = |i: usize, j: usize| core[(target * 2 + i) * 2 + j];
        let terms = (0..2).flat_map(|i| (0..2).map(move |j| (i, j)));
        terms
            .map(|(i, j)| step[row * 2 + i] * of_core(i, j) * feature[j * 3 + column])
            .sum()
    };
    let rows = (0..2).flat_map(|target| (0..4).map(move |row| (target, row)));
    let weights: Vec<f32> = rows
        .flat_map(|(target, row)| (0..3).map(move |column| product(target, row, column)))
        .collect();
    let factors = [step.clone(), core.clone(), feature.clone()].concat();
    let forecast = |config: &Config, weights: &[f32]| {
        let scaler = Scaler {
            mean: &[1.0, 2.0],
            std: &[2.0, 3.0],
        };
        let model = Model::new(config, scaler, weights).expect("valid");
        let (mut state, mut scratch) = (vec![0.0; model.state_len()], vec![0.0; model.scratch_len()]);
        let mut forecast = vec![0.0; 8];
        for t in 0..9 {
            let readings = [number(3 * t), number(5 * t + 1)];
            let mut token = model.step(&mut state, &mut scratch, &readings, 0).expect("a step");
            token.forecast(&mut forecast).expect("a forecast");
        }
        forecast
    };
    for (x, y) in forecast(&whole, &weights).iter().zip(forecast(&ranked, &factors)) {
        assert!((x - y).abs() < 1e-5, "{x} {y}");
    }
}
