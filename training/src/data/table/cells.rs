//! From bytes to numbers: delimiter, header, time column, cells.
//!
//! Nothing here knows of the sampling grid. Lines are counted as an editor shows them.

use std::collections::HashSet;
use std::path::Path;

use csv::{ByteRecord, ReaderBuilder};

use super::time::TimeFormat;
use super::{TableError, list};

/// The file's cells as they stand, columns of text and of time taken out.
pub(super) struct Cells {
    pub delimiter: char,
    pub names: Vec<String>,
    /// `[rows][names]`
    pub values: Vec<f32>,
    /// Line of each row, from 1.
    pub lines: Vec<u64>,
    pub time: Option<TimeColumn>,
    pub text_columns: Vec<String>,
}

/// The time column, one entry a row.
pub(super) struct TimeColumn {
    pub column: String,
    pub times_ms: Vec<i64>,
}

/// A column while it is being read: the first text seen decides, at the end, whether it is text or a mistake.
#[derive(Default, Clone)]
struct Column {
    numbers: usize,
    text: Option<(u64, String)>,
}

impl Cells {
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Cells, TableError> {
        let (delimiter, records) = records(bytes);
        let Some(first) = records().next() else {
            return Err(TableError::Empty { path: path.into() });
        };
        let width = first.cells.len();
        let header = first.cells.iter().any(|cell| cell.is_text());
        let mut names: Vec<String> = match header {
            true => first
                .cells
                .iter()
                .enumerate()
                .map(|(c, cell)| {
                    if cell.0.is_empty() {
                        format!("column{}", c + 1)
                    } else {
                        cell.0.clone()
                    }
                })
                .collect(),
            false => (0..width).map(|c| format!("v{c}")).collect(),
        };
        let body = || records().skip(header as usize);
        if body().next().is_none() {
            return Err(TableError::HeaderOnly { path: path.into() });
        }
        let time_format = find_time(body().take(100), &names, header);
        if let (false, Some((at, _))) = (header, time_format) {
            // The time column of a file without header must not shift the variates' names.
            names = (0..width)
                .map(|c| {
                    if c == at {
                        "time".into()
                    } else {
                        format!("v{}", c - (c > at) as usize)
                    }
                })
                .collect();
        }
        let mut seen = HashSet::new();
        if let Some(column) = names.iter().find(|name| !seen.insert(name.as_str())) {
            return Err(TableError::DuplicateColumn {
                path: path.into(),
                column: column.clone(),
            });
        }

        let mut columns = vec![Column::default(); width];
        let (mut values, mut times_ms, mut lines) = (Vec::new(), Vec::new(), Vec::new());
        for Record { line, cells } in body() {
            if cells.len() != width {
                return Err(TableError::Ragged {
                    path: path.into(),
                    line,
                    found: cells.len(),
                    expected: width,
                });
            }
            lines.push(line);
            for (c, cell) in cells.into_iter().enumerate() {
                if let Some((at, format)) = time_format
                    && at == c
                {
                    times_ms.push(format.parse(&cell.0).ok_or_else(|| TableError::NotATime {
                        path: path.into(),
                        line,
                        column: names[c].clone(),
                        cell: shown(&cell.0),
                    })?);
                    values.push(f32::NAN);
                } else if cell.is_missing() {
                    values.push(f32::NAN);
                } else if let Some(number) = cell.number() {
                    columns[c].numbers += 1;
                    values.push(number);
                } else {
                    columns[c].text.get_or_insert_with(|| (line, shown(&cell.0)));
                    values.push(f32::NAN);
                }
            }
        }

        let mistakes = columns.iter().zip(&names).filter(|(column, _)| column.numbers > 0);
        let mistakes = mistakes.filter_map(|(column, name)| column.text.as_ref().map(|(line, cell)| (line, name, cell)));
        if let Some((&line, column, cell)) = mistakes.min_by_key(|(line, _, _)| **line) {
            return Err(TableError::NotANumber {
                path: path.into(),
                line,
                column: column.clone(),
                cell: cell.clone(),
            });
        }
        let time_at = time_format.map(|(at, _)| at);
        if columns.iter().all(|column| column.numbers == 0) {
            return Err(TableError::NoNumericColumn {
                path: path.into(),
                columns: list(&names),
            });
        }
        // A column that is empty throughout stays if it has a name (the sensor may only have been off); a delimiter at the end of each line
        // makes one without.
        let stays = |c: usize| columns[c].numbers > 0 || !(header && first.cells[c].0.is_empty());
        let keep: Vec<usize> = (0..width)
            .filter(|&c| Some(c) != time_at && columns[c].text.is_none() && stays(c))
            .collect();
        let text_columns = (0..width)
            .filter(|&c| columns[c].text.is_some())
            .map(|c| names[c].clone())
            .collect();
        Ok(Cells {
            delimiter: delimiter as char,
            values: values.chunks_exact(width).flat_map(|row| keep.iter().map(|&c| row[c])).collect(),
            lines,
            time: time_at.map(|at| TimeColumn {
                column: names[at].clone(),
                times_ms,
            }),
            text_columns,
            names: keep.iter().map(|&c| names[c].clone()).collect(),
        })
    }
}

/// The character between cells, and the lines that are not blank, from the first.
pub(crate) fn records<'a>(bytes: &'a [u8]) -> (u8, impl Fn() -> Records<'a>) {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let delimiter = delimiter(bytes);
    (delimiter, move || Records::new(bytes, delimiter))
}

/// The candidate that cuts most of the first lines into equally many cells, and of those the one that makes most cells.
fn delimiter(bytes: &[u8]) -> u8 {
    let score = |delimiter: u8| {
        let widths: Vec<usize> = Records::new(bytes, delimiter).take(20).map(|record| record.cells.len()).collect();
        let width = widths.first().copied().unwrap_or(0);
        let alike = if width > 1 {
            widths.iter().filter(|&&w| w == width).count()
        } else {
            0
        };
        (alike, width)
    };
    // Reversed because the last of equals wins: a comma where nothing speaks for another.
    b"|\t;,".iter().copied().max_by_key(|&d| score(d)).unwrap_or(b',')
}

/// The first column that holds times: text that reads as one, or (only by its name, or first in a file without header) unix time.
fn find_time(body: impl Iterator<Item = Record>, names: &[String], header: bool) -> Option<(usize, TimeFormat)> {
    let mut firsts: Vec<Option<String>> = vec![None; names.len()];
    for record in body {
        for (first, cell) in firsts.iter_mut().zip(&record.cells) {
            if first.is_none() && !cell.is_missing() {
                *first = Some(cell.0.clone());
            }
        }
    }
    let formats = |c: usize, unix: bool| {
        firsts[c]
            .as_deref()
            .and_then(|cell| TimeFormat::of(cell, unix))
            .map(|format| (c, format))
    };
    let named = |name: &str| {
        let name = name.to_ascii_lowercase();
        name == "ts" || name == "t" || ["time", "date", "epoch", "unix"].iter().any(|word| name.contains(word))
    };
    let text = (0..names.len()).find_map(|c| formats(c, false));
    text.or_else(|| {
        (0..names.len())
            .filter(|&c| if header { named(&names[c]) } else { c == 0 })
            .find_map(|c| formats(c, true))
    })
}

/// A cell as an error shows it: what a stray quote swallowed may be long.
fn shown(cell: &str) -> String {
    match cell.char_indices().nth(40) {
        Some((end, _)) => format!("{}...", &cell[..end]),
        None => cell.to_string(),
    }
}

/// One line of the file.
pub(crate) struct Record {
    pub line: u64,
    pub cells: Vec<Cell>,
}

pub(crate) struct Cell(pub String);

impl Cell {
    pub fn is_missing(&self) -> bool {
        self.0.is_empty()
            || ["nan", "na", "n/a", "null", "none"]
                .iter()
                .any(|word| self.0.eq_ignore_ascii_case(word))
    }

    pub fn number(&self) -> Option<f32> {
        // Through f64, as readings arrive on the device, so that both round alike.
        self.0
            .parse::<f64>()
            .ok()
            .map(|number| number as f32)
            .filter(|number| number.is_finite())
    }

    fn is_text(&self) -> bool {
        !self.is_missing() && self.number().is_none() && TimeFormat::of(&self.0, false).is_none()
    }
}

/// Lines that are not blank.
pub(crate) struct Records<'a> {
    reader: csv::Reader<&'a [u8]>,
}

impl<'a> Records<'a> {
    fn new(bytes: &'a [u8], delimiter: u8) -> Self {
        Records {
            reader: ReaderBuilder::new()
                .has_headers(false)
                .flexible(true)
                .delimiter(delimiter)
                .from_reader(bytes),
        }
    }
}

impl Iterator for Records<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        let mut record = ByteRecord::new();
        // Reading bytes from memory with any number of cells a line has no way to fail.
        while self.reader.read_byte_record(&mut record).unwrap_or(false) {
            let cells: Vec<_> = record
                .iter()
                .map(|cell| Cell(String::from_utf8_lossy(cell).trim().to_string()))
                .collect();
            if cells.len() > 1 || cells.iter().any(|cell| !cell.0.is_empty()) {
                let line = record.position().map_or(0, csv::Position::line);
                return Some(Record { line, cells });
            }
        }
        None
    }
}
