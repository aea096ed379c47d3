//! Errors of the reader: what is wrong, where, and what to do.

use std::path::{Path, PathBuf};

use crate::report::DroppedColumn;

/// A recording that cannot be read as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be opened or read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Reason given by the operating system or the decompressor.
        source: std::io::Error,
    },
    /// The program was built without support for this file format.
    #[error("{}: {format} is not supported by this build: {remedy}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The format, for example `gzip`.
        format: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// A text that begins as JSON and does not go on as such.
    #[error("{}: line {line} of the JSON text: {problem}: mend or remove it", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// No file was given.
    #[error("no file given: name at least one recording")]
    NoFile,
    /// A file was given twice.
    #[error("{}: given twice: name each recording once", path.display())]
    RepeatedFile {
        /// The file.
        path: PathBuf,
    },
    /// The file has no content.
    #[error("{}: the file is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// There is a header and no row below it.
    #[error("{}: there is a header but no row of readings below it", path.display())]
    HeaderOnly {
        /// The file.
        path: PathBuf,
    },
    /// A column looks like the time and cannot be read as such.
    #[error("{}: column `{column}` looks like the time but cannot be read: `{cell}` in line {line}, `{other}` in line {other_line}: {remedy}", path.display())]
    UnreadableTime {
        /// The file.
        path: PathBuf,
        /// The column's name.
        column: Box<str>,
        /// A cell that cannot be read.
        cell: Box<str>,
        /// Its line, from 1.
        line: u64,
        /// Another cell of the column.
        other: Box<str>,
        /// Its line.
        other_line: u64,
        /// Options that help.
        remedy: Box<str>,
    },
    /// Day and month cannot be told apart.
    #[error("{}: column `{column}`: day and month cannot be told apart (`{cell}` in line {line}, `{other}` in line {other_line}): give --time-format dmy (day first), mdy (month first) or ymd (year first)", path.display())]
    UndecidedTime {
        /// The file.
        path: PathBuf,
        /// The column's name.
        column: String,
        /// An example.
        cell: String,
        /// Its line, from 1.
        line: u64,
        /// Another example.
        other: String,
        /// Its line.
        other_line: u64,
    },
    /// A column of numbers holds words that are no known sign of a missing reading.
    #[error("{}: line {line}, column `{column}`: `{cell}` is not a number, nor are {count} of {rows} cells of the column: give --missing-values '{words}' if they stand for missing readings, or leave the column out", path.display())]
    NotANumber {
        /// The file.
        path: PathBuf,
        /// Line of the first, from 1.
        line: u64,
        /// The column's name.
        column: String,
        /// The first such cell.
        cell: String,
        /// How many cells.
        count: u64,
        /// Cells of the column.
        rows: u64,
        /// The words, separated by commas.
        words: String,
    },
    /// A column mixes units.
    #[error("{}: line {line}, column `{column}`: the unit is `{unit}` here and `{other}` in other rows: write the column in one unit", path.display())]
    MixedUnits {
        /// The file.
        path: PathBuf,
        /// Line of the first cell with the rarer unit.
        line: u64,
        /// The column's name.
        column: String,
        /// The unit in this line.
        unit: String,
        /// The commoner unit.
        other: String,
    },
    /// Too many rows cannot be used for one reason.
    #[error("{}: {count} of {rows} rows cannot be used: {reason} (the first in line {first_line}): {remedy}, or --force to leave them out", path.display())]
    TooManyDropped {
        /// The file.
        path: PathBuf,
        /// Why they cannot be used.
        reason: String,
        /// How many.
        count: u64,
        /// Rows of the file.
        rows: u64,
        /// Line of the first, from 1.
        first_line: u64,
        /// What to do.
        remedy: &'static str,
    },
    /// No column holds readings.
    #[error("{}: no column of numbers {columns}", path.display())]
    NoNumericColumn {
        /// The file.
        path: PathBuf,
        /// The columns, each with the reason why it is left out.
        columns: String,
    },
    /// Rows of several sensors without times.
    #[error("{}: column `{column}` names the sensor of each row ({examples}), and no column holds times: record them too (mosquitto_sub -F '%I %t %p'), or give --series {} for a device each", path.display(), quoted(column))]
    NamesWithoutTime {
        /// The file.
        path: PathBuf,
        /// The column of names.
        column: String,
        /// Some of them.
        examples: String,
    },
    /// An option names a column that does not exist.
    #[error("{}: {option}: there is no column `{column}`; the file has {columns}", path.display())]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The option.
        option: &'static str,
        /// The name asked for.
        column: String,
        /// The columns of the file.
        columns: String,
    },
    /// Times come several times, and columns tell the rows apart.
    #[error("{}: each time comes {times} times; column `{column}` tells the rows apart ({examples}): give --series {} (one device each){long}", path.display(), quoted(column))]
    SeveralDevices {
        /// The file.
        path: PathBuf,
        /// How many rows share a time.
        times: usize,
        /// The column that tells them apart.
        column: String,
        /// Some of its values.
        examples: String,
        /// The other remedy, where there is one.
        long: String,
    },
    /// Rows of several devices, which the times do not tell apart.
    #[error("{}: column `{column}` names the device of each row, such as {examples}, and the rows of several are mixed: give --series {} (one device each), or {option} {} where {otherwise}", path.display(), quoted(column), quoted(column))]
    MixedDevices {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// Some of its cells.
        examples: String,
        /// The other remedy.
        option: &'static str,
        /// When it is one.
        otherwise: &'static str,
    },
    /// Files of one recording have different variates.
    #[error("{}: column `{column}` is missing, which {} has: name the common columns with --columns, or read the file on its own", path.display(), first.display())]
    OtherVariates {
        /// The file.
        path: PathBuf,
        /// The file read first.
        first: PathBuf,
        /// The variate.
        column: String,
    },
    /// The rows have no time, and the request needs one.
    #[error("{}: there is no column of times: {remedy}", path.display())]
    NoTime {
        /// The file.
        path: PathBuf,
        /// What to do.
        remedy: &'static str,
    },
    /// All rows have the same time.
    #[error("{}: column `{column}`: all rows have the same time", path.display())]
    TimeNeverAdvances {
        /// The file.
        path: PathBuf,
        /// The time column.
        column: String,
    },
    /// A quote is opened and not closed.
    #[error("{}: line {line}: a quote is opened here and not closed within {lines} lines: remove it", path.display())]
    OpenQuote {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// Lines read.
        lines: u64,
    },
    /// The result would need more memory than the input justifies.
    #[error("{}: {steps} time steps of {interval_s} s would be needed for {rows} rows: give a longer --interval", path.display())]
    TooManySteps {
        /// The file.
        path: PathBuf,
        /// Time steps.
        steps: u64,
        /// Seconds between them.
        interval_s: f64,
        /// Rows of the file.
        rows: u64,
    },
    /// An option has a value that cannot be used.
    #[error("{option} `{value}`: {problem}")]
    Option {
        /// The option.
        option: &'static str,
        /// Its value.
        value: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
}

impl Error {
    pub(crate) fn no_numeric_column(path: &Path, dropped: &[DroppedColumn]) -> Error {
        let column = |column: &DroppedColumn| format!("`{}` ({})", column.name, column.reason);
        Error::NoNumericColumn {
            path: path.into(),
            columns: match dropped {
                [] => "beside the time".into(),
                dropped => format!("among {}", dropped.iter().map(column).collect::<Vec<_>>().join(", ")),
            },
        }
    }
}

/// A cell as an error or a report shows it: a stray quote may have swallowed much text.
pub(crate) fn shown(cell: &str) -> String {
    let cell: String = cell.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(41).collect();
    match cell.char_indices().nth(40) {
        Some((end, _)) => format!("{}...", &cell[..end]),
        None => cell,
    }
}

/// A word of a POSIX shell that stands for exactly this text.
///
/// ```
/// assert_eq!(tsm2_data::quoted("wv (m/s):-9999"), "'wv (m/s):-9999'");
/// ```
#[must_use]
pub fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/' | ',');
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Names between back-quotes, separated by commas; at most twelve.
pub(crate) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    let more = names.len().saturating_sub(12);
    let mut text = names
        .iter()
        .take(12)
        .map(|name| format!("`{}`", shown(name)))
        .collect::<Vec<_>>()
        .join(", ");
    if more > 0 {
        text += &format!(" and {more} more");
    }
    text
}
