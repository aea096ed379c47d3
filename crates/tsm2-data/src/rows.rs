//! The rows of a file, one at a time: what is no row is counted with its reason and passed over.

use std::io::{BufRead, BufReader};
use std::path::Path;

use crate::cells::trim;
use crate::delimited::{Record, Records};
use crate::dialect::Dialect;
use crate::error::Error;
use crate::report::DroppedRows;
use crate::source::{BUFFER, Source};
use crate::spaces::Collapsed;

/// Lines that one quoted cell may span.
const QUOTED_LINES: u64 = 200;

/// Rows that are left out, by reason.
#[derive(Debug, Clone, Default)]
pub(crate) struct Drops {
    reasons: Vec<(Reason, u64, u64)>,
}

/// Why a row is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    Empty,
    Nul,
    HeaderAgain,
    Comment,
    Cut,
    Narrow,
    Wide,
    NoTime,
    BadTime,
    Twice,
    ClockJump,
}

impl Reason {
    fn text(self) -> &'static str {
        match self {
            Reason::Empty => "no cell is filled",
            Reason::Nul => "zero bytes, as a power cut leaves them",
            Reason::HeaderAgain => "the header again",
            Reason::Comment => "a comment",
            Reason::Cut => "the last line is cut",
            Reason::Narrow => "fewer cells than the header",
            Reason::Wide => "more cells than the header",
            Reason::NoTime => "no time",
            Reason::BadTime => "the time cannot be read",
            Reason::Twice => "the same time again",
            Reason::ClockJump => "a clock jump that no later row confirms",
        }
    }

    /// What to do when too many rows fall out for it; `None` where any number is fine.
    fn remedy(self) -> Option<&'static str> {
        Some(match self {
            Reason::Empty | Reason::Comment | Reason::HeaderAgain | Reason::Cut => return None,
            Reason::Nul => "copy the file again",
            Reason::Narrow | Reason::Wide => "check --delimiter and --decimal",
            Reason::NoTime | Reason::BadTime => "give --time-column and --time-format",
            Reason::Twice => "name the device of each row by --series, or the time steps by --interval",
            Reason::ClockJump => "check the times, or give a larger --max-gap",
        })
    }
}

impl Drops {
    pub fn add(&mut self, reason: Reason, line: u64) {
        self.add_many(reason, 1, line);
    }

    pub fn add_many(&mut self, reason: Reason, count: u64, line: u64) {
        match self.reasons.iter_mut().find(|(known, ..)| *known == reason) {
            Some((_, sum, _)) => *sum += count,
            None => self.reasons.push((reason, count, line)),
        }
    }

    /// Takes rows back that count after all.
    pub fn take_back(&mut self, reason: Reason, count: u64) {
        self.reasons.retain_mut(|(known, sum, _)| {
            if *known == reason {
                *sum = sum.saturating_sub(count);
            }
            *sum > 0
        });
    }

    /// Adds those of another pass.
    pub fn append(&mut self, other: &Drops) {
        for &(reason, count, line) in &other.reasons {
            self.add_many(reason, count, line);
        }
    }

    /// All of them, for the report.
    pub fn list(&self) -> Vec<DroppedRows> {
        let row = |&(reason, count, first_line): &(Reason, u64, u64)| DroppedRows {
            reason: reason.text().into(),
            count,
            first_line,
        };
        self.reasons.iter().map(row).collect()
    }

    /// More than 2 % of the rows dropped for one reason is an error.
    pub fn check(&self, path: &Path, rows: u64, force: bool) -> Result<Vec<String>, Error> {
        let mut forced = Vec::new();
        for &(reason, count, first_line) in &self.reasons {
            let all = rows + count;
            let Some(remedy) = reason.remedy().filter(|_| count * 50 > all) else {
                continue;
            };
            if !force {
                return Err(Error::TooManyDropped {
                    path: path.into(),
                    reason: reason.text().into(),
                    count,
                    rows: all,
                    first_line,
                    remedy,
                });
            }
            forced.push(format!("--force: {count} of {all} rows left out: {}", reason.text()));
        }
        Ok(forced)
    }
}

/// The rows below the header.
pub(crate) struct Rows<'a> {
    source: &'a Source<'a>,
    dialect: &'a Dialect,
    records: Records<Box<dyn BufRead + 'a>>,
    /// Line of a row with too few cells, until it shows whether it is the last.
    narrow: Option<u64>,
    /// Rows of empty cells between the last row and the one before. Without a time column each is a time step.
    pub blank_before: usize,
    pub drops: Drops,
}

impl<'a> Rows<'a> {
    pub fn open(source: &'a Source<'a>, dialect: &'a Dialect) -> Result<Self, Error> {
        let mut text = source.text()?;
        for _ in 0..dialect.lines_above {
            source.checked(skip_line(&mut text))?;
        }
        if dialect.delimiter == b' ' {
            text = Box::new(BufReader::with_capacity(BUFFER, Collapsed::new(text)));
        }
        Ok(Rows {
            source,
            dialect,
            records: Records::new(text, dialect.delimiter),
            narrow: None,
            blank_before: 0,
            drops: Drops::default(),
        })
    }

    /// The next row and its line.
    pub fn next(&mut self) -> Result<Option<(u64, &Record)>, Error> {
        self.blank_before = 0;
        loop {
            let read = self.records.advance();
            let read = self.source.checked(read)?;
            if let Some(line) = self.narrow.take() {
                self.drops.add(if read { Reason::Narrow } else { Reason::Cut }, line);
            }
            if !read {
                return Ok(None);
            }
            let line = self.dialect.lines_above + self.records.line();
            if self.records.line_ends() > QUOTED_LINES {
                return Err(Error::OpenQuote {
                    path: self.source.path.into(),
                    line,
                    lines: self.records.line_ends(),
                });
            }
            match self.reason() {
                None => return Ok(Some((line, self.records.record()))),
                // A blank line.
                Some(Reason::Empty) if self.record().len() == 1 => {}
                Some(Reason::Narrow) => self.narrow = Some(line),
                Some(reason) => {
                    self.blank_before += usize::from(reason == Reason::Empty);
                    self.drops.add(reason, line);
                }
            }
        }
    }

    /// The row that [`Rows::next`] returned last.
    pub fn record(&self) -> &Record {
        self.records.record()
    }

    /// Why the current record is no row.
    fn reason(&self) -> Option<Reason> {
        let record = self.record();
        if record.all().contains(&0) {
            return Some(Reason::Nul);
        }
        if record.iter().all(|cell| trim(cell).is_empty()) {
            return Some(Reason::Empty);
        }
        let is_comment = || record.get(0).is_some_and(|cell| cell.starts_with(b"#")) || is_rule(record);
        if self.source.made_delimiter().is_none() && is_comment() {
            return Some(Reason::Comment);
        }
        if let Some(header) = &self.dialect.header.cells
            && header.len() == record.len()
            && header.iter().zip(record.iter()).all(|(name, cell)| name == trim(cell))
        {
            return Some(Reason::HeaderAgain);
        }
        let width = self.dialect.header.names.len();
        if record.len() < width {
            return Some(Reason::Narrow);
        }
        let is_wide = record.iter().skip(width).any(|cell| !trim(cell).is_empty());
        is_wide.then_some(Reason::Wide)
    }
}

/// Whether a line only parts others: `+-----+-----+`.
fn is_rule(record: &Record) -> bool {
    let is_long = record
        .get(0)
        .is_some_and(|cell| cell.len() > 4 && matches!(cell[0], b'-' | b'+' | b'='));
    is_long && record.all().iter().all(|byte| b"-=+| ".contains(byte))
}

fn skip_line(text: &mut dyn BufRead) -> std::io::Result<()> {
    loop {
        let buffer = text.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        match buffer.iter().position(|&byte| byte == b'\n') {
            Some(at) => {
                text.consume(at + 1);
                return Ok(());
            }
            None => {
                let length = buffer.len();
                text.consume(length);
            }
        }
    }
}
