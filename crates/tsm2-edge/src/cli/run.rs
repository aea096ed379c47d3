//! `tsm2-edge run`: the daemon, until a signal ends it.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use tracing::warn;

use super::common;
use crate::config::Config;
use crate::observe::log;
use crate::runtime::signals::Signals;
use crate::runtime::supervise::supervise;

/// Run the daemon: readings in, forecasts out, until SIGINT or SIGTERM; SIGHUP reloads
#[derive(Args)]
#[command(after_long_help = "Example:
  tsm2-edge run /etc/tsm2-edge/tsm2-edge.toml")]
pub(super) struct Run {
    /// Configuration, TOML; TSM2_EDGE__SECTION__KEY in the environment overrides a key
    config: PathBuf,
    /// Print a summary as JSON at the end
    #[arg(long)]
    json: bool,
}

impl Run {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let config = Config::load(&self.config)?;
        log::to_stderr(&config.log);
        let load = |config: &Config| {
            let prepared = common::prepare(config)?;
            for warning in &prepared.warnings.0 {
                warn!("{warning}");
            }
            anyhow::Ok(prepared)
        };
        let prepared = load(&config)?;
        let summary = common::runtime()?.block_on(async {
            let mut signals = Signals::listen().context("cannot listen for signals")?;
            let reload = move || load(&Config::load(&self.config)?);
            anyhow::Ok(supervise(prepared, &mut signals, reload).await?)
        })?;
        if self.json {
            common::print(serde_json::to_string(&summary)?)?;
        }
        Ok(())
    }
}
