//! The linear head: forecast = W phi, with features phi that the preprocessor computes.
//!
//! W is a whole matrix or, of rank r, a product: the step basis `[H, r]`, a core `[r, r]` and the feature basis
//! `[r, features]`. Both bases are common to all targets, so a large head needs few numbers.

use crate::config::Config;
use crate::slices::split_mut;
use crate::weights::LinearHeadWeights;

/// The head of a model: sizes and borrowed weights.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinearHead<'a> {
    weights: LinearHeadWeights<'a>,
    features: usize,
    horizon: usize,
    rank: usize,
    per_variate: bool,
}

impl<'a> LinearHead<'a> {
    /// The head of a validated configuration.
    pub fn new(config: &Config, weights: LinearHeadWeights<'a>) -> Self {
        Self {
            weights,
            features: config.linear_head_features(),
            horizon: config.horizon,
            rank: config.linear_head.rank,
            per_variate: config.linear_head.per_variate,
        }
    }

    /// Numbers of working memory: phi, and what the feature basis and the core make of it. 0: the model has no linear head.
    pub fn scratch_len(&self) -> usize {
        if self.features == 0 { 0 } else { self.features + 2 * self.rank }
    }

    /// Adds W phi of target `m` to `out` `[H]`; `features` writes phi.
    pub fn add(&self, m: usize, scratch: &mut [f32], features: impl FnOnce(&mut [f32]), out: &mut [f32]) {
        if self.features == 0 {
            return;
        }
        let (phi, rest) = split_mut(scratch, self.features);
        features(phi);
        let own = if self.per_variate { m } else { 0 };
        let LinearHeadWeights {
            whole,
            step,
            core,
            feature,
            bounds: _,
        } = self.weights;
        match self.rank {
            0 => whole.rows(own * self.horizon..(own + 1) * self.horizon).add(phi, out),
            r => {
                let (projected, mixed) = split_mut(rest, r);
                feature.apply(phi, projected);
                core.rows(own * r..(own + 1) * r).apply(projected, mixed);
                step.add(mixed, out);
            }
        }
    }
}
