//! Clock history: times outside the current segment that decide which clock jumps are believed.
//!
//! Invariants: a bin that had a time step is never in the gap; a time that was found wrong is not
//! believed again.

use serde::{Deserialize, Serialize};

/// The bins that were skipped when the current segment began; none of them ever had a time step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Gap {
    /// The newest bin before the gap; the lowest number where there was none.
    pub(crate) before: i64,
    /// Time steps of the segment that ended there.
    pub(crate) steps: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ClockHistory {
    /// `None` after a clock rollback: another one needs another clock jump first.
    pub(crate) gap: Option<Gap>,
    /// First and last bin of the segment that the latest clock rollback left.
    pub(crate) abandoned: Option<(i64, i64)>,
    /// The bin of the latest clock jump that a reading of the segment disproved.
    pub(crate) dropped: Option<i64>,
}

impl ClockHistory {
    /// Of a stream that begins.
    pub(crate) fn new() -> Self {
        ClockHistory {
            gap: Some(Gap {
                before: i64::MIN,
                steps: 0,
            }),
            abandoned: None,
            dropped: None,
        }
    }

    pub(crate) fn disproves(&self, bin: i64) -> bool {
        self.dropped == Some(bin) || self.abandoned.is_some_and(|(first, last)| (first..=last).contains(&bin))
    }

    /// Whether counting can go on.
    pub(crate) fn is_valid(&self) -> bool {
        self.gap.is_none_or(|gap| gap.steps <= u64::MAX / 2)
    }
}
