//! `tsm2-edge replay`: publishes a recording as sensors would send it.

use std::net::Ipv6Addr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tracing::warn;
use tsm2_data::{Options, Recording, Series, Steps};
use tsm2_mqtt::{Session, SessionOptions, Template, topic_level};

use super::common;
use super::playback::{Messages, play};
use crate::config::{Broker, Config, Log, LogLevel, Tls, Warnings};
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

/// The broker, where no configuration names it.
#[derive(Args)]
struct Connection {
    /// Address of the broker: HOST, HOST:PORT or [IPv6]:PORT [default: localhost]
    #[arg(long, value_name = "ADDRESS")]
    broker: Option<String>,
    /// User name
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// File with the password
    #[arg(long, value_name = "FILE", requires = "username")]
    password_file: Option<PathBuf>,
    /// Use TLS with the system's certificate authorities
    #[arg(long)]
    tls: bool,
    /// Use TLS with these certificate authorities, PEM
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Certificate to show to the broker, PEM
    #[arg(long, value_name = "FILE", requires = "key_file")]
    cert_file: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE", requires = "cert_file")]
    key_file: Option<PathBuf>,
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
        let topic = template("--topic", &self.topic, topic, "sensors/{stream}/telemetry")?;
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
        let bar = ProgressBar::new(rows.len() as u64);
        bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} rows  {per_sec}  {eta} left")?);
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
    let (recording, report) = tsm2_data::read(&[path], &options)?;
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

impl Connection {
    fn broker(&self) -> anyhow::Result<Broker> {
        let mut broker = Broker::default();
        if self.tls || self.ca_file.is_some() || self.cert_file.is_some() {
            let mut tls = Tls::default();
            tls.ca_file.clone_from(&self.ca_file);
            tls.cert_file.clone_from(&self.cert_file);
            tls.key_file.clone_from(&self.key_file);
            broker.tls = Some(tls);
            broker.port = 8883;
        }
        if let Some(address) = &self.broker {
            let (host, port) = parse_address(address).with_context(|| format!("--broker: {address:?}"))?;
            broker.host = host;
            broker.port = port.unwrap_or(broker.port);
        }
        broker.username.clone_from(&self.username);
        broker.password_file.clone_from(&self.password_file);
        Ok(broker)
    }
}

/// Host and port of `HOST`, `HOST:PORT`, `[IPv6]:PORT` or a bare IPv6 address.
fn parse_address(text: &str) -> anyhow::Result<(String, Option<u16>)> {
    const FORM: &str = "write HOST:PORT or [IPv6]:PORT";
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').context(FORM)?;
            let port = match rest {
                "" => None,
                rest => Some(rest.strip_prefix(':').context(FORM)?),
            };
            (host, port)
        }
        None if text.parse::<Ipv6Addr>().is_ok() => (text, None),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    ensure!(!host.is_empty(), FORM);
    let port = port.map(|port| port.parse().with_context(|| format!("{port:?} is not a port; {FORM}")));
    Ok((host.to_owned(), port.transpose()?))
}

#[cfg(test)]
mod tests {
    use super::parse_address;

    #[test]
    fn an_ipv6_address_of_the_broker_can_be_given() {
        for (text, host, port) in [
            ("localhost:1883", "localhost", Some(1883)),
            ("broker.site", "broker.site", None),
            ("[::1]:1883", "::1", Some(1883)),
            ("[fe80::1]", "fe80::1", None),
            ("::1", "::1", None),
            ("10.0.0.7:8883", "10.0.0.7", Some(8883)),
        ] {
            assert_eq!(parse_address(text).unwrap(), (host.to_owned(), port), "{text}");
        }
        for text in ["", ":1883", "host:", "host:x", "host:70000", "[::1", "[::1]1883", "[]:1"] {
            assert!(parse_address(text).is_err(), "{text}");
        }
    }
}
