//! Times in several columns: a date and a time of day, parts of a date, fractions.

use crate::names::{self, Part};
use crate::recording::Clock;
use crate::time::date::Order;
use crate::time::finder::{ENOUGH, Finder};
use crate::time::moment::{How, TimeColumns};
use crate::time::order::description;
use crate::time::vocabulary::month;

impl Finder<'_> {
    /// Columns of seconds and of milliseconds beside times that end before them.
    pub(super) fn add_fractions(&self, found: &mut TimeColumns) {
        let is_text = matches!(found.how, How::Text(_));
        let ends_in_minutes = is_text && found.columns.iter().all(|&c| self.census.columns[c].times.seconds == 0);
        let ends_in_seconds = is_text || matches!(found.how, How::Count(scale, _) if scale == 1e3);
        let wanted = [
            (Part::Second, 60.0, 1e3, "seconds", ends_in_minutes),
            (Part::Millisecond, 1000.0, 1.0, "milliseconds", ends_in_seconds),
        ];
        for (part, most, scale, word, is_missing) in wanted {
            let is_fraction = |&c: &usize| {
                let column = &self.census.columns[c];
                names::part(&self.names[c]) == Some(part)
                    && !found.columns.contains(&c)
                    && !self.options.columns.contains(&self.names[c])
                    && column.numbers == column.filled
                    && column.filled == self.census.rows
                    && !column.is_constant
                    && (0.0..most).contains(&column.min)
                    && (0.0..most).contains(&column.max)
            };
            // The only column of numbers is a reading.
            let has_others = |c: usize| {
                let is_other = |other: usize| other != c && !found.columns.contains(&other) && self.census.columns[other].all_numbers() > 0;
                (0..self.names.len()).any(is_other)
            };
            if !is_missing || found.clock != Clock::Calendar {
                continue;
            }
            if let Some(c) = (0..self.names.len()).find(is_fraction).filter(|&c| has_others(c)) {
                found
                    .notes
                    .push(format!("column `{}` is read as the {word} of the time", self.names[c]));
                found.columns.push(c);
                found.fractions.push(scale);
            }
        }
    }

    /// Year, month, day and hour, and perhaps the minute, in neighbouring columns of a file without a header.
    pub(super) fn parts_in_order(&self) -> Option<TimeColumns> {
        let fits = |c: usize, range: std::ops::RangeInclusive<f64>| {
            let column = &self.census.columns[c];
            column.is_whole && column.numbers == self.census.rows && range.contains(&column.min) && range.contains(&column.max)
        };
        let begins = |&c: &usize| {
            let hour = &self.census.columns[c + 3];
            fits(c, 1900.0..=2200.0)
                && fits(c + 1, 1.0..=12.0)
                && fits(c + 2, 1.0..=31.0)
                && fits(c + 3, 0.0..=24.0)
                && (hour.max > 12.0 || self.census.rows < 24)
                && hour.rise.rises > 0
        };
        let first = (0..self.names.len().saturating_sub(4)).find(begins).filter(|_| !self.has_header)?;
        let mut parts = vec![Part::Year, Part::Month, Part::Day, Part::Hour];
        let is_within_hours = self.census.columns[first + 3].rise.stays * 2 > self.census.rows;
        if is_within_hours && self.names.len() > first + 5 && fits(first + 4, 0.0..=59.0) {
            parts.push(Part::Minute);
        }
        let columns = (first..first + parts.len()).collect();
        let format = "parts in columns".to_owned();
        Some(TimeColumns::new(
            columns,
            How::Parts(parts, None),
            format,
            Clock::Calendar,
            Vec::new(),
        ))
    }

    /// The column of the times of day beside a column of dates.
    pub(super) fn clock_beside(&self, date: usize) -> Option<usize> {
        let is_clock = |c: usize| {
            let column = &self.census.columns[c];
            c != date
                && column.times.clock_only * 100 >= column.filled * ENOUGH
                && column.times.clock_only > 0
                && column.empty * 50 <= self.census.rows
        };
        let clocks = (0..self.names.len()).filter(|&c| is_clock(c));
        clocks.min_by_key(|&c| (!names::is_time(&self.names[c]), c.abs_diff(date)))
    }

    /// A column of AM and PM.
    pub(super) fn meridiem(&self) -> Option<usize> {
        let is_word = |word: &str| matches!(word.to_ascii_lowercase().replace(' ', "").as_str(), "am" | "pm" | "a.m." | "p.m.");
        self.census.columns.iter().position(|column| {
            let words = &column.texts;
            words.count > 0 && words.count == column.filled && words.others == 0 && words.words.iter().all(|(word, ..)| is_word(word))
        })
    }

    /// Year, month, day and hour in columns of their own, or a date with an hour beside.
    pub(super) fn parts(&self, date: Option<(usize, Order)>) -> Option<TimeColumns> {
        let range = |part: Part| match part {
            Part::Year => 1900.0..=2200.0,
            Part::Month => 1.0..=12.0,
            Part::Day => 1.0..=31.0,
            Part::DayOfYear => 1.0..=366.0,
            Part::Hour => 0.0..=24.0,
            Part::Clock => 0.0..=2400.0,
            Part::Minute | Part::Second => 0.0..=59.999,
            Part::Millisecond => 0.0..=999.0,
        };
        let mut found: Vec<(Part, usize)> = Vec::new();
        for (c, column) in self.census.columns.iter().enumerate() {
            let Some(mut part) = names::part_beside(self.names, c) else {
                continue;
            };
            if part == Part::Hour && column.max > 24.0 && column.is_whole {
                part = Part::Clock;
            }
            if part == Part::Month
                && column.filled > 0
                && column.texts.count == column.filled
                && column.texts.words.iter().all(|(word, ..)| is_month(word))
            {
                found.push((part, c));
                continue;
            }
            let range = range(part);
            let fits = column.numbers > 0 && column.numbers == column.filled && range.contains(&column.min) && range.contains(&column.max);
            if fits && found.iter().all(|(known, _)| *known != part) {
                found.push((part, c));
            }
        }
        let has = |part: Part| found.iter().any(|(known, _)| *known == part);
        if let Some((date, order)) = date {
            found.retain(|(part, _)| *part >= Part::Hour);
            if !found.iter().any(|(part, _)| matches!(part, Part::Hour | Part::Clock)) {
                return None;
            }
            let columns = std::iter::once(date).chain(found.iter().map(|(_, c)| *c)).collect();
            let parts = found.iter().map(|(part, _)| *part).collect();
            let format = format!("{}, hour in a column of its own", description(order, false, false));
            return Some(TimeColumns::new(
                columns,
                How::Parts(parts, Some(order)),
                format,
                Clock::Calendar,
                Vec::new(),
            ));
        }
        let is_named = |part: Part| self.names.iter().any(|name| names::part(name) == Some(part));
        let are_months = has(Part::Month) && !is_named(Part::Day) && !is_named(Part::Hour);
        if !has(Part::Year) || !(has(Part::DayOfYear) || has(Part::Month) && has(Part::Day) || are_months) {
            return None;
        }
        found.sort_unstable();
        let (parts, columns) = found.into_iter().unzip();
        Some(TimeColumns::new(
            columns,
            How::Parts(parts, None),
            "parts in columns".into(),
            Clock::Calendar,
            Vec::new(),
        ))
    }
}

fn is_month(word: &str) -> bool {
    month(word.as_bytes()).is_some()
}
