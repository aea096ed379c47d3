//! Timestamps as people write them.
//!
//! A time without a zone is taken as UTC: files mix neither zones nor forms, and only differences and the time of day matter.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// How a column writes its times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeFormat {
    /// RFC 3339, or date and time of day with a space or `T` between, or a date alone.
    Text,
    /// Unix time in seconds.
    Seconds,
    /// Unix time in milliseconds.
    Milliseconds,
}

impl TimeFormat {
    /// The form that `cell` has; numbers are looked at only with `unix`, and only from 1990 to 2100.
    pub fn of(cell: &str, unix: bool) -> Option<TimeFormat> {
        const YEARS: std::ops::Range<f64> = 631_152_000.0..4_102_444_800.0;
        if text_ms(cell).is_some() {
            return Some(TimeFormat::Text);
        }
        let number = cell.parse::<f64>().ok().filter(|_| unix)?;
        match number {
            _ if YEARS.contains(&number) => Some(TimeFormat::Seconds),
            _ if YEARS.contains(&(number / 1e3)) => Some(TimeFormat::Milliseconds),
            _ => None,
        }
    }

    /// Milliseconds since 1970.
    pub fn parse(self, cell: &str) -> Option<i64> {
        let number = |scale: f64| {
            cell.parse::<f64>()
                .ok()
                .map(|n| (n * scale).round())
                .filter(|ms| ms.abs() < 1e15)
                .map(|ms| ms as i64)
        };
        match self {
            TimeFormat::Text => text_ms(cell),
            TimeFormat::Seconds => number(1e3),
            TimeFormat::Milliseconds => number(1.0),
        }
    }
}

fn text_ms(cell: &str) -> Option<i64> {
    // Ask for `YYYY-`, so that a plain number is never taken for the compact form of a date.
    let bytes = cell.as_bytes();
    if bytes.len() < 8 || !bytes[..4].iter().all(u8::is_ascii_digit) || !matches!(bytes[4], b'-' | b'/') {
        return None;
    }
    let cell = cell.replace('/', "-");
    let zoned = || cell.parse::<Timestamp>().ok();
    let local = || Offset::UTC.to_timestamp(cell.parse::<DateTime>().ok()?).ok();
    zoned().or_else(local).map(|timestamp| timestamp.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_people_write() {
        let new_year = 1_704_067_200_000;
        for (cell, ms) in [
            ("2024-01-01", new_year),
            ("2024/01/01 00:01", new_year + 60_000),
            ("2024-01-01 00:00:01", new_year + 1_000),
            ("2024-01-01 00:00:01.250", new_year + 1_250),
            ("2024-01-01T00:00:00Z", new_year),
            ("2024-01-01T02:00:00+02:00", new_year),
            ("2024-01-01 02:00:00+02:00", new_year),
        ] {
            assert_eq!(TimeFormat::of(cell, false), Some(TimeFormat::Text), "{cell}");
            assert_eq!(TimeFormat::Text.parse(cell), Some(ms), "{cell}");
        }
        assert_eq!(
            TimeFormat::of("1704067200", true).and_then(|f| f.parse("1704067200.5")),
            Some(new_year + 500)
        );
        assert_eq!(
            TimeFormat::of("1704067200000", true).and_then(|f| f.parse("1704067200000")),
            Some(new_year)
        );
        for cell in ["20240101", "12.5", "x", "", "2024-13-01", "1704067200"] {
            assert_eq!(TimeFormat::of(cell, false), None, "{cell}");
        }
        assert_eq!(TimeFormat::of("12.5", true), None);
    }
}
