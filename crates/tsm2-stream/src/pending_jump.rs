//! Readings far from the stream, ahead or back, which wait for others that confirm them.
//!
//! Invariant: they lie in one row, that of the newest slot; of the slots before it only the run is known.

use alloc::vec::Vec;

use crate::bytes::{Bytes, put};
use crate::config::is_clamped;
use crate::time_bin::{Insert, Shape, TimeBin};

#[derive(Debug, Clone)]
pub(crate) struct PendingJump {
    /// Without readings there is no candidate.
    pub(crate) row: TimeBin,
    /// Where the run began.
    pub(crate) first: i64,
    /// The slot of `row`.
    pub(crate) bin: i64,
    /// Slots that the run consists of: one followed the other, each ahead of the one before.
    pub(crate) bins: u64,
}

impl PendingJump {
    pub(crate) fn new(shape: &Shape) -> Self {
        PendingJump {
            row: TimeBin::new(shape),
            first: 0,
            bin: 0,
            bins: 0,
        }
    }

    pub(crate) fn waits(&self) -> bool {
        self.row.readings > 0
    }

    /// A run begins at `slot`.
    pub(crate) fn begin(&mut self, bin: i64) {
        self.row.clear();
        (self.first, self.bin, self.bins) = (bin, bin, 1);
    }

    /// The run that began at `first` goes on at `slot`, the last of `slots`.
    pub(crate) fn go_on(&mut self, first: i64, bin: i64, bins: u64) {
        self.row.clear();
        (self.first, self.bin, self.bins) = (first, bin, bins);
    }

    /// Takes a reading of the run, whose earlier slots it has had.
    pub(crate) fn insert(&mut self, shape: &Shape, bin: i64, variate: usize, value: f32, time_ms: i64) -> Insert {
        match bin == self.bin {
            true => self.row.insert(shape, variate, value, time_ms),
            false => Insert::Known,
        }
    }

    pub(crate) fn save(&self, shape: &Shape, out: &mut Vec<u8>) {
        put(out, self.first.to_le_bytes());
        put(out, self.bin.to_le_bytes());
        put(out, self.bins.to_le_bytes());
        self.row.save(shape, out);
    }

    pub(crate) fn restore(shape: &Shape, from: &mut Bytes<'_>) -> Option<Self> {
        let (first, bin) = (i64::from_le_bytes(from.take()?), i64::from_le_bytes(from.take()?));
        let bins = from.count()?;
        let row = TimeBin::restore(shape, from)?;
        (first <= bin && is_clamped(first) && is_clamped(bin)).then_some(PendingJump { row, first, bin, bins })
    }
}
