//! Snapshot of a resampler. Version 1 is read and converted.
//!
//! Any bytes that decode are checked before they are used.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::aggregate::Aggregate;
use crate::config::{MAX_OPEN_BINS, ResamplerConfig, ResamplerError};
use crate::event::Counts;
use crate::forward_fill::ForwardFill;
use crate::known_readings::{Filter, KnownReadings};
use crate::pending_jump::PendingJump;
use crate::recent_times::RecentTimes;
use crate::resampler::Resampler;
use crate::segment::{Segment, index};
use crate::source_clock::SourceClock;
use crate::time_bin::{Cell, TimeBin};
use crate::time_range::is_clamped;

/// All that a resampler remembers, for [`Resampler::restore`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResamplerSnapshot {
    interval_ms: i64,
    aggregates: Vec<Aggregate>,
    counts: Counts,
    segment: Option<Segment>,
    /// The bins after `closed` up to `newest`.
    open: Vec<TimeBin>,
    jumps: [PendingJump; 2],
    known: KnownReadings,
    clocks: Vec<SourceClock>,
    values: ForwardFill,
}

/// The first version of [`ResamplerSnapshot`], of a stream with one source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResamplerSnapshotV1 {
    interval_ms: i64,
    aggregates: Vec<Aggregate>,
    counts: Counts,
    segment: Option<SegmentV1>,
    open: Vec<TimeBinV1>,
    jump: PendingJumpV1,
    clock: ClockHistoryV1,
    values: ForwardFill,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct SegmentV1 {
    first: i64,
    newest: i64,
    closed: i64,
    watermark: i64,
    has_begun: bool,
    steps: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct TimeBinV1 {
    cells: Vec<Option<Cell>>,
    times: Vec<RecentTimes>,
    readings: u64,
    merged: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct PendingJumpV1 {
    readings: TimeBinV1,
    first: i64,
    bin: i64,
    bins: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct ClockHistoryV1 {
    gap: Option<(i64, u64)>,
    abandoned: Option<(i64, i64)>,
    dropped: Option<i64>,
}

impl From<TimeBinV1> for TimeBin {
    fn from(saved: TimeBinV1) -> Self {
        TimeBin {
            cells: saved.cells,
            times: saved.times,
            readings: saved.readings,
            merged: saved.merged,
            filter: Filter::default(),
        }
    }
}

impl From<ResamplerSnapshotV1> for ResamplerSnapshot {
    /// A pending jump is dropped: its readings were not part of the stream.
    fn from(saved: ResamplerSnapshotV1) -> Self {
        let mut jump = PendingJump::default();
        jump.newest.cells.resize(saved.aggregates.len(), None);
        jump.earlier.cells.resize(saved.aggregates.len(), None);
        // What the segment and those before it took is not known, so it counts as forgotten.
        let before = saved.segment.map(|segment| (i64::MIN / 4 * 3, segment.newest));
        ResamplerSnapshot {
            interval_ms: saved.interval_ms,
            aggregates: saved.aggregates,
            counts: saved.counts,
            segment: saved.segment.map(|segment| Segment {
                newest: segment.newest,
                closed: segment.closed,
                passed: segment.closed,
                watermark: segment.watermark,
                has_begun: segment.has_begun,
            }),
            open: saved.open.into_iter().map(TimeBin::from).collect(),
            jumps: [jump.clone(), jump],
            known: KnownReadings::forgotten(before),
            clocks: Vec::new(),
            values: saved.values,
        }
    }
}

impl Resampler {
    /// All that this resampler remembers.
    pub fn snapshot(&self) -> ResamplerSnapshot {
        let bins = self.segment.map_or(1..1, |segment| segment.closed + 1..segment.newest + 1);
        ResamplerSnapshot {
            interval_ms: self.rules.interval_ms,
            aggregates: self.rules.shape.aggregates.clone(),
            counts: self.counts,
            segment: self.segment,
            open: bins.map(|bin| self.open[index(bin, &self.open)].clone()).collect(),
            jumps: self.jumps.clone(),
            known: self.known.clone(),
            clocks: self.clocks.clone(),
            values: self.values.clone(),
        }
    }

    /// The resampler of a snapshot, which continues as if it had never been interrupted.
    ///
    /// All but variates, aggregates and interval may be configured anew: emitted time steps stay
    /// so, and bins that take no readings any more are emitted with the next reading.
    ///
    /// # Errors
    /// As [`Resampler::new`], and [`ResamplerError::Snapshot`] for a snapshot that does not fit or
    /// breaks an invariant.
    pub fn restore(config: ResamplerConfig, snapshot: ResamplerSnapshot) -> Result<Self, ResamplerError> {
        Resampler::new(config)?.restored(snapshot).ok_or(ResamplerError::Snapshot)
    }

    fn restored(mut self, snapshot: ResamplerSnapshot) -> Option<Self> {
        let shape = &self.rules.shape;
        let fits = snapshot.interval_ms == self.rules.interval_ms && snapshot.aggregates == shape.aggregates;
        if !fits || !snapshot.counts.is_valid() {
            return None;
        }
        self.counts = snapshot.counts;
        for (jump, saved) in self.jumps.iter_mut().zip(&snapshot.jumps) {
            *jump = PendingJump::restored(shape, saved)?;
        }
        self.known = KnownReadings::restored(&snapshot.known)?;
        self.values = ForwardFill::restored(shape.variates(), snapshot.values)?;
        // Of other sources nothing is known yet.
        if snapshot.clocks.len() == self.clocks.len() {
            for (clock, saved) in self.clocks.iter_mut().zip(&snapshot.clocks) {
                *clock = SourceClock::restored(saved)?;
            }
        }
        let Some(segment) = snapshot.segment else {
            return snapshot.open.is_empty().then_some(self);
        };
        let Segment {
            newest,
            closed,
            passed,
            watermark,
            ..
        } = segment;
        let is_valid = [newest, closed, passed, watermark].into_iter().all(is_clamped);
        let open = u64::try_from(newest.checked_sub(closed)?).ok()?;
        if !is_valid || open > MAX_OPEN_BINS || open != snapshot.open.len() as u64 {
            return None;
        }
        // More than the allowed lateness of today may still be open.
        let missing = (open as usize).saturating_sub(self.open.len());
        self.open.extend((0..missing).map(|_| TimeBin::new(shape)));
        self.segment = Some(segment);
        for (bin, saved) in (closed + 1..=newest).zip(&snapshot.open) {
            let index = index(bin, &self.open);
            self.open[index] = TimeBin::restored(shape, saved)?;
        }
        Some(self)
    }
}
