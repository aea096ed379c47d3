//! Payload decoder: bytes to values and their time.
//!
//! Invariants:
//! 1. No payload causes a panic, work beyond its length, or recursion beyond
//!    [`DecoderOptions::max_depth`].
//! 2. A field that cannot be read loses that field only.
//! 3. Text is a number only if the whole text is a number.

use std::borrow::Cow;

use jiff::tz::TimeZone;
use serde_json::Value;

use crate::template::shortened;
use crate::time::TimeFormat;

/// The layout of the values in a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PayloadShape {
    /// A JSON object with one field per variate: the paths of the fields, in the model's order.
    ///
    /// A path is a name, or names joined by dots (`room.temperature`, `channels.0.value`). A field
    /// whose own name has the dots comes first.
    Fields(Vec<String>),
    /// One value: a bare number, or a JSON object with the value at this path.
    Single(String),
}

/// Options of a [`Decoder`].
#[derive(Debug, Clone)]
pub struct DecoderOptions {
    /// The layout of the values.
    pub shape: PayloadShape,
    /// Path of the time in the payload; `None`: the time of arrival counts.
    pub time: Option<String>,
    /// The format of that time.
    pub time_format: TimeFormat,
    /// The zone of times without an offset; `None` rejects them.
    pub time_zone: Option<TimeZone>,
    /// The largest payload that is read, in bytes.
    pub max_payload: usize,
    /// The deepest nesting of JSON that is read.
    pub max_depth: usize,
}

/// A payload from which no value can be read.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// Larger than the bound.
    #[error("topic {topic:?}: the payload is larger than the {max_payload} bytes allowed")]
    TooLarge {
        /// Topic of the message.
        topic: String,
        /// The bound.
        max_payload: usize,
    },
    /// Nested deeper than the bound.
    #[error("topic {topic:?}: the JSON is nested deeper than {max_depth} levels")]
    TooDeep {
        /// Topic of the message.
        topic: String,
        /// The bound.
        max_depth: usize,
    },
    /// Not JSON.
    #[error("topic {topic:?}: the payload is not JSON: {reason}")]
    NotJson {
        /// Topic of the message.
        topic: String,
        /// The message of the parser.
        reason: String,
    },
    /// JSON, but not an object.
    #[error("topic {topic:?}: the payload is {kind}, where a JSON object with a field per variate is expected")]
    NotAnObject {
        /// Topic of the message.
        topic: String,
        /// The kind of JSON value.
        kind: &'static str,
    },
    /// The payload has no time.
    #[error("topic {topic:?}: the payload has no time at {field:?}")]
    NoTime {
        /// Topic of the message.
        topic: String,
        /// Path of the time.
        field: String,
    },
    /// The time cannot be read.
    #[error("topic {topic:?}: field {field:?} is not a time: {value}")]
    BadTime {
        /// Topic of the message.
        topic: String,
        /// Path of the time.
        field: String,
        /// The content of the field, shortened.
        value: String,
    },
    /// JSON, but not an array of points in time.
    #[error("topic {topic:?}: the payload is {kind}, where a JSON array of objects with a time and a value is expected")]
    NotPoints {
        /// Topic of the message.
        topic: String,
        /// The kind of JSON value.
        kind: &'static str,
    },
    /// A point without a value.
    #[error(transparent)]
    Point(#[from] FieldError),
}

/// A field from which no value can be read. The other fields of the payload count.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FieldError {
    /// The field is missing.
    #[error("topic {topic:?}: field {field:?} is missing")]
    Missing {
        /// Topic of the message.
        topic: String,
        /// Path of the field.
        field: String,
    },
    /// It is not a number.
    #[error("topic {topic:?}: field {field:?} is not a number: {value}")]
    NotANumber {
        /// Topic of the message.
        topic: String,
        /// Path of the field.
        field: String,
        /// The content of the field, shortened.
        value: String,
    },
}

impl PayloadError {
    /// The reason in one word, for the label of a metric.
    pub fn reason(&self) -> &'static str {
        match self {
            PayloadError::TooLarge { .. } => "too_large",
            PayloadError::TooDeep { .. } => "too_deep",
            PayloadError::NotJson { .. } => "not_json",
            PayloadError::NotAnObject { .. } => "not_an_object",
            PayloadError::NoTime { .. } => "no_time",
            PayloadError::BadTime { .. } => "bad_time",
            PayloadError::NotPoints { .. } => "not_points",
            PayloadError::Point(error) => error.reason(),
        }
    }
}

impl FieldError {
    /// The reason in one word, for the label of a metric.
    pub fn reason(&self) -> &'static str {
        match self {
            FieldError::Missing { .. } => "field_missing",
            FieldError::NotANumber { .. } => "not_a_number",
        }
    }
}

/// Reads payloads of one layout.
///
/// ```
/// use tsm2_mqtt::{Decoder, DecoderOptions, PayloadShape, TimeFormat};
///
/// let decoder = Decoder::new(DecoderOptions {
///     shape: PayloadShape::Fields(vec!["temp".into(), "power".into()]),
///     time: Some("at".into()),
///     time_format: TimeFormat::Auto,
///     time_zone: None,
///     max_payload: 65_536,
///     max_depth: 16,
/// });
/// let payload = br#"{"at": "2026-01-31T12:00:00Z", "temp": 21.5, "power": "off"}"#;
/// let mut values = Vec::new();
/// let time_ms = decoder.decode("s/boiler", payload, 0, None, |_, _, value| {
///     values.push(value.ok()); // the field `power` is not a number; `temp` counts
/// })?;
/// assert_eq!(time_ms, 1_769_860_800_000);
/// assert_eq!(values, [Some(21.5), None]);
/// # Ok::<(), tsm2_mqtt::PayloadError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Decoder {
    options: DecoderOptions,
}

impl Decoder {
    /// A decoder with these options.
    pub fn new(options: DecoderOptions) -> Self {
        Decoder { options }
    }

    /// Whether the time is in the payload; otherwise the time of arrival counts.
    pub fn has_own_time(&self) -> bool {
        self.options.time.is_some()
    }

    /// Reads one payload and returns the time of its values, in milliseconds since 1970-01-01 UTC.
    ///
    /// `on` gets that time, the index of the field (0 for [`PayloadShape::Single`]), and its value or
    /// the error, for each field in order. A missing value (null, NaN, infinite, beyond the range of
    /// f32) is NaN. `newest_ms` is the time of the newest reading of the stream: it decides which of
    /// the two passes of an hour is meant that a local clock repeats.
    ///
    /// # Errors
    /// The payload cannot be read at all; then `on` was not called.
    pub fn decode(
        &self,
        topic: &str,
        payload: &[u8],
        arrival_ms: i64,
        newest_ms: Option<i64>,
        mut on: impl FnMut(i64, usize, Result<f32, FieldError>),
    ) -> Result<i64, PayloadError> {
        let value = self.parse(topic, payload)?;
        if matches!(self.options.shape, PayloadShape::Fields(_)) && !value.is_object() {
            return Err(PayloadError::NotAnObject {
                topic: shortened(topic),
                kind: kind(&value),
            });
        }
        let time_ms = self.time(topic, &value, newest_ms)?.unwrap_or(arrival_ms);
        match &self.options.shape {
            PayloadShape::Fields(fields) => {
                for (index, field) in fields.iter().enumerate() {
                    on(time_ms, index, read(topic, field, find(&value, field)));
                }
            }
            PayloadShape::Single(path) => {
                let (field, at) = if value.is_object() {
                    (path.as_str(), find(&value, path))
                } else {
                    ("", Some(&value))
                };
                on(time_ms, 0, read(topic, field, at));
            }
        }
        Ok(time_ms)
    }

    /// Reads a payload of points in time: a JSON array of objects with a time and a value, the value
    /// at the path of [`PayloadShape::Single`].
    ///
    /// Returns times in milliseconds since 1970-01-01 UTC, and values; a missing value is NaN.
    ///
    /// # Errors
    /// One point that cannot be read rejects the payload: without it the others change their meaning.
    pub fn points(&self, topic: &str, payload: &[u8], newest_ms: Option<i64>) -> Result<Vec<(i64, f32)>, PayloadError> {
        let value = self.parse(topic, payload)?;
        let (Value::Array(points), PayloadShape::Single(path)) = (&value, &self.options.shape) else {
            return Err(PayloadError::NotPoints {
                topic: shortened(topic),
                kind: kind(&value),
            });
        };
        let point = |point: &Value| {
            let time_ms = self.time(topic, point, newest_ms)?.ok_or_else(|| PayloadError::NoTime {
                topic: shortened(topic),
                field: String::new(),
            })?;
            Ok((time_ms, read(topic, path, find(point, path))?))
        };
        points.iter().map(point).collect()
    }

    fn parse(&self, topic: &str, payload: &[u8]) -> Result<Value, PayloadError> {
        let DecoderOptions {
            max_payload, max_depth, ..
        } = self.options;
        if payload.len() > max_payload {
            return Err(PayloadError::TooLarge {
                topic: shortened(topic),
                max_payload,
            });
        }
        let text = std::str::from_utf8(payload).map_err(|e| PayloadError::NotJson {
            topic: shortened(topic),
            reason: format!("not UTF-8 from byte {}", e.valid_up_to()),
        })?;
        let text = text.trim();
        if let (PayloadShape::Single(_), Ok(number)) = (&self.options.shape, text.parse::<f64>()) {
            return Ok(serde_json::Number::from_f64(number).map_or(Value::Null, Value::Number)); // also `.5` and `+5`, which JSON refuses
        }
        let json = to_strict_json(text, max_depth).ok_or_else(|| PayloadError::TooDeep {
            topic: shortened(topic),
            max_depth,
        })?;
        serde_json::from_str(&json).map_err(|e| PayloadError::NotJson {
            topic: shortened(topic),
            reason: e.to_string(),
        })
    }

    fn time(&self, topic: &str, value: &Value, newest_ms: Option<i64>) -> Result<Option<i64>, PayloadError> {
        let Some(field) = &self.options.time else { return Ok(None) };
        let missing = || PayloadError::NoTime {
            topic: shortened(topic),
            field: field.clone(),
        };
        let at = find(value, field).filter(|v| !v.is_null()).ok_or_else(missing)?;
        let bad = || PayloadError::BadTime {
            topic: shortened(topic),
            field: field.clone(),
            value: excerpt(at),
        };
        let DecoderOptions {
            time_format, time_zone, ..
        } = &self.options;
        time_format.read(at, time_zone.as_ref(), newest_ms).map(Some).ok_or_else(bad)
    }
}

/// Makes JSON as sensors write it strict: outside of quotes, the words NaN, Infinity and None in any
/// case and with any sign become `null`, and so do numbers beyond f64. `None` when it is nested deeper
/// than `max_depth`.
fn to_strict_json(text: &str, max_depth: usize) -> Option<Cow<'_, str>> {
    let mut strict = String::new();
    let (mut copied, mut depth, mut at) = (0, 0usize, 0);
    let bytes = text.as_bytes();
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = end_of_string(bytes, at),
            b'[' | b'{' => {
                depth += 1;
                at += 1;
                if depth > max_depth {
                    return None;
                }
            }
            b']' | b'}' => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            b'-' | b'+' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                let start = at;
                let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'-');
                at += 1 + bytes[at + 1..].iter().take_while(|byte| is_part(byte)).count();
                if is_missing(&text[start..at]) {
                    strict.push_str(&text[copied..start]);
                    strict.push_str("null");
                    copied = at;
                }
            }
            _ => at += 1,
        }
    }
    if copied == 0 {
        return Some(Cow::Borrowed(text));
    }
    strict.push_str(&text[copied..]);
    Some(Cow::Owned(strict))
}

/// Whether a word of JSON stands for a missing value.
fn is_missing(word: &str) -> bool {
    let bare = word.trim_start_matches(['-', '+']);
    match bare.as_bytes().first() {
        // Only an exponent or hundreds of digits go beyond f64.
        Some(b'0'..=b'9') => (bare.len() > 300 || bare.contains(['e', 'E'])) && bare.parse().is_ok_and(f64::is_infinite),
        _ => ["nan", "inf", "infinity", "none", "null"]
            .iter()
            .any(|name| bare.eq_ignore_ascii_case(name)),
    }
}

/// The position after the string that opens at `at`.
fn end_of_string(bytes: &[u8], mut at: usize) -> usize {
    at += 1;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The value at a path: first the field with exactly that name, then name by name.
fn find<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    if let Some(direct) = value.get(path) {
        return Some(direct);
    }
    path.split('.').try_fold(value, |at, name| match at {
        Value::Array(items) => items.get(name.parse::<usize>().ok()?),
        _ => at.get(name),
    })
}

fn read(topic: &str, field: &str, at: Option<&Value>) -> Result<f32, FieldError> {
    let Some(value) = at else {
        return Err(FieldError::Missing {
            topic: shortened(topic),
            field: field.to_owned(),
        });
    };
    let number = match value {
        Value::Null => Some(f64::NAN),
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    match number {
        Some(number) => Ok(Some(number as f32).filter(|v| v.is_finite()).unwrap_or(f32::NAN)),
        None => Err(FieldError::NotANumber {
            topic: shortened(topic),
            field: field.to_owned(),
            value: excerpt(value),
        }),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The beginning of a value, for messages.
fn excerpt(value: &Value) -> String {
    match value {
        Value::Array(_) | Value::Object(_) => kind(value).to_owned(),
        other => shortened(&other.to_string()),
    }
}
