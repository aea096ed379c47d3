//! `tsm2-edge replay`: publishes a CSV as sensors would.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tsm2_edge::config::{Log, LogLevel};
use tsm2_edge::replay;
use tsm2_edge::table::Table;
use tsm2_mqtt::{Session, SessionOptions, Template, topic_level};

/// Publish the rows of a CSV as sensors would, the time in the payload's field `time`.
#[derive(Args)]
pub struct Replay {
    /// CSV with a header and a column of times
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Multiple of real time; 0 is as fast as the broker acknowledges
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// Topic; with {variate} one message per value, without one JSON object per row
    #[arg(long, default_value = "sensors/{stream}/telemetry", value_name = "TEMPLATE")]
    topic: String,
    /// Name of the stream [default: the file's name]
    #[arg(long, value_name = "NAME")]
    stream: Option<String>,
    /// Broker's address
    #[arg(long, default_value = "localhost:1883", value_name = "HOST:PORT")]
    broker: String,
    /// Rows to publish, counted from 0, the end not included: 100..200, ..200 or 100..
    #[arg(long, value_parser = parse_range, default_value = "..", value_name = "A..B")]
    rows: Range<usize>,
    /// Print a summary as JSON at the end
    #[arg(long)]
    json: bool,
}

impl Replay {
    /// Publishes and waits until the broker has everything.
    pub fn run(self) -> anyhow::Result<()> {
        super::log::to_stderr(&Log::text(LogLevel::Info));
        ensure!(
            self.speed >= 0.0 && self.speed.is_finite(),
            "--speed {} is no multiple of real time",
            self.speed
        );
        let template = Template::parse(&self.topic).context("--topic")?;
        let (host, port) = self.broker.rsplit_once(':').context("--broker wants HOST:PORT")?;
        let port = port.parse().with_context(|| format!("--broker: {port:?} is no port"))?;
        let file_name = || {
            self.data
                .file_stem()
                .map(|stem| stem.to_string_lossy().into_owned())
                .unwrap_or_default()
        };
        let stream = topic_level(&self.stream.clone().unwrap_or_else(file_name));
        ensure!(!stream.is_empty(), "--stream is empty");
        let table = Table::open(&self.data)?;
        let rows = table.slice(self.rows.clone());
        ensure!(
            !rows.is_empty(),
            "{}: --rows starts at {}, but there are {} rows",
            self.data.display(),
            self.rows.start,
            table.rows.len()
        );

        let options = SessionOptions::new(host, port, format!("tsm2-replay-{}", std::process::id()));
        let started = Instant::now();
        let bar = ProgressBar::new(rows.len() as u64);
        bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} rows  {per_sec}  {eta} left")?);
        super::runtime()?.block_on(async {
            let signal = super::end_signal().context("cannot listen for signals")?;
            let (session, publisher, _) = Session::start(options)?;
            let played = tokio::select! {
                played = replay::play(&publisher, &template, &stream, &table.names, rows, self.speed, |done| bar.set_position(done as u64)) => played,
                () = signal => bail!("interrupted after {} of {} rows", bar.position(), rows.len()),
            };
            session.shutdown().await;
            ensure!(played, "the session ended early");
            anyhow::Ok(())
        })?;
        bar.finish_and_clear();
        let seconds = started.elapsed().as_secs_f64();
        if self.json {
            super::print(json!({ "rows": rows.len(), "stream": stream, "seconds": seconds }))
        } else {
            super::print(format_args!("{} rows of {stream} published in {seconds:.1} s", rows.len()))
        }
    }
}

pub fn parse_range(text: &str) -> Result<Range<usize>, String> {
    let (start, end) = text.split_once("..").ok_or("write a range as A..B")?;
    let bound = |text: &str, open: usize| match text {
        "" => Ok(open),
        text => text.parse().map_err(|_| format!("{text:?} is no row number")),
    };
    let range = bound(start, 0)?..bound(end, usize::MAX)?;
    if range.is_empty() {
        Err("the range is empty".into())
    } else {
        Ok(range)
    }
}
