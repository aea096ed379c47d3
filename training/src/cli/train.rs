//! `tsm2 train`: from a recording to a model file.

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use crate::data::mask::Rate;
use crate::data::runs::Part;
use crate::data::split::SplitSpec;
use crate::network::static_covariates::StaticCovariates;
use crate::train::trainer::Progress;
use crate::train::{DEFAULT_HORIZON, Event, TrainOptions, run};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::reading::Reading;

/// Train a model on a recording and compare it with baselines.
///
/// The network learns on the training part. Every choice is made on the validation part. The test part is only measured on.
#[derive(Args)]
#[command(after_long_help = "Examples:
  tsm2 train --data building.csv --horizon 60 --out building
  tsm2 train --data building.csv --horizon 60 --past-covariates outdoor_temp,occupancy
  tsm2 train --data building.csv --horizon 60 --future-covariates tariff
  tsm2 train --data building.csv --horizon 60 --static-covariates sensors.csv
  tsm2 train --data pump1.csv pump2.csv pump3.csv --hold-out pump3 --horizon 24
  tsm2 train --data pumps.csv --series pump --horizon 24
  tsm2 train --data export.csv --time-format dmy --time-zone Europe/Berlin --interval 1m --aggregate mean
  tsm2 train --data ETTh1.csv --split 8640,2880,2880 --horizon 96 --out etth1 --seed 1")]
pub struct Train {
    /// The recording; a file for each device, or parts of one recording with --join. Devices need the same columns
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    data: Vec<PathBuf>,
    /// Training, validation and test part, in rows or in fractions
    #[arg(long, value_name = "A,B,C", default_value = "0.7,0.1,0.2")]
    split: SplitSpec,
    /// Devices that train nothing and choose nothing. The model is measured on all of their rows [default: none]
    #[arg(long, value_name = "DEVICE,..", value_delimiter = ',')]
    hold_out: Vec<String>,
    /// Steps to forecast, at least 1; the model serves every shorter horizon too
    #[arg(long, value_name = "H", default_value_t = NonZeroUsize::MIN.saturating_add(DEFAULT_HORIZON - 1))]
    horizon: NonZeroUsize,
    /// Columns to read but not to forecast, such as a set point or the outdoor temperature [default: none]
    #[arg(long, value_name = "COLUMN,..", value_delimiter = ',')]
    past_covariates: Vec<String>,
    /// Columns to read but not to forecast whose next H values are known when a forecast is made, such as a schedule or a tariff.
    /// Training uses the recorded values as the known ones [default: none]
    #[arg(long, value_name = "COLUMN,..", value_delimiter = ',')]
    future_covariates: Vec<String>,
    /// CSV file of facts about the columns, such as kind, room or rating: a header, and a line per column with its name in the first
    /// cell. No run-time cost [default: none]
    #[arg(long, value_name = "FILE")]
    static_covariates: Option<PathBuf>,
    /// Do not use time of day and day of week (UTC). They are used otherwise if the training part has at least two weeks of times and
    /// they lower the validation error
    #[arg(long)]
    no_calendar: bool,
    /// Folder for the model (model.safetensors) and its errors (metrics.csv)
    #[arg(long, value_name = "DIR", default_value = "model")]
    out: PathBuf,
    /// Name in every forecast of the model [default: the name of the folder]
    #[arg(long)]
    name: Option<String>,
    /// Largest number of updates; fewer updates: faster, less accurate [default: about ten minutes on two cores]
    #[arg(long, value_name = "N")]
    updates: Option<usize>,
    /// Share of the readings to hide from the model in training, at random, for sensors that are often silent. Forecasts get
    /// less accurate where no reading is missing
    #[arg(long, value_name = "SHARE", default_value = "0")]
    missing_rate: Rate,
    /// Continue from the last checkpoint in the folder. The result is the same as without interruption
    #[arg(long)]
    resume: bool,
    /// Do not train the neural baselines (GRU and MLP). They take about a third of the time of the model's own network
    #[arg(long)]
    no_baselines: bool,
    /// Seed of every random choice: the same data, seed and machine give the same model
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Where to compute
    #[arg(long, value_enum, default_value_t = DeviceName::Cpu)]
    device: DeviceName,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reading: Reading,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DeviceName {
    /// Two threads
    Cpu,
    /// The first CUDA device
    Cuda,
}

impl Train {
    /// Trains, saves and reports.
    pub fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let (table, report) = self.reading.read(&self.data)?;
        super::common::print_report(&report);
        let table = table
            .with_covariates(&self.past_covariates, &self.future_covariates)?
            .hold_out(&self.hold_out)?;
        let statics = self.static_covariates.as_ref();
        let statics = statics.map(|path| StaticCovariates::read(path, &table.names)).transpose()?;
        let folder_name = || {
            self.out
                .file_name()
                .map_or("model".into(), |name| name.to_string_lossy().into_owned())
        };
        let options = TrainOptions {
            split: self.split,
            horizon: self.horizon.get(),
            name: self.name.clone().unwrap_or_else(folder_name),
            out: self.out.clone(),
            seed: self.seed,
            updates: self.updates,
            calendar: !self.no_calendar,
            statics,
            missing_rate: self.missing_rate,
            resume: self.resume,
            baselines: !self.no_baselines,
            device: self.device.open()?,
        };
        let style = ProgressStyle::with_template("{prefix:>8} {wide_bar} {pos}/{len} {msg} {eta} left")?;
        let bar = ProgressBar::new(0).with_style(style);
        let print = |line: String| bar.suspend(|| super::common::note(line));
        let trained = run(&table, &options, &mut |event| match event {
            Event::Warning(text) => print(format!("{}: {text}", table.path.display())),
            Event::Decision(text) | Event::Pace(text) | Event::Baselines(text) => print(text.to_owned()),
            Event::Training { name, progress, updates } => match progress {
                Progress::Update(update) => {
                    bar.set_prefix(name.to_owned());
                    bar.set_length(updates as u64);
                    bar.set_position(update as u64);
                }
                Progress::Validation { update, loss, score, best } => {
                    let message = format!("loss {loss:.3}, validation error / linear head {score:.3}, best {best:.3}");
                    if bar.is_hidden() && update % 1000 == 0 {
                        super::common::note(format_args!("{name}, update {update}: {message}"));
                    }
                    bar.set_message(message);
                }
            },
        });
        bar.finish_and_clear();
        let trained = trained?;
        if self.json {
            let outcome = json!({
                "bundle": trained.path,
                "split": [trained.split.train, trained.split.validation, trained.split.test],
                "decisions": trained.decisions,
                "device": trained.device,
                "samples_per_second": trained.samples_per_second,
                "validation": trained.validation,
                "test": trained.test,
            });
            writeln!(out, "{outcome}")?;
            return Ok(());
        }
        if let Some(test) = &trained.test {
            super::evaluate::note_left_out(test, &table);
            writeln!(
                out,
                "{} on {} of {}",
                options.name,
                table.part(&trained.split, Part::Test),
                table.path.display()
            )?;
            writeln!(out, "{}", super::evaluate::print(test))?;
            if !test.devices.is_empty() {
                writeln!(out, "{}", super::evaluate::print_devices(test))?;
            }
            writeln!(out, "{}", super::evaluate::summary(test))?;
        } else {
            let errors = trained
                .validation
                .iter()
                .map(|error| format!("{:.4} at {} steps", error.mse, error.horizon));
            let errors = errors.collect::<Vec<_>>().join(", ");
            writeln!(out, "{}: MSE on the validation part: {errors}", options.name)?;
        }
        writeln!(out, "{}", trained.path.display())?;
        Ok(())
    }
}

impl DeviceName {
    fn open(self) -> anyhow::Result<candle_core::Device> {
        match self {
            Self::Cpu => Ok(candle_core::Device::Cpu),
            // One stream for all threads. Otherwise each has its own, and none waits for what another has written.
            Self::Cuda if cfg!(feature = "cuda") => Ok(candle_core::Device::new_cuda_with_stream(0)?),
            Self::Cuda => anyhow::bail!("--device cuda: this build computes on the CPU only; build it with `--features cuda`"),
        }
    }
}
