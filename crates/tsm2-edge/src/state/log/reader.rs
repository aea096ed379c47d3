//! Sequential reader of a segment's records. After damage it searches for the next valid record.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::format::{RECORD, RECORD_MAGIC, Record, decode_record, record_length, record_name};

const CHUNK: usize = 256 << 10;

/// What comes next in a segment.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// A record and its place.
    Record { record: Record<'a>, offset: u64, length: usize },
    /// Bytes that are no record, and the stream that the first of them name, if any.
    Damage { offset: u64, bytes: u64, stream: Option<String> },
}

/// Reads from one place of a segment to another.
#[derive(Debug)]
pub(super) struct Reader {
    file: File,
    segment: u32,
    /// Where the next record should begin.
    offset: u64,
    end: u64,
    /// A part of the file, and where in the file it begins.
    window: Vec<u8>,
    window_offset: u64,
}

impl Reader {
    pub(super) fn open(path: &Path, segment: u32, offset: u64, end: u64) -> io::Result<Self> {
        Ok(Reader {
            file: File::open(path)?,
            segment,
            offset,
            end,
            window: Vec::new(),
            window_offset: offset,
        })
    }

    /// How far it has read.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next record or damage; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Found<'_>>> {
        if let Some(length) = self.valid_record()? {
            let (offset, begin) = (self.offset, (self.offset - self.window_offset) as usize);
            self.offset += length as u64;
            let record = decode_record(&self.window[begin..begin + length], self.segment, offset);
            return Ok(record.map(|record| Found::Record { record, offset, length }));
        }
        if self.offset >= self.end {
            return Ok(None);
        }
        let offset = self.offset;
        let seen = &self.window[(offset - self.window_offset) as usize..];
        let stream = (seen.len() >= RECORD && record_length(seen).is_some())
            .then(|| record_name(seen).map(str::to_owned))
            .flatten();
        while self.offset < self.end {
            self.offset += 1;
            self.find_magic()?;
            if self.valid_record()?.is_some() {
                break;
            }
        }
        let bytes = self.offset - offset;
        Ok(Some(Found::Damage { offset, bytes, stream }))
    }

    /// The length of the valid record at the offset.
    fn valid_record(&mut self) -> io::Result<Option<usize>> {
        let left = self.end.saturating_sub(self.offset);
        if left < RECORD as u64 || !self.fill(RECORD)? {
            self.fill(left as usize)?;
            return Ok(None);
        }
        let begin = (self.offset - self.window_offset) as usize;
        let Some(length) = record_length(&self.window[begin..]).filter(|length| *length <= left) else {
            return Ok(None);
        };
        let length = length as usize;
        if !self.fill(length)? {
            return Ok(None);
        }
        let begin = (self.offset - self.window_offset) as usize;
        let is_valid = decode_record(&self.window[begin..begin + length], self.segment, self.offset).is_some();
        Ok(is_valid.then_some(length))
    }

    /// Moves to the next place that may be a record.
    fn find_magic(&mut self) -> io::Result<()> {
        while self.end.saturating_sub(self.offset) >= RECORD as u64 && self.fill(RECORD_MAGIC.len())? {
            let seen = &self.window[(self.offset - self.window_offset) as usize..];
            match seen.windows(RECORD_MAGIC.len()).position(|bytes| bytes == RECORD_MAGIC) {
                Some(at) => {
                    self.offset += at as u64;
                    return Ok(());
                }
                None => self.offset += (seen.len() - RECORD_MAGIC.len() + 1) as u64,
            }
        }
        self.offset = self.end;
        Ok(())
    }

    /// Whether the window holds so many bytes from the offset on; reads them if need be.
    fn fill(&mut self, need: usize) -> io::Result<bool> {
        let begin = (self.offset - self.window_offset) as usize;
        if self.window.len() < begin + need {
            self.window.drain(..begin.min(self.window.len()));
            self.window_offset = self.offset;
            let missing = need
                .max(CHUNK)
                .min((self.end - self.offset) as usize)
                .saturating_sub(self.window.len());
            self.file.seek(SeekFrom::Start(self.offset + self.window.len() as u64))?;
            (&mut self.file).take(missing as u64).read_to_end(&mut self.window)?;
        }
        Ok(self.window.len() >= (self.offset - self.window_offset) as usize + need)
    }
}
