//! `tsm2-edge run`: the daemon as a service, until a signal ends it.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use tsm2_edge::config::Config;
use tsm2_edge::service::Service;
use tsm2_edge::signals::Signals;
use tsm2_edge::supervise::supervise;

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
    /// Runs until SIGINT or SIGTERM; SIGHUP reads the configuration again.
    pub fn run(self) -> anyhow::Result<()> {
        let config = Config::load(&self.config)?;
        super::log::to_stderr(&config.log);
        let service = Service::prepare(&config)?;
        let runtime = super::runtime()?;
        let summary = runtime.block_on(async {
            let mut signals = Signals::listen().context("cannot listen for signals")?;
            let load = || anyhow::Ok(Service::prepare(&Config::load(&self.config)?)?);
            anyhow::Ok(supervise(service, &mut signals, load).await?)
        })?;
        if self.json {
            super::print(serde_json::to_string(&summary)?)?;
        }
        Ok(())
    }
}
