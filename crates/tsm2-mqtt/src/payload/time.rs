//! Times in payloads: RFC 3339 text, local time without an offset, or a number of seconds to
//! nanoseconds since 1970.
//!
//! Invariants: a time that is taken lies between the years 1 and 9999, in milliseconds; text without
//! an offset is a time only where a zone was named.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use serde::Deserialize;
use serde_json::Value;

/// How a payload writes its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TimeFormat {
    /// Text is RFC 3339, or local time where a zone is named. A number below 10^11 is seconds, below
    /// 10^14 milliseconds, below 10^17 microseconds, else nanoseconds: right for the years 1973 to
    /// 5138.
    #[default]
    Auto,
    /// `2026-01-31T12:00:00Z`, with any offset; without one where a zone is named.
    Rfc3339,
    /// Seconds since 1970-01-01 UTC, whole or with a fraction.
    UnixS,
    /// Milliseconds since 1970-01-01 UTC.
    UnixMs,
    /// Microseconds since 1970-01-01 UTC.
    UnixUs,
    /// Nanoseconds since 1970-01-01 UTC.
    UnixNs,
}

/// The years 1 to 9999.
const RANGE_MS: core::ops::RangeInclusive<f64> = -62_135_596_800_000.0..=253_402_300_799_999.0;

impl TimeFormat {
    /// Milliseconds since 1970-01-01 UTC; `None` when `value` is no time in this format. Text
    /// without an offset is local time in `zone`; of the two passes of an hour in autumn the one
    /// nearer to `newest_ms` is meant.
    pub fn read(self, value: &Value, zone: Option<&TimeZone>, newest_ms: Option<i64>) -> Option<i64> {
        match value {
            Value::String(text) => self.read_text(text.trim(), zone, newest_ms),
            Value::Number(number) => self.read_number(number.as_f64()?),
            _ => None,
        }
    }

    fn read_text(self, text: &str, zone: Option<&TimeZone>, newest_ms: Option<i64>) -> Option<i64> {
        if matches!(self, TimeFormat::Auto | TimeFormat::Rfc3339) {
            let instant = text.parse().ok().or_else(|| with_spaced_offset(text));
            if let Some(time) = instant.or_else(|| local(text, zone?, newest_ms)) {
                return Some(time.as_millisecond()).filter(|&ms| RANGE_MS.contains(&(ms as f64)));
            }
        }
        self.read_number(text.parse().ok()?)
    }

    fn read_number(self, number: f64) -> Option<i64> {
        let ms = match self {
            TimeFormat::Rfc3339 => return None,
            TimeFormat::UnixS => number * 1e3,
            TimeFormat::UnixMs => number,
            TimeFormat::UnixUs => number / 1e3,
            TimeFormat::UnixNs => number / 1e6,
            TimeFormat::Auto => match number.abs() {
                ..1e11 => number * 1e3,
                ..1e14 => number,
                ..1e17 => number / 1e3,
                _ => number / 1e6,
            },
        };
        let ms = ms.round();
        RANGE_MS.contains(&ms).then_some(ms as i64)
    }
}

/// `2026-01-31 12:00:00 +0100` and `2026-01-31 12:00:00 UTC`.
fn with_spaced_offset(text: &str) -> Option<Timestamp> {
    let (time, offset) = text.rsplit_once(' ').filter(|(time, _)| time.contains(':'))?;
    match offset {
        "UTC" | "GMT" | "Z" => format!("{time}Z").parse().ok(),
        _ => format!("{time}{offset}").parse().ok(),
    }
}

/// Local time, `2026-01-31T12:00:00` or with a space. A time that spring skips is read with the
/// offset before the change. Of the two that an hour repeated in autumn means, the one nearer to the
/// stream's newest reading counts, and the earlier where both are as near or there is none: the
/// second hour goes on where the first ended, and what comes again of the last half an hour is still
/// what it was.
fn local(text: &str, zone: &TimeZone, newest_ms: Option<i64>) -> Option<Timestamp> {
    // A date alone is no time, and a zone in brackets would be passed over.
    if !text.contains(':') || text.contains('[') {
        return None;
    }
    let time = zone.to_ambiguous_timestamp(text.parse::<DateTime>().ok()?);
    let earlier = time.compatible().ok()?;
    if let (AmbiguousOffset::Fold { .. }, Some(newest_ms)) = (time.offset(), newest_ms) {
        let later = time.later().ok()?;
        let distance = |time: Timestamp| time.as_millisecond().abs_diff(newest_ms);
        return Some(if distance(later) < distance(earlier) { later } else { earlier });
    }
    Some(earlier)
}

/// A time as RFC 3339 text in UTC; whole seconds without a fraction. Times beyond the year 9999 are
/// written as that year's end.
pub fn rfc3339(time_ms: i64) -> String {
    Timestamp::from_millisecond(time_ms)
        .unwrap_or(if time_ms < 0 { Timestamp::MIN } else { Timestamp::MAX })
        .to_string()
}
