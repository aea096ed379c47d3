//! The linear head: forecast = W phi, with features phi that the preprocessor computes.

use crate::config::Config;
use crate::math::dot;

/// Weights of the linear head, `[targets, H, features]` or, shared, `[H, features]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinearHead<'a> {
    weight: &'a [f32],
    features: usize,
    horizon: usize,
    per_variate: bool,
}

impl<'a> LinearHead<'a> {
    /// The head of a validated configuration.
    pub fn new(config: &Config, weight: &'a [f32]) -> Self {
        Self {
            weight,
            features: config.linear_head_features(),
            horizon: config.horizon,
            per_variate: config.linear_head.per_variate,
        }
    }

    /// Numbers in phi; 0: the model has no linear head.
    pub fn features(&self) -> usize {
        self.features
    }

    /// Adds W phi of target `m` to `out` `[H]`.
    pub fn add(&self, m: usize, phi: &[f32], out: &mut [f32]) {
        if phi.is_empty() {
            return;
        }
        let own = if self.per_variate { m * self.horizon * self.features } else { 0 };
        for (out, row) in out.iter_mut().zip(self.weight[own..].chunks_exact(self.features)) {
            *out += dot(row, phi);
        }
    }
}
