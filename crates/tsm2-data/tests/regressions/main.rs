//! A test per defect that people report of readers of recordings, each with a small input of its own.

mod damage;
mod dialects;
mod exports;
mod long_tables;
mod never_silent;
mod other_kinds;
#[cfg(feature = "parquet")]
mod parquet_files;
mod services;
mod shared_cases;
mod steps;
mod times;
mod values;

use std::path::Path;

use tsm2_data::{Error, Options, Recording, Report, read_bytes};

fn read_with(text: impl AsRef<[u8]>, options: &Options) -> Result<(Recording, Report), Error> {
    read_bytes(Path::new("recording.csv"), text.as_ref(), options)
}

/// Reads by default; the error stops the test.
fn read(text: impl AsRef<[u8]>) -> (Recording, Report) {
    read_with(text, &Options::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn error(text: impl AsRef<[u8]>) -> String {
    match read_with(text, &Options::default()) {
        Ok((_, report)) => panic!("read as {report:?}"),
        Err(error) => error.to_string(),
    }
}

/// A header and `count` rows.
fn table(header: &str, count: usize, row: impl Fn(usize) -> String) -> String {
    let rows: Vec<String> = (0..count).map(row).collect();
    format!("{header}\n{}\n", rows.join("\n"))
}

/// A reading with some shape.
fn reading(row: usize) -> f32 {
    20.0 + (row * 7919 % 31) as f32 / 10.0
}

/// `HH:MM` of the row, a row every ten minutes.
fn clock(row: usize) -> String {
    format!("{:02}:{:02}", row / 6 % 24, row % 6 * 10)
}

/// Day of the month of the row, a row every ten minutes, from the 4th on.
fn day(row: usize) -> usize {
    4 + row / 144
}

fn names(report: &Report) -> Vec<&str> {
    report.variates.iter().map(|variate| variate.name.as_str()).collect()
}

fn contains(list: &[String], part: &str) -> bool {
    list.iter().any(|text| text.contains(part))
}

/// The times are those of 2024-03-04 on, a row every ten minutes.
fn assert_ten_minutes(report: &Report) {
    assert_eq!(report.start.as_deref(), Some("2024-03-04T00:00:00Z"));
    assert_eq!(report.interval_s, Some(600.0));
}
