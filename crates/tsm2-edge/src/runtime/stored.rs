//! Stored streams at the start: which of them are used, and why the others are not.
//!
//! Nothing is deleted. State that is not used is kept, counted and named.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use tracing::{info, warn};

use crate::config::{Durability, Prepared};
use crate::observe::StateMetrics;
use crate::runtime::admission::Admission;
use crate::runtime::record::Key;
use crate::state::log::{LogOptions, LogStore};
use crate::state::{StateStore, StoreError};

/// Streams of unused state that are named in the log, per reason.
const NAMED: usize = 100;

/// Opens the store on disk.
pub(crate) fn open(prepared: &Prepared, durability: &Durability) -> Result<LogStore, StoreError> {
    // The state may lie below the recordings.
    if let Some(folder) = &prepared.recordings {
        let failed = |source| StoreError::Io {
            path: folder.clone(),
            source,
        };
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let options = LogOptions {
        retained_entries: prepared.warmup_entries(),
        verify: false,
    };
    let store = LogStore::open(&durability.path, &options, &mut |_| {})?;
    info!(path = %durability.path.display(), bytes = store.disk_bytes(), "state opened");
    Ok(store)
}

/// Admits the stored streams that are served, the most recently written first.
pub(crate) fn admit(prepared: &Prepared, store: &dyn StateStore, admission: &Admission, metrics: &StateMetrics) -> Result<(), StoreError> {
    let mut infos = store.streams()?;
    infos.sort_by_key(|info| Reverse(info.last_write_ms));
    let mut unused: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut streams = 0;
    for info in &infos {
        let key = Key::parse(&info.name);
        let stream = key.map_or(info.name.as_str(), |key| key.stream);
        let reason = match prepared.fingerprint.stream_of(&info.name) {
            None if key.is_some_and(|key| key.is_set_aside()) => "damaged",
            None => "other_schema",
            Some(stream) if !prepared.topics.serves(stream) => "not_served",
            Some(stream) if !admission.admit(stream) => "too_many",
            Some(_) => {
                streams += 1;
                continue;
            }
        };
        unused.entry(reason).or_default().push(stream);
    }
    for (reason, streams) in &unused {
        let why = match *reason {
            "damaged" => "it is a checkpoint that could not be read",
            "other_schema" => "it is of a model of other variates or of another sampling interval",
            "not_served" => "the stream is not in input.streams",
            _ => "the stream exceeds input.max_streams",
        };
        for stream in streams.iter().take(NAMED) {
            warn!(stream, "stored state is not used: {why}; it is kept");
        }
        metrics.unused(reason, streams.len());
    }
    let unused: usize = unused.values().map(Vec::len).sum();
    info!(streams, unused, "state found");
    Ok(())
}
