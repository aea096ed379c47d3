//! What is published, as JSON: a forecast with its bounds, and how good forecasts have been.

use serde::Serialize;
use tsm2_stream::Monitor;

/// What is published per variate.
#[derive(Serialize)]
pub(crate) struct Forecast<'a> {
    /// Time of the last reading used, RFC 3339.
    pub(crate) issued: &'a str,
    pub(crate) interval_s: serde_json::Number,
    /// Lead 0 is one interval after `issued`.
    pub(crate) mean: &'a [f32],
    /// Bounds between which readings are expected to lie.
    pub(crate) lo: &'a [f32],
    pub(crate) hi: &'a [f32],
    /// Part of the readings that they are to cover.
    pub(crate) coverage: f32,
    pub(crate) model: &'a str,
}

/// What is published per variate of how good its forecasts have been; arrays by lead.
#[derive(Serialize, Default)]
pub(crate) struct Judged<'a> {
    /// Time of the last reading used, RFC 3339.
    pub(crate) time: &'a str,
    pub(crate) model: &'a str,
    /// Whether the errors have become larger than they used to be.
    pub(crate) drift: bool,
    /// Forecasts judged.
    pub(crate) scored: Vec<u32>,
    pub(crate) coverage: Vec<f32>,
    pub(crate) mae: Vec<f32>,
    pub(crate) mse: Vec<f32>,
    pub(crate) repeat_last_mae: Vec<f32>,
    pub(crate) repeat_last_mse: Vec<f32>,
    /// Absent for a model without a season.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) seasonal_mae: Vec<f32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) seasonal_mse: Vec<f32>,
}

impl<'a> Judged<'a> {
    /// Of one variate.
    pub(crate) fn of(monitor: &Monitor, variate: usize, time: &'a str, model: &'a str) -> Self {
        let mut judged = Judged {
            time,
            model,
            drift: monitor.is_drifting(variate),
            ..Judged::default()
        };
        for metrics in (0..monitor.config().horizon).filter_map(|lead| monitor.live_metrics(variate, lead)) {
            judged.scored.push(metrics.scored);
            judged.coverage.push(metrics.coverage);
            judged.mae.push(metrics.model.mae);
            judged.mse.push(metrics.model.mse);
            judged.repeat_last_mae.push(metrics.naive.mae);
            judged.repeat_last_mse.push(metrics.naive.mse);
            if let Some(seasonal) = metrics.seasonal {
                judged.seasonal_mae.push(seasonal.mae);
                judged.seasonal_mse.push(seasonal.mse);
            }
        }
        judged
    }
}

/// Seconds as JSON writes them best: whole ones without a fraction.
pub(crate) fn seconds(ms: u64) -> serde_json::Number {
    if ms.is_multiple_of(1000) {
        (ms / 1000).into()
    } else {
        serde_json::Number::from_f64(ms as f64 / 1e3).unwrap_or_else(|| ms.into())
    }
}
