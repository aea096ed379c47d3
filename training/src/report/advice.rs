//! Whether to use a model, in one word, and by how much the model is better.

use serde::Serialize;

use crate::evaluate::{Comparison, Evaluation};

/// What to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Advice {
    /// The model, with its network.
    Model,
    /// The model, which has no network.
    LinearModel,
    /// The model, an ONNX graph, of whose parts nothing is known.
    Graph,
    /// The model's linear part: the network adds nothing that chance would not.
    LinearPart,
    /// Nothing is better than naive or seasonal naive.
    Naive,
}

/// The comparison in short, at the longest horizon.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// What to use.
    pub advice: Advice,
    /// The model against the better one of naive and seasonal naive.
    pub naive: Option<Comparison>,
    /// The model against its own linear part, if it has a network.
    pub linear: Option<Comparison>,
    /// A baseline that is better than the model by more than chance: the best one.
    pub better: Option<Comparison>,
}

/// The two that need no training.
pub(super) fn is_naive(baseline: &str) -> bool {
    matches!(baseline, "naive" | "seasonal-naive")
}

impl Summary {
    /// At the i-th horizon, of a model that is better than naive by what `whole` says: [`Advice::Model`] for one that is more
    /// than its linear part.
    #[must_use]
    pub fn of(evaluation: &Evaluation, i: usize, whole: Advice) -> Summary {
        let has_network = whole == Advice::Model;
        let naive = evaluation.compare(i, &is_naive);
        let linear = evaluation.compare(i, &|name| has_network && name == "linear-head");
        let linear_beats_naive = naive
            .zip(linear)
            .and_then(|(naive, linear)| evaluation.pair(linear.baseline, naive.baseline, i));
        let is_better = |comparison: &Option<Comparison>| comparison.is_some_and(|comparison| comparison.errors.is_better());
        let advice = match (is_better(&naive), &linear) {
            (true, None) => whole,
            (true, Some(linear)) if linear.errors.is_better() => Advice::Model,
            (true, Some(_)) => Advice::LinearPart,
            (false, _) if is_better(&linear_beats_naive) => Advice::LinearPart,
            (false, _) => Advice::Naive,
        };
        Summary {
            advice,
            naive,
            linear,
            better: evaluation.compare(i, &|_| true).filter(|comparison| comparison.errors.is_worse()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::evaluate::{BaselineErrors, HorizonError, Protocol};

    /// One horizon; errors of model, naive, linear part.
    fn advice(model: f64, naive: f64, linear: Option<f64>) -> Advice {
        let errors = |mse: f64| {
            let (mae, horizon) = (mse, 6);
            vec![HorizonError {
                horizon,
                mse,
                mae,
                origins: 9,
                missing: 0,
            }]
        };
        let evaluation = Evaluation {
            protocol: Protocol::Carried,
            results: errors(model),
            baselines: BaselineErrors {
                naive: errors(naive),
                seasonal_naive: errors(naive + 1.0),
                linear: errors(naive),
                linear_head: linear.map(errors),
                ..BaselineErrors::default()
            },
            devices: Vec::new(),
            sensors: Vec::new(),
            period: None,
            details: BTreeMap::new(),
        };
        let whole = if linear.is_some() { Advice::Model } else { Advice::LinearModel };
        Summary::of(&evaluation, 0, whole).advice
    }

    #[test]
    fn the_advice_is_the_simplest_that_is_as_good() {
        assert_eq!(advice(0.5, 1.0, Some(0.6)), Advice::Model);
        assert_eq!(advice(0.5, 1.0, None), Advice::LinearModel);
        assert_eq!(advice(0.5, 1.0, Some(0.5)), Advice::LinearPart, "a network that gains nothing");
        assert_eq!(advice(1.2, 1.0, Some(0.8)), Advice::LinearPart, "a network that harms");
        assert_eq!(advice(1.0, 1.0, Some(1.0)), Advice::Naive);
        assert_eq!(advice(1.2, 1.0, None), Advice::Naive);
    }
}
