//! A table as the network reads it: patches and statistics of every row from the device's preprocessor, and the targets.

use std::ops::Range;

use ndarray::{ArrayView2, ArrayViewMut2, linalg::general_mat_mul};
use tsm2_core::{Config, Preprocessor, Scaler};

use crate::data::scale;
use crate::data::table::Table;

/// Rows whose linear head is computed in one matrix product.
const BLOCK: usize = 256;

/// Some rows of a table, passed through the preprocessor.
#[derive(Debug)]
pub struct Dataset {
    /// The first of them.
    first: usize,
    variates: usize,
    targets: usize,
    horizon: usize,
    patch_len: usize,
    /// `[rows, M, patch]`.
    patches: Vec<f32>,
    /// Mean and standard deviation of the normalizer at each row, `[rows, targets, 2]`.
    statistics: Vec<f32>,
    /// Standardised readings z, `[rows, targets]`; NaN where one is missing.
    z: Vec<f32>,
    /// The linear head's forecast at each row, normalised, `[rows, targets, H]`; empty without one.
    linear: Vec<f32>,
}

/// Calls `visit(row, preprocessor, state)` after each of the first `rows` rows of the inputs has passed the preprocessor of `config`. Future
/// covariates are set to their recorded values.
///
/// # Errors
/// A fault of the configuration or the scaler.
pub fn pass(
    config: &Config,
    scaler: &scale::Scaler,
    table: &Table,
    rows: usize,
    mut visit: impl FnMut(usize, &Preprocessor<'_>, &[f32]),
) -> Result<(), tsm2_core::Error> {
    let preprocessor = Preprocessor::new(
        config,
        Scaler {
            mean: &scaler.mean,
            std: &scaler.std,
        },
    )?;
    let mut state = vec![0.0; preprocessor.state_len()];
    for row in 0..rows {
        table.future_values(row, config.future_covariates, config.horizon, |v, values| {
            preprocessor.set_future(&mut state, v, values)
        })?;
        preprocessor.push(&mut state, table.input_row(row), table.time_ms(row))?;
        visit(row, &preprocessor, &state);
    }
    Ok(())
}

impl Dataset {
    /// Passes the rows before `rows.end` through the preprocessor of `config` and holds what comes of `rows`, [`Dataset::row_len`] numbers a row; `linear_head`
    /// holds the linear head's weights as in the model file, or nothing.
    ///
    /// # Errors
    /// A fault of the configuration or the scaler.
    pub fn new(
        config: &Config,
        scaler: &scale::Scaler,
        table: &Table,
        rows: Range<usize>,
        linear_head: &[f32],
    ) -> Result<Self, tsm2_core::Error> {
        let Range { start: first, end } = rows;
        let rows = rows.len();
        let (m, f, p, h) = (config.variates, config.targets(), config.patch_len(), config.horizon);
        let features = if linear_head.is_empty() { 0 } else { config.linear_head_features() };
        let mut patches = vec![0.0; rows * m * p];
        let mut statistics = vec![0.0; rows * f * 2];
        let mut linear = vec![0.0; if features > 0 { rows * f * h } else { 0 }];
        let mut phi = vec![0.0; BLOCK * f * features];
        pass(config, scaler, table, end, |row, preprocessor, state| {
            let Some(row) = row.checked_sub(first) else { return };
            for v in 0..m {
                preprocessor.patch(state, v, &mut patches[(row * m + v) * p..][..p]);
            }
            for v in 0..f {
                let (mu, sd) = preprocessor.statistics(state, v);
                statistics[(row * f + v) * 2..][..2].copy_from_slice(&[mu, sd]);
                if features > 0 {
                    // Variate by variate, so that each one's block is a matrix.
                    preprocessor.features(state, v, &mut phi[(v * BLOCK + row % BLOCK) * features..][..features]);
                }
            }
            if features > 0 && (row % BLOCK == BLOCK - 1 || row + 1 == rows) {
                let count = row % BLOCK + 1;
                let out = &mut linear[(row + 1 - count) * f * h..(row + 1) * f * h];
                for v in 0..f {
                    let weights = if config.linear_head.per_variate {
                        &linear_head[v * h * features..(v + 1) * h * features]
                    } else {
                        linear_head
                    };
                    product(&phi[v * BLOCK * features..], weights, features, h, out, v, f);
                }
            }
        })?;
        let z = scaler.standardise_targets(table)[first * f..end * f].to_vec();
        Ok(Self {
            first,
            variates: m,
            targets: f,
            horizon: h,
            patch_len: p,
            patches,
            statistics,
            z,
            linear,
        })
    }

    /// Numbers that are held for each row.
    #[must_use]
    pub fn row_len(config: &Config) -> usize {
        config.variates * config.patch_len() + config.targets() * (2 + 1 + config.horizon)
    }

    /// The rows that are held.
    #[must_use]
    pub fn rows(&self) -> Range<usize> {
        self.first..self.first + self.z.len() / self.targets.max(1)
    }

    /// M.
    #[must_use]
    pub fn variates(&self) -> usize {
        self.variates
    }

    /// targets.
    #[must_use]
    pub fn targets(&self) -> usize {
        self.targets
    }

    /// H.
    #[must_use]
    pub fn horizon(&self) -> usize {
        self.horizon
    }

    /// Patches of these rows, `[rows, M, patch]`.
    #[must_use]
    pub fn patches(&self, rows: Range<usize>) -> &[f32] {
        let width = self.variates * self.patch_len;
        &self.patches[(rows.start - self.first) * width..(rows.end - self.first) * width]
    }

    /// Numbers in a patch.
    #[must_use]
    pub fn patch_len(&self) -> usize {
        self.patch_len
    }

    /// Writes, for the forecast at `row`: the readings to come, normalised; the linear head's forecast; and each entry's weight in the loss.
    ///
    /// The weight is the squared standard deviation, so that errors count in units of z, and 0 where the reading is missing. All are
    /// `[targets, H]`.
    pub fn write_targets(&self, row: usize, target: &mut [f32], linear: &mut [f32], weight: &mut [f32]) {
        let (f, h, row) = (self.targets, self.horizon, row - self.first);
        match self.linear.get(row * f * h..(row + 1) * f * h) {
            Some(said) => linear.copy_from_slice(said),
            None => linear.fill(0.0),
        }
        for v in 0..f {
            let &[mu, sd] = &self.statistics[(row * f + v) * 2..][..2] else {
                continue;
            };
            for step in 0..h {
                let z = self.z.get((row + 1 + step) * f + v).copied().unwrap_or(f32::NAN);
                let known = !z.is_nan();
                // A missing reading has weight 0; the linear head's own forecast stands in for it so that no NaN enters the loss.
                target[v * h + step] = if known { (z - mu) / sd } else { linear[v * h + step] };
                weight[v * h + step] = if known { sd * sd } else { 0.0 };
            }
        }
    }
}

/// Rows of `out` `[rows, variates, H]` at variate `v` = phi `[rows, features]` times the transpose of `weights` `[H, features]`.
fn product(phi: &[f32], weights: &[f32], features: usize, horizon: usize, out: &mut [f32], v: usize, variates: usize) {
    let rows = out.len() / (variates * horizon);
    let shapes = (
        ArrayView2::from_shape((rows, features), &phi[..rows * features]),
        ArrayView2::from_shape((horizon, features), weights),
        ArrayViewMut2::from_shape((rows, variates * horizon), out),
    );
    if let (Ok(phi), Ok(weights), Ok(mut out)) = shapes {
        let mut columns = out.slice_mut(ndarray::s![.., v * horizon..(v + 1) * horizon]);
        general_mat_mul(1.0, &phi, &weights.t(), 0.0, &mut columns);
    }
}
