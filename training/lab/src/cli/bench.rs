//! `tsm2-lab bench`: the yardsticks as commands.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use candle_core::Device;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use tsm2_bundle::Bundle;
use tsm2_core::Precision;
use tsm2_train::cli::common;
use tsm2_train::cli::lines::{self, Cell};
use tsm2_train::cli::progress::{Progress, metered};
use tsm2_train::data::mask::Rate as MissingRate;
use tsm2_train::data::runs::Part;
use tsm2_train::data::scale::Scaler;
use tsm2_train::data::split::SplitSpec;
use tsm2_train::data::table::Table;
use tsm2_train::evaluate::baselines::{Baseline, Series};
use tsm2_train::evaluate::neural::{self, Neural};
use tsm2_train::evaluate::{HorizonError, LINEAR_HEAD, Protocol, Tally, model_errors};
use tsm2_train::network::baseline::NeuralKind;
use tsm2_train::train::{self, Budget, Event, Size, Stop, TrainOptions, Trained};

use crate::bench::gift::{RATES, Rate, summed};
use crate::bench::{DataSet, Measured, Suite};

/// Columns of the file.
const HEADER: [&str; 10] = [
    "set",
    "seed",
    "forecaster",
    "horizon",
    "mse",
    "mae",
    "mase",
    "budget_s",
    "commit",
    "command",
];

/// Train with the defaults on public data sets and measure on their test rows.
///
/// `naive` and `seasonal-naive` need no training and show that data and protocol are right: their figures are known. Every look at
/// test rows is a line in the ledger.
#[derive(Args)]
#[command(after_long_help = "Examples:
  tsm2-lab bench gift --data ../shared/data --baselines-only
  tsm2-lab bench coupled --data ../shared/data --seeds 0,1,2 --csv docs/data/bench_coupled.csv
  tsm2-lab bench ett --data ../shared/data --sets ETTh1 --budget 5m")]
pub struct Bench {
    /// Which data sets
    #[arg(value_name = "SUITE", value_parser = suite())]
    suite: Suite,
    /// Folder of the data sets
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Only these data sets of the suite [default: all]
    #[arg(long, value_name = "SET,..", value_delimiter = ',')]
    sets: Vec<String>,
    /// Seeds, a training each
    #[arg(long, value_name = "S,..", value_delimiter = ',', default_value = "0")]
    seeds: Vec<u64>,
    /// Time of each training, such as 10m [default: that of `tsm2 train`]
    #[arg(long, value_name = "TIME")]
    budget: Option<jiff::SignedDuration>,
    /// Weights of the models in KiB at most, as 8-bit integers [default: the smallest within 1 % of the best, in single precision]
    #[arg(long, value_name = "N")]
    max_kib: Option<usize>,
    /// Only naive and seasonal naive, without training
    #[arg(long)]
    baselines_only: bool,
    /// Train the neural baselines too
    #[arg(long)]
    neural: bool,
    /// Folder that keeps the trained models [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write the lines as CSV to this file
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// File to which each look at test rows is appended
    #[arg(long, value_name = "FILE", default_value = "docs/data/ledger.md")]
    ledger: PathBuf,
}

fn suite() -> impl TypedValueParser<Value = Suite> {
    let named = |name: String| Suite::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, suite)| suite);
    PossibleValuesParser::new(Suite::ALL.map(|(name, _)| name)).try_map(move |name| named(name).ok_or("no suite of this name"))
}

impl Bench {
    /// Trains, measures and prints.
    pub fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let commit = commit();
        let mut all = Vec::new();
        for set in self.suite.data_sets() {
            if self.wants(set.name) {
                let table = common::read_table(&self.data.join(set.file))?;
                all.extend(self.stride_1(&set, &table)?);
            }
        }
        for rate in RATES.into_iter().filter(|_| self.suite == Suite::Gift) {
            if self.wants(rate.name) {
                let table = summed(common::read_table(&self.data.join("ETTm1.csv"))?, rate.summed);
                all.extend(self.gift(&rate, &table)?);
            }
        }
        ensure!(!all.is_empty(), "--sets: no such data set in the suite");
        let budget = self.budget.map_or_else(String::new, |budget| budget.as_secs().to_string());
        let command = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
        let line = |(seed, measured): &(Option<u64>, Measured)| {
            vec![
                Cell::Text(measured.set.clone()),
                seed.map_or(Cell::Nothing, |seed| Cell::Count(seed as usize)),
                Cell::Text(measured.forecaster.clone()),
                Cell::Count(measured.horizon),
                Cell::Real(measured.mse),
                Cell::Real(measured.mae),
                measured.mase.into(),
                Cell::Text(budget.clone()),
                Cell::Text(commit.clone()),
                Cell::Text(format!("tsm2-lab {command}")),
            ]
        };
        let lines: Vec<Vec<Cell>> = all.iter().map(line).collect();
        if let Some(path) = &self.csv {
            lines::csv_to(path, &HEADER, &lines, &mut *out)?;
        }
        let printed: Vec<Vec<Cell>> = lines.iter().map(|line| line[..7].to_vec()).collect();
        writeln!(out, "{}", lines::table(&HEADER[..7], 3, &printed))?;
        match self.baselines_only {
            true => Ok(()),
            false => self.enter(&all, &commit, &command),
        }
    }

    fn size(&self) -> Size {
        self.max_kib.map_or_else(Size::default, |kib| Size {
            most: Some(1024 * kib),
            precision: Precision::Int8,
            ..Size::default()
        })
    }

    fn wants(&self, name: &str) -> bool {
        self.sets.is_empty() || self.sets.iter().any(|set| set == name)
    }

    /// Every stride-1 origin of the test rows, in units of the training deviation.
    fn stride_1(&self, set: &DataSet, table: &Table) -> anyhow::Result<Vec<(Option<u64>, Measured)>> {
        let named = |error: &dyn std::fmt::Display| anyhow!("{}: {error}", set.file);
        let split = table.split(set.split).map_err(|error| named(&error))?;
        let (scaler, _) = Scaler::fit(table, &split);
        let z = scaler.standardise_targets(table);
        let test = table.part(&split, Part::Test);
        let measured = |forecaster: &str, errors: Vec<HorizonError>| {
            let forecaster = forecaster.to_owned();
            errors.into_iter().map(move |error| Measured {
                set: set.name.into(),
                forecaster: forecaster.clone(),
                horizon: error.horizon,
                mse: error.mse,
                mae: error.mae,
                mase: None,
            })
        };
        let mut all = Vec::new();
        let series = Series::of(table, &z);
        let longest = set.horizons.iter().copied().max().unwrap_or(1);
        for (name, baseline) in [
            ("naive", Baseline::Naive),
            ("seasonal-naive", Baseline::SeasonalNaive { period: set.season }),
        ] {
            let mut tally = Tally::new(&z, table.targets(), &test, set.horizons)?;
            let mut out = vec![0.0; table.targets() * longest];
            for origin in tally.origins().collect::<Vec<_>>() {
                baseline.forecast(&series, origin, &mut out);
                tally.add(origin, &out);
            }
            all.extend(measured(name, tally.errors()?.total).map(|measured| (None, measured)));
        }
        for &seed in self.seeds.iter().filter(|_| !self.baselines_only) {
            let out = Out::new(self.out.as_deref(), &format!("{}-{seed}", set.name))?;
            // The model that has not seen the test rows.
            let model = self.train(table, set.split, longest, seed, &out)?.measured;
            for (name, path) in [("tsm2", model.clone()), ("linear-part", model.with_file_name(LINEAR_HEAD))] {
                // Without a network the model is its linear part.
                let bundle = Bundle::open(if path.exists() { &path } else { &model })?;
                let errors = metered(|meter| {
                    meter.begin("errors on the test part");
                    let (model, done) = ((&bundle).into(), &|share| meter.add(share));
                    model_errors(&model, table, &scaler, &test, set.horizons, Protocol::Carried, done)
                })?;
                all.extend(measured(name, errors.total).map(|measured| (Some(seed), measured)));
            }
            for kind in NeuralKind::ALL.into_iter().filter(|_| self.neural) {
                let baseline = Neural::open(&neural::file(&model, kind))?;
                let tally = Tally::new(&z, table.targets(), &test, set.horizons)?;
                let tally = metered(|meter| {
                    meter.begin(kind.name());
                    baseline.tally(table, &scaler, tally, &|share| meter.add(share))
                })?;
                let errors = tally.errors()?.total;
                all.extend(measured(kind.name(), errors).map(|measured| (Some(seed), measured)));
            }
        }
        Ok(all)
    }

    /// GIFT-Eval's windows.
    fn gift(&self, rate: &Rate, table: &Table) -> anyhow::Result<Vec<(Option<u64>, Measured)>> {
        let repeat = |period| move |origin, length| Ok::<_, anyhow::Error>(Rate::repeat(table, period, origin, length));
        let mut all = Vec::new();
        for (name, period) in [("naive", 1), ("seasonal-naive", rate.season)] {
            all.extend(
                rate.errors(table, name, repeat(period))?
                    .into_iter()
                    .map(|measured| (None, measured)),
            );
        }
        let longest = rate.terms.iter().map(|(length, _)| *length).max().unwrap_or(1);
        for &seed in self.seeds.iter().filter(|_| !self.baselines_only) {
            let out = Out::new(self.out.as_deref(), &format!("{}-{seed}", rate.name.replace('/', "-")))?;
            // The model is fitted to all rows before the first window, and to none after.
            let before = rate.rows_before(table.len());
            let split = SplitSpec::Rows([before - before / 8, before / 8, 0]);
            let bundle = Bundle::open(&self.train(table, split, longest, seed, &out)?.path)?;
            // One pass through the rows, with the forecasts at every window's origin.
            let origins: Vec<usize> = rate
                .terms
                .iter()
                .flat_map(|&(length, windows)| (1..=windows).map(move |window| table.len() - length * window))
                .collect();
            let mut forecasts = std::collections::BTreeMap::new();
            metered(|meter| {
                meter.begin("forecasts");
                tsm2_train::evaluate::run(&(&bundle).into(), table, 0..table.len() - 1, |row, token| {
                    if origins.contains(&row) {
                        let mut forecast = vec![0.0; bundle.meta().config.forecast_len()];
                        token.forecast(&mut forecast)?;
                        forecasts.insert(row, forecast);
                    }
                    meter.add(1.0 / table.len() as f64);
                    Ok(())
                })
            })?;
            let of_model = |origin: usize, length: usize| {
                let forecast: &Vec<f32> = forecasts.get(&origin).ok_or_else(|| anyhow!("no forecast from row {origin}"))?;
                Ok::<_, anyhow::Error>(forecast.chunks_exact(longest).flat_map(|steps| steps[..length].to_vec()).collect())
            };
            all.extend(
                rate.errors(table, "tsm2", of_model)?
                    .into_iter()
                    .map(|measured| (Some(seed), measured)),
            );
        }
        Ok(all)
    }

    /// Trains with the defaults.
    fn train(&self, table: &Table, split: SplitSpec, horizon: usize, seed: u64, out: &Out) -> anyhow::Result<Trained> {
        let budget = self
            .budget
            .map(|budget| Duration::try_from(budget).context("--budget: give a time"));
        let options = TrainOptions {
            split,
            horizon,
            out: out.path().to_owned(),
            name: "bench".into(),
            seed,
            budget: budget.transpose()?.map(Budget::Time),
            calendar: true,
            size: self.size(),
            statics: None,
            missing_rate: MissingRate::default(),
            tensorboard: false,
            resume: false,
            from: None,
            baselines: self.neural,
            device: Device::Cpu,
            stop: Stop::default(),
        };
        let mut progress = Progress::new();
        let trained = train::run(table, &options, &mut |event| match event {
            Event::Warning(text) | Event::Decision(text) => progress.note(text),
            Event::Share { task, done } => progress.share(task, done),
            Event::End => progress.end(),
            Event::Progress { task, done, total, note } => progress.step(task, done, total, note),
        });
        progress.end();
        Ok(trained?)
    }

    /// Appends what was seen of test rows to the ledger.
    fn enter(&self, all: &[(Option<u64>, Measured)], commit: &str, command: &str) -> anyhow::Result<()> {
        let named = |error: std::io::Error| anyhow!("{}: {error}", self.ledger.display());
        let mut file = OpenOptions::new().append(true).open(&self.ledger).map_err(named)?;
        let now = jiff::Timestamp::now().to_string();
        let today = now.get(..10).unwrap_or(&now);
        let mut sets: Vec<(&str, Option<u64>)> = Vec::new();
        for (seed, measured) in all.iter().filter(|(_, measured)| measured.forecaster == "tsm2") {
            if !sets.contains(&(measured.set.as_str(), *seed)) {
                sets.push((&measured.set, *seed));
            }
        }
        for (set, seed) in sets {
            let of_set = all
                .iter()
                .filter(|(own, measured)| *own == seed && measured.set == set && measured.forecaster == "tsm2");
            let figures: Vec<String> = of_set
                .map(|(_, measured)| match measured.mase {
                    Some(mase) => format!("{}: {mase:.3}", measured.horizon),
                    None => format!("{}: {:.4}", measured.horizon, measured.mse),
                })
                .collect();
            let seed = seed.map_or_else(String::new, |seed| seed.to_string());
            let line = format!(
                "| {today} | {commit} | {set} | {seed} | {} | `tsm2-lab {command}` |",
                figures.join(", ")
            );
            writeln!(file, "{line}").map_err(named)?;
        }
        Ok(())
    }
}

/// The folder of one training.
enum Out {
    Kept(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Out {
    fn new(folder: Option<&Path>, name: &str) -> anyhow::Result<Self> {
        Ok(match folder {
            Some(folder) => Self::Kept(folder.join(name)),
            None => Self::Temporary(tempfile::tempdir()?),
        })
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }
}

/// The commit of the program's sources, as far as git knows it.
fn commit() -> String {
    let output = Command::new("git").args(["describe", "--always", "--dirty"]).output();
    let text = output.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    text.map_or_else(|| "unknown".into(), |text| String::from_utf8_lossy(&text).trim().to_owned())
}
