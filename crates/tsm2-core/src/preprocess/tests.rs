use super::normalizer::VARIANCE_EPS;
use super::*;
use crate::{LinearHead, NetworkConfig, Normalizer, SEASON_RATES, Season};

const ONE: Scaler = Scaler { mean: &[0.0], std: &[1.0] };

/// A network with patches of `patch` samples.
fn patches(patch: usize, calendar: bool) -> Option<NetworkConfig> {
    Some(NetworkConfig {
        patch,
        calendar,
        ..NetworkConfig::default()
    })
}

/// A small, well-mixed sequence in [-1, 1).
fn noise(i: u64) -> f32 {
    let mut x = i.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x ^= x >> 29;
    x = x.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x ^= x >> 32;
    (x & 0xFFFF) as f32 / 32768.0 - 1.0
}

fn run(config: &Config, samples: impl IntoIterator<Item = f32>) -> (Preprocessor<'static>, Vec<f32>) {
    let preprocessor = Preprocessor::new(config, ONE).expect("valid");
    let mut state = vec![0.0; preprocessor.state_len()];
    for x in samples {
        preprocessor.push(&mut state, &[x], 0).expect("one reading");
    }
    (preprocessor, state)
}

#[test]
fn a_counter_of_any_numbers_goes_on() {
    let (preprocessor, mut state) = run(&Config::default(), [1.0]);
    for number in [f32::MAX, f32::INFINITY, f32::NAN, -1.0, 16_777_215.0] {
        state[..2].fill(number);
        preprocessor.push(&mut state, &[1.0], 0).expect("one reading");
        assert!(preprocessor.samples(&state) <= COUNTER_BASE * COUNTER_BASE);
    }
}

#[test]
fn a_patch_holds_the_last_samples_and_is_padded_with_the_first() {
    let config = Config {
        network: patches(4, false),
        ..Config::default()
    };
    let mut patch = [0.0; 4];
    let (preprocessor, state) = run(&config, [3.0, 5.0]);
    preprocessor.patch(&state, 0, &mut patch);
    assert_eq!(patch, [3.0, 3.0, 3.0, 5.0]);
    let (preprocessor, state) = run(&config, (0..9).map(|i| i as f32));
    preprocessor.patch(&state, 0, &mut patch);
    assert_eq!(patch, [5.0, 6.0, 7.0, 8.0]);
}

#[test]
fn a_missing_reading_is_forward_filled_and_a_late_first_reading_stands_for_the_past() {
    let config = Config {
        network: patches(4, false),
        ..Config::default()
    };
    let mut patch = [0.0; 4];
    let (preprocessor, state) = run(&config, [1.0, f32::NAN, f32::INFINITY, 2.0]);
    preprocessor.patch(&state, 0, &mut patch);
    assert_eq!(patch, [1.0, 1.0, 1.0, 2.0]);
    let (preprocessor, state) = run(&config, [f32::NAN, f32::NAN]);
    preprocessor.patch(&state, 0, &mut patch);
    assert_eq!(patch, [0.0; 4]);
    let (preprocessor, state) = run(&config, [f32::NAN, f32::NAN, 2.0]);
    preprocessor.patch(&state, 0, &mut patch);
    assert_eq!(patch, [2.0; 4]);

    let linear_head = LinearHead {
        season: Some(Season { period: 2 }),
        ..LinearHead::default()
    };
    let mut averages = [0.0; 6];
    let (preprocessor, state) = run(&Config { linear_head, ..config }, [f32::NAN, f32::NAN, f32::NAN, 2.0]);
    preprocessor.features(&state, 0, &mut averages);
    assert_eq!(averages, [2.0; 6]);
    let (preprocessor, state) = run(&config, [1e30]);
    assert_eq!(preprocessor.newest(&state, 0), Z_LIMIT);
}

#[test]
fn exponential_statistics_match_their_definition() {
    let config = Config {
        normalizer: Normalizer::Exponential { half_life: 20.0 },
        ..Config::default()
    };
    let samples: Vec<f32> = (0..500).map(|i| 5.0 + 0.1 * noise(i)).collect();
    let (preprocessor, state) = run(&config, samples.iter().copied());
    let decay = 0.5f64.powf(1.0 / 20.0);
    let weights: Vec<f64> = (0..500).map(|i| decay.powi(499 - i)).collect();
    let total: f64 = weights.iter().sum();
    let mean = weights.iter().zip(&samples).map(|(w, &x)| w * f64::from(x)).sum::<f64>() / total;
    let variance = weights
        .iter()
        .zip(&samples)
        .map(|(w, &x)| w * (f64::from(x) - mean).powi(2))
        .sum::<f64>()
        / total;
    let (mu, sd) = preprocessor.statistics(&state, 0);
    assert!((f64::from(mu) - mean).abs() < 1e-6 && (f64::from(sd) - (variance + VARIANCE_EPS).sqrt()).abs() < 1e-6);
}

#[test]
fn a_day_without_readings_leaves_the_exponential_statistics_unchanged() {
    let config = Config {
        normalizer: Normalizer::Exponential { half_life: 20.0 },
        ..Config::default()
    };
    let before = || (0..500).map(noise);
    let (preprocessor, state) = run(&config, before());
    let (after, held) = run(&config, before().chain((0..1440).map(|_| f32::NAN)));
    assert_eq!(preprocessor.statistics(&state, 0), after.statistics(&held, 0));
    assert!(preprocessor.statistics(&state, 0).1 > 0.1);
}

#[test]
fn features_are_lags_then_seasons_then_the_others() {
    let linear_head = LinearHead {
        lags: 2,
        season: Some(Season { period: 3 }),
        cross_lags: 2,
        ..LinearHead::default()
    };
    let config = Config {
        variates: 2,
        network: patches(1, false),
        linear_head,
        ..Config::default()
    };
    let preprocessor = Preprocessor::new(
        &config,
        Scaler {
            mean: &[0.0, 0.0],
            std: &[1.0, 1.0],
        },
    )
    .expect("valid");
    let mut state = vec![0.0; preprocessor.state_len()];
    for i in 0..5 {
        preprocessor
            .push(&mut state, &[i as f32, 10.0 + i as f32], 0)
            .expect("two readings");
    }
    let mut phi = [0.0; 13];
    assert_eq!(config.linear_head_features(), 13);
    preprocessor.features(&state, 0, &mut phi);
    // Places 0, 1, 2 hold (0, 3), (1, 4), (2); the newest sample, 4, went to place 1, so place 2 is the oldest.
    let average = |old: f32, new: f32, rate: f32| rate * old + (1.0 - rate) * new;
    for (g, rate) in SEASON_RATES.into_iter().enumerate() {
        assert_eq!(phi[2 + 3 * g..5 + 3 * g], [2.0, average(0.0, 3.0, rate), average(1.0, 4.0, rate)]);
    }
    assert_eq!((&phi[..2], &phi[11..]), ([3.0, 4.0].as_slice(), [13.0, 14.0].as_slice()));
}

#[test]
fn the_calendar_turns_once_a_day_and_once_a_week() {
    let config = Config {
        network: patches(1, true),
        ..Config::default()
    };
    let preprocessor = Preprocessor::new(&config, ONE).expect("valid");
    let mut state = vec![0.0; preprocessor.state_len()];
    let mut patch = [0.0; 5];
    preprocessor
        .push(&mut state, &[0.0], 1_704_067_200_000 + 6 * 3_600_000)
        .expect("one reading"); // Monday 2024-01-01, 06:00 UTC
    preprocessor.patch(&state, 0, &mut patch);
    let day = [1.0, 0.0];
    let week = (core::f32::consts::TAU / 28.0).sin_cos();
    for (got, want) in patch[1..].iter().zip([day[0], day[1], week.0, week.1]) {
        assert!((got - want).abs() < 1e-5, "{patch:?}");
    }
}

#[test]
fn future_covariates_move_up_with_every_time_step_and_stand_at_their_last_value() {
    // Two variates; the second is a future covariate. H = 6: bands 0, 1, 2, 3, 4..6.
    let config = Config {
        variates: 2,
        future_covariates: 1,
        horizon: 6,
        network: patches(1, false),
        linear_head: LinearHead {
            calendar: true,
            future_covariates: true,
            ..LinearHead::default()
        },
        ..Config::default()
    };
    let scaler = Scaler {
        mean: &[0.0, 10.0],
        std: &[1.0, 2.0],
    };
    let preprocessor = Preprocessor::new(&config, scaler).expect("valid");
    let mut state = vec![0.0; preprocessor.state_len()];
    let seen = |state: &[f32]| {
        let (mut patch, mut phi) = ([0.0; 6], [0.0; 9]);
        assert_eq!((config.patch_len(), config.linear_head_features()), (6, 9));
        preprocessor.patch(state, 0, &mut patch);
        preprocessor.features(state, 0, &mut phi);
        assert_eq!(patch[1..], phi[4..], "both read the same");
        patch[1..].to_vec()
    };
    preprocessor.push(&mut state, &[0.0, 10.0], 0).expect("two readings");
    assert_eq!(seen(&state), [0.0; 5], "no value is known");

    // The next time step and two more; one between them is not known.
    preprocessor
        .set_future(&mut state, 1, &[10.0, 14.0, f32::NAN, 18.0])
        .expect("a future covariate");
    preprocessor.push(&mut state, &[0.0, 12.0], 0).expect("two readings");
    assert_eq!(seen(&state), [1.0, 1.0, 3.0, 3.0, 3.0], "relative to the newest sample");
    // A missing reading stands at its known value.
    preprocessor.push(&mut state, &[0.0, f32::NAN], 0).expect("two readings");
    assert_eq!((preprocessor.newest(&state, 1), seen(&state)), (2.0, vec![0.0, 2.0, 2.0, 2.0, 2.0]));
    for _ in 0..2 {
        preprocessor.push(&mut state, &[0.0, 18.0], 0).expect("two readings");
    }
    assert_eq!(seen(&state), [0.0; 5], "all known values have passed");
    preprocessor.push(&mut state, &[0.0, f32::NAN], 0).expect("two readings");
    assert_eq!(preprocessor.newest(&state, 1), 4.0, "forward-filled, as any reading");

    // Values that begin later: the steps before them stand at the newest sample.
    preprocessor
        .set_future(&mut state, 1, &[f32::NAN, f32::NAN, 20.0])
        .expect("a future covariate");
    preprocessor.push(&mut state, &[0.0, f32::NAN], 0).expect("two readings");
    assert_eq!((preprocessor.newest(&state, 1), seen(&state)), (4.0, vec![0.0, 1.0, 1.0, 1.0, 1.0]));

    preprocessor.set_future(&mut state, 1, &[1e30; 7]).expect("a future covariate");
    preprocessor.push(&mut state, &[0.0, 10.0], 0).expect("two readings");
    let mut patch = [0.0; 6];
    preprocessor.patch(&state, 0, &mut patch);
    assert_eq!(patch[1..], [PATCH_LIMIT; 5]);
    preprocessor.set_future(&mut state, 1, &[]).expect("a future covariate");
    preprocessor.push(&mut state, &[0.0, 10.0], 0).expect("two readings");
    assert_eq!(seen(&state), [0.0; 5], "replaced by nothing");

    assert_eq!(
        preprocessor.set_future(&mut state, 0, &[1.0]),
        Err(Error::NotFutureCovariate { variate: 0 })
    );
    assert_eq!(
        preprocessor.set_future(&mut state, 2, &[1.0]),
        Err(Error::NotFutureCovariate { variate: 2 })
    );
    assert!(preprocessor.set_future(&mut state, 1, &[1.0; 8]).is_err());
    assert!(preprocessor.set_future(&mut state[1..], 1, &[1.0]).is_err());
}

#[test]
fn the_parts_of_the_state_lie_one_after_the_other() {
    let config = Config {
        variates: 3,
        future_covariates: 1,
        horizon: 6,
        normalizer: Normalizer::Exponential { half_life: 8.0 },
        network: patches(4, false),
        linear_head: LinearHead {
            season: Some(Season { period: 5 }),
            ..LinearHead::default()
        },
        ..Config::default()
    };
    let (mean, std) = ([0.0; 3], [1.0; 3]);
    let preprocessor = Preprocessor::new(&config, Scaler { mean: &mean, std: &std }).expect("valid");
    let layout = preprocessor.layout;
    let parts = [
        (layout.counter, 2),
        (layout.time, 2),
        (layout.last, 3),
        (layout.seen, 3),
        (layout.statistics, 3 * 7),
        (layout.lags, 4 * 3),
        (layout.seasonal, 3 * 3 * 5),
        (layout.future, 2 + 7 + 5),
    ];
    let mut start = 0;
    for (part, len) in parts {
        assert_eq!(part, Span { start, len });
        start += len;
    }
    assert_eq!(preprocessor.state_len(), start);
}
