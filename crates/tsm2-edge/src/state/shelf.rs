//! Where the streams' snapshots lie when they are not in memory, and what is written there.
//!
//! Invariant: of a stream there is at most one snapshot, the newest that was committed; its rows are those of the grid, in order.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::state::store::StoreError;

/// What is to be written of one stream.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Change {
    /// The stream as it is now.
    pub snapshot: Vec<u8>,
    /// The rows it took since the last change that was given out.
    pub rows: Rows,
}

impl Change {
    /// Takes a later change of the same stream.
    pub(crate) fn then(&mut self, later: Change) {
        self.snapshot = later.snapshot;
        self.rows.times_ms.extend(later.rows.times_ms);
        self.rows.values.extend(later.rows.values);
    }
}

/// Streams by name and what changed of each.
pub type Changes = HashMap<String, Change>;

/// Closed rows of one stream, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rows {
    /// Milliseconds since 1970-01-01 UTC.
    pub times_ms: Vec<i64>,
    /// Shape `[rows][M]`, NaN where missing.
    pub values: Vec<f32>,
}

/// Snapshots and rows by name of the stream.
pub(crate) trait Shelf: Send + Sync {
    /// The snapshot of a stream, if there is one.
    fn load(&self, stream: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// The stream's last rows, of M values each.
    fn rows(&self, stream: &str) -> Result<Rows, StoreError>;

    /// Writes all changes or none; returns how many bytes of content that were. After a failure it is to be told all streams.
    fn commit(&self, changes: &Changes) -> Result<u64, StoreError>;
}

/// What a daemon without a state file hands to its successor in the same process. A stream is taken off when it is loaded.
#[derive(Debug, Default)]
pub(crate) struct Carried(Mutex<Changes>);

impl Carried {
    pub(crate) fn new(changes: Changes) -> Self {
        Carried(Mutex::new(changes))
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// The streams that nobody asked for.
    pub(crate) fn take(&self) -> Changes {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Changes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf for Carried {
    fn load(&self, stream: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.lock().remove(stream).map(|change| change.snapshot))
    }

    fn rows(&self, _: &str) -> Result<Rows, StoreError> {
        Ok(Rows::default())
    }

    fn commit(&self, _: &Changes) -> Result<u64, StoreError> {
        Ok(0)
    }
}
