//! Reads files into a recording and a report of how they were read.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::devices::{Device, drop_clocks, join, match_variates, sorted};
use crate::error::{Error, list};
use crate::meter::Meter;
use crate::months;
use crate::options::{Options, Steps};
use crate::reader::File;
use crate::recording::{Clock, Recording, Series, Variate, whole};
use crate::regular::{Regular, as_written};
use crate::report::{DroppedColumn, DroppedRows, Kind, Report, Shape, VariateReport};
use crate::source::{self, combined};
use crate::statistics::Statistics;
use crate::suspects;

/// The share of the time after which the files have been read, and after which their statistics are known.
const FILES: f64 = 0.85;
const STATISTICS: f64 = 0.95;

/// Reads recordings: one file, files of like devices, or parts of one recording ([`Options::join`]).
///
/// # Errors
/// When a file cannot be read, or not without a decision that is the user's: the error names file, line, column, cell and the option that
/// helps.
pub fn read<P: AsRef<Path>>(paths: &[P], options: &Options) -> Result<(Recording, Report), Error> {
    read_metered(paths, options, &Meter::default())
}

/// As [`read`], with a meter of how much is done: the share of the files' bytes that were read, and then of what is made of them.
///
/// # Errors
/// As [`read`].
pub fn read_metered<P: AsRef<Path>>(paths: &[P], options: &Options, meter: &Meter) -> Result<(Recording, Report), Error> {
    meter.begin("reading the recording");
    let sizes = paths.iter().map(|path| source::size(path.as_ref()));
    let all = sizes.sum::<u64>().max(1) as f64;
    let files = paths.iter().map(AsRef::as_ref).map(|path| {
        let share = FILES * source::size(path) as f64 / all;
        Ok((path.to_owned(), File::read(path, None, options, (meter, share))?))
    });
    assemble(files.collect::<Result<_, _>>()?, options, meter)
}

/// Reads a recording that is in memory; `name` stands for the file in errors and in the report.
///
/// # Errors
/// As [`read`].
pub fn read_bytes(name: &Path, bytes: &[u8], options: &Options) -> Result<(Recording, Report), Error> {
    let meter = Meter::default();
    let file = File::read(name, Some(bytes), options, (&meter, FILES))?;
    assemble(vec![(name.to_owned(), file)], options, &meter)
}

fn assemble(mut files: Vec<(PathBuf, File)>, options: &Options, meter: &Meter) -> Result<(Recording, Report), Error> {
    if files.is_empty() {
        return Err(Error::NoFile);
    }
    if let Some((_, (path, _))) = files
        .iter()
        .enumerate()
        .find(|(at, (path, _))| files[..*at].iter().any(|(other, _)| other == path))
    {
        return Err(Error::RepeatedFile { path: path.clone() });
    }
    meter.reach(FILES);
    let several = files.len() > 1;
    let device_names = device_names(files.iter().map(|(path, _)| path.as_path()));
    let mut notes = Vec::new();
    let mut devices = Vec::new();
    let mut dropped_columns: Vec<DroppedColumn> = Vec::new();
    for (at, (path, file)) in files.iter_mut().enumerate() {
        let of_file = |note: String| if several { format!("{}: {note}", path.display()) } else { note };
        notes.extend(file.notes.drain(..).map(of_file));
        let found = sorted(path, &device_names[at], at, file, options, &mut notes)?;
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
        return Err(Error::no_numeric_column(&files[0].0, &dropped_columns));
    }
    let is_known = |name: &String| {
        let dropped = || dropped_columns.iter().any(|column| column.name == *name);
        variates.iter().any(|variate| variate.name == *name) || dropped()
    };
    if let Some(name) = options.aggregates.keys().find(|name| !is_known(name)) {
        return Err(Error::MissingColumn {
            path: files[0].0.clone(),
            option: "--aggregate",
            column: name.clone(),
            columns: list(variates.iter().map(|variate| variate.name.as_str())),
        });
    }
    if options.join {
        join(&mut devices);
    }
    let mut clock = files[0].1.time.as_ref().map_or(Clock::None, |time| time.clock);
    if options.steps == Steps::Regular
        && options.interval_ms.is_none()
        && clock == Clock::Calendar
        && let Some(months) = months::apart(&devices)
    {
        notes.push(months::note(months));
        clock = Clock::None;
    }
    let statistics = statistics(&devices, &files[0].1, variates.len());
    meter.reach(STATISTICS);
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
    suspects::name(&mut report, options);
    Ok((recording, report))
}

/// The name of each file without folder and ending, or its path where another file has that name too.
fn device_names<'p>(paths: impl Iterator<Item = &'p Path>) -> Vec<String> {
    let paths: Vec<&Path> = paths.collect();
    let is_alone = |path: &Path| paths.iter().filter(|other| other.file_stem() == path.file_stem()).count() == 1;
    let name = |path: &&Path| match path.file_stem() {
        Some(stem) if is_alone(path) => stem.to_string_lossy().into_owned(),
        _ => path.display().to_string(),
    };
    paths.iter().map(name).collect()
}

fn statistics(devices: &[Device], file: &File, variates: usize) -> Vec<Statistics> {
    let mut rows = vec![0; variates];
    for device in devices {
        match file.is_long {
            true => device.readings.names.iter().for_each(|&name| rows[name as usize] += 1),
            false => rows.iter_mut().for_each(|rows| *rows += device.lines.len() as u64),
        }
    }
    let mut statistics = Statistics::of_all(&rows, &file.states, |take| {
        for readings in devices.iter().map(|device| &device.readings) {
            match file.is_long {
                true => readings
                    .names
                    .iter()
                    .zip(&readings.values)
                    .for_each(|(&name, &value)| take(name as usize, value)),
                false => readings
                    .values
                    .chunks_exact(variates)
                    .for_each(|row| row.iter().enumerate().for_each(|(variate, &value)| take(variate, value))),
            }
        }
    });
    for (statistics, is_counter) in statistics.iter_mut().zip(&file.counters) {
        if statistics.kind == Kind::Number && *is_counter {
            statistics.kind = Kind::Counter;
        }
    }
    statistics
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
