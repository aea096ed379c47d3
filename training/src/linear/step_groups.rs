//! Groups of horizon steps that share choices, and how much a validation part says about a step.

use std::ops::Range;

/// Number of non-overlapping validation windows at which [`certainty`] is 1/4.
const QUARTER_CERTAIN: f64 = 10.0;

/// Groups of steps that widen with the horizon: 0, 1, 2..4, 4..8 and so on. The steps of a group are about equally hard to forecast.
#[must_use]
pub fn step_groups(horizon: usize) -> Vec<Range<usize>> {
    let edges = (0..usize::BITS).map(|power| 1 << power).take_while(|&edge| edge < horizon);
    let starts: Vec<usize> = std::iter::once(0).chain(edges).collect();
    let ends = starts.iter().skip(1).copied().chain([horizon]);
    starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect()
}

/// Weight of evidence, in (0, 1), of the validation errors at `step` of the forecasts from `origins` successive rows.
///
/// Neighbouring forecasts share most of their rows. What counts is how many times the step fits into the origins.
#[must_use]
pub fn certainty(origins: usize, step: usize) -> f64 {
    let windows = origins.max(1) as f64 / step.max(1) as f64;
    (windows / (windows + QUARTER_CERTAIN)).powi(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_cover_every_step_once() {
        assert_eq!(step_groups(10), [0..1, 1..2, 2..4, 4..8, 8..10]);
        assert!(step_groups(1).iter().cloned().flatten().eq(0..1));
    }
}
