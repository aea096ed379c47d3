//! A recording as one matrix of time steps, all devices one after the other, ready for training and evaluation.
//!
//! Invariants of a [`Table`]:
//! 1. `values.len() == len() * names.len()`.
//! 2. `past_covariates + future_covariates < names.len()`; the targets stand first.
//! 3. A missing reading is NaN; every other value is finite.
//! 4. With timestamps, neighbouring rows of a run are one interval apart.
//! 5. `runs.rows() == len()`.

use std::ops::Range;
use std::path::{Path, PathBuf};

use tsm2_bundle::CalendarZone;
use tsm2_data::{Clock, Meter, Options, Recording, Report};

use crate::data::mask::{Rate, mask};
use crate::data::runs::{Part, Pieces, Runs};
use crate::data::split::{Split, SplitError, SplitSpec};

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
    /// The zone of [`Table::local_time_ms`]: that of the local times in the recording, or UTC.
    pub zone: CalendarZone,
    /// The sampling interval.
    pub interval_ms: Option<u64>,
    /// SHA-256 of the files' bytes, in hexadecimal.
    pub sha256: String,
    /// Devices and runs without a gap.
    pub runs: Runs,
}

/// Why a recording is not a table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The recording cannot be read.
    #[error(transparent)]
    Data(#[from] tsm2_data::Error),
    /// Several devices or gaps where only one unbroken recording can be used.
    #[error("{}: {devices} devices in {runs} runs without a gap: one device without a gap is needed", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// Devices.
        devices: usize,
        /// Runs.
        runs: usize,
    },
    /// A device to be held out is not in the recording.
    #[error("{}: --hold-out: there is no device `{device}`; the recording has {devices}", path.display())]
    MissingDevice {
        /// The file.
        path: PathBuf,
        /// The name asked for.
        device: String,
        /// The devices' names.
        devices: String,
    },
    /// No device is left to train on.
    #[error("{}: --hold-out: no device is left to train on: all of {devices} are held out", path.display())]
    AllHeldOut {
        /// The file.
        path: PathBuf,
        /// The devices' names.
        devices: String,
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
    /// `Data`.
    pub fn read(path: &Path) -> Result<Table, TableError> {
        Ok(Self::read_with(&[path.to_owned()], &Options::default())?.0)
    }

    /// Reads a recording as the options say, with a report of how it was read.
    ///
    /// # Errors
    /// `Data`.
    pub fn read_with(paths: &[PathBuf], options: &Options) -> Result<(Table, Report), TableError> {
        Self::read_metered(paths, options, &Meter::default())
    }

    /// The same, with a meter of how much is read.
    ///
    /// # Errors
    /// `Data`.
    pub fn read_metered(paths: &[PathBuf], options: &Options, meter: &Meter) -> Result<(Table, Report), TableError> {
        let (recording, report) = tsm2_data::read_metered(paths, options, meter)?;
        let path = paths.first().cloned().unwrap_or_default();
        let zone = report.time_zone.as_deref().and_then(CalendarZone::named).unwrap_or_default();
        let table = Table {
            zone,
            ..Self::new(path, recording)
        };
        Ok((table, report))
    }

    /// Reads a recording that is in memory; `path` names it in errors.
    ///
    /// # Errors
    /// As [`Table::read`].
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Table, TableError> {
        let (recording, _) = tsm2_data::read_bytes(path, bytes, &Options::default())?;
        Ok(Self::new(path.into(), recording))
    }

    fn new(path: PathBuf, recording: Recording) -> Table {
        let variates = recording.variates.len();
        let (mut runs, mut values, mut times_ms) = (Runs::default(), Vec::new(), Vec::new());
        for series in recording.series {
            runs.push(series.name, series.segments.iter().map(|segment| segment.len()));
            match values.is_empty() {
                true => (values, times_ms) = (series.values, series.times_ms),
                false => {
                    values.extend_from_slice(&series.values);
                    times_ms.extend_from_slice(&series.times_ms);
                }
            }
        }
        debug_assert_eq!(runs.rows() * variates, values.len());
        let (names, units) = recording.variates.into_iter().map(|variate| (variate.name, variate.unit)).unzip();
        Table {
            path,
            names,
            units,
            past_covariates: 0,
            future_covariates: 0,
            values,
            inputs: None,
            times_ms: (recording.clock != Clock::None).then_some(times_ms),
            has_calendar: recording.clock == Clock::Calendar,
            zone: CalendarZone::default(),
            interval_ms: recording.interval_ms,
            sha256: recording.sha256,
            runs,
        }
    }

    /// The table with these devices held out: no row of them trains or chooses anything.
    ///
    /// # Errors
    /// `MissingDevice`, `AllHeldOut`.
    pub fn hold_out(mut self, names: &[String]) -> Result<Table, TableError> {
        let devices = || list(self.runs.devices().iter().map(|device| &device.name));
        let mut runs = self.runs.clone();
        for name in names {
            if !runs.hold_out(name) {
                return Err(TableError::MissingDevice {
                    device: name.clone(),
                    devices: devices(),
                    path: self.path,
                });
            }
        }
        if runs.known_rows() == 0 {
            return Err(TableError::AllHeldOut {
                devices: devices(),
                path: self.path,
            });
        }
        self.runs = runs;
        Ok(self)
    }

    /// The table, if it is one device without a gap.
    ///
    /// # Errors
    /// `Broken`.
    pub fn unbroken(self) -> Result<Table, TableError> {
        let (devices, runs) = (self.runs.devices().len(), self.runs.iter().count());
        match runs {
            1 => Ok(self),
            _ => Err(TableError::Broken {
                path: self.path,
                devices,
                runs,
            }),
        }
    }

    /// The split of the rows that are not held out.
    ///
    /// # Errors
    /// `TooLarge`.
    pub fn split(&self, spec: SplitSpec) -> Result<Split, SplitError> {
        spec.resolve(self.runs.known_rows())
    }

    /// The rows of a part.
    pub fn part(&self, split: &Split, part: Part) -> Pieces {
        self.runs.part(split, part)
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

    /// The same table with a share of the readings of `pieces` missing in the model's inputs. The forecasts are still compared with all readings.
    #[must_use]
    pub fn masked(&self, pieces: &Pieces, rate: Rate, seed: u64) -> Table {
        let mut masked = self.values.clone();
        mask(&mut masked, rate, seed);
        let mut inputs = self.values.clone();
        for piece in pieces.iter() {
            let numbers = piece.rows.start * self.variates()..piece.rows.end * self.variates();
            inputs[numbers.clone()].copy_from_slice(&masked[numbers]);
        }
        Table {
            inputs: Some(inputs),
            ..self.clone()
        }
    }

    /// Calls `set` for each of the last `variates` variates with its readings in row `r` and in the `horizon` rows after it, as far as the
    /// run goes.
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
        if variates == 0 {
            return Ok(());
        }
        let rows = (self.runs.run_of(r).end - r).min(horizon + 1);
        let mut values = Vec::new();
        for v in self.variates() - variates..self.variates() {
            values.clear();
            values.extend(self.values[r * self.variates() + v..].iter().step_by(self.variates()).take(rows));
            set(v, &values)?;
        }
        Ok(())
    }

    /// Rows of one run, as a table of their own.
    #[must_use]
    pub fn slice(&self, rows: Range<usize>) -> Table {
        let numbers = rows.start * self.variates()..rows.end * self.variates();
        Table {
            values: self.values[numbers.clone()].to_vec(),
            inputs: self.inputs.as_ref().map(|inputs| inputs[numbers].to_vec()),
            times_ms: self.times_ms.as_ref().map(|times| times[rows.clone()].to_vec()),
            runs: Runs::unbroken("", rows.len()),
            path: self.path.clone(),
            names: self.names.clone(),
            units: self.units.clone(),
            zone: self.zone.clone(),
            sha256: self.sha256.clone(),
            ..*self
        }
    }

    /// Time of row `r` in ms since 1970, or 0 without timestamps.
    pub fn time_ms(&self, r: usize) -> i64 {
        self.times_ms.as_ref().map_or(0, |times| times[r])
    }

    /// Local time of row `r`, as a model reads it: ms since the beginning of 1970 in the table's zone.
    pub fn local_time_ms(&self, r: usize) -> i64 {
        self.zone.local_ms(self.time_ms(r))
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

fn list<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Table, TableError> {
        Table::parse(Path::new("some.csv"), text.as_bytes())
    }

    #[test]
    fn a_long_gap_begins_a_new_run() {
        let row = |minute: i64| format!("{},{minute}\n", 1_700_000_040 + 60 * minute);
        let rows = |minutes: std::ops::Range<i64>| minutes.map(row).collect::<String>();
        let table = parse(&format!("t,x\n{}{}", rows(0..2000), rows(9000..9400))).unwrap();
        assert_eq!((table.len(), table.interval_ms), (2400, Some(60_000)));
        assert_eq!(table.runs.iter().collect::<Vec<_>>(), [0..2000, 2000..2400]);
        assert_eq!((table.row(1999)[0], table.row(2000)[0]), (1999.0, 9000.0));
        assert_eq!(table.time_ms(2000) - table.time_ms(1999), 7001 * 60_000);
        assert!(table.unbroken().unwrap_err().to_string().contains("some.csv: 1 devices in 2 runs"));
    }

    #[test]
    fn devices_stand_one_after_the_other_and_one_can_be_held_out() {
        let rows = (0..20).flat_map(|minute| ["a", "b"].map(|pump| format!("{},{pump},{minute}\n", 60 * minute + 1_700_000_040)));
        let text = format!("t,pump,x\n{}", rows.collect::<String>());
        let options = Options {
            series: Some("pump".into()),
            ..Options::default()
        };
        let (recording, _) = tsm2_data::read_bytes(Path::new("pumps.csv"), text.as_bytes(), &options).unwrap();
        let table = Table::new("pumps.csv".into(), recording);
        assert_eq!((table.len(), table.names.as_slice()), (40, &["x".to_owned()][..]));
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let apart = table.clone().hold_out(&names(&["b"])).unwrap();
        let split = apart.split(SplitSpec::default()).unwrap();
        assert_eq!((split.train, split.validation, split.test), (14, 2, 4));
        assert_eq!(apart.part(&split, Part::HeldOut).hull(), 20..40);
        for (held_out, said) in [
            (&["d"][..], "there is no device `d`; the recording has `a`, `b`"),
            (&["a", "b"], "no device is left"),
        ] {
            let message = table.clone().hold_out(&names(held_out)).unwrap_err().to_string();
            assert!(message.contains("pumps.csv") && message.contains(said), "{message}");
        }
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
