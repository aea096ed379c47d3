//! Causal normalizer: an exponentially weighted mean and deviation of the scaled samples, or none.
//!
//! The sums are kept in double precision, each as a high and a low `f32`, so that saving the state loses nothing.

use crate::config::Normalizer;
use crate::math::power;

/// Added to the variance under the root.
pub(crate) const VARIANCE_EPS: f64 = 1e-4;

/// Numbers of the exponential normalizer per variate: mean, variance and weight as pairs, and the deviation.
const WIDTH: usize = 7;

/// Running mean and deviation of one variate at a time; the numbers lie in the caller's state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunningStatistics {
    /// Share of a sample's weight that is left after one sample; `None`: mean 0 and deviation 1.
    decay: Option<f64>,
}

impl RunningStatistics {
    pub fn new(normalizer: Normalizer) -> Self {
        let decay = match normalizer {
            Normalizer::Global => None,
            Normalizer::Exponential { half_life } => Some(power(2.0, -1.0 / f64::from(half_life))),
        };
        Self { decay }
    }

    /// Numbers of state per variate.
    pub fn width(&self) -> usize {
        if self.decay.is_some() { WIDTH } else { 0 }
    }

    /// Counts one sample (West 1979). The weights sum to one from the first sample on. With `first` the sample
    /// stands for all samples so far.
    pub fn push(&self, numbers: &mut [f32], z: f32, first: bool) {
        let (Some(decay), Ok(numbers)) = (self.decay, <&mut [f32; WIDTH]>::try_from(numbers)) else {
            return;
        };
        let z = f64::from(z);
        let [mut mean, mut variance, mut weight] = load(numbers);
        if first {
            (mean, variance) = (z, 0.0);
        }
        weight = decay * weight + 1.0;
        let share = 1.0 / weight;
        let delta = z - mean;
        mean += share * delta;
        variance = (1.0 - share) * (variance + share * delta * delta);
        store(numbers, [mean, variance, weight]);
        numbers[WIDTH - 1] = libm::sqrt(variance + VARIANCE_EPS) as f32;
    }

    /// Mean and deviation after the newest sample, in units of z.
    pub fn statistics(&self, numbers: &[f32]) -> (f32, f32) {
        match numbers {
            [mean, .., deviation] => (*mean, *deviation),
            _ => (0.0, 1.0),
        }
    }
}

/// Three doubles out of pairs of a high and a low part.
fn load(numbers: &[f32; WIDTH]) -> [f64; 3] {
    core::array::from_fn(|i| f64::from(numbers[2 * i]) + f64::from(numbers[2 * i + 1]))
}

/// Three doubles into pairs of a high and a low part: 48 bits of each.
fn store(numbers: &mut [f32; WIDTH], values: [f64; 3]) {
    for (pair, value) in numbers.chunks_exact_mut(2).zip(values) {
        pair[0] = value as f32;
        pair[1] = (value - f64::from(pair[0])) as f32;
    }
}
