//! `tsm2 forecast`: the forecasts of a device after given rows.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use crate::data::table::Table;
use crate::evaluate;
use anyhow::{bail, ensure};
use clap::Args;
use comfy_table::Table as Printed;
use jiff::Timestamp;
use serde::Serialize;
use tsm2_bundle::{Metadata, Variate};

use super::progress::metered;
use super::reading::Reading;

/// Forecast from given rows of a recording, as a device that read all rows before.
///
/// Rows are time steps, counted from 0; time steps in gaps up to --max-gap count too. The first step of the forecast at ROW is row ROW.
#[derive(Args)]
#[command(after_long_help = "Examples:
  tsm2 forecast --model out/model.safetensors --data building.csv --at 30000
  tsm2 forecast --model out/model.safetensors --data building.csv --at 30000,30001 --json")]
pub struct Forecast {
    /// The model file
    #[arg(long, value_name = "BUNDLE")]
    model: PathBuf,
    /// Recording with a column for each of the model's variates
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Rows to forecast from; the number of rows gives the forecast beyond the end
    #[arg(long, value_name = "ROW,..", value_delimiter = ',', required = true)]
    at: Vec<usize>,
    /// Print one JSON object per line: row, origin (time of the last row read, or null) and forecast by variate, in its unit
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reading: Reading,
}

/// A forecast as printed with `--json`.
#[derive(Serialize)]
struct Line<'a> {
    row: usize,
    origin: Option<String>,
    forecast: BTreeMap<&'a str, &'a [f32]>,
}

impl Forecast {
    /// Forecasts and prints, in the order asked for.
    pub fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let (bundle, table, _) = super::common::open(&self.model, std::slice::from_ref(&self.data), &self.reading)?;
        if let [first, second, ..] = table.runs.devices() {
            bail!(
                "{}: several devices (`{}`, `{}`, ..): give a file with the rows of one",
                self.data.display(),
                first.name,
                second.name
            );
        }
        let (meta, model) = (bundle.meta(), bundle.model());
        for row in &self.at {
            ensure!(
                (1..=table.len()).contains(row),
                "--at {row}: a forecast is made after at least 1 and at most the {} rows of {}",
                table.len(),
                self.data.display()
            );
        }
        let last = self.at.iter().copied().max().unwrap_or(0);
        let mut forecasts = BTreeMap::new();
        metered(|meter| {
            meter.begin("rows before the forecasts");
            evaluate::run(&model, &table, 0..last, |row, token| {
                if self.at.contains(&row) {
                    let mut forecast = vec![0.0; meta.config.forecast_len()];
                    token.forecast(&mut forecast)?;
                    forecasts.insert(row, forecast);
                }
                meter.add(1.0 / last as f64);
                Ok(())
            })
        })?;
        for row in self.at {
            let forecast = forecasts.get(&row).map_or(&[][..], Vec::as_slice);
            let line = Line {
                row,
                origin: table.times_ms.is_some().then(|| time(table.time_ms(row - 1))),
                forecast: meta
                    .targets()
                    .iter()
                    .map(|variate| variate.name.as_str())
                    .zip(forecast.chunks_exact(meta.config.horizon))
                    .collect(),
            };
            if self.json {
                serde_json::to_writer(&mut *out, &line)?;
                writeln!(out)?;
            } else {
                let origin = line.origin.as_ref().map_or(String::new(), |origin| format!(", origin {origin}"));
                writeln!(out, "{} after {row} rows{origin}", meta.name)?;
                writeln!(out, "{}", print(meta, &table, &line))?;
            }
        }
        Ok(())
    }
}

/// Steps down, variates across.
fn print(meta: &Metadata, table: &Table, line: &Line<'_>) -> Printed {
    let heading = |variate: &Variate| match &variate.unit {
        Some(unit) => format!("{} [{unit}]", variate.name),
        None => variate.name.clone(),
    };
    let header = ["row".to_string(), "time".to_string()]
        .into_iter()
        .chain(meta.targets().iter().map(heading));
    let mut printed = super::common::printed(header, 0);
    let ahead = |step: usize| {
        let origin = table.times_ms.as_ref()?[line.row - 1];
        let interval = i64::try_from(table.interval_ms?).ok()?;
        origin.checked_add(interval.checked_mul(step as i64 + 1)?)
    };
    for step in 0..meta.config.horizon {
        let values = meta
            .targets()
            .iter()
            .map(|variate| format!("{:.4}", line.forecast[variate.name.as_str()][step]));
        let start = [(line.row + step).to_string(), ahead(step).map_or(String::new(), time)];
        printed.add_row(start.into_iter().chain(values));
    }
    printed
}

/// RFC 3339 in UTC; the number itself beyond the years that has.
fn time(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |time| time.to_string())
}
