//! `tsm2-lab transfer`: what a model of several devices forecasts of devices that it never saw, beside models of one other device.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{anyhow, ensure};
use candle_core::Device;
use clap::Args;
use tsm2_bundle::Bundle;
use tsm2_train::cli::common;
use tsm2_train::cli::lines::{self, Cell};
use tsm2_train::cli::progress::{Progress, metered};
use tsm2_train::cli::reading::Reading;
use tsm2_train::data::mask::Rate;
use tsm2_train::data::scale::Scaler;
use tsm2_train::data::split::SplitSpec;
use tsm2_train::evaluate::baselines::{Baseline, Series};
use tsm2_train::evaluate::{HorizonError, Protocol, Tally, model_errors};
use tsm2_train::train::{self, Budget, Event, Size, Stop, TrainOptions};

const HEADER: [&str; 6] = ["unseen", "forecaster", "trained_on", "horizon", "mse", "mae"];

/// Train one model on several like devices and one on each of some of them alone, and measure all on devices that trained nothing.
///
/// Errors are over all rows of an unseen device, in units of its own standard deviation. All trainings have the same time.
#[derive(Args)]
#[command(after_long_help = "Example:
  tsm2-lab transfer --data building*.csv --unseen new*.csv --alone 3 --horizon 60 --horizons 15,60 --budget 5m")]
pub struct Transfer {
    /// Recordings that one model is trained on, a device each
    #[arg(long, value_name = "FILE", required = true, num_args = 2..)]
    data: Vec<PathBuf>,
    /// Recordings that are only measured on
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    unseen: Vec<PathBuf>,
    /// So many of the first recordings train a model alone, too
    #[arg(long, value_name = "N", default_value_t = 1)]
    alone: usize,
    /// Steps to forecast
    #[arg(long, value_name = "H")]
    horizon: usize,
    /// Horizons to measure at
    #[arg(long, value_name = "H,..", value_delimiter = ',', required = true)]
    horizons: Vec<usize>,
    /// Time of each training, such as 5m [default: that of `tsm2 train`]
    #[arg(long, value_name = "TIME")]
    budget: Option<jiff::SignedDuration>,
    /// Seed of every training
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Write the lines as CSV to this file
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

impl Transfer {
    /// Trains, measures and prints.
    pub fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        ensure!(
            self.horizons.iter().all(|h| (1..=self.horizon).contains(h)),
            "--horizons: from 1 to --horizon"
        );
        let name = |path: &Path| {
            path.file_stem()
                .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
        };
        ensure!(
            !self.unseen.iter().any(|path| self.data.contains(path)),
            "--unseen: a recording of --data; name recordings that train no model"
        );
        let mut models = vec![("together", format!("{} devices", self.data.len()), self.train(&self.data)?)];
        for path in self.data.iter().take(self.alone) {
            models.push(("alone", name(path), self.train(std::slice::from_ref(path))?));
        }
        let mut lines = Vec::new();
        for path in &self.unseen {
            let table = common::read_table(path)?;
            let split = table
                .split(SplitSpec::Rows([table.len(), 0, 0]))
                .map_err(|error| anyhow!("{}: {error}", path.display()))?;
            let (scaler, _) = Scaler::fit(&table, &split);
            let rows = (1..table.len()).into();
            let mut line = |forecaster: &str, trained_on: &str, errors: &[HorizonError]| {
                lines.extend(errors.iter().map(|error| {
                    vec![
                        Cell::Text(name(path)),
                        Cell::Text(forecaster.to_owned()),
                        Cell::Text(trained_on.to_owned()),
                        Cell::Count(error.horizon),
                        Cell::Real(error.mse),
                        Cell::Real(error.mae),
                    ]
                }));
            };
            for (forecaster, trained_on, bundle) in &models {
                ensure!(
                    bundle.meta().variates.iter().map(|variate| &variate.name).eq(&table.names),
                    "{}: its columns are not those of {trained_on}, in that order",
                    path.display()
                );
                let errors = metered(|meter| {
                    meter.begin("errors on an unseen recording");
                    let (model, done) = (bundle.into(), &|share| meter.add(share));
                    model_errors(&model, &table, &scaler, &rows, &self.horizons, Protocol::Carried, done)
                })?;
                line(forecaster, trained_on, &errors.total);
            }
            let z = scaler.standardise_targets(&table);
            let mut tally = Tally::new(&z, table.targets(), &rows, &self.horizons)?;
            let series = Series::of(&table, &z);
            let mut forecast = vec![0.0; table.targets() * self.horizon];
            for origin in tally.origins().collect::<Vec<_>>() {
                Baseline::Naive.forecast(&series, origin, &mut forecast);
                tally.add(origin, &forecast);
            }
            line("naive", "", &tally.errors()?.total);
        }
        if let Some(path) = &self.csv {
            lines::csv_to(path, &HEADER, &lines, &mut *out)?;
        }
        writeln!(out, "{}", lines::table(&HEADER, 3, &lines))?;
        Ok(())
    }

    fn train(&self, data: &[PathBuf]) -> anyhow::Result<Bundle> {
        let (table, _) = Reading::default().read(data)?;
        let folder = tempfile::tempdir()?;
        let budget = self.budget.map(Duration::try_from).transpose()?;
        let options = TrainOptions {
            split: SplitSpec::Fractions([0.8, 0.2, 0.0]),
            horizon: self.horizon,
            out: folder.path().to_owned(),
            name: "transfer".into(),
            seed: self.seed,
            budget: budget.map(Budget::Time),
            calendar: true,
            size: Size::default(),
            statics: None,
            missing_rate: Rate::default(),
            tensorboard: false,
            resume: false,
            from: None,
            baselines: false,
            device: Device::Cpu,
            stop: Stop::default(),
        };
        let mut progress = Progress::new();
        let trained = train::run(&table, &options, &mut |event| match event {
            Event::Warning(text) | Event::Decision(text) => progress.note(text),
            Event::Share { task, done } => progress.share(task, done),
            Event::End => progress.end(),
            Event::Progress { task, done, total, note } => progress.step(task, done, total, note),
        });
        progress.end();
        Ok(Bundle::open(&trained?.path)?)
    }
}
