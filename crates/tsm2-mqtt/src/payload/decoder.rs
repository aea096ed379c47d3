//! Decoder: a payload of one layout to readings.
//!
//! Invariants:
//! 1. No payload causes a panic, recursion beyond [`DecoderOptions::max_depth`], or more work than
//!    its length times the number of fields.
//! 2. What cannot be read loses itself only: a field its field, a reading of a batch its reading.
//! 3. A field that is absent is no fault.

use std::cell::OnceCell;

use jiff::tz::TimeZone;
use serde_json::Value;

use super::error::{PayloadError, excerpt, kind};
use super::influx;
use super::json::{self, NotJson};
use super::path::Path;
use super::time::TimeFormat;
use super::value::{Unreadable, ValueRule};
use crate::template::shortened;

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

/// Options of a [`Decoder`].
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
/// let payload = Payload { topic: "s/boiler", bytes, arrival_ms: 0, newest_ms: None, field: None };
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
    options: DecoderOptions,
    /// Whether text that is no JSON is a value.
    takes_bare: bool,
    /// Whether an array is a batch even without a path of the readings.
    splits_arrays: bool,
}

/// What the payload around the readings has for all of them, looked up once.
struct Around<'v> {
    whole: Option<&'v Value>,
    time: OnceCell<Result<Option<i64>, PayloadError>>,
    /// For each condition whether it holds there.
    conditions: Vec<OnceCell<bool>>,
}

/// Work of one payload.
struct Pass<'d, 'p, F> {
    decoder: &'d Decoder,
    payload: &'d Payload<'p>,
    on: F,
    /// Readings that could be read.
    read: usize,
    /// The first fault of a whole reading. It comes last: if nothing was read, it is the payload's.
    first: Option<PayloadError>,
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

    /// Reads one payload. `on` gets the outcome of each field of each reading, in order. A missing
    /// value (null, NaN, infinite, beyond the range of f32) is NaN.
    ///
    /// # Errors
    /// Nothing in the payload can be read; then `on` got no value.
    pub fn decode(&self, payload: &Payload<'_>, on: impl FnMut(Outcome)) -> Result<(), PayloadError> {
        let mut pass = Pass {
            decoder: self,
            payload,
            on,
            read: 0,
            first: None,
        };
        match self.options.format {
            PayloadFormat::Json => {
                let value = self.parse(payload)?;
                pass.readings(&Around::new(Some(&value), &self.options), &value);
            }
            PayloadFormat::Influx => {
                let text = self.text(payload)?;
                let nothing = Around::new(None, &self.options);
                for line in influx::lines(text) {
                    match line {
                        Ok(line) => pass.reading(&line, &nothing, None),
                        Err(line) => pass.fault(PayloadError::NotLineProtocol {
                            topic: shortened(payload.topic),
                            line,
                        }),
                    }
                }
            }
        }
        match pass.first {
            Some(error) if pass.read == 0 => Err(error),
            Some(error) => {
                (pass.on)(Outcome::Fault(error));
                Ok(())
            }
            None => Ok(()),
        }
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
        let nothing = Around::new(None, &self.options);
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

    fn text<'p>(&self, payload: &Payload<'p>) -> Result<&'p str, PayloadError> {
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

    fn parse(&self, payload: &Payload<'_>) -> Result<Value, PayloadError> {
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

    fn json(&self, topic: &str, text: &str) -> Result<Value, PayloadError> {
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
    fn time(&self, payload: &Payload<'_>, reading: &Value, around: &Around<'_>) -> Result<Option<i64>, PayloadError> {
        let Some(path) = &self.options.time else { return Ok(None) };
        let time = |at: &Value| {
            let at = find(payload, path, at)?.filter(|at| !at.is_null());
            at.map(|at| self.read_time(payload, path.as_str(), at)).transpose()
        };
        if let Some(time_ms) = time(reading)? {
            return Ok(Some(time_ms));
        }
        let of_all = || around.whole.map_or(Ok(None), time);
        match around.time.get_or_init(of_all).clone()? {
            Some(time_ms) => Ok(Some(time_ms)),
            None if self.options.format == PayloadFormat::Influx => Ok(Some(payload.arrival_ms)),
            None => Err(PayloadError::NoTime {
                topic: shortened(payload.topic),
                field: path.as_str().to_owned(),
            }),
        }
    }

    fn read_time(&self, payload: &Payload<'_>, field: &str, at: &Value) -> Result<i64, PayloadError> {
        let (format, zone) = (self.options.time_format, self.options.time_zone.as_ref());
        format.read(at, zone, payload.newest_ms).ok_or_else(|| PayloadError::BadTime {
            topic: shortened(payload.topic),
            field: field.to_owned(),
            value: excerpt(at),
        })
    }
}

impl<F: FnMut(Outcome)> Pass<'_, '_, F> {
    /// All readings of a payload.
    fn readings(&mut self, around: &Around<'_>, whole: &Value) {
        let options = &self.decoder.options;
        match &options.readings {
            None if self.decoder.splits_arrays => self.batch(whole, around),
            None if options.times_as_keys => self.batch(whole, around),
            None => self.reading(whole, around, None),
            Some(path) => {
                let found = path.find_all(whole);
                if found.is_empty() {
                    (0..options.fields.len()).for_each(|field| (self.on)(Outcome::Absent { field }));
                }
                for at in found {
                    match at {
                        Value::String(text) => match self.decoder.json(self.payload.topic, text) {
                            Ok(value) => self.batch(&value, around),
                            Err(error) => self.fault(error),
                        },
                        at => self.batch(at, around),
                    }
                }
            }
        }
    }

    fn batch(&mut self, at: &Value, around: &Around<'_>) {
        match at {
            // Bare values of one array have no times of their own.
            Value::Array(readings) if readings.iter().all(Value::is_object) => {
                readings.iter().for_each(|reading| self.batch_of_times(reading, around));
            }
            reading => self.batch_of_times(reading, around),
        }
    }

    fn batch_of_times(&mut self, at: &Value, around: &Around<'_>) {
        match at {
            Value::Object(by_time) if self.decoder.options.times_as_keys => {
                for (time, reading) in by_time {
                    self.reading(reading, around, Some(time));
                }
            }
            reading => self.reading(reading, around, None),
        }
    }

    fn fault(&mut self, error: PayloadError) {
        match self.first {
            None => self.first = Some(error),
            Some(_) => (self.on)(Outcome::Fault(error)),
        }
    }

    /// One reading; `key` is its time where times are keys.
    fn reading(&mut self, reading: &Value, around: &Around<'_>, key: Option<&str>) {
        if let Err(error) = self.read(reading, around, key) {
            self.fault(error);
        }
    }

    fn read(&mut self, reading: &Value, around: &Around<'_>, key: Option<&str>) -> Result<(), PayloadError> {
        let (decoder, payload) = (self.decoder, self.payload);
        let options = &decoder.options;
        let is_bare = !reading.is_object() && !reading.is_array();
        if !reading.is_object() && decoder.splits_arrays && !decoder.takes_bare && key.is_none() {
            return Err(PayloadError::NotAnObject {
                topic: shortened(payload.topic),
                kind: kind(reading),
            });
        }
        if !around.meets(&options.conditions, reading) {
            self.read += 1;
            return Ok(());
        }
        let time_ms = match key {
            Some(key) => decoder.read_time(payload, key, &Value::String(key.to_owned()))?,
            None => decoder.time(payload, reading, around)?.unwrap_or(payload.arrival_ms),
        };
        self.read += 1;
        match &options.shape {
            PayloadShape::Fields => {
                let is_value = is_bare && key.is_some() && options.fields.len() == 1;
                (0..options.fields.len()).for_each(|index| self.field(index, reading, time_ms, is_value));
            }
            PayloadShape::Topic => {
                if let Some(index) = payload.field.filter(|&index| index < options.fields.len()) {
                    self.field(index, reading, time_ms, !reading.is_object());
                }
            }
            PayloadShape::Named(path) => {
                let name = find(payload, path, reading)?.map(text_of).unwrap_or_default();
                if let Some(index) = options.fields.iter().position(|field| field.name == *name) {
                    self.field(index, reading, time_ms, false);
                }
            }
        }
        Ok(())
    }

    /// One field; `is_value`: the reading is the value itself.
    fn field(&mut self, index: usize, reading: &Value, time_ms: i64, is_value: bool) {
        let Field { path, rule, .. } = &self.decoder.options.fields[index];
        let (shown, at) = match is_value {
            true => ("", Ok(Some(reading))),
            false => (path.as_str(), find(self.payload, path, reading)),
        };
        let value = |value| Outcome::Value {
            time_ms,
            field: index,
            value,
        };
        match at {
            Ok(None) => (self.on)(Outcome::Absent { field: index }),
            Err(error) => (self.on)(Outcome::Fault(error)),
            Ok(Some(at)) => match rule.read(at) {
                Ok(number) => (self.on)(value(number)),
                Err(why) => {
                    (self.on)(Outcome::Fault(unreadable(self.payload, shown, at, why)));
                    if matches!(why, Unreadable::OutOfRange(_)) {
                        (self.on)(value(f32::NAN));
                    }
                }
            },
        }
    }
}

impl<'v> Around<'v> {
    fn new(whole: Option<&'v Value>, options: &DecoderOptions) -> Self {
        Around {
            whole,
            time: OnceCell::new(),
            conditions: vec![OnceCell::new(); options.conditions.len()],
        }
    }

    /// Whether a reading meets all conditions. What it lacks may be around it.
    fn meets(&self, conditions: &[Condition], reading: &Value) -> bool {
        let mut all = conditions.iter().zip(&self.conditions);
        all.all(|(condition, of_all)| {
            let of_all = || *of_all.get_or_init(|| self.whole.and_then(|whole| condition.holds(whole)).unwrap_or(false));
            condition.holds(reading).unwrap_or_else(of_all)
        })
    }
}

impl Condition {
    /// Whether a value meets it; `None` for one that has nothing at the path.
    fn holds(&self, value: &Value) -> Option<bool> {
        let Ok(found) = self.path.find(value) else { return Some(false) };
        let found = found?;
        Some(self.any_of.iter().any(|value| match (value.as_f64(), found.as_f64()) {
            (Some(value), Some(found)) => value == found,
            _ => text_of(value) == text_of(found),
        }))
    }
}

/// Text without quotes; other values as JSON writes them.
fn text_of(value: &Value) -> std::borrow::Cow<'_, str> {
    match value {
        Value::String(text) => text.into(),
        other => other.to_string().into(),
    }
}

fn find<'v>(payload: &Payload<'_>, path: &Path, value: &'v Value) -> Result<Option<&'v Value>, PayloadError> {
    path.find(value).map_err(|values| PayloadError::Ambiguous {
        topic: shortened(payload.topic),
        field: path.as_str().to_owned(),
        values,
    })
}

fn unreadable(payload: &Payload<'_>, field: &str, at: &Value, why: Unreadable) -> PayloadError {
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
