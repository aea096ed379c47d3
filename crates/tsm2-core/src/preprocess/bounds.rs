//! Bounds: how far each number that network and linear head read went in the training rows.
//!
//! A number within its bound is read as it is. A number of the linear head that goes beyond turns back, and is 0 from twice the bound
//! on: where a channel does what it never did in training, the head's forecast falls back to the newest sample. A sample in a
//! patch of the network stays at its bound.

use crate::slices::{at, row};

/// The bounds of all variates, `[M, width]`: of a sample, of lags, of the season, of each exponential average.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bounds<'a> {
    numbers: &'a [f32],
    width: usize,
}

/// Columns of a variate's bounds.
pub(crate) const SAMPLE: usize = 0;
pub(crate) const LAGS: usize = 1;
pub(crate) const SEASON: usize = 2;
pub(crate) const AVERAGES: usize = 3;

impl<'a> Bounds<'a> {
    pub fn new(numbers: &'a [f32], width: usize) -> Self {
        Self { numbers, width }
    }

    /// Holds the numbers of a patch of `variate` to the bound of its samples.
    pub fn hold(&self, variate: usize, numbers: &mut [f32]) {
        if let Some(of_variate) = self.of(variate) {
            let bound = at(of_variate, SAMPLE);
            numbers.iter_mut().for_each(|number| *number = within(*number, bound));
        }
    }

    /// Folds numbers of `variate` that share the bound of this column.
    pub fn fold(&self, variate: usize, column: usize, numbers: &mut [f32]) {
        if let Some(of_variate) = self.of(variate) {
            let bound = at(of_variate, column);
            numbers.iter_mut().for_each(|number| *number = folded(*number, bound));
        }
    }

    /// Folds the exponential averages of `variate`, each with its own bound.
    pub fn fold_averages(&self, variate: usize, averages: &mut [f32]) {
        if let Some(of_variate) = self.of(variate) {
            let bounds = of_variate.get(AVERAGES..).unwrap_or_default();
            for (average, bound) in averages.iter_mut().zip(bounds) {
                *average = folded(*average, *bound);
            }
        }
    }

    fn of(&self, variate: usize) -> Option<&'a [f32]> {
        (!self.numbers.is_empty()).then(|| row(self.numbers, variate, self.width))
    }
}

fn within(number: f32, bound: f32) -> f32 {
    number.max(-bound).min(bound)
}

/// The number itself up to the bound, less beyond, and 0 from twice the bound on.
fn folded(number: f32, bound: f32) -> f32 {
    let kept = within(number, bound);
    kept - within(number - kept, bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_turns_back_at_its_bound_and_is_gone_at_twice_its_bound() {
        let folded = [0.5, 2.0, 3.0, -3.0, 4.0, 400.0, -1e30].map(|number| folded(number, 2.0));
        assert_eq!(folded, [0.5, 2.0, 1.0, -1.0, 0.0, 0.0, 0.0]);
        assert_eq!(super::folded(7.0, 0.0), 0.0, "a channel that stood still in training");
    }

    #[test]
    fn each_number_has_its_own_bound_and_without_bounds_nothing_changes() {
        let bounds = Bounds::new(&[9.0; 5], 5);
        let mut numbers = [3.0, 3.0];
        Bounds::new(&[1.0, 2.0, 4.0, 3.0, 1.5], 5).fold_averages(0, &mut numbers);
        assert_eq!(numbers, [3.0, 0.0]);
        let mut numbers = [100.0];
        bounds.hold(0, &mut numbers);
        assert_eq!(numbers, [9.0]);
        Bounds::default().fold(0, LAGS, &mut numbers);
        assert_eq!(numbers, [9.0]);
    }
}
