//! The log's folder: names, permissions, and the lock with the owner's epoch.
//!
//! | name | content |
//! |---|---|
//! | `00000001.log` | a segment |
//! | `00000001.damaged` | a segment with bytes that could not be read, out of use and kept |
//! | `owner` | locked by the process that owns the store; the epoch of the newest owner |

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::state::StoreError;

/// Names a file or folder in an error of the operating system.
pub(super) fn io_error(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { path, source }
}

/// The path of a segment.
pub(super) fn segment_path(folder: &Path, segment: u32) -> PathBuf {
    folder.join(format!("{segment:08}.log"))
}

/// The path of a segment that is out of use and kept.
pub(super) fn damaged_path(folder: &Path, segment: u32) -> PathBuf {
    folder.join(format!("{segment:08}.damaged"))
}

/// The numbers of all files `<number>.<extension>`, in ascending order.
pub(super) fn numbered(folder: &Path, extension: &str) -> io::Result<Vec<u32>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(extension)?.strip_suffix('.'));
        numbers.extend(
            number
                .filter(|number| number.len() == 8)
                .and_then(|number| number.parse::<u32>().ok()),
        );
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Makes the folder, for its owner only, unless it is there.
pub(super) fn create_folder(folder: &Path) -> Result<(), StoreError> {
    match folder.metadata() {
        Ok(meta) if meta.is_dir() => return Ok(()),
        Ok(_) => return Err(StoreError::NotAFolder { path: folder.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(io_error(folder)(source)),
    }
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(false);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(io_error(folder))?;
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    sync_folder(parent.unwrap_or(Path::new(".")))
}

/// A file whose name is not durable is lost with the power.
pub(super) fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    #[cfg(unix)]
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_error(folder))?;
    Ok(())
}

/// Options of files that only their owner may read.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// The lock of a store, held as long as this value lives.
#[derive(Debug)]
pub(super) struct Owner {
    folder: PathBuf,
    file: File,
    epoch: u64,
}

impl Owner {
    /// Takes the lock. The epoch is that of the last owner until [`Owner::begin`].
    pub(super) fn lock(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join("owner");
        let file = private().create(true).truncate(false).open(&path).map_err(io_error(&path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse { path: folder.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(io_error(&path)(source)),
        }
        let epoch = epoch_in(&file).map_err(io_error(&path))?.unwrap_or(0);
        Ok(Owner {
            folder: folder.to_owned(),
            file,
            epoch,
        })
    }

    /// Begins a new epoch, after `seen` and that of the last owner. Earlier owners are stale from now on.
    pub(super) fn begin(&mut self, seen: u64) -> Result<(), StoreError> {
        self.epoch = self.epoch.max(seen).saturating_add(1);
        let text = format!("epoch {:020}\n", self.epoch);
        self.file
            .rewind()
            .and_then(|()| self.file.write_all(text.as_bytes()))
            .and_then(|()| self.file.set_len(text.len() as u64))
            .and_then(|()| self.file.sync_all())
            .map_err(io_error(&self.folder.join("owner")))
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// An error when another process has begun an epoch since.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let path = self.folder.join("owner");
        // By its name: a lock on a file that was replaced locks nobody out.
        let current = File::open(&path).and_then(|file| epoch_in(&file)).map_err(io_error(&path))?;
        match current.unwrap_or(0) {
            current if current == self.epoch => Ok(()),
            current => Err(StoreError::StaleOwner {
                path: self.folder.clone(),
                own: self.epoch,
                current,
            }),
        }
    }
}

/// The epoch that the file names. `None`: a new file, or one whose writing was cut short.
fn epoch_in(file: &File) -> io::Result<Option<u64>> {
    let mut text = Vec::new();
    file.take(64).read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    let first = text.lines().next().unwrap_or_default();
    Ok(first.strip_prefix("epoch ").and_then(|epoch| epoch.parse().ok()))
}
