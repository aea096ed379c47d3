//! Batch: what a worker hands to the writer. State first, acknowledgements with it.
//!
//! A batch that never reaches the writer is never acknowledged: its acknowledgements are dropped
//! with it, and the broker sends the messages again.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::observe::StateMetrics;
use crate::runtime::engine::Accepted;
use crate::runtime::recorder::Row;
use crate::runtime::source::Acknowledge;
use crate::state;

/// Bytes of log entries in an open batch, beyond which checkpoints replace them.
const MAX_BYTES: usize = 4 << 20;
/// Rows of recordings in an open batch.
const MAX_ROWS: usize = 100_000;

/// A closed batch of one worker.
#[derive(Debug)]
pub(crate) struct Batch<A> {
    /// Log entries and checkpoints by key.
    pub(crate) state: state::Batch,
    /// Keys that leave the store.
    pub(crate) forget: Vec<String>,
    /// For the recordings.
    pub(crate) rows: Vec<Row>,
    /// In order of arrival.
    pub(crate) acks: Vec<A>,
    /// Readings in it.
    pub(crate) readings: u64,
    /// Worker and number of each batch in it.
    pub(crate) numbers: Vec<Number>,
}

/// Number of a batch: its worker, and a number there from 1.
pub(crate) type Number = (usize, u64);

/// The batches that are not durable yet, for the metrics.
#[derive(Debug)]
pub(crate) struct Uncommitted {
    metrics: StateMetrics,
    batches: Mutex<BTreeMap<Number, (u64, Instant)>>,
}

impl Uncommitted {
    pub(crate) fn new(metrics: StateMetrics) -> Self {
        Uncommitted {
            metrics,
            batches: Mutex::default(),
        }
    }

    /// A batch with so many readings, opened then.
    pub(crate) fn set(&self, number: Number, readings: u64, opened: Instant) {
        self.change(|batches| {
            batches.insert(number, (readings, opened));
        });
    }

    /// These are durable, or given up.
    pub(crate) fn remove(&self, numbers: &[Number]) {
        self.change(|batches| batches.retain(|number, _| !numbers.contains(number)));
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<Number, (u64, Instant)>)) {
        let mut batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut batches);
        let oldest = batches.values().map(|&(_, opened)| opened).min();
        self.metrics
            .uncommitted(batches.values().map(|&(readings, _)| readings).sum(), oldest);
    }
}

/// When a batch is closed, whatever the broker does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Most readings.
    pub(crate) readings: u64,
    /// Longest time that a batch stays open.
    pub(crate) every: Duration,
    /// How long a batch with that many readings stays open for more of them: one commit writes
    /// whole blocks, so readings that come together are cheaper together.
    pub(crate) pause: Duration,
}

/// The batch that a worker fills.
#[derive(Debug)]
pub(crate) struct OpenBatch<A> {
    state: state::Batch,
    bytes: usize,
    /// Streams whose entries were dropped: a checkpoint stands for them.
    collapsed: BTreeSet<String>,
    forget: Vec<String>,
    rows: Vec<Row>,
    acks: Vec<A>,
    readings: u64,
    opened: Option<Instant>,
    number: u64,
}

impl<A: Acknowledge> OpenBatch<A> {
    pub(crate) fn new() -> Self {
        OpenBatch {
            state: state::Batch::default(),
            bytes: 0,
            collapsed: BTreeSet::new(),
            forget: Vec::new(),
            rows: Vec::new(),
            acks: Vec::new(),
            readings: 0,
            opened: None,
            number: 1,
        }
    }

    /// Its number, from 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Adds the entries of one message, which lie under `key`.
    pub(crate) fn add(&mut self, key: String, accepted: &Accepted) {
        self.opened.get_or_insert_with(Instant::now);
        self.readings += accepted.readings;
        if self.collapsed.contains(&key) {
            return;
        }
        let update = self.state.streams.entry(key).or_default();
        for entry in &accepted.entries {
            let entry = entry.encode();
            self.bytes += entry.len();
            update.entries.push(entry);
        }
        if self.bytes > MAX_BYTES {
            self.collapse();
        }
    }

    /// Adds rows of the recordings. While the disk is full for long, the newest are dropped; readings
    /// that the broker sends again give them again.
    pub(crate) fn add_rows(&mut self, rows: Vec<Row>) {
        if !rows.is_empty() && self.rows.len() < MAX_ROWS {
            self.opened.get_or_insert_with(Instant::now);
            self.rows.extend(rows);
        }
    }

    /// Adds a message's acknowledgement.
    pub(crate) fn add_ack(&mut self, ack: A) {
        if ack.is_awaited() {
            self.opened.get_or_insert_with(Instant::now);
            self.acks.push(ack);
        }
    }

    /// Removes a stream from the store.
    pub(crate) fn forget(&mut self, key: String) {
        self.opened.get_or_insert_with(Instant::now);
        self.state.streams.remove(&key);
        self.collapsed.remove(&key);
        self.forget.push(key);
    }

    /// Drops the entries. The store is behind, and memory is limited: checkpoints stand for them.
    fn collapse(&mut self) {
        self.bytes = 0;
        let streams = mem::take(&mut self.state.streams).into_iter();
        let (checkpoints, entries): (BTreeMap<_, _>, BTreeMap<_, _>) = streams.partition(|(_, update)| update.checkpoint.is_some());
        self.state.streams = checkpoints;
        self.collapsed.extend(entries.into_keys());
    }

    /// The keys in it, with whether a checkpoint must stand for the entries.
    pub(crate) fn keys(&self) -> Vec<(String, bool)> {
        let whole = self.state.streams.keys().map(|key| (key.clone(), false));
        whole.chain(self.collapsed.iter().map(|key| (key.clone(), true))).collect()
    }

    /// Sets the checkpoint of a stream. It includes all entries so far.
    pub(crate) fn checkpoint(&mut self, key: String, checkpoint: Vec<u8>) {
        self.opened.get_or_insert_with(Instant::now);
        self.collapsed.remove(&key);
        self.state.streams.entry(key).or_default().checkpoint = Some(checkpoint);
    }

    /// How many readings are in it, and when it was opened.
    pub(crate) fn content(&self) -> Option<(u64, Instant)> {
        Some((self.readings, self.opened?))
    }

    /// Whether the broker waits for acknowledgements in it.
    pub(crate) fn is_awaited(&self) -> bool {
        !self.acks.is_empty()
    }

    /// When it is to be closed; `None` when it is empty.
    pub(crate) fn due(&self, limits: Limits) -> Option<Instant> {
        let opened = self.opened?;
        Some(match self.readings >= limits.readings {
            true => opened + limits.pause.min(limits.every),
            false => opened + limits.every,
        })
    }

    /// Closes it; a new one is open afterwards. `None` when nothing is in it.
    pub(crate) fn close(&mut self, worker: usize) -> Option<Batch<A>> {
        self.opened.take()?;
        let batch = Batch {
            state: mem::take(&mut self.state),
            forget: mem::take(&mut self.forget),
            rows: mem::take(&mut self.rows),
            acks: mem::take(&mut self.acks),
            readings: mem::take(&mut self.readings),
            numbers: vec![(worker, self.number)],
        };
        self.bytes = 0;
        self.number += 1;
        Some(batch)
    }
}

impl<A> Batch<A> {
    /// Whether the store has something to write.
    pub(crate) fn has_state(&self) -> bool {
        !self.state.streams.is_empty() || !self.forget.is_empty() || !self.rows.is_empty()
    }

    /// Appends a later batch. Returns it when the two cannot be one transaction.
    pub(crate) fn merge(&mut self, later: Batch<A>) -> Option<Batch<A>> {
        let fits = |(key, later): (&String, &state::StreamUpdate)| {
            let update = self.state.streams.get(key);
            let is_behind = update.is_some_and(|update| update.checkpoint.is_some()) && later.checkpoint.is_none();
            !is_behind && !self.forget.contains(key)
        };
        let stays = |key: &String| !self.state.streams.contains_key(key);
        if !later.state.streams.iter().all(fits) || !later.forget.iter().all(stays) {
            return Some(later);
        }
        for (key, update) in later.state.streams {
            // Checked above.
            let _ = self.state.streams.entry(key).or_default().merge(update);
        }
        self.forget.extend(later.forget);
        self.rows.extend(later.rows);
        self.acks.extend(later.acks);
        self.readings += later.readings;
        self.numbers.extend(later.numbers);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::record::Entry;

    struct NoAck;

    impl Acknowledge for NoAck {
        fn is_awaited(&self) -> bool {
            true
        }

        fn done(self) {}
    }

    fn accepted(points: usize) -> Accepted {
        Accepted {
            entries: vec![Entry::FutureCovariate {
                variate: 0,
                points: vec![(0, 0.5); points],
            }],
            readings: 1,
        }
    }

    #[test]
    fn a_batch_is_due_by_readings_and_by_time() {
        let limits = Limits {
            readings: 2,
            every: Duration::from_secs(10),
            pause: Duration::ZERO,
        };
        let mut open = OpenBatch::<NoAck>::new();
        assert!(open.due(limits).is_none() && open.close(0).is_none());
        open.add("a".into(), &accepted(1));
        assert!(open.due(limits).unwrap() > Instant::now());
        open.add("a".into(), &accepted(1));
        assert!(open.due(limits).unwrap() <= Instant::now());
        let pause = Duration::from_secs(5);
        let later = Limits { pause, ..limits };
        assert_eq!(open.due(later).unwrap(), open.due(limits).unwrap() + pause);
        let closed = open.close(3).unwrap();
        assert_eq!((closed.readings, closed.numbers.as_slice(), open.number()), (2, &[(3, 1)][..], 2));
        assert_eq!(closed.state.streams["a"].entries.len(), 2);
    }

    #[test]
    fn with_a_full_disk_an_open_batch_stays_small() {
        let mut open = OpenBatch::<NoAck>::new();
        for _ in 0..10_000 {
            open.add("a".into(), &accepted(200));
        }
        assert!(open.bytes <= MAX_BYTES);
        assert!(
            open.state.streams.is_empty(),
            "a stream that collapsed once stays so until its checkpoint"
        );
        assert_eq!(open.keys(), [("a".to_owned(), true)]);
        open.checkpoint("a".into(), vec![1]);
        let closed = open.close(0).unwrap();
        assert_eq!((closed.readings, closed.state.streams["a"].entries.len()), (10_000, 0));
        assert!(open.keys().is_empty());
    }

    #[test]
    fn entries_are_not_merged_behind_a_checkpoint() {
        let mut open = OpenBatch::<NoAck>::new();
        let mut batch = |checkpoint: bool| {
            open.add("a".into(), &accepted(1));
            if checkpoint {
                open.checkpoint("a".into(), vec![1]);
            }
            open.close(0).unwrap()
        };
        let (mut first, second, third) = (batch(false), batch(true), batch(false));
        assert!(first.merge(second).is_none());
        let third = first.merge(third).expect("another transaction");
        assert_eq!((first.readings, third.readings), (2, 1));
    }
}
