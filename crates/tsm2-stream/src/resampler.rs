//! Resampler: readings at any time become one time step of all variates per sampling interval.
//!
//! Time bins lie at the multiples of the interval since 1970, and a reading belongs to the nearest
//! bin. A source that reports once per interval near the border of its bins has bins of its own,
//! moved by a quarter of the interval, see [`crate::source_clock`].
//!
//! Invariants:
//! 1. Time steps come in strictly increasing time, one per bin, without holes except at an
//!    [`Event::Restart`].
//! 2. A time step is emitted when the newest reading lies `allowed_lateness_ms` beyond the end of
//!    its bin, by the clock of each regular source that is at most `max_ahead` bins behind. Without
//!    allowed lateness, and where the newest reading of every variate counts, it is emitted as soon
//!    as every variate has a reading. Readings of that bin that follow are [`Accepted::Surplus`].
//! 3. Readings of one source in another order, none later than the allowed lateness, give the same
//!    time steps up to the rounding of [`Aggregate`](crate::Aggregate), as long as no silence comes
//!    within the allowed lateness of `max_ahead` or `max_gap`.
//! 4. One reading emits at most three times `max_gap` time steps and the open bins. The open bins
//!    are bounded, and nothing is allocated after the start.
//! 5. Readings that come again change nothing: a reading of an emitted bin is rejected or surplus,
//!    and so is one that its open bin has. A bin knows readings by variate and time, see
//!    [`crate::recent_times`]; without times of the devices every reading of an open bin counts.
//! 6. One reading alone moves the stream at most `max_ahead` bins beyond the next, unless its time
//!    of arrival confirms its time. Readings further ahead, or further behind, wait apart in a run
//!    ([`crate::pending_jump`]) until others confirm or disprove their time, see
//!    [`Resampler::judge`]. Confirmed, they are used like any other.

use alloc::vec::Vec;

use crate::config::{MAX_RUN, ResamplerConfig, ResamplerError, Rules};
use crate::event::{Accepted, Counts, Event, Rejected};
use crate::forward_fill::ForwardFill;
use crate::known_readings::KnownReadings;
use crate::pending_jump::PendingJump;
use crate::reading::Reading;
use crate::segment::{Segment, index};
use crate::source_clock::SourceClock;
use crate::time_bin::{Incoming, Insert, TimeBin, TimeStep};
use crate::time_range::clamp_time;

/// Where a reading's bin lies relative to the current segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    /// There is no segment yet.
    First,
    /// In an open bin or in one that follows.
    Inside,
    /// In the newest bin, whose complete time step was emitted before the bin's time was over.
    Complete,
    /// In a bin whose time step was emitted, not far behind.
    Late,
    /// Far behind.
    Behind,
    /// Far ahead.
    Ahead,
}

/// What becomes of a reading far from the stream.
enum Judgement {
    /// It is used: the stream is at its time now.
    Believed,
    /// It waits for others.
    Held,
    Rejected(Rejected),
}

/// Readings in, time steps out. See the module's invariants.
///
/// ```
/// use tsm2_stream::{Event, Reading, Resampler, ResamplerConfig};
///
/// let mut resampler = Resampler::new(ResamplerConfig::new(1, 60_000, 1440))?;
/// let mut steps = Vec::new();
/// for minute in [0, 1, 3] {
///     resampler.push(Reading::at(0, minute as f32, minute * 60_000 + 250), |event| {
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
    pub(crate) rules: Rules,
    pub(crate) counts: Counts,
    pub(crate) segment: Option<Segment>,
    /// The open bins, each at its index modulo their number; what is not open is empty.
    pub(crate) open: Vec<TimeBin>,
    /// Ahead of the stream, and behind.
    pub(crate) jumps: [PendingJump; 2],
    pub(crate) known: KnownReadings,
    /// By number of the source.
    pub(crate) clocks: Vec<SourceClock>,
    pub(crate) values: ForwardFill,
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
            jumps: [PendingJump::new(&rules.shape), PendingJump::new(&rules.shape)],
            known: KnownReadings::new(),
            clocks: (0..rules.source_count()).map(|_| SourceClock::default()).collect(),
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
        matches!(self.position(self.rules.bin(clamp_time(time_ms), 0), None), Position::Inside)
    }

    /// Takes one reading. `on` receives each event before this returns, in order: one for each time
    /// step, those that bridge a gap included, so that a long gap shows progress.
    ///
    /// # Errors
    /// Why the reading was rejected.
    pub fn push(&mut self, reading: Reading, mut on: impl FnMut(Event<'_>)) -> Result<Accepted, Rejected> {
        let on: &mut dyn FnMut(Event<'_>) = &mut on;
        let variates = self.rules.shape.variates();
        let source = self.rules.sources.get(reading.variate).copied();
        let clock = source.and_then(|source| self.clocks.get_mut(usize::from(source)));
        let (Some(source), Some(clock)) = (source, clock) else {
            let variate = reading.variate;
            return Err(Rejected::UnknownVariate { variate, variates });
        };
        let time = clamp_time(reading.time_ms);
        clock.adapt_phase(&self.rules, time);
        let reading = Incoming {
            variate: reading.variate,
            value: reading.value,
            time,
            arrival: reading.arrival_ms.map(clamp_time),
            source,
            bin: clock.bin(&self.rules, time),
        };
        let mut position = self.position(reading.bin, Some(source));
        let is_far = matches!(position, Position::Ahead | Position::Behind);
        if is_far {
            match self.judge(&reading, position == Position::Behind, on) {
                Judgement::Believed => position = self.position(reading.bin, Some(source)),
                Judgement::Held => return Ok(Accepted::Held),
                Judgement::Rejected(why) => return self.reject(why),
            }
        }
        match position {
            Position::Inside if self.comes_again(&reading) => self.reject(Rejected::Duplicate),
            Position::First | Position::Inside | Position::Ahead => self.take(&reading, on),
            // A reading of the newest time or an earlier one may be a duplicate.
            Position::Complete if !self.rules.shape.device_times || self.newest_ms().is_some_and(|newest_ms| time > newest_ms) => {
                self.counts.surplus += 1;
                self.known.add(reading.bin, reading.filter());
                Ok(Accepted::Surplus)
            }
            // The others have not waited, but will if its source is regular. Or it has confirmed a jump to a later bin.
            Position::Late
                if is_far || (self.clocks.len() > 1 && self.clocks.get(usize::from(source)).is_some_and(|clock| clock.is_newer(time))) =>
            {
                if let Some(clock) = self.clocks.get_mut(usize::from(source)) {
                    clock.note(&self.rules, time);
                }
                self.counts.clock_jump_readings += 1;
                on(Event::ClockJumpDropped {
                    time_ms: self.rules.time_ms(reading.bin),
                    readings: 1,
                    is_behind: true,
                });
                Ok(Accepted::Held)
            }
            _ => {
                let why = self.late(reading.bin);
                self.reject(why)
            }
        }
    }

    /// Emits the time steps of all open bins and drops what is held, as at the end of a recording.
    pub fn close(&mut self, mut on: impl FnMut(Event<'_>)) {
        if let Some(segment) = self.segment {
            self.emit_through(segment.newest, &mut on);
        }
        self.drop_jumps(&mut on);
    }

    fn late(&self, bin: i64) -> Rejected {
        let newest = self.segment.map_or(bin, |segment| segment.newest);
        Rejected::Late {
            behind_ms: self.rules.time_ms(newest.saturating_sub(bin)),
        }
    }

    /// Whether a reading was taken before a clock rollback, when the stream was at this bin already.
    fn comes_again(&self, reading: &Incoming) -> bool {
        let may_be = self.counts.clock_rollbacks > 0 && self.rules.shape.device_times;
        may_be && self.known.has_emitted(reading.bin, reading.filter())
    }

    fn reject(&mut self, why: Rejected) -> Result<Accepted, Rejected> {
        self.counts.rejected += 1;
        Err(why)
    }

    /// Without a source, its rhythm does not count.
    fn position(&self, bin: i64, source: Option<u16>) -> Position {
        let Some(segment) = self.segment else { return Position::First };
        let near = 1 + self.rules.max_ahead.cast_signed();
        if bin > segment.newest {
            let skip = self.rules.max_skip.cast_signed();
            let next = source.and_then(|source| self.clocks[usize::from(source)].next(&self.rules));
            let next = next.map_or(segment.newest + 1, |next| next.max(segment.newest + 1));
            let last = next.saturating_add(skip);
            return match bin <= last && self.rules.follows(segment.newest, bin) {
                true => Position::Inside,
                false => Position::Ahead,
            };
        }
        match () {
            () if bin > segment.closed => Position::Inside,
            () if self.rules.eager && bin == segment.newest => Position::Complete,
            () if bin >= segment.newest.saturating_sub(near) => Position::Late,
            () => Position::Behind,
        }
    }

    /// Takes a reading of an open bin, of the bins that follow, or the first of a segment.
    fn take(&mut self, reading: &Incoming, on: &mut dyn FnMut(Event<'_>)) -> Result<Accepted, Rejected> {
        let (source, mut bin) = (usize::from(reading.source), reading.bin);
        let closed = self.clocks[source].bin(&self.rules, reading.time - self.rules.allowed_lateness_ms) - 1;
        // A known reading is not newer, so a rejection below has changed nothing.
        let is_newer = self
            .segment
            .is_none_or(|segment| reading.bin > segment.newest || reading.time > segment.watermark);
        if is_newer {
            self.drop_jumps(on);
            self.clocks[source].note(&self.rules, reading.time);
            if let Some(segment) = &mut self.segment {
                segment.passed = segment.passed.max(closed);
                self.emit_through(self.due(), on);
                // The bins may have moved with what was emitted.
                let least = self.segment.map_or(bin, |segment| segment.closed.saturating_add(1));
                bin = self.clocks[source].bin(&self.rules, reading.time).max(least);
            }
            self.reach(bin, reading.time, closed, on);
        }
        let index = index(bin, &self.open);
        match self.open[index].insert(&self.rules.shape, reading) {
            Insert::Known => return self.reject(Rejected::Duplicate),
            Insert::First => {}
            Insert::Merged => self.counts.merged += 1,
        }
        self.counts.readings += 1;
        let is_complete = self.rules.eager && self.open[index].is_complete();
        if !is_newer {
            self.drop_jumps(on);
            self.clocks[source].note(&self.rules, reading.time);
        }
        self.emit_through(if is_complete { reading.bin } else { self.due() }, on);
        Ok(Accepted::Used)
    }

    /// A reading far from the stream. It counts if one of these holds:
    ///
    /// - Its time of arrival agrees with it. Behind the stream, the stream must also be ahead of the
    ///   time of arrival.
    /// - Ahead: a reading of another source lies near it, or one of a second bin follows it.
    /// - Behind: a run of three bins that follow each other, of which no reading was taken before, and
    ///   which arrive as far apart as their times are. So readings that come again, or late and in a
    ///   flood, never count.
    /// - While other sources are in the stream, a run of one source alone must be longer
    ///   ([`MAX_RUN`]): the others would have confirmed it.
    ///
    /// A reading of the stream in between ends the run.
    fn judge(&mut self, reading: &Incoming, is_behind: bool, on: &mut dyn FnMut(Event<'_>)) -> Judgement {
        let Some(segment) = self.segment else {
            return Judgement::Believed;
        };
        let rules = &self.rules;
        let untrusted = if is_behind {
            self.late(reading.bin)
        } else {
            Rejected::UntrustedTime
        };
        let has_own_time = rules.shape.device_times;
        if has_own_time && self.known.has(reading.bin, reading.filter()) {
            return Judgement::Rejected(untrusted);
        }
        let is_confirmed =
            rules.agrees(reading.time, reading.arrival) && (!is_behind || rules.is_future(segment.watermark, reading.arrival));
        // Where a bin may have taken it before, only its arrival shows that it does not come again.
        let is_new = !has_own_time || self.known.covers(reading.bin);
        if !is_confirmed && !is_new && reading.arrival.is_none() {
            return Judgement::Rejected(untrusted);
        }
        let jump = &mut self.jumps[usize::from(is_behind)];
        if jump.waits() {
            let is_other = jump.source != reading.source;
            let is_near = jump.bin.abs_diff(reading.bin) <= 1 + rules.max_ahead;
            if is_other && is_near && !is_behind {
                self.follow_jump(is_behind, on);
                return Judgement::Believed;
            }
            if let Some(held) = jump.held(reading.bin) {
                return match held.insert(&rules.shape, reading) {
                    Insert::Known => Judgement::Rejected(Rejected::Duplicate),
                    Insert::First | Insert::Merged => {
                        jump.is_shared |= is_other;
                        Judgement::Held
                    }
                };
            }
            // What comes just before a run, or within it, is late.
            let since = jump.first.0.saturating_sub(1 + rules.max_ahead.cast_signed());
            if (since..=jump.bin).contains(&reading.bin) {
                return Judgement::Rejected(untrusted);
            }
            // In a flood readings that come again, or late, are as fast as the others.
            let is_paced = (is_new && !is_behind) || jump.is_in_step(rules, reading);
            if rules.follows(jump.bin, reading.bin) && is_paced {
                jump.is_shared |= is_other;
                let is_alone = !jump.is_shared && self.has_others(reading.source);
                let needed = match () {
                    () if is_alone => MAX_RUN,
                    () if is_behind => 3,
                    () => 2,
                };
                if self.jumps[usize::from(is_behind)].bins + 1 >= needed || is_confirmed {
                    self.follow_jump(is_behind, on);
                    return Judgement::Believed;
                }
                self.drop_held(is_behind, true, on);
                self.jumps[usize::from(is_behind)].extend(&self.rules.shape, reading);
                return Judgement::Held;
            }
        }
        self.drop_jump(is_behind, on);
        if is_confirmed {
            if is_behind || !self.rules.follows(segment.newest, reading.bin) {
                self.restart(reading.bin, on);
            }
            return Judgement::Believed;
        }
        self.jumps[usize::from(is_behind)].begin(&self.rules.shape, reading);
        Judgement::Held
    }

    /// Whether another source has had a reading in the newest bins of the segment.
    fn has_others(&self, source: u16) -> bool {
        let since = self
            .segment
            .map_or(i64::MAX, |segment| segment.newest.saturating_sub(MAX_RUN.cast_signed()));
        let others = self.clocks.iter().enumerate().filter(|&(other, _)| other != usize::from(source));
        others
            .filter_map(|(_, clock)| clock.newest_bin(&self.rules))
            .any(|newest| newest >= since)
    }

    /// A pending jump is confirmed: the stream goes on where it is, with its readings.
    fn follow_jump(&mut self, is_behind: bool, on: &mut dyn FnMut(Event<'_>)) {
        let Some(segment) = self.segment else { return };
        self.drop_jump(!is_behind, on);
        let jump = &self.jumps[usize::from(is_behind)];
        let has_earlier = jump.earlier.readings > 0;
        let next = if has_earlier { jump.earlier_bin } else { jump.bin };
        on(Event::ClockJumpConfirmed {
            last_ms: self.rules.time_ms(segment.newest),
            next_ms: self.rules.time_ms(next),
        });
        if is_behind || !self.rules.follows(segment.newest, next) {
            self.restart(next, on);
        }
        for is_earlier in [true, false] {
            let jump = &self.jumps[usize::from(is_behind)];
            let (held, bin) = if is_earlier {
                (&jump.earlier, jump.earlier_bin)
            } else {
                (&jump.newest, jump.bin)
            };
            let Some(time) = held.newest_ms() else { continue };
            let closed = self.rules.bin(time - self.rules.allowed_lateness_ms, 0).min(bin) - 1;
            self.reach(bin, time, closed, on);
            let jump = &mut self.jumps[usize::from(is_behind)];
            let held = if is_earlier { &mut jump.earlier } else { &mut jump.newest };
            let index = index(bin, &self.open);
            core::mem::swap(&mut self.open[index], held);
            held.clear();
            self.counts.readings += self.open[index].readings;
            self.counts.merged += self.open[index].merged;
        }
    }

    /// Ends the segment. The next reading begins another, at `next`.
    fn restart(&mut self, next: i64, on: &mut dyn FnMut(Event<'_>)) {
        let Some(segment) = self.segment else { return };
        self.emit_through(segment.newest, on);
        self.counts.restarts += 1;
        self.counts.clock_rollbacks += u64::from(next < segment.newest);
        on(Event::Restart {
            last_ms: self.rules.time_ms(segment.newest),
            next_ms: self.rules.time_ms(next),
        });
        self.segment = None;
        self.clocks.iter_mut().for_each(SourceClock::restart);
        self.values.forget();
    }

    /// Drops the pending jumps.
    fn drop_jumps(&mut self, on: &mut dyn FnMut(Event<'_>)) {
        self.drop_jump(false, on);
        self.drop_jump(true, on);
    }

    fn drop_jump(&mut self, is_behind: bool, on: &mut dyn FnMut(Event<'_>)) {
        self.drop_held(is_behind, true, on);
        self.drop_held(is_behind, false, on);
    }

    fn drop_held(&mut self, is_behind: bool, is_earlier: bool, on: &mut dyn FnMut(Event<'_>)) {
        let jump = &mut self.jumps[usize::from(is_behind)];
        let (held, bin) = match is_earlier {
            true => (&mut jump.earlier, jump.earlier_bin),
            false => (&mut jump.newest, jump.bin),
        };
        if held.readings > 0 {
            let readings = held.readings;
            self.counts.clock_jump_readings += readings;
            self.known.remember(bin, held.filter, false);
            held.clear();
            let time_ms = self.rules.time_ms(bin);
            on(Event::ClockJumpDropped {
                time_ms,
                readings,
                is_behind,
            });
        }
    }

    /// A reading of `bin` comes, which closes the bins up to `closed` for its source.
    fn reach(&mut self, bin: i64, time: i64, closed: i64, on: &mut dyn FnMut(Event<'_>)) {
        let segment = self.segment.get_or_insert(Segment {
            newest: bin,
            closed,
            passed: closed,
            watermark: time,
            has_begun: false,
        });
        segment.newest = segment.newest.max(bin);
        segment.passed = segment.passed.max(closed);
        segment.watermark = segment.watermark.max(time);
        self.emit_through(self.due(), on);
    }

    /// The newest bin that no source needs any more.
    fn due(&self) -> i64 {
        let Some(segment) = self.segment else { return i64::MIN };
        let is_waited_for = |passed: &i64| segment.passed.saturating_sub(*passed) <= self.rules.hold.cast_signed();
        let passed = self.clocks.iter().filter_map(|clock| clock.passed(&self.rules));
        passed.filter(is_waited_for).fold(segment.passed, i64::min)
    }

    /// Closes the bins up to `bin` and emits their time steps.
    fn emit_through(&mut self, bin: i64, on: &mut dyn FnMut(Event<'_>)) {
        while let Some(segment) = self.segment.as_mut().filter(|segment| segment.closed < bin) {
            segment.closed += 1;
            let closed = segment.closed;
            let time_ms = self.rules.time_ms(closed);
            let index = index(closed, &self.open);
            if self.rules.shape.any_order {
                for (source, clock) in (0u16..).zip(&mut self.clocks) {
                    let newest = self.open[index].newest_of(|variate| self.rules.sources[variate] == source);
                    newest.into_iter().for_each(|time| clock.settle(&self.rules, closed, time));
                }
            }
            let readings = &mut self.open[index];
            let has_readings = readings.readings > 0;
            if !has_readings && !segment.has_begun {
                continue;
            }
            segment.has_begun = true;
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
            if has_readings {
                self.known.remember(closed, readings.filter, true);
                readings.clear();
            }
        }
    }
}
