//! Writer of the log: appends batches to the active segment.
//!
//! 1. A batch lies in one segment. A new segment begins with the first batch of an owner, after
//!    the active segment has grown to its limit, and after a failure that leaves its end unclear.
//! 2. The header of a segment states how much of the segment before it was committed.
//! 3. After a failed write the active segment is cut to what was committed before.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::PathBuf;

use super::files::{Owner, io_error, private, segment_path, sync_folder};
use super::format::{Footer, HEADER, Header, Item, Kind, RECORD, Record, RecordHead, finish};
use crate::state::StoreError;

/// Records are collected up to this size before they are written.
const CHUNK: usize = 256 << 10;
/// No record is larger.
const MAX_PAYLOAD: usize = 1 << 30;
/// No segment is larger.
const MAX_SEGMENT: u64 = u32::MAX as u64;

/// An error for what no record can hold.
pub(super) fn check(stream: &str, payload: usize) -> Result<(), StoreError> {
    let too_large = |bytes| StoreError::TooLarge {
        stream: stream.chars().take(100).collect(),
        bytes,
    };
    match () {
        () if stream.len() > usize::from(u16::MAX) => Err(too_large(stream.len())),
        () if payload > MAX_PAYLOAD => Err(too_large(payload)),
        () => Ok(()),
    }
}

/// The segment that is written.
#[derive(Debug)]
struct Active {
    file: File,
    path: PathBuf,
    segment: u32,
    /// What was committed.
    length: u64,
    /// Batches begun.
    batches: u32,
    footer: Footer,
}

/// See the module's description.
#[derive(Debug)]
pub(super) struct Writer {
    folder: PathBuf,
    owner: Owner,
    active: Option<Active>,
    /// The newest segment with committed content, and how much of it.
    previous: (u32, u64),
    /// The highest numbers in use, by committed content or not.
    last_segment: u32,
    last_sequence: u64,
}

impl Writer {
    /// A writer that follows a log. The last two numbers are the highest in use.
    pub(super) fn new(folder: PathBuf, owner: Owner, previous: (u32, u64), last_segment: u32, last_sequence: u64) -> Self {
        Writer {
            folder,
            owner,
            active: None,
            previous,
            last_segment,
            last_sequence,
        }
    }

    /// Begins a batch, in a new segment if the active one has grown to the limit.
    pub(super) fn begin(&mut self, segment_limit: u64) -> Result<Append<'_>, StoreError> {
        self.owner.check()?;
        if self.active.as_ref().is_some_and(|active| active.length >= segment_limit) {
            self.seal();
        }
        let mut active = match self.active.take() {
            Some(active) => active,
            None => self.new_segment()?,
        };
        active.batches += 1;
        let (batch, buffer_offset) = (active.batches, active.length);
        self.active = Some(active);
        Ok(Append {
            batch,
            next_sequence: self.last_sequence + 1,
            writer: self,
            buffer: Vec::new(),
            buffer_offset,
            unfinished: None,
            records: Vec::new(),
        })
    }

    fn new_segment(&mut self) -> Result<Active, StoreError> {
        let segment = self.last_segment + 1;
        let path = segment_path(&self.folder, segment);
        let header = Header {
            segment,
            epoch: self.owner.epoch(),
            previous: self.previous.0,
            previous_length: self.previous.1,
        };
        let file = private().create_new(true).open(&path).map_err(io_error(&path))?;
        self.last_segment = segment;
        let written = (&file).write_all(&header.encode()).map_err(io_error(&path));
        if let Err(error) = written.and_then(|()| sync_folder(&self.folder)) {
            // Without content it is of no use, and the next attempt takes another number.
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        Ok(Active {
            file,
            path,
            segment,
            length: HEADER as u64,
            batches: 0,
            footer: Footer::default(),
        })
    }

    /// Ends the active segment with a footer. Without one the segment is read as a whole on opening.
    pub(super) fn seal(&mut self) {
        let Some(active) = self.active.take() else { return };
        if let Some(footer) = active.footer.encode(active.segment, active.length) {
            let mut file = &active.file;
            if file.write_all(&footer).and_then(|()| file.sync_data()).is_err() {
                // On a full disk: half a footer would look like a torn commit.
                let _ = rewind(file, active.length);
            }
        }
    }
}

/// A batch that is being written. Dropped without [`Append::commit`] it leaves nothing behind.
pub(super) struct Append<'a> {
    writer: &'a mut Writer,
    batch: u32,
    next_sequence: u64,
    buffer: Vec<u8>,
    /// Where in the segment the buffer begins.
    buffer_offset: u64,
    /// Where in the buffer the newest record begins: whether it is the last is not known yet.
    unfinished: Option<usize>,
    records: Vec<(String, Item)>,
}

impl Append<'_> {
    /// Adds a record with the next sequence.
    pub(super) fn add(&mut self, kind: Kind, name: &str, payload: &[u8], time_s: u32) -> Result<(), StoreError> {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.put(kind, name, payload, sequence, time_s)
    }

    /// Adds a record again, as it was.
    pub(super) fn copy(&mut self, record: &Record<'_>) -> Result<(), StoreError> {
        self.put(
            record.head.kind,
            record.name,
            record.payload,
            record.head.sequence,
            record.head.time_s,
        )
    }

    fn put(&mut self, kind: Kind, name: &str, payload: &[u8], sequence: u64, time_s: u32) -> Result<(), StoreError> {
        self.finish_newest(false);
        if self.buffer.len() >= CHUNK {
            self.write()?;
        }
        let head = RecordHead {
            kind,
            is_last: false,
            batch: self.batch,
            index: self.records.len() as u32,
            sequence,
            time_s,
        };
        let begin = self.buffer.len();
        let (offset, length) = (self.buffer_offset + begin as u64, RECORD + name.len() + payload.len());
        if offset + length as u64 > MAX_SEGMENT {
            return Err(StoreError::TooLarge {
                stream: name.to_owned(),
                bytes: payload.len(),
            });
        }
        Record { head, name, payload }.encode(&mut self.buffer);
        self.unfinished = Some(begin);
        self.records.push((name.to_owned(), Item::new(&head, offset as u32, length as u32)));
        Ok(())
    }

    /// The segment that it is written to.
    pub(super) fn segment(&self) -> u32 {
        self.writer.active.as_ref().map_or(0, |active| active.segment)
    }

    fn finish_newest(&mut self, is_last: bool) {
        if let (Some(begin), Some(active)) = (self.unfinished.take(), &self.writer.active) {
            finish(
                &mut self.buffer[begin..],
                is_last,
                active.segment,
                self.buffer_offset + begin as u64,
            );
        }
    }

    fn write(&mut self) -> Result<(), StoreError> {
        if let Some(active) = &mut self.writer.active {
            active.file.write_all(&self.buffer).map_err(io_error(&active.path))?;
        }
        self.buffer_offset += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Makes the batch durable. Returns the segment, its new length and the records.
    pub(super) fn commit(mut self) -> Result<Written, StoreError> {
        self.finish_newest(true);
        self.write()?;
        let (sequence, length) = (self.next_sequence - 1, self.buffer_offset);
        let records = std::mem::take(&mut self.records);
        let writer = &mut *self.writer;
        let Some(active) = &mut writer.active else {
            return Ok(Written::default());
        };
        if let Err(source) = active.file.sync_data() {
            let error = io_error(&active.path)(source);
            // What is on the disk is not known after this. The next segment states what counts.
            writer.active = None;
            return Err(error);
        }
        for (name, item) in &records {
            match active.footer.streams.get_mut(name) {
                Some(items) => items.push(*item),
                None => drop(active.footer.streams.insert(name.clone(), vec![*item])),
            }
        }
        let bytes = length - active.length;
        active.length = length;
        active.footer.last_sequence = sequence;
        writer.last_sequence = sequence;
        writer.previous = (active.segment, length);
        Ok(Written {
            segment: active.segment,
            length,
            bytes,
            records,
        })
    }
}

impl Drop for Append<'_> {
    fn drop(&mut self) {
        let Some(active) = &self.writer.active else { return };
        if rewind(&active.file, active.length).is_err() {
            self.writer.active = None;
        }
    }
}

/// Cuts the file to this length, if it is longer.
fn rewind(mut file: &File, length: u64) -> io::Result<()> {
    if file.metadata()?.len() != length {
        file.set_len(length)?;
        file.sync_data()?;
    }
    file.seek(SeekFrom::Start(length)).map(drop)
}

/// A durable batch.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) segment: u32,
    /// Length of the segment.
    pub(super) length: u64,
    pub(super) bytes: u64,
    pub(super) records: Vec<(String, Item)>,
}
