//! Results of a resampler: events, accepted and rejected readings, counts.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::time_bin::TimeStep;

/// What a reading caused, in order.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A time step is complete, or bridges a gap: step the forecaster with it.
    TimeStep(TimeStep<'a>),
    /// A silence longer than `max_gap`, or a clock rollback: restart the forecaster. The next time
    /// step begins a new segment.
    Restart {
        /// Time of the last time step before, in milliseconds since 1970-01-01 UTC.
        last_ms: i64,
        /// Time of the first time step after it; earlier than `last_ms` after a clock rollback.
        next_ms: i64,
    },
    /// Readings far from the stream were confirmed by others: the stream goes on at their time,
    /// after a [`Event::Restart`] or a bridged gap.
    ClockJumpConfirmed {
        /// Time of the newest bin before, in milliseconds since 1970-01-01 UTC.
        last_ms: i64,
        /// Time of the first bin after it; earlier than `last_ms` after a clock rollback.
        next_ms: i64,
    },
    /// Readings far from the stream that nothing confirmed are dropped.
    ClockJumpDropped {
        /// Their time, in milliseconds since 1970-01-01 UTC.
        time_ms: i64,
        /// How many readings are dropped.
        readings: u64,
        /// Whether they lie behind the stream: they are late, or a clock was set back for a moment.
        is_behind: bool,
    },
}

/// What became of a reading that is not rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// The reading is part of the stream.
    Used,
    /// The reading is not part of the stream yet: its time is far from the stream's and waits for
    /// others to confirm it, or it is late and witnesses its source's clock. It has changed the
    /// resampler, so a log needs it.
    Held,
    /// The reading changed nothing but a count: the time step of its bin was complete and has been
    /// emitted already. Only where the newest reading of each variate counts and no late readings
    /// are allowed.
    Surplus,
}

/// Why a reading was rejected. It changed nothing but a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejected {
    /// Its time step has been emitted: the reading is late, a duplicate, or its clock went back.
    Late {
        /// How far its bin lies behind the newest one, in milliseconds; 0 for the newest one.
        behind_ms: i64,
    },
    /// Its bin has a reading of its variate with this time, or newer ones only.
    Duplicate,
    /// The clock jumped to this time before, and other readings disproved it or the clock came
    /// back from it.
    UntrustedTime,
    /// There is no such variate.
    UnknownVariate {
        /// The index given.
        variate: usize,
        /// M.
        variates: usize,
    },
}

impl Rejected {
    /// The reason in one word, for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Rejected::Late { .. } => "late",
            Rejected::Duplicate => "duplicate",
            Rejected::UntrustedTime => "untrusted_time",
            Rejected::UnknownVariate { .. } => "unknown_variate",
        }
    }
}

/// What a resampler has counted since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Readings used.
    pub readings: u64,
    /// Readings used that were not the first of their variate in their time bin.
    pub merged: u64,
    /// Time steps with at least one reading.
    pub time_steps: u64,
    /// Time steps without a reading; they bridge gaps.
    pub bridged_steps: u64,
    /// Values that repeat an earlier one because their variate sent nothing, in time steps of both
    /// kinds.
    pub forward_filled: u64,
    /// Restarts after a silence longer than `max_gap`, and clock rollbacks.
    pub restarts: u64,
    /// Restarts that went back in time.
    pub clock_rollbacks: u64,
    /// Readings of a bin whose complete time step had been emitted.
    pub surplus: u64,
    /// Readings rejected.
    pub rejected: u64,
    /// Readings that were held and dropped, because nothing confirmed their time.
    pub clock_jump_readings: u64,
}

impl Counts {
    /// Whether counting can go on.
    pub(crate) fn is_valid(&self) -> bool {
        let Counts {
            readings,
            merged,
            time_steps,
            bridged_steps,
            forward_filled,
            restarts,
            clock_rollbacks,
            surplus,
            rejected,
            clock_jump_readings,
        } = *self;
        [readings, merged, time_steps, bridged_steps, forward_filled]
            .into_iter()
            .chain([restarts, clock_rollbacks, surplus, rejected, clock_jump_readings])
            .all(|count| count <= u64::MAX / 2)
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rejected::Late { behind_ms } => {
                write!(
                    f,
                    "the reading is late: its time step was emitted ({behind_ms} ms behind the newest time step)"
                )
            }
            Rejected::Duplicate => {
                f.write_str("the reading is a duplicate or out of order: its time bin has its time, or newer times only")
            }
            Rejected::UntrustedTime => f.write_str("the reading repeats a clock jump that other readings disproved"),
            Rejected::UnknownVariate { variate, variates } => write!(f, "there is no variate {variate}; the model has {variates}"),
        }
    }
}

impl core::error::Error for Rejected {}
