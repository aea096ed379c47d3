//! `tsm2-edge backtest`: what a model's forecasts and intervals would have been worth on a recording.

use std::fmt::Write;
use std::ops::Range;
use std::path::PathBuf;

use crate::cli::backtest::{Backtest as Outcome, Line, Means, backtest};
use crate::cli::table::Table;
use crate::config::Input;
use anyhow::{Context, ensure};
use clap::Args;
use comfy_table::{CellAlignment, LineStyle, Table as Printed, TableStyle};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};
use tsm2_bundle::Bundle;

/// Stream a recording through a model as the daemon would, and tell how forecasts and intervals fared at each lead.
///
/// Every forecast counts at every lead, in the bounds that would have been published with it. Over all variates errors and widths are in
/// units of the training standard deviation, of one variate in its sensor's own.
#[derive(Args)]
#[command(after_long_help = "Example:
  tsm2-edge backtest --model models/etth1/model.safetensors --data ETTh1.csv --rows 11520..")]
pub struct Backtest {
    /// The model file
    #[arg(long, value_name = "BUNDLE")]
    model: PathBuf,
    /// CSV with a column of times and a column for each of the model's variates; others are left out
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Rows to judge, counted from 0, the end not included: 100..200, ..200 or 100..; those before are streamed too
    #[arg(long, value_parser = super::replay::parse_range, default_value = "..", value_name = "A..B")]
    rows: Range<usize>,
    /// Part of the readings that the intervals are to cover
    #[arg(long, default_value_t = 0.9)]
    coverage: f32,
    /// Print a line per variate and lead as CSV
    #[arg(long)]
    csv: bool,
    /// Print one JSON object
    #[arg(long, conflicts_with = "csv")]
    json: bool,
}

impl Backtest {
    /// Streams and prints.
    pub fn run(self) -> anyhow::Result<()> {
        ensure!(
            self.coverage > 0.0 && self.coverage < 1.0,
            "--coverage {} is not between 0 and 1",
            self.coverage
        );
        let bundle = Bundle::open(&self.model)?;
        let table = Table::open(&self.data)?;
        let bar = ProgressBar::new(self.rows.end.min(table.rows.len()) as u64);
        bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} rows  {per_sec}  {eta} left")?);
        let max_gap = Input::new("").max_gap;
        let outcome = backtest(&bundle, &table, self.rows.clone(), self.coverage, max_gap, || bar.inc(1));
        bar.finish_and_clear();
        let outcome = outcome.with_context(|| self.data.display().to_string())?;
        let lines: Vec<Line> = (0..outcome.horizon).filter_map(|lead| outcome.all(lead)).collect();
        ensure!(
            !lines.is_empty(),
            "{}: no forecast was made and met within --rows; there are {} rows",
            self.data.display(),
            table.rows.len()
        );
        super::print(if self.json {
            json(&outcome, &lines).to_string()
        } else if self.csv {
            csv(&outcome, &lines)
        } else {
            self.text(&outcome, &lines)
        })
    }

    fn text(&self, outcome: &Outcome, lines: &[Line]) -> String {
        let mut printed = Printed::new();
        printed.load_style(TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─')));
        let references = ["repeat-last MAE", "MSE", "seasonal-naive MAE", "MSE"];
        printed.set_header(["lead", "n", "coverage", "width", "MAE", "MSE"].into_iter().chain(references));
        // Powers of two and the last: a line per lead is what --csv is for.
        for line in lines
            .iter()
            .filter(|line| line.lead.is_power_of_two() || line.lead == outcome.horizon)
        {
            let means =
                |means: Option<Means>| means.map_or(["–".into(), "–".into()], |m| [format!("{:.3}", m.mae), format!("{:.3}", m.mse)]);
            let [model, repeat_last, seasonal] = [Some(line.model), Some(line.repeat_last), line.seasonal].map(means);
            let first = [
                line.lead.to_string(),
                line.n.to_string(),
                percent(line.coverage),
                format!("{:.3}", line.width),
            ];
            printed.add_row(first.into_iter().chain(model).chain(repeat_last).chain(seasonal));
        }
        for column in printed.column_iter_mut() {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let singles =
            (0..outcome.variates.len()).flat_map(|variate| (0..outcome.horizon).filter_map(move |lead| outcome.of(variate, lead)));
        let mut text = format!(
            "{} on {} rows of {}; errors and widths in training standard deviations\n{}\n",
            outcome.model,
            outcome.rows,
            self.data.display(),
            printed.trim_fmt()
        );
        let (low, high) = range(lines.iter().map(|line| line.coverage));
        let (lowest, highest) = range(singles.map(|line| line.coverage));
        let _ = write!(
            text,
            "intervals of {}: {low} to {high} covered at each of {} leads, {lowest} to {highest} of single variates\n\
             memory for intervals and skill: {} bytes per stream",
            percent(self.coverage.into()),
            outcome.horizon,
            outcome.monitor_bytes
        );
        let drifting = outcome.variates.iter().zip(&outcome.drifting).filter(|(_, rows)| **rows > 0);
        for (index, (name, rows)) in drifting.enumerate() {
            let before = if index == 0 { "\ndrift flag up: " } else { ", " };
            let _ = write!(text, "{before}{name} on {} of rows", percent(*rows as f64 / outcome.rows as f64));
        }
        text
    }
}

fn percent(part: f64) -> String {
    format!("{:.1} %", 100.0 * part)
}

/// The least and the largest, as percentages.
fn range(parts: impl Iterator<Item = f64>) -> (String, String) {
    let (low, high) = parts.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), part| {
        (low.min(part), high.max(part))
    });
    (percent(low), percent(high))
}

/// Each variate's lines by lead.
fn by_variate(outcome: &Outcome) -> impl Iterator<Item = (&str, Vec<Line>)> {
    let lines = |variate| (0..outcome.horizon).filter_map(|lead| outcome.of(variate, lead)).collect();
    outcome
        .variates
        .iter()
        .enumerate()
        .map(move |(variate, name)| (name.as_str(), lines(variate)))
}

fn json(outcome: &Outcome, lines: &[Line]) -> Value {
    let variates: Map<String, Value> = by_variate(outcome).map(|(name, lines)| (name.to_owned(), json!(lines))).collect();
    let drifting: Map<String, Value> = outcome
        .variates
        .iter()
        .cloned()
        .zip(outcome.drifting.iter().map(|&rows| rows.into()))
        .collect();
    json!({
        "model": outcome.model,
        "rows": outcome.rows,
        "season": outcome.season,
        "monitor_bytes": outcome.monitor_bytes,
        "leads": lines,
        "variates": variates,
        "drifting_rows": drifting,
    })
}

fn csv(outcome: &Outcome, lines: &[Line]) -> String {
    let mut csv = String::from("variate,lead,n,coverage,width,mae,mse,repeat_last_mae,repeat_last_mse,seasonal_mae,seasonal_mse");
    for (name, lines) in std::iter::once(("", lines.to_vec())).chain(by_variate(outcome)) {
        let name = if name.contains([',', '"', '\n']) {
            format!("\"{}\"", name.replace('"', "\"\""))
        } else {
            name.to_owned()
        };
        for line in lines {
            let means = |means: Means| format!("{},{}", means.mae, means.mse);
            let _ = write!(
                csv,
                "\n{name},{},{},{},{},{},{},{}",
                line.lead,
                line.n,
                line.coverage,
                line.width,
                means(line.model),
                means(line.repeat_last),
                line.seasonal.map_or(",".into(), means)
            );
        }
    }
    csv
}
