//! `tsm2-lab ablate`: TSM2 with one part changed or removed.

use std::io::Write;
use std::path::PathBuf;

use crate::ablation::{Ablation, Outcome, Variant};
use anyhow::{anyhow, bail, ensure};
use candle_core::Device;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use tsm2_train::data::runs::Part;
use tsm2_train::data::split::SplitSpec;

use super::trainings::{Output, Trainings};
use tsm2_train::cli::common;
use tsm2_train::cli::lines::{self, Cell};

/// Columns of the file.
const HEADER: [&str; 7] = ["part", "seed", "updates", "parameters", "seconds", "horizon", "mse"];

/// Columns of the printed table, over all seeds.
const PRINTED: [&str; 7] = ["part", "horizon", "parameters", "seconds", "mse", "spread", "relative_to_recipe"];

/// Train TSM2 with one part changed or removed, and compare the errors.
///
/// All are trained on the same rows for as many updates, chosen on the validation part and measured on the test part by the network's own forecast, without a
/// linear head. Errors are averages over variates and over steps 1..=h in units of the training standard deviation; the spread is the distance of the best
/// seed from the worst.
#[derive(Args)]
#[command(after_long_help = "Examples:
  tsm2-lab ablate --data building.csv --horizons 15,60 --seeds 0,1,2 --csv parts.csv
  tsm2-lab ablate --data plant.csv --parts variate-s6,variate-both --seeds 0,1,2
  tsm2-lab ablate --data plant.csv --horizons 24 --updates 500 --json")]
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
    /// Parts to change, besides the unchanged recipe [default: all]
    #[arg(long, value_name = "PART,..", value_delimiter = ',', value_parser = part())]
    parts: Vec<Variant>,
    #[command(flatten)]
    output: Output,
}

/// Reads the name of a part.
fn part() -> impl TypedValueParser<Value = Variant> {
    let named = |name: String| Variant::ALL.into_iter().find(|variant| variant.name() == name);
    PossibleValuesParser::new(Variant::ALL.map(Variant::name)).try_map(move |name| named(name).ok_or("no part of this name"))
}

impl Ablate {
    /// Trains, measures and prints.
    pub fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        ensure!(!self.horizons.contains(&0), "--horizons: the first step ahead is 1");
        ensure!(self.updates > 0, "--updates: at least 1");
        let table = common::read_table(&self.data)?.unbroken()?;
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
        let mut variants: Vec<Variant> = ablation.variants().collect();
        if let Some(absent) = self.parts.iter().find(|part| !variants.contains(part)) {
            bail!("--parts: {} is no other than the recipe on {}", absent.name(), self.data.display());
        }
        variants.retain(|variant| *variant == Variant::Recipe || self.parts.is_empty() || self.parts.contains(variant));
        let mut told = Trainings::new(&self.output, &HEADER, variants.len() * self.updates)?;
        let mut all: Vec<Vec<Outcome>> = vec![Vec::new(); variants.len()];
        // Seed by seed: the lines before an interruption are comparable.
        for &seed in &self.output.seeds {
            for (&variant, outcomes) in variants.iter().zip(&mut all) {
                told.begin(format!("{}, seed {seed}", variant.name()));
                let mut step = |_| told.step();
                let outcome = ablation.run(variant, seed, &mut step).map_err(|error| in_file(&error))?;
                // Training that is patient no longer ends early.
                told.skip(self.updates - outcome.updates);
                for (&horizon, &mse) in self.horizons.iter().zip(&outcome.mse) {
                    told.line(vec![
                        variant.name().into(),
                        Cell::Count(seed as usize),
                        Cell::Count(outcome.updates),
                        Cell::Count(outcome.parameters),
                        Cell::Real(outcome.took.as_secs_f64()),
                        Cell::Count(horizon),
                        Cell::Real(mse),
                    ])?;
                }
                outcomes.push(outcome);
            }
        }
        if told.end(&self.output, &HEADER, out)? {
            let (rows, data) = (table.part(&split, Part::Test), self.data.display());
            writeln!(
                out,
                "{} updates at most, {} seeds, test rows {rows:?} of {data}",
                self.updates,
                self.output.seeds.len()
            )?;
            writeln!(out, "{}", lines::table(&PRINTED, 1, &self.over_seeds(&variants, &all)))?;
        }
        Ok(())
    }

    /// A line per horizon and variant; the recipe is the first.
    fn over_seeds(&self, variants: &[Variant], all: &[Vec<Outcome>]) -> Vec<Vec<Cell>> {
        let mean = |outcomes: &[Outcome], of: &dyn Fn(&Outcome) -> f64| outcomes.iter().map(of).sum::<f64>() / outcomes.len() as f64;
        let line = &|(i, horizon): (usize, usize), variant: &Variant, outcomes: &[Outcome]| {
            let of = |outcome: &Outcome| outcome.mse[i];
            let (low, high) = outcomes
                .iter()
                .map(of)
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), mse| (low.min(mse), high.max(mse)));
            vec![
                variant.name().into(),
                Cell::Count(horizon),
                Cell::Count(outcomes.first().map_or(0, |outcome| outcome.parameters)),
                Cell::Real(mean(outcomes, &|outcome| outcome.took.as_secs_f64())),
                Cell::Real(mean(outcomes, &of)),
                Cell::Real(high - low),
                Cell::Real(mean(outcomes, &of) / mean(&all[0], &of)),
            ]
        };
        let horizons = self.horizons.iter().copied().enumerate();
        horizons
            .flat_map(|horizon| {
                variants
                    .iter()
                    .zip(all)
                    .map(move |(variant, outcomes)| line(horizon, variant, outcomes))
            })
            .collect()
    }
}
