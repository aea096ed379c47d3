//! The rows of each device, oldest first, with the variates that all files have in common.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;

use crate::calendar;
use crate::error::Error;
use crate::grid::Readings;
use crate::names;
use crate::options::Options;
use crate::reader::File;
use crate::recording::Clock;
use crate::report::DroppedColumn;

/// One device's rows, oldest first.
pub(crate) struct Device {
    pub name: String,
    /// Place of its file.
    pub file: usize,
    pub readings: Readings,
    /// Line of each row.
    pub lines: Vec<u32>,
}

/// The rows of a file by device, oldest first, counters as increases. `name`: that of a file of one device.
pub(crate) fn sorted(
    path: &Path,
    name: &str,
    at: usize,
    file: &mut File,
    options: &Options,
    notes: &mut Vec<String>,
) -> Result<Vec<Device>, Error> {
    let table = &mut file.table;
    let width = if file.is_long { 1 } else { file.variates.len() };
    let mut order: Vec<u32> = (0..table.rows() as u32).collect();
    let device = |row: u32| table.device.get(row as usize).copied().unwrap_or(0);
    let is_grouped = !table.device.is_empty();
    if file.time.is_some() {
        let times = &table.times_ms;
        let (mut rises, mut falls) = (0usize, 0usize);
        let mut last = HashMap::new();
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
            name: name.to_owned(),
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
            false => name.to_owned(),
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
        let mut last: HashMap<u32, f64> = HashMap::new();
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
pub(crate) fn drop_clocks(
    file: &mut File,
    mut found: Vec<Device>,
    options: &Options,
    dropped: &mut Vec<DroppedColumn>,
    devices: &mut Vec<Device>,
) {
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
                calendar::repeats(&device.readings.times_ms, &zone, names::part(name).is_some(), |row| {
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
            file.counters.retain(|_| !is_clock(variate.next().unwrap_or(0)));
            let mut variate = 0..;
            file.variates.retain(|_| !is_clock(variate.next().unwrap_or(0)));
        }
    }
    devices.extend(found);
}

/// Gives every file the variates of the first, in its order.
pub(crate) fn match_variates(files: &mut [(PathBuf, File)], devices: &mut [Device], dropped: &mut Vec<DroppedColumn>) -> Result<(), Error> {
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
pub(crate) fn join(devices: &mut Vec<Device>) {
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
