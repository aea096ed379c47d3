//! Builds of the daemon, and the daemon with and without its web page, under the same load in turn:
//! the processor time that a reading takes. The ratio holds on a machine that does other things.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tsm2_e2e::browser::script;
use tsm2_e2e::process::Running;
use tsm2_mqtt_testkit::mosquitto::free_port;

use crate::load::{LoadBed, keep_off_the_first_core};
use crate::table::Row;

/// Ticks of the processor time that Linux reports, per second.
const TICKS: f64 = 100.0;

/// What to compare.
#[derive(Debug, Clone)]
pub struct Ratio {
    /// What is run in turn; the first is the measure.
    pub cases: Vec<Case>,
    /// Streams.
    pub streams: usize,
    /// Readings per second, and for how long.
    pub rate: f64,
    /// Length of a trial.
    pub trial: Duration,
    /// Trials of each case; the fastest counts.
    pub rounds: u32,
}

/// A build of the daemon, and what becomes of its web page.
#[derive(Debug, Clone)]
pub struct Case {
    /// The program.
    pub daemon: PathBuf,
    /// Its page.
    pub page: WebPage,
}

/// The daemon's web page in a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebPage {
    /// There is none.
    Absent,
    /// Nobody looks at it.
    Served,
    /// Open in a headless Chromium.
    Open,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let page = match self.page {
            WebPage::Absent => "",
            WebPage::Served => ", with its page",
            WebPage::Open => ", with its page open in a browser",
        };
        write!(f, "{}{page}", self.daemon.display())
    }
}

/// What a reading costs in one of the cases.
#[derive(Debug, Clone)]
pub struct Cost {
    /// The case.
    pub case: Case,
    /// Processor time of a reading, from the message to the durable state and the forecast: in each trial.
    pub trials_us: Vec<f64>,
    /// Of the fastest trial, in units of the first case's.
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
            self.case.to_string(),
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
    /// A daemon that does not start, or whose forecasts do not come; a page that cannot be opened.
    pub fn run(&self, mut on: impl FnMut(&str)) -> anyhow::Result<Vec<Cost>> {
        // Neither broker nor browser share the daemon's core.
        keep_off_the_first_core()?;
        let costs = self.cases.iter().map(|case| Cost {
            case: case.clone(),
            trials_us: Vec::new(),
            ratio: 1.0,
        });
        let mut costs: Vec<Cost> = costs.collect();
        for _ in 0..self.rounds {
            for cost in &mut costs {
                let time_us = self.trial(&cost.case).with_context(|| cost.case.to_string())?;
                on(&format!("{}: {time_us:.1} µs", cost.case));
                cost.trials_us.push(time_us);
            }
        }
        let measure = costs.first().map_or(1.0, Cost::fastest_us);
        costs.iter_mut().for_each(|cost| cost.ratio = cost.fastest_us() / measure);
        Ok(costs)
    }

    fn trial(&self, case: &Case) -> anyhow::Result<f64> {
        let start = |arguments: &[&str]| Running::start_on_one_core(&case.daemon, arguments);
        let port = free_port();
        let http = match case.page {
            WebPage::Absent => String::new(),
            WebPage::Served | WebPage::Open => format!("http.listen = '127.0.0.1:{port}'"),
        };
        let mut bed = LoadBed::start(self.streams, start, &http)?;
        // New streams cost more than known ones.
        bed.trial(1000.0, Duration::from_secs(1), self.trial)?;
        let _viewer = (case.page == WebPage::Open).then(|| Viewer::open(port)).transpose()?;
        let (begun, first) = (processor_time(bed.daemon())?, bed.sent());
        bed.trial(self.rate, self.trial, self.trial)?;
        let (time, readings) = (processor_time(bed.daemon())? - begun, bed.sent() - first);
        ensure!(bed.missing() == 0, "{} forecasts did not come", bed.missing());
        Ok(time / readings as f64 * 1e6)
    }
}

/// A browser that shows the page and follows it until this is dropped.
struct Viewer(Child);

impl Viewer {
    fn open(port: u16) -> anyhow::Result<Self> {
        let mut script = script("watch.mjs", [format!("http://127.0.0.1:{port}/")]).context("no browser")?;
        let browser = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut viewer = Viewer(browser);
        let stdout = viewer.0.stdout.take().context("a pipe")?;
        match BufReader::new(stdout).lines().next() {
            Some(Ok(line)) if line == "open" => Ok(viewer),
            _ => bail!("the page does not open"),
        }
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        // The script ends the browser at the end of its input.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
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
