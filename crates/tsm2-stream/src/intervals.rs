//! Prediction intervals by online conformal prediction: how far the bounds reach below and above a
//! forecast.
//!
//! A side's width is q times the running mean of the errors' size (a normalised score: Lei et al.,
//! "Distribution-free predictive inference for regression", 2018). q is the quantile tracker of
//! Angelopoulos, Candes and Tibshirani, "Conformal PID control for time series prediction" (2023):
//! q <- q + eta (1{missed} - miss), for each side by itself, with `miss` half of the fraction that
//! may lie outside. eta decays to a floor: as in Angelopoulos, Barber and Bates, "Online conformal
//! prediction with decaying step sizes" (2024) the bounds settle, and because of the floor they
//! follow a drift ever after. Readings are compared with the bounds that were published, so the
//! coverage is that of what was published.
//!
//! Nothing is assumed of the errors: over T scores a side misses no more than `miss` of them, to
//! within (the range that q moves in) / (eta T), and fewer only while q is 0.
//!
//! Invariant: all numbers are finite and not negative, whatever the readings are.

use serde::{Deserialize, Serialize};

/// Largest error that counts, so that squares stay finite.
pub(crate) const MAX_ERROR: f32 = 1e18;
/// An error moves the scale as if it were at most this many scales large.
const CLIP: f32 = 8.0;
/// Scores over which the scale is a mean, and those that the initial width counts for.
const SCALE_SCORES: f32 = 64.0;
const INITIAL_SCORES: f32 = 16.0;
/// eta at the first score, the scores in which it halves, and its floor.
const FIRST_STEP: f32 = 0.2;
const HALVED_AFTER: f32 = 16.0;
const LEAST_STEP: f32 = 0.05;
/// The q of normal errors at a coverage of 90 %; an initial width is taken for that many scales.
const INITIAL_Q: f32 = 2.0;
const MAX_Q: f32 = 1e4;

/// A width that is published: an `f32` of which the upper 16 bits are kept, to the nearest
/// (bfloat16, 8 significant bits); most significant byte first.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Width([u8; 2]);

/// A forecast with its prediction interval, as published.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct PredictionInterval {
    pub(crate) mean: f32,
    below: Width,
    above: Width,
}

/// What was learned of the errors of one variate at one step of the horizon.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct IntervalState {
    below_q: f32,
    above_q: f32,
    /// Running mean of the error's size.
    scale: f32,
    /// Scores so far, as far as they make a difference.
    scored: u8,
}

impl Width {
    /// The nearest of a finite width that is not negative.
    fn nearest(width: f32) -> Self {
        let bits = width.min(1e30).to_bits();
        Width((((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16).to_be_bytes())
    }

    fn get(self) -> f32 {
        f32::from_bits(u32::from(u16::from_be_bytes(self.0)) << 16)
    }

    fn is_valid(self) -> bool {
        (0.0..=f32::MAX).contains(&self.get())
    }
}

impl PredictionInterval {
    /// Finite where the forecast is, and never above it.
    pub(crate) fn lower(&self) -> f32 {
        (self.mean - self.below.get()).max(f32::MIN).min(self.mean)
    }

    /// Finite where the forecast is, and never below it.
    pub(crate) fn upper(&self) -> f32 {
        (self.mean + self.above.get()).min(f32::MAX).max(self.mean)
    }

    /// Whether the reading lies below or above the interval.
    fn misses(&self, value: f32) -> (bool, bool) {
        (value < self.lower(), value > self.upper())
    }

    pub(crate) fn covers(&self, value: f32) -> bool {
        self.misses(value) == (false, false)
    }

    pub(crate) fn is_valid(&self) -> bool {
        self.below.is_valid() && self.above.is_valid()
    }
}

impl IntervalState {
    /// Of an interval of which only the initial half-width is known.
    pub(crate) fn new(initial_width: f32) -> Self {
        IntervalState {
            below_q: INITIAL_Q,
            above_q: INITIAL_Q,
            scale: initial_width / INITIAL_Q,
            scored: 0,
        }
    }

    /// Whether nothing was learned yet.
    pub(crate) fn is_new(&self) -> bool {
        self.scored == 0
    }

    /// A forecast with the interval of today.
    pub(crate) fn around(&self, mean: f32) -> PredictionInterval {
        PredictionInterval {
            mean,
            below: Width::nearest(self.below_q * self.scale),
            above: Width::nearest(self.above_q * self.scale),
        }
    }

    /// The reading of a forecast has come. `miss` is the fraction of the readings that may lie
    /// beyond either bound, `least` the least scale.
    pub(crate) fn score(&mut self, value: f32, published: &PredictionInterval, miss: f32, least: f32) {
        let n = f32::from(self.scored);
        let step = (FIRST_STEP / (1.0 + n / HALVED_AFTER)).max(LEAST_STEP);
        let (below, above) = published.misses(value);
        let moved = |q: f32, missed: bool| (q + step * (f32::from(u8::from(missed)) - miss)).clamp(0.0, MAX_Q);
        self.below_q = moved(self.below_q, below);
        self.above_q = moved(self.above_q, above);
        let size = (value - published.mean).abs().min(CLIP * self.scale).min(MAX_ERROR);
        self.scale = (self.scale + (size - self.scale) / (n + INITIAL_SCORES).min(SCALE_SCORES)).max(least);
        self.scored = self.scored.saturating_add(1);
    }

    pub(crate) fn is_valid(&self) -> bool {
        (0.0..=MAX_Q).contains(&self.below_q) && (0.0..=MAX_Q).contains(&self.above_q) && (0.0..=MAX_ERROR).contains(&self.scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_published_width_is_near_what_was_learned(width in 0.0_f32..1e22) {
            let published = Width::nearest(width);
            prop_assert!(published.is_valid() && (published.get() - width).abs() <= width / 256.0);
        }
    }

    #[test]
    fn small_whole_widths_are_exact() {
        for width in 0..=256_u16 {
            assert_eq!(Width::nearest(f32::from(width)).get(), f32::from(width));
        }
    }
}
