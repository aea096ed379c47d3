//! In-memory state store: the handover between two runtimes of one process.
//!
//! Of each stream the checkpoint, the tail and the newest covered entries are kept.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Batch, Committed, StateStore, StoreError, Stored, StreamInfo, now_ms};

/// A store that lives as long as the process. See the module's description.
#[derive(Debug, Default)]
pub struct MemoryStore {
    retained_entries: usize,
    streams: Mutex<BTreeMap<String, Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    checkpoint: Option<Vec<u8>>,
    entries: VecDeque<Vec<u8>>,
    /// How many of the entries come after the checkpoint.
    tail: usize,
    last_write_ms: i64,
}

impl Kept {
    /// The newest `count` entries, oldest first.
    fn newest(&self, count: usize) -> Vec<Vec<u8>> {
        self.entries
            .iter()
            .skip(self.entries.len().saturating_sub(count))
            .cloned()
            .collect()
    }
}

impl MemoryStore {
    /// A store that keeps the newest `retained_entries` entries of a stream for its history.
    pub fn new(retained_entries: usize) -> Self {
        MemoryStore {
            retained_entries,
            ..Self::default()
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Kept>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StateStore for MemoryStore {
    fn load(&self, stream: &str) -> Result<Option<Stored>, StoreError> {
        Ok(self.lock().get(stream).map(|kept| Stored {
            checkpoint: kept.checkpoint.clone(),
            tail: kept.newest(kept.tail),
        }))
    }

    fn history(&self, stream: &str, limit: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        Ok(self.lock().get(stream).map(|kept| kept.newest(limit)).unwrap_or_default())
    }

    fn commit(&self, batch: &Batch) -> Result<Committed, StoreError> {
        let mut streams = self.lock();
        let mut bytes = 0;
        for (name, update) in &batch.streams {
            if update.entries.is_empty() && update.checkpoint.is_none() {
                continue;
            }
            let kept = match streams.get_mut(name) {
                Some(kept) => kept,
                None => streams.entry(name.clone()).or_default(),
            };
            bytes += update.entries.iter().chain(&update.checkpoint).map(Vec::len).sum::<usize>() as u64;
            kept.last_write_ms = now_ms();
            kept.tail += update.entries.len();
            kept.entries.extend(update.entries.iter().cloned());
            if let Some(checkpoint) = &update.checkpoint {
                kept.checkpoint = Some(checkpoint.clone());
                kept.tail = 0;
            }
            let surplus = kept.entries.len().saturating_sub(self.retained_entries.max(kept.tail));
            kept.entries.drain(..surplus);
        }
        Ok(Committed { bytes })
    }

    fn streams(&self) -> Result<Vec<StreamInfo>, StoreError> {
        let streams = self.lock();
        let info = |(name, kept): (&String, &Kept)| StreamInfo {
            name: name.clone(),
            entries: kept.entries.len(),
            tail: kept.tail,
            checkpoint_bytes: kept.checkpoint.as_ref().map(Vec::len),
            last_write_ms: kept.last_write_ms,
        };
        Ok(streams.iter().map(info).collect())
    }

    fn forget(&self, streams: &[String]) -> Result<(), StoreError> {
        let mut kept = self.lock();
        for name in streams {
            kept.remove(name);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{StreamUpdate, copy};

    fn update(entries: &[u8], checkpoint: Option<u8>) -> StreamUpdate {
        StreamUpdate {
            entries: entries.iter().map(|&entry| vec![entry]).collect(),
            checkpoint: checkpoint.map(|checkpoint| vec![checkpoint]),
        }
    }

    fn commit(store: &MemoryStore, entries: &[u8], checkpoint: Option<u8>) {
        let streams = BTreeMap::from([("s".to_owned(), update(entries, checkpoint))]);
        store.commit(&Batch { streams }).unwrap();
    }

    fn tail(store: &MemoryStore) -> (Option<Vec<u8>>, Vec<u8>) {
        let stored = store.load("s").unwrap().unwrap();
        (stored.checkpoint, stored.tail.concat())
    }

    #[test]
    fn the_tail_is_whole_whatever_is_retained() {
        let store = MemoryStore::new(2);
        assert_eq!(store.load("s").unwrap(), None);
        commit(&store, &[1, 2, 3], None);
        assert_eq!(tail(&store), (None, vec![1, 2, 3]));
        commit(&store, &[4], Some(10));
        assert_eq!(tail(&store), (Some(vec![10]), vec![]));
        assert_eq!(store.history("s", 9).unwrap().concat(), [3, 4]);
        commit(&store, &[5, 6, 7], None);
        assert_eq!(tail(&store), (Some(vec![10]), vec![5, 6, 7]));
        assert_eq!(store.history("s", 2).unwrap().concat(), [6, 7]);
    }

    #[test]
    fn a_forgotten_stream_is_unknown() {
        let store = MemoryStore::new(2);
        commit(&store, &[1], Some(1));
        let [info] = &store.streams().unwrap()[..] else { panic!() };
        assert_eq!(
            (info.name.as_str(), info.entries, info.tail, info.checkpoint_bytes),
            ("s", 1, 0, Some(1))
        );
        assert!(info.last_write_ms > 0);
        store.forget(&["s".to_owned(), "unknown".to_owned()]).unwrap();
        assert_eq!(store.load("s").unwrap(), None);
        assert!(store.streams().unwrap().is_empty());
    }

    #[test]
    fn a_copy_has_checkpoint_tail_and_history() {
        let (from, to) = (MemoryStore::new(2), MemoryStore::new(2));
        for update in [update(&[1, 2, 3], Some(10)), update(&[4], None)] {
            let streams = BTreeMap::from([("s".to_owned(), update)]);
            from.commit(&Batch { streams }).unwrap();
        }
        let blank = BTreeMap::from([("blank".to_owned(), update(&[9], None))]);
        from.commit(&Batch { streams: blank.clone() }).unwrap();
        to.commit(&Batch { streams: blank }).unwrap();
        copy(&from, &to).unwrap();
        for stream in ["s", "blank"] {
            assert_eq!(to.load(stream).unwrap(), from.load(stream).unwrap());
            assert_eq!(to.history(stream, 9).unwrap(), from.history(stream, 9).unwrap());
        }
    }
}
