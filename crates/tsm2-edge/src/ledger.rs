//! When the streams' state is committed, and which acknowledgements wait for it.
//!
//! Invariants: a message is acknowledged after a commit that came after it, and not before; a commit that fails acknowledges nothing, is
//! said once and tried again; the broker is never left waiting for acknowledgements while nothing arrives.

use std::time::{Duration, Instant};

use tracing::{error, info, warn};
use tsm2_mqtt::Acknowledgement;

use crate::engine::Engine;
use crate::service::Durability;
use crate::store::{Snapshots, Store};

/// How long nothing may arrive, once the broker may be waiting for acknowledgements.
const IDLE: Duration = Duration::from_millis(10);

/// What is not durable yet.
pub(crate) struct Ledger<'s> {
    limits: &'s Durability,
    store: Store,
    /// Streams in the file that this configuration does not serve; they leave it with the next commit.
    removed: Vec<String>,
    /// In order of arrival.
    held: Vec<Acknowledgement>,
    /// When the first and the last message since the last commit came.
    since: Option<(Instant, Instant)>,
    /// When the last commit failed.
    failed: Option<Instant>,
}

impl<'s> Ledger<'s> {
    /// Gives the engine what was in the store.
    pub(crate) fn new(limits: &'s Durability, (store, stored): (Store, Snapshots), engine: &mut Engine<'_>) -> Self {
        let (streams, mut removed) = (stored.len(), Vec::new());
        for (name, snapshot) in stored {
            if let Err(why) = engine.restore(&name, &snapshot) {
                warn!(stream = name, "stored state is not used: {why}; the stream starts anew");
                removed.push(name);
            }
        }
        info!(file = %limits.path.display(), streams = streams - removed.len(), refused = removed.len(), "state restored");
        Ledger {
            limits,
            store,
            removed,
            held: Vec::new(),
            since: None,
            failed: None,
        }
    }

    /// A message has been through the engine.
    pub(crate) fn hold(&mut self, ack: Acknowledgement) {
        let now = Instant::now();
        self.since = Some((self.since.map_or(now, |(first, _)| first), now));
        if ack.is_awaited() {
            self.held.push(ack);
        }
    }

    /// When to commit if nothing arrives before; `None` when there is nothing to commit.
    pub(crate) fn due(&self) -> Option<Instant> {
        let (first, last) = self.since?;
        let due = self.failed.unwrap_or(first) + self.limits.every;
        let may_wait = self.failed.is_none() && self.held.len() >= self.limits.max_inflight;
        Some(if may_wait { due.min(last + IDLE) } else { due })
    }

    /// Whether to commit before the next message is looked at.
    pub(crate) fn is_full(&self, engine: &Engine<'_>) -> bool {
        let Some((first, last)) = self.since else { return false };
        match self.failed {
            Some(failed) => last >= failed + self.limits.every,
            None => engine.uncommitted() >= self.limits.readings || last >= first + self.limits.every,
        }
    }

    /// Commits and acknowledges.
    pub(crate) fn commit(&mut self, engine: &mut Engine<'_>) {
        let again = self.failed.is_some();
        if engine.uncommitted() > 0 || again || !self.removed.is_empty() {
            if let Err(why) = self.store.commit(engine.snapshots(again), &self.removed) {
                if !again {
                    error!("state is not durable, readings stay unacknowledged: {why}; trying again");
                }
                self.failed = Some(Instant::now());
                return;
            }
            if again {
                info!("state is durable again");
            }
            engine.committed();
            self.removed.clear();
            self.failed = None;
        }
        for ack in self.held.drain(..) {
            ack.done();
        }
        self.since = None;
    }
}
