//! Regular time steps of all devices: the interval, how readings are aggregated, and what that costs.

use std::path::{Path, PathBuf};

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use tsm2_stream::Aggregate;

use crate::cadence::Cadence;
use crate::devices::Device;
use crate::error::Error;
use crate::grid::{Grid, GridOptions, Readings, pivot};
use crate::options::Options;
use crate::reader::File;
use crate::recording::{Series, Variate, whole};
use crate::report::{DroppedRows, Kind, Shape};
use crate::rows::{Drops, Reason};
use crate::statistics::Statistics;
use crate::time::zone::local;

/// Time steps beyond which a recording is refused unless it has as many rows.
const STEPS: u64 = 20_000_000;

/// What making regular time steps needs to know.
pub(crate) struct Regular<'a> {
    pub files: &'a [(PathBuf, File)],
    pub variates: &'a [Variate],
    pub options: &'a Options,
    pub statistics: &'a [Statistics],
}

impl Regular<'_> {
    pub fn series(
        &self,
        devices: Vec<Device>,
        shape: &mut Shape,
        dropped: &mut Vec<DroppedRows>,
        notes: &mut Vec<String>,
    ) -> Result<(Vec<Series>, Option<u64>), Error> {
        let options = self.options;
        let cadence = self.cadence(&devices);
        let Some(interval_ms) = options.interval_ms.or(cadence.as_ref().map(|cadence| cadence.interval_ms)) else {
            return Ok((as_written(devices, self.variates.len()).0, None));
        };
        let is_changed = cadence.as_ref().is_some_and(|cadence| !cadence.changes.is_empty()) && options.interval_ms.is_none();
        if let (Some(cadence), None) = (&cadence, options.interval_ms) {
            self.note_cadence(cadence, &devices, notes);
        }
        shape.regularity = cadence.as_ref().map_or(1.0, |cadence| cadence.regularity);
        let grid_options = GridOptions {
            interval_ms,
            aggregates: self.aggregates(is_changed),
            forward_fill_limit: options.forward_fill_limit,
            max_gap: options.max_gap,
        };
        if interval_ms == 0 {
            return Err(Error::Option {
                option: "--interval",
                value: "0".into(),
                problem: "give a number of seconds above 0".into(),
            });
        }
        let several = devices.len() > 1;
        let mut series = Vec::new();
        for device in devices {
            let path = &self.files[device.file].0;
            let repeated = Repeated::of(&device.readings);
            if options.time_zone.is_none() && repeated.are_of_an_autumn_hour() {
                notes.push("an hour of a Sunday in autumn comes twice: is this local time? Then give --time-zone".into());
            }
            let steps = grid_options.steps(&device.readings.times_ms);
            let rows = device.readings.times_ms.len() as u64;
            if steps.saturating_mul(self.variates.len() as u64)
                > STEPS.saturating_mul(4).max(rows.saturating_mul(self.variates.len() as u64) * 20)
            {
                return Err(Error::TooManySteps {
                    path: path.clone(),
                    steps,
                    interval_s: interval_ms as f64 / 1e3,
                    rows,
                });
            }
            let grid = Grid::of(device.readings, &grid_options).map_err(|error| Error::Option {
                option: "--interval",
                value: format!("{} s", interval_ms as f64 / 1e3),
                problem: error.to_string(),
            })?;
            self.check(path, &grid, &repeated, &device.lines, dropped, notes)?;
            shape.time_steps += grid.times_ms.len() as u64;
            shape.segments += grid.segments.len() as u64;
            shape.gaps = (
                shape.gaps.0 + grid.gaps.0,
                shape.gaps.1 + grid.gaps.1,
                shape.gaps.2.max(grid.gaps.2),
            );
            shape.merged += grid.merged;
            if several {
                shape.series.push(device.name.clone());
            }
            series.push(Series {
                name: device.name,
                times_ms: grid.times_ms,
                values: grid.values,
                segments: grid.segments,
            });
        }
        let (gaps, steps, longest) = shape.gaps;
        if gaps > 0 {
            let gaps = if gaps == 1 { "1 gap".to_owned() } else { format!("{gaps} gaps") };
            notes.push(format!(
                "{gaps} in time bridged by {steps} missing time steps, the longest {longest}"
            ));
        }
        let pauses = shape.segments.saturating_sub(series.len() as u64);
        if pauses > 0 {
            notes.push(format!(
                "{pauses} pauses longer than {} time steps begin a new segment",
                options.max_gap
            ));
        }
        Ok((series, Some(interval_ms)))
    }

    /// Of the steps between rows. In a long table, and where many cells are empty, of the steps between the readings of each variate.
    fn cadence(&self, devices: &[Device]) -> Option<Cadence> {
        let variates = self.variates.len();
        let is_sparse = |readings: &Readings| {
            let missing = readings.values.iter().filter(|value| value.is_nan()).count();
            readings.names.is_empty() && variates > 1 && missing * 3 > readings.values.len()
        };
        let mut own: Vec<Vec<i64>> = Vec::new();
        let mut wide = Vec::new();
        for readings in devices.iter().map(|device| &device.readings) {
            let mut of_variates = vec![Vec::new(); variates];
            if !readings.names.is_empty() {
                for (&time, &name) in readings.times_ms.iter().zip(&readings.names) {
                    of_variates[name as usize].push(time);
                }
            } else if is_sparse(readings) {
                for (&time, row) in readings.times_ms.iter().zip(readings.values.chunks_exact(variates)) {
                    let heard = row.iter().enumerate().filter(|(_, value)| !value.is_nan());
                    heard.for_each(|(variate, _)| of_variates[variate].push(time));
                }
            } else {
                wide.push(readings.times_ms.as_slice());
                continue;
            }
            own.extend(of_variates);
        }
        Cadence::of(wide.into_iter().chain(own.iter().map(Vec::as_slice)))
    }

    fn note_cadence(&self, cadence: &Cadence, devices: &[Device], notes: &mut Vec<String>) {
        let seconds = |ms: u64| ms as f64 / 1e3;
        for &(row, from, to) in &cadence.changes {
            let line = devices.first().and_then(|device| device.lines.get(row)).copied().unwrap_or(0);
            notes.push(format!(
                "the interval changes from {} s to {} s in line {line}: resampled to {} s by the mean of each time step; --interval decides",
                seconds(from),
                seconds(to),
                seconds(cadence.interval_ms)
            ));
        }
        if cadence.is_irregular {
            notes.push(format!(
                "the readings come irregularly: time steps of {} s; --interval, --aggregate and --forward-fill-limit decide",
                seconds(cadence.interval_ms)
            ));
        }
    }

    fn aggregates(&self, is_changed: bool) -> Vec<Aggregate> {
        let of = |(variate, statistics): (&Variate, &Statistics)| {
            let own = self.options.aggregates.get(&variate.name).copied();
            let counter = self.options.difference.contains(&variate.name).then_some(Aggregate::Sum);
            let changed = (is_changed && statistics.kind == Kind::Number).then_some(Aggregate::Mean);
            own.or(counter).or(self.options.aggregate).or(changed).unwrap_or_default()
        };
        self.variates.iter().zip(self.statistics).map(of).collect()
    }

    /// Rows with a time that another has are an error when they are many and nobody asked to merge them.
    fn check(
        &self,
        path: &Path,
        grid: &Grid,
        repeated: &Repeated,
        lines: &[u32],
        dropped: &mut Vec<DroppedRows>,
        notes: &mut Vec<String>,
    ) -> Result<(), Error> {
        let mut drops = Drops::default();
        if grid.jumps > 0 {
            drops.add_many(Reason::ClockJump, grid.jumps, lines.first().map_or(0, |&line| line.into()));
        }
        let is_asked = self.options.interval_ms.is_some() || self.options.aggregate.is_some();
        let same = repeated.same.min(grid.merged);
        if same > 0 {
            notes.push(match same {
                1 => "1 row comes twice and is read once".to_owned(),
                same => format!("{same} rows come twice and are read once"),
            });
        }
        let lost = if is_asked { 0 } else { repeated.count.min(grid.merged - same) };
        if lost > 0 {
            drops.add_many(Reason::Twice, lost, lines.get(repeated.first).map_or(0, |&line| line.into()));
        }
        notes.extend(drops.check(path, lines.len() as u64, self.options.force)?);
        if grid.merged > lost + same {
            notes.push(format!(
                "{} readings share a time step with another and are merged; --aggregate decides how",
                grid.merged - lost - same
            ));
        }
        dropped.extend(drops.list());
        Ok(())
    }
}

/// Rows that have the time of another, in a long table of the same variate.
#[derive(Default)]
struct Repeated {
    count: u64,
    /// Rows that are the row before again.
    same: u64,
    /// Place of the first.
    first: usize,
    times_ms: Vec<i64>,
}

impl Repeated {
    fn of(readings: &Readings) -> Repeated {
        let mut repeated = Repeated::default();
        let mut last: Vec<Option<i64>> = Vec::new();
        for (row, &time) in readings.times_ms.iter().enumerate() {
            let name = readings.names.get(row).map_or(0, |&name| name as usize);
            if last.len() <= name {
                last.resize(name + 1, None);
            }
            if last[name].replace(time) == Some(time) {
                if row > 0 && readings.is_same_row(row - 1, row) {
                    repeated.same += 1;
                    continue;
                }
                if repeated.count == 0 {
                    repeated.first = row;
                }
                repeated.count += 1;
                if repeated.times_ms.len() <= MANY {
                    repeated.times_ms.push(time);
                }
            }
        }
        repeated
    }

    /// Whether all lie in the night of a Sunday on which clocks are set back.
    fn are_of_an_autumn_hour(&self) -> bool {
        let is_autumn = |time: &i64| {
            local(*time, &TimeZone::UTC).is_some_and(|time| {
                let month = matches!(time.month(), 3 | 4 | 10 | 11);
                time.weekday() == Weekday::Sunday && month && time.hour() <= 3
            })
        };
        (1..=MANY).contains(&self.times_ms.len()) && self.times_ms.iter().all(is_autumn)
    }
}

/// Repeated times beyond which they are no hour of clocks set back.
const MANY: usize = 20_000;

/// The rows at their own times, and their commonest step.
pub(crate) fn as_written(devices: Vec<Device>, variates: usize) -> (Vec<Series>, Option<u64>) {
    let series = |device: Device| {
        let readings = pivot(device.readings, variates);
        Series {
            name: device.name,
            segments: whole(readings.times_ms.len()),
            times_ms: readings.times_ms,
            values: readings.values,
        }
    };
    let series: Vec<Series> = devices.into_iter().map(series).collect();
    let cadence = Cadence::of(series.iter().map(|series| series.times_ms.as_slice()));
    (series, cadence.map(|cadence| cadence.interval_ms))
}
