//! The opened store, and what the daemon would use of it.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tsm2_mqtt::rfc3339;

use crate::config::{Config, Prepared, prepare};
use crate::runtime::record::{Fingerprint, Key};
use crate::state::log::{LogOptions, LogStore};
use crate::state::{StateStore, StreamInfo};

/// See the module's description.
pub(super) struct Opened {
    pub(super) path: PathBuf,
    pub(super) store: LogStore,
    /// An error where the configuration or its bundle cannot be used.
    pub(super) usable: anyhow::Result<Usable>,
}

pub(super) struct Usable {
    pub(super) prepared: Prepared,
    pub(super) fingerprint: Fingerprint,
}

impl Opened {
    pub(super) fn open(config: &Path) -> anyhow::Result<Self> {
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
    pub(super) fn usage(&self, key: &str) -> &'static str {
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
    pub(super) fn find(&self, names: &[String]) -> anyhow::Result<Vec<StreamInfo>> {
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

    pub(super) fn json(&self, info: &StreamInfo) -> Value {
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
    pub(super) fn notes(&self) -> Vec<String> {
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
pub(super) fn split(key: &str) -> (&str, &str) {
    Key::parse(key).map_or((key, ""), |key| (key.stream, key.schema))
}
