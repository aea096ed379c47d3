//! The forecaster of one stream: order of work, exact resume, future covariates.

use proptest::prelude::*;
use tsm2_core::{Config, LinearHead, Model, Scaler, parameter_count};
use tsm2_stream::{Forecaster, ForecasterConfig, FutureCovariate, Monitor, MonitorConfig, MonitorError, Naive, TimeStep, Workspace};

const VARIATES: usize = 3;
const HORIZON: usize = 8;
const MINUTE: i64 = 60_000;

/// A network of two targets and a future covariate, with weights that mean nothing.
fn config() -> Config {
    Config {
        variates: VARIATES,
        future_covariates: 1,
        horizon: HORIZON,
        ..Config::default()
    }
}

fn weights(seed: u64) -> Vec<f32> {
    let mut random = seed;
    (0..parameter_count(&config()).unwrap())
        .map(|_| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (random >> 40) as f32 / (1u64 << 24) as f32 - 0.5
        })
        .collect()
}

fn model(weights: &[f32]) -> Model<'_> {
    let scaler = Scaler {
        mean: &[0.0; VARIATES],
        std: &[1.0; VARIATES],
    };
    Model::new(&config(), scaler, weights).unwrap()
}

fn settings() -> ForecasterConfig {
    ForecasterConfig {
        naive: None,
        interval_ms: MINUTE as u64,
        coverage: 0.9,
        initial_widths: vec![1.0; 2 * HORIZON],
    }
}

/// The readings at a minute, some missing.
fn values(minute: usize) -> [f32; VARIATES] {
    let missing = |every: usize, value: f32| if minute % every == every - 1 { f32::NAN } else { value };
    [
        missing(7, (minute as f32 * 0.3).sin()),
        missing(5, (minute % 11) as f32),
        (minute / 10 % 2) as f32,
    ]
}

fn time_step(minute: usize, values: &[f32]) -> TimeStep<'_> {
    TimeStep {
        time_ms: minute as i64 * MINUTE,
        last_reading_ms: Some(minute as i64 * MINUTE),
        values,
    }
}

/// Mean, lower and upper, as bits.
fn step(forecaster: &mut Forecaster, model: &Model<'_>, workspace: &mut Workspace, minute: usize) -> Vec<u32> {
    let forecast = forecaster.step(model, workspace, &time_step(minute, &values(minute))).unwrap();
    [forecast.mean, forecast.lower, forecast.upper]
        .into_iter()
        .flatten()
        .map(|number| number.to_bits())
        .collect()
}

/// The snapshot of a forecaster as bytes.
fn save(forecaster: &Forecaster) -> Vec<u8> {
    postcard::to_allocvec(&forecaster.snapshot()).unwrap()
}

/// The total of the readings that were compared with their forecasts.
fn scored(monitor: &Monitor) -> u32 {
    let steps = monitor.metric_steps().iter().flat_map(|&step| [(0, step), (1, step)]);
    steps
        .map(|(variate, step)| monitor.live_metrics(variate, step).unwrap().scored)
        .sum()
}

#[test]
fn a_forecast_is_the_models_with_the_monitors_bounds() {
    let weights = weights(1);
    let model = model(&weights);
    let (mut workspace, settings) = (Workspace::new(&model), settings());
    let mut forecaster = Forecaster::new(&model, &settings).unwrap();
    let (mut state, mut scratch) = (vec![0.0; model.state_len()], vec![0.0; model.scratch_len()]);
    let mut monitor = Monitor::new(MonitorConfig::of(&config(), 0.9), &settings.initial_widths).unwrap();
    let (mut mean, mut lower, mut upper) = (vec![0.0; 2 * HORIZON], vec![0.0; 2 * HORIZON], vec![0.0; 2 * HORIZON]);
    for minute in 0..200 {
        let values = values(minute);
        let mut token = model.step(&mut state, &mut scratch, &values, minute as i64 * MINUTE).unwrap();
        token.forecast(&mut mean).unwrap();
        monitor.observe(&values[..2]);
        monitor.issue(&mean);
        monitor.interval(&mean, &mut lower, &mut upper);
        let forecast = forecaster.step(&model, &mut workspace, &time_step(minute, &values)).unwrap();
        assert_eq!(
            (forecast.mean, forecast.lower, forecast.upper),
            (&mean[..], &lower[..], &upper[..]),
            "{minute}"
        );
    }
    assert_eq!(forecaster.monitor().live_metrics(1, 3), monitor.live_metrics(1, 3));
    assert!(scored(&monitor) > 1000);
}

#[test]
fn future_covariates_reach_the_model_until_their_end_which_is_reported_once() {
    let weights = weights(1);
    let model = model(&weights);
    let mut workspace = Workspace::new(&model);
    let mut with = Forecaster::new(&model, &settings()).unwrap();
    let mut without = with.clone();
    let points = vec![(0, 5.0), (3 * MINUTE, 9.0)];
    with.set_future(&model, 2, FutureCovariate::new(points.clone())).unwrap();
    assert!(with.set_future(&model, 0, FutureCovariate::new(points)).is_err(), "a target");
    let mut expired = Vec::new();
    for minute in 0..8 {
        let values = [1.0, 2.0, f32::NAN];
        let forecast = with.step(&model, &mut workspace, &time_step(minute, &values)).unwrap();
        expired.extend(forecast.expired.iter().map(|&variate| (minute, variate)));
        let mean = forecast.mean.to_vec();
        let other = without.step(&model, &mut workspace, &time_step(minute, &values)).unwrap();
        assert_ne!(mean, other.mean, "{minute}");
    }
    assert_eq!(expired, [(4, 2)]);
}

#[test]
fn a_restart_forgets_the_state_and_keeps_what_was_learned() {
    let weights = weights(1);
    let model = model(&weights);
    let mut workspace = Workspace::new(&model);
    let mut forecaster = Forecaster::new(&model, &settings()).unwrap();
    let first = step(&mut forecaster, &model, &mut workspace, 0);
    for minute in 1..100 {
        step(&mut forecaster, &model, &mut workspace, minute);
    }
    let before = scored(forecaster.monitor());
    forecaster.restart();
    let after = step(&mut forecaster, &model, &mut workspace, 0);
    assert_eq!(after[..2 * HORIZON], first[..2 * HORIZON], "the same forecasts");
    assert_ne!(after, first, "other intervals");
    assert_eq!(scored(forecaster.monitor()), before);
}

#[test]
fn a_model_that_warms_up_from_a_log_scores_each_time_step_once() {
    let (old_weights, new_weights) = (weights(1), weights(2));
    let (old, new) = (model(&old_weights), model(&new_weights));
    let mut workspace = Workspace::new(&old);
    let mut before = Forecaster::new(&old, &settings()).unwrap();
    for minute in 0..300 {
        step(&mut before, &old, &mut workspace, minute);
    }
    // The log of the last time steps goes through the code of the live stream, into a forecaster of its own.
    let mut warm = Forecaster::new(&new, &settings()).unwrap();
    for minute in 200..300 {
        step(&mut warm, &new, &mut workspace, minute);
    }
    let most = warm.monitor().metric_steps().len() as u32 * 2 * 100;
    assert!((500..=most).contains(&scored(warm.monitor())), "{}", scored(warm.monitor()));
    assert!(scored(before.monitor()) > scored(warm.monitor()));
}

#[test]
fn a_snapshot_of_another_shape_or_coverage_is_rejected() {
    let weights = weights(1);
    let model = model(&weights);
    let snapshot = Forecaster::new(&model, &settings()).unwrap().snapshot();
    let mut other = settings();
    other.coverage = 0.8;
    assert_eq!(
        Forecaster::restore(&model, &other, snapshot.clone()).err(),
        Some(MonitorError::Snapshot)
    );
    other.coverage = f32::NAN;
    assert!(matches!(Forecaster::new(&model, &other), Err(MonitorError::Coverage { .. })));
    other = settings();
    other.initial_widths.pop();
    assert_eq!(
        Forecaster::restore(&model, &other, snapshot).err(),
        Some(MonitorError::InitialWidths)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn an_interrupted_forecaster_goes_on_to_the_same_bits(at in 0_usize..120, future_at in 0_usize..60) {
        let weights = weights(1);
        let model = model(&weights);
        let mut workspace = Workspace::new(&model);
        let mut whole = Forecaster::new(&model, &settings()).unwrap();
        let mut interrupted = whole.clone();
        for minute in 0..120 {
            if minute == future_at {
                let points: Vec<_> = (0..20).map(|ahead| ((minute + ahead) as i64 * MINUTE, ahead as f32)).collect();
                for forecaster in [&mut whole, &mut interrupted] {
                    forecaster.set_future(&model, 2, FutureCovariate::new(points.clone())).unwrap();
                }
            }
            if minute == at {
                let snapshot = postcard::from_bytes(&save(&interrupted)).unwrap();
                interrupted = Forecaster::restore(&model, &settings(), snapshot).unwrap();
            }
            prop_assert_eq!(step(&mut whole, &model, &mut workspace, minute), step(&mut interrupted, &model, &mut workspace, minute));
        }
        prop_assert_eq!(save(&whole), save(&interrupted));
    }

    #[test]
    fn any_bytes_are_rejected_or_used_without_a_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let weights = weights(1);
        let model = model(&weights);
        let mut workspace = Workspace::new(&model);
        let mut forecaster = Forecaster::new(&model, &settings()).unwrap();
        forecaster.set_future(&model, 2, FutureCovariate::new(vec![(0, 1.0), (90 * MINUTE, 2.0)])).unwrap();
        for minute in 0..30 {
            step(&mut forecaster, &model, &mut workspace, minute);
        }
        let mut bytes = save(&forecaster);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(snapshot) = postcard::from_bytes(&bytes)
            && let Ok(mut forecaster) = Forecaster::restore(&model, &settings(), snapshot)
        {
            for minute in 30..60 {
                step(&mut forecaster, &model, &mut workspace, minute);
            }
        }
    }
}

/// What a forecaster of one variate is made of before a model exists, with a season of eight time steps.
fn naive() -> (Model<'static>, ForecasterConfig) {
    let config = Config {
        horizon: HORIZON,
        network: None,
        linear_head: LinearHead {
            lags: 1,
            ..LinearHead::default()
        },
        ..Config::default()
    };
    let settings = ForecasterConfig {
        naive: Some(Naive { season: Some(8) }),
        initial_widths: vec![1.0; HORIZON],
        ..settings()
    };
    let scaler = Scaler { mean: &[0.0], std: &[1.0] };
    (Model::new(&config, scaler, &[0.0; HORIZON]).unwrap(), settings)
}

#[test]
fn before_a_model_exists_the_better_of_naive_and_seasonal_naive_is_published_and_its_intervals_cover() {
    let (model, settings) = naive();
    let mut workspace = Workspace::new(&model);
    let mut forecaster = Forecaster::new(&model, &settings).unwrap();
    let mut noise = 1u64;
    let mut season = |minute: usize| {
        noise = noise
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let noise = (noise >> 40) as f32 / (1u64 << 24) as f32;
        [2_000.0, 2_500.0, 3_000.0, 2_500.0, 2_000.0, 1_500.0, 1_000.0, 1_500.0][minute % 8] + 20.0 * noise
    };
    let (mut covered, mut compared, mut before) = (0, 0, None::<Vec<f32>>);
    for minute in 0..1_000 {
        let value = season(minute);
        if let Some(before) = &before {
            let [mean, lower, upper] = [before[0], before[1], before[2]];
            if minute > 300 {
                assert!(
                    (mean - value).abs() < 25.0,
                    "minute {minute}: the season is repeated: {mean} {value}"
                );
                covered += usize::from((lower..=upper).contains(&value));
                compared += 1;
            }
        }
        let forecast = forecaster.step(&model, &mut workspace, &time_step(minute, &[value])).unwrap();
        if minute < 8 {
            assert_eq!(forecast.mean, [value; HORIZON], "no season was seen");
        }
        before = Some(vec![forecast.mean[0], forecast.lower[0], forecast.upper[0]]);
        if minute == 500 {
            let bytes = save(&forecaster);
            forecaster = Forecaster::restore(&model, &settings, postcard::from_bytes(&bytes).unwrap()).unwrap();
        }
    }
    let share = covered as f32 / compared as f32;
    assert!((0.8..0.98).contains(&share), "{share}");
}

#[test]
fn a_variate_without_a_reading_has_no_naive_forecast() {
    let (model, settings) = naive();
    let mut workspace = Workspace::new(&model);
    let mut forecaster = Forecaster::new(&model, &settings).unwrap();
    let forecast = forecaster.step(&model, &mut workspace, &time_step(0, &[f32::NAN])).unwrap();
    assert!(forecast.mean.iter().all(|mean| mean.is_nan()));
    let forecast = forecaster.step(&model, &mut workspace, &time_step(1, &[7.0])).unwrap();
    assert_eq!(forecast.mean, [7.0; HORIZON]);
    // A missing reading: the last one stands.
    let forecast = forecaster.step(&model, &mut workspace, &time_step(2, &[f32::NAN])).unwrap();
    assert_eq!(forecast.mean, [7.0; HORIZON]);
}
