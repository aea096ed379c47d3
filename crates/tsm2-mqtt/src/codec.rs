//! Payload codecs: bytes to values and their time.
//!
//! Invariants: no payload makes a panic, work beyond its length, or recursion beyond [`DecoderOptions::max_depth`]; a field that cannot be
//! read costs that field only; text is a number only if all of it is one.

use std::borrow::Cow;

use jiff::tz::TimeZone;
use serde_json::Value;

use crate::time::TimeFormat;
use crate::topic::shortened;

/// How a payload holds its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// A JSON object with one field per variate, each given by its path, in the model's order. A path is a field's name, or names joined by
    /// dots (`room.temperature`, `channels.0.value`); a field whose name itself has the dots is found first.
    Fields(Vec<String>),
    /// One value: a bare number, or a JSON object with the value at this path.
    Single(String),
}

/// What a [`Decoder`] is made of.
#[derive(Debug, Clone)]
pub struct DecoderOptions {
    /// Where the values are.
    pub shape: Shape,
    /// Path of the time in the payload; `None` means the time of arrival.
    pub time: Option<String>,
    /// How that time is written.
    pub time_format: TimeFormat,
    /// The zone of times that have no offset; `None` refuses them.
    pub time_zone: Option<TimeZone>,
    /// Largest payload that is read, in bytes.
    pub max_payload: usize,
    /// Deepest nesting of JSON that is read.
    pub max_depth: usize,
}

/// A payload that gives no value at all.
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
        /// What the parser said.
        reason: String,
    },
    /// JSON, but not an object, where fields are wanted.
    #[error("topic {topic:?}: the payload is {kind}, where a JSON object with a field per variate is expected")]
    NotAnObject {
        /// Topic of the message.
        topic: String,
        /// What it is.
        kind: &'static str,
    },
    /// The time's field is not there.
    #[error("topic {topic:?}: the payload has no time at {field:?}")]
    NoTime {
        /// Topic of the message.
        topic: String,
        /// Path of the time.
        field: String,
    },
    /// The time cannot be read.
    #[error("topic {topic:?}: field {field:?} is no time: {value}")]
    BadTime {
        /// Topic of the message.
        topic: String,
        /// Path of the time.
        field: String,
        /// What stands there, shortened.
        value: String,
    },
    /// JSON, but not an array, where points in time are wanted.
    #[error("topic {topic:?}: the payload is {kind}, where a JSON array of objects with a time and a value is expected")]
    NotPoints {
        /// Topic of the message.
        topic: String,
        /// What it is.
        kind: &'static str,
    },
    /// A point without a value.
    #[error(transparent)]
    Point(#[from] FieldError),
}

/// One field that gives no value; the others of the payload stand.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FieldError {
    /// It is not there.
    #[error("topic {topic:?}: field {field:?} is missing")]
    Missing {
        /// Topic of the message.
        topic: String,
        /// Path of the field.
        field: String,
    },
    /// It is there and is no number.
    #[error("topic {topic:?}: field {field:?} is no number: {value}")]
    NotANumber {
        /// Topic of the message.
        topic: String,
        /// Path of the field.
        field: String,
        /// What stands there, shortened.
        value: String,
    },
}

impl PayloadError {
    /// The kind of fault in one word, for counters.
    pub fn kind(&self) -> &'static str {
        match self {
            PayloadError::TooLarge { .. } => "too_large",
            PayloadError::TooDeep { .. } => "too_deep",
            PayloadError::NotJson { .. } => "not_json",
            PayloadError::NotAnObject { .. } => "not_an_object",
            PayloadError::NoTime { .. } => "no_time",
            PayloadError::BadTime { .. } => "bad_time",
            PayloadError::NotPoints { .. } => "not_points",
            PayloadError::Point(error) => error.kind(),
        }
    }
}

impl FieldError {
    /// The kind of fault in one word, for counters.
    pub fn kind(&self) -> &'static str {
        match self {
            FieldError::Missing { .. } => "field_missing",
            FieldError::NotANumber { .. } => "not_a_number",
        }
    }
}

/// Reads payloads of one shape.
#[derive(Debug, Clone)]
pub struct Decoder {
    options: DecoderOptions,
}

impl Decoder {
    /// Makes a decoder.
    pub fn new(options: DecoderOptions) -> Self {
        Decoder { options }
    }

    /// Whether payloads tell their own time (else it is that of their arrival).
    pub fn has_own_time(&self) -> bool {
        self.options.time.is_some()
    }

    /// Reads one payload. `on` hears, per field in order (index 0 for [`Shape::Single`]), the value or why there is none; a missing value
    /// (null, not a number) is NaN. Returns the time of the values in milliseconds since 1970-01-01 UTC, which is known before `on` is first
    /// called: it is its first argument. `newest_ms` is the time of the stream's newest reading, which tells the two passes of an hour that the
    /// local clock repeats.
    pub fn decode(
        &self,
        topic: &str,
        payload: &[u8],
        arrival_ms: i64,
        newest_ms: Option<i64>,
        mut on: impl FnMut(i64, usize, Result<f32, FieldError>),
    ) -> Result<i64, PayloadError> {
        let value = self.parse(topic, payload)?;
        if matches!(self.options.shape, Shape::Fields(_)) && !value.is_object() {
            return Err(PayloadError::NotAnObject {
                topic: shortened(topic),
                kind: kind(&value),
            });
        }
        let time_ms = self.time(topic, &value, newest_ms)?.unwrap_or(arrival_ms);
        match &self.options.shape {
            Shape::Fields(fields) => {
                for (index, field) in fields.iter().enumerate() {
                    on(time_ms, index, read(topic, field, find(&value, field)));
                }
            }
            Shape::Single(path) => {
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

    /// Reads a payload of points in time: a JSON array of objects, each with the time and, at the path of [`Shape::Single`], a value; one that is
    /// missing (null, not a number) is NaN. One point that cannot be read costs the whole payload, for without it the others would mean something
    /// else. Times are in milliseconds since 1970-01-01 UTC.
    pub fn points(&self, topic: &str, payload: &[u8], newest_ms: Option<i64>) -> Result<Vec<(i64, f32)>, PayloadError> {
        let value = self.parse(topic, payload)?;
        let (Value::Array(points), Shape::Single(path)) = (&value, &self.options.shape) else {
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
        if let (Shape::Single(_), Ok(number)) = (&self.options.shape, text.parse::<f64>()) {
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

/// JSON as people's sensors write it, made strict: the words NaN and Infinity, in any case and sign, that stand outside quotes become null.
/// `None` when it is nested deeper than `max_depth`.
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
            b'-' | b'+' | b'a'..=b'z' | b'A'..=b'Z' => {
                let start = at;
                at += 1;
                while at < bytes.len() && bytes[at].is_ascii_alphabetic() {
                    at += 1;
                }
                let word = text[start..at].trim_start_matches(['-', '+']);
                if ["nan", "inf", "infinity", "none", "null"]
                    .iter()
                    .any(|w| word.eq_ignore_ascii_case(w))
                {
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

/// The value at a path: the field of that very name first, then name by name.
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
