//! Two builds of the daemon under the same load, in turn: the processor time that a reading takes. The
//! ratio holds on a machine that does other things.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use tsm2_e2e::process::Running;

use crate::load::LoadBed;
use crate::table::Row;

/// Ticks of the processor time that Linux reports, per second.
const TICKS: f64 = 100.0;

/// What to compare.
#[derive(Debug, Clone)]
pub struct Ratio {
    /// The programs; the first is the measure.
    pub daemons: Vec<PathBuf>,
    /// Streams.
    pub streams: usize,
    /// Readings per second, and for how long.
    pub rate: f64,
    /// Length of a trial.
    pub trial: Duration,
    /// Trials of each program; the fastest counts.
    pub rounds: u32,
}

/// What a reading costs one of the programs.
#[derive(Debug, Clone)]
pub struct Cost {
    /// The program.
    pub daemon: PathBuf,
    /// Processor time of a reading, from the message to the durable state and the forecast: in each trial.
    pub trials_us: Vec<f64>,
    /// Of the fastest trial, in units of the first program's.
    pub ratio: f64,
}

impl Cost {
    fn fastest_us(&self) -> f64 {
        self.trials_us.iter().copied().fold(f64::INFINITY, f64::min)
    }
}

impl Row for Cost {
    const COLUMNS: &'static [&'static str] = &["daemon", "µs of each trial", "fastest", "readings/s of one core", "ratio"];

    fn cells(&self) -> Vec<String> {
        let trials: Vec<String> = self.trials_us.iter().map(|time| format!("{time:.1}")).collect();
        let fastest = self.fastest_us();
        vec![
            self.daemon.display().to_string(),
            trials.join(", "),
            format!("{fastest:.1}"),
            format!("{:.0}", 1e6 / fastest),
            format!("{:.3}", self.ratio),
        ]
    }
}

impl Ratio {
    /// Runs all trials.
    ///
    /// # Errors
    /// A daemon that does not start, or whose forecasts do not come.
    pub fn run(&self, mut on: impl FnMut(&str)) -> anyhow::Result<Vec<Cost>> {
        let costs = self.daemons.iter().map(|daemon| Cost {
            daemon: daemon.clone(),
            trials_us: Vec::new(),
            ratio: 1.0,
        });
        let mut costs: Vec<Cost> = costs.collect();
        for _ in 0..self.rounds {
            for cost in &mut costs {
                let time_us = self.trial(&cost.daemon).with_context(|| cost.daemon.display().to_string())?;
                on(&format!("{}: {time_us:.1} µs", cost.daemon.display()));
                cost.trials_us.push(time_us);
            }
        }
        let measure = costs.first().map_or(1.0, Cost::fastest_us);
        costs.iter_mut().for_each(|cost| cost.ratio = cost.fastest_us() / measure);
        Ok(costs)
    }

    fn trial(&self, daemon: &Path) -> anyhow::Result<f64> {
        let start = |arguments: &[&str]| Running::start_on_one_core(daemon, arguments);
        let mut bed = LoadBed::start(self.streams, start)?;
        // New streams cost more than known ones.
        bed.trial(1000.0, Duration::from_secs(1), self.trial)?;
        let (begun, first) = (processor_time(bed.daemon())?, bed.sent());
        bed.trial(self.rate, self.trial, self.trial)?;
        let (time, readings) = (processor_time(bed.daemon())? - begun, bed.sent() - first);
        ensure!(bed.missing() == 0, "{} forecasts did not come", bed.missing());
        Ok(time / readings as f64 * 1e6)
    }
}

/// Seconds of processor time that a process and its threads have used.
fn processor_time(process: u32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name of the program, in parentheses, may have spaces.
    let fields = stat.rsplit_once(')').context("a process has a name")?.1;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / TICKS)
}
