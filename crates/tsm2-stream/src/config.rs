//! What a grid is made of, and what makes none.

use alloc::{vec, vec::Vec};
use core::fmt;

use crate::aggregate::Aggregate;
use crate::time_bin::Shape;

/// The most rows that may be open at a time.
pub(crate) const MAX_OPEN_ROWS: u64 = 4096;

/// Shape of the grid.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResamplerConfig {
    /// Per variate how the readings of one slot become one value; as many as there are variates M, at least 1.
    pub aggregates: Vec<Aggregate>,
    /// Sampling interval in milliseconds, at least 1.
    pub interval_ms: u64,
    /// How far the stream's newest reading must lie beyond the end of a slot, in milliseconds, before its row leaves.
    pub allowed_lateness_ms: u64,
    /// The most consecutive rows in which a variate that is not heard repeats its last value; then it is missing.
    pub forward_fill_limit: u64,
    /// The most consecutive slots without any reading that are bridged by rows; a longer silence restarts the stream.
    pub max_gap: u64,
}

impl ResamplerConfig {
    /// A grid on which the newest reading of a slot counts, no row waits for late readings and nothing is held.
    pub fn new(variates: usize, interval_ms: u64, max_gap: u64) -> Self {
        ResamplerConfig {
            aggregates: vec![Aggregate::Last; variates],
            interval_ms,
            allowed_lateness_ms: 0,
            forward_fill_limit: 0,
            max_gap,
        }
    }
}

/// A configuration that makes no grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResamplerError {
    /// M is zero.
    NoVariates,
    /// The interval is zero or beyond what a signed 64-bit time can hold.
    Interval {
        /// The interval asked for.
        interval_ms: u64,
    },
    /// Too many rows would be open at a time.
    AllowedLateness {
        /// The lateness asked for.
        allowed_lateness_ms: u64,
        /// The largest that there may be at this interval.
        max_ms: u64,
    },
    /// The bytes are not those of a saved grid of these variates, aggregations and this interval.
    Snapshot,
}

/// A configuration that was checked.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) shape: Shape,
    pub(crate) interval_ms: i64,
    pub(crate) allowed_lateness_ms: i64,
    pub(crate) forward_fill_limit: u64,
    pub(crate) max_gap: u64,
    /// The most rows that are open at a time.
    pub(crate) open_rows: usize,
    /// Whether a row leaves as soon as every variate was heard: nothing that is worth waiting for can follow.
    pub(crate) eager: bool,
}

impl Rules {
    pub(crate) fn new(config: ResamplerConfig) -> Result<Self, ResamplerError> {
        let ResamplerConfig {
            aggregates,
            interval_ms,
            allowed_lateness_ms,
            forward_fill_limit,
            max_gap,
        } = config;
        if aggregates.is_empty() {
            return Err(ResamplerError::NoVariates);
        }
        let interval = i64::try_from(interval_ms)
            .ok()
            .filter(|&i| i > 0)
            .ok_or(ResamplerError::Interval { interval_ms })?;
        // Three quarters of the range of times are left for the times themselves.
        let max_ms = interval_ms.saturating_mul(MAX_OPEN_ROWS - 1).min(u64::MAX / 8);
        let lateness = i64::try_from(allowed_lateness_ms)
            .ok()
            .filter(|_| allowed_lateness_ms <= max_ms)
            .ok_or(ResamplerError::AllowedLateness {
                allowed_lateness_ms,
                max_ms,
            })?;
        Ok(Rules {
            eager: lateness == 0 && aggregates.iter().all(|&aggregate| aggregate == Aggregate::Last),
            shape: Shape {
                aggregates,
                any_order: lateness > 0,
            },
            interval_ms: interval,
            allowed_lateness_ms: lateness,
            forward_fill_limit,
            max_gap,
            open_rows: allowed_lateness_ms.div_ceil(interval_ms) as usize + 1,
        })
    }

    /// The slot nearest to a time.
    pub(crate) fn bin(&self, time_ms: i64) -> i64 {
        time_ms.saturating_add(self.interval_ms / 2).div_euclid(self.interval_ms)
    }

    /// The newest slot whose lateness is over when the newest reading is of `time_ms`.
    pub(crate) fn over(&self, time_ms: i64) -> i64 {
        self.bin(time_ms - self.allowed_lateness_ms) - 1
    }

    /// A slot's time.
    pub(crate) fn time_ms(&self, bin: i64) -> i64 {
        bin.saturating_mul(self.interval_ms)
    }

    /// Whether `slot` follows `newest` without a silence that is too long.
    pub(crate) fn follows(&self, newest: i64, bin: i64) -> bool {
        bin > newest && bin.abs_diff(newest) - 1 <= self.max_gap
    }
}

/// A time far from the ends of the range, so that what is reckoned with it stays within: 146 million years from 1970.
pub(crate) fn clamp_time(time_ms: i64) -> i64 {
    time_ms.clamp(i64::MIN / 2, i64::MAX / 2)
}

/// Whether a time or a slot is one that [`limited`] times make, give or take the lateness.
pub(crate) fn is_clamped(number: i64) -> bool {
    (i64::MIN / 4 * 3..=i64::MAX / 4 * 3).contains(&number)
}

impl fmt::Display for ResamplerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ResamplerError::NoVariates => f.write_str("a grid needs at least one variate"),
            ResamplerError::Snapshot => {
                f.write_str("what was saved is no grid of these variates, their aggregations and this sampling interval")
            }
            ResamplerError::Interval { interval_ms } => {
                write!(f, "a sampling interval of {interval_ms} ms is not between 1 ms and 2^63 ms")
            }
            ResamplerError::AllowedLateness {
                allowed_lateness_ms,
                max_ms,
            } => {
                write!(
                    f,
                    "a lateness of {allowed_lateness_ms} ms is more than the {max_ms} ms that this sampling interval allows"
                )
            }
        }
    }
}

impl core::error::Error for ResamplerError {}
