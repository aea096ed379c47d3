use super::*;
use crate::{Readout, Season};

const ONE: Scaler = Scaler { mean: &[0.0], std: &[1.0] };

/// A small, well-mixed sequence in [-1, 1).
fn noise(i: u64) -> f32 {
    let mut x = i.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x ^= x >> 29;
    x = x.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x ^= x >> 32;
    (x & 0xFFFF) as f32 / 32768.0 - 1.0
}

fn run(config: &Config, samples: impl IntoIterator<Item = f32>) -> (Front<'static>, Vec<f32>) {
    let front = Front::new(config, ONE).expect("valid");
    let mut state = vec![0.0; front.state_len()];
    for x in samples {
        front.push(&mut state, &[x], 0).expect("one value a row");
    }
    (front, state)
}

#[test]
fn a_counter_of_any_numbers_goes_on() {
    let (front, mut state) = run(&Config::default(), [1.0]);
    for number in [f32::MAX, f32::INFINITY, f32::NAN, -1.0, 16_777_215.0] {
        state[..2].fill(number);
        front.push(&mut state, &[1.0], 0).expect("one value a row");
        assert!(front.samples(&state) <= COUNTER_BASE * COUNTER_BASE);
    }
}

#[test]
fn a_patch_holds_the_last_samples_and_is_padded_with_the_first() {
    let config = Config {
        patch: 4,
        ..Config::default()
    };
    let mut patch = [0.0; 4];
    let (front, state) = run(&config, [3.0, 5.0]);
    front.patch(&state, 0, &mut patch);
    assert_eq!(patch, [3.0, 3.0, 3.0, 5.0]);
    let (front, state) = run(&config, (0..9).map(|i| i as f32));
    front.patch(&state, 0, &mut patch);
    assert_eq!(patch, [5.0, 6.0, 7.0, 8.0]);
}

#[test]
fn a_missing_reading_is_held_and_a_late_first_reading_stands_for_the_past() {
    let config = Config {
        patch: 4,
        ..Config::default()
    };
    let mut patch = [0.0; 4];
    let (front, state) = run(&config, [1.0, f32::NAN, f32::INFINITY, 2.0]);
    front.patch(&state, 0, &mut patch);
    assert_eq!(patch, [1.0, 1.0, 1.0, 2.0]);
    let (front, state) = run(&config, [f32::NAN, f32::NAN]);
    front.patch(&state, 0, &mut patch);
    assert_eq!(patch, [0.0; 4]);
    let (front, state) = run(&config, [f32::NAN, f32::NAN, 2.0]);
    front.patch(&state, 0, &mut patch);
    assert_eq!(patch, [2.0; 4]);

    let readout = Readout {
        season: Some(Season { period: 2 }),
        ..Readout::default()
    };
    let mut averages = [0.0; 6];
    let (front, state) = run(&Config { readout, ..config }, [f32::NAN, f32::NAN, f32::NAN, 2.0]);
    front.features(&state, 0, &mut averages);
    assert_eq!(averages, [2.0; 6]);
    let (front, state) = run(&config, [1e30]);
    assert_eq!(front.newest(&state, 0), Z_LIMIT);
}

fn window_statistics(samples: &[f32]) -> (f64, f64) {
    let n = samples.len() as f64;
    let mean = samples.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
    let variance = samples.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n;
    (mean, (variance + VARIANCE_EPS).sqrt())
}

#[test]
fn window_statistics_are_those_of_what_exists() {
    let config = Config {
        normaliser: Normaliser::Window { length: 5 },
        ..Config::default()
    };
    let samples: Vec<f32> = (0..40).map(|i| 2.0 + noise(i)).collect();
    for n in 1..=samples.len() {
        let (front, state) = run(&config, samples[..n].iter().copied());
        let (mu, sd) = front.statistics(&state, 0);
        let (mean, deviation) = window_statistics(&samples[n.saturating_sub(5)..n]);
        assert!(
            (f64::from(mu) - mean).abs() < 1e-6 && (f64::from(sd) - deviation).abs() < 1e-6,
            "{n}: {mu} {sd} / {mean} {deviation}"
        );
    }
    // A variate first read late counts as having stood there always.
    let (front, state) = run(&config, [f32::NAN, f32::NAN, f32::NAN, 4.0, 4.0]);
    assert_eq!(front.statistics(&state, 0), (4.0, 0.01));
}

#[test]
fn sums_do_not_drift_over_ten_million_samples() {
    let config = Config {
        patch: 1,
        normaliser: Normaliser::Window { length: 96 },
        ..Config::default()
    };
    // Large excursions early, so that a lost bit would stay visible.
    let sample = |i: u64| if i % 1_000_003 < 50 { 900.0 * noise(i) } else { noise(i) };
    const N: u64 = 10_000_000;
    let (front, state) = run(&config, (0..N).map(sample));
    assert_eq!(front.samples(&state), N);
    let (mu, sd) = front.statistics(&state, 0);
    let window: Vec<f32> = (N - 96..N).map(sample).collect();
    let (mean, deviation) = window_statistics(&window);
    assert!(
        (f64::from(mu) - mean).abs() < 1e-6 && (f64::from(sd) - deviation).abs() < 1e-6,
        "{mu} {sd} / {mean} {deviation}"
    );
}

#[test]
fn exponential_statistics_match_their_definition() {
    let config = Config {
        normaliser: Normaliser::Exponential { half_life: 20.0 },
        ..Config::default()
    };
    let samples: Vec<f32> = (0..500).map(|i| 5.0 + 0.1 * noise(i)).collect();
    let (front, state) = run(&config, samples.iter().copied());
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
    let (mu, sd) = front.statistics(&state, 0);
    assert!((f64::from(mu) - mean).abs() < 1e-6 && (f64::from(sd) - (variance + VARIANCE_EPS).sqrt()).abs() < 1e-6);
}

#[test]
fn a_day_without_readings_leaves_the_exponential_statistics_as_they_were() {
    let config = Config {
        normaliser: Normaliser::Exponential { half_life: 20.0 },
        ..Config::default()
    };
    let before = || (0..500).map(noise);
    let (front, state) = run(&config, before());
    let (after, held) = run(&config, before().chain((0..1440).map(|_| f32::NAN)));
    assert_eq!(front.statistics(&state, 0), after.statistics(&held, 0));
    assert!(front.statistics(&state, 0).1 > 0.1);
}

#[test]
fn features_are_lags_then_seasons_then_the_others() {
    let readout = Readout {
        lags: 2,
        season: Some(Season { period: 3 }),
        cross_lags: 2,
        ..Readout::default()
    };
    let config = Config {
        variates: 2,
        patch: 1,
        readout,
        ..Config::default()
    };
    let front = Front::new(
        &config,
        Scaler {
            mean: &[0.0, 0.0],
            std: &[1.0, 1.0],
        },
    )
    .expect("valid");
    let mut state = vec![0.0; front.state_len()];
    for i in 0..5 {
        front.push(&mut state, &[i as f32, 10.0 + i as f32], 0).expect("two values a row");
    }
    let mut phi = [0.0; 13];
    assert_eq!(config.readout_features(), 13);
    front.features(&state, 0, &mut phi);
    // Slots 0, 1, 2 hold (0, 3), (1, 4), (2); the newest sample, 4, went to slot 1, so slot 2 is the oldest.
    let average = |old: f32, new: f32, rate: f32| rate * old + (1.0 - rate) * new;
    for (g, rate) in SEASON_RATES.into_iter().enumerate() {
        assert_eq!(phi[2 + 3 * g..5 + 3 * g], [2.0, average(0.0, 3.0, rate), average(1.0, 4.0, rate)]);
    }
    assert_eq!((&phi[..2], &phi[11..]), ([3.0, 4.0].as_slice(), [13.0, 14.0].as_slice()));
}

#[test]
fn the_calendar_turns_once_a_day_and_once_a_week() {
    let config = Config {
        patch: 1,
        calendar: true,
        ..Config::default()
    };
    let front = Front::new(&config, ONE).expect("valid");
    let mut state = vec![0.0; front.state_len()];
    let mut patch = [0.0; 5];
    front
        .push(&mut state, &[0.0], 1_704_067_200_000 + 6 * 3_600_000)
        .expect("one value a row"); // Monday 2024-01-01, 06:00 UTC
    front.patch(&state, 0, &mut patch);
    let day = [1.0, 0.0];
    let week = (core::f32::consts::TAU / 28.0).sin_cos();
    for (got, want) in patch[1..].iter().zip([day[0], day[1], week.0, week.1]) {
        assert!((got - want).abs() < 1e-5, "{patch:?}");
    }
}
#[test]
fn what_is_known_ahead_moves_up_with_every_row_and_is_held_at_its_end() {
    // Two variates, of which the second is known ahead; H = 6: bands 0, 1, 2, 3, 4..6.
    let config = Config {
        variates: 2,
        exogenous: 1,
        known_ahead: 1,
        horizon: 6,
        patch: 1,
        readout: Readout {
            calendar: true,
            known_ahead: true,
            ..Readout::default()
        },
        ..Config::default()
    };
    let scaler = Scaler {
        mean: &[0.0, 10.0],
        std: &[1.0, 2.0],
    };
    let front = Front::new(&config, scaler).expect("valid");
    let mut state = vec![0.0; front.state_len()];
    let seen = |state: &[f32]| {
        let (mut patch, mut phi) = ([0.0; 6], [0.0; 9]);
        assert_eq!((config.patch_len(), config.readout_features()), (6, 9));
        front.patch(state, 0, &mut patch);
        front.features(state, 0, &mut phi);
        assert_eq!(patch[1..], phi[4..], "both see the same");
        patch[1..].to_vec()
    };
    front.push(&mut state, &[0.0, 10.0], 0).expect("two values a row");
    assert_eq!(seen(&state), [0.0; 5], "nothing was told");

    // The next row and two more; one between them is not known.
    front.foretell(&mut state, 1, &[10.0, 14.0, f32::NAN, 18.0]).expect("known ahead");
    front.push(&mut state, &[0.0, 12.0], 0).expect("two values a row");
    assert_eq!(seen(&state), [1.0, 1.0, 3.0, 3.0, 3.0], "relative to the newest sample");
    // A reading that is missing stands at what was told of it.
    front.push(&mut state, &[0.0, f32::NAN], 0).expect("two values a row");
    assert_eq!((front.newest(&state, 1), seen(&state)), (2.0, vec![0.0, 2.0, 2.0, 2.0, 2.0]));
    for _ in 0..2 {
        front.push(&mut state, &[0.0, 18.0], 0).expect("two values a row");
    }
    assert_eq!(seen(&state), [0.0; 5], "all that was told has passed");
    front.push(&mut state, &[0.0, f32::NAN], 0).expect("two values a row");
    assert_eq!(front.newest(&state, 1), 4.0, "held, as any reading");

    // What begins later stands at the newest sample until then, and is not read before.
    front.foretell(&mut state, 1, &[f32::NAN, f32::NAN, 20.0]).expect("known ahead");
    front.push(&mut state, &[0.0, f32::NAN], 0).expect("two values a row");
    assert_eq!((front.newest(&state, 1), seen(&state)), (4.0, vec![0.0, 1.0, 1.0, 1.0, 1.0]));

    front.foretell(&mut state, 1, &[1e30; 7]).expect("known ahead");
    front.push(&mut state, &[0.0, 10.0], 0).expect("two values a row");
    let mut patch = [0.0; 6];
    front.patch(&state, 0, &mut patch);
    assert_eq!(patch[1..], [PATCH_LIMIT; 5]);
    front.foretell(&mut state, 1, &[]).expect("known ahead");
    front.push(&mut state, &[0.0, 10.0], 0).expect("two values a row");
    assert_eq!(seen(&state), [0.0; 5], "forgotten");

    assert_eq!(front.foretell(&mut state, 0, &[1.0]), Err(Error::NotKnownAhead { variate: 0 }));
    assert_eq!(front.foretell(&mut state, 2, &[1.0]), Err(Error::NotKnownAhead { variate: 2 }));
    assert!(front.foretell(&mut state, 1, &[1.0; 8]).is_err());
    assert!(front.foretell(&mut state[1..], 1, &[1.0]).is_err());
}
