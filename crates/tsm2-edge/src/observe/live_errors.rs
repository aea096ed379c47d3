//! Errors of live forecasts in sums that can be added over streams and workers.
//!
//! Invariant: one sum per variate and shown step, however many streams there are.

use std::ops::AddAssign;

use tsm2_stream::{ErrorSums, LiveMetrics};

/// Names in the labels of the metrics of one model.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ModelLabels {
    /// Name of the model.
    pub model: String,
    /// Names of its target variates.
    pub variates: Vec<String>,
    /// Steps shown, from 1, ascending: the first, the middle and the last of the horizon.
    pub steps: Vec<usize>,
}

impl ModelLabels {
    /// Labels of a model with these target variates and this horizon.
    pub fn new(model: &str, variates: impl IntoIterator<Item = impl Into<String>>, horizon: usize) -> Self {
        let mut steps = vec![1.min(horizon), horizon.div_ceil(2), horizon];
        steps.dedup();
        ModelLabels {
            model: model.to_owned(),
            variates: variates.into_iter().map(Into::into).collect(),
            steps,
        }
    }
}

/// Weighted sums of the errors of one variate at one step. A stream's weight is the number of its
/// forecasts that were compared with a reading.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LiveErrors {
    /// Of the model, in units of the variate.
    pub model: ErrorSums,
    /// Of the naive forecast.
    pub naive: ErrorSums,
    /// Sum of the weights of streams with prediction intervals.
    pub intervals: f64,
    /// Fractions of readings within their interval.
    pub covered: f64,
}

impl AddAssign for LiveErrors {
    fn add_assign(&mut self, other: LiveErrors) {
        self.model += other.model;
        self.naive += other.naive;
        self.intervals += other.intervals;
        self.covered += other.covered;
    }
}

impl LiveErrors {
    /// The errors of one stream.
    pub fn of(live: &LiveMetrics) -> Self {
        let (weight, intervals) = (f64::from(live.compared), f64::from(live.scored));
        LiveErrors {
            model: ErrorSums::of_means(live.model.into(), weight),
            naive: ErrorSums::of_means(live.naive.into(), weight),
            intervals,
            covered: intervals * f64::from(live.coverage),
        }
    }

    /// Mean absolute error; `None` before the first comparison.
    pub fn mae(&self) -> Option<f64> {
        self.model.mean().map(|errors| errors.mae)
    }

    /// Mean squared error divided by that of the naive forecast.
    pub fn mse_ratio(&self) -> Option<f64> {
        (self.naive.squared > 0.0).then(|| self.model.squared / self.naive.squared)
    }

    /// Fraction of readings within their prediction interval.
    pub fn coverage(&self) -> Option<f64> {
        (self.intervals > 0.0).then(|| self.covered / self.intervals)
    }
}

#[cfg(test)]
mod tests {
    use super::{ErrorSums, LiveErrors, ModelLabels};
    use tsm2_stream::Errors;

    #[test]
    fn at_most_three_steps_are_shown() {
        let steps = |horizon| ModelLabels::new("m", ["a"], horizon).steps;
        assert_eq!(steps(96), [1, 48, 96]);
        assert_eq!(steps(3), [1, 2, 3]);
        assert_eq!(steps(2), [1, 2]);
        assert_eq!(steps(1), [1]);
    }

    #[test]
    fn errors_add_by_weight() {
        let mut both = LiveErrors::default();
        assert_eq!((both.mae(), both.mse_ratio(), both.coverage()), (None, None, None));
        for (weight, mae, mse, naive, coverage) in [(3.0, 1.0, 1.0, 2.0, 0.8), (1.0, 5.0, 9.0, 6.0, 1.0)] {
            both += LiveErrors {
                model: ErrorSums::of_means(Errors { mae, mse }, weight),
                naive: ErrorSums::of_means(Errors { mae: naive, mse: naive }, weight),
                intervals: weight,
                covered: weight * coverage,
            };
        }
        assert_eq!((both.mae(), both.mse_ratio()), (Some(2.0), Some(1.0)));
        assert!((both.coverage().unwrap() - 0.85).abs() < 1e-12);
    }
}
