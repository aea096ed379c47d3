//! `tsm2 robustness`: what becomes of a model's forecasts when readings are missing and while it is new.

use std::io::Write;
use std::path::PathBuf;

use anyhow::anyhow;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use tsm2_train::evaluate::EvaluateError;
use tsm2_train::robustness::{Apart, Gap, PERCENT, PLACES, Trial};
use tsm2_train::split::SplitSpec;

use super::lines::{self, Cell};

/// Measure what missing readings, gaps and a cold start do to a model's forecasts on test rows.
///
/// Errors are those of `tsm2 evaluate`: averages over variates and over steps 1..=h in units of the training standard deviation. What the
/// model does not see it is still compared with.
#[derive(Args)]
#[command(after_long_help = "Examples:
  tsm2 robustness missing --model out/model.safetensors --data building.csv --horizons 15,60
  tsm2 robustness gap --model out/model.safetensors --data building.csv --csv gap.csv
  tsm2 robustness cold-start --model out/model.safetensors --data building.csv --json")]
pub struct Robustness {
    /// What is done to the model
    #[arg(value_enum)]
    test: Test,
    /// The model file
    #[arg(long, value_name = "BUNDLE")]
    model: PathBuf,
    /// CSV with a column for each of the model's variates; others are left out
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Training, validation and test part, in rows or in fractions [default: as the model was trained]
    #[arg(long, value_name = "A,B,C")]
    split: Option<SplitSpec>,
    /// Steps ahead up to which errors are averaged [default: all the model forecasts]
    #[arg(long, value_name = "H,..", value_delimiter = ',')]
    horizons: Vec<usize>,
    /// Seed of what is missing, and of the places of gaps and cold starts
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Write CSV to this file, or to the standard output if it is -
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Print one JSON array, an object a line of the table
    #[arg(long, conflicts_with = "csv")]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Test {
    /// 0, 5, 15 and 30 % of the readings missing at random, beside repeat-last under the same
    Missing,
    /// All readings missing for an hour and for a day, at its last row and up to 1024 rows later, beside the same rows without the gap
    Gap,
    /// 1 to 1024 rows after the state was empty, beside a state that was carried
    ColdStart,
}

impl Test {
    /// Columns of its lines.
    fn header(self) -> &'static [&'static str] {
        match self {
            Test::Missing => &[
                "missing_percent",
                "horizon",
                "mse",
                "mae",
                "repeat_last_mse",
                "repeat_last_mae",
                "mse_relative_to_complete",
                "origins",
            ],
            Test::Gap => &[
                "gap",
                "gap_rows",
                "rows_since_gap",
                "horizon",
                "mse",
                "mae",
                "mse_without_gap",
                "mae_without_gap",
                "mse_relative",
                "places",
            ],
            Test::ColdStart => &[
                "samples",
                "horizon",
                "mse",
                "mae",
                "mse_carried",
                "mae_carried",
                "mse_relative",
                "places",
            ],
        }
    }
}

impl Robustness {
    /// Measures and prints.
    pub fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let (bundle, table) = super::open(&self.model, &self.data)?;
        let (meta, model, scaler) = (bundle.meta(), bundle.model(), super::scaler(bundle.meta()));
        let split = super::split(self.split, &self.model, meta, &table)?;
        let horizons = if self.horizons.is_empty() {
            vec![meta.config.horizon]
        } else {
            self.horizons.clone()
        };
        let trial = Trial {
            model: &model,
            table: &table,
            scaler: &scaler,
            rows: split.test_range(),
            horizons: &horizons,
            seed: self.seed,
        };
        let gaps = Gap::hour_and_day(table.interval_ms);
        let (unit, length) = match self.test {
            Test::Missing => ("origins", PERCENT.len() * split.test),
            Test::Gap => ("places", gaps.len() * PLACES),
            Test::ColdStart => ("places", PLACES),
        };
        let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {eta} left")?;
        let bar = ProgressBar::new(length as u64).with_style(style).with_prefix(unit);
        let tick = || bar.inc(1);
        let lines = match self.test {
            Test::Missing => missing(&trial, &tick),
            Test::Gap => after_gaps(&trial, &gaps, &tick),
            Test::ColdStart => trial.cold_start(&tick).map(|ages| by_age(&[], &ages)),
        };
        bar.finish_and_clear();
        let lines = lines.map_err(|error| anyhow!("{}: {error}", self.data.display()))?;
        if self.test == Test::Gap && gaps[0].name != "hour" {
            super::note("rows are not known to be an hour apart or less: gaps of 1 and of 24 rows");
        }
        match &self.csv {
            Some(path) => lines::csv_to(path, self.test.header(), &lines, out)?,
            None if self.json => lines::json(self.test.header(), &lines, out)?,
            None => {
                let printed = lines::table(self.test.header(), 0, &lines);
                writeln!(out, "{} on rows {:?} of {}", meta.name, trial.rows, self.data.display())?;
                writeln!(out, "{printed}")?;
            }
        }
        Ok(())
    }
}

fn missing(trial: &Trial<'_>, tick: &(dyn Fn() + Sync)) -> Result<Vec<Vec<Cell>>, EvaluateError> {
    let shares = trial.missing(tick)?;
    let mut lines = Vec::new();
    for share in &shares {
        for (i, (model, repeat)) in share.model.iter().zip(&share.repeat_last).enumerate() {
            lines.push(vec![
                Cell::Count(share.percent as usize),
                Cell::Count(model.horizon),
                Cell::Real(model.mse),
                Cell::Real(model.mae),
                Cell::Real(repeat.mse),
                Cell::Real(repeat.mae),
                Cell::Real(model.mse / shares[0].model[i].mse),
                Cell::Count(model.origins),
            ]);
        }
    }
    Ok(lines)
}

fn after_gaps(trial: &Trial<'_>, gaps: &[Gap], tick: &(dyn Fn() + Sync)) -> Result<Vec<Vec<Cell>>, EvaluateError> {
    let mut all = Vec::new();
    for gap in gaps {
        match trial.gap(gap.rows, tick) {
            Ok(ages) => all.extend(by_age(&[Cell::from(gap.name), Cell::Count(gap.rows)], &ages)),
            // The shorter gap is worth knowing where the longer one does not fit.
            Err(error @ EvaluateError::Split(_)) if !all.is_empty() => {
                super::note(format_args!("{}: {error}; left out", trial.table.path.display()))
            }
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

/// A line per age and horizon, each led by the same cells.
fn by_age(first: &[Cell], ages: &[Apart]) -> Vec<Vec<Cell>> {
    let mut lines = Vec::new();
    for age in ages {
        for (own, carried) in age.errors.iter().zip(&age.carried) {
            let mut line = first.to_vec();
            line.extend([
                Cell::Count(age.rows),
                Cell::Count(own.horizon),
                Cell::Real(own.mse),
                Cell::Real(own.mae),
                Cell::Real(carried.mse),
                Cell::Real(carried.mae),
                Cell::Real(own.mse / carried.mse),
                Cell::Count(own.origins),
            ]);
            lines.push(line);
        }
    }
    lines
}
