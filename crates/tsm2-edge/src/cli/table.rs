//! The rows of a CSV file, for replay: one time and one value per column.
//!
//! The delimiter (comma, semicolon or tab) and the column of times are found. Times without a zone are taken as UTC. A cell that is no
//! number is a missing value, NaN.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// A file that cannot be replayed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file is not CSV.
    #[error("{}: {source}", path.display())]
    Csv {
        /// The file.
        path: PathBuf,
        /// What the parser said, with the line.
        source: csv::Error,
    },
    /// No rows.
    #[error("{}: no rows below the header", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// No column of the first row is a time.
    #[error("{}: no column of times; a replay needs them", path.display())]
    NoTime {
        /// The file.
        path: PathBuf,
    },
    /// A cell of the time column is none.
    #[error("{}: line {line}: {cell:?} is no time", path.display())]
    BadTime {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// The cell.
        cell: String,
    },
}

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Milliseconds since 1970-01-01 UTC.
    pub time_ms: i64,
    /// One value per name, NaN where the cell is no number.
    pub values: Vec<f64>,
}

/// A file's rows in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Names of the columns, that of the times left out.
    pub names: Vec<String>,
    /// The rows.
    pub rows: Vec<Record>,
}

impl Table {
    /// Reads a whole file.
    pub fn open(path: &Path) -> Result<Self, TableError> {
        let text = std::fs::read(path).map_err(|source| TableError::Read {
            path: path.to_owned(),
            source,
        })?;
        let csv_error = |source| TableError::Csv {
            path: path.to_owned(),
            source,
        };
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter(&text))
            .trim(csv::Trim::All)
            .from_reader(text.as_slice());
        let mut names: Vec<String> = reader.headers().map_err(csv_error)?.iter().map(str::to_owned).collect();
        let mut time_column = None;
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(csv_error)?;
            let column = match time_column {
                Some(column) => column,
                None => {
                    let found = record.iter().position(|cell| time_ms(cell).is_some());
                    *time_column.insert(found.ok_or_else(|| TableError::NoTime { path: path.to_owned() })?)
                }
            };
            let cell = record.get(column).unwrap_or_default();
            let Some(time_ms) = time_ms(cell) else {
                let line = record.position().map_or(0, csv::Position::line);
                return Err(TableError::BadTime {
                    path: path.to_owned(),
                    line,
                    cell: cell.to_owned(),
                });
            };
            let values = record
                .iter()
                .enumerate()
                .filter(|&(index, _)| index != column)
                .map(|(_, cell)| cell.parse().unwrap_or(f64::NAN));
            rows.push(Record {
                time_ms,
                values: values.collect(),
            });
        }
        let Some(column) = time_column else {
            return Err(TableError::Empty { path: path.to_owned() });
        };
        names.remove(column);
        Ok(Table { names, rows })
    }
}

/// The commonest of the three in the first line.
fn delimiter(text: &[u8]) -> u8 {
    let first = text.split(|&b| b == b'\n').next().unwrap_or_default();
    let count = |delimiter: &u8| first.iter().filter(|&b| b == delimiter).count();
    [b'\t', b';', b','].into_iter().max_by_key(count).unwrap_or(b',')
}

/// RFC 3339, or date and time of day without a zone; a plain number is a reading, not a time.
fn time_ms(cell: &str) -> Option<i64> {
    if !cell.contains(['-', '/']) || !cell.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let cell = cell.replace('/', "-");
    let zoned = cell.parse::<Timestamp>().ok();
    let local = || Offset::UTC.to_timestamp(cell.parse::<DateTime>().ok()?).ok();
    zoned.or_else(local).map(|time| time.as_millisecond())
}
