//! Data of one stream that the page shows, kept for a bounded number of time steps.

use std::collections::VecDeque;

use serde::Serialize;
use tsm2_stream::Monitor;

use crate::runtime::engine::Step;

/// Time steps that are kept of a stream.
pub(super) const KEPT: usize = 288;
/// Bytes of a row beside its values: its place in a queue that has room for twice as many, and an allocation of its own.
pub(super) const ROW_BYTES: usize = 2 * size_of::<Row>() + 16;

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

/// Time and values.
type Row = (i64, Box<[f32]>);

/// Data of one stream.
#[derive(Debug, Default)]
pub(super) struct Data {
    /// Values shape `[M]`.
    pub(super) history: VecDeque<Row>,
    /// For each of the past steps: the time that was forecast, and means of shape `[targets]`.
    pub(super) past: Vec<VecDeque<Row>>,
    /// Time of the first forecast step.
    pub(super) start_ms: i64,
    /// Mean, lower and upper, each of shape `[targets][H]`.
    pub(super) forecast: [Vec<f32>; 3],
    /// Errors by target, at the last step of the horizon.
    pub(super) errors: Vec<Errors>,
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

impl Data {
    /// Takes a time step and its forecast.
    pub(super) fn step(&mut self, model: &Model, step: &Step<'_>) {
        push(&mut self.history, step.time_ms, step.values.into());
        // A step that bridges a gap has no forecast.
        if step.last_reading_ms.is_none() {
            return;
        }
        self.start_ms = step.time_ms.saturating_add(model.interval_ms);
        for (kept, new) in self.forecast.iter_mut().zip([step.mean, step.lower, step.upper]) {
            kept.clear();
            kept.extend(new);
        }
        self.past.resize_with(model.past_steps.len(), VecDeque::new);
        for (past, &ahead) in self.past.iter_mut().zip(&model.past_steps) {
            let means = (0..model.targets).filter_map(|target| step.mean.get(target * model.horizon + ahead - 1));
            let time_ms = step.time_ms.saturating_add(model.interval_ms.saturating_mul(ahead as i64));
            push(past, time_ms, means.copied().collect());
        }
        if let Some(monitor) = step.metrics {
            self.errors = (0..model.targets)
                .map(|target| Errors::of(monitor, target, model.horizon))
                .collect();
        }
    }
}

fn push(rows: &mut VecDeque<Row>, time_ms: i64, values: Box<[f32]>) {
    if rows.len() == KEPT {
        rows.pop_front();
    }
    rows.push_back((time_ms, values));
}

impl Errors {
    /// Of one target at one step, from 1.
    pub(super) fn of(monitor: &Monitor, target: usize, step: usize) -> Self {
        let metrics = monitor.live_metrics(target, step);
        // A reading is compared later than it is scored: when a season has passed.
        let compared = metrics.filter(|metrics| metrics.compared > 0);
        let scored = metrics.filter(|metrics| metrics.scored > 0);
        Errors {
            evaluated: scored.map_or(0, |metrics| metrics.scored),
            mae: compared.map(|metrics| metrics.model.mae),
            naive_mae: compared.map(|metrics| metrics.naive.mae),
            coverage: scored.map(|metrics| metrics.coverage),
            drifting: monitor.is_drifting(target),
        }
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
