//! Readings far from the stream, ahead or back, which wait for others that confirm them.
//!
//! Invariant: they lie in one row, that of the newest slot; of the slots before it only the run is known.

use alloc::vec::Vec;

use crate::bytes::{Bytes, put};
use crate::config::is_limited;
use crate::row::{OpenRow, Shape, Taken};

#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    /// Without readings there is no candidate.
    pub(crate) row: OpenRow,
    /// Where the run began.
    pub(crate) first: i64,
    /// The slot of `row`.
    pub(crate) slot: i64,
    /// Slots that the run consists of: one followed the other, each ahead of the one before.
    pub(crate) slots: u64,
}

impl Candidate {
    pub(crate) fn new(shape: &Shape) -> Self {
        Candidate {
            row: OpenRow::new(shape),
            first: 0,
            slot: 0,
            slots: 0,
        }
    }

    pub(crate) fn waits(&self) -> bool {
        self.row.readings > 0
    }

    /// A run begins at `slot`.
    pub(crate) fn begin(&mut self, slot: i64) {
        self.row.clear();
        (self.first, self.slot, self.slots) = (slot, slot, 1);
    }

    /// The run that began at `first` goes on at `slot`, the last of `slots`.
    pub(crate) fn go_on(&mut self, first: i64, slot: i64, slots: u64) {
        self.row.clear();
        (self.first, self.slot, self.slots) = (first, slot, slots);
    }

    /// Takes a reading of the run, whose earlier slots it has had.
    pub(crate) fn put(&mut self, shape: &Shape, slot: i64, variate: usize, value: f32, time_ms: i64) -> Taken {
        match slot == self.slot {
            true => self.row.put(shape, variate, value, time_ms),
            false => Taken::Known,
        }
    }

    pub(crate) fn save(&self, shape: &Shape, out: &mut Vec<u8>) {
        put(out, self.first.to_le_bytes());
        put(out, self.slot.to_le_bytes());
        put(out, self.slots.to_le_bytes());
        self.row.save(shape, out);
    }

    pub(crate) fn restore(shape: &Shape, from: &mut Bytes<'_>) -> Option<Self> {
        let (first, slot) = (i64::from_le_bytes(from.take()?), i64::from_le_bytes(from.take()?));
        let slots = from.count()?;
        let row = OpenRow::restore(shape, from)?;
        (first <= slot && is_limited(first) && is_limited(slot)).then_some(Candidate { row, first, slot, slots })
    }
}
