//! How a file is laid out: delimiter, header, and where the rows begin.
//!
//! Everything is decided on the first lines. A delimiter is right when the cells between are numbers, times and states; ties go to
//! more columns. A line is a row when its cells are numbers and times where those of later lines are.

use crate::cells::{name, trim};
use crate::delimited::Records;
use crate::error::Error;
use crate::header::{Header, may_be};
use crate::lines::{Cell, Line, Looks, has_even_tabs, lines, tail, width};
use crate::options::Options;
use crate::source::Source;

/// The layout of a file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Dialect {
    /// The character between cells; a space stands for any number of them.
    pub delimiter: u8,
    /// Physical lines above the first row.
    pub lines_above: u64,
    pub header: Header,
}

/// Text looked at.
const SAMPLE: usize = 256 * 1024;

const DELIMITERS: [u8; 5] = [b',', b';', b'\t', b'|', b' '];

impl Dialect {
    pub fn find(source: &Source<'_>, options: &Options) -> Result<Dialect, Error> {
        if let Some(delimiter) = source.made_delimiter() {
            return Dialect::of_made(source, delimiter);
        }
        let mut sample = source.head(SAMPLE)?;
        if sample.len() == SAMPLE {
            // The last line is cut.
            let end = sample.iter().rposition(|&byte| byte == b'\n').map_or(SAMPLE, |at| at + 1);
            sample.truncate(end);
        }
        let empty = || Error::Empty { path: source.path.into() };
        let (separator, skipped) = separator_line(&sample);
        let text = &sample[skipped.1..];
        let (delimiter, lines) = match options.delimiter.or(separator) {
            Some(c) => {
                let asked = u8::try_from(c).ok().filter(u8::is_ascii).ok_or_else(|| Error::Option {
                    option: "--delimiter",
                    value: c.into(),
                    problem: "give one ASCII character".into(),
                })?;
                (asked, lines(text, asked))
            }
            None => best_delimiter(text).ok_or_else(empty)?,
        };
        if lines.is_empty() {
            return Err(empty());
        }
        let mut dialect = of_lines(source, &lines, delimiter)?;
        dialect.lines_above += skipped.0;
        Ok(dialect)
    }

    /// Of a table that this program made: names in the first line, rows below.
    fn of_made(source: &Source<'_>, delimiter: u8) -> Result<Dialect, Error> {
        let mut records = Records::new(source.text()?, delimiter);
        if !source.checked(records.advance())? {
            return Err(Error::Empty { path: source.path.into() });
        }
        let names = records.record().iter().map(name).collect();
        Ok(Dialect {
            delimiter,
            lines_above: 1,
            header: Header::of_names(names),
        })
    }
}

/// The delimiter that a line `sep=;` names, and the lines and bytes up to its end.
fn separator_line(sample: &[u8]) -> (Option<char>, (u64, usize)) {
    let line = sample.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let text = trim(line).trim_ascii_start();
    let text = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(text);
    let is_separator = text.len() <= 5 && text.len() >= 4 && text[..4].eq_ignore_ascii_case(b"sep=");
    if !is_separator {
        return (None, (0, 0));
    }
    let delimiter = text.get(4).map_or('\t', |&byte| byte.into());
    (Some(delimiter), (1, (line.len() + 1).min(sample.len())))
}

/// The delimiter that makes most cells readings, and the lines by it.
fn best_delimiter(text: &[u8]) -> Option<(u8, Vec<Line>)> {
    let is_there = |delimiter: u8| text.contains(&delimiter) || delimiter == b' ' && text.contains(&b'\t');
    // All that are not there make the same lines.
    let absent = DELIMITERS.into_iter().find(|&delimiter| !is_there(delimiter));
    let candidates = DELIMITERS
        .into_iter()
        .filter(|&delimiter| is_there(delimiter) || Some(delimiter) == absent);
    let mut best: Option<(f64, usize, u8, Vec<Line>)> = None;
    for delimiter in candidates {
        let lines = lines(text, delimiter);
        let Some(width) = width(&lines) else { continue };
        let score = score(&lines, width, delimiter, text);
        let is_better = |other: f64, columns: usize| score > other + 1e-9 || score > other - 1e-9 && width > columns;
        if best.as_ref().is_none_or(|&(other, columns, ..)| is_better(other, columns)) {
            best = Some((score, width, delimiter, lines));
        }
    }
    best.map(|(_, _, delimiter, lines)| (delimiter, lines))
}

fn score(lines: &[Line], width: usize, delimiter: u8, text: &[u8]) -> f64 {
    let (mut good, mut all) = (0.0, 0.0);
    for line in tail(lines) {
        all += line.cells.len().max(width) as f64;
        if line.cells.len() == width {
            let value = |cell: &Cell| {
                if cell.is_empty() {
                    0.5
                } else {
                    f64::from(u8::from(cell.is_value()))
                }
            };
            good += line.cells.iter().map(value).sum::<f64>();
        }
    }
    let mut score = good / f64::max(all, 1.0);
    if width == 1 {
        score *= 0.3;
    }
    // A header with as many names speaks for it.
    if width > 1 && (0..lines.len().min(30)).any(|at| may_be(lines, at, width) && !lines[at].has_value()) {
        score += 0.25;
    }
    // A space is also part of times and of texts.
    if delimiter == b' ' {
        score *= 0.95;
    }
    // The tabs of a table with tabs may part empty cells.
    if delimiter == b' ' && has_even_tabs(text) {
        score *= 0.8;
    }
    score
}

/// What a column's later cells are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Typed {
    Value,
    Time,
    Free,
}

fn of_lines(source: &Source<'_>, lines: &[Line], delimiter: u8) -> Result<Dialect, Error> {
    let width = width(lines).unwrap_or(1);
    let typed = typed(lines, width);
    let first_header = (0..lines.len()).find(|&at| may_be(lines, at, width));
    let looks_like_row = |at: usize| is_row(&lines[at], &typed, first_header.is_some_and(|header| header < at));
    // A line of numbers within a description is no row: rows follow one another.
    let goes_on = |at: usize| {
        let next = at + 1..lines.len().min(at + 5);
        next.clone().filter(|&at| looks_like_row(at)).count() * 2 >= next.len()
    };
    // Nor does another header stand among the first rows.
    let ends_at_header = |at: usize| {
        let is_name = |cell: &Cell| cell.is_empty() || cell.is_word();
        let is_new = |line: &Line| !lines[..at].iter().any(|above| above.is_same(line));
        let mut next = at + 1..lines.len().min(at + 5);
        next.any(|at| may_be(lines, at, width) && lines[at].cells.iter().all(is_name) && is_new(&lines[at]))
    };
    let has_numbers = typed.contains(&Typed::Value) || typed.contains(&Typed::Time);
    let body = (0..lines.len()).find(|&at| looks_like_row(at) && goes_on(at) && !(has_numbers && ends_at_header(at)));
    let Some(body) = body else {
        // Spreadsheets write `####` for a time that does not fit the column. A wrong delimiter may leave digits behind it.
        let is_narrow = |line: &&Line| line.cells[0].text.starts_with(b"####");
        if lines.iter().filter(is_narrow).count() * 2 > lines.len() {
            return Err(Error::Unsupported {
                path: source.path.into(),
                format: "a table with `####` for its times, from a spreadsheet with a column that was too narrow,",
                remedy: "widen the column, and save the sheet as CSV again",
            });
        }
        // `lines` leaves blank lines out, so a header is there.
        return Err(Error::HeaderOnly { path: source.path.into() });
    };
    let header = Header::find(lines, body, width);
    let has_half = |above: &Line| above.cells.len() * 2 - 1 == width;
    if width > 2 && header.cells.is_none() && delimiter == b',' && lines[..body].iter().any(has_half) {
        return Err(Error::Option {
            option: "--decimal",
            value: ",".into(),
            problem: format!(
                "{}: the rows have {width} cells between commas where the header has fewer names: the file uses a decimal comma and commas between cells; \
                 export it with semicolons between cells, or with numbers in quotes",
                source.path.display()
            ),
        });
    }
    Ok(Dialect {
        delimiter,
        lines_above: lines[body].line,
        header,
    })
}

/// What each column holds in the later lines.
fn typed(lines: &[Line], width: usize) -> Vec<Typed> {
    let rows: Vec<&Line> = tail(lines).iter().filter(|line| line.cells.len() == width).collect();
    let of_column = |c: usize| {
        let cells: Vec<&Cell> = rows.iter().map(|line| &line.cells[c]).filter(|cell| !cell.is_empty()).collect();
        let share = |is: fn(&Cell) -> bool| cells.iter().filter(|cell| is(cell)).count() * 10 > cells.len() * 6;
        match () {
            () if share(Cell::is_time) => Typed::Time,
            () if share(Cell::is_value) => Typed::Value,
            () => Typed::Free,
        }
    };
    (0..width).map(of_column).collect()
}

/// Whether a line is a row. Below a header some cells may be spoiled; a first line must fit in all.
fn is_row(line: &Line, typed: &[Typed], below_header: bool) -> bool {
    if line.cells.len() != typed.len() || line.cells[0].text.starts_with(b"#") {
        return false;
    }
    let (mut good, mut bad) = (0, 0);
    for (cell, typed) in line.cells.iter().zip(typed) {
        let is_good = match typed {
            Typed::Free => continue,
            _ if cell.is_empty() => continue,
            Typed::Time if !cell.is_time() => return false,
            Typed::Time => true,
            Typed::Value => cell.looks != Looks::Text,
        };
        if is_good { good += 1 } else { bad += 1 }
    }
    if typed.iter().all(|typed| *typed == Typed::Free) {
        return below_header;
    }
    if below_header { good > bad } else { good > 0 && bad == 0 }
}
