//! How good the forecasts have been, in numbers that can be added: over streams by each shard, over shards by [`super::Vitals`].
//!
//! Invariant: what is kept has one place per variate and shown lead, however many streams there are.

use std::ops::AddAssign;

use tsm2_stream::LiveMetrics;

/// Which variates and leads are shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Shown {
    /// Name of the model.
    pub model: String,
    /// Names of the variates that it forecasts, M - X of them.
    pub variates: Vec<String>,
    /// Leads in steps from 1, ascending: the first, the middle and the last one of the horizon, L of them, fewer for a short horizon.
    pub leads: Vec<usize>,
}

impl Shown {
    /// What is shown of a model that forecasts these variates, and this horizon.
    pub fn new(model: &str, variates: impl IntoIterator<Item = impl Into<String>>, horizon: usize) -> Self {
        let mut leads = vec![1.min(horizon), horizon.div_ceil(2), horizon];
        leads.dedup();
        Shown {
            model: model.to_owned(),
            variates: variates.into_iter().map(Into::into).collect(),
            leads,
        }
    }
}

/// Sums over streams for one variate at one lead; each stream enters with a weight, such as the number of its forecasts that could be judged.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Score {
    /// Sum of the weights.
    pub weight: f64,
    /// Weighted sum of the mean absolute errors, in the variate's units.
    pub absolute: f64,
    /// Weighted sum of the mean squared errors.
    pub squared: f64,
    /// The same of repeat-last, the forecast that repeats the last reading.
    pub repeat_last_squared: f64,
    /// Sum of the weights of streams that have intervals.
    pub intervals: f64,
    /// Weighted sum of the shares of readings that fell into their intervals.
    pub covered: f64,
}

impl AddAssign for Score {
    fn add_assign(&mut self, other: Score) {
        let Score {
            weight,
            absolute,
            squared,
            repeat_last_squared,
            intervals,
            covered,
        } = other;
        self.weight += weight;
        self.absolute += absolute;
        self.squared += squared;
        self.repeat_last_squared += repeat_last_squared;
        self.intervals += intervals;
        self.covered += covered;
    }
}

impl Score {
    /// One stream's, which weighs as many forecasts as were judged.
    pub fn of(skill: &LiveMetrics) -> Self {
        let (weight, intervals) = (f64::from(skill.compared), f64::from(skill.scored));
        Score {
            weight,
            absolute: weight * f64::from(skill.model.mae),
            squared: weight * f64::from(skill.model.mse),
            repeat_last_squared: weight * f64::from(skill.naive.mse),
            intervals,
            covered: intervals * f64::from(skill.coverage),
        }
    }

    /// Mean absolute error; `None` before any forecast could be judged.
    pub fn mae(&self) -> Option<f64> {
        quotient(self.absolute, self.weight)
    }

    /// Mean squared error divided by that of repeat-last: below 1 the model is the better of the two.
    pub fn mse_ratio(&self) -> Option<f64> {
        quotient(self.squared, self.repeat_last_squared)
    }

    /// Share of readings that fell into their intervals.
    pub fn coverage(&self) -> Option<f64> {
        quotient(self.covered, self.intervals)
    }
}

fn quotient(of: f64, by: f64) -> Option<f64> {
    (by > 0.0).then_some(of / by)
}

#[cfg(test)]
mod tests {
    use super::{Score, Shown};

    #[test]
    fn at_most_three_leads_are_shown() {
        let leads = |horizon| Shown::new("m", ["a"], horizon).leads;
        assert_eq!(leads(96), [1, 48, 96]);
        assert_eq!(leads(3), [1, 2, 3]);
        assert_eq!(leads(2), [1, 2]);
        assert_eq!(leads(1), [1]);
    }

    #[test]
    fn scores_add_by_weight_and_say_nothing_of_what_was_never_judged() {
        let mut both = Score::default();
        assert_eq!((both.mae(), both.mse_ratio(), both.coverage()), (None, None, None));
        for (weight, mae, mse, repeat_last, coverage) in [(3.0, 1.0, 1.0, 2.0, 0.8), (1.0, 5.0, 9.0, 6.0, 1.0)] {
            both += Score {
                weight,
                absolute: weight * mae,
                squared: weight * mse,
                repeat_last_squared: weight * repeat_last,
                intervals: weight,
                covered: weight * coverage,
            };
        }
        assert_eq!((both.mae(), both.mse_ratio()), (Some(2.0), Some(1.0)));
        assert!((both.coverage().unwrap() - 0.85).abs() < 1e-12);
    }
}
