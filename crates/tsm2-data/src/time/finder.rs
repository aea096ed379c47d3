//! What finding the time needs to know.

use crate::census::{Census, Column};
use crate::error::{Error, list};
use crate::options::Options;
use crate::source::Source;

/// Share of the cells that must be times, in percent.
pub(crate) const ENOUGH: u64 = 98;

/// A file and what is asked of it.
pub(crate) struct Finder<'a> {
    pub source: &'a Source<'a>,
    pub census: &'a Census,
    pub names: &'a [String],
    pub has_header: bool,
    pub options: &'a Options,
}

impl Finder<'_> {
    /// The column of this name, as `--time-column` gives it.
    pub fn column(&self, name: &str) -> Result<usize, Error> {
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

    /// Whether most cells are numbers.
    pub fn is_number(&self, column: &Column) -> bool {
        column.are_numbers()
    }

    /// The column's name, or its place.
    pub fn named(&self, c: usize) -> String {
        if self.names[c].is_empty() {
            format!("column {}", c + 1)
        } else {
            self.names[c].clone()
        }
    }
}
