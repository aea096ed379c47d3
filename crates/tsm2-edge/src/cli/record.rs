//! `tsm2-edge record`: the daemon without forecasts, as a recorder.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use tracing::warn;

use super::common;
use crate::config::{Config, Prepared};
use crate::observe::log;
use crate::runtime::signals::Signals;
use crate::runtime::supervise::supervise;

/// Record readings as CSV, to train on, until SIGINT or SIGTERM; nothing is published
#[derive(Args)]
#[command(after_long_help = "Example:
  tsm2-edge record tsm2-edge.toml
  tsm2 train --data recordings/hall/*.csv --join --out mine

The time steps are those that `tsm2-edge run` would make of the same readings. The section [record]
of the configuration names the folder; model.bundle is not needed if input.variates and
model.interval_s are set.")]
pub(super) struct Record {
    /// Configuration, TOML; TSM2_EDGE__SECTION__KEY in the environment overrides a key
    config: PathBuf,
    /// Print a summary as JSON at the end
    #[arg(long)]
    json: bool,
}

impl Record {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let config = Config::load(&self.config)?;
        log::to_stderr(&config.log);
        let prepared = prepared(config)?;
        let summary = common::runtime()?.block_on(async {
            let mut signals = Signals::listen().context("cannot listen for signals")?;
            let reload = move || prepared_of(&self.config);
            anyhow::Ok(supervise(prepared, &mut signals, reload).await?)
        })?;
        if self.json {
            common::print(serde_json::to_string(&summary)?)?;
        }
        Ok(())
    }
}

fn prepared_of(path: &std::path::Path) -> anyhow::Result<Prepared> {
    prepared(Config::load(path)?)
}

/// The daemon of a configuration that records only, beside one that forecasts: another client at the
/// broker, and state of its own.
fn prepared(mut config: Config) -> anyhow::Result<Prepared> {
    if config.record.is_none() {
        bail!("record: missing; add a section [record] with `path`, the folder of the recordings");
    }
    config.broker.client_id.push_str("-record");
    config.state.path = None;
    config.http = None;
    config.home_assistant = None;
    let mut prepared = common::prepare(&config)?;
    prepared.publishes = false;
    prepared.session.status_topic = None;
    for warning in &prepared.warnings.0 {
        warn!("{warning}");
    }
    Ok(prepared)
}
