//! How a stream comes into memory: blank, from checkpoint and log, or warmed up by its log.

use tracing::{info, warn};
use tsm2_stream::{Forecaster, Resampler};

use crate::config::Prepared;
use crate::runtime::record::{Checkpoint, CheckpointV2, Compatibility, Entry};
use crate::runtime::stream::{Shared, Stream};
use crate::state::Stored;

/// How a stored stream came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loaded {
    /// From checkpoint and log.
    Continued,
    /// Another model: warmed up with so many log entries.
    WarmedUp(usize),
    /// The checkpoint cannot be read: warmed up with so many log entries.
    Damaged(usize),
}

/// A stream without history.
pub(crate) fn blank(prepared: &Prepared, shared: &Shared<'_>) -> Option<Stream> {
    let resampler = Resampler::new(prepared.schema.resampler.clone()).ok()?;
    let forecaster = Forecaster::new(&shared.model, &shared.config).ok()?;
    Some(Stream::new(resampler, forecaster))
}

/// A stored stream: checkpoint, then the log after it. A model that cannot use the checkpoint warms up
/// from the log's `history`. `beat` is called for each time step. `None`: the model cannot start one.
pub(crate) fn stored(
    prepared: &Prepared,
    shared: &mut Shared<'_>,
    name: &str,
    stored: &Stored,
    history: impl FnOnce() -> Vec<Vec<u8>>,
    mut beat: impl FnMut(),
) -> Option<(Stream, Loaded)> {
    let checkpoint = match stored.checkpoint.as_deref().map(Checkpoint::decode) {
        Some(Err(error)) => {
            warn!(stream = name, "{error}: it is set aside; the stream warms up from its log");
            None
        }
        Some(Ok(checkpoint)) => Some(checkpoint),
        None => None,
    };
    let is_damaged = checkpoint.is_none() && stored.checkpoint.is_some();
    let tail = || stored.tail.iter().filter_map(|bytes| entry(name, bytes));
    let continued = match &checkpoint {
        Some(checkpoint) => restore(prepared, shared, checkpoint, Compatibility::Same),
        None if is_damaged => None,
        None => blank(prepared, shared),
    };
    if let Some(mut stream) = continued {
        tail().for_each(|entry| stream.replay(shared, entry, &mut |_| beat()));
        return Some((stream, Loaded::Continued));
    }
    if checkpoint.is_some() {
        let why = "it belongs to another model or to other aggregations";
        warn!(stream = name, "stored state is not used: {why}; the stream warms up from its log");
    }
    let history: Vec<Entry> = history().iter().filter_map(|bytes| entry(name, bytes)).collect();
    // Without a log, the state of a model of the same architecture is the best there is.
    let inherited = checkpoint.as_ref().filter(|_| history.is_empty());
    let inherited = inherited.and_then(|checkpoint| restore(prepared, shared, checkpoint, Compatibility::Architecture));
    let mut stream = inherited.or_else(|| blank(prepared, shared))?;
    let entries = history.len();
    history.into_iter().for_each(|entry| stream.replay(shared, entry, &mut |_| beat()));
    if let Some(checkpoint) = checkpoint
        && let Ok(mut resampler) = Resampler::restore(prepared.schema.resampler.clone(), checkpoint.resampler)
    {
        tail().for_each(|entry| resample(&mut resampler, entry));
        stream.resampler = resampler;
    }
    stream.needs_checkpoint = true;
    info!(stream = name, entries, "the model warmed up from the stream's log");
    let loaded = if is_damaged { Loaded::Damaged } else { Loaded::WarmedUp };
    Some((stream, loaded(entries)))
}

/// A stream as its checkpoint has it, where the models are the same or as compatible as `also`.
fn restore(prepared: &Prepared, shared: &Shared<'_>, checkpoint: &CheckpointV2, also: Compatibility) -> Option<Stream> {
    let found = prepared.fingerprint.compatibility(&checkpoint.fingerprint);
    if found != Compatibility::Same && found != also {
        return None;
    }
    let resampler = Resampler::restore(prepared.schema.resampler.clone(), checkpoint.resampler.clone()).ok()?;
    let forecaster = Forecaster::restore(&shared.model, &shared.config, checkpoint.forecaster.clone()).ok()?;
    Some(Stream::new(resampler, forecaster))
}

fn entry(stream: &str, bytes: &[u8]) -> Option<Entry> {
    Entry::decode(bytes).map_err(|error| warn!(stream, "{error}; it is skipped")).ok()
}

/// Takes readings without their consequences.
fn resample(resampler: &mut Resampler, entry: Entry) {
    for reading in entry.readings() {
        let _ = resampler.push(reading, |_| {});
    }
}
