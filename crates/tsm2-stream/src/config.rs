//! Configuration of a resampler, with its checks.

use alloc::{vec, vec::Vec};
use core::fmt;

use crate::aggregate::Aggregate;
use crate::time_bin::Shape;

/// Largest number of time bins that take readings at a time.
pub(crate) const MAX_OPEN_BINS: u64 = 4097 + MAX_HOLD;
/// Time bins that a run of one source must have while others are in the stream; longer than most
/// sources are silent.
pub(crate) const MAX_RUN: u64 = 32;

/// Largest [`ResamplerConfig::max_gap`]. It bounds the work of one reading: so many time steps of the
/// model at most, whatever the reading's time.
pub const MAX_GAP: u64 = 16_384;

/// The default of [`ResamplerConfig::max_ahead`]: a few lost readings in a row are ordinary, and a
/// wrong clock that is believed costs a time step for each bin that it is ahead.
pub const MAX_AHEAD: u64 = 3;
/// Most time bins that wait for a source that is behind.
const MAX_HOLD: u64 = 16;

/// Configuration of a resampler.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResamplerConfig {
    /// How the readings of a time bin become one value, per variate. Their number is M, at least 1.
    pub aggregates: Vec<Aggregate>,
    /// The source of each variate: variates whose readings are stamped by the same clock have the
    /// same number. Shape `[M]`.
    pub sources: Vec<u16>,
    /// Sampling interval in milliseconds, at least 1.
    pub interval_ms: u64,
    /// How late readings may come, in milliseconds: a time step is emitted when the stream's newest
    /// reading lies so far beyond the end of its bin.
    pub allowed_lateness_ms: u64,
    /// For how many time steps in a row a variate that sends nothing repeats its last value; then
    /// it is missing.
    pub forward_fill_limit: u64,
    /// For how many time bins in a row without any reading time steps are emitted, at most
    /// [`MAX_GAP`]. A longer silence restarts the stream.
    pub max_gap: u64,
    /// How many time bins one reading may skip at once, at most `max_gap`. A reading further ahead
    /// counts when its time of arrival or another reading confirms its time. The others wait
    /// one bin longer than that for a source that reports regularly and is behind.
    pub max_ahead: u64,
    /// Whether the readings' times come from their devices. Then a reading with the time of another
    /// one is a duplicate. Otherwise, where the time is that of arrival, every reading counts and
    /// the last to arrive is the newest.
    pub device_times: bool,
}

impl ResamplerConfig {
    /// A resampler of one source that takes the newest reading of a bin, allows no late readings
    /// and fills nothing forward.
    ///
    /// ```
    /// # use tsm2_stream::{Aggregate, Resampler, ResamplerConfig};
    /// let mut config = ResamplerConfig::new(2, 60_000, 1440);
    /// config.aggregates = vec![Aggregate::Mean, Aggregate::Sum];
    /// config.allowed_lateness_ms = 90_000;
    /// let resampler = Resampler::new(config)?;
    /// # Ok::<(), tsm2_stream::ResamplerError>(())
    /// ```
    pub fn new(variates: usize, interval_ms: u64, max_gap: u64) -> Self {
        ResamplerConfig {
            aggregates: vec![Aggregate::Last; variates],
            sources: vec![0; variates],
            interval_ms,
            allowed_lateness_ms: 0,
            forward_fill_limit: 0,
            max_gap,
            max_ahead: MAX_AHEAD,
            device_times: true,
        }
    }
}

/// Why a configuration makes no resampler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResamplerError {
    /// M is zero.
    NoVariates,
    /// Not one source for each variate, or one with a number of M or more.
    Sources,
    /// The interval is zero or beyond a signed 64-bit time.
    Interval {
        /// The interval given.
        interval_ms: u64,
    },
    /// Too many time bins would take readings at a time.
    AllowedLateness {
        /// The allowed lateness given.
        allowed_lateness_ms: u64,
        /// The largest at this interval.
        max_ms: u64,
    },
    /// One reading could make too many time steps.
    MaxGap {
        /// The `max_gap` given.
        max_gap: u64,
    },
    /// The snapshot is not that of a resampler of these variates, aggregates and this interval.
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
    pub(crate) max_ahead: u64,
    /// How many bins one reading may skip at once: times of arrival come from one clock, which is
    /// wrong for all readings or for none.
    pub(crate) max_skip: u64,
    /// Shape `[M]`.
    pub(crate) sources: Vec<u16>,
    /// For how many bins the others wait for a source that is behind.
    pub(crate) hold: u64,
    /// Time bins that take readings at a time.
    pub(crate) open_bins: usize,
    /// Whether a time step is emitted as soon as every variate has a reading: nothing that counts
    /// can follow.
    pub(crate) eager: bool,
}

impl Rules {
    pub(crate) fn new(config: ResamplerConfig) -> Result<Self, ResamplerError> {
        let ResamplerConfig {
            aggregates,
            sources,
            interval_ms,
            allowed_lateness_ms,
            forward_fill_limit,
            max_gap,
            max_ahead,
            device_times,
        } = config;
        if aggregates.is_empty() {
            return Err(ResamplerError::NoVariates);
        }
        if sources.len() != aggregates.len() || sources.iter().any(|&source| usize::from(source) >= sources.len()) {
            return Err(ResamplerError::Sources);
        }
        if max_gap > MAX_GAP {
            return Err(ResamplerError::MaxGap { max_gap });
        }
        let interval = i64::try_from(interval_ms)
            .ok()
            .filter(|&i| i > 0)
            .ok_or(ResamplerError::Interval { interval_ms })?;
        // Three quarters of the range of times are left for the times themselves.
        let max_ms = interval_ms.saturating_mul(MAX_OPEN_BINS - MAX_HOLD - 2).min(u64::MAX / 8);
        let lateness = i64::try_from(allowed_lateness_ms)
            .ok()
            .filter(|_| allowed_lateness_ms <= max_ms)
            .ok_or(ResamplerError::AllowedLateness {
                allowed_lateness_ms,
                max_ms,
            })?;
        let max_ahead = max_ahead.min(max_gap);
        let is_one_clock = !device_times || sources.iter().all(|&source| source == sources[0]);
        let hold = if is_one_clock { 0 } else { (max_ahead + 1).min(MAX_HOLD) };
        Ok(Rules {
            eager: lateness == 0 && aggregates.iter().all(|&aggregate| aggregate == Aggregate::Last),
            shape: Shape {
                aggregates,
                any_order: lateness > 0,
                device_times,
            },
            interval_ms: interval,
            allowed_lateness_ms: lateness,
            forward_fill_limit,
            max_gap,
            max_ahead,
            max_skip: if device_times { max_ahead } else { max_gap },
            // One more where bins may move.
            open_bins: (allowed_lateness_ms.div_ceil(interval_ms) + 1 + u64::from(lateness > 0) + hold) as usize,
            sources,
            hold,
        })
    }

    /// How many sources there are: one more than the largest number.
    pub(crate) fn source_count(&self) -> usize {
        self.sources.iter().map(|&source| usize::from(source) + 1).max().unwrap_or_default()
    }

    /// The bin nearest to a time, with bins moved by so many quarters of the interval.
    pub(crate) fn bin(&self, time_ms: i64, phase: i8) -> i64 {
        let moved = self.interval_ms / 2 + i64::from(phase) * (self.interval_ms / 4);
        time_ms.saturating_add(moved).div_euclid(self.interval_ms)
    }

    /// How far a time lies from the border of its bin, with bins moved by so many quarters.
    pub(crate) fn border_distance_ms(&self, time_ms: i64, phase: i8) -> i64 {
        let moved = self.interval_ms / 2 + i64::from(phase) * (self.interval_ms / 4);
        let into = time_ms.saturating_add(moved).rem_euclid(self.interval_ms);
        into.min(self.interval_ms - into)
    }

    /// The time that a clock may be off and still be that of the time of arrival.
    fn tolerance_ms(&self) -> i64 {
        self.interval_ms.saturating_mul(1 + self.max_ahead.cast_signed())
    }

    /// Whether the time of arrival confirms a reading's time: neither older than a few intervals,
    /// nor more than an interval ahead.
    pub(crate) fn agrees(&self, time_ms: i64, arrival_ms: Option<i64>) -> bool {
        let age = arrival_ms
            .filter(|_| self.shape.device_times)
            .map(|arrival_ms| arrival_ms.saturating_sub(time_ms));
        age.is_some_and(|age| (-self.interval_ms..=self.tolerance_ms()).contains(&age))
    }

    /// Whether a time lies in the future of an arrival.
    pub(crate) fn is_future(&self, time_ms: i64, arrival_ms: Option<i64>) -> bool {
        arrival_ms.is_some_and(|arrival_ms| time_ms > arrival_ms.saturating_add(self.tolerance_ms()))
    }

    /// A bin's time.
    pub(crate) fn time_ms(&self, bin: i64) -> i64 {
        bin.saturating_mul(self.interval_ms)
    }

    /// Whether `bin` follows `newest` without a silence that is too long.
    pub(crate) fn follows(&self, newest: i64, bin: i64) -> bool {
        bin > newest && bin.abs_diff(newest) - 1 <= self.max_gap
    }
}

impl fmt::Display for ResamplerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ResamplerError::NoVariates => f.write_str("the resampler has no variates; give it at least one"),
            ResamplerError::Sources => {
                f.write_str("the resampler needs a source for each variate, numbered from 0 to one less than the variates")
            }
            ResamplerError::Interval { interval_ms } => {
                write!(f, "the sampling interval is {interval_ms} ms; choose one between 1 ms and 2^63 ms")
            }
            ResamplerError::AllowedLateness {
                allowed_lateness_ms,
                max_ms,
            } => write!(
                f,
                "the allowed lateness is {allowed_lateness_ms} ms; choose at most {max_ms} ms at this sampling interval"
            ),
            ResamplerError::MaxGap { max_gap } => write!(f, "max_gap is {max_gap} time steps; choose at most {MAX_GAP}"),
            ResamplerError::Snapshot => {
                f.write_str("the snapshot is not that of a resampler of these variates, their aggregates and this sampling interval")
            }
        }
    }
}

impl core::error::Error for ResamplerError {}
