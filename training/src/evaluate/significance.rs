//! How far chance could move the ratio of two forecasters' errors: a paired block bootstrap (Kuensch 1989).
//!
//! Both forecasters have sums of errors over the same blocks of origins. No block is shorter than the horizon, so that blocks share few
//! readings. The blocks are drawn again with replacement; each draw has a ratio.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tsm2_stream::ErrorSums;

/// Draws of the bootstrap.
const DRAWS: usize = 1000;

/// Share of the draws outside the interval, on each side.
const OUTSIDE: f64 = 0.025;

/// With fewer blocks nothing is known about chance.
const LEAST_BLOCKS: usize = 5;

/// The interval that contains 95 % of the ratios of mean squared errors, own to other; `None` for too few blocks.
#[must_use]
pub fn ratio_interval(own: &[ErrorSums], other: &[ErrorSums]) -> Option<(f64, f64)> {
    let blocks: Vec<(&ErrorSums, &ErrorSums)> = own.iter().zip(other).filter(|(own, _)| own.weight > 0.0).collect();
    if blocks.len() < LEAST_BLOCKS || own.len() != other.len() {
        return None;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut ratio = || {
        let mut sums = (0.0, 0.0);
        for _ in 0..blocks.len() {
            let (own, other) = blocks[rng.random_range(0..blocks.len())];
            sums = (sums.0 + own.squared, sums.1 + other.squared);
        }
        sums.0 / sums.1
    };
    let mut ratios: Vec<f64> = (0..DRAWS).map(|_| ratio()).collect();
    ratios.sort_by(f64::total_cmp);
    let at = |share: f64| ratios[((share * DRAWS as f64) as usize).min(DRAWS - 1)];
    let (low, high) = (at(OUTSIDE), at(1.0 - OUTSIDE));
    (low.is_finite() && high.is_finite()).then_some((low, high))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(squared: impl Fn(usize) -> f64, count: usize) -> Vec<ErrorSums> {
        let block = |i| ErrorSums {
            weight: 10.0,
            absolute: 0.0,
            squared: squared(i),
        };
        (0..count).map(block).collect()
    }

    #[test]
    fn a_gain_in_every_block_is_outside_chance_and_a_mixed_one_is_not() {
        let other = blocks(|i| 10.0 + i as f64, 20);
        let (low, high) = ratio_interval(&blocks(|i| 0.9 * (10.0 + i as f64), 20), &other).expect("enough blocks");
        assert!((low - 0.9).abs() < 1e-9 && (high - 0.9).abs() < 1e-9);
        let mixed = blocks(|i| (10.0 + i as f64) * if i % 2 == 0 { 0.5 } else { 1.45 }, 20);
        let (low, high) = ratio_interval(&mixed, &other).expect("enough blocks");
        assert!(low < 1.0 && high > 1.0, "{low} {high}");
    }

    #[test]
    fn too_few_blocks_give_no_interval() {
        let (own, other) = (blocks(|_| 1.0, 4), blocks(|_| 2.0, 4));
        assert_eq!(ratio_interval(&own, &other), None);
        assert_eq!(ratio_interval(&[], &[]), None);
    }
}
