//! Bytes that the daemon sends to the disk, as the kernel counts them.
//!
//! Readings are published as fast as the daemon takes them, stamped a minute apart. The streams'
//! readings of a minute are published together, and the next minute follows when all forecasts of
//! this one have come and all its readings are durable.

use std::path::PathBuf;

use anyhow::{Context, ensure};

use crate::minutes::Minutes;
use crate::table::Row;

/// What to measure.
#[derive(Debug, Clone)]
pub struct Bytes {
    /// The bundle.
    pub model: PathBuf,
    /// Numbers of streams.
    pub streams: Vec<usize>,
    /// Minutes of readings.
    pub minutes: u64,
}

/// The figures of a number of streams.
#[derive(Debug, Clone)]
pub struct Written {
    streams: usize,
    minutes: u64,
    /// `write_bytes` of the daemon.
    written: u64,
    /// Size of the state's folder.
    stored: u64,
}

impl Row for Written {
    const COLUMNS: &'static [&'static str] = &["streams", "minutes", "written a day, MB", "state on disk, MB"];

    fn cells(&self) -> Vec<String> {
        let days = self.minutes as f64 / 1440.0;
        vec![
            self.streams.to_string(),
            self.minutes.to_string(),
            format!("{:.1}", self.written as f64 / 1e6 / days),
            format!("{:.1}", self.stored as f64 / 1e6),
        ]
    }
}

impl Bytes {
    /// Measures each number of streams.
    ///
    /// # Errors
    /// Mosquitto is not installed, the bundle cannot be read, or the daemon does not go on.
    pub fn run(&self) -> anyhow::Result<Vec<Written>> {
        self.streams.iter().map(|streams| self.row(*streams)).collect()
    }

    fn row(&self, streams: usize) -> anyhow::Result<Written> {
        let mut site = Minutes::new(&self.model, streams)?;
        let daemon = site.start()?;
        for _ in 0..self.minutes {
            site.minute()?;
            site.is_durable();
        }
        let written = written_bytes(daemon.id())?;
        ensure!(
            written > 0,
            "{} is in memory: set TMPDIR to a folder on a disk",
            site.state().display()
        );
        daemon.kill();
        Ok(Written {
            streams,
            minutes: self.minutes,
            written,
            stored: site.state_bytes()?,
        })
    }
}

/// `write_bytes` of a process.
fn written_bytes(process: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{process}/io");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}: Linux only"))?;
    let bytes = text.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    bytes
        .and_then(|bytes| bytes.parse().ok())
        .with_context(|| format!("{path} has no write_bytes"))
}
