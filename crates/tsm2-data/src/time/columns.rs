//! Which columns hold the time, and how: decided over the whole file.

use jiff::tz::TimeZone;

use crate::census::{Census, Column};
use crate::error::{Error, list, shown};
use crate::names::{self, Part};
use crate::options::Options;
use crate::recording::Clock;
use crate::source::Source;
use crate::time::formats::{ORDERS, Order};
use crate::time::moment::{How, TimeColumns};
use crate::time::zone;

/// Share of the cells that must be times, in percent.
const ENOUGH: u64 = 98;
/// Unix time of these years may be recognised, in seconds.
const UNIX: std::ops::Range<f64> = 473_385_600.0..4_102_444_800.0;
/// Days of 1950 to 2100 by Excel and by MATLAB, and their day of 1970-01-01.
const DAYS: [(&str, std::ops::Range<f64>, f64); 2] = [("excel", 18_264.0..73_051.0, 25_569.0), ("matlab", 712_224.0..767_011.0, 719_529.0)];

/// What finding the time needs to know.
pub(crate) struct Finder<'a> {
    pub source: &'a Source<'a>,
    pub census: &'a Census,
    pub names: &'a [String],
    pub has_header: bool,
    pub options: &'a Options,
}

impl Finder<'_> {
    /// The columns of the time; `None` when there are none, or none is wanted.
    pub fn find(&self) -> Result<Option<TimeColumns>, Error> {
        if self.options.time_format.as_deref() == Some("none") {
            return Ok(None);
        }
        let zone = match &self.options.time_zone {
            Some(name) => zone::by_name(name)?,
            None => self.zone_of_names().unwrap_or(TimeZone::UTC),
        };
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
            found.zone = zone;
            self.add_milliseconds(found);
        }
        Ok(found)
    }

    fn column(&self, name: &str) -> Result<usize, Error> {
        self.names
            .iter()
            .position(|known| known == name)
            .ok_or_else(|| Error::MissingColumn {
                path: self.source.path.into(),
                option: "--time-column",
                column: name.into(),
                columns: list(self.names.iter().map(String::as_str)),
            })
    }

    /// A zone in the name of the time column, such as HOBO's `Date Time, GMT-05:00`.
    fn zone_of_names(&self) -> Option<TimeZone> {
        let name = self.names.iter().find(|name| name.contains("GMT") || name.contains("UTC"))?;
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

    /// A column of milliseconds beside times that end in seconds, as controllers write them.
    fn add_milliseconds(&self, found: &mut TimeColumns) {
        let ends_in_seconds = matches!(found.how, How::Text(_)) || matches!(found.how, How::Count(scale) if scale == 1e3);
        let is_milliseconds = |&c: &usize| {
            let column = &self.census.columns[c];
            names::part(&self.names[c]) == Some(Part::Millisecond)
                && !found.columns.contains(&c)
                && !self.options.columns.contains(&self.names[c])
                && column.is_whole
                && column.numbers == column.filled
                && column.filled == self.census.rows
                && (0.0..1000.0).contains(&column.min)
                && (0.0..1000.0).contains(&column.max)
        };
        let others = |c: usize| {
            let is_other = |other: usize| other != c && !found.columns.contains(&other) && self.census.columns[other].all_numbers() > 0;
            (0..self.names.len()).any(is_other)
        };
        if !ends_in_seconds || found.clock != Clock::Calendar {
            return;
        }
        if let Some(c) = (0..self.names.len()).find(is_milliseconds).filter(|&c| others(c)) {
            found
                .notes
                .push(format!("column `{}` is read as the milliseconds of the time", self.names[c]));
            found.columns.push(c);
            found.milliseconds = Some(c);
        }
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
        if let Some((c, _)) = date {
            return self.of_column(c).map(Some);
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
        let numbers = || columns().filter(|(_, column)| column.bare_numbers() * 100 >= column.filled * ENOUGH && column.bare_numbers() > 0);
        let may_be_time = |c: usize| named(c) || !self.has_header && c == 0;
        if let Some((c, _)) =
            numbers().find(|&(c, column)| may_be_time(c) && (unix_scale(column).is_some() || named(c) && is_compact(column)))
        {
            return self.of_column(c).map(Some);
        }
        if let Some(parts) = self.parts(None) {
            return Ok(Some(parts));
        }
        if let Some((c, _)) = numbers().find(|&(c, column)| named(c) && (is_compact(column) || days_of(column).is_some())) {
            return self.of_column(c).map(Some);
        }
        // Numbers that are times in the common units and do not fall, whatever the column is called.
        let rises = |column: &Column| column.rise.rises > 2 && column.rise.falls == 0 || column.rise.falls > 2 && column.rise.rises == 0;
        if let Some((c, _)) = numbers().find(|(_, column)| column.is_whole && rises(column) && unix_scale(column).is_some()) {
            return self.of_column(c).map(Some);
        }
        // Device after device, as statistics with a `start` are exported.
        let mostly_rises = |column: &Column| column.rise.rises > 2 && column.rise.falls * 20 <= column.rise.rises;
        if let Some((c, _)) = numbers()
            .find(|&(c, column)| names::is_bound(&self.names[c]) && column.is_whole && mostly_rises(column) && unix_scale(column).is_some())
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

    fn is_number(&self, column: &Column) -> bool {
        column.all_numbers() * 2 > column.filled
    }

    /// Whether a column that is called a time is neither one nor plainly something else: an even count in an unknown unit is left out later.
    fn is_unread(&self, column: &Column) -> bool {
        let counts = column.rise.falls == 0 && column.rise.uneven == 0 && column.rise.rises > 0;
        let is_word = column.filled == column.texts.count + column.states
            && column.texts.others == 0
            && column.texts.words.len() <= 8
            && !self.looks_like_time(column);
        !(is_word || self.options.force || self.is_number(column) && counts)
    }

    fn looks_like_time(&self, column: &Column) -> bool {
        let looks = |cell: &str| {
            let digits = cell.bytes().filter(u8::is_ascii_digit).count();
            let separators = cell.bytes().filter(|byte| matches!(byte, b'-' | b'/' | b':')).count();
            let letters = cell.chars().filter(|c| c.is_alphabetic()).count();
            let clock = cell
                .as_bytes()
                .windows(4)
                .any(|bytes| matches!(bytes, [a, b':', c, d] if a.is_ascii_digit() && c.is_ascii_digit() && d.is_ascii_digit()));
            let is_month = cell.len() == 7 && cell.starts_with(['1', '2']) && digits == 6 && separators == 1;
            is_month || digits >= 4 && separators >= 2 && letters <= 4 || clock && digits >= 6 && letters <= 8
        };
        column.times.clock_only * 2 > column.filled
            || !column.times.bad.is_empty()
                && column.times.bad.iter().all(|(_, cell)| looks(cell))
                && column.texts.count * 2 > column.filled
    }

    fn unreadable(&self, c: usize, column: &Column) -> Error {
        let known = "--time-format dmy, mdy, ymd, unix-s, unix-ms, unix-us, unix-ns, excel, matlab, elapsed-s, elapsed-h or a pattern such as '%d.%m.%Y %H:%M'; or --time-format none to read the rows without times";
        let has_year = |cell: &str| {
            let digits = cell.bytes().filter(u8::is_ascii_digit).count();
            digits > 10 || cell.split(|c: char| !c.is_ascii_digit()).any(|part| part.len() == 4)
        };
        let remedy = match column.times.clock_only * 2 > column.filled {
            true => "it holds a time of day without a date: name the columns of both by --time-column DATE,TIME, or give --time-format none to read the rows without times".into(),
            false if !column.times.bad.is_empty() && !column.times.bad.iter().any(|(_, cell)| has_year(cell)) => {
                format!("is it a date without a year? Then write the year before each; otherwise give {known}")
            }
            false => format!("give {known}"),
        };
        let mut examples = column
            .times
            .bad
            .iter()
            .chain(&column.examples)
            .map(|(line, cell)| (*line, shown(cell)));
        let (line, cell) = examples.next().unwrap_or_default();
        let (other_line, other) = examples.next().unwrap_or((line, cell.clone()));
        Error::UnreadableTime {
            path: self.source.path.into(),
            column: self.named(c).into(),
            cell: cell.into(),
            line,
            other: other.into(),
            other_line,
            remedy: remedy.into(),
        }
    }

    fn named(&self, c: usize) -> String {
        if self.names[c].is_empty() {
            format!("column {}", c + 1)
        } else {
            self.names[c].clone()
        }
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
            let mut columns = vec![c];
            let times = &column.times;
            if times.midnights == times.dates {
                columns.extend(self.clock_beside(c));
                if columns.len() == 2 {
                    columns.extend(self.meridiem());
                }
                if columns.len() == 1
                    && let Some(parts) = self.parts(Some((c, order)))
                {
                    return Ok(parts);
                }
            }
            let mut format = description(order, times.fixed == times.dates, times.zoned > 0).to_owned();
            if columns.len() >= 2 {
                format += ", time of day in a second column";
            }
            notes.retain(|note| !note.is_empty());
            return Ok(Self::found(columns, How::Text(order), format, Clock::Calendar, notes));
        }
        if are_months(column) {
            return Ok(Self::found(vec![c], How::Month, "months".into(), Clock::Calendar, Vec::new()));
        }
        if column.bare_numbers() * 100 >= column.filled * ENOUGH {
            if is_compact(column) {
                return Ok(Self::found(
                    vec![c],
                    How::Text(Order::Ymd),
                    "YYYYMMDD".into(),
                    Clock::Calendar,
                    Vec::new(),
                ));
            }
            if let Some((scale, name)) = unix_scale(column) {
                return Ok(Self::found(vec![c], How::Count(scale), name.into(), Clock::Calendar, Vec::new()));
            }
            if let Some((name, epoch)) = days_of(column) {
                return Ok(Self::found(vec![c], How::Days(epoch), name.into(), Clock::Calendar, Vec::new()));
            }
            if let Some((name, scale)) = names::elapsed_unit(&self.names[c]) {
                return Ok(Self::found(vec![c], How::Count(scale), name.into(), Clock::Elapsed, Vec::new()));
            }
        }
        Err(self.unreadable(c, column))
    }

    fn of_columns(&self, columns: &[usize]) -> Result<TimeColumns, Error> {
        let format = self.options.time_format.as_deref();
        if let Some(found) = format.and_then(|format| self.asked(format, columns.to_vec())) {
            return Ok(found);
        }
        let parts: Vec<Option<Part>> = columns.iter().map(|&c| names::part(&self.names[c])).collect();
        if parts.iter().all(Option::is_some) {
            let parts = parts.into_iter().flatten().collect();
            return Ok(Self::found(
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
        let count = |scale: f64, clock| Some((How::Count(scale), clock));
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
            pattern => Some((How::Pattern(pattern.to_owned()), Clock::Calendar)),
        }?;
        Some(Self::found(columns, how, format.to_owned(), clock, Vec::new()))
    }

    fn found(columns: Vec<usize>, how: How, format: String, clock: Clock, notes: Vec<String>) -> TimeColumns {
        TimeColumns {
            columns,
            how,
            format,
            clock,
            zone: TimeZone::UTC,
            milliseconds: None,
            notes,
        }
    }

    /// The order of day, month and year in a column of dates.
    fn order(&self, c: usize, asked: Option<&str>) -> Result<(Order, Vec<String>), Error> {
        let column = &self.census.columns[c];
        let times = &column.times;
        let best = times.orders.iter().map(|stats| stats.good).max().unwrap_or(0);
        let viable: Vec<usize> = (0..ORDERS.len()).filter(|&at| times.orders[at].good == best).collect();
        match asked {
            Some("ymd") => return Ok((Order::Ymd, Vec::new())),
            Some("dmy") => return Ok((Order::Dmy, Vec::new())),
            Some("mdy") => return Ok((Order::Mdy, Vec::new())),
            _ => {}
        }
        if times.fixed == times.dates {
            return Ok((Order::Ymd, Vec::new()));
        }
        if let [only] = viable[..] {
            return Ok((ORDERS[only], Vec::new()));
        }
        // Dots are written where the day stands first.
        if times.dots == times.dates && viable.iter().any(|&at| ORDERS[at] == Order::Dmy) {
            return Ok((Order::Dmy, Vec::new()));
        }
        // Where rows follow each other within a day, the right order makes the next date the next day, and a wrong one another month.
        let goes_on = |at: usize| times.orders[at].within > 0 && times.orders[at].near > times.orders[at].far * 10;
        let jumps = |at: usize| times.orders[at].far > times.orders[at].near * 10;
        let even: Vec<usize> = viable.iter().copied().filter(|&at| goes_on(at)).collect();
        if let [only] = even[..]
            && viable.iter().all(|&at| at == only || jumps(at))
        {
            let order = ORDERS[only];
            let example = column.examples.first().map(|(_, cell)| shown(cell)).unwrap_or_default();
            let note = format!(
                "column `{}`: dates such as `{example}` are read {}, because the days then follow each other; --time-format dmy or mdy decides",
                self.named(c),
                words(order)
            );
            return Ok((order, vec![note]));
        }
        let mut examples = column.examples.iter();
        let (line, cell) = examples.next().cloned().unwrap_or_default();
        let (other_line, other) = examples.next().cloned().unwrap_or((line, cell.clone()));
        Err(Error::UndecidedTime {
            path: self.source.path.into(),
            column: self.named(c),
            cell,
            line,
            other,
            other_line,
        })
    }

    /// The column of the times of day beside a column of dates.
    fn clock_beside(&self, date: usize) -> Option<usize> {
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
    fn meridiem(&self) -> Option<usize> {
        let is_word = |word: &str| matches!(word.to_ascii_lowercase().as_str(), "am" | "pm" | "a.m." | "p.m.");
        self.census.columns.iter().position(|column| {
            let words = &column.texts;
            words.count > 0 && words.count == column.filled && words.others == 0 && words.words.iter().all(|(word, ..)| is_word(word))
        })
    }

    /// Year, month, day and hour in columns of their own, or a date with an hour beside.
    fn parts(&self, date: Option<(usize, Order)>) -> Option<TimeColumns> {
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
            let Some(mut part) = names::part(&self.names[c]) else { continue };
            if part == Part::Hour && column.max > 24.0 && column.is_whole {
                part = Part::Clock;
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
            return Some(Self::found(
                columns,
                How::Parts(parts, Some(order)),
                format,
                Clock::Calendar,
                Vec::new(),
            ));
        }
        if !has(Part::Year) || !(has(Part::DayOfYear) || has(Part::Month) && has(Part::Day)) {
            return None;
        }
        found.sort_unstable();
        let (parts, columns) = found.into_iter().unzip();
        Some(Self::found(
            columns,
            How::Parts(parts, None),
            "parts in columns".into(),
            Clock::Calendar,
            Vec::new(),
        ))
    }
}

/// How a column of numbers counts from 1970: milliseconds per unit.
fn unix_scale(column: &Column) -> Option<(f64, &'static str)> {
    let within = |scale: f64| UNIX.contains(&(column.min * scale)) && UNIX.contains(&(column.max * scale));
    [
        (1.0, 1e3, "unix-s"),
        (1e-3, 1.0, "unix-ms"),
        (1e-6, 1e-3, "unix-us"),
        (1e-9, 1e-6, "unix-ns"),
    ]
    .into_iter()
    .find(|&(seconds, ..)| within(seconds))
    .map(|(_, scale, name)| (scale, name))
}

fn is_compact(column: &Column) -> bool {
    column.is_whole
        && column.times.orders[0].good > 0
        && column.times.orders[0].good == column.filled
        && column.times.fixed == column.filled
}

/// The program whose count of days the numbers are, and its day of 1970-01-01.
fn days_of(column: &Column) -> Option<(&'static str, f64)> {
    let counts = column.rise.rises + column.rise.falls > 0 && (!column.is_whole || column.rise.uneven == 0);
    let found = DAYS
        .iter()
        .find(|(_, days, _)| days.contains(&column.min) && days.contains(&column.max));
    found.filter(|_| counts).map(|&(name, _, epoch)| (name, epoch))
}

fn are_months(column: &Column) -> bool {
    column.times.months > 2 && column.times.months == column.filled && column.times.dates == 0
}

fn words(order: Order) -> &'static str {
    match order {
        Order::Ymd => "year first",
        Order::Dmy => "day first",
        Order::Mdy => "month first",
    }
}

fn description(order: Order, is_fixed: bool, is_zoned: bool) -> &'static str {
    match (is_fixed, order, is_zoned) {
        (true, _, true) => "RFC 3339",
        (true, _, false) => "YYYY-MM-DD hh:mm:ss",
        (false, Order::Ymd, _) => "ymd",
        (false, Order::Dmy, _) => "dmy",
        (false, Order::Mdy, _) => "mdy",
    }
}
