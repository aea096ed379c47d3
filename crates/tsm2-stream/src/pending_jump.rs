//! Pending clock jump: a run of readings far from the stream, until others confirm or disprove their
//! time. A resampler has one run ahead of the stream and one behind: old readings that come again do
//! not end a jump ahead.
//!
//! Invariant: the readings lie in the newest time bin of the run and the one before it. Those of
//! earlier bins were dropped.

use serde::{Deserialize, Serialize};

use crate::config::Rules;
use crate::time_bin::{Incoming, Insert, Shape, TimeBin};
use crate::time_range::is_clamped;

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct PendingJump {
    /// Readings of `bin`. Without them there is no run.
    pub(crate) newest: TimeBin,
    pub(crate) bin: i64,
    /// Readings of the bin before it in the run.
    pub(crate) earlier: TimeBin,
    pub(crate) earlier_bin: i64,
    /// How many bins the run has.
    pub(crate) bins: u64,
    /// Source of its first reading.
    pub(crate) source: u16,
    /// Whether other sources have readings in it.
    pub(crate) is_shared: bool,
    /// Bin, time and arrival of its first reading.
    pub(crate) first: (i64, i64, Option<i64>),
}

impl PendingJump {
    pub(crate) fn new(shape: &Shape) -> Self {
        PendingJump {
            newest: TimeBin::new(shape),
            earlier: TimeBin::new(shape),
            ..PendingJump::default()
        }
    }

    pub(crate) fn waits(&self) -> bool {
        self.newest.readings > 0
    }

    /// A run begins with this reading; what was held is gone.
    pub(crate) fn begin(&mut self, shape: &Shape, reading: &Incoming) -> Insert {
        self.newest.clear();
        self.earlier.clear();
        (self.bin, self.bins) = (reading.bin, 1);
        (self.source, self.is_shared) = (reading.source, false);
        self.first = (reading.bin, reading.time, reading.arrival);
        self.newest.insert(shape, reading)
    }

    /// The run goes on in the bin of this reading. The earlier bin is empty.
    pub(crate) fn extend(&mut self, shape: &Shape, reading: &Incoming) -> Insert {
        core::mem::swap(&mut self.newest, &mut self.earlier);
        (self.earlier_bin, self.bin) = (self.bin, reading.bin);
        self.bins = self.bins.saturating_add(1);
        self.newest.insert(shape, reading)
    }

    /// The held bin with this number.
    pub(crate) fn held(&mut self, bin: i64) -> Option<&mut TimeBin> {
        match bin {
            _ if bin == self.bin => Some(&mut self.newest),
            _ if bin == self.earlier_bin && self.earlier.readings > 0 => Some(&mut self.earlier),
            _ => None,
        }
    }

    /// Whether the readings of the run came as far apart as their times are. Without times of arrival
    /// they pass.
    pub(crate) fn is_in_step(&self, rules: &Rules, reading: &Incoming) -> bool {
        let span = reading.time.saturating_sub(self.first.1);
        let is_near = |elapsed: i64| elapsed.abs_diff(span) <= (rules.interval_ms / 2).unsigned_abs();
        self.elapsed(reading).is_none_or(is_near)
    }

    /// Milliseconds from the arrival of the run's first reading to that of this one.
    fn elapsed(&self, reading: &Incoming) -> Option<i64> {
        Some(reading.arrival?.saturating_sub(self.first.2?))
    }

    /// What was saved; `None` where it breaks an invariant.
    pub(crate) fn restored(shape: &Shape, saved: &PendingJump) -> Option<Self> {
        let (first, ..) = saved.first;
        let is_valid = first <= saved.bin
            && [first, saved.bin, saved.earlier_bin].into_iter().all(is_clamped)
            && (saved.earlier.readings == 0 || saved.earlier_bin < saved.bin)
            && saved.bins <= u64::MAX / 2;
        is_valid.then_some(PendingJump {
            newest: TimeBin::restored(shape, &saved.newest)?,
            earlier: TimeBin::restored(shape, &saved.earlier)?,
            ..*saved
        })
    }
}
