//! The state's file: a snapshot and the last rows of each stream, by name.
//!
//! Invariants: a commit is there whole or not at all, also after a power cut; a file that is damaged is moved aside under a name that is
//! said, never read and never deleted; after a failure the file is opened anew before it is written again; of each stream no more rows are
//! kept than configured, so that the file's size is bounded by the number of streams.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition, TableError};
use tracing::error;

use crate::state::shelf::{Changes, Rows, Shelf};

const STREAMS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("streams");
/// Stream and milliseconds since 1970 to M values.
const ROWS: TableDefinition<'_, (&str, i64), &[u8]> = TableDefinition::new("rows");
/// A stream is read once and then only written, so there is little to keep in memory.
const CACHE_BYTES: usize = 4 << 20;

/// Why the state cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file cannot be used.
    #[error("state.path: {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<redb::Error>,
    },
    /// The file is damaged and stays in the way.
    #[error("state.path: {} is damaged and cannot be moved to {}: {source}", path.display(), aside.display())]
    Aside {
        /// The file.
        path: PathBuf,
        /// Where it should have gone.
        aside: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// The open file. Any thread may read; commits come from one.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    /// The longest time that rows are kept, in milliseconds before a stream's newest.
    span_ms: i64,
    /// `None` after a failure.
    database: RwLock<Option<Arc<Database>>>,
}

impl Store {
    /// Opens the file, or makes it. A damaged file is moved to the same name with `.damaged` added, replacing an older one, and a new one is
    /// begun. Rows older than `span_ms` before their stream's newest row are given up with its next commit.
    ///
    /// # Errors
    /// When another process has it open, and whatever the operating system refuses.
    pub fn open(path: &Path, span_ms: i64) -> Result<Self, StoreError> {
        Ok(Store {
            path: path.to_owned(),
            span_ms,
            database: RwLock::new(Some(Arc::new(open_or_begin(path)?))),
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Shows every stream's name and snapshot.
    pub fn each(&self, mut see: impl FnMut(&str, &[u8])) -> Result<(), StoreError> {
        self.with(|database| {
            if let Some(table) = found(database.begin_read()?.open_table(STREAMS))? {
                for entry in table.iter()? {
                    let (name, snapshot) = entry?;
                    see(name.value(), snapshot.value());
                }
            }
            Ok(())
        })
    }

    /// How many streams there are.
    pub fn count(&self) -> Result<u64, StoreError> {
        self.with(|database| match found(database.begin_read()?.open_table(STREAMS))? {
            Some(table) => Ok(table.len()?),
            None => Ok(0),
        })
    }

    /// Removes streams and their rows.
    pub fn remove(&self, names: &[String]) -> Result<(), StoreError> {
        self.with(|database| {
            let transaction = database.begin_write()?;
            {
                let (mut streams, mut rows) = (transaction.open_table(STREAMS)?, transaction.open_table(ROWS)?);
                for name in names {
                    streams.remove(name.as_str())?;
                    rows.retain_in((name.as_str(), i64::MIN)..=(name.as_str(), i64::MAX), |_, _| false)?;
                }
            }
            Ok(transaction.commit()?)
        })
    }

    /// Does something with the open file; after a failure it is opened anew the next time.
    fn with<T>(&self, act: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        let database = self.database()?;
        act(&database).map_err(|source| {
            *self.database.write().unwrap_or_else(PoisonError::into_inner) = None;
            file_error(&self.path, source)
        })
    }

    fn database(&self) -> Result<Arc<Database>, StoreError> {
        if let Some(database) = &*self.database.read().unwrap_or_else(PoisonError::into_inner) {
            return Ok(database.clone());
        }
        let mut place = self.database.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(database) = &*place {
            return Ok(database.clone());
        }
        Ok(place.insert(Arc::new(open_or_begin(&self.path)?)).clone())
    }
}

impl Shelf for Store {
    fn load(&self, stream: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.with(|database| match found(database.begin_read()?.open_table(STREAMS))? {
            Some(table) => Ok(table.get(stream)?.map(|snapshot| snapshot.value().to_vec())),
            None => Ok(None),
        })
    }

    fn rows(&self, stream: &str) -> Result<Rows, StoreError> {
        self.with(|database| {
            let mut rows = Rows::default();
            if let Some(table) = found(database.begin_read()?.open_table(ROWS))? {
                for entry in table.range((stream, i64::MIN)..=(stream, i64::MAX))? {
                    let (key, values) = entry?;
                    rows.times_ms.push(key.value().1);
                    let (values, _) = values.value().as_chunks::<4>();
                    rows.values.extend(values.iter().map(|value| f32::from_le_bytes(*value)));
                }
            }
            Ok(rows)
        })
    }

    fn commit(&self, changes: &Changes) -> Result<u64, StoreError> {
        self.with(|database| {
            let transaction = database.begin_write()?;
            let mut bytes = 0;
            {
                let (mut streams, mut kept) = (transaction.open_table(STREAMS)?, transaction.open_table(ROWS)?);
                for (name, change) in changes {
                    streams.insert(name.as_str(), change.snapshot.as_slice())?;
                    bytes += change.snapshot.len() + 4 * change.rows.values.len();
                    let Some(&newest) = change.rows.times_ms.last() else { continue };
                    let oldest = newest.saturating_sub(self.span_ms);
                    let width = change.rows.values.len() / change.rows.times_ms.len();
                    for (time_ms, row) in change.rows.times_ms.iter().zip(change.rows.values.chunks_exact(width.max(1))) {
                        if *time_ms > oldest {
                            let row: Vec<u8> = row.iter().flat_map(|value| value.to_le_bytes()).collect();
                            kept.insert((name.as_str(), *time_ms), row.as_slice())?;
                        }
                    }
                    kept.retain_in((name.as_str(), i64::MIN)..=(name.as_str(), oldest), |_, _| false)?;
                    // Later than the newest are those of a future that was none.
                    kept.retain_in((name.as_str(), newest.saturating_add(1))..=(name.as_str(), i64::MAX), |_, _| false)?;
                }
            }
            transaction.commit()?;
            Ok(bytes as u64)
        })
    }
}

/// A table, unless nothing was ever written to it.
fn found<T>(opened: Result<T, TableError>) -> Result<Option<T>, redb::Error> {
    match opened {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(other) => Err(other.into()),
    }
}

/// Opens the file; a damaged one is moved aside and a new one begun.
fn open_or_begin(path: &Path) -> Result<Database, StoreError> {
    match open(path) {
        Err(damage) if is_damage(&damage) => {
            let aside = with_suffix(path, ".damaged");
            std::fs::rename(path, &aside).map_err(|source| StoreError::Aside {
                path: path.to_owned(),
                aside: aside.clone(),
                source,
            })?;
            error!(
                file = %path.display(),
                moved_to = %aside.display(),
                "the state's file is damaged ({damage}) and a new one is begun"
            );
            open(path)
        }
        other => other,
    }
    .map_err(|source| file_error(path, source))
}

fn open(path: &Path) -> Result<Database, redb::Error> {
    let database = Database::builder()
        .set_cache_size(CACHE_BYTES)
        .set_check_integrity_on_open(true)
        .create(path)?;
    // A file whose name is not on the disk is lost with the power.
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        std::fs::File::open(folder)?.sync_all()?;
    }
    // What cannot be read is found now rather than when a stream is first heard of.
    let transaction = database.begin_read()?;
    if let Some(table) = found(transaction.open_table(STREAMS))? {
        for entry in table.iter()? {
            entry?;
        }
    }
    found(transaction.open_table(ROWS))?;
    drop(transaction);
    Ok(database)
}

/// Whether the content is to blame, not the disk, the permissions or another process.
fn is_damage(error: &redb::Error) -> bool {
    match error {
        redb::Error::Io(error) => matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof),
        redb::Error::Corrupted(_) | redb::Error::RepairAborted | redb::Error::UpgradeRequired(_) => true,
        redb::Error::TableTypeMismatch { .. } | redb::Error::TableIsMultimap(_) | redb::Error::TypeDefinitionChanged { .. } => true,
        _ => false,
    }
}

fn file_error(path: &Path, source: redb::Error) -> StoreError {
    StoreError::File {
        path: path.to_owned(),
        source: Box::new(source),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::shelf::Change;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};
    use std::collections::BTreeMap;
    use std::ops::Range;
    use tempfile::tempdir;

    const SPAN_MS: i64 = 10;

    fn changes(streams: Range<usize>, version: u8) -> Changes {
        streams
            .map(|stream| {
                let change = Change {
                    snapshot: vec![version; 5000],
                    rows: Rows::default(),
                };
                (format!("stream {stream}"), change)
            })
            .collect()
    }

    fn content(store: &Store) -> BTreeMap<String, Vec<u8>> {
        let mut content = BTreeMap::new();
        store
            .each(|name, snapshot| drop(content.insert(name.to_owned(), snapshot.to_vec())))
            .unwrap();
        content
    }

    fn snapshots(changes: Changes) -> BTreeMap<String, Vec<u8>> {
        changes.into_iter().map(|(name, change)| (name, change.snapshot)).collect()
    }

    #[test]
    fn what_was_committed_is_there_and_what_was_removed_is_not() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("state.redb");
        let store = Store::open(&path, SPAN_MS).unwrap();
        assert_eq!((store.count().unwrap(), store.load("stream 1").unwrap()), (0, None));
        store.commit(&changes(0..20, 1)).unwrap();
        store.commit(&changes(0..10, 2)).unwrap();
        store.remove(&["stream 15".to_owned(), "never seen".to_owned()]).unwrap();
        drop(store);
        let mut expected = snapshots(changes(0..10, 2));
        expected.extend(snapshots(changes(10..20, 1)));
        expected.remove("stream 15");
        let store = Store::open(&path, SPAN_MS).unwrap();
        assert_eq!(content(&store), expected);
        assert_eq!(store.count().unwrap(), 19);
        assert_eq!(store.load("stream 3").unwrap(), Some(vec![2; 5000]));
    }

    #[test]
    fn of_a_stream_the_last_rows_are_kept_and_no_more() {
        let folder = tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.redb"), SPAN_MS).unwrap();
        let commit = |stream: &str, times: Range<i64>| {
            let rows = Rows {
                times_ms: times.clone().collect(),
                values: times.flat_map(|time| [time as f32, f32::NAN]).collect(),
            };
            let change = Change { snapshot: vec![1], rows };
            store.commit(&Changes::from([(stream.to_owned(), change)])).unwrap();
        };
        commit("a", 0..7);
        commit("b", 0..30);
        commit("a", 7..14);
        let rows = store.rows("a").unwrap();
        assert_eq!(rows.times_ms, (4..14).collect::<Vec<_>>());
        assert_eq!(rows.values[..1], [4.0]);
        assert!(rows.values[1].is_nan() && rows.values.len() == 20);
        assert_eq!(store.rows("b").unwrap().times_ms, (20..30).collect::<Vec<_>>());
        assert_eq!(store.rows("c").unwrap(), Rows::default());
        commit("b", 1000..1002);
        commit("b", 30..33);
        assert_eq!(
            store.rows("b").unwrap().times_ms,
            [30, 31, 32],
            "a future that was none is not the past"
        );
        store.remove(&["b".to_owned()]).unwrap();
        assert_eq!(store.rows("b").unwrap(), Rows::default());
        assert_eq!(store.rows("a").unwrap().times_ms.len(), 10);
    }

    #[test]
    fn one_process_at_a_time_and_errors_name_the_file() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("state.redb");
        let _first = Store::open(&path, SPAN_MS).unwrap();
        let second = Store::open(&path, SPAN_MS).unwrap_err().to_string();
        assert!(second.contains("state.redb") && second.contains("already open"), "{second}");
        let nowhere = Store::open(&folder.path().join("no/such/state.redb"), SPAN_MS)
            .unwrap_err()
            .to_string();
        assert!(nowhere.contains("no/such/state.redb"), "{nowhere}");
    }

    #[test]
    fn a_damaged_file_is_moved_aside_or_reads_as_it_was_committed() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("state.redb");
        let store = Store::open(&path, SPAN_MS).unwrap();
        store.commit(&changes(0..20, 1)).unwrap();
        drop(store);
        let whole = std::fs::read(&path).unwrap();
        let committed = snapshots(changes(0..20, 1));
        let mut random = ChaCha8Rng::seed_from_u64(4);
        let mut moved = 0;
        for case in 0..100 {
            let at = random.next_u64() as usize % whole.len();
            let mut bytes = whole.clone();
            match case % 4 {
                0 => bytes.truncate(at),
                1 => bytes[at..].iter_mut().take(4096).for_each(|byte| *byte = random.next_u32() as u8),
                2 => bytes[at..].iter_mut().take(512).for_each(|byte| *byte = 0),
                _ => bytes[at % 1024] ^= 1 << (case % 8),
            }
            let aside = with_suffix(&path, ".damaged");
            let _ = std::fs::remove_file(&aside);
            std::fs::write(&path, &bytes).unwrap();
            let store = Store::open(&path, SPAN_MS).unwrap_or_else(|error| panic!("case {case}: {error}"));
            let stored = content(&store);
            drop(store);
            if aside.exists() {
                moved += 1;
                assert_eq!(std::fs::read(&aside).unwrap().len(), bytes.len());
                assert!(stored.is_empty());
            } else {
                assert!(stored == committed || bytes.is_empty(), "case {case} at {at}");
            }
        }
        assert!(moved > 25, "{moved}");
        std::fs::write(&path, "not a database").unwrap();
        assert!(content(&Store::open(&path, SPAN_MS).unwrap()).is_empty());
    }
}
