//! Pending clock jump: readings far from the stream, ahead or back, until others confirm or
//! disprove their time.
//!
//! Invariant: the readings lie in one time bin, that of the newest slot; of the bins before it only
//! the range is known.

use serde::{Deserialize, Serialize};

use crate::config::is_clamped;
use crate::time_bin::{Insert, Shape, TimeBin};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PendingJump {
    /// Without readings there is no pending jump.
    pub(crate) readings: TimeBin,
    /// Where the run of bins began.
    pub(crate) first: i64,
    /// The bin of `readings`.
    pub(crate) bin: i64,
    /// Bins that the run consists of, each ahead of the one before.
    pub(crate) bins: u64,
}

impl PendingJump {
    pub(crate) fn new(shape: &Shape) -> Self {
        PendingJump {
            readings: TimeBin::new(shape),
            first: 0,
            bin: 0,
            bins: 0,
        }
    }

    pub(crate) fn waits(&self) -> bool {
        self.readings.readings > 0
    }

    /// A run begins at `bin`.
    pub(crate) fn begin(&mut self, bin: i64) {
        self.extend(bin, bin, 1);
    }

    /// The run that began at `first` goes on at `bin`, the last of `bins`.
    pub(crate) fn extend(&mut self, first: i64, bin: i64, bins: u64) {
        self.readings.clear();
        (self.first, self.bin, self.bins) = (first, bin, bins);
    }

    /// Takes a reading of the run, whose earlier bins are closed.
    pub(crate) fn insert(&mut self, shape: &Shape, bin: i64, variate: usize, value: f32, time_ms: i64) -> Insert {
        match bin == self.bin {
            true => self.readings.insert(shape, variate, value, time_ms),
            false => Insert::Known,
        }
    }

    /// What was saved; `None` where it breaks an invariant.
    pub(crate) fn restored(shape: &Shape, saved: &PendingJump) -> Option<Self> {
        let PendingJump { first, bin, bins, .. } = *saved;
        let is_valid = first <= bin && is_clamped(first) && is_clamped(bin) && bins <= u64::MAX / 2;
        let readings = TimeBin::restored(shape, &saved.readings)?;
        is_valid.then_some(PendingJump {
            readings,
            first,
            bin,
            bins,
        })
    }
}
