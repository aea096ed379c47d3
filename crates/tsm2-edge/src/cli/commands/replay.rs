//! `tsm2-edge replay`: publishes a CSV as sensors would.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Instant;

use crate::cli::replay;
use crate::cli::table::Table;
use crate::config::{Log, LogLevel};
use anyhow::{Context, bail, ensure};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
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
    /// Columns of which what comes is told ahead, as a schedule or a forecast would: a retained message every 60 rows tells of the next 780
    #[arg(long, value_name = "COLUMN,..", value_delimiter = ',')]
    known_ahead: Vec<String>,
    /// Topic of what is known ahead
    #[arg(long, default_value = "known-ahead/{stream}/{variate}", value_name = "TEMPLATE")]
    known_ahead_topic: String,
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
        crate::observe::log::to_stderr(&Log::text(LogLevel::Info));
        ensure!(
            self.speed >= 0.0 && self.speed.is_finite(),
            "--speed {} is no multiple of real time",
            self.speed
        );
        let template = Template::parse(&self.topic).context("--topic")?;
        let ahead_template = Template::parse(&self.known_ahead_topic).context("--known-ahead-topic")?;
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
        let column = |name| {
            let column = table.names.iter().position(|column| column == name);
            let column = column.with_context(|| format!("--known-ahead: {}: there is no column {name:?}", self.data.display()))?;
            Ok((column, name))
        };
        let ahead = self
            .known_ahead
            .iter()
            .map(String::as_str)
            .map(column)
            .collect::<anyhow::Result<Vec<_>>>()?;
        let rows = table.slice(self.rows.clone());
        ensure!(
            !rows.is_empty(),
            "{}: --rows starts at {}, but there are {} rows",
            self.data.display(),
            self.rows.start,
            table.rows.len()
        );

        let messages = |index: usize| {
            let known = ahead
                .iter()
                .filter_map(|&column| replay::known_ahead(&ahead_template, &stream, column, rows, index));
            known
                .chain(replay::messages(&template, &stream, &table.names, &rows[index]))
                .collect()
        };
        let options = SessionOptions::new(host, port, format!("tsm2-replay-{}", std::process::id()));
        let started = Instant::now();
        let bar = ProgressBar::new(rows.len() as u64);
        bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} rows  {per_sec}  {eta} left")?);
        super::runtime()?.block_on(async {
            let signal = super::end_signal().context("cannot listen for signals")?;
            let (session, publisher, _) = Session::start(options)?;
            let played = tokio::select! {
                played = replay::play(&publisher, rows, self.speed, messages, |done| bar.set_position(done as u64)) => played,
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
