//! A recording as one matrix of time steps, ready for training and evaluation.
//!
//! Invariants of a [`Table`]:
//! 1. `values.len() == len() * names.len()`.
//! 2. `past_covariates + future_covariates < names.len()`; the targets stand first.
//! 3. A missing reading is NaN; every other value is finite.
//! 4. With timestamps, neighbouring rows are one interval apart.

use std::ops::Range;
use std::path::{Path, PathBuf};

use tsm2_data::{Clock, Options, Recording, Report, Series};

use crate::data::mask::{Rate, mask};

/// Rows of readings at a steady interval.
#[derive(Debug, Clone)]
pub struct Table {
    /// The file it was read from; of several files, the first.
    pub path: PathBuf,
    /// Names of the variates, in the order of the columns.
    pub names: Vec<String>,
    /// Units of the variates, where the file has them.
    pub units: Vec<Option<String>>,
    /// Number of past covariates, behind the targets; 0 as read from a file.
    pub past_covariates: usize,
    /// Number of future covariates, the last variates; 0 as read from a file.
    pub future_covariates: usize,
    /// Readings, row-major `[rows][variates]`, in the sensors' own units; NaN where one is missing.
    pub values: Vec<f32>,
    /// Readings as a model in training gets them, of the same form; `None`: as they are. See [`Table::masked`].
    inputs: Option<Vec<f32>>,
    /// Time of each row in ms since 1970 (UTC). `None` without a time column.
    pub times_ms: Option<Vec<i64>>,
    /// Whether the times are those of a calendar, with a time of day and a day of the week.
    pub has_calendar: bool,
    /// The sampling interval.
    pub interval_ms: Option<u64>,
    /// SHA-256 of the file's bytes, in hexadecimal.
    pub sha256: String,
}

/// Why a recording is not a table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The recording cannot be read.
    #[error(transparent)]
    Data(#[from] tsm2_data::Error),
    /// The recording holds several devices.
    #[error("{}: {count} devices ({names}): one model is trained on one device; give a file with the rows of one", path.display())]
    SeveralDevices {
        /// The file.
        path: PathBuf,
        /// How many.
        count: usize,
        /// Their names.
        names: String,
    },
    /// The gaps are longer than the recording.
    #[error("{}: gaps of {gaps} time steps in all, and {rows} rows: split the file at its longest gap, or give a longer --interval", path.display())]
    MostlyGaps {
        /// The file.
        path: PathBuf,
        /// Time steps in all gaps.
        gaps: u64,
        /// Rows of readings.
        rows: usize,
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
    /// All columns are covariates.
    #[error("{}: nothing is left to forecast: all columns are covariates: {columns}", path.display())]
    NothingToForecast {
        /// The file.
        path: PathBuf,
        /// The columns' names.
        columns: String,
    },
}

impl Table {
    /// Reads a recording; [`tsm2_data::read`] finds out how.
    ///
    /// # Errors
    /// `Data`, `SeveralDevices`, `MostlyGaps`.
    pub fn read(path: &Path) -> Result<Table, TableError> {
        Ok(Self::read_with(&[path.to_owned()], &Options::default())?.0)
    }

    /// Reads a recording as the options say, with a report of how it was read.
    ///
    /// # Errors
    /// `Data`, `SeveralDevices`, `MostlyGaps`.
    pub fn read_with(paths: &[PathBuf], options: &Options) -> Result<(Table, Report), TableError> {
        let (recording, report) = tsm2_data::read(paths, options)?;
        let path = paths.first().cloned().unwrap_or_default();
        Ok((Self::new(path, recording)?, report))
    }

    /// Reads a recording that is in memory; `path` names it in errors.
    ///
    /// # Errors
    /// As [`Table::read`].
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Table, TableError> {
        let (recording, _) = tsm2_data::read_bytes(path, bytes, &Options::default())?;
        Self::new(path.into(), recording)
    }

    fn new(path: PathBuf, recording: Recording) -> Result<Table, TableError> {
        let Recording {
            variates,
            mut series,
            interval_ms,
            clock,
            sha256,
        } = recording;
        let only = match (series.pop(), series.len()) {
            (Some(only), 0) => only,
            (last, others) => {
                let names: Vec<String> = series.into_iter().chain(last).map(|series| series.name).collect();
                return Err(TableError::SeveralDevices {
                    path,
                    count: others + 1,
                    names: list(&names),
                });
            }
        };
        let (values, times_ms) = without_gaps(&path, only, variates.len(), interval_ms)?;
        let (names, units) = variates.into_iter().map(|variate| (variate.name, variate.unit)).unzip();
        Ok(Table {
            path,
            names,
            units,
            past_covariates: 0,
            future_covariates: 0,
            values,
            inputs: None,
            times_ms: (clock != Clock::None).then_some(times_ms),
            has_calendar: clock == Clock::Calendar,
            interval_ms,
            sha256,
        })
    }

    /// Number of rows.
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

    /// Number of variates that are forecast, the first ones.
    pub fn targets(&self) -> usize {
        self.variates() - self.past_covariates - self.future_covariates
    }

    /// The readings of row `r`, one per variate.
    pub fn row(&self, r: usize) -> &[f32] {
        &self.values[r * self.variates()..(r + 1) * self.variates()]
    }

    /// The readings of row `r` as a model in training gets them.
    pub fn input_row(&self, r: usize) -> &[f32] {
        let values = self.inputs.as_ref().unwrap_or(&self.values);
        &values[r * self.variates()..(r + 1) * self.variates()]
    }

    /// The same table with a share of the readings of `rows` missing in the model's inputs. The forecasts are still compared with all readings.
    #[must_use]
    pub fn masked(&self, rows: Range<usize>, rate: Rate, seed: u64) -> Table {
        let mut inputs = self.values.clone();
        mask(&mut inputs[rows.start * self.variates()..rows.end * self.variates()], rate, seed);
        Table {
            inputs: Some(inputs),
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

    /// Time of row `r` in ms since 1970, or 0 without timestamps.
    pub fn time_ms(&self, r: usize) -> i64 {
        self.times_ms.as_ref().map_or(0, |times| times[r])
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

    /// The position of a variate.
    fn column(&self, name: &str) -> Result<usize, TableError> {
        let missing = || TableError::MissingColumn {
            path: self.path.clone(),
            column: name.to_owned(),
            columns: list(&self.names),
        };
        self.names.iter().position(|known| known == name).ok_or_else(missing)
    }

    /// The table with exactly these variates in this order, all of them targets, and the names of the columns left out.
    ///
    /// # Errors
    /// `MissingColumn`.
    pub fn select(mut self, names: &[&str]) -> Result<(Table, Vec<String>), TableError> {
        let columns = names.iter().map(|name| self.column(name)).collect::<Result<Vec<usize>, _>>()?;
        let chosen = |values: &[f32]| {
            let rows = values.chunks_exact(self.variates());
            rows.flat_map(|row| columns.iter().map(|&c| row[c])).collect::<Vec<f32>>()
        };
        let (values, inputs) = (chosen(&self.values), self.inputs.as_deref().map(chosen));
        let units = columns.iter().map(|&c| self.units[c].clone()).collect();
        let extra = self.names.into_iter().filter(|known| !names.contains(&known.as_str())).collect();
        (self.values, self.inputs, self.units) = (values, inputs, units);
        self.names = names.iter().map(|name| (*name).to_owned()).collect();
        (self.past_covariates, self.future_covariates) = (0, 0);
        Ok((self, extra))
    }
}

/// The rows and times of a series, with missing readings in the gaps between its segments.
fn without_gaps(path: &Path, series: Series, variates: usize, interval_ms: Option<u64>) -> Result<(Vec<f32>, Vec<i64>), TableError> {
    let Series {
        times_ms,
        values,
        segments,
        ..
    } = series;
    let Some(interval) = interval_ms.map(|ms| ms.max(1) as i64).filter(|_| segments.len() > 1) else {
        return Ok((values, times_ms));
    };
    // Time steps between the last row before each segment and its first.
    let gap = |start: usize| match start.checked_sub(1) {
        Some(last) => ((times_ms[start] - times_ms[last] + interval / 2) / interval - 1).max(0) as u64,
        None => 0,
    };
    let (gaps, rows) = (segments.iter().map(|segment| gap(segment.start)).sum::<u64>(), times_ms.len());
    if gaps > rows as u64 {
        return Err(TableError::MostlyGaps {
            path: path.into(),
            gaps,
            rows,
        });
    }
    let (mut all, mut times) = (Vec::with_capacity(values.len()), Vec::with_capacity(rows));
    for segment in &segments {
        let missing = gap(segment.start) as usize;
        let first = times_ms[segment.start] - missing as i64 * interval;
        times.extend((0..missing).map(|i| first + i as i64 * interval));
        all.resize(all.len() + missing * variates, f32::NAN);
        times.extend_from_slice(&times_ms[segment.clone()]);
        all.extend_from_slice(&values[segment.start * variates..segment.end * variates]);
    }
    Ok((all, times))
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Table, TableError> {
        Table::parse(Path::new("some.csv"), text.as_bytes())
    }

    #[test]
    fn a_long_gap_is_filled_with_missing_readings() {
        let row = |minute: i64| format!("{},{minute}\n", 1_700_000_040 + 60 * minute);
        let rows = |minutes: Range<i64>| minutes.map(row).collect::<String>();
        let table = parse(&format!("t,x\n{}{}", rows(0..2000), rows(3600..4000))).unwrap();
        assert_eq!((table.len(), table.interval_ms), (4000, Some(60_000)));
        let known = |r: usize| !table.row(r)[0].is_nan();
        assert!(known(1999) && !known(2000) && !known(3599) && known(3600) && table.row(3600)[0] == 3600.0);
        let times = table.times_ms.as_ref().unwrap();
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 60_000));
        let error = parse(&format!("t,x\n{}{}", rows(0..2000), rows(9000..9010)))
            .unwrap_err()
            .to_string();
        assert!(error.contains("some.csv") && error.contains("7000 time steps"), "{error}");
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
}
