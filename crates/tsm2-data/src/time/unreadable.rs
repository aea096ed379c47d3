//! Columns that are meant as times and cannot be read as such.

use crate::census::Column;
use crate::error::{Error, shown};
use crate::time::finder::Finder;

impl Finder<'_> {
    /// Whether a column that is called a time is neither one nor plainly something else: an even count in an unknown unit is left out later.
    pub(super) fn is_unread(&self, column: &Column) -> bool {
        let counts = column.rise.falls == 0 && column.rise.uneven == 0 && column.rise.rises > 0;
        let is_word = column.filled == column.texts.count + column.states
            && column.texts.others == 0
            && column.texts.words.len() <= 8
            && !self.looks_like_time(column);
        !(is_word || self.options.force || self.is_number(column) && counts)
    }

    /// Whether the cells of a column of text look like times.
    pub(super) fn looks_like_time(&self, column: &Column) -> bool {
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

    /// The error, with two cells and what to do.
    pub(super) fn unreadable(&self, c: usize, column: &Column) -> Error {
        let known = "--time-format dmy, mdy, ymd, unix-s, unix-ms, unix-us, unix-ns, excel, matlab, labview, filetime, dotnet, elapsed-s, elapsed-h or a pattern such as '%d.%m.%Y %H:%M'; or --time-format none to read the rows without times";
        let has_year = |cell: &str| {
            let digits = cell.bytes().filter(u8::is_ascii_digit).count();
            digits > 10 || digits == 8 && digits == cell.len() || cell.split(|c: char| !c.is_ascii_digit()).any(|part| part.len() == 4)
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
}
