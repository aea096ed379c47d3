//! Opening of the log: reads all segments into the index. Nothing is changed.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::files::{io_error, numbered, segment_path};
use super::format::{Footer, HEADER, Header, HeaderKind, Item, TRAILER, VERSION};
use super::index::Index;
use super::reader::{Found, Reader};
use crate::state::StoreError;

/// How a log is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogOptions {
    /// Entries that are kept of a stream for its history, whatever the checkpoint includes.
    pub retained_entries: usize,
    /// Whether every record is checked. Otherwise a record is checked when it is loaded.
    pub verify: bool,
}

/// How far opening has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of segments that are done.
    pub done: u64,
    /// Bytes of all segments.
    pub total: u64,
}

/// Bytes of a file that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// Where they begin.
    pub offset: u64,
    /// How many they are.
    pub bytes: u64,
    /// The stream that they belong to, if they still name one.
    pub stream: Option<String>,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} bytes at {} are damaged", self.file.display(), self.bytes, self.offset)?;
        match &self.stream {
            Some(stream) => write!(f, " (stream `{stream}`)"),
            None => Ok(()),
        }
    }
}

/// One segment file.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Segment {
    /// How much of it was committed.
    pub(super) length: u64,
    /// Whether the file stays when it is out of use: it has bytes that cannot be read.
    pub(super) is_kept: bool,
}

/// What the segments hold.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) index: Index,
    pub(super) segments: BTreeMap<u32, Segment>,
    pub(super) damage: Vec<Damage>,
    /// Bytes of commits that were never finished.
    pub(super) torn_bytes: u64,
    pub(super) last_sequence: u64,
    /// The highest epoch in a header.
    pub(super) epoch: u64,
}

/// Reads all segments of a folder.
pub(super) fn open(folder: &Path, options: &LogOptions, progress: &mut dyn FnMut(Progress)) -> Result<Opened, StoreError> {
    let numbers = numbered(folder, "log").map_err(io_error(folder))?;
    let (mut headers, mut lengths) = (Vec::new(), Vec::new());
    for &number in &numbers {
        let path = segment_path(folder, number);
        let (header, length) = read_header(&path).map_err(io_error(&path))?;
        headers.push(match header {
            HeaderKind::Newer(found) => {
                return Err(StoreError::NewerFormat {
                    path,
                    found,
                    known: VERSION,
                });
            }
            HeaderKind::Valid(header) if header.segment == number => Some(header),
            HeaderKind::Valid(_) | HeaderKind::Damaged => None,
        });
        lengths.push(length);
    }
    let mut opened = Opened {
        index: Index::new(options.retained_entries),
        segments: BTreeMap::new(),
        damage: missing(folder, &numbers, &headers),
        torn_bytes: 0,
        last_sequence: 0,
        epoch: headers.iter().flatten().map(|header| header.epoch).max().unwrap_or(0),
    };
    let mut reached = Progress {
        done: 0,
        total: lengths.iter().sum(),
    };
    for (at, &number) in numbers.iter().enumerate() {
        let path = segment_path(folder, number);
        let mut reading = Reading {
            segment: number,
            path: &path,
            file_length: lengths[at],
            opened: &mut opened,
            found: Segment::default(),
        };
        match lengths[at] {
            // A segment that was just begun.
            length if length < HEADER as u64 => reading.torn(length),
            _ if headers[at].is_none() => reading.damage(0, HEADER as u64, None),
            _ => {}
        }
        let committed = headers[at + 1..].iter().flatten().next();
        reading
            .read(committed.and_then(|next| committed_length(number, next)), options.verify)
            .map_err(io_error(&path))?;
        let found = reading.found;
        opened.segments.insert(number, found);
        reached.done += lengths[at];
        progress(reached);
    }
    Ok(opened)
}

fn read_header(path: &Path) -> io::Result<(HeaderKind, u64)> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut bytes = Vec::new();
    file.take(HEADER as u64).read_to_end(&mut bytes)?;
    Ok((Header::decode(&bytes), length))
}

/// How much of a segment was committed, by the header of a later one.
fn committed_length(segment: u32, later: &Header) -> Option<u64> {
    match later.previous.cmp(&segment) {
        std::cmp::Ordering::Equal => Some(later.previous_length),
        std::cmp::Ordering::Less => Some(HEADER as u64),
        std::cmp::Ordering::Greater => None,
    }
}

/// Segments between others that are not there any more.
fn missing(folder: &Path, numbers: &[u32], headers: &[Option<Header>]) -> Vec<Damage> {
    let is_missing = |header: &&Header| numbers.first() < Some(&header.previous) && !numbers.contains(&header.previous);
    let damage = |header: &Header| Damage {
        file: segment_path(folder, header.previous),
        offset: 0,
        bytes: header.previous_length,
        stream: None,
    };
    headers.iter().flatten().filter(is_missing).map(damage).collect()
}

/// The reading of one segment.
struct Reading<'a> {
    segment: u32,
    path: &'a Path,
    file_length: u64,
    opened: &'a mut Opened,
    found: Segment,
}

impl Reading<'_> {
    fn read(&mut self, committed: Option<u64>, verify: bool) -> io::Result<()> {
        let footer = self.footer()?;
        let committed = committed.or(footer.as_ref().map(|(_, offset)| *offset));
        let has_footer = footer.as_ref().is_some_and(|(_, offset)| Some(*offset) == committed);
        if let Some(committed) = committed
            && self.file_length > committed
            && !has_footer
        {
            self.torn(self.file_length - committed);
        }
        match (footer, committed) {
            (Some((footer, _)), Some(committed)) if has_footer && !verify => {
                for (name, items) in footer.streams {
                    for item in items {
                        self.opened.index.apply(&name, &item, self.segment);
                    }
                }
                self.opened.last_sequence = self.opened.last_sequence.max(footer.last_sequence);
                self.found.length = committed;
                Ok(())
            }
            (_, Some(committed)) => self.read_committed(committed),
            (_, None) => self.read_to_the_end(),
        }
    }

    /// The footer and its offset, if the file has a valid one.
    fn footer(&self) -> io::Result<Option<(Footer, u64)>> {
        if self.file_length < (HEADER + TRAILER) as u64 {
            return Ok(None);
        }
        let mut file = File::open(self.path)?;
        let mut trailer = [0; TRAILER];
        file.seek(SeekFrom::Start(self.file_length - TRAILER as u64))?;
        file.read_exact(&mut trailer)?;
        let Some(offset) = Footer::offset(&trailer, self.file_length) else {
            return Ok(None);
        };
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(Footer::decode(&bytes, self.segment).map(|footer| (footer, offset)))
    }

    /// Reads what is known to be committed: every valid record counts.
    fn read_committed(&mut self, committed: u64) -> io::Result<()> {
        let mut reader = Reader::open(self.path, self.segment, HEADER as u64, committed.min(self.file_length))?;
        while let Some(found) = reader.next()? {
            match found {
                Found::Record { record, offset, length } => {
                    self.apply(record.name, &Item::new(&record.head, offset as u32, length as u32));
                }
                Found::Damage { offset, bytes, stream } => self.damage(offset, bytes, stream),
            }
        }
        // Without a record there was nothing to lose: a crash left less than the header.
        if committed > self.file_length.max(HEADER as u64) {
            self.damage(self.file_length, committed - self.file_length, None);
        }
        self.found.length = committed;
        Ok(())
    }

    /// Reads a segment whose last commit may be torn. A batch counts when it is complete, or when
    /// another one follows: that one was begun after this one was durable.
    fn read_to_the_end(&mut self) -> io::Result<()> {
        let mut reader = Reader::open(self.path, self.segment, HEADER as u64, self.file_length)?;
        let (mut batch, mut records, mut damages) = (0, Vec::new(), Vec::new());
        self.found.length = HEADER as u64;
        let mut records_end = HEADER as u64;
        while let Some(found) = reader.next()? {
            match found {
                Found::Record { record, offset, .. } if record.head.batch < batch => damages.push((offset, 0, None)),
                Found::Record { record, offset, length } => {
                    if record.head.batch > batch && !records.is_empty() {
                        self.take(&mut records, &mut damages, records_end);
                    }
                    batch = record.head.batch;
                    let is_complete = record.head.is_last && record.head.index as usize == records.len();
                    records.push((record.name.to_owned(), Item::new(&record.head, offset as u32, length as u32)));
                    records_end = offset + length as u64;
                    if is_complete {
                        self.take(&mut records, &mut damages, records_end);
                    }
                }
                Found::Damage { offset, bytes, stream } => damages.push((offset, bytes, stream)),
            }
        }
        let end = self.file_length.max(HEADER as u64);
        self.torn(end - self.found.length);
        Ok(())
    }

    /// Counts bytes of a commit that was never finished.
    fn torn(&mut self, bytes: u64) {
        self.opened.torn_bytes += bytes;
        self.found.is_kept |= bytes > 0;
    }

    /// Takes a batch that was durable, and the damage before its end.
    fn take(&mut self, records: &mut Vec<(String, Item)>, damages: &mut Vec<(u64, u64, Option<String>)>, end: u64) {
        for (name, item) in records.drain(..) {
            self.apply(&name, &item);
        }
        for (offset, bytes, stream) in damages.drain(..) {
            self.damage(offset, bytes, stream);
        }
        self.found.length = end;
    }

    fn apply(&mut self, name: &str, item: &Item) {
        self.opened.last_sequence = self.opened.last_sequence.max(item.sequence);
        self.opened.index.apply(name, item, self.segment);
    }

    fn damage(&mut self, offset: u64, bytes: u64, stream: Option<String>) {
        self.found.is_kept = true;
        self.opened.damage.push(Damage {
            file: self.path.to_owned(),
            offset,
            bytes,
            stream,
        });
    }
}
