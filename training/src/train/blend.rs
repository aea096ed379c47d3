//! How much of the network goes into each step group: the weight whose gain on validation is largest at the lower end of what
//! chance allows.
//!
//! The validation rows are cut into consecutive blocks, none shorter than the group's last step, so that blocks share few readings.
//! A paired block bootstrap (Kuensch 1989) draws the blocks again with replacement. Each draw has the errors of the linear head
//! and of both parts on the same forecasts. The gain that counts is the one that nine of ten draws exceed.
//!
//! A network that knows how the system moves gains at near steps too. One that gains at distant steps only has learned a level, which
//! the few blocks of one validation part cannot confirm: beyond the first group without a gain it is not used.

use std::ops::Range;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::validation_errors::{BlendSums, ValidationErrors};
use crate::linear::step_groups::step_groups;

/// Draws of the bootstrap.
const DRAWS: usize = 500;

/// Share of the draws that may have a smaller gain than the one that counts.
const QUANTILE: f64 = 0.1;

/// With fewer blocks nothing is known about chance, and the network is left out.
const LEAST_BLOCKS: usize = 4;

/// A network whose gain that counts is a smaller share of the linear head's error, averaged over the step groups, is left out.
pub const LEAST_GAIN: f64 = 0.01;

/// Weights that are tried, besides 0: one of so many parts each.
const WEIGHTS: usize = 20;

/// The blend weight of the network per step group, in `[0, 1]`; 0 everywhere where its gain is too small.
#[must_use]
pub fn blend_weights(errors: &ValidationErrors) -> Vec<f64> {
    let groups = step_groups(errors.horizon());
    let of_groups = groups.iter().map(|group| weight(&blocks(errors, group.clone())));
    let (mut weights, mut gains): (Vec<f64>, Vec<f64>) = of_groups.take_while(|&(weight, _)| weight > 0.0).unzip();
    weights.resize(groups.len(), 0.0);
    gains.resize(groups.len(), 0.0);
    match gains.iter().sum::<f64>() < LEAST_GAIN * gains.len() as f64 {
        true => vec![0.0; weights.len()],
        false => weights,
    }
}

/// Whether no part of the network is used.
#[must_use]
pub fn is_silent(weights: &[f64]) -> bool {
    weights.iter().all(|&weight| weight == 0.0)
}

/// The errors of a step group in blocks that are at least as long as its last step; those without readings are left out.
fn blocks(errors: &ValidationErrors, group: Range<usize>) -> Vec<BlendSums> {
    let parts: Vec<BlendSums> = errors.group(group.clone()).collect();
    let each = group.end.div_ceil(errors.spacing.max(1)).max(1);
    // A shorter block at the end joins the one before it.
    let count = (parts.len() / each).max(1);
    let block = |i: usize| {
        let end = if i + 1 == count { parts.len() } else { (i + 1) * each };
        parts[i * each..end].iter().copied().sum::<BlendSums>()
    };
    (0..count).map(block).filter(|block| block.count > 0.0).collect()
}

/// The weight with the largest gain that counts, and this gain relative to the linear head's error; both 0 where none is positive.
fn weight(blocks: &[BlendSums]) -> (f64, f64) {
    if blocks.len() < LEAST_BLOCKS {
        return (0.0, 0.0);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut draw = || {
        (0..blocks.len())
            .map(|_| blocks[rng.random_range(0..blocks.len())])
            .sum::<BlendSums>()
    };
    let draws: Vec<BlendSums> = (0..DRAWS).map(|_| draw()).collect();
    let gain = |weight: f64| {
        let mut gains: Vec<f64> = draws.iter().map(|sums| sums.mse(0.0) - sums.mse(weight)).collect();
        gains.sort_by(f64::total_cmp);
        gains[(QUANTILE * DRAWS as f64) as usize]
    };
    let weights = (1..=WEIGHTS).map(|part| part as f64 / WEIGHTS as f64);
    let best = weights.map(|weight| (weight, gain(weight))).max_by(|a, b| a.1.total_cmp(&b.1));
    let linear = blocks.iter().copied().sum::<BlendSums>().mse(0.0);
    // Written so that NaN gives 0.
    best.filter(|&(_, gain)| gain > 0.0)
        .map_or((0.0, 0.0), |(weight, gain)| (weight, gain / linear))
}

/// A line per step group: the blend weight of the network, and the validation errors of the linear head and of both.
pub fn describe(errors: &ValidationErrors, weights: &[f64]) -> impl Iterator<Item = String> {
    let line = |(group, &weight): (Range<usize>, &f64)| {
        let sums: BlendSums = errors.group(group.clone()).sum();
        let steps = match group.len() {
            1 => format!("step {}", group.end),
            _ => format!("steps {} to {}", group.start + 1, group.end),
        };
        let (linear, both) = (sums.mse(0.0), sums.mse(weight));
        format!("- {steps}: blend weight of the network {weight:.2}, validation MSE {linear:.4} -> {both:.4}")
    };
    step_groups(errors.horizon()).into_iter().zip(weights).map(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One step; the network explains a share of the linear head's error in each block.
    fn errors(shares: &[f64], spacing: usize) -> ValidationErrors {
        let part = |&share: &f64| {
            vec![BlendSums {
                linear: 100.0,
                cross: 100.0 * share,
                network: 100.0 * share.abs().max(0.1),
                count: 100.0,
            }]
        };
        ValidationErrors {
            parts: shares.iter().map(part).collect(),
            spacing,
        }
    }

    #[test]
    fn a_network_that_gains_in_every_block_is_used() {
        let weights = blend_weights(&errors(&[0.4, 0.5, 0.6, 0.5, 0.4, 0.5], 1));
        assert!(weights[0] > 0.9, "{weights:?}");
        assert!(!is_silent(&weights));
    }

    #[test]
    fn a_network_whose_gain_may_be_chance_is_left_out() {
        let lucky = errors(&[0.5, -0.3, 0.2, -0.4, 0.4, -0.3, 0.1, -0.2], 1);
        assert!(is_silent(&blend_weights(&lucky)));
        assert!(is_silent(&blend_weights(&errors(&[-0.2; 8], 1))));
        assert!(
            is_silent(&blend_weights(&errors(&[0.005; 8], 1))),
            "a gain that is not worth the size"
        );
    }

    #[test]
    fn a_network_that_gained_at_distant_steps_only_made_the_test_rows_of_a_drifting_recording_worse() {
        let (near, far) = (errors(&[-0.2; 20], 1), errors(&[0.5; 20], 1));
        let part = |(near, far): (&Vec<BlendSums>, &Vec<BlendSums>)| vec![near[0], far[0], far[0]];
        let parts = near.parts.iter().zip(&far.parts).map(part).collect();
        assert!(is_silent(&blend_weights(&ValidationErrors { parts, spacing: 1 })));
    }

    #[test]
    fn too_few_independent_blocks_decide_nothing() {
        assert!(is_silent(&blend_weights(&errors(&[0.5; 3], 1))));
        // 8 parts, 8 apart, seen 30 steps ahead: two blocks.
        let one = errors(&[0.5; 8], 8);
        let parts = one.parts.iter().map(|part| vec![part[0]; 30]).collect();
        let far = blend_weights(&ValidationErrors { parts, spacing: 8 });
        assert!(far[0] > 0.0 && far.last() == Some(&0.0), "{far:?}");
    }
}
