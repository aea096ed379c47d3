//! The newest forecast, and its JSON as the daemon publishes it.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::Write;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tsm2_blob::Blob;

/// The newest forecast.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Latest {
    /// Time of the last reading used, in milliseconds since 1970-01-01 UTC.
    pub origin_ms: i64,
    /// Time of the first forecast step.
    pub start_ms: i64,
    /// Shape `[targets][H]`, as `lower` and `upper`.
    pub mean: Vec<f32>,
    pub lower: Vec<f32>,
    pub upper: Vec<f32>,
}

/// The forecast of one variate; the fields are those of `docs/reference/mqtt.md`.
#[derive(Serialize)]
struct ForecastMessage<'a> {
    origin: String,
    start: String,
    interval_s: Seconds,
    mean: &'a [f32],
    lower: &'a [f32],
    upper: &'a [f32],
    coverage: f32,
    model: &'a str,
}

/// Whole seconds without a fraction.
#[derive(Serialize)]
#[serde(untagged)]
enum Seconds {
    Whole(u64),
    Fraction(f64),
}

impl Latest {
    pub(crate) fn of_length(numbers: usize) -> Self {
        Latest {
            origin_ms: i64::MIN,
            start_ms: 0,
            mean: vec![0.0; numbers],
            lower: vec![0.0; numbers],
            upper: vec![0.0; numbers],
        }
    }

    /// Whether there are `numbers` numbers of each kind.
    pub(crate) fn has_length(&self, numbers: usize) -> bool {
        [&self.mean, &self.lower, &self.upper].iter().all(|part| part.len() == numbers)
    }

    /// The JSON of target `target` of the model in `blob`; `None` beyond the last.
    pub(crate) fn json(&self, blob: &Blob<'_>, target: usize) -> Option<Vec<u8>> {
        let horizon = blob.config().horizon;
        let steps = target * horizon..(target + 1) * horizon;
        let interval_ms = blob.interval_ms();
        let message = ForecastMessage {
            origin: time(self.origin_ms),
            start: time(self.start_ms),
            interval_s: match interval_ms.is_multiple_of(1000) {
                true => Seconds::Whole(interval_ms / 1000),
                false => Seconds::Fraction(interval_ms as f64 / 1e3),
            },
            mean: self.mean.get(steps.clone())?,
            lower: self.lower.get(steps.clone())?,
            upper: self.upper.get(steps)?,
            coverage: blob.coverage(),
            model: blob.name(),
        };
        serde_json::to_vec(&message).ok()
    }
}

/// RFC 3339 in UTC.
fn time(time_ms: i64) -> String {
    let time = Timestamp::from_millisecond(time_ms).unwrap_or(if time_ms < 0 { Timestamp::MIN } else { Timestamp::MAX });
    let mut text = String::new();
    // A text takes everything.
    let _ = write!(text, "{time}");
    text
}
