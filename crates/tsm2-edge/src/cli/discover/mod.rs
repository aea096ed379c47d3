//! `tsm2-edge discover`: listens on a broker and proposes a configuration.

mod listen;
mod propose;
mod recognise;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use serde_json::json;
use tracing::warn;
use tsm2_bundle::Bundle;
use tsm2_mqtt::{SessionOptions, topic_level};

use self::propose::Proposal;
use super::common;
use super::connection::Connection;
use crate::config::{Broker, Log, LogLevel, Warnings};
use crate::observe::log;

/// Time step of a configuration without a model.
const INTERVAL_S: f64 = 60.0;

/// Listen on a broker for a while and write a configuration with what was heard
#[derive(Args)]
#[command(after_long_help = "Examples:
  tsm2-edge discover --seconds 600 --out tsm2-edge.toml
  tsm2-edge discover --bundle model.safetensors --stream house --broker broker.site")]
pub(super) struct Discover {
    /// How long to listen; longer than the slowest device's pause
    #[arg(long, default_value_t = 120.0, value_name = "SECONDS")]
    seconds: f64,
    /// Topics to listen to
    #[arg(long, value_name = "FILTER", default_value = "#")]
    filter: Vec<String>,
    /// Model; the configuration then feeds its variates
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// Name of the stream
    #[arg(long, default_value = "site", value_name = "NAME")]
    stream: String,
    /// File to write, which must not exist [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print one JSON object: what was heard, the configuration, and its file if --out is given
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Discover {
    pub(super) fn run(self) -> anyhow::Result<()> {
        log::to_stderr(&Log::text(LogLevel::Warn));
        ensure!(
            self.seconds > 0.0 && self.seconds <= 1e6,
            "--seconds is {}; set it between 0 and 10^6",
            self.seconds
        );
        ensure!(
            !self.stream.is_empty() && topic_level(&self.stream) == self.stream,
            "--stream: {:?} cannot be the name of a stream",
            self.stream
        );
        let exists = self.out.as_ref().filter(|out| out.exists());
        ensure!(
            exists.is_none(),
            "--out: {} exists; name another file",
            exists.map_or("".into(), |out| out.display().to_string())
        );
        let bundle = self.bundle.as_deref().map(Bundle::open).transpose().context("--bundle")?;
        let mut broker = self.connection.broker()?;
        broker.client_id = format!("tsm2-discover-{}", std::process::id());
        let mut warnings = Warnings::default();
        let session = SessionOptions {
            filters: self.filter.clone(),
            persistent: false,
            ..broker.session(&mut warnings)?
        };
        warnings.0.iter().for_each(|warning| warn!("{warning}"));
        let topics = common::runtime()?.block_on(async {
            let end = common::end_signal().context("cannot listen for signals")?;
            listen::listen(session, Duration::from_secs_f64(self.seconds), end).await
        })?;
        let devices = recognise::devices(&topics);
        let proposal = match &bundle {
            Some(bundle) => Proposal::of_model(&devices, bundle.meta()),
            None => Proposal::of_all(&devices),
        };
        let interval_s = match &bundle {
            Some(bundle) => bundle.meta().interval_ms.map(|ms| ms as f64 / 1e3),
            None => Some(INTERVAL_S),
        };
        let text = self.text(&broker, &proposal, topics.len(), devices.len(), interval_s);
        if let Some(out) = &self.out {
            std::fs::write(out, &text).with_context(|| format!("cannot write {}", out.display()))?;
        }
        match &self.out {
            _ if self.json => common::print(json!({
                "topics": topics.len(),
                "devices": proposal.json(),
                "unfed": proposal.unfed,
                "file": self.out,
                "configuration": text,
            })),
            None => common::print(text.trim_end()),
            Some(out) => common::print(format_args!(
                "{} devices on {} topics, {} variates: {}",
                devices.len(),
                topics.len(),
                proposal.fed().len(),
                out.display()
            )),
        }
    }

    fn text(&self, broker: &Broker, proposal: &Proposal<'_>, topics: usize, devices: usize, interval_s: Option<f64>) -> String {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let mut lines = vec![
            format!(
                "# Proposed by tsm2-edge discover: {devices} devices on {topics} topics, heard for {} s.",
                self.seconds
            ),
            "# Read it, edit it, then: tsm2-edge validate FILE".to_owned(),
            String::new(),
            "[broker]".to_owned(),
            format!("host = {}", quoted(&broker.host)),
            format!("port = {}", broker.port),
        ];
        lines.extend(broker.username.iter().map(|username| format!("username = {}", quoted(username))));
        let absolute = |path: &PathBuf| quoted(&std::path::absolute(path).unwrap_or_else(|_| path.clone()).to_string_lossy());
        lines.extend(
            broker
                .password_file
                .iter()
                .map(|file| format!("password_file = {}", absolute(file))),
        );
        if let Some(tls) = &broker.tls {
            lines.push("\n[broker.tls]".to_owned());
            for (key, file) in [
                ("ca_file", &tls.ca_file),
                ("cert_file", &tls.cert_file),
                ("key_file", &tls.key_file),
            ] {
                lines.extend(file.iter().map(|file| format!("{key} = {}", absolute(file))));
            }
        }
        lines.push("\n[model]".to_owned());
        match &self.bundle {
            Some(bundle) => lines.push(format!("bundle = {}", absolute(bundle))),
            None => lines.extend([
                "# No model yet: naive forecasts, and a recording to train one. Then name it:".to_owned(),
                "#bundle = \"model.safetensors\"".to_owned(),
                format!("interval_s = {INTERVAL_S}"),
            ]),
        }
        lines.push(format!("\n[input]\nstream = {}", quoted(&self.stream)));
        if self.bundle.is_none() {
            let variates: Vec<String> = proposal.fed().map(quoted).collect();
            lines.push(format!("variates = [{}]", variates.join(", ")));
        }
        if let (Some(slowest_s), Some(interval_s)) = (proposal.slowest_s(), interval_s)
            && slowest_s > interval_s
        {
            lines.push(format!(
                "# The slowest device sends every {slowest_s:.0} s, and there is a time step every {interval_s} s."
            ));
            lines.push(format!("forward_fill_limit = {}", (2.0 * slowest_s / interval_s).ceil()));
        }
        for variate in &proposal.unfed {
            lines.push(format!(
                "# Nothing that was heard looks like the variate {variate:?}; the model would never see it."
            ));
        }
        if self.bundle.is_none() {
            lines.push("\n[record]\npath = \"recordings\"".to_owned());
        }
        lines.join("\n") + "\n" + &proposal.sections()
    }
}
