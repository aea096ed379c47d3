//! `tsm2-edge backtest`: errors and coverage of a model's forecasts on a recording.

use std::fmt::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, ensure};
use clap::Args;
use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};
use serde_json::{Map, Value, json};
use tsm2_bundle::Bundle;
use tsm2_data::{Options, Recording, Steps};
use tsm2_stream::Errors;

use super::common;
use super::evaluation::{Evaluation, Settings, StepErrors, evaluate};
use crate::config::{Config, Input, Model, ModelError, Output, resampler};

/// Evaluate a model on a recording, with the resampler and the forecaster of the daemon
///
/// Every forecast is evaluated at every step, with the prediction interval that would have been
/// published with it. Over all variates errors and widths are in training standard deviations, for
/// one variate in the sensor's unit.
#[derive(Args)]
#[command(after_long_help = "Examples:
  tsm2-edge backtest --model models/etth1/model.safetensors --data ETTh1.csv --rows 11520..
  tsm2-edge backtest --config tsm2-edge.toml --data boiler.csv")]
pub(super) struct Backtest {
    /// The model file; everything else is as the daemon does by default
    #[arg(long, value_name = "BUNDLE", required_unless_present = "config")]
    model: Option<PathBuf>,
    /// Configuration of the daemon: its model, aggregation, allowed lateness, forward-fill, gaps, coverage
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    config: Option<PathBuf>,
    /// Recording with a column of times and a column for each variate of the model
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Rows to evaluate, counted from 0, without the end: 100..200, ..200 or 100..; earlier rows are
    /// streamed too
    #[arg(long, value_parser = common::parse_range, default_value = "..", value_name = "A..B")]
    rows: Range<usize>,
    /// Fraction of the readings that the prediction intervals should contain [default: 0.9]
    #[arg(long, value_name = "FRACTION")]
    coverage: Option<f32>,
    /// Print a line per variate and step as CSV
    #[arg(long)]
    csv: bool,
    /// Print one JSON object
    #[arg(long, conflicts_with = "csv")]
    json: bool,
}

impl Backtest {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let (model, input, output) = self.settings()?;
        let coverage = self.coverage.unwrap_or(output.coverage);
        ensure!(coverage > 0.0 && coverage < 1.0, "--coverage is {coverage}; set it between 0 and 1");
        ensure!(model.has_bundle(), "model.bundle: missing; set it, or --model");
        let bundle = model.open(&[]).map_err(|error| match (&self.model, error) {
            // The file was named on the command line and not in a configuration.
            (Some(_), ModelError::Bundle(error)) => anyhow!("--model: {error}"),
            (Some(_), ModelError::Open(error)) => anyhow!("--model: {error}"),
            (_, error) => error.into(),
        })?;
        let interval_ms = model.interval_ms(bundle.meta())?;
        let mut settings = Settings {
            rows: self.rows.clone(),
            resampler: resampler(&input, bundle.meta(), interval_ms)?,
            coverage,
        };
        // A recording has times of its own, also where the daemon counts the time of arrival.
        settings.resampler.device_times = true;
        let recording = read(&self.data, &input, &bundle)?;
        let rows = recording.rows();
        let bar = common::bar(self.rows.end.min(rows), "{pos}/{len} rows  {per_sec}")?;
        let evaluation = evaluate(&bundle, &recording, &settings, || bar.inc(1));
        bar.finish_and_clear();
        let evaluation = evaluation.with_context(|| self.data.display().to_string())?;
        let steps: Vec<StepErrors> = (1..=evaluation.horizon).filter_map(|step| evaluation.all(step)).collect();
        ensure!(
            !steps.is_empty(),
            "{}: no forecast was made and met within --rows; there are {rows} rows",
            self.data.display()
        );
        common::print(if self.json {
            json(&evaluation, &steps).to_string()
        } else if self.csv {
            csv(&evaluation, &steps)
        } else {
            text(&evaluation, &steps, &self.data, coverage)
        })
    }

    /// The sections of the configuration that matter here, or their defaults.
    fn settings(&self) -> anyhow::Result<(Model, Input, Output)> {
        if let Some(file) = &self.config {
            let config = Config::load(file)?;
            return Ok((config.model, config.input, config.output));
        }
        let mut model = Model::default();
        model.bundle = self.model.clone().unwrap_or_default();
        Ok((model, Input::default(), Output::default()))
    }
}

/// The rows of a recording at their own times, oldest first.
fn read(path: &Path, input: &Input, bundle: &Bundle) -> anyhow::Result<Recording> {
    let options = Options {
        columns: bundle.meta().variates.iter().map(|variate| variate.name.clone()).collect(),
        time_zone: input.time_zone.clone(),
        steps: Steps::AsWritten,
        ..Options::default()
    };
    Ok(common::read(path, &options)?.0)
}

fn text(evaluation: &Evaluation, steps: &[StepErrors], data: &Path, coverage: f32) -> String {
    let mut table = Table::new();
    table.load_style(TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─')));
    let references = ["naive MAE", "MSE", "seasonal naive MAE", "MSE"];
    table.set_header(["step", "n", "coverage", "width", "MAE", "MSE"].into_iter().chain(references));
    // Powers of two and the last; --csv prints every step.
    for errors in steps
        .iter()
        .filter(|errors| errors.step.is_power_of_two() || errors.step == evaluation.horizon)
    {
        let means =
            |means: Option<Errors>| means.map_or(["–".into(), "–".into()], |m| [format!("{:.3}", m.mae), format!("{:.3}", m.mse)]);
        let [model, naive, seasonal] = [Some(errors.model), Some(errors.naive), errors.seasonal].map(means);
        let first = [
            errors.step.to_string(),
            errors.n.to_string(),
            percent(errors.coverage),
            format!("{:.3}", errors.width),
        ];
        table.add_row(first.into_iter().chain(model).chain(naive).chain(seasonal));
    }
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let by_variate = by_variate(evaluation).flat_map(|(_, steps)| steps);
    let mut text = format!(
        "{} on {} time steps of {}; errors and widths in training standard deviations\n{}\n",
        evaluation.model,
        evaluation.time_steps,
        data.display(),
        table.trim_fmt()
    );
    let (low, high) = range(steps.iter().map(|errors| errors.coverage));
    let (lowest, highest) = range(by_variate.map(|errors| errors.coverage));
    let _ = write!(
        text,
        "prediction intervals of {}: {low} to {high} covered at each of {} steps, {lowest} to {highest} of single variates\n\
         memory for intervals and live metrics: {} bytes per stream",
        percent(coverage.into()),
        evaluation.horizon,
        evaluation.monitor_bytes
    );
    let drifting = evaluation
        .variates
        .iter()
        .zip(&evaluation.drifting)
        .filter(|(_, steps)| **steps > 0);
    for (index, (name, steps)) in drifting.enumerate() {
        let before = if index == 0 { "\ndrift flag up: " } else { ", " };
        let share = percent(*steps as f64 / evaluation.time_steps as f64);
        let _ = write!(text, "{before}{name} on {share} of the time steps");
    }
    text
}

fn percent(fraction: f64) -> String {
    format!("{:.1} %", 100.0 * fraction)
}

/// The least and the largest, as percentages.
fn range(fractions: impl Iterator<Item = f64>) -> (String, String) {
    let (low, high) = fractions.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), fraction| {
        (low.min(fraction), high.max(fraction))
    });
    (percent(low), percent(high))
}

/// The errors of each variate by step.
fn by_variate(evaluation: &Evaluation) -> impl Iterator<Item = (&str, Vec<StepErrors>)> {
    let names = evaluation.variates.iter().enumerate();
    names.map(|(variate, name)| {
        let steps = (1..=evaluation.horizon).filter_map(|step| evaluation.of(variate, step));
        (name.as_str(), steps.collect())
    })
}

fn json(evaluation: &Evaluation, steps: &[StepErrors]) -> Value {
    let variates: Map<String, Value> = by_variate(evaluation)
        .map(|(name, steps)| (name.to_owned(), json!(steps)))
        .collect();
    let drifting = evaluation
        .variates
        .iter()
        .cloned()
        .zip(evaluation.drifting.iter().map(|&steps| steps.into()));
    json!({
        "model": evaluation.model,
        "time_steps": evaluation.time_steps,
        "season": evaluation.season,
        "monitor_bytes": evaluation.monitor_bytes,
        "steps": steps,
        "variates": variates,
        "drifting_time_steps": drifting.collect::<Map<String, Value>>(),
    })
}

fn csv(evaluation: &Evaluation, steps: &[StepErrors]) -> String {
    let mut csv = String::from("variate,step,n,coverage,width,mae,mse,naive_mae,naive_mse,seasonal_mae,seasonal_mse");
    for (name, steps) in std::iter::once(("", steps.to_vec())).chain(by_variate(evaluation)) {
        let name = match name.contains([',', '"', '\n']) {
            true => format!("\"{}\"", name.replace('"', "\"\"")),
            false => name.to_owned(),
        };
        for errors in steps {
            let means = |means: Errors| format!("{},{}", means.mae, means.mse);
            let _ = write!(
                csv,
                "\n{name},{},{},{},{},{},{},{}",
                errors.step,
                errors.n,
                errors.coverage,
                errors.width,
                means(errors.model),
                means(errors.naive),
                errors.seasonal.map_or(",".into(), means)
            );
        }
    }
    csv
}
