//! A fitted linear head.

use std::fmt;
use std::ops::Range;

use tsm2_core::{LinearHead, Normalizer};

/// A linear head with its normalizer, its weights and its errors on validation.
#[derive(Clone, Debug)]
pub struct LinearModel {
    /// The normalizer.
    pub normalizer: Normalizer,
    /// The features, those of all step groups together.
    pub features: LinearHead,
    /// `linear_head.weight` as in the model file.
    pub weights: Vec<f32>,
    /// Mean squared error on validation per step, in units of z, over all targets.
    pub mse: Vec<f64>,
    /// The forecast of each step group.
    pub(super) groups: Vec<GroupForecast>,
}

/// The forecast of one step group, in words.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct GroupForecast {
    pub(super) steps: Range<usize>,
    pub(super) what: String,
}

impl fmt::Display for GroupForecast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.steps.len() {
            1 => write!(f, "step {}: {}", self.steps.end, self.what),
            _ => write!(f, "steps {} to {}: {}", self.steps.start + 1, self.steps.end, self.what),
        }
    }
}

impl LinearModel {
    /// Mean of the validation error over the steps.
    #[must_use]
    pub fn mean(&self) -> f64 {
        mean(&self.mse)
    }

    /// A line for the model and one per step group.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let name = normalizer_name(self.normalizer);
        let first = format!("linear head, {name}: validation MSE {:.4}", self.mean());
        let of_group = |group: &GroupForecast| format!("- {group} (MSE {:.4})", mean(&self.mse[group.steps.clone()]));
        std::iter::once(first).chain(self.groups.iter().map(of_group))
    }
}

/// The normalizer in words.
#[must_use]
pub fn normalizer_name(normalizer: Normalizer) -> String {
    match normalizer {
        Normalizer::Global => "global normalizer".into(),
        Normalizer::Exponential { half_life } => format!("exponential normalizer (half-life {half_life} rows)"),
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
