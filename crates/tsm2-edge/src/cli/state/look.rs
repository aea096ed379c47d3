//! `state list` and `state show`.

use std::path::PathBuf;

use clap::Args;
use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};
use serde_json::{Value, json};
use tsm2_mqtt::rfc3339;

use super::opened::{Opened, split};
use crate::cli::common;
use crate::runtime::record::{Checkpoint, Entry};
use crate::state::StateStore;

#[derive(Args)]
pub(super) struct List {
    /// Configuration of the daemon, TOML
    config: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct Show {
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

impl List {
    pub(super) fn run(self) -> anyhow::Result<()> {
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
    pub(super) fn run(self) -> anyhow::Result<()> {
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
        Ok(Entry::Readings { time_ms, values } | Entry::Arrived { time_ms, values, .. }) => {
            json!({ "time": rfc3339(time_ms), "readings": values })
        }
        Ok(Entry::FutureCovariate { variate, points }) => {
            let times = [points.first(), points.last()].map(|point| point.map(|(time_ms, _)| rfc3339(*time_ms)));
            json!({ "future_covariate": variate, "points": points.len(), "from": times[0], "to": times[1] })
        }
        Err(error) => json!({ "error": error.to_string() }),
    }
}
