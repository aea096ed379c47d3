//! `tsm2 describe`: how a recording is read.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::reading::Reading;

/// Width of the report.
const WIDTH: usize = 110;

/// Show how a recording is read: times, time steps, columns, missing readings, warnings.
#[derive(Args)]
#[command(after_long_help = "Examples:
  tsm2 describe building.csv
  tsm2 describe export.csv --time-format dmy --time-zone Europe/Berlin
  tsm2 describe export.csv --json")]
pub struct Describe {
    /// The recording, or several files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Print the report as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reading: Reading,
}

impl Describe {
    /// Reads and reports.
    pub fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let report = self.reading.report(&self.files)?;
        match self.json {
            true => writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?,
            false => write!(out, "{}", report.drawing(WIDTH))?,
        }
        Ok(())
    }
}
