//! Reads files into a recording and a report of how they were read.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tsm2_stream::Aggregate;

use crate::cadence::Cadence;
use crate::calendar;
use crate::error::Error;
use crate::file::{self, File};
use crate::grid::{Grid, GridOptions, Readings, pivot};
use crate::options::{Options, Steps};
use crate::recording::{Clock, Recording, Series, Variate, whole};
use crate::report::{DroppedColumn, DroppedRows, Kind, Report, Shape, VariateReport};
use crate::rows::Reason;
use crate::source::combined;
use crate::statistics::Statistics;

/// Reads recordings: one file, files of like devices, or parts of one recording ([`Options::join`]).
///
/// # Errors
/// When a file cannot be read, or not without a decision that is the user's: the error names file, line, column, cell and the option that
/// helps.
pub fn read<P: AsRef<Path>>(paths: &[P], options: &Options) -> Result<(Recording, Report), Error> {
    let files = paths
        .iter()
        .map(|path| File::read(path.as_ref(), None, options).map(|file| (path.as_ref().to_owned(), file)));
    assemble(files.collect::<Result<_, _>>()?, options)
}

/// Reads a recording that is in memory; `name` stands for the file in errors and in the report.
///
/// # Errors
/// As [`read`].
pub fn read_bytes(name: &Path, bytes: &[u8], options: &Options) -> Result<(Recording, Report), Error> {
    let file = File::read(name, Some(bytes), options)?;
    assemble(vec![(name.to_owned(), file)], options)
}

/// One device's rows, oldest first.
struct Device {
    name: String,
    file: usize,
    readings: Readings,
    lines: Vec<u32>,
}

/// Time steps beyond which a recording is refused unless it has as many rows.
const STEPS: u64 = 20_000_000;

fn assemble(mut files: Vec<(PathBuf, File)>, options: &Options) -> Result<(Recording, Report), Error> {
    if files.is_empty() {
        return Err(Error::NoFile);
    }
    let several = files.len() > 1;
    let mut notes = Vec::new();
    let mut devices = Vec::new();
    let mut dropped_columns: Vec<DroppedColumn> = Vec::new();
    for (at, (path, file)) in files.iter_mut().enumerate() {
        let of_file = |note: String| if several { format!("{}: {note}", path.display()) } else { note };
        notes.extend(file.notes.drain(..).map(of_file));
        let found = sorted(path, at, file, options, &mut notes)?;
        drop_clocks(file, found, options, &mut dropped_columns, &mut devices);
        for column in file.dropped_columns.drain(..) {
            if !dropped_columns.contains(&column) {
                dropped_columns.push(column);
            }
        }
    }
    match_variates(&mut files, &mut devices, &mut dropped_columns)?;
    let variates: Vec<Variate> = files[0]
        .1
        .variates
        .iter()
        .map(|(name, unit)| Variate {
            name: name.clone(),
            unit: unit.clone(),
        })
        .collect();
    if variates.is_empty() {
        let columns = dropped_columns
            .iter()
            .map(|column| format!("`{}` ({})", column.name, column.reason))
            .collect::<Vec<_>>()
            .join(", ");
        return Err(Error::NoNumericColumn {
            path: files[0].0.clone(),
            columns,
        });
    }
    if options.join {
        join(&mut devices);
    }
    let clock = files[0].1.time.as_ref().map_or(Clock::None, |time| time.clock);
    let statistics = statistics(&devices, &files[0].1, variates.len());
    let mut shape = Shape::default();
    let mut rows = devices
        .iter()
        .map(|device| device.readings.times_ms.len().max(device.lines.len()) as u64)
        .sum();
    if files.iter().any(|(_, file)| file.is_long) {
        rows = devices
            .iter()
            .map(|device| device.readings.times_ms.chunk_by(|a, b| a == b).count() as u64)
            .sum();
    }
    let mut dropped_rows = dropped_rows(&files);
    let (series, interval_ms) = match options.steps {
        _ if clock == Clock::None => (untimed(devices, variates.len()), None),
        Steps::AsWritten => as_written(devices, variates.len()),
        Steps::Regular => {
            let context = Regular {
                files: &files,
                variates: &variates,
                options,
                statistics: &statistics,
            };
            context.series(devices, &mut shape, &mut dropped_rows, &mut notes)?
        }
    };
    let recording = Recording {
        variates,
        series,
        interval_ms,
        clock,
        sha256: combined(&files.iter().map(|(_, file)| file.sha256.clone()).collect::<Vec<_>>()),
    };
    let mut report = report(&files, &recording, statistics, rows, shape);
    report.dropped_columns = dropped_columns;
    report.dropped_rows = dropped_rows;
    report.warnings = notes;
    name_suspects(&mut report, options);
    Ok((recording, report))
}

/// The rows of a file by device, oldest first, counters as increases.
fn sorted(path: &Path, at: usize, file: &mut File, options: &Options, notes: &mut Vec<String>) -> Result<Vec<Device>, Error> {
    let table = &mut file.table;
    let stem = path
        .file_stem()
        .map_or_else(|| path.display().to_string(), |stem| stem.to_string_lossy().into_owned());
    let width = if file.is_long { 1 } else { file.variates.len() };
    let mut order: Vec<u32> = (0..table.rows() as u32).collect();
    let device = |row: u32| table.device.get(row as usize).copied().unwrap_or(0);
    let is_grouped = !table.device.is_empty();
    if file.time.is_some() {
        let times = &table.times_ms;
        let (mut rises, mut falls) = (0usize, 0usize);
        let mut last = std::collections::HashMap::new();
        for (row, &time) in times.iter().enumerate() {
            let key = (device(row as u32), table.name.get(row).copied().unwrap_or(0));
            if let Some(before) = last.insert(key, time) {
                rises += usize::from(time > before);
                falls += usize::from(time < before);
            }
        }
        if rises + falls == 0 && table.rows() > 1 && !is_grouped && !file.is_long {
            return Err(Error::TimeNeverAdvances {
                path: path.into(),
                column: file.time_names.join(" + "),
            });
        }
        if falls > 0 && rises == 0 {
            notes.push("the rows stand newest first; they are read oldest first".into());
            order.reverse();
        } else if falls > 0 {
            notes.push(format!("{falls} rows stand before an earlier one; the rows are sorted by time"));
        }
        if falls > 0 || is_grouped || file.is_long {
            order.sort_by_key(|&row| (device(row), times[row as usize]));
        }
    } else if is_grouped {
        order.sort_by_key(|&row| device(row));
    }
    difference(file, &order, options);
    let table = &mut file.table;
    let is_sorted = order.windows(2).all(|pair| pair[0] < pair[1]);
    let mut devices = Vec::new();
    if is_sorted && !is_grouped {
        devices.push(Device {
            name: stem,
            file: at,
            readings: Readings {
                times_ms: std::mem::take(&mut table.times_ms),
                names: std::mem::take(&mut table.name),
                values: std::mem::take(&mut table.values),
            },
            lines: std::mem::take(&mut table.lines),
        });
        return Ok(devices);
    }
    let device = |row: u32| table.device.get(row as usize).copied().unwrap_or(0);
    for rows in order.chunk_by(|a, b| device(*a) == device(*b)) {
        let pick = |row: &u32| *row as usize;
        let name = match is_grouped {
            true => table.devices.names[device(rows[0]) as usize].clone(),
            false => stem.clone(),
        };
        devices.push(Device {
            name,
            file: at,
            readings: Readings {
                times_ms: rows.iter().map(pick).filter_map(|row| table.times_ms.get(row).copied()).collect(),
                names: rows.iter().map(pick).filter_map(|row| table.name.get(row).copied()).collect(),
                values: rows
                    .iter()
                    .map(pick)
                    .flat_map(|row| table.values[row * width..(row + 1) * width].iter().copied())
                    .collect(),
            },
            lines: rows.iter().map(pick).map(|row| table.lines[row]).collect(),
        });
    }
    let table = std::mem::take(&mut file.table);
    file.table.drops = table.drops;
    Ok(devices)
}

/// Counters to increases, with the digits of the cells; a fall is a reset, after which the counter began at zero.
fn difference(file: &mut File, order: &[u32], options: &Options) {
    let width = if file.is_long { 1 } else { file.variates.len() };
    let mut wanted: Vec<(usize, usize, Option<u32>)> = Vec::new();
    for (at, name) in options.difference.iter().enumerate() {
        let Some(variate) = file.variates.iter().position(|(known, _)| known == name) else {
            continue;
        };
        match file.is_long {
            true => wanted.push((0, 0, Some(variate as u32))),
            false => wanted.push((at, variate, None)),
        }
    }
    let table = &mut file.table;
    for (precise, column, name) in wanted {
        let mut last: std::collections::HashMap<u32, f64> = std::collections::HashMap::new();
        for &row in order {
            let at = row as usize;
            if name.is_some_and(|name| table.name[at] != name) {
                continue;
            }
            let value = table.precise[precise][at];
            if value.is_nan() {
                continue;
            }
            let before = last.insert(table.device.get(at).copied().unwrap_or(0), value);
            let increase = before.map_or(f64::NAN, |before| if value >= before { value - before } else { value });
            table.values[at * width + column] = increase as f32;
        }
    }
}

/// Leaves out columns that only repeat the clock.
fn drop_clocks(file: &mut File, mut found: Vec<Device>, options: &Options, dropped: &mut Vec<DroppedColumn>, devices: &mut Vec<Device>) {
    let zone = file.time.as_ref().map_or(TimeZone::UTC, |time| time.zone.clone());
    let is_calendar = file.time.as_ref().is_some_and(|time| time.clock == Clock::Calendar);
    if is_calendar && !file.is_long {
        let width = file.variates.len();
        let mut clocks: Vec<(usize, &'static str)> = Vec::new();
        for (variate, (name, _)) in file.variates.iter().enumerate() {
            if options.keep.contains(name) || options.columns.contains(name) || options.difference.contains(name) {
                continue;
            }
            let repeated = found.iter().map(|device| {
                let values = &device.readings.values;
                calendar::repeats(&device.readings.times_ms, &zone, file::is_date_part(name), |row| {
                    values[row * width + variate]
                })
            });
            if let Some(Some(what)) = repeated.reduce(|a, b| if a == b { a } else { None }) {
                clocks.push((variate, what));
            }
        }
        if !clocks.is_empty() {
            let is_clock = |variate: usize| clocks.iter().any(|(clock, _)| *clock == variate);
            for device in &mut found {
                let values = std::mem::take(&mut device.readings.values);
                device.readings.values = values
                    .chunks_exact(width)
                    .flat_map(|row| {
                        row.iter()
                            .enumerate()
                            .filter(|(variate, _)| !is_clock(*variate))
                            .map(|(_, value)| *value)
                    })
                    .collect();
            }
            for &(variate, what) in &clocks {
                dropped.push(DroppedColumn {
                    name: file.variates[variate].0.clone(),
                    reason: format!("repeats the clock: {what} (--keep reads it as a variate)"),
                });
            }
            let mut variate = 0..;
            file.states.retain(|_| !is_clock(variate.next().unwrap_or(0)));
            let mut variate = 0..;
            file.variates.retain(|_| !is_clock(variate.next().unwrap_or(0)));
        }
    }
    devices.extend(found);
}

/// Gives every file the variates of the first, in its order.
fn match_variates(files: &mut [(PathBuf, File)], devices: &mut [Device], dropped: &mut Vec<DroppedColumn>) -> Result<(), Error> {
    let Some(((first_path, first), others)) = files.split_first_mut() else {
        return Ok(());
    };
    for (at, (path, file)) in others.iter_mut().enumerate() {
        if file
            .variates
            .iter()
            .map(|(name, _)| name)
            .eq(first.variates.iter().map(|(name, _)| name))
        {
            continue;
        }
        let mut places = Vec::new();
        for (name, _) in &first.variates {
            match file.variates.iter().position(|(known, _)| known == name) {
                Some(place) => places.push(place),
                None => {
                    return Err(Error::OtherVariates {
                        path: path.clone(),
                        first: first_path.clone(),
                        column: name.clone(),
                    });
                }
            }
        }
        for (name, _) in file
            .variates
            .iter()
            .filter(|(name, _)| !first.variates.iter().any(|(known, _)| known == name))
        {
            dropped.push(DroppedColumn {
                name: name.clone(),
                reason: format!("not in {}", first_path.display()),
            });
        }
        let width = file.variates.len();
        for device in devices.iter_mut().filter(|device| device.file == at + 1) {
            let readings = &mut device.readings;
            if file.is_long {
                let new = |name: u32| places.iter().position(|&place| place == name as usize);
                let is_kept: Vec<bool> = readings.names.iter().map(|&name| new(name).is_some()).collect();
                let kept = |row: &usize| is_kept[*row];
                let rows: Vec<usize> = (0..is_kept.len()).filter(kept).collect();
                readings.times_ms = rows.iter().map(|&row| readings.times_ms[row]).collect();
                readings.values = rows.iter().map(|&row| readings.values[row]).collect();
                readings.names = rows
                    .iter()
                    .filter_map(|&row| new(readings.names[row]))
                    .map(|place| place as u32)
                    .collect();
            } else {
                readings.values = readings
                    .values
                    .chunks_exact(width)
                    .flat_map(|row| places.iter().map(|&place| row[place]))
                    .collect();
            }
        }
        file.variates.clone_from(&first.variates);
    }
    Ok(())
}

/// Makes one device of all that have one name, or of all files.
fn join(devices: &mut Vec<Device>) {
    let mut joined: Vec<Device> = Vec::new();
    let by_file = devices.iter().enumerate().all(|(at, device)| device.file == at);
    for device in devices.drain(..) {
        match joined.iter_mut().find(|known| by_file || known.name == device.name) {
            Some(known) => {
                known.readings.times_ms.extend(device.readings.times_ms);
                known.readings.names.extend(device.readings.names);
                known.readings.values.extend(device.readings.values);
                known.lines.extend(device.lines);
            }
            None => joined.push(device),
        }
    }
    for device in &mut joined {
        let readings = &mut device.readings;
        if readings.times_ms.windows(2).all(|pair| pair[0] <= pair[1]) {
            continue;
        }
        let rows = readings.times_ms.len();
        let width = readings.values.len() / rows.max(1);
        let mut order: Vec<usize> = (0..rows).collect();
        order.sort_by_key(|&row| readings.times_ms[row]);
        readings.values = order
            .iter()
            .flat_map(|&row| readings.values[row * width..(row + 1) * width].iter().copied())
            .collect();
        readings.names = order.iter().filter_map(|&row| readings.names.get(row).copied()).collect();
        device.lines = order.iter().map(|&row| device.lines[row]).collect();
        readings.times_ms = order.iter().map(|&row| readings.times_ms[row]).collect();
    }
    *devices = joined;
}

fn statistics(devices: &[Device], file: &File, variates: usize) -> Vec<Statistics> {
    (0..variates)
        .map(|variate| {
            let is_state = file.states.get(variate).copied().unwrap_or(false);
            if file.is_long {
                let of_device = |device: &'_ Device| {
                    let readings = &device.readings;
                    let rows = readings
                        .names
                        .iter()
                        .zip(&readings.values)
                        .filter(move |(name, _)| **name as usize == variate);
                    rows.map(|(_, value)| *value).collect::<Vec<f32>>()
                };
                let values: Vec<f32> = devices.iter().flat_map(of_device).collect();
                return Statistics::of(values.iter().copied(), values.len() as u64, is_state);
            }
            let values = devices
                .iter()
                .flat_map(|device| device.readings.values.iter().skip(variate).step_by(variates).copied());
            let rows: usize = devices.iter().map(|device| device.lines.len()).sum();
            Statistics::of(values, rows as u64, is_state)
        })
        .collect()
}

fn dropped_rows(files: &[(PathBuf, File)]) -> Vec<DroppedRows> {
    let mut all: Vec<DroppedRows> = Vec::new();
    for dropped in files.iter().flat_map(|(_, file)| file.table.drops.list()) {
        match all.iter_mut().find(|known| known.reason == dropped.reason) {
            Some(known) => known.count += dropped.count,
            None => all.push(dropped),
        }
    }
    all
}

fn untimed(devices: Vec<Device>, variates: usize) -> Vec<Series> {
    let series = |device: Device| Series {
        segments: whole(device.readings.values.len() / variates),
        name: device.name,
        times_ms: Vec::new(),
        values: device.readings.values,
    };
    devices.into_iter().map(series).collect()
}

fn as_written(devices: Vec<Device>, variates: usize) -> (Vec<Series>, Option<u64>) {
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

/// What making regular time steps needs to know.
struct Regular<'a> {
    files: &'a [(PathBuf, File)],
    variates: &'a [Variate],
    options: &'a Options,
    statistics: &'a [Statistics],
}

impl Regular<'_> {
    fn series(
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
        let is_irregular = cadence.as_ref().is_some_and(|cadence| cadence.is_irregular);
        let grid_options = GridOptions {
            interval_ms,
            aggregates: self.aggregates(is_changed),
            forward_fill_limit: options.forward_fill_limit,
            max_gap: options.max_gap,
        };
        let several = devices.len() > 1;
        let mut series = Vec::new();
        for device in devices {
            let path = &self.files[device.file].0;
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
            self.check(path, &grid, &device.lines, is_irregular || is_changed, dropped, notes)?;
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

    /// Of the steps between rows; of a long table between the readings of one variate.
    fn cadence(&self, devices: &[Device]) -> Option<Cadence> {
        let mut own: Vec<Vec<i64>> = Vec::new();
        for device in devices.iter().filter(|device| !device.readings.names.is_empty()) {
            let mut of_names = vec![Vec::new(); self.variates.len()];
            for (&time, &name) in device.readings.times_ms.iter().zip(&device.readings.names) {
                of_names[name as usize].push(time);
            }
            own.extend(of_names);
        }
        let wide = devices
            .iter()
            .filter(|device| device.readings.names.is_empty())
            .map(|device| device.readings.times_ms.as_slice());
        Cadence::of(wide.chain(own.iter().map(Vec::as_slice)))
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

    /// Rows that are lost by sharing a time step are an error when they are many and nobody asked for it.
    fn check(
        &self,
        path: &Path,
        grid: &Grid,
        lines: &[u32],
        is_resampled: bool,
        dropped: &mut Vec<DroppedRows>,
        notes: &mut Vec<String>,
    ) -> Result<(), Error> {
        let mut drops = crate::rows::Drops::default();
        if grid.jumps > 0 {
            drops.add_many(Reason::ClockJump, grid.jumps, lines.first().map_or(0, |&line| line.into()));
        }
        let is_asked = self.options.interval_ms.is_some() || self.options.aggregate.is_some() || is_resampled;
        if grid.merged > 0 && !is_asked {
            drops.add_many(
                Reason::Twice,
                grid.merged,
                lines.get(grid.first_merged).map_or(0, |&line| line.into()),
            );
        }
        notes.extend(drops.check(path, lines.len() as u64, self.options.force)?);
        if grid.merged > 0 && is_asked {
            notes.push(format!("{} readings share a time step with another and are merged", grid.merged));
        }
        dropped.extend(drops.list());
        Ok(())
    }
}

fn report(files: &[(PathBuf, File)], recording: &Recording, statistics: Vec<Statistics>, rows: u64, shape: Shape) -> Report {
    let first = &files[0].1;
    let times = || {
        recording
            .series
            .iter()
            .flat_map(|series| [series.times_ms.first(), series.times_ms.last()])
            .flatten()
    };
    let moment = |time: Option<&i64>| {
        time.and_then(|&ms| Timestamp::from_millisecond(ms).ok())
            .map(|time| time.to_string())
    };
    let zone = first
        .time
        .as_ref()
        .filter(|time| time.clock == Clock::Calendar)
        .map(|time| match time.zone.iana_name() {
            Some(name) => name.to_owned(),
            None => time
                .zone
                .to_fixed_offset()
                .map_or_else(|_| "UTC".into(), |offset| offset.to_string()),
        });
    let variate = |(variate, statistics): (&Variate, Statistics)| VariateReport {
        name: variate.name.clone(),
        unit: variate.unit.clone(),
        missing: statistics.missing,
        min: statistics.min,
        max: statistics.max,
        kind: statistics.kind,
        shape: statistics.shape,
    };
    Report {
        files: files.iter().map(|(path, _)| path.display().to_string()).collect(),
        rows,
        start: moment(times().min()),
        end: moment(times().max()),
        interval_s: recording.interval_ms.map(|ms| ms as f64 / 1e3),
        time_column: first.time.as_ref().map(|_| first.time_names.join(" + ")),
        time_format: first.time.as_ref().map(|time| time.format.clone()),
        time_zone: zone,
        variates: recording.variates.iter().zip(statistics).map(variate).collect(),
        dropped_columns: Vec::new(),
        dropped_rows: Vec::new(),
        warnings: Vec::new(),
        shape,
    }
}

/// Names values that look like codes and counters.
fn name_suspects(report: &mut Report, options: &Options) {
    for variate in &report.variates {
        for &(code, times) in &variate.shape.sentinels {
            let share = 100.0 * times as f64 / report.rows.max(1) as f64;
            let share = if share >= 1.0 {
                format!("{share:.0} %")
            } else {
                format!("{share:.1} %")
            };
            report.warnings.push(format!(
                "{}: {code} in {share} of the rows ({times} times), far from all other values: --missing-values {}:{code} leaves it out",
                variate.name, variate.name
            ));
        }
        if variate.kind == Kind::Counter && !options.difference.contains(&variate.name) {
            report.warnings.push(format!(
                "{} only rises, as a counter does: --difference {} reads its increase",
                variate.name, variate.name
            ));
        }
    }
}
