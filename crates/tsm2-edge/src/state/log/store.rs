//! The store: commits, loads and removals over index, writer and segments.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use tracing::{error, warn};

use super::compaction::{Compaction, Step, StepError, segment_limit, victim};
use super::files::{Owner, create_folder, damaged_path, io_error, numbered, segment_path, sync_folder};
use super::format::{Kind, RECORD, decode_record};
use super::index::{Index, Place, Stream};
use super::open::{self, Damage, LogOptions, Progress, Segment};
use super::writer::{Writer, Written, check};
use crate::state::{Batch, Committed, StateStore, StoreError, Stored, StreamInfo, now_ms};

/// So many damaged places are named; all are counted.
const NAMED: usize = 100;
/// How often a load begins anew because compaction removed a segment under it.
const ATTEMPTS: usize = 10;

/// What is wrong with a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Damaged places, the first hundred of them.
    pub damage: Vec<Damage>,
    /// All damaged places that were found since the store was opened.
    pub damaged: usize,
    /// Bytes of commits that were never finished, by a crash or a power cut.
    pub torn_bytes: u64,
    /// Files with damage that are out of use and kept.
    pub kept_files: Vec<PathBuf>,
}

/// A state store on disk. See the module's description.
#[derive(Debug)]
pub struct LogStore {
    folder: PathBuf,
    log: Mutex<Log>,
    index: RwLock<Index>,
    report: Mutex<Report>,
}

/// What a commit changes besides the index.
#[derive(Debug)]
struct Log {
    writer: Writer,
    segments: BTreeMap<u32, Segment>,
    compaction: Option<Compaction>,
    /// A segment could not be read. The log grows until it is opened again.
    is_compaction_off: bool,
}

impl LogStore {
    /// Opens the store in a folder, or makes both. `progress` is called after each segment.
    ///
    /// # Errors
    /// When the folder is a file, is in use by another process or has a later format, and
    /// whatever the operating system refuses. Damage is no error, see [`LogStore::report`].
    pub fn open(folder: &Path, options: &LogOptions, progress: &mut dyn FnMut(Progress)) -> Result<Self, StoreError> {
        create_folder(folder)?;
        let mut owner = Owner::lock(folder)?;
        let opened = open::open(folder, options, progress)?;
        owner.begin(opened.epoch)?;
        sync_folder(folder)?;
        let kept = numbered(folder, "damaged").map_err(io_error(folder))?;
        let last_segment = opened.segments.keys().chain(&kept).max().copied().unwrap_or(0);
        let previous = opened
            .segments
            .last_key_value()
            .map_or((0, 0), |(number, segment)| (*number, segment.length));
        let store = LogStore {
            log: Mutex::new(Log {
                writer: Writer::new(folder.to_owned(), owner, previous, last_segment, opened.last_sequence),
                segments: opened.segments,
                compaction: None,
                is_compaction_off: false,
            }),
            index: RwLock::new(opened.index),
            report: Mutex::new(Report {
                torn_bytes: opened.torn_bytes,
                kept_files: kept.iter().map(|number| damaged_path(folder, *number)).collect(),
                ..Report::default()
            }),
            folder: folder.to_owned(),
        };
        opened.damage.into_iter().for_each(|damage| store.damaged(damage));
        Ok(store)
    }

    /// What is wrong with the store, as far as it was read.
    pub fn report(&self) -> Report {
        lock(&self.report).clone()
    }

    /// Committed bytes of all segments, without their footers.
    pub fn disk_bytes(&self) -> u64 {
        lock(&self.log).segments.values().map(|segment| segment.length).sum()
    }

    /// Lets streams begin anew: they have no checkpoint and no tail. Their entries stay as history.
    ///
    /// # Errors
    /// As for a commit. Unknown names are ignored.
    pub fn reset(&self, streams: &[String]) -> Result<(), StoreError> {
        self.mark(streams, Kind::Reset)
    }

    fn mark(&self, streams: &[String], kind: Kind) -> Result<(), StoreError> {
        let known: Vec<&String> = {
            let index = self.index();
            streams.iter().filter(|stream| index.get(stream).is_some()).collect()
        };
        let mut batch = NewBatch::default();
        for stream in known {
            batch.add(kind, stream, &[])?;
        }
        batch.write_to(self).map(drop)
    }

    /// Writes a batch, durable on return.
    fn write(&self, batch: &NewBatch<'_>) -> Result<u64, StoreError> {
        let log = &mut *lock(&self.log);
        match self.try_write(log, batch, true) {
            Err(why) if log.compaction.take().is_some() => {
                warn!("a commit fails and is tried again without compaction: {why}");
                self.try_write(log, batch, false)
            }
            other => other,
        }
    }

    fn try_write(&self, log: &mut Log, batch: &NewBatch<'_>, may_compact: bool) -> Result<u64, StoreError> {
        let live_bytes = self.index().live_bytes();
        let mut append = log.writer.begin(segment_limit(live_bytes))?;
        if may_compact && !log.is_compaction_off && log.compaction.is_none() {
            let victim = victim(&log.segments, append.segment(), live_bytes);
            log.compaction = victim.and_then(|(number, segment)| Compaction::new(&self.folder, number, segment).ok());
        }
        let step = match &mut log.compaction {
            Some(compaction) => compaction.step(&self.folder, &self.index(), batch.bytes, &mut append),
            None => Ok(Step::default()),
        };
        let step = match step {
            Ok(step) => step,
            Err(StepError::Write(error)) => return Err(error),
            Err(StepError::Read(error)) => {
                error!("the log is not compacted until the next start: {error}");
                (log.compaction, log.is_compaction_off) = (None, true);
                Step::default()
            }
        };
        let time_s = u32::try_from(now_ms() / 1000).unwrap_or(u32::MAX);
        for (kind, name, payload) in &batch.records {
            append.add(*kind, name, payload, time_s)?;
        }
        let written = append.commit()?;
        self.apply(&written);
        log.segments.entry(written.segment).or_default().length = written.length;
        step.damage.into_iter().for_each(|damage| self.damaged(damage));
        if step.is_done
            && let Some(done) = log.compaction.take()
        {
            self.retire(log, &done);
        }
        Ok(written.bytes)
    }

    fn apply(&self, written: &Written) {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        for (name, item) in &written.records {
            index.apply(name, item, written.segment);
        }
    }

    /// Removes a segment without live records, or keeps its file under another name.
    fn retire(&self, log: &mut Log, done: &Compaction) {
        let path = segment_path(&self.folder, done.segment);
        let kept = damaged_path(&self.folder, done.segment);
        if done.is_kept() {
            // What could not be copied is lost.
            let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
            index.drop_segment(done.segment);
        }
        let removed = match done.is_kept() {
            true => std::fs::rename(&path, &kept),
            false => std::fs::remove_file(&path),
        };
        if let Err(error) = removed {
            error!(file = %path.display(), "the log is not compacted until the next start: {error}");
            log.is_compaction_off = true;
            return;
        }
        if done.is_kept() {
            lock(&self.report).kept_files.push(kept);
        }
        log.segments.remove(&done.segment);
        // Not durable it would only be compacted again.
        let _ = sync_folder(&self.folder);
    }

    /// Reads all segments again, record by record, as opening with `verify` does. A damaged record
    /// uncovers the one that it had replaced, if that one is still there.
    fn read_again(&self) -> Result<(), StoreError> {
        let log = &mut *lock(&self.log);
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        let options = LogOptions {
            retained_entries: index.retained_entries(),
            verify: true,
        };
        let opened = open::open(&self.folder, &options, &mut |_| {})?;
        (log.segments, log.compaction, *index) = (opened.segments, None, opened.index);
        opened.damage.into_iter().for_each(|damage| self.damaged(damage));
        Ok(())
    }

    /// Reads the records of a stream that `pick` names, the base first.
    fn read<T>(
        &self,
        stream: &str,
        pick: impl Fn(&Stream) -> Picked,
        make: impl Fn(&Picked, Vec<Option<Vec<u8>>>) -> T,
    ) -> Result<Option<T>, StoreError> {
        for attempt in 0.. {
            let Some(picked) = self.index().get(stream).map(&pick) else {
                return Ok(None);
            };
            let mut opened = None;
            let read = picked.0.iter().map(|place| self.read_record(&mut opened, stream, *place));
            match read.collect::<Result<Vec<_>, _>>() {
                Ok(records) => return Ok(Some(make(&picked, records))),
                Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound && attempt < ATTEMPTS => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// The payload of a record; `None` when it is damaged.
    fn read_record(&self, opened: &mut Option<(u32, File)>, stream: &str, place: Place) -> Result<Option<Vec<u8>>, StoreError> {
        let path = segment_path(&self.folder, place.segment);
        if opened.as_ref().is_none_or(|(segment, _)| *segment != place.segment) {
            *opened = Some((place.segment, File::open(&path).map_err(io_error(&path))?));
        }
        let Some((_, file)) = opened else { return Ok(None) };
        let mut bytes = Vec::with_capacity(place.length as usize);
        file.seek(SeekFrom::Start(place.offset.into()))
            .and_then(|_| file.take(place.length.into()).read_to_end(&mut bytes))
            .map_err(io_error(&path))?;
        let record = decode_record(&bytes, place.segment, place.offset.into()).filter(|record| record.name == stream);
        if let Some(record) = record {
            return Ok(Some(record.payload.to_vec()));
        }
        self.damaged(Damage {
            file: path,
            offset: place.offset.into(),
            bytes: place.length.into(),
            stream: Some(stream.to_owned()),
        });
        Ok(None)
    }

    /// Counts a damaged place, and names it the first time.
    fn damaged(&self, damage: Damage) {
        let mut report = lock(&self.report);
        let is_known = |known: &Damage| known.file == damage.file && known.offset == damage.offset;
        if report.damage.iter().any(is_known) {
            return;
        }
        report.damaged += 1;
        if report.damage.len() < NAMED {
            error!("state.path: {damage}; what was stored there is lost, the rest is used and the file is kept");
            report.damage.push(damage);
        }
    }

    fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The records of a batch.
#[derive(Default)]
struct NewBatch<'a> {
    records: Vec<(Kind, &'a str, &'a [u8])>,
    bytes: u64,
}

impl<'a> NewBatch<'a> {
    fn add(&mut self, kind: Kind, name: &'a str, payload: &'a [u8]) -> Result<(), StoreError> {
        check(name, payload.len())?;
        self.bytes += payload.len() as u64;
        self.records.push((kind, name, payload));
        Ok(())
    }

    fn write_to(&self, store: &LogStore) -> Result<u64, StoreError> {
        match self.records.is_empty() {
            true => Ok(0),
            false => store.write(self),
        }
    }
}

/// Records to read, and whether the first of them is a checkpoint.
struct Picked(Vec<Place>, bool);

impl StateStore for LogStore {
    fn load(&self, stream: &str) -> Result<Option<Stored>, StoreError> {
        let pick = |stream: &Stream| {
            let checkpoint = stream.base.filter(|base| !base.is_reset).map(|base| base.place);
            let tail = stream.entries.range(stream.covered()..).map(|(_, place)| *place);
            Picked(checkpoint.into_iter().chain(tail).collect(), checkpoint.is_some())
        };
        let make = |picked: &Picked, mut records: Vec<Option<Vec<u8>>>| {
            let checkpoint = picked.1.then(|| records.remove(0));
            (checkpoint, records.into_iter().flatten().collect::<Vec<_>>())
        };
        let mut loaded = self.read(stream, pick, make)?;
        if matches!(loaded, Some((Some(None), _))) {
            self.read_again()?;
            loaded = self.read(stream, pick, make)?;
        }
        Ok(loaded.map(|(checkpoint, tail)| Stored {
            checkpoint: checkpoint.flatten(),
            tail,
        }))
    }

    fn history(&self, stream: &str, limit: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        let pick = |stream: &Stream| {
            let newest = stream.entries.range(stream.entries.len().saturating_sub(limit)..);
            Picked(newest.map(|(_, place)| *place).collect(), false)
        };
        let entries = self.read(stream, pick, |_, records| records.into_iter().flatten().collect())?;
        Ok(entries.unwrap_or_default())
    }

    fn commit(&self, batch: &Batch) -> Result<Committed, StoreError> {
        let mut new = NewBatch::default();
        for (name, update) in &batch.streams {
            for entry in &update.entries {
                new.add(Kind::Entry, name, entry)?;
            }
            if let Some(checkpoint) = &update.checkpoint {
                new.add(Kind::Checkpoint, name, checkpoint)?;
            }
        }
        Ok(Committed {
            bytes: new.write_to(self)?,
        })
    }

    fn streams(&self) -> Result<Vec<StreamInfo>, StoreError> {
        Ok(self.index().infos(|name| RECORD + name.len()))
    }

    fn forget(&self, streams: &[String]) -> Result<(), StoreError> {
        self.mark(streams, Kind::Forget)
    }
}

impl Drop for LogStore {
    fn drop(&mut self) {
        self.log.get_mut().unwrap_or_else(PoisonError::into_inner).writer.seal();
    }
}
