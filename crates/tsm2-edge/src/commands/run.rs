//! `tsm2-edge run`: the daemon, until a signal ends it.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use tsm2_edge::config::Config;
use tsm2_edge::daemon;
use tsm2_edge::service::Service;

/// Forecast: readings in, forecasts out, until interrupted.
#[derive(Args)]
pub struct Run {
    /// Configuration, TOML; TSM2_EDGE__SECTION__KEY in the environment overrides a key
    config: PathBuf,
    /// Print a summary as JSON at the end
    #[arg(long)]
    json: bool,
}

impl Run {
    /// Runs until SIGINT or SIGTERM.
    pub fn run(self) -> anyhow::Result<()> {
        let config = Config::load(&self.config)?;
        super::log::to_stderr(&config.log);
        let service = Service::prepare(&config)?;
        let runtime = super::runtime()?;
        let summary = runtime.block_on(async {
            let signal = super::end_signal().context("cannot listen for signals")?;
            anyhow::Ok(daemon::run(service, signal, None).await?)
        })?;
        if self.json {
            super::print(serde_json::to_string(&summary)?)?;
        }
        Ok(())
    }
}
