//! Data of one stream that the page shows, kept for a bounded number of time steps.

use std::collections::VecDeque;

use serde::Serialize;
use tsm2_stream::{LiveMetrics, Monitor};

use crate::runtime::engine::Step;

/// Time steps that are kept of a stream.
pub(super) const KEPT: usize = 288;

/// What the page shows of the model.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Model {
    pub(super) name: String,
    pub(super) horizon: usize,
    pub(super) interval_ms: i64,
    /// Name and unit of each variate, the targets first.
    pub(super) variates: Vec<(String, Option<String>)>,
    pub(super) targets: usize,
    /// Steps of the horizon, from 1, whose past forecasts are kept.
    pub(super) past_steps: Vec<usize>,
}

/// Data of one stream. A time step costs no allocation once the queues are full.
#[derive(Debug, Default)]
pub(super) struct Data {
    times_ms: VecDeque<i64>,
    /// For each time: `M` values, and for each of the past steps a mean of each target, NaN where there
    /// was no forecast.
    rows: VecDeque<f32>,
    /// Time of the first forecast step.
    pub(super) start_ms: i64,
    /// Mean, lower and upper, each of shape `[targets][H]`.
    pub(super) forecast: [Vec<f32>; 3],
    /// Errors by target, at the last step of the horizon.
    pub(super) errors: Vec<Errors>,
}

impl Model {
    /// Numbers of a time step.
    fn width(&self) -> usize {
        self.variates.len() + self.past_steps.len() * self.targets
    }

    /// Bytes of the data of a stream; queues may have room for twice what is in them.
    pub(super) fn bytes(&self) -> usize {
        let row = size_of::<i64>() + size_of::<f32>() * self.width();
        size_of::<Data>() + 2 * KEPT * row + 3 * size_of::<f32>() * self.targets * self.horizon + size_of::<Errors>() * self.targets
    }
}

impl Data {
    /// Takes a time step and its forecast.
    pub(super) fn step(&mut self, model: &Model, step: &Step<'_>) {
        if self.times_ms.len() == KEPT {
            self.times_ms.pop_front();
            self.rows.drain(..model.width());
        }
        self.times_ms.push_back(step.time_ms);
        self.rows.extend(step.values);
        // A step that bridges a gap has no forecast.
        let has_forecast = step.last_reading_ms.is_some();
        for &ahead in &model.past_steps {
            let means = (0..model.targets).map(|target| match has_forecast {
                true => step.mean[target * model.horizon + ahead - 1],
                false => f32::NAN,
            });
            self.rows.extend(means);
        }
        if !has_forecast {
            return;
        }
        self.start_ms = step.time_ms.saturating_add(model.interval_ms);
        for (kept, new) in self.forecast.iter_mut().zip([step.mean, step.lower, step.upper]) {
            kept.clear();
            kept.extend(new);
        }
        if let Some(monitor) = step.metrics {
            self.errors = (0..model.targets)
                .map(|target| Errors::of(monitor, target, model.horizon))
                .collect();
        }
    }

    /// Times and values of a column of the rows.
    fn column(&self, model: &Model, column: usize) -> impl Iterator<Item = (i64, f32)> {
        let numbers = self.rows.iter().skip(column).step_by(model.width().max(1));
        self.times_ms.iter().copied().zip(numbers.copied())
    }

    /// Times and readings of a variate.
    pub(super) fn history(&self, model: &Model, variate: usize) -> impl Iterator<Item = (i64, f32)> {
        self.column(model, variate)
    }

    /// Times that were forecast, and means, of one of the past steps; empty for a covariate.
    pub(super) fn past(&self, model: &Model, place: usize, variate: usize) -> impl Iterator<Item = (i64, f32)> {
        let ahead_ms = model.interval_ms.saturating_mul(model.past_steps[place] as i64);
        let column = model.variates.len() + place * model.targets + variate;
        self.column(model, column)
            .filter(move |(_, mean)| variate < model.targets && !mean.is_nan())
            .map(move |(time_ms, mean)| (time_ms.saturating_add(ahead_ms), mean))
    }

    /// The newest reading of a variate.
    pub(super) fn newest(&self, model: &Model, variate: usize) -> Option<f32> {
        let row = self.rows.len().checked_sub(model.width())?;
        self.rows.get(row + variate).copied()
    }
}

/// Mean absolute errors and coverage at the last step of the horizon.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Errors {
    evaluated: u32,
    mae: Option<f32>,
    naive_mae: Option<f32>,
    coverage: Option<f32>,
    drifting: bool,
}

impl Errors {
    /// Of one target at one step, from 1.
    pub(super) fn of(monitor: &Monitor, target: usize, step: usize) -> Self {
        let metrics = monitor.live_metrics(target, step);
        let known = |errors: fn(&LiveMetrics) -> tsm2_stream::Errors<f32>| {
            let errors = metrics.and_then(|metrics| metrics.known(errors(&metrics)));
            errors.map(|errors| errors.mae)
        };
        Errors {
            evaluated: metrics.map_or(0, |metrics| metrics.scored),
            mae: known(|metrics| metrics.model),
            naive_mae: known(|metrics| metrics.naive),
            coverage: metrics.and_then(|metrics| metrics.known_coverage()),
            drifting: monitor.is_drifting(target),
        }
    }
}

#[cfg(test)]
impl Data {
    /// Bytes of all that it has.
    pub(super) fn bytes(&self) -> usize {
        let numbers = self.rows.capacity() + self.forecast.iter().map(Vec::capacity).sum::<usize>();
        size_of::<Data>() + size_of::<f32>() * numbers + size_of::<i64>() * self.times_ms.capacity()
    }
}

#[cfg(test)]
mod tests {
    use tsm2_stream::MonitorConfig;

    use super::*;

    #[test]
    fn an_error_is_absent_until_a_reading_was_compared() {
        let config = MonitorConfig {
            variates: 1,
            horizon: 1,
            season: Some(100),
            coverage: 0.9,
        };
        let monitor = Monitor::new(config, &[1.0]).expect("a monitor");
        let errors = Errors::of(&monitor, 0, 1);
        assert_eq!(
            (errors.evaluated, errors.mae, errors.naive_mae, errors.coverage),
            (0, None, None, None)
        );
    }
}
