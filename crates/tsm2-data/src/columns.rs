//! What each column is: a variate and how its cells become numbers, or why it is left out.

use std::collections::{HashMap, HashSet};

use crate::cells::{self, Decimal, is_common_missing, is_missing, plain, state, trim};
use crate::census::{Census, Column};
use crate::error::{Error, list, shown};
use crate::names;
use crate::options::Options;
use crate::source::Source;

/// How the cells of a column become numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Values {
    pub decimal: Decimal,
    /// Numbers that stand for no reading.
    pub missing: Vec<f64>,
    /// Words that stand for no reading.
    pub missing_words: Vec<Vec<u8>>,
    /// Whether states are read as 1 and 0.
    pub has_states: bool,
}

/// A cell as a reading.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value {
    Number(f64),
    Missing,
    /// A word.
    Other,
}

impl Values {
    /// The reading in a cell.
    pub fn read(&self, cell: &[u8]) -> Value {
        let cell = trim(cell);
        if cell.is_empty() {
            return Value::Missing;
        }
        let number = match self.decimal {
            Decimal::Dot => plain(cell),
            Decimal::Comma => None,
        };
        if let Some(number) = number.or_else(|| cells::number(cell, self.decimal)) {
            // A number beyond `f32` is none that a sensor means.
            let is_reading = number.abs() <= f64::from(f32::MAX) && !self.missing.contains(&number);
            return if is_reading { Value::Number(number) } else { Value::Missing };
        }
        if self.missing_words.iter().any(|word| word == cell) || is_missing(cell) {
            return Value::Missing;
        }
        match state(cell).filter(|_| self.has_states) {
            Some(state) => Value::Number(f64::from(u8::from(state))),
            None => Value::Other,
        }
    }
}

/// What a column is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Role {
    /// A variate.
    Variate(Values),
    /// Left out, and why.
    Dropped(String),
}

/// Values that stand for no reading, as asked for.
pub(crate) struct MissingValues<'a>(pub &'a [String]);

impl MissingValues<'_> {
    fn of<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'b str> {
        self.0.iter().map(
            move |value| match value.strip_prefix(name).and_then(|rest| rest.strip_prefix(':')) {
                Some(value) => value,
                None => value.as_str(),
            },
        )
    }

    /// How cells of a column of this name are read.
    pub fn values(&self, name: &str, decimal: Decimal, has_states: bool) -> Values {
        let (mut missing, mut missing_words) = (Vec::new(), Vec::new());
        for value in self.of(name) {
            missing_words.push(value.as_bytes().to_vec());
            missing.extend(plain(value.as_bytes()).or_else(|| cells::number(value.as_bytes(), decimal)));
        }
        Values {
            decimal,
            missing,
            missing_words,
            has_states,
        }
    }
}

/// Decides on columns.
pub(crate) struct Roles<'a> {
    pub source: &'a Source<'a>,
    pub census: &'a Census,
    pub names: &'a [String],
    pub decimals: &'a [Decimal],
    pub options: &'a Options,
}

/// Rows from which on numbers that rise evenly are a count, whatever their name.
const COUNTS: u64 = 10;

impl Roles<'_> {
    /// What column `c` is, and what a user should know of its cells.
    pub fn of(&self, c: usize, notes: &mut Vec<String>) -> Result<Role, Error> {
        let (column, name) = (&self.census.columns[c], &self.names[c]);
        let is_kept = self.options.keep.contains(name) || self.options.columns.contains(name);
        let dropped = |reason: String| Ok(Role::Dropped(reason));
        if !self.options.columns.is_empty() && !self.options.columns.contains(name) {
            return dropped("not named by --columns".into());
        }
        if self.options.ignore.contains(name) {
            return dropped("named by --ignore".into());
        }
        let missing = MissingValues(&self.options.missing_values);
        let numbers = column.all_numbers();
        let are_numbers_states = numbers == 0 || column.min >= 0.0 && column.max <= 1.0 && column.is_whole;
        let has_states = column.states > 0 && are_numbers_states;
        let values = missing.values(name, self.decimals[c], has_states);
        let unknown: u64 = column
            .texts
            .words
            .iter()
            .filter(|(word, ..)| !values.missing_words.iter().any(|known| known == word.as_bytes()))
            .map(|word| word.1)
            .sum::<u64>()
            + column.texts.others
            + if has_states { 0 } else { column.states };
        let readings = numbers + if has_states { column.states } else { 0 };
        if readings == 0 && unknown == 0 {
            let reason = if column.missing.count > 0 {
                "no cell holds a reading"
            } else {
                "all cells are empty"
            };
            return match is_kept {
                true => Ok(Role::Variate(values)),
                false => dropped(reason.into()),
            };
        }
        if readings == 0 || unknown > readings && !is_kept {
            return dropped(self.text_reason(column));
        }
        self.check_units(c, column)?;
        if unknown > 0 {
            self.check_words(c, column, &values, unknown, readings, notes)?;
        }
        let uncommon = column.missing.words.iter().filter(|(word, ..)| !is_common_missing(word.as_bytes()));
        let uncommon: Vec<String> = uncommon
            .map(|(word, count, line)| format!("`{}` in {count} cells (first in line {line})", shown(word)))
            .collect();
        if !uncommon.is_empty() {
            notes.push(format!("column `{name}`: read as missing: {}", uncommon.join(", ")));
        }
        if !is_kept && let Some(reason) = self.count_reason(c, column) {
            return dropped(reason);
        }
        Ok(Role::Variate(values))
    }

    fn text_reason(&self, column: &Column) -> String {
        let words = &column.texts.words;
        let some = list(words.iter().take(3).map(|(word, ..)| word.as_str()));
        match (words.len(), column.texts.others) {
            (0, _) => "states among other words".into(),
            (1, 0) => format!("text: {some} throughout"),
            (count, 0) if count <= 3 => format!("text: {some}"),
            (count, 0) => format!("text: {count} different words, among them {some}"),
            _ => format!("text, such as {some}"),
        }
    }

    /// Why a column of numbers that only count is no variate.
    fn count_reason(&self, c: usize, column: &Column) -> Option<String> {
        let rise = &column.rise;
        let steps = rise.rises + rise.falls + rise.stays;
        let is_named = names::is_row_number(&self.names[c]) || c == 0 && self.names[c].starts_with("column");
        let goes_one_way = rise.stays == 0 && (rise.falls == 0 || rise.rises == 0);
        let counts = steps > 0 && goes_one_way && rise.uneven == 0 && (steps + 1 >= COUNTS || is_named);
        let numbers_rows =
            steps > 0 && is_named && column.is_whole && rise.uneven * 10 <= steps && rise.falls * 20 <= steps && column.numbers > 1;
        if names::is_time(&self.names[c]) && counts {
            return Some(
                "counts evenly: elapsed time in an unknown unit? Give --time-format elapsed-s, elapsed-min, elapsed-h or elapsed-d to read it as the time".into(),
            );
        }
        let is_year = names::part(&self.names[c]) == Some(names::Part::Year);
        if is_year
            && rise.rises + rise.falls > 0
            && column.is_whole
            && (1900.0..=2200.0).contains(&column.min)
            && column.max <= 2200.0
            && (rise.falls == 0 || rise.rises == 0)
        {
            return Some("a year (--keep reads it as a variate)".into());
        }
        let word = if rise.falls > rise.rises { "falls" } else { "rises" };
        (counts || numbers_rows).then(|| format!("{word} evenly: a row number, an index or a year (--keep reads it as a variate)"))
    }

    fn check_units(&self, c: usize, column: &Column) -> Result<(), Error> {
        let mut units: Vec<&(String, u64, u64)> = column.units.words.iter().collect();
        units.sort_by_key(|(_, count, _)| std::cmp::Reverse(*count));
        match units[..] {
            [(commonest, ..), (other, _, line), ..] if !self.options.force => Err(Error::MixedUnits {
                path: self.source.path.into(),
                line: *line,
                column: self.names[c].clone(),
                unit: other.clone(),
                other: commonest.clone(),
            }),
            _ => Ok(()),
        }
    }

    fn check_words(
        &self,
        c: usize,
        column: &Column,
        values: &Values,
        unknown: u64,
        readings: u64,
        notes: &mut Vec<String>,
    ) -> Result<(), Error> {
        let words: Vec<&(String, u64, u64)> = column
            .texts
            .words
            .iter()
            .filter(|(word, ..)| !values.missing_words.iter().any(|known| known == word.as_bytes()))
            .collect();
        let (cell, line) = words
            .first()
            .map_or(("on or off".to_owned(), 0), |(word, _, line)| (shown(word), *line));
        let name = &self.names[c];
        if unknown * 50 > readings + unknown && !self.options.force {
            return Err(Error::NotANumber {
                path: self.source.path.into(),
                line,
                column: name.clone(),
                cell,
                count: unknown,
                rows: column.filled,
                words: words.iter().take(8).map(|(word, ..)| shown(word)).collect::<Vec<_>>().join(","),
            });
        }
        notes.push(format!(
            "column `{name}`: {unknown} cells are no numbers and are read as missing, the first `{cell}` in line {line}"
        ));
        Ok(())
    }
}

/// One name per column: unnamed columns get a number, and names that come again too.
pub(crate) fn unique_names(header: &[String], has_header: bool, time: &[usize], notes: &mut Vec<String>) -> Vec<String> {
    let mut unnamed = 0;
    let mut taken: HashSet<String> = HashSet::new();
    // The number that each name gets when it comes again.
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let mut names: Vec<String> = Vec::with_capacity(header.len());
    for (c, name) in header.iter().enumerate() {
        let name = match (has_header, time.contains(&c)) {
            (false, true) if time.len() == 1 => "time".to_owned(),
            (false, true) => format!("time{}", c + 1),
            (false, false) => {
                unnamed += 1;
                format!("v{}", unnamed - 1)
            }
            (true, _) if name.is_empty() => format!("column{}", c + 1),
            (true, _) => name.clone(),
        };
        let mut unique = name.clone();
        while !taken.insert(unique.clone()) {
            let number = numbers.entry(name.clone()).or_insert(2);
            unique = format!("{name}_{number}");
            *number += 1;
        }
        if unique != name {
            notes.push(format!("two columns are named `{}`: the later is `{unique}` here", shown(&name)));
        }
        names.push(unique);
    }
    names
}
