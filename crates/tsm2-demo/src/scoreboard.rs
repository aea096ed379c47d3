//! Forecasts compared with the readings that followed, per variate.
//!
//! A forecast of origin `t` is resolved when the readings of `t` and of its target minute are both
//! there, in whatever order they and the forecast arrived. The naive forecast, which repeats the
//! reading of `t`, is resolved at the same times, so that both errors are means over the same pairs.

use crate::simulator::{INTERVAL_MS, VARIATES};
use std::collections::VecDeque;
use tsm2_stream::ErrorSums;

/// How far ahead forecasts are shown and resolved, minutes; those beyond a model's horizon are left out.
pub const HORIZONS_MIN: [usize; 2] = [15, 60];

/// Readings kept: enough to resolve the longest horizon, and to draw.
const KEPT: usize = 240;

/// Errors of the model beside those of the naive forecast at one horizon step, in the variate's unit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Comparison {
    model: ErrorSums,
    naive: ErrorSums,
}

impl Comparison {
    fn resolve(&mut self, forecast: f32, last: f32, truth: f32) {
        self.model.add(f64::from(forecast - truth));
        self.naive.add(f64::from(last - truth));
    }

    /// Resolved forecasts.
    pub fn resolved(&self) -> u64 {
        self.model.weight as u64
    }

    /// Mean absolute error of the model's forecasts; `None` before the first is resolved.
    pub fn model_mae(&self) -> Option<f64> {
        self.model.mean().map(|errors| errors.mae)
    }

    /// Mean absolute error of the naive forecast.
    pub fn naive_mae(&self) -> Option<f64> {
        self.naive.mean().map(|errors| errors.mae)
    }

    /// `model_mae / naive_mae`; `None` while the naive error is zero.
    pub fn ratio(&self) -> Option<f64> {
        (self.naive.absolute > 0.0).then(|| self.model.absolute / self.naive.absolute)
    }
}

/// One variate's part of the scoreboard.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Whether the model only reads it.
    pub is_covariate: bool,
    /// Forecasts received.
    pub forecasts: u64,
    /// The newest forecast: its origin in milliseconds, and its values minute by minute.
    pub newest: Option<(i64, Vec<f32>)>,
    /// Errors at each of [`HORIZONS_MIN`].
    pub errors: [Comparison; HORIZONS_MIN.len()],
    pending: [VecDeque<OpenForecast>; HORIZONS_MIN.len()],
}

/// A forecast value that is not resolved yet.
#[derive(Clone, Copy, Debug)]
struct OpenForecast {
    origin_ms: i64,
    value: f32,
}

/// All variates.
#[derive(Clone, Debug)]
pub struct Scoreboard {
    /// In the order of [`crate::simulator::NAMES`].
    pub series: [Series; VARIATES],
    /// Readings minute by minute, the newest last.
    readings: VecDeque<[f32; VARIATES]>,
    newest_ms: i64,
    /// Forecasts of an earlier origin are shown, not resolved.
    evaluate_from_ms: i64,
}

impl Scoreboard {
    /// An empty scoreboard that resolves forecasts of origin `evaluate_from_ms` or later.
    pub fn new(evaluate_from_ms: i64) -> Self {
        Self {
            series: Default::default(),
            readings: VecDeque::with_capacity(KEPT),
            newest_ms: i64::MIN,
            evaluate_from_ms,
        }
    }

    /// Time of the newest reading, once there is one.
    pub fn now_ms(&self) -> Option<i64> {
        (!self.readings.is_empty()).then_some(self.newest_ms)
    }

    /// The last `count` readings of a variate, oldest first; fewer if there are fewer.
    pub fn recent(&self, variate: usize, count: usize) -> Vec<f32> {
        self.readings
            .iter()
            .skip(self.readings.len().saturating_sub(count))
            .map(|row| row[variate])
            .collect()
    }

    /// Takes in a row of readings, the minute after the last; a second copy of a row is passed over.
    pub fn read(&mut self, time_ms: i64, values: [f32; VARIATES]) {
        if time_ms <= self.newest_ms {
            return;
        }
        if self.readings.len() == KEPT {
            self.readings.pop_front();
        }
        self.readings.push_back(values);
        self.newest_ms = time_ms;
        for variate in 0..VARIATES {
            self.resolve(variate);
        }
    }

    /// Takes in a forecast, minute by minute after `origin_ms`.
    pub fn forecast(&mut self, variate: usize, origin_ms: i64, values: Vec<f32>) {
        let series = &mut self.series[variate];
        series.forecasts += 1;
        if origin_ms >= self.evaluate_from_ms {
            for (pending, horizon_min) in series.pending.iter_mut().zip(HORIZONS_MIN) {
                pending.extend(values.get(horizon_min - 1).map(|value| OpenForecast { origin_ms, value: *value }));
            }
        }
        series.newest = Some((origin_ms, values));
        self.resolve(variate);
    }

    fn resolve(&mut self, variate: usize) {
        let (readings, newest_ms) = (&self.readings, self.newest_ms);
        let reading = |time_ms: i64| {
            let age = usize::try_from((newest_ms - time_ms) / INTERVAL_MS).ok()?;
            readings.get(readings.len().checked_sub(age + 1)?).map(|row| row[variate])
        };
        let series = &mut self.series[variate];
        for ((errors, pending), horizon_min) in series.errors.iter_mut().zip(&mut series.pending).zip(HORIZONS_MIN) {
            let horizon_ms = horizon_min as i64 * INTERVAL_MS;
            while let Some(open) = pending.front().copied().filter(|open| open.origin_ms + horizon_ms <= newest_ms) {
                pending.pop_front();
                if let (Some(last), Some(truth)) = (reading(open.origin_ms), reading(open.origin_ms + horizon_ms)) {
                    errors.resolve(open.value, last, truth);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START_MS: i64 = 1_772_409_600_000;

    fn at(minute: i64) -> i64 {
        START_MS + minute * INTERVAL_MS
    }

    /// A world in which every variate rises by its own slope each minute.
    fn ramp(minute: i64) -> [f32; VARIATES] {
        std::array::from_fn(|variate| (variate as i64 * minute) as f32)
    }

    #[test]
    fn errors_are_those_of_the_forecasts_whatever_arrives_first() {
        for readings_first in [true, false] {
            let mut scoreboard = Scoreboard::new(at(2));
            for minute in 0..200 {
                if readings_first {
                    scoreboard.read(at(minute), ramp(minute));
                }
                for variate in 0..VARIATES {
                    let off_by_a_half = (1..=60).map(|step| ramp(minute + step)[variate] + 0.5).collect();
                    scoreboard.forecast(variate, at(minute), off_by_a_half);
                }
                if !readings_first {
                    scoreboard.read(at(minute), ramp(minute));
                }
            }
            for (variate, series) in scoreboard.series.iter().enumerate() {
                for (errors, step) in series.errors.iter().zip([15.0, 60.0]) {
                    assert_eq!(errors.resolved(), 200 - 2 - step as u64);
                    assert_eq!(errors.model_mae(), Some(0.5));
                    assert_eq!(errors.naive_mae(), Some(step * variate as f64));
                    assert_eq!(errors.ratio(), (variate > 0).then(|| 0.5 / (step * variate as f64)));
                }
                assert_eq!(series.forecasts, 200);
            }
        }
    }

    #[test]
    fn a_step_beyond_the_horizon_is_left_out_and_a_second_copy_changes_nothing() {
        let mut scoreboard = Scoreboard::new(at(0));
        scoreboard.read(at(0), ramp(0));
        scoreboard.forecast(1, at(0), vec![1.0; 20]);
        for minute in 1..90 {
            scoreboard.read(at(minute), ramp(minute));
            scoreboard.read(at(minute), [f32::NAN; VARIATES]);
        }
        assert_eq!(scoreboard.series[1].errors[0].model_mae(), Some(14.0));
        assert_eq!(scoreboard.series[1].errors[1].model_mae(), None);
        assert_eq!(scoreboard.recent(2, 3), [174.0, 176.0, 178.0]);
        assert_eq!(scoreboard.now_ms(), Some(at(89)));
    }
}
