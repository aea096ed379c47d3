//! First pass: what the cells of each column are, over the whole file.
//!
//! Memory is bounded by the number of columns: of words only the first fifty different ones are kept.

use crate::cells::{self, Class, CommaUse, Decimal, classify, trim};
use crate::dialect::Dialect;
use crate::error::Error;
use crate::rows::{Drops, Rows};
use crate::source::Source;
use crate::time::date::{DAY, ORDERS, SECOND, Zone, days};
use crate::time::formats::{is_short_date, month_of_year, parse};

/// What a file holds.
pub(crate) struct Census {
    /// Rows that were not dropped.
    pub rows: u64,
    pub columns: Vec<Column>,
    pub drops: Drops,
}

/// What the cells of one column are.
#[derive(Default)]
pub(crate) struct Column {
    /// Cells that are neither empty nor a word for no reading.
    pub filled: u64,
    pub empty: u64,
    pub missing: Tally,
    pub numbers: u64,
    /// Numbers with a dot that stands before decimals.
    pub dots: u64,
    /// Numbers with a dot that may group thousands.
    pub grouped: u64,
    /// Numbers with a comma.
    pub with_comma: u64,
    /// Numbers with separators, those with a unit among them, by what they can be: decimals, thousands, either.
    pub separators: [u64; 3],
    pub units: Tally,
    pub states: u64,
    pub texts: Tally,
    pub min: f64,
    pub max: f64,
    /// Whether all numbers are whole.
    pub is_whole: bool,
    pub rise: Rise,
    pub times: TimeStats,
    /// The first filled cells, for messages.
    pub examples: Vec<(u64, String)>,
    pub is_constant: bool,
}

/// Whether numbers rise, in the order of the file.
#[derive(Default)]
pub(crate) struct Rise {
    previous: Option<f64>,
    step: Option<f64>,
    pub rises: u64,
    pub falls: u64,
    pub stays: u64,
    /// Steps that differ from the first.
    pub uneven: u64,
    /// Falls to a tenth or less, as where a counter begins again.
    pub resets: u64,
}

/// Words and how often they come.
#[derive(Default)]
pub(crate) struct Tally {
    pub words: Vec<(String, u64, u64)>,
    /// Cells whose word is not kept.
    pub others: u64,
    pub count: u64,
    /// Words that differ from the one before.
    pub changes: u64,
    /// Place of the last word; that of none for one that is not kept.
    last: usize,
}

const WORDS: usize = 50;

/// How many cells of a column are times, and of which form.
#[derive(Default)]
pub(crate) struct TimeStats {
    /// Cells with a date, per order.
    pub orders: [OrderStats; 3],
    /// Cells with a date that reads the same in any order.
    pub fixed: u64,
    /// Cells with a date, in some order.
    pub dates: u64,
    pub dots: u64,
    /// Dates without a time of day, or at midnight.
    pub midnights: u64,
    /// Dates without a time of day.
    pub date_only: u64,
    /// Times of day without a date.
    pub clock_only: u64,
    /// Times of day that do not end in whole minutes.
    pub seconds: u64,
    /// Months or quarters.
    pub months: u64,
    pub zoned: u64,
    /// Cells that are no time.
    pub bad: Vec<(u64, String)>,
    previous_date: [Option<i64>; 3],
}

/// One order of day, month and year.
#[derive(Default, Clone, Copy)]
pub(crate) struct OrderStats {
    pub good: u64,
    /// Neighbouring rows of one date.
    pub within: u64,
    /// Neighbouring rows at most two days apart.
    pub near: u64,
    /// Neighbouring rows at least 20 days apart.
    pub far: u64,
}

/// Cells without a single time after which a column is no longer looked at for times.
const PATIENCE: u64 = 2000;

impl Census {
    pub fn take(source: &Source<'_>, dialect: &Dialect) -> Result<Census, Error> {
        let mut rows = Rows::open(source, dialect)?;
        let width = dialect.header.names.len();
        let mut columns: Vec<Column> = (0..width).map(|_| Column::new()).collect();
        let mut count = 0;
        while let Some((line, record)) = rows.next()? {
            count += 1;
            for (column, cell) in columns.iter_mut().zip(record.iter()) {
                column.add(line, trim(cell));
            }
        }
        Ok(Census {
            rows: count,
            columns,
            drops: rows.drops,
        })
    }

    /// The decimal character of each column: its own, or for want of evidence that of the file.
    pub fn decimals(&self, asked: Option<char>, delimiter: u8) -> (Vec<Decimal>, Option<String>) {
        let asked = asked.map(|c| if c == ',' { Decimal::Comma } else { Decimal::Dot });
        let commas: u64 = self.columns.iter().map(|column| column.separators[0]).sum();
        let dots: u64 = self.columns.iter().map(|column| column.dots + column.separators[1]).sum();
        let either: u64 = self.columns.iter().map(|column| column.separators[2]).sum();
        let mut note = None;
        let file = match (commas > dots, commas + dots > 0) {
            (true, _) => Decimal::Comma,
            (false, true) => Decimal::Dot,
            (false, false) if either > 0 => {
                let decimal = if delimiter == b',' { Decimal::Dot } else { Decimal::Comma };
                let reading = if decimal == Decimal::Dot {
                    "groups thousands"
                } else {
                    "stands before decimals"
                };
                note = Some(format!(
                    "numbers such as `1,234` are read so that the comma {reading}; --decimal . or , decides"
                ));
                decimal
            }
            _ => {
                if asked.is_none() && delimiter != b',' && self.columns.iter().any(|column| column.grouped > 0) {
                    note = Some(
                        "numbers such as `1.234` are read so that the dot stands before decimals; --decimal , reads it between thousands"
                            .into(),
                    );
                }
                Decimal::Dot
            }
        };
        let of_column = |column: &Column| match asked {
            Some(decimal) => decimal,
            None if column.separators[0] > 0 => Decimal::Comma,
            None if column.dots + column.separators[1] > 0 && column.separators[2] == 0 => Decimal::Dot,
            None => file,
        };
        (self.columns.iter().map(of_column).collect(), note.filter(|_| asked.is_none()))
    }
}

impl Column {
    fn new() -> Self {
        Column {
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            is_whole: true,
            is_constant: true,
            ..Column::default()
        }
    }

    fn add(&mut self, line: u64, cell: &[u8]) {
        let class = classify(cell);
        match class {
            Class::Empty => {
                self.empty += 1;
                return;
            }
            Class::Missing => {
                self.missing.add(cell, line);
                return;
            }
            _ => self.filled += 1,
        }
        if self.is_constant && self.examples.len() < 2 && self.examples.first().is_none_or(|(_, first)| first.as_bytes() != cell) {
            self.examples.push((line, String::from_utf8_lossy(cell).into_owned()));
        }
        self.is_constant = self.is_constant && self.examples[0].1.as_bytes() == cell;
        match class {
            Class::Number(number) => {
                self.numbers += 1;
                let has_dot = self.plain(cell, number);
                // Digits alone are a time only by the column's name, which is looked at later.
                if has_dot || cell.len() < 8 {
                    return;
                }
            }
            Class::Comma(usage) => {
                self.with_comma += 1;
                self.separated(cell, usage);
                return;
            }
            Class::Unit(number, unit) => {
                self.units.add(unit.as_bytes(), line);
                match classify(number) {
                    Class::Number(value) => {
                        self.plain(number, value);
                    }
                    Class::Comma(usage) => self.separated(number, usage),
                    _ => {}
                }
            }
            Class::State(_) => self.states += 1,
            _ => self.texts.add(cell, line),
        }
        self.times.add(line, cell);
    }

    /// A number with at most a dot; whether it has one.
    fn plain(&mut self, cell: &[u8], number: f64) -> bool {
        let has_dot = cell.contains(&b'.');
        let may_group = cells::may_group(cell);
        self.dots += u64::from(has_dot && !may_group);
        self.grouped += u64::from(may_group);
        self.number(number);
        has_dot
    }

    fn separated(&mut self, cell: &[u8], usage: CommaUse) {
        self.separators[usage as usize] += 1;
        let decimal = if usage == CommaUse::Thousands {
            Decimal::Dot
        } else {
            Decimal::Comma
        };
        if let Some(number) = cells::number(cell, decimal) {
            self.number(number);
        }
    }

    fn number(&mut self, number: f64) {
        self.is_whole &= number.fract() == 0.0;
        self.min = self.min.min(number);
        self.max = self.max.max(number);
        self.rise.add(number);
    }

    /// Cells that are numbers without a unit.
    pub fn bare_numbers(&self) -> u64 {
        self.numbers + self.with_comma
    }

    /// Whether most cells are numbers. A meter's time, `240304001000W`, is no number of watts.
    pub fn are_numbers(&self) -> bool {
        let are_times = self.times.dates == self.filled && self.bare_numbers() == 0;
        self.all_numbers() * 2 > self.filled && !are_times
    }

    /// Cells that are numbers of any form.
    pub fn all_numbers(&self) -> u64 {
        self.bare_numbers() + self.units.count
    }
}

impl Rise {
    fn add(&mut self, number: f64) {
        if let Some(previous) = self.previous {
            let step = number - previous;
            match step {
                _ if step > 0.0 => self.rises += 1,
                _ if step < 0.0 => {
                    self.falls += 1;
                    self.resets += u64::from(number.abs() <= previous.abs() * 0.1);
                }
                _ => self.stays += 1,
            }
            let first = *self.step.get_or_insert(step);
            let tolerance = 1e-3 * first.abs();
            self.uneven += u64::from((step - first).abs() > tolerance);
        }
        self.previous = Some(number);
    }
}

impl Rise {
    /// Whether the numbers only rise, but for resets, or, newest first, only fall.
    pub fn is_counter(&self) -> bool {
        let steps = self.rises + self.falls + self.stays;
        let enough = |count: u64| count >= 20 && count * 20 >= steps;
        enough(self.rises) && self.falls == self.resets && self.resets * 200 <= steps || enough(self.falls) && self.rises == 0
    }
}

impl Tally {
    pub fn add(&mut self, word: &[u8], line: u64) {
        let at = self.words.iter().position(|(known, ..)| known.as_bytes() == word);
        let at = at.unwrap_or(self.words.len());
        match self.words.get_mut(at) {
            Some((_, count, _)) => *count += 1,
            None if at < WORDS => self.words.push((String::from_utf8_lossy(word).into_owned(), 1, line)),
            None => self.others += 1,
        }
        self.changes += u64::from(self.count > 0 && at != self.last);
        self.last = at;
        self.count += 1;
    }
}

impl TimeStats {
    fn add(&mut self, line: u64, cell: &[u8]) {
        if self.dates + self.clock_only + self.months == 0 && self.bad.len() == 2 && line > PATIENCE {
            return;
        }
        let mut found = None;
        let mut is_fixed = false;
        for (at, &order) in ORDERS.iter().enumerate() {
            let parsed = match found {
                Some(parsed) if is_fixed => Some(parsed),
                _ => parse(cell, order),
            };
            let Some(parsed) = parsed else { continue };
            let Some(date) = parsed.date else {
                if is_short_date(cell) {
                    continue;
                }
                self.clock_only += 1;
                self.seconds += u64::from(parsed.nanoseconds.is_some_and(has_seconds));
                return;
            };
            is_fixed = parsed.is_fixed;
            found = Some(parsed);
            let day = days(date);
            let stats = &mut self.orders[at];
            stats.good += 1;
            if let Some(previous) = self.previous_date[at].replace(day) {
                match previous.abs_diff(day) {
                    0 => stats.within += 1,
                    1 | 2 => stats.near += 1,
                    20.. => stats.far += 1,
                    _ => {}
                }
            }
        }
        self.months += u64::from(found.is_none() && month_of_year(cell).is_some());
        match found {
            None if self.bad.len() < 2 => self.bad.push((line, String::from_utf8_lossy(cell).into_owned())),
            None => {}
            Some(parsed) => {
                self.dates += 1;
                self.fixed += u64::from(parsed.is_fixed);
                self.dots += u64::from(parsed.dots);
                self.date_only += u64::from(parsed.nanoseconds.is_none());
                self.midnights += u64::from(parsed.nanoseconds.is_none_or(|clock| clock % DAY == 0));
                self.seconds += u64::from(parsed.nanoseconds.is_some_and(has_seconds));
                self.zoned += u64::from(parsed.zone != Zone::None);
            }
        }
    }
}

fn has_seconds(nanoseconds: i64) -> bool {
    nanoseconds % (60 * SECOND) != 0
}
