//! `tsm2 train`: from a recording to a model file.

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::data::mask::Rate;
use crate::data::runs::Part;
use crate::data::split::SplitSpec;
use crate::data::table::Table;
use crate::evaluate::reported_horizons;
use crate::model::OpenModel;
use crate::network::static_covariates::StaticCovariates;
use crate::report::REPORT;
use crate::train::{Budget, DEFAULT_HORIZON, Event, Size, Stop, TrainOptions, Trained, run};
use anyhow::{anyhow, ensure};
use clap::{Args, ValueEnum};
use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};
use tsm2_bundle::Bundle;
use tsm2_core::Precision;
use tsm2_data::Report;

use super::progress::Progress;
use super::reading::Reading;
use super::subject::Opened;

/// Train a model on a recording.
///
/// The network learns on the training part. Every choice is made on the validation part, whose errors are printed. `tsm2 evaluate`
/// measures this model on the test part. Then the same choices are fitted to all rows, and that model is written. Ctrl-C ends with the best model so far; a second one ends at once.
#[derive(Args)]
#[command(after_long_help = "Examples:
  tsm2 train --data building.csv --horizon 60 --out building
  tsm2 train --data pump1.csv pump2.csv pump3.csv --hold-out pump3 --horizon 24
  tsm2 train --data pumps.csv --series pump --horizon 24
  tsm2 train --data building.csv --horizon 60 --out building --budget 2m
  tsm2 train --data building.csv --horizon 60 --out pico --size micro
  tsm2 train --data newer.csv --horizon 60 --out newer --from building/model.safetensors
  tsm2 train --data building.csv --horizon 60 --past-covariates outdoor_temp,occupancy
  tsm2 train --data building.csv --horizon 60 --future-covariates tariff
  tsm2 train --data building.csv --horizon 60 --static-covariates sensors.csv
  tsm2 train --data export.csv --time-format dmy --time-zone Europe/Berlin --interval 1m --aggregate mean
  tsm2 train --data ETTh1.csv --split 8640,2880,2880 --horizon 96 --out etth1 --seed 1")]
pub struct Train {
    /// The recording; a file for each device, or parts of one recording with --join. Devices need the same columns
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    data: Vec<PathBuf>,
    /// Devices that train nothing and choose nothing. The model is measured on all of their rows [default: none]
    #[arg(long, value_name = "DEVICE,..", value_delimiter = ',')]
    hold_out: Vec<String>,
    /// Training, validation and test part, in rows or in fractions
    #[arg(long, value_name = "A,B,C", default_value = "0.7,0.1,0.2")]
    split: SplitSpec,
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
    /// Do not use time of day and day of week (of --time-zone). They are used otherwise if the training part has at least two weeks of times and
    /// they lower the validation error
    #[arg(long)]
    no_calendar: bool,
    /// Folder for the model (model.safetensors), its report (report.html), its errors (metrics.csv) and the course of its training
    /// (curves.csv)
    #[arg(long, value_name = "DIR", default_value = "model")]
    out: PathBuf,
    /// Name in every forecast of the model [default: the name of the folder]
    #[arg(long)]
    name: Option<String>,
    /// Time for the training without its report, such as 90s, 10m or 2h: trials take up to a quarter, each neural baseline 15 % [default: a second for
    /// every 250 readings, from 20 s to 10 minutes]
    #[arg(long, value_name = "TIME")]
    budget: Option<jiff::SignedDuration>,
    /// Updates of each network in place of a time: the same data, seed and machine then give the same model
    #[arg(long, value_name = "N", conflicts_with = "budget")]
    updates: Option<usize>,
    /// Size of the model
    #[arg(long, value_enum, default_value_t = SizeName::Auto)]
    size: SizeName,
    /// Weights of the model in KiB at most, in place of a size [default: none]
    #[arg(long, value_name = "N", conflicts_with = "size")]
    max_kib: Option<usize>,
    /// Store the large matrices as 8-bit integers: a quarter of the size. The loss is printed
    #[arg(long)]
    int8: bool,
    /// Share of the readings to hide from the model in training, at random, for sensors that are often silent. Forecasts get
    /// less accurate where no reading is missing
    #[arg(long, value_name = "SHARE", default_value = "0")]
    missing_rate: Rate,
    /// Write the course of the training for TensorBoard too, into the folder's tensorboard
    #[arg(long)]
    tensorboard: bool,
    /// Continue from the last checkpoint in the folder. The result is the same as without interruption
    #[arg(long)]
    resume: bool,
    /// Continue from the network of an earlier model of the same columns and horizon, with this recording
    #[arg(long, value_name = "BUNDLE", conflicts_with = "static_covariates")]
    from: Option<PathBuf>,
    /// Do not train the neural baselines (GRU and MLP): all the time is the model's
    #[arg(long)]
    no_baselines: bool,
    /// Seed of every random choice
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
enum SizeName {
    /// The smallest whose error is within 1 % of the best
    Auto,
    /// 64 KiB at most, as 8-bit integers: for a microcontroller
    Micro,
    /// 256 KiB at most, as 8-bit integers: for a Raspberry Pi Zero
    Small,
    /// 1 MiB at most
    Base,
    /// The best of any size
    Large,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DeviceName {
    /// Two threads
    Cpu,
    /// The first CUDA device
    Cuda,
}

impl Train {
    fn size(&self) -> Size {
        let of_name = match self.size {
            SizeName::Auto | SizeName::Large => None,
            SizeName::Micro => Some(64),
            SizeName::Small => Some(256),
            SizeName::Base => Some(1024),
        };
        let is_int8 = self.int8 || matches!(self.size, SizeName::Micro | SizeName::Small);
        Size {
            most: self.max_kib.or(of_name).map(|kib| kib.saturating_mul(1024)),
            precision: if is_int8 { Precision::Int8 } else { Precision::Single },
            tie: if self.size == SizeName::Large { 0.0 } else { Size::default().tie },
        }
    }

    fn budget(&self) -> anyhow::Result<Option<Budget>> {
        let Some(time) = self.budget else {
            return Ok(self.updates.map(Budget::Updates));
        };
        let time = Duration::try_from(time).map_err(|_| anyhow!("--budget {time:#}: give at least 1 s"))?;
        ensure!(time >= Duration::from_secs(1), "--budget {time:?}: give at least 1 s");
        Ok(Some(Budget::Time(time)))
    }

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
            budget: self.budget()?,
            calendar: !self.no_calendar,
            size: self.size(),
            statics,
            missing_rate: self.missing_rate,
            tensorboard: self.tensorboard,
            resume: self.resume,
            from: self.from.as_deref().map(Bundle::open).transpose()?.map(Arc::new),
            baselines: !self.no_baselines,
            device: self.device.open()?,
            stop: Stop::default(),
        };
        let stop = options.stop.clone();
        // The first Ctrl-C ends with the best so far, the second at once.
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop.0))?;
            signal_hook::flag::register(signal, Arc::clone(&stop.0))?;
        }
        let mut progress = Progress::new();
        let trained = run(&table, &options, &mut |event| match event {
            Event::Warning(text) => progress.note(format_args!("{}: {text}", table.path.display())),
            Event::Decision(text) => progress.note(text),
            Event::Share { task, done } => progress.share(task, done),
            Event::End => progress.end(),
            Event::Progress { task, done, total, note } => progress.step(task, done, total, note),
        });
        progress.end();
        let trained = trained?;
        if stop.is_set() {
            super::common::note("ended early with the best so far; --resume goes on");
        }
        let page = trained.path.with_file_name(REPORT);
        let opened = opened(&trained, table, report)?;
        let table = &opened.table;
        let _ = std::fs::remove_file(&page); // that of an earlier model
        let written = match stop.is_set() {
            true => Err(anyhow::anyhow!("the training was ended early; tsm2 report writes one")),
            false => super::report::write(&opened, Part::Validation, &page),
        };
        let page = match written {
            Ok(_) => Some(page),
            // The model is there, whatever comes of its report.
            Err(error) => {
                super::common::note(format_args!("no report: {error:#}"));
                None
            }
        };
        if self.json {
            let outcome = json!({
                "bundle": trained.path,
                "measured": trained.measured,
                "report": page,
                "split": [trained.split.train, trained.split.validation, trained.split.test],
                "decisions": trained.decisions,
                "device": trained.device,
                "seconds": trained.used.as_secs_f64(),
                "validation": trained.validation,
                "linear_part": trained.linear,
            });
            writeln!(out, "{outcome}")?;
            return Ok(());
        }
        let (rows, data) = (table.part(&trained.split, Part::Validation), table.path.display());
        writeln!(
            out,
            "{} on the validation part, {rows} of {data}, after {:.0} s",
            options.name,
            trained.used.as_secs_f64()
        )?;
        let mut printed = super::common::printed(["steps", "MAE", "MSE", "MSE of the linear part"], 0);
        for (own, linear) in trained.validation.iter().zip(&trained.linear) {
            let number = |number: f64| format!("{number:.4}");
            printed.add_row([own.horizon.to_string(), number(own.mae), number(own.mse), number(linear.mse)]);
        }
        writeln!(out, "{printed}")?;
        let bundle = Bundle::open(&trained.path)?;
        let (step, forecast) = bundle.meta().config.operations();
        writeln!(
            out,
            "{}: {} KiB of weights, {} bytes of state a stream, {step} multiply-adds a time step and {forecast} a forecast",
            trained.path.display(),
            bundle.weight_bytes().div_ceil(1024),
            bundle.state_bytes()
        )?;
        if let Some(page) = page {
            writeln!(out, "Report on the validation rows, to open in a browser: {}", page.display())?;
        }
        if trained.split.test > 0 {
            let data = self.data.iter().map(|path| path.display().to_string());
            let reading = Reading::arguments(std::env::args_os().map(|word| word.to_string_lossy().into_owned()));
            let words: Vec<String> = data.chain(reading).map(|word| tsm2_data::quoted(&word)).collect();
            let (model, words) = (tsm2_data::quoted(&trained.path.display().to_string()), words.join(" "));
            writeln!(
                out,
                "Errors on the test rows, beside baselines: tsm2 evaluate --model {model} --data {words}"
            )?;
        }
        Ok(())
    }
}

/// The model that was trained, with the recording it was trained on.
fn opened(trained: &Trained, table: Table, report: Report) -> anyhow::Result<Opened> {
    let bundle = OpenModel::from(Bundle::open(&trained.measured)?);
    Ok(Opened {
        path: trained.path.clone(),
        is_before_refit: trained.measured != trained.path,
        scaler: super::common::scaler(bundle.meta()),
        horizons: reported_horizons(bundle.meta().config.horizon),
        bundle,
        table,
        report,
        split: trained.split,
    })
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
