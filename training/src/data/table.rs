//! A CSV file as rows on a sampling grid, ready for training and evaluation.
//!
//! Reading settles, once and for all commands: the delimiter, whether there is a header, which column is the time, which
//! cells are numbers, and where readings are missing. What was settled without being asked for stands in [`Report`].
//! Invariants of a [`Table`]: `values.len() == len() * names.len()`; `past_covariates + future_covariates < names.len()`; a missing reading is NaN and nothing else is; with timestamps, row
//! `r` lies on grid slot `r`, so that neighbouring rows are always one interval apart.

pub(crate) mod cells;
mod grid;
mod time;

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::data::thin::{Rate, thin};

/// Rows of readings at a steady interval.
#[derive(Debug, Clone)]
pub struct Table {
    /// The file it was read from.
    pub path: PathBuf,
    /// Names of the variates, in the order of the columns.
    pub names: Vec<String>,
    /// How many of the variates, behind the targets, are read but not forecast; none as read from a file.
    pub past_covariates: usize,
    /// How many of the variates, the last ones, have next values that are known when a forecast is made; none as read from a file.
    pub future_covariates: usize,
    /// Readings, row-major `[rows][variates]`, in the sensors' own units; NaN where one is missing.
    pub values: Vec<f32>,
    /// Readings as a model in training is shown them, of the same form; `None`: as they are. See [`Table::thinned`].
    shown: Option<Vec<f32>>,
    /// Time of each row in ms since 1970 (UTC): the file's own for rows read, the grid's for rows filled in. `None` without a time column.
    pub times_ms: Option<Vec<i64>>,
    /// The sampling interval: the median step between timestamps.
    pub interval_ms: Option<u64>,
    /// SHA-256 of the file's bytes, in hexadecimal.
    pub sha256: String,
    /// What reading had to settle.
    pub report: Report,
}

/// What reading a file settled without being asked.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The character between cells.
    pub delimiter: char,
    /// The column taken as time.
    pub time_column: Option<String>,
    /// Columns without a single number, which are left out.
    pub text_columns: Vec<String>,
    /// Rows filled in where the file has none.
    pub gaps: Gaps,
    /// Rows left out because their time does not advance to a new slot of the grid.
    pub stale: Stale,
    /// Per variate with missing readings in the file's own rows.
    pub missing: Vec<Missing>,
}

/// Stretches of the grid for which the file has no row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gaps {
    /// How many stretches.
    pub count: usize,
    /// Rows in all of them, filled in as missing.
    pub rows: usize,
    /// Rows in the longest.
    pub longest: usize,
    /// Line of the first row after the first gap.
    pub first_line: u64,
}

/// Rows whose time does not advance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stale {
    /// How many.
    pub rows: usize,
    /// Line of the first.
    pub first_line: u64,
}

/// Missing readings of one variate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The variate.
    pub name: String,
    /// How many cells.
    pub cells: usize,
    /// The longest run of them in neighbouring lines.
    pub longest: usize,
    /// Line of the first.
    pub first_line: u64,
}

/// Why a file is not a table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file has no bytes, or only blank lines.
    #[error("{}: the file is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// There is a header and nothing below it.
    #[error("{}: there is a header but no row of readings below it", path.display())]
    HeaderOnly {
        /// The file.
        path: PathBuf,
    },
    /// A line has more or fewer cells than the first.
    #[error("{}: line {line} has {found} cells where the first line has {expected}", path.display())]
    Ragged {
        /// The file.
        path: PathBuf,
        /// Line in the file, from 1.
        line: u64,
        /// Cells in this line.
        found: usize,
        /// Cells in the first line.
        expected: usize,
    },
    /// A column of numbers holds something else.
    #[error("{}: line {line}, column `{column}`: `{cell}` is not a number", path.display())]
    NotANumber {
        /// The file.
        path: PathBuf,
        /// Line in the file, from 1.
        line: u64,
        /// The column's name.
        column: String,
        /// What stands there.
        cell: String,
    },
    /// The time column holds something that is not a time of its form.
    #[error("{}: line {line}, column `{column}`: `{cell}` is not a time (known: RFC 3339, `YYYY-MM-DD HH:MM[:SS]`, unix seconds or milliseconds)", path.display())]
    NotATime {
        /// The file.
        path: PathBuf,
        /// Line in the file, from 1.
        line: u64,
        /// The column's name.
        column: String,
        /// What stands there.
        cell: String,
    },
    /// No column holds numbers.
    #[error("{}: no column of numbers among {columns}", path.display())]
    NoNumericColumn {
        /// The file.
        path: PathBuf,
        /// The columns' names.
        columns: String,
    },
    /// Two columns have the same name.
    #[error("{}: two columns are named `{column}`", path.display())]
    DuplicateColumn {
        /// The file.
        path: PathBuf,
        /// The name.
        column: String,
    },
    /// A column that is asked for is not in the file.
    #[error("{}: there is no column `{column}`; the file has {columns}", path.display())]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The name asked for.
        column: String,
        /// The columns' names.
        columns: String,
    },
    /// A column is asked for twice.
    #[error("{}: column `{column}` is named twice", path.display())]
    RepeatedColumn {
        /// The file.
        path: PathBuf,
        /// The name.
        column: String,
    },
    /// No column is left to be forecast.
    #[error("{}: nothing is left to forecast, for all its columns are to be read only: {columns}", path.display())]
    NothingToForecast {
        /// The file.
        path: PathBuf,
        /// The columns' names.
        columns: String,
    },
    /// No timestamp is later than the one before.
    #[error("{}: line {line}, column `{column}`: the times never advance; rows must stand oldest first", path.display())]
    TimeNeverAdvances {
        /// The file.
        path: PathBuf,
        /// Line of the second row.
        line: u64,
        /// The time column's name.
        column: String,
    },
    /// Filling the gaps would make more rows than the file has, which a wrong timestamp does.
    #[error("{}: line {line}: a gap of {slots} rows at an interval of {interval_ms} ms; is the time of this line right?", path.display())]
    GapTooLong {
        /// The file.
        path: PathBuf,
        /// Line of the row after the gap.
        line: u64,
        /// Rows missing.
        slots: u64,
        /// The sampling interval.
        interval_ms: u64,
    },
}

impl Table {
    /// Reads a CSV file: delimiter `,` `;` tab or `|`; with or without a header (then the variates are `v0`, `v1`, ...); with or without
    /// a time column; empty cells, `nan`, `NA`, `null` and `none` are missing readings.
    ///
    /// # Errors
    /// Every [`TableError`] but `MissingColumn`, `RepeatedColumn` and `NothingToForecast`.
    pub fn read(path: &Path) -> Result<Table, TableError> {
        let bytes = std::fs::read(path).map_err(|source| TableError::Read { path: path.into(), source })?;
        Table::parse(path, &bytes)
    }

    /// Reads CSV text that is in memory; `path` names it in errors.
    ///
    /// # Errors
    /// As [`Table::read`].
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Table, TableError> {
        let cells = cells::Cells::parse(path, bytes)?;
        let missing = missing(&cells);
        let mut report = Report {
            delimiter: cells.delimiter,
            text_columns: cells.text_columns.clone(),
            missing,
            ..Report::default()
        };
        let (values, times_ms, interval_ms) = match &cells.time {
            None => (cells.values, None, None),
            Some(time) => {
                report.time_column = Some(time.column.clone());
                let grid = grid::place(path, time, &cells.values, &cells.lines)?;
                (report.gaps, report.stale) = (grid.gaps, grid.stale);
                (grid.values, Some(grid.times_ms), grid.interval_ms)
            }
        };
        Ok(Table {
            path: path.into(),
            names: cells.names,
            past_covariates: 0,
            future_covariates: 0,
            values,
            shown: None,
            times_ms,
            interval_ms,
            sha256: sha256(bytes),
            report,
        })
    }

    /// Rows on the grid, filled ones included.
    pub fn len(&self) -> usize {
        self.values.len() / self.names.len()
    }

    /// Whether there is no row; never so for a table that was read.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Number of variates.
    pub fn variates(&self) -> usize {
        self.names.len()
    }

    /// The readings of row `r`, one per variate.
    pub fn row(&self, r: usize) -> &[f32] {
        &self.values[r * self.variates()..(r + 1) * self.variates()]
    }

    /// The readings of row `r` as a model in training is shown them.
    pub fn shown(&self, r: usize) -> &[f32] {
        let values = self.shown.as_ref().unwrap_or(&self.values);
        &values[r * self.variates()..(r + 1) * self.variates()]
    }

    /// The same table, of which a model in training is shown some readings of `rows` as missing; it is still held to all of them.
    pub fn thinned(&self, rows: Range<usize>, rate: Rate, seed: u64) -> Table {
        let mut shown = self.values.clone();
        thin(&mut shown[rows.start * self.variates()..rows.end * self.variates()], rate, seed);
        Table {
            shown: Some(shown),
            ..self.clone()
        }
    }

    /// Calls `set` for each of the last `variates` variates with its readings in row `r` and in the `horizon` rows after it, as far as the
    /// table goes.
    ///
    /// # Errors
    /// Those of `set`.
    pub fn future_values<E>(
        &self,
        r: usize,
        variates: usize,
        horizon: usize,
        mut set: impl FnMut(usize, &[f32]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut values = Vec::new();
        for v in self.variates() - variates..self.variates() {
            values.clear();
            values.extend(
                self.values[r * self.variates() + v..]
                    .iter()
                    .step_by(self.variates())
                    .take(horizon + 1),
            );
            set(v, &values)?;
        }
        Ok(())
    }

    /// Time of row `r` in ms since 1970, or 0 without timestamps (for a model that does not read the clock, any number will do).
    pub fn time_ms(&self, r: usize) -> i64 {
        self.times_ms.as_ref().map_or(0, |times| times[r])
    }

    /// What a user should know about how the file was read, a sentence each; empty when nothing had to be mended.
    pub fn warnings(&self) -> Vec<String> {
        let Report {
            text_columns,
            gaps,
            stale,
            missing,
            ..
        } = &self.report;
        let mut warnings = Vec::new();
        if !text_columns.is_empty() {
            warnings.push(format!("left out, being text: {}", list(text_columns)));
        }
        if gaps.count > 0 {
            let Gaps {
                count,
                rows,
                longest,
                first_line,
            } = gaps;
            let gaps = if *count == 1 { "gap" } else { "gaps" };
            warnings.push(format!(
                "{count} {gaps} in time, {rows} rows filled in as missing, the longest {longest}, the first before line {first_line}"
            ));
        }
        if stale.rows > 0 {
            let Stale { rows, first_line } = stale;
            warnings.push(format!(
                "{rows} rows left out whose time does not advance, the first in line {first_line}"
            ));
        }
        warnings.extend(missing.iter().map(Missing::to_string));
        warnings
    }

    /// Number of variates that are to be forecast, the first ones.
    pub fn targets(&self) -> usize {
        self.variates() - self.past_covariates - self.future_covariates
    }

    /// The table with its covariates, in the file's order, behind the targets: first `past`, then `future`.
    ///
    /// # Errors
    /// `MissingColumn`, `RepeatedColumn`, `NothingToForecast`.
    pub fn with_covariates(self, past: &[String], future: &[String]) -> Result<Table, TableError> {
        let all: Vec<&String> = past.iter().chain(future).collect();
        if let Some((_, column)) = all.iter().enumerate().find(|(i, name)| all[..*i].contains(name)) {
            return Err(TableError::RepeatedColumn {
                path: self.path,
                column: (*column).clone(),
            });
        }
        for name in &all {
            self.column(name)?;
        }
        if all.len() == self.variates() {
            return Err(TableError::NothingToForecast {
                columns: list(&self.names),
                path: self.path,
            });
        }
        let place = |name: &String| usize::from(past.contains(name)) + 2 * usize::from(future.contains(name));
        let mut names = self.names.clone();
        names.sort_by_key(place);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (mut table, _) = self.select(&names)?;
        (table.past_covariates, table.future_covariates) = (past.len(), future.len());
        Ok(table)
    }

    /// The place of a variate.
    fn column(&self, name: &str) -> Result<usize, TableError> {
        let missing = || TableError::MissingColumn {
            path: self.path.clone(),
            column: name.to_owned(),
            columns: list(&self.names),
        };
        self.names.iter().position(|known| known == name).ok_or_else(missing)
    }

    /// The table with exactly these variates in this order, all to be forecast, and the names of the columns left out.
    ///
    /// # Errors
    /// `MissingColumn`.
    pub fn select(mut self, names: &[&str]) -> Result<(Table, Vec<String>), TableError> {
        let columns = names.iter().map(|name| self.column(name)).collect::<Result<Vec<usize>, _>>()?;
        let chosen = |values: &[f32]| {
            let rows = values.chunks_exact(self.variates());
            rows.flat_map(|row| columns.iter().map(|&c| row[c])).collect::<Vec<f32>>()
        };
        let (values, shown) = (chosen(&self.values), self.shown.as_deref().map(chosen));
        let (kept, extra) = self
            .names
            .into_iter()
            .partition::<Vec<_>, _>(|known| names.contains(&known.as_str()));
        self.report.missing.retain(|missing| kept.contains(&missing.name));
        (self.values, self.shown) = (values, shown);
        self.names = names.iter().map(|name| name.to_string()).collect();
        (self.past_covariates, self.future_covariates) = (0, 0);
        Ok((self, extra))
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Missing {
            name,
            cells,
            longest,
            first_line,
        } = self;
        write!(
            f,
            "column `{name}`: {cells} readings missing, the longest run {longest}, the first in line {first_line}"
        )
    }
}

/// SHA-256 of a file's bytes, in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn missing(cells: &cells::Cells) -> Vec<Missing> {
    let variates = cells.names.len();
    let of_column = |(column, name): (usize, &String)| {
        let (mut count, mut run, mut longest, mut first) = (0, 0, 0, None);
        for (row, values) in cells.values.chunks_exact(variates).enumerate() {
            run = if values[column].is_nan() { run + 1 } else { 0 };
            longest = longest.max(run);
            if run > 0 {
                count += 1;
                first.get_or_insert(cells.lines[row]);
            }
        }
        first.map(|first_line| Missing {
            name: name.clone(),
            cells: count,
            longest,
            first_line,
        })
    };
    cells.names.iter().enumerate().filter_map(of_column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Table, TableError> {
        Table::parse(Path::new("some.csv"), text.as_bytes())
    }

    #[test]
    fn every_delimiter_is_found() {
        for delimiter in [',', ';', '\t', '|'] {
            let text = "time,\"a, b\",c\n2024-01-01 00:00,1.5,-2e1\n2024-01-01 00:01,2,nan\n".replace(',', &delimiter.to_string());
            let table = parse(&text).unwrap();
            assert_eq!(table.report.delimiter, delimiter);
            assert_eq!(table.names, ["a, b".replace(',', &delimiter.to_string()), "c".into()]);
            assert_eq!(table.values[..3], [1.5, -20.0, 2.0]);
            assert!(table.values[3].is_nan());
            assert_eq!(table.interval_ms, Some(60_000));
        }
    }

    #[test]
    fn without_header_and_time() {
        let table = parse("1,2\n3,\n").unwrap();
        assert_eq!((table.names.clone(), table.len()), (vec!["v0".to_string(), "v1".to_string()], 2));
        assert_eq!((table.times_ms, table.interval_ms), (None, None));
        assert_eq!(
            table.report.missing,
            [Missing {
                name: "v1".into(),
                cells: 1,
                longest: 1,
                first_line: 2
            }]
        );
    }

    #[test]
    fn numbers_may_be_names() {
        let table = parse("date,0,1,OT\n2024-01-01,1,2,3\n2024-01-02,4,5,6\n").unwrap();
        assert_eq!(table.names, ["0", "1", "OT"]);
        assert_eq!(table.interval_ms, Some(86_400_000));
    }

    #[test]
    fn gaps_are_filled_and_stale_rows_left_out() {
        let table = parse("t,x\n2024-01-01T00:00Z,0\n2024-01-01T00:01Z,1\n2024-01-01T00:01Z,1\n2024-01-01T00:02Z,2\n2024-01-01T00:05Z,5\n")
            .unwrap();
        let seen: Vec<_> = table.values.iter().map(|v| if v.is_nan() { -1.0 } else { *v }).collect();
        assert_eq!(seen, [0.0, 1.0, 2.0, -1.0, -1.0, 5.0]);
        assert_eq!(
            table.report.gaps,
            Gaps {
                count: 1,
                rows: 2,
                longest: 2,
                first_line: 6
            }
        );
        assert_eq!(table.report.stale, Stale { rows: 1, first_line: 4 });
        let times = table.times_ms.as_ref().unwrap();
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 60_000), "{times:?}");
        assert_eq!(table.warnings().len(), 2);
    }

    #[test]
    fn select_orders_and_names_the_missing() {
        let table = parse("a,b,c\n1,2,3\n4,5,6\n").unwrap();
        let (chosen, extra) = table.clone().select(&["c", "a"]).unwrap();
        assert_eq!((chosen.values, extra), (vec![3.0, 1.0, 6.0, 4.0], vec!["b".to_string()]));
        let message = table.select(&["a", "d"]).unwrap_err().to_string();
        assert!(message.contains("some.csv") && message.contains("`d`"), "{message}");
    }

    #[test]
    fn covariates_go_last_in_the_files_order() {
        let table = parse("a,b,c,d\n1,2,3,4\n5,6,7,8\n").unwrap();
        let named = |names: &[&str]| {
            table
                .clone()
                .with_covariates(&names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>(), &[])
        };
        let apart = named(&["c", "a"]).unwrap();
        assert_eq!((apart.targets(), apart.past_covariates), (2, 2));
        assert_eq!(apart.names, ["b", "d", "a", "c"]);
        assert_eq!(apart.row(1), [6.0, 8.0, 5.0, 7.0]);
        assert_eq!(named(&[]).unwrap().values, table.values);
        for (names, said) in [
            (&["a", "e"][..], "there is no column `e`"),
            (&["b", "a", "b"], "`b` is named twice"),
            (&["a", "b", "c", "d"], "nothing is left to forecast"),
        ] {
            let message = named(names).unwrap_err().to_string();
            assert!(message.contains("some.csv") && message.contains(said), "{message}");
        }
    }

    #[test]
    fn future_covariates_go_behind_past_ones_and_have_values_as_far_as_the_table_goes() {
        let table = parse("a,b,c,d\n1,2,3,4\n5,6,7,8\n9,,11,12\n").unwrap();
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let apart = table.clone().with_covariates(&names(&["c"]), &names(&["b", "a"])).unwrap();
        assert_eq!(apart.names, ["d", "c", "a", "b"].map(str::to_owned));
        assert_eq!((apart.past_covariates, apart.future_covariates), (1, 2));
        let future = |row, variates, horizon| {
            let mut all = Vec::new();
            let set = |variate: usize, values: &[f32]| {
                let values: Vec<f32> = values.iter().map(|x| if x.is_nan() { -1.0 } else { *x }).collect();
                all.push((variate, values));
                Ok::<_, TableError>(())
            };
            apart.future_values(row, variates, horizon, set).unwrap();
            all
        };
        assert_eq!(future(1, 2, 1), [(2, vec![5.0, 9.0]), (3, vec![6.0, -1.0])]);
        assert_eq!(future(2, 1, 5), [(3, vec![-1.0])]);
        let message = table.with_covariates(&names(&["a", "b"]), &names(&["a"])).unwrap_err().to_string();
        assert!(message.contains("`a` is named twice"), "{message}");
    }

    #[test]
    fn a_clock_gone_mad_is_an_error_naming_the_line() {
        let message = parse("t,x\n2024-01-01 00:00,0\n2024-01-01 00:01,1\n2061-01-01 00:00,2\n")
            .unwrap_err()
            .to_string();
        assert!(message.contains("line 4"), "{message}");
        let message = parse("t,x\n2024-01-03,0\n2024-01-02,1\n2024-01-01,2\n").unwrap_err().to_string();
        assert!(message.contains("oldest first"), "{message}");
    }

    proptest::proptest! {
        /// Whatever a file holds, reading it ends in a table that keeps its promises or in an error.
        #[test]
        fn any_bytes_are_a_table_or_an_error(
            bytes in proptest::collection::vec(
                proptest::sample::select(&b"0123456789.-+e,;|\t\"\n\r: abnT\xff\x00/"[..]), 0..200),
            time in proptest::bool::ANY,
        ) {
            let text = if time { [b"time,a\n2024-01-01,1\n2024-01-02,".as_slice(), &bytes].concat() } else { bytes };
            if let Ok(table) = Table::parse(Path::new("any.csv"), &text) {
                assert_eq!(table.values.len(), table.len() * table.variates());
                assert!(table.values.iter().all(|value| value.is_finite() || value.is_nan()));
                assert!(table.times_ms.is_none_or(|times| times.len() == table.values.len() / table.names.len()));
            }
        }
    }
}
