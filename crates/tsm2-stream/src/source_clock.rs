//! Source clock: what a resampler knows of the clock of one source.
//!
//! A source is whatever stamps its readings with one clock: a device, or a gateway. Each source has
//! a watermark of its own, a rhythm, and a phase.
//!
//! - **Rhythm.** A source whose readings came the same number of time bins apart twice is regular.
//!   Time bins wait for a regular source that is behind the others, for a bounded number of bins.
//! - **Phase.** Bins are centred on the multiples of the interval. A source that reports once per
//!   interval, near the border of two bins, would give one bin two readings and the next none. Its
//!   bins then move by a quarter of the interval, so that each gets one.

use serde::{Deserialize, Serialize};

use crate::config::Rules;
use crate::time_range::is_clamped;

/// A source reports once per interval if its readings are this fraction of it early or late at most.
const STEADY: i64 = 8;

#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct SourceClock {
    /// Time of its newest reading in the segment.
    newest: Option<i64>,
    /// Time bins between the newest bin with a reading and the one before; 0 if unknown.
    gap: u64,
    /// Whether the gap before was the same.
    is_regular: bool,
    /// By how many quarters of the interval its bins are moved: -1, 0 or 1.
    phase: i8,
    /// The phase before `phase_since`, so that an older reading keeps its bin.
    phase_before: i8,
    phase_since: Option<i64>,
    /// With allowed lateness: the newest emitted bin with a reading, and the time of its newest one.
    settled: Option<(i64, i64)>,
}

impl SourceClock {
    /// The bin of a reading.
    pub(crate) fn bin(&self, rules: &Rules, time: i64) -> i64 {
        let is_before = self.phase_since.is_some_and(|since| time < since);
        rules.bin(time, if is_before { self.phase_before } else { self.phase })
    }

    /// Moves the bins if readings once per interval fall on their border. Only where readings come in
    /// order: otherwise one may be missing in between, see [`SourceClock::settle`].
    pub(crate) fn adapt_phase(&mut self, rules: &Rules, time: i64) {
        let Some(newest) = self.newest.filter(|&newest| time > newest && !rules.shape.any_order) else {
            return;
        };
        let next = self.bin(rules, newest) + 1;
        let margin = rules.interval_ms / STEADY;
        let is_steady = (time - newest).abs_diff(rules.interval_ms) <= margin.unsigned_abs();
        // A drift over the border of moved bins costs one bin; then they lie at the multiples again.
        let is_at_border = self.phase != 0 && rules.border_distance_ms(time, self.phase) <= margin;
        let phases: &[i8] = match () {
            () if is_steady => &[0, -1, 1],
            () if is_at_border => &[0],
            () => &[],
        };
        if self.bin(rules, time) != next
            && let Some(&phase) = phases.iter().find(|&&phase| rules.bin(time, phase) == next)
        {
            (self.phase_before, self.phase, self.phase_since) = (self.phase, phase, Some(time));
        }
    }

    /// With allowed lateness: a bin is emitted, and `time` is that of its newest reading. Two readings
    /// an interval apart with an empty bin between them lie at the border of their bins. The bins then
    /// move at a time that no reading has reached yet, so the order of the readings does not matter.
    pub(crate) fn settle(&mut self, rules: &Rules, bin: i64, time: i64) {
        let Some((before, time_before)) = self.settled.replace((bin, time)) else {
            return;
        };
        let is_moved = self.phase_since.is_none_or(|since| time_before >= since);
        let apart = time.saturating_sub(time_before).abs_diff(rules.interval_ms);
        if is_moved && bin.saturating_sub(before) == 2 && apart <= (rules.interval_ms / STEADY).unsigned_abs() {
            let held = 2 + rules.hold.cast_signed();
            let since = rules.time_ms(bin.saturating_add(held)).saturating_add(rules.allowed_lateness_ms);
            let phase = if self.phase == 0 { -1 } else { 0 };
            (self.phase_before, self.phase, self.phase_since) = (self.phase, phase, Some(since));
        }
    }

    /// Whether a reading is newer than all of the segment.
    pub(crate) fn is_newer(&self, time: i64) -> bool {
        self.newest.is_none_or(|newest| time > newest)
    }

    /// A reading of the segment has come.
    pub(crate) fn note(&mut self, rules: &Rules, time: i64) {
        if !self.is_newer(time) {
            return;
        }
        let bin = self.bin(rules, time);
        let gap = self.newest.map_or(0, |newest| bin.saturating_sub(self.bin(rules, newest)));
        if gap > 0 {
            (self.is_regular, self.gap) = (self.gap == gap.unsigned_abs(), gap.unsigned_abs());
        }
        self.newest = Some(time);
    }

    /// The segment has ended; rhythm and phase stay.
    pub(crate) fn restart(&mut self) {
        (self.newest, self.settled) = (None, None);
    }

    /// The newest bin that a regular source needs no more; `None` for others.
    pub(crate) fn passed(&self, rules: &Rules) -> Option<i64> {
        let newest = self.newest.filter(|_| self.is_regular)?;
        let closed = self.bin(rules, newest.saturating_sub(rules.allowed_lateness_ms)) - 1;
        Some(closed.saturating_add_unsigned(self.gap - 1))
    }

    /// The newest bin with a reading of the segment.
    pub(crate) fn newest_bin(&self, rules: &Rules) -> Option<i64> {
        self.newest.map(|newest| self.bin(rules, newest))
    }

    /// The bin in which the next reading of a regular source is due.
    pub(crate) fn next(&self, rules: &Rules) -> Option<i64> {
        let newest = self.newest_bin(rules).filter(|_| self.is_regular)?;
        Some(newest.saturating_add_unsigned(self.gap))
    }

    /// What was saved; `None` where it breaks an invariant.
    pub(crate) fn restored(saved: &SourceClock) -> Option<Self> {
        let is_valid = saved.newest.is_none_or(is_clamped)
            && saved.settled.is_none_or(|(bin, time)| is_clamped(bin) && is_clamped(time))
            && saved.gap <= u64::MAX / 4
            && !(saved.is_regular && saved.gap == 0)
            && [saved.phase, saved.phase_before].iter().all(|phase| (-1..=1).contains(phase));
        is_valid.then_some(*saved)
    }
}
