//! `endurance`: the fault suite, the soak and the load test as commands.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use clap::{Parser, Subcommand, ValueEnum};
use tsm2_endurance::faults::{Fault, Scale};
use tsm2_endurance::ratio::WebPage;
use tsm2_endurance::result::FaultResult;
use tsm2_endurance::{bytes, decode, fuzz, load, ratio, soak, start, table};

/// The daemon under faults, under load and for a long time.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Every fault, one after the other, against mosquitto; fails when a reading is lost or counts twice
    Faults(Faults),
    /// Many streams and a simulated month of readings, as fast as the machine goes; fails when one is lost or counts twice
    Soak(Soak),
    /// The highest rate of readings that the daemon sustains on one core, and how long a forecast takes
    Load(Load),
    /// Builds of the daemon, or the daemon with its web page open, under the same load in turn: the processor time of a reading
    Ratio(Ratio),
    /// Bytes that the daemon writes to the disk in a day
    Bytes(Bytes),
    /// How fast the daemon starts with many stored streams and replays their logs
    Start(Start),
    /// What reading a message costs in each form, beside a plain JSON parser and the whole way to a forecast
    Decode(Decode),
    /// A fuzz target on inputs derived from its corpus, without libFuzzer; fails on the first panic
    Fuzz(Fuzz),
}

#[derive(clap::Args)]
struct Faults {
    /// Seed of all rng
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How often the daemon is killed
    #[arg(long, default_value_t = 200)]
    kills: u32,
    /// Only these faults, by comma
    #[arg(long, value_delimiter = ',')]
    only: Vec<Fault>,
    /// Also write the table there
    #[arg(long)]
    csv: Option<PathBuf>,
}

impl Faults {
    async fn run(self) -> anyhow::Result<()> {
        let scale = Scale::full(self.seed, self.kills);
        let faults = if self.only.is_empty() {
            Fault::value_variants()
        } else {
            &self.only[..]
        };
        let mut results = Vec::new();
        for fault in faults {
            let begun = std::time::Instant::now();
            let (fault, scale) = (*fault, scale.clone());
            let run = tokio::spawn(async move { fault.run(&scale).await }).await;
            let result = run.unwrap_or_else(|error| FaultResult {
                fault: format!("{fault:?}"),
                complaints: vec![format!("the scenario broke off: {error}")],
                ..FaultResult::default()
            });
            eprintln!(
                "{}: {} after {:.0} s",
                result.fault,
                if result.holds() { "holds" } else { "DOES NOT HOLD" },
                begun.elapsed().as_secs_f64()
            );
            results.push(result);
        }
        let notes: String = results.iter().map(FaultResult::notes).collect();
        println!("{}\n\n{notes}", table::markdown(&results));
        if let Some(path) = self.csv {
            table::write_csv(&path, &results)?;
        }
        if !results.iter().all(|result| result.holds()) {
            bail!("something was lost, counted twice or forecast wrong");
        }
        Ok(())
    }
}

#[derive(clap::Args)]
struct Soak {
    /// Streams
    #[arg(long, default_value_t = 1000)]
    streams: usize,
    /// Days of readings, one a minute
    #[arg(long, default_value_t = 30.0)]
    days: f64,
    /// End early after so many minutes of real time
    #[arg(long, default_value_t = 600)]
    minutes: u64,
    /// Streams that come with a name of their own and go, per second
    #[arg(long, default_value_t = 5)]
    names: usize,
    /// Connections that publish
    #[arg(long, default_value_t = 4)]
    publishers: usize,
    /// Where a line of memory, file size and open files goes every few seconds
    #[arg(long)]
    csv: Option<PathBuf>,
}

impl Soak {
    fn run(self) -> anyhow::Result<()> {
        let soak = soak::Soak {
            streams: self.streams,
            rows: (self.days * 24.0 * 60.0) as u64,
            limit: Duration::from_secs(60 * self.minutes),
            names_per_s: self.names,
            publishers: self.publishers,
            csv: self.csv,
            every: Duration::from_secs(5),
        };
        let outcome = soak.run()?;
        print!("{}", outcome.report());
        if !outcome.holds() {
            bail!("something was lost, counted twice or forecast wrong");
        }
        Ok(())
    }
}

#[derive(clap::Args)]
struct Load {
    /// Numbers of streams, by comma
    #[arg(long, value_delimiter = ',', default_value = "1,100,10000")]
    streams: Vec<usize>,
    /// Length of a trial
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Also write the table there
    #[arg(long)]
    csv: Option<PathBuf>,
}

impl Load {
    fn run(self) -> anyhow::Result<()> {
        let load = load::Load {
            streams: self.streams,
            trial: Duration::from_secs_f64(self.seconds),
            rates: (500.0, 200_000.0),
            drained: Duration::from_secs(1),
        };
        let rows = load.run(|line| eprintln!("{line}"))?;
        println!("{}", table::markdown(&rows));
        if let Some(path) = self.csv {
            table::write_csv(&path, &rows)?;
        }
        if rows.iter().any(|row| row.total.0 != row.total.1) {
            bail!("readings were lost or counted twice");
        }
        Ok(())
    }
}

#[derive(clap::Args)]
struct Ratio {
    /// The programs; the first is the measure
    #[arg(required = true)]
    daemons: Vec<PathBuf>,
    /// Each also with its web page, which nobody looks at, and with the page open in a headless Chromium
    #[arg(long)]
    page: bool,
    /// Streams
    #[arg(long, default_value_t = 100)]
    streams: usize,
    /// Readings per second
    #[arg(long, default_value_t = 4000.0)]
    rate: f64,
    /// Length of a trial
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Trials of each; the fastest counts
    #[arg(long, default_value_t = 5)]
    rounds: u32,
}

impl Ratio {
    fn run(self) -> anyhow::Result<()> {
        let pages = match self.page {
            true => &[WebPage::Absent, WebPage::Served, WebPage::Open][..],
            false => &[WebPage::Absent],
        };
        let case = |daemon: &PathBuf, page: WebPage| ratio::Case {
            daemon: daemon.clone(),
            page,
        };
        let cases = self
            .daemons
            .iter()
            .flat_map(|daemon| pages.iter().map(move |&page| case(daemon, page)));
        let ratio = ratio::Ratio {
            cases: cases.collect(),
            streams: self.streams,
            rate: self.rate,
            trial: Duration::from_secs_f64(self.seconds),
            rounds: self.rounds,
        };
        println!("{}", table::markdown(&ratio.run(|line| eprintln!("{line}"))?));
        Ok(())
    }
}

#[derive(clap::Args)]
struct Bytes {
    /// Numbers of streams, by comma
    #[arg(long, value_delimiter = ',', default_value = "1,100")]
    streams: Vec<usize>,
    /// Minutes of readings, one a minute and stream
    #[arg(long, default_value_t = 1440)]
    minutes: u64,
    /// The bundle
    #[arg(long, default_value = "models/building/model.safetensors")]
    model: PathBuf,
}

impl Bytes {
    fn run(self) -> anyhow::Result<()> {
        let bytes = bytes::Bytes {
            model: self.model,
            streams: self.streams,
            minutes: self.minutes,
        };
        println!("{}", table::markdown(&bytes.run()?));
        Ok(())
    }
}

#[derive(clap::Args)]
struct Start {
    /// Numbers of streams, by comma
    #[arg(long, value_delimiter = ',', default_value = "1000")]
    streams: Vec<usize>,
    /// Rows behind the checkpoint of each stream
    #[arg(long, default_value_t = 150)]
    rows: u64,
    /// The bundle
    #[arg(long, default_value = "models/building/model.safetensors")]
    model: PathBuf,
}

impl Start {
    fn run(self) -> anyhow::Result<()> {
        let start = start::Start {
            model: self.model,
            streams: self.streams,
            tail: self.rows,
        };
        println!("{}", table::markdown(&start.run()?));
        Ok(())
    }
}

#[derive(clap::Args)]
struct Decode {
    /// How often each form is measured, in turn; the fastest counts
    #[arg(long, default_value_t = 20)]
    rounds: u32,
}

impl Decode {
    fn run(self) -> anyhow::Result<()> {
        println!("{}", table::markdown(&decode::run(self.rounds)?));
        Ok(())
    }
}

#[derive(clap::Args)]
struct Fuzz {
    /// Targets, by comma
    #[arg(value_delimiter = ',', required = true)]
    targets: Vec<String>,
    /// Inputs for each
    #[arg(long, default_value_t = 10_000_000)]
    inputs: u64,
    /// Seed of all rng
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Fuzz {
    fn run(self) -> anyhow::Result<()> {
        for target in &self.targets {
            let begun = std::time::Instant::now();
            let mut shown = 0;
            let longest = fuzz::run(target, self.inputs, self.seed, |inputs| {
                let seconds = begun.elapsed().as_secs();
                if seconds >= shown + 10 {
                    shown = seconds;
                    eprintln!("{target}: {inputs} of {} after {seconds} s", self.inputs);
                }
            })?;
            let seconds = begun.elapsed().as_secs_f64();
            let longest_ms = longest.as_millis();
            println!(
                "{target}: {} inputs, {seconds:.0} s, no panic; the slowest took {longest_ms} ms",
                self.inputs
            );
        }
        Ok(())
    }
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Faults(faults) => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(faults.run())
        }
        Command::Soak(soak) => soak.run(),
        Command::Load(load) => load.run(),
        Command::Ratio(ratio) => ratio.run(),
        Command::Bytes(bytes) => bytes.run(),
        Command::Start(start) => start.run(),
        Command::Decode(decode) => decode.run(),
        Command::Fuzz(fuzz) => fuzz.run(),
    }
}
