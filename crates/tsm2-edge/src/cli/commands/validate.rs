//! `tsm2-edge validate`: everything that `run` checks, without connecting.

use std::path::PathBuf;

use crate::config::Config;
use crate::config::service::Service;
use crate::runtime::published::largest_payload;
use clap::Args;
use serde_json::json;

/// Check a configuration and the model it names.
#[derive(Args)]
pub struct Validate {
    /// Configuration, TOML; TSM2_EDGE__SECTION__KEY in the environment overrides a key
    config: PathBuf,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
}

impl Validate {
    /// Prints what the configuration comes to; any fault is the error.
    pub fn run(self) -> anyhow::Result<()> {
        let config = Config::load(&self.config)?;
        let service = Service::prepare(&config)?;
        let meta = service.bundle().meta();
        let variates: Vec<&str> = meta.variates.iter().map(|v| v.name.as_str()).collect();
        let known_ahead: Vec<&str> = meta.future_covariates().iter().map(|v| v.name.as_str()).collect();
        let interval_s = service.interval_ms() as f64 / 1e3;
        if self.json {
            let found = json!({
                "model": meta.name,
                "variates": variates,
                "exogenous": &variates[meta.config.targets()..],
                "horizon": meta.config.horizon,
                "interval_s": interval_s,
                "known_ahead": known_ahead,
                "largest_message_bytes": largest_payload(&meta.name, meta.config.horizon),
                "subscribes": service.filters().join(", "),
                "publishes": service.forecast_topic("+", 0).rsplit_once('/').map(|(topic, _)| format!("{topic}/+")),
            });
            return super::print(found);
        }
        let mut lines = vec![
            format!("{} is valid", self.config.display()),
            format!(
                "model       {}: {} variates, {} leads of {interval_s} s",
                meta.name,
                variates.len(),
                meta.config.horizon
            ),
            format!(
                "broker      {}:{} as {:?}, {} TLS",
                config.broker.host,
                config.broker.port,
                config.broker.client_id,
                if config.broker.tls.is_some() { "with" } else { "without" }
            ),
            format!("subscribes  {}", service.filters().join(", ")),
        ];
        let (forecast, exogenous) = variates.split_at(meta.config.targets());
        if !exogenous.is_empty() {
            lines.push(format!("only reads  {}", exogenous.join(", ")));
        }
        if !known_ahead.is_empty() {
            lines.push(format!("is told     {} ahead", known_ahead.join(", ")));
        }
        for (variate, name) in forecast.iter().enumerate() {
            lines.push(format!("publishes   {}  ({name})", service.forecast_topic("<stream>", variate)));
        }
        let largest = largest_payload(&meta.name, meta.config.horizon);
        lines.push(format!("largest     {largest} bytes a message; the broker must accept them"));
        super::print(lines.join("\n"))
    }
}
