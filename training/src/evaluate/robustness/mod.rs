//! Forecast errors while readings are missing and while the state is new, by the device's own step.
//!
//! A test looks at origins whose steps all lie in the rows given. Whatever the model does not see, its forecasts are compared with the true
//! readings, in units of the scaler; the errors are those of [`crate::evaluate`]. The same seed makes the same test.

mod missing;
mod perturbed;

use std::ops::Range;

pub use missing::Missing;
pub use perturbed::{Gap, PerturbedErrors};

use crate::data::scale::Scaler;
use crate::data::table::Table;
use crate::model::Stepper;

/// A model and the data it is tested on.
#[derive(Clone)]
pub struct RobustnessTest<'a> {
    /// The model.
    pub model: &'a Stepper<'a>,
    /// The recording, with the model's variates in its order.
    pub table: &'a Table,
    /// The model's scaler.
    pub scaler: &'a Scaler,
    /// Rows in which the forecasts' steps lie, the test part.
    pub rows: Range<usize>,
    /// Steps ahead up to which errors are averaged.
    pub horizons: &'a [usize],
    /// Seed of every draw.
    pub seed: u64,
    /// Start points of gaps and cold starts at most; one is drawn from each of as many equal chunks of the rows.
    pub start_points: usize,
    /// Time steps after a gap or a cold start at which forecasts are compared, at most; a power of two.
    pub longest_age: usize,
}

impl RobustnessTest<'_> {
    /// The longest of the horizons.
    fn longest(&self) -> usize {
        self.horizons.iter().copied().max().unwrap_or(0)
    }
}
