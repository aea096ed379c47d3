//! Adaptive bounds around a forecast: how far they reach below and above, learned reading by reading.
//!
//! Online conformal prediction. A side's width is q times the running mean of the errors' size (a normalised score, Lei et al.,
//! "Distribution-free predictive inference for regression", 2018), and q is the quantile tracker of Angelopoulos, Candes and
//! Tibshirani, "Conformal PID control for time series prediction" (2023): q <- q + eta (1{missed} - miss), for each side by
//! itself, with `miss` half of what may lie outside. eta decays to a floor: as in Angelopoulos, Barber and Bates, "Online conformal prediction
//! with decaying step sizes" (2024), the bounds settle; because of the floor they follow a drift ever after. A miss is one of the bounds as they
//! were published, a lead ago, so what is held to is the coverage of what went out.
//!
//! Nothing is assumed of the errors: over T scores a side misses no more than `miss` of them, to within (the range that q moves in) / (eta T),
//! and fewer only while q is 0.
//!
//! Invariant: all numbers are finite and not negative, whatever the readings are.

use alloc::vec::Vec;

use crate::bytes::{Bytes, put};
use crate::live_metrics::WINDOW;

/// Largest error that counts, so that squares stay finite.
pub(crate) const MAX_ERROR: f32 = 1e18;
/// An error moves the scale as if it were at most this many scales large.
const CLIP: f32 = 8.0;
/// Scores over which the scale is a mean, and those that the prior counts for.
const SCALE_SCORES: f32 = 64.0;
const PRIOR_SCORES: f32 = 16.0;
/// eta at the first score, the scores in which it halves, and the eta that is not gone below.
const FIRST_STEP: f32 = 0.2;
const HALVED_AFTER: f32 = 16.0;
const LEAST_STEP: f32 = 0.05;
/// The q of normal errors at a coverage of 90 %; a prior is taken for that many scales.
const PRIOR_Q: f32 = 2.0;
const MAX_Q: f32 = 1e4;

/// A forecast and how far its interval reaches, as published.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct PredictionInterval {
    pub(crate) mean: f32,
    pub(crate) down: f32,
    pub(crate) up: f32,
}

/// What is known of the errors of one variate at one lead.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct IntervalState {
    down_q: f32,
    up_q: f32,
    /// Running mean of the error's size.
    scale: f32,
    /// Scores so far.
    pub(crate) scored: u32,
    /// Running fraction of the readings within the bounds.
    pub(crate) covered: f32,
}

impl PredictionInterval {
    /// Finite where the forecast is, and never on the wrong side of it.
    pub(crate) fn lower(&self) -> f32 {
        (self.mean - self.down).max(f32::MIN).min(self.mean)
    }

    /// As [`Bounded::lo`], above.
    pub(crate) fn upper(&self) -> f32 {
        (self.mean + self.up).min(f32::MAX).max(self.mean)
    }
}

impl IntervalState {
    /// Bounds of which nothing is known but half their width.
    pub(crate) fn new(initial_widths: f32) -> Self {
        IntervalState {
            down_q: PRIOR_Q,
            up_q: PRIOR_Q,
            scale: initial_widths / PRIOR_Q,
            scored: 0,
            covered: 0.0,
        }
    }

    /// A forecast in today's bounds.
    pub(crate) fn around(&self, mean: f32) -> PredictionInterval {
        PredictionInterval {
            mean,
            down: self.down_q * self.scale,
            up: self.up_q * self.scale,
        }
    }

    /// The reading of a forecast has come. `miss` is how much of the readings may lie beyond either bound, `least` the least scale.
    pub(crate) fn score(&mut self, value: f32, issued: &PredictionInterval, miss: f32, least: f32) {
        let n = self.scored as f32;
        let step = (FIRST_STEP / (1.0 + n / HALVED_AFTER)).max(LEAST_STEP);
        let (below, above) = (value < issued.lower(), value > issued.upper());
        let moved = |q: f32, missed: bool| (q + step * (f32::from(u8::from(missed)) - miss)).clamp(0.0, MAX_Q);
        self.down_q = moved(self.down_q, below);
        self.up_q = moved(self.up_q, above);
        let size = (value - issued.mean).abs().min(CLIP * self.scale).min(MAX_ERROR);
        self.scale = (self.scale + (size - self.scale) / (n + PRIOR_SCORES).min(SCALE_SCORES)).max(least);
        self.scored = self.scored.saturating_add(1);
        let covered = f32::from(u8::from(!below && !above));
        self.covered += (covered - self.covered) / self.scored.min(WINDOW) as f32;
    }

    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        for number in [self.down_q, self.up_q, self.scale, self.covered] {
            put(out, number.to_le_bytes());
        }
        put(out, self.scored.to_le_bytes());
    }

    /// What [`Width::save`] wrote; `None` for anything else.
    pub(crate) fn restore(from: &mut Bytes<'_>) -> Option<Self> {
        Some(IntervalState {
            down_q: from.amount(MAX_Q)?,
            up_q: from.amount(MAX_Q)?,
            scale: from.amount(MAX_ERROR)?,
            covered: from.amount(1.01)?, // a running mean of ones may be rounded upwards
            scored: u32::from_le_bytes(from.take()?),
        })
    }
}
