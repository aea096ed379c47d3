//! Future covariates: the next H + 1 values of each, as last set, moved up by every time step.
//!
//! State of each covariate: begin and end of the known values `[2]`, the values, scaled `[H + 1]`, and the features
//! that network and linear head read `[B]`. A feature is the mean over a band of horizon steps, relative to the newest
//! sample, in training standard deviations. It is not divided by the normalizer's deviation, because a schedule that
//! stood still for a while has a deviation of zero.
//!
//! Invariants:
//! 1. All zeros: no value is known.
//! 2. A step before the known values stands at the newest sample; a step beyond them stands at the last known value.
//!    So all features are zero where no value is known.
//! 3. The work per time step is constant.

use crate::config::{Config, future_bands};
use crate::slices::{at, copy, row, row_mut, rows, rows_mut, shift_rows, split, split_mut};

/// Numbers that give begin and end of the known values.
const EXTENT: usize = 2;

/// Sizes of the parts, and the arithmetic on them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FutureCovariates {
    /// K.
    count: usize,
    /// H.
    horizon: usize,
    /// B.
    bands: usize,
}

/// State of one covariate.
struct Parts<'s> {
    extent: &'s mut [f32],
    known: &'s mut [f32],
    features: &'s mut [f32],
}

impl FutureCovariates {
    pub fn new(config: &Config) -> Self {
        Self {
            count: config.future_covariates,
            horizon: config.horizon,
            bands: future_bands(config.horizon).count(),
        }
    }

    /// K.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Values of a covariate that can be known: of the next time step, and of the H steps after it.
    pub fn most(&self) -> usize {
        self.horizon + 1
    }

    /// Numbers of state.
    pub fn state_len(&self) -> usize {
        self.count * self.width()
    }

    fn width(&self) -> usize {
        EXTENT + self.most() + self.bands
    }

    /// Replaces the known values of covariate `k`: the next values, scaled, `None` where a value is not known; that
    /// step stands at the known value before it.
    pub fn set(&self, state: &mut [f32], k: usize, values: impl Iterator<Item = Option<f32>>) {
        let Parts { extent, known, .. } = self.parts(state, k);
        let (mut last, mut begin, mut end) = (0.0, 0, 0);
        for (i, (slot, value)) in known.iter_mut().zip(values).enumerate() {
            if let Some(value) = value {
                begin = if end == 0 { i } else { begin };
                (last, end) = (value, i + 1);
            }
            *slot = last;
        }
        copy(&[begin as f32, end as f32], extent);
    }

    /// The known value of covariate `k` at the next time step.
    pub fn next(&self, state: &[f32], k: usize) -> Option<f32> {
        match row(state, k, self.width()) {
            [begin, end, next, ..] if *begin < 1.0 && *end >= 1.0 => Some(*next),
            _ => None,
        }
    }

    /// Moves the known values of covariate `k` up by the time step just read, whose sample is `now`.
    pub fn advance(&self, state: &mut [f32], k: usize, now: f32) {
        let horizon = self.horizon;
        let Parts { extent, known, features } = self.parts(state, k);
        // A state from elsewhere may hold any numbers; the extent stays within the values.
        let moved = |place: f32| (place as usize).min(horizon + 1).saturating_sub(1);
        let (begin, end) = (moved(at(extent, 0)), moved(at(extent, 1)));
        copy(&[begin as f32, end as f32], extent);
        shift_rows(known, 1);
        let value = |step: usize| match end {
            0 => now,
            _ if step < begin => now,
            _ => at(known, step.min(end - 1)),
        };
        for (feature, band) in features.iter_mut().zip(future_bands(horizon)) {
            let width = band.len() as f32;
            *feature = band.map(|step| value(step) - now).sum::<f32>() / width;
        }
    }

    /// Writes the features of all covariates, `[K, B]`; nothing into an empty `out`.
    pub fn read(&self, state: &[f32], out: &mut [f32]) {
        for (out, covariate) in rows_mut(out, self.bands).zip(rows(state, self.width())) {
            copy(split(covariate, EXTENT + self.most()).1, out);
        }
    }

    fn parts<'s>(&self, state: &'s mut [f32], k: usize) -> Parts<'s> {
        let (extent, rest) = split_mut(row_mut(state, k, self.width()), EXTENT);
        let (known, features) = split_mut(rest, self.most());
        Parts { extent, known, features }
    }
}
