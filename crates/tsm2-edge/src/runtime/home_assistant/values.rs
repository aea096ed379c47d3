//! The values of Home Assistant's sensors: small messages each time step, and the whole forecast now
//! and then.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use serde_json::{Map, Value, json};
use tsm2_mqtt::{Message, rfc3339};

use crate::config::{Announcement, Prepared};
use crate::runtime::derived;
use crate::runtime::home_assistant::announcer::Announcer;
use crate::runtime::published::seconds;
use crate::runtime::step::Step;

/// Home Assistant's recorder drops attributes of a state of more than 16,384 bytes. The rest is for
/// what Home Assistant adds itself.
const MAX_ATTRIBUTES: usize = 14 * 1024;
/// Significant digits of a number; the recorder stores each of them.
const DIGITS: usize = 5;

/// What one worker sends to Home Assistant of its streams.
pub(crate) struct Values {
    prepared: Arc<Prepared>,
    announcer: Arc<Announcer>,
    /// When the whole forecasts of a stream were sent.
    sent: RefCell<HashMap<String, Instant>>,
}

/// The whole forecast of a variate, as attributes.
#[derive(Serialize)]
struct Attributes<'a> {
    origin: &'a str,
    /// Time of the first number.
    start: String,
    /// Time from one number to the next: a whole number of steps.
    interval_s: Value,
    mean: Vec<Value>,
    lower: Vec<Value>,
    upper: Vec<Value>,
    coverage: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'a str>,
}

impl Values {
    pub(crate) fn new(prepared: Arc<Prepared>, announcer: Arc<Announcer>) -> Self {
        Values {
            prepared,
            announcer,
            sent: RefCell::default(),
        }
    }

    /// The messages of a time step whose newest reading is of `origin_ms`. `scores`: for each target,
    /// how unusual its reading is.
    pub(crate) fn of_step(&self, step: &Step<'_>, origin_ms: i64, scores: &[Option<f32>]) -> Vec<Message> {
        let Some(announcement) = self.prepared.home_assistant.as_ref().filter(|announcement| announcement.is_enabled) else {
            return Vec::new();
        };
        let is_due = self.is_due(step.stream, announcement);
        let mut messages = Vec::new();
        for variate in 0..self.prepared.topics.targets() {
            let numbers = Numbers::new(&self.prepared, step, variate);
            if !numbers.mean.iter().all(|mean| mean.is_finite()) {
                continue;
            }
            let topics = &self.prepared.topics;
            let score = scores.get(variate).copied().flatten();
            let values = numbers.values(announcement, step.values[variate], score);
            messages.push(retained(topics.sensor_values(step.stream, variate), &values));
            if is_due {
                let unit = announcement.quantities[variate].unit.as_deref();
                let attributes = numbers.attributes(&rfc3339(origin_ms), unit);
                messages.push(Message {
                    topic: topics.sensor_attributes(step.stream, variate),
                    payload: attributes.into(),
                    retain: true,
                });
            }
        }
        messages
    }

    /// Whether the whole forecasts of a stream leave now. The first time step of a stream also
    /// announces it.
    fn is_due(&self, stream: &str, announcement: &Announcement) -> bool {
        let (mut sent, now) = (self.sent.borrow_mut(), Instant::now());
        match sent.get_mut(stream) {
            Some(at) if now.duration_since(*at) < announcement.forecast_every => false,
            Some(at) => {
                *at = now;
                true
            }
            None => {
                self.announcer.announce(stream);
                sent.insert(stream.to_owned(), now);
                true
            }
        }
    }

    /// The stream is gone; its retained messages are removed with those of its forecasts.
    pub(crate) fn forget(&self, stream: &str) {
        self.sent.borrow_mut().remove(stream);
        self.announcer.forget(stream);
    }
}

/// The forecast of one variate, within its limits.
struct Numbers<'a> {
    prepared: &'a Prepared,
    variate: usize,
    step_ms: i64,
    interval_ms: u64,
    mean: Vec<f32>,
    lower: Vec<f32>,
    upper: Vec<f32>,
}

impl<'a> Numbers<'a> {
    fn new(prepared: &'a Prepared, step: &Step<'_>, variate: usize) -> Self {
        let horizon = prepared.bundle.meta().config.horizon;
        let (all, limits) = (variate * horizon..(variate + 1) * horizon, prepared.publication.limits[variate]);
        let part = |numbers: &[f32]| derived::selected(&numbers[all.clone()], &[], limits);
        Numbers {
            prepared,
            variate,
            step_ms: step.time_ms,
            interval_ms: prepared.schema.resampler.interval_ms,
            mean: part(step.mean),
            lower: part(step.lower),
            upper: part(step.upper),
        }
    }

    /// Time of a step of the horizon, from 1.
    fn time(&self, step: usize) -> String {
        let ahead_ms = self.interval_ms.saturating_mul(step as u64);
        rfc3339(self.step_ms.saturating_add_unsigned(ahead_ms))
    }

    fn values(&self, announcement: &Announcement, newest: f32, score: Option<f32>) -> Map<String, Value> {
        let mut values = Map::new();
        for step in &announcement.steps {
            values.insert(format!("step_{step}"), rounded(self.mean[step - 1]));
        }
        for (name, sign) in [("maximum", 1.0), ("minimum", -1.0)] {
            if let Some(extreme) = derived::extreme(&self.mean, sign, |step| self.time(step)) {
                values.insert(name.to_owned(), rounded(extreme.value));
                values.insert(format!("{name}_time"), extreme.time.into());
            }
        }
        let thresholds = &self.prepared.publication.thresholds[self.variate];
        let crossings = derived::crossings(newest, &self.mean, thresholds, |step| self.time(step));
        for threshold in thresholds {
            let crossing = crossings.iter().find(|crossing| crossing.threshold == *threshold);
            // Null is `unknown`: not within the horizon.
            let time = crossing.map_or(Value::Null, |crossing| crossing.time.clone().into());
            values.insert(format!("threshold_{threshold}"), time);
        }
        values.insert("score".to_owned(), score.map_or(Value::Null, rounded));
        values
    }

    /// The whole forecast, at every so many steps that it fits.
    fn attributes(&self, origin: &str, unit: Option<&str>) -> Vec<u8> {
        let mut every = 1;
        loop {
            let part = |numbers: &[f32]| {
                numbers
                    .iter()
                    .skip(every - 1)
                    .step_by(every)
                    .copied()
                    .map(rounded)
                    .collect::<Vec<_>>()
            };
            let attributes = Attributes {
                origin,
                start: self.time(every),
                interval_s: seconds(self.interval_ms.saturating_mul(every as u64)).into(),
                mean: part(&self.mean),
                lower: part(&self.lower),
                upper: part(&self.upper),
                coverage: rounded(self.prepared.schema.forecaster.coverage),
                unit,
            };
            let json = serde_json::to_vec(&attributes).unwrap_or_default();
            if json.len() <= MAX_ATTRIBUTES || attributes.mean.len() <= 1 {
                return json;
            }
            every = (every * json.len()).div_ceil(MAX_ATTRIBUTES).max(every + 1);
        }
    }
}

/// A number with few digits; null where it is none.
fn rounded(value: f32) -> Value {
    let text = format!("{value:.*e}", DIGITS - 1);
    text.parse::<f64>().map_or(Value::Null, |number| json!(number))
}

fn retained(topic: String, content: &impl Serialize) -> Message {
    Message {
        topic,
        payload: serde_json::to_vec(content).unwrap_or_default().into(),
        retain: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, HomeAssistant, Prepared, prepare};

    fn prepared(horizon: usize) -> Prepared {
        let mut config = Config::default();
        config.input.topic = "s/{stream}".into();
        config.input.variates = vec!["temp".into()];
        config.model.interval_s = Some(60.0);
        config.model.horizon = horizon;
        config.home_assistant = Some(HomeAssistant::default());
        prepare(&config).expect("a configuration")
    }

    #[test]
    fn numbers_have_five_digits() {
        for (value, text) in [
            (21.429_384, "21.429"),
            (0.000_123_456, "0.00012346"),
            (-1_234_567.0, "-1234600.0"),
            (0.0, "0.0"),
        ] {
            assert_eq!(rounded(value).to_string(), text);
        }
        assert_eq!(rounded(f32::NAN), Value::Null);
    }

    #[test]
    fn attributes_fit_the_recorder_at_the_largest_horizon() {
        for horizon in [1, 60, 720, 5000, 65_536] {
            let prepared = prepared(horizon);
            let wide: Vec<f32> = (0..horizon).map(|step| -1.234_567e-9 * (step + 1) as f32).collect();
            let step = Step {
                stream: "a",
                time_ms: 0,
                last_reading_ms: Some(0),
                values: &[1.0],
                mean: &wide,
                lower: &wide,
                upper: &wide,
                metrics: None,
            };
            let json = Numbers::new(&prepared, &step, 0).attributes("1970-01-01T00:00:00Z", Some("°C"));
            assert!(json.len() <= MAX_ATTRIBUTES, "{horizon}: {}", json.len());
            let read: Value = serde_json::from_slice(&json).expect("JSON");
            let (points, interval_s) = (
                read["mean"].as_array().expect("an array").len(),
                read["interval_s"].as_u64().expect("seconds"),
            );
            let every = interval_s as usize / 60;
            assert_eq!((points, read["lower"].as_array().map(Vec::len)), (horizon / every, Some(points)));
            assert_eq!(
                read["start"],
                rfc3339(interval_s as i64 * 1000),
                "the first number is that of step {every}"
            );
            assert_eq!(read["mean"][0], rounded(wide[every - 1]));
        }
    }
}
