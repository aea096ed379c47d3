//! `tsm2-demo simulate`: writes a recording of the simulated building as CSV.

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use tsm2_demo::simulator::{Building, NAMES};

/// Write readings of the simulated building as CSV, one row a minute.
#[derive(Args)]
pub struct Simulate {
    /// Rows to write; a day has 1440
    #[arg(long)]
    rows: usize,
    /// The same seed gives the same readings
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Floor area in units of the usual building, such as 1.5; as many people
    #[arg(long, default_value_t = 1.0, value_parser = size)]
    size: f64,
    /// Time of the first row, RFC 3339; the default is a Monday
    #[arg(long, default_value = "2026-03-02T00:00:00Z")]
    start: Timestamp,
    /// File to write [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

fn size(text: &str) -> Result<f64, String> {
    let size = text.parse::<f64>().ok().filter(|size| (0.25..=4.0).contains(size));
    size.ok_or_else(|| "give a number from 0.25 to 4".into())
}

impl Simulate {
    /// Writes the rows.
    pub fn run(self) -> anyhow::Result<()> {
        match &self.out {
            Some(path) => {
                let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
                self.write(BufWriter::new(file))
                    .with_context(|| format!("cannot write to {}", path.display()))
            }
            None => super::process::printed(self.write(BufWriter::new(io::stdout().lock()))),
        }
    }

    fn write(&self, mut csv: impl Write) -> io::Result<()> {
        writeln!(csv, "time,{}", NAMES.join(","))?;
        for row in Building::of_size(self.seed, self.start.as_millisecond(), self.size).take(self.rows) {
            let time = Timestamp::from_millisecond(row.time_ms).map_err(io::Error::other)?;
            write!(csv, "{time}")?;
            for value in row.values {
                write!(csv, ",{value:.4}")?;
            }
            writeln!(csv)?;
        }
        csv.flush()
    }
}
