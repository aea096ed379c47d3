//! `tsm2-edge state`: looks at the stored state, lets a stream begin anew, removes a stream.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use bytes::Bytes;
use clap::{Args, Subcommand};
use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};
use serde_json::{Value, json};
use tsm2_mqtt::{Message, Session, SessionOptions, rfc3339};

use super::common;
use crate::config::{Config, Prepared, prepare};
use crate::runtime::record::{Checkpoint, Entry, Fingerprint, Key};
use crate::state::log::{LogOptions, LogStore};
use crate::state::{StateStore, StreamInfo};

/// How long the broker may take to answer and to remove the retained messages.
const BROKER_TIMEOUT: Duration = Duration::from_secs(10);

/// Look at the stored state, let a stream begin anew, or remove a stream
///
/// The daemon must be stopped.
#[derive(Args)]
#[command(after_long_help = "Examples:
  tsm2-edge state list tsm2-edge.toml
  tsm2-edge state show tsm2-edge.toml boiler
  tsm2-edge state reset tsm2-edge.toml boiler
  tsm2-edge state forget tsm2-edge.toml boiler --yes
  tsm2-edge state forget tsm2-edge.toml --unserved")]
pub(super) struct State {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// All stored streams, and damage
    List(List),
    /// One stream: its checkpoint and its newest entries
    Show(Show),
    /// Let streams begin anew: the next start has no state of them. The readings so far stay
    /// stored, for the warm-up of another model
    Reset(Reset),
    /// Remove streams: their state, their readings, and their retained messages at the broker
    Forget(Forget),
}

#[derive(Args)]
struct List {
    /// Configuration of the daemon, TOML
    config: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Show {
    /// Configuration of the daemon, TOML
    config: PathBuf,
    /// Name of the stream, or NAME/SCHEMA as `list` prints them
    stream: String,
    /// Newest entries to print
    #[arg(long, default_value_t = 5)]
    entries: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Reset {
    /// Configuration of the daemon, TOML
    config: PathBuf,
    /// Names of streams, or NAME/SCHEMA as `list` prints them
    #[arg(required = true)]
    streams: Vec<String>,
    #[command(flatten)]
    confirmation: Confirmation,
}

#[derive(Args)]
struct Forget {
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

impl State {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self.task {
            Task::List(task) => task.run(),
            Task::Show(task) => task.run(),
            Task::Reset(task) => task.run(),
            Task::Forget(task) => task.run(),
        }
    }
}

/// The opened store and what the daemon would use of it.
struct Opened {
    path: PathBuf,
    store: LogStore,
    /// An error where the configuration or its bundle cannot be used.
    usable: anyhow::Result<Usable>,
}

struct Usable {
    prepared: Prepared,
    fingerprint: Fingerprint,
}

impl Opened {
    fn open(config: &Path) -> anyhow::Result<Self> {
        let config = Config::load(config)?;
        let path = config.state.path.clone().context("state.path is not set: nothing is stored")?;
        ensure!(
            path.is_file() || path.join("owner").is_file(),
            "state.path: {} holds no state",
            path.display()
        );
        let options = LogOptions {
            retained_entries: usize::MAX,
            verify: true,
        };
        let store = LogStore::open(&path, &options, &mut |_| {})?;
        let usable = || {
            let prepared = prepare(&config)?;
            let fingerprint = Fingerprint::of(&prepared.bundle, prepared.schema.resampler.interval_ms);
            anyhow::Ok(Usable { prepared, fingerprint })
        };
        Ok(Opened {
            path,
            store,
            usable: usable(),
        })
    }

    /// What the daemon does with a stored stream.
    fn usage(&self, key: &str) -> &'static str {
        match &self.usable {
            Err(_) => "unknown",
            Ok(usable) => match usable.fingerprint.stream_of(key) {
                None if Key::parse(key).is_some_and(|key| key.is_set_aside()) => "damaged",
                None => "other schema",
                Some(stream) if !usable.prepared.topics.serves(stream) => "not in input.streams",
                Some(_) => "used",
            },
        }
    }

    /// The stored streams of these names or keys.
    fn find(&self, names: &[String]) -> anyhow::Result<Vec<StreamInfo>> {
        let mut found = Vec::new();
        let infos = self.store.streams()?;
        for name in names {
            let is_named = |info: &&StreamInfo| info.name == *name || split(&info.name).0 == name;
            let before = found.len();
            found.extend(infos.iter().filter(is_named).cloned());
            ensure!(
                found.len() > before,
                "no stream {name:?} is stored in {}; see `tsm2-edge state list`",
                self.path.display()
            );
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found.dedup();
        Ok(found)
    }

    fn json(&self, info: &StreamInfo) -> Value {
        let (stream, schema) = split(&info.name);
        json!({
            "stream": stream,
            "schema": schema,
            "usage": self.usage(&info.name),
            "entries": info.entries,
            "entries_after_checkpoint": info.tail,
            "checkpoint_bytes": info.checkpoint_bytes,
            "last_write": rfc3339(info.last_write_ms),
        })
    }

    /// Damage, and what keeps the configuration from use, one line each.
    fn notes(&self) -> Vec<String> {
        let report = self.store.report();
        let mut lines: Vec<String> = report.damage.iter().map(ToString::to_string).collect();
        if report.damaged > report.damage.len() {
            lines.push(format!("and {} more damaged places", report.damaged - report.damage.len()));
        }
        if report.torn_bytes > 0 {
            lines.push(format!(
                "{} bytes of commits that a crash or power cut interrupted; nothing of them was acknowledged",
                report.torn_bytes
            ));
        }
        lines.extend(
            report
                .kept_files
                .iter()
                .map(|file| format!("{}: damaged and out of use; kept until you remove it", file.display())),
        );
        lines.extend(
            self.usable
                .as_ref()
                .err()
                .map(|error| format!("the configuration cannot be used: {error:#}")),
        );
        lines
    }
}

/// Stream and schema of a key.
fn split(key: &str) -> (&str, &str) {
    Key::parse(key).map_or((key, ""), |key| (key.stream, key.schema))
}

impl List {
    fn run(self) -> anyhow::Result<()> {
        let opened = Opened::open(&self.config)?;
        let infos = opened.store.streams()?;
        if self.json {
            return common::print(json!({
                "path": opened.path,
                "bytes": opened.store.disk_bytes(),
                "streams": infos.iter().map(|info| opened.json(info)).collect::<Vec<_>>(),
                "damaged": opened.store.report().damaged,
                "notes": opened.notes(),
            }));
        }
        let mut table = Table::new();
        table.load_style(TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─')));
        table.set_header([
            "stream",
            "schema",
            "usage",
            "entries",
            "after checkpoint",
            "checkpoint",
            "last write",
        ]);
        for info in &infos {
            let (stream, schema) = split(&info.name);
            table.add_row([
                stream,
                schema,
                opened.usage(&info.name),
                &info.entries.to_string(),
                &info.tail.to_string(),
                &info.checkpoint_bytes.map_or("none".to_owned(), |bytes| format!("{bytes} B")),
                &rfc3339(info.last_write_ms),
            ]);
        }
        for column in 3..6 {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        common::print(format_args!(
            "{}: {} streams, {:.1} MB",
            opened.path.display(),
            infos.len(),
            opened.store.disk_bytes() as f64 / 1e6
        ))?;
        if !infos.is_empty() {
            common::print(table.trim_fmt())?;
        }
        opened.notes().iter().try_for_each(common::print)
    }
}

impl Show {
    fn run(self) -> anyhow::Result<()> {
        let opened = Opened::open(&self.config)?;
        for info in opened.find(std::slice::from_ref(&self.stream))? {
            let mut shown = opened.json(&info);
            let stored = opened.store.load(&info.name)?.unwrap_or_default();
            shown["model"] = stored.checkpoint.as_deref().map_or(Value::Null, checkpoint);
            let newest = opened.store.history(&info.name, self.entries)?;
            shown["newest_entries"] = newest.iter().map(|bytes| entry(bytes)).collect();
            if self.json {
                common::print(&shown)?;
                continue;
            }
            for (key, value) in shown.as_object().into_iter().flatten() {
                match value {
                    Value::Array(entries) => {
                        common::print(format_args!("{key}"))?;
                        entries.iter().try_for_each(|entry| common::print(format_args!("  {entry}")))?;
                    }
                    Value::String(text) => common::print(format_args!("{key:<25} {text}"))?,
                    Value::Null => common::print(format_args!("{key:<25} -"))?,
                    other => common::print(format_args!("{key:<25} {other}"))?,
                }
            }
        }
        if !self.json {
            opened.notes().iter().try_for_each(common::print)?;
        }
        Ok(())
    }
}

/// The model that wrote a checkpoint: the first digits of its SHA-256.
fn checkpoint(bytes: &[u8]) -> Value {
    match Checkpoint::decode(bytes) {
        Ok(checkpoint) => checkpoint.fingerprint.weights[..4]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
            .into(),
        Err(error) => error.to_string().into(),
    }
}

fn entry(bytes: &[u8]) -> Value {
    match Entry::decode(bytes) {
        Ok(Entry::Readings { time_ms, values }) => json!({ "time": rfc3339(time_ms), "readings": values }),
        Ok(Entry::FutureCovariate { variate, points }) => {
            let times = [points.first(), points.last()].map(|point| point.map(|(time_ms, _)| rfc3339(*time_ms)));
            json!({ "future_covariate": variate, "points": points.len(), "from": times[0], "to": times[1] })
        }
        Err(error) => json!({ "error": error.to_string() }),
    }
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
    fn run(self) -> anyhow::Result<()> {
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
    fn run(self) -> anyhow::Result<()> {
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
