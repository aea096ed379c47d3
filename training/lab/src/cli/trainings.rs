//! Common to the commands that train many networks: seeds, progress, and a line per training.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use tsm2_train::cli::lines::{self, Cell, Csv};

/// Which trainings, and where their lines go.
#[derive(Args)]
pub struct Output {
    /// Seeds of the initial weights and of every draw, a training each
    #[arg(long, value_name = "S,..", value_delimiter = ',', default_value = "0")]
    pub seeds: Vec<u64>,
    /// Write a line per training as CSV to this file, as they are done, or to the standard output if it is -
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Print one JSON array, an object per training
    #[arg(long, conflicts_with = "csv")]
    json: bool,
}

impl Output {
    fn to_stdout(&self) -> bool {
        self.csv.as_ref().is_some_and(|path| path.as_os_str() == "-")
    }
}

/// Progress and lines of several trainings.
pub struct Trainings {
    bar: ProgressBar,
    file: Option<(PathBuf, Csv<File>)>,
    /// All lines so far.
    pub lines: Vec<Vec<Cell>>,
}

impl Trainings {
    /// `updates`: of all trainings with one seed.
    pub fn new(output: &Output, header: &[&str], updates: usize) -> anyhow::Result<Self> {
        let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} updates, {eta} left: {msg}")?;
        let bar = ProgressBar::new((updates * output.seeds.len()) as u64).with_style(style);
        let file = match &output.csv {
            Some(path) if !output.to_stdout() => {
                let named = |error: &dyn std::fmt::Display| anyhow!("{}: {error}", path.display());
                let file = File::create(path).map_err(|error| named(&error))?;
                Some((path.clone(), Csv::new(header, file).map_err(|error| named(&error))?))
            }
            _ => None,
        };
        Ok(Self {
            bar,
            file,
            lines: Vec::new(),
        })
    }

    /// The next training begins.
    pub fn begin(&self, name: String) {
        self.bar.set_message(name);
    }

    /// It has made an update.
    pub fn step(&self) {
        self.bar.inc(1);
    }

    /// So many updates of it are not made.
    pub fn skip(&self, updates: usize) {
        self.bar.inc(updates as u64);
    }

    /// A training is done.
    pub fn line(&mut self, line: Vec<Cell>) -> anyhow::Result<()> {
        if let Some((path, csv)) = &mut self.file {
            csv.write(&line).map_err(|error| anyhow!("{}: {error}", path.display()))?;
        }
        self.lines.push(line);
        Ok(())
    }

    /// All are done. Returns whether a table is still to be printed.
    pub fn end(self, output: &Output, header: &[&str], out: &mut impl Write) -> anyhow::Result<bool> {
        self.bar.finish_and_clear();
        if output.json {
            lines::json(header, &self.lines, out)?;
        } else if output.to_stdout() {
            lines::csv(header, &self.lines, out)?;
        }
        Ok(!output.json && !output.to_stdout())
    }
}
