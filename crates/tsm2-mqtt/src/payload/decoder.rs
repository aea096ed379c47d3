//! Decoder: a payload of one layout to readings.
//!
//! Invariants:
//! 1. No payload causes a panic, recursion beyond [`DecoderOptions::max_depth`], or more work than
//!    its length times the number of fields.
//! 2. What cannot be read loses itself only: a field its field, a reading of a batch its reading.
//! 3. A field that is absent is no fault.

use serde_json::Value;

use super::envelope::Envelope;
use super::error::{PayloadError, excerpt, kind};
use super::json::{self, NotJson};
use super::layout::{DecoderOptions, Payload, PayloadShape};
use super::path::Path;
use super::value::Unreadable;
use crate::template::shortened;

/// Reads payloads of one layout.
///
/// ```
/// use tsm2_mqtt::{Decoder, DecoderOptions, Field, Outcome, Path, Payload};
///
/// let decoder = Decoder::new(DecoderOptions {
///     fields: vec![Field::at(Path::parse("temp")?), Field::at(Path::parse("power")?)],
///     time: Some(Path::parse("at")?),
///     max_payload: 65_536,
///     max_depth: 16,
///     ..DecoderOptions::default()
/// });
/// let bytes = br#"[{"at": "2026-01-31T12:00:00Z", "temp": 21.5}, {"at": 1769860860, "temp": null}]"#;
/// let mut temperatures = Vec::new();
/// let payload = Payload { topic: "s/boiler", bytes, arrival_ms: 0, retained: false, newest_ms: None, field: None };
/// decoder.decode(&payload, |outcome| {
///     if let Outcome::Value { time_ms, field: 0, value } = outcome {
///         temperatures.push((time_ms, value));
///     }
/// })?;
/// assert_eq!(temperatures[0], (1_769_860_800_000, 21.5));
/// assert!(temperatures[1].1.is_nan());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Decoder {
    pub(super) options: DecoderOptions,
    /// Whether text that is no JSON is a value.
    pub(super) takes_bare: bool,
    /// Whether an array is a batch even without a path of the readings.
    pub(super) splits_arrays: bool,
}

impl Decoder {
    /// A decoder with these options.
    pub fn new(options: DecoderOptions) -> Self {
        let is_topic = matches!(options.shape, PayloadShape::Topic);
        Decoder {
            takes_bare: is_topic || options.fields.iter().any(|field| field.path.is_whole()),
            splits_arrays: !options.fields.iter().any(|field| field.path.is_query()),
            options,
        }
    }

    /// Its options.
    pub fn options(&self) -> &DecoderOptions {
        &self.options
    }

    /// Whether the time is in the payload; otherwise the time of arrival counts.
    pub fn has_own_time(&self) -> bool {
        self.options.time.is_some() || self.options.times_as_keys
    }

    /// Reads a payload of points in time: a JSON array of objects with a time and a value, the value
    /// at the path of the first field.
    ///
    /// Returns times in milliseconds since 1970-01-01 UTC, and values; a missing value is NaN.
    ///
    /// # Errors
    /// One point that cannot be read rejects the payload: without it the others change their meaning.
    pub fn points(&self, payload: &Payload<'_>) -> Result<Vec<(i64, f32)>, PayloadError> {
        let value = self.parse(payload)?;
        let (Value::Array(points), Some(field)) = (&value, self.options.fields.first()) else {
            return Err(PayloadError::NotPoints {
                topic: shortened(payload.topic),
                kind: kind(&value),
            });
        };
        let nothing = Envelope::new(None, &self.options);
        let point = |point: &Value| {
            let time_ms = self.time(payload, point, &nothing)?.ok_or_else(|| PayloadError::NoTime {
                topic: shortened(payload.topic),
                field: String::new(),
            })?;
            let missing = || PayloadError::Missing {
                topic: shortened(payload.topic),
                field: field.path.as_str().to_owned(),
            };
            let at = find(payload, &field.path, point)?.ok_or_else(missing)?;
            match field.rule.read(at) {
                Ok(value) => Ok((time_ms, value)),
                Err(why) => Err(unreadable(payload, field.path.as_str(), at, why)),
            }
        };
        points.iter().map(point).collect()
    }

    pub(super) fn text<'p>(&self, payload: &Payload<'p>) -> Result<&'p str, PayloadError> {
        let (topic, max_payload) = (payload.topic, self.options.max_payload);
        if payload.bytes.len() > max_payload {
            return Err(PayloadError::TooLarge {
                topic: shortened(topic),
                max_payload,
            });
        }
        json::trimmed(payload.bytes).map_err(|byte| PayloadError::NotJson {
            topic: shortened(topic),
            reason: format!("not UTF-8 from byte {byte}"),
        })
    }

    pub(super) fn parse(&self, payload: &Payload<'_>) -> Result<Value, PayloadError> {
        let text = self.text(payload)?;
        if self.takes_bare && !text.is_empty() && !text.starts_with(['{', '[', '"']) {
            // Also `.5` and `+5`, which JSON does not have.
            let number = text
                .parse()
                .map(|number| serde_json::Number::from_f64(number).map_or(Value::Null, Value::Number));
            return Ok(number.unwrap_or_else(|_| match text {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                "null" => Value::Null,
                word => Value::String(word.to_owned()),
            }));
        }
        let value = self.json(payload.topic, text)?;
        match &value {
            // JSON that was written as a JSON string.
            Value::String(inner) if inner.trim_start().starts_with(['{', '[']) => self.json(payload.topic, inner),
            _ => Ok(value),
        }
    }

    pub(super) fn json(&self, topic: &str, text: &str) -> Result<Value, PayloadError> {
        let max_depth = self.options.max_depth;
        json::parse(text, max_depth).map_err(|error| match error {
            NotJson::TooDeep => PayloadError::TooDeep {
                topic: shortened(topic),
                max_depth,
            },
            NotJson::Syntax(error) => PayloadError::NotJson {
                topic: shortened(topic),
                reason: error.to_string(),
            },
        })
    }

    /// The time in a reading, or in the payload around it; `None` where no time is looked for.
    pub(super) fn time(&self, payload: &Payload<'_>, reading: &Value, envelope: &Envelope<'_>) -> Result<Option<i64>, PayloadError> {
        let Some(path) = &self.options.time else { return Ok(None) };
        let time = |at: &Value| {
            let at = find(payload, path, at)?.filter(|at| !at.is_null());
            at.map(|at| self.read_time(payload, path.as_str(), at)).transpose()
        };
        if let Some(time_ms) = time(reading)? {
            return Ok(Some(time_ms));
        }
        let of_all = || envelope.whole.map_or(Ok(None), time);
        match envelope.time.get_or_init(of_all).clone()? {
            Some(time_ms) => Ok(Some(time_ms)),
            None if self.options.time_or_arrival && !payload.retained => Ok(Some(payload.arrival_ms)),
            None => Err(PayloadError::NoTime {
                topic: shortened(payload.topic),
                field: path.as_str().to_owned(),
            }),
        }
    }

    pub(super) fn read_time(&self, payload: &Payload<'_>, field: &str, at: &Value) -> Result<i64, PayloadError> {
        let (format, zone) = (self.options.time_format, self.options.time_zone.as_ref());
        format.read(at, zone, payload.newest_ms).ok_or_else(|| PayloadError::BadTime {
            topic: shortened(payload.topic),
            field: field.to_owned(),
            value: excerpt(at),
        })
    }
}

pub(super) fn find<'v>(payload: &Payload<'_>, path: &Path, value: &'v Value) -> Result<Option<&'v Value>, PayloadError> {
    path.find(value).map_err(|values| PayloadError::Ambiguous {
        topic: shortened(payload.topic),
        field: path.as_str().to_owned(),
        values,
    })
}

pub(super) fn unreadable(payload: &Payload<'_>, field: &str, at: &Value, why: Unreadable) -> PayloadError {
    let (topic, field) = (shortened(payload.topic), field.to_owned());
    match why {
        Unreadable::NotANumber => PayloadError::NotANumber {
            topic,
            field,
            value: excerpt(at),
        },
        Unreadable::OutOfRange(value) => PayloadError::OutOfRange { topic, field, value },
    }
}
