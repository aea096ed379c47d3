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
//!   counts) what is not newer is known; else [`crate::times`] remembers a bounded number;
//! - a leap beyond `max_gap` is believed only when a second slot confirms it: until then its readings wait in a row of their own, so that one
//!   nonsense clock neither ends a stream nor makes every true reading after it look late;
//! - a step back is believed only into the silence before the line of rows that the stream is on, more than `max_gap` slots before the line,
//!   where no slot ever had a row; so what comes again is never taken for one. Two slots must follow each other there, without a reading of
//!   the line between them, and with the rows before the silence they must be more than the line has: of two clocks the one that was heard
//!   for longer is right. The times that were left are remembered, so that they cannot be leapt to by readings that come again.

use alloc::vec::Vec;

use crate::Reading;
use crate::bytes::{Bytes, put};
use crate::candidate::Candidate;
use crate::config::{GridConfig, GridError, MAX_OPEN_ROWS, Rules, is_limited, limited};
use crate::event::{Counts, Event, Refused};
use crate::hold::Hold;
use crate::past::{Past, Silence};
use crate::row::{OpenRow, Row, Taken};

/// Where a reading's slot lies relative to the rows.
enum Place {
    /// There are no rows yet.
    First,
    /// In an open row or in one that follows.
    Inside,
    /// In a row that has left.
    Late,
    /// Where the stream was found not to be.
    Disproved,
    /// Further ahead than `max_gap`.
    Leap,
    /// In the silence before the line.
    Back,
}

/// Rows without a hole.
#[derive(Debug, Clone, Copy)]
struct Line {
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
pub struct Grid {
    rules: Rules,
    counts: Counts,
    line: Option<Line>,
    /// The open rows, each at its slot modulo their number; what is not open is empty.
    open: Vec<OpenRow>,
    candidate: Candidate,
    past: Past,
    hold: Hold,
}

/// Where the row of `slot` lies while it is open.
fn index(slot: i64, open: &[OpenRow]) -> usize {
    slot.rem_euclid(open.len() as i64) as usize
}

impl Grid {
    /// Makes an empty grid; the only place that allocates.
    pub fn new(config: GridConfig) -> Result<Self, GridError> {
        let rules = Rules::new(config)?;
        Ok(Grid {
            counts: Counts::default(),
            line: None,
            open: (0..rules.open_rows).map(|_| OpenRow::new(&rules.shape)).collect(),
            candidate: Candidate::new(&rules.shape),
            past: Past::new(),
            hold: Hold::new(rules.shape.variates()),
            rules,
        })
    }

    /// What this grid has seen.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Time of the newest reading of the stream, in milliseconds since 1970-01-01 UTC; `None` before the first.
    pub fn newest_ms(&self) -> Option<i64> {
        self.line.map(|line| line.watermark)
    }

    /// Whether a reading of this time would go on with the stream: that it neither begins it, nor leaps, nor comes too late.
    pub fn expects(&self, time_ms: i64) -> bool {
        matches!(self.place(self.rules.slot(limited(time_ms))), Place::Inside)
    }

    /// Takes one reading; `on` hears, before this returns, of each row that leaves and of restarts, in order.
    ///
    /// # Errors
    /// Why the reading changed nothing but a count.
    pub fn push(&mut self, reading: Reading, mut on: impl FnMut(Event<'_>)) -> Result<(), Refused> {
        let Reading { variate, value, time_ms } = reading;
        let variates = self.rules.shape.variates();
        if variate >= variates {
            return Err(Refused::UnknownVariate { variate, variates });
        }
        let (slot, time) = (self.rules.slot(limited(time_ms)), limited(time_ms));
        let place = self.place(slot);
        match place {
            Place::Late => {
                let newest = self.line.map_or(slot, |line| line.newest);
                return self.refuse(Refused::Late {
                    behind_ms: self.rules.time_ms(newest.saturating_sub(slot)),
                });
            }
            Place::Disproved => return self.refuse(Refused::Disproved),
            Place::Leap | Place::Back => {
                if !self.is_confirmed(slot, matches!(place, Place::Back), &mut on) {
                    return match self.candidate.put(&self.rules.shape, slot, variate, value, time_ms) {
                        Taken::Known => self.refuse(Refused::NotNewer),
                        Taken::First | Taken::Further => Ok(()),
                    };
                }
            }
            Place::First => self.line = Some(self.line_at(slot, time, 0)),
            Place::Inside => {}
        }
        // A reading that is known is not newer, so what is refused below has changed nothing.
        let is_newer = self.line.is_some_and(|line| time > line.watermark);
        if is_newer {
            self.drop_candidate(true, &mut on);
            self.advance(slot, time, &mut on);
        }
        let index = index(slot, &self.open);
        match self.open[index].put(&self.rules.shape, variate, value, time_ms) {
            Taken::Known => return self.refuse(Refused::NotNewer),
            Taken::First => {}
            Taken::Further => self.counts.further += 1,
        }
        self.counts.readings += 1;
        if let Some(line) = &mut self.line {
            line.first = line.first.min(slot);
        }
        if !is_newer {
            self.drop_candidate(true, &mut on);
        }
        if self.rules.eager && self.open[index].is_complete() {
            self.leave_through(slot, &mut on);
        }
        Ok(())
    }

    fn refuse(&mut self, why: Refused) -> Result<(), Refused> {
        self.counts.late += 1;
        Err(why)
    }

    fn line_at(&self, slot: i64, watermark: i64, rows: u64) -> Line {
        Line {
            first: slot,
            newest: slot,
            left: self.rules.over(watermark),
            watermark,
            has_begun: false,
            rows,
        }
    }

    fn place(&self, slot: i64) -> Place {
        let Some(line) = self.line else { return Place::First };
        if slot > line.newest {
            return match self.rules.follows(line.newest, slot) {
                true => Place::Inside,
                false if self.past.disproves(slot) => Place::Disproved,
                false => Place::Leap,
            };
        }
        let is_silence = self.past.silence.is_some_and(|silence| slot > silence.before);
        match slot < line.first && !self.rules.follows(slot, line.first) {
            _ if slot > line.left => Place::Inside,
            true if is_silence && self.past.disproves(slot) => Place::Disproved,
            true if is_silence => Place::Back,
            _ => Place::Late,
        }
    }

    /// Whether a slot far from the line confirms what waits. Then the stream has restarted there, and `slot` comes next; else its readings
    /// wait in their turn.
    fn is_confirmed(&mut self, slot: i64, is_back: bool, on: &mut impl FnMut(Event<'_>)) -> bool {
        let candidate = &mut self.candidate;
        if candidate.waits() && (candidate.first..=candidate.slot).contains(&slot) {
            return false;
        }
        if !candidate.waits() || !self.rules.follows(candidate.slot, slot) {
            self.drop_candidate(false, on);
            self.candidate.begin(slot);
            return false;
        }
        let (Some(line), slots) = (self.line, candidate.slots.saturating_add(1)) else {
            return false;
        };
        let silence = self.past.silence.map_or(0, |silence| silence.rows);
        if is_back && slots.saturating_add(silence) <= line.rows {
            let first = candidate.first;
            self.drop_candidate(false, on);
            self.candidate.go_on(first, slot, slots);
            return false;
        }
        self.leave_through(line.newest, on);
        // Rows may have left just now.
        let rows = self.line.map_or(0, |line| line.rows);
        let next = self.candidate.slot;
        let watermark = limited(self.candidate.row.newest_ms().unwrap_or_default());
        self.counts.restarts += 1;
        on(Event::Restart {
            last_ms: self.rules.time_ms(line.newest),
            next_ms: self.rules.time_ms(next),
        });
        if is_back {
            self.counts.steps_back += 1;
            self.past.abandoned = Some((line.first, line.newest));
            self.past.silence = None;
            self.line = Some(self.line_at(next, watermark, silence));
        } else {
            self.past.silence = Some(Silence { before: line.newest, rows });
            self.line = Some(self.line_at(next, watermark, 0));
        }
        self.hold.forget();
        let index = index(next, &self.open);
        core::mem::swap(&mut self.open[index], &mut self.candidate.row);
        self.counts.readings += self.open[index].readings;
        self.counts.further += self.open[index].further;
        true
    }

    /// Drops what waits; `is_disproved` by a reading of the line, not replaced by another candidate.
    fn drop_candidate(&mut self, is_disproved: bool, on: &mut impl FnMut(Event<'_>)) {
        let readings = self.candidate.row.readings;
        if readings > 0 {
            self.counts.leapt += readings;
            self.candidate.row.clear();
            if is_disproved {
                self.past.dropped = Some(self.candidate.slot);
            }
            on(Event::LeapDropped {
                time_ms: self.rules.time_ms(self.candidate.slot),
                readings,
            });
        }
    }

    /// The newest reading is now one of `slot`.
    fn advance(&mut self, slot: i64, time: i64, on: &mut impl FnMut(Event<'_>)) {
        if let Some(line) = &mut self.line {
            line.watermark = time;
            line.newest = line.newest.max(slot);
            self.leave_through(self.rules.over(time), on);
        }
    }

    /// The rows up to that of `slot` leave.
    fn leave_through(&mut self, slot: i64, on: &mut impl FnMut(Event<'_>)) {
        while let Some(line) = self.line.as_mut().filter(|line| line.left < slot) {
            line.left += 1;
            let time_ms = self.rules.time_ms(line.left);
            let index = index(line.left, &self.open);
            let row = &mut self.open[index];
            let is_heard = row.readings > 0;
            if !is_heard && !line.has_begun {
                continue;
            }
            line.has_begun = true;
            line.rows += u64::from(is_heard);
            self.counts.rows += u64::from(is_heard);
            self.counts.gap_rows += u64::from(!is_heard);
            self.counts.held += self.hold.fill(&self.rules.shape, is_heard.then_some(&*row), self.rules.max_hold);
            on(Event::Row(Row {
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
        self.candidate.save(shape, out);
        self.hold.save(out);
        put(out, [u8::from(self.line.is_some())]);
        if let Some(line) = self.line {
            for number in [line.first, line.newest, line.left, line.watermark] {
                put(out, number.to_le_bytes());
            }
            put(out, [u8::from(line.has_begun)]);
            put(out, line.rows.to_le_bytes());
            for slot in line.left + 1..=line.newest {
                self.open[index(slot, &self.open)].save(shape, out);
            }
        }
    }

    /// The grid that [`Grid::save`] wrote, which goes on as if it had never been interrupted. All but variates, aggregations and interval may
    /// be another: rows that have left stay so, and rows whose lateness is over leave with the next reading.
    ///
    /// # Errors
    /// As [`Grid::new`], and [`GridError::Saved`] for bytes of another grid or of none.
    pub fn restore(config: GridConfig, saved: &[u8]) -> Result<Self, GridError> {
        let mut grid = Grid::new(config)?;
        grid.read(&mut Bytes(saved)).ok_or(GridError::Saved)?;
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
        self.past = Past::restore(from)?;
        self.candidate = Candidate::restore(shape, from)?;
        self.hold = Hold::restore(shape.variates(), from)?;
        if from.flag()? {
            let mut number = || from.take().map(i64::from_le_bytes).filter(|&number| is_limited(number));
            let (first, newest, left, watermark) = (number()?, number()?, number()?, number()?);
            let line = Line {
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
            self.open.extend((0..missing).map(|_| OpenRow::new(shape)));
            self.line = Some(line);
            for slot in left + 1..=newest {
                let index = index(slot, &self.open);
                self.open[index] = OpenRow::restore(&self.rules.shape, from)?;
            }
        }
        (same && from.0.is_empty()).then_some(())
    }
}
