//! The state's file: a snapshot per stream, by name.
//!
//! Invariants: a commit is there whole or not at all, also after a power cut; a file that is damaged is moved aside under a name that is
//! said, never read and never deleted; after a failure the file is opened anew before it is written again.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, TableError};
use tracing::error;

const STREAMS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("streams");
/// The file is read once and then only written, so there is little to keep in memory.
const CACHE_BYTES: usize = 1 << 20;

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

/// The open file.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    /// `None` after a failure.
    database: Option<Database>,
}

/// Streams and their snapshots.
pub(crate) type Snapshots = Vec<(String, Vec<u8>)>;

impl Store {
    /// Opens the file, or makes it, and reads all snapshots. A damaged file is moved to the same name with `.damaged` added, replacing an
    /// older one, and a new one is begun.
    ///
    /// # Errors
    /// When another process has it open, and whatever the operating system refuses.
    pub fn open(path: &Path) -> Result<(Self, Snapshots), StoreError> {
        let (database, snapshots) = open_or_begin(path)?;
        let store = Store {
            path: path.to_owned(),
            database: Some(database),
        };
        Ok((store, snapshots))
    }

    /// Writes `snapshots` and removes the streams of `removed`, in one transaction.
    ///
    /// # Errors
    /// When nothing was written; try again with all streams, for the file may be a new one then.
    pub fn commit<'n>(&mut self, snapshots: impl Iterator<Item = (&'n str, Vec<u8>)>, removed: &[String]) -> Result<(), StoreError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => open_or_begin(&self.path)?.0,
        };
        let written = write(&database, snapshots, removed);
        written.map_err(|source| file_error(&self.path, source))?;
        self.database = Some(database);
        Ok(())
    }
}

/// Opens the file; a damaged one is moved aside and a new one begun.
fn open_or_begin(path: &Path) -> Result<(Database, Snapshots), StoreError> {
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

fn open(path: &Path) -> Result<(Database, Snapshots), redb::Error> {
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
    let mut snapshots = Vec::new();
    match database.begin_read()?.open_table(STREAMS) {
        Ok(table) => {
            for entry in table.iter()? {
                let (name, snapshot) = entry?;
                snapshots.push((name.value().to_owned(), snapshot.value().to_vec()));
            }
        }
        Err(TableError::TableDoesNotExist(_)) => {}
        Err(other) => return Err(other.into()),
    }
    Ok((database, snapshots))
}

fn write<'n>(database: &Database, snapshots: impl Iterator<Item = (&'n str, Vec<u8>)>, removed: &[String]) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(STREAMS)?;
        for name in removed {
            table.remove(name.as_str())?;
        }
        for (name, snapshot) in snapshots {
            table.insert(name, snapshot.as_slice())?;
        }
    }
    transaction.commit()?;
    Ok(())
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
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};
    use tempfile::tempdir;

    fn snapshots(version: u8) -> Snapshots {
        (0..20).map(|stream| (format!("stream {stream}"), vec![version; 5000])).collect()
    }

    fn commit(store: &mut Store, snapshots: &Snapshots, removed: &[String]) {
        let snapshots = snapshots.iter().map(|(name, bytes)| (name.as_str(), bytes.clone()));
        store.commit(snapshots, removed).unwrap();
    }

    #[test]
    fn what_was_committed_is_there_and_what_was_removed_is_not() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("state.redb");
        let (mut store, stored) = Store::open(&path).unwrap();
        assert_eq!(stored, []);
        commit(&mut store, &snapshots(1), &[]);
        commit(
            &mut store,
            &snapshots(2)[..10].to_vec(),
            &["stream 15".to_owned(), "never seen".to_owned()],
        );
        drop(store);
        let mut expected = [&snapshots(2)[..10], &snapshots(1)[10..15], &snapshots(1)[16..]].concat();
        expected.sort();
        assert_eq!(Store::open(&path).unwrap().1, expected);
    }

    #[test]
    fn one_process_at_a_time_and_errors_name_the_file() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("state.redb");
        let _first = Store::open(&path).unwrap();
        let second = Store::open(&path).unwrap_err().to_string();
        assert!(second.contains("state.redb") && second.contains("already open"), "{second}");
        let nowhere = Store::open(&folder.path().join("no/such/state.redb")).unwrap_err().to_string();
        assert!(nowhere.contains("no/such/state.redb"), "{nowhere}");
    }

    #[test]
    fn a_damaged_file_is_moved_aside_or_reads_as_it_was_committed() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("state.redb");
        let (mut store, _) = Store::open(&path).unwrap();
        commit(&mut store, &snapshots(1), &[]);
        drop(store);
        let whole = std::fs::read(&path).unwrap();
        let mut committed = snapshots(1);
        committed.sort();
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
            let (store, stored) = Store::open(&path).unwrap_or_else(|error| panic!("case {case}: {error}"));
            drop(store);
            if aside.exists() {
                moved += 1;
                assert_eq!(std::fs::read(&aside).unwrap().len(), bytes.len());
                assert_eq!(stored, []);
            } else {
                assert!(stored == committed || bytes.is_empty(), "case {case} at {at}");
            }
        }
        assert!(moved > 25, "{moved}");
        std::fs::write(&path, "not a database").unwrap();
        assert_eq!(Store::open(&path).unwrap().1, []);
    }
}
