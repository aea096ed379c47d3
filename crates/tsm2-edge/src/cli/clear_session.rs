//! `tsm2-edge clear-session`: removes a session that the broker keeps for an earlier client id.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use serde_json::json;
use tsm2_mqtt::{Session, SessionOptions};

use super::common;
use crate::config::{Config, prepare};

/// How long the broker may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Remove a session that the broker keeps for an earlier client id
#[derive(Args)]
#[command(after_long_help = "Example:
  tsm2-edge clear-session /etc/tsm2-edge/tsm2-edge.toml --client-id tsm2-old")]
pub(super) struct ClearSession {
    /// Configuration, TOML; TSM2_EDGE__SECTION__KEY in the environment overrides a key
    config: PathBuf,
    /// Client id of the session; its subscriptions and its queued messages are removed
    #[arg(long)]
    client_id: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl ClearSession {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let prepared = prepare(&Config::load(&self.config)?)?;
        ensure!(
            self.client_id != prepared.session.client_id,
            "{:?} is the client id of this configuration; its queued messages would be lost. Stop the daemon and change broker.client_id first",
            self.client_id
        );
        let options = SessionOptions {
            client_id: self.client_id,
            ..prepared.session
        };
        common::runtime()?.block_on(async {
            tokio::time::timeout(TIMEOUT, Session::clear(&options))
                .await
                .with_context(|| format!("no answer from {}:{} in {} s", options.host, options.port, TIMEOUT.as_secs()))??;
            common::print(match self.json {
                true => json!({ "client_id": options.client_id, "cleared": true }).to_string(),
                false => format!("the session of client id {:?} is cleared", options.client_id),
            })
        })
    }
}
