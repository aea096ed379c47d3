//! A model against the best baseline.

use serde::Serialize;

use crate::evaluate::evaluation::{BaselineErrors, Evaluation};
use crate::evaluate::ratio::Ratio;
use crate::evaluate::tally::HorizonError;

/// The model against one baseline at one horizon.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Comparison {
    /// Steps ahead.
    pub horizon: usize,
    /// The baseline.
    pub baseline: &'static str,
    /// The model's mean squared error relative to the baseline's.
    #[serde(flatten)]
    pub errors: Ratio,
}

/// The best baseline at the i-th horizon, and the model's squared error relative to the baseline's.
#[must_use]
pub fn best(results: &[HorizonError], baselines: &BaselineErrors, i: usize) -> (&'static str, f64) {
    best_of(results, baselines, i, &|_| true).unwrap_or(("", f64::NAN))
}

fn best_of(results: &[HorizonError], baselines: &BaselineErrors, i: usize, counts: &dyn Fn(&str) -> bool) -> Option<(&'static str, f64)> {
    let of_horizon = baselines
        .named()
        .filter(|(name, _)| counts(name))
        .map(|(name, errors)| (name, errors[i].mse));
    let (name, mse) = of_horizon.min_by(|a, b| a.1.total_cmp(&b.1))?;
    let own = results[i].mse;
    Some((name, if own == mse { 1.0 } else { own / mse }))
}

impl Evaluation {
    /// The model against the best of all baselines, at each horizon.
    #[must_use]
    pub fn comparisons(&self) -> Vec<Comparison> {
        (0..self.results.len()).filter_map(|i| self.compare(i, &|_| true)).collect()
    }

    /// The model against the best of some baselines at the i-th horizon; `None` where none of them was measured.
    #[must_use]
    pub fn compare(&self, i: usize, counts: &dyn Fn(&str) -> bool) -> Option<Comparison> {
        let (baseline, _) = best_of(&self.results, &self.baselines, i, counts)?;
        self.pair("tsm2", baseline, i)
    }

    /// One forecaster against another at the i-th horizon; `None` where one of them was not measured.
    #[must_use]
    pub fn pair(&self, own: &str, baseline: &'static str, i: usize) -> Option<Comparison> {
        let error = |name: &str| self.forecasters().find(|(other, _)| *other == name)?.1.get(i);
        let blocks = |name: &str| {
            self.details
                .get(name)
                .and_then(|all| Some(all.get(i)?.blocks()))
                .unwrap_or_default()
        };
        let (first, second) = (error(own)?, error(baseline)?);
        Some(Comparison {
            horizon: first.horizon,
            baseline,
            errors: Ratio::new([first.mse, second.mse], [&blocks(own), &blocks(baseline)]),
        })
    }

    /// The model, by the name `tsm2`, and all baselines.
    pub fn forecasters(&self) -> impl Iterator<Item = (&'static str, &[HorizonError])> {
        std::iter::once(("tsm2", self.results.as_slice())).chain(self.baselines.named())
    }
}
