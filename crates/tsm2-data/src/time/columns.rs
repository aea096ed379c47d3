//! Which columns hold the time, and how: decided over the whole file.

use jiff::tz::TimeZone;

use crate::census::Column;
use crate::error::Error;
use crate::names::{self, Part};
use crate::recording::Clock;
use crate::time::date::Order;
use crate::time::finder::{ENOUGH, Finder};
use crate::time::moment::{How, TimeColumns};
use crate::time::numbers::{DAYS, EPOCHS, are_months, days_of, epoch, goes_one_way, is_compact};
use crate::time::order::description;
use crate::time::zone;

impl Finder<'_> {
    /// The columns of the time; `None` when there are none, or none is wanted.
    pub fn find(&self) -> Result<Option<TimeColumns>, Error> {
        if self.options.time_format.as_deref() == Some("none") {
            return Ok(None);
        }
        let asked_zone = self.options.time_zone.as_deref().map(zone::by_name).transpose()?;
        let asked: Vec<usize> = self
            .options
            .time_column
            .iter()
            .map(|name| self.column(name))
            .collect::<Result<_, _>>()?;
        let mut found = match asked.as_slice() {
            [] => self.by_cells()?,
            [one] => Some(self.of_column(*one)?),
            several => Some(self.of_columns(several)?),
        };
        if let Some(found) = &mut found {
            self.add_fractions(found);
            found.zone = asked_zone
                .or_else(|| zone_of_names(self.names.iter().map(String::as_str)))
                .or_else(|| self.place_of_names(found))
                .unwrap_or(TimeZone::UTC);
        }
        Ok(found)
    }

    /// A place in the name of the time column, such as `Europe/Amsterdam (+01:00)`.
    fn place_of_names(&self, found: &mut TimeColumns) -> Option<TimeZone> {
        let (name, zone) = found
            .columns
            .iter()
            .find_map(|&c| Some((&self.names[c], zone::of_place(&self.names[c])?)))?;
        let place = zone.iana_name().unwrap_or(name);
        found.notes.push(format!(
            "the times are those of {place}, as column `{name}` names it; --time-zone decides"
        ));
        Some(zone)
    }

    fn by_cells(&self) -> Result<Option<TimeColumns>, Error> {
        let is_ignored = |c: usize| self.options.ignore.contains(&self.names[c]);
        let columns = || self.census.columns.iter().enumerate().filter(|&(c, _)| !is_ignored(c));
        let named = |c: usize| names::is_time(&self.names[c]);
        let is_date = |column: &Column| column.times.dates * 100 >= column.filled * ENOUGH && column.times.dates > 0;
        let date = columns()
            .filter(|(_, column)| is_date(column) && !self.is_number(column))
            .min_by_key(|&(c, column)| {
                let has_clock = column.times.date_only < column.times.dates;
                (
                    column.is_constant && self.census.rows > 1,
                    column.empty * 2 > self.census.rows,
                    !named(c),
                    !has_clock,
                    c,
                )
            });
        let numbers = || columns().filter(|(_, column)| column.bare_numbers() * 100 >= column.filled * ENOUGH && column.bare_numbers() > 0);
        if let Some((c, column)) = date {
            // Seconds since 1970 need no zone.
            let is_exact = |&(c, column): &(usize, &Column)| {
                named(c) && column.is_whole && column.filled == self.census.rows && goes_one_way(column) && epoch(column).is_some()
            };
            let exact = numbers()
                .find(is_exact)
                .filter(|_| column.times.zoned == 0 && self.options.time_zone.is_none());
            return self.of_column(exact.map_or(c, |(c, _)| c)).map(Some);
        }
        if let Some((c, column)) = columns().find(|&(c, column)| {
            column.times.dates * 2 > column.filled && !self.is_number(column) && column.filled > 0
                || named(c) && column.times.dates > 0 && !self.is_number(column)
        }) {
            if self.options.force {
                return self.of_column(c).map(Some);
            }
            return Err(self.unreadable(c, column));
        }
        let may_be_time = |c: usize| named(c) || !self.has_header && c == 0;
        if let Some((c, _)) = numbers().find(|&(c, column)| may_be_time(c) && (epoch(column).is_some() || named(c) && is_compact(column))) {
            return self.of_column(c).map(Some);
        }
        if let Some(parts) = self.parts(None).or_else(|| self.parts_in_order()) {
            return Ok(Some(parts));
        }
        if let Some((c, _)) = numbers().find(|&(c, column)| named(c) && (is_compact(column) || days_of(column).is_some())) {
            return self.of_column(c).map(Some);
        }
        // Numbers that are times in the common units and do not fall, whatever the column is called.
        let is_usual = |column: &Column| epoch(column).is_some() || is_compact(column);
        if let Some((c, _)) = numbers().find(|(_, column)| column.is_whole && goes_one_way(column) && is_usual(column)) {
            return self.of_column(c).map(Some);
        }
        // Device after device, as statistics with a `start` are exported.
        let mostly_rises = |column: &Column| column.rise.rises > 2 && column.rise.falls * 20 <= column.rise.rises;
        if let Some((c, _)) = numbers()
            .find(|&(c, column)| names::is_bound(&self.names[c]) && column.is_whole && mostly_rises(column) && epoch(column).is_some())
        {
            return self.of_column(c).map(Some);
        }
        if let Some((c, _)) = columns().find(|&(_, column)| are_months(column)) {
            return self.of_column(c).map(Some);
        }
        if let Some((c, _)) = numbers().find(|&(c, column)| {
            named(c) && names::elapsed_unit(&self.names[c]).is_some() && column.rise.falls == 0 && column.rise.rises > 0
        }) {
            return self.of_column(c).map(Some);
        }
        if let Some((c, column)) = columns().find(|&(c, column)| named(c) && column.filled > 0 && self.is_unread(column)) {
            return Err(self.unreadable(c, column));
        }
        if let Some((c, column)) =
            columns().find(|(_, column)| column.filled > 0 && !self.is_number(column) && self.looks_like_time(column))
        {
            return Err(self.unreadable(c, column));
        }
        Ok(None)
    }

    /// How a column is read that was found or named; a time of day is looked for beside a date.
    fn of_column(&self, c: usize) -> Result<TimeColumns, Error> {
        let column = &self.census.columns[c];
        let format = self.options.time_format.as_deref();
        if let Some(found) = format.and_then(|format| self.asked(format, vec![c])) {
            return Ok(found);
        }
        if column.times.dates * 100 >= column.filled.max(1) * ENOUGH && !self.is_number(column)
            || self.options.force && column.times.dates > 0
        {
            let (order, mut notes) = self.order(c, format)?;
            notes.retain(|note| !note.is_empty());
            let times = &column.times;
            let format = description(order, times.fixed == times.dates, times.zoned > 0).to_owned();
            return Ok(self.with_clock(c, order, format, notes));
        }
        if are_months(column) {
            return Ok(TimeColumns::new(vec![c], How::Month, "months".into(), Clock::Calendar, Vec::new()));
        }
        if column.bare_numbers() * 100 >= column.filled * ENOUGH {
            if is_compact(column) {
                return Ok(self.with_clock(c, Order::Ymd, "YYYYMMDD".into(), Vec::new()));
            }
            if let Some((how, name)) = epoch(column) {
                return Ok(TimeColumns::new(vec![c], how, name.into(), Clock::Calendar, Vec::new()));
            }
            if let Some((name, epoch)) = days_of(column) {
                return Ok(TimeColumns::new(
                    vec![c],
                    How::Days(epoch),
                    name.into(),
                    Clock::Calendar,
                    Vec::new(),
                ));
            }
            if let Some((name, scale)) = names::elapsed_unit(&self.names[c]) {
                return Ok(TimeColumns::new(
                    vec![c],
                    How::Count(scale, 0),
                    name.into(),
                    Clock::Elapsed,
                    Vec::new(),
                ));
            }
        }
        Err(self.unreadable(c, column))
    }

    /// A column of dates, with the time of day beside it where the dates have none.
    fn with_clock(&self, c: usize, order: Order, mut format: String, notes: Vec<String>) -> TimeColumns {
        let mut columns = vec![c];
        let times = &self.census.columns[c].times;
        if times.midnights == times.dates {
            columns.extend(self.clock_beside(c));
            if columns.len() == 2 {
                columns.extend(self.meridiem());
            }
            if columns.len() == 1
                && let Some(parts) = self.parts(Some((c, order)))
            {
                return parts;
            }
        }
        if columns.len() >= 2 {
            format += ", time of day in a second column";
        }
        TimeColumns::new(columns, How::Text(order), format, Clock::Calendar, notes)
    }

    fn of_columns(&self, columns: &[usize]) -> Result<TimeColumns, Error> {
        let format = self.options.time_format.as_deref();
        if let Some(found) = format.and_then(|format| self.asked(format, columns.to_vec())) {
            return Ok(found);
        }
        let parts: Vec<Option<Part>> = columns.iter().map(|&c| names::part(&self.names[c])).collect();
        if parts.iter().all(Option::is_some) {
            let parts = parts.into_iter().flatten().collect();
            return Ok(TimeColumns::new(
                columns.to_vec(),
                How::Parts(parts, None),
                "parts in columns".into(),
                Clock::Calendar,
                Vec::new(),
            ));
        }
        let date = columns
            .iter()
            .copied()
            .max_by_key(|&c| self.census.columns[c].times.dates)
            .unwrap_or(columns[0]);
        let mut found = self.of_column(date)?;
        found.columns = std::iter::once(date)
            .chain(columns.iter().copied().filter(|&c| c != date))
            .collect();
        Ok(found)
    }

    /// A format that is asked for; `None` when only an order is.
    fn asked(&self, format: &str, columns: Vec<usize>) -> Option<TimeColumns> {
        let count = |scale: f64, clock| Some((How::Count(scale, 0), clock));
        let (how, clock) = match format {
            "dmy" | "mdy" | "ymd" => None,
            "unix-s" => count(1e3, Clock::Calendar),
            "unix-ms" => count(1.0, Clock::Calendar),
            "unix-us" => count(1e-3, Clock::Calendar),
            "unix-ns" => count(1e-6, Clock::Calendar),
            "elapsed-ms" => count(1.0, Clock::Elapsed),
            "elapsed-s" => count(1e3, Clock::Elapsed),
            "elapsed-min" => count(6e4, Clock::Elapsed),
            "elapsed-h" => count(3.6e6, Clock::Elapsed),
            "elapsed-d" => count(8.64e7, Clock::Elapsed),
            "excel" => Some((How::Days(DAYS[0].2), Clock::Calendar)),
            "matlab" => Some((How::Days(DAYS[1].2), Clock::Calendar)),
            other => Some(match EPOCHS.iter().find(|(name, ..)| *name == other) {
                Some(&(_, _, scale, start_ms)) => (How::Count(scale, start_ms), Clock::Calendar),
                None => (How::Pattern(other.to_owned()), Clock::Calendar),
            }),
        }?;
        Some(TimeColumns::new(columns, how, format.to_owned(), clock, Vec::new()))
    }
}

/// A zone in a column's name, such as HOBO's `Date Time, GMT-05:00`.
fn zone_of_names<'n>(mut names: impl Iterator<Item = &'n str>) -> Option<TimeZone> {
    let name = names.find(|name| name.contains("GMT") || name.contains("UTC"))?;
    let at = name.find("GMT").or_else(|| name.find("UTC"))?;
    let offset: String = name[at + 3..]
        .chars()
        .take_while(|c| c.is_ascii_digit() || matches!(c, '+' | '-' | ':'))
        .collect();
    if offset.is_empty() {
        Some(TimeZone::UTC)
    } else {
        zone::by_name(&offset).ok()
    }
}
