//! Error statistics: mean absolute and mean squared error.

use core::ops::AddAssign;

use serde::{Deserialize, Serialize};

/// Mean errors, in the sensor's unit and its square.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Errors<T = f64> {
    /// Mean absolute error.
    pub mae: T,
    /// Mean squared error.
    pub mse: T,
}

/// Sums over errors, each with a weight. Sums of several streams, files or threads can be added.
///
/// ```
/// use tsm2_stream::{Errors, ErrorSums};
///
/// let mut sums = ErrorSums::default();
/// for (reading, forecast) in [(20.0, 20.5), (21.0, 19.5)] {
///     sums.add(reading - forecast);
/// }
/// assert_eq!(sums.mean(), Some(Errors { mae: 1.0, mse: 1.25 }));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ErrorSums {
    /// Sum of the weights; the number of errors where each weighs 1.
    pub weight: f64,
    /// Sum of the absolute errors.
    pub absolute: f64,
    /// Sum of the squared errors.
    pub squared: f64,
}

impl ErrorSums {
    /// Adds one error.
    pub fn add(&mut self, error: f64) {
        self.weight += 1.0;
        self.absolute += error.abs();
        self.squared += error * error;
    }

    /// Sums over `weight` errors of which only the means are known.
    pub fn of_means(means: Errors, weight: f64) -> Self {
        ErrorSums {
            weight,
            absolute: weight * means.mae,
            squared: weight * means.mse,
        }
    }

    /// The mean errors; `None` where nothing was added.
    pub fn mean(&self) -> Option<Errors> {
        (self.weight > 0.0).then(|| Errors {
            mae: self.absolute / self.weight,
            mse: self.squared / self.weight,
        })
    }
}

impl AddAssign for ErrorSums {
    fn add_assign(&mut self, other: ErrorSums) {
        self.weight += other.weight;
        self.absolute += other.absolute;
        self.squared += other.squared;
    }
}

impl Errors<f32> {
    /// Moves the means by one error, as if it were at most `limit` large; the error weighs `1 / n`.
    pub(crate) fn update(&mut self, error: f32, limit: f32, n: f32) {
        let size = error.abs().min(limit);
        self.mae += (size - self.mae) / n;
        self.mse += (size * size - self.mse) / n;
    }
}

impl From<Errors<f32>> for Errors {
    fn from(errors: Errors<f32>) -> Self {
        Errors {
            mae: errors.mae.into(),
            mse: errors.mse.into(),
        }
    }
}
