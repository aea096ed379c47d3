//! Columns that only repeat the clock: a year, an hour, seconds since midnight.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::time::zone::local;

/// Share of rows that must agree, in percent.
const ENOUGH: usize = 99;
/// Rows looked at first.
const FIRST: usize = 500;

type Field = (&'static str, fn(&DateTime) -> f64);

/// What a column may repeat.
const FIELDS: [Field; 13] = [
    ("the year", |time| f64::from(time.year())),
    ("the month", |time| f64::from(time.month())),
    ("the day of the month", |time| f64::from(time.day())),
    ("the day of the year", |time| f64::from(time.day_of_year())),
    ("the hour", |time| f64::from(time.hour())),
    ("the minute", |time| f64::from(time.minute())),
    ("the weekday", |time| f64::from(time.weekday().to_monday_zero_offset())),
    ("the weekday", |time| f64::from(time.weekday().to_monday_one_offset())),
    ("the weekday", |time| f64::from(time.weekday().to_sunday_zero_offset())),
    ("the weekday", |time| f64::from(time.weekday().to_sunday_one_offset())),
    ("seconds since midnight", seconds),
    ("minutes since midnight", |time| seconds(time) / 60.0),
    ("the hour with a fraction", |time| seconds(time) / 3600.0),
];

fn seconds(time: &DateTime) -> f64 {
    f64::from(time.hour()) * 3600.0 + f64::from(time.minute()) * 60.0 + f64::from(time.second())
}

/// What the values of a column repeat of their times; `None` for readings. A column that is called after a part of a date (`is_named`)
/// may be constant.
pub(crate) fn repeats(times_ms: &[i64], zone: &TimeZone, is_named: bool, value: impl Fn(usize) -> f32) -> Option<&'static str> {
    let agrees = |field: &Field, rows: &mut dyn Iterator<Item = usize>| {
        let (mut good, mut all, mut first, mut varies) = (0, 0, None, false);
        for row in rows {
            let number = value(row);
            if number.is_nan() {
                continue;
            }
            let Some(time) = local(times_ms[row], zone) else { continue };
            all += 1;
            varies |= *first.get_or_insert(number) != number;
            good += usize::from((field.1(&time) - f64::from(number)).abs() < 1e-3);
        }
        all >= 10 && good * 100 >= all * ENOUGH && (varies || is_named)
    };
    let stride = (times_ms.len() / FIRST).max(1);
    FIELDS
        .iter()
        .filter(|field| agrees(field, &mut (0..times_ms.len()).step_by(stride)))
        .find(|field| agrees(field, &mut (0..times_ms.len())))
        .map(|(name, _)| *name)
}
