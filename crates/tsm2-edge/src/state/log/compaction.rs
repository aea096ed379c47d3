//! Compaction: the live records of the oldest segment move to the end of the log.
//!
//! Only the oldest segment is compacted, so a record that forgets a stream may be dropped with its
//! segment: there is nothing before it that it holds back.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::files::segment_path;
use super::format::{HEADER, Kind};
use super::index::Index;
use super::open::{Damage, Segment};
use super::reader::{Found, Reader};
use super::writer::Append;
use crate::state::StoreError;

/// The log is compacted when it is so many times as large as its live records.
const GROWTH: u64 = 3;
/// With each commit so much of a segment is looked at, and more with a large one.
const STEP: u64 = 1 << 20;
const MIN_SEGMENT: u64 = 1 << 20;
const MAX_SEGMENT: u64 = 8 << 20;
/// How many segments may be smaller than their limit: each start begins one.
const SPARE_SEGMENTS: u64 = 64;

/// The size at which a segment is sealed.
pub(super) fn segment_limit(live_bytes: u64) -> u64 {
    (live_bytes / 8).clamp(MIN_SEGMENT, MAX_SEGMENT)
}

/// The oldest segment, if the log is to be compacted.
pub(super) fn victim(segments: &BTreeMap<u32, Segment>, active: u32, live_bytes: u64) -> Option<(u32, Segment)> {
    let limit = segment_limit(live_bytes);
    let total: u64 = segments.values().map(|segment| segment.length).sum();
    let is_large = total > GROWTH * live_bytes + 2 * limit || segments.len() as u64 > SPARE_SEGMENTS + 2 * total / limit;
    let (number, segment) = segments.first_key_value()?;
    (is_large && active != *number).then_some((*number, *segment))
}

/// A segment on its way out.
#[derive(Debug)]
pub(super) struct Compaction {
    pub(super) segment: u32,
    reader: Reader,
    is_kept: bool,
}

/// How far a step came.
#[derive(Debug, Default)]
pub(super) struct Step {
    pub(super) damage: Vec<Damage>,
    /// Whether all live records of the segment are in the batch or were in an earlier one.
    pub(super) is_done: bool,
}

impl Compaction {
    pub(super) fn new(folder: &Path, number: u32, segment: Segment) -> io::Result<Self> {
        let path = segment_path(folder, number);
        let end = path.metadata()?.len().min(segment.length);
        Ok(Compaction {
            segment: number,
            reader: Reader::open(&path, number, HEADER as u64, end)?,
            is_kept: segment.is_kept,
        })
    }

    /// Whether the file is kept when the segment is out of use.
    pub(super) fn is_kept(&self) -> bool {
        self.is_kept
    }

    /// Copies live records into a batch before anything else is added to it: what the batch changes
    /// comes after the copies. `bytes` is the size of the batch.
    pub(super) fn step(&mut self, folder: &Path, index: &Index, bytes: u64, batch: &mut Append<'_>) -> Result<Step, StepError> {
        let until = self.reader.offset() + STEP.max(4 * bytes);
        let mut step = Step::default();
        while self.reader.offset() < until {
            match self.reader.next().map_err(StepError::Read)? {
                None => {
                    step.is_done = true;
                    break;
                }
                Some(Found::Record { record, offset, .. }) => {
                    let is_live =
                        record.head.kind != Kind::Forget && index.is_live(record.name, record.head.sequence, self.segment, offset);
                    if is_live {
                        batch.copy(&record).map_err(StepError::Write)?;
                    }
                }
                Some(Found::Damage { offset, bytes, stream }) => {
                    self.is_kept = true;
                    step.damage.push(Damage {
                        file: segment_path(folder, self.segment),
                        offset,
                        bytes,
                        stream,
                    });
                }
            }
        }
        Ok(step)
    }
}

/// Why a step failed.
#[derive(Debug)]
pub(super) enum StepError {
    /// The segment cannot be read.
    Read(io::Error),
    /// The batch cannot be written.
    Write(StoreError),
}
