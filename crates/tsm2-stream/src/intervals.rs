//! Adaptive bounds around a forecast: one pair of widths, tracked reading by reading.
//!
//! Online conformal prediction: each side is the quantile tracker of Angelopoulos, Candes and Tibshirani, "Conformal PID control for time
//! series prediction" (2023), equation (4), q <- q + eta (1{s > q} - beta), with beta half of what the interval may miss, s the error upwards
//! or downwards, and, as they recommend, a step in proportion to the size of recent errors. The step decays to a floor: decaying as in
//! Angelopoulos, Barber and Bates, "Online conformal prediction with decaying step sizes" (2024), the widths settle; with a floor, coverage
//! still follows a drift. No assumption on the errors is made: over T scores each side misses beta of them, to within the width's range / (eta T).
//!
//! Invariant: widths and scale are finite and not negative, whatever the readings are.

use alloc::vec::Vec;

use crate::bytes::{Bytes, put};

/// Largest error that counts; squares and sums of it stay finite.
pub(crate) const MAX_ERROR: f32 = 1e18;
/// An error moves the scale as if it were at most this many scales large.
const CLIP: f32 = 8.0;
/// Scores over which the scale is a mean.
const SCALE_SCORES: f32 = 128.0;
/// Step of the first score, in scales.
const FIRST_STEP: f32 = 0.2;
/// Step that is never gone below, in scales.
const LEAST_STEP: f32 = 0.05;

/// Bounds of one variate at one lead.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Width {
    /// How far the interval reaches below the forecast.
    pub(crate) down: f32,
    /// How far it reaches above.
    pub(crate) up: f32,
    /// Running mean of the error's size.
    scale: f32,
    /// Scores so far.
    pub(crate) scored: u32,
    /// Running fraction of the readings within the bounds.
    pub(crate) covered: f32,
}

impl Width {
    /// Bounds that nothing is known of but the half-width `prior` of an interval of 90 %, say.
    pub(crate) fn new(prior: f32) -> Self {
        Width {
            down: prior,
            up: prior,
            scale: prior / 2.0,
            scored: 0,
            covered: 0.0,
        }
    }

    /// A reading has come, `error` above its forecast. `miss` is how much of the readings may lie beyond either bound, `least` the least scale.
    pub(crate) fn score(&mut self, error: f32, miss: f32, least: f32) {
        let n = self.scored as f32;
        let step = (FIRST_STEP / (1.0 + n / 16.0)).max(LEAST_STEP) * self.scale.max(least);
        let covered = error <= self.up && -error <= self.down;
        let moved = |width: f32, s: f32| (width + step * (if s > width { 1.0 - miss } else { -miss })).clamp(0.0, MAX_ERROR);
        self.up = moved(self.up, error);
        self.down = moved(self.down, -error);
        let size = error.abs().min(CLIP * self.scale.max(least));
        self.scale += (size - self.scale) / (n + 16.0).min(SCALE_SCORES);
        self.scored = self.scored.saturating_add(1);
        self.covered += (f32::from(u8::from(covered)) - self.covered) / self.scored.min(crate::skill::WINDOW) as f32;
    }

    /// An error in units of the errors' running size.
    pub(crate) fn relative(&self, error: f32, least: f32) -> f32 {
        error.abs() / self.scale.max(least).max(f32::MIN_POSITIVE)
    }

    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        for number in [self.down, self.up, self.scale, self.covered] {
            put(out, number.to_le_bytes());
        }
        put(out, self.scored.to_le_bytes());
    }

    pub(crate) fn restore(from: &mut Bytes<'_>) -> Option<Self> {
        let bounded = |from: &mut Bytes<'_>| from.amount().filter(|&amount| amount <= MAX_ERROR);
        Some(Width {
            down: bounded(from)?,
            up: bounded(from)?,
            scale: bounded(from)?,
            covered: from.amount().filter(|&part| part <= 1.0)?,
            scored: u32::from_le_bytes(from.take()?),
        })
    }
}
