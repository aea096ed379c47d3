//! Bounds: how far the numbers that network and linear head read went in the training rows.
//!
//! The numbers of a variate that the linear head reads are taken together, because what it makes of one is balanced by what it makes
//! of the others. While none goes beyond its bound they are read as they are. Beyond, all of them shrink, and from twice a
//! bound on they are 0: where a channel does what it never did in training, the forecast falls back to the newest sample. A
//! sample in a patch of the network stays at its bound.

use crate::slices::{at, row, split};

/// Columns of a variate's bounds before those of its exponential averages: of its samples, and of its lags.
pub(crate) const SAMPLE: usize = 0;
pub(crate) const LAGS: usize = 1;
pub(crate) const AVERAGES: usize = 2;

/// A smaller bound counts as this one.
const LEAST: f32 = 1e-9;

/// The bounds of all variates, `[M, width]`; none: nothing is bounded.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bounds<'a> {
    numbers: &'a [f32],
    width: usize,
}

impl<'a> Bounds<'a> {
    pub fn new(numbers: &'a [f32], width: usize) -> Self {
        Self { numbers, width }
    }

    /// Holds the numbers of a patch of `variate` to the bound of its samples.
    pub fn hold(&self, variate: usize, numbers: &mut [f32]) {
        if let Some(of_variate) = self.of(variate) {
            let bound = at(of_variate, SAMPLE);
            numbers.iter_mut().for_each(|number| *number = number.max(-bound).min(bound));
        }
    }

    /// The share in which numbers of `variate` are read: 1 within all bounds, 0 where one is beyond twice its bound.
    pub fn share(&self, variate: usize, lags: &[f32], averages: &[f32]) -> f32 {
        let Some(of_variate) = self.of(variate) else { return 1.0 };
        let reach = |number: &f32, bound: f32| number.abs() / bound.max(LEAST);
        let of_lags = lags.iter().map(|lag| reach(lag, at(of_variate, LAGS)));
        let of_averages = averages.iter().zip(split(of_variate, AVERAGES).1);
        let farthest = of_lags
            .chain(of_averages.map(|(average, bound)| reach(average, *bound)))
            .fold(1.0, f32::max);
        (2.0 / farthest - 1.0).max(0.0)
    }

    fn of(&self, variate: usize) -> Option<&'a [f32]> {
        (!self.numbers.is_empty()).then(|| row(self.numbers, variate, self.width))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds<'static> = Bounds {
        numbers: &[1.0, 2.0, 4.0, 9.0, 5.0, 0.0],
        width: 3,
    };

    #[test]
    fn the_share_falls_beyond_a_bound_and_is_nothing_from_twice_the_bound_on() {
        let shares = [1.9, 2.0, 2.5, -2.5, 4.0, 1e30].map(|lag| BOUNDS.share(0, &[lag], &[0.5]));
        assert_eq!(shares, [1.0, 1.0, 0.6, 0.6, 0.0, 0.0]);
        assert_eq!(BOUNDS.share(0, &[0.0], &[-8.0]), 0.0, "an average has a bound of its own");
        assert_eq!(BOUNDS.share(1, &[1.0], &[0.0]), 1.0);
        assert_eq!(BOUNDS.share(1, &[1.0], &[0.1]), 0.0, "an average that stood still in training");
        assert_eq!(Bounds::default().share(1, &[1e30], &[1e30]), 1.0);
    }

    #[test]
    fn a_sample_in_a_patch_stays_at_its_bound() {
        let mut numbers = [0.5, 100.0, -1e30];
        BOUNDS.hold(0, &mut numbers);
        assert_eq!(numbers, [0.5, 1.0, -1.0]);
    }
}
