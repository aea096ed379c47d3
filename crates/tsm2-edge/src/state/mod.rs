//! State store: what was accepted of each stream, as a log with checkpoints.
//!
//! 1. An entry is appended for each message that changed a stream.
//! 2. A checkpoint holds the whole state of a stream. It includes all entries before it.
//! 3. On load the checkpoint is restored and the entries after it (the tail) are replayed.
//! 4. A commit is durable on return, all of it or none of it.
//! 5. Nothing is deleted on opening. Streams leave by [`StateStore::forget`] only.
//!
//! Entries and checkpoints are opaque bytes here. [`log`] keeps them on disk, [`memory`]
//! in one process.

pub mod log;
pub mod memory;

use std::collections::BTreeMap;
use std::path::PathBuf;

/// New entries of one stream and, now and then, its new checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamUpdate {
    /// In order of acceptance.
    pub entries: Vec<Vec<u8>>,
    /// Includes all entries before this update and all entries in it.
    pub checkpoint: Option<Vec<u8>>,
}

impl StreamUpdate {
    /// Appends a later update of the same stream.
    ///
    /// Returns it when the two cannot be one update: entries that follow a checkpoint.
    pub fn merge(&mut self, later: StreamUpdate) -> Result<(), StreamUpdate> {
        if self.checkpoint.is_some() && later.checkpoint.is_none() && !later.entries.is_empty() {
            return Err(later);
        }
        self.entries.extend(later.entries);
        self.checkpoint = later.checkpoint.or(self.checkpoint.take());
        Ok(())
    }
}

/// The updates of one transaction, by name of the stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// One update per stream.
    pub streams: BTreeMap<String, StreamUpdate>,
}

/// The stored state of one stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// The newest checkpoint. `None` for a stream without one: it begins with a blank state.
    pub checkpoint: Option<Vec<u8>>,
    /// The entries after the checkpoint, oldest first.
    pub tail: Vec<Vec<u8>>,
}

/// The result of a commit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Committed {
    /// Bytes written, framing included.
    pub bytes: u64,
}

/// One stream of a store, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamInfo {
    /// The name.
    pub name: String,
    /// Entries kept, tail included.
    pub entries: usize,
    /// Entries after the checkpoint.
    pub tail: usize,
    /// Size of the checkpoint, if there is one.
    pub checkpoint_bytes: Option<usize>,
    /// When the stream was last written, in milliseconds since 1970-01-01 UTC.
    pub last_write_ms: i64,
}

/// A store of streams, owned by one process.
pub trait StateStore: Send + Sync {
    /// The newest checkpoint of a stream and the entries after it. `None` for an unknown stream.
    fn load(&self, stream: &str) -> Result<Option<Stored>, StoreError>;

    /// The newest `limit` entries of a stream, oldest first, also those that a checkpoint includes.
    ///
    /// A store keeps a limited number of entries that a checkpoint includes.
    fn history(&self, stream: &str, limit: usize) -> Result<Vec<Vec<u8>>, StoreError>;

    /// Writes all of the batch or none of it. The batch is durable on return.
    ///
    /// # Errors
    /// After an error nothing of the batch is in the store, and it can be committed again.
    /// [`StoreError::StaleOwner`] is final: another process owns the store now.
    fn commit(&self, batch: &Batch) -> Result<Committed, StoreError>;

    /// All streams, by name.
    fn streams(&self) -> Result<Vec<StreamInfo>, StoreError>;

    /// Removes streams with all their entries. Unknown names are ignored.
    fn forget(&self, streams: &[String]) -> Result<(), StoreError>;
}

/// Copies every stream of a store to another one, with checkpoint and history.
///
/// Entries before the tail of a stream without a checkpoint are left out: in the copy they would
/// be part of the tail.
///
/// # Errors
/// Those of both stores. Streams copied before the error stay copied.
pub fn copy(from: &dyn StateStore, to: &dyn StateStore) -> Result<(), StoreError> {
    for info in from.streams()? {
        let Some(stored) = from.load(&info.name)? else { continue };
        let mut entries = from.history(&info.name, usize::MAX)?;
        match stored.checkpoint {
            Some(_) => entries.truncate(entries.len().saturating_sub(stored.tail.len())),
            None => entries.clear(),
        }
        let covered = StreamUpdate {
            entries,
            checkpoint: stored.checkpoint,
        };
        let tail = StreamUpdate {
            entries: stored.tail,
            checkpoint: None,
        };
        to.forget(std::slice::from_ref(&info.name))?;
        for update in [covered, tail] {
            to.commit(&Batch {
                streams: BTreeMap::from([(info.name.clone(), update)]),
            })?;
        }
    }
    Ok(())
}

/// Milliseconds since 1970-01-01 UTC.
fn now_ms() -> i64 {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Why state cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The operating system refused.
    #[error("state.path: {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The path names a file.
    #[error("state.path: {} is a file, and state is kept in a folder: name another path", path.display())]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
    /// Another process has the store open.
    #[error("state.path: {} is in use by another process: stop that daemon first", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// Another process has opened the store since. Commits of this one are refused.
    #[error("state.path: {} belongs to another process now (epoch {current}, this one has {own})", path.display())]
    StaleOwner {
        /// The folder.
        path: PathBuf,
        /// Epoch of this process.
        own: u64,
        /// Epoch of the owner.
        current: u64,
    },
    /// A later version of this program wrote the file.
    #[error("state.path: {} has format {found}, this program reads up to {known}: update tsm2-edge or name another path", path.display())]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format that this program reads.
        known: u32,
    },
    /// An update does not fit.
    #[error("the state of stream `{stream}` does not fit the store: {bytes} bytes")]
    TooLarge {
        /// The stream.
        stream: String,
        /// Size of the name, entry or checkpoint.
        bytes: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(entries: &[&[u8]], checkpoint: Option<&[u8]>) -> StreamUpdate {
        StreamUpdate {
            entries: entries.iter().map(|entry| entry.to_vec()).collect(),
            checkpoint: checkpoint.map(<[u8]>::to_vec),
        }
    }

    #[test]
    fn merged_updates_keep_their_order() {
        let mut merged = update(&[b"1"], None);
        merged.merge(update(&[b"2"], Some(b"a"))).unwrap();
        merged.merge(update(&[b"3"], Some(b"b"))).unwrap();
        merged.merge(update(&[], None)).unwrap();
        assert_eq!(merged, update(&[b"1", b"2", b"3"], Some(b"b")));
    }

    #[test]
    fn entries_after_a_checkpoint_are_not_merged_into_it() {
        let mut merged = update(&[b"1"], Some(b"a"));
        let later = update(&[b"2"], None);
        assert_eq!(merged.merge(later.clone()), Err(later));
        assert_eq!(merged, update(&[b"1"], Some(b"a")));
    }
}
