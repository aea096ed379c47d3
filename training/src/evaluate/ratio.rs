//! The errors of one forecaster relative to another's, and what chance allows.

use serde::Serialize;
use tsm2_stream::ErrorSums;

use crate::evaluate::significance::ratio_interval;

/// Without an interval, relative differences below this count as none.
const MARGIN: f64 = 0.02;

/// Mean squared error of one forecaster relative to another's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ratio {
    /// Below 1 the first one is better.
    pub ratio: f64,
    /// The 95 % interval of the ratio; `None` where there are too few rows.
    pub interval: Option<(f64, f64)>,
}

impl Ratio {
    /// From the mean squared errors, and their sums over the same blocks of origins.
    #[must_use]
    pub fn new([own, other]: [f64; 2], [own_blocks, other_blocks]: [&[ErrorSums]; 2]) -> Ratio {
        Ratio {
            // Both are exact on readings that never change.
            ratio: if own == other { 1.0 } else { own / other },
            interval: ratio_interval(own_blocks, other_blocks),
        }
    }

    /// The interval, or a margin around the ratio.
    fn bounds(&self) -> (f64, f64) {
        self.interval.unwrap_or((self.ratio - MARGIN, self.ratio + MARGIN))
    }

    /// Whether the first one is better by more than chance.
    #[must_use]
    pub fn is_better(&self) -> bool {
        self.bounds().1 < 1.0
    }

    /// Whether the other one is better by more than chance.
    #[must_use]
    pub fn is_worse(&self) -> bool {
        self.bounds().0 > 1.0
    }
}
