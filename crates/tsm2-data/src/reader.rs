//! What the rows of a file are read with, and what comes of them.

use crate::cells::Decimal;
use crate::census::Census;
use crate::dialect::Dialect;
use crate::error::{Error, list};
use crate::options::Options;
use crate::report::DroppedColumn;
use crate::source::Source;
use crate::table::Table;
use crate::time::moment::TimeColumns;

/// A file as it was read.
pub(crate) struct File {
    pub table: Table,
    /// Names of the variates, and their units.
    pub variates: Vec<(String, Option<String>)>,
    /// Whether a variate is of states.
    pub states: Vec<bool>,
    /// Whether the digits of a variate only rise.
    pub counters: Vec<bool>,
    pub time: Option<TimeColumns>,
    pub time_names: Vec<String>,
    pub is_long: bool,
    pub dropped_columns: Vec<DroppedColumn>,
    pub notes: Vec<String>,
    pub sha256: String,
    /// Rows used, those dropped left out.
    pub rows: u64,
}

/// What reading the rows needs to know.
pub(crate) struct Reader<'a> {
    pub source: &'a Source<'a>,
    pub dialect: &'a Dialect,
    pub census: &'a Census,
    pub names: &'a [String],
    pub decimals: &'a [Decimal],
    pub options: &'a Options,
    pub time: Option<&'a TimeColumns>,
}

impl Reader<'_> {
    /// The column of this name, as an option gives it.
    pub fn position(&self, name: &str, option: &'static str) -> Result<usize, Error> {
        self.names
            .iter()
            .position(|known| known == name)
            .ok_or_else(|| Error::MissingColumn {
                path: self.source.path.into(),
                option,
                column: name.into(),
                columns: list(self.names.iter().map(String::as_str)),
            })
    }

    /// The column that names devices.
    pub fn device(&self) -> Result<Option<usize>, Error> {
        self.options.series.as_ref().map(|name| self.position(name, "--series")).transpose()
    }

    /// A table as a file.
    pub fn file(
        &self,
        table: Table,
        variates: Vec<(String, Option<String>)>,
        states: Vec<bool>,
        dropped_columns: Vec<DroppedColumn>,
        notes: Vec<String>,
    ) -> File {
        File {
            notes: notes.into_iter().chain(table.notes.iter().cloned()).collect(),
            table,
            counters: vec![false; variates.len()],
            variates,
            states,
            time: None,
            time_names: Vec::new(),
            is_long: false,
            dropped_columns,
            sha256: String::new(),
            rows: 0,
        }
    }

    /// The unit of a column: that of its cells, or of the header.
    pub fn unit(&self, c: usize) -> Option<String> {
        let of_cells = self.census.columns[c].units.words.first().map(|(unit, ..)| unit.clone());
        of_cells.or_else(|| self.dialect.header.units.get(c).cloned().flatten())
    }
}
