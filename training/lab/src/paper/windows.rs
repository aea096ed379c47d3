//! Windows of a recording, each normalised by itself (RevIN), and the rows after them.
//!
//! An example is named by its origin: the row after its window, the first that is forecast. A window may begin before its part's first row; what
//! it forecasts lies wholly in the part.

use std::ops::Range;

use super::error::PaperError;
use tsm2_train::data::scale::Scaler;
use tsm2_train::data::split::{Split, SplitError};
use tsm2_train::data::table::Table;
use tsm2_train::evaluate::baselines::Series;

/// Added to a window's variance (RevIN, Kim et al. 2022).
const EPS: f32 = 1e-5;

/// What examples are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// To learn from.
    Training,
    /// To choose by.
    Validation,
    /// To measure on.
    Test,
}

/// A table's windows.
pub struct Windows {
    /// Filled readings, standardised.
    series: Series,
    /// Standardised readings `[rows][M]`, NaN where one is missing.
    z: Vec<f32>,
    split: Split,
    lookback: usize,
    horizon: usize,
}

impl Windows {
    /// Windows of `lookback` rows and the `horizon` rows after them, standardised by the training part.
    ///
    /// # Errors
    /// `Split` when a part does not hold one example, `Zero`.
    pub fn new(table: &Table, split: Split, lookback: usize, horizon: usize) -> Result<Self, PaperError> {
        if horizon == 0 {
            return Err(PaperError::Zero("the horizon"));
        }
        let parts = [
            ("training", split.train, lookback + horizon),
            ("validation", split.validation, horizon),
            ("test", split.test, horizon),
        ];
        if let Some((part, rows, needed)) = parts.into_iter().find(|(_, rows, needed)| rows < needed) {
            let reason = match part {
                "training" => format!("a lookback of {lookback} and a horizon of {horizon}"),
                _ => format!("a horizon of {horizon}"),
            };
            return Err(SplitError::TooShort {
                part,
                rows,
                needed,
                reason,
            }
            .into());
        }
        let (scaler, _) = Scaler::fit(table, &split);
        let z = scaler.standardise(table);
        Ok(Self {
            series: Series::new(&z, table.variates()),
            z,
            split,
            lookback,
            horizon,
        })
    }

    /// Origins of the examples of a part.
    #[must_use]
    pub fn examples(&self, part: Part) -> Range<usize> {
        let Split { train, validation, test } = self.split;
        let rows = match part {
            Part::Training => self.lookback..train,
            Part::Validation => train..train + validation,
            Part::Test => train + validation..train + validation + test,
        };
        rows.start..rows.end + 1 - self.horizon
    }

    /// Writes an example: its window `[M][L]`, the rows after it `[M][H]` in the window's own units, and the weight of the squared error of each
    /// number: the square of its unit, 0 where the reading is missing.
    pub fn write(&self, example: usize, window: &mut [f32], target: &mut [f32], weight: &mut [f32]) {
        let variates = self.series.values.len();
        let of_variate = window
            .chunks_exact_mut(self.lookback)
            .zip(target.chunks_exact_mut(self.horizon).zip(weight.chunks_exact_mut(self.horizon)));
        for (m, (window, (target, weight))) in of_variate.enumerate() {
            window.copy_from_slice(&self.series.values[m][example - self.lookback..example]);
            let (mean, sd) = revin(window);
            for (step, (target, weight)) in target.iter_mut().zip(weight).enumerate() {
                let reading = self.z[(example + step) * variates + m];
                (*target, *weight) = match reading.is_nan() {
                    true => (0.0, 0.0),
                    false => ((reading - mean) / sd, sd * sd),
                };
            }
        }
    }
}

/// Centres and scales a window by its own mean and deviation, which it returns: x = window * deviation + mean restores it. RevIN's learned scale
/// and shift are left out, as the published benchmarks mostly do.
pub fn revin(window: &mut [f32]) -> (f32, f32) {
    let count = window.len().max(1) as f64;
    let mean = window.iter().map(|x| f64::from(*x)).sum::<f64>() / count;
    let variance = window.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / count;
    let (mean, sd) = (mean as f32, (variance as f32 + EPS).sqrt());
    window.iter_mut().for_each(|x| *x = (*x - mean) / sd);
    (mean, sd)
}
