//! The moment of a row, from the columns of its time.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use crate::cells::{Decimal, number, plain, trim};
use crate::delimited::Record;
use crate::names::Part;
use crate::recording::Clock;
use crate::time::date::{Order, Zone, civil_ms, days};
use crate::time::formats::{month_of_year, parse};
use crate::time::vocabulary;

/// The columns of the time and how they are read.
#[derive(Debug, Clone)]
pub(crate) struct TimeColumns {
    pub columns: Vec<usize>,
    pub how: How,
    /// For the report.
    pub format: String,
    pub clock: Clock,
    /// Zone of cells without one.
    pub zone: TimeZone,
    /// Milliseconds for each unit of the last of `columns`, which hold seconds and milliseconds of the time.
    pub fractions: Vec<f64>,
    pub notes: Vec<String>,
}

#[derive(Debug, Clone)]
pub(crate) enum How {
    /// One column with date and time, or two with one each.
    Text(Order),
    /// A number of which one counts so many milliseconds, and where it starts, in ms since 1970 or an unknown moment.
    Count(f64, i64),
    /// Days since an epoch, and the day of 1970-01-01.
    Days(f64),
    /// A month or a quarter: its first day.
    Month,
    /// Parts of the date in columns of their own; the first may be a whole date.
    Parts(Vec<Part>, Option<Order>),
    /// A pattern of `strptime`.
    Pattern(String),
}

/// A moment as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// In UTC, ms since 1970.
    Utc(i64),
    /// In local time, as if it were UTC.
    Civil(i64),
}

impl TimeColumns {
    /// Without a zone or fractions.
    pub fn new(columns: Vec<usize>, how: How, format: String, clock: Clock, notes: Vec<String>) -> Self {
        TimeColumns {
            columns,
            how,
            format,
            clock,
            zone: TimeZone::UTC,
            fractions: Vec::new(),
            notes,
        }
    }

    /// The moment of a row.
    pub fn read(&self, record: &Record) -> Option<Moment> {
        if self.fractions.is_empty() {
            return self.read_columns(record, &self.columns);
        }
        let (columns, fractions) = self.columns.split_at(self.columns.len() - self.fractions.len());
        let mut later = 0.0;
        for (&c, scale) in fractions.iter().zip(&self.fractions) {
            later += plain(trim(record.get(c)?))? * scale;
        }
        let later = later.round() as i64;
        Some(match self.read_columns(record, columns)? {
            Moment::Utc(ms) => Moment::Utc(ms + later),
            Moment::Civil(ms) => Moment::Civil(ms + later),
        })
    }

    fn read_columns(&self, record: &Record, columns: &[usize]) -> Option<Moment> {
        let cell = |at: usize| columns.get(at).and_then(|&c| record.get(c)).map(trim);
        match &self.how {
            How::Text(order) => {
                let first = parse(cell(0)?, *order)?;
                let second = match cell(1) {
                    Some(clock) => match cell(2) {
                        Some(half) => Some(parse(&[clock, b" ", half].concat(), *order)?),
                        None => Some(parse(clock, *order)?),
                    },
                    None => None,
                };
                let clock = second.and_then(|second| second.nanoseconds).or(first.nanoseconds).unwrap_or(0);
                let zone = second
                    .map(|second| second.zone)
                    .filter(|zone| *zone != Zone::None)
                    .unwrap_or(first.zone);
                let ms = civil_ms(first.date?, clock);
                match zone {
                    Zone::Offset(seconds) => Some(Moment::Utc(ms - i64::from(seconds) * 1000)),
                    Zone::None => Some(Moment::Civil(ms)),
                }
            }
            How::Count(scale, start_ms) => Some(Moment::Utc(scaled(cell(0)?, *scale)?.checked_add(*start_ms)?)),
            How::Days(epoch) => {
                let days = number(cell(0)?, Decimal::Dot).or_else(|| number(cell(0)?, Decimal::Comma))?;
                // To the second: a serial has no more digits.
                let seconds = ((days - epoch) * 86_400.0).round();
                (seconds.abs() < 1e12).then(|| Moment::Civil(seconds as i64 * 1000))
            }
            How::Month => Some(Moment::Civil(civil_ms(month_of_year(cell(0)?)?, 0))),
            How::Parts(parts, order) => self.of_parts(record, parts, *order),
            How::Pattern(pattern) => {
                let cells: Vec<&[u8]> = (0..columns.len()).filter_map(cell).collect();
                let text = String::from_utf8(cells.join(&b' ')).ok()?;
                let broken = jiff::fmt::strtime::parse(pattern, &text).ok()?;
                if broken.offset().is_some() {
                    return Some(Moment::Utc(broken.to_timestamp().ok()?.as_millisecond()));
                }
                let clock = broken.to_time().ok().map_or(0, |time| {
                    time.to_datetime(Date::constant(1970, 1, 1))
                        .duration_since(DateTime::constant(1970, 1, 1, 0, 0, 0, 0))
                        .as_nanos() as i64
                });
                Some(Moment::Civil(civil_ms(broken.to_date().ok()?, clock)))
            }
        }
    }

    fn of_parts(&self, record: &Record, parts: &[Part], order: Option<Order>) -> Option<Moment> {
        let mut columns = self.columns.iter();
        let mut date = match order {
            Some(order) => parse(trim(record.get(*columns.next()?)?), order)?.date,
            None => None,
        };
        let (mut year, mut month, mut day, mut clock) = (None, 1.0, 1.0, 0.0);
        let mut day_of_year = None;
        for (part, &c) in parts.iter().zip(columns) {
            let cell = trim(record.get(c)?);
            let value = match part {
                Part::Month => plain(cell).or_else(|| vocabulary::month(cell).map(f64::from))?,
                _ => plain(cell)?,
            };
            match part {
                Part::Year => year = Some(value),
                Part::Month => month = value,
                Part::Day => day = value,
                Part::DayOfYear => day_of_year = Some(value),
                Part::Hour => clock += value * 3600.0,
                Part::Clock => {
                    (value % 100.0 < 60.0).then_some(())?;
                    clock += (value / 100.0).floor() * 3600.0 + value % 100.0 * 60.0;
                }
                Part::Minute => clock += value * 60.0,
                Part::Second => clock += value,
                Part::Millisecond => clock += value / 1000.0,
            }
        }
        if let Some(year) = year {
            date = Date::new(year as i16, month as i8, if day_of_year.is_some() { 1 } else { day as i8 }).ok();
        }
        let days = days(date?) + day_of_year.map_or(0, |day| day as i64 - 1);
        Some(Moment::Civil(days * 86_400_000 + (clock * 1000.0).round() as i64))
    }
}

/// Whole numbers are scaled without loss: nanoseconds since 1970 are beyond the digits of an `f64`.
fn scaled(cell: &[u8], scale: f64) -> Option<i64> {
    let whole = std::str::from_utf8(cell).ok()?.parse::<i64>().ok();
    let ms = match whole {
        Some(count) if scale >= 1.0 => count.checked_mul(scale as i64)?,
        Some(count) => count.div_euclid((1.0 / scale).round() as i64),
        None => {
            let ms = (number(cell, Decimal::Dot).or_else(|| number(cell, Decimal::Comma))? * scale).round();
            (ms.abs() < 1e15).then_some(ms as i64)?
        }
    };
    (ms.abs() < 1_000_000_000_000_000).then_some(ms)
}
