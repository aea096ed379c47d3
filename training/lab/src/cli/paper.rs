//! `tsm2-lab paper`: the paper's tables, reproduced in its window mode.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::paper::{Budget, FitResult, LOOKBACK, Published, Score, Variant, Windows, fit, naive};
use anyhow::anyhow;
use clap::{Args, Subcommand};
use tsm2_train::data::split::SplitSpec;

use super::trainings::{Output, Trainings};
use tsm2_train::cli::common;
use tsm2_train::cli::lines::{self, Cell};

/// Windows in an update on a recording.
const WINDOWS: usize = 32;

/// Largest learning rate of every training.
const LEARNING_RATE: f64 = 2e-3;

/// Columns of the tables on recordings.
const HEADER: [&str; 15] = [
    "data",
    "variant",
    "horizon",
    "layers",
    "parameters",
    "seed",
    "updates",
    "validation_mse",
    "mse",
    "mae",
    "naive_mse",
    "paper_mse",
    "relative_to_paper",
    "largest_gradient",
    "diverged_at",
];

/// Columns of the printed table, over all seeds.
const PRINTED: [&str; 11] = [
    "data",
    "variant",
    "horizon",
    "seeds",
    "mse",
    "spread",
    "mae",
    "naive",
    "paper",
    "relative",
    "largest_gradient",
];

/// Reproduce the paper's tables: TSM2 on windows of 512 rows, as in arXiv 2403.19888, with the paper's figures.
///
/// Files named etth1* and exchange* are split as in the paper (8640, 2880 and 2880 rows; 70, 10 and 20 %); any other file is split
/// 70, 10 and 20 %. Errors are averages over all test windows, variates and steps, in units of the training standard deviation.
/// Training takes --updates updates on two threads; the averaged weights with the least validation error are measured.
#[derive(Args)]
#[command(after_long_help = "Examples:
  tsm2-lab paper horizons  --data ETTh1.csv exchange_rate.txt --csv horizons.csv
  tsm2-lab paper ablations --data ETTh1.csv --seeds 0,1,2 --csv ablations.csv
  tsm2-lab paper spans     --data ETTh1.csv --seeds 0,1,2 --json")]
pub struct Paper {
    #[command(subcommand)]
    table: Table,
}

#[derive(Subcommand)]
enum Table {
    /// TSM2 at 96, 192, 336 and 720 steps, a training each
    Horizons(OnData),
    /// TSM2 at 96 steps without some of its parts, and with the replacements of the paper
    Ablations(OnData),
    /// How far back the averaging of earlier features reaches, in four layers at 96 steps
    Spans(OnData),
}

#[derive(Args)]
struct OnData {
    /// CSVs of readings, oldest first
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    data: Vec<PathBuf>,
    /// Steps to forecast, a training each [default: those of the table]
    #[arg(long, value_name = "H,..", value_delimiter = ',')]
    horizons: Vec<usize>,
    /// Updates of 32 windows in each training
    #[arg(long, value_name = "N", default_value_t = 1000)]
    updates: usize,
    #[command(flatten)]
    output: Output,
}

impl Paper {
    /// Trains, measures and prints.
    pub fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        match self.table {
            Table::Horizons(table) => table.run(&Variant::paper(), &[96, 192, 336, 720], out),
            Table::Ablations(table) => table.run(&Variant::ablations(), &[96], out),
            Table::Spans(table) => table.run(&Variant::spans(), &[96], out),
        }
    }
}

/// A data set at one horizon.
struct PaperData {
    name: String,
    published: Option<&'static Published>,
    variates: usize,
    horizon: usize,
    windows: Windows,
    naive: Score,
}

impl PaperData {
    /// The paper's figure.
    fn reported(&self, variant: &Variant) -> Option<f64> {
        self.published?.mse(variant.name, self.horizon)
    }
}

impl OnData {
    fn run(self, variants: &[Variant], horizons: &[usize], out: &mut impl Write) -> anyhow::Result<()> {
        let horizons = if self.horizons.is_empty() { horizons } else { &self.horizons };
        // All that can be wrong with the files is found before the first training.
        let data_sets = self.data_sets(variants, horizons)?;
        let mut told = Trainings::new(&self.output, &HEADER, data_sets.len() * variants.len() * self.updates)?;
        let mut groups = Vec::new();
        for data_set in &data_sets {
            for variant in variants {
                let mut of_seeds = Vec::new();
                for &seed in &self.output.seeds {
                    told.begin(format!("{} {} {}, seed {seed}", data_set.name, variant.name, data_set.horizon));
                    let budget = budget(self.updates, seed);
                    let config = variant.config(data_set.variates, data_set.horizon);
                    let fitted = fit(&config, budget, &data_set.windows, &mut || told.step())?;
                    told.line(line(data_set, variant, budget, &fitted))?;
                    of_seeds.push(fitted);
                }
                groups.push(group(data_set, variant, &of_seeds));
            }
        }
        if told.end(&self.output, &HEADER, out)? {
            for variant in variants {
                writeln!(out, "{:>15}: {}, {} layers", variant.name, variant.what, variant.layers)?;
            }
            writeln!(out, "{} updates of {WINDOWS} windows each", self.updates)?;
            writeln!(out, "{}", lines::table(&PRINTED, 2, &groups))?;
        }
        Ok(())
    }

    fn data_sets(&self, variants: &[Variant], horizons: &[usize]) -> anyhow::Result<Vec<PaperData>> {
        let mut data_sets = Vec::new();
        for path in &self.data {
            let table = common::read_table(path)?.unbroken()?;
            let published = Published::of(path);
            let named = |error: &dyn std::fmt::Display| anyhow!("{}: {error}", path.display());
            let split = published.map_or_else(SplitSpec::default, |published| published.split);
            let split = split.resolve(table.len()).map_err(|error| named(&error))?;
            for &horizon in horizons {
                let windows = Windows::new(&table, split, LOOKBACK, horizon).map_err(|error| named(&error))?;
                let config = variants[0].config(table.variates(), horizon);
                data_sets.push(PaperData {
                    name: published.map_or_else(|| stem(path), |published| published.name.to_owned()),
                    published,
                    variates: table.variates(),
                    horizon,
                    naive: naive(&config, &windows),
                    windows,
                });
            }
        }
        Ok(data_sets)
    }
}

/// A file's name without its extension.
fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The line of one training.
fn line(data_set: &PaperData, variant: &Variant, budget: Budget, fitted: &FitResult) -> Vec<Cell> {
    let reported = data_set.reported(variant);
    vec![
        Cell::Text(data_set.name.clone()),
        Cell::from(variant.name),
        Cell::Count(data_set.horizon),
        Cell::Count(variant.layers),
        Cell::Count(fitted.parameters),
        Cell::Count(budget.seed as usize),
        Cell::Count(budget.updates),
        Cell::Real(fitted.validation.mse),
        Cell::Real(fitted.test.mse),
        Cell::Real(fitted.test.mae),
        Cell::Real(data_set.naive.mse),
        reported.into(),
        reported.map(|reported| fitted.test.mse / reported).into(),
        Cell::Real(fitted.largest_gradient),
        fitted.diverged.map_or(Cell::Nothing, Cell::Count),
    ]
}

/// The printed line of a variant: means over the seeds, the distance of the best MSE from the worst, and the largest gradient of any.
fn group(data_set: &PaperData, variant: &Variant, of_seeds: &[FitResult]) -> Vec<Cell> {
    let reported = data_set.reported(variant);
    let mean = |of: fn(&FitResult) -> f64| of_seeds.iter().map(of).sum::<f64>() / of_seeds.len().max(1) as f64;
    let greatest = |of: fn(&FitResult) -> f64| of_seeds.iter().map(of).fold(f64::NEG_INFINITY, f64::max);
    let mse = mean(|fitted| fitted.test.mse);
    let spread = greatest(|fitted| fitted.test.mse) + greatest(|fitted| -fitted.test.mse);
    vec![
        Cell::Text(data_set.name.clone()),
        Cell::from(variant.name),
        Cell::Count(data_set.horizon),
        Cell::Count(of_seeds.len()),
        Cell::Real(mse),
        if of_seeds.len() > 1 { Cell::Real(spread) } else { Cell::Nothing },
        Cell::Real(mean(|fitted| fitted.test.mae)),
        Cell::Real(data_set.naive.mse),
        reported.into(),
        reported.map(|reported| mse / reported).into(),
        Cell::Real(greatest(|fitted| fitted.largest_gradient)),
    ]
}

fn budget(updates: usize, seed: u64) -> Budget {
    Budget {
        updates,
        windows: WINDOWS,
        learning_rate: LEARNING_RATE,
        seed,
    }
}
