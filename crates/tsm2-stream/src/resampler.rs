//! Resampler: readings at any time become one time step of all variates per sampling interval.
//!
//! Time bins lie at the multiples of the interval since 1970, and a reading belongs to the nearest
//! bin. Only the readings' own times move the resampler, so the same readings in the same order
//! give the same time steps whenever they come.
//!
//! Invariants:
//! 1. Time steps come in strictly increasing time, one per bin, without holes except at an
//!    [`Event::Restart`].
//! 2. A time step is emitted when the stream's newest reading lies `allowed_lateness_ms` beyond the
//!    end of its bin. Without allowed lateness, and where the newest reading of every variate
//!    counts, it is emitted as soon as every variate has a reading. Readings of that bin that
//!    follow are [`Accepted::Surplus`].
//! 3. Readings in another order, none later than the allowed lateness, give the same time steps up
//!    to the rounding of [`Aggregate`](crate::Aggregate), as long as no silence comes within the
//!    allowed lateness of `max_gap`.
//! 4. One reading emits at most `max_gap` time steps and the open bins. The open bins are bounded,
//!    and nothing is allocated after the start.
//! 5. Readings that come again change nothing: a reading of an emitted bin is rejected or surplus,
//!    and so is one that its open bin has. A bin knows readings by variate and time, see
//!    [`crate::recent_times`]; without times of the devices every reading of an open bin counts.
//! 6. A clock jump beyond `max_gap` counts only when a second bin confirms it. Until then its
//!    readings wait apart, so one wrong clock neither ends a stream nor makes the true readings
//!    after it late.
//! 7. A clock rollback counts only into the gap before the current segment, more than `max_gap`
//!    bins before the segment, where no bin ever had a time step. Two bins must follow each other
//!    there without a reading of the segment between them, and with the time steps before the gap
//!    they must outnumber the segment's: of two clocks the one that was heard for longer is right.
//!    The abandoned times are remembered, so readings that come again cannot jump there.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::aggregate::Aggregate;
use crate::clock_history::{ClockHistory, Gap};
use crate::config::{MAX_OPEN_BINS, ResamplerConfig, ResamplerError, Rules, clamp_time, is_clamped};
use crate::event::{Accepted, Counts, Event, Rejected};
use crate::forward_fill::ForwardFill;
use crate::pending_jump::PendingJump;
use crate::reading::Reading;
use crate::time_bin::{Insert, TimeBin, TimeStep};

/// Where a reading's bin lies relative to the current segment.
enum Position {
    /// There is no segment yet.
    First,
    /// In an open bin or in one that follows.
    Inside,
    /// In the newest bin, whose complete time step was emitted before the bin's time was over.
    Complete,
    /// In a bin whose time step was emitted.
    Late,
    /// Where the stream was found not to be.
    Untrusted,
    /// Further ahead than `max_gap`.
    Ahead,
    /// In the gap before the segment.
    Back,
}

/// A run of time steps without a hole.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Segment {
    /// The earliest bin with a reading.
    first: i64,
    /// The newest bin with a reading.
    newest: i64,
    /// The newest bin that takes no readings any more.
    closed: i64,
    /// Time of the newest reading.
    watermark: i64,
    /// Whether a time step was emitted: from then on bins without readings make time steps too.
    has_begun: bool,
    /// Emitted time steps with readings, those before the gap included after a clock rollback.
    steps: u64,
}

/// Readings in, time steps out. See the module's invariants.
///
/// ```
/// use tsm2_stream::{Event, Reading, Resampler, ResamplerConfig};
///
/// let mut resampler = Resampler::new(ResamplerConfig::new(1, 60_000, 1440))?;
/// let mut steps = Vec::new();
/// for minute in [0, 1, 3] {
///     let reading = Reading { variate: 0, value: minute as f32, time_ms: minute * 60_000 + 250 };
///     resampler.push(reading, |event| {
///         if let Event::TimeStep(step) = event {
///             steps.push((step.time_ms / 60_000, step.values[0], step.last_reading_ms));
///         }
///     })?;
/// }
/// assert_eq!(steps[1], (1, 1.0, Some(60_250)));
/// assert!(steps[2].1.is_nan() && steps[2].2.is_none()); // minute 2 bridges the gap
/// assert_eq!(steps[3].0, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Resampler {
    rules: Rules,
    counts: Counts,
    segment: Option<Segment>,
    /// The open bins, each at its index modulo their number; what is not open is empty.
    open: Vec<TimeBin>,
    jump: PendingJump,
    clock: ClockHistory,
    values: ForwardFill,
}

/// All that a resampler remembers, for [`Resampler::restore`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResamplerSnapshot {
    interval_ms: i64,
    aggregates: Vec<Aggregate>,
    counts: Counts,
    segment: Option<Segment>,
    /// The bins after `closed` up to `newest`.
    open: Vec<TimeBin>,
    jump: PendingJump,
    clock: ClockHistory,
    values: ForwardFill,
}

/// Where a bin lies while it is open.
fn index(bin: i64, open: &[TimeBin]) -> usize {
    bin.rem_euclid(open.len() as i64) as usize
}

impl Resampler {
    /// An empty resampler. Nothing else allocates.
    ///
    /// # Errors
    /// Any fault of the configuration.
    pub fn new(config: ResamplerConfig) -> Result<Self, ResamplerError> {
        let rules = Rules::new(config)?;
        Ok(Resampler {
            counts: Counts::default(),
            segment: None,
            open: (0..rules.open_bins).map(|_| TimeBin::new(&rules.shape)).collect(),
            jump: PendingJump::new(&rules.shape),
            clock: ClockHistory::new(),
            values: ForwardFill::new(rules.shape.variates()),
            rules,
        })
    }

    /// What this resampler has counted.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Time of the stream's newest reading, in milliseconds since 1970-01-01 UTC; `None` before the
    /// first.
    pub fn newest_ms(&self) -> Option<i64> {
        self.segment.map(|segment| segment.watermark)
    }

    /// Whether a reading of this time would continue the stream: neither begin it, nor jump, nor
    /// come too late.
    pub fn expects(&self, time_ms: i64) -> bool {
        matches!(self.position(self.rules.bin(clamp_time(time_ms))), Position::Inside)
    }

    /// Takes one reading. `on` receives each event before this returns, in order: one for each time
    /// step, those that bridge a gap included, so that a long gap shows progress.
    ///
    /// # Errors
    /// Why the reading was rejected.
    pub fn push(&mut self, reading: Reading, mut on: impl FnMut(Event<'_>)) -> Result<Accepted, Rejected> {
        let Reading { variate, value, time_ms } = reading;
        let variates = self.rules.shape.variates();
        if variate >= variates {
            return Err(Rejected::UnknownVariate { variate, variates });
        }
        let (bin, time) = (self.rules.bin(clamp_time(time_ms)), clamp_time(time_ms));
        let position = self.position(bin);
        match position {
            // A reading of the newest time or an earlier one may be a duplicate.
            Position::Complete if !self.rules.shape.device_times || self.newest_ms().is_some_and(|newest_ms| time > newest_ms) => {
                self.counts.surplus += 1;
                return Ok(Accepted::Surplus);
            }
            Position::Late | Position::Complete => {
                let newest = self.segment.map_or(bin, |segment| segment.newest);
                return self.reject(Rejected::Late {
                    behind_ms: self.rules.time_ms(newest.saturating_sub(bin)),
                });
            }
            Position::Untrusted => return self.reject(Rejected::UntrustedTime),
            Position::Ahead | Position::Back => {
                if !self.is_confirmed(bin, matches!(position, Position::Back), &mut on) {
                    return match self.jump.insert(&self.rules.shape, bin, variate, value, time_ms) {
                        Insert::Known => self.reject(Rejected::Duplicate),
                        Insert::First | Insert::Merged => Ok(Accepted::Used),
                    };
                }
            }
            Position::First => self.segment = Some(self.segment_at(bin, time, 0)),
            Position::Inside => {}
        }
        // A known reading is not newer, so a rejection below has changed nothing.
        let is_newer = self.segment.is_some_and(|segment| time > segment.watermark);
        if is_newer {
            self.drop_jump(true, &mut on);
            self.advance(bin, time, &mut on);
        }
        let index = index(bin, &self.open);
        match self.open[index].insert(&self.rules.shape, variate, value, time_ms) {
            Insert::Known => return self.reject(Rejected::Duplicate),
            Insert::First => {}
            Insert::Merged => self.counts.merged += 1,
        }
        self.counts.readings += 1;
        if let Some(segment) = &mut self.segment {
            segment.first = segment.first.min(bin);
        }
        if !is_newer {
            self.drop_jump(true, &mut on);
        }
        if self.rules.eager && self.open[index].is_complete() {
            self.emit_through(bin, &mut on);
        }
        Ok(Accepted::Used)
    }

    fn reject(&mut self, why: Rejected) -> Result<Accepted, Rejected> {
        self.counts.rejected += 1;
        Err(why)
    }

    fn segment_at(&self, bin: i64, watermark: i64, steps: u64) -> Segment {
        Segment {
            first: bin,
            newest: bin,
            closed: self.rules.closed(watermark),
            watermark,
            has_begun: false,
            steps,
        }
    }

    fn position(&self, bin: i64) -> Position {
        let Some(segment) = self.segment else { return Position::First };
        if bin > segment.newest {
            return match self.rules.follows(segment.newest, bin) {
                true => Position::Inside,
                false if self.clock.disproves(bin) => Position::Untrusted,
                false => Position::Ahead,
            };
        }
        let is_gap = self.clock.gap.is_some_and(|gap| bin > gap.before);
        match bin < segment.first && !self.rules.follows(bin, segment.first) {
            _ if bin > segment.closed => Position::Inside,
            true if is_gap && self.clock.disproves(bin) => Position::Untrusted,
            true if is_gap => Position::Back,
            _ if self.rules.eager && bin == segment.newest => Position::Complete,
            _ => Position::Late,
        }
    }

    /// Whether a bin far from the segment confirms the pending jump. Then the stream has restarted
    /// there, and `bin` comes next; otherwise the readings of `bin` are the new pending jump.
    fn is_confirmed(&mut self, bin: i64, is_back: bool, on: &mut impl FnMut(Event<'_>)) -> bool {
        let jump = &mut self.jump;
        if jump.waits() && (jump.first..=jump.bin).contains(&bin) {
            return false;
        }
        if !jump.waits() || !self.rules.follows(jump.bin, bin) {
            self.drop_jump(false, on);
            self.jump.begin(bin);
            return false;
        }
        let (Some(segment), bins) = (self.segment, jump.bins.saturating_add(1)) else {
            return false;
        };
        let before_gap = self.clock.gap.map_or(0, |gap| gap.steps);
        if is_back && bins.saturating_add(before_gap) <= segment.steps {
            let first = jump.first;
            self.drop_jump(false, on);
            self.jump.extend(first, bin, bins);
            return false;
        }
        self.emit_through(segment.newest, on);
        // Time steps may have been emitted just now.
        let steps = self.segment.map_or(0, |segment| segment.steps);
        let next = self.jump.bin;
        let watermark = clamp_time(self.jump.readings.newest_ms().unwrap_or_default());
        self.counts.restarts += 1;
        on(Event::Restart {
            last_ms: self.rules.time_ms(segment.newest),
            next_ms: self.rules.time_ms(next),
        });
        if is_back {
            self.counts.clock_rollbacks += 1;
            self.clock.abandoned = Some((segment.first, segment.newest));
            self.clock.gap = None;
            self.segment = Some(self.segment_at(next, watermark, before_gap));
        } else {
            self.clock.gap = Some(Gap {
                before: segment.newest,
                steps,
            });
            self.segment = Some(self.segment_at(next, watermark, 0));
        }
        self.values.forget();
        let index = index(next, &self.open);
        core::mem::swap(&mut self.open[index], &mut self.jump.readings);
        self.counts.readings += self.open[index].readings;
        self.counts.merged += self.open[index].merged;
        true
    }

    /// Drops the pending jump; `is_disproved` by a reading of the segment, not replaced by another
    /// jump.
    fn drop_jump(&mut self, is_disproved: bool, on: &mut impl FnMut(Event<'_>)) {
        let readings = self.jump.readings.readings;
        if readings > 0 {
            self.counts.clock_jump_readings += readings;
            self.jump.readings.clear();
            if is_disproved {
                self.clock.dropped = Some(self.jump.bin);
            }
            on(Event::ClockJumpDropped {
                time_ms: self.rules.time_ms(self.jump.bin),
                readings,
            });
        }
    }

    /// The newest reading is now one of `bin`.
    fn advance(&mut self, bin: i64, time: i64, on: &mut impl FnMut(Event<'_>)) {
        if let Some(segment) = &mut self.segment {
            segment.watermark = time;
            segment.newest = segment.newest.max(bin);
            self.emit_through(self.rules.closed(time), on);
        }
    }

    /// Closes the bins up to `bin` and emits their time steps.
    fn emit_through(&mut self, bin: i64, on: &mut impl FnMut(Event<'_>)) {
        while let Some(segment) = self.segment.as_mut().filter(|segment| segment.closed < bin) {
            segment.closed += 1;
            let time_ms = self.rules.time_ms(segment.closed);
            let index = index(segment.closed, &self.open);
            let readings = &mut self.open[index];
            let has_readings = readings.readings > 0;
            if !has_readings && !segment.has_begun {
                continue;
            }
            segment.has_begun = true;
            segment.steps += u64::from(has_readings);
            self.counts.time_steps += u64::from(has_readings);
            self.counts.bridged_steps += u64::from(!has_readings);
            let filled = self
                .values
                .fill(&self.rules.shape, has_readings.then_some(&*readings), self.rules.forward_fill_limit);
            self.counts.forward_filled += filled;
            on(Event::TimeStep(TimeStep {
                time_ms,
                last_reading_ms: readings.newest_ms(),
                values: &self.values.values,
            }));
            readings.clear();
        }
    }

    /// All that this resampler remembers.
    pub fn snapshot(&self) -> ResamplerSnapshot {
        let bins = self.segment.map_or(1..1, |segment| segment.closed + 1..segment.newest + 1);
        ResamplerSnapshot {
            interval_ms: self.rules.interval_ms,
            aggregates: self.rules.shape.aggregates.clone(),
            counts: self.counts,
            segment: self.segment,
            open: bins.map(|bin| self.open[index(bin, &self.open)].clone()).collect(),
            jump: self.jump.clone(),
            clock: self.clock.clone(),
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
        if !fits || !snapshot.counts.is_valid() || !snapshot.clock.is_valid() {
            return None;
        }
        (self.counts, self.clock) = (snapshot.counts, snapshot.clock);
        self.jump = PendingJump::restored(shape, &snapshot.jump)?;
        self.values = ForwardFill::restored(shape.variates(), snapshot.values)?;
        let Some(segment) = snapshot.segment else {
            return snapshot.open.is_empty().then_some(self);
        };
        let Segment {
            first,
            newest,
            closed,
            watermark,
            steps,
            ..
        } = segment;
        let is_valid = [first, newest, closed, watermark].into_iter().all(is_clamped) && steps <= u64::MAX / 2;
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
