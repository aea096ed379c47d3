//! `tsm2-edge run`: the daemon as a service, until a signal ends it.

use std::path::PathBuf;

use crate::config::Config;
use crate::config::service::Service;
use crate::runtime::signals::Signals;
use crate::runtime::supervise::supervise;
use anyhow::Context;
use clap::Args;

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
        crate::observe::log::to_stderr(&config.log);
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
