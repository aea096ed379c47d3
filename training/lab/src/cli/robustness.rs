//! `tsm2-lab missing|gap|cold-start`: forecast errors while readings are missing and while the state is new.

use std::io::Write;
use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;
use tsm2_train::data::runs::Part;
use tsm2_train::evaluate::EvaluateError;
use tsm2_train::evaluate::robustness::{Gap as Length, PerturbedErrors, RobustnessTest};

use tsm2_train::cli::common;
use tsm2_train::cli::lines::{self, Cell};
use tsm2_train::cli::progress::metered;
use tsm2_train::cli::reading::Reading;
use tsm2_train::cli::subject::{Opened, Subject};

/// Errors while 0, 5, 15 and 30 % of the readings are missing at random, of the model and of the naive baseline.
#[derive(Args)]
#[command(after_long_help = "Example:
  tsm2-lab missing --model out/model.safetensors --data building.csv --horizons 15,60")]
pub struct Missing {
    #[command(flatten)]
    options: Options,
}

/// Errors after a gap of an hour and of a day in all readings, and of the same rows without the gap.
///
/// From the gap's last row to 1024 rows later.
#[derive(Args)]
#[command(after_long_help = "Example:
  tsm2-lab gap --model out/model.safetensors --data building.csv --csv gap.csv")]
pub struct Gap {
    #[command(flatten)]
    options: Options,
}

/// Errors 1 to 1024 rows after the state was empty, and with a carried state.
#[derive(Args)]
#[command(after_long_help = "Example:
  tsm2-lab cold-start --model out/model.safetensors --data building.csv --json")]
pub struct ColdStart {
    #[command(flatten)]
    options: Options,
}

/// The model, the data, and where the figures go. Errors are those of `tsm2 evaluate`, on the test rows.
#[derive(Args)]
struct Options {
    #[command(flatten)]
    subject: Subject,
    /// Seed of the missing readings, and of the start points of gaps and cold starts
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Write CSV to this file, or to the standard output if it is -
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Print one JSON array, an object a line of the table
    #[arg(long, conflicts_with = "csv")]
    json: bool,
}

const MISSING: [&str; 8] = [
    "missing_percent",
    "horizon",
    "mse",
    "mae",
    "naive_mse",
    "naive_mae",
    "mse_relative_to_complete",
    "origins",
];

const GAP: [&str; 10] = [
    "gap",
    "gap_rows",
    "rows_since_gap",
    "horizon",
    "mse",
    "mae",
    "mse_without_gap",
    "mae_without_gap",
    "mse_relative",
    "start_points",
];

const COLD_START: [&str; 8] = [
    "samples",
    "horizon",
    "mse",
    "mae",
    "mse_carried",
    "mae_carried",
    "mse_relative",
    "start_points",
];

/// Shares of readings that are missing, in percent.
const PERCENT: [u32; 4] = [0, 5, 15, 30];

/// Start points of gaps and cold starts.
const START_POINTS: usize = 128;

/// Time steps after a gap or a cold start, at most.
const LONGEST_AGE: usize = 1024;

type Measured = Result<Vec<Vec<Cell>>, EvaluateError>;

impl Missing {
    /// Measures and prints.
    pub fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        self.options.run(&MISSING, missing, out)
    }
}

impl Gap {
    /// Measures and prints.
    pub fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let gaps = |test: &RobustnessTest<'_>| Length::hour_and_day(test.table.interval_ms);
        let measure = |test: &RobustnessTest<'_>, done: &(dyn Fn(f64) + Sync)| {
            let gaps = gaps(test);
            let lines = after_gaps(test, &gaps, done)?;
            if gaps[0].name != "hour" {
                common::note("rows are not known to be an hour perturbed or less: gaps of 1 and of 24 rows");
            }
            Ok(lines)
        };
        self.options.run(&GAP, measure, out)
    }
}

impl ColdStart {
    /// Measures and prints.
    pub fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let measure = |test: &RobustnessTest<'_>, done: &(dyn Fn(f64) + Sync)| Ok(by_age(&[], &test.cold_start(done)?));
        self.options.run(&COLD_START, measure, out)
    }
}

impl Options {
    fn run(
        self,
        header: &[&str],
        measure: impl Fn(&RobustnessTest<'_>, &(dyn Fn(f64) + Sync)) -> Measured + Sync,
        out: &mut impl Write,
    ) -> anyhow::Result<()> {
        let Opened {
            bundle,
            table,
            split,
            scaler,
            horizons,
            ..
        } = self.subject.open(&Reading::default(), &[])?;
        let table = table.unbroken()?;
        let (meta, model) = (bundle.meta(), bundle.model());
        let test = RobustnessTest {
            model: &model,
            table: &table,
            scaler: &scaler,
            rows: table.part(&split, Part::Test).hull(),
            horizons: &horizons,
            seed: self.seed,
            start_points: START_POINTS,
            longest_age: LONGEST_AGE,
        };
        let lines = metered(|meter| {
            meter.begin("errors");
            measure(&test, &|share| meter.add(share))
        });
        let lines = lines.map_err(|error| anyhow!("{}: {error}", table.path.display()))?;
        match &self.csv {
            Some(path) => lines::csv_to(path, header, &lines, out)?,
            None if self.json => lines::json(header, &lines, out)?,
            None => {
                let printed = lines::table(header, 0, &lines);
                writeln!(out, "{} on rows {:?} of {}", meta.name, test.rows, table.path.display())?;
                writeln!(out, "{printed}")?;
            }
        }
        Ok(())
    }
}

fn missing(test: &RobustnessTest<'_>, done: &(dyn Fn(f64) + Sync)) -> Result<Vec<Vec<Cell>>, EvaluateError> {
    let shares = test.missing(&PERCENT, done)?;
    let mut lines = Vec::new();
    for share in &shares {
        for (i, (model, repeat)) in share.model.iter().zip(&share.naive).enumerate() {
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

fn after_gaps(test: &RobustnessTest<'_>, gaps: &[Length], done: &(dyn Fn(f64) + Sync)) -> Result<Vec<Vec<Cell>>, EvaluateError> {
    let mut all = Vec::new();
    for gap in gaps {
        match test.gap(gap.rows, &|share| done(share / gaps.len() as f64)) {
            Ok(ages) => all.extend(by_age(&[Cell::from(gap.name), Cell::Count(gap.rows)], &ages)),
            // The shorter gap is worth knowing where the longer one does not fit.
            Err(error @ EvaluateError::Split(_)) if !all.is_empty() => {
                common::note(format_args!("{}: {error}; left out", test.table.path.display()))
            }
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

/// A line per age and horizon, each led by the same cells.
fn by_age(first: &[Cell], ages: &[PerturbedErrors]) -> Vec<Vec<Cell>> {
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
