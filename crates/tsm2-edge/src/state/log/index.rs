//! Index of the log in memory: where the live records of each stream are.
//!
//! A record is live when it is its stream's newest checkpoint, an entry after that checkpoint, or
//! one of the newest `retained_entries` entries. An entry takes 24 bytes here, a stream some 200.

use std::collections::{BTreeMap, VecDeque};

use super::format::{Item, Kind};
use crate::state::StreamInfo;

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: u32,
    pub(super) offset: u32,
    pub(super) length: u32,
}

/// The newest checkpoint or reset of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Base {
    pub(super) sequence: u64,
    pub(super) place: Place,
    pub(super) is_reset: bool,
}

/// The live records of one stream.
#[derive(Debug, Clone, Default)]
pub(super) struct Stream {
    pub(super) base: Option<Base>,
    /// In ascending order of their sequences.
    pub(super) entries: VecDeque<(u64, Place)>,
    last_write_s: u32,
}

impl Stream {
    /// How many entries come before the tail.
    pub(super) fn covered(&self) -> usize {
        let base = self.base.map_or(0, |base| base.sequence);
        self.entries.partition_point(|(sequence, _)| *sequence < base)
    }

    /// Adds or, where the sequence is known, moves a record.
    fn put(&mut self, item: &Item, place: Place) {
        self.last_write_s = self.last_write_s.max(item.time_s);
        match item.kind() {
            Some(Kind::Entry) => match self.entries.binary_search_by_key(&item.sequence, |(sequence, _)| *sequence) {
                Ok(at) => self.entries[at].1 = place,
                Err(at) => self.entries.insert(at, (item.sequence, place)),
            },
            Some(kind @ (Kind::Checkpoint | Kind::Reset)) if self.base.is_none_or(|base| base.sequence <= item.sequence) => {
                self.base = Some(Base {
                    sequence: item.sequence,
                    place,
                    is_reset: kind == Kind::Reset,
                });
            }
            _ => {}
        }
    }

    fn places(&self) -> impl Iterator<Item = Place> {
        let base = self.base.iter().map(|base| base.place);
        base.chain(self.entries.iter().map(|(_, place)| *place))
    }

    fn bytes(&self) -> u64 {
        self.places().map(|place| u64::from(place.length)).sum()
    }
}

/// All streams.
#[derive(Debug, Default)]
pub(super) struct Index {
    streams: BTreeMap<String, Stream>,
    retained_entries: usize,
    live_bytes: u64,
}

impl Index {
    pub(super) fn new(retained_entries: usize) -> Self {
        Index {
            retained_entries,
            ..Self::default()
        }
    }

    pub(super) fn retained_entries(&self) -> usize {
        self.retained_entries
    }

    pub(super) fn get(&self, stream: &str) -> Option<&Stream> {
        self.streams.get(stream)
    }

    /// Bytes of all live records.
    pub(super) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// Takes a record of the log, in the log's order. Copies of earlier records may come later.
    pub(super) fn apply(&mut self, name: &str, item: &Item, segment: u32) {
        if item.kind() == Some(Kind::Forget) {
            self.live_bytes -= self.streams.remove(name).map_or(0, |stream| stream.bytes());
            return;
        }
        if !self.streams.contains_key(name) {
            self.streams.insert(name.to_owned(), Stream::default());
        }
        let Some(stream) = self.streams.get_mut(name) else { return };
        let place = Place {
            segment,
            offset: item.offset,
            length: item.length,
        };
        let (base, count) = (stream.base, stream.entries.len());
        stream.put(item, place);
        match item.kind() {
            Some(Kind::Entry) if stream.entries.len() == count => {} // a copy, of the same length
            Some(Kind::Entry) => self.live_bytes += u64::from(place.length),
            _ if stream.base == base => {}
            _ => {
                self.live_bytes += u64::from(place.length);
                self.live_bytes -= base.map_or(0, |base| u64::from(base.place.length));
            }
        }
        let surplus = stream.entries.len().saturating_sub(self.retained_entries);
        if surplus > 0 {
            for (_, place) in stream.entries.drain(..surplus.min(stream.covered())) {
                self.live_bytes -= u64::from(place.length);
            }
        }
    }

    /// Whether the record in this place is live.
    pub(super) fn is_live(&self, name: &str, sequence: u64, segment: u32, offset: u64) -> bool {
        let is_here = |place: Place| place.segment == segment && u64::from(place.offset) == offset;
        self.streams.get(name).is_some_and(|stream| {
            stream.base.is_some_and(|base| is_here(base.place))
                || stream
                    .entries
                    .binary_search_by_key(&sequence, |(sequence, _)| *sequence)
                    .is_ok_and(|at| is_here(stream.entries[at].1))
        })
    }

    /// Gives up all records in a segment.
    pub(super) fn drop_segment(&mut self, segment: u32) {
        for stream in self.streams.values_mut() {
            if stream.places().any(|place| place.segment == segment) {
                self.live_bytes -= stream.bytes();
                stream.base.take_if(|base| base.place.segment == segment);
                stream.entries.retain(|(_, place)| place.segment != segment);
                self.live_bytes += stream.bytes();
            }
        }
    }

    /// All streams, by name. `framing(name)` is what a record has beside its payload.
    pub(super) fn infos(&self, framing: impl Fn(&str) -> usize) -> Vec<StreamInfo> {
        let info = |(name, stream): (&String, &Stream)| StreamInfo {
            name: name.clone(),
            entries: stream.entries.len(),
            tail: stream.entries.len() - stream.covered(),
            checkpoint_bytes: stream
                .base
                .filter(|base| !base.is_reset)
                .map(|base| (base.place.length as usize).saturating_sub(framing(name))),
            last_write_ms: 1000 * i64::from(stream.last_write_s),
        };
        self.streams.iter().map(info).collect()
    }
}
