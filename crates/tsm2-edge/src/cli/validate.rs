//! `tsm2-edge validate`: all checks of `run`, without connecting and without opening the state.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tsm2_bundle::Variate;

use super::{common, explain};
use crate::config::{Config, Prepared};
use crate::runtime::home_assistant::largest_device;
use crate::runtime::published::largest_payload;

/// Payload limit of the documented broker configuration, in bytes.
const DOCUMENTED_LIMIT: usize = 262_144;

/// Check a configuration and its model without connecting
#[derive(Args)]
#[command(after_long_help = "Examples:
  tsm2-edge validate /etc/tsm2-edge/tsm2-edge.toml
  tsm2-edge validate tsm2-edge.toml --message zigbee2mqtt/kitchen '{\"temperature\": 21.5}'")]
pub(super) struct Validate {
    /// Configuration, TOML; TSM2_EDGE__SECTION__KEY in the environment overrides a key
    config: PathBuf,
    /// Show what becomes of a message; hex:00ff stands for bytes
    #[arg(long, num_args = 2, value_names = ["TOPIC", "PAYLOAD"])]
    message: Option<Vec<String>>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Validate {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let config = Config::load(&self.config)?;
        let prepared = common::prepare(&config)?;
        if let Some([topic, payload]) = self.message.as_deref() {
            let message = explain::Message::read(&prepared, topic, payload)?;
            return common::print(match self.json {
                true => message.json().to_string(),
                false => message.text(),
            });
        }
        let found = Found::of(&prepared);
        common::print(match self.json {
            true => found.json().to_string(),
            false => format!("{} is valid\n{}", self.config.display(), found.text(&config)),
        })
    }
}

/// What a configuration amounts to.
struct Found<'p> {
    prepared: &'p Prepared,
    targets: Vec<&'p str>,
    past_covariates: Vec<&'p str>,
    future_covariates: Vec<&'p str>,
    largest_message: usize,
    streams_in_memory: usize,
    warnings: Vec<String>,
}

impl<'p> Found<'p> {
    fn of(prepared: &'p Prepared) -> Self {
        let meta = prepared.bundle.meta();
        let names = |variates: &'p [Variate]| variates.iter().map(|variate| variate.name.as_str()).collect();
        let largest_message = largest_payload(&meta.name, meta.config.horizon, &prepared.publication).max(largest_device(prepared));
        let mut warnings = prepared.warnings.0.clone();
        if largest_message > DOCUMENTED_LIMIT {
            warnings.push(format!(
                "messages have up to {largest_message} bytes; set the broker's payload limit (mosquitto: message_size_limit) \
                 to at least that, or the broker drops them"
            ));
        }
        Found {
            prepared,
            targets: names(meta.targets()),
            past_covariates: names(meta.past_covariates()),
            future_covariates: names(meta.future_covariates()),
            largest_message,
            streams_in_memory: prepared
                .state
                .as_ref()
                .map_or(prepared.max_streams, |state| state.max_streams_in_memory),
            warnings,
        }
    }

    fn interval_s(&self) -> f64 {
        self.prepared.schema.resampler.interval_ms as f64 / 1e3
    }

    fn memory(&self) -> u64 {
        self.prepared.bytes_per_stream.saturating_mul(self.streams_in_memory as u64)
    }

    fn json(&self) -> serde_json::Value {
        let meta = self.prepared.bundle.meta();
        json!({
            "model": meta.name,
            "targets": self.targets,
            "past_covariates": self.past_covariates,
            "future_covariates": self.future_covariates,
            "horizon": meta.config.horizon,
            "interval_s": self.interval_s(),
            "subscribes": self.prepared.topics.filters(),
            "publishes": (0..self.targets.len()).map(|target| self.prepared.topics.forecast("+", target)).collect::<Vec<_>>(),
            "largest_message_bytes": self.largest_message,
            "bytes_per_stream": self.prepared.bytes_per_stream,
            "streams_in_memory": self.streams_in_memory,
            "memory_bytes": self.memory(),
            "warnings": self.warnings,
        })
    }

    fn text(&self, config: &Config) -> String {
        let Found { prepared, .. } = self;
        let meta = prepared.bundle.meta();
        let mut lines = vec![format!(
            "model              {}: {} steps of {} s",
            meta.name,
            meta.config.horizon,
            self.interval_s()
        )];
        for (title, names) in [
            ("targets", &self.targets),
            ("past covariates", &self.past_covariates),
            ("future covariates", &self.future_covariates),
        ] {
            if !names.is_empty() {
                lines.push(format!("{title:<17}  {}", names.join(", ")));
            }
        }
        lines.push(format!(
            "broker             {}:{} as {:?}, {} TLS",
            config.broker.host,
            config.broker.port,
            config.broker.client_id,
            if config.broker.tls.is_some() { "with" } else { "without" }
        ));
        lines.extend(explain::sources(prepared));
        lines.push(format!("subscribes to      {}", prepared.topics.filters().join(", ")));
        for target in 0..self.targets.len() {
            lines.push(format!("publishes          {}", prepared.topics.forecast("<stream>", target)));
        }
        lines.push(format!("largest message    {} bytes", self.largest_message));
        lines.push(format!(
            "memory             {:.1} MB for {} streams of {} bytes",
            self.memory() as f64 / 1e6,
            self.streams_in_memory,
            prepared.bytes_per_stream
        ));
        lines.extend(self.warnings.iter().map(|warning| format!("warning: {warning}")));
        lines.join("\n")
    }
}
