//! What is wrong with a payload: the topic, the place in it, and what stands there.

use serde_json::Value;

use crate::template::shortened;

/// A payload, or a part of one, that cannot be used.
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
    /// Not Influx line protocol.
    #[error("topic {topic:?}: line {line} is not Influx line protocol")]
    NotLineProtocol {
        /// Topic of the message.
        topic: String,
        /// The line, from 1.
        line: usize,
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
    /// A field is missing.
    #[error("topic {topic:?}: field {field:?} is missing")]
    Missing {
        /// Topic of the message.
        topic: String,
        /// Path of the field.
        field: String,
    },
    /// A field is not a number.
    #[error("topic {topic:?}: field {field:?} is not a number: {value}{}", remedy(value))]
    NotANumber {
        /// Topic of the message.
        topic: String,
        /// Path of the field.
        field: String,
        /// The content of the field, shortened.
        value: String,
    },
    /// A number outside the range that counts. The reading is missing.
    #[error("topic {topic:?}: field {field:?} is {value}, outside of its valid range")]
    OutOfRange {
        /// Topic of the message.
        topic: String,
        /// Path of the field.
        field: String,
        /// The number.
        value: f64,
    },
    /// A path selects several values.
    #[error("topic {topic:?}: path {field:?} selects {values} values; make it select one")]
    Ambiguous {
        /// Topic of the message.
        topic: String,
        /// The path.
        field: String,
        /// How many values.
        values: usize,
    },
}

impl PayloadError {
    /// The reason in one word, for the label of a metric.
    pub fn reason(&self) -> &'static str {
        match self {
            PayloadError::TooLarge { .. } => "too_large",
            PayloadError::TooDeep { .. } => "too_deep",
            PayloadError::NotJson { .. } => "not_json",
            PayloadError::NotLineProtocol { .. } => "not_line_protocol",
            PayloadError::NotAnObject { .. } => "not_an_object",
            PayloadError::NoTime { .. } => "no_time",
            PayloadError::BadTime { .. } => "bad_time",
            PayloadError::NotPoints { .. } => "not_points",
            PayloadError::Missing { .. } => "field_missing",
            PayloadError::NotANumber { .. } => "not_a_number",
            PayloadError::OutOfRange { .. } => "out_of_range",
            PayloadError::Ambiguous { .. } => "ambiguous",
        }
    }

    /// Where in the payload, if not all of it is meant.
    pub fn field(&self) -> &str {
        match self {
            PayloadError::NoTime { field, .. }
            | PayloadError::BadTime { field, .. }
            | PayloadError::Missing { field, .. }
            | PayloadError::NotANumber { field, .. }
            | PayloadError::OutOfRange { field, .. }
            | PayloadError::Ambiguous { field, .. } => field,
            _ => "",
        }
    }
}

/// What to set in a `[[source]]` where text is no number.
fn remedy(value: &str) -> &'static str {
    let text = value.strip_prefix('"').map(|text| text.trim_start_matches(['+', '-', ' ']));
    match text.and_then(|text| text.bytes().next()) {
        None | Some(b'"') => "",
        Some(b'0'..=b'9') => "; set unit if it has a unit, or decimal = \",\" for a comma",
        Some(_) => "; set words if the word stands for a number",
    }
}

pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The beginning of a value.
pub(super) fn excerpt(value: &Value) -> String {
    match value {
        Value::Array(_) | Value::Object(_) => kind(value).to_owned(),
        other => shortened(&other.to_string()),
    }
}
