//! Payload decoder: a JSON object with a time and a field for each variate, to readings.
//!
//! The rules are those of the daemon: a field that cannot be read loses that field only; `null` is a
//! missing reading; text is a number if the whole text is one. The time is RFC 3339 text with an
//! offset, or a number: milliseconds since 1970 from 10^11 on, else seconds.
//!
//! Invariant: no payload causes a panic, or recursion deeper than [`MAX_DEPTH`].

use core::fmt;

use alloc::borrow::Cow;
use jiff::Timestamp;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use tsm2_blob::Blob;

/// Deepest nesting of JSON that is read.
const MAX_DEPTH: usize = 8;
/// From here on a number is a time in milliseconds.
const MILLISECONDS: f64 = 1e11;
/// The years 1 to 9999.
const RANGE_MS: core::ops::RangeInclusive<f64> = -62_135_596_800_000.0..=253_402_300_799_999.0;

/// Why a payload was rejected. Nothing of it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejected {
    /// Nested too deeply.
    TooDeep,
    /// Not a JSON object.
    NotAnObject,
    /// Without a time.
    NoTime,
    /// With a time that cannot be read.
    BadTime,
}

/// A JSON value as far as it matters here.
enum Value<'p> {
    Number(f64),
    Text(Cow<'p, str>),
    Null,
    Other,
}

impl Rejected {
    /// The reason in one word.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Rejected::TooDeep => "too_deep",
            Rejected::NotAnObject => "not_an_object",
            Rejected::NoTime => "no_time",
            Rejected::BadTime => "bad_time",
        }
    }
}

/// Reads a payload: writes `[M]` readings, `None` where a variate has none, and returns their time in
/// milliseconds since 1970-01-01 UTC.
///
/// # Errors
/// The payload cannot be read at all.
pub(crate) fn decode(payload: &[u8], blob: &Blob<'_>, time_field: &str, readings: &mut [Option<f32>]) -> Result<i64, Rejected> {
    if depth(payload) > MAX_DEPTH {
        return Err(Rejected::TooDeep);
    }
    readings.fill(None);
    let mut json = serde_json::Deserializer::from_slice(payload);
    let fields = Fields {
        blob,
        time_field,
        readings,
    };
    let time = json.deserialize_map(fields).map_err(|_| Rejected::NotAnObject)?;
    json.end().map_err(|_| Rejected::NotAnObject)?;
    match time.ok_or(Rejected::NoTime)? {
        Value::Number(number) => of_number(number),
        Value::Text(text) => {
            let instant = text.trim().parse::<Timestamp>().ok().map(Timestamp::as_millisecond);
            let instant = instant.filter(|&ms| RANGE_MS.contains(&(ms as f64)));
            instant.or_else(|| of_number(text.trim().parse().ok()?))
        }
        Value::Null | Value::Other => None,
    }
    .ok_or(Rejected::BadTime)
}

fn of_number(number: f64) -> Option<i64> {
    let ms = if number.abs() >= MILLISECONDS { number } else { number * 1e3 };
    // Round half away from zero; `f64::round` needs the standard library.
    let ms = ms + if ms < 0.0 { -0.5 } else { 0.5 };
    RANGE_MS.contains(&ms).then_some(ms as i64)
}

/// Deepest nesting of brackets outside texts.
fn depth(payload: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0usize, 0, false, false);
    for byte in payload {
        match (in_text, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_text = !in_text,
            (false, b'{' | b'[') => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Receives the fields of the object; its value is that of the time.
struct Fields<'f, 'b> {
    blob: &'f Blob<'b>,
    time_field: &'f str,
    readings: &'f mut [Option<f32>],
}

impl<'de> Visitor<'de> for Fields<'_, '_> {
    type Value = Option<Value<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut time = None;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if key == self.time_field {
                time = Some(map.next_value_seed(AnyValue)?);
            } else if let Some(variate) = self.blob.variate_named(&key) {
                let value = reading(&map.next_value_seed(AnyValue)?);
                if let Some(reading) = self.readings.get_mut(variate) {
                    *reading = value;
                }
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(time)
    }
}

/// A reading; NaN where it is missing, `None` where the field is not a number.
fn reading(value: &Value<'_>) -> Option<f32> {
    let number = match value {
        Value::Number(number) => *number,
        Value::Text(text) => text.trim().parse().ok()?,
        Value::Null => return Some(f32::NAN),
        Value::Other => return None,
    };
    let reading = number as f32;
    Some(if reading.is_finite() { reading } else { f32::NAN })
}

/// Any JSON value.
struct AnyValue;

impl<'de> DeserializeSeed<'de> for AnyValue {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value<'de>, E> {
        Ok(Value::Number(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value<'de>, E> {
        Ok(Value::Number(number as f64))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value<'de>, E> {
        Ok(Value::Number(number as f64))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(text.into())))
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut sequence: A) -> Result<Value<'de>, A::Error> {
        while sequence.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }
}
