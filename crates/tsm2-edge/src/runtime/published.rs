//! The JSON of published messages: forecasts and live metrics, and the size of the largest one.

use serde::Serialize;
use tsm2_stream::{MAX_METRIC_STEPS, Monitor};

use crate::config::Publication;
use crate::runtime::derived::{Crossing, Extreme};

/// The `f32` with the longest JSON text.
const WIDEST: f32 = -1_234_567_900_000.0;
/// The time with the longest JSON text.
const WIDEST_TIME: &str = "9999-12-31T23:59:59.999Z";

/// The forecast of one variate.
#[derive(Serialize)]
pub(crate) struct ForecastMessage<'a> {
    /// Time of the last reading used, RFC 3339.
    pub(crate) origin: &'a str,
    /// Time of the first forecast step, RFC 3339.
    pub(crate) start: &'a str,
    /// Time between steps.
    pub(crate) interval_s: serde_json::Number,
    /// The published steps, from 1; absent: all.
    #[serde(skip_serializing_if = "<[usize]>::is_empty")]
    pub(crate) step: &'a [usize],
    /// By step, in the unit of the sensor.
    pub(crate) mean: Vec<f32>,
    /// Lower bound of the prediction interval.
    pub(crate) lower: Vec<f32>,
    /// Upper bound of the prediction interval.
    pub(crate) upper: Vec<f32>,
    /// Share of readings that the interval should contain.
    pub(crate) coverage: f32,
    /// Name of the model.
    pub(crate) model: &'a str,
    /// The largest value of `mean` over all steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) maximum: Option<Extreme>,
    /// The smallest one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) minimum: Option<Extreme>,
    /// Where `mean` crosses thresholds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) crossings: Option<Vec<Crossing>>,
}

/// The live metrics of one variate.
#[derive(Serialize, Default)]
pub(crate) struct MetricsMessage<'a> {
    /// Time of the last reading used, RFC 3339.
    pub(crate) origin: &'a str,
    /// Name of the model.
    pub(crate) model: &'a str,
    /// Whether the errors have become larger than before.
    pub(crate) drift: bool,
    /// Steps of the horizon, from 1, that the arrays below belong to.
    pub(crate) step: Vec<usize>,
    /// Forecasts compared with the reading that followed.
    pub(crate) evaluated: Vec<u32>,
    // `null` before the first comparison, which waits for a season where the model has one.
    pub(crate) coverage: Vec<Option<f32>>,
    pub(crate) mae: Vec<Option<f32>>,
    pub(crate) mse: Vec<Option<f32>>,
    pub(crate) naive_mae: Vec<Option<f32>>,
    pub(crate) naive_mse: Vec<Option<f32>>,
    /// Absent for a model without a season.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) seasonal_mae: Vec<Option<f32>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) seasonal_mse: Vec<Option<f32>>,
}

impl<'a> MetricsMessage<'a> {
    /// The metrics of one variate.
    pub(crate) fn of(monitor: &Monitor, variate: usize, origin: &'a str, model: &'a str) -> Self {
        let mut message = MetricsMessage {
            origin,
            model,
            drift: monitor.is_drifting(variate),
            ..MetricsMessage::default()
        };
        for &step in monitor.metric_steps() {
            let Some(metrics) = monitor.live_metrics(variate, step) else {
                continue;
            };
            message.step.push(step);
            message.evaluated.push(metrics.scored);
            message.coverage.push(metrics.known_coverage());
            let push = |mae: &mut Vec<_>, mse: &mut Vec<_>, errors| {
                let errors = metrics.known(errors);
                mae.push(errors.map(|errors| errors.mae));
                mse.push(errors.map(|errors| errors.mse));
            };
            push(&mut message.mae, &mut message.mse, metrics.model);
            push(&mut message.naive_mae, &mut message.naive_mse, metrics.naive);
            if let Some(seasonal) = metrics.seasonal {
                push(&mut message.seasonal_mae, &mut message.seasonal_mse, seasonal);
            }
        }
        message
    }
}

/// The largest payload, in bytes, that a model of this name and horizon publishes. A broker with a
/// smaller limit (mosquitto: `message_size_limit`) drops messages without an error to the client.
pub(crate) fn largest_payload(model: &str, horizon: usize, publication: &Publication) -> usize {
    let numbers = vec![WIDEST; horizon];
    let published = match publication.steps.len() {
        0 => horizon,
        steps => steps,
    };
    let extreme = || Extreme {
        value: WIDEST,
        step: horizon,
        time: WIDEST_TIME.to_owned(),
    };
    let crossing = Crossing {
        threshold: WIDEST,
        rising: false,
        step: horizon,
        time: WIDEST_TIME.to_owned(),
    };
    let crossings = publication.thresholds.iter().map(Vec::len).max().unwrap_or(0);
    let steps = horizon.min(MAX_METRIC_STEPS);
    let errors = || vec![Some(WIDEST); steps];
    let forecast = ForecastMessage {
        origin: WIDEST_TIME,
        start: WIDEST_TIME,
        interval_s: seconds(u64::MAX),
        step: &publication.steps,
        mean: numbers[..published].to_vec(),
        lower: numbers[..published].to_vec(),
        upper: numbers[..published].to_vec(),
        coverage: WIDEST,
        model,
        maximum: publication.extremes.then(extreme),
        minimum: publication.extremes.then(extreme),
        crossings: (crossings > 0).then(|| vec![crossing; crossings]),
    };
    let metrics = MetricsMessage {
        origin: WIDEST_TIME,
        model,
        drift: false,
        step: vec![horizon; steps],
        evaluated: vec![u32::MAX; steps],
        coverage: errors(),
        mae: errors(),
        mse: errors(),
        naive_mae: errors(),
        naive_mse: errors(),
        seasonal_mae: errors(),
        seasonal_mse: errors(),
    };
    let length = |json: Result<Vec<u8>, _>| json.map_or(0, |json: Vec<u8>| json.len());
    length(serde_json::to_vec(&forecast)).max(length(serde_json::to_vec(&metrics)))
}

/// Seconds as JSON writes them best: whole ones without a fraction.
pub(crate) fn seconds(ms: u64) -> serde_json::Number {
    if ms.is_multiple_of(1000) {
        (ms / 1000).into()
    } else {
        serde_json::Number::from_f64(ms as f64 / 1e3).unwrap_or_else(|| ms.into())
    }
}

#[cfg(test)]
mod tests {
    use tsm2_stream::MonitorConfig;

    use super::*;

    #[test]
    fn errors_and_coverage_are_null_before_the_first_comparison() {
        let config = MonitorConfig {
            variates: 1,
            horizon: 1,
            season: Some(50),
            coverage: 0.9,
        };
        let mut monitor = Monitor::new(config, &[1.0]).expect("a monitor");
        let json = |monitor: &Monitor| serde_json::to_value(MetricsMessage::of(monitor, 0, "", "")).expect("JSON");
        let is_null = |json: &serde_json::Value, key: &str| json[key][0].is_null();
        let errors = ["mae", "mse", "naive_mae", "naive_mse", "seasonal_mae", "seasonal_mse"];
        let first = json(&monitor);
        assert!(errors.iter().chain(&["coverage"]).all(|key| is_null(&first, key)), "{first}");
        let steps = |monitor: &mut Monitor| {
            for value in 0..40_u8 {
                monitor.observe(&[f32::from(value)]);
                monitor.issue(&[f32::from(value)]);
            }
        };
        steps(&mut monitor);
        let scored = json(&monitor);
        assert!(errors.iter().all(|key| is_null(&scored, key)), "no season has passed: {scored}");
        assert!(scored["coverage"][0].is_number(), "{scored}");
        (0..3).for_each(|_| steps(&mut monitor));
        let compared = json(&monitor);
        assert!(errors.iter().all(|key| compared[key][0].is_number()), "{compared}");
    }

    #[test]
    fn no_number_is_longer_than_the_widest() {
        let length = |number: f32| serde_json::to_string(&number).expect("a number").len();
        let widest = length(WIDEST);
        for bits in (0..u32::MAX).step_by(4_999) {
            let number = f32::from_bits(bits);
            assert!(length(number) <= widest, "{number}");
        }
        for exponent in -45..=38 {
            let number = -1.234_567_9 * 10f64.powi(exponent);
            assert!(length(number as f32) <= widest, "{number}");
        }
    }
}
