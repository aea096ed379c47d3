//! What a grid says: events, refusals and counts.

use core::fmt;

use crate::time_bin::TimeStep;

/// What a reading brought about, in order.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A row is closed: step the forecaster with it.
    TimeStep(TimeStep<'a>),
    /// A silence longer than `max_gap`, or a step back out of a future that was none: reset the forecaster; the next row begins a new stream.
    Restart {
        /// Time of the last row before, in milliseconds since 1970-01-01 UTC.
        last_ms: i64,
        /// Time of the first reading's row after it; earlier than `last_ms` after a step back.
        next_ms: i64,
    },
    /// A leap in time, ahead or back, that nothing confirmed: its readings are dropped.
    ClockJumpDropped {
        /// The time leapt to, in milliseconds since 1970-01-01 UTC.
        time_ms: i64,
        /// How many readings are dropped.
        readings: u64,
    },
}

/// Why a reading was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejected {
    /// Its slot has left already: the reading is late, a duplicate, or its clock went backwards.
    Late {
        /// How far its slot lies behind the newest one, in milliseconds; 0 when it is that one.
        behind_ms: i64,
    },
    /// Its row has a reading of its variate of that time, or cannot tell any more: it is a duplicate or out of order.
    Duplicate,
    /// Its time was leapt to before and found wrong: the reading is a duplicate, or its clock goes wrong in the same way again.
    UntrustedTime,
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
    pub merged: u64,
    /// Rows with at least one reading.
    pub time_steps: u64,
    /// Rows without a reading, that bridge gaps.
    pub bridged_steps: u64,
    /// Values that repeat an earlier one because their variate was not heard, in rows of both kinds.
    pub forward_filled: u64,
    /// Restarts after a silence longer than `max_gap`, and steps back.
    pub restarts: u64,
    /// Those of them that went back in time.
    pub clock_rollbacks: u64,
    /// Readings refused because their slot had left, their row had them, or their time was disproved.
    pub rejected: u64,
    /// Readings dropped because nothing confirmed their leap in time.
    pub clock_jump_readings: u64,
}

impl Counts {
    /// All of them, in the order in which they are saved.
    pub(crate) fn all(&mut self) -> [&mut u64; 9] {
        let Counts {
            readings,
            merged,
            time_steps,
            bridged_steps,
            forward_filled,
            restarts,
            clock_rollbacks,
            rejected,
            clock_jump_readings,
        } = self;
        [
            readings,
            merged,
            time_steps,
            bridged_steps,
            forward_filled,
            restarts,
            clock_rollbacks,
            rejected,
            clock_jump_readings,
        ]
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rejected::Late { behind_ms } => write!(f, "the reading came after its row had left ({behind_ms} ms behind the newest row)"),
            Rejected::Duplicate => f.write_str("the reading's row has one of that time already, or newer ones"),
            Rejected::UntrustedTime => f.write_str("the reading is of a time that was clock_jump_readings to before and found wrong"),
            Rejected::UnknownVariate { variate, variates } => write!(f, "there is no variate {variate}, the model has {variates}"),
        }
    }
}

impl core::error::Error for Rejected {}
