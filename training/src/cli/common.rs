//! Common to several commands: start, opening a model and a recording, printing.

use std::fmt::Display;
use std::io::{self, Stdout, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::data::scale::Scaler;
use crate::data::split::{Split, SplitSpec};
use crate::data::table::Table;
use crate::model::OpenModel;
use anyhow::{anyhow, ensure};
use comfy_table::{CellAlignment, LineStyle, Table as Printed, TableStyle};
use tsm2_bundle::Metadata;
use tsm2_data::Report;

use super::reading::Reading;

/// Prints a note on stderr.
pub fn note(message: impl Display) {
    eprintln!("note: {message}");
}

/// An error with the file that it is about.
pub fn at<E: Display>(path: &Path) -> impl Fn(E) -> anyhow::Error {
    move |error| anyhow!("{}: {error}", path.display())
}

/// Prints how a recording was read, on stderr.
pub fn print_report(report: &Report) {
    eprint!("{}", report.brief());
}

/// Reads a recording without options.
///
/// # Errors
/// Whatever is wrong with the file.
pub fn read_table(path: &Path) -> anyhow::Result<Table> {
    let (table, report) = Reading::default().read(&[path.to_owned()])?;
    print_report(&report);
    Ok(table)
}

/// A model and the recording to run it on: the columns of the recording in the order of the model's variates; and how it was read.
///
/// # Errors
/// Whatever is wrong with the files; a column that is not there.
pub fn open(model: &Path, data: &[PathBuf], reading: &Reading) -> anyhow::Result<(OpenModel, Table, Report)> {
    let bundle = OpenModel::open(model)?;
    let names: Vec<String> = bundle.meta().variates.iter().map(|variate| variate.name.clone()).collect();
    let (mut table, report) = reading.read_columns(data, &names)?;
    let config = &bundle.meta().config;
    (table.past_covariates, table.future_covariates) = (config.past_covariates, config.future_covariates);
    // The neural baselines read the clock that the model reads.
    table.zone = bundle.zone().clone();
    print_report(&report);
    if let (Some(model), Some(data_ms)) = (bundle.meta().interval_ms, table.interval_ms)
        && model != data_ms
    {
        note(format_args!(
            "{}: a time step every {data_ms} ms; the model was trained on one every {model} ms (--interval {model}ms)",
            table.path.display()
        ));
    }
    Ok((bundle, table, report))
}

/// The split asked for, or else the one the model was trained with.
pub fn split(asked: Option<SplitSpec>, model: &Path, meta: &Metadata, table: &Table) -> anyhow::Result<Split> {
    let spec = match asked {
        Some(spec) => spec,
        None => {
            let trained = &meta.provenance;
            ensure!(
                trained.split != [0; 3],
                "{}: the split of its training is not known; give --split, such as 0.7,0.1,0.2",
                model.display()
            );
            if trained.data_sha256 != table.sha256 {
                note(format_args!(
                    "{}: not the file that the model was trained on; it is split in the same way",
                    table.path.display()
                ));
            }
            SplitSpec::Rows(trained.split)
        }
    };
    // A split of rows fits no shorter recording.
    let remedy = if asked.is_none() {
        "; give --split, such as 0.7,0.1,0.2"
    } else {
        ""
    };
    table
        .split(spec)
        .map_err(|error| anyhow!("{}: {error}{remedy}", table.path.display()))
}

/// The recording with the devices held out that are asked for, or else those that the training held out.
///
/// # Errors
/// A device that is not there; no device is left.
pub fn hold_out(asked: &[String], meta: &Metadata, table: Table) -> anyhow::Result<Table> {
    let trained = &meta.provenance.held_out;
    let (known, others): (Vec<_>, Vec<_>) = table.runs.devices().iter().partition(|device| trained.contains(&device.name));
    let known: Vec<String> = known.iter().map(|device| device.name.clone()).collect();
    if !asked.is_empty() {
        let is_other = |device: &&String| asked.contains(device) != trained.contains(device);
        if let Some(device) = asked.iter().chain(&known).find(is_other) {
            note(format_args!(
                "--hold-out: `{device}` was {} the training of {}: test rows may have trained it; leave --hold-out out",
                if trained.contains(device) { "held out of" } else { "part of" },
                meta.name
            ));
        }
        return Ok(table.hold_out(asked)?);
    }
    match others.is_empty() {
        true => Ok(table),
        false => Ok(table.hold_out(&known)?),
    }
}

/// The scaler of the model's training rows.
pub fn scaler(meta: &Metadata) -> Scaler {
    Scaler {
        mean: meta.variates.iter().map(|variate| variate.mean).collect(),
        std: meta.variates.iter().map(|variate| variate.std).collect(),
        ..Scaler::default()
    }
}

/// An empty table for the terminal: a line below the header, the first `left` columns aligned left and the others, being numbers, right.
pub fn printed(header: impl IntoIterator<Item = impl Display>, left: usize) -> Printed {
    let mut printed = Printed::new();
    printed.load_style(TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─')));
    printed.set_header(header.into_iter().map(|name| name.to_string()));
    printed.column_iter_mut().skip(left).for_each(|column| {
        column.set_cell_alignment(CellAlignment::Right);
    });
    printed
}

/// candle spreads its elementwise operations over a pool of spinning threads, which fight with the trainer's own two; only this variable
/// turns the pool off.
#[expect(
    unsafe_code,
    reason = "no other thread exists yet that could read the environment: this is called first in main"
)]
fn one_thread_for_candle() {
    const THREADS: &str = "CANDLE_NUM_THREADS";
    if std::env::var_os(THREADS).is_none() {
        // SAFETY: see the reason above.
        unsafe { std::env::set_var(THREADS, "1") };
    }
}

/// Runs a command with its standard output. An error is one line and exit code 1.
///
/// To be called first in `main`, while there is one thread.
pub fn main(command: impl FnOnce(&mut Stdout) -> anyhow::Result<()>) -> ExitCode {
    one_thread_for_candle();
    let mut out = io::stdout();
    let done = command(&mut out).and_then(|()| Ok(out.flush()?));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of the output has closed it.
        Err(error)
            if error
                .downcast_ref::<io::Error>()
                .is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) =>
        {
            ExitCode::SUCCESS
        }
        Err(error) => {
            // The messages of the libraries are whole sentences that already name their cause.
            eprintln!("error: {}", error.to_string().replace('\n', " "));
            ExitCode::FAILURE
        }
    }
}
