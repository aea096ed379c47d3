//! The sampling grid: which row a reading belongs to, when a row closes, what a gap becomes.
//!
//! Slots lie at the multiples of the interval since 1970 (a first reading's time floored to the interval is such a multiple), and a reading
//! belongs to the nearest. Invariants:
//! - rows leave in strictly increasing time, one per slot, without holes except at a [`Event::Restart`];
//! - one reading makes at most `max_gap + 3` rows, whatever its time says;
//! - a reading of a slot that has left is refused, never believed, as is one that is not newer than what its row has of its variate: readings
//!   that come again change nothing;
//! - a leap beyond `max_gap` is believed only when a second slot confirms it: until then its readings wait in a row of their own, so that one
//!   nonsense clock neither ends a stream nor makes every true reading after it look late.

use alloc::vec::Vec;
use core::fmt;

use crate::Reading;
use crate::bytes::{Bytes, put};
use crate::row::{OpenRow, Row};

/// Shape of the grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GridConfig {
    /// Number of variates M, at least 1.
    pub variates: usize,
    /// Sampling interval in milliseconds, at least 1.
    pub interval_ms: u64,
    /// The most consecutive slots without any reading that are bridged by rows of NaN; a longer silence restarts the stream.
    pub max_gap: u64,
}

/// A configuration that makes no grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GridError {
    /// M is zero.
    NoVariates,
    /// The interval is zero or beyond what a signed 64-bit time can hold.
    Interval {
        /// The interval asked for.
        interval_ms: u64,
    },
    /// The bytes are not those of a saved grid of this number of variates and this interval.
    Saved,
}

/// Why a reading was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// Its slot has left already: the reading is late, a duplicate, or its clock went backwards.
    Late {
        /// How far its slot lies behind the newest one that has left, in milliseconds; 0 when it is that one.
        behind_ms: i64,
    },
    /// Its row has a reading of its variate of that time or later: it is a duplicate or out of order.
    NotNewer,
    /// There is no such variate.
    UnknownVariate {
        /// The index given.
        variate: usize,
        /// M.
        variates: usize,
    },
}

/// What a reading brought about, in order.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A row is closed: step the forecaster with it.
    Row(Row<'a>),
    /// A silence longer than `max_gap`: reset the forecaster; the next row begins a new stream.
    Restart {
        /// Time of the last row before the silence, in milliseconds since 1970-01-01 UTC.
        last_ms: i64,
        /// Time of the first row after it.
        next_ms: i64,
    },
    /// A leap in time that no second slot confirmed: its readings are dropped.
    LeapDropped {
        /// The time leapt to, in milliseconds since 1970-01-01 UTC.
        time_ms: i64,
        /// How many readings are dropped.
        readings: u64,
    },
}

/// What a grid has seen since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Readings taken.
    pub readings: u64,
    /// Rows with at least one reading.
    pub rows: u64,
    /// Rows of NaN that bridge gaps.
    pub gap_rows: u64,
    /// Restarts after a silence longer than `max_gap`.
    pub restarts: u64,
    /// Readings refused because their slot had left or their row had a newer one.
    pub late: u64,
    /// Readings dropped because nothing confirmed their leap in time.
    pub leapt: u64,
}

/// Where a reading's slot lies relative to the rows.
enum Place {
    Late {
        behind: i64,
    },
    Open,
    /// After the open row, with `gap` empty slots between.
    Ahead {
        gap: u64,
    },
    /// Further ahead than `max_gap`.
    Leap,
}

/// Readings in, rows out. See the module's invariants.
#[derive(Debug, Clone)]
pub struct Grid {
    variates: usize,
    interval_ms: i64,
    max_gap: u64,
    counts: Counts,
    /// The newest slot that is open or has left; `None` before the first reading.
    newest: Option<i64>,
    /// Whether `open` (at slot `newest`) still waits for readings.
    is_open: bool,
    open: OpenRow,
    /// The row of an unconfirmed leap.
    leap: OpenRow,
    /// A row of NaN, for gaps.
    empty: OpenRow,
}

impl Grid {
    /// Makes an empty grid; the only place that allocates.
    pub fn new(config: GridConfig) -> Result<Self, GridError> {
        let GridConfig {
            variates,
            interval_ms,
            max_gap,
        } = config;
        if variates == 0 {
            return Err(GridError::NoVariates);
        }
        let interval_ms = i64::try_from(interval_ms)
            .ok()
            .filter(|&i| i > 0)
            .ok_or(GridError::Interval { interval_ms })?;
        Ok(Grid {
            variates,
            interval_ms,
            max_gap,
            counts: Counts::default(),
            newest: None,
            is_open: false,
            open: OpenRow::new(variates),
            leap: OpenRow::new(variates),
            empty: OpenRow::new(variates),
        })
    }

    /// What this grid has seen.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Takes one reading; `on` hears, before this returns, of each row that it closes and of restarts, in order.
    pub fn push(&mut self, reading: Reading, mut on: impl FnMut(Event<'_>)) -> Result<(), Refused> {
        let Reading { variate, value, time_ms } = reading;
        if variate >= self.variates {
            return Err(Refused::UnknownVariate {
                variate,
                variates: self.variates,
            });
        }
        let slot = time_ms.saturating_add(self.interval_ms / 2).div_euclid(self.interval_ms);
        match self.place(slot) {
            Place::Late { behind } => {
                self.counts.late += 1;
                return Err(Refused::Late {
                    behind_ms: behind.saturating_mul(self.interval_ms),
                });
            }
            Place::Leap => {
                if self.take_leap(slot, &mut on) {
                    return match self.leap.put(variate, value, time_ms) {
                        true => Ok(()),
                        false => Err(self.not_newer()),
                    };
                }
            }
            Place::Ahead { gap } => {
                self.drop_leap(&mut on);
                self.close(&mut on);
                self.bridge(gap, slot, &mut on);
            }
            Place::Open => self.drop_leap(&mut on),
        }
        if !self.is_open {
            self.open.open(slot);
            self.is_open = true;
            self.newest = Some(slot);
        }
        if !self.open.put(variate, value, time_ms) {
            return Err(self.not_newer());
        }
        self.counts.readings += 1;
        if self.open.is_complete() {
            self.close(&mut on);
        }
        Ok(())
    }

    /// Appends all that this grid remembers, for [`Grid::restore`].
    pub fn save(&self, out: &mut Vec<u8>) {
        put(out, (self.variates as u64).to_le_bytes());
        put(out, self.interval_ms.to_le_bytes());
        let Counts {
            readings,
            rows,
            gap_rows,
            restarts,
            late,
            leapt,
        } = self.counts;
        for count in [readings, rows, gap_rows, restarts, late, leapt] {
            put(out, count.to_le_bytes());
        }
        put(out, [u8::from(self.newest.is_some()), u8::from(self.is_open)]);
        put(out, self.newest.unwrap_or_default().to_le_bytes());
        self.open.save(out);
        self.leap.save(out);
    }

    /// The grid that [`Grid::save`] wrote, which goes on as if it had never been interrupted; `max_gap` may be another one.
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
        let same = u64::from_le_bytes(from.take()?) == self.variates as u64 && i64::from_le_bytes(from.take()?) == self.interval_ms;
        self.counts = Counts {
            readings: from.count()?,
            rows: from.count()?,
            gap_rows: from.count()?,
            restarts: from.count()?,
            late: from.count()?,
            leapt: from.count()?,
        };
        let has_newest = from.flag()?;
        self.is_open = from.flag()?;
        self.newest = Some(i64::from_le_bytes(from.take()?)).filter(|_| has_newest);
        self.open = OpenRow::restore(self.variates, from)?;
        self.leap = OpenRow::restore(self.variates, from)?;
        let open_fits = !self.is_open || (self.newest == Some(self.open.slot) && self.open.readings > 0 && !self.open.is_complete());
        let leap_fits = self.leap.readings == 0 || self.newest.is_some_and(|newest| newest < self.leap.slot);
        (same && open_fits && leap_fits && from.0.is_empty()).then_some(())
    }

    fn not_newer(&mut self) -> Refused {
        self.counts.late += 1;
        Refused::NotNewer
    }

    fn place(&self, slot: i64) -> Place {
        let Some(newest) = self.newest else { return Place::Open };
        if slot < newest || (slot == newest && !self.is_open) {
            return Place::Late {
                behind: newest.saturating_sub(slot),
            };
        }
        match slot.abs_diff(newest) {
            0 => Place::Open,
            ahead if ahead - 1 > self.max_gap => Place::Leap,
            ahead => Place::Ahead { gap: ahead - 1 },
        }
    }

    /// A slot beyond `max_gap`. True: its readings wait in `self.leap`. False: it confirms the leap that waited, the stream has restarted
    /// there, and `slot` comes next.
    fn take_leap(&mut self, slot: i64, on: &mut impl FnMut(Event<'_>)) -> bool {
        let waits = self.leap.readings > 0;
        if waits && slot == self.leap.slot {
            return true;
        }
        let confirms = waits && slot > self.leap.slot && slot.abs_diff(self.leap.slot) - 1 <= self.max_gap;
        if !confirms {
            self.drop_leap(on);
            self.leap.open(slot);
            return true;
        }
        self.close(on);
        let next = self.leap.slot;
        self.counts.restarts += 1;
        on(Event::Restart {
            last_ms: self.newest.unwrap_or(next).saturating_mul(self.interval_ms),
            next_ms: next.saturating_mul(self.interval_ms),
        });
        core::mem::swap(&mut self.open, &mut self.leap);
        self.leap.open(0);
        self.counts.readings += self.open.readings;
        self.is_open = true;
        self.close(on);
        self.bridge(slot.abs_diff(next) - 1, slot, on);
        false
    }

    fn drop_leap(&mut self, on: &mut impl FnMut(Event<'_>)) {
        let readings = self.leap.readings;
        if readings > 0 {
            let time_ms = self.leap.slot.saturating_mul(self.interval_ms);
            self.leap.open(0);
            self.counts.leapt += readings;
            on(Event::LeapDropped { time_ms, readings });
        }
    }

    fn close(&mut self, on: &mut impl FnMut(Event<'_>)) {
        if self.is_open {
            self.is_open = false;
            self.newest = Some(self.open.slot);
            self.counts.rows += 1;
            on(Event::Row(self.open.as_row(self.interval_ms)));
        }
    }

    /// Rows of NaN for the `gap` slots before `slot`.
    fn bridge(&mut self, gap: u64, slot: i64, on: &mut impl FnMut(Event<'_>)) {
        for before in (1..=gap).rev() {
            self.empty.slot = slot.saturating_sub_unsigned(before);
            self.counts.gap_rows += 1;
            on(Event::Row(self.empty.as_row(self.interval_ms)));
        }
    }
}

impl fmt::Display for GridError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GridError::NoVariates => f.write_str("a grid needs at least one variate"),
            GridError::Saved => f.write_str("what was saved is no grid of this number of variates and this sampling interval"),
            GridError::Interval { interval_ms } => write!(f, "a sampling interval of {interval_ms} ms is not between 1 ms and 2^63 ms"),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Late { behind_ms } => write!(f, "the reading came after its row had left ({behind_ms} ms behind the newest row)"),
            Refused::NotNewer => f.write_str("the reading is not newer than the one that its row has"),
            Refused::UnknownVariate { variate, variates } => write!(f, "there is no variate {variate}, the model has {variates}"),
        }
    }
}

impl core::error::Error for GridError {}
impl core::error::Error for Refused {}
