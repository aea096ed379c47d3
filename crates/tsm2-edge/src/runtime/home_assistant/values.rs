//! The values of Home Assistant's sensors: small messages each time step, and the whole forecast now
//! and then.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
    /// For each stream and target when its whole forecast was sent.
    sent: RefCell<HashMap<String, Vec<Option<Instant>>>>,
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
    /// `None`: nothing is announced.
    pub(crate) fn new(prepared: Arc<Prepared>, announcer: Option<Arc<Announcer>>) -> Option<Self> {
        Some(Values {
            prepared,
            announcer: announcer.filter(|announcer| announcer.is_enabled())?,
            sent: RefCell::default(),
        })
    }

    /// The messages of a time step whose newest reading is of `origin_ms`. `scores`: for each target,
    /// how unusual its reading is.
    pub(crate) fn of_step(&self, step: &Step<'_>, origin_ms: i64, scores: &[Option<f32>]) -> Vec<Message> {
        let (topics, mut messages) = (&self.prepared.topics, Vec::new());
        let Some(announcement) = &self.prepared.home_assistant else {
            return messages;
        };
        let interval = Duration::from_millis(self.prepared.schema.resampler.interval_ms);
        let (mut all, now) = (self.sent.borrow_mut(), Instant::now());
        if !all.contains_key(step.stream) {
            self.announcer.announce(step.stream);
            all.insert(step.stream.to_owned(), vec![None; topics.targets()]);
        }
        let sent = all.get_mut(step.stream).into_iter().flatten();
        for (variate, sent) in sent.enumerate() {
            let Some(numbers) = Numbers::new(&self.prepared, step, variate) else {
                continue;
            };
            let score = scores.get(variate).copied().flatten();
            messages.push(retained(
                topics.sensor_values(step.stream, variate),
                &numbers.values(announcement, score),
            ));
            if is_due(sent, now, announcement.forecast_every, interval) {
                let unit = announcement.quantities[variate].unit.as_deref();
                messages.push(Message {
                    topic: topics.sensor_attributes(step.stream, variate),
                    payload: numbers.attributes(&rfc3339(origin_ms), unit).into(),
                    retain: true,
                });
            }
        }
        messages
    }

    /// The stream is gone; its retained messages are removed with those of its forecasts.
    pub(crate) fn forget(&self, stream: &str) {
        self.sent.borrow_mut().remove(stream);
        self.announcer.forget(stream);
    }
}

/// Whether a message that was sent last at `sent` leaves again `now`; if so, `sent` becomes `now`. Time
/// steps come a little earlier or later than the interval: half of it is allowed.
fn is_due(sent: &mut Option<Instant>, now: Instant, every: Duration, interval: Duration) -> bool {
    let slack = interval.min(every) / 2;
    let is_due = sent.is_none_or(|sent| now.duration_since(sent) >= every - slack);
    if is_due {
        *sent = Some(now);
    }
    is_due
}

/// The forecast of one variate.
struct Numbers<'a> {
    prepared: &'a Prepared,
    variate: usize,
    step: &'a Step<'a>,
    /// Within the limits.
    mean: Vec<f32>,
}

impl<'a> Numbers<'a> {
    /// `None`: nothing is forecast yet.
    fn new(prepared: &'a Prepared, step: &'a Step<'a>, variate: usize) -> Option<Self> {
        let mut numbers = Numbers {
            prepared,
            variate,
            step,
            mean: Vec::new(),
        };
        numbers.mean = numbers.limited(step.mean);
        numbers.mean.iter().all(|mean| mean.is_finite()).then_some(numbers)
    }

    /// The part of this variate, within its limits.
    fn limited(&self, all: &[f32]) -> Vec<f32> {
        let horizon = self.prepared.bundle.meta().config.horizon;
        let own = &all[self.variate * horizon..(self.variate + 1) * horizon];
        derived::selected(own, &[], self.prepared.publication.limits[self.variate])
    }

    fn interval_ms(&self) -> u64 {
        self.prepared.schema.resampler.interval_ms
    }

    /// Time of a step of the horizon, from 1.
    fn time(&self, step: usize) -> String {
        let ahead_ms = self.interval_ms().saturating_mul(step as u64);
        rfc3339(self.step.time_ms.saturating_add_unsigned(ahead_ms))
    }

    fn values(&self, announcement: &Announcement, score: Option<f32>) -> Map<String, Value> {
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
        let crossings = derived::crossings(self.step.values[self.variate], &self.mean, thresholds, |step| self.time(step));
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
        let (lower, upper) = (self.limited(self.step.lower), self.limited(self.step.upper));
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
                interval_s: seconds(self.interval_ms().saturating_mul(every as u64)).into(),
                mean: part(&self.mean),
                lower: part(&lower),
                upper: part(&upper),
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
    use tsm2_mqtt::{Session, SessionOptions};

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

    #[tokio::test]
    async fn no_values_are_made_while_home_assistant_is_switched_off() {
        for is_enabled in [true, false] {
            let mut prepared = prepared(2);
            prepared.home_assistant.as_mut().expect("the section").is_enabled = is_enabled;
            let (prepared, options) = (Arc::new(prepared), SessionOptions::new("127.0.0.1", 1, "device"));
            let (_session, publisher, _receiver) = Session::start(options).expect("a session");
            let announcer = Announcer::new(&prepared, publisher);
            assert!(announcer.is_some(), "it removes what was announced");
            assert_eq!(Values::new(prepared, announcer).is_some(), is_enabled);
        }
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

    /// The whole forecasts that leave while time steps come at these seconds.
    fn sent(every_s: u64, interval_s: u64, seconds: impl IntoIterator<Item = u64>) -> usize {
        let (begun, mut sent) = (Instant::now(), None);
        let (every, interval) = (Duration::from_secs(every_s), Duration::from_secs(interval_s));
        let times = seconds.into_iter().map(|second| begun + Duration::from_secs(second));
        times.filter(|&now| is_due(&mut sent, now, every, interval)).count()
    }

    #[test]
    fn a_clock_that_jitters_does_not_skip_a_whole_forecast() {
        let jittering = |minute: u64| 60 * minute + [5_u64, 0, 3][minute as usize % 3];
        assert_eq!(sent(60, 60, (0..30).map(jittering)), 30);
        assert_eq!(sent(300, 60, (0..30).map(jittering)), 6);
        // Steps that come at once after an outage.
        assert_eq!(sent(300, 3600, (0..100).map(|_| 0).chain([3600, 3600])), 2);
        assert_eq!(sent(0, 60, [0, 0, 0]), 3);
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
            let numbers = Numbers::new(&prepared, &step, 0).expect("a forecast");
            let json = numbers.attributes("1970-01-01T00:00:00Z", Some("°C"));
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
