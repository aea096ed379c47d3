//! The monitor: intervals, live metrics and the drift flag.

use proptest::prelude::*;
use tsm2_stream::{Errors, MAX_SEASON, Monitor, MonitorConfig, MonitorError};

const CONFIG: MonitorConfig = MonitorConfig {
    variates: 2,
    horizon: 20,
    season: Some(6),
    coverage: 0.9,
};
const CELLS: usize = 40;

fn monitor() -> Monitor {
    Monitor::new(CONFIG, &[1.0; CELLS]).unwrap()
}

/// Numbers in [0, 1) with no structure, the same every time.
struct Noise(u64);

impl Noise {
    fn uniform(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Mean 0, standard deviation 1.
    fn normal(&mut self) -> f32 {
        ((0..12).map(|_| self.uniform()).sum::<f64>() - 6.0) as f32
    }
}

/// One time step and the forecast made at it; the bounds of that forecast.
fn step(monitor: &mut Monitor, values: &[f32], forecast: &[f32]) -> (Vec<f32>, Vec<f32>) {
    monitor.observe(values);
    monitor.issue(forecast);
    let (mut lower, mut upper) = (vec![0.0; forecast.len()], vec![0.0; forecast.len()]);
    monitor.interval(forecast, &mut lower, &mut upper);
    (lower, upper)
}

fn saved(monitor: &Monitor) -> Vec<u8> {
    postcard::to_allocvec(&monitor.snapshot()).unwrap()
}

/// The monitor of a snapshot's bytes, of which none may be left over.
fn restore(config: MonitorConfig, bytes: &[u8]) -> Result<Monitor, MonitorError> {
    match postcard::take_from_bytes(bytes) {
        Ok((snapshot, [])) => Monitor::restore(config, snapshot),
        _ => Err(MonitorError::Snapshot),
    }
}

#[test]
fn an_empty_shape_an_impossible_coverage_and_wrong_initial_widths_make_no_monitor() {
    let made = |config: MonitorConfig, initial_widths: &[f32]| Monitor::new(config, initial_widths).map(|_| ());
    for (variates, horizon, season) in [(0, 20, None), (2, 0, None), (usize::MAX, 2, None), (2, 20, Some(0))] {
        let config = MonitorConfig {
            variates,
            horizon,
            season,
            ..CONFIG
        };
        assert_eq!(made(config, &[1.0; CELLS]), Err(MonitorError::Shape { variates, horizon }));
    }
    for coverage in [0.0, 1.0, -0.5] {
        let config = MonitorConfig { coverage, ..CONFIG };
        assert_eq!(made(config, &[1.0; CELLS]), Err(MonitorError::Coverage { coverage }));
    }
    for initial_widths in [
        vec![1.0; CELLS - 1],
        vec![0.0; CELLS],
        vec![f32::NAN; CELLS],
        vec![f32::INFINITY; CELLS],
    ] {
        assert_eq!(made(CONFIG, &initial_widths), Err(MonitorError::InitialWidths));
    }
}

#[test]
fn the_first_bounds_are_the_initial_widths() {
    let initial_widths: Vec<f32> = (1..=CELLS).map(|cell| cell as f32).collect();
    let monitor = Monitor::new(CONFIG, &initial_widths).unwrap();
    let (mut lower, mut upper) = ([0.0; CELLS], [0.0; CELLS]);
    monitor.interval(&[100.0; CELLS], &mut lower, &mut upper);
    for (cell, width) in initial_widths.iter().enumerate() {
        assert_eq!((lower[cell], upper[cell]), (100.0 - width, 100.0 + width));
    }
}

#[test]
fn live_metrics_are_those_of_the_forecasts_and_of_repeating() {
    let mut monitor = monitor();
    // A season of 6 time steps for the first variate, a slope for the second; the model is off by 0.5.
    let truth = |row: usize| [[0.0, 1.0, 4.0, 2.0, 8.0, 3.0][row % 6], row as f32];
    for row in 0..2000 {
        let forecast: Vec<f32> = (0..2)
            .flat_map(|variate| (1..=20).map(move |step| truth(row + step)[variate] + 0.5))
            .collect();
        step(&mut monitor, &truth(row), &forecast);
    }
    for step in 0..20 {
        let first = monitor.live_metrics(0, step + 1).unwrap();
        assert_eq!(first.model, Errors { mae: 0.5, mse: 0.25 });
        assert_eq!(first.seasonal, Some(Errors { mae: 0.0, mse: 0.0 }));
        let second = monitor.live_metrics(1, step + 1).unwrap();
        let ahead = (step + 1) as f32;
        assert!((second.naive.mae - ahead).abs() < 1e-3 && (second.naive.mse - ahead * ahead).abs() < 0.1);
        let back = (6 * (step / 6 + 1)) as f32;
        assert!((second.seasonal.unwrap().mae - back).abs() < 1e-3);
        assert!((2000 / 11 - 2..=2000 / 11 + 1).contains(&(second.scored as usize)), "{second:?}");
        assert!(
            second.compared <= second.scored && second.compared + 2 >= second.scored,
            "{second:?}"
        );
    }
    assert_eq!((monitor.live_metrics(2, 1), monitor.live_metrics(0, 21)), (None, None));
}

#[test]
fn a_season_that_is_too_long_is_not_kept() {
    let config = MonitorConfig {
        season: Some(MAX_SEASON + 1),
        ..CONFIG
    };
    let mut monitor = Monitor::new(config, &[1.0; CELLS]).unwrap();
    for row in 0..50 {
        step(&mut monitor, &[row as f32; 2], &[0.0; CELLS]);
    }
    let live_metrics = monitor.live_metrics(0, 1).unwrap();
    assert_eq!(live_metrics.seasonal, None);
    assert!(live_metrics.compared > 0);
    assert!(Monitor::bytes(&config) < Monitor::bytes(&CONFIG));
}

#[test]
fn a_missing_reading_scores_nothing_and_the_last_one_stands() {
    let mut monitor = Monitor::new(MonitorConfig { season: None, ..CONFIG }, &[1.0; CELLS]).unwrap();
    step(&mut monitor, &[1.0, 5.0], &[2.0; CELLS]);
    step(&mut monitor, &[f32::NAN, 6.0], &[2.0; CELLS]);
    assert_eq!(monitor.live_metrics(0, 1).unwrap().scored, 0);
    assert_eq!(monitor.live_metrics(1, 1).unwrap().scored, 1);
    monitor.observe(&[4.0, f32::INFINITY]);
    assert_eq!(monitor.live_metrics(0, 2).unwrap().naive.mae, 3.0);
    assert_eq!(monitor.live_metrics(1, 2).unwrap().scored, 0);
}

#[test]
fn a_restart_forgets_open_forecasts_and_keeps_what_was_learned() {
    let mut monitor = monitor();
    for row in 0..500 {
        step(&mut monitor, &[(row % 7) as f32; 2], &[3.0; CELLS]);
    }
    let bounds = |monitor: &Monitor| {
        let (mut lower, mut upper) = ([0.0; CELLS], [0.0; CELLS]);
        monitor.interval(&[0.0; CELLS], &mut lower, &mut upper);
        (lower, upper)
    };
    let before = (bounds(&monitor), monitor.live_metrics(1, 6));
    monitor.restart();
    assert_eq!((bounds(&monitor), monitor.live_metrics(1, 6)), before);
    for _ in 0..20 {
        monitor.observe(&[1e9; 2]);
    }
    assert_eq!((bounds(&monitor), monitor.live_metrics(1, 6)), before);
}

/// Coverage of white noise around a forecast of 0 over `rows` time steps, by step of the horizon,
/// of the bounds that were published.
fn coverage(monitor: &mut Monitor, noise: &mut Noise, rows: usize, size: impl Fn(usize) -> f32, count: impl Fn(usize) -> bool) -> f64 {
    let forecast = [0.0; CELLS];
    let mut bounds: Vec<(Vec<f32>, Vec<f32>)> = Vec::new();
    let (mut within, mut all) = (0_u64, 0_u64);
    for row in 0..rows {
        let values = [size(row) * noise.normal(), size(row) * noise.normal()];
        for step in 0..20.min(row) {
            let (lower, upper) = &bounds[row - 1 - step];
            for (variate, value) in values.iter().enumerate().filter(|_| count(row)) {
                let cell = variate * 20 + step;
                within += u64::from(lower[cell] <= *value && *value <= upper[cell]);
                all += 1;
            }
        }
        bounds.push(step(monitor, &values, &forecast));
    }
    within as f64 / all as f64
}

#[test]
fn nine_of_ten_readings_are_covered_whatever_the_initial_widths_and_after_noise_doubles() {
    for initial_widths in [0.01, 1.0, 100.0] {
        let mut monitor = Monitor::new(CONFIG, &[initial_widths; CELLS]).unwrap();
        let mut noise = Noise(7);
        coverage(&mut monitor, &mut noise, 6000, |_| 1.0, |_| true);
        let settled = coverage(&mut monitor, &mut noise, 20_000, |_| 1.0, |_| true);
        assert!((0.885..=0.915).contains(&settled), "{settled}");
        let doubled = coverage(&mut monitor, &mut noise, 10_000, |_| 2.0, |row| row > 1000);
        assert!((0.885..=0.915).contains(&doubled), "{doubled}");
    }
}

#[test]
fn stationary_errors_rarely_raise_the_drift_flag_and_larger_ones_do() {
    let (mut raised_at_peace, mut raised_by_shift) = (0, 0);
    for seed in 0..10 {
        let mut monitor = monitor();
        let mut noise = Noise(seed);
        for row in 0..44_000 {
            // Errors resemble their neighbours, as those of forecasts do.
            let size = if row < 40_000 { 1.0 } else { 2.0 };
            let shared = noise.normal();
            step(
                &mut monitor,
                &[size * (shared + 0.5 * noise.normal()), noise.normal()],
                &[0.0; CELLS],
            );
            if row < 40_000 {
                raised_at_peace += u32::from(monitor.drifts());
            } else if monitor.is_drifting(0) {
                raised_by_shift += 1;
                assert!(!monitor.is_drifting(1));
                break;
            }
        }
    }
    assert_eq!(raised_by_shift, 10);
    assert!(raised_at_peace <= 400, "{raised_at_peace} of 400,000 rows");
}

#[test]
fn a_constant_sensor_that_moves_at_last_is_covered_again() {
    let mut monitor = monitor();
    for _ in 0..50_000 {
        step(&mut monitor, &[5.0; 2], &[5.0; CELLS]);
    }
    let mut noise = Noise(1);
    let after = coverage(&mut monitor, &mut noise, 12_000, |_| 1.0, |row| row > 8000);
    assert!((0.87..=0.93).contains(&after), "{after}");
}

proptest! {
    #[test]
    fn bounds_hold_the_forecast_and_are_finite_whatever_is_read(
        rows in prop::collection::vec((any::<f32>(), any::<f32>(), any::<f32>(), any::<bool>()), 1..200),
        initial_widths in 1e-30_f32..1e30,
    ) {
        let mut monitor = Monitor::new(CONFIG, &[initial_widths; CELLS]).unwrap();
        for (first, second, forecast, restarts) in rows {
            if restarts && first > 0.0 {
                monitor.restart();
            }
            let (lower, upper) = step(&mut monitor, &[first, second], &[forecast; CELLS]);
            for (lower, upper) in lower.iter().zip(&upper) {
                let holds = lower <= &forecast && &forecast <= upper && lower.is_finite() && upper.is_finite();
                prop_assert!(holds || !forecast.is_finite(), "{lower} {forecast} {upper}");
            }
        }
        for (variate, step) in (0..2).flat_map(|variate| (0..20).map(move |step| (variate, step))) {
            let live_metrics = monitor.live_metrics(variate, step + 1).unwrap();
            let numbers = [live_metrics.model, live_metrics.naive, live_metrics.seasonal.unwrap()].map(|errors| errors.mae + errors.mse);
            prop_assert!(numbers.iter().all(|number| number.is_finite()) && (0.0..=1.0).contains(&live_metrics.coverage), "{live_metrics:?}");
        }
        prop_assert!(restore(CONFIG, &saved(&monitor)).is_ok());
    }

    #[test]
    fn a_restored_monitor_goes_on_as_if_never_interrupted(
        readings in prop::collection::vec(prop::option::weighted(0.9, -9.0_f32..9.0), 2..600),
        at in any::<prop::sample::Index>(),
        stride in 1_usize..5,
    ) {
        let rows: Vec<[f32; 2]> = readings.chunks_exact(2).map(|pair| [pair[0].unwrap_or(f32::NAN), pair[1].unwrap_or(f32::NAN)]).collect();
        let at = at.index(rows.len());
        let mut one = monitor();
        let mut other = monitor();
        for (index, row) in rows.iter().enumerate() {
            if index == at {
                other = restore(CONFIG, &saved(&one)).unwrap();
            }
            for monitor in [&mut one, &mut other] {
                if index % stride == 0 {
                    step(monitor, row, &[index as f32 / 100.0; CELLS]);
                } else {
                    monitor.observe(row);
                }
            }
        }
        prop_assert_eq!(saved(&one), saved(&other));
    }

    #[test]
    fn any_bytes_are_rejected_or_used_without_a_panic(
        at in any::<prop::sample::Index>(),
        bytes in prop::collection::vec(any::<u8>(), 1..12),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut monitor = monitor();
        for row in 0..70 {
            step(&mut monitor, &[row as f32, 1.0], &[3.0; CELLS]);
        }
        let saved = saved(&monitor);
        prop_assert_eq!(restore(CONFIG, &saved[..cut.index(saved.len())]).err(), Some(MonitorError::Snapshot));
        let mut changed = saved.clone();
        let at = at.index(saved.len() - bytes.len());
        changed[at..at + bytes.len()].copy_from_slice(&bytes);
        if let Ok(mut restored) = restore(CONFIG, &changed) {
            for row in 0..70 {
                let (lower, upper) = step(&mut restored, &[row as f32, 1.0], &[3.0; CELLS]);
                prop_assert!(lower.iter().zip(&upper).all(|(lower, upper)| *lower <= 3.0 && *upper >= 3.0));
            }
        }
    }
}

#[test]
fn a_snapshot_of_another_configuration_is_rejected() {
    let saved = saved(&monitor());
    for config in [
        MonitorConfig { variates: 1, ..CONFIG },
        MonitorConfig { horizon: 19, ..CONFIG },
        MonitorConfig { season: None, ..CONFIG },
        MonitorConfig { coverage: 0.8, ..CONFIG },
    ] {
        assert_eq!(restore(config, &saved).err(), Some(MonitorError::Snapshot));
    }
}

#[test]
fn a_snapshot_is_small() {
    // The shipped models: (targets, horizon, season), and the most bytes.
    for (variates, horizon, season, most) in [(11, 60, 58, 39_000), (7, 96, 24, 43_000)] {
        let config = MonitorConfig {
            variates,
            horizon,
            season: Some(season),
            coverage: 0.9,
        };
        let cells = variates * horizon;
        let mut monitor = Monitor::new(config, &vec![1.0; cells]).unwrap();
        let mut noise = Noise(3);
        let mut longest = 0;
        for _ in 0..1000 {
            let values: Vec<f32> = (0..variates).map(|_| 20.0 + noise.normal()).collect();
            let forecast: Vec<f32> = (0..cells).map(|_| 20.0 + noise.normal()).collect();
            step(&mut monitor, &values, &forecast);
            longest = longest.max(saved(&monitor).len());
        }
        println!("{variates} x {horizon}: {longest} bytes, {} in memory", Monitor::bytes(&config));
        assert!(longest <= most, "{longest} bytes");
    }
}
