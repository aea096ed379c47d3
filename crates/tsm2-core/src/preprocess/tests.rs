use super::normalizer::VARIANCE_EPS;
use super::*;
use crate::{Averages, Calendar, LinearHead, NetworkConfig, Normalizer, SEASON_RATES, Season};

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
        season: Some(Season {
            period: 2,
            bins: None,
            rate: None,
        }),
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
        season: Some(Season {
            period: 3,
            bins: None,
            rate: None,
        }),
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

/// A model that is its linear head.
fn head(linear_head: LinearHead) -> Config {
    Config {
        network: None,
        averages: Some(Averages {
            count: 2,
            shortest: 2.0,
            longest: 8.0,
        }),
        linear_head,
        ..Config::default()
    }
}

fn phi(config: &Config, samples: impl IntoIterator<Item = f32>) -> Vec<f32> {
    let (preprocessor, state) = run(config, samples);
    let mut phi = vec![0.0; config.linear_head_features()];
    preprocessor.features(&state, 0, &mut phi);
    phi
}

#[test]
fn an_exponential_average_is_the_mean_of_few_readings_and_weighs_many_by_their_age() {
    let config = head(LinearHead {
        averages: true,
        ..LinearHead::default()
    });
    assert_eq!(phi(&config, [f32::NAN, f32::NAN]), [0.0, 0.0]);
    assert_eq!(phi(&config, [f32::NAN, 4.0]), [4.0, 4.0]);
    // A missing reading changes nothing.
    assert_eq!(phi(&config, [1.0, f32::NAN, 2.0, f32::NAN]), [1.5, 1.5]);
    let readings: Vec<f32> = (0..400).map(noise).collect();
    for (average, half_life) in phi(&config, readings.iter().copied()).into_iter().zip([2.0, 8.0]) {
        let weights = (0..400).map(|age| 0.5f64.powf(f64::from(age) / half_life));
        let sums = readings.iter().rev().zip(weights.clone()).map(|(&x, w)| f64::from(x) * w);
        let expected = sums.sum::<f64>() / weights.sum::<f64>();
        assert!((f64::from(average) - expected).abs() < 1e-6, "{half_life}: {average} {expected}");
    }
}

#[test]
fn a_slow_average_does_not_stand_still() {
    let mut config = head(LinearHead {
        averages: true,
        ..LinearHead::default()
    });
    config.averages = Some(Averages {
        count: 1,
        shortest: 65_536.0,
        longest: 65_536.0,
    });
    // From 1 to 1.001 within four half-lives: the steps are far smaller than single precision resolves.
    let readings = (0..100_000).map(|_| 1.0).chain((0..4 * 65_536).map(|_| 1.001));
    let average = phi(&config, readings)[0];
    assert!((average - (1.0 + 0.001 * 15.0 / 16.0)).abs() < 1e-6, "{average}");
}

#[test]
fn a_relative_head_reads_differences_to_the_newest_samples() {
    let config = head(LinearHead {
        relative: true,
        lags: 2,
        averages: true,
        season: Some(Season {
            period: 4,
            bins: None,
            rate: None,
        }),
        common_lags: 1,
        ..LinearHead::default()
    });
    let phi_at = |level: f32| phi(&config, [1.0, 2.0, 4.0].map(|x| x + level));
    let phi = phi_at(0.0);
    assert_eq!(phi[..2], [-3.0, -2.0], "the samples before the newest");
    // The place that was never visited has no difference; then the places of the three samples.
    assert_eq!(phi[4..8], [0.0, -3.0, -2.0, 0.0]);
    assert_eq!(phi[16], -2.0);
    for (x, y) in phi.iter().zip(phi_at(16.0)) {
        assert!((x - y).abs() < 1e-5, "the level does not matter");
    }
    let (preprocessor, state) = run(&config, [1.0, 5.0]);
    assert_eq!(preprocessor.anchor(&state, 0), 5.0);
}

#[test]
fn a_season_of_few_bins_averages_neighbouring_samples() {
    let config = head(LinearHead {
        season: Some(Season {
            period: 6,
            bins: Some(2),
            rate: None,
        }),
        ..LinearHead::default()
    });
    // A period of three samples near 1 and three near 5, many times over.
    let phi = phi(&config, (0..600).map(|t| if t % 6 < 3 { 1.0 } else { 5.0 }));
    for pair in phi.chunks_exact(2) {
        assert!((pair[0] - 1.0).abs() < 1e-4 && (pair[1] - 5.0).abs() < 1e-4, "{phi:?}");
    }
    let once = super::tests::phi(&config, [1.0, 1.0, 1.0, 7.0]);
    assert_eq!(once, [1.0, 7.0, 1.0, 7.0, 1.0, 7.0]);
}

#[test]
fn common_features_are_the_same_for_every_target() {
    let config = Config {
        variates: 2,
        ..head(LinearHead {
            common_lags: 2,
            common_averages: true,
            ..LinearHead::default()
        })
    };
    let (mean, std) = ([0.0; 2], [1.0; 2]);
    let preprocessor = Preprocessor::new(&config, Scaler { mean: &mean, std: &std }).expect("valid");
    let mut state = vec![0.0; preprocessor.state_len()];
    for readings in [[1.0, 10.0], [2.0, 20.0]] {
        preprocessor.push(&mut state, &readings, 0).expect("two readings");
    }
    for variate in 0..2 {
        let mut phi = [0.0; 8];
        preprocessor.features(&state, variate, &mut phi);
        assert_eq!(phi, [1.0, 2.0, 1.5, 1.5, 10.0, 20.0, 15.0, 15.0]);
    }
}

#[test]
fn harmonics_turn_several_times_a_day() {
    let config = Config {
        calendar: Calendar { day: 3, week: 2 },
        ..head(LinearHead {
            calendar: true,
            ..LinearHead::default()
        })
    };
    let preprocessor = Preprocessor::new(&config, ONE).expect("valid");
    let mut state = vec![0.0; preprocessor.state_len()];
    let monday_at_six = 1_704_067_200_000 + 6 * 3_600_000;
    preprocessor.push(&mut state, &[0.0], monday_at_six).expect("one reading");
    let mut phi = [0.0; 10];
    preprocessor.features(&state, 0, &mut phi);
    let turns = [1.0 / 4.0, 2.0 / 4.0, 3.0 / 4.0, 1.0 / 28.0, 2.0 / 28.0];
    let expected = turns.map(|turns: f32| (core::f32::consts::TAU * turns).sin_cos());
    for (pair, (sin, cos)) in phi.chunks_exact(2).zip(expected) {
        assert!((pair[0] - sin).abs() < 1e-5 && (pair[1] - cos).abs() < 1e-5, "{phi:?}");
    }
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
            season: Some(Season {
                period: 5,
                bins: None,
                rate: None,
            }),
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
        (layout.averages, 0),
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
