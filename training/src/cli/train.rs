//! `tsm2 train`: from a recording to a model file.

use std::io::Write;
use std::path::PathBuf;

use crate::data::split::SplitSpec;
use crate::data::thin::Rate;
use crate::network::statics::Statics;
use crate::train::trainer::Progress;
use crate::train::{DEFAULT_HORIZON, Event, TrainOptions, run};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

/// Train a model on a recording and tell what it is worth.
///
/// The CSV may have any of the delimiters , ; tab |, a header or none, and a time column or none; gaps in time are filled as missing
/// readings. The network learns on the training part, every choice is made on the validation part, and the test part is only ever
/// measured on.
#[derive(Args)]
#[command(after_long_help = "Examples:
  tsm2 train --data building.csv --horizon 60 --out building
  tsm2 train --data building.csv --horizon 60 --past-covariates outdoor_temp,occupancy
  tsm2 train --data building.csv --horizon 60 --future-covariates outdoor_temp,occupancy
  tsm2 train --data building.csv --horizon 60 --static-covariates sensors.csv
  tsm2 train --data ETTh1.csv --split 8640,2880,2880 --horizon 96 --out etth1 --seed 1")]
pub struct Train {
    /// CSV of readings, oldest first
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Training, validation and test part, in rows or in fractions
    #[arg(long, value_name = "A,B,C", default_value = "0.7,0.1,0.2")]
    split: SplitSpec,
    /// Steps to forecast; the model serves every shorter horizon too
    #[arg(long, value_name = "H", default_value_t = DEFAULT_HORIZON)]
    horizon: usize,
    /// Columns to read but not to forecast, such as a set point or the weather outside [default: none]
    #[arg(long, value_name = "COLUMN,..", value_delimiter = ',')]
    past_covariates: Vec<String>,
    /// Columns whose next H values will be known when a forecast is made, such as a schedule, a tariff or a weather forecast; they are read and
    /// not forecast. Training takes the readings that came true for what was known [default: none]
    #[arg(long, value_name = "COLUMN,..", value_delimiter = ',')]
    future_covariates: Vec<String>,
    /// CSV of what is known of each column besides its readings, such as what it measures, where, or what its machine is rated for: a header, and a
    /// line per column whose first cell is its name. The device pays nothing for it [default: none]
    #[arg(long, value_name = "FILE")]
    static_covariates: Option<PathBuf>,
    /// Keep the time of day and the day of the week (UTC) from the model. It sees them otherwise, if the recording has times, trains on two weeks of
    /// them, and does better on the validation part
    #[arg(long)]
    no_calendar: bool,
    /// Folder for the model (model.safetensors), its metrics (metrics.csv) and its trained company (company.safetensors)
    #[arg(long, value_name = "DIR", default_value = "model")]
    out: PathBuf,
    /// Name published with every forecast [default: that of the folder]
    #[arg(long)]
    name: Option<String>,
    /// Updates of the network at most; fewer train faster and worse [default: as many as some ten minutes of two cores make]
    #[arg(long, value_name = "N")]
    updates: Option<usize>,
    /// Share of the readings that training shows as missing, at random, for sensors that are often silent; forecasts are then
    /// worse where all are there
    #[arg(long, value_name = "SHARE", default_value = "0")]
    missing_rate: Rate,
    /// Go on from the last checkpoint in the folder, to the same end as if never interrupted
    #[arg(long)]
    resume: bool,
    /// Do not train the GRU and the MLP that the model is compared with; together they take about a third of the time that its own
    /// network takes
    #[arg(long)]
    no_baselines: bool,
    /// Seed of every random choice: the same data, seed and machine make the same model
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Where to compute
    #[arg(long, value_enum, default_value_t = DeviceName::Cpu)]
    device: DeviceName,
    /// Print the outcome as one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DeviceName {
    /// All cores
    Cpu,
    /// The first CUDA device
    Cuda,
}

impl Train {
    /// Trains, saves and reports.
    pub fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let table = super::common::read_table(&self.data)?.with_covariates(&self.past_covariates, &self.future_covariates)?;
        let statics = self.static_covariates.as_ref();
        let statics = statics.map(|path| Statics::read(path, &table.names)).transpose()?;
        let folder_name = || {
            self.out
                .file_name()
                .map_or("model".into(), |name| name.to_string_lossy().into_owned())
        };
        let options = TrainOptions {
            split: self.split,
            horizon: self.horizon,
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
        let tell = |line: String| bar.suspend(|| super::common::note(line));
        let trained = run(&table, &options, &mut |event| match event {
            Event::Warning(text) => tell(format!("{}: {text}", self.data.display())),
            Event::Decision(text) | Event::Pace(text) | Event::Baselines(text) => tell(text.to_owned()),
            Event::Training { name, progress, updates } => match progress {
                Progress::Update(update) => {
                    bar.set_prefix(name.to_owned());
                    bar.set_length(updates as u64);
                    bar.set_position(update as u64);
                }
                Progress::Validation { update, loss, score, best } => {
                    let message = format!("loss {loss:.3}, validation {score:.3} of the linear head's error, best {best:.3}");
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
                "{} on rows {:?} of {}",
                options.name,
                trained.split.test_range(),
                self.data.display()
            )?;
            writeln!(out, "{}", super::evaluate::print(test))?;
            writeln!(out, "{}", super::evaluate::verdict(test))?;
        } else {
            let errors = trained
                .validation
                .iter()
                .map(|error| format!("{:.4} at {} steps", error.mse, error.horizon));
            let errors = errors.collect::<Vec<_>>().join(", ");
            writeln!(
                out,
                "{}: MSE on the validation part, on which every choice was made: {errors}",
                options.name
            )?;
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
