//! Tolerance classes, and the distance of two runs relative to their scale.

use std::fmt;

use tsm2_bundle::Bundle;

use crate::Run;

/// How far a run may lie from another, relative to the scale of the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tolerance {
    /// 1e-6: the same arithmetic in double precision, rounded once.
    Rounding,
    /// 1e-5: single precision against double precision.
    Close,
    /// 2e-5: two engines in single precision, over thousands of time steps.
    Long,
    /// 1e-3: single precision where rounding errors are amplified.
    Loose,
}

impl Tolerance {
    /// The largest relative difference.
    #[must_use]
    pub fn limit(self) -> f64 {
        match self {
            Self::Rounding => 1e-6,
            Self::Close => 1e-5,
            Self::Long => 2e-5,
            Self::Loose => 1e-3,
        }
    }
}

/// Distance of two runs, relative to the scale of the second.
#[derive(Clone, Copy, Debug)]
pub struct Distance {
    /// Of the forecasts, in units of each variate's standard deviation about its mean: a large mean hides nothing.
    pub forecasts: f64,
    /// Of the recurrent states.
    pub state: f64,
}

impl Distance {
    /// The distance of `got` from `want`. Infinite where a number is not finite or lengths differ.
    #[must_use]
    pub fn new(bundle: &Bundle, got: &Run, want: &Run) -> Self {
        let meta = bundle.meta();
        let standardized = |run: &Run| -> Vec<f64> {
            let of_target = run.forecasts.chunks_exact(meta.config.horizon).zip(meta.targets().iter().cycle());
            of_target
                .flat_map(|(steps, v)| steps.iter().map(|&x| (f64::from(x) - f64::from(v.mean)) / f64::from(v.std)))
                .collect()
        };
        let numbers = |run: &Run| -> Vec<f64> { run.state.iter().copied().map(f64::from).collect() };
        Self {
            forecasts: relative_difference(&standardized(got), &standardized(want)),
            state: relative_difference(&numbers(got), &numbers(want)),
        }
    }

    /// Whether both lie within the tolerance.
    #[must_use]
    pub fn within(&self, tolerance: Tolerance) -> bool {
        self.forecasts.max(self.state) <= tolerance.limit()
    }
}

impl fmt::Display for Distance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "forecasts {:.1e}, state {:.1e}", self.forecasts, self.state)
    }
}

/// max |got - want| / max |want|; infinite where a number is not finite or the lengths differ.
#[must_use]
pub fn relative_difference(got: &[f64], want: &[f64]) -> f64 {
    if got.len() != want.len() || got.iter().chain(want).any(|x| !x.is_finite()) {
        return f64::INFINITY;
    }
    let scale = want.iter().fold(0.0f64, |scale, x| scale.max(x.abs()));
    let worst = got.iter().zip(want).fold(0.0f64, |worst, (a, b)| worst.max((a - b).abs()));
    if worst == 0.0 { 0.0 } else { worst / scale }
}
