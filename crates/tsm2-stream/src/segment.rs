//! Segment: a run of time steps without a hole, and the ring of its open bins.

use serde::{Deserialize, Serialize};

use crate::time_bin::TimeBin;

/// A run of time steps without a hole.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Segment {
    /// The newest bin with a reading.
    pub(crate) newest: i64,
    /// The newest bin that takes no readings any more.
    pub(crate) closed: i64,
    /// The newest bin that the foremost source needs no more.
    pub(crate) passed: i64,
    /// Time of the newest reading.
    pub(crate) watermark: i64,
    /// Whether a time step was emitted: from then on bins without readings make time steps too.
    pub(crate) has_begun: bool,
}

/// Where a bin lies while it is open.
pub(crate) fn index(bin: i64, open: &[TimeBin]) -> usize {
    bin.rem_euclid(open.len() as i64) as usize
}
