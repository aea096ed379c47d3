//! Groups of horizon steps that share choices.

use std::ops::Range;

/// Groups of steps that widen with the horizon: 0, 1, 2..4, 4..8 and so on. The steps of a group are about equally hard to forecast.
#[must_use]
pub fn step_groups(horizon: usize) -> Vec<Range<usize>> {
    let edges = (0..usize::BITS).map(|power| 1 << power).take_while(|&edge| edge < horizon);
    let starts: Vec<usize> = std::iter::once(0).chain(edges).collect();
    let ends = starts.iter().skip(1).copied().chain([horizon]);
    starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect()
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
