//! Layout of payloads: which readings and fields they have and where, and what becomes of them.

use jiff::tz::TimeZone;
use serde_json::Value;

use super::error::PayloadError;
use super::path::Path;
use super::time::TimeFormat;
use super::value::ValueRule;

/// The language of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PayloadFormat {
    /// JSON, or one bare value where the layout has one: a number, a word, a number with its unit.
    #[default]
    Json,
    /// Influx line protocol; each line is a reading, an object of its tags, its fields,
    /// `measurement` and `time`.
    Influx,
}

/// One value that is looked for.
#[derive(Debug, Clone)]
pub struct Field {
    /// What the topic or the reading calls it; unused by [`PayloadShape::Fields`].
    pub name: String,
    /// Where the value lies.
    pub path: Path,
    /// How it becomes a number.
    pub rule: ValueRule,
}

impl Field {
    /// A field at a path, of the same name, without a rule.
    pub fn at(path: Path) -> Self {
        Field {
            name: path.as_str().to_owned(),
            path,
            rule: ValueRule::default(),
        }
    }
}

/// Which fields a reading has.
#[derive(Debug, Clone, Default)]
pub enum PayloadShape {
    /// All, each at its path.
    #[default]
    Fields,
    /// The one that the topic names ([`Payload::field`]); the reading may be the bare value.
    Topic,
    /// The one whose name stands at this path.
    Named(Path),
}

/// A value that a reading must have.
#[derive(Debug, Clone)]
pub struct Condition {
    /// Where it lies, in the reading or in the whole payload.
    pub path: Path,
    /// One of these. Numbers and text are the same if they are written the same.
    pub any_of: Vec<Value>,
}

/// Options of a [`crate::Decoder`].
#[derive(Debug, Clone, Default)]
pub struct DecoderOptions {
    /// The language.
    pub format: PayloadFormat,
    /// Which fields a reading has.
    pub shape: PayloadShape,
    /// The fields.
    pub fields: Vec<Field>,
    /// Where the readings lie; `None`: the payload. An array is a batch. Text is read as JSON.
    pub readings: Option<Path>,
    /// Whether the names in an object are times and its values readings.
    pub times_as_keys: bool,
    /// All must hold; other readings are skipped.
    pub conditions: Vec<Condition>,
    /// Path of the time in the reading, or in the whole payload; `None`: the time of arrival counts.
    pub time: Option<Path>,
    /// Whether a reading without that time has the time of arrival; otherwise it is a fault. A retained
    /// message always needs its time.
    pub time_or_arrival: bool,
    /// The format of that time.
    pub time_format: TimeFormat,
    /// The zone of times without an offset; `None` rejects them.
    pub time_zone: Option<TimeZone>,
    /// The largest payload that is read, in bytes.
    pub max_payload: usize,
    /// The deepest nesting of JSON that is read.
    pub max_depth: usize,
}

/// A payload and what belongs to it.
#[derive(Debug, Clone, Copy)]
pub struct Payload<'p> {
    /// Topic of the message, for errors.
    pub topic: &'p str,
    /// The bytes.
    pub bytes: &'p [u8],
    /// Wall clock at arrival, milliseconds since 1970-01-01 UTC.
    pub arrival_ms: i64,
    /// Whether the broker had stored it.
    pub retained: bool,
    /// Time of the newest reading of the stream: it decides which of the two passes of an hour is
    /// meant that a local clock repeats.
    pub newest_ms: Option<i64>,
    /// For [`PayloadShape::Topic`]: the field that the topic names.
    pub field: Option<usize>,
}

/// What became of a field of a reading.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// A value at a time, in milliseconds since 1970-01-01 UTC. A missing reading is NaN.
    Value {
        /// The time.
        time_ms: i64,
        /// Index of the field.
        field: usize,
        /// The number.
        value: f32,
    },
    /// The reading lacks the field, which is no fault.
    Absent {
        /// Index of the field.
        field: usize,
    },
    /// It cannot be used.
    Fault(PayloadError),
}
