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
    /// The rows, each range within one run, and the place of its first row.
    spans: Vec<(Range<usize>, usize)>,
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

/// Calls `visit(row, preprocessor, state)` after each of these rows has passed the preprocessor of `config`. Each range of rows begins with an
/// empty state. Future covariates are set to their recorded values.
///
/// # Errors
/// A fault of the configuration or the scaler.
pub fn pass(
    config: &Config,
    scaler: &scale::Scaler,
    table: &Table,
    passes: &[Range<usize>],
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
    for rows in passes {
        state.fill(0.0);
        for row in rows.clone() {
            table.future_values(row, config.future_covariates, config.horizon, |v, values| {
                preprocessor.set_future(&mut state, v, values)
            })?;
            preprocessor.push(&mut state, table.input_row(row), table.time_ms(row))?;
            visit(row, &preprocessor, &state);
        }
    }
    Ok(())
}

impl Dataset {
    /// Passes the rows of each run up to the end of `spans` through the preprocessor of `config` and holds what comes of `spans`, at most one
    /// in each run, [`Dataset::row_len`] numbers a row; `linear_head` holds the linear head's weights as in the model file, or nothing.
    ///
    /// # Errors
    /// A fault of the configuration or the scaler.
    pub fn new(
        config: &Config,
        scaler: &scale::Scaler,
        table: &Table,
        spans: &[Range<usize>],
        linear_head: &[f32],
    ) -> Result<Self, tsm2_core::Error> {
        let mut rows = 0;
        let place = |span: &Range<usize>| {
            rows += span.len();
            (span.clone(), rows - span.len())
        };
        let spans: Vec<(Range<usize>, usize)> = spans.iter().map(place).collect();
        let passes: Vec<Range<usize>> = spans
            .iter()
            .map(|(span, _)| table.runs.run_of(span.start).start..span.end)
            .collect();
        let (m, f, p, h) = (config.variates, config.targets(), config.patch_len(), config.horizon);
        let features = if linear_head.is_empty() { 0 } else { config.linear_head_features() };
        let mut patches = vec![0.0; rows * m * p];
        let mut statistics = vec![0.0; rows * f * 2];
        let mut linear = vec![0.0; if features > 0 { rows * f * h } else { 0 }];
        let mut phi = vec![0.0; BLOCK * f * features];
        let mut next = 0;
        pass(config, scaler, table, &passes, |row, preprocessor, state| {
            let at = spans.partition_point(|(span, _)| span.end <= row);
            if !spans[at].0.contains(&row) {
                return;
            }
            let row = next;
            next += 1;
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
        let z = scaler.standardise_targets(table);
        let z = spans
            .iter()
            .flat_map(|(span, _)| &z[span.start * f..span.end * f])
            .copied()
            .collect();
        Ok(Self {
            spans,
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

    /// The rows that are held, each range within one run.
    pub fn spans(&self) -> impl Iterator<Item = &Range<usize>> {
        self.spans.iter().map(|(span, _)| span)
    }

    /// The held range with this row.
    ///
    /// # Panics
    /// The row is not held.
    #[must_use]
    pub fn span_of(&self, row: usize) -> &Range<usize> {
        &self.place_of(row).0
    }

    fn place_of(&self, row: usize) -> &(Range<usize>, usize) {
        &self.spans[self.spans.partition_point(|(span, _)| span.end <= row)]
    }

    /// The place of a row that is held.
    fn place(&self, row: usize) -> usize {
        let (span, place) = self.place_of(row);
        place + row - span.start
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

    /// Patches of these rows of one run, `[rows, M, patch]`.
    #[must_use]
    pub fn patches(&self, rows: Range<usize>) -> &[f32] {
        let (width, first) = (self.variates * self.patch_len, self.place(rows.start));
        &self.patches[first * width..(first + rows.len()) * width]
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
        let (f, h, (span, first)) = (self.targets, self.horizon, self.place_of(row));
        let (row, end) = (first + row - span.start, first + span.len());
        match self.linear.get(row * f * h..(row + 1) * f * h) {
            Some(said) => linear.copy_from_slice(said),
            None => linear.fill(0.0),
        }
        for v in 0..f {
            let &[mu, sd] = &self.statistics[(row * f + v) * 2..][..2] else {
                continue;
            };
            for step in 0..h {
                let to_come = row + 1 + step;
                let z = if to_come < end { self.z[to_come * f + v] } else { f32::NAN };
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
