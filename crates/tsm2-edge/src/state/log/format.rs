//! File format of the state log, version 1. All numbers are little-endian.
//!
//! ```text
//! segment = header, record.., [footer]
//! header  = "TSM2SLOG", version u32, crc u32,
//!           segment u32, epoch u64, previous segment u32, its valid length u64, crc u32
//! record  = "TSRe", crc u32, payload length u32, name length u16, kind u8, is last u8,
//!           batch u32, index in the batch u32, sequence u64, time u32 (seconds since 1970),
//!           name, payload
//! footer  = streams (postcard), "TSM2FOOT", offset of the footer u32, its length u32, crc u32
//! ```
//!
//! 1. Every checksum is CRC-32C over what precedes it in its part, that of a record over what
//!    follows it. Checksums of records and footers start with the segment's number, those of
//!    records with their offset too: a record is valid in its place only.
//! 2. Batches are numbered within their segment. A batch is complete when its records 0 to n are there and record n is marked as the last.
//! 3. Later versions keep the first 16 bytes of the header.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Version of the format.
pub(super) const VERSION: u32 = 1;
/// Length of a segment's header.
pub(super) const HEADER: usize = 44;
/// Length of a record before its name.
pub(super) const RECORD: usize = 36;
/// First bytes of a record.
pub(super) const RECORD_MAGIC: [u8; 4] = *b"TSRe";
/// Length of the end of a footer.
pub(super) const TRAILER: usize = 20;

const SEGMENT_MAGIC: [u8; 8] = *b"TSM2SLOG";
const FOOTER_MAGIC: [u8; 8] = *b"TSM2FOOT";

/// The first bytes of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) segment: u32,
    /// Epoch of the owner that wrote the segment.
    pub(super) epoch: u64,
    /// The segment before this one, 0 for none, and how much of it was committed.
    pub(super) previous: u32,
    pub(super) previous_length: u64,
}

/// What the first bytes of a segment are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HeaderKind {
    Valid(Header),
    /// Written by a later version of this program.
    Newer(u32),
    Damaged,
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        out[..8].copy_from_slice(&SEGMENT_MAGIC);
        out[8..12].copy_from_slice(&VERSION.to_le_bytes());
        put_crc(&mut out, 12);
        out[16..20].copy_from_slice(&self.segment.to_le_bytes());
        out[20..28].copy_from_slice(&self.epoch.to_le_bytes());
        out[28..32].copy_from_slice(&self.previous.to_le_bytes());
        out[32..40].copy_from_slice(&self.previous_length.to_le_bytes());
        put_crc(&mut out, 40);
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> HeaderKind {
        let is_ours = bytes.len() >= 16 && bytes[..8] == SEGMENT_MAGIC && u32_at(bytes, 12) == crc32c::crc32c(&bytes[..12]);
        match is_ours.then(|| u32_at(bytes, 8)) {
            Some(VERSION) if bytes.len() >= HEADER && u32_at(bytes, 40) == crc32c::crc32c(&bytes[..40]) => HeaderKind::Valid(Header {
                segment: u32_at(bytes, 16),
                epoch: u64_at(bytes, 20),
                previous: u32_at(bytes, 28),
                previous_length: u64_at(bytes, 32),
            }),
            Some(version) if version > VERSION => HeaderKind::Newer(version),
            _ => HeaderKind::Damaged,
        }
    }
}

fn put_crc(out: &mut [u8], at: usize) {
    let crc = crc32c::crc32c(&out[..at]);
    out[at..at + 4].copy_from_slice(&crc.to_le_bytes());
}

/// What a record does to its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Entry,
    /// Includes all entries of a lower sequence.
    Checkpoint,
    /// A checkpoint without content: the stream begins anew.
    Reset,
    /// The stream and all of it before this record is gone.
    Forget,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Kind> {
        [Kind::Entry, Kind::Checkpoint, Kind::Reset, Kind::Forget]
            .into_iter()
            .find(|kind| kind.byte() == byte)
    }

    fn byte(self) -> u8 {
        match self {
            Kind::Entry => 1,
            Kind::Checkpoint => 2,
            Kind::Reset => 3,
            Kind::Forget => 4,
        }
    }
}

/// A record without name and payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RecordHead {
    pub(super) kind: Kind,
    pub(super) is_last: bool,
    pub(super) batch: u32,
    pub(super) index: u32,
    pub(super) sequence: u64,
    pub(super) time_s: u32,
}

/// A valid record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) head: RecordHead,
    pub(super) name: &'a str,
    pub(super) payload: &'a [u8],
}

/// The checksum that a record has in this place.
fn record_crc(segment: u32, offset: u64, after_crc: &[u8]) -> u32 {
    let place = crc32c::crc32c(&(u128::from(segment) << 64 | u128::from(offset)).to_le_bytes());
    crc32c::crc32c_append(place, after_crc)
}

impl Record<'_> {
    /// Appends the record without its checksum, see [`finish`].
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend(RECORD_MAGIC);
        out.extend([0; 4]);
        // Lengths were checked before: see `writer::check`.
        out.extend((self.payload.len() as u32).to_le_bytes());
        out.extend((self.name.len() as u16).to_le_bytes());
        out.extend([self.head.kind.byte(), self.head.is_last.into()]);
        out.extend(self.head.batch.to_le_bytes());
        out.extend(self.head.index.to_le_bytes());
        out.extend(self.head.sequence.to_le_bytes());
        out.extend(self.head.time_s.to_le_bytes());
        out.extend(self.name.as_bytes());
        out.extend(self.payload);
    }
}

/// Marks an encoded record as its batch's last or not, and writes its checksum.
pub(super) fn finish(record: &mut [u8], is_last: bool, segment: u32, offset: u64) {
    record[15] = is_last.into();
    let crc = record_crc(segment, offset, &record[8..]);
    record[4..8].copy_from_slice(&crc.to_le_bytes());
}

/// Length of the record that begins with these bytes, at least [`RECORD`] of them. `None`: it is no record.
pub(super) fn record_length(bytes: &[u8]) -> Option<u64> {
    (bytes[..4] == RECORD_MAGIC).then(|| RECORD as u64 + u64::from(u16_at(bytes, 12)) + u64::from(u32_at(bytes, 8)))
}

/// The name in a record's bytes, valid or not.
pub(super) fn record_name(bytes: &[u8]) -> Option<&str> {
    str::from_utf8(bytes.get(RECORD..RECORD + usize::from(u16_at(bytes, 12)))?).ok()
}

/// Decodes a whole record; `None` when it is damaged or belongs elsewhere.
pub(super) fn decode_record(bytes: &[u8], segment: u32, offset: u64) -> Option<Record<'_>> {
    if bytes.len() < RECORD || record_length(bytes) != Some(bytes.len() as u64) {
        return None;
    }
    if u32_at(bytes, 4) != record_crc(segment, offset, &bytes[8..]) {
        return None;
    }
    Some(Record {
        head: RecordHead {
            kind: Kind::from_byte(bytes[14])?,
            is_last: bytes[15] == 1,
            batch: u32_at(bytes, 16),
            index: u32_at(bytes, 20),
            sequence: u64_at(bytes, 24),
            time_s: u32_at(bytes, 32),
        },
        name: record_name(bytes)?,
        payload: &bytes[RECORD + usize::from(u16_at(bytes, 12))..],
    })
}

/// Where a record is and what it does, for the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Item {
    /// `Kind` as in the record.
    kind: u8,
    pub(super) offset: u32,
    pub(super) length: u32,
    pub(super) sequence: u64,
    pub(super) time_s: u32,
}

impl Item {
    pub(super) fn new(head: &RecordHead, offset: u32, length: u32) -> Self {
        Item {
            kind: head.kind.byte(),
            offset,
            length,
            sequence: head.sequence,
            time_s: head.time_s,
        }
    }

    pub(super) fn kind(&self) -> Option<Kind> {
        Kind::from_byte(self.kind)
    }
}

/// The index of a sealed segment: its records by stream, each stream's in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Footer {
    pub(super) last_sequence: u64,
    pub(super) streams: BTreeMap<String, Vec<Item>>,
}

impl Footer {
    /// The footer's bytes for the end of a segment of this length.
    pub(super) fn encode(&self, segment: u32, offset: u64) -> Option<Vec<u8>> {
        let mut out = postcard::to_allocvec(self).ok()?;
        let length = u32::try_from(out.len()).ok()?;
        out.extend(FOOTER_MAGIC);
        out.extend(u32::try_from(offset).ok()?.to_le_bytes());
        out.extend(length.to_le_bytes());
        let crc = crc32c::crc32c_append(segment, &out);
        out.extend(crc.to_le_bytes());
        Some(out)
    }

    /// Offset of the footer in a file that ends with these [`TRAILER`] bytes.
    pub(super) fn offset(trailer: &[u8], file_length: u64) -> Option<u64> {
        let offset = u64::from(u32_at(trailer, 8));
        let ends_here = offset + u64::from(u32_at(trailer, 12)) + TRAILER as u64 == file_length;
        (trailer[..8] == FOOTER_MAGIC && ends_here).then_some(offset)
    }

    /// Decodes what lies from the footer's offset to the end of the file.
    pub(super) fn decode(bytes: &[u8], segment: u32) -> Option<Footer> {
        let (content, crc) = bytes.split_last_chunk::<4>()?;
        if crc32c::crc32c_append(segment, content) != u32::from_le_bytes(*crc) {
            return None;
        }
        postcard::from_bytes(content.get(..content.len().checked_sub(TRAILER - 4)?)?).ok()
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
