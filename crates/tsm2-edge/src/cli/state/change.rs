//! `state reset` and `state forget`, which ask before they change anything.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use bytes::Bytes;
use clap::Args;
use serde_json::json;
use tsm2_mqtt::{Message, Session, SessionOptions, rfc3339};

use super::opened::{Opened, split};
use crate::cli::common;
use crate::state::{StateStore, StreamInfo};

/// How long the broker may take to answer and to remove the retained messages.
const BROKER_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Args)]
pub(super) struct Reset {
    /// Configuration of the daemon, TOML
    config: PathBuf,
    /// Names of streams, or NAME/SCHEMA as `list` prints them
    #[arg(required = true)]
    streams: Vec<String>,
    #[command(flatten)]
    confirmation: Confirmation,
}

#[derive(Args)]
pub(super) struct Forget {
    /// Configuration of the daemon, TOML
    config: PathBuf,
    /// Names of streams, or NAME/SCHEMA as `list` prints them
    #[arg(required_unless_present = "unserved", conflicts_with = "unserved")]
    streams: Vec<String>,
    /// All streams that the configuration does not use
    #[arg(long)]
    unserved: bool,
    #[command(flatten)]
    confirmation: Confirmation,
}

#[derive(Args)]
struct Confirmation {
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Confirmation {
    /// Prints what is going to happen and asks.
    ///
    /// # Errors
    /// Without an answer of yes.
    fn ask(&self, what: &str, infos: &[StreamInfo]) -> anyhow::Result<()> {
        if self.yes {
            return Ok(());
        }
        ensure!(io::stdin().is_terminal(), "nobody to ask: add --yes");
        let mut terminal = io::stderr();
        for info in infos {
            writeln!(
                terminal,
                "  {}: {} entries, last write {}",
                info.name,
                info.entries,
                rfc3339(info.last_write_ms)
            )?;
        }
        write!(terminal, "{what} {} stored streams? [y/N] ", infos.len())?;
        terminal.flush()?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        ensure!(matches!(answer.trim(), "y" | "Y" | "yes"), "nothing was changed");
        Ok(())
    }
}

fn keys(infos: &[StreamInfo]) -> Vec<String> {
    infos.iter().map(|info| info.name.clone()).collect()
}

impl Reset {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let opened = Opened::open(&self.config)?;
        let infos = opened.find(&self.streams)?;
        self.confirmation.ask("Begin anew", &infos)?;
        opened.store.reset(&keys(&infos))?;
        if self.confirmation.json {
            return common::print(json!({ "reset": keys(&infos) }));
        }
        infos.iter().try_for_each(|info| {
            common::print(format_args!(
                "{} begins anew at the next start; its {} entries stay stored for the warm-up of another model",
                info.name, info.entries
            ))
        })
    }
}

impl Forget {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let opened = Opened::open(&self.config)?;
        let usable = opened.usable.as_ref().map_err(|error| anyhow!("{error:#}"))?;
        let infos = match self.unserved {
            false => opened.find(&self.streams)?,
            true => {
                let mut infos = opened.store.streams()?;
                infos.retain(|info| opened.usage(&info.name) != "used");
                infos
            }
        };
        if !infos.is_empty() {
            self.confirmation.ask("Remove", &infos)?;
            opened.store.forget(&keys(&infos))?;
        }
        // A stream with state of another schema left is still there.
        let left = opened.store.streams()?;
        let is_gone = |stream: &&str| !left.iter().any(|info| split(&info.name).0 == *stream);
        let mut gone: Vec<&str> = infos.iter().map(|info| split(&info.name).0).filter(is_gone).collect();
        gone.dedup();
        let topics = &usable.prepared.topics;
        let retained: Vec<String> = gone.iter().flat_map(|stream| topics.retained_of(stream)).collect();
        if self.confirmation.json {
            common::print(json!({ "forgotten": keys(&infos), "retained_topics": retained }))?;
        }
        let print = |line: String| if self.confirmation.json { Ok(()) } else { common::print(line) };
        for info in &infos {
            print(format!("{} removed, with {} entries", info.name, info.entries))?;
        }
        if infos.is_empty() {
            print("nothing to remove".to_owned())?;
        }
        if !retained.is_empty() {
            remove_retained(&usable.prepared.session, &retained)?;
            print(format!("{} retained messages removed at the broker:", retained.len()))?;
            retained.iter().try_for_each(|topic| print(format!("  {topic}")))?;
        }
        Ok(())
    }
}

/// Removes retained messages: each is replaced by an empty one.
///
/// The session is the daemon's own, so that a broker with access by client id admits it. Readings
/// that the broker hands over meanwhile are not acknowledged and come again.
fn remove_retained(session: &SessionOptions, topics: &[String]) -> anyhow::Result<()> {
    let mut options = session.clone();
    options.status_topic = None;
    let remove = async {
        let (session, publisher, _receiver) = Session::start(options)?;
        let send = async {
            session.connected().await;
            for topic in topics {
                let message = Message {
                    topic: topic.clone(),
                    payload: Bytes::new(),
                    retain: true,
                };
                publisher.publish(message).await?;
            }
            publisher.flush().await
        };
        let sent = tokio::time::timeout(BROKER_TIMEOUT, send).await;
        session.shutdown().await;
        sent.context("no answer in 10 s")??;
        anyhow::Ok(())
    };
    common::runtime()?.block_on(remove).with_context(|| {
        format!(
            "broker {}:{}: {} retained messages may still be there, for example {}; \
             remove each with `mosquitto_pub -r -n -t TOPIC`",
            session.host,
            session.port,
            topics.len(),
            topics.first().map_or("", String::as_str)
        )
    })
}
