//! `tsm2 ablate`: what each part of TSM2 is worth on a recording.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{anyhow, ensure};
use candle_core::Device;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tsm2_train::ablation::{Ablation, Outcome, Variant};
use tsm2_train::split::SplitSpec;
use tsm2_train::trainer::Progress;

/// Train TSM2 with one part after another changed or taken away, and tell what each is worth.
///
/// All are trained on the same rows for as many updates, chosen on the validation part and measured on the test part by the network's own forecast, without a
/// linear read-out. Errors are averages over variates and over steps 1..=h in units of the training standard deviation.
#[derive(Args)]
#[command(after_long_help = "Examples:
  tsm2 ablate --data building.csv --horizons 15,60 --csv building.csv
  tsm2 ablate --data plant.csv --horizons 24 --updates 500 --seeds 1")]
pub struct Ablate {
    /// CSV of readings, oldest first
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Training, validation and test part, in rows or in fractions
    #[arg(long, value_name = "A,B,C", default_value = "0.7,0.1,0.2")]
    split: SplitSpec,
    /// Steps ahead up to which errors are averaged; the network is trained for the last
    #[arg(long, value_name = "H,..", value_delimiter = ',', default_value = "24")]
    horizons: Vec<usize>,
    /// Updates of each training
    #[arg(long, value_name = "N", default_value_t = 1000)]
    updates: usize,
    /// Trainings of each, from seeds 0, 1, ..
    #[arg(long, value_name = "N", default_value_t = 3)]
    seeds: u64,
    /// Write a line of each training to this CSV file as soon as it is done
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

impl Ablate {
    /// Trains, measures and prints.
    pub fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        ensure!(!self.horizons.contains(&0), "--horizons: the first step ahead is 1");
        ensure!(self.seeds > 0 && self.updates > 0, "--seeds and --updates: at least 1");
        let table = super::read_table(&self.data)?;
        let in_file = |error: &dyn std::fmt::Display| anyhow!("{}: {error}", self.data.display());
        let split = self.split.resolve(table.len()).map_err(|error| in_file(&error))?;
        let ablation = Ablation {
            table: &table,
            split: &split,
            horizons: &self.horizons,
            updates: self.updates,
            device: &Device::Cpu,
        };
        ablation.check().map_err(|error| in_file(&error))?;
        let mut csv = self.csv.as_ref().map(|path| Lines::create(path, &self.horizons)).transpose()?;
        let variants: Vec<Variant> = ablation.variants().collect();
        let style = ProgressStyle::with_template("{prefix:>20} {wide_bar} {pos}/{len} {eta} left")?;
        let bar = ProgressBar::new(variants.len() as u64 * self.seeds * self.updates as u64).with_style(style);
        let mut all: Vec<Vec<Outcome>> = vec![Vec::new(); variants.len()];
        // Seed by seed, so that what is done when it is interrupted can be compared.
        for seed in 0..self.seeds {
            for (i, (&variant, outcomes)) in variants.iter().zip(&mut all).enumerate() {
                let before = (seed * variants.len() as u64 + i as u64) * self.updates as u64;
                bar.set_prefix(variant.name());
                let outcome = ablation
                    .run(variant, seed, &mut |progress| {
                        if let Progress::Update(update) = progress {
                            bar.set_position(before + update as u64);
                        }
                    })
                    .map_err(|error| in_file(&error))?;
                if let Some(csv) = &mut csv {
                    csv.add(variant, seed, &outcome)?;
                }
                outcomes.push(outcome);
            }
        }
        bar.finish_and_clear();
        writeln!(
            out,
            "{} updates, {} seeds, test rows {:?} of {}",
            self.updates,
            self.seeds,
            split.test_range(),
            self.data.display()
        )?;
        writeln!(out, "{}", self.print(&variants, &all))?;
        Ok(())
    }

    /// A line per variant: at each horizon the mean over seeds, half the range, and the mean relative to the recipe's.
    fn print(&self, variants: &[Variant], all: &[Vec<Outcome>]) -> impl std::fmt::Display {
        let columns = self
            .horizons
            .iter()
            .flat_map(|h| [format!("MSE at {h}"), "+-".into(), "of the recipe".into()]);
        let header = ["part".to_owned(), "parameters".to_owned(), "s".to_owned()]
            .into_iter()
            .chain(columns);
        let mut printed = super::printed(header, 1);
        let mean = |outcomes: &[Outcome], of: &dyn Fn(&Outcome) -> f64| outcomes.iter().map(of).sum::<f64>() / outcomes.len() as f64;
        for (variant, outcomes) in variants.iter().zip(all) {
            let mut row = vec![
                variant.name().to_owned(),
                outcomes[0].parameters.to_string(),
                format!("{:.0}", mean(outcomes, &|o| o.took.as_secs_f64())),
            ];
            for i in 0..self.horizons.len() {
                let of = |outcome: &Outcome| outcome.mse[i];
                let (low, high) = outcomes
                    .iter()
                    .map(of)
                    .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), mse| (low.min(mse), high.max(mse)));
                let own = mean(outcomes, &of);
                row.extend([
                    format!("{own:.4}"),
                    format!("{:.4}", (high - low) / 2.0),
                    format!("{:.3}", own / mean(&all[0], &of)),
                ]);
            }
            printed.add_row(row);
        }
        printed
    }
}

/// The CSV file, a line per training.
struct Lines {
    path: PathBuf,
    writer: csv::Writer<std::fs::File>,
}

impl Lines {
    fn create(path: &std::path::Path, horizons: &[usize]) -> anyhow::Result<Self> {
        let named = |error: &dyn std::fmt::Display| anyhow!("{}: {error}", path.display());
        let file = std::fs::File::create(path).map_err(|error| named(&error))?;
        let mut lines = Self {
            path: path.to_owned(),
            writer: csv::Writer::from_writer(file),
        };
        let header = ["part", "seed", "updates", "parameters", "seconds"].map(str::to_owned);
        lines.write(header.into_iter().chain(horizons.iter().map(|h| format!("mse_{h}"))))?;
        Ok(lines)
    }

    fn add(&mut self, variant: Variant, seed: u64, outcome: &Outcome) -> anyhow::Result<()> {
        let first = [
            variant.name().to_owned(),
            seed.to_string(),
            outcome.updates.to_string(),
            outcome.parameters.to_string(),
            format!("{:.1}", outcome.took.as_secs_f64()),
        ];
        self.write(first.into_iter().chain(outcome.mse.iter().map(|mse| format!("{mse:.6}"))))
    }

    fn write(&mut self, cells: impl Iterator<Item = String>) -> anyhow::Result<()> {
        let written = self.writer.write_record(cells.collect::<Vec<_>>());
        written
            .and_then(|()| Ok(self.writer.flush()?))
            .map_err(|error| anyhow!("{}: {error}", self.path.display()))
    }
}
