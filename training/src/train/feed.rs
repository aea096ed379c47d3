//! Inputs and targets of training, made from the table as they are needed, by the device's preprocessor.
//!
//! Invariants:
//! - Nothing of size rows x targets x steps is held: memory is the table, some states of the preprocessor, and one chunk.
//! - A [`Cursor`] at row r has the state that a device has before it, unless readings were hidden. The state starts anew at each run.

use std::ops::Range;

use ndarray::{ArrayView2, ArrayViewMut2, linalg::general_mat_mul};
use tsm2_core::{Config, Preprocessor};

use crate::data::scale::Scaler;
use crate::data::table::Table;

/// Numbers that the stored states of the preprocessor may hold.
const MEMORY: usize = 1 << 26;

/// Smallest distance in rows between two stored states.
const LEAST_SPACING: usize = 256;

/// A table as a network reads it, from any row on.
#[derive(Debug)]
pub struct Feed<'a> {
    config: Config,
    scaler: &'a Scaler,
    table: &'a Table,
    preprocessor: Preprocessor<'a>,
    /// Whole matrices of the linear head, `[H, features]` of each target or of all; empty without one.
    linear_head: Vec<f32>,
    /// Some rows: the first of each run, and rows in between.
    places: Vec<usize>,
    /// States of the preprocessor before these rows.
    states: Vec<f32>,
}

/// A place in the table, and the preprocessor's state there.
#[derive(Clone, Debug)]
pub struct Cursor {
    /// The next row.
    pub row: usize,
    /// The state before it.
    pub state: Vec<f32>,
    /// Rows from here on whose readings the model does not get.
    pub hidden: usize,
}

/// What a network reads and should answer at successive rows. An entry is a target, and one of its steps.
#[derive(Clone, Debug, Default)]
pub struct Chunk {
    /// `[rows, M, patch]`.
    pub patches: Vec<f32>,
    /// What forecasts count from, the newest sample for a relative head and otherwise the normalizer's mean, and the normalizer's
    /// deviation: `[rows, targets]`.
    pub bases: Vec<(f32, f32)>,
    /// The linear head's forecast from the base, in units of the deviation, `[rows, targets, H]`; zero without one.
    pub linear: Vec<f32>,
    /// What came, in the same units, of the same shape; 0 where the reading is missing.
    pub target: Vec<f32>,
    /// Weight of each entry's squared error, of the same shape: the squared deviation, so that errors count in units of z;
    /// 0 where the reading is missing.
    pub weight: Vec<f32>,
}

impl<'a> Feed<'a> {
    /// Passes the rows once through the preprocessor of `config`. `linear_head` holds the whole matrices of the linear
    /// head, also of a head of a rank, or nothing.
    ///
    /// # Errors
    /// A fault of the configuration or the scaler.
    pub fn new(
        config: &Config,
        scaler: &'a Scaler,
        table: &'a Table,
        linear_head: &[f32],
        tick: &dyn Fn(),
    ) -> Result<Self, tsm2_core::Error> {
        let preprocessor = scaler.preprocessor(config)?;
        let width = preprocessor.state_len();
        let most = (MEMORY / width.max(1)).max(1);
        let spacing = table.len().div_ceil(most).max(LEAST_SPACING);
        let mut feed = Self {
            config: *config,
            scaler,
            table,
            preprocessor,
            linear_head: linear_head.to_vec(),
            places: Vec::new(),
            states: Vec::new(),
        };
        let mut cursor = Cursor {
            row: 0,
            state: vec![0.0; width],
            hidden: 0,
        };
        while cursor.row < table.len() {
            if table.runs.starts_at(cursor.row) || cursor.row.is_multiple_of(spacing) {
                feed.places.push(cursor.row);
                feed.states.extend_from_slice(&cursor.state);
            }
            feed.push(&mut cursor)?;
            tick();
        }
        Ok(feed)
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The first row of the run of this row.
    #[must_use]
    pub fn run_start(&self, row: usize) -> usize {
        self.table.runs.run_of(row).start
    }

    /// The cursor at a row.
    ///
    /// # Errors
    /// The preprocessor's.
    pub fn cursor(&self, row: usize) -> Result<Cursor, tsm2_core::Error> {
        let width = self.preprocessor.state_len();
        let stored = self.places.partition_point(|&place| place <= row).saturating_sub(1);
        let mut cursor = Cursor {
            row: self.places.get(stored).copied().unwrap_or(0),
            state: self.states[stored * width..(stored + 1) * width].to_vec(),
            hidden: 0,
        };
        while cursor.row < row {
            self.push(&mut cursor)?;
        }
        Ok(cursor)
    }

    /// Moves the cursor one row on.
    fn push(&self, cursor: &mut Cursor) -> Result<(), tsm2_core::Error> {
        let (row, state) = (cursor.row, &mut cursor.state);
        if self.table.runs.starts_at(row) {
            state.fill(0.0);
        }
        let Config {
            future_covariates,
            horizon,
            ..
        } = self.config;
        self.table.future_values(row, future_covariates, horizon, |v, values| {
            self.preprocessor.set_future(state, v, values)
        })?;
        if cursor.hidden > 0 {
            cursor.hidden -= 1;
            let missing = vec![f32::NAN; self.config.variates];
            self.preprocessor.push(state, &missing, self.table.local_time_ms(row))?;
        } else {
            self.preprocessor
                .push(state, self.table.input_row(row), self.table.local_time_ms(row))?;
        }
        cursor.row += 1;
        Ok(())
    }

    /// Moves the cursor `rows` on, within one run, and appends what a network reads after each of them, and should answer there. While
    /// readings are hidden all weights are 0.
    ///
    /// # Errors
    /// The preprocessor's.
    pub fn read(&self, cursor: &mut Cursor, rows: usize, chunk: &mut Chunk) -> Result<(), tsm2_core::Error> {
        let (m, f, p, h) = (
            self.config.variates,
            self.config.targets(),
            self.config.patch_len(),
            self.config.horizon,
        );
        let features = if self.linear_head.is_empty() {
            0
        } else {
            self.config.linear_head_features()
        };
        let before = chunk.bases.len();
        let first = cursor.row;
        let run = self.table.runs.run_of(first);
        let mut counts = Vec::with_capacity(rows);
        let mut phi = vec![0.0; f * rows * features];
        let mut patches = chunk.patches.len();
        chunk.patches.resize(patches + rows * m * p, 0.0);
        for i in 0..rows {
            counts.push(cursor.hidden == 0);
            self.push(cursor)?;
            for v in 0..m {
                self.preprocessor.patch(&cursor.state, v, &mut chunk.patches[patches..patches + p]);
                patches += p;
            }
            for v in 0..f {
                let (mean, deviation) = self.preprocessor.statistics(&cursor.state, v);
                let anchor = self.preprocessor.anchor(&cursor.state, v);
                chunk.bases.push((mean + anchor * deviation, deviation));
                if features > 0 {
                    // Variate by variate, so that each one's features are a matrix.
                    self.preprocessor
                        .features(&cursor.state, v, &mut phi[(v * rows + i) * features..][..features]);
                }
            }
        }
        let (start, end) = (before * h, (before + rows * f) * h);
        for numbers in [&mut chunk.linear, &mut chunk.target, &mut chunk.weight] {
            numbers.resize(end, 0.0);
        }
        if features > 0 {
            self.forecast(&phi, rows, features, &mut chunk.linear[start..]);
        }
        for i in 0..rows * f {
            let (row, v) = (first + i / f, i % f);
            let (base, deviation) = chunk.bases[before + i];
            let entries = start + i * h..start + (i + 1) * h;
            let numbers = chunk.target[entries.clone()].iter_mut().zip(&mut chunk.weight[entries]);
            for (step, (target, weight)) in numbers.enumerate() {
                let z = if row + 1 + step < run.end {
                    self.z(row + 1 + step, v)
                } else {
                    f32::NAN
                };
                (*target, *weight) = (0.0, 0.0);
                if !z.is_nan() {
                    *target = (z - base) / deviation;
                    *weight = if counts[i / f] { deviation * deviation } else { 0.0 };
                }
            }
        }
        Ok(())
    }

    /// The standardised reading of a target; NaN where it is missing.
    fn z(&self, row: usize, v: usize) -> f32 {
        (self.table.row(row)[v] - self.scaler.mean[v]) / self.scaler.std[v]
    }

    /// The linear head's forecasts `[rows, targets, H]` from its features `[targets, rows, features]`.
    fn forecast(&self, phi: &[f32], rows: usize, features: usize, out: &mut [f32]) {
        let (f, h) = (self.config.targets(), self.config.horizon);
        for (v, phi) in phi.chunks_exact(rows * features).enumerate() {
            let weights = match self.config.linear_head.per_variate {
                true => &self.linear_head[v * h * features..(v + 1) * h * features],
                false => &self.linear_head[..],
            };
            let shapes = (
                ArrayView2::from_shape((rows, features), phi),
                ArrayView2::from_shape((h, features), weights),
                ArrayViewMut2::from_shape((rows, f * h), &mut *out),
            );
            if let (Ok(phi), Ok(weights), Ok(mut out)) = shapes {
                let mut columns = out.slice_mut(ndarray::s![.., v * h..(v + 1) * h]);
                general_mat_mul(1.0, &phi, &weights.t(), 0.0, &mut columns);
            }
        }
    }
}

impl Chunk {
    /// What a network reads and should answer at these rows of a feed.
    ///
    /// # Errors
    /// The preprocessor's.
    pub fn at(feed: &Feed<'_>, rows: Range<usize>) -> Result<Self, tsm2_core::Error> {
        let mut chunk = Self::default();
        feed.read(&mut feed.cursor(rows.start)?, rows.len(), &mut chunk)?;
        Ok(chunk)
    }
}
