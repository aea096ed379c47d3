//! What a grid says: events, refusals and counts.

use core::fmt;

use crate::row::Row;

/// What a reading brought about, in order.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A row is closed: step the forecaster with it.
    Row(Row<'a>),
    /// A silence longer than `max_gap`, or a step back out of a future that was none: reset the forecaster; the next row begins a new stream.
    Restart {
        /// Time of the last row before, in milliseconds since 1970-01-01 UTC.
        last_ms: i64,
        /// Time of the first reading's row after it; earlier than `last_ms` after a step back.
        next_ms: i64,
    },
    /// A leap in time, ahead or back, that nothing confirmed: its readings are dropped.
    LeapDropped {
        /// The time leapt to, in milliseconds since 1970-01-01 UTC.
        time_ms: i64,
        /// How many readings are dropped.
        readings: u64,
    },
}

/// Why a reading was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// Its slot has left already: the reading is late, a duplicate, or its clock went backwards.
    Late {
        /// How far its slot lies behind the newest one, in milliseconds; 0 when it is that one.
        behind_ms: i64,
    },
    /// Its row has a reading of its variate of that time, or cannot tell any more: it is a duplicate or out of order.
    NotNewer,
    /// Its time was leapt to before and found wrong: the reading is a duplicate, or its clock goes wrong in the same way again.
    Disproved,
    /// There is no such variate.
    UnknownVariate {
        /// The index given.
        variate: usize,
        /// M.
        variates: usize,
    },
}

/// What a grid has seen since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Readings taken.
    pub readings: u64,
    /// Those of them that were not the first of their variate in their row: aggregated with it, or instead of it.
    pub further: u64,
    /// Rows with at least one reading.
    pub rows: u64,
    /// Rows without a reading, that bridge gaps.
    pub gap_rows: u64,
    /// Values that repeat an earlier one because their variate was not heard, in rows of both kinds.
    pub held: u64,
    /// Restarts after a silence longer than `max_gap`, and steps back.
    pub restarts: u64,
    /// Those of them that went back in time.
    pub steps_back: u64,
    /// Readings refused because their slot had left, their row had them, or their time was disproved.
    pub late: u64,
    /// Readings dropped because nothing confirmed their leap in time.
    pub leapt: u64,
}

impl Counts {
    /// All of them, in the order in which they are saved.
    pub(crate) fn all(&mut self) -> [&mut u64; 9] {
        let Counts {
            readings,
            further,
            rows,
            gap_rows,
            held,
            restarts,
            steps_back,
            late,
            leapt,
        } = self;
        [readings, further, rows, gap_rows, held, restarts, steps_back, late, leapt]
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Late { behind_ms } => write!(f, "the reading came after its row had left ({behind_ms} ms behind the newest row)"),
            Refused::NotNewer => f.write_str("the reading's row has one of that time already, or newer ones"),
            Refused::Disproved => f.write_str("the reading is of a time that was leapt to before and found wrong"),
            Refused::UnknownVariate { variate, variates } => write!(f, "there is no variate {variate}, the model has {variates}"),
        }
    }
}

impl core::error::Error for Refused {}
