//! The sampling grid: which row a reading belongs to, when a row leaves, what a gap becomes, which leaps in time are believed.
//!
//! Slots lie at the multiples of the interval since 1970, and a reading belongs to the nearest. Only the readings' own times move the grid,
//! so that the same readings make the same rows whenever they come. Invariants:
//! - rows leave in strictly increasing time, one per slot, without holes except at a [`Event::Restart`];
//! - a row leaves when the stream's newest reading lies `lateness_ms` beyond the end of its slot. Without lateness, and where the newest
//!   reading of every variate counts, it leaves as soon as every variate was heard: with any other aggregation that would lose readings;
//! - readings that come in another order, none of them later than the lateness, make the same rows, as long as no silence comes within the
//!   lateness of `max_gap`;
//! - one reading makes at most `max_gap` rows and those that are open, whatever its time says; the rows that are open are bounded, and
//!   nothing is allocated after the start;
//! - a reading of a slot that has left is refused, never believed, as is one that its open row has: readings that come again change nothing.
//!   A row knows its readings by variate and time. Where they must come in order (without lateness, and of a variate whose newest reading
//!   counts) what is not newer is known; else [`crate::recent_times`] remembers a bounded number;
//! - a leap beyond `max_gap` is believed only when a second slot confirms it: until then its readings wait in a row of their own, so that one
//!   nonsense clock neither ends a stream nor makes every true reading after it look late;
//! - a step back is believed only into the silence before the line of rows that the stream is on, more than `max_gap` slots before the line,
//!   where no slot ever had a row; so what comes again is never taken for one. Two slots must follow each other there, without a reading of
//!   the line between them, and with the rows before the silence they must be more than the line has: of two clocks the one that was heard
//!   for longer is right. The times that were left are remembered, so that they cannot be leapt to by readings that come again.

use alloc::vec::Vec;

use crate::Reading;
use crate::bytes::{Bytes, put};
use crate::clock_history::{ClockHistory, Gap};
use crate::config::{MAX_OPEN_ROWS, ResamplerConfig, ResamplerError, Rules, clamp_time, is_clamped};
use crate::event::{Counts, Event, Rejected};
use crate::forward_fill::ForwardFill;
use crate::pending_jump::PendingJump;
use crate::time_bin::{Insert, TimeBin, TimeStep};

/// Where a reading's slot lies relative to the rows.
enum Position {
    /// There are no rows yet.
    First,
    /// In an open row or in one that follows.
    Inside,
    /// In a row that has left.
    Late,
    /// Where the stream was found not to be.
    UntrustedTime,
    /// Further ahead than `max_gap`.
    Leap,
    /// In the silence before the line.
    Back,
}

/// Rows without a hole.
#[derive(Debug, Clone, Copy)]
struct Segment {
    /// The earliest slot heard.
    first: i64,
    /// The newest slot heard.
    newest: i64,
    /// The newest slot that takes no readings any more.
    left: i64,
    /// The newest reading's time.
    watermark: i64,
    /// Whether a row has left: from then on slots without readings make rows too.
    has_begun: bool,
    /// Rows with readings that have left, those before the silence included after a step back.
    rows: u64,
}

/// Readings in, rows out. See the module's invariants.
#[derive(Debug, Clone)]
pub struct Resampler {
    rules: Rules,
    counts: Counts,
    segment: Option<Segment>,
    /// The open rows, each at its slot modulo their number; what is not open is empty.
    open: Vec<TimeBin>,
    pending_jump: PendingJump,
    past: ClockHistory,
    hold: ForwardFill,
}

/// Where the row of `slot` lies while it is open.
fn index(bin: i64, open: &[TimeBin]) -> usize {
    bin.rem_euclid(open.len() as i64) as usize
}

impl Resampler {
    /// Makes an empty grid; the only place that allocates.
    pub fn new(config: ResamplerConfig) -> Result<Self, ResamplerError> {
        let rules = Rules::new(config)?;
        Ok(Resampler {
            counts: Counts::default(),
            segment: None,
            open: (0..rules.open_rows).map(|_| TimeBin::new(&rules.shape)).collect(),
            pending_jump: PendingJump::new(&rules.shape),
            past: ClockHistory::new(),
            hold: ForwardFill::new(rules.shape.variates()),
            rules,
        })
    }

    /// What this grid has seen.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Time of the newest reading of the stream, in milliseconds since 1970-01-01 UTC; `None` before the first.
    pub fn newest_ms(&self) -> Option<i64> {
        self.segment.map(|segment| segment.watermark)
    }

    /// Whether a reading of this time would go on with the stream: that it neither begins it, nor leaps, nor comes too late.
    pub fn expects(&self, time_ms: i64) -> bool {
        matches!(self.place(self.rules.bin(clamp_time(time_ms))), Position::Inside)
    }

    /// Takes one reading; `on` hears, before this returns, of each row that leaves and of restarts, in order.
    ///
    /// # Errors
    /// Why the reading changed nothing but a count.
    pub fn push(&mut self, reading: Reading, mut on: impl FnMut(Event<'_>)) -> Result<(), Rejected> {
        let Reading { variate, value, time_ms } = reading;
        let variates = self.rules.shape.variates();
        if variate >= variates {
            return Err(Rejected::UnknownVariate { variate, variates });
        }
        let (bin, time) = (self.rules.bin(clamp_time(time_ms)), clamp_time(time_ms));
        let place = self.place(bin);
        match place {
            Position::Late => {
                let newest = self.segment.map_or(bin, |segment| segment.newest);
                return self.refuse(Rejected::Late {
                    behind_ms: self.rules.time_ms(newest.saturating_sub(bin)),
                });
            }
            Position::UntrustedTime => return self.refuse(Rejected::UntrustedTime),
            Position::Leap | Position::Back => {
                if !self.is_confirmed(bin, matches!(place, Position::Back), &mut on) {
                    return match self.pending_jump.insert(&self.rules.shape, bin, variate, value, time_ms) {
                        Insert::Known => self.refuse(Rejected::Duplicate),
                        Insert::First | Insert::Merged => Ok(()),
                    };
                }
            }
            Position::First => self.segment = Some(self.line_at(bin, time, 0)),
            Position::Inside => {}
        }
        // A reading that is known is not newer, so what is refused below has changed nothing.
        let is_newer = self.segment.is_some_and(|segment| time > segment.watermark);
        if is_newer {
            self.drop_candidate(true, &mut on);
            self.advance(bin, time, &mut on);
        }
        let index = index(bin, &self.open);
        match self.open[index].insert(&self.rules.shape, variate, value, time_ms) {
            Insert::Known => return self.refuse(Rejected::Duplicate),
            Insert::First => {}
            Insert::Merged => self.counts.merged += 1,
        }
        self.counts.readings += 1;
        if let Some(segment) = &mut self.segment {
            segment.first = segment.first.min(bin);
        }
        if !is_newer {
            self.drop_candidate(true, &mut on);
        }
        if self.rules.eager && self.open[index].is_complete() {
            self.leave_through(bin, &mut on);
        }
        Ok(())
    }

    fn refuse(&mut self, why: Rejected) -> Result<(), Rejected> {
        self.counts.rejected += 1;
        Err(why)
    }

    fn line_at(&self, bin: i64, watermark: i64, rows: u64) -> Segment {
        Segment {
            first: bin,
            newest: bin,
            left: self.rules.over(watermark),
            watermark,
            has_begun: false,
            rows,
        }
    }

    fn place(&self, bin: i64) -> Position {
        let Some(segment) = self.segment else { return Position::First };
        if bin > segment.newest {
            return match self.rules.follows(segment.newest, bin) {
                true => Position::Inside,
                false if self.past.disproves(bin) => Position::UntrustedTime,
                false => Position::Leap,
            };
        }
        let is_silence = self.past.silence.is_some_and(|silence| bin > silence.before);
        match bin < segment.first && !self.rules.follows(bin, segment.first) {
            _ if bin > segment.left => Position::Inside,
            true if is_silence && self.past.disproves(bin) => Position::UntrustedTime,
            true if is_silence => Position::Back,
            _ => Position::Late,
        }
    }

    /// Whether a slot far from the line confirms what waits. Then the stream has restarted there, and `slot` comes next; else its readings
    /// wait in their turn.
    fn is_confirmed(&mut self, bin: i64, is_back: bool, on: &mut impl FnMut(Event<'_>)) -> bool {
        let pending_jump = &mut self.pending_jump;
        if pending_jump.waits() && (pending_jump.first..=pending_jump.bin).contains(&bin) {
            return false;
        }
        if !pending_jump.waits() || !self.rules.follows(pending_jump.bin, bin) {
            self.drop_candidate(false, on);
            self.pending_jump.begin(bin);
            return false;
        }
        let (Some(segment), bins) = (self.segment, pending_jump.bins.saturating_add(1)) else {
            return false;
        };
        let silence = self.past.silence.map_or(0, |silence| silence.rows);
        if is_back && bins.saturating_add(silence) <= segment.rows {
            let first = pending_jump.first;
            self.drop_candidate(false, on);
            self.pending_jump.go_on(first, bin, bins);
            return false;
        }
        self.leave_through(segment.newest, on);
        // Rows may have left just now.
        let rows = self.segment.map_or(0, |segment| segment.rows);
        let next = self.pending_jump.bin;
        let watermark = clamp_time(self.pending_jump.row.newest_ms().unwrap_or_default());
        self.counts.restarts += 1;
        on(Event::Restart {
            last_ms: self.rules.time_ms(segment.newest),
            next_ms: self.rules.time_ms(next),
        });
        if is_back {
            self.counts.clock_rollbacks += 1;
            self.past.abandoned = Some((segment.first, segment.newest));
            self.past.silence = None;
            self.segment = Some(self.line_at(next, watermark, silence));
        } else {
            self.past.silence = Some(Gap {
                before: segment.newest,
                rows,
            });
            self.segment = Some(self.line_at(next, watermark, 0));
        }
        self.hold.forget();
        let index = index(next, &self.open);
        core::mem::swap(&mut self.open[index], &mut self.pending_jump.row);
        self.counts.readings += self.open[index].readings;
        self.counts.merged += self.open[index].merged;
        true
    }

    /// Drops what waits; `is_disproved` by a reading of the line, not replaced by another candidate.
    fn drop_candidate(&mut self, is_disproved: bool, on: &mut impl FnMut(Event<'_>)) {
        let readings = self.pending_jump.row.readings;
        if readings > 0 {
            self.counts.clock_jump_readings += readings;
            self.pending_jump.row.clear();
            if is_disproved {
                self.past.dropped = Some(self.pending_jump.bin);
            }
            on(Event::ClockJumpDropped {
                time_ms: self.rules.time_ms(self.pending_jump.bin),
                readings,
            });
        }
    }

    /// The newest reading is now one of `slot`.
    fn advance(&mut self, bin: i64, time: i64, on: &mut impl FnMut(Event<'_>)) {
        if let Some(segment) = &mut self.segment {
            segment.watermark = time;
            segment.newest = segment.newest.max(bin);
            self.leave_through(self.rules.over(time), on);
        }
    }

    /// The rows up to that of `slot` leave.
    fn leave_through(&mut self, bin: i64, on: &mut impl FnMut(Event<'_>)) {
        while let Some(segment) = self.segment.as_mut().filter(|segment| segment.left < bin) {
            segment.left += 1;
            let time_ms = self.rules.time_ms(segment.left);
            let index = index(segment.left, &self.open);
            let row = &mut self.open[index];
            let is_heard = row.readings > 0;
            if !is_heard && !segment.has_begun {
                continue;
            }
            segment.has_begun = true;
            segment.rows += u64::from(is_heard);
            self.counts.time_steps += u64::from(is_heard);
            self.counts.bridged_steps += u64::from(!is_heard);
            self.counts.forward_filled += self
                .hold
                .fill(&self.rules.shape, is_heard.then_some(&*row), self.rules.forward_fill_limit);
            on(Event::TimeStep(TimeStep {
                time_ms,
                last_reading_ms: row.newest_ms(),
                values: &self.hold.values,
            }));
            row.clear();
        }
    }

    /// Appends all that this grid remembers, for [`Grid::restore`].
    pub fn save(&self, out: &mut Vec<u8>) {
        let shape = &self.rules.shape;
        put(out, (shape.variates() as u64).to_le_bytes());
        put(out, self.rules.interval_ms.to_le_bytes());
        out.extend(shape.aggregates.iter().map(|aggregate| aggregate.code()));
        let mut counts = self.counts;
        counts.all().iter().for_each(|count| put(out, count.to_le_bytes()));
        self.past.save(out);
        self.pending_jump.save(shape, out);
        self.hold.save(out);
        put(out, [u8::from(self.segment.is_some())]);
        if let Some(segment) = self.segment {
            for number in [segment.first, segment.newest, segment.left, segment.watermark] {
                put(out, number.to_le_bytes());
            }
            put(out, [u8::from(segment.has_begun)]);
            put(out, segment.rows.to_le_bytes());
            for bin in segment.left + 1..=segment.newest {
                self.open[index(bin, &self.open)].save(shape, out);
            }
        }
    }

    /// The grid that [`Grid::save`] wrote, which goes on as if it had never been interrupted. All but variates, aggregations and interval may
    /// be another: rows that have left stay so, and rows whose lateness is over leave with the next reading.
    ///
    /// # Errors
    /// As [`Grid::new`], and [`GridError::Saved`] for bytes of another grid or of none.
    pub fn restore(config: ResamplerConfig, saved: &[u8]) -> Result<Self, ResamplerError> {
        let mut grid = Resampler::new(config)?;
        grid.read(&mut Bytes(saved)).ok_or(ResamplerError::Snapshot)?;
        Ok(grid)
    }

    /// `None` when the bytes break an invariant.
    fn read(&mut self, from: &mut Bytes<'_>) -> Option<()> {
        let shape = &self.rules.shape;
        let mut same = u64::from_le_bytes(from.take()?) == shape.variates() as u64;
        same &= i64::from_le_bytes(from.take()?) == self.rules.interval_ms;
        if !same {
            return None;
        }
        for aggregate in &shape.aggregates {
            same &= from.take()? == [aggregate.code()];
        }
        for count in self.counts.all() {
            *count = from.count()?;
        }
        self.past = ClockHistory::restore(from)?;
        self.pending_jump = PendingJump::restore(shape, from)?;
        self.hold = ForwardFill::restore(shape.variates(), from)?;
        if from.flag()? {
            let mut number = || from.take().map(i64::from_le_bytes).filter(|&number| is_clamped(number));
            let (first, newest, left, watermark) = (number()?, number()?, number()?, number()?);
            let segment = Segment {
                first,
                newest,
                left,
                watermark,
                has_begun: from.flag()?,
                rows: from.count()?,
            };
            let open = newest.checked_sub(left)?;
            let open = u64::try_from(open).ok().filter(|&open| open <= MAX_OPEN_ROWS)?;
            // More than the lateness allows now may be open still.
            let missing = (open as usize).saturating_sub(self.open.len());
            self.open.extend((0..missing).map(|_| TimeBin::new(shape)));
            self.segment = Some(segment);
            for bin in left + 1..=newest {
                let index = index(bin, &self.open);
                self.open[index] = TimeBin::restore(&self.rules.shape, from)?;
            }
        }
        (same && from.0.is_empty()).then_some(())
    }
}
