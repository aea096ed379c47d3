//! `tsm2-edge replay`: publishes a recording as sensors would send it.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use clap::Args;
use serde_json::json;
use tracing::warn;
use tsm2_data::{Options, Recording, Series, Steps};
use tsm2_mqtt::{Session, SessionOptions, Template, topic_level};

use super::common;
use super::connection::Connection;
use super::playback::{Messages, play};
use crate::config::{Config, Log, LogLevel, Warnings};
use crate::observe::log;

/// Publish a recording as sensors would send it, with the time in the field `time`
#[derive(Args)]
#[command(after_long_help = "Examples:
  tsm2-edge replay --data ETTh1.csv --speed 3600
  tsm2-edge replay --data boiler.csv --config tsm2-edge.toml
  tsm2-edge replay --data boiler.csv --broker broker.site:8883 --ca-file ca.pem \\
      --username boiler --password-file secret")]
pub(super) struct Replay {
    /// Recording: a CSV or another table with a column of times
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Multiple of real time; 0: as fast as the broker acknowledges
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// Topic; with {variate} one message per value, without it one JSON object per row
    /// [default: sensors/{stream}/telemetry, or input.topic of --config]
    #[arg(long, value_name = "TEMPLATE")]
    topic: Option<String>,
    /// Future covariates: a retained message every 60 rows publishes the next 780 values
    #[arg(long, value_name = "COLUMN,..", value_delimiter = ',')]
    future_covariates: Vec<String>,
    /// Topic of the future covariates
    /// [default: future-covariates/{stream}/{variate}, or input.future_covariates_topic of --config]
    #[arg(long, value_name = "TEMPLATE")]
    future_covariates_topic: Option<String>,
    /// Name of the stream [default: the file's name]
    #[arg(long, value_name = "NAME")]
    stream: Option<String>,
    /// Rows to publish, counted from 0, without the end: 100..200, ..200 or 100..
    #[arg(long, value_parser = common::parse_range, default_value = "..", value_name = "A..B")]
    rows: Range<usize>,
    /// Print a summary as JSON at the end
    #[arg(long)]
    json: bool,
    /// Configuration of the daemon: its broker, credentials, TLS and topics
    #[arg(long, value_name = "FILE", conflicts_with_all = ["broker", "username", "tls", "ca_file", "cert_file"])]
    config: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

impl Replay {
    pub(super) fn run(self) -> anyhow::Result<()> {
        log::to_stderr(&Log::text(LogLevel::Info));
        ensure!(
            self.speed >= 0.0 && self.speed.is_finite(),
            "--speed is {}; set it to 0 or a multiple of real time",
            self.speed
        );
        let config = self.config.as_deref().map(Config::load).transpose()?;
        let template = |key, own: &Option<String>, configured: Option<&String>, default: &str| {
            let text = own.as_ref().or(configured).map_or(default, String::as_str);
            Template::parse(text).context(key)
        };
        let input = config.as_ref().map(|config| &config.input);
        let topic = input.map(|input| &input.topic);
        ensure!(
            self.topic.is_some() || topic.is_none_or(|topic| !topic.is_empty()),
            "the configuration has sections [[source]]; set --topic to the topic of the rows"
        );
        let topic = template("--topic", &self.topic, topic, "sensors/{stream}/telemetry")?;
        ensure!(
            !topic.has_any(),
            "--topic: {:?} contains '+', and a message has one topic; write the level",
            topic.as_str()
        );
        let future_topic = input.and_then(|input| input.future_covariates_topic.as_ref());
        let default = "future-covariates/{stream}/{variate}";
        let future_topic = template("--future-covariates-topic", &self.future_covariates_topic, future_topic, default)?;
        let session = self.session(config.as_ref())?;
        let stream = self.stream_name(config.as_ref())?;

        let recording = read(&self.data)?;
        let series = one_series(&self.data, &recording)?;
        let rows = self.rows.start.min(series.times_ms.len())..self.rows.end.min(series.times_ms.len());
        ensure!(
            !rows.is_empty(),
            "{}: --rows starts at {}, but there are {} rows",
            self.data.display(),
            self.rows.start,
            series.times_ms.len()
        );
        let messages = Messages {
            topic: &topic,
            future_topic: &future_topic,
            stream: &stream,
            recording: &recording,
            series,
            future: self.future_variates(&recording)?,
        };
        let started = Instant::now();
        let bar = common::bar(rows.len(), "{pos}/{len} rows  {per_sec}")?;
        common::runtime()?.block_on(async {
            let signal = common::end_signal().context("cannot listen for signals")?;
            let (session, publisher, _) = Session::start(session)?;
            let (times, first) = (&series.times_ms[rows.clone()], rows.start);
            let progress = |done| bar.set_position(done as u64);
            let played = tokio::select! {
                played = play(&publisher, times, self.speed, |row| messages.of_row(first + row), progress) => played,
                () = signal => bail!("interrupted after {} of {} rows", bar.position(), rows.len()),
            };
            session.shutdown().await;
            ensure!(played, "the session ended before the recording");
            anyhow::Ok(())
        })?;
        bar.finish_and_clear();
        let seconds = started.elapsed().as_secs_f64();
        match self.json {
            true => common::print(json!({ "rows": rows.len(), "stream": stream, "seconds": seconds })),
            false => common::print(format_args!("{} rows of {stream} published in {seconds:.1} s", rows.len())),
        }
    }

    /// The session: the daemon's broker, or the one of the arguments, under a client id of its own.
    fn session(&self, config: Option<&Config>) -> anyhow::Result<SessionOptions> {
        let mut broker = match config {
            Some(config) => config.broker.clone(),
            None => self.connection.broker()?,
        };
        broker.client_id = format!("tsm2-replay-{}", std::process::id());
        let mut warnings = Warnings::default();
        let session = broker.session(&mut warnings)?;
        warnings.0.iter().for_each(|warning| warn!("{warning}"));
        Ok(session)
    }

    fn stream_name(&self, config: Option<&Config>) -> anyhow::Result<String> {
        let configured = || config.and_then(|config| config.input.stream.clone());
        let file = || self.data.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let name = self.stream.clone().or_else(configured).or_else(file);
        let name = topic_level(&name.unwrap_or_default());
        ensure!(!name.is_empty(), "--stream is empty; name the stream");
        Ok(name)
    }

    fn future_variates(&self, recording: &Recording) -> anyhow::Result<Vec<usize>> {
        let index = |name: &String| {
            let found = recording.variates.iter().position(|variate| variate.name == *name);
            found.with_context(|| {
                format!(
                    "--future-covariates: {} has no column {name:?}; it has {}",
                    self.data.display(),
                    names(recording)
                )
            })
        };
        self.future_covariates.iter().map(index).collect()
    }
}

fn names(recording: &Recording) -> String {
    let names: Vec<&str> = recording.variates.iter().map(|variate| variate.name.as_str()).collect();
    names.join(", ")
}

/// The rows of a recording at their own times, oldest first.
fn read(path: &Path) -> anyhow::Result<Recording> {
    let options = Options {
        steps: Steps::AsWritten,
        ..Options::default()
    };
    let (recording, report) = common::read(path, &options)?;
    report.warnings.iter().for_each(|warning| warn!("{warning}"));
    Ok(recording)
}

/// The one device of a recording with times.
fn one_series<'r>(path: &Path, recording: &'r Recording) -> anyhow::Result<&'r Series> {
    let [series] = recording.series.as_slice() else {
        bail!("{}: {} devices; replay one at a time", path.display(), recording.series.len());
    };
    ensure!(
        !series.times_ms.is_empty(),
        "{}: no column of times; a replay needs one",
        path.display()
    );
    Ok(series)
}
